//! Pauses: by a person, by a provider that is down.

use super::*;

fn paused(reason: StatusReason, message: Option<&str>) -> Effect {
    Effect::Pause { reason, message: message.map(str::to_owned) }
}

#[test]
fn a_pause_lets_attempts_finish_delivers_nothing_and_starts_nothing() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&agents(4));
    sim.begin(1);
    sim.begin(2);
    sim.prepared(3);
    // The third waits for a permit, the fourth is being prepared.
    assert_eq!(sim.on(Input::Pause { reason: StatusReason::User }), [release(3)]);
    assert_eq!(sim.prepared(4), []);
    assert_eq!(sim.ended(1, 1, Ok(json!("one"))), [release(1)]);
    assert_eq!(sim.ended(2, 1, Ok(json!("two"))), [release(2), paused(StatusReason::User, None)]);
    assert_eq!(sim.kinds()[6..], ["attempt_started", "attempt_started", "call_finished", "call_finished"]);

    let mut sim = sim.taken_over(&setup);
    assert_eq!(delivered(&sim.requests(&agents(4))), Some((1, CallStatus::Done)));
    assert_eq!(delivered(&sim.waits()), Some((2, CallStatus::Done)));
    assert_eq!(sim.waits(), [prepare(3), prepare(4)]);
}

#[test]
fn a_pause_with_nothing_running_takes_effect_at_once() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(1));
    assert_eq!(sim.on(Input::Pause { reason: StatusReason::User }), [paused(StatusReason::User, None)]);
}

#[test]
fn a_retry_that_a_pause_overtook_waits_for_the_resume() {
    let setup = Setup::new();
    let mut sim = setup.clone().start();
    sim.requests(&agents(1));
    sim.begin(1);
    sim.on(Input::Pause { reason: StatusReason::User });
    let effects = sim.ended(1, 1, Err(error(ErrorClass::Overloaded)));
    assert_eq!(effects, [release(1), paused(StatusReason::User, None)]);
    assert_eq!(sim.kinds().last(), Some(&"attempt_failed"));
    let mut sim = sim.taken_over(&setup);
    assert_eq!(sim.requests(&agents(1)), [prepare(1)]);
    assert_eq!(sim.begin(1), [starts(1, 2)]);
}

#[test]
fn the_first_failure_of_a_provider_that_is_down_pauses_the_run() {
    for (class, reason) in
        [(ErrorClass::Auth, StatusReason::ProviderAuth), (ErrorClass::Quota, StatusReason::ProviderQuota)]
    {
        let setup = Setup::new();
        let mut sim = setup.clone().start();
        sim.requests(&agents(3));
        sim.begin(1);
        sim.begin(2);
        sim.prepared(3);
        assert_eq!(sim.ended(1, 1, Err(error(class))), [release(1), release(3)]);
        assert_eq!(sim.kinds().last(), Some(&"attempt_failed"), "no outcome, nothing delivered");
        // Its sibling finishes first.
        assert_eq!(sim.ended(2, 1, Ok(json!("two"))), [release(2), paused(reason, Some("no"))]);

        let mut sim = sim.taken_over(&setup);
        assert_eq!(delivered(&sim.requests(&agents(3))), Some((2, CallStatus::Done)));
        assert_eq!(sim.waits(), [prepare(1), prepare(3)]);
        assert_eq!(sim.begin(1), [starts(1, 2)]);
    }
}

#[test]
fn a_provider_that_is_down_fails_the_call_when_the_run_says_so_or_the_provider_is_fake() {
    let mut fails = Setup::new();
    fails.config.on_provider_down = OnProviderDown::Fail;
    for (setup, real) in [(fails, true), (Setup::new(), false)] {
        let mut sim = setup.start();
        sim.real = real;
        sim.requests(&agents(1));
        sim.begin(1);
        let effects = sim.ended(1, 1, Err(error(ErrorClass::Auth)));
        assert_eq!(delivered(&effects), Some((1, CallStatus::ProviderFailed)));
    }
}

#[test]
fn a_pausing_run_can_still_be_cancelled() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(1));
    sim.begin(1);
    sim.on(Input::Pause { reason: StatusReason::User });
    let effects = sim.on(Input::Cancel { call_id: None, by: "ana".to_owned(), reason: None });
    assert_eq!(effects, [Effect::Abort { call_id: CallId(1) }]);
    assert_eq!(ended_as(&sim.winds_down(1, 1, Charge::default())).unwrap().status, RunStatus::Cancelled);
}

#[test]
fn a_decision_that_reaches_a_pausing_run_is_recorded_and_the_run_still_pauses() {
    let mut sim = Setup::new().start();
    sim.requests(&[approvals::approval("ship?", None)]);
    sim.on(Input::Pause { reason: StatusReason::User });
    assert_eq!(sim.decides(1, Decision::Approve), [paused(StatusReason::User, None)]);
    assert_eq!(sim.kinds()[4..], ["approval_decided", "call_finished"]);
}
