//! Cancels, divergence, and how a run ends.

use super::*;

fn cancel(call: Option<u32>) -> Input {
    Input::Cancel { call_id: call.map(CallId), by: "ana".to_owned(), reason: None }
}

fn abort(call: u32) -> Effect {
    Effect::Abort { call_id: CallId(call) }
}

fn cancelled() -> RunOutcome {
    RunOutcome {
        status: RunStatus::Cancelled,
        reason: Some(StatusReason::User),
        output: None,
        error: None,
        superseded_by: None,
    }
}

#[test]
fn a_cancel_ends_everything_and_nothing_is_delivered_after_it() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(3));
    sim.begin(1);
    sim.prepared(2);
    let effects = sim.on(cancel(None));
    let finished = Effect::Finished { outcome: Box::new(cancelled()) };
    assert_eq!(effects, [abort(1), release(2)], "the attempt has yet to say what it used");
    assert_eq!(sim.winds_down(1, 1, Charge::default()), [release(1), finished]);
    for call in 1..=3 {
        assert_eq!(sim.status(call), (CallStatus::Cancelled, Some("the run was cancelled".to_owned())));
    }
    assert_eq!(sim.run_outcome(), cancelled());
    assert_eq!(sim.ended(1, 1, Ok(json!(1))), []);
    assert_eq!(sim.kinds().last(), Some(&"run_finished"));
}

#[test]
fn a_recorded_cancel_is_carried_out_before_anything_else_at_takeover() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&agents(2));
    sim.begin(1);
    sim.ended(1, 1, Ok(json!(1)));
    let request = Event::CancelRequested { call_id: None, by: "ana".to_owned(), reason: None };
    sim.journal.push((Millis(sim.now), request));
    let mut sim = sim.taken_over(&setup);
    let effects = sim.requests(&agents(2));
    assert_eq!(effects, [Effect::Finished { outcome: Box::new(cancelled()) }]);
    assert_eq!(sim.status(2).0, CallStatus::Cancelled);
    assert_eq!(sim.kinds().iter().filter(|k| **k == "cancel_requested").count(), 1);
}

#[test]
fn one_call_can_be_cancelled_and_the_others_go_on() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(2));
    sim.begin(1);
    sim.begin(2);
    assert_eq!(sim.on(cancel(Some(1))), [abort(1)]);
    let effects = sim.winds_down(1, 1, Charge::default());
    assert_eq!(effects[..1], [release(1)]);
    assert_eq!(delivered(&effects), Some((1, CallStatus::Cancelled)));
    sim.waits();
    assert_eq!(delivered(&sim.ended(2, 1, Ok(json!(2)))), Some((2, CallStatus::Done)));
    sim.waits();
    assert_eq!(sim.outcome(1).status, CallStatus::Cancelled);
}

#[test]
fn a_cancel_of_a_call_that_the_replay_has_not_reached_is_remembered() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    sim.ended(1, 1, Ok(json!(1)));
    sim.requests(&[agent("b")]);
    sim.begin(2);

    let mut sim = sim.taken_over(&setup);
    assert_eq!(delivered(&sim.requests(&[agent("a")])), Some((1, CallStatus::Done)));
    assert_eq!(sim.on(cancel(Some(2))), []);
    assert_eq!(delivered(&sim.requests(&[agent("b")])), Some((2, CallStatus::Cancelled)));

    // Also when the process died after the request and before the outcome.
    sim.journal.pop();
    let mut sim = sim.taken_over(&setup);
    sim.requests(&[agent("a")]);
    assert_eq!(delivered(&sim.requests(&[agent("b")])), Some((2, CallStatus::Cancelled)));
    assert_eq!(sim.status(2).1.as_deref(), Some("cancelled by ana"));
}

#[test]
fn a_call_that_has_ended_cannot_be_cancelled() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(2));
    sim.begin(1);
    sim.ended(1, 1, Ok(json!(1)));
    let ops = vec![Op::Cancel(CallId(1))];
    assert_eq!(sim.on(Input::Ran { ops, state: DriverState::Waiting }), []);
    assert_eq!(sim.outcome(1).status, CallStatus::Done);
}

