// The realm: primordials that the rest of the prelude uses, and the globals a script must not have or has in another form.
// Everything here and in the files after it shares one function scope; nothing of it is reachable from a script. Prelude code
// must not use what a script can replace: no prototype methods, no for-of, no spread, no array destructuring after set-up.

const { apply, construct, ownKeys } = Reflect;
const uncurry =
  (f) =>
  (self, ...rest) =>
    apply(f, self, rest);
const SafeError = Error;
const SafeTypeError = TypeError;
const SafeRangeError = RangeError;
const SafeEvalError = EvalError;
const SafePromise = Promise;
const SafeArray = Array;
const SafeString = String;
const SafeNumber = Number;
const ERROR_TYPES = { __proto__: null, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError };
const { isArray } = Array;
const { freeze, keys: objectKeys, defineProperty, getPrototypeOf, setPrototypeOf } = Object;
const { stringify, parse } = JSON;
const { trunc, floor, abs } = Math;
const strSlice = uncurry(String.prototype.slice);
const strIndexOf = uncurry(String.prototype.indexOf);
const strLower = uncurry(String.prototype.toLowerCase);
const strNormalize = uncurry(String.prototype.normalize);
const strSplit = uncurry(String.prototype.split);
const strReplace = uncurry(String.prototype.replace);
const strCharCode = uncurry(String.prototype.charCodeAt);
const isWellFormed = uncurry(String.prototype.isWellFormed);
const toWellFormed = uncurry(String.prototype.toWellFormed);
const regexTest = uncurry(RegExp.prototype.test);

// Makes collections whose methods are their own, so that replaced prototypes do not matter.
const collections = (type, names) => {
  const methods = names.map((name) => type.prototype[name]);
  return () => {
    const made = new type();
    for (let i = 0; i < names.length; i++) defineProperty(made, names[i], { value: methods[i] });
    return made;
  };
};
const safeMap = collections(Map, ['get', 'set', 'has', 'delete']);
const safeWeakMap = collections(WeakMap, ['get', 'set', 'has', 'delete']);
const safeSet = collections(Set, ['add', 'has', 'delete']);

const hide = (object, name, value) => defineProperty(object, name, { value, writable: true, configurable: true });
const fixed = (object, name, value) => defineProperty(object, name, { value });

// --- globals -------------------------------------------------------------------------------------------------------------

const KEEP = safeSet();
strSplit(
  'Object Function Error EvalError RangeError ReferenceError SyntaxError TypeError URIError AggregateError SuppressedError ' +
    'Array Number Boolean String Symbol Math JSON Reflect Proxy Map Set WeakMap WeakSet Promise BigInt Iterator ' +
    'DisposableStack AsyncDisposableStack ArrayBuffer DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array ' +
    'Int32Array Uint32Array BigInt64Array BigUint64Array Float16Array Float32Array Float64Array RegExp globalThis Infinity NaN ' +
    'undefined parseInt parseFloat isNaN isFinite decodeURI decodeURIComponent encodeURI encodeURIComponent escape unescape eval',
  ' ',
).forEach((name) => KEEP.add(name));
const NativeDate = Date;
ownKeys(globalThis).forEach((name) => {
  if (!KEEP.has(name)) delete globalThis[name];
});
hide(globalThis, Symbol.toStringTag, 'global');

// Stacks: long enough to reach the script through the prelude, and not to be intercepted by the script.
Error.stackTraceLimit = 20;
delete Error.prepareStackTrace;
delete Error.stackTraceLimit;
hide(Error, 'stackTraceLimit', 10);

