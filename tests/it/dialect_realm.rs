//! The script dialect at the driver: what a script finds in its realm.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::script_harness::*;
use owf::core::event::LogLevel;
use serde_json::json;

/// Runs the expression and gives `NAME: message` of what it throws.
fn thrown_by(expression: &str) -> String {
    let body =
        format!("try {{ await ({expression}); return 'nothing' }} catch (e) {{ return e.name + ': ' + e.message }}");
    value_of(&body).as_str().unwrap_or_default().to_owned()
}

#[test]
fn dialect_13_the_clock_and_chance_throw_by_every_way() {
    for expression in [
        "Date.now()",
        "new Date()",
        "Date()",
        "Date(0)",
        "new Date(0).constructor.now()",
        "new (new Date(0).constructor)()",
        "Math.random()",
        "Reflect.construct(Date, [])",
        "Reflect.apply(Date, null, [])",
        "globalThis['Da' + 'te'].now()",
        "new (class extends Date {})()",
        "new (Object.getPrototypeOf(class extends Date {}))()",
        "Date.prototype.constructor()",
        "new Date.prototype.constructor()",
        "Reflect.construct(Date, [], Object)",
        "Date.bind(null)()",
        "new (Date.bind(null))()",
        "Date.now.call(Date)",
        "Object.getOwnPropertyDescriptor(Date, 'now').value()",
        "[0].map(Math.random)[0]",
        "new Date(...[])",
        "Reflect.construct(Object, [], Date).getTime()",
    ] {
        let message = thrown_by(expression);
        assert!(message.starts_with("Error: ") || message.starts_with("TypeError: "), "{expression}: {message}");
    }
    for gone in
        ["performance", "Temporal", "Intl", "process", "Deno", "queueMicrotask", "WeakRef", "DOMException", "navigator"]
    {
        assert_eq!(value_of(&format!("return typeof {gone}")), json!("undefined"));
    }
}

#[test]
fn dialect_13_dates_from_given_values_work_in_utc() {
    let body = "
        const d = new Date(0);
        class Day extends Date { label() { return this.toISOString().slice(0, 10) } }
        return [d instanceof Date, d.constructor === Date, Date.parse('2020-01-02'), Date.parse('2020-01-02T03:04:05'),
          Date.parse('2020-01-02T03:04:05+02:00'), Date.parse('2020-01-02T03:04:05Z'), Date.UTC(2020, 0, 2), +new Date(2020, 0, 2),
          new Date('Jan 2, 2020 03:04').getTime(), new Date('Thu, 02 Jan 2020 03:04:05 GMT').getTime(), d.getHours(),
          d.getTimezoneOffset(), String(d), d.toLocaleString(), new Date(NaN) + '', new Day(0).label(), new Day(0) instanceof Date,
          new Date(new Date(5)).getTime(), new Date({ valueOf: () => 7 }).getTime(), JSON.stringify(d), Date.length, Date.name,
          new Date(99, 0).getFullYear(), d.setHours(5), Object.keys(d)]";
    let jan2 = 1_577_923_200_000_u64;
    assert_eq!(
        value_of(body),
        json!([
            true,
            true,
            jan2,
            jan2 + 11_045_000,
            jan2 + 3_845_000,
            jan2 + 11_045_000,
            jan2,
            jan2,
            jan2 + 11_040_000,
            jan2 + 11_045_000,
            0,
            0,
            "Thu Jan 01 1970 00:00:00 GMT+0000 (UTC)",
            "1/1/1970, 12:00:00 AM",
            "Invalid Date",
            "1970-01-01",
            true,
            5,
            7,
            "\"1970-01-01T00:00:00.000Z\"",
            7,
            "Date",
            1999,
            18_000_000,
            []
        ])
    );
}

#[test]
fn dialect_13_the_zone_of_the_machine_does_not_matter() {
    let exe = std::env::current_exe().unwrap();
    let status = std::process::Command::new(exe)
        .args(["--exact", "dialect_realm::dialect_13_dates_from_given_values_work_in_utc"])
        .env("TZ", "XXX-5:30")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn dialect_14_nothing_else_is_there() {
    let body = "return ['fetch','require','process','Buffer','module','exports','__dirname','global','self','window','queueMicrotask',
        'setInterval','setImmediate','structuredClone','TextEncoder','atob','btoa','crypto','performance','WebAssembly',
        'SharedArrayBuffer','Atomics','WeakRef','FinalizationRegistry','AbortController','Event','Blob','Bun','Deno','std','os','print',
        'scriptArgs','DOMException','InternalError','gc'].filter(n => n in globalThis)";
    assert_eq!(value_of(body), json!([]));
    assert_eq!(
        value_of("return Object.keys(globalThis).join()"),
        json!("log,phase,console,budget,setTimeout,clearTimeout,Date,agent,parallel,pipeline,workflow,args,owf")
    );
    assert_eq!(
        value_of(
            "return ['Map','Proxy','Iterator','DisposableStack','Float16Array','escape','BigInt','URL'].filter(n => !(n in globalThis))"
        ),
        json!([])
    );
}

