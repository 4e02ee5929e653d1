// Events in the background.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ConfigError, EventsFailedError, ValidationError, createFastnClient } from "@fastn/sdk";

import { json, problem, scripted, together } from "./scripted.mjs";

/** Takes events; refuses a request with one of the type `bad`. */
function taking(taken) {
  return (request, response, body) => {
    const events = JSON.parse(body);
    if (events.some((event) => event.type === "bad")) return problem(response, 400, "VALIDATION_ERROR");
    const customer = request.headers["x-fastn-account-tenant-id"];
    taken[customer] = [...(taken[customer] ?? []), ...events];
    json(response, { eventId: events[0].id, eventIds: events.map((event) => event.id) }, 202);
  };
}

// Property: every event arrives once, each customer's in their order, many in a request, and each has an id.
test("every event arrives", async (t) => {
  const taken = {};
  const { server, client } = await together(t, taking(taken));
  const batcher = client.batcher({ bytesMax: 100_000 });
  for (let n = 0; n < 5000; n += 1) await batcher.send(n % 3 ? "a" : "b", { type: "t", data: { n, text: "€😀" } });
  assert.ok(batcher.unsettled > 0);
  assert.deepEqual(await batcher.flush(), { sent: 5000, failed: [] });
  assert.equal(batcher.unsettled, 0);
  assert.deepEqual(taken.a.map((event) => event.data.n), Array.from({ length: 5000 }, (_, n) => n).filter((n) => n % 3));
  assert.deepEqual(taken.b.map((event) => event.data.n), Array.from({ length: 5000 }, (_, n) => n).filter((n) => n % 3 === 0));
  assert.equal(new Set([...taken.a, ...taken.b].map((event) => event.id)).size, 5000);
  assert.ok(server.requests.length < 100, `${server.requests.length} requests`);
  assert.deepEqual(await batcher.close(), { sent: 0, failed: [] });
});

// Property: what the server refuses comes back with its customer, its event and its error; the rest arrives.
test("failed events come back", async (t) => {
  const taken = {};
  const { client } = await together(t, taking(taken));
  const batcher = client.batcher();
  for (const type of ["t", "bad", "t"]) await batcher.send("a", { id: `own-${type}`, type, data: null, priority: 7 });
  const { sent, failed } = await batcher.close();
  assert.equal(sent, 2);
  assert.equal(failed.length, 1);
  assert.equal(failed[0].customer, "a");
  assert.deepEqual(failed[0].event, { id: "own-bad", type: "bad", data: null, priority: 7 });
  assert.ok(failed[0].error instanceof ValidationError);
  await assert.rejects(batcher.send("a", { type: "t" }), ConfigError);
  const left = client.batcher();
  left.send("a", { type: "bad" });
  await assert.rejects(left[Symbol.asyncDispose](), (error) => error instanceof EventsFailedError && error.failed.length === 1);
});

// Property: send waits where there is no room and no longer, order stays, and who does not wait is refused in the end rather than
// the memory filled.
test("the bound holds", async (t) => {
  const taken = {};
  let open;
  const gate = new Promise((resolve) => (open = resolve));
  const take = taking(taken);
  const { client } = await together(t, async (...all) => {
    await gate;
    take(...all);
  });
  const batcher = client.batcher({ bufferBytesMax: 10_000, eventsMax: 5 });
  const waits = [];
  const refusals = [];
  let n = 0;
  for (; n < 200; n += 1) {
    const room = batcher.send("a", { type: "t", data: { n, text: "x".repeat(200) } });
    if (room) waits.push(room.catch((error) => refusals.push(error)));
  }
  assert.ok(waits.length > 100, `${waits.length} wait`);
  open();
  await Promise.all(waits);
  const { sent, failed } = await batcher.flush();
  assert.deepEqual(failed, []);
  assert.equal(sent + refusals.length, 200);
  assert.ok(refusals.length > 50 && refusals.every((error) => error instanceof ConfigError), `${refusals.length} refused`);
  const order = taken.a.map((event) => event.data.n);
  assert.deepEqual(order, [...order].sort((one, other) => one - other));
  const again = [];
  for (n = 0; n < 200; n += 1) {
    await batcher.send("b", { type: "t", data: { n, text: "x".repeat(200) } });
    again.push(n);
  }
  await batcher.close();
  assert.deepEqual(taken.b.map((event) => event.data.n), again);
});

// Property: mistakes are told at once and cost nothing else.
test("mistakes", async (t) => {
  const { client } = await together(t, taking({}));
  const batcher = client.batcher();
  await assert.rejects(batcher.send(undefined, { type: "t" }), ConfigError);
  await assert.rejects(batcher.send("a", undefined), ConfigError);
  await assert.rejects(batcher.send("a", { data: 1 }), ConfigError);
  assert.throws(() => client.batcher({ eventMax: 1 }), ConfigError);
  assert.deepEqual(await batcher.close(), { sent: 0, failed: [] });
  assert.equal(await batcher.close(), await batcher.close());
});

// Property: a client that is closed sends what its batchers have, and says what failed.
test("closing the client", async (t) => {
  const taken = {};
  const server = await scripted(taking(taken));
  t.after(() => server.close());
  const client = createFastnClient({ url: server.url, accessKey: "k", account: "a" });
  client.batcher().send("a", { type: "t" });
  client.batcher().send("b", { type: "bad" });
  await assert.rejects(client.close(), EventsFailedError);
  assert.equal(taken.a.length, 1);
  assert.throws(() => client.batcher(), ConfigError);
});
