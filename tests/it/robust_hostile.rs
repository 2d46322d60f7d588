//! Hostile scripts with the real binary: each ends as a failed run within its limit, while another run goes on untouched.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::robust_local::script;
use crate::support::cli::{Place, Printed, printed};

/// Runs a script under small limits: 24 MB, and 400 ms without a pause where that is the limit it is to meet. The others
/// take their time on a busy machine.
fn limited(place: &Place, name: &str, body: &str, code: &str) -> (Printed, Duration) {
    let file = format!("{name}.js");
    place.file(&file, &script(body));
    let mut command = place.command(&["run", &file, "--no-input", "--json", "--quiet"]);
    command
        .env("OWF_SYNC_LIMIT_MS", if code == "sync_timeout" { "400" } else { "15000" })
        .env("OWF_MEMORY_LIMIT_MB", "24");
    let begun = Instant::now();
    let printed = printed(&command.output().unwrap());
    (printed, begun.elapsed())
}

/// Name, body, code of the failed run, part of its message.
const HOSTILE: [(&str, &str, &str, &str); 19] = [
    ("loop", "for (;;) {}", "sync_timeout", "without waiting"),
    (
        "loop-after-a-call",
        "await agent('a'); try { for (;;) {} } finally { for (;;) {} }",
        "sync_timeout",
        "without waiting",
    ),
    (
        "microtasks",
        "const f = () => { Promise.resolve().then(f) }; f(); await new Promise(() => {})",
        "sync_timeout",
        "without waiting",
    ),
    ("timers", "const f = () => setTimeout(f, 0); f(); await new Promise(() => {})", "sync_timeout", "without waiting"),
    ("regex", "return /^(a+)+$/.test('a'.repeat(40) + 'b')", "sync_timeout", "without waiting"),
    ("memory", "const a = []; for (;;) a.push(new Array(1000).fill(1))", "out_of_memory", "24 MB"),
    ("buffers", "const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))", "out_of_memory", "24 MB"),
    ("strings", "let s = 'x'; const a = []; for (;;) { s += s; a.push(s + a.length) }", "", ""),
    ("recursion", "const f = () => f() + 1; return f()", "script_error", "stack"),
    ("never", "await new Promise(() => {})", "deadlock", "waits for something that cannot happen"),
    ("never-after-a-call", "await agent('a'); await Promise.race([])", "deadlock", "waits for"),
    (
        "fan-out",
        "await parallel(Array.from({length: 100000}, (_, i) => () => agent('x' + i)))",
        "script_error",
        "at most 4096 functions, not 100000",
    ),
    ("items", "await pipeline(Array.from({length: 100000}), x => agent('x'))", "script_error", "at most 4096"),
    ("many-calls", "await Promise.all(Array.from({length: 3000}, (_, i) => agent('x' + i)))", "call_cap", "1000"),
    ("bigint", "return 1n", "result_not_json", "returned value"),
    ("cycle", "const a = []; a.push(a); return a", "result_not_json", "returned value"),
    ("function", "return () => 1", "result_not_json", "returned value"),
    ("throws-null", "throw null", "script_error", "null"),
    (
        "throws-a-liar",
        "throw { get message() { throw 1 }, get name() { throw 2 }, toString() { throw 3 } }",
        "script_error",
        "",
    ),
];

