//! Attempts that were in flight when the owner died.

use super::*;

/// A run whose only call was in flight at `deaths` deaths of its owner.
fn in_flight(spec: &CallSpec, deaths: u32) -> Sim {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    for death in 1..=deaths {
        sim.requests(std::slice::from_ref(spec));
        let effects = sim.begin(1);
        assert!(matches!(effects[..], [Effect::Start { attempt, .. }] if attempt == death), "{effects:?}");
        sim = sim.taken_over(&setup);
    }
    sim
}

fn question(effects: &[Effect]) -> ApprovalNote {
    let asked = effects.iter().find_map(|e| match e {
        Effect::Ask { approval } => Some(approval.clone()),
        _ => None,
    });
    asked.unwrap_or_else(|| panic!("no question in {effects:?}"))
}

fn waits_for_a_person() -> Effect {
    Effect::Pause { reason: StatusReason::Repeat, message: None }
}

#[test]
fn a_lost_mutating_call_is_asked_about_and_runs_again_when_a_person_agrees() {
    let spec = mutating("m");
    let mut sim = in_flight(&spec, 1);
    let effects = sim.requests(std::slice::from_ref(&spec));
    let asked = question(&effects);
    assert_eq!((asked.approval_id, asked.call_id, asked.kind), (ApprovalId(1), CallId(1), ApprovalKind::Repeat));
    assert_eq!(effects[1..], [waits_for_a_person()]);

    assert_eq!(sim.decides(1, Decision::Approve), [prepare(1)]);
    let again = Effect::Start { call_id: CallId(1), attempt: 2, delay_ms: 0, barrier: true };
    assert_eq!(sim.begin(1), [again]);

    // Lost once more, it is another question.
    let mut sim = sim.taken_over(&Setup::new());
    let effects = sim.requests(std::slice::from_ref(&spec));
    assert_eq!(question(&effects).approval_id, ApprovalId(2));
}

#[test]
fn an_agreed_repetition_is_not_asked_about_twice() {
    let spec = mutating("m");
    let mut sim = in_flight(&spec, 1);
    sim.requests(std::slice::from_ref(&spec));
    sim.decides(1, Decision::Approve);
    // The process dies between the answer and the attempt.
    let mut sim = sim.taken_over(&Setup::new());
    assert_eq!(sim.requests(&[spec]), [prepare(1)]);
}

#[test]
fn a_lost_mutating_call_that_a_person_refuses_to_repeat_is_skipped() {
    let spec = mutating("m");
    let mut sim = in_flight(&spec, 1);
    sim.requests(&[spec]);
    assert_eq!(delivered(&sim.decides(1, Decision::Deny)), Some((1, CallStatus::Skipped)));
    assert!(!CallStatus::Skipped.is_failing());
}

#[test]
fn a_lost_mutating_call_runs_again_unasked_when_it_says_so() {
    let spec = CallSpec { on_lost: OnLost::Rerun, ..mutating("m") };
    let mut sim = in_flight(&spec, 1);
    assert_eq!(sim.requests(&[spec]), [prepare(1)]);
}

#[test]
fn a_lost_mutating_call_fails_when_it_says_so() {
    let spec = CallSpec { on_lost: OnLost::Fail, ..mutating("m") };
    let mut sim = in_flight(&spec, 1);
    assert_eq!(delivered(&sim.requests(&[spec])), Some((1, CallStatus::Failed)));
    assert_eq!(sim.outcome(1).error.unwrap().class, ErrorClass::Crashed);
}

#[test]
fn a_mutating_call_that_never_started_is_not_asked_about() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&[mutating("m")]);
    sim.prepared(1);
    assert_eq!(sim.taken_over(&setup).requests(&[mutating("m")]), [prepare(1)]);
}

#[test]
fn a_reading_call_in_flight_runs_again_until_its_third_lost_attempt() {
    let spec = agent("a");
    let mut sim = in_flight(&spec, 2);
    assert_eq!(sim.requests(std::slice::from_ref(&spec)), [prepare(1)]);
    assert_eq!(sim.begin(1), [starts(1, 3)]);

    let mut sim = in_flight(&spec, 3);
    let effects = sim.requests(&[spec]);
    assert_eq!(delivered(&effects), Some((1, CallStatus::Failed)));
    let (status, message) = sim.status(1);
    assert_eq!(status, CallStatus::Failed);
    assert!(message.unwrap().starts_with("lost 3 times"));
    assert_eq!(sim.outcome(1).attempts, 3);
}

