// Errors that are no answer of the server, and what all of them have.
import type { FieldError, Problem, SendEvent } from "./generated/types.cjs";

/**
 * What a call fails with. Each public code has a class of its own, such as `NotFoundError`, below {@link ApiError}; the name
 * of the class is the error's `name`, and the same in every SDK.
 */
export declare class FastnError extends Error {
  protected constructor(told: never);
  /** The public code, when the server answered with one, e.g. `NOT_FOUND`. Each has a page `/errors/<code>` on the server. */
  readonly code?: string;
  /** The HTTP status, when the server answered. */
  readonly status?: number;
  /** By which the server's log tells of the request. */
  readonly requestId?: string;
  /** Milliseconds to wait before another attempt, when the server says so. */
  readonly retryAfter?: number;
  /** The execution that the request started, if it did. */
  readonly executionId?: string;
  /** The base URL of the customer's own cell, with `WrongRegionError`. */
  readonly baseUrl?: string;
  /** What was attempted, e.g. `GET /v1/events`. */
  readonly operation: string;
  /** What happened, and what to do. */
  readonly detail: string;
  /** The parts of the request that are not valid. */
  readonly fields: FieldError[];
  /** The problem document (RFC 9457) as it was sent. */
  readonly details?: Problem;
  /** The request was certainly not taken. */
  readonly notDone: boolean;
  /** Another attempt, after a while, may succeed. */
  readonly transient: boolean;
}

/** The server answered with an error. Those with a code that this client knows are of a class below this one. */
export declare class ApiError extends FastnError {
  readonly status: number;
}

/** The client cannot do this: a key or an id is missing, an option is not known, the client is closed. Nothing was sent. */
export declare class ConfigError extends FastnError {}

/** The server could not be reached; the request was not taken. */
export declare class UnreachableError extends FastnError {}

/**
 * The connection broke or the time ran out: the request may have been taken. With the same `idempotencyKey` it may be sent
 * again. Also what `wait` ends with when its time runs out; the execution goes on.
 */
export declare class UnknownOutcomeError extends FastnError {}

/** The server's answer was not understood. */
export declare class BadAnswerError extends FastnError {}

/** A message is not to be trusted. */
export declare class WebhookVerificationError extends FastnError {
  /** Which part of it is wrong. */
  readonly reason: "secret" | "header" | "time" | "signature";
}

/** A batcher or a client was closed, and these events were not taken. Each may be sent again as it is. */
export declare class EventsFailedError extends FastnError {
  /** The events. */
  readonly failed: FailedEvent[];
}

/** An event that the server did not take. */
export interface FailedEvent {
  /** Whose it was. */
  customer: string;
  /** With the id that it was sent under: send it again as it is. */
  event: SendEvent & { id: string };
  /** Why. */
  error: FastnError;
}
