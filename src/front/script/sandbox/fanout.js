// Fan-outs: the dialect's `parallel` and `pipeline`, and the bounded ones of `owf`.
//
// A slot of a bounded fan-out knows the calls made on its behalf: those requested while its thunk or stage runs
// synchronously, and those requested while the outcome of one of its calls is being delivered (one outcome is delivered at a
// time, so what the script does then follows from it). A call made after awaiting something else than a call belongs to no
// slot: fail-fast does not cancel it.
//
// owf.parallel(thunks, ...stages?, {concurrency, failFast, stopOnError}?) and owf.pipeline(items, ...stages, {...}?): with stages
// the two differ only in that `owf.parallel` calls entries that are functions. A slot fails when it throws, when its value is a
// result object that is not ok, or when its value is `null` and one of its calls failed; it then holds a result object. After
// a failure `failFast` cancels everything else at once; `stopOnError` starts no slot and no stage any more and waits for what
// runs.

const BUDGET_ERROR = 'WorkflowBudgetExceededError';
const CAP_ERROR = 'WorkflowAgentCapError';

// The entries as they are now; later changes of the script's array do not matter.
const takeList = (what, list, name) => {
  if (!isArray(list)) throw new SafeTypeError(`${what}() takes an array of ${name}`);
  const length = list.length;
  if (length > host.fanOut) {
    throw new SafeError(`${what}() takes at most ${host.fanOut} ${name}, not ${length}: split them into batches`);
  }
  const copy = new SafeArray(length);
  for (let i = 0; i < length; i++) copy[i] = list[i];
  return copy;
};
const checkThunks = (what, list) => {
  for (let i = 0; i < list.length; i++) {
    if (typeof list[i] !== 'function') {
      const found = list[i] === undefined ? 'missing' : isObject(list[i]) ? 'an object or a promise' : `a ${typeof list[i]}`;
      throw new SafeTypeError(`${what}() takes functions, but entry ${i} is ${found}: write () => agent(...)`);
    }
  }
};
const checkStages = (what, stages) => {
  for (let i = 0; i < stages.length; i++) {
    if (typeof stages[i] !== 'function') throw new SafeTypeError(`${what}() takes functions as stages, but stage ${i} is not one`);
  }
};
// Runs user code on behalf of a slot.
const enter = (slot, fn) => {
  const before = currentSlot;
  currentSlot = slot;
  try {
    return fn();
  } finally {
    currentSlot = before;
  }
};
const enterStage = (slot, fn, previous, original, index) => {
  const before = currentSlot;
  currentSlot = slot;
  try {
    return fn(previous, original, index);
  } finally {
    currentSlot = before;
  }
};

// --- of the dialect: failures become null --------------------------------------------------------------------------------

const countDrop = (fan, name, message) => {
  const drop = fan[name];
  if (drop === undefined) fan[name] = { count: 1, message };
  else drop.count++;
};
const dropped = (fan, index, error) => {
  const place = `${fan.what}[${index}]`;
  const message = messageOf(error);
  const call = callOf(error);
  const name = nameOf(error);
  if (name === BUDGET_ERROR || name === CAP_ERROR) countDrop(fan, name, message);
  else host.log(LEVEL.warn, `${place} failed: ${message}`, undefined);
  host.swallowed(place, message, stackOf(error), call === undefined ? 0 : call.id);
};
const reportDrops = (fan, name) => {
  const drop = fan[name];
  if (drop !== undefined) {
    host.log(LEVEL.warn, `${fan.what}: ${drop.count} of ${fan.results.length} slots dropped: ${drop.message}`, undefined);
  }
};
const runSlot = async (fan, index) => {
  try {
    fan.results[index] = await fan.body(index);
  } catch (error) {
    fan.results[index] = null;
    dropped(fan, index, error);
  }
  if (--fan.left === 0) {
    reportDrops(fan, BUDGET_ERROR);
    reportDrops(fan, CAP_ERROR);
    fan.resolve(fan.results);
  }
};
// The first slot starts in a later microtask than the call.
const runFan = async (what, length, body) => {
  await undefined;
  if (length === 0) return [];
  const results = new SafeArray(length);
  return await new SafePromise((resolve) => {
    const fan = { __proto__: null, what, results, left: length, body, resolve };
    for (let i = 0; i < length; i++) runSlot(fan, i);
  });
};
const dialectParallel = promising((thunks) => {
  const list = takeList('parallel', thunks, 'functions');
  checkThunks('parallel', list);
  const slot = currentSlot;
  return runFan('parallel', list.length, (i) => {
    const thunk = list[i];
    return enter(slot, thunk);
  });
});
const dialectPipeline = promising((items, stages) => {
  const list = takeList('pipeline', items, 'items');
  if (list.length > 0) checkStages('pipeline', stages);
  const slot = currentSlot;
  return runFan('pipeline', list.length, async (i) => {
    const original = await list[i];
    let value = original;
    for (let s = 0; s < stages.length && value !== null; s++) {
      value = await enterStage(slot, stages[s], value, original, i);
    }
    return value;
  });
});

