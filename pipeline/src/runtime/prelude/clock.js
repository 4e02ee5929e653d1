// Time and chance. Both depend on nothing but what was delivered to the execution: the clock stands where the last result
// moved it, time zones are UTC, and random numbers come from the execution's seed.

let now = 0;

const RealDate = Date;
const hasZone = /(?:Z|UTC|GMT|[+-]\d\d:?\d\d)\s*(?:\(.*\))?$/i;
const isoDay = /^\s*[+-]?\d{4,6}(?:-\d\d(?:-\d\d)?)?\s*$/;
const isoTime = /^\s*[+-]?\d{4,6}(?:-\d\d){0,2}T[\d:.,]+\s*$/;

// Text without a zone means local time, and local time is UTC.
function parseDate(text) {
  text = String(text);
  if (hasZone.test(text) || isoDay.test(text)) return RealDate.parse(text);
  return RealDate.parse(isoTime.test(text) ? text.trim() + 'Z' : text + ' UTC');
}

function DateNow(...parts) {
  if (new.target === undefined) return new DateNow().toString();
  let value = now;
  if (parts.length > 1) value = RealDate.UTC(...parts);
  else if (parts.length === 1) {
    const one = parts[0];
    const plain = one instanceof RealDate ? one.getTime() : typeof one === 'object' && one !== null ? one[Symbol.toPrimitive]?.('default') ?? one.valueOf() : one;
    value = typeof plain === 'string' ? parseDate(plain) : plain;
  }
  return Reflect.construct(RealDate, [value], new.target);
}
Object.defineProperty(DateNow, 'name', { value: 'Date' });
Object.defineProperty(DateNow, 'length', { value: 7 });
DateNow.prototype = RealDate.prototype;
DateNow.UTC = RealDate.UTC;
DateNow.parse = parseDate;
DateNow.now = () => now;

const dateProto = RealDate.prototype;
for (const part of ['Date', 'Day', 'FullYear', 'Hours', 'Milliseconds', 'Minutes', 'Month', 'Seconds']) {
  hide(dateProto, 'get' + part, dateProto['getUTC' + part]);
  if (part !== 'Day') hide(dateProto, 'set' + part, dateProto['setUTC' + part]);
}
hide(dateProto, 'constructor', DateNow);
hide(dateProto, 'getTimezoneOffset', function () { return isNaN(this.getTime()) ? NaN : 0; });
const utcText = dateProto.toUTCString; // "Tue, 24 Nov 2026 13:00:00 GMT"
function dayOf(date) {
  const [day, number, month, year] = utcText.call(date).replace(',', '').split(' ');
  return `${day} ${month} ${number} ${year}`;
}
const timeOf = (date) => utcText.call(date).split(' ')[4];
const orInvalid = (make) => function () { return isNaN(this.getTime()) ? 'Invalid Date' : make(this); };
hide(dateProto, 'toString', orInvalid((d) => `${dayOf(d)} ${timeOf(d)} GMT+0000 (UTC)`));
hide(dateProto, 'toDateString', orInvalid(dayOf));
hide(dateProto, 'toTimeString', orInvalid((d) => `${timeOf(d)} GMT+0000 (UTC)`));
hide(dateProto, 'toLocaleString', orInvalid((d) => d.toISOString().slice(0, 19).replace('T', ' ')));
hide(dateProto, 'toLocaleDateString', orInvalid((d) => d.toISOString().slice(0, 10)));
hide(dateProto, 'toLocaleTimeString', orInvalid(timeOf));
hide(globalThis, 'Date', DateNow);

function hide(object, name, value) {
  Object.defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });
}

// xoshiro128**
let s0 = 1, s1 = 2, s2 = 3, s3 = 4;
function random32() {
  const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0;
  const t = s1 << 9;
  s2 ^= s0; s3 ^= s1; s1 ^= s2; s0 ^= s3; s2 ^= t;
  s3 = rotate(s3, 11);
  return result;
}
const rotate = (x, k) => (x << k) | (x >>> (32 - k));
hide(Math, 'random', () => ((random32() >>> 5) * 67108864 + (random32() >>> 6)) / 9007199254740992);

let randomCalls = 0;
const hex = (byte) => (byte < 16 ? '0' : '') + byte.toString(16);
const crypto = Object.freeze({
  getRandomValues(view) {
    if (!ArrayBuffer.isView(view)) throw new TypeError('crypto.getRandomValues: a typed array is needed');
    if (view.byteLength > 65536) throw new RangeError('crypto.getRandomValues: at most 65536 bytes at a time');
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
      .set(new Uint8Array(native.random(randomCalls++, view.byteLength)));
    return view;
  },
  randomUUID() {
    const bytes = new Uint8Array(native.random(randomCalls++, 16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const text = Array.from(bytes, hex).join('');
    return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
  },
});
hide(globalThis, 'crypto', crypto);

// Shared memory has no second thread here; timers and code from text do not exist in a workflow that must replay.
delete globalThis.SharedArrayBuffer;
delete globalThis.Atomics;
for (const [name, instead] of [
  ['setTimeout', 'use `await ctx.sleep(…)`'], ['setInterval', 'use a loop with `await ctx.sleep(…)`'],
  ['eval', 'write the code itself'], ['require', 'a workflow is one file'],
]) {
  hide(globalThis, name, () => { throw new ReferenceError(`${name} is not available in a workflow: ${instead}`); });
}
