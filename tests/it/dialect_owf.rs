//! What lives under `owf`: result objects, bounded fan-outs, approvals, timers, state.

use crate::support::script_harness::*;
use owf::core::call::{ApprovalAsk, CallKind, Decider, Decision};
use owf::core::ids::CallId;
use owf::core::op::{DriverState, Op};
use owf::core::outcome::{CallStatus, DecisionNote, ErrorClass, Outcome, Usage};
use serde_json::{Value, json};

#[test]
fn owf_agent_resolves_to_the_full_result() {
    let body = "const r = await owf.agent('p', { label: 'l' });
        return { ...r, raised: r.valueOrRaise(), text2: r.textOrRaise(), same: r.requireOk() === r, proto: r instanceof Object }";
    let ran = run_with(config(body), |_, _| Outcome {
        usage: Usage { input_tokens: 5, output_tokens: 7, ..Usage::default() },
        cost_nanos: Some(1_500_000),
        model: Some("m".into()),
        changed_files: vec!["a.rs".into()],
        ..done(json!({"a": 1}))
    });
    assert_eq!(
        ran.value(),
        json!({"ok": true, "status": "done", "text": "{\"a\":1}", "value": {"a": 1}, "error": null, "callId": "c0001", "cacheStatus": "miss",
            "usage": {"inputTokens": 5, "outputTokens": 7, "cacheReadTokens": 0, "cacheWriteTokens": 0}, "costUsd": 0.0015,
            "provider": null, "model": "m", "attempts": 0, "worktreePath": null, "worktreeBranch": null, "changedFiles": ["a.rs"], "artifacts": [],
            "raised": {"a": 1}, "text2": "{\"a\":1}", "same": true, "proto": true})
    );
    let plain = run("await agent('p', { label: 'l' })");
    assert_eq!(plain.calls[0].ask, ran.calls[0].ask, "the same request either way");
}

#[test]
fn owf_agent_never_throws() {
    let body = "const r = await owf.agent('p'); const bad = await owf.agent('p', { schema: 'x' }); let raised;
        try { r.valueOrRaise() } catch (e) { raised = [e.name, e.message] }
        return [r.ok, r.status, r.error, raised, bad.ok, bad.status, bad.error.class, bad.error.name, bad.callId]";
    let ran = run_with(config(body), |_, _| thrown(ErrorClass::Schema, "no valid answer", "Error"));
    assert_eq!(
        ran.value(),
        json!([false, "schema_failed", {"class": "schema", "message": "no valid answer", "name": "Error"}, ["Error", "no valid answer"],
            false, "failed", "bad_request", "TypeError", null])
    );
    assert_eq!(ran.logs(), Vec::<String>::new());
}

#[test]
fn a_bounded_fan_out_keeps_its_concurrency_and_gives_result_objects_for_failures() {
    on_big_stack(|| {
        let body = "const r = await owf.parallel([1, 2, 3, 4].map(i => () => i === 3 ? Promise.reject(new Error('three')) : agent('p' + i)), { concurrency: 2 });
            return r.map(v => typeof v === 'string' ? v : [v.ok, v.status, v.error.message])";
        let mut stepper = Stepper::start(config(body));
        assert_eq!(stepper.prompts(), ["p1", "p2"]);
        stepper.deliver(2, text("two"));
        assert_eq!(stepper.prompts(), ["p1", "p2", "p4"], "three failed at once, four took its place");
        stepper.deliver(3, failed(ErrorClass::Timeout, "slow"));
        stepper.deliver(1, text("one"));
        assert_eq!(
            stepper.state,
            DriverState::Returned(Some(json!(["one", "two", [false, "failed", "three"], [false, "timeout", "slow"]])))
        );
    });
}

fn statuses(state: &DriverState) -> Vec<String> {
    let DriverState::Returned(Some(Value::Array(slots))) = state else { panic!("{state:?}") };
    slots.iter().map(|slot| slot["status"].as_str().unwrap_or("value").to_owned()).collect()
}

