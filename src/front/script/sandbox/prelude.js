// The hooks of the dialect and the table of promises that wait for outcomes. `host` holds the functions of the Rust side.

const wf = (text) => (isWellFormed(text) ? text : toWellFormed(text));

// --- values that cross ---------------------------------------------------------------------------------------------------

// Prompts, titles and log lines as text.
const coerce = (value) => {
  switch (typeof value) {
    case 'string':
      return wf(value);
    case 'object':
      return value === null ? 'null' : '[object]';
    case 'function':
      return '[function]';
    default:
      return wf(SafeString(value));
  }
};

const MAX_DEPTH = 100;

// A copy that `stringify` cannot be misled about: own enumerable data only, no `toJSON`, no prototypes, no lone surrogates.
const walk = (value, depth, above) => {
  switch (typeof value) {
    case 'string':
      return wf(value);
    case 'number':
      return value - value === 0 ? value : null;
    case 'boolean':
      return value;
    case 'bigint':
      throw new SafeTypeError('a bigint is not JSON');
    case 'object':
      break;
    default:
      return undefined;
  }
  if (value === null) return null;
  if (depth > MAX_DEPTH) throw new SafeTypeError(`the value is nested deeper than ${MAX_DEPTH} levels`);
  if (above.has(value)) throw new SafeTypeError('the value refers to itself');
  above.add(value);
  let copy;
  if (isArray(value)) {
    copy = setPrototypeOf([], null);
    const length = value.length;
    for (let i = 0; i < length; i++) {
      const item = walk(value[i], depth + 1, above);
      copy[i] = item === undefined ? null : item;
    }
  } else {
    copy = { __proto__: null };
    const names = objectKeys(value);
    for (let i = 0; i < names.length; i++) {
      const item = walk(value[names[i]], depth + 1, above);
      if (item !== undefined) copy[wf(names[i])] = item;
    }
  }
  above.delete(value);
  return copy;
};

// JSON text of a value, undefined for undefined. Throws for what has no JSON form.
const encode = (value, what) => {
  if (value === undefined) return undefined;
  if (typeof value === 'function' || typeof value === 'symbol') throw new SafeTypeError(`${what} is a ${typeof value}, not JSON`);
  return stringify(walk(value, 1, safeSet()));
};

// The same for a request: fast for ordinary values.
const requestText = (fields) => {
  const text = stringify(fields);
  return strIndexOf(text, '\\ud') < 0 ? text : stringify(walk(fields, 0, safeSet()));
};

// --- errors --------------------------------------------------------------------------------------------------------------

// Errors that came from calls: which call, and its result.
const fromCall = safeWeakMap();

const read = (value, name) => {
  try {
    const found = value[name];
    return typeof found === 'string' ? wf(found) : undefined;
  } catch {
    return undefined;
  }
};
const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';
const nameOf = (error) => (isObject(error) ? read(error, 'name') : undefined);
const stackOf = (error) => (isObject(error) ? (read(error, 'stack') ?? '') : '');
const messageOf = (error) => {
  if (!isObject(error)) return coerce(error);
  const message = read(error, 'message');
  if (message !== undefined && message !== '') return message;
  if (message === '') return read(error, 'name') ?? '';
  try {
    return encode(error, 'it') ?? '[object]';
  } catch {
    return '[object]';
  }
};
const callOf = (error) => (isObject(error) ? fromCall.get(error) : undefined);

const makeError = (name, message, stack, call) => {
  const known = ERROR_TYPES[name];
  const error = known === undefined ? new SafeError(message) : new known(message);
  if (known === undefined && name !== 'Error') hide(error, 'name', name);
  if (stack !== undefined) hide(error, 'stack', stack);
  if (call !== undefined) fromCall.set(error, call);
  return error;
};

// --- results of owf.agent ------------------------------------------------------------------------------------------------

