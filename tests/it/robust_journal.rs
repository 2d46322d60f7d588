//! Journals that earlier versions of owf wrote: they must still parse, replay and go on.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use owf::core::event::{Event, EventRecord};
use owf::core::history::History;
use owf::core::ids::{Hash, RunId};
use owf::core::run::{RunOutcome, StatusReason};
use owf::core::time::Millis;
use owf::engine::RunEnd;
use owf::store::{Append, OpenMode, ProcessInfo, Store};
use serde_json::Value;

use crate::robust_local::{Local, finished};

fn journals() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/journals")
}

/// The events of a stored journal.
fn events(name: &str) -> Vec<EventRecord> {
    let text = std::fs::read_to_string(journals().join(name)).unwrap();
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            EventRecord {
                seq: line["seq"].as_u64().unwrap(),
                at: Millis(line["at"].as_i64().unwrap()),
                event: serde_json::from_value(line["event"].take()).unwrap(),
            }
        })
        .collect()
}

fn outcome(records: &[EventRecord]) -> RunOutcome {
    match &records.last().unwrap().event {
        Event::RunFinished { outcome } => RunOutcome::clone(outcome),
        other => panic!("the journal ends with {other:?}"),
    }
}

/// A home in which a run stands as its first `count` events say, without an owner.
fn home_with(records: &[EventRecord], count: usize) -> (Local, RunId) {
    let local = Local::new();
    let run: RunId = "20260528-143201-k7q2mvx4".parse().unwrap();
    let source = std::fs::read(journals().join("v1.js")).unwrap();
    let fixtures = std::fs::read(journals().join("v1.yaml")).unwrap();
    let Event::RunCreated { spec } = &records[0].event else { panic!("no first event") };
    assert_eq!(spec.source_hash, Hash::of(&source));
    let store = Store::open(&local.place.home(), OpenMode::Create).unwrap();
    store.put_source(&fixtures).unwrap();
    store.create_run(&run, spec, &source, records[0].at).unwrap();
    let lease = store.claim(&run, &ProcessInfo::default(), records[0].at).unwrap();
    store.append(Append::new(&run, lease.epoch, records[1..count].to_vec())).wait().unwrap();
    (local, run)
}

#[test]
fn a_stored_journal_of_every_version_parses_and_folds() {
    let mut names: Vec<String> =
        std::fs::read_dir(journals()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|n| Path::new(n).extension().is_some_and(|e| e == "jsonl"));
    names.sort();
    assert_eq!(names, ["events.jsonl", "v1.jsonl"]);
    let records = events("v1.jsonl");
    assert_eq!(records.len(), 47);
    let history = History::of(records.iter().map(|r| (r.at, &r.event)));
    assert_eq!((history.order.len(), history.outcomes.len(), history.logs, history.phases), (11, 11, 3, 2));
    assert_eq!((history.swallowed, history.approvals, history.epochs), (1, 1, 2));
    assert_eq!(history.finished.as_deref(), Some(&outcome(&records)));
    assert_eq!(history.charged().tokens, 160);
}

/// Whether everything that was stored is in what is written; settings that came later may be beside it.
fn holds(written: &Value, stored: &Value) -> bool {
    match (written, stored) {
        (Value::Object(written), Value::Object(stored)) => {
            stored.iter().all(|(name, value)| written.get(name).is_some_and(|written| holds(written, value)))
        }
        (written, stored) => written == stored,
    }
}

#[test]
fn every_kind_of_event_is_read_and_written_as_it_was_stored() {
    let mut kinds = std::collections::BTreeSet::new();
    let single = std::fs::read_to_string(journals().join("events.jsonl")).unwrap();
    let run = std::fs::read_to_string(journals().join("v1.jsonl")).unwrap();
    let of_run = run.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].take());
    for stored in single.lines().map(|line| serde_json::from_str(line).unwrap()).chain(of_run) {
        let event: Event = serde_json::from_value(stored.clone()).unwrap();
        kinds.insert(event.kind());
        let written = serde_json::to_value(&event).unwrap();
        assert!(holds(&written, &stored), "{stored} is written as {written}");
        assert_eq!(serde_json::from_value::<Event>(written).unwrap(), event);
    }
    assert_eq!(kinds, std::collections::BTreeSet::from(Event::TYPES));
}

#[test]
fn a_stored_journal_goes_on_from_any_of_its_events_to_the_same_end() {
    let records = events("v1.jsonl");
    let want = outcome(&records);
    let decided = records.iter().position(|r| matches!(r.event, Event::ApprovalDecided { .. })).unwrap();
    // Every place of the journal is a place where its process may have died; a third of them, and those around the decision.
    for count in (1..records.len()).filter(|c| c % 3 == 1 || c.abs_diff(decided) < 2) {
        let (local, run) = home_with(&records, count);
        let (same, end) = local.resume(&run);
        assert_eq!(same, run, "cut after {count}: went on as another run");
        let journal = local.journal(&run);
        let kept: Vec<&Event> = records[..count].iter().map(|r| &r.event).collect();
        assert_eq!(journal[..count].iter().collect::<Vec<_>>(), kept, "cut after {count}");
        if count <= decided {
            // The answer was not on record yet: the question stands.
            assert_eq!(end, RunEnd::Paused { reason: StatusReason::Approval, message: None }, "cut after {count}");
        } else {
            assert_eq!(finished(end), want, "cut after {count}");
        }
        let requested = journal.iter().filter(|e| matches!(e, Event::CallRequested { .. })).count();
        assert_eq!(requested, if count <= decided { 8 } else { 11 }, "cut after {count}");
        assert_eq!(local.place.store().integrity_check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_finished_journal_is_reused_by_a_new_run_and_its_question_asked_again() {
    let records = events("v1.jsonl");
    let (local, run) = home_with(&records, records.len());
    let (next, end) = local.resume(&run);
    assert_ne!(next, run);
    assert_eq!(end, RunEnd::Paused { reason: StatusReason::Approval, message: None });
    let mut labels = Vec::new();
    let mut reused = 0;
    for event in local.journal(&next) {
        match event {
            Event::AttemptStarted { call_id, provider: Some(_), .. } => labels.push(call_id.0),
            Event::CallFinished { reused: Some(from), .. } => {
                assert_eq!(from.run_id, run);
                reused += 1;
            }
            _ => {}
        }
    }
    // Only the call that had failed is asked again; timers and good answers are taken over.
    assert_eq!((labels, reused), (vec![3], 6));
}
