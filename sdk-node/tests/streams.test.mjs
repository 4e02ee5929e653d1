// Live updates, exports, and calls that are given up.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NotFoundError, UnknownOutcomeError } from "@fastn/sdk";

import { json, problem, together, until } from "./scripted.mjs";

function update(id, status, n) {
  return `id: ${n}\nevent: execution\ndata: ${JSON.stringify({ id, status, customer: "c", attempt: 1, at: "2026-01-01T00:00:00Z" })}\n\n`;
}

// Property: a stream that breaks off is opened again after what was told last, nothing is told twice, and what was missed is said.
test("follow resumes", async (t) => {
  const { server, client } = await together(t, (_request, response, _body, n) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (n === 1) {
      response.write(update("e", "queued", 1) + update("e", "running", 2));
      setTimeout(() => response.destroy(), 20);
    } else response.write(`event: reset\ndata: {}\n\n${update("e", "completed", 3)}`);
  });
  const told = [];
  for await (const one of client.customer("c").follow({ execution: "e" })) told.push(one.execution?.status ?? one.type);
  assert.deepEqual(told, ["queued", "running", "missed", "completed"]);
  assert.deepEqual(server.requests.map((request) => request.headers["last-event-id"]), [undefined, "2"]);
  assert.equal(server.requests[0].url, "/v1/executions/stream?execution=e");
});

// Property: leaving the loop closes the connection, as close and an abort do while an update is awaited.
test("leaving closes the connection", async (t) => {
  let open = 0;
  const { client } = await together(t, (request, response) => {
    open += 1;
    request.socket.once("close", () => (open -= 1));
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(update("e", "queued", 1));
  });
  for await (const _ of client.follow()) break;
  await until(() => open === 0, "the connection of a loop that was left");
  const closed = client.follow();
  await closed.next();
  const waiting = closed.next();
  await closed.close();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  assert.deepEqual(await closed.next(), { done: true, value: undefined });
  await until(() => open === 0, "the connection of a stream that was closed");
  const giving = new AbortController();
  const aborted = client.follow({ signal: giving.signal });
  await aborted.next();
  setTimeout(() => giving.abort(new Error("enough")), 10);
  await assert.rejects(aborted.next(), /enough/);
  await until(() => open === 0, "the connection of a stream that was aborted");
  assert.deepEqual(await client.follow().return(), { done: true, value: undefined });
});

// Property: a stream that cannot open tells why.
test("follow fails", async (t) => {
  const { client } = await together(t, (_request, response) => problem(response, 404, "NOT_FOUND"));
  await assert.rejects(client.follow({ execution: "none" }).next(), NotFoundError);
});

// Property: an export gives every row as it comes, wherever its pieces are cut, and one that breaks off is no whole one.
test("exports", async (t) => {
  const rows = [...Array.from({ length: 1000 }, (_, n) => ({ type: "event", n, text: "ä€😀" })), { type: "end" }];
  const text = Buffer.from(`${rows.map((row) => JSON.stringify(row)).join("\n")}\n`);
  const { client } = await together(t, async (request, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const whole = request.url.includes("whole") ? text : text.subarray(0, text.length - 16);
    for (let at = 0; at < whole.length; at += 997) {
      if (!response.write(whole.subarray(at, at + 997))) await new Promise((resolve) => response.once("drain", resolve));
    }
    response.end();
  });
  const got = [];
  for await (const row of client.exportCustomer("whole")) got.push(row);
  assert.deepEqual(got, rows);
  await assert.rejects(async () => {
    for await (const _ of client.exportCustomer("half"));
  }, UnknownOutcomeError);
});

// Property: a call that is aborted rejects with the reason, ends its request, and nothing of it is left; one that was aborted
// before is not made.
test("abort", async (t) => {
  let gone = 0;
  const { server, client } = await together(t, (request) => request.socket.once("close", () => (gone += 1)));
  const giving = new AbortController();
  const calls = Array.from({ length: 20 }, () => client.execution("e", { signal: giving.signal }));
  await until(() => server.requests.length === 20, "the requests");
  giving.abort(new Error("no more"));
  for (const call of calls) await assert.rejects(call, /no more/);
  await until(() => gone === 20, "the ends of the requests");
  await assert.rejects(client.execution("e", { signal: giving.signal }), /no more/);
  await assert.rejects(client.wait("e", { signal: AbortSignal.timeout(20) }), { name: "TimeoutError" });
  await assert.rejects(client.customer("c").runAndWait("w", {}, { signal: AbortSignal.timeout(20) }), { name: "TimeoutError" });
});

// Property: wait ends with the execution's end, through a server that is away for a while; else with its time, and says which
// execution goes on.
test("wait", async (t) => {
  let looks = 0;
  const { client } = await together(t, (request, response) => {
    if (request.url.includes("stream")) return problem(response, 503, "SERVICE_UNAVAILABLE", {}, { "retry-after": "0" });
    if (request.url.includes("never")) return json(response, { id: "never", status: "running" });
    looks += 1;
    if (looks === 1) return request.socket.destroy();
    json(response, { id: "e", status: looks < 3 ? "running" : "completed", output: { n: 1 } });
  }, { attemptsMax: 2 });
  assert.deepEqual(await client.wait("e"), { id: "e", status: "completed", output: { n: 1 } });
  const error = await client.wait("never", { timeout: 100 }).catch((caught) => caught);
  assert.ok(error instanceof UnknownOutcomeError);
  assert.equal(error.executionId, "never");
});
