/// <reference lib="esnext.disposable" />
// The package's types.
import type { CallOptions, WriteOptions } from "./options.cjs";
import type { FailedEvent } from "./errors.cjs";
import type { Accepted, EventInput, ExecutionUpdate, ExecutionView, RunAnswer } from "./generated/types.cjs";
import { Operations } from "./generated/operations.cjs";

export * from "./errors.cjs";
export * from "./options.cjs";
export * from "./generated/errors.cjs";
export * from "./generated/types.cjs";
export type * from "./generated/operations.cjs";

/** Settings of a client. What is absent comes from the environment, then from `.fastn/config.json` here or in a folder above. */
export interface ClientOptions {
  /** The server, e.g. `https://fastn.example.com`; `FASTN_URL`, else the one of `fastn dev` on this machine. */
  url?: string | undefined;
  /** The access key; `FASTN_ACCESS_KEY`. */
  accessKey?: string | undefined;
  /** The account; `FASTN_ACCOUNT_ID`. */
  account?: string | undefined;
  /** The customer that calls are for; `FASTN_TENANT_ID`. Lists and reads show this one only. */
  customer?: string | undefined;
  /** Milliseconds that one attempt may take; 75,000 when absent. */
  timeout?: number | undefined;
  /** Attempts of a call, the first included; 4 when absent. */
  attemptsMax?: number | undefined;
  /** A proxy, e.g. `http://proxy.example.com:3128`. Without one, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are heeded. */
  proxy?: string | undefined;
  /** Authorities to trust beside those that the machine trusts: PEM, or several. */
  caCertificates?: string | Uint8Array | ReadonlyArray<string | Uint8Array> | undefined;
}

/**
 * Makes a client of one server. It connects when it is used. Calls run in threads of its own; close it to end them. A client
 * that is not closed does not keep the process alive.
 *
 * ```js
 * const client = createFastnClient();
 * const { eventId } = await client.customer("cus_acme").send({ type: "user.signed_up", data: { email: "ada@example.com" } });
 * await client.close();
 * ```
 *
 * Throws {@link ConfigError} when there is no key or the URL is none.
 */
export declare function createFastnClient(options?: ClientOptions): FastnClient;

/** A client of one server, bound to an account. Make it with {@link createFastnClient}. */
export declare class FastnClient extends Operations implements AsyncDisposable {
  protected constructor(own: never);

  /** The server. */
  readonly url: string;

  /**
   * The same client, bound to one customer: what happens for a customer, such as an event that is sent, is asked of it.
   * @param id The customer; the configured one when absent.
   */
  customer(id?: string): CustomerClient;

  /** The same client, bound to the account as a whole, where a customer is configured. */
  account(): FastnClient;

  /**
   * Waits until an execution has ended. While the server is away it is asked again. Whether it succeeded is in its `status`.
   *
   * Rejects with {@link UnknownOutcomeError} when the time runs out: the execution goes on.
   * @param id `exec_…`
   */
  wait(id: string, options?: WaitOptions): Promise<ExecutionView>;

  /**
   * Live updates of executions, until the reader leaves. A broken connection is opened again where it was.
   *
   * ```js
   * for await (const update of client.follow({ workflow: "triage" })) {
   *   if (update.type === "execution") console.log(update.execution.id, update.execution.status);
   * }
   * ```
   */
  follow(options?: FollowOptions): Stream<Update>;

  /**
   * Everything of one customer, row by row as it comes. The last row has the type `end`; without it the answer broke off,
   * and the iterator throws.
   * @param id The customer's id.
   */
  exportCustomer(id: string, options?: CallOptions): Stream<ExportRow>;

  /**
   * Sends a body to a webhook trigger as its provider would.
   * @param trigger The trigger's id.
   * @param headers Those of the provider, among them its signature.
   * @param body Text or bytes are sent as they are, anything else as JSON.
   */
  sendWebhook(
    trigger: string,
    headers: Headers | Readonly<Record<string, string>>,
    body: unknown,
    options?: CallOptions,
  ): Promise<Accepted>;

  /** Sends events of any customer in the background, many in a request. */
  batcher(options?: BatchOptions): Batcher;

  /**
   * Ends the client: its batchers send what they have, then every call, thread and connection ends.
   *
   * Rejects with {@link EventsFailedError} when events of its batchers were not taken; it is closed then too.
   */
  close(): Promise<void>;

  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A client bound to one customer of the account: what it reads, writes and sends is this customer's. */
export declare class CustomerClient extends FastnClient {
  /** The customer's id. */
  readonly id: string;

  /**
   * Sends one event. It is durable when this resolves.
   *
   * ```js
   * await client.customer("cus_acme").send({ type: "order.created", data: { id: 7 } });
   * ```
   */
  send(event: EventInput, options?: WriteOptions): Promise<Accepted>;

  /** Sends events in one request, all or none. */
  sendMany(events: readonly EventInput[], options?: WriteOptions): Promise<Accepted>;

  /**
   * Runs a workflow. An Instant one answers with its `output`, and one that fails rejects with the `executionId` in the error.
   * Any other has only begun.
   * @param workflow The workflow's id.
   * @param input What it reads as `ctx.input`.
   */
  run(workflow: string, input?: unknown, options?: RunOptions): Promise<RunAnswer>;

