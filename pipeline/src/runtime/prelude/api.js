// `fastn`, `console` and the members of `ctx`.

const needText = (value, what) => {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${what} must be a text that is not empty`);
  return value;
};
const needObject = (value, what) => {
  if (typeof value !== 'object' || value === null) throw new TypeError(`${what} must be an object`);
  return value;
};
const optionalMs = (value, what) => (value === undefined || value === null ? undefined : durationOf(value, what));

async function sleep(duration) {
  await request('sleep', sleepUntil(durationOf(duration, 'ctx.sleep')));
}

async function waitForEvent(filter, options) {
  const what = typeof filter === 'string' ? { type: filter } : needObject(filter, 'ctx.waitForEvent: the filter');
  return request('waitForEvent', { wait_for_event: { filter: what, timeoutMs: optionalMs(options?.timeout, 'timeout') } });
}

async function emit(event) {
  needText(needObject(event, 'ctx.emit: the event').type, 'ctx.emit: the type of the event');
  return request('emit', { emit: { event } });
}

async function approval(ask) {
  const { timeout, ...rest } = needObject(ask, 'ctx.approval: the request');
  return request('approval', { approval: { request: rest, timeoutMs: optionalMs(timeout, 'timeout') } });
}

const invokeKind = (workflow, input, wait) =>
  ({ invoke: { workflow: needText(workflow, 'fastn.flow: the name of the workflow'), input: input === undefined ? null : input, wait } });

function stateScope(options) {
  const scope = options?.scope ?? 'ORG';
  if (scope !== 'ORG' && scope !== 'INVOCATION') throw new TypeError('fastn.state: the scope is "ORG" or "INVOCATION"');
  return scope;
}
const stateKey = (key) => needText(key, 'fastn.state: the key');

const connectorOf = (slug) => new Proxy({}, {
  get: (_, action) => typeof action === 'symbol' || action === 'then' ? undefined
    : async (args) => request(`${slug}.${action}`, { connector: { slug, action, args: args === undefined ? null : args } }),
});

function show(value) {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return value.stack ? `${messageOf(value)}\n${value.stack}`.trimEnd() : messageOf(value);
  if (typeof value === 'object' && value !== null) return textOf(value);
  return typeof value === 'bigint' ? `${value}n` : String(value);
}
const logAt = (level) => (...values) => { native.log(level, values.map(show).join(' ')); };
const log = { debug: logAt('debug'), info: logAt('info'), warn: logAt('warn'), error: logAt('error') };
const frozen = (object) => Object.freeze(object);

const fastn = frozen({
  flow: frozen({
    invoke: async (workflow, input) => request('invoke', invokeKind(workflow, input, true)),
    invokeAsync: async (workflow, input) => request('invokeAsync', invokeKind(workflow, input, false)),
  }),
  state: frozen({
    get: async (key, options) => request('state.get', { state_get: { scope: stateScope(options), key: stateKey(key) } }),
    set: async (key, value, options) => {
      const ttlMs = optionalMs(options?.ttl, 'ttl');
      await request('state.set', { state_set: { scope: stateScope(options), key: stateKey(key), value: value === undefined ? null : value, ttlMs } });
    },
    delete: async (key, options) => {
      await request('state.delete', { state_delete: { scope: stateScope(options), key: stateKey(key) } });
    },
  }),
  secrets: frozen({ get: async (name) => request('secrets.get', { secret_get: { name: needText(name, 'fastn.secrets: the name') } }) }),
  envConfig: frozen({ get: async (key) => request('envConfig.get', { config_get: { key: needText(key, 'fastn.envConfig: the key') } }) }),
  connector: new Proxy(frozen({}), { get: (_, slug) => (typeof slug === 'symbol' || slug === 'then' ? undefined : connectorOf(slug)) }),
  log: frozen(log),
});

hide(globalThis, 'fastn', fastn);
hide(globalThis, 'console', frozen({ ...log, log: log.info, trace: log.debug }));

let ctx;

function setup(contextText, inputText) {
  const { at, seed, headers, execution, customer, event } = JSON.parse(contextText);
  now = at;
  [s0, s1, s2, s3] = seed;
  let input;
  let parsed = false;
  ctx = frozen({
    get input() {
      if (!parsed) {
        input = JSON.parse(inputText);
        parsed = true;
      }
      return input;
    },
    headers: frozen(headers),
    execution: frozen({ ...execution, startedAt: new Date(at).toISOString() }),
    customer: frozen(customer),
    event: frozen(event),
    step, sleep, waitForEvent, emit, approval,
  });
}
