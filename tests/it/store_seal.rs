//! The seal of a journal: whatever anybody but owf changes in it is seen, and nothing is done on its word.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::event::{Event, LogLevel};
use owf::core::failure::{Code, Failure};
use owf::core::ids::{CallId, RunId};
use owf::core::run::{ParentRef, RunSpec, RunStatus};
use owf::store::{OpenMode, Store, StoreError};
use rusqlite::Connection;

use crate::store_support::{T0, append, finish, me, run_id, spec, start, started};

fn log(message: &str) -> Event {
    Event::Log { level: LogLevel::Info, message: message.to_owned(), fields: None }
}

fn database(store: &Store) -> Connection {
    Connection::open(store.home().join("workflow.sqlite")).unwrap()
}

/// A run that ended, one that resumes it, a child of that one, and another.
fn family() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("home"), OpenMode::Create).unwrap();
    let lease = started(&store, &run_id(1), &spec("first"));
    append(&store, &lease, vec![log("one"), log("two"), finish(RunStatus::Failed)]).unwrap();
    let next = RunSpec { resumed_from: Some(run_id(1)), ..spec("second") };
    let lease = started(&store, &run_id(2), &next);
    append(&store, &lease, vec![log("three")]).unwrap();
    let parent = ParentRef { run_id: run_id(2), call_id: CallId(1) };
    let child = RunSpec { parent: Some(parent), root: Some(run_id(2)), depth: 1, ..spec("child") };
    store.create_run(&run_id(3), &child, b"child", T0).unwrap();
    drop(started(&store, &run_id(4), &spec("other")));
    store.flush().unwrap();
    (dir, store)
}

#[test]
fn whatever_is_changed_in_a_journal_is_seen_in_its_run_in_those_above_and_in_those_that_resume_it() {
    let event =
        |run: u8, seq: u8| format!("id = (SELECT no FROM run_key WHERE run_id = '{}') << 32 | {seq}", run_id(run));
    let changes = [
        (1, format!("UPDATE event SET body = replace(body, 'two', 'too') WHERE {}", event(1, 4))),
        (1, format!("UPDATE event SET body = body || ' ' WHERE {}", event(1, 1))),
        (1, format!("UPDATE event SET at = at + 1 WHERE {}", event(1, 3))),
        (1, format!("UPDATE event SET call_id = 1 WHERE {}", event(1, 3))),
        (1, format!("DELETE FROM event WHERE {}", event(1, 5))),
        (1, format!("DELETE FROM event WHERE {}", event(1, 3))),
        (1, format!("UPDATE event SET id = id + 1 WHERE {}", event(1, 5))),
        (1, format!("INSERT INTO event SELECT id + 1, at, call_id, body FROM event WHERE {}", event(1, 5))),
        (3, format!("UPDATE event SET body = replace(body, 'child', 'chill') WHERE {}", event(3, 1))),
        (1, format!("UPDATE run SET seal = x'' WHERE no = (SELECT no FROM run_key WHERE run_id = '{}')", run_id(1))),
    ];
    for (run, change) in changes {
        let (_dir, store) = family();
        for run in 1..=4 {
            assert_eq!(store.verify(&run_id(run)), Ok(()));
        }
        assert_eq!(database(&store).execute(&change, []), Ok(1), "{change}");
        let altered = Err(StoreError::Altered { run: run_id(run) });
        assert_eq!(store.verify(&run_id(run)), altered, "{change}");
        assert_eq!(store.verify(&run_id(2)), altered, "{change}");
        assert_eq!(store.verify(&run_id(4)), Ok(()), "{change}");
        let line = format!("run {}: its journal was changed by something other than owf", run_id(run));
        assert!(store.integrity_check().unwrap().contains(&line), "{change}");
    }
}

#[test]
fn rows_that_lead_in_a_circle_end_the_check_nevertheless() {
    let (_dir, store) = family();
    let change =
        "UPDATE run SET parent = no, parent_call = 1, resumed_from = (SELECT run_id FROM run_key WHERE no = run.no)";
    assert_eq!(database(&store).execute(change, []), Ok(4));
    assert_eq!(store.verify(&run_id(1)), Ok(()));
}

#[test]
fn a_rebuild_and_further_events_leave_a_broken_seal_broken() {
    let (_dir, store) = family();
    let change = "UPDATE event SET body = replace(body, 'three', 'tree')";
    assert!(database(&store).execute(change, []).unwrap() > 0);
    let altered = Err(StoreError::Altered { run: run_id(2) });
    assert_eq!(store.verify(&run_id(2)), altered);
    store.rebuild().unwrap();
    assert_eq!(store.verify(&run_id(2)), altered);
    // It can be ended nevertheless.
    let lease = store.claim(&run_id(2), &me(), T0).unwrap();
    append(&store, &lease, vec![start(lease.epoch), finish(RunStatus::Cancelled)]).unwrap();
    assert_eq!(store.verify(&run_id(2)), altered);
    assert_eq!(store.verify(&run_id(1)), Ok(()));
}

#[test]
fn a_rebuild_leaves_a_sound_seal_sound_for_what_is_appended_later() {
    let (_dir, store) = family();
    let lease = store.claim(&run_id(2), &me(), T0).unwrap();
    append(&store, &lease, vec![start(lease.epoch)]).unwrap();
    store.rebuild().unwrap();
    append(&store, &lease, vec![log("four")]).unwrap();
    assert_eq!(store.verify(&run_id(2)), Ok(()));
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_run_that_is_not_there_has_no_seal_and_a_refusal_says_what_to_do() {
    let (_dir, store) = family();
    let unknown: RunId = run_id(9);
    assert!(matches!(store.verify(&unknown), Err(StoreError::NotFound { .. })));
    let failure = Failure::from(StoreError::Altered { run: run_id(1) });
    assert_eq!(failure.code, Code::StoreCorrupt);
    assert_eq!(failure.message, format!("what is stored of run {} was changed by something other than owf", run_id(1)));
    assert_eq!(
        failure.hint.as_deref(),
        Some(
            "nothing is done on its word: put the database back as it was, or start the workflow again with owf run; \
             owf doctor names each such run"
        )
    );
    assert_eq!(failure.extra["run_id"], run_id(1).to_string());
}