// Iterator helpers on iterator helpers recurse natively where the engine does not check its stack, and would end the process:
// their nesting is counted.
const HELPERS_DEEP = 500;
const helperDepth = safeWeakMap();
['map', 'filter', 'take', 'drop'].forEach((name) => {
  const native = Iterator.prototype[name];
  const counted = {
    [name](input) {
      const depth = helperDepth.get(this) ?? 0;
      if (depth >= HELPERS_DEEP) throw new SafeRangeError(`iterator helpers nest deeper than ${HELPERS_DEEP} levels`);
      const made = apply(native, this, [input]);
      helperDepth.set(made, depth + 1);
      return made;
    },
  }[name];
  hide(Iterator.prototype, name, counted);
});
// The inner iterators of these nest where it cannot be counted beforehand: one is a generator instead, the others are gone.
const iteratorSymbol = Symbol.iterator;
const flatten = function* (source, fn) {
  const next = source.next;
  let index = 0;
  let open = true;
  try {
    for (;;) {
      const step = apply(next, source, []);
      if (step.done) {
        open = false;
        return;
      }
      const inner = fn(step.value, index++);
      if (inner === null || typeof inner !== 'object') throw new SafeTypeError('flatMap() takes a function that returns an iterable');
      yield* inner[iteratorSymbol] === undefined ? { [iteratorSymbol]: () => inner } : inner;
    }
  } finally {
    if (open && source.return !== undefined) source.return();
  }
};
hide(
  Iterator.prototype,
  'flatMap',
  {
    flatMap(fn) {
      if (typeof fn !== 'function') throw new SafeTypeError('flatMap() takes a function');
      return flatten(this, fn);
    },
  }.flatMap,
);
['concat', 'zip', 'zipKeyed'].forEach((name) => delete Iterator[name]);

// --- code from text ------------------------------------------------------------------------------------------------------

const refuseCode = (name, prototype) => {
  const guard = {
    [name]: function () {
      throw new SafeEvalError(`${name} is not available: a workflow cannot make code from text`);
    },
  }[name];
  if (prototype !== undefined) {
    fixed(guard, 'prototype', prototype);
    defineProperty(prototype, 'constructor', { value: guard, writable: false, configurable: false });
  }
  return guard;
};
hide(globalThis, 'eval', refuseCode('eval'));
const FunctionGuard = refuseCode('Function', Function.prototype);
hide(globalThis, 'Function', FunctionGuard);
[
  ['AsyncFunction', async () => {}],
  ['GeneratorFunction', function* () {}],
  ['AsyncGeneratorFunction', async function* () {}],
].forEach((kind) => setPrototypeOf(refuseCode(kind[0], getPrototypeOf(kind[1])), FunctionGuard));

// --- clock and chance ----------------------------------------------------------------------------------------------------

const noClock = (what) => {
  throw new SafeError(
    `${what} is not available in a workflow, because a resumed run must take the same way again: pass the time in args`,
  );
};
hide(Math, 'random', function random() {
  throw new SafeError(
    'Math.random() is not available in a workflow, because a resumed run must take the same way again: vary by index or args',
  );
});

const D = NativeDate.prototype;
const dateTime = uncurry(D.getTime);
const dateUtcString = uncurry(D.toUTCString);
const isoString = uncurry(D.toISOString);
const utc = NativeDate.UTC;
const nativeParse = NativeDate.parse;
// A date and time without a zone is read as UTC, whatever zone the machine has.
const parseDate = (input) => {
  const text = `${input}`;
  if (regexTest(/^\s*[+-]?\d{4,6}(-\d\d(-\d\d)?)?\s*$/, text)) return nativeParse(text);
  if (regexTest(/(Z|GMT|UTC|UT|[+-]\d\d:?\d\d|\b[ECMP][SD]T|\))\s*$/i, text)) return nativeParse(text);
  const iso = nativeParse(`${text}Z`);
  return iso === iso ? iso : nativeParse(`${text} UTC`);
};
const isDate = (value) => {
  try {
    dateTime(value);
    return true;
  } catch {
    return false;
  }
};
const toPrimitive = (value) => {
  const exotic = value[Symbol.toPrimitive];
  if (exotic !== undefined && exotic !== null) return apply(exotic, value, ['default']);
  const plain = value.valueOf();
  return typeof plain === 'object' || typeof plain === 'function' ? value.toString() : plain;
};
const SafeDate = {
  Date: function (...parts) {
    if (new.target === undefined) noClock('Date()');
    if (parts.length === 0) noClock('new Date() without arguments');
    let time;
    if (parts.length > 1) {
      time = apply(utc, undefined, parts);
    } else {
      let value = parts[0];
      if (typeof value === 'object' && value !== null) value = isDate(value) ? dateTime(value) : toPrimitive(value);
      time = typeof value === 'string' ? parseDate(value) : SafeNumber(value);
    }
    return construct(NativeDate, [time], new.target);
  },
}.Date;
defineProperty(SafeDate, 'length', { value: 7, configurable: true });
fixed(SafeDate, 'prototype', D);
defineProperty(D, 'constructor', { value: SafeDate, writable: false, configurable: false });
const DATE_STATICS = {
  now() {
    noClock('Date.now()');
  },
  parse(text) {
    return parseDate(text);
  },
};
hide(SafeDate, 'now', DATE_STATICS.now);
hide(SafeDate, 'parse', DATE_STATICS.parse);
hide(SafeDate, 'UTC', utc);