const results = safeWeakMap();
const raise = (result) => {
  const error = result.error;
  const message = error === null || error === undefined ? `the call is ${result.status}` : error.message;
  throw makeError((error && error.name) || 'Error', message, undefined, results.get(result));
};
const RESULT_METHODS = setPrototypeOf(
  {
    requireOk() {
      return this.ok ? this : raise(this);
    },
    valueOrRaise() {
      return this.ok ? this.value : raise(this);
    },
    textOrRaise() {
      return this.ok ? this.text : raise(this);
    },
  },
  Object.prototype,
);
const RESULT_PROTOTYPE = freeze(
  Object.create(
    Object.prototype,
    Object.fromEntries(objectKeys(RESULT_METHODS).map((name) => [name, { value: RESULT_METHODS[name] }])),
  ),
);
const brand = (result, call) => {
  results.set(setPrototypeOf(result, RESULT_PROTOTYPE), call);
  return result;
};
const isFailedResult = (value) => isObject(value) && results.has(value) && value.ok === false;
// A result object for something that is no call: an invalid request, a throw, a slot that was never started.
const failedResult = (status, errorClass, message, name) => {
  const result = parse(host.emptyResult());
  result.status = status;
  result.error = { class: errorClass, message };
  if (name !== undefined) result.error.name = name;
  return brand(result, undefined);
};
const resultOfError = (error) => {
  const call = callOf(error);
  if (call !== undefined && call.full !== undefined) return brand(parse(call.full), call);
  const name = nameOf(error);
  return failedResult('failed', 'other', messageOf(error), name);
};

// --- requests and deliveries ---------------------------------------------------------------------------------------------

const table = safeMap();
const rejected = (error) => new SafePromise((resolve, reject) => reject(error));

// The slot of a bounded fan-out on whose behalf the script runs now (fanout.js).
let currentSlot = null;

const request = (kind, text, fields, full) => {
  const stack = new SafeError().stack;
  const slot = currentSlot;
  const id = host.request(kind, text, requestText(fields), wf(stack), full || slot !== null);
  if (typeof id === 'string') throw new SafeTypeError(id);
  for (let s = slot; s !== null; s = s.parent) s.calls[s.calls.length] = id;
  return { __proto__: null, id, stack, slot, resolve: undefined, reject: undefined, done: undefined };
};
const wait = (entry, mode) =>
  new SafePromise((resolve, reject) => {
    entry.mode = mode;
    entry.resolve = resolve;
    entry.reject = reject;
    table.set(entry.id, entry);
  });

const AGENT_OPTIONS = [
  'label', 'phase', 'schema', 'model', 'effort', 'isolation', 'agentType', 'disallowedTools', 'bashCommandClamp',
  'sharedHeadLength', 'provider', 'timeoutMs', 'retry', 'cache', 'cacheNamespace', 'readScope', 'writeScope', 'system',
  'messages', 'tools', 'metadata', 'onLost', 'mode',
];
const AS_TEXT = { __proto__: null, label: true, phase: true, agentType: true };
const IGNORED_WHEN_BAD = { __proto__: null, effort: true, isolation: true };
const readOptions = (options) => {
  const fields = { __proto__: null };
  if (typeof options !== 'object' || options === null) return fields;
  for (let i = 0; i < AGENT_OPTIONS.length; i++) {
    const name = AGENT_OPTIONS[i];
    let value = options[name];
    if (value === undefined || value === null) continue;
    const type = typeof value;
    if (AS_TEXT[name]) value = coerce(value);
    else if (IGNORED_WHEN_BAD[name]) {
      if (type !== 'string') continue;
    } else if (type === 'function' || type === 'symbol' || type === 'bigint') {
      throw new SafeTypeError(`agent() option "${name}" cannot be a ${type}`);
    } else if (type === 'number' && value - value !== 0) {
      throw new SafeTypeError(`agent() option "${name}" must be a finite number`);
    }
    fields[name] = value;
  }
  return fields;
};
const askAgent = (prompt, options, full) =>
  wait(request('agent', coerce(prompt), readOptions(options), full), full ? 'full' : 'plain');

const RESULT = { text: 0, json: 1, nothing: 2, absent: 3, error: 4, fire: 5 };

// Delivers one outcome. `how` is one of RESULT; `full` is the result object as JSON where the request asked for it.
const deliver = (id, how, a, b, full, ok) => {
  const entry = table.get(id);
  currentSlot = entry === undefined ? null : entry.slot;
  if (entry === undefined) return;
  table.delete(id);
  const call = { id, full };
  if (!ok && entry.slot !== null) entry.slot.failure = call;
  if (entry.mode === 'timer') {
    if (how === RESULT.fire) fire(entry.done);
    return;
  }
  if (entry.mode === 'full') return void entry.resolve(brand(parse(full), call));
  switch (how) {
    case RESULT.text:
      return void entry.resolve(a);
    case RESULT.json:
      return void entry.resolve(parse(a));
    case RESULT.nothing:
      return void entry.resolve(null);
    case RESULT.error:
      return void entry.reject(makeError(a, b, entry.stack, call));
    default:
      return void entry.resolve(undefined);
  }
};

