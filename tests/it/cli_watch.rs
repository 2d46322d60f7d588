//! Following a run: plain lines and the redrawn screen, from the same events.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::cli::watch::{Live, lines, screen};
use owf::core::call::{Ask, CallKind, CallSpec};
use owf::core::event::{Event, EventRecord, LogLevel, Owner};
use owf::core::ids::{CallId, Hash};
use owf::core::outcome::{CallError, CostSource, ErrorClass, Outcome, Usage};
use owf::core::run::{RunSpec, Settings, WorkflowKind};
use owf::core::time::Millis;

use crate::store_support::begins_again;

/// 2026-05-28T14:32:01Z.
const START: i64 = 1_779_978_721_000;

fn spec() -> RunSpec {
    let mut settings =
        Settings { provider: "claude".to_owned(), model: Some("sonnet".to_owned()), ..Settings::default() };
    settings.limits.cost_nanos = Some(5_000_000_000);
    settings.concurrency = Some(8);
    RunSpec {
        format: 1,
        workflow_name: "review".to_owned(),
        description: String::new(),
        phases: vec!["Scan".to_owned(), "Review".to_owned()],
        kind: WorkflowKind::Script,
        source_hash: Hash::of("x"),
        source_path: None,
        args: None,
        workspace: "/repo".to_owned(),
        cwd: "/repo".to_owned(),
        settings,
        parent: None,
        root: None,
        depth: 0,
        resumed_from: None,
        diverged: None,
        started_by: "cli".to_owned(),
        request_key: None,
        metadata: None,
        principal: None,
        hooks: Vec::new(),
        events: Vec::new(),
        notices: Vec::new(),
        asks: None,
        cleanups: Vec::new(),
        budget_base: owf::core::budget::Charge::default(),
    }
}

fn owner() -> Owner {
    Owner { epoch: 1, pid: 1, host: "h".to_owned(), boot_id: String::new(), process_start: 0 }
}

fn requested(index: u32, label: &str, phase: &str) -> Event {
    let mut spec = CallSpec::new(CallKind::Agent, Ask::default());
    label.clone_into(&mut spec.label);
    spec.phase = Some(phase.to_owned());
    Event::CallRequested { call_id: CallId(index), key: Hash::of(label), occurrence: 1, spec: Box::new(spec) }
}

fn done(index: u32) -> Event {
    let mut outcome = Outcome::done(CallId(index), None);
    outcome.provider = Some("claude".to_owned());
    outcome.duration_ms = 8100;
    outcome.usage = Usage { input_tokens: 15_210, output_tokens: 402, ..Usage::default() };
    outcome.cost_nanos = Some(60_000_000);
    outcome.cost_source = CostSource::Reported;
    Event::CallFinished { call_id: CallId(index), outcome: Box::new(outcome), reused: None, rule: None }
}

fn failed(index: u32) -> Event {
    let error = CallError::new(ErrorClass::Schema, "/findings/0/line must be integer, got \"around 120\"");
    let outcome = Outcome::failed(CallId(index), error);
    Event::CallFinished { call_id: CallId(index), outcome: Box::new(outcome), reused: None, rule: None }
}

/// A run as it goes: seconds after the start, and the fact.
fn journal() -> Vec<EventRecord> {
    let facts = vec![
        (0, Event::RunCreated { spec: Box::new(spec()) }),
        (0, Event::RunStarted { owner: owner() }),
        (0, Event::Phase { title: "Scan".to_owned() }),
        (0, requested(1, "scan", "Scan")),
        (0, begins_again(1, 1)),
        (8, done(1)),
        (8, Event::Log { level: LogLevel::Info, message: "20 files changed since main".to_owned(), fields: None }),
        (8, Event::Phase { title: "Review".to_owned() }),
        (8, requested(2, "review:src/legacy/parser.ts", "Review")),
        (8, requested(3, "review:src/auth/session.ts", "Review")),
        (8, requested(4, "review:src/billing/tax.ts", "Review")),
        (8, begins_again(2, 1)),
        (8, begins_again(3, 1)),
        (
            60,
            Event::AttemptFailed {
                worktree: None,
                call_id: CallId(3),
                attempt: 1,
                error: CallError::new(ErrorClass::RateLimited, "slow down"),
                usage: Usage::default(),
                cost_nanos: None,
                charge_nanos: None,
                charge_tokens: None,
                usage_unknown: false,
                price: None,
                retry_in_ms: Some(2000),
                duration_ms: 1,
                rule: None,
                kept: None,
            },
        ),
        (62, begins_again(3, 2)),
        (150, failed(2)),
    ];
    facts
        .into_iter()
        .zip(1..)
        .map(|((second, event), seq)| EventRecord { seq, at: Millis(START + second * 1000), event })
        .collect()
}

