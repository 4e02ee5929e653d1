"use strict";
// Lists that page by themselves.

const { BadAnswerError } = require("./errors.cjs");

/** Rows that the server gives in one page at most. */
const PAGE_ROWS_MAX = 1000;

/** See the types. Nothing is asked for until a row or a page is. */
class Pager {
  #ask;
  #limit;

  constructor(ask, limit) {
    this.#ask = ask;
    this.#limit = limit;
  }

  async page({ cursor, limit } = {}) {
    const page = await this.#ask(cursor, limit ?? this.#limit);
    if (!Array.isArray(page?.items)) throw new BadAnswerError({ operation: "read a list", detail: "the answer is no page of a list" });
    return page;
  }

  async take(rowsMax) {
    const rows = [];
    let cursor;
    while (rows.length < rowsMax) {
      const limit = Math.min(rowsMax - rows.length, this.#limit ?? PAGE_ROWS_MAX);
      const page = await this.page({ cursor, limit });
      for (const row of page.items) rows.push(row);
      cursor = page.nextCursor;
      if (!cursor) break;
    }
    return rows;
  }

  async *[Symbol.asyncIterator]() {
    let cursor;
    do {
      const page = await this.page({ cursor });
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor);
  }
}

module.exports = { Pager };
