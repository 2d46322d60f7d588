//! Calls that wait for others which are at work for their idempotency key.

use owf::core::call::OnceAsk;
use owf::core::machine::Waits;
use owf::core::outcome::CallRef;

use super::*;

fn busy(call: u32, ours: bool) -> Input {
    let by = CallRef { run_id: RunId::new(Millis(0), [1; 5]), call_id: CallId(1) };
    Input::KeyBusy { call_id: CallId(call), by, ours }
}

fn pauses(reason: StatusReason) -> Effect {
    Effect::Pause { reason, message: None }
}

/// Leaves an attempt of an agent that wants to use a tool about which a person is asked.
fn leaves(sim: &mut Sim, call: u32) -> Vec<Effect> {
    let question = ApprovalAsk {
        message: "Deploy?".to_owned(),
        metadata: None,
        decider: Decider::Any,
        expires_in_ms: None,
        on_timeout: Decision::Deny,
    };
    let report = AttemptReport {
        kept: Some(Box::new(json!({"said": []}))),
        question: Some(Box::new(question)),
        ..AttemptReport::new(Err(error(ErrorClass::Other)))
    };
    sim.on(Input::AttemptEnded { call_id: CallId(call), attempt: 1, report: Box::new(report) })
}

fn asks(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Ask { .. }))
}

#[test]
fn a_run_pauses_when_who_has_the_key_asks_a_person_and_the_rest_waits_for_the_key() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(3));
    sim.begin(1);
    assert_eq!(sim.on(busy(2, true)), []);
    assert_eq!(sim.on(busy(3, true)), []);
    let effects = leaves(&mut sim, 1);
    assert!(asks(&effects), "{effects:?}");
    assert_eq!(effects.last(), Some(&pauses(StatusReason::Approval)));
    // Also when it is heard of only then.
    let mut sim = Setup::new().start();
    sim.requests(&agents(2));
    sim.begin(1);
    let effects = leaves(&mut sim, 1);
    assert!(asks(&effects) && !effects.contains(&pauses(StatusReason::Approval)), "{effects:?}");
    assert_eq!(sim.on(busy(2, true)), [pauses(StatusReason::Approval)]);
}

#[test]
fn who_waits_for_a_key_goes_on_when_it_is_there_and_may_wait_again() {
    let mut sim = Setup::new().start();
    sim.requests(&[approvals::approval("ship?", None), agent("a"), agent("b")]);
    sim.on(busy(2, true));
    let effects = sim.on(busy(3, true));
    assert_eq!(effects, [pauses(StatusReason::Approval)]);
    assert_eq!(sim.on(Input::Look), [pauses(StatusReason::Approval)], "as often as it is looked at");
    // The pause came to nothing, because the key is free by now.
    assert_eq!(sim.begin(2), [starts(2, 1)]);
    assert_eq!(sim.on(busy(3, true)), []);
    assert_eq!(delivered(&sim.ended(2, 1, Ok(json!(1)))), Some((2, CallStatus::Done)));
    assert_eq!(sim.waits(), [pauses(StatusReason::Approval)]);
    let refuses = Input::Prepared { call_id: CallId(3), plan: Plan::Refuse(error(ErrorClass::Policy)) };
    assert_eq!(delivered(&sim.on(refuses)), Some((3, CallStatus::Failed)));
}

#[test]
fn a_key_at_which_another_run_tree_is_at_work_is_waited_for_and_that_is_said_once() {
    let mut sim = Setup::new().start();
    let mut second = agent("a");
    "second".clone_into(&mut second.label);
    sim.requests(&[approvals::approval("ship?", None), second]);
    assert_eq!(sim.on(busy(2, false)), [], "it may have its answer at any time");
    sim.on(busy(2, false));
    let said: Vec<&Event> = sim.journal.iter().map(|(_, e)| e).filter(|e| e.kind() == "warning").collect();
    let run = RunId::new(Millis(0), [1; 5]);
    let message = format!("`second` (c0002) waits for {run}/c0001, which is at work for the same idempotency key");
    assert_eq!(said, [&Event::Warning { code: "waits_for_key".to_owned(), message }]);
    // When one of the tree takes the key over, it is as if it had been that one from the beginning.
    assert_eq!(sim.on(busy(2, true)), [pauses(StatusReason::Approval)]);
    assert_eq!(sim.on(busy(2, false)), []);
}