// --- timers --------------------------------------------------------------------------------------------------------------

let timerCount = 0;
// Timers of no delay: run one by one when nothing else is left to do, in the same pump.
let soonFirst = 0;
let soonLast = 0;
const soon = safeMap();
const soonAt = safeMap();
const timerCalls = safeMap();
const fire = (fn) => {
  try {
    fn();
  } catch {
    // As in the client: a throw inside a timer is nobody's.
  }
};
const tick = () => {
  while (soonFirst < soonLast) {
    const timer = soon.get(soonFirst);
    soon.delete(soonFirst++);
    if (timer === undefined) continue;
    soonAt.delete(timer.id);
    currentSlot = timer.slot;
    fire(timer.fn);
    return true;
  }
  return false;
};

// --- hooks ---------------------------------------------------------------------------------------------------------------

const show = (value) => {
  if (value === undefined) return '';
  if (!isObject(value)) return coerce(value);
  if (typeof value === 'function') return '[function]';
  if (value instanceof SafeError) return `${nameOf(value) ?? 'Error'}: ${messageOf(value)}`;
  try {
    return wf(stringify(value) ?? '');
  } catch {
    return '[object]';
  }
};
const LEVEL = { debug: 0, info: 1, warn: 2, error: 3 };
const writer =
  (level, prefix) =>
  (...values) => {
    let line = prefix;
    for (let i = 0; i < values.length; i++) line += (i === 0 ? '' : ' ') + show(values[i]);
    host.log(level, line, undefined);
  };

const total = (which) => {
  const value = host.budget(which, true);
  return value < 0 ? null : value;
};
const reserves = { __proto__: null, tokens: 0, cost: 0, calls: 0 };
const account = (name, which) => {
  const limit = total(which);
  return freeze({
    __proto__: null,
    total: limit,
    spent: () => host.budget(which, false),
    remaining: () => {
      if (limit === null) return Infinity;
      const left = limit - host.budget(which, false) - reserves[name];
      return left > 0 ? left : 0;
    },
  });
};
const accounts = { __proto__: null, tokens: account('tokens', 0), cost: account('cost', 1), calls: account('calls', 2) };
const ACCOUNTS = ['tokens', 'cost', 'calls'];
const amounts = (what, estimate) => {
  const wanted = { __proto__: null, tokens: 0, cost: 0, calls: 0 };
  if (typeof estimate === 'number') wanted.tokens = estimate;
  else if (typeof estimate === 'object' && estimate !== null) {
    for (let i = 0; i < 3; i++) {
      const value = estimate[ACCOUNTS[i]];
      if (value !== undefined) wanted[ACCOUNTS[i]] = value;
    }
  } else wanted.tokens = NaN;
  for (let i = 0; i < 3; i++) {
    const value = wanted[ACCOUNTS[i]];
    if (typeof value !== 'number' || !(value >= 0)) {
      throw new SafeTypeError(`${what} takes a number of tokens of at least 0, or an object of tokens, cost and calls`);
    }
  }
  return wanted;
};
const canSpend = (estimate) => {
  const wanted = amounts('owf.budget.canSpend()', estimate);
  for (let i = 0; i < 3; i++) if (wanted[ACCOUNTS[i]] > accounts[ACCOUNTS[i]].remaining()) return false;
  return true;
};
const reserve = (estimate) => {
  const wanted = amounts('owf.budget.reserve()', estimate);
  if (!canSpend(wanted)) return false;
  for (let i = 0; i < 3; i++) reserves[ACCOUNTS[i]] += wanted[ACCOUNTS[i]];
  return true;
};