// The zone is UTC: the local methods are the UTC methods.
'FullYear Month Date Day Hours Minutes Seconds Milliseconds'.split(' ').forEach((part) => {
  ['get', 'set'].forEach((verb) => {
    const native = D[`${verb}UTC${part}`];
    if (native === undefined) return;
    const name = `${verb}${part}`;
    const local = {
      [name](...values) {
        return apply(native, this, values);
      },
    }[name];
    defineProperty(local, 'length', { value: native.length, configurable: true });
    hide(D, name, local);
  });
});
const two = (n) => (n < 10 ? `0${n}` : `${n}`);
const getUtc = (name) => uncurry(D[`getUTC${name}`]);
const year = getUtc('FullYear');
const month = getUtc('Month');
const day = getUtc('Date');
const hours = getUtc('Hours');
const minutes = getUtc('Minutes');
const seconds = getUtc('Seconds');
const setUtcYear = uncurry(D.setUTCFullYear);
const isInvalid = (date) => {
  const time = dateTime(date);
  return time !== time;
};
// 'Thu, 01 Jan 1970 00:00:00 GMT' gives 'Thu Jan 01 1970'.
const datePart = (date) => {
  const words = strSplit(dateUtcString(date), ' ');
  return `${strSlice(words[0], 0, 3)} ${words[2]} ${words[1]} ${words[3]}`;
};
const timePart = (date) => `${two(hours(date))}:${two(minutes(date))}:${two(seconds(date))} GMT+0000 (UTC)`;
const usDate = (date) => `${month(date) + 1}/${day(date)}/${year(date)}`;
const usTime = (date) =>
  `${hours(date) % 12 || 12}:${two(minutes(date))}:${two(seconds(date))} ${hours(date) < 12 ? 'AM' : 'PM'}`;
const DATE_METHODS = {
  getTimezoneOffset() {
    return isInvalid(this) ? NaN : 0;
  },
  getYear() {
    return year(this) - 1900;
  },
  setYear(value) {
    const n = SafeNumber(value);
    const whole = trunc(n);
    return setUtcYear(this, whole >= 0 && whole <= 99 ? 1900 + whole : n);
  },
  toString() {
    return isInvalid(this) ? 'Invalid Date' : `${datePart(this)} ${timePart(this)}`;
  },
  toDateString() {
    return isInvalid(this) ? 'Invalid Date' : datePart(this);
  },
  toTimeString() {
    return isInvalid(this) ? 'Invalid Date' : timePart(this);
  },
  toLocaleString() {
    return isInvalid(this) ? 'Invalid Date' : `${usDate(this)}, ${usTime(this)}`;
  },
  toLocaleDateString() {
    return isInvalid(this) ? 'Invalid Date' : usDate(this);
  },
  toLocaleTimeString() {
    return isInvalid(this) ? 'Invalid Date' : usTime(this);
  },
};
objectKeys(DATE_METHODS).forEach((name) => hide(D, name, DATE_METHODS[name]));

