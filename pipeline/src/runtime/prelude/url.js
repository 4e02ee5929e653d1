// URL and URLSearchParams. Parsing and the setters' rules are in the host; see web.rs.

class URLSearchParams {
  #pairs = [];
  #owner = null;
  constructor(init = '', owner) {
    if (owner instanceof URL) this.#owner = owner;
    this._load(init);
  }
  _load(init) {
    if (typeof init === 'object' && init !== null) {
      const pairs = typeof init[Symbol.iterator] === 'function' ? init : Object.entries(init);
      this.#pairs = Array.from(pairs, ([k, v]) => [String(k), String(v)]);
    } else this.#pairs = JSON.parse(native.url('parseQuery', String(init).replace(/^\?/, ''), ''));
  }
  #changed() { if (this.#owner) this.#owner._query(this.toString()); }
  get size() { return this.#pairs.length; }
  append(key, value) { this.#pairs.push([String(key), String(value)]); this.#changed(); }
  delete(key, value) {
    this.#pairs = this.#pairs.filter(([k, v]) => k !== String(key) || (value !== undefined && v !== String(value)));
    this.#changed();
  }
  get(key) { return this.#pairs.find(([k]) => k === String(key))?.[1] ?? null; }
  getAll(key) { return this.#pairs.filter(([k]) => k === String(key)).map(([, v]) => v); }
  has(key, value) { return this.#pairs.some(([k, v]) => k === String(key) && (value === undefined || v === String(value))); }
  set(key, value) {
    const at = this.#pairs.findIndex(([k]) => k === String(key));
    if (at < 0) this.#pairs.push([String(key), String(value)]);
    else {
      this.#pairs = this.#pairs.filter(([k], i) => i <= at || k !== String(key));
      this.#pairs[at][1] = String(value);
    }
    this.#changed();
  }
  sort() { this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); this.#changed(); }
  forEach(visit, self) { for (const [k, v] of this) visit.call(self, v, k, this); }
  *entries() { for (const [k, v] of this.#pairs) yield [k, v]; }
  *keys() { for (const [k] of this.#pairs) yield k; }
  *values() { for (const [, v] of this.#pairs) yield v; }
  [Symbol.iterator]() { return this.entries(); }
  toString() { return native.url('formatQuery', JSON.stringify(this.#pairs), ''); }
}
hide(URLSearchParams.prototype, '_load', URLSearchParams.prototype._load);

class URL {
  #parts;
  #search = null;
  constructor(url, base) {
    const parsed = native.url('parse', String(url), base === undefined ? '' : String(base));
    if (parsed === undefined || parsed === '') throw new TypeError(`Invalid URL: ${String(url).slice(0, 200)}`);
    this.#parts = JSON.parse(parsed);
  }
  static canParse(url, base) { try { new URL(url, base); return true; } catch { return false; } }
  static parse(url, base) { try { return new URL(url, base); } catch { return null; } }
  static _set(url, part, value) {
    const parsed = native.url('set:' + part, url.#parts.href, String(value));
    if (parsed) url.#parts = JSON.parse(parsed);
    if (url.#search && part !== 'query') url.#search._load(url.#parts.search);
  }
  _query(text) { URL._set(this, 'query', text); }
  get searchParams() { return (this.#search ??= new URLSearchParams(this.#parts.search, this)); }
  get origin() { return this.#parts.origin; }
  static _get(url, part) { return url.#parts[part]; }
  toString() { return this.#parts.href; }
  toJSON() { return this.#parts.href; }
}
for (const part of ['href', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash']) {
  const [get, set] = [URL._get, URL._set];
  Object.defineProperty(URL.prototype, part, {
    get() { return get(this, part); },
    set(value) {
      if (part === 'href' && !URL.canParse(value)) throw new TypeError(`Invalid URL: ${String(value).slice(0, 200)}`);
      set(this, part, value);
    },
    enumerable: true, configurable: true,
  });
}
hide(URL.prototype, '_query', URL.prototype._query);
delete URL._get;
hide(URL, '_set', URL._set);

hide(globalThis, 'URL', URL);
hide(globalThis, 'URLSearchParams', URLSearchParams);
