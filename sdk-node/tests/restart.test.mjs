// A real server that is killed and comes back, in the middle of what a client does. FASTN_BIN is its program.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { createFastnClient } from "@fastn/sdk";

import { until } from "./scripted.mjs";

const program = process.env.FASTN_BIN;
const skip = !program && "FASTN_BIN names no program";

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** A node with a directory of its own, which can be killed and started again at the same address. */
class Node {
  static async start(t) {
    const node = new Node();
    node.data = mkdtempSync(join(tmpdir(), "fastn-node-"));
    node.port = await freePort();
    node.url = `http://127.0.0.1:${node.port}`;
    await node.up();
    node.client = createFastnClient({ url: node.url, accessKey: readFileSync(join(node.data, "access.key"), "utf8").trim(), account: undefined });
    t.after(async () => {
      await node.client.close().catch(() => {});
      await node.kill();
      rmSync(node.data, { recursive: true, force: true });
    });
    return node;
  }

  async up() {
    const given = ["serve", "--data", this.data, "--listen", `127.0.0.1:${this.port}`, "--log-level", "error"];
    this.process = spawn(program, given, { stdio: "ignore" });
    this.ended = new Promise((resolve) => this.process.once("exit", resolve));
    await until(async () => (await fetch(`${this.url}/readyz`).catch(() => ({}))).ok, "the node's readiness", 120_000);
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }
}

/** A workflow that is deployed, and a customer to run it. */
async function workflow(client, id, source) {
  await client.putCustomer({ id: "cus_a" });
  await client.putWorkflow({ id });
  const { version } = await client.publish(id, { source });
  await client.deploy(id, "test", version);
  return client.customer("cus_a");
}

// Property: a follower that loses its server hears of what happens after it is back, or that it missed something; and every
// execution's end is known in the end.
test("a stream over a killed server", { skip }, async (t) => {
  const node = await Node.start(t);
  const customer = await workflow(node.client, "quick", "export default async function (ctx) { return ctx.input; }");
  const ended = new Set();
  let missed = 0;
  const updates = customer.follow();
  const reading = (async () => {
    for await (const update of updates) {
      if (update.type === "missed") missed += 1;
      else if (update.execution.status === "completed") ended.add(update.execution.id);
    }
  })();
  const run = async (n) => (await customer.run("quick", { n })).executionId;
  // A stream begins when it is open, so the first run that it tells of is waited for.
  await until(async () => {
    const id = await run(0);
    return until(() => ended.has(id), "an update", 2_000).catch(() => false);
  }, "the stream", 60_000);
  for (let round = 1; round <= 2; round += 1) {
    const before = await run(round);
    await node.kill();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await node.up();
    const after = await run(-round);
    await until(() => (ended.has(before) && ended.has(after)) || missed > 0, "the updates, or that they were missed", 60_000);
    for (const id of [before, after]) assert.equal((await customer.wait(id, { timeout: 60_000 })).status, "completed");
    // From here on nothing is missed.
    await until(async () => {
      const id = await run(round);
      return until(() => ended.has(id), "an update", 2_000).catch(() => false);
    }, "the stream's return", 60_000);
    missed = 0;
  }
  await updates.close();
  await reading;
});

// Property: of events that a batcher sends while the server is killed again and again, each is there once, or is told as failed.
test("a batch over a killed server", { skip }, async (t) => {
  const node = await Node.start(t);
  const customer = await workflow(node.client, "quick", "export default async function (ctx) { return ctx.input; }");
  const batcher = node.client.batcher({ eventsMax: 20, bufferBytesMax: 20_000 });
  const EVENTS = 1000;
  let queued = 0;
  const sending = (async () => {
    for (; queued < EVENTS; queued += 1) await batcher.send("cus_a", { id: `ev-${queued}`, type: "batched", data: { n: queued } });
    return batcher.close();
  })();
  for (const reached of [200, 600]) {
    await until(() => queued >= reached, "the events before the server is killed");
    await node.kill();
    await node.up();
  }
  const { sent, failed } = await sending;
  assert.deepEqual([sent, failed], [EVENTS, []]);
  const there = await until(async () => {
    const rows = await customer.events({ type: "batched", limit: 1000 }).take(2 * EVENTS);
    return rows.filter((row) => row.status !== "duplicate").length >= EVENTS && rows;
  }, "every event", 60_000);
  const admitted = there.filter((row) => row.status !== "duplicate").map((row) => row.id);
  assert.equal(new Set(admitted).size, EVENTS);
  assert.equal(admitted.length, EVENTS);
});

// Property: a wait outlives its server, and ends with the execution's end.
test("a wait over a killed server", { skip }, async (t) => {
  const node = await Node.start(t);
  const customer = await workflow(node.client, "slow", "export default async function (ctx) { await ctx.sleep('3s'); return ctx.input; }");
  const { executionId } = await customer.run("slow", { n: 7 });
  const waiting = customer.wait(executionId, { timeout: 120_000 });
  await node.kill();
  await new Promise((resolve) => setTimeout(resolve, 500));
  await node.up();
  const execution = await waiting;
  assert.deepEqual([execution.status, execution.output], ["completed", { n: 7 }]);
});
