// The API of a fastn workflow. Written by fastn; changes here are overwritten.
//
// A workflow is one TypeScript file:
//
//     export default async function (ctx: WorkflowContext<{ orderId: string }>) {
//       const order = await ctx.step("load", async () => (await fetch(`https://api.example.com/orders/${ctx.input.orderId}`)).json());
//       await ctx.sleep("5m");
//       return { total: order.total };
//     }
//
// It runs in a sandbox without network, disk, timers or imports of its own. Everything that reaches outside is one of the
// durable calls below: its result is kept, so that after a restart the workflow goes on where it was. Code between those
// calls may run again, and always gives the same: `Date.now()` moves only with results, `Math.random()` comes from a seed.
//
// tsconfig.json: { "compilerOptions": { "strict": true, "target": "es2022", "lib": ["es2022"], "types": [], "noEmit": true } }

/** Milliseconds, `"90s"`, `"1h 30m"`, an ISO 8601 duration such as `"PT5M"`, or the instant when it ends. */
type Duration = number | Date | DurationText;
type DurationUnit = "ms" | "s" | "sec" | "m" | "min" | "h" | "d" | "w";
type DurationText =
  | `${number}${DurationUnit}`
  | `${number}${DurationUnit} ${number}${DurationUnit}`
  | `P${string}`;

/** What a workflow is called with. `I` is the type of its input. */
interface WorkflowContext<I = any> {
  /** The webhook's body, the schedule's or event's payload, or the `input` of the API call. */
  readonly input: I;
  /** Headers of the request that caused this execution, names in lower case, credentials taken out. */
  readonly headers: Readonly<Record<string, string>>;
  readonly execution: ExecutionInfo;
  readonly customer: CustomerInfo;
  /** The event that caused this execution. */
  readonly event: EventInfo;

  /**
   * Runs `fn` under a name. Durable calls inside belong to the step. With `retry`, a step that throws is run again after a
   * pause; its calls keep their `Idempotency-Key` over all attempts. Faults of the code (TypeError, ReferenceError,
   * SyntaxError, RangeError) and NonRetryableError are never tried again.
   */
  step<T>(name: string, fn: () => T | PromiseLike<T>, options?: StepOptions): Promise<Awaited<T>>;

  /** Waits; costs nothing while it does. */
  sleep(duration: Duration): Promise<void>;

  /** Waits for an event of this customer that fits `filter`; gives `null` when the time is over. */
  waitForEvent<T = any>(filter: string | EventFilter, options?: { timeout?: Duration }): Promise<ReceivedEvent<T> | null>;

  /** Sends an event, which may start other workflows of this customer. */
  emit(event: NewEvent): Promise<{ id: string }>;

  /** Asks a person and waits for the decision. */
  approval(request: ApprovalRequest): Promise<ApprovalDecision>;
}

interface ExecutionInfo {
  readonly id: string;
  /** From 1; a retry of the whole execution counts on. */
  readonly attempt: number;
  /** The workflow's slug. */
  readonly workflow: string;
  readonly version: number;
  readonly environment: string;
  readonly tier: "instant" | "standard" | "long";
  /** ISO 8601. */
  readonly startedAt: string;
}

interface CustomerInfo {
  readonly id: string;
  readonly account: string;
}

interface EventInfo {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  /** ISO 8601. */
  readonly time: string;
}

interface StepOptions {
  /** `true` for the defaults. */
  retry?: boolean | RetryPolicy;
  /** For one attempt; then it fails with a StepTimeoutError. */
  timeout?: Duration;
}

interface RetryPolicy {
  /** The first attempt included. Default 3. */
  maxAttempts?: number;
  /** Before the second attempt. Default `"5s"`. */
  initialInterval?: Duration;
  /** By what the pause grows from attempt to attempt. Default 2. */
  backoffCoefficient?: number;
  /** The longest pause. Default `"60s"`. */
  maxInterval?: Duration;
}

interface EventFilter {
  type?: string;
  source?: string;
  [field: string]: unknown;
}

interface ReceivedEvent<T = any> {
  id: string;
  type: string;
  source: string;
  time: string;
  data: T;
}

interface NewEvent {
  type: string;
  data?: unknown;
  /** Two events with the same id are one. Default: made from the execution and the call. */
  id?: string;
  source?: string;
  subject?: string;
  [attribute: string]: unknown;
}

interface ApprovalRequest {
  title: string;
  description?: string;
  /** Anything that helps to decide. */
  data?: unknown;
  timeout?: Duration;
  [field: string]: unknown;
}

interface ApprovalDecision {
  approved: boolean;
  /** Nobody decided in time. */
  timedOut?: boolean;
  by?: string;
  comment?: string;
  [field: string]: unknown;
}

/** Whose state an entry is: `ORG` (the default) belongs to the workflow and the customer, across executions; `INVOCATION` to this execution. */
type StateScope = "ORG" | "INVOCATION";

