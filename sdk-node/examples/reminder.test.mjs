// A test of a workflow of one's own: a platform for it alone, whose clock is moved and whose outside is answered. Run it with
// `node --test`; FASTN_BIN names the program `fastn` where it is not on the PATH.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { startTestServer } from "@fastn/sdk/testing";

const source = `export default async function (ctx) {
  await ctx.sleep("24h");
  const answer = await fetch("https://mail.example/send", { method: "POST", body: JSON.stringify(ctx.input) });
  return { sent: answer.ok };
}`;

let server;
before(async () => {
  server = await startTestServer({ frozen: true });
});
beforeEach(() => server.reset());
after(() => server?.close());

test("a day after it is asked for, the reminder is sent", async () => {
  await server.mock({ method: "POST", url: "https://mail.example/send", status: 202 });
  const client = server.client();
  await client.putWorkflow({ id: "reminder", tier: "long" });
  await client.publish("reminder", { source });
  const customer = client.customer(server.customer);
  const { executionId } = await customer.run("reminder", { to: "ada@example.com" });

  await server.advance("23h");
  assert.deepEqual(await server.calls(), []);
  await server.advance("2h");
  assert.deepEqual((await server.calls()).map((call) => call.body), [{ to: "ada@example.com" }]);
  assert.deepEqual((await client.execution(executionId)).output, { sent: true });
  await client.close();
});
