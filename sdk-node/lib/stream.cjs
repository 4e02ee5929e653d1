"use strict";
// Answers that come in pieces. The connection opens with the first piece that is asked for, and closes when the reader leaves.

const { END } = require("./calls.cjs");

/** `Symbol.asyncDispose`, which older versions of Node do not have. */
const DISPOSE = Symbol.asyncDispose ?? Symbol.for("nodejs.asyncDispose");

/** See the types. Each piece holds any number of values. */
class Stream {
  #core;
  #values;
  #native;
  #pull = 0;
  #closed = false;

  /** `open` opens it in the native part; `values` makes values of a piece, and of the end. */
  constructor(core, open, values, signal) {
    this.#core = core;
    this.#values = this.#read(open, values, signal);
  }

  async *#read(open, values, signal) {
    try {
      while (!this.#closed) {
        const piece = await this.#core.run((id) => {
          if (!this.#native) {
            this.#native = open();
            this.#core.open.add(this);
          }
          this.#pull = id;
          this.#native.next(id);
        }, signal);
        if (this.#closed) return;
        yield* values(piece);
        if (piece === undefined) return;
      }
    } finally {
      this.#release();
    }
  }

  next() {
    return this.#values.next();
  }

  return(value) {
    this.#release();
    return this.#values.return(value);
  }

  throw(error) {
    this.#release();
    return this.#values.throw(error);
  }

  async close() {
    await this.return();
  }

  #release() {
    this.#closed = true;
    this.#core.open.delete(this);
    this.#native?.close();
    // A piece that is awaited does not come any more.
    this.#core.end(this.#pull, { how: END });
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  [DISPOSE]() {
    return this.close();
  }
}

module.exports = { DISPOSE, Stream };
