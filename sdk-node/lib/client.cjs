"use strict";
// The client, and the client of one customer: what is more than one request, beside the generated operations.

const { inspect } = require("node:util");

const native = require("./native.cjs");
const { version } = require("../package.json");
const { Batcher } = require("./batcher.cjs");
const { Core, OWN, finite, options, request } = require("./calls.cjs");
const { EventsFailedError, UnknownOutcomeError, failure, refused } = require("./errors.cjs");
const { Operations } = require("./generated/operations.cjs");
const { DISPOSE, Stream } = require("./stream.cjs");

/** How long `wait` waits when it is not told. */
const WAIT_MS_DEFAULT = 300_000;

const SETTINGS = ["url", "accessKey", "account", "customer", "timeout", "attemptsMax", "proxy", "caCertificates"];
const GATHERING = ["eventsMax", "bytesMax", "waitMax", "bufferBytesMax", "giveUpAfter"];

/** A view of the native part, or the error that it tells. */
function made(answer) {
  if (typeof answer === "string") throw failure(JSON.parse(answer));
  return answer;
}

/** What the native part makes of settings; those of a wrong type it refuses in words of its own. */
function converted(what, make) {
  try {
    return make();
  } catch (cause) {
    const error = refused(what, cause.message);
    error.cause = cause;
    throw error;
  }
}

function known(given, names, what) {
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown) throw refused(what, `there is no option "${unknown}"; there are ${names.join(", ")}`);
}

/** See the types. */
function createFastnClient(given = {}) {
  known(given, SETTINGS, "configure the client");
  // Not left to the native part: workers and test runners have an environment of their own.
  const pick = (value, name) => value ?? (process.env[name] || undefined);
  // Told here: the native part would tell what it was given, which may be a key in the wrong wrapping.
  for (const name of ["url", "accessKey", "account", "customer", "proxy"]) {
    const value = given[name];
    const isUrl = value instanceof URL && (name === "url" || name === "proxy");
    if (value !== undefined && value !== null && typeof value !== "string" && !isUrl) {
      throw refused("configure the client", `the option "${name}" is no text`);
    }
  }
  const certificates = given.caCertificates === undefined ? undefined : [given.caCertificates].flat().map(String).join("\n");
  const settings = {
    url: pick(given.url && String(given.url), "FASTN_URL"),
    accessKey: pick(given.accessKey, "FASTN_ACCESS_KEY"),
    account: pick(given.account, "FASTN_ACCOUNT_ID"),
    customer: pick(given.customer, "FASTN_TENANT_ID"),
    timeout: finite(given.timeout),
    attemptsMax: given.attemptsMax,
    proxy: given.proxy && String(given.proxy),
    caCertificates: certificates,
    agent: `fastn-sdk-node/${version}`,
  };
  const core = new Core((wake) => made(converted("configure the client", () => native.open(settings, wake))));
  return new FastnClient({ core, view: core.native.view() });
}

class FastnClient extends Operations {
  constructor(own) {
    super();
    if (!own?.core) throw refused("make a client", "use createFastnClient");
    Object.defineProperty(this, OWN, { value: own });
  }

  get url() {
    return this[OWN].core.native.url();
  }

  customer(id) {
    const { core } = this[OWN];
    if (id !== undefined && (typeof id !== "string" || id === "")) {
      throw refused("act for a customer", "the customer's id is missing");
    }
    return new CustomerClient({ core, view: made(core.native.customer(id)) });
  }

  account() {
    const { core } = this[OWN];
    return new FastnClient({ core, view: core.native.account() });
  }

  async wait(id, given) {
    const { core, view } = this[OWN];
    const { timeout = WAIT_MS_DEFAULT, signal } = options(given, []);
    return core.run((call) => view.wait(call, typeof id === "string" ? id : "", finite(timeout)), signal);
  }

  follow(given = {}) {
    const { core, view } = this[OWN];
    known(given, ["workflow", "execution", "signal"], "follow executions");
    const open = () => view.follow(given.workflow, given.execution);
    return new Stream(core, open, updates, given.signal);
  }

  exportCustomer(id, given) {
    const { core, view } = this[OWN];
    const how = options(given, []);
    const asked = request("GET", ["v1", "customers", id, "export"], how);
    return new Stream(core, () => view.rows(asked), whole(), how.signal);
  }

  async sendWebhook(trigger, headers, body, given) {
    const { core, view } = this[OWN];
    const how = options(given, []);
    const asked = request("POST", ["v1", "webhooks", trigger], how);
    const list = headers instanceof Headers ? [...headers] : Object.entries(headers ?? {});
    asked.headers = list.flat().map(String);
    // Providers send no idempotency key, and their own id must stay the event's.
    asked.once = true;
    const sent = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    return core.run((call) => view.request(call, asked, sent), how.signal);
  }

  batcher(given = {}) {
    const { core, view } = this[OWN];
    known(given, GATHERING, "make a batcher");
    const batcher = core.closing ? null : converted("make a batcher", () => view.batcher(given));
    if (!batcher) throw refused("make a batcher", "the client is closed");
    return new Batcher(core, batcher);
  }

  close() {
    const own = this[OWN];
    own.core.closing ??= close(own.core);
    return own.core.closing;
  }

  [DISPOSE]() {
    return this.close();
  }

  /** Nothing secret, and no more than helps. */
  [inspect.custom](_depth, { stylize }) {
    return `${stylize(this.constructor.name, "special")} { url: ${stylize(`'${this.url}'`, "string")} }`;
  }
}

class CustomerClient extends FastnClient {
  get id() {
    return this[OWN].view.id();
  }

  async send(event, given) {
    const { core, view } = this[OWN];
    const how = options(given, []);
    const asked = request("POST", ["v1", "events"], how);
    return core.run((call) => view.request(call, asked, JSON.stringify(event)), how.signal);
  }

  async sendMany(events, given) {
    if (!Array.isArray(events)) throw refused("send events", "events are an array");
    return this.send(events, given);
  }

  async run(workflow, input, given) {
    const { core, view } = this[OWN];
    const how = options(given, [], ["environment"]);
    const { asked, body } = running(workflow, input, how);
    return core.run((call) => view.request(call, asked, body), how.signal);
  }

  async runAndWait(workflow, input, given) {
    const { core, view } = this[OWN];
    const { timeout = WAIT_MS_DEFAULT, ...how } = options(given, [], ["environment"]);
    const { asked, body } = running(workflow, input, how);
    return core.run((call) => view.runAndWait(call, asked, body, finite(timeout)), how.signal);
  }
}

function running(workflow, input, how) {
  const asked = request("POST", ["v1", "workflows", workflow, "run"], how);
  return { asked, body: JSON.stringify({ input, environment: how.environment }) };
}

function updates(piece) {
  if (piece === undefined) return [];
  return [piece === null ? { type: "missed" } : { type: "execution", execution: piece }];
}

/** The rows of an export, which is whole when its last one says so. */
function whole() {
  let last;
  return (rows) => {
    if (rows === undefined && last?.type !== "end") {
      throw new UnknownOutcomeError({ operation: "export a customer", detail: "the answer broke off before its end" });
    }
    last = rows?.at(-1);
    return rows ?? [];
  };
}

async function close(core) {
  const failed = [];
  // Batchers send what they have; only then does nothing begin any more.
  for (const one of [...core.open]) {
    const flushed = await one.close();
    if (flushed) failed.push(...flushed.failed);
  }
  core.closed = true;
  await core.close();
  if (failed.length) throw new EventsFailedError(failed);
}

module.exports = { CustomerClient, FastnClient, createFastnClient };