// Makes a hook whose errors reject: scripts see a promise in any case.
const promising = (run) => (a, b, c) => {
  try {
    return run(a, b, c);
  } catch (error) {
    return rejected(error);
  }
};
const askWorkflow = promising((target, args) => {
  const fields = { __proto__: null };
  if (typeof target === 'string') fields.name = wf(target);
  else if (typeof target === 'object' && target !== null && typeof target.scriptPath === 'string') {
    fields.path = wf(target.scriptPath);
  } else {
    throw new SafeTypeError('workflow() takes the name of a workflow or {scriptPath: "file.js"}');
  }
  const text = encode(args, 'args of workflow()');
  if (text !== undefined) fields.args = text;
  return wait(request('workflow', '', fields, false), 'workflow');
});
const askApproval = promising((question) => {
  const given = typeof question === 'string' ? { __proto__: null, message: question } : question;
  if (typeof given !== 'object' || given === null || given.message === undefined) {
    throw new SafeTypeError('owf.approve() takes {message, metadata?, decider?, expiresInMs?, onTimeout?}');
  }
  const fields = { __proto__: null, decider: given.decider, onTimeout: given.onTimeout };
  fields.expiresInMs = given.expiresInMs ?? given.timeoutMs;
  const metadata = encode(given.metadata, 'metadata of owf.approve()');
  if (metadata !== undefined) fields.metadata = metadata;
  return wait(request('approval', coerce(given.message), fields, false), 'approval');
});
const askTool = promising((name, args, options) => {
  const given = options ?? { __proto__: null };
  if (typeof name !== 'string' || name === '' || typeof given !== 'object') {
    throw new SafeTypeError('owf.tool() takes (name, args?, {mode?, label?, phase?, timeoutMs?, retry?, onLost?})');
  }
  const fields = { __proto__: null, mode: given.mode, timeoutMs: given.timeoutMs, retry: given.retry, onLost: given.onLost };
  if (given.label !== undefined) fields.label = coerce(given.label);
  if (given.phase !== undefined) fields.phase = coerce(given.phase);
  const text = encode(args, 'args of owf.tool()');
  if (text !== undefined) fields.args = text;
  return wait(request('tool', name, fields, false), 'tool');
});
const sleep = promising((ms) => {
  const delay = trunc(SafeNumber(ms));
  if (!(delay > 0)) return new SafePromise((resolve) => resolve(undefined));
  return wait(request('sleep', '', { __proto__: null, ms: delay === Infinity ? 2 ** 53 : delay }, false), 'sleep');
});

const HOOKS = {
  agent(prompt, options) {
    try {
      return askAgent(prompt, options, false);
    } catch (error) {
      return rejected(error);
    }
  },
  workflow(target, args) {
    return askWorkflow(target, args);
  },
  phase(title) {
    host.phase(coerce(title));
  },
  log(message) {
    host.log(LEVEL.info, coerce(message), undefined);
  },
  setTimeout(fn, ms) {
    const id = ++timerCount;
    if (typeof fn !== 'function') return id;
    const delay = trunc(SafeNumber(ms));
    if (!(delay > 0) || delay === Infinity) {
      soonAt.set(id, soonLast);
      soon.set(soonLast++, { __proto__: null, id, fn, slot: currentSlot });
      return id;
    }
    const entry = request('timer', '', { __proto__: null, ms: delay }, false);
    entry.mode = 'timer';
    entry.done = () => {
      timerCalls.delete(id);
      fn();
    };
    table.set(entry.id, entry);
    timerCalls.set(id, entry.id);
    return id;
  },
  clearTimeout(id) {
    const at = soonAt.get(id);
    if (at !== undefined) {
      soon.delete(at);
      soonAt.delete(id);
      return;
    }
    const call = timerCalls.get(id);
    if (call === undefined) return;
    timerCalls.delete(id);
    table.delete(call);
    host.cancel(call, true);
  },
};
const OWF = {
  agent(prompt, options) {
    try {
      return askAgent(prompt, options, true);
    } catch (error) {
      return new SafePromise((resolve) => resolve(failedResult('failed', 'bad_request', messageOf(error), nameOf(error))));
    }
  },
  approve(question) {
    return askApproval(question);
  },
  tool(name, args, options) {
    return askTool(name, args, options);
  },
  sleep(ms) {
    return sleep(ms);
  },
  log(message, fields) {
    host.log(LEVEL.info, coerce(message), encode(fields, 'fields of owf.log()'));
  },
};

const budget = freeze({
  __proto__: null,
  total: accounts.tokens.total,
  spent() {
    return accounts.tokens.spent();
  },
  remaining() {
    const limit = accounts.tokens.total;
    if (limit === null) return Infinity;
    const left = limit - accounts.tokens.spent();
    return left > 0 ? left : 0;
  },
});
