// Puts the globals in place and hands the entry points to the host.

const owf = {
  agent: OWF.agent,
  parallel: OWF_FANS.parallel,
  pipeline: OWF_FANS.pipeline,
  approve: OWF.approve,
  tool: OWF.tool,
  sleep: OWF.sleep,
  log: OWF.log,
  state: {},
  budget: freeze({ tokens: accounts.tokens, cost: accounts.cost, calls: accounts.calls, canSpend, reserve }),
};
freeze(owf);

const consoleObject = {
  log: writer(LEVEL.info, ''),
  info: writer(LEVEL.info, ''),
  debug: writer(LEVEL.debug, ''),
  warn: writer(LEVEL.warn, '[warn] '),
  error: writer(LEVEL.error, '[error] '),
};
objectKeys(consoleObject).forEach((name) => defineProperty(consoleObject[name], 'name', { value: name }));

// Enumerable in this order: it is what `Object.keys(globalThis)` shows. A script replaces hooks by declaring them.
const hook = (name, value) => defineProperty(globalThis, name, { value, enumerable: true });
const open = (name, value) => defineProperty(globalThis, name, { value, enumerable: true, writable: true, configurable: true });
hook('log', HOOKS.log);
hook('phase', HOOKS.phase);
open('console', consoleObject);
hook('budget', budget);
hook('setTimeout', HOOKS.setTimeout);
hook('clearTimeout', HOOKS.clearTimeout);
hook('Date', SafeDate);
hook('agent', HOOKS.agent);
hook('parallel', FAN_HOOKS.parallel);
hook('pipeline', FAN_HOOKS.pipeline);
hook('workflow', HOOKS.workflow);
open('args', args === undefined ? undefined : parse(args));
hook('owf', owf);
hide(globalThis, 'URL', URL);

const fail = (error, code) => {
  const call = callOf(error);
  host.failed(code, nameOf(error), messageOf(error), stackOf(error), call === undefined ? 0 : call.id, error === null);
};
const launch = async (main) => {
  let value;
  try {
    value = await main();
  } catch (error) {
    fail(error, 0);
    return;
  }
  let text;
  try {
    text = encode(value, 'the returned value');
  } catch (error) {
    fail(error, 1);
    return;
  }
  host.returned(text);
};

return { launch, deliver, tick };
