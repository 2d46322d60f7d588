//! The script dialect at the driver: child workflows, results and ends of runs.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::script_harness::*;
use owf::core::call::{CallKind, WorkflowAsk, WorkflowTarget};
use owf::core::ids::CallId;
use owf::core::op::DriverState;
use owf::core::outcome::{CallStatus, ErrorClass, Outcome};
use owf::core::run::RunErrorCode;
use owf::front::script::sandbox::ScriptDriver;
use serde_json::json;

#[test]
fn dialect_47_undefined_and_null_args_are_kept_apart() {
    let ran = run(
        "await workflow('a'); await workflow('a', null); await workflow({ scriptPath: 'x/y.js' }, { n: [1] }); await workflow('a', undefined)",
    );
    let asks: Vec<_> = ran.calls.iter().map(|call| call.ask.workflow.clone().unwrap()).collect();
    let a = |args| WorkflowAsk { target: WorkflowTarget::Name("a".into()), args };
    let path = WorkflowAsk { target: WorkflowTarget::Path("x/y.js".into()), args: Some(json!({"n": [1]})) };
    assert_eq!(asks, [a(None), a(Some(json!(null))), path, a(None)]);
    assert!(ran.calls.iter().all(|call| call.kind == CallKind::Workflow));
    let mut child = config("return [typeof args, args]");
    assert_eq!(run_with(child.clone(), |_, c| echo(c)).value(), json!(["undefined", null]));
    child.args = Some(json!(null));
    assert_eq!(run_with(child.clone(), |_, c| echo(c)).value(), json!(["object", null]));
    child.args = Some(json!({"a": 1}));
    child.body = "args.b = 2; return args".into();
    assert_eq!(run_with(child, |_, c| echo(c)).value(), json!({"a": 1, "b": 2}));
}

#[test]
fn dialect_48_a_child_error_comes_through_and_a_line_tells_the_end() {
    let ran = run_with(
        config(
            "const seen = [typeof await workflow('ok'), await workflow('ok')];
        try { await workflow('bad') } catch (e) { seen.push(e instanceof RangeError, e.name, e.message) }
        seen.push(await workflow('down')); return seen",
        ),
        |id, _| match id {
            1 => Outcome::done(CallId(id), None),
            2 => done(json!({"r": 1})),
            3 => thrown(ErrorClass::Other, "out of range", "RangeError"),
            _ => Outcome::new(CallId(id), CallStatus::Cancelled),
        },
    );
    assert_eq!(ran.value(), json!(["undefined", {"r": 1}, true, "RangeError", "out of range", null]));
    assert_eq!(
        ran.logs(),
        [
            "workflow \"ok\" started",
            "workflow \"ok\" done",
            "workflow \"ok\" started",
            "workflow \"ok\" done",
            "workflow \"bad\" started",
            "workflow \"bad\" provider_failed: out of range",
            "workflow \"down\" started",
            "workflow \"down\" cancelled"
        ]
    );
}

#[test]
fn wrong_arguments_of_workflow_are_type_errors() {
    for wrong in ["workflow()", "workflow(1)", "workflow({ name: 'a' })", "workflow('a', () => 1)", "workflow('a', 1n)"]
    {
        let ran = run(&format!("try {{ await {wrong} }} catch (e) {{ return e.name }}"));
        assert_eq!((ran.value(), ran.calls.len()), (json!("TypeError"), 0), "{wrong}");
    }
}

#[test]
fn dialect_49_nesting_in_a_child_throws() {
    let mut child = config("try { await workflow('x') } catch (e) { return e.message }");
    child.is_child = true;
    child.depth = 1;
    let ran = run_with(child.clone(), |_, c| echo(c));
    assert!(ran.value().as_str().unwrap().contains("1 deep"), "{ran:?}");
    child.limits.nesting = 2;
    child.body = "return await workflow('x')".into();
    assert_eq!(run_with(child, |_, _| text("fine")).value(), json!("fine"));
}

#[test]
fn dialect_50_child_phases_are_grouped_and_repeats_are_numbered() {
    let ran = run(
        "await workflow('a'); await workflow({ scriptPath: 'dir/b.js' }); await workflow('a'); await workflow('a')",
    );
    let shown: Vec<_> = ran.calls.iter().map(|call| (call.label.as_str(), call.phase.as_deref().unwrap())).collect();
    assert_eq!(shown, [("a", "▸ a"), ("b", "▸ b"), ("a", "▸ a #2"), ("a", "▸ a #3")]);
    let mut child = config("phase('Mine'); await agent('p', { phase: 'Own' }); log('hello'); console.warn('w')");
    child.group = Some("▸ a #2".into());
    child.log_prefix = Some("[a] ".into());
    let ran = run_with(child, |_, c| echo(c));
    assert_eq!(ran.calls[0].phase.as_deref(), Some("▸ a #2"));
    assert_eq!(ran.logs(), ["[a] hello", "[a] [warn] w"]);
}

