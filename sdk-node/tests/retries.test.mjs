// Attempts, and what becomes of servers that answer badly.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createFastnClient, BadAnswerError, ConfigError, RateLimitedError, ServiceUnavailableError, UnknownOutcomeError, UnreachableError, WrongRegionError } from "@fastn/sdk";

import { json, problem, scripted, together } from "./scripted.mjs";

// Property: a refused request is sent again under the same idempotency key, not before the server's Retry-After.
test("Retry-After is heeded and the key is kept", async (t) => {
  let refused;
  const { server, client } = await together(t, (_request, response, _body, n) => {
    if (n === 1) {
      refused = Date.now();
      return problem(response, 503, "SERVICE_UNAVAILABLE", {}, { "retry-after": "1" });
    }
    json(response, { eventId: "evt_1", waited: Date.now() - refused });
  });
  const accepted = await client.customer("c").send({ type: "t" });
  assert.ok(accepted.waited >= 1000, `${accepted.waited} ms`);
  assert.equal(server.requests.length, 2);
  const [first, second] = server.requests.map((request) => request.headers["idempotency-key"]);
  assert.ok(first);
  assert.equal(first, second);
  assert.equal(server.requests[0].headers["x-fastn-account-tenant-id"], "c");
});

// Property: each call has a key of its own unless it is given one.
test("idempotency keys", async (t) => {
  const { server, client } = await together(t);
  await client.putCustomer({ id: "a" });
  await client.putCustomer({ id: "a" });
  await client.putCustomer({ id: "a" }, { idempotencyKey: "mine", ifMatch: 3 });
  const keys = server.requests.map((request) => request.headers["idempotency-key"]);
  assert.notEqual(keys[0], keys[1]);
  assert.equal(keys[2], "mine");
  assert.equal(server.requests[2].headers["if-match"], "3");
});

// Property: in a storm of 429 every call of many comes through, and none is lost or doubled.
test("429 storms", async (t) => {
  const seen = new Map();
  const { client } = await together(t, (request, response) => {
    const attempts = (seen.get(request.url) ?? 0) + 1;
    seen.set(request.url, attempts);
    if (attempts < 3) return problem(response, 429, "RATE_LIMITED", {}, { "retry-after": "0" });
    json(response, { id: request.url });
  });
  const got = await Promise.all(Array.from({ length: 200 }, (_, n) => client.execution(`exec_${n}`)));
  assert.deepEqual(got.map((one) => one.id), Array.from({ length: 200 }, (_, n) => `/v1/executions/exec_${n}`));
});

// Property: when the attempts are used up, the error says for how long to wait, in milliseconds.
test("an error tells how long to wait", async (t) => {
  const told = (_request, response) => problem(response, 429, "RATE_LIMITED", { retryAfter: 7 }, { "x-request-id": "req_1" });
  const { client } = await together(t, told, { attemptsMax: 1 });
  const error = await client.execution("e").catch((caught) => caught);
  assert.ok(error instanceof RateLimitedError);
  assert.equal(error.retryAfter, 7000);
  assert.equal(error.requestId, "req_1");
  assert.equal(error.status, 429);
  assert.ok(error.transient && error.notDone);
});

// Property: a webhook that is sent in its provider's place has no idempotency key and is not repeated when its outcome is unknown.
test("what may not be repeated is not", async (t) => {
  const { server, client } = await together(t, (request) => request.socket.destroy());
  await assert.rejects(client.sendWebhook("t", { "x-signature": "s" }, Buffer.from('{"a": 1}')), UnknownOutcomeError);
  assert.equal(server.requests.length, 1);
  assert.equal(server.requests[0].headers["idempotency-key"], undefined);
  assert.equal(server.requests[0].headers["x-signature"], "s");
  assert.equal(server.requests[0].body, '{"a": 1}');
});

// Property: a slow answer ends at the time limit, of the client or of the call.
test("slow answers", async (t) => {
  const { client } = await together(t, () => {}, { timeout: 60_000, attemptsMax: 1 });
  await assert.rejects(client.execution("e", { timeout: 50 }), UnknownOutcomeError);
});

// Property: an answer that breaks off is asked for again, and is an unknown outcome in the end.
test("truncated answers", async (t) => {
  const { server, client } = await together(t, (_request, response, _body, n) => {
    if (n > 2) return json(response, { id: "whole" });
    response.writeHead(200, { "content-length": "1000" });
    response.write('{"id": "ha');
    setTimeout(() => response.destroy(), 10);
  });
  assert.deepEqual(await client.execution("e"), { id: "whole" });
  assert.equal(server.requests.length, 3);
});

// Property: what is no JSON, and what is no UTF-8, is a bad answer; it says of which operation.
test("malformed answers", async (t) => {
  const bodies = ['{"id": ', "<html>", Buffer.from([0x22, 0xff, 0xfe, 0x22])];
  const { client } = await together(t, (_request, response, _body, n) => response.end(bodies[n - 1]));
  for (const _ of bodies) await assert.rejects(client.execution("e"), BadAnswerError);
});

// Property: an error whose body is no problem document still has its status.
test("errors without a document", async (t) => {
  const { client } = await together(t, (_request, response) => response.writeHead(503).end("<h1>no</h1>"), { attemptsMax: 1 });
  const error = await client.execution("e").catch((caught) => caught);
  assert.equal(error.name, "ApiError");
  assert.equal(error.status, 503);
});

// Property: a customer's calls follow to the cell that a 421 names, at once from then on, and never from TLS to plain text.
test("421 leads to the customer's cell", async (t) => {
  const home = await scripted((_request, response) => json(response, { at: "home" }));
  t.after(() => home.close());
  const wrong = (_request, response) => problem(response, 421, "WRONG_REGION", { baseUrl: home.url });
  const { server, client } = await together(t, wrong, { attemptsMax: 1 });
  const customer = client.customer("c");
  assert.deepEqual(await customer.execution("e"), { at: "home" });
  assert.deepEqual(await customer.execution("e"), { at: "home" });
  assert.equal(server.requests.length, 1);
  assert.equal(home.requests.length, 2);
  const nowhere = await together(t, (_request, response) => problem(response, 421, "WRONG_REGION"), { attemptsMax: 1 });
  await assert.rejects(nowhere.client.execution("e"), WrongRegionError);
});

// Property: the error codes of the server become classes; one that this client does not know is an ApiError with its code.
test("codes", async (t) => {
  const { client } = await together(t, (request, response) => problem(response, 503, request.url.split("/").pop()), { attemptsMax: 1 });
  await assert.rejects(client.execution("SERVICE_UNAVAILABLE"), ServiceUnavailableError);
  const error = await client.execution("OF_TOMORROW").catch((caught) => caught);
  assert.equal(error.name, "ApiError");
  assert.equal(error.code, "OF_TOMORROW");
});

// Property: a server that is not there is told as unreachable.
test("nobody listens", async () => {
  const gone = await scripted();
  await gone.close();
  const client = createFastnClient({ url: gone.url, accessKey: "k", account: "a", attemptsMax: 2 });
  await assert.rejects(client.health(), UnreachableError);
  await client.close();
  await assert.rejects(client.health(), ConfigError);
});
