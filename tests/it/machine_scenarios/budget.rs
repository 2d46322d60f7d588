//! The budget gate.

use super::*;

fn tokens(limit: u64) -> Setup {
    Setup::new().limits(Limits { tokens: Some(limit), ..Limits::default() })
}

fn sixty() -> Charge {
    Charge { tokens: 60, cost_nanos: 0, calls: 1 }
}

fn used(tokens: u64) -> Charge {
    Charge { tokens, cost_nanos: 0, calls: 0 }
}

#[test]
fn accept_026_a_second_sequential_call_starts_and_a_third_is_refused() {
    let mut sim = tokens(100).start();
    assert_eq!(sim.requests(&[agent("a")]), [prepare(1)]);
    sim.prepared(1);
    assert_eq!(sim.permitted(1, sixty()), [starts(1, 1)]);
    assert_eq!(delivered(&sim.ended_with(1, 1, Ok(json!(1)), used(60))), Some((1, CallStatus::Done)));

    assert_eq!(sim.requests(&[agent("b")]), [prepare(2)]);
    sim.prepared(2);
    assert_eq!(sim.permitted(2, sixty()), [starts(2, 1)], "60 < 100 and nothing is in flight");
    sim.ended_with(2, 1, Ok(json!(2)), used(60));

    assert_eq!(sim.requests(&[agent("c")]), [prepare(3)]);
    sim.prepared(3);
    let effects = sim.permitted(3, sixty());
    assert_eq!(effects[0], release(3));
    assert_eq!(delivered(&effects), Some((3, CallStatus::BudgetExhausted)));
    let outcome = sim.outcome(3);
    assert_eq!((outcome.charge, outcome.attempts), (Charge::default(), 0));
    assert_eq!(outcome.error.unwrap().throws.as_deref(), Some("WorkflowBudgetExceededError"));
    assert_eq!(sim.ledger.settled().tokens, 120);
}

#[test]
fn accept_026_of_two_calls_at_once_the_second_is_refused() {
    let mut sim = tokens(100).start();
    sim.requests(&agents(2));
    sim.prepared(1);
    sim.prepared(2);
    assert_eq!(sim.permitted(1, sixty()), [starts(1, 1)]);
    assert_eq!(delivered(&sim.permitted(2, sixty())), Some((2, CallStatus::BudgetExhausted)));
}

#[test]
fn accept_027_a_second_call_that_does_not_fit_the_cost_budget_is_refused() {
    let mut sim = Setup::new().limits(Limits { cost_nanos: Some(10_000_000), ..Limits::default() }).start();
    let six = Charge { tokens: 0, cost_nanos: 6_000_000, calls: 1 };
    sim.requests(&[agent("a")]);
    sim.prepared(1);
    assert_eq!(sim.permitted(1, six), [starts(1, 1)]);
    sim.ended_with(1, 1, Ok(json!(1)), Charge { calls: 0, ..six });
    sim.requests(&[agent("b")]);
    sim.prepared(2);
    assert_eq!(delivered(&sim.permitted(2, six)), Some((2, CallStatus::BudgetExhausted)));
    assert_eq!(sim.ledger.settled(), Charge { calls: 1, ..six });
}

#[test]
fn accept_028_of_twenty_calls_at_once_five_have_room() {
    let setups = [
        tokens(300),
        Setup::new().limits(Limits { calls: Some(5), ..Limits::default() }),
        Setup::new().limits(Limits { cost_nanos: Some(5_500), ..Limits::default() }),
    ];
    for setup in setups {
        let mut sim = setup.start();
        let mut effects = sim.requests(&agents(20));
        assert_eq!(effects.len(), 20);
        effects = (1..=20).flat_map(|call| sim.prepared(call)).collect();
        assert_eq!(effects.len(), 20);
        let reserve = Charge { tokens: 60, cost_nanos: 1_000, calls: 1 };
        effects = (1..=20).flat_map(|call| sim.permitted(call, reserve)).collect();
        let started = effects.iter().filter(|e| matches!(e, Effect::Start { .. })).count();
        assert_eq!(started, 5, "{:?}", sim.ledger.limits);
        assert_eq!(sim.ledger.reserved().calls, 5);
    }
}

#[test]
fn a_recorded_refusal_is_not_recomputed_in_place_and_runs_again_in_a_new_run() {
    let setup = tokens(10);
    let mut sim = setup.clone().start();
    sim.requests(&agents(2));
    sim.prepared(1);
    sim.prepared(2);
    sim.permitted(1, sixty());
    sim.permitted(2, sixty());
    assert_eq!(sim.status(2).0, CallStatus::BudgetExhausted);

    let richer = tokens(10_000);
    let history = History::of(sim.journal.iter().map(|(at, event)| (*at, event)));
    let mut again = sim.taken_over(&richer);
    assert_eq!(delivered(&again.requests(&agents(2))), Some((2, CallStatus::BudgetExhausted)));

    let mut new = richer;
    new.reuse.add(0, &RunId::new(Millis(1), [9; 5]), &history, |_, _| true);
    assert_eq!(new.start().requests(&agents(2)), [prepare(1), prepare(2)]);
}

