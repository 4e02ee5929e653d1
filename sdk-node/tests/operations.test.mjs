// Every operation of the API has its method.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { CustomerClient, createFastnClient } from "@fastn/sdk";

import { together } from "./scripted.mjs";

const root = process.env.FASTN_TREE;
const document = JSON.parse(readFileSync(join(root, "docs/openapi.json"), "utf8"));
const names = JSON.parse(readFileSync(join(root, "sdk-rust/operations.json"), "utf8"));

/** Pages for people and machines that need no client, and the ends that senders of other companies speak to. */
const NOT_OURS = ["reference", "errorPage", "openapi", "metrics", "receiveAppEvents", "health"];

/** Arguments of the operations that take none of their names from the path. */
const ARGUMENTS = {
  receiveWebhook: ["trigger", {}, "{}"],
  deployVersion: ["id", "environment", 1],
  silenceAlertRule: ["id", "1h"],
  runWorkflow: ["id", {}],
  sendEvents: [{ type: "t" }],
  followExecutions: [{}],
};

// Property: no operation of the document lacks a method, and each method asks for the path and with the verb of its operation.
test("every operation has its method", async (t) => {
  const { server, client } = await together(t, undefined, { attemptsMax: 1 });
  const customer = client.customer("c");
  const missing = [];
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [verb, operation] of Object.entries(item)) {
      const id = operation.operationId;
      if (!id || NOT_OURS.includes(id)) continue;
      const method = names[id]?.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
      if (typeof customer[method] !== "function") {
        missing.push(id);
        continue;
      }
      const parts = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => (name === "version" ? 1 : name));
      const body = Object.fromEntries(parts.map((part) => [part, part]));
      const given = ARGUMENTS[id] ?? (customer[method].length === 2 && verb === "put" ? [body] : [...parts, {}]);
      const wanted = [verb.toUpperCase(), path.replace("{version}", "1").replaceAll(/[{}]/g, "")];
      server.requests.length = 0;
      const called = customer[method](...given);
      if (typeof called.take === "function") await called.take(1).catch(() => {});
      else if (typeof called.next === "function") await Promise.race([called.next(), asked(server)]).catch(() => {});
      else await called;
      if (typeof called.return === "function") await called.return();
      const told = server.requests.map((request) => [request.method, request.url.split("?")[0]]);
      assert.ok(told.some((one) => one.join() === wanted.join()), `${id}: ${JSON.stringify(told)} instead of ${wanted}`);
    }
  }
  assert.deepEqual(missing, []);
});

async function asked(server) {
  while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

// Property: what needs a customer is on a client of one alone.
test("a customer cannot be forgotten", async () => {
  const client = createFastnClient({ url: "http://127.0.0.1:1", accessKey: "k", account: "a" });
  for (const name of ["send", "sendMany", "run", "runAndWait"]) {
    assert.equal(client[name], undefined, name);
    assert.equal(typeof CustomerClient.prototype[name], "function", name);
  }
  await client.close();
});
