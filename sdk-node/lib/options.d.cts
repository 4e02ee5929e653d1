// Options of calls, and lists.
import type { Page } from "./generated/types.cjs";

/** Options of every call. */
export interface CallOptions {
  /** Aborting it ends the call, which rejects with the signal's reason. Whether the server took the request is then not known. */
  signal?: AbortSignal | undefined;
  /** Milliseconds that one attempt may take; the client's `timeout` when absent. */
  timeout?: number | undefined;
}

/** Options of calls that write. */
export interface WriteOptions extends CallOptions {
  /**
   * The same key again within a day is the same request, and is answered as the first was. Without one, each call has a key
   * by chance, which its attempts share.
   */
  idempotencyKey?: string | undefined;
}

/** Options of calls that change or delete an object. */
export interface ChangeOptions extends WriteOptions {
  /** Change only this `revision` of the object: a newer one makes the call fail with `ConflictError`. */
  ifMatch?: number | undefined;
}

/** Options of lists. */
export interface ListOptions extends CallOptions {
  /** Rows that are asked for at once, 1 to 1,000; the server's own number when absent. */
  limit?: number | undefined;
}

/**
 * A list that pages by itself. Nothing is asked for until a row or a page is.
 *
 * ```js
 * for await (const execution of client.executions({ status: "failed" })) console.log(execution.id);
 * const newest = await client.events().take(10);
 * ```
 */
export declare class Pager<Row> implements AsyncIterable<Row> {
  private constructor();
  /** Every row; pages are asked for as they are needed. */
  [Symbol.asyncIterator](): AsyncGenerator<Row, void, undefined>;
  /** At most so many rows, over as many pages as that takes. */
  take(rowsMax: number): Promise<Row[]>;
  /** One page: the first without a cursor, else the one after `nextCursor` of another. */
  page(where?: { cursor?: string | null | undefined; limit?: number | undefined }): Promise<Page<Row>>;
}
