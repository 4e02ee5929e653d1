#!/usr/bin/env node
// Measures the client against the server that FASTN_URL, FASTN_ACCESS_KEY and FASTN_ACCOUNT_ID name, and prints one line of JSON:
// events of 1 KiB by the batcher, the same sends by `fetch` of Node (undici), one request each, and decoding a page of 1,000
// executions beside JSON.parse of the same text. Needs the package: `sdk-node/build.sh native` with the profile `sdk`.
//
//   BENCH_EVENTS      events by the batcher, 100,000
//   BENCH_REQUESTS    events by fetch, 10,000
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

/** A page of 1,000 executions as a server in another thread answers it: milliseconds of this thread, where nothing else disturbed it. */
async function decoding() {
  const worker = new Worker(fileURLToPath(import.meta.url));
  const { port, text } = await new Promise((resolve) => worker.once("message", resolve));
  const client = createFastnClient({ url: `http://127.0.0.1:${port}`, accessKey: "k", account: "a" });
  const [parsing, pages] = [[], []];
  for (let n = 0; n < 300; n += 1) {
    const start = performance.now();
    JSON.parse(text);
    parsing.push(performance.now() - start);
    const before = performance.eventLoopUtilization();
    await client.executions().page({ limit: 1000 });
    pages.push(performance.eventLoopUtilization(before).active);
  }
  await client.close();
  await worker.terminate();
  const undisturbed = (times) => times.sort((one, other) => one - other)[Math.floor(times.length / 50)];
  return { bytes: text.length, pageMs: undisturbed(pages), parseMs: undisturbed(parsing) };
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
