"use strict";
// Lists that page by themselves.

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

  page({ cursor, limit } = {}) {
    return this.#ask(cursor, limit ?? this.#limit);
  }

  async take(rowsMax) {
    const rows = [];
    let cursor;
    while (rows.length < rowsMax) {
      const page = await this.#ask(cursor, Math.min(rowsMax - rows.length, this.#limit ?? PAGE_ROWS_MAX));
      for (const row of page.items) rows.push(row);
      cursor = page.nextCursor;
      if (!cursor) break;
    }
    return rows;
  }

  async *[Symbol.asyncIterator]() {
    let cursor;
    do {
      const page = await this.#ask(cursor, this.#limit);
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor);
  }
}

module.exports = { Pager };