#[test]
fn failed_attempts_count_in_place_and_not_in_a_new_run() {
    let setup = tokens(100);
    let mut sim = setup.clone().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    sim.ended_with(1, 1, Err(error(ErrorClass::Transport)), used(70));
    let history = History::of(sim.journal.iter().map(|(at, event)| (*at, event)));

    let mut again = sim.taken_over(&setup);
    again.requests(&[agent("a")]);
    assert_eq!(again.ledger.settled().tokens, 70);
    again.begin(1);
    again.ended_with(1, 3, Ok(json!(1)), used(20));
    assert_eq!(again.outcome(1).charge, Charge { tokens: 90, cost_nanos: 0, calls: 1 });
    assert_eq!(again.ledger.settled(), Charge { tokens: 90, cost_nanos: 0, calls: 1 });

    let mut new = setup;
    new.reuse.add(0, &RunId::new(Millis(1), [9; 5]), &history, |_, _| true);
    let mut new = new.start();
    new.requests(&[agent("a")]);
    assert_eq!(new.ledger.settled(), Charge::default());
    // The attempt's number goes on over the lineage.
    assert_eq!(new.begin(1), [starts(1, 3)]);
}

#[test]
fn a_new_run_starts_at_what_its_reused_outcomes_charged() {
    let mut sim = tokens(100).start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    sim.ended_with(1, 1, Ok(json!(1)), used(60));
    let history = History::of(sim.journal.iter().map(|(at, event)| (*at, event)));
    let mut new = tokens(100);
    new.reuse.add(0, &RunId::new(Millis(1), [9; 5]), &history, |_, _| true);
    let mut new = new.start();
    let effects = new.requests(&[agent("a")]);
    let Some(Effect::Deliver { budget, .. }) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(budget.spent, Charge { tokens: 60, cost_nanos: 0, calls: 1 });
    assert_eq!(new.ledger.settled(), budget.spent);
}

#[test]
fn the_call_cap_refuses_the_call_that_is_one_too_many() {
    let mut setup = Setup::new();
    setup.max_calls = 2;
    let mut sim = setup.start();
    let effects = sim.requests(&agents(3));
    assert_eq!(effects[..2], [prepare(1), prepare(2)]);
    assert_eq!(delivered(&effects), Some((3, CallStatus::BudgetExhausted)));
    assert_eq!(sim.outcome(3).error.unwrap().throws.as_deref(), Some("WorkflowAgentCapError"));
}

#[test]
fn an_attempt_of_unknown_cost_counts_with_what_was_set_aside_for_it_also_after_a_takeover() {
    let setup = Setup::new().limits(Limits { cost_nanos: Some(1_000), ..Limits::default() });
    let mut sim = setup.clone().start();
    sim.requests(&[agent("a")]);
    sim.prepared(1);
    let aside = Charge { tokens: 0, cost_nanos: 400, calls: 1 };
    sim.permitted(1, aside);
    let unknown = AttemptReport {
        charge: Charge { cost_nanos: 400, ..Charge::default() },
        ..AttemptReport::new(Err(error(ErrorClass::Timeout)))
    };
    sim.on(Input::AttemptEnded { call_id: CallId(1), attempt: 1, report: Box::new(unknown) });
    let recorded = sim.find(|event| match event {
        Event::AttemptFailed { cost_nanos, charge_nanos, .. } => Some((*cost_nanos, *charge_nanos)),
        _ => None,
    });
    assert_eq!(recorded, (None, Some(400)));

    // The second attempt is lost with its owner: it counts with what was set aside, too.
    let mut again = sim.taken_over(&setup);
    again.requests(&[agent("a")]);
    assert_eq!(again.ledger.settled().cost_nanos, 800);
    again.prepared(1);
    let refused = again.permitted(1, aside);
    assert_eq!(delivered(&refused), Some((1, CallStatus::BudgetExhausted)));
    assert_eq!(again.outcome(1).charge.cost_nanos, 800);
}