fn live() -> Live {
    Live { run_id: Some("20260528-143201-k7q2mvx4".parse().unwrap()), ..Live::default() }
}

#[test]
fn without_a_terminal_each_fact_is_a_line() {
    let mut live = live();
    let mut text = String::new();
    for record in journal() {
        live.apply(&record);
        text.push_str(&lines(&record, &live, "/repo/.workflows"));
    }
    assert_eq!(
        text,
        "\
14:32:01 run 20260528-143201-k7q2mvx4 review claude/sonnet
14:32:01 home /repo/.workflows
14:32:01 phase Scan
14:32:09 done c0001 scan 8.1s 15.2k+0.4k $0.06
14:32:09 log 20 files changed since main
14:32:09 phase Review
14:33:01 retry c0003 review:src/auth/session.ts in 2.0s after rate_limited: slow
         down
14:34:31 FAIL c0002 review:src/legacy/parser.ts schema_failed /findings/0/line
         must be integer, got \"around 120\"
"
    );
}

#[test]
fn on_a_terminal_the_run_is_a_screen_of_at_most_14_lines() {
    let mut live = live();
    for record in &journal() {
        live.apply(record);
    }
    let shown = screen(&live, Millis(START + 252_000), 80, "Ctrl-C leaves a run that can be resumed");
    assert_eq!(
        shown.join("\n"),
        "\
review  claude/sonnet  20260528-143201-k7q2mvx4                            4m12s
  Scan      1 done
  Review    1 running   1 failed    1 waiting for a slot (limit 8)
  run  review:src/auth/session.ts           4m04s  try 2, rate limited 3m ago
  FAIL review:src/legacy/parser.ts  schema_failed
       /findings/0/line must be integer, got \"around 120\"
  log  20 files changed since main
4 calls  1 done (0 reused)  1 running  1 waiting  1 failed   15k in  402 out
$0.06 of $5.00   Ctrl-C leaves a run that can be resumed"
    );
}

#[test]
fn a_crowded_run_keeps_to_its_lines_and_columns() {
    let mut live = live();
    let mut seq = 0;
    let mut apply = |event: Event| {
        seq += 1;
        live.apply(&EventRecord { seq, at: Millis(START), event });
    };
    apply(Event::RunCreated { spec: Box::new(spec()) });
    apply(Event::RunStarted { owner: owner() });
    for i in 1..=300 {
        apply(requested(i, &format!("label {i} {}", "x/".repeat(90)), &format!("Phase {} {}", i % 9, "y".repeat(50))));
        apply(begins_again(i, 1));
    }
    apply(failed(1));
    apply(Event::Log { level: LogLevel::Info, message: "é".repeat(500), fields: None });
    let shown = screen(&live, Millis(START + 1), 80, "Ctrl-C leaves a run that can be resumed");
    assert!(shown.len() <= 14, "{} lines", shown.len());
    assert!(shown.iter().all(|line| line.chars().count() <= 80), "{shown:#?}");
}

#[test]
fn a_new_owner_starts_attempts_again() {
    let mut live = live();
    for record in &journal() {
        live.apply(record);
    }
    let event = Event::RunStarted { owner: owner() };
    live.apply(&EventRecord { seq: 99, at: Millis(START), event });
    assert_eq!((live.running.len(), live.waiting(), live.done, live.failed), (0, 2, 1, 1));
}