#[test]
fn dialect_14_code_from_text_is_refused_by_every_way() {
    for expression in [
        "eval('1')",
        "(0, eval)('1')",
        "new Function('return 1')",
        "Function('return 1')()",
        "(() => {}).constructor('return 1')()",
        "(async () => {}).constructor('return 1')()",
        "(function* () {}).constructor('yield 1')",
        "(async function* () {}).constructor('yield 1')",
        "Reflect.construct(Function, ['return 1'])",
        "new (class extends Function {})('return 1')",
        "Object.getPrototypeOf((async () => {}).constructor)('return 1')",
        "agent.constructor('return 1')()",
        "Date.constructor('return 1')()",
        "eval.constructor('return 1')()",
        "Reflect.getPrototypeOf(async () => {}).constructor('x')",
        "Array.fromAsync.constructor('x')",
        "[].map.constructor('return globalThis')()",
        "class {}.constructor('x')",
        "Function.prototype.constructor('x')",
    ] {
        let message = thrown_by(expression);
        assert!(message.starts_with("EvalError: "), "{expression}: {message}");
    }
    assert_eq!(value_of("return [(() => {}) instanceof Function, agent instanceof Function]"), json!([true, true]));
    assert!(thrown_by("import('fs')").starts_with("ReferenceError"), "{}", thrown_by("import('fs')"));
    assert_eq!(value_of("setTimeout('globalThis.x = 1', 0); await agent(1); return typeof x"), json!("undefined"));
}

#[test]
fn dialect_15_the_body_is_strict() {
    assert!(thrown_by("undeclared = 1").starts_with("ReferenceError"));
    assert_eq!(value_of("return typeof this"), json!("undefined"));
    assert!(thrown_by("agent = 1").starts_with("TypeError"));
}

#[test]
fn dialect_15_hooks_are_shadowed_by_declaration() {
    assert_eq!(
        value_of("const agent = () => 7; const args = 1; var phase = 2; return [agent(), args, phase]"),
        json!([7, 1, 2])
    );
}

#[test]
fn dialect_16_a_timer_of_no_delay_fires_after_microtasks_without_arguments() {
    let body = "
        const seen = [];
        setTimeout((...a) => seen.push('timer ' + a.length), 0, 'x');
        setTimeout(() => { seen.push('throws'); throw new Error('lost') });
        setTimeout(async () => { throw new Error('lost too') }, -1);
        const id = setTimeout(() => seen.push('cleared'), 0);
        clearTimeout(id);
        clearTimeout(undefined); clearTimeout(99);
        Promise.resolve().then(() => seen.push('micro'));
        seen.push(typeof id);
        await new Promise(r => setTimeout(r, 0));
        return seen";
    let ran = run(body);
    assert_eq!(ran.value(), json!(["number", "micro", "timer 0", "throws"]));
    assert_eq!(ran.calls, []);
}

#[test]
fn dialect_16_a_pending_timer_does_not_delay_the_end() {
    let ran = run("setTimeout(() => log('never'), 0); setTimeout(() => log('late'), 5000); return 1");
    assert_eq!((ran.value(), ran.logs()), (json!(1), vec![]));
    assert_eq!(ran.calls.len(), 1);
    assert_eq!(ran.calls[0].ask.timer_ms, Some(5000));
}

#[test]
fn dialect_16_a_longer_timer_is_a_call_and_can_be_cleared() {
    let ran = run(
        "const t = setTimeout(() => log('no'), 10); await new Promise(r => setTimeout(r, 20.7)); clearTimeout(t); return 1",
    );
    assert_eq!(ran.value(), json!(1));
    assert_eq!(ran.logs(), ["no"], "it fired first");
    let ran = run("const t = setTimeout(() => log('no'), 10); clearTimeout(t); await agent('x'); return 1");
    assert_eq!((ran.value(), ran.logs(), ran.cancelled()), (json!(1), vec![], vec![1]));
}

#[test]
fn dialect_17_an_unhandled_rejection_is_swallowed() {
    assert_eq!(
        value_of("Promise.reject(new Error('x')); (async () => { throw 1 })(); await agent('a'); return 2"),
        json!(2)
    );
}