#[test]
fn an_attempt_that_was_lost_with_its_owner_used_what_nobody_knows() {
    let setup = Setup::new();
    for provider in ["claude", "fake"] {
        let mut sim = setup.clone().start();
        sim.requests(&[agent("a")]);
        let plan = Plan::Run {
            provider: Some(provider.to_owned()),
            model: None,
            real: provider != "fake",
            note: CacheNote::default(),
            record: None,
            child_run: None,
            pin: None,
            permit: true,
            schema_attempts: None,
        };
        sim.on(Input::Prepared { call_id: CallId(1), plan });
        sim.permitted(1, Charge { tokens: 0, cost_nanos: 400, calls: 1 });
        let mut again = sim.taken_over(&setup);
        again.requests(&[agent("a")]);
        again.begin(1);
        again.ended_with(1, 2, Ok(json!(1)), Charge { cost_nanos: 7, ..Charge::default() });
        assert_eq!(again.outcome(1).usage_unknown, provider == "claude", "{provider}");
    }
}

#[test]
fn a_call_of_which_a_part_is_known_to_cost_something_says_that_it_is_a_part() {
    let mut sim = Setup::new().start();
    sim.requests(&[agent("a")]);
    sim.begin(1);
    let unknown = AttemptReport {
        charge: Charge { cost_nanos: 400, ..Charge::default() },
        ..AttemptReport::new(Err(error(ErrorClass::Timeout)))
    };
    sim.on(Input::AttemptEnded { call_id: CallId(1), attempt: 1, report: Box::new(unknown) });
    sim.ended_with(1, 2, Ok(json!(1)), Charge { cost_nanos: 7, ..Charge::default() });
    let outcome = sim.outcome(1);
    assert_eq!((outcome.cost_nanos, outcome.cost_source), (Some(7), CostSource::Mixed));
    assert_eq!(outcome.charge.cost_nanos, 407);
}

#[test]
fn what_was_set_aside_for_a_further_request_counts_when_the_owner_dies_during_it() {
    let setup = Setup::new().limits(Limits { cost_nanos: Some(10_000), ..Limits::default() });
    let nanos = |cost_nanos| Charge { tokens: 0, cost_nanos, calls: 0 };
    let mut sim = setup.clone().start();
    sim.requests(&[agent("a")]);
    sim.prepared(1);
    sim.permitted(1, nanos(400));
    let raise = |sim: &mut Sim, used, next| {
        let raised = sim.machine.raise(CallId(1), 1, nanos(used), nanos(next), &mut sim.ledger).unwrap();
        if let Some(reserve_nanos) = raised {
            sim.on(Input::Raised { call_id: CallId(1), attempt: 1, reserve_nanos });
        }
        raised
    };
    // What its start set aside covers it: nothing more is recorded.
    assert_eq!(raise(&mut sim, 100, 300), None);
    assert_eq!(raise(&mut sim, 300, 900), Some(1_200));
    assert_eq!(sim.kinds().last(), Some(&"attempt_raised"));
    assert_eq!(sim.ledger.reserved().cost_nanos, 1_200);
    let mut again = sim.taken_over(&setup);
    again.requests(&[agent("a")]);
    assert_eq!(again.ledger.settled().cost_nanos, 1_200);
}

#[test]
fn a_call_is_not_attempted_again_once_its_attempts_have_used_up_a_budget() {
    let nanos = |cost_nanos| Charge { tokens: 0, cost_nanos, calls: 0 };
    let limits = |cost_nanos, tokens| Limits { cost_nanos, tokens, calls: None };
    // Of 500, the first attempt takes what there is, or leaves just enough for another.
    for (limits, aside, charged, again) in [
        (limits(Some(500), None), nanos(400), nanos(400), false),
        (limits(Some(500), None), nanos(400), nanos(101), false),
        (limits(Some(500), None), nanos(400), nanos(100), true),
        (limits(Some(500), None), nanos(0), nanos(500), false),
        // Alone it may go on while less than the total of tokens is used.
        (limits(None, Some(500)), used(400), used(499), true),
        (limits(None, Some(500)), used(400), used(500), false),
    ] {
        let mut sim = Setup::new().limits(limits).start();
        sim.requests(&[agent("a")]);
        sim.prepared(1);
        assert_eq!(sim.permitted(1, aside), [starts(1, 1)]);
        let effects = sim.ended_with(1, 1, Err(error(ErrorClass::Transport)), charged);
        let started = matches!(effects[..], [Effect::Start { attempt: 2, .. }]);
        assert_eq!(started, again, "{limits:?} {charged:?} {effects:?}");
        assert_eq!(sim.ledger.settled(), Charge { calls: u64::from(!again), ..charged });
        let told = sim.find(|event| match event {
            Event::AttemptFailed { retry_in_ms, .. } => Some(retry_in_ms.is_some()),
            _ => None,
        });
        assert_eq!(told, again);
        if !again {
            assert_eq!(delivered(&effects), Some((1, CallStatus::BudgetExhausted)));
            let outcome = sim.outcome(1);
            assert_eq!((outcome.charge, sim.ledger.reserved()), (Charge { calls: 1, ..charged }, Charge::default()));
            let error = outcome.error.unwrap();
            assert_eq!(error.throws.as_deref(), Some("WorkflowBudgetExceededError"));
            assert!(error.message.starts_with("no further attempt: "), "{}", error.message);
        }
    }
}

