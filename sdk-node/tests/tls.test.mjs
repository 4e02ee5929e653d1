// Proxies, and authorities of one's own.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { ConfigError, UnreachableError, createFastnClient } from "@fastn/sdk";

import { scripted } from "./scripted.mjs";

/** A certificate for this machine by an authority that nobody knows. */
function certificate(t) {
  const folder = mkdtempSync(join(tmpdir(), "fastn-tls-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const run = (...given) => execFileSync("openssl", given, { cwd: folder, stdio: "pipe" });
  run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
    "-subj", "/CN=tests", "-days", "2", "-addext", "basicConstraints=critical,CA:TRUE");
  run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=localhost");
  execFileSync("sh", ["-c", 'printf "subjectAltName=IP:127.0.0.1,DNS:localhost\\nbasicConstraints=CA:FALSE" > own.ext'], { cwd: folder });
  run("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "own.pem", "-days", "2", "-extfile", "own.ext");
  const read = (name) => readFileSync(join(folder, name));
  return { authority: read("ca.pem"), key: read("own.key"), cert: read("own.pem") };
}

// Property: a server with a certificate of an own authority is trusted by who names that, and by nobody else.
test("authorities", async (t) => {
  const { authority, key, cert } = certificate(t);
  const server = await scripted(undefined, { key, cert });
  const settings = { url: server.url, accessKey: "k", account: "a", attemptsMax: 1 };
  const trusting = createFastnClient({ ...settings, caCertificates: authority });
  const listing = createFastnClient({ ...settings, caCertificates: [authority.toString(), authority] });
  const doubting = createFastnClient(settings);
  t.after(async () => {
    for (const client of [trusting, listing, doubting]) await client.close();
    await server.close();
  });
  assert.deepEqual(await trusting.execution("e"), {});
  assert.deepEqual(await listing.execution("e"), {});
  await assert.rejects(doubting.execution("e"), UnreachableError);
  assert.throws(() => createFastnClient({ ...settings, caCertificates: "no PEM" }), ConfigError);
});

// Property: with a proxy every request goes through it, its password is in no error, and TLS is a tunnel.
test("proxies", async (t) => {
  const { authority, key, cert } = certificate(t);
  const [plain, secure] = [await scripted(), await scripted(undefined, { key, cert })];
  const seen = [];
  const proxy = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers["proxy-authorization"]}`);
    response.end("{}");
  });
  proxy.on("connect", (request, socket, head) => {
    seen.push(`CONNECT ${request.url} ${request.headers["proxy-authorization"]}`);
    const [host, port] = request.url.split(":");
    const through = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      through.write(head);
      socket.pipe(through).pipe(socket);
    });
    for (const end of [socket, through]) end.on("error", () => {});
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const settings = { accessKey: "k", account: "a", attemptsMax: 1, proxy: `http://me:hidden@127.0.0.1:${proxy.address().port}` };
  const clients = [plain, secure].map(({ url }) => createFastnClient({ ...settings, url, caCertificates: authority }));
  t.after(async () => {
    for (const client of clients) await client.close();
    proxy.closeAllConnections();
    proxy.close();
    await plain.close();
    await secure.close();
  });
  for (const client of clients) assert.deepEqual(await client.execution("e"), {});
  const basic = `Basic ${Buffer.from("me:hidden").toString("base64")}`;
  assert.deepEqual(seen, [`GET ${plain.url}/v1/executions/e ${basic}`, `CONNECT ${secure.url.slice("https://".length)} ${basic}`]);
  assert.equal(plain.requests.length, 0);
  assert.throws(() => createFastnClient({ ...settings, proxy: "http://me:hidden@" }), (error) => !error.message.includes("hidden"));
});