#[test]
fn a_child_that_only_waits_for_a_key_says_so_and_its_parent_pauses_for_whoever_has_it() {
    let mut setup = Setup::new();
    setup.config.linger = true;
    let mut child = setup.start();
    child.requests(&agents(1));
    assert_eq!(child.on(busy(1, true)), [Effect::Waiting { waits: Some(Waits::Key) }]);
    assert_eq!(child.prepared(1)[0], Effect::Acquire { call_id: CallId(1) });

    let mut sim = Setup::new().start();
    sim.requests(&[approvals::approval("ship?", None), agent("child"), agent("child")]);
    sim.begin(2);
    sim.begin(3);
    let waiting = |call: u32, waits| Input::ChildWaiting { call_id: CallId(call), waits };
    assert_eq!(sim.on(waiting(2, Some(Waits::Key))), []);
    assert_eq!(sim.on(waiting(3, Some(Waits::Key))), [pauses(StatusReason::Approval)]);
}

#[test]
fn a_run_that_waits_for_nothing_but_keys_does_not_fail_by_itself_and_says_so_once() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(2));
    assert_eq!(sim.on(busy(1, true)), []);
    assert_eq!(sim.on(busy(2, true)), [Effect::Waiting { waits: Some(Waits::Key) }]);
    assert_eq!(sim.on(busy(2, true)), []);
    assert_eq!(sim.prepared(1), [Effect::Acquire { call_id: CallId(1) }, Effect::Waiting { waits: None }]);
    assert_eq!(sim.permitted(1, one_call()), [starts(1, 1)]);
    assert_eq!(sim.on(Input::Look), []);
    assert_eq!(delivered(&sim.ended(1, 1, Ok(json!(1)))), Some((1, CallStatus::Done)));
    assert_eq!(sim.machine.waits(), None, "the script runs");
    assert_eq!(sim.waits(), [Effect::Waiting { waits: Some(Waits::Key) }]);
    assert_eq!((sim.on(Input::Look), sim.machine.waits()), (Vec::new(), Some(Waits::Key)));
}

#[test]
fn who_has_found_its_key_works_before_its_plan_is_there_and_one_that_is_cancelled_stops_looking() {
    let mut setup = Setup::new();
    setup.config.linger = true;
    let mut child = setup.start();
    let mut keyed = agent("a");
    keyed.ask.once = Some(OnceAsk { task: "a".to_owned(), key: "k".to_owned() });
    child.requests(&[keyed, agent("b")]);
    child.on(busy(1, true));
    assert_eq!(child.on(busy(2, true)), [Effect::Waiting { waits: Some(Waits::Key) }]);
    assert_eq!(child.on(Input::KeyFound { call_id: CallId(1) }), [Effect::Waiting { waits: None }]);
    assert_eq!(child.machine.waits(), None, "a hook may judge what was found");
    let cancel = |call: u32| Input::Cancel { call_id: Some(CallId(call)), by: "cli".to_owned(), reason: None };
    assert_eq!(child.on(cancel(1))[0], Effect::Abort { call_id: CallId(1) });
    assert!(!child.on(cancel(2)).contains(&Effect::Abort { call_id: CallId(2) }), "nothing of it is under way");
}

#[test]
fn a_run_that_is_to_pause_does_not_wait_for_a_key() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&agents(1));
    sim.on(busy(1, false));
    assert_eq!(sim.on(Input::Pause { reason: StatusReason::User }), [pauses(StatusReason::User)]);
    assert_eq!(sim.prepared(1), [pauses(StatusReason::User)]);
    assert_eq!(sim.taken_over(&setup).requests(&agents(1)), [prepare(1)]);
}

#[test]
fn who_has_waited_for_a_key_and_was_asked_about_it_waits_no_more_when_it_is_taken_up_again() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(1));
    sim.on(busy(1, true));
    let question = ApprovalAsk {
        message: "Run it?".to_owned(),
        metadata: None,
        decider: Decider::Any,
        expires_in_ms: None,
        on_timeout: Decision::Deny,
    };
    let effects = sim.on(Input::Prepared { call_id: CallId(1), plan: Plan::AskToRepeat(Box::new(question)) });
    assert_eq!(effects.last(), Some(&pauses(StatusReason::Repeat)));
    assert_eq!(sim.decides(1, Decision::Approve), [prepare(1), Effect::Waiting { waits: None }]);
    assert_eq!(sim.machine.waits(), None);
}
