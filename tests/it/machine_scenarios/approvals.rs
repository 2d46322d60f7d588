//! Questions to a person.

use super::*;

pub(super) fn approval(message: &str, expires_in_ms: Option<u64>) -> CallSpec {
    let ask = ApprovalAsk {
        message: message.to_owned(),
        metadata: None,
        decider: Decider::Any,
        expires_in_ms,
        on_timeout: Decision::Deny,
    };
    CallSpec::new(CallKind::Approval, Ask { approval: Some(ask), ..Ask::default() })
}

fn waits_for_a_person() -> Effect {
    Effect::Pause { reason: StatusReason::Approval, message: None }
}

fn asked(effects: &[Effect]) -> Vec<(u32, u32)> {
    let ids = effects.iter().filter_map(|e| match e {
        Effect::Ask { approval } => Some((approval.approval_id.0, approval.call_id.0)),
        _ => None,
    });
    ids.collect()
}

#[test]
fn a_run_pauses_when_nothing_but_approvals_is_pending() {
    let mut sim = Setup::new().start();
    let effects = sim.requests(&[approval("one?", None), agent("a"), approval("two?", None)]);
    assert_eq!(asked(&effects), [(1, 1), (2, 3)]);
    assert_eq!(effects[1], prepare(2));
    assert_eq!(effects.len(), 3, "the agent goes on");
    sim.begin(2);
    assert_eq!(delivered(&sim.ended(2, 1, Ok(json!(1)))), Some((2, CallStatus::Done)));
    assert_eq!(sim.waits(), [waits_for_a_person()]);
}

#[test]
fn a_decision_is_the_value_of_the_approval() {
    for (decision, word) in [(Decision::Approve, "approve"), (Decision::Deny, "deny")] {
        let mut sim = Setup::new().start();
        sim.requests(&[approval("ship?", None)]);
        assert_eq!(delivered(&sim.decides(1, decision)), Some((1, CallStatus::Done)));
        let outcome = sim.outcome(1);
        assert_eq!(outcome.value, Some(json!({"decision": word, "by": "ana", "reason": "looked at it"})));
        assert_eq!(outcome.decision.map(|d| d.decision), Some(decision));
    }
}

#[test]
fn a_question_is_answered_once() {
    let mut sim = Setup::new().start();
    sim.requests(&[approval("ship?", None), approval("really?", None)]);
    sim.decides(1, Decision::Approve);
    sim.waits();
    let length = sim.journal.len();
    let _ = sim.decides(1, Decision::Deny);
    let _ = sim.decides(7, Decision::Deny);
    assert_eq!(sim.journal.len(), length, "the second answer and one to no question leave no trace");
    assert_eq!(sim.outcome(1).decision.map(|d| d.decision), Some(Decision::Approve));
}

#[test]
fn an_expiry_counts_as_what_the_question_says() {
    let mut sim = Setup::new().start();
    let effects = sim.requests(&[approval("ship?", Some(500))]);
    let Effect::Ask { approval } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(approval.expires_at, Some(Millis(sim.now + 500)));
    let expired = DecisionInput {
        expired: true,
        by: "timeout".to_owned(),
        via: "timeout".to_owned(),
        reason: None,
        ..decision_of(1, Decision::Deny)
    };
    assert_eq!(delivered(&sim.on(Input::Decided(expired))), Some((1, CallStatus::Done)));
    assert_eq!(sim.outcome(1).value, Some(json!({"decision": "deny", "by": "timeout"})));
}

#[test]
fn an_open_question_keeps_its_id_and_expiry_over_a_resume() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    let first = sim.requests(&[approval("ship?", Some(500))]);
    let mut sim = sim.taken_over(&setup);
    let second = sim.requests(&[approval("ship?", Some(500))]);
    assert_eq!(first, second);
    assert_eq!(sim.kinds().iter().filter(|k| **k == "approval_asked").count(), 1);
}

#[test]
fn an_answer_that_was_recorded_without_its_outcome_counts() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&[approval("ship?", None)]);
    sim.decides(1, Decision::Approve);
    assert_eq!(sim.kinds().last(), Some(&"call_finished"));
    sim.journal.pop();
    let mut sim = sim.taken_over(&setup);
    assert_eq!(delivered(&sim.requests(&[approval("ship?", None)])), Some((1, CallStatus::Done)));
}

#[test]
fn an_answer_that_comes_during_the_replay_counts_when_its_question_is_reached() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    sim.ended(1, 1, Ok(json!(1)));
    sim.requests(&[approval("ship?", None)]);

    let mut sim = sim.taken_over(&setup);
    assert_eq!(delivered(&sim.requests(&[agent("a")])), Some((1, CallStatus::Done)));
    // The script runs on after the recorded delivery; the question has not been asked again yet.
    assert_eq!(sim.decides(1, Decision::Approve), []);
    assert_eq!(delivered(&sim.requests(&[approval("ship?", None)])), Some((2, CallStatus::Done)));
    assert_eq!(sim.kinds().iter().filter(|k| **k == "approval_decided").count(), 1);
}

#[test]
fn an_answer_heard_twice_after_a_takeover_counts_once() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&[approval("ship?", None)]);

    let mut sim = sim.taken_over(&setup);
    sim.requests(&[approval("ship?", None)]);
    assert_eq!(delivered(&sim.decides(1, Decision::Approve)), Some((1, CallStatus::Done)));
    assert_eq!(sim.decides(1, Decision::Approve), []);
    assert_eq!(sim.kinds().iter().filter(|k| **k == "approval_decided").count(), 1);
}

#[test]
fn approvals_are_never_reused() {
    let mut sim = Setup::new().start();
    sim.requests(&[approval("ship?", None)]);
    sim.decides(1, Decision::Approve);
    let history = History::of(sim.journal.iter().map(|(at, event)| (*at, event)));
    let mut setup = Setup::new();
    setup.reuse.add(0, &RunId::new(Millis(1), [9; 5]), &history, |_, _| true);
    let effects = setup.start().requests(&[approval("ship?", None)]);
    assert_eq!(asked(&effects), [(1, 1)]);
}

#[test]
fn a_lingering_run_says_that_it_waits_and_does_not_pause() {
    let mut setup = Setup::new();
    setup.config.linger = true;
    let mut sim = setup.start();
    let effects = sim.requests(&[approval("ship?", None)]);
    assert_eq!(
        effects[1..],
        [Effect::Waiting { waits: Some(owf::core::machine::Waits::Person(StatusReason::Approval)) }]
    );
    let effects = sim.decides(1, Decision::Approve);
    assert_eq!(effects[0], Effect::Waiting { waits: None });
    assert_eq!(delivered(&effects), Some((1, CallStatus::Done)));
}
