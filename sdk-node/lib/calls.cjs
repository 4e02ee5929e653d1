"use strict";
// Calls: from a method's arguments to the native part and back. Any number of them end in one wake-up.

const { BadAnswerError, failure, refused } = require("./errors.cjs");
const { Pager } = require("./pager.cjs");

/** What a client keeps apart from its methods: its core, and its view of the server in the native part. */
const OWN = Symbol("fastn");

// How a call ended, as the native part tells.
const TEXT = 0;
const FAILED = 1;
const END = 2;

/** What is done when a signal aborts. Each has one listener here: with one for each call, Node would warn of a leak. */
const aborts = new WeakMap();

/** Does something when the signal aborts, until the function that it answers is called. */
function onAbort(signal, abort) {
  let waiting = aborts.get(signal);
  if (!waiting) {
    const calls = new Set();
    const listener = () => calls.forEach((one) => one());
    waiting = { calls, listener };
    aborts.set(signal, waiting);
    signal.addEventListener("abort", listener, { once: true });
  }
  const { calls, listener } = waiting;
  calls.add(abort);
  return () => {
    if (!calls.delete(abort) || calls.size > 0) return;
    signal.removeEventListener("abort", listener);
    aborts.delete(signal);
  };
}

/** Clients of which something is awaited. */
const awaiting = new Set();

/** Calls under way, and how they end. */
class Core {
  #native;
  #calls = new Map();
  #next = 1;
  /** Streams and batchers that are open, and end with the client. */
  open = new Set();
  /** The promise of the client's end, once that has begun. */
  closing;
  closed = false;

  /** The native client is made with the function that it wakes this one by, which keeps no forgotten client. */
  constructor(make) {
    const own = new WeakRef(this);
    this.#native = make(() => own.deref()?.#drain());
  }

  get native() {
    return this.#native;
  }

  /** The number of a call that begins. */
  reserve() {
    do this.#next = (this.#next + 1) >>> 0;
    while (this.#calls.has(this.#next));
    return this.#next;
  }

  /** The end of a call, if that has not been told yet. */
  ended(id) {
    return new Promise((resolve) => this.#await(id, resolve));
  }

  #await(id, resolve) {
    if (this.#calls.size === 0) this.#hold(true);
    this.#calls.set(id, resolve);
  }

  /** Nobody waits for the native part any more: the call ends so. */
  end(id, answer) {
    const resolve = this.#calls.get(id);
    if (!resolve) return;
    this.#calls.delete(id);
    if (this.#calls.size === 0) this.#hold(false);
    resolve(answer);
  }

  /** While something is awaited, neither the process ends nor is this client forgotten. */
  #hold(awaited) {
    this.#native.hold(awaited);
    if (awaited) awaiting.add(this);
    else awaiting.delete(this);
  }

  /** Starts a call and waits for its end. An abort rejects with the signal's reason. */
  async run(start, signal) {
    if (this.closed) throw refused("make a request", "the client is closed");
    if (!signal) {
      const id = this.reserve();
      start(id);
      return read(await this.ended(id));
    }
    signal.throwIfAborted();
    const id = this.reserve();
    start(id);
    const heard = onAbort(signal, () => {
      this.#native.cancel(id);
      this.end(id, undefined);
    });
    const answer = await this.ended(id);
    heard();
    if (!answer) throw signal.reason;
    return read(answer);
  }

  #drain() {
    const told = this.#native.drain();
    for (let at = 1; at < told.length; at += 3) this.end(told[at], { how: told[at + 1], text: told[at + 2] });
    // What else this process does has a turn before the rest.
    if (told[0]) setImmediate(() => this.#drain());
  }

  /** Ends everything. */
  async close() {
    const last = this.reserve();
    const native = this.#native;
    for (const id of [...this.#calls.keys()]) this.end(id, { how: FAILED, text: CLOSED });
    native.close(last);
    await this.ended(last);
  }
}

const CLOSED = JSON.stringify({ name: "ConfigError", operation: "make a request", detail: "the client was closed" });

/** What an answer says. Errors are made here, where the stack still leads to the caller. */
function read({ how, text }) {
  if (how === TEXT) return parse(text);
  if (how === FAILED) throw failure(JSON.parse(text));
  return undefined;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const error = new BadAnswerError({ operation: "read an answer", detail: `it is no JSON: ${cause.message}` });
    error.cause = cause;
    throw error;
  }
}

const COMMON = ["signal", "timeout", "idempotencyKey", "ifMatch"];

/** Takes a call's options apart. What is not known is refused: a filter that is misspelt would let everything through. */
function options(given, query, more = []) {
  if (given === undefined || given === null) return {};
  if (typeof given !== "object") throw refused("read options", "options are an object");
  const asked = [];
  for (const [name, value] of Object.entries(given)) {
    if (query.includes(name)) {
      if (value !== undefined && value !== null) asked.push(name, value instanceof Date ? value.toISOString() : String(value));
    } else if (!COMMON.includes(name) && !more.includes(name)) {
      throw refused("read options", `there is no option "${name}"; there are ${[...query, ...more, ...COMMON].join(", ")}`);
    }
  }
  return { ...given, asked };
}

/** The parts of a path. What is no text and no number is empty, which the core refuses. */
function segments(path) {
  return path.map((part) => {
    if (typeof part === "string") return part;
    return typeof part === "number" && Number.isFinite(part) ? String(part) : "";
  });
}

/** A request for the native part. */
function request(method, path, { asked, idempotencyKey, ifMatch, timeout }) {
  if (timeout !== undefined && !(timeout >= 0)) throw refused("read options", "timeout is a number of milliseconds");
  if (idempotencyKey !== undefined && typeof idempotencyKey !== "string") {
    throw refused("read options", "idempotencyKey is text");
  }
  const headers = ifMatch === undefined ? undefined : ["if-match", String(ifMatch)];
  return { method, path: segments(path), query: asked, idempotencyKey, timeout: finite(timeout), headers };
}

/** A number of milliseconds that the native part can hold; a hundred years are without end. */
function finite(timeout) {
  return timeout === undefined ? undefined : Math.min(timeout, 3e12);
}

/** Makes a request and decodes its answer. */
async function call(client, method, path, query, body, given) {
  const { core, view } = client[OWN];
  const how = options(given, query);
  const asked = request(method, path, how);
  const text = body === undefined ? undefined : JSON.stringify(body);
  return core.run((id) => view.request(id, asked, text), how.signal);
}

/** A list. */
function list(client, path, query, given) {
  const { core, view } = client[OWN];
  const how = options(given, query, ["limit"]);
  const ask = (cursor, limit) => {
    const asked = [...(how.asked ?? [])];
    if (cursor) asked.push("cursor", cursor);
    if (limit) asked.push("limit", String(limit));
    const page = request("GET", path, { ...how, asked });
    return core.run((id) => view.request(id, page), how.signal);
  };
  return new Pager(ask, how.limit);
}

module.exports = { Core, END, OWN, call, finite, list, options, request };
