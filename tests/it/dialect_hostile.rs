//! Scripts that mean harm, or went wrong: each ends with an error that says so, and the process lives on.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::Ordering;

use crate::support::script_harness::*;
use owf::core::op::DriverState;
use owf::core::run::{RunError, RunErrorCode};
use serde_json::json;

fn error_within(body: &str, sync_ms: u64, memory_mb: u64) -> RunError {
    let mut config = config(body);
    config.limits.sync_ms = sync_ms;
    config.limits.memory_bytes = memory_mb * 1024 * 1024;
    run_with(config, |_, call| echo(call)).error()
}

#[test]
fn dialect_20_a_synchronous_loop_is_cut() {
    for body in [
        "for (;;) {}",
        "await agent('a'); while (true) {}",
        "try { for (;;) {} } catch { } finally { for (;;) {} }",
        "await parallel([() => { for (;;) {} }])",
        "await pipeline([1], async () => { await null; for (;;) {} })",
        "setTimeout(() => { for (;;) {} }, 0); await new Promise(() => {})",
        "(function f() { try { for (;;) {} } finally { f() } })()",
        "return { get a() { for (;;) {} } }",
        "throw { get message() { for (;;) {} } }",
        "await agent('p', { get label() { for (;;) {} } })",
        "await { then() { for (;;) {} } }",
        "[1, 2].sort(() => { for (;;) {} })",
    ] {
        let error = error_within(body, 100, 64);
        assert_eq!(error.code, RunErrorCode::SyncTimeout, "{body}: {error:?}");
    }
}

#[test]
fn endless_microtasks_and_timers_are_cut() {
    for body in [
        "const f = () => Promise.resolve().then(f); f(); await new Promise(() => {})",
        "for (;;) await null",
        "const f = () => setTimeout(f, 0); f(); await new Promise(() => {})",
    ] {
        assert_eq!(error_within(body, 100, 256).code, RunErrorCode::SyncTimeout, "{body}");
    }
}

#[test]
fn regular_expressions_that_backtrack_are_cut() {
    assert_eq!(error_within("/^(a+)+$/.test('a'.repeat(40) + 'b')", 200, 64).code, RunErrorCode::SyncTimeout);
}

#[test]
fn a_memory_bomb_is_an_error_of_its_own() {
    for body in [
        "const a = []; for (;;) a.push(new Array(1000).fill(1))",
        "const a = []; for (let s = 'x'.repeat(1e6); ;) a.push((s + a.length).toUpperCase())",
        "const a = []; for (;;) a.push({})",
        "await agent('a'); const a = []; const f = () => { a.push(new Uint8Array(1e6)); return Promise.resolve().then(f) }; await f()",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, 'x' + i)",
        "await parallel([async () => { const a = []; for (;;) a.push([1]) }]); const b = []; for (;;) b.push([2])",
        "return (f => f(f, 0))((f, n) => n > 40 ? [] : (x => [x, x])(f(f, n + 1)))",
        "new ArrayBuffer(1e9); new ArrayBuffer(2e9); const a = []; for (;;) a.push(new ArrayBuffer(1e6))",
        "const p = []; for (;;) p.push(new Promise(() => {}))",
        "const f = async () => { await null; await f() }; await f()",
        "const p = []; const f = async () => { for (;;) { p.push({}); await null } }; f(); f(); await f()",
        "const p = []; const f = async () => { for (;;) { try { p.push({}) } catch {} await null } }; f(); f(); await f()",
    ] {
        let error = error_within(body, 20_000, 24);
        assert_eq!(error.code, RunErrorCode::OutOfMemory, "{body}: {error:?}");
    }
}

#[test]
fn deep_recursion_is_a_script_error() {
    for body in [
        "const f = () => f() + 1; f()",
        "const f = n => [n].map(f); f(1)",
        "let o = []; for (let i = 0; i < 1e5; i++) o = [o]; JSON.stringify(o)",
        "JSON.parse('['.repeat(1e6))",
        "new RegExp('('.repeat(1e5) + ')'.repeat(1e5))",
        "class A { get x() { return this.x } } new A().x",
        "const p = new Proxy({}, { get(t, k, r) { return r[k] } }); p.x",
        "const o = { toString() { return '' + this } }; '' + o",
        "let p = [1].values(); for (let i = 0; i < 1e5; i++) p = p.map(x => x); return [...p]",
        "let p = [1].values(); for (let i = 0; i < 1e5; i++) p = p.drop(0).filter(x => x).take(5); return [...p]",
        "let p = [1].values(); for (let i = 0; i < 1e5; i++) { const q = p; p = [1].values().flatMap(() => q) } return [...p]",
        "let p = [1].values(); for (let i = 0; i < 1e5; i++) p = Iterator.from({ next: p.next.bind(p), [Symbol.iterator]() { return this } }); return [...p]",
        "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); return p.x",
        "let p = []; for (let i = 0; i < 1e5; i++) p = [p]; return p.flat(Infinity)",
        "let p = {}; for (let i = 0; i < 1e5; i++) p = { p }; await agent('x', { metadata: p })",
        "let p = (function* () { yield 1 })(); for (let i = 0; i < 1e5; i++) { const q = p; p = (function* () { yield* q })() } return [...p]",
    ] {
        let error = error_within(body, 20_000, 256);
        assert_eq!(error.code, RunErrorCode::ScriptError, "{body}: {error:?}");
    }
    assert_eq!(value_of("const f = () => f() + 1; try { f() } catch (e) { return e.name }"), json!("RangeError"));
}

