//! The script dialect at the driver: `agent()`.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::script_harness::*;
use owf::core::budget::{Charge, Limits};
use owf::core::call::{CachePolicy, Isolation, OnLost, Retry, Site};
use owf::core::event::LogLevel;
use owf::core::ids::{CallId, Hash};
use owf::core::machine::BudgetView;
use owf::core::op::{DriverState, Op};
use owf::core::outcome::{CallStatus, ErrorClass, Outcome};
use owf::core::run::RunErrorCode;
use serde_json::json;

#[test]
fn dialect_22_prompts_are_coerced() {
    let ran = run("await agent(); await agent(42); await agent(null); await agent({ a: 1 }); await agent(''); await agent('a\\ud800b');
        await agent('x', null); await agent('y', 'label'); await agent(Symbol('z'))");
    let prompts: Vec<_> = ran.calls.iter().map(|call| call.ask.prompt.clone().unwrap()).collect();
    assert_eq!(prompts, ["undefined", "42", "null", "[object]", "", "a\u{fffd}b", "x", "y", "Symbol(z)"]);
}

#[test]
fn dialect_23_unknown_options_are_ignored() {
    let ran = run("return await agent('p', { foo: 1, bar: () => 2, toString: 3, label: 'l' })");
    assert_eq!(ran.value(), json!("answer to p"));
    let plain = run("return await agent('p', { label: 'l' })");
    assert_eq!(ran.calls[0].ask, plain.calls[0].ask);
}

#[test]
fn dialect_24_the_default_label_is_sixty_characters_then_collapsed() {
    let ran = run("await agent('a\\n\\n b' + 'c'.repeat(100)); await agent('p', { label: 7 })");
    assert_eq!(ran.calls[0].label, format!("a b{}", "c".repeat(55)));
    assert_eq!(ran.calls[1].label, "7");
}

#[test]
fn dialect_25_an_empty_answer_is_an_empty_string() {
    let ran = run_with(config("const r = await agent('p'); return [r, r === '']"), |_, _| text(""));
    assert_eq!(ran.value(), json!(["", true]));
}

#[test]
fn dialect_26_a_provider_failure_is_null_with_one_log_line() {
    let ran = run_with(config("return [await agent('p', { label: 'review' })]"), |_, _| {
        failed(ErrorClass::Overloaded, "the provider is overloaded (529)")
    });
    assert_eq!(ran.value(), json!([null]));
    assert_eq!(
        ran.leveled_logs(),
        [(LogLevel::Warn, "agent \"review\" provider_failed: the provider is overloaded (529)".to_owned())]
    );
}

#[test]
fn skipped_denied_and_cancelled_calls_are_null_without_a_line() {
    let statuses = [CallStatus::Skipped, CallStatus::Denied, CallStatus::Cancelled];
    let ran = run_with(config("return [await agent('a'), await agent('b'), await agent('c')]"), |id, _| {
        Outcome::new(CallId(id), statuses[id as usize - 1])
    });
    assert_eq!((ran.value(), ran.logs()), (json!([null, null, null]), vec![]));
}

#[test]
fn dialect_27_a_thrown_outcome_throws_and_is_null_in_a_fan_out() {
    let answer = |_: u32, _: &_| thrown(ErrorClass::Schema, "no valid answer: /a is missing", "Error");
    let body = "try { await agent('p', { schema: { type: 'object' } }) } catch (e) {
        return [e instanceof Error, e.name, e.message, e.stack.includes('test.js:1:'), e.stack.includes('prelude'), Object.keys(e)] }";
    assert_eq!(
        run_with(config(body), answer).value(),
        json!([true, "Error", "no valid answer: /a is missing", true, true, []])
    );
    let ran = run_with(config("return await parallel([\n() => agent('p')])"), answer);
    assert_eq!(ran.value(), json!([null]));
    assert_eq!(ran.logs(), ["parallel[0] failed: no valid answer: /a is missing"]);
    let swallowed = &ran.swallowed()[0];
    assert_eq!(
        (swallowed.place.as_str(), swallowed.line, swallowed.call_id),
        ("parallel[0]", Some(2), Some(CallId(1)))
    );
}