#[test]
fn an_attempt_that_failed_before_the_owner_died_is_not_lost() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    sim.on(Input::Pause { reason: StatusReason::User });
    sim.ended(1, 1, Err(error(ErrorClass::Transport)));
    let mut sim = sim.taken_over(&setup);
    sim.requests(&[agent("a")]);
    assert_eq!(sim.machine.history().call(CallId(1)).map(|c| (c.lost, c.attempts)), Some((0, 1)));
}

#[test]
fn a_timer_keeps_its_due_time_over_a_resume() {
    let timer = CallSpec::new(CallKind::Timer, Ask { timer_ms: Some(5_000), ..Ask::default() });
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    let effects = sim.requests(std::slice::from_ref(&timer));
    assert_eq!(effects, [Effect::StartTimer { call_id: CallId(1), after_ms: 5_000 }]);
    let due = sim.now + 5_000;
    let mut sim = sim.taken_over(&setup);
    let effects = sim.requests(&[timer]);
    let after_ms = (due - sim.now) as u64;
    assert_eq!(effects, [Effect::StartTimer { call_id: CallId(1), after_ms }]);
    assert_eq!(delivered(&sim.on(Input::TimerFired { call_id: CallId(1) })), Some((1, CallStatus::Done)));
    assert_eq!(sim.kinds().iter().filter(|k| **k == "attempt_started").count(), 1);
}

/// A call of which one tool has written, one has failed and one was at work when the owner died.
fn writing(spec: &CallSpec) -> Sim {
    let mut sim = Setup::new().start();
    sim.requests(std::slice::from_ref(spec));
    sim.begin(1);
    for (number, target) in [(1, "a.md"), (2, "b.md"), (3, "c.md")] {
        let (tool, target) = ("write_file".to_owned(), Some(target.to_owned()));
        sim.on(Input::ToolStarted { call_id: CallId(1), attempt: 1, number, tool, target, args: None });
    }
    for (number, ok) in [(1, true), (2, false)] {
        sim.on(Input::ToolFinished { call_id: CallId(1), attempt: 1, number, ok, message: "m".to_owned() });
    }
    sim
}

#[test]
fn a_question_about_a_lost_call_names_what_its_tools_had_changed() {
    let mut sim = writing(&mutating("m")).taken_over(&Setup::new());
    let message = question(&sim.requests(&[mutating("m")])).message;
    assert_eq!(
        message,
        "`m` (c0001) was changing files when the process that ran it ended, and had changed a.md, c.md: run it again?"
    );
}

#[test]
fn a_lost_call_that_runs_again_unasked_says_what_it_changes_twice() {
    let spec = CallSpec { on_lost: OnLost::Rerun, ..mutating("m") };
    let mut sim = writing(&spec).taken_over(&Setup::new());
    sim.requests(std::slice::from_ref(&spec));
    let said = sim.find(|event| match event {
        Event::Warning { code, message } => Some((code.clone(), message.clone())),
        _ => None,
    });
    let message =
        "`m` (c0001) runs again, as its onLost says: it had changed a.md, c.md when the process that ran it ended";
    assert_eq!(said, ("repeated".to_owned(), message.to_owned()));
}

#[test]
fn a_tool_of_a_call_that_has_ended_is_not_recorded() {
    let mut sim = writing(&mutating("m"));
    sim.ended(1, 1, Ok(json!("done")));
    let before = sim.journal.len();
    let (tool, target) = ("write_file".to_owned(), None);
    sim.on(Input::ToolStarted { call_id: CallId(1), attempt: 1, number: 4, tool, target, args: None });
    sim.on(Input::ToolFinished { call_id: CallId(1), attempt: 1, number: 3, ok: true, message: String::new() });
    assert_eq!(sim.journal.len(), before);
}