#[test]
fn dialect_18_console_writes_log_lines() {
    let ran = run("
        console.log('a', 1, { b: [2] }, undefined, null); console.info('i'); console.debug('d'); console.warn('w'); console.error('e', new Error('boom'));
        return Object.keys(console).join()");
    assert_eq!(ran.value(), json!("log,info,debug,warn,error"));
    assert_eq!(
        ran.leveled_logs(),
        [
            (LogLevel::Info, "a 1 {\"b\":[2]}  null".to_owned()),
            (LogLevel::Info, "i".to_owned()),
            (LogLevel::Debug, "d".to_owned()),
            (LogLevel::Warn, "[warn] w".to_owned()),
            (LogLevel::Error, "[error] e Error: boom".to_owned()),
        ]
    );
}

#[test]
fn dialect_19_log_shows_one_argument() {
    let ran = run(
        "return [log('a', 'b'), log({ a: 1 }), log([1]), log(undefined), log(null), log(4), log('x\\ny'), log(Symbol('s'))]",
    );
    assert_eq!(ran.logs(), ["a", "[object]", "[object]", "undefined", "null", "4", "x\ny", "Symbol(s)"]);
}

#[test]
fn dialect_21_budget_is_frozen_and_unlimited_without_a_target() {
    assert_eq!(
        value_of(
            "return [Object.isFrozen(budget), Object.getPrototypeOf(budget), budget.remaining() === Infinity, budget.total, budget.spent()]"
        ),
        json!([true, null, true, null, 0])
    );
}

#[test]
fn replaced_intrinsics_do_not_break_the_host() {
    let body = "
        for (const [o, names] of [[Array.prototype, ['map', 'push', 'forEach', 'join', Symbol.iterator]], [Promise.prototype, ['then', 'catch']],
          [Map.prototype, ['get', 'set', 'has', 'delete']], [WeakMap.prototype, ['get', 'set', 'has']], [Set.prototype, ['add', 'has', 'delete']],
          [String.prototype, ['isWellFormed', 'toWellFormed', 'slice', 'indexOf']], [Function.prototype, ['call', 'apply', 'bind']],
          [JSON, ['parse', 'stringify']], [Reflect, ['apply', 'construct']], [Object, ['keys', 'freeze']]].values?.call
          ? Object.entries({}) : []) {}
        const broken = () => { throw new Error('broken') };
        Array.prototype.map = Array.prototype.push = Array.prototype.forEach = Array.prototype[Symbol.iterator] = broken;
        Promise.prototype.then = Promise.prototype.catch = broken;
        Map.prototype.get = Map.prototype.set = Map.prototype.has = Map.prototype.delete = broken;
        WeakMap.prototype.get = WeakMap.prototype.set = WeakMap.prototype.has = broken;
        Set.prototype.add = Set.prototype.has = Set.prototype.delete = broken;
        String.prototype.isWellFormed = String.prototype.slice = String.prototype.indexOf = broken;
        Function.prototype.call = Function.prototype.apply = Function.prototype.bind = broken;
        JSON.parse = JSON.stringify = Reflect.apply = Object.keys = Array.isArray = broken;
        Object.prototype.toJSON = broken;
        globalThis.Promise = broken; globalThis.Error = broken;
        const a = await agent('x', { label: 'l' });
        const b = await parallel([() => agent('y'), () => { throw 'z' }]);
        const c = await pipeline([1], v => agent('p' + v), (v, i) => ({ v, i }));
        const d = await owf.parallel([() => owf.agent('q')], { concurrency: 1 });
        return { a, b, c, d: d[0].value }";
    assert_eq!(
        value_of(body),
        json!({"a": "answer to x", "b": ["answer to y", null], "c": [{"v": "answer to p1", "i": 1}], "d": "answer to q"})
    );
}

#[test]
fn urls_are_parsed() {
    let body = "
        const u = new URL('../c/./d%20e?q=a+b&x=%C3%A4#h', 'https://User:pw@Example.com:443/a/b');
        u.searchParams.append('n', '1 2');
        return [u.href, u.host, u.pathname, u.searchParams.get('q'), u.searchParams.get('x'), u.searchParams.get('none'), u.hash, u.origin,
          [...u.searchParams.keys()], URL.canParse('nope'), new URL('http://a.b:8080').href, `${new URL('mailto:x@y.z')}`,
          new URL('https://x.y/a b').pathname, (() => { try { new URL('x') } catch (e) { return e.name } })()]";
    assert_eq!(
        value_of(body),
        json!([
            "https://User:pw@example.com/c/d%20e?q=a+b&x=%C3%A4&n=1+2#h",
            "example.com",
            "/c/d%20e",
            "a b",
            "ä",
            null,
            "#h",
            "https://example.com",
            ["q", "x", "n"],
            false,
            "http://a.b:8080/",
            "mailto:x@y.z",
            "/a%20b",
            "TypeError"
        ])
    );
}

#[test]
fn locale_functions_behave_like_english() {
    assert_eq!(
        value_of("return [['Z','a','b','ä','10','9','_'].sort((x, y) => x.localeCompare(y)).join(' '), (1234.5).toLocaleString(),
            (-1234567.891).toLocaleString('en-US', { maximumFractionDigits: 1 }), 'a10'.localeCompare('a9', undefined, { numeric: true }),
            'a'.localeCompare('A', 'en', { sensitivity: 'base' }), 'a'.localeCompare('A'), 12345678901234567890n.toLocaleString(), (0).toLocaleString()]"),
        json!(["_ 10 9 a ä b Z", "1,234.5", "-1,234,567.9", 1, 0, -1, "12,345,678,901,234,567,890", "0"])
    );
}
