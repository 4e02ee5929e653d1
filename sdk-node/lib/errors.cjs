"use strict";
// Errors: one class for each public code, below the classes of this file. They are made of what the native part tells.

/** Gives a class the name that its errors are told by, which is its own unless a minifier changed that. */
function named(type, name = type.name) {
  Object.defineProperty(type.prototype, "name", { value: name, configurable: true, writable: true });
  return type;
}

/** What a call may fail with; see the types. */
class FastnError extends Error {
  constructor(told) {
    const { operation, detail } = told;
    super(operation ? `${operation}: ${detail}` : detail);
    // Only what is known, so that an error that is printed shows nothing empty.
    for (const field of ["code", "status", "requestId", "retryAfter", "executionId", "baseUrl"]) {
      if (told[field] !== undefined && told[field] !== null) this[field] = told[field];
    }
    this.operation = operation ?? "";
    this.detail = detail;
    this.fields = told.fields ?? [];
    if (told.details) this.details = told.details;
    this.notDone = told.notDone ?? false;
    this.transient = told.transient ?? false;
    // A code that is newer than this client.
    if (this.code === undefined && typeof told.details?.code === "string") this.code = told.details.code;
  }
}

class ApiError extends FastnError {}
class ConfigError extends FastnError {}
class UnreachableError extends FastnError {}
class UnknownOutcomeError extends FastnError {}
class BadAnswerError extends FastnError {}

class WebhookVerificationError extends FastnError {
  constructor({ reason, detail }) {
    super({ operation: "verify a webhook", detail, notDone: true });
    this.reason = reason;
  }
}

class EventsFailedError extends FastnError {
  constructor(failed) {
    const detail = `the server did not take ${failed.length} events; the first because of ${failed[0].error.message}`;
    super({ operation: "send events", detail });
    this.failed = failed;
  }
}

for (const type of [
  FastnError,
  ApiError,
  ConfigError,
  UnreachableError,
  UnknownOutcomeError,
  BadAnswerError,
  WebhookVerificationError,
  EventsFailedError,
]) {
  named(type);
}

/** A mistake of the caller that was seen before anything was sent. */
function refused(operation, detail) {
  return new ConfigError({ operation, detail, notDone: true });
}

/** The error that the native part tells of. */
function failure(told) {
  return new (byName()[told.name] ?? ApiError)(told);
}

let classes;
function byName() {
  // Generated classes extend those of this file, so they come later.
  classes ??= { ...module.exports, ...require("./generated/errors.cjs") };
  return classes;
}

module.exports = {
  FastnError,
  ApiError,
  ConfigError,
  UnreachableError,
  UnknownOutcomeError,
  BadAnswerError,
  WebhookVerificationError,
  EventsFailedError,
};
// What is no class stays out of what users get.
Object.defineProperties(module.exports, {
  failure: { value: failure },
  named: { value: named },
  refused: { value: refused },
});
