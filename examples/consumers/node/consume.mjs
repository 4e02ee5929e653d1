// Prints what fastn ran and what it called, one JSON line each. See ../README.md.

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import kafkajs from "kafkajs";
import { Believed, Schemas } from "./records.mjs";

const { values: options } = parseArgs({
  options: {
    brokers: { type: "string", default: "localhost:9092" },
    prefix: { type: "string", default: "" },
    registry: { type: "string" },
    schemas: { type: "string" },
    "until-end": { type: "boolean", default: false },
  },
});

const customer = (scope) => `${scope.account}/${scope.customer}`;

/** What a record of `executions` or `traces` tells, in the words of this program. */
function* linesOf(record, fields) {
  switch (record) {
    case "Admitted":
      for (const event of fields.events) {
        for (const { id, workflow } of event.executions) {
          yield { customer: customer(event.scope), execution: id, workflow, status: "queued" };
        }
      }
      break;
    case "Progress":
    case "Finished": {
      const line = { customer: customer(fields.scope), execution: fields.execution, status: fields.status };
      yield record === "Finished" && fields.error ? { ...line, error: fields.error.code } : line;
      break;
    }
    case "Trace":
      yield {
        customer: customer(fields.scope),
        execution: fields.execution,
        step: fields.step,
        call: `${fields.method} ${fields.origin}`,
        status: fields.status === null ? fields.error : Number(fields.status),
        ms: Number(fields.duration_ms),
      };
      break;
    // Claims, snapshots and checkpoints repeat what is known, for the processors themselves.
  }
}

const kafka = new kafkajs.Kafka({
  brokers: options.brokers.split(","),
  clientId: "fastn-example",
  logLevel: kafkajs.logLevel.ERROR,
});
const [executions, traces] = ["executions", "traces"].map((topic) => options.prefix + topic);

/** Where each partition that is not empty ends now. */
async function ends() {
  const admin = kafka.admin();
  await admin.connect();
  const open = new Map();
  for (const topic of [executions, traces]) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      if (BigInt(high) > BigInt(low)) open.set(`${topic} ${partition}`, BigInt(high));
    }
  }
  await admin.disconnect();
  return open;
}

const open = options["until-end"] ? await ends() : null;
const [schemas, believed] = [new Schemas({ registry: options.registry, folder: options.schemas }), new Believed()];
// A group of its own, and nothing committed: epochs must be known from the start of what is read.
const consumer = kafka.consumer({ groupId: `fastn-example-${randomUUID()}` });

let stop;
const stopped = new Promise((resolve) => (stop = resolve));
await consumer.connect();
await consumer.subscribe({ topics: [executions, traces], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ topic, partition, message }) => {
    const [record, fields] = await schemas.decode(message.value);
    if (topic !== executions || believed.check(partition, fields.epoch)) {
      const place = { topic: topic.slice(options.prefix.length), partition, offset: Number(message.offset), record };
      for (const line of linesOf(record, fields)) console.log(JSON.stringify({ ...place, ...line }));
    }
    if (open && BigInt(message.offset) + 1n >= (open.get(`${topic} ${partition}`) ?? Infinity)) {
      open.delete(`${topic} ${partition}`);
      if (open.size === 0) stop();
    }
  },
});
if (open?.size === 0) stop();
await stopped;
await consumer.disconnect();
