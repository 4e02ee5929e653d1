// What a process keeps, and how it ends.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { createFastnClient } from "@fastn/sdk";

import { json, scripted, together, until } from "./scripted.mjs";

/** Runs a script in a process of its own, whose `url` is the server's. */
function script(text, url) {
  const code = `import { createFastnClient } from "@fastn/sdk";
    const client = createFastnClient({ url: ${JSON.stringify(url)}, accessKey: "k", account: "a" });
    ${text}`;
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const output = { out: "", err: "" };
  child.stdout.on("data", (piece) => (output.out += piece));
  child.stderr.on("data", (piece) => (output.err += piece));
  const kill = setTimeout(() => child.kill("SIGKILL"), 30_000);
  return new Promise((resolve) => {
    child.on("close", (code, signal) => {
      clearTimeout(kill);
      resolve({ code, signal, ...output });
    });
  });
}

const taking = (request, response, body) => json(response, body ? { eventId: "e", eventIds: [] } : {}, 202);

// Property: a process ends by itself, whether its client was used, closed or neither, and not before a call that it awaits.
test("clean exit", async (t) => {
  const slow = (_request, response) => setTimeout(() => json(response, { id: "late" }), 300);
  const { server } = await together(t, slow);
  const cases = {
    "unused": "",
    "used": 'console.log((await client.execution("e")).id)',
    "not awaited": 'client.execution("e").then((execution) => console.log(execution.id))',
    "closed": 'await client.execution("e"); await client.close()',
    "left stream": "client.follow()",
    "batcher": "client.batcher()",
  };
  for (const [name, text] of Object.entries(cases)) {
    const ended = await script(text, server.url);
    assert.deepEqual([ended.code, ended.signal, ended.err], [0, null, ""], `${name}: ${JSON.stringify(ended)}`);
    assert.equal(ended.out, /console/.test(text) ? "late\n" : "", name);
  }
});

// Property: events that are queued when a process comes to its end are sent; where it is ended otherwise, or they fail, it says so.
test("events at the end of a process", async (t) => {
  const events = [];
  const { server } = await together(t, (request, response, body) => {
    const given = JSON.parse(body);
    if (given[0].type === "bad") return json(response, {}, 400);
    events.push(...given);
    json(response, { eventId: "e" }, 202);
  });
  const many = 'for (let n = 0; n < 100; n += 1) client.batcher({ waitMax: 60_000 }).send("a", { type: "t", data: n });';
  const ended = await script(many, server.url);
  assert.deepEqual([ended.code, ended.err], [0, ""]);
  assert.equal(events.length, 100);
  const left = await script(`${many} process.exit(3);`, server.url);
  assert.equal(left.code, 3);
  assert.match(left.err, /the process ends with 100 events that were not sent/);
  const thrown = await script(`${many} throw new Error("broken");`, server.url);
  assert.match(thrown.err, /100 events that were not sent/);
  const failed = await script('client.batcher().send("a", { type: "bad" });', server.url);
  assert.match(failed.err, /did not take 1 events/);
});

function resources() {
  const status = readFileSync("/proc/self/status", "utf8");
  return { threads: Number(/Threads:\s+(\d+)/.exec(status)[1]), files: readdirSync("/proc/self/fd").length };
}

// Property: a client that is closed leaves no thread and no file descriptor, whatever it was doing.
test("nothing is left after close", { skip: process.platform !== "linux" }, async (t) => {
  const server = await scripted((request, response) => {
    if (request.url.includes("stream")) response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    else if (!request.url.includes("never")) taking(request, response, "x");
  });
  t.after(() => server.close());
  const round = async () => {
    const client = createFastnClient({ url: server.url.replace("127.0.0.1", "localhost"), accessKey: "k", account: "a" });
    await Promise.all(Array.from({ length: 20 }, (_, n) => client.execution(`exec_${n}`)));
    const stream = client.follow();
    const reading = stream.next();
    const never = client.execution("never").catch((error) => error.name);
    client.batcher().send("a", { type: "t" });
    await until(() => server.requests.some((request) => request.url.includes("stream")), "the stream");
    await client.close();
    assert.equal(await never, "ConfigError");
    assert.equal((await reading).done, true);
    server.requests.length = 0;
  };
  await round();
  const ownConnections = () => new Promise((resolve) => server.server.getConnections((_error, count) => resolve(count)));
  await until(async () => (await ownConnections()) === 0, "the end of the connections");
  const before = resources();
  for (let n = 0; n < 10; n += 1) await round();
  await until(async () => {
    const now = resources();
    return (await ownConnections()) === 0 && now.threads <= before.threads && now.files <= before.files;
  }, `the resources of before: ${JSON.stringify([before, resources()])}`);
});

// Property: a client that was used and forgotten takes its threads with it, but not before its calls have ended.
test("forgotten clients", { skip: (process.platform !== "linux" && "it reads /proc") || (!globalThis.gc && "needs --expose-gc") }, async (t) => {
  const slow = (_request, response) => setTimeout(() => json(response, { id: "late" }), 200);
  const { server } = await together(t, slow);
  const use = () => createFastnClient({ url: server.url, accessKey: "k", account: "a" }).execution("e");
  await use();
  const before = resources();
  const calls = Array.from({ length: 20 }, use);
  globalThis.gc();
  assert.deepEqual(new Set((await Promise.all(calls)).map(({ id }) => id)), new Set(["late"]));
  await until(() => {
    globalThis.gc();
    return resources().threads <= before.threads;
  }, "the threads of before");
});

// Property: clients work in worker threads, also in one that is ended in the middle.
test("worker threads", async (t) => {
  const { server } = await together(t, (request, response) => request.url.includes("never") || json(response, { id: "e" }));
  const code = `
    const { parentPort } = require("node:worker_threads");
    const { createFastnClient } = require("@fastn/sdk");
    const client = createFastnClient({ url: ${JSON.stringify(server.url)}, accessKey: "k", account: "a" });
    client.execution("e").then(async ({ id }) => {
      parentPort.postMessage(id);
      if (process.argv[2] === "close") await client.close();
      if (process.argv[2] === "never") await client.execution("never");
    });`;
  for (const how of ["close", "leave", "never", "leave", "never"]) {
    const worker = new Worker(code, { eval: true, argv: [how] });
    const [said, code_] = await Promise.all([
      new Promise((resolve) => worker.once("message", resolve)).then(async (id) => {
        if (how === "never") await worker.terminate();
        return id;
      }),
      new Promise((resolve, reject) => worker.once("exit", resolve).once("error", reject)),
    ]);
    assert.equal(said, "e");
    assert.equal(code_, how === "never" ? 1 : 0);
  }
});