// --- of owf: bounded, failures become result objects ---------------------------------------------------------------------

const CUT = freeze({ __proto__: null });
const isFunction = (value) => typeof value === 'function';
const readFanOptions = (what, rest) => {
  const stages = [];
  let options;
  for (let i = 0; i < rest.length; i++) {
    const value = rest[i];
    if (isFunction(value)) stages[stages.length] = value;
    else if (i === rest.length - 1 && (value === undefined || value === null || (typeof value === 'object' && !isArray(value)))) {
      options = value;
    } else throw new SafeTypeError(`${what}() takes functions as stages and then one object of options`);
  }
  const settings = { __proto__: null, concurrency: Infinity, failFast: false, stopOnError: false };
  if (options !== undefined && options !== null) {
    const { concurrency } = options;
    if (concurrency !== undefined && concurrency !== null) {
      if (typeof concurrency !== 'number' || !(concurrency >= 1) || (concurrency !== Infinity && floor(concurrency) !== concurrency)) {
        throw new SafeTypeError(`${what}() option "concurrency" must be a whole number of at least 1`);
      }
      settings.concurrency = concurrency;
    }
    settings.failFast = options.failFast === true;
    settings.stopOnError = options.stopOnError === true;
  }
  return { __proto__: null, stages, settings };
};
const cancelledSlot = () =>
  failedResult('cancelled', 'cancelled', 'the slot was cancelled because another slot failed', undefined);

const finishSlot = (fan, slot, value) => {
  if (slot.done) return;
  slot.done = true;
  fan.running--;
  fan.results[slot.index] = value;
  fan.left--;
  if (isFailedResult(value) && fan.settings.stopOnError) fan.cut = true;
  if (isFailedResult(value) && fan.settings.failFast) {
    fan.cut = true;
    for (let i = 0; i < fan.started; i++) {
      const other = fan.slots[i];
      if (other.done) continue;
      other.done = true;
      fan.left--;
      fan.results[i] = cancelledSlot();
      for (let c = 0; c < other.calls.length; c++) if (table.has(other.calls[c])) host.cancel(other.calls[c], false);
    }
    fan.running = 0;
  }
  startSlots(fan);
};
const runBounded = async (fan, slot) => {
  let value;
  try {
    value = await fan.body(fan, slot);
  } catch (error) {
    value = error === CUT ? cancelledSlot() : resultOfError(error);
  }
  const failure = slot.failure;
  if (value === null && failure !== null && failure.full !== undefined) value = brand(parse(failure.full), failure);
  finishSlot(fan, slot, value);
};
const startSlots = (fan) => {
  while (!fan.cut && fan.started < fan.length && fan.running < fan.settings.concurrency) {
    const index = fan.started++;
    const slot = { __proto__: null, index, parent: fan.parent, calls: [], failure: null, done: false };
    fan.slots[index] = slot;
    fan.running++;
    runBounded(fan, slot);
  }
  while (fan.cut && fan.started < fan.length) {
    fan.results[fan.started++] = cancelledSlot();
    fan.left--;
  }
  if (fan.left === 0) fan.resolve(fan.results);
};
const runBoundedFan = async (length, settings, parent, body) => {
  await undefined;
  if (length === 0) return [];
  return await new SafePromise((resolve) => {
    startSlots({
      __proto__: null, length, settings, parent, body, resolve,
      results: new SafeArray(length), slots: new SafeArray(length), left: length, started: 0, running: 0, cut: false,
    });
  });
};
// Awaits the item (calls it first when it is a thunk), then runs it through the stages. `null` and a failed result object end
// an item; a fan-out that was cut ends it at the next stage.
const bounded = (what, list, rest, thunks) => {
  try {
    const items = takeList(what, list, thunks ? 'functions' : 'items');
    const { stages, settings } = readFanOptions(what, rest);
    if (thunks && stages.length === 0) checkThunks(what, items);
    return runBoundedFan(items.length, settings, currentSlot, async (fan, slot) => {
      const item = items[slot.index];
      const original = await (thunks && isFunction(item) ? enter(slot, item) : item);
      let value = original;
      for (let s = 0; s < stages.length; s++) {
        if (value === null || isFailedResult(value)) break;
        if (slot.done || fan.cut) throw CUT;
        value = await enterStage(slot, stages[s], value, original, slot.index);
      }
      return value;
    });
  } catch (error) {
    return rejected(error);
  }
};

const FAN_HOOKS = {
  parallel(thunks) {
    return dialectParallel(thunks);
  },
  pipeline(items, ...stages) {
    return dialectPipeline(items, stages);
  },
};
const OWF_FANS = {
  parallel(list, ...rest) {
    return bounded('owf.parallel', list, rest, true);
  },
  pipeline(items, ...rest) {
    return bounded('owf.pipeline', items, rest, false);
  },
};
