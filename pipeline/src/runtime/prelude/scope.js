// Keys, requests and steps.
//
// A scope is what names are counted in: the workflow itself, or one attempt of a step. `cur` is the scope of the code that
// is running. It is set whenever the host lets something happen (a result is delivered, a step begins), each of which runs
// to the end of the job queue before the next, and goes back to the outer scope when a step ends.

const scopeOf = (key, idem, name, attempt) => ({ key, idem, name, attempt, counts: new Map() });
const root = scopeOf('', '', null, 1);
let cur = root;
const pending = new Map();
const starts = [];
const blamed = new WeakMap();

// The name's place in the scope: `name`, `name#1`, … with the characters that have a meaning in keys escaped.
function placeOf(scope, name) {
  const plain = /[\/#~%]/.test(name) ? name.replace(/[\/#~%]/g, (c) => '%' + hex(c.charCodeAt(0))) : name;
  const n = scope.counts.get(plain) ?? 0;
  scope.counts.set(plain, n + 1);
  return n === 0 ? plain : plain + '#' + n;
}

function request(name, kind, options) {
  const place = placeOf(cur, name);
  return requestAs(cur.key + place, cur.idem + place, cur.name ?? name, cur.attempt, kind, options);
}

function requestAs(key, idempotencyStep, step, attempt, kind, options) {
  native.op(JSON.stringify({ key, idempotencyStep, step, attempt, kind }));
  const { stack } = new Error();
  return new Promise((resolve, reject) => {
    pending.set(key, { resolve, reject, scope: cur, stack, make: options?.make, error: options?.error ?? OperationError });
  });
}

const sleepUntil = (ms) => ({ sleep: { untilMs: now + ms } });

function policyOf(retry) {
  if (retry === undefined || retry === false || retry === null) return { maxAttempts: 1 };
  const { maxAttempts = 3, initialInterval = 5000, backoffCoefficient = 2, maxInterval = 60000 } = retry === true ? {} : retry;
  if (!(maxAttempts >= 1)) throw new TypeError('ctx.step: retry.maxAttempts must be at least 1');
  if (!(backoffCoefficient >= 1)) throw new TypeError('ctx.step: retry.backoffCoefficient must be at least 1');
  return {
    maxAttempts: Math.floor(maxAttempts),
    backoffCoefficient,
    initialInterval: durationOf(initialInterval, 'retry.initialInterval'),
    maxInterval: durationOf(maxInterval, 'retry.maxInterval'),
  };
}

const waitBefore = (attempt, policy, error) =>
  Math.max(error?.retryAfter ?? 0, Math.min(policy.maxInterval, policy.initialInterval * policy.backoffCoefficient ** (attempt - 2)));

function step(name, fn, options) {
  if (typeof name !== 'string' || name === '') throw new TypeError('ctx.step: the first argument is the name of the step');
  if (typeof fn !== 'function') throw new TypeError(`ctx.step(${JSON.stringify(name)}): the second argument is the function to run`);
  const outer = cur;
  const place = placeOf(outer, name);
  const base = outer.key + place;
  const idem = outer.idem + place;
  const policy = policyOf(options?.retry);
  const timeout = options?.timeout === undefined ? undefined : durationOf(options.timeout, 'timeout');
  const { promise, resolve, reject } = Promise.withResolvers();

  const attempt = (n) => starts.push(async () => {
    const key = n === 1 ? base : `${base}~${n}`;
    cur = scopeOf(key + '/', idem + '/', name, n);
    let open = true;
    const end = (settle, value) => {
      if (!open) return;
      open = false;
      settle(n, value);
    };
    if (timeout !== undefined) {
      const late = new StepTimeoutError(`step ${JSON.stringify(name)} took longer than ${timeout} ms`);
      after(requestAs(key + '~timeout', idem + '~timeout', name, n, sleepUntil(timeout)), () => end(fail, late));
    }
    let value;
    try {
      value = await fn();
    } catch (error) {
      end(fail, error);
      return;
    }
    end(succeed, value);
  });
  const succeed = (n, value) => {
    native.stepEnd(base, 1, n, textOf(value));
    cur = outer;
    resolve(value);
  };
  const fail = (n, error) => {
    if (n < policy.maxAttempts && mayPass(error)) {
      cur = outer;
      const next = n + 1;
      const pause = sleepUntil(waitBefore(next, policy, error));
      after(requestAs(`${base}~${next}`, `${idem}~${next}`, name, next, pause), () => attempt(next), reject);
      return;
    }
    native.stepEnd(base, 0, n, messageOf(error));
    if (typeof error === 'object' && error !== null && !blamed.has(error)) blamed.set(error, name);
    cur = outer;
    reject(error);
  };
  native.stepBegin(base, name);
  attempt(1);
  return promise;
}

async function after(promise, go, failed) {
  try {
    await promise;
  } catch (error) {
    failed?.(error);
    return;
  }
  go();
}

function textOf(value) {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    return '"(cannot be written as JSON)"';
  }
}

function messageOf(error) {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return 'an error that cannot be shown';
  }
}
