//! One scenario for each rule of the model: what would go wrong if the rule were another.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::rc::Rc;

use owf::core::call::Decision;
use owf::core::event::{ApprovalKind, Event};
use owf::core::machine::Reuse;
use owf::core::outcome::CallStatus;
use owf::core::run::StatusReason;
use serde_json::json;

use super::journal::SimRun;
use super::program::{Node, Shape, node, ordered, par, ro, seq, using, writes};
use super::setting::{Env, Stop};
use super::shell::Process;
use super::world::Seen;

fn overlapping() -> Env {
    Env { overlap: true, ..Env::calm() }
}

fn started(run: SimRun, env: &Env) -> Process {
    let reuse = run.reuse();
    let mut process = Process::take_over(run, env, reuse, None);
    let step = process.start();
    assert!(step.is_ok(), "{step:?}");
    process
}

/// A process whose held calls have started.
fn live(run: SimRun, env: &Env) -> Process {
    let mut process = started(run, env);
    let step = process.settle_down();
    assert!(step.is_ok(), "{step:?}");
    process
}

fn fresh(program: &Rc<Node>) -> Process {
    live(SimRun::new(1, program), &Env::calm())
}

/// Runs to the end, attempts in the order of their starts.
fn done(run: SimRun, env: &Env) -> (SimRun, Vec<String>) {
    let reuse = run.reuse();
    let mut process = Process::take_over(run, env, reuse, None);
    let stop = process.start().err().unwrap_or_else(|| process.run_to_end());
    assert!(matches!(stop, Stop::Finished(_)), "{stop:?}");
    let invoked = invoked(&process);
    (process.died(), invoked)
}

fn invoked(process: &Process) -> Vec<String> {
    process.invoked.iter().map(|i| i.asked.prompt.clone()).collect()
}

fn delivered(process: &Process) -> Vec<(String, CallStatus)> {
    let delivery = |seen: Seen| match seen {
        Seen::Delivered(asked, status, _) => Some((asked.prompt, status)),
        _ => None,
    };
    process.seen().into_iter().filter_map(delivery).collect()
}

fn ok(prompts: &[&str]) -> Vec<(String, CallStatus)> {
    prompts.iter().map(|p| ((*p).to_owned(), CallStatus::Done)).collect()
}

#[test]
fn another_environment_on_resume_leaves_the_identity_of_calls_alone() {
    let mut process = fresh(&seq([ro("a"), writes("b"), ro("c")]));
    for prompt in ["a", "b"] {
        process.end_of(prompt).unwrap();
        process.settle_down().unwrap();
    }
    let other = Env { provider: "B", salt: 4, permits: 1, ..Env::calm() };
    let (_, invoked) = done(process.died(), &other);
    assert_eq!(invoked, ["c"]);
}

#[test]
fn a_finish_without_delivery_counts_as_finished() {
    let program = par([ro("a"), ro("b")]);
    let mut process = live(SimRun::new(1, &program), &overlapping());
    // The second ends while the script still runs after the first.
    process.end_of("a").unwrap();
    process.end_of("b").unwrap();
    assert_eq!(delivered(&process), ok(&["a"]));
    let (_, invoked) = done(process.died(), &Env::calm());
    assert_eq!(invoked, Vec::<String>::new());
}

#[test]
fn a_mutating_start_is_on_disk_before_it_takes_effect() {
    let program = seq([ro("a"), writes("m")]);
    let mut process = fresh(&program);
    process.end_of("a").unwrap();
    process.settle_down().unwrap();
    assert_eq!(invoked(&process), ["a", "m"]);

    let mut process = started(process.died_losing_all_it_could(), &Env { linger: true, ..Env::calm() });
    process.settle_down().unwrap();
    assert_eq!(invoked(&process), Vec::<String>::new());
    let question = process.asking[0].clone();
    assert_eq!(question.kind, ApprovalKind::Repeat);
    process.decide(&question, Decision::Approve);
    process.settle_down().unwrap();
    assert_eq!(invoked(&process), ["m"]);
}

