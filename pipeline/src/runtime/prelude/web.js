// The small part of the web platform that workflows and the snippets people paste into them expect.

class TextEncoder {
  get encoding() { return 'utf-8'; }
  encode(text = '') { return new Uint8Array(native.utf8(String(text))); }
}

class TextDecoder {
  #ignoreBOM;
  constructor(label = 'utf-8', options) {
    if (!/^\s*(utf-?8|unicode-1-1-utf-8)\s*$/i.test(label)) throw new RangeError(`TextDecoder: only utf-8 is supported, not ${label}`);
    this.#ignoreBOM = options?.ignoreBOM ?? false;
  }
  get encoding() { return 'utf-8'; }
  decode(data) {
    if (data === undefined) return '';
    const text = native.text(bufferOf(data));
    return !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }
}

// The bytes of an ArrayBuffer or a view, as an ArrayBuffer of its own.
function bufferOf(data) {
  if (data instanceof ArrayBuffer) return data;
  if (ArrayBuffer.isView(data)) return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  throw new TypeError('an ArrayBuffer or a typed array is needed');
}

function structuredClone(value) {
  const seen = new Map();
  const copy = (from) => {
    if (typeof from === 'function' || typeof from === 'symbol') {
      throw new TypeError(`structuredClone: a ${typeof from} cannot be cloned`);
    }
    if (typeof from !== 'object' || from === null) return from;
    if (seen.has(from)) return seen.get(from);
    const keep = (to) => { seen.set(from, to); return to; };
    if (from instanceof Date) return keep(new Date(from.getTime()));
    if (from instanceof RegExp) return keep(new RegExp(from.source, from.flags));
    if (from instanceof ArrayBuffer) return keep(from.slice(0));
    if (ArrayBuffer.isView(from)) {
      const buffer = bufferOf(from);
      return keep(from instanceof DataView ? new DataView(buffer) : new from.constructor(buffer));
    }
    if (from instanceof Map) {
      const to = keep(new Map());
      for (const [k, v] of from) to.set(copy(k), copy(v));
      return to;
    }
    if (from instanceof Set) {
      const to = keep(new Set());
      for (const v of from) to.add(copy(v));
      return to;
    }
    if (from instanceof Error) {
      const make = { TypeError, RangeError, SyntaxError, ReferenceError, URIError, EvalError }[from.name] ?? Error;
      const to = keep(new make(from.message));
      hide(to, 'stack', from.stack);
      return to;
    }
    const to = keep(Array.isArray(from) ? new Array(from.length) : {});
    for (const key of Object.keys(from)) to[key] = copy(from[key]);
    return to;
  };
  return copy(value);
}

class Headers {
  #entries = [];
  constructor(init) {
    if (init === undefined || init === null) return;
    const pairs = typeof init[Symbol.iterator] === 'function' ? init : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }
  append(name, value) {
    name = String(name).toLowerCase();
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) throw new TypeError(`Headers: ${JSON.stringify(name)} is not a header name`);
    value = String(value).trim();
    if (/[\0\r\n]/.test(value)) throw new TypeError(`Headers: the value of ${name} contains a line break`);
    this.#entries.push([name, value]);
  }
  delete(name) {
    name = String(name).toLowerCase();
    this.#entries = this.#entries.filter(([n]) => n !== name);
  }
  get(name) {
    name = String(name).toLowerCase();
    const values = this.#entries.filter(([n]) => n === name).map(([, v]) => v);
    return values.length ? values.join(', ') : null;
  }
  getSetCookie() { return this.#entries.filter(([n]) => n === 'set-cookie').map(([, v]) => v); }
  has(name) { return this.get(name) !== null; }
  set(name, value) { this.delete(name); this.append(name, value); }
  forEach(visit, self) { for (const [n, v] of this) visit.call(self, v, n, this); }
  *entries() {
    const names = [...new Set(this.#entries.map(([n]) => n))].sort();
    for (const name of names) {
      if (name === 'set-cookie') for (const value of this.getSetCookie()) yield [name, value];
      else yield [name, this.get(name)];
    }
  }
  *keys() { for (const [n] of this.entries()) yield n; }
  *values() { for (const [, v] of this.entries()) yield v; }
  [Symbol.iterator]() { return this.entries(); }
  toJSON() { return Object.fromEntries(this.entries()); }
}

for (const [name, value] of Object.entries({ TextEncoder, TextDecoder, structuredClone, Headers })) hide(globalThis, name, value);
