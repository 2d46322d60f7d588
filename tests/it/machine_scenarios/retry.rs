//! Which failed attempts are tried again.

use super::*;

/// Attempts made of a call whose every attempt fails with `class`, and the delays before them.
fn attempts(spec: CallSpec, class: ErrorClass) -> (Sim, Vec<u64>) {
    let mut sim = Setup::new().start();
    sim.requests(&[spec]);
    let mut effects = sim.begin(1);
    let mut delays = Vec::new();
    while let [Effect::Start { attempt, delay_ms, .. }] = effects[..] {
        delays.push(delay_ms);
        assert!(delays.len() <= 20, "endless");
        effects = sim.ended(1, attempt, Err(error(class)));
    }
    assert_eq!(effects[0], release(1), "one permit for all attempts");
    assert_eq!(delivered(&effects).map(|(call, _)| call), Some(1));
    (sim, delays)
}

#[test]
fn what_may_pass_is_tried_again_and_what_will_not_is_not() {
    let by_class = |class| attempts(agent("a"), class).1.len();
    for class in [ErrorClass::RateLimited, ErrorClass::Overloaded, ErrorClass::Transport] {
        assert_eq!(by_class(class), 4, "{class:?}");
    }
    assert_eq!(by_class(ErrorClass::Timeout), 2);
    assert_eq!(by_class(ErrorClass::NoOutput), 2);
    for class in [ErrorClass::BadRequest, ErrorClass::Refusal, ErrorClass::ContextTooLong, ErrorClass::Other] {
        assert_eq!(by_class(class), 1, "{class:?}");
    }
}

#[test]
fn an_answer_that_breaks_its_schema_is_asked_for_as_often_as_the_settings_say() {
    let (sim, delays) = attempts(agent("a"), ErrorClass::Schema);
    assert_eq!(delays, [0, 0, 0]);
    let outcome = sim.outcome(1);
    assert_eq!((outcome.status, outcome.attempts), (CallStatus::SchemaFailed, 3));
    assert_eq!(outcome.error.unwrap().throws.as_deref(), Some("Error"), "in the dialect it throws");
}

#[test]
fn accept_025_tokens_of_all_attempts_are_summed() {
    let mut sim = Setup::new().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    let used = Charge { tokens: 40, cost_nanos: 7, calls: 0 };
    assert_eq!(sim.ended_with(1, 1, Err(error(ErrorClass::Schema)), used), [starts(1, 2)]);
    sim.ended_with(1, 2, Ok(json!("valid")), used);
    let outcome = sim.outcome(1);
    assert_eq!((outcome.status, outcome.attempts), (CallStatus::Done, 2));
    assert_eq!((outcome.usage.output_tokens, outcome.cost_nanos), (80, Some(14)));
    assert_eq!(outcome.charge, Charge { tokens: 80, cost_nanos: 14, calls: 1 });
    assert_eq!(sim.ledger.settled(), outcome.charge);
}

#[test]
fn waits_grow_and_the_provider_may_say_how_long() {
    let (_, delays) = attempts(agent("a"), ErrorClass::Overloaded);
    let bounds = [0, 500, 1000, 2000];
    assert_eq!(delays.len(), bounds.len());
    assert!(delays.iter().zip(bounds).all(|(delay, most)| *delay <= most), "{delays:?}");
    assert_eq!(attempts(agent("a"), ErrorClass::Overloaded).1, delays, "the same request waits the same");
    assert_ne!(attempts(agent("b"), ErrorClass::Overloaded).1, delays, "siblings do not come back together");

    // Anywhere up to half a second, a second, two: of many calls some wait hardly at all and some nearly as long as they may.
    let many: Vec<Vec<u64>> = (0..60).map(|i| attempts(agent(&format!("p{i}")), ErrorClass::Transport).1).collect();
    for (attempt, most) in [(1, 500), (2, 1000), (3, 2000)] {
        let waits = many.iter().map(|delays| delays[attempt]);
        let (least, longest) = (waits.clone().min().unwrap(), waits.max().unwrap());
        assert!(least < most / 8 && (most * 7 / 8..=most).contains(&longest), "{attempt}: {least} to {longest}");
    }

    let mut sim = Setup::new().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    let asked = CallError { retry_after_ms: Some(70), ..error(ErrorClass::RateLimited) };
    let again = Effect::Start { call_id: CallId(1), attempt: 2, delay_ms: 70, barrier: false };
    assert_eq!(sim.ended(1, 1, Err(asked)), [again]);

    let mut sim = Setup::new().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    let too_long = CallError { retry_after_ms: Some(60_001), ..error(ErrorClass::RateLimited) };
    sim.ended(1, 1, Err(too_long.clone()));
    let outcome = sim.outcome(1);
    assert_eq!((outcome.status, outcome.attempts), (CallStatus::ProviderFailed, 1));
    assert_eq!(outcome.error, Some(too_long), "it says when to come back");
}