/** Connectors by slug, their actions by name. Declare your own in a file of the project to have them checked. */
interface FastnConnectors {
  [slug: string]: { [action: string]: (args?: any) => Promise<any> };
}

interface Fastn {
  readonly flow: {
    /** Runs another workflow and gives its output. At most 5 deep. */
    invoke<T = any>(workflow: string, input?: unknown): Promise<T>;
    /** Starts another workflow and does not wait for it. */
    invokeAsync(workflow: string, input?: unknown): Promise<{ executionId: string }>;
  };
  readonly state: {
    get<T = any>(key: string, options?: { scope?: StateScope }): Promise<T | null>;
    set(key: string, value: unknown, options?: { scope?: StateScope; ttl?: Duration }): Promise<void>;
    delete(key: string, options?: { scope?: StateScope }): Promise<void>;
  };
  readonly secrets: {
    /** A secret of the customer or the account; `null` if there is none. Its value is taken out of logs, errors and step records. */
    get(name: string): Promise<string | null>;
  };
  readonly envConfig: {
    /** A value of the environment that the workflow runs in; `null` if there is none. */
    get<T = any>(key: string): Promise<T | null>;
  };
  readonly connector: FastnConnectors;
  readonly log: {
    debug(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
  };
}

declare const fastn: Fastn;

/** The same as `fastn.log`. */
declare const console: {
  log(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
  trace(...values: unknown[]): void;
};

// Errors

/** Fails in a way that may pass: steps and workflows with a retry policy try again, after `retryAfter` at the earliest. */
declare class RetryableError extends Error {
  constructor(message?: string, options?: { cause?: unknown; retryAfter?: Duration });
  readonly retryable: true;
  /** Milliseconds. */
  readonly retryAfter?: number;
}
/** Fails for good: nothing is tried again. */
declare class NonRetryableError extends Error {
  constructor(message?: string, options?: { cause?: unknown });
  readonly retryable: false;
}
/** A `fetch` that got no answer. An answer with any status is no error. */
declare class FetchError extends TypeError {
  readonly code: string;
  readonly retryable: boolean;
}
/** Another durable call that failed. */
declare class OperationError extends Error {
  readonly code: string;
  readonly retryable: boolean;
}
/** A step that took longer than its `timeout`. */
declare class StepTimeoutError extends Error {}

// HTTP

interface FetchInit {
  method?: string;
  headers?: HeadersInit;
  /** Not with GET or HEAD. Write `JSON.stringify(…)` for JSON, with its content type. */
  body?: string | ArrayBuffer | ArrayBufferView | URLSearchParams | null;
  /** For the whole exchange. Default `"30s"`. */
  timeout?: Duration;
  redirect?: "follow" | "error" | "manual";
}

/**
 * An HTTP request. Carries an `Idempotency-Key` that stays the same when it is repeated after a crash or in a retried step.
 * Rejects with a FetchError if there is no answer.
 */
declare function fetch(url: string | URL, init?: FetchInit): Promise<Response>;

type HeadersInit = Headers | Record<string, string> | Iterable<readonly [string, string]>;

declare class Headers {
  constructor(init?: HeadersInit);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(visit: (value: string, name: string, headers: Headers) => void, self?: unknown): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

declare class Response {
  constructor(body?: string | ArrayBuffer | ArrayBufferView | null, init?: { status?: number; statusText?: string; headers?: HeadersInit });
  static json(value: unknown, init?: { status?: number; statusText?: string; headers?: HeadersInit }): Response;
  /** Whether the status is 200 to 299. */
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  /** After redirects. */
  readonly url: string;
  readonly redirected: boolean;
  readonly bodyUsed: boolean;
  text(): Promise<string>;
  json(): Promise<any>;
  bytes(): Promise<Uint8Array>;
  arrayBuffer(): Promise<ArrayBuffer>;
  clone(): Response;
}

// URLs, text and bytes, as on the web

declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string | URL, base?: string | URL): boolean;
  static parse(url: string | URL, base?: string | URL): URL | null;
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  readonly searchParams: URLSearchParams;
  hash: string;
  toString(): string;
  toJSON(): string;
}

declare class URLSearchParams {
  constructor(init?: string | Record<string, string> | Iterable<readonly [string, string]>);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(visit: (value: string, name: string, params: URLSearchParams) => void, self?: unknown): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
  toString(): string;
}

declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array;
}

declare class TextDecoder {
  constructor(label?: "utf-8" | "utf8", options?: { ignoreBOM?: boolean });
  readonly encoding: "utf-8";
  decode(data?: ArrayBuffer | ArrayBufferView): string;
}

/** Comes from the execution's seed: the same after a restart, different in every execution. */
declare const crypto: {
  getRandomValues<T extends ArrayBufferView>(view: T): T;
  randomUUID(): string;
};

declare function atob(base64: string): string;
declare function btoa(bytes: string): string;
declare function structuredClone<T>(value: T): T;
declare function queueMicrotask(callback: () => void): void;
