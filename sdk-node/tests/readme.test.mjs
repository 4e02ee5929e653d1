// What people read first works as it stands.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const project = fileURLToPath(new URL("..", import.meta.url));
const source = join(process.env.FASTN_TREE, "sdk-node");
const skip = !process.env.FASTN_URL && "FASTN_URL names no server";
const run = (file) => execFileSync(process.execPath, [file], { cwd: project, encoding: "utf8", timeout: 60_000 });

// Property: the README's first example runs word for word, and prints what it says.
test("the first example", { skip }, () => {
  const [, code] = /```js\n(.*?)```/s.exec(readFileSync(join(source, "README.md"), "utf8"));
  writeFileSync(join(project, "first.mjs"), code);
  assert.equal(run("first.mjs"), `${/console\.log\(.*\/\/ (.*)/.exec(code)[1]}\n`);
});

// Property: the examples run.
test("examples", { skip }, () => {
  const told = run("examples/quickstart.mjs");
  assert.match(told, /completed \{ text: 'Welcome, Ada' \}/);
  assert.match(told, /GET \/v1\/workflows\/farewell/);
  assert.match(told, /sent: 1000, failed: \[\]/);
  assert.match(run("examples/quickstart.cjs"), /^sent \S+\n$/);
});

// Property: the receiver of the examples takes a message that is signed, once, and no other.
test("the example of a receiver", async (t) => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const env = { ...process.env, ALERT_SECRET: secret, PORT: "0" };
  const child = spawn(process.execPath, ["examples/webhook.mjs"], { cwd: project, env, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  let told = "";
  child.stdout.setEncoding("utf8");
  const port = await new Promise((resolve, reject) => {
    child.once("exit", reject);
    child.stdout.on("data", (piece) => {
      told += piece;
      const listening = /listening on (\d+)/.exec(told);
      if (listening) resolve(listening[1]);
    });
  });
  const body = '{"text":"down"}';
  const seconds = String(Math.floor(Date.now() / 1000));
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`m1.${seconds}.${body}`).digest("base64");
  const headers = { "webhook-id": "m1", "webhook-timestamp": seconds, "webhook-signature": `v1,${signature}` };
  const post = async (text) => (await fetch(`http://127.0.0.1:${port}/`, { method: "POST", headers, body: text })).status;
  assert.deepEqual([await post(body), await post(body), await post("{}")], [204, 204, 401]);
  assert.equal(told.match(/message \{ text: 'down' \}/g).length, 1);
});
