/**
 * A fastn of your own for your tests: an embedded platform whose clock you move and whose calls to the outside you answer.
 *
 * ```js
 * import { startTestServer } from "@fastn/sdk/testing";
 *
 * const server = await startTestServer({ frozen: true });
 * await server.mock({ method: "POST", url: "https://mail.example/send", status: 202 });
 * await server.advance("25h");
 * await server.close();
 * ```
 */
import type { FastnClient, ClientOptions } from "@fastn/sdk";

/** How a test server is started. */
export interface TestServerOptions {
  /** A project's folder to fill it with, as `fastn dev` does. */
  project?: string | URL;
  /** Where its clock starts; now when absent. */
  at?: Date | string;
  /** Whether the clock stands still but for when it is moved. Else it runs on with real time. */
  frozen?: boolean;
  /** Whether calls go out that no mock answers. */
  allowNetwork?: boolean;
  /** Whether it writes log lines to standard error. */
  verbose?: boolean;
  /** The program `fastn`: `FASTN_BIN` when absent, else the one on the `PATH`. */
  binary?: string;
}

/** An answer of the outside. */
export interface Mock {
  /** The method; any when absent. */
  method?: string;
  /** The URL. `*` stands for anything but a slash, `**` for anything; a query counts only where the pattern has one. */
  url: string;
  /** The status: 200 when absent. */
  status?: number;
  /** Headers of the answer. */
  headers?: Record<string, string>;
  /** The body: a text as it is, anything else as JSON, `{ base64: "…" }` as bytes. */
  body?: unknown;
  /** How often it answers; for ever when absent. */
  times?: number;
  /** How long it takes on the test's clock, e.g. `"30s"`. */
  delay?: string;
  /** No answer but this failure of the network, e.g. `"ECONNREFUSED"`. */
  fails?: string;
}

/** A call to the outside that was made. */
export interface Call {
  /** When, on the test's clock. */
  at: string;
  /** Who made it. */
  by: "workflow" | "poll" | "app" | "alert";
  method: string;
  url: string;
  /** Names in lower case; credentials are left out. */
  headers: Record<string, string>;
  /** JSON where it is JSON, else a text, else `{ base64: "…" }`; null when there is none. */
  body: unknown;
  customer?: string;
  workflow?: string;
  execution?: string;
  /** The step in which it was made; absent outside of any. */
  step?: string;
  /** `nothing` for a call that failed because no mock answers it. */
  answered: "mock" | "network" | "nothing";
  status?: number;
}

/** Where the clock is, and what happened since it was moved or waited for before. */
export interface Moved {
  now: string;
  executionsStarted: number;
  /** Instants at which the clock stopped because something was due. */
  stops: number;
}

/** How long to wait at most. */
export interface Patience {
  /** Milliseconds of real time; a minute when absent. */
  timeoutMs?: number;
}

/** The test server did not start, or did not do what it was asked for. */
export declare class TestServerError extends Error {}

/** A running test server. */
export declare class TestServer {
  private constructor();
  /** Where it listens. */
  readonly url: string;
  /** A key of the account. */
  readonly accessKey: string;
  /** The account. */
  readonly account: string;
  /** The first customer of the project, or one that was made. */
  readonly customer: string;
  /** A client of the account. */
  client(options?: ClientOptions): FastnClient;
  /** The time that the platform goes by. */
  now(): Promise<Date>;
  /**
   * Moves the clock by a duration, `"25h"` or milliseconds, through all that becomes due on the way, and waits until nothing
   * goes on any more.
   */
  advance(by: string | number, patience?: Patience): Promise<Moved>;
  /** Moves the clock to an instant like that. */
  advanceTo(to: Date | string, patience?: Patience): Promise<Moved>;
  /** Waits until nothing goes on: every execution has ended, or waits for time or for somebody. */
  settle(patience?: Patience): Promise<Moved>;
  /** Answers calls to the outside, after the mocks that are there. */
  mock(mock: Mock): Promise<void>;
  /** Answers calls with these instead of all that were there. */
  setMocks(mocks: Mock[]): Promise<void>;
  /** The calls to the outside that were made, in order. */
  calls(): Promise<Call[]>;
  /** Makes it empty again, as it was when it had started. Address, key and account stay. */
  reset(): Promise<void>;
  /** Ends it and waits until it has gone. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a test server and waits until it is ready. */
export declare function startTestServer(options?: TestServerOptions): Promise<TestServer>;
