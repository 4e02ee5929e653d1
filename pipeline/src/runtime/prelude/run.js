// What the host calls: `run` once, then `deliver` and `next` until the workflow is done.

// With `await` and not `then`: the workflow may have replaced that.
async function run(loaded, namespace) {
  cur = root;
  let value;
  try {
    await loaded;
    if (typeof namespace.default !== 'function') {
      throw new TypeError('the default export is not a function; write `export default async function (ctx) { … }`');
    }
    value = await namespace.default(ctx);
  } catch (error) {
    native.done(0, failureOf(error));
    return;
  }
  complete(value);
}

function complete(value) {
  let text;
  try {
    text = JSON.stringify(value) ?? 'null';
  } catch (error) {
    native.done(0, failureOf(error, 'output'));
    return;
  }
  native.done(1, text);
}

function failureOf(error, hint) {
  const part = (read) => {
    try {
      const value = read();
      return value === undefined || value === null ? undefined : typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
    } catch {
      return undefined;
    }
  };
  const isError = error instanceof Error;
  return JSON.stringify({
    hint: hint ?? (error instanceof NonRetryableError ? 'nonRetryable' : undefined),
    name: (isError ? part(() => error.name) : undefined) ?? 'Error',
    message: isError ? part(() => error.message) ?? '' : typeof error === 'object' ? textOf(error) : part(() => error) ?? 'undefined',
    stack: isError ? part(() => error.stack) : undefined,
    code: part(() => error.code),
    retryable: part(() => (typeof error.retryable === 'boolean' ? error.retryable : undefined)),
    retryAfter: part(() => (typeof error.retryAfter === 'number' ? error.retryAfter : undefined)),
    step: part(() => (typeof error === 'object' ? blamed.get(error) : undefined)),
  });
}

function deliver(key, at, ok, text) {
  if (at > now) now = at;
  const waiting = pending.get(key);
  if (waiting === undefined) return false;
  pending.delete(key);
  cur = waiting.scope;
  const value = JSON.parse(text);
  if (!ok) waiting.reject(errorOf(value, waiting.error, waiting.stack));
  else waiting.resolve(waiting.make ? waiting.make(value) : value);
  return true;
}

function next() {
  const start = starts.shift();
  if (start === undefined) return false;
  start();
  return true;
}
