// fetch and Response.

const fetchTimeoutMs = 30000;
const raw = Symbol('raw');

class Response {
  #body;
  #base64 = false;
  #headers;
  constructor(body = null, init = {}, mark) {
    if (mark === raw) {
      this.#body = body.body ?? '';
      this.#base64 = body.bodyBase64 === true;
      this.#headers = body.headers ?? [];
      hide(this, 'status', body.status);
      hide(this, 'statusText', body.statusText ?? '');
      hide(this, 'url', body.url ?? '');
    } else {
      this.#body = body === null ? '' : typeof body === 'string' || body instanceof ArrayBuffer || ArrayBuffer.isView(body) ? body : String(body);
      this.#headers = new Headers(init.headers);
      hide(this, 'status', init.status ?? 200);
      hide(this, 'statusText', init.statusText ?? '');
      hide(this, 'url', '');
    }
    hide(this, 'bodyUsed', false);
  }
  static json(value, init = {}) {
    const response = new Response(JSON.stringify(value), init);
    if (!response.headers.has('content-type')) response.headers.set('content-type', 'application/json');
    return response;
  }
  get ok() { return this.status >= 200 && this.status < 300; }
  get redirected() { return false; }
  get headers() {
    if (Array.isArray(this.#headers)) this.#headers = new Headers(this.#headers);
    return this.#headers;
  }
  #take(what) {
    if (this.bodyUsed) throw new TypeError(`Response.${what}: the body has been read already; use clone() to read it twice`);
    hide(this, 'bodyUsed', true);
    return this.#body;
  }
  async text() {
    const body = this.#take('text');
    if (this.#base64) return native.text(Uint8Array.fromBase64(body).buffer);
    return typeof body === 'string' ? body : native.text(bufferOf(body));
  }
  async json() { return JSON.parse(await this.text()); }
  async bytes() { return new Uint8Array(await this.arrayBuffer()); }
  async arrayBuffer() {
    const body = this.#take('arrayBuffer');
    if (this.#base64) return Uint8Array.fromBase64(body).buffer;
    return typeof body === 'string' ? native.utf8(body) : bufferOf(body);
  }
  clone() {
    if (this.bodyUsed) throw new TypeError('Response.clone: the body has been read already');
    const headers = [...this.headers];
    const { status, statusText, url } = this;
    return new Response({ body: this.#body, bodyBase64: this.#base64, headers, status, statusText, url }, undefined, raw);
  }
}

function bodyOf(body, headers) {
  if (body === undefined || body === null) return undefined;
  const type = (value) => { if (!headers.some(([n]) => n === 'content-type')) headers.push(['content-type', value]); };
  if (typeof body === 'string') {
    type('text/plain;charset=UTF-8');
    return { text: body };
  }
  if (body instanceof URLSearchParams) {
    type('application/x-www-form-urlencoded;charset=UTF-8');
    return { text: body.toString() };
  }
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return { base64: new Uint8Array(bufferOf(body)).toBase64() };
  throw new TypeError('fetch: the body must be a string, bytes or URLSearchParams; write JSON.stringify(…) for JSON');
}

function headersOf(init) {
  if (init === undefined || init === null) return [];
  if (init instanceof Headers || Array.isArray(init)) return [...new Headers(init)];
  return Object.entries(init).map(([n, v]) => [n.toLowerCase(), String(v)]);
}

const responseOptions = { make: (value) => new Response(value, undefined, raw), error: FetchError };

// Async, so that a wrong argument rejects rather than throws.
async function fetch(target, init = {}) {
  const text = typeof target === 'string' ? target : target instanceof URL ? target.href : String(target?.url ?? target);
  const url = native.url('href', text, '');
  if (url === undefined) throw new TypeError(`fetch: ${JSON.stringify(text.slice(0, 200))} is not an absolute URL`);
  const method = String(init.method ?? 'GET').toUpperCase();
  const headers = headersOf(init.headers);
  const body = bodyOf(init.body, headers);
  if (body !== undefined && (method === 'GET' || method === 'HEAD')) throw new TypeError(`fetch: a ${method} request has no body`);
  const timeoutMs = init.timeout === undefined ? fetchTimeoutMs : durationOf(init.timeout, 'timeout');
  const redirect = init.redirect ?? 'follow';
  if (!['follow', 'error', 'manual'].includes(redirect)) throw new TypeError(`fetch: redirect must be "follow", "error" or "manual"`);
  return request('fetch', { fetch: { method, url, headers, body, timeoutMs, redirect } }, responseOptions);
}

hide(globalThis, 'Response', Response);
hide(globalThis, 'fetch', fetch);
