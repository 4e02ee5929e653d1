// The test server in node:test, by plain HTTP.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { startTestServer, TestServerError } from "@fastn/sdk/testing";

const SOURCE = `export default async (ctx) => {
  await ctx.sleep("24h");
  return (await fetch("https://mail.example/send", { method: "POST", body: JSON.stringify(ctx.input) })).status;
};`;

async function ask(server, method, path, body) {
  const answer = await fetch(server.url + path, {
    method,
    headers: {
      "content-type": "application/json",
      "x-fastn-access-key": server.accessKey,
      "x-fastn-account-tenant-id": server.customer,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

const skip = !process.env.FASTN_BIN && "FASTN_BIN names no program";

describe("a server for several tests", { skip }, () => {
  let server;
  before(async () => {
    server = await startTestServer({ frozen: true, at: new Date("2026-03-29T00:00:00Z") });
  });
  beforeEach(() => server.reset());
  after(() => server.close());

  // Property: each test finds the server empty at its instant, and sees a day pass and the call that was made.
  for (const time of [1, 2]) {
    it(`passes a day in moments, time ${time}`, async () => {
      assert.deepEqual(await server.now(), new Date("2026-03-29T00:00:00Z"));
      await server.mock({ method: "POST", url: "https://mail.example/*", status: 202, delay: "2s" });
      await ask(server, "PUT", "/v1/workflows/reminder", { id: "reminder", tier: "long" });
      await ask(server, "POST", "/v1/workflows/reminder/versions", { source: SOURCE });
      const run = await ask(server, "POST", "/v1/workflows/reminder/run", { input: { to: "ada@example.com" } });
      const moved = await server.advance("25h");
      assert.equal(moved.executionsStarted, 1);
      assert.equal((await ask(server, "GET", `/v1/executions/${run.executionId}`)).output, 202);
      assert.deepEqual((await server.calls()).map((call) => call.body), [{ to: "ada@example.com" }]);
      await assert.rejects(server.advanceTo("2026-03-01T00:00:00Z"), /does not go back/);
    });
  }
});

describe("starting", { skip }, () => {
  // Property: what does not start says why.
  it("says why it did not", async () => {
    await assert.rejects(startTestServer({ project: "/nowhere/at/all" }), (error) => {
      assert.ok(error instanceof TestServerError);
      assert.match(error.message, /nowhere/);
      return true;
    });
    await assert.rejects(startTestServer({ binary: "/nowhere/fastn" }), /does not start/);
  });

  // Property: a program that forgets its server ends all the same, and the server with it.
  it("goes with its parent", async () => {
    const script = `import { startTestServer } from ${JSON.stringify(import.meta.resolve("@fastn/sdk/testing"))};
      const server = await startTestServer(); console.log(server.url);`;
    const forgot = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8", timeout: 30_000 });
    assert.equal(forgot.status, 0, forgot.stderr);
    const url = forgot.stdout.trim();
    for (let look = 0; look < 600; look += 1) {
      const there = await fetch(`${url}/healthz`).then(() => true, () => false);
      if (!there) return;
      await sleep(50);
    }
    assert.fail("the server is still there");
  });
});
