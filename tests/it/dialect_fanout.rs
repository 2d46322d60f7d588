//! The script dialect at the driver: `parallel()` and `pipeline()`.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::script_harness::*;
use owf::core::op::DriverState;
use owf::core::outcome::ErrorClass;
use serde_json::json;

fn caught(expression: &str) -> (String, usize) {
    let ran = run(&format!(
        "try {{ await {expression}; return 'nothing' }} catch (e) {{ return e.name + ': ' + e.message }}"
    ));
    (ran.value().as_str().unwrap().to_owned(), ran.calls.len())
}

#[test]
fn dialect_36_a_non_array_and_non_functions_are_type_errors_before_anything_runs() {
    for expression in [
        "parallel()",
        "parallel('x')",
        "parallel(new Set())",
        "parallel([() => agent('a'), Promise.resolve(1)])",
        "parallel([() => agent('a'), , () => agent('b')])",
        "parallel([() => agent('a'), 'x'])",
        "pipeline(new Set([1]), x => agent(x))",
        "pipeline([1], [x => agent(x)])",
        "pipeline([1], x => agent(x), 'no')",
    ] {
        let (message, calls) = caught(expression);
        assert!(message.starts_with("TypeError: ") && calls == 0, "{expression}: {message} {calls}");
    }
    assert!(caught("parallel([() => 1, , () => 2])").0.contains("entry 1"));
}

#[test]
fn dialect_37_order_is_kept_and_a_throw_is_null_with_a_line() {
    let ran = run("return (await parallel([async () => { await agent('slow'); return 1 }, () => undefined, () => { throw new Error('sync') },
        async () => { throw 'text' }, () => ({ then(r) { r('thenable') } }), () => Promise.reject(new RangeError('r')), (...a) => a.length, () => 0]))
        .map(v => v === undefined ? 'undefined' : v)");
    assert_eq!(ran.value(), json!([1, "undefined", null, null, "thenable", null, 0, 0]));
    let mut logs = ran.logs();
    logs.sort();
    assert_eq!(logs, ["parallel[2] failed: sync", "parallel[3] failed: text", "parallel[5] failed: r"]);
    assert_eq!(ran.swallowed().len(), 3);
    assert_eq!(ran.swallowed()[0].line, Some(1));
}

#[test]
fn dialect_37_usage_errors_in_a_slot_become_null() {
    let ran = run("return await parallel([() => agent('p', { schema: 'x' }), () => parallel('x'), () => agent('q')])");
    assert_eq!(ran.value(), json!([null, null, "answer to q"]));
}

#[test]
fn dialect_38_the_limit_of_a_fan_out() {
    assert_eq!(
        value_of("return (await parallel(Array.from({ length: 4096 }, (_, i) => () => i))).length"),
        json!(4096)
    );
    assert_eq!(value_of("return (await pipeline(Array(4096).fill(1), x => x)).length"), json!(4096));
    for expression in [
        "parallel(Array(4097).fill(() => agent('x')))",
        "pipeline(Array(4097).fill(1), x => agent(x))",
        "owf.parallel(Array(4097).fill(() => 1))",
    ] {
        let (message, calls) = caught(expression);
        assert!(message.starts_with("Error: ") && message.contains("4096") && calls == 0, "{message}");
    }
    assert_eq!(value_of("return await parallel([])"), json!([]));
}

#[test]
fn dialect_39_thunks_start_after_the_code_that_follows_the_call() {
    assert_eq!(
        value_of(
            "const seen = []; const p = parallel([() => seen.push('thunk')]); seen.push('after'); await p; return seen"
        ),
        json!(["after", "thunk"])
    );
}

#[test]
fn dialect_40_stages_get_previous_item_and_index() {
    assert_eq!(
        value_of("return await pipeline(['a', 'b'], (...x) => x, (...x) => x)"),
        json!([[["a", "a", 0], "a", 0], [["b", "b", 1], "b", 1]])
    );
}

#[test]
fn dialect_41_null_ends_an_item_and_other_falsy_values_go_on() {
    let ran = run("const seen = []; const r = await pipeline([1, null, undefined, 2, 3, 4, 5],
        (v, item, i) => [null, 'x', 'u', undefined, false, 0, ''][i], (v, item, i) => { seen.push(i); return i });
        return [r, seen]");
    assert_eq!(ran.value(), json!([[null, null, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6]]));
    assert_eq!(ran.logs(), Vec::<String>::new());
}

#[test]
fn dialect_41_a_throw_in_a_stage_is_null_with_a_line() {
    let ran = run("return await pipeline([1, 2], v => { if (v === 2) throw new Error('two'); return v }, v => v * 10)");
    assert_eq!((ran.value(), ran.logs()), (json!([10, null]), vec!["pipeline[1] failed: two".to_owned()]));
    assert_eq!(ran.swallowed()[0].place, "pipeline[1]");
}

#[test]
fn dialect_42_promise_items_are_awaited_and_stages_are_checked_only_with_items() {
    assert_eq!(
        value_of("return await pipeline([Promise.resolve(1), 2], (v, item) => [v, item])"),
        json!([[1, 1], [2, 2]])
    );
    assert_eq!(value_of("return await pipeline([1, Promise.resolve(2)])"), json!([1, 2]));
    assert_eq!(value_of("return await pipeline([], 'no function', [])"), json!([]));
}

#[test]
fn dialect_43_there_is_no_barrier_between_stages() {
    on_big_stack(|| {
        let mut stepper =
            Stepper::start(config("return await pipeline(['a', 'b'], v => agent('1' + v), v => agent('2' + v))"));
        assert_eq!(stepper.prompts(), ["1a", "1b"]);
        stepper.deliver(2, text("B"));
        assert_eq!(stepper.prompts(), ["1a", "1b", "2B"]);
        stepper.deliver(3, text("done b")).deliver(1, text("A")).deliver(4, text("done a"));
        assert_eq!(stepper.state, DriverState::Returned(Some(json!(["done a", "done b"]))));
    });
}

#[test]
fn dialect_44_fan_outs_nest() {
    assert_eq!(
        value_of(
            "return await pipeline([1, 2], v => parallel([() => agent('x' + v), () => agent('y' + v)]), r => r.length)"
        ),
        json!([2, 2])
    );
}

#[test]
fn a_failed_call_in_a_slot_is_null_without_a_swallowed_exception() {
    let ran = run_with(config("return await parallel([() => agent('p', { label: 'l' })])"), |_, _| {
        failed(ErrorClass::Timeout, "too slow")
    });
    assert_eq!(
        (ran.value(), ran.logs(), ran.swallowed().len()),
        (json!([null]), vec!["agent \"l\" timeout: too slow".to_owned()], 0)
    );
}