  /**
   * Runs a workflow and waits for its end. Whether it succeeded is in the execution's `status`.
   *
   * ```js
   * const execution = await client.customer("cus_acme").runAndWait("triage", { issue: 7 });
   * console.log(execution.status, execution.output);
   * ```
   *
   * Rejects as {@link FastnClient.wait}; the execution's id is in the error.
   */
  runAndWait(workflow: string, input?: unknown, options?: RunOptions): Promise<ExecutionView>;
}

/** Options of `wait`. */
export interface WaitOptions {
  /** Aborting it ends the wait, which rejects with the signal's reason. The execution goes on. */
  signal?: AbortSignal | undefined;
  /** Milliseconds to wait at most; 300,000 when absent. */
  timeout?: number | undefined;
}

/** Options of `run` and `runAndWait`. */
export interface RunOptions extends WriteOptions {
  /** The environment whose deployment runs; the key's own when absent. */
  environment?: string | undefined;
}

/** Which executions to follow. */
export interface FollowOptions {
  /** Those of one workflow. */
  workflow?: string | undefined;
  /** One execution; the stream ends with it. */
  execution?: string | undefined;
  /** Aborting it ends the stream: the read that waits rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What a follower is told. */
export type Update =
  | {
      /** An execution changed. */
      type: "execution";
      /** Where it stands now. */
      execution: ExecutionUpdate;
    }
  | {
      /** Updates were missed: list executions once if you need them all. */
      type: "missed";
    };

/** One row of an export. */
export interface ExportRow {
  /** What the row is, e.g. `event`; `end` for the last one. */
  type: string;
  [field: string]: unknown;
}

/** Values that come in pieces. Leaving the loop closes the connection. */
export declare class Stream<Value> implements AsyncIterableIterator<Value>, AsyncDisposable {
  private constructor();
  /** The next value. */
  next(): Promise<IteratorResult<Value, undefined>>;
  /** Ends it; a read that waits ends too. */
  return(value?: undefined): Promise<IteratorResult<Value, undefined>>;
  /** Ends it with an error. */
  throw(error?: unknown): Promise<IteratorResult<Value, undefined>>;
  /** Ends it. */
  close(): Promise<void>;
  /** Itself. */
  [Symbol.asyncIterator](): this;
  /** Ends it, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** How events are gathered. */
export interface BatchOptions {
  /** Events in one request, at most 1,000; 500 when absent. */
  eventsMax?: number | undefined;
  /** Bytes of events in one request; 512 KiB when absent. */
  bytesMax?: number | undefined;
  /** Milliseconds that an event waits for others; 20 when absent. */
  waitMax?: number | undefined;
  /** Bytes of events that are not settled, at most: `send` waits beyond it. 16 MiB when absent. */
  bufferBytesMax?: number | undefined;
  /** Milliseconds for which a request that may still succeed is sent again before its events have failed; 300,000 when absent. */
  giveUpAfter?: number | undefined;
}

/** What became of events. */
export interface Flushed {
  /** How many the server has. */
  sent: number;
  /** Those that it has not. */
  failed: FailedEvent[];
}

/**
 * Sends events in the background, many in a request. Nothing is dropped silently: an event stays within the bound until the
 * server has it, or until its failure is taken with `flush` or `close`. What is queued is sent before the process ends by
 * itself; where it is ended otherwise, it says so on standard error.
 *
 * ```js
 * const batcher = client.batcher();
 * for (const order of orders) await batcher.send("cus_acme", { type: "order.created", data: order });
 * const { sent, failed } = await batcher.close();
 * ```
 */
export declare class Batcher implements AsyncDisposable {
  private constructor();
  /** Events that are queued, on their way, or have failed without anybody having taken that. */
  readonly unsettled: number;
  /**
   * Queues an event of a customer. Await what it returns: nothing where there is room, else a promise that waits for it. The
   * event is durable once `flush` says so. Events of one customer go out in their order.
   */
  send(customer: string, event: EventInput): Promise<void> | undefined;
  /** Waits until everything that was queued before is settled, and tells what became of it since the last time. */
  flush(): Promise<Flushed>;
  /** The last flush. */
  close(): Promise<Flushed>;
  /** Closes it, for `await using`; rejects with {@link EventsFailedError} when events were not taken. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Checks that a message, such as one of an alert, is from fastn (Standard Webhooks), and throws {@link WebhookVerificationError}
 * when it is not. Remember its header `webhook-id` to take each message once.
 * @param secrets The keys that are valid now, `whsec_…`: two while one takes the other's place.
 * @param headers Those of the request, e.g. of `node:http` or `fetch`.
 * @param body The body as it came, not decoded.
 */
export declare function verifyWebhook(
  secrets: string | readonly string[],
  headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>,
  body: string | Uint8Array,
  options?: VerifyOptions,
): true;

/** Options of `verifyWebhook`. */
export interface VerifyOptions {
  /** Milliseconds that the message's time may lie from now; 300,000 when absent. */
  tolerance?: number | undefined;
}