#[test]
fn an_edited_source_cannot_go_on_under_the_same_id() {
    let mut process = fresh(&seq([ro("a"), ro("b")]));
    process.end_of("a").unwrap();
    let before = process.died();

    let mut edited = before.clone();
    edited.program = seq([ro("other"), ro("b")]);
    let mut process = Process::take_over(edited, &Env::calm(), before.reuse(), None);
    let stop = process.start().unwrap_err();
    assert!(matches!(stop, Stop::Diverged(_)), "{stop:?}");
    assert_eq!(invoked(&process), Vec::<String>::new());

    // As a new run it reuses what did not change.
    let next = SimRun::resuming(2, &seq([ro("other"), ro("a"), ro("b")]), &before);
    assert_eq!(done(next, &Env::calm()).1, ["other", "b"]);
}

#[test]
fn a_failed_call_is_not_run_again_in_place() {
    let program = node(Shape::Try, [ro("a"), ro("b")]);
    let mut process = fresh(&program);
    process.fail("a").unwrap();
    process.settle_down().unwrap();
    let run = process.died();
    let process = live(run.clone(), &Env::calm());
    assert_eq!(invoked(&process), ["b"]);
    assert_eq!(delivered(&process), [("a".to_owned(), CallStatus::ProviderFailed)]);

    // A new run tries it again.
    let next = SimRun::resuming(2, &program, &run);
    assert_eq!(invoked(&live(next, &Env::calm())), ["a"]);
}

#[test]
fn a_reused_outcome_does_not_overtake_a_queued_live_one() {
    let (before, _) = done(SimRun::new(1, &ro("old")), &Env::calm());
    let program = par([seq([ro("first"), ro("old")]), ro("second")]);
    let mut process = live(SimRun::resuming(2, &program, &before), &overlapping());
    // The script asks for what can be reused while another outcome waits.
    process.end_of("first").unwrap();
    process.end_of("second").unwrap();
    assert!(matches!(process.settle_down(), Err(Stop::Finished(_))));
    assert_eq!(delivered(&process), ok(&["first", "second", "old"]));

    let mut run = process.died();
    run.journal.pop();
    let mut replay = Process::replay(run, &Env::calm());
    assert!(matches!(replay.start(), Err(Stop::Finished(_))));
    assert_eq!(delivered(&replay), ok(&["first", "second", "old"]));
}

#[test]
fn what_the_script_reads_as_spent_comes_from_delivered_outcomes() {
    let program = par([seq([ro("a"), node(Shape::Budget(3), [ro("b")])]), ro("c")]);
    let mut process = live(SimRun::new(1, &program), &overlapping());
    process.end_of("c").unwrap();
    process.end_of("a").unwrap();
    process.settle_down().unwrap();
    let spent = |process: &Process| -> Vec<u64> {
        let read = |seen: Seen| match seen {
            Seen::Spent(n) => Some(n),
            _ => None,
        };
        process.seen().into_iter().filter_map(read).collect()
    };
    assert_eq!(spent(&process), [2]);

    let mut process = live(SimRun::new(1, &program), &overlapping());
    process.end_of("a").unwrap();
    // Settled, while the script reads its budget after `a`.
    process.end_of("c").unwrap();
    process.settle_down().unwrap();
    assert_eq!(spent(&process), [1]);
    assert_eq!(invoked(&process), ["a", "c", "b"]);
    let process = live(process.died(), &Env::calm());
    assert_eq!((spent(&process), invoked(&process)), (vec![1], vec!["b".to_owned()]));
}

#[test]
fn outcomes_of_the_whole_chain_are_reused() {
    let (first, _) = done(SimRun::new(1, &seq([ro("a"), ro("b")])), &Env::calm());
    let (second, invoked) = done(SimRun::resuming(2, &seq([ro("a"), ro("c")]), &first), &Env::calm());
    assert_eq!(invoked, ["c"]);
    let third = SimRun::resuming(3, &seq([ro("a"), ro("b"), ro("c"), ro("d")]), &second);
    let (third, invoked) = done(third, &Env::calm());
    assert_eq!(invoked, ["d"]);
    let from = |event: &Event| match event {
        Event::CallFinished { reused: Some(from), .. } => Some((from.run_id.clone(), from.call_id.0)),
        _ => None,
    };
    let from: Vec<_> = third.journal.iter().filter_map(|(_, e)| from(e)).collect();
    assert_eq!(from, [(first.id.clone(), 1), (first.id, 2), (second.id, 2)]);
}

