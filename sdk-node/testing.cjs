// A fastn of your own for your tests: an embedded platform whose clock you move and whose calls to the outside you answer.
//
//   const server = await startTestServer({ frozen: true });
//   await server.mock({ method: "POST", url: "https://mail.example/send", status: 202 });
//   const client = server.client();
//   …
//   await server.advance("25h");
//   await server.close();
//
// It starts the program `fastn`: the one that FASTN_BIN names, else the one on the PATH. The program ends with this process,
// however this process ends, and does not keep it from ending.
"use strict";

const { spawn } = require("node:child_process");
const { createInterface } = require("node:readline");

/** How long a server may take to start. */
const START_MS_MAX = 30_000;
/** How long a move of the clock may take. */
const MOVE_MS_MAX = 60_000;
/** What an answer may take beyond what the server was told to wait. */
const ANSWER_MS = 30_000;
/** Characters of what a server says that are kept, in case that it does not start. */
const TOLD_CHARS_MAX = 64 * 1024;

class TestServerError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "TestServerError";
  }
}

class TestServer {
  #child;
  #ended;

  constructor(child, ended, ready) {
    this.#child = child;
    this.#ended = ended;
    this.url = ready.url;
    this.accessKey = ready.accessKey;
    this.account = ready.account;
    this.customer = ready.customer;
  }

  client(options = {}) {
    // Here and not above: whoever only moves time needs no client.
    const { createFastnClient } = require("@fastn/sdk");
    return createFastnClient({ url: this.url, accessKey: this.accessKey, account: this.account, ...options });
  }

  async now() {
    return new Date((await this.#ask("GET", "/test/clock")).now);
  }

  async advance(by, { timeoutMs = MOVE_MS_MAX } = {}) {
    const advance = typeof by === "number" ? `${Math.round(by)}ms` : by;
    return this.#ask("POST", `/test/clock?timeout=${Math.round(timeoutMs)}ms`, { advance }, timeoutMs + ANSWER_MS);
  }

  async advanceTo(to, { timeoutMs = MOVE_MS_MAX } = {}) {
    const instant = to instanceof Date ? to.toISOString() : to;
    return this.#ask("POST", `/test/clock?timeout=${Math.round(timeoutMs)}ms`, { to: instant }, timeoutMs + ANSWER_MS);
  }

  async settle({ timeoutMs = MOVE_MS_MAX } = {}) {
    return this.#ask("POST", `/test/settle?timeout=${Math.round(timeoutMs)}ms`, undefined, timeoutMs + ANSWER_MS);
  }

  async mock(mock) {
    await this.#ask("POST", "/test/mocks", mock);
  }

  async setMocks(mocks) {
    await this.#ask("PUT", "/test/mocks", mocks);
  }

  async calls() {
    return this.#ask("GET", "/test/calls");
  }

  async reset() {
    await this.#ask("POST", "/test/reset", undefined, START_MS_MAX);
  }

  async close() {
    this.#child.stdin.end();
    const late = setTimeout(() => this.#child.kill("SIGKILL"), ANSWER_MS);
    late.unref();
    this.#child.ref();
    await this.#ended;
    clearTimeout(late);
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }

  async #ask(method, path, body, timeoutMs = ANSWER_MS) {
    const answer = await fetch(this.url + path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await answer.text();
    if (answer.ok) return JSON.parse(text);
    let detail = text;
    try {
      detail = JSON.parse(text).detail;
    } catch {
      // Not of the server's own making: told as it is.
    }
    throw new TestServerError(`${method} ${path.split("?")[0]}: ${detail}`);
  }
}

async function startTestServer(options = {}) {
  const { project, at, frozen, allowNetwork, verbose, binary } = options;
  const program = binary ?? process.env.FASTN_BIN ?? "fastn";
  const args = ["test-server", "--with-stdin"];
  if (project !== undefined) args.push(String(project));
  if (at !== undefined) args.push("--at", at instanceof Date ? at.toISOString() : at);
  if (frozen) args.push("--frozen");
  if (allowNetwork) args.push("--allow-network");
  if (verbose) args.push("--verbose");
  const child = spawn(program, args, { stdio: ["pipe", "pipe", verbose ? "inherit" : "pipe"] });
  // Of a server that is gone.
  child.stdin.on("error", () => {});
  let told = "";
  child.stderr?.setEncoding("utf8").on("data", (text) => {
    told = (told + text).slice(-TOLD_CHARS_MAX);
  });
  const ended = new Promise((resolve) => {
    child.once("close", resolve);
    child.once("error", resolve);
  });
  const lines = createInterface({ input: child.stdout });
  const late = setTimeout(() => child.kill("SIGKILL"), START_MS_MAX);
  const line = await new Promise((resolve, reject) => {
    lines.once("line", resolve);
    child.once("error", (cause) => reject(new TestServerError(`${program} does not start: ${cause.message}`, { cause })));
    child.once("close", () => reject(new TestServerError(`the test server did not start: ${told.trim()}`)));
  }).finally(() => clearTimeout(late));
  // A test that forgets to close it ends all the same: then standard input is closed, and the server goes.
  for (const handle of [child, child.stdin, child.stdout, child.stderr]) handle?.unref?.();
  return new TestServer(child, ended, JSON.parse(line));
}

module.exports = { startTestServer, TestServer, TestServerError };