#[test]
fn tokens_that_nobody_knows_count_with_what_was_set_aside_also_after_a_takeover() {
    let setup = tokens(1_000);
    let mut sim = setup.clone().start();
    sim.requests(&[agent("a")]);
    let plan = Plan::Run {
        provider: Some("mine".to_owned()),
        model: None,
        real: true,
        note: CacheNote::default(),
        record: None,
        child_run: None,
        pin: None,
        permit: true,
        schema_attempts: None,
    };
    sim.on(Input::Prepared { call_id: CallId(1), plan });
    sim.permitted(1, sixty());
    let unknown = AttemptReport {
        usage_unknown: true,
        charge: Charge { tokens: 60, ..Charge::default() },
        ..AttemptReport::new(Err(error(ErrorClass::Timeout)))
    };
    sim.on(Input::AttemptEnded { call_id: CallId(1), attempt: 1, report: Box::new(unknown) });
    let recorded = sim.find(|event| match event {
        Event::AttemptFailed { usage, charge_tokens, .. } => Some((usage.output_tokens, *charge_tokens)),
        _ => None,
    });
    assert_eq!(recorded, (0, Some(60)));
    // The second attempt is lost with its owner.
    let mut again = sim.taken_over(&setup);
    again.requests(&[agent("a")]);
    assert_eq!(again.ledger.settled().tokens, 120);
}

#[test]
fn what_further_requests_of_an_attempt_had_set_aside_is_given_back_before_the_next_attempt() {
    let nanos = |cost_nanos| Charge { tokens: 0, cost_nanos, calls: 0 };
    let mut sim = Setup::new().limits(Limits { cost_nanos: Some(2_000), ..Limits::default() }).start();
    sim.requests(&[agent("a")]);
    sim.prepared(1);
    sim.permitted(1, nanos(400));
    sim.machine.raise(CallId(1), 1, nanos(300), nanos(900), &mut sim.ledger).unwrap();
    assert_eq!(sim.ledger.reserved(), nanos(1_200));
    sim.ended_with(1, 1, Err(error(ErrorClass::Transport)), nanos(1_000));
    // With all that was set aside for the first attempt there would be no second.
    assert_eq!((sim.machine.attempt(CallId(1)), sim.ledger.reserved()), (2, nanos(400)));
    // What the first used is no part of what the second may.
    let raised = sim.machine.raise(CallId(1), 2, nanos(200), nanos(200), &mut sim.ledger);
    assert_eq!((raised, sim.ledger.reserved()), (Ok(None), nanos(400)));
    sim.ended_with(1, 2, Ok(json!(1)), nanos(500));
    assert_eq!((sim.ledger.reserved(), sim.ledger.settled().cost_nanos), (nanos(0), 1_500));
}

#[test]
fn those_that_wait_are_counted_no_further_than_asked() {
    let mut sim = Setup::new().start();
    sim.requests(&agents(5));
    sim.prepared(1);
    sim.permitted(1, sixty());
    assert_eq!([2, 4, 100].map(|most| sim.machine.yet_to_start(most)), [2, 4, 4]);
}

#[test]
fn what_a_call_was_told_is_free_again_when_it_ends_or_is_told_anew() {
    let nanos = |cost_nanos| Charge { tokens: 0, cost_nanos, calls: 0 };
    let mut sim = Setup::new().limits(Limits { cost_nanos: Some(1_000), ..Limits::default() }).start();
    sim.requests(&agents(2));
    let tell = |sim: &mut Sim, call| sim.machine.promise(CallId(call), 0, &mut sim.ledger);
    for call in [1, 2] {
        sim.prepared(call);
        sim.permitted(call, nanos(100));
        assert_eq!(tell(&mut sim, call), Some(if call == 1 { 1_000 } else { 100 }));
    }
    assert_eq!(tell(&mut sim, 1), Some(900), "all but what is set aside for the other");
    sim.ended_with(1, 1, Err(error(ErrorClass::Transport)), nanos(300));
    assert_eq!(tell(&mut sim, 1), Some(600), "another attempt of the same call");
    sim.ended_with(1, 2, Ok(json!(1)), nanos(300));
    assert_eq!(tell(&mut sim, 2), Some(400));
}
