// Errors as programs see them.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { inspect } from "node:util";

import * as sdk from "@fastn/sdk";

import { problem, together } from "./scripted.mjs";

const { ApiError, ConfigError, CustomerClient, FastnClient, FastnError, NotFoundError, ValidationError } = sdk;

// Property: the classes are the same ones for ESM and CommonJS, and each is below FastnError with its own name.
test("one copy of each class", () => {
  const common = createRequire(import.meta.url)("@fastn/sdk");
  for (const [name, value] of Object.entries(common)) {
    assert.equal(sdk[name], value, name);
    if (name.endsWith("Error")) assert.equal(value.prototype.name, name);
    if (name.endsWith("Error") && value !== FastnError) assert.ok(value.prototype instanceof FastnError, name);
  }
  assert.equal(sdk.default, common);
  assert.deepEqual(Object.keys(sdk).filter((name) => name !== "default" && name !== "module.exports").sort(), Object.keys(common).sort());
});

// Property: an error tells everything that the server told, and its stack leads to the line that called.
test("what an error tells", async (t) => {
  const more = { errors: [{ path: "id", message: "is no id" }], executionId: "exec_1" };
  const { client } = await together(t, (_request, response) => problem(response, 400, "VALIDATION_ERROR", more));
  async function theCaller() {
    return await client.putCustomer({ id: "x" });
  }
  const error = await theCaller().catch((caught) => caught);
  assert.ok(error instanceof ValidationError && error instanceof ApiError && error instanceof FastnError && error instanceof Error);
  assert.equal(error.name, "ValidationError");
  assert.equal(error.code, "VALIDATION_ERROR");
  assert.equal(error.status, 400);
  assert.equal(error.executionId, "exec_1");
  assert.equal(error.operation, "PUT /v1/customers/x");
  assert.equal(error.message, "PUT /v1/customers/x: told VALIDATION_ERROR");
  assert.deepEqual(error.fields, more.errors);
  assert.equal(error.details.title, "VALIDATION_ERROR");
  assert.match(error.stack, /theCaller .*errors\.test\.mjs/);
});

// Property: the stack leads to the caller through a list too.
test("stacks of lists", async (t) => {
  const { client } = await together(t, (_request, response) => problem(response, 404, "NOT_FOUND"));
  async function theReader() {
    for await (const row of client.executions()) assert.fail(row);
  }
  const error = await theReader().catch((caught) => caught);
  assert.ok(error instanceof NotFoundError);
  assert.match(error.stack, /theReader .*errors\.test\.mjs/);
});

// Property: neither the client nor its errors show the key when they are printed.
test("nothing secret is printed", async (t) => {
  const { client } = await together(t, (_request, response) => problem(response, 404, "NOT_FOUND"));
  const error = await client.execution("e").catch((caught) => caught);
  for (const shown of [client, client.customer("c"), error, client.batcher(), client.executions(), client.follow()]) {
    const text = inspect(shown, { depth: 10, showHidden: true }) + JSON.stringify(shown);
    assert.doesNotMatch(text, /fsk_test_scripted/);
  }
  assert.match(inspect(client), /FastnClient { url: 'http/);
});

// Property: what is asked for wrongly is refused before anything is sent, with what would be right.
test("mistakes", async (t) => {
  const { server, client } = await together(t);
  assert.throws(() => sdk.createFastnClient({ ulr: "x" }), { name: "ConfigError", message: /there is no option "ulr"/ });
  assert.throws(() => sdk.createFastnClient({ url: "no url", accessKey: "k" }), ConfigError);
  assert.throws(() => sdk.createFastnClient({ url: 7, accessKey: "k" }), ConfigError);
  assert.throws(() => client.executions({ statsu: "failed" }), /there is no option "statsu"; there are status/);
  assert.throws(() => client.customer(""), ConfigError);
  assert.throws(() => client.customer(), /no customer is configured/);
  assert.throws(() => new FastnClient(), ConfigError);
  await assert.rejects(client.execution(), /is an id missing/);
  await assert.rejects(client.execution(".."), ConfigError);
  await assert.rejects(client.putCustomer({}), ConfigError);
  await assert.rejects(client.putCustomer(undefined), ConfigError);
  await assert.rejects(client.execution("e", { timeout: "1" + "s" }), ConfigError);
  await assert.rejects(client.customer("c").sendMany({}), ConfigError);
  assert.ok(client.customer("c") instanceof CustomerClient);
  assert.equal(client.customer("c").id, "c");
  assert.equal(server.requests.length, 0);
});

// Property: settings come from arguments, then from the environment of JavaScript, and the customer with them.
test("configuration", async (t) => {
  const { server } = await together(t);
  Object.assign(process.env, { FASTN_URL: server.url, FASTN_ACCESS_KEY: "fsk_env", FASTN_ACCOUNT_ID: "acc_env", FASTN_TENANT_ID: "cus_env" });
  const client = sdk.createFastnClient({ account: "acc_given" });
  await client.customer().send({ type: "t" });
  await client.account().execution("e");
  await client.execution("e");
  for (const name of ["URL", "ACCESS_KEY", "ACCOUNT_ID", "TENANT_ID"]) delete process.env[`FASTN_${name}`];
  await client.close();
  const [sent, account, own] = server.requests.map((request) => request.headers);
  assert.equal(sent["x-fastn-access-key"], "fsk_env");
  assert.equal(sent["x-fastn-account-id"], "acc_given");
  assert.equal(sent["x-fastn-account-tenant-id"], "cus_env");
  assert.equal(account["x-fastn-account-tenant-id"], undefined);
  assert.equal(own["x-fastn-account-tenant-id"], "cus_env");
  assert.match(sent["user-agent"], /^fastn-sdk-node\/\d/);
});
