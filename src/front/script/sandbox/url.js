// `URL`: small, for http-like addresses and the simple forms of others.

const URL_PORTS = { __proto__: null, 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443', 'ftp:': '21' };
const regexExec = uncurry(RegExp.prototype.exec);
const strTrim = uncurry(String.prototype.trim);
const { encodeURIComponent: encodePart, decodeURIComponent: decodePart, encodeURI: encodeWhole } = globalThis;
const URL_FORM = /^([a-zA-Z][a-zA-Z0-9+.-]*:)(\/\/([^/?#\\]*))?([^?#]*)(\?[^#]*)?(#[\s\S]*)?$/;
const HOST_FORM = /^(?:([^:@]*)(?::([^@]*))?@)?(\[[0-9a-fA-F:.]+\]|[^:@\s<>^|%[\]]*)(?::(\d*))?$/;
const urlError = (text) => new SafeTypeError(`"${text}" is not a valid URL`);
// Percent-encodes what may not stand in an address, and leaves what is encoded already.
const escapeUrl = (text) => strReplace(strReplace(encodeWhole(wf(text)), /%25([0-9a-fA-F]{2})/g, '%$1'), /%5[bB]|%5[dD]/g, (m) =>
  strLower(m) === '%5b' ? '[' : ']');
const normalPath = (path) => {
  const parts = strSplit(path, '/');
  const kept = [];
  let length = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    const last = i === parts.length - 1;
    if (part === '..') {
      if (length > 1) length--;
      if (last) kept[length++] = '';
    } else if (part === '.') {
      if (last) kept[length++] = '';
    } else kept[length++] = part;
  }
  let out = kept[0] ?? '';
  for (let i = 1; i < length; i++) out += `/${kept[i]}`;
  return out;
};
const splitUrl = (text, base) => {
  const input = strTrim(`${text}`);
  let match = regexExec(URL_FORM, input);
  if (match === null) {
    if (base === undefined) throw urlError(input);
    const from = splitUrl(base, undefined);
    if (from.host === '' && from.pathname[0] !== '/') throw urlError(input);
    const root = `${from.protocol}//${from.auth}${from.host}`;
    let full;
    if (strSlice(input, 0, 2) === '//') full = from.protocol + input;
    else if (input[0] === '/') full = root + input;
    else if (input[0] === '?') full = root + from.pathname + input;
    else if (input[0] === '#' || input === '') full = root + from.pathname + from.search + input;
    else full = root + strReplace(from.pathname, /[^/]*$/, () => input);
    match = regexExec(URL_FORM, full);
    if (match === null) throw urlError(input);
  }
  const protocol = strLower(match[1]);
  const special = protocol in URL_PORTS;
  const out = { __proto__: null, protocol, username: '', password: '', auth: '', hostname: '', port: '', host: '' };
  if (special || match[2] !== undefined) {
    const authority = match[3] ?? '';
    const parts = regexExec(HOST_FORM, authority);
    if (parts === null || (special && parts[3] === '')) throw urlError(input);
    out.username = parts[1] ?? '';
    out.password = parts[2] ?? '';
    out.auth = out.username === '' ? '' : `${out.username}${out.password === '' ? '' : `:${out.password}`}@`;
    out.hostname = special ? strLower(parts[3]) : parts[3];
    out.port = parts[4] === undefined || parts[4] === '' ? '' : `${SafeNumber(parts[4])}`;
    if (SafeNumber(out.port) > 65535) throw urlError(input);
    if (out.port === URL_PORTS[protocol]) out.port = '';
    out.host = out.hostname + (out.port === '' ? '' : `:${out.port}`);
  }
  let path = match[4];
  if (special) path = strReplace(path, /\\/g, '/');
  if (special && path[0] !== '/') path = `/${path}`;
  out.pathname = path[0] === '/' ? escapeUrl(normalPath(path)) : escapeUrl(path);
  out.search = match[5] === undefined || match[5] === '?' ? '' : escapeUrl(match[5]);
  out.hash = match[6] === undefined || match[6] === '#' ? '' : escapeUrl(match[6]);
  out.slashes = match[2] !== undefined || special;
  return out;
};
const formDecode = (text) => {
  const spaced = strReplace(text, /\+/g, ' ');
  try {
    return decodePart(spaced);
  } catch {
    return spaced;
  }
};
const formEncode = (text) =>
  strReplace(strReplace(encodePart(wf(`${text}`)), /%20/g, '+'), /[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

class URLSearchParams {
  #pairs = [];
  #changed;
  constructor(text, changed) {
    this.#changed = changed;
    const parts = strSplit(text[0] === '?' ? strSlice(text, 1) : text, '&');
    for (let i = 0; i < parts.length; i++) {
      if (parts[i] === '') continue;
      const at = strIndexOf(parts[i], '=');
      const name = at < 0 ? parts[i] : strSlice(parts[i], 0, at);
      this.#pairs[this.#pairs.length] = [formDecode(name), at < 0 ? '' : formDecode(strSlice(parts[i], at + 1))];
    }
  }
  #filter(keep) {
    const pairs = [];
    for (let i = 0; i < this.#pairs.length; i++) if (keep(this.#pairs[i])) pairs[pairs.length] = this.#pairs[i];
    return pairs;
  }
  get size() {
    return this.#pairs.length;
  }
  get(name) {
    return this.#filter((pair) => pair[0] === `${name}`)[0]?.[1] ?? null;
  }
  getAll(name) {
    return this.#filter((pair) => pair[0] === `${name}`).map((pair) => pair[1]);
  }
  has(name) {
    return this.#filter((pair) => pair[0] === `${name}`).length > 0;
  }
  append(name, value) {
    this.#pairs[this.#pairs.length] = [wf(`${name}`), wf(`${value}`)];
    this.#changed(this.toString());
  }
  set(name, value) {
    let seen = false;
    this.#pairs = this.#filter((pair) => {
      if (pair[0] !== `${name}`) return true;
      if (seen) return false;
      seen = true;
      pair[1] = wf(`${value}`);
      return true;
    });
    if (seen) this.#changed(this.toString());
    else this.append(name, value);
  }
  delete(name) {
    this.#pairs = this.#filter((pair) => pair[0] !== `${name}`);
    this.#changed(this.toString());
  }
  sort() {
    this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    this.#changed(this.toString());
  }
  forEach(visit) {
    this.#pairs.slice().forEach((pair) => visit(pair[1], pair[0], this));
  }
  *entries() {
    for (let i = 0; i < this.#pairs.length; i++) yield [this.#pairs[i][0], this.#pairs[i][1]];
  }
  *keys() {
    for (let i = 0; i < this.#pairs.length; i++) yield this.#pairs[i][0];
  }
  *values() {
    for (let i = 0; i < this.#pairs.length; i++) yield this.#pairs[i][1];
  }
  [Symbol.iterator]() {
    return this.entries();
  }
  toString() {
    let out = '';
    for (let i = 0; i < this.#pairs.length; i++) {
      out += `${i === 0 ? '' : '&'}${formEncode(this.#pairs[i][0])}=${formEncode(this.#pairs[i][1])}`;
    }
    return out;
  }
}

class URL {
  #parts;
  #params;
  constructor(text, base) {
    this.#parts = splitUrl(text, base === undefined ? undefined : `${base}`);
  }
  static canParse(text, base) {
    return URL.parse(text, base) !== null;
  }
  static parse(text, base) {
    try {
      return new URL(text, base);
    } catch {
      return null;
    }
  }
  get href() {
    const p = this.#parts;
    return `${p.protocol}${p.slashes ? '//' : ''}${p.auth}${p.host}${p.pathname}${p.search}${p.hash}`;
  }
  get origin() {
    const p = this.#parts;
    return p.protocol in URL_PORTS ? `${p.protocol}//${p.host}` : 'null';
  }
  get protocol() {
    return this.#parts.protocol;
  }
  get username() {
    return this.#parts.username;
  }
  get password() {
    return this.#parts.password;
  }
  get host() {
    return this.#parts.host;
  }
  get hostname() {
    return this.#parts.hostname;
  }
  get port() {
    return this.#parts.port;
  }
  get pathname() {
    return this.#parts.pathname;
  }
  set pathname(value) {
    this.#parts.pathname = escapeUrl(normalPath(`${value}`[0] === '/' ? `${value}` : `/${value}`));
  }
  get search() {
    return this.#parts.search;
  }
  set search(value) {
    const text = `${value}`;
    this.#parts.search = text === '' || text === '?' ? '' : escapeUrl(text[0] === '?' ? text : `?${text}`);
    this.#params = undefined;
  }
  get hash() {
    return this.#parts.hash;
  }
  set hash(value) {
    const text = `${value}`;
    this.#parts.hash = text === '' || text === '#' ? '' : escapeUrl(text[0] === '#' ? text : `#${text}`);
  }
  get searchParams() {
    this.#params ??= new URLSearchParams(this.#parts.search, (text) => {
      this.#parts.search = text === '' ? '' : `?${text}`;
    });
    return this.#params;
  }
  toString() {
    return this.href;
  }
  toJSON() {
    return this.href;
  }
}
