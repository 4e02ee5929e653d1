"use strict";
// Events in the background. What is queued is sent before the process ends by itself; when it is ended otherwise, it says so.

const { writeSync } = require("node:fs");

const { EventsFailedError, failure, refused } = require("./errors.cjs");
const { DISPOSE } = require("./stream.cjs");

/** Batchers with events that may be unsettled when the process ends. */
const watched = new Set();

function warn(text) {
  try {
    writeSync(2, `fastn: ${text}\n`);
  } catch {
    // There is nobody to tell.
  }
}

async function beforeExit() {
  for (const batcher of [...watched].filter((one) => one.unsettled > 0)) {
    try {
      const { failed } = await batcher.flush();
      if (failed.length) warn(new EventsFailedError(failed).message);
    } catch (error) {
      warn(error.message);
    }
  }
}

function exit() {
  let events = 0;
  for (const batcher of watched) events += batcher.unsettled;
  if (events) warn(`the process ends with ${events} events that were not sent; await flush() or close() of the batcher before`);
}

function watch(batcher) {
  if (watched.size === 0) process.on("beforeExit", beforeExit).on("exit", exit);
  watched.add(batcher);
}

function unwatch(batcher) {
  if (watched.delete(batcher) && watched.size === 0) process.off("beforeExit", beforeExit).off("exit", exit);
}

/** See the types. */
class Batcher {
  #core;
  #native;
  #closing;

  constructor(core, native) {
    this.#core = core;
    this.#native = native;
    core.open.add(this);
    watch(this);
  }

  get unsettled() {
    return this.#native.unsettled();
  }

  send(customer, event) {
    if (typeof customer !== "string" || customer === "") {
      return Promise.reject(refused("queue an event", "the customer is missing"));
    }
    const text = JSON.stringify(event);
    if (text === undefined) return Promise.reject(refused("queue an event", "the event is missing"));
    const id = this.#core.reserve();
    if (this.#native.send(id, customer, text)) return undefined;
    return this.#waits(id);
  }

  async #waits(id) {
    const { text } = await this.#core.ended(id);
    if (text) throw failure(JSON.parse(text));
  }

  async flush() {
    const { sent, failed } = await this.#core.run((id) => this.#native.flush(id));
    return { sent, failed: failed.map(({ customer, event, error }) => ({ customer, event, error: failure(error) })) };
  }

  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    try {
      return await this.flush();
    } finally {
      this.#native.close();
      this.#core.open.delete(this);
      unwatch(this);
    }
  }

  async [DISPOSE]() {
    const { failed } = await this.close();
    if (failed.length) throw new EventsFailedError(failed);
  }
}

module.exports = { Batcher };
