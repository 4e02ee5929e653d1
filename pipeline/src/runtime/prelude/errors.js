// Errors that mean something to the machine, and durations.

class RetryableError extends Error {
  constructor(message, options) {
    super(message, options);
    this.retryable = true;
    if (options?.retryAfter !== undefined) this.retryAfter = durationOf(options.retryAfter, 'retryAfter');
  }
}
class NonRetryableError extends Error {
  constructor(message, options) {
    super(message, options);
    this.retryable = false;
  }
}
class FetchError extends TypeError {}
class OperationError extends Error {}
class StepTimeoutError extends Error {}
for (const type of [RetryableError, NonRetryableError, FetchError, OperationError, StepTimeoutError]) {
  hide(type.prototype, 'name', type.name);
  hide(globalThis, type.name, type);
}

// The error that a failed request rejects with; `stack` is where it was asked for.
function errorOf({ name, message, code, retryable }, type, stack) {
  const error = new type(message);
  if (type === OperationError && name) hide(error, 'name', name);
  error.code = code;
  error.retryable = retryable;
  hide(error, 'stack', stack);
  return error;
}

const codeErrors = [TypeError, ReferenceError, SyntaxError, RangeError, URIError];

// Faults of the code would only happen again; everything else that a step with a retry policy throws may pass.
function mayPass(error) {
  if (typeof error?.retryable === 'boolean') return error.retryable;
  return !codeErrors.some((type) => error instanceof type) && error?.name !== 'InternalError';
}

const unitMs = { ms: 1, s: 1e3, sec: 1e3, m: 6e4, min: 6e4, h: 36e5, d: 864e5, w: 6048e5 };
const simpleDuration = /^(?:\s*\d+(?:\.\d+)?\s*(?:ms|sec|s|min|m|h|d|w))+\s*$/;
const isoDuration = /^P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

// Milliseconds of 1500, "90s", "1h 30m" or "PT1H30M"; of a Date, the time until then.
function durationOf(value, what) {
  let ms;
  if (typeof value === 'number') ms = value;
  else if (value instanceof Date) ms = value.getTime() - now;
  else if (typeof value === 'string' && simpleDuration.test(value)) {
    ms = 0;
    for (const [, n, unit] of value.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) ms += n * unitMs[unit];
  } else if (typeof value === 'string') {
    const iso = isoDuration.exec(value);
    if (iso && /\d/.test(value)) {
      ms = [6048e5, 864e5, 36e5, 6e4, 1e3].reduce((sum, unit, i) => sum + (iso[i + 1] ? iso[i + 1] * unit : 0), 0);
    }
  }
  if (ms === undefined || !(ms === ms) || Math.abs(ms) > 864e13) {
    throw new TypeError(`${what}: ${String(value).slice(0, 80)} is no duration; write milliseconds, "5m", "1h 30m", "PT5M" or a Date`);
  }
  return Math.max(0, Math.round(ms));
}
