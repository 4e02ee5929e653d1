// Lists, filters, and what goes over the wire.
import assert from "node:assert/strict";
import { test } from "node:test";

import { json, together } from "./scripted.mjs";

const ROWS = 25;

function pages(request, response) {
  const asked = new URL(request.url, "http://x").searchParams;
  const from = Number(asked.get("cursor") ?? 0);
  const to = Math.min(from + Number(asked.get("limit") ?? 10), ROWS);
  const items = Array.from({ length: to - from }, (_, n) => ({ n: from + n }));
  json(response, { items, nextCursor: to < ROWS ? String(to) : null });
}

// Property: a list gives every row once, in order, however it is read, and asks for no more pages than it needs.
test("every row once", async (t) => {
  const { server, client } = await together(t, pages);
  const seen = [];
  for await (const row of client.executions()) seen.push(row.n);
  assert.deepEqual(seen, Array.from({ length: ROWS }, (_, n) => n));
  assert.equal(server.requests.length, 3);
  for await (const row of client.executions({ limit: 7 })) if (row.n === 8) break;
  assert.equal(server.requests.length, 5);
  assert.equal((await client.executions().take(12)).length, 12);
  assert.equal((await client.executions({ limit: 5 }).take(12)).length, 12);
  assert.equal((await client.executions().take(1000)).length, ROWS);
  const page = await client.executions().page({ cursor: "20", limit: 3 });
  assert.deepEqual(page, { items: [{ n: 20 }, { n: 21 }, { n: 22 }], nextCursor: "23" });
  const list = client.executions();
  for (const _ of [1, 2]) {
    const again = [];
    for await (const row of list) again.push(row);
    assert.equal(again.length, ROWS);
  }
});

// Property: filters go out by their names on the wire, times as RFC 3339, and absent ones not at all.
test("filters", async (t) => {
  const { server, client } = await together(t, pages);
  const since = new Date("2026-01-02T03:04:05.678Z");
  await client.executions({ status: "failed", eventId: "a&b c", since, until: undefined }).take(1);
  const asked = new URL(server.requests[0].url, "http://x");
  assert.equal(asked.pathname, "/v1/executions");
  assert.deepEqual(Object.fromEntries(asked.searchParams), { status: "failed", eventId: "a&b c", since: since.toISOString(), limit: "1" });
});

// Property: ids are encoded, bodies are JSON with times as RFC 3339, and the id of a PUT comes from its body.
test("what is sent", async (t) => {
  const { server, client } = await together(t);
  await client.execution("a/b c%");
  await client.putEnvConfig({ environment: "test", key: "k", value: { ä: "€😀" } });
  await client.deploy("w", "test", 3);
  await client.silenceAlertRule("r", "2h");
  await client.deleteSecret("s", { customer: "c" });
  await client.customer("c").send({ type: "t", time: new Date(0) });
  await client.customer("c").run("w", { n: 1 }, { environment: "live" });
  const told = server.requests.map(({ method, url, body }) => [method, url, body]);
  assert.deepEqual(told, [
    ["GET", "/v1/executions/a%2Fb%20c%25", ""],
    ["PUT", "/v1/env-configs/test/k", '{"environment":"test","key":"k","value":{"ä":"€😀"}}'],
    ["PUT", "/v1/workflows/w/deployments/test", '{"version":3}'],
    ["POST", "/v1/alert-rules/r/silence", '{"duration":"2h"}'],
    ["DELETE", "/v1/secrets/s?customer=c", ""],
    ["POST", "/v1/events", '{"type":"t","time":"1970-01-01T00:00:00.000Z"}'],
    ["POST", "/v1/workflows/w/run", '{"input":{"n":1},"environment":"live"}'],
  ]);
});

// Property: answers come as they were sent, whatever their text, and an empty one is nothing.
test("answers", async (t) => {
  const texts = { plain: "abc", latin: "äöü", wide: "€漢字😀", big: "x".repeat(3_000_000) };
  const { client } = await together(t, (request, response) => {
    const name = request.url.split("/").pop();
    if (name === "none") return response.writeHead(204).end();
    json(response, { text: texts[name] });
  });
  for (const [name, text] of Object.entries(texts)) assert.deepEqual(await client.execution(name), { text });
  assert.equal(await client.deleteWorkflow("none"), undefined);
});