#[test]
fn iterator_helpers_work() {
    assert_eq!(
        value_of(
            "return [...[1, 2, 3].values().map(x => x + 1).filter(x => x > 2).flatMap((x, i) => [x, i]).drop(1).take(2)]"
        ),
        json!([0, 4])
    );
}

#[test]
fn a_script_may_throw_null() {
    let error = run("throw null").error();
    assert_eq!((error.code, error.message.as_str()), (RunErrorCode::ScriptError, "null"));
}

#[test]
fn a_promise_that_never_settles_is_a_deadlock() {
    assert_eq!(error_within("await new Promise(() => {})", 1000, 64).code, RunErrorCode::Deadlock);
    assert_eq!(error_within("await agent('a'); await new Promise(() => {})", 1000, 64).code, RunErrorCode::Deadlock);
    let cleared = "const t = setTimeout(() => {}, 1000); clearTimeout(t); await new Promise(() => {})";
    assert_eq!(error_within(cleared, 1000, 64).code, RunErrorCode::Deadlock);
    let waiting =
        on_big_stack(|| Stepper::start(config("setTimeout(() => {}, 1000); await new Promise(() => {})")).state);
    assert_eq!(waiting, DriverState::Waiting, "a pending timer may still settle it");
}

#[test]
fn a_cancelled_run_interrupts_its_script() {
    let config = config("for (;;) {}");
    config.abort.store(true, Ordering::Relaxed);
    let error = run_with(config, |_, call| echo(call)).error();
    assert_eq!((error.code, error.message.as_str()), (RunErrorCode::ScriptError, "the run was cancelled"));
}

#[test]
fn a_huge_fan_out_is_refused_before_anything_runs() {
    let ran = run(
        "try { await parallel(Array.from({ length: 100000 }, () => () => agent('x'))) } catch (e) { return e.message }",
    );
    assert_eq!(ran.calls.len(), 0);
    assert!(ran.value().as_str().unwrap().contains("100000"));
}

#[test]
fn errors_that_lie_do_no_harm() {
    let body = "
        const liar = { get message() { throw 1 }, get name() { throw 2 }, get stack() { throw 3 } };
        const odd = new Error('\\ud800'); Object.defineProperty(odd, 'stack', { value: { toString() { throw 4 } } }); odd.name = 7;
        const proxy = new Proxy(new Error('p'), { get() { throw 5 } });
        return await parallel([() => { throw liar }, () => { throw odd }, () => { throw proxy }, () => { throw null }, () => { throw undefined },
          () => { throw () => 1 }, () => { throw Symbol('s') }])";
    let ran = run(body);
    assert_eq!(ran.value(), json!([null, null, null, null, null, null, null]));
    assert_eq!(ran.swallowed().len(), 7);
}

#[test]
fn stacks_cannot_be_intercepted() {
    let body = "
        let seen = 0; Error.prepareStackTrace = () => { seen++; return 'forged' }; Error.stackTraceLimit = 0;
        await agent('x'); return [seen, typeof new Error('y').stack]";
    let ran = run(body);
    assert_eq!(ran.value(), json!([0, "string"]));
    assert_eq!(ran.calls[0].site.map(|site| site.line), Some(3));
}

#[test]
fn a_script_cannot_reach_the_host() {
    let body = "
        const seen = [];
        Object.defineProperty(Object.prototype, 'request', { set(v) { seen.push('request') }, configurable: true });
        Object.defineProperty(Array.prototype, '0', { set(v) { if (typeof v !== 'string') seen[seen.length] = new Error('x').stack }, configurable: true });
        for (const name of ['resolve', 'id', 'fn', 'slot', 'mode', 'full']) Object.defineProperty(Object.prototype, name, { set() { seen.push(name) }, configurable: true });
        await agent('x'); await owf.agent('y');
        try { agent.caller } catch {} try { agent.arguments } catch {}
        return seen";
    assert_eq!(value_of(body), json!([]));
}

#[test]
fn a_driver_dropped_in_the_middle_does_not_abort_the_process() {
    on_big_stack(|| {
        for body in [
            "await agent('x')",
            "setTimeout(() => {}, 5); await agent('x')",
            "await owf.parallel([() => agent('x')], { concurrency: 1 })",
            "await new Promise(() => {})",
        ] {
            drop(Stepper::start(config(body)));
        }
    });
}
