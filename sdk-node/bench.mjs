#!/usr/bin/env node
// Measures the client against the server that FASTN_URL, FASTN_ACCESS_KEY and FASTN_ACCOUNT_ID name, and prints one line of JSON:
// events of 1 KiB by the batcher, the same sends by `fetch` of Node (undici), one request each, and decoding a page of 1,000
// executions beside JSON.parse of the same text. Needs the package: `sdk-node/build.sh native` with the profile `sdk`.
//
//   BENCH_EVENTS      events by the batcher, 100,000
//   BENCH_REQUESTS    events by fetch, 10,000
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";

import { createFastnClient } from "./lib/index.mjs";

const EVENTS = Number(process.env.BENCH_EVENTS ?? 100_000);
const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 10_000);
/** Requests of fetch under way at once. */
const CONCURRENCY = 32;
const CUSTOMER = "cus_bench";

function event(n) {
  return { type: "bench.sent", data: { n, text: "x".repeat(960) } };
}

/** What work costs: seconds, and microseconds of CPU of this whole process. */
async function measured(work) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpu: user + system };
}

function told(events, { seconds, cpu }) {
  return { events, seconds, eventsPerSecond: events / seconds, cpuMicrosPerEvent: cpu / events };
}

async function byBatcher(client, events) {
  const batcher = client.batcher();
  const cost = await measured(async () => {
    for (let n = 0; n < events; n += 1) {
      const room = batcher.send(CUSTOMER, event(n));
      if (room) await room;
    }
    const { sent, failed } = await batcher.close();
    if (failed.length || sent !== events) throw new Error(`${failed.length} events failed: ${failed[0]?.error.message}`);
  });
  return told(events, cost);
}

async function byFetch(client, events) {
  const url = new URL("v1/events", client.url);
  const headers = {
    "content-type": "application/json",
    "x-fastn-access-key": process.env.FASTN_ACCESS_KEY,
    "x-fastn-account-tenant-id": CUSTOMER,
  };
  if (process.env.FASTN_ACCOUNT_ID) headers["x-fastn-account-id"] = process.env.FASTN_ACCOUNT_ID;
  let next = 0;
  const sender = async () => {
    while (next < events) {
      next += 1;
      const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(event(next)) });
      if (answer.status !== 202) throw new Error(`${answer.status}: ${await answer.text()}`);
      await answer.json();
    }
  };
  return told(events, await measured(() => Promise.all(Array.from({ length: CONCURRENCY }, sender))));
}

/** Milliseconds for which the thread of JavaScript has had a processor; where Linux does not tell, its process. */
function ownTime() {
  const told = `/proc/self/task/${process.pid}/schedstat`;
  if (existsSync(told)) return Number(readFileSync(told, "utf8").split(" ")[0]) / 1e6;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** What work costs that thread, the mean of many times. */
async function cost(work) {
  const TIMES = 300;
  for (let n = 0; n < 20; n += 1) await work();
  const before = ownTime();
  for (let n = 0; n < TIMES; n += 1) await work();
  return (ownTime() - before) / TIMES;
}

/** A page of 1,000 executions as a server in another thread answers it: milliseconds of this thread. */
async function decoding() {
  const worker = new Worker(fileURLToPath(import.meta.url));
  const { port, text } = await new Promise((resolve) => worker.once("message", resolve));
  const client = createFastnClient({ url: `http://127.0.0.1:${port}`, accessKey: "k", account: "a" });
  const parseMs = await cost(async () => JSON.parse(text));
  const pageMs = await cost(() => client.executions().page({ limit: 1000 }));
  await client.close();
  await worker.terminate();
  return { bytes: text.length, pageMs, parseMs };
}

/** The thread that answers pages. */
function answerPages() {
  const row = (n) => ({
    id: `exec_${String(n).padStart(26, "0")}`, customer: "cus_acme", workflow: "triage", version: 3, environment: "test", tier: "standard",
    status: "completed", triggeredBy: "webhook", trigger: "github", eventId: `evt_${String(n).padStart(26, "0")}`, attempt: 1,
    stepCount: 4, durationMs: 1234, createdAt: "2026-01-02T03:04:05.678Z", finishedAt: "2026-01-02T03:04:06.912Z",
  });
  const text = JSON.stringify({ items: Array.from({ length: 1000 }, (_, n) => row(n)), nextCursor: null });
  const server = createServer((_request, response) => response.setHeader("content-type", "application/json").end(text));
  server.listen(0, "127.0.0.1", () => parentPort.postMessage({ port: server.address().port, text }));
}

async function main() {
  const client = createFastnClient();
  await client.putCustomer({ id: CUSTOMER });
  await byBatcher(client, Math.min(EVENTS, 5_000));
  const batcher = await byBatcher(client, EVENTS);
  await byFetch(client, Math.min(REQUESTS, 500));
  const viaFetch = await byFetch(client, REQUESTS);
  const decode = await decoding();
  await client.close();
  console.log(JSON.stringify({ sdk: "node", batcher, fetch: viaFetch, decode }));
}

if (isMainThread) await main();
else answerPages();