#[test]
fn a_held_call_the_script_cancels_during_replay_is_never_started() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&agents(2));
    sim.begin(1);
    sim.begin(2);
    sim.ended(1, 1, Err(error(ErrorClass::BadRequest)));
    // The process dies before the script has cancelled the other call.
    let mut sim = sim.taken_over(&setup);
    assert_eq!(delivered(&sim.requests(&agents(2))), Some((1, CallStatus::ProviderFailed)));
    let effects = sim.on(Input::Ran { ops: vec![Op::Cancel(CallId(2))], state: DriverState::Waiting });
    assert_eq!(delivered(&effects), Some((2, CallStatus::Cancelled)));
    assert_eq!(effects.len(), 1);
}

/// A journal with two calls of which the second ended first.
fn recorded() -> Sim {
    let mut sim = Setup::new().start();
    sim.requests(&agents(2));
    sim.begin(1);
    sim.begin(2);
    sim.ended(2, 1, Ok(json!(2)));
    sim.requests(&[agent("after")]);
    sim
}

fn diverged(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::Diverged { .. }])
}

#[test]
fn a_replay_that_asks_for_something_else_has_diverged() {
    let mut sim = recorded().taken_over(&Setup::new());
    let length = sim.journal.len();
    let effects = sim.requests(&[agent("p0"), agent("other")]);
    assert!(diverged(&effects), "{effects:?}");
    assert_eq!(sim.journal.len(), length);
    assert_eq!(sim.waits(), [], "nothing live starts");
}

#[test]
fn a_replay_that_does_not_ask_for_the_next_recorded_outcome_has_diverged() {
    let mut sim = recorded().taken_over(&Setup::new());
    let length = sim.journal.len();
    let effects = sim.requests(&[agent("p0")]);
    assert!(diverged(&effects), "{effects:?}");
    assert_eq!(sim.journal.len(), length);
}

#[test]
fn a_replay_that_asks_for_less_than_the_journal_holds_has_diverged() {
    let mut sim = recorded().taken_over(&Setup::new());
    assert_eq!(delivered(&sim.requests(&agents(2))), Some((2, CallStatus::Done)));
    let effects = sim.waits();
    assert!(diverged(&effects), "{effects:?}");
}

#[test]
fn a_replay_that_returns_before_it_has_asked_for_what_the_journal_holds_has_diverged() {
    let mut sim = recorded().taken_over(&Setup::new());
    let length = sim.journal.len();
    sim.requests(&agents(2));
    let effects = sim.returns(json!("early"));
    assert!(diverged(&effects), "{effects:?}");
    assert_eq!(sim.journal.len(), length);
}

#[test]
fn a_replay_that_goes_on_past_its_journal_has_not_diverged() {
    let mut sim = recorded().taken_over(&Setup::new());
    sim.requests(&agents(2));
    assert_eq!(sim.requests(&[agent("after"), agent("more")]), [prepare(1), prepare(3), prepare(4)]);
}

#[test]
fn calls_nobody_awaited_are_abandoned_at_the_end_and_are_no_gap() {
    let mut setup = Setup::new();
    setup.config.strict = true;
    let mut sim = setup.start();
    sim.requests(&agents(3));
    sim.begin(1);
    sim.begin(2);
    sim.ended(1, 1, Ok(json!(1)));
    let effects = sim.returns(json!("done"));
    let outcome = RunOutcome {
        status: RunStatus::Done,
        reason: None,
        output: Some(json!("done")),
        error: None,
        superseded_by: None,
    };
    assert_eq!(effects, [abort(2)]);
    let effects = sim.winds_down(2, 1, Charge::default());
    assert_eq!(effects, [release(2), Effect::Finished { outcome: Box::new(outcome) }]);
    let abandoned: Vec<_> = (1..=3).map(|call| (sim.outcome(call).status, sim.outcome(call).abandoned)).collect();
    let expected = [(CallStatus::Done, false), (CallStatus::Cancelled, true), (CallStatus::Cancelled, true)];
    assert_eq!(abandoned, expected);
}