// --- locale: a small en-US ------------------------------------------------------------------------------------------------

const group = (digits) => strReplace(digits, /\B(?=(\d{3})+(?!\d))/g, ',');
const toFixed = uncurry(Number.prototype.toFixed);
const numberValue = uncurry(Number.prototype.valueOf);
const bigintText = uncurry(BigInt.prototype.toString);
const digitsOption = (options, name, fallback) => {
  const value = options === undefined || options === null ? undefined : options[name];
  return value === undefined ? fallback : trunc(SafeNumber(value));
};
const LOCALE = {
  number(locales, options) {
    const n = numberValue(this);
    if (n !== n) return 'NaN';
    const sign = n < 0 || (n === 0 && 1 / n < 0) ? '-' : '';
    if (n - n !== 0) return `${sign}∞`;
    if (abs(n) >= 1e21) return `${n}`;
    const least = digitsOption(options, 'minimumFractionDigits', 0);
    const most = digitsOption(options, 'maximumFractionDigits', least > 3 ? least : 3);
    const parts = strSplit(toFixed(abs(n), most < least ? least : most), '.');
    let fraction = parts.length > 1 ? parts[1] : '';
    while (fraction.length > least && fraction[fraction.length - 1] === '0') fraction = strSlice(fraction, 0, -1);
    return `${sign}${group(parts[0])}${fraction === '' ? '' : `.${fraction}`}`;
  },
  bigint() {
    return group(bigintText(this));
  },
};
hide(Number.prototype, 'toLocaleString', { toLocaleString(l, o) { return apply(LOCALE.number, this, [l, o]); } }.toLocaleString);
hide(BigInt.prototype, 'toLocaleString', { toLocaleString() { return apply(LOCALE.bigint, this, []); } }.toLocaleString);

// Close to the order people expect: punctuation, digits, letters; then accents; then lower before upper case.
const classOf = (c) => (c >= 48 && c <= 57 ? 1 : c < 128 && !((c | 32) >= 97 && (c | 32) <= 122) ? 0 : 2);
const compareText = (a, b, numeric) => {
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    let x = strCharCode(a, i);
    let y = strCharCode(b, j);
    if (numeric && classOf(x) === 1 && classOf(y) === 1) {
      let m = 0;
      let n = 0;
      while (i < a.length && classOf((x = strCharCode(a, i))) === 1) (m = m * 10 + x - 48), i++;
      while (j < b.length && classOf((y = strCharCode(b, j))) === 1) (n = n * 10 + y - 48), j++;
      if (m !== n) return m < n ? -1 : 1;
      continue;
    }
    if (x !== y) {
      const order = classOf(x) - classOf(y);
      return (order === 0 ? x - y : order) < 0 ? -1 : 1;
    }
    i++;
    j++;
  }
  const rest = a.length - i - (b.length - j);
  return rest === 0 ? 0 : rest < 0 ? -1 : 1;
};
const MARKS = /[\u0300-\u036f]/g;
hide(
  String.prototype,
  'localeCompare',
  {
    localeCompare(that, locales, options) {
      const a = strNormalize(`${this}`, 'NFD');
      const b = strNormalize(`${that}`, 'NFD');
      const numeric = options !== undefined && options !== null && options.numeric === true;
      const sensitivity = options === undefined || options === null ? undefined : options.sensitivity;
      const la = strLower(a);
      const lb = strLower(b);
      const base = compareText(strReplace(la, MARKS, ''), strReplace(lb, MARKS, ''), numeric);
      if (base !== 0 || sensitivity === 'base') return base;
      const accents = sensitivity === 'case' ? 0 : compareText(la, lb, numeric);
      if (accents !== 0 || sensitivity === 'accent') return accents;
      // Lower case stands before upper case, so the code points compare the other way round.
      return a === b ? 0 : a < b ? 1 : -1;
    },
  }.localeCompare,
);