#[test]
fn an_explicit_retry_counts_all_attempts_and_backs_off() {
    let retry = Retry { max_attempts: 4, delay_ms: 100, backoff: 2.0, on: None, ..Retry::default() };
    let spec = CallSpec { retry: Some(retry.clone()), ..agent("a") };
    assert_eq!(attempts(spec.clone(), ErrorClass::Transport).1, [0, 100, 200, 400]);
    assert_eq!(attempts(spec, ErrorClass::BadRequest).1, [0], "not a class that may pass");

    let listed = Retry { on: Some(vec!["bad_request".to_owned()]), ..retry };
    let spec = CallSpec { retry: Some(listed), ..agent("a") };
    assert_eq!(attempts(spec.clone(), ErrorClass::BadRequest).1.len(), 4);
    assert_eq!(attempts(spec, ErrorClass::Transport).1.len(), 1);
}

#[test]
fn a_mutating_call_is_retried_only_when_it_says_so() {
    for class in [ErrorClass::Transport, ErrorClass::Timeout, ErrorClass::Schema, ErrorClass::NoOutput] {
        assert_eq!(attempts(mutating("m"), class).1.len(), 1, "{class:?}");
    }
    let retry = Retry { max_attempts: 2, delay_ms: 0, backoff: 1.0, on: None, ..Retry::default() };
    let spec = CallSpec { retry: Some(retry), ..mutating("m") };
    assert_eq!(attempts(spec, ErrorClass::Transport).1.len(), 2);
}

#[test]
fn a_late_answer_of_an_earlier_attempt_is_dropped() {
    let mut sim = Setup::new().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    sim.ended(1, 1, Err(error(ErrorClass::Transport)));
    assert_eq!(sim.ended(1, 1, Ok(json!("late"))), []);
    assert_eq!(delivered(&sim.ended(1, 2, Ok(json!("in time")))), Some((1, CallStatus::Done)));
    assert_eq!(sim.outcome(1).value, Some(json!("in time")));
}

#[test]
fn a_busy_provider_is_asked_again_within_a_total_time_only() {
    let mut setup = Setup::new();
    setup.config.waits.total_ms = 1_000;
    let asked = |ms| CallError { retry_after_ms: Some(ms), ..error(ErrorClass::Overloaded) };
    let mut sim = setup.clone().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    let again = Effect::Start { call_id: CallId(1), attempt: 2, delay_ms: 900, barrier: false };
    assert_eq!(sim.ended(1, 1, Err(asked(900))), [again]);
    sim.now += 900;
    assert_eq!(delivered(&sim.ended(1, 2, Err(asked(200)))), Some((1, CallStatus::ProviderFailed)));

    // An answer that is to be put right waits for nobody.
    let mut sim = setup.start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    sim.now += 5_000;
    assert_eq!(sim.ended(1, 1, Err(error(ErrorClass::Schema))), [starts(1, 2)]);
}

#[test]
fn how_long_a_provider_may_be_waited_for_is_a_setting() {
    let asked = CallError { retry_after_ms: Some(70_000), ..error(ErrorClass::RateLimited) };
    for (ceiling, tries) in [(60_000, 1), (70_000, 2)] {
        let mut setup = Setup::new();
        setup.config.waits.ceiling_ms = ceiling;
        let mut sim = setup.start();
        sim.requests(&[agent("a")]);
        sim.begin(1);
        sim.ended(1, 1, Err(asked.clone()));
        let started = sim.kinds().iter().filter(|kind| **kind == "attempt_started").count();
        assert_eq!(started, tries, "{ceiling}");
    }
}