#[test]
fn dialect_52_results_are_encoded_as_the_table_says() {
    for (expression, value) in [
        ("1", json!(1)),
        ("'a\\ud800'", json!("a\u{fffd}")),
        ("null", json!(null)),
        ("[undefined, () => 1, NaN, Infinity, -0, Symbol()]", json!([null, null, null, null, 0, null])),
        (
            "({ f() {}, u: undefined, n: NaN, s: Symbol(), k: 1, toJSON() { return 'called' } })",
            json!({"n": null, "k": 1}),
        ),
        ("[new Map([[1, 2]]), new Set([1]), new Date(0), /x/g, new Error('e')]", json!([{}, {}, {}, {}, {}])),
        ("new Uint8Array([5, 6])", json!({"0": 5, "1": 6})),
        ("[1, , 3]", json!([1, null, 3])),
        ("(() => { const o = { a: 1 }; return [o, o] })()", json!([{"a": 1}, {"a": 1}])),
        (
            "Object.create({ inherited: 1 }, { hidden: { value: 1 }, own: { value: 2, enumerable: true } })",
            json!({"own": 2}),
        ),
        ("({ ['__proto__']: 1, b: 2 })", json!({"__proto__": 1, "b": 2})),
        ("Promise.resolve({ a: 1 })", json!({"a": 1})),
    ] {
        assert_eq!(value_of(&format!("return {expression}")), value, "{expression}");
    }
    assert_eq!(run("return undefined").state, DriverState::Returned(None));
    assert_eq!(run("").state, DriverState::Returned(None));
    assert_eq!(run("// only a comment").state, DriverState::Returned(None));
    for expression in [
        "() => 1",
        "1n",
        "[1n]",
        "(() => { const o = {}; o.o = o; return o })()",
        "Symbol()",
        "(() => { let o = 1; for (let i = 0; i < 101; i++) o = [o]; return o })()",
        "({ get a() { throw new Error('getter') } })",
        "agent",
    ] {
        let error = run(&format!("return {expression}")).error();
        assert_eq!(error.code, RunErrorCode::ResultNotJson, "{expression}: {error:?}");
    }
    assert!(matches!(
        run("let o = 1; for (let i = 0; i < 100; i++) o = [o]; return o").state,
        DriverState::Returned(Some(_))
    ));
}

#[test]
fn dialect_53_unawaited_agents_do_not_block_the_end() {
    let ran = run_with(config("agent('a'); agent('b').then(() => log('late')); return 'done'"), |_, c| echo(c));
    assert_eq!((ran.value(), ran.calls.len(), ran.logs()), (json!("done"), 2, vec![]));
}

#[test]
fn an_uncaught_error_names_its_place() {
    let error = run("\n\n  function f() { throw new RangeError('boom') }\n  f();").error();
    assert_eq!(
        (error.code, error.name.as_deref(), error.message.as_str()),
        (RunErrorCode::ScriptError, Some("RangeError"), "boom")
    );
    assert_eq!((error.line, error.stack.len()), (Some(3), 2));
    assert!(error.stack[0].starts_with("at f (test.js:3:") && error.stack[1].contains("(test.js:4:"), "{error:?}");
    let first = run("null.x").error();
    assert_eq!((first.line, first.column), (Some(1), Some(1)), "{first:?}");
    for (thrown, message) in [
        ("'text'", "text"),
        ("7", "7"),
        ("{ a: 1 }", "{\"a\":1}"),
        ("undefined", "undefined"),
        ("{ message: 'm' }", "m"),
    ] {
        let error = run(&format!("throw {thrown}")).error();
        assert_eq!((error.code, error.message.as_str(), error.line), (RunErrorCode::ScriptError, message, None));
    }
}

#[test]
fn a_body_that_does_not_compile_is_an_error_at_its_place() {
    on_big_stack(|| {
        let error = ScriptDriver::new(config("const a = 1;\nconst b = ;")).map(|_| ()).unwrap_err();
        assert_eq!(
            (error.code, error.name.as_deref(), error.line),
            (RunErrorCode::ScriptError, Some("SyntaxError"), Some(2))
        );
        assert_eq!(ScriptDriver::new(config("a\0")).map(|_| ()).unwrap_err().code, RunErrorCode::ScriptError);
        assert!(ScriptDriver::new(config("1 <!-- a comment in scripts only")).is_err(), "the goal is module");
    });
}

#[test]
fn the_same_outcomes_give_the_same_operations() {
    let body = "phase('A'); const r = await parallel([1, 2, 3].map(i => async () => { log(i); const a = await agent('x' + i); return agent(a) }));
        return r.concat(await owf.parallel([() => owf.agent('z')]).then(l => l[0].callId))";
    assert_eq!(run(body), run(body));
}
