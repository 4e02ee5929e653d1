// A server that answers as a test tells it, and remembers what it was asked.
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";

import { createFastnClient } from "@fastn/sdk";

/** `answer(request, response, body)`; without one every request is answered `{}`. `tls` holds a key and a certificate. */
export async function scripted(answer, tls) {
  const requests = [];
  const serve = (request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      const body = Buffer.concat(pieces).toString();
      requests.push({ method: request.method, url: request.url, headers: request.headers, body });
      if (answer) answer(request, response, body, requests.length);
      else json(response, {});
    });
  };
  const server = tls ? createTlsServer(tls, serve) : createServer(serve);
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  const url = `${tls ? "https" : "http"}://127.0.0.1:${server.address().port}`;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url, requests, server, close };
}

/** A server and a client of it, which end with the test. */
export async function together(test, answer, options = {}) {
  const server = await scripted(answer);
  const client = createFastnClient({ url: server.url, accessKey: "fsk_test_scripted", account: "acc_x", ...options });
  test.after(async () => {
    await client.close().catch(() => {});
    await server.close();
  });
  return { server, client };
}

/** An answer of JSON. */
export function json(response, value, status = 200, headers = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}

/** A problem document. */
export function problem(response, status, code, more = {}, headers = {}) {
  const told = { type: `/errors/${code}`, title: code, status, detail: `told ${code}`, code, ...more };
  json(response, told, status, { "content-type": "application/problem+json", ...headers });
}

/** Waits until `holds` gives something true, for a time that only broken code takes. */
export async function until(holds, what = "a condition", ms = 30_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const got = await holds();
    if (got) return got;
    if (Date.now() > deadline) throw new Error(`${what} did not come to hold`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