#[test]
fn unfinished_calls_do_not_start_during_replay() {
    let program = par([using("a"), ro("b"), seq([ro("c"), ro("d")])]);
    let mut process = fresh(&program);
    process.end_of("c").unwrap();
    process.end_of("b").unwrap();
    process.settle_down().unwrap();
    let mut process = started(process.died(), &Env::calm());
    // Everything recorded is delivered before anything starts; then they start in request order.
    assert_eq!(delivered(&process), ok(&["c", "b"]));
    assert_eq!(invoked(&process), Vec::<String>::new());
    process.settle_down().unwrap();
    assert_eq!(invoked(&process), ["a|\"start\"", "d"]);
}

#[test]
fn log_lines_of_the_script_are_not_appended_again() {
    let mut process = fresh(&seq([ro("a"), ro("b")]));
    process.end_of("a").unwrap();
    let (run, _) = done(process.died(), &Env::calm());
    let line = |event: &Event| match event {
        Event::Log { message, .. } => Some(message.clone()),
        _ => None,
    };
    let lines: Vec<_> = run.journal.iter().filter_map(|(_, e)| line(e)).collect();
    assert_eq!(lines, ["a", "b"]);
}

#[test]
fn a_new_run_reuses_in_recorded_order_not_in_request_order() {
    let program = seq([par([ro("x"), ro("y")]), ordered("z")]);
    let mut process = fresh(&program);
    process.end_of("y").unwrap();
    process.end_of("x").unwrap();
    assert!(matches!(process.run_to_end(), Stop::Finished(_)));
    // What `z` asks depends on the order in which the answers came.
    let (_, invoked) = done(SimRun::resuming(2, &program, &process.died()), &Env::calm());
    assert_eq!(invoked, Vec::<String>::new());
}

#[test]
fn finished_mutating_calls_are_not_repeated_in_a_new_run() {
    let (first, _) = done(SimRun::new(1, &seq([writes("m"), ro("a")])), &Env::calm());
    let next = SimRun::resuming(2, &seq([writes("m"), ro("edited"), writes("m")]), &first);
    let (run, invoked) = done(next, &Env::calm());
    assert_eq!(invoked, ["edited", "m"], "the second `m` is another call");
    assert_eq!(run.outcomes().filter(|(_, o)| o.status == CallStatus::Done).count(), 3);
}

#[test]
fn approvals_are_asked_again_in_a_new_run_and_not_in_place() {
    let program = node(Shape::Approve("ship?".to_owned()), [ro("a")]);
    let mut process = Process::take_over(SimRun::new(1, &program), &Env::calm(), Reuse::default(), None);
    let stop = process.start().unwrap_err();
    assert!(matches!(stop, Stop::Paused(StatusReason::Approval)), "{stop:?}");
    let question = process.asking[0].clone();
    process.decide(&question, Decision::Approve);
    let (run, invoked) = done(process.died(), &Env::calm());
    assert_eq!(invoked, ["a"]);
    let asked = run.journal.iter().filter(|(_, e)| matches!(e, Event::ApprovalAsked { .. })).count();
    assert_eq!(asked, 1);

    let next = SimRun::resuming(2, &program, &run);
    let reuse = next.reuse();
    let stop = Process::take_over(next, &Env::calm(), reuse, None).start().unwrap_err();
    assert!(matches!(stop, Stop::Paused(StatusReason::Approval)), "{stop:?}");
}

#[test]
fn the_final_output_is_the_same_with_and_without_crashes() {
    let program = seq([par([ro("a"), writes("b")]), using("c")]);
    let (whole, _) = done(SimRun::new(1, &program), &Env::calm());
    let mut process = fresh(&program);
    process.end_of("a").unwrap();
    process.end_of("b").unwrap();
    process.settle_down().unwrap();
    let (resumed, _) = done(process.died(), &Env::calm());
    assert_eq!(whole.finished(), resumed.finished());
    assert_ne!(whole.finished().and_then(|o| o.output.clone()), Some(json!(null)));
}