#[test]
fn a_strict_run_with_gaps_fails_and_keeps_its_output() {
    for (strict, status) in [(false, RunStatus::Done), (true, RunStatus::Failed)] {
        let mut setup = Setup::new();
        setup.config.strict = strict;
        let mut sim = setup.clone().start();
        sim.requests(&agents(1));
        sim.begin(1);
        sim.ended(1, 1, Err(error(ErrorClass::BadRequest)));
        let outcome = ended_as(&sim.returns(json!([null]))).unwrap();
        assert_eq!((outcome.status, outcome.output.clone()), (status, Some(json!([null]))));
        assert_eq!(outcome.error.as_ref().map(|e| e.code), strict.then_some(RunErrorCode::Gaps));

        // A replayed failure is a gap as well.
        sim.journal.pop();
        let mut sim = sim.taken_over(&setup);
        sim.requests(&agents(1));
        assert_eq!(ended_as(&sim.returns(json!([null]))), Some(outcome));
    }
}

#[test]
fn a_script_that_waits_for_nothing_is_a_deadlock() {
    let mut sim = Setup::new().start();
    let outcome = ended_as(&sim.waits()).unwrap();
    assert_eq!((outcome.status, outcome.error.map(|e| e.code)), (RunStatus::Failed, Some(RunErrorCode::Deadlock)));
}

#[test]
fn a_script_that_fails_ends_the_run_and_its_calls() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(2));
    sim.begin(1);
    sim.begin(2);
    sim.ended(1, 1, Err(error(ErrorClass::Schema)));
    sim.ended(1, 2, Err(error(ErrorClass::Schema)));
    sim.ended(1, 3, Err(error(ErrorClass::Schema)));
    let thrown = RunError::new(RunErrorCode::ScriptError, "no");
    let effects = sim.on(Input::Ran { ops: Vec::new(), state: DriverState::Failed(thrown.clone()) });
    assert_eq!(effects, [abort(2)]);
    let outcome = ended_as(&sim.winds_down(2, 1, Charge::default())).unwrap();
    assert_eq!((outcome.status, outcome.error), (RunStatus::Failed, Some(thrown)));
}

#[test]
fn what_an_attempt_used_while_it_wound_down_counts_for_the_call_that_was_cancelled() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(2));
    sim.begin(1);
    sim.begin(2);
    sim.on(cancel(None));
    // Nothing but these reports is heard any more.
    assert_eq!(sim.on(cancel(None)), []);
    assert_eq!(sim.on(Input::Pause { reason: StatusReason::User }), []);
    let used = Charge { tokens: 70, cost_nanos: 9, calls: 0 };
    assert_eq!(sim.winds_down(2, 1, used), [release(2)]);
    let late = sim.ended_with(1, 1, Ok(json!("an answer after all")), used);
    assert_eq!(ended_as(&late), Some(cancelled()));
    for call in [1, 2] {
        let outcome = sim.outcome(call);
        assert_eq!((outcome.status, outcome.value), (CallStatus::Cancelled, None));
        assert_eq!((outcome.usage.output_tokens, outcome.cost_nanos), (70, Some(9)));
        assert_eq!(outcome.charge, Charge { calls: 1, ..used });
    }
    assert_eq!(sim.ledger.settled(), Charge { tokens: 140, cost_nanos: 18, calls: 2 });
    assert_eq!(sim.ledger.reserved(), Charge::default());
    let ends: Vec<_> = sim.kinds().into_iter().rev().take(3).collect();
    assert_eq!(ends, ["run_finished", "call_finished", "call_finished"]);
}

#[test]
fn generated_answers_have_nothing_to_say_when_their_call_is_cancelled() {
    let mut sim = Setup::new().start();
    sim.real = false;
    sim.requests(&agents(1));
    sim.begin(1);
    let finished = Effect::Finished { outcome: Box::new(cancelled()) };
    assert_eq!(sim.on(cancel(None)), [abort(1), release(1), finished]);
}

#[test]
fn a_pause_waits_for_an_attempt_that_winds_down() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(1));
    sim.begin(1);
    sim.on(cancel(Some(1)));
    assert_eq!(sim.on(Input::Pause { reason: StatusReason::User }), []);
    let effects = sim.winds_down(1, 1, Charge::default());
    assert_eq!(effects.last(), Some(&Effect::Pause { reason: StatusReason::User, message: None }));
}