#[test]
fn hostile_scripts_end_as_failed_runs_while_another_process_goes_on() {
    let place = Place::new();
    let calm = "const out = []; for (let i = 0; i < 120; i++) out.push(await agent('calm ' + i)); return out.length";
    place.file("calm.js", &script(calm));
    place.file("calm.yaml", "owf_fixtures: 1\ndefaults: { delay_ms: 20 }\nrules:\n  - text: fine\n");
    let other = place
        .command(&["run", "calm.js", "--fixtures", "calm.yaml", "--no-input", "--json", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for (name, body, code, message) in HOSTILE {
        let (printed, took) = limited(&place, name, body, code);
        assert_eq!(printed.code, 1, "{name}: {printed:?}");
        // Thousands of calls take their time where every core is busy; a loop does not.
        let most = Duration::from_secs(if code == "sync_timeout" { 20 } else { 60 });
        assert!(took < most, "{name} took {took:?}");
        let view = printed.json();
        assert_eq!(view["status"], "failed", "{name}");
        let error = &view["error"];
        let text = error["message"].as_str().unwrap();
        if code.is_empty() {
            assert!(matches!(error["code"].as_str(), Some("out_of_memory" | "script_error")), "{name}: {error}");
        } else {
            assert_eq!(error["code"], code, "{name}: {error}");
        }
        assert!(text.contains(message) && !text.is_empty(), "{name}: {error}");
    }
    let calm = printed(&other.wait_with_output().unwrap());
    assert_eq!((calm.code, &calm.json()["output"]), (0, &json!(120)), "{calm:?}");
    assert_eq!(place.store().integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_built_in_that_never_yields_meets_the_hard_wall_and_the_process_ends() {
    let place = Place::new();
    // The call that is open when the wall comes is journaled as cancelled, and files and journal say the same.
    let body = "const open = agent('open', {label: 'open'}); await agent('first'); return (new Array(1e9) + '').length";
    place.file("slow.yaml", "owf_fixtures: 1\nrules:\n  - match: {label: open}\n    never: true\n  - text: fine\n");
    place.file("wall.js", &script(body));
    let begun = Instant::now();
    let mut command = place.command(&["run", "wall.js", "--fixtures", "slow.yaml", "--no-input", "--json", "--quiet"]);
    let wall = printed(&command.env("OWF_SYNC_LIMIT_MS", "200").output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(32), "{:?}", begun.elapsed());
    assert_eq!(wall.code, 1, "{wall:?}");
    let view = wall.json();
    assert_eq!((&view["status"], &view["error"]["code"]), (&json!("failed"), &json!("sync_timeout")));
    let message = view["error"]["message"].as_str().unwrap();
    assert!(message.contains("(limit 200 ms) and did not react to being stopped"), "{message}");
    let counts = &view["counts"];
    assert_eq!(
        (&counts["total"], &counts["done"], &counts["cancelled"], &counts["running"]),
        (&json!(2), &json!(1), &json!(1), &json!(0))
    );
    let run = view["run_id"].as_str().unwrap();
    let summary = std::fs::read_to_string(place.home().join("runs").join(run).join("summary.md")).unwrap();
    assert!(summary.contains("- status: failed\n- ") && summary.contains("sync_timeout"), "{summary}");
    assert!(!place.store().is_live(&run.parse().unwrap()));
    // It is a failed run like any other: a new one takes over what was finished.
    place.file(
        "wall.js",
        &script(
            &body
                .replace("(new Array(1e9) + '').length", "'better'")
                .replace("const open = agent('open', {label: 'open'}); ", ""),
        ),
    );
    let better = place.json(&["resume", run, "--source", "current", "--no-input", "--json", "--quiet"]);
    assert_eq!((&better["output"], &better["counts"]["replayed"]), (&json!("better"), &json!(1)));
}

#[test]
fn the_hard_wall_ends_a_hanging_child_with_its_parent_and_a_detached_run_by_itself() {
    let place = Place::new();
    place.file("child.js", &script("await agent('in the child'); return (new Array(1e9) + '').length"));
    place.file("parent.js", &script("await agent('before'); return await workflow({scriptPath: 'child.js'})"));
    let mut command = place.command(&["run", "parent.js", "--no-input", "--json", "--detach"]);
    let started = printed(&command.env("OWF_SYNC_LIMIT_MS", "200").output().unwrap());
    assert_eq!(started.code, 0, "{started:?}");
    let run = started.json()["run_id"].as_str().unwrap().to_owned();
    let waited = place.owf(&["wait", &run, "--json", "--timeout", "60"]);
    let view = waited.json();
    assert_eq!((waited.code, &view["error"]["code"]), (1, &json!("sync_timeout")), "{waited:?}");
    let store = place.store();
    let id = run.parse().unwrap();
    let children = store.children(&id).unwrap();
    let ends: Vec<_> = children
        .iter()
        .map(|c| store.run(&c.run_id).unwrap().unwrap().outcome.unwrap().error.unwrap().code.as_str())
        .collect();
    assert_eq!(ends, ["sync_timeout"]);
    crate::support::cli::eventually(Duration::from_secs(1), "the process is gone", || !store.is_live(&id));
}

#[test]
fn stdout_carries_only_results_whatever_a_script_says() {
    let place = Place::new();
    let body = "
        console.log('to stdout?'); console.error('x'); console.info({a: 1}); console.debug([1]); console.warn(new Error('w'));
        log('\\u001b[2J\\u001b]0;title\\u0007 escape'); log('a\\nb'); log(''); log(undefined); log({toString() { return 'obj' }});
        phase('P\\n\\u001b[31m'); phase(''); owf.log('structured', {a: [1, {b: null}]});
        globalThis.print?.('printed'); globalThis.std?.out?.puts?.('printed');
        await agent('x\\u001b[2J', {label: 'l\\u001b[2J\\nl'});
        return {only: 'this'}";
    place.file("w.js", &script(body));
    let result = place.owf(&["run", "w.js", "--no-input", "--result"]);
    assert_eq!((result.code, result.out.as_str()), (0, "{\n  \"only\": \"this\"\n}\n"), "{result:?}");
    assert!(!result.err.contains('\u{1b}'), "a terminal is not steered: {:?}", result.err);
    let json = place.owf(&["run", "w.js", "--no-input", "--json"]);
    assert_eq!(json.json()["output"], json!({"only": "this"}));
    let lines = place.owf(&["run", "w.js", "--no-input"]).out;
    let names: Vec<&str> = lines.lines().map(|l| l.split(": ").next().unwrap()).collect();
    assert_eq!(names, ["run_id", "status", "run_dir"]);
    for line in place.owf(&["run", "w.js", "--no-input", "--events"]).out.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["type"].is_string(), "{event}");
    }
}

#[test]
fn ten_thousand_phases_and_twenty_megabytes_of_log_are_no_trouble() {
    let place = Place::new();
    let body = "for (let i = 0; i < 10000; i++) phase('phase ' + i); for (let i = 0; i < 2000; i++) log('x'.repeat(10000)); log('last'); return 'done'";
    place.file("w.js", &script(body));
    let printed = place.owf(&["run", "w.js", "--no-input", "--result", "--quiet"]);
    assert_eq!((printed.code, printed.out.as_str()), (0, "done\n"));
    let status = place.owf(&["status"]);
    assert_eq!(status.code, 0);
    assert!(status.out.len() < 20_000, "a screen, not {} bytes", status.out.len());
    let events = place.owf(&["events", "latest", "--json"]);
    assert_eq!(events.code, 0);
    assert_eq!(place.store().integrity_check().unwrap(), Vec::<String>::new());
}

/// What a script can try in order to see time, chance, or another machine. Each line of the answer is the same everywhere.
const BYPASSES: &str = r"
const G = globalThis, get = n => G[n];
const tries = {
  'Date.now': () => get('Date')['now'](),
  'new Date': () => +new (get('Date'))(),
  'Date()': () => get('Date')(),
  'new Date(undefined)': () => String(+new Date(undefined)),
  'Reflect.construct': () => +Reflect.construct(get('Date'), []),
  'Reflect.construct with another target': () => +Reflect.construct(get('Date'), [], Object),
  'extends Date': () => +new (class extends get('Date') {})(),
  'constructor of a date': () => new Date(0).constructor['now'](),
  'constructor of Date.prototype': () => get('Date').prototype.constructor['now'](),
  'prototype of a subclass': () => Object.getPrototypeOf(class extends get('Date') {})['now'](),
  'bound Date': () => +new (get('Date').bind(null))(),
  'Date by apply': () => Reflect.apply(get('Date'), null, []),
  'zone': () => new Date(0).getTimezoneOffset() + ' ' + new Date(0).getHours(),
  'local text': () => new Date(0).toString(),
  'Math.random': () => get('Math')['random'](),
  'shuffled sort': () => [3, 1, 2].sort(() => get('Math')['random']() - 0.5),
  'Intl': () => typeof G['Intl'],
  'Temporal': () => typeof G['Temporal'],
  'performance': () => typeof G['performance'],
  'crypto': () => typeof G['crypto'],
  'WeakRef': () => typeof G['WeakRef'],
  'FinalizationRegistry': () => typeof G['FinalizationRegistry'],
  'Atomics.wait': () => get('Atomics')['wait'](new Int32Array(new (get('SharedArrayBuffer'))(4)), 0, 0, 10),
  'process': () => typeof G['process'],
  'require': () => typeof G['require'],
  'std, os': () => typeof G['std'] + typeof G['os'] + typeof G['scriptArgs'] + typeof G['print'] + typeof G['gc'],
  'fetch': () => typeof G['fetch'] + typeof G['XMLHttpRequest'] + typeof G['WebSocket'],
  'Worker': () => typeof G['Worker'] + typeof G['Deno'] + typeof G['Bun'],
  'eval': () => get('eval')('1 + 1'),
  'indirect eval': () => (0, G['eval'])('1 + 1'),
  'Function': () => get('Function')('return 1')(),
  'constructor of a function': () => (() => 1).constructor('return 1')(),
  'constructor of an async function': () => (async () => 1).constructor('return 1')(),
  'constructor of a generator': () => (function* () {}).constructor('yield 1')(),
  'constructor of an async generator': () => (async function* () {}).constructor('yield 1')(),
  'constructor of a hook': () => agent.constructor('return 1')(),
  'constructor of a method': () => [].map.constructor('return 1')(),
  'Reflect.construct of Function': () => Reflect.construct((() => 1).constructor, ['return 1'])(),
  'text to a timer': () => setTimeout('1 + 1', 0),
  'locale': () => (1234.5).toLocaleString() + ' ' + new Date(0).toLocaleString(),
  'stack': () => new Error('x').stack.includes('/'),
  'order of keys': () => Object.keys({ b: 1, a: 2, 1: 3, 0: 4 }).join(),
  'order of names': () => Object.getOwnPropertyNames(G).length === Object.getOwnPropertyNames(G).length,
};
const seen = {};
for (const [name, f] of Object.entries(tries)) {
  try { seen[name] = String(await f()) } catch (e) { seen[name] = 'throws ' + (e?.message ?? e) }
}
return seen";

#[test]
fn no_bypass_sees_time_chance_or_the_machine() {
    let place = Place::new();
    place.file("w.js", &script(BYPASSES));
    let run = |zone: &str| {
        let mut command = place.command(&["run", "w.js", "--no-input", "--json", "--quiet"]);
        command.env("TZ", zone).env("LANG", "de_DE.UTF-8").env("LC_ALL", "de_DE.UTF-8");
        printed(&command.output().unwrap()).json()["output"].clone()
    };
    let (one, two) = (run("Asia/Tokyo"), run("America/New_York"));
    assert_eq!(one, two);
    let throws: Vec<&str> = one
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, v)| v.as_str().unwrap().starts_with("throws "))
        .map(|(k, _)| k.as_str())
        .collect();
    assert_eq!(
        throws,
        [
            "Date.now",
            "new Date",
            "Date()",
            "Reflect.construct",
            "Reflect.construct with another target",
            "extends Date",
            "constructor of a date",
            "constructor of Date.prototype",
            "prototype of a subclass",
            "bound Date",
            "Date by apply",
            "Math.random",
            "shuffled sort",
            "Atomics.wait",
            "eval",
            "indirect eval",
            "Function",
            "constructor of a function",
            "constructor of an async function",
            "constructor of a generator",
            "constructor of an async generator",
            "constructor of a hook",
            "constructor of a method",
            "Reflect.construct of Function",
        ],
        "{one:#}"
    );
    let rest: Value = one
        .as_object()
        .unwrap()
        .iter()
        .filter(|(k, _)| !throws.contains(&k.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    assert_eq!(
        rest,
        json!({
            "new Date(undefined)": "NaN",
            "zone": "0 0",
            "local text": "Thu Jan 01 1970 00:00:00 GMT+0000 (UTC)",
            "Intl": "undefined",
            "Temporal": "undefined",
            "performance": "undefined",
            "crypto": "undefined",
            "WeakRef": "undefined",
            "FinalizationRegistry": "undefined",
            "process": "undefined",
            "require": "undefined",
            "std, os": "undefinedundefinedundefinedundefinedundefined",
            "fetch": "undefinedundefinedundefined",
            "Worker": "undefinedundefinedundefined",
            "text to a timer": "1",
            "locale": "1,234.5 1/1/1970, 12:00:00 AM",
            "stack": "false",
            "order of keys": "0,1,b,a",
            "order of names": "true",
        })
    );
}

#[test]
fn limits_come_from_the_environment_and_a_resume_may_raise_them() {
    let place = Place::new();
    place.file("c.js", &script("return await agent('deepest')"));
    place.file("b.js", &script("return await workflow({scriptPath: 'c.js'})"));
    place.file("a.js", &script("await agent('first'); return (await workflow({scriptPath: 'b.js'})) !== null"));
    let run = place.owf(&["run", "a.js", "--no-input", "--json", "--quiet"]);
    assert_eq!(run.code, 1, "{run:?}");
    let view = run.json();
    assert!(view["error"]["message"].as_str().unwrap().contains("child workflows nest 1 deep at most"), "{view}");
    let id = view["run_id"].as_str().unwrap();
    let mut command = place.command(&["resume", id, "--no-input", "--json", "--quiet"]);
    let resumed = printed(&command.env("OWF_NESTING", "2").output().unwrap());
    assert_eq!((resumed.code, &resumed.json()["output"]), (0, &json!(true)), "{resumed:?}");
    let mut command = place.command(&["run", "a.js", "--json"]);
    let refused = printed(&command.env("OWF_NESTING", "many").env("OWF_SYNC_LIMIT_MS", "-1").output().unwrap());
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (2, &json!("invalid_arguments")), "{refused:?}");
}