#[test]
fn a_thrown_outcome_nobody_catches_fails_the_run_at_its_call_site() {
    let ran = run_with(config("\nconst f = async () => await agent('p');\nawait f();"), |_, _| {
        thrown(ErrorClass::Schema, "bad schema", "TypeError")
    });
    let error = ran.error();
    assert_eq!(
        (error.code, error.name.as_deref(), error.message.as_str()),
        (RunErrorCode::ScriptError, Some("TypeError"), "bad schema")
    );
    assert_eq!((error.line, error.call_id), (Some(2), Some(CallId(1))));
    assert!(
        error.stack[0].contains("test.js:2:") && error.stack.iter().all(|frame| !frame.contains("prelude")),
        "{error:?}"
    );
}

#[test]
fn dialect_31_bad_isolation_and_effort_are_ignored() {
    let ran = run("await agent('p', { isolation: 'docker', effort: 'enormous' }); await agent('p', { isolation: true, effort: 9 });
        await agent('p', { isolation: 'worktree', effort: 'high' }); try { await agent('p', { isolation: 'remote' }) } catch (e) { return e.message }");
    let asks: Vec<_> = ran.calls.iter().map(|call| (call.ask.isolation, call.ask.effort.clone())).collect();
    assert_eq!(asks, [(None, None), (None, None), (Some(Isolation::Worktree), Some("high".to_owned()))]);
    assert!(ran.value().as_str().unwrap().contains("remote"));
}

#[test]
fn dialect_31_an_unknown_agent_type_is_refused_by_a_real_provider_and_a_warning_with_fake() {
    let personas = vec![("Explore".to_owned(), Hash::of("explore")), ("Plan".to_owned(), Hash::of("plan"))];
    let body = "await agent('a', { agentType: 'Explore' }); await agent('b', { agentType: 'Explore' });
        await agent('c', { agentType: 3 }); await agent('d', { agentType: 'nope', provider: 'fake' });
        await agent('e', { agentType: 'nope', provider: 'fake' });";
    let mut real = config(body);
    real.default_provider = "claude".to_owned();
    real.personas = personas;
    let ran = run_with(real, |_, call| echo(call));
    let refused = ran.calls[2].refused.clone().unwrap();
    assert_eq!(refused.message, "agent type \"3\" is not known; known: Explore, Plan");
    assert_eq!((refused.class, refused.throws.as_deref()), (ErrorClass::BadRequest, Some("Error")));
    assert_eq!(ran.calls[0].ask.persona, Some(Hash::of("explore")));
    assert!(ran.calls[3].refused.is_none() && ran.calls[3].ask.agent_type.as_deref() == Some("nope"));
    let others: Vec<_> = ran.ops.iter().filter(|op| matches!(op, Op::Pin { .. } | Op::Warning { .. })).collect();
    assert_eq!(
        others,
        [
            &Op::Pin { kind: "persona".into(), name: "Explore".into(), hash: Hash::of("explore"), path: None },
            &Op::Warning {
                code: "unknown_agent_type".into(),
                message: "agent type \"nope\" is not known here; the fake provider answers all the same".into()
            },
        ]
    );
}

#[test]
fn dialect_32_result_objects_are_ordinary_and_mutable() {
    let body = "const r = await agent('p', { schema: { type: 'object' } }); r.x = 1; delete r.gone; r.list.push(3);
        return [r instanceof Object, Object.getPrototypeOf(r) === Object.prototype, Array.isArray(r.list), r, Object.isFrozen(r)]";
    let ran = run_with(config(body), |_, _| done(json!({"list": [1.5, "\u{0}"], "gone": null, "__proto__": {"a": 1}})));
    assert_eq!(
        ran.value(),
        json!([true, true, true, {"list": [1.5, "\u{0}", 3], "__proto__": {"a": 1}, "x": 1}, false])
    );
}

#[test]
fn dialect_34_at_the_ceiling_agent_throws_and_a_fan_out_logs_one_line() {
    let refuse =
        |_: u32, _: &_| thrown(ErrorClass::Budget, "token budget 100 is used up", "WorkflowBudgetExceededError");
    let ran =
        run_with(config("return await parallel([1, 2, 3].map(i => () => agent('p' + i)).concat([() => 7]))"), refuse);
    assert_eq!(ran.value(), json!([null, null, null, 7]));
    assert_eq!(ran.logs(), ["parallel: 3 of 4 slots dropped: token budget 100 is used up"]);
    assert_eq!(ran.swallowed().iter().map(|s| s.call_id.unwrap().0).collect::<Vec<_>>(), [1, 2, 3]);
    let error = run_with(config("await agent('p')"), refuse).error();
    assert_eq!(
        (error.code, error.name.as_deref()),
        (RunErrorCode::BudgetExhausted, Some("WorkflowBudgetExceededError"))
    );
}

#[test]
fn dialect_33_the_call_cap_is_an_error_by_name() {
    let error =
        run_with(config("await agent('p')"), |_, _| thrown(ErrorClass::Budget, "1000 calls", "WorkflowAgentCapError"))
            .error();
    assert_eq!((error.code, error.name.as_deref()), (RunErrorCode::CallCap, Some("WorkflowAgentCapError")));
}

#[test]
fn dialect_34_budget_is_computed_from_deliveries() {
    let view = |tokens| BudgetView {
        limits: Limits { tokens: Some(100), cost_nanos: Some(2_500_000_000), calls: None },
        spent: Charge { tokens, cost_nanos: 500_000_000, calls: 3 },
    };
    let mut start = config("
        const seen = [[budget.total, budget.spent(), budget.remaining()]];
        await agent('p');
        seen.push([budget.spent(), budget.remaining(), owf.budget.cost.total, owf.budget.cost.remaining(), owf.budget.calls.remaining() === Infinity]);
        seen.push([owf.budget.canSpend(40), owf.budget.canSpend(41), owf.budget.reserve(30), owf.budget.canSpend(11), owf.budget.tokens.remaining(), budget.remaining(),
          owf.budget.canSpend({ cost: 2.1 }), owf.budget.reserve(1000)]);
        try { owf.budget.canSpend('x') } catch (e) { seen.push(e.name) }
        return seen");
    start.budget = view(0);
    let ran = on_big_stack(move || {
        let mut stepper = Stepper::start(start);
        stepper.budget = view(60);
        stepper.deliver(1, text("x"));
        stepper.ran()
    });
    assert_eq!(
        ran.value(),
        json!([[100, 0, 100], [60, 40, 2.5, 2, true], [true, false, true, false, 10, 40, false, false], "TypeError"])
    );
}

#[test]
fn dialect_35_the_phase_is_the_one_at_call_time_and_an_own_one_wins() {
    let ran = run("
        await agent('none'); phase('One'); const later = () => agent('two');
        const a = agent('one'); phase('Two'); await a; await later(); await agent('own', { phase: 'Own' }); phase(7); await agent('seven')");
    let phases: Vec<_> = ran.calls.iter().map(|call| call.phase.clone()).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(phases, [None, some("One"), some("Two"), some("Own"), some("7")]);
    let ops: Vec<_> = ran.ops.iter().filter(|op| matches!(op, Op::Phase(_))).cloned().collect();
    assert_eq!(ops, [Op::Phase("One".into()), Op::Phase("Two".into()), Op::Phase("7".into())]);
}

#[test]
fn options_reach_the_request() {
    let ran = run("await agent('p', { schema: { type: 'object', x: 'a\\ud800' }, model: 'opus', provider: 'codex', system: 's', messages: [{ role: 'user', content: 'hi' }, { role: 'assistant', content: 'ho' }], tools: ['Read'], disallowedTools: ['Bash'],
        bashCommandClamp: ['ls'], sharedHeadLength: 10, readScope: ['src'], writeScope: 'out', cacheNamespace: 'n', timeoutMs: 1500,
        retry: { maxAttempts: 3, delayMs: 10, backoff: 2, on: ['rate_limited'] }, cache: 'read_only', onLost: 'rerun', metadata: { a: [1] }, phase: 'P', label: 'L' })");
    let call = &ran.calls[0];
    assert_eq!(
        serde_json::to_value(&call.ask).unwrap(),
        json!({"prompt": "p", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
            "schema": {"type": "object", "x": "a\u{fffd}"}, "model": "opus", "provider": "codex", "system": "s", "tools": ["Read"],
            "disallowed_tools": ["Bash"], "read_scope": ["src"], "write_scope": ["out"], "namespace": "n",
            "extra": {"bashCommandClamp": ["ls"], "sharedHeadLength": 10}})
    );
    assert_eq!((call.timeout_ms, call.cache, call.on_lost), (Some(1500), Some(CachePolicy::ReadOnly), OnLost::Rerun));
    assert_eq!(
        call.retry,
        Some(Retry {
            max_attempts: 3,
            delay_ms: 10,
            backoff: 2.0,
            on: Some(vec!["rate_limited".into()]),
            ..Retry::default()
        })
    );
    assert_eq!(
        (call.metadata.clone(), call.label.as_str(), call.phase.as_deref()),
        (Some(json!({"a": [1]})), "L", Some("P"))
    );
    assert_eq!(call.site, Some(Site { line: 1, column: 7 }));
}

#[test]
fn bad_options_throw_a_type_error_that_says_what_is_allowed() {
    for (options, part) in [
        ("schema: 'x'", "\"schema\" must be a JSON Schema object, not \"x\""),
        ("schema: true", "\"schema\""),
        ("schema: () => 1", "\"schema\" cannot be a function"),
        ("model: 4", "\"model\" must be a string, not 4"),
        ("model: Symbol()", "\"model\" cannot be a symbol"),
        ("disallowedTools: 'Bash'", "array of strings"),
        ("disallowedTools: [1]", "array of strings"),
        ("messages: 'hi'", "an array of {role: \"user\" or \"assistant\", content: a string}, not \"hi\""),
        ("messages: [{ role: 'system', content: 'x' }]", "\"messages\""),
        ("bashCommandClamp: 5", "\"bashCommandClamp\""),
        ("sharedHeadLength: 'x'", "\"sharedHeadLength\""),
        ("timeoutMs: 'x'", "positive number of milliseconds, not \"x\""),
        ("timeoutMs: 0", "positive number"),
        ("timeoutMs: NaN", "finite number"),
        ("retry: 3", "{maxAttempts, delayMs?, backoff?, on?}"),
        ("retry: {}", "maxAttempts"),
        ("retry: { maxAttempts: 0 }", "maxAttempts"),
        ("retry: { maxAttempts: 2, on: ['nonsense'] }", "nonsense"),
        ("cache: 'always'", "\"read_only\""),
        ("onLost: 1", "\"rerun\""),
        ("writeScope: [1]", "array of strings"),
        ("metadata: 1n", "bigint"),
    ] {
        let ran = run(&format!(
            "try {{ await agent('p', {{ {options} }}) }} catch (e) {{ return [e instanceof TypeError, e.message] }}"
        ));
        let value = ran.value();
        assert_eq!((&value[0], ran.calls.len()), (&json!(true), 0), "{options}");
        assert!(value[1].as_str().unwrap().contains(part), "{options}: {value}");
    }
    assert_eq!(
        run("return await agent('p', { schema: null, model: null, timeoutMs: undefined })").value(),
        json!("answer to p")
    );
}

#[test]
fn dialect_61_equal_prompts_are_told_apart_by_order() {
    let ran =
        run_with(config("const all = [agent('p'), agent('p'), agent('p')]; return await Promise.all(all)"), |id, _| {
            text(&format!("answer {id}"))
        });
    assert_eq!(ran.value(), json!(["answer 1", "answer 2", "answer 3"]));
    assert!(ran.calls.iter().all(|call| call.ask == ran.calls[0].ask));
}

#[test]
fn one_outcome_is_delivered_at_a_time_and_all_its_jobs_run() {
    on_big_stack(|| {
        let body = "const f = async n => { const a = await agent('a' + n); await null; await null; return agent(a + n) }; return Promise.all([f(1), f(2)])";
        let mut stepper = Stepper::start(config(body));
        assert_eq!(stepper.prompts(), ["a1", "a2"]);
        stepper.deliver(2, text("second"));
        assert_eq!(stepper.prompts(), ["a1", "a2", "second2"]);
        stepper.deliver(1, text("first")).deliver(4, text("x"));
        assert_eq!(stepper.state, DriverState::Waiting);
        stepper.deliver(3, text("y"));
        assert_eq!(stepper.state, DriverState::Returned(Some(json!(["x", "y"]))));
    });
}