#[test]
fn fail_fast_cancels_running_slots_and_never_starts_the_rest() {
    on_big_stack(|| {
        let body = "return await owf.parallel(['a', 'b', 'c', 'd', 'e'].map(x => async () => (await owf.agent(x)).ok && agent(x + 2)), { concurrency: 3, failFast: true })";
        let mut stepper = Stepper::start(config(body));
        stepper.deliver(2, text("B"));
        assert_eq!(stepper.prompts(), ["a", "b", "c", "b2"]);
        stepper.deliver(1, text("A"));
        assert_eq!(stepper.prompts(), ["a", "b", "c", "b2", "a2"]);
        stepper.deliver(5, failed(ErrorClass::Overloaded, "no"));
        assert_eq!(statuses(&stepper.state), ["provider_failed", "cancelled", "cancelled", "cancelled", "cancelled"]);
        assert_eq!(stepper.ran().cancelled(), [4, 3], "also the call made after an outcome of the same slot");
    });
    on_big_stack(|| {
        let body = "return await owf.parallel(['a', 'b', 'c', 'd'].map(x => () => agent(x)), { concurrency: 3, failFast: true })";
        let mut stepper = Stepper::start(config(body));
        stepper.deliver(1, text("A"));
        assert_eq!(stepper.prompts(), ["a", "b", "c", "d"]);
        stepper.deliver(3, failed(ErrorClass::Overloaded, "no"));
        assert_eq!(statuses(&stepper.state), ["value", "cancelled", "provider_failed", "cancelled"]);
        assert_eq!(stepper.ran().cancelled(), [2, 4]);
    });
    on_big_stack(|| {
        let body = "return await owf.parallel(['a', 'b', 'c', 'd'].map(x => () => owf.agent(x)), { concurrency: 2, failFast: true })";
        let mut stepper = Stepper::start(config(body));
        stepper.deliver(1, failed(ErrorClass::Overloaded, "no"));
        assert_eq!(statuses(&stepper.state), ["provider_failed", "cancelled", "cancelled", "cancelled"]);
        assert_eq!(stepper.prompts(), ["a", "b"]);
    });
}

#[test]
fn bounded_pipelines_take_stages_and_stop_on_error() {
    on_big_stack(|| {
        let body = "return await owf.pipeline(['a', 'b', 'c'], x => agent(x), (v, item, i) => agent(v + item + i), { concurrency: 2, stopOnError: true })";
        let mut stepper = Stepper::start(config(body));
        assert_eq!(stepper.prompts(), ["a", "b"]);
        stepper.deliver(2, failed(ErrorClass::Timeout, "slow"));
        assert_eq!(stepper.state, DriverState::Waiting);
        stepper.deliver(1, text("A"));
        assert_eq!(statuses(&stepper.state), ["cancelled", "timeout", "cancelled"]);
        assert_eq!(stepper.prompts(), ["a", "b"]);
    });
    let ran = run(
        "return await owf.parallel([() => agent('a'), 'item'], (v, original, i) => [v, original, i], { concurrency: 1 })",
    );
    assert_eq!(ran.value(), json!([["answer to a", "answer to a", 0], ["item", "item", 1]]));
    for wrong in [
        "owf.parallel([1])",
        "owf.parallel([() => 1], 'x')",
        "owf.parallel([() => 1], { concurrency: 0 })",
        "owf.pipeline('x')",
    ] {
        let ran = run(&format!("try {{ await {wrong} }} catch (e) {{ return e.name }}"));
        assert_eq!(ran.value(), json!("TypeError"), "{wrong}");
    }
}

#[test]
fn an_approval_asks_and_resolves_to_the_decision() {
    let ran = run_with(
        config(
            "return [await owf.approve({ message: 'Apply?', metadata: { n: 1 }, decider: 'person', timeoutMs: 60000, onTimeout: 'approve' }), await owf.approve('Sure?')]",
        ),
        |id, _| {
            if id == 1 {
                let decision = DecisionNote { decision: Decision::Approve, by: "ann".into(), reason: None };
                Outcome { decision: Some(decision), ..Outcome::done(CallId(id), None) }
            } else {
                Outcome::new(CallId(id), CallStatus::Cancelled)
            }
        },
    );
    assert_eq!(
        ran.value(),
        json!([{"decision": "approve", "by": "ann", "reason": null}, {"decision": "deny", "by": "cancelled", "reason": null}])
    );
    assert_eq!(
        ran.calls[0].ask.approval,
        Some(ApprovalAsk {
            message: "Apply?".into(),
            metadata: Some(json!({"n": 1})),
            decider: Decider::Person,
            expires_in_ms: Some(60_000),
            on_timeout: Decision::Approve,
        })
    );
    assert_eq!(ran.calls[0].kind, CallKind::Approval);
    assert_eq!(run("try { await owf.approve({}) } catch (e) { return e.name }").value(), json!("TypeError"));
    assert_eq!(
        run("try { await owf.approve({ message: 'm', decider: 'dog' }) } catch (e) { return e.name }").value(),
        json!("TypeError")
    );
}

#[test]
fn sleep_state_and_structured_logs() {
    let ran = run(
        "owf.state.n = 1; await owf.sleep(10.2); await owf.sleep(0); owf.log('m', { a: [1, undefined] }); return owf.state",
    );
    assert_eq!(ran.value(), json!({"n": 1}));
    assert_eq!((ran.calls.len(), ran.calls[0].kind, ran.calls[0].ask.timer_ms), (1, CallKind::Timer, Some(10)));
    let Some(Op::Log { message, fields, .. }) = ran.ops.last() else { panic!("{:?}", ran.ops) };
    assert_eq!((message.as_str(), fields), ("m", &Some(json!({"a": [1, null]}))));
}
