//! Homes: where one may be made, and what happens when it cannot grow, cannot be written, or is newer.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use owf::core::failure::{Code, Failure};
use owf::core::run::RunStatus;
use owf::store::{Append, OpenMode, Store, StoreError, StoreOptions};

use crate::store_support::{T0, finish, me, noop_call, run_id, spec, start, started};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_home_is_made_where_nothing_is_and_is_for_its_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a/b/.workflows");
    assert!(matches!(Store::open(&home, OpenMode::Existing), Err(StoreError::NoStore { .. })));
    assert!(!home.exists(), "looking makes nothing");
    let store = Store::open(&home, OpenMode::Create).unwrap();
    store.create_run(&run_id(1), &spec("w"), b"w", T0).unwrap();
    assert_eq!(std::fs::read_to_string(home.join(".gitignore")).unwrap(), "*\n");
    for path in [home.clone(), home.join("runs"), store.run_dir(&run_id(1))] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    for file in ["workflow.sqlite", "workflow.sqlite-wal", "workflow.sqlite-shm", ".gitignore"] {
        assert_eq!(mode(&home.join(file)), 0o600, "{file}");
    }
}

#[test]
fn an_empty_directory_becomes_a_home_and_its_gitignore_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".gitignore"), "mine").unwrap();
    Store::open(dir.path(), OpenMode::Create).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join(".gitignore")).unwrap(), "mine");
}

#[test]
fn a_directory_with_other_things_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("README.md"), "hi").unwrap();
    let failure = Failure::from(Store::open(dir.path(), OpenMode::Create).unwrap_err());
    assert_eq!(failure.code, Code::HomeNotAStore);
    assert_eq!(failure.hint.unwrap(), format!("did you mean {}?", dir.path().join(".workflows").display()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(dir.path().join("workflow.sqlite")).unwrap();
    db.execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(Store::open(dir.path(), OpenMode::Create), Err(StoreError::HomeNotAStore { .. })));
    std::fs::write(dir.path().join("workflow.sqlite"), "x".repeat(5000)).unwrap();
    assert!(matches!(Store::open(dir.path(), OpenMode::Create), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_home_that_cannot_be_made_is_not_writable_even_for_root() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("home");
    for home in [below.as_path(), Path::new("/proc/owf-home")] {
        if home.starts_with("/proc") && !cfg!(target_os = "linux") {
            continue;
        }
        let failure = Failure::from(Store::open(home, OpenMode::Create).unwrap_err());
        assert_eq!(failure.code, Code::NotWritable, "{failure:?}");
        assert_eq!(failure.extra["home"], home.display().to_string());
    }
}

#[test]
fn a_full_store_fails_the_owner_for_good_and_stays_sound() {
    let options = StoreOptions { max_page_count: Some(60), ..StoreOptions::default() };
    let store = Store::in_memory_with(options).unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    let mut tickets = Vec::new();
    for call in 1..=400 {
        let (records, cache) = noop_call(call, u64::from(call) * 3);
        let append = Append { cache: vec![cache], ..Append::new(&run_id(1), lease.epoch, records) };
        tickets.push(store.append(append));
    }
    let results: Vec<_> = tickets.iter().map(owf::store::Ticket::wait).collect();
    let written = results.iter().take_while(|r| r.is_ok()).count();
    assert!(written < 400 && results[written..].iter().all(|r| matches!(r, Err(StoreError::Full(_)))), "{results:?}");
    assert_eq!(store.last_seq(&run_id(1)).unwrap(), 2 + 3 * written as u64, "what was acknowledged is there, no more");
    let small = Append::new(&run_id(1), lease.epoch, vec![]);
    assert!(matches!(store.append(small).wait(), Err(StoreError::Full(_))), "not even what would fit");
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    drop(lease);
    let row = store.run(&run_id(1)).unwrap().unwrap();
    assert_eq!(store.effective_status(&row, T0).0, RunStatus::Interrupted);
    assert_eq!(Failure::from(results[written].clone().unwrap_err()).code, Code::StoreFull);
    // With room again, a new owner goes on where the journal ends.
    let home = store.home().to_owned();
    let store2 = Store::open(&home, OpenMode::Existing).unwrap();
    let lease = store2.claim(&run_id(1), &me(), T0).unwrap();
    crate::store_support::append(&store2, &lease, vec![start(2), finish(RunStatus::Done)]).unwrap();
    assert_eq!(store2.integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_newer_store_is_read_and_never_written() {
    let store = Store::in_memory().unwrap();
    drop(started(&store, &run_id(1), &spec("w")));
    let db = rusqlite::Connection::open(store.home().join("workflow.sqlite")).unwrap();
    db.execute_batch(
        "UPDATE meta SET value = '99' WHERE key = 'format'; UPDATE meta SET value = '9' WHERE key = 'written_by'",
    )
    .unwrap();
    let newer = Store::open(store.home(), OpenMode::Create).unwrap();
    assert_eq!(newer.newer().map(|n| (n.format, n.known, n.written_by.clone())), Some((99, 6, "9".to_owned())));
    assert_eq!(newer.resolve("latest").unwrap(), run_id(1));
    let failure = Failure::from(newer.create_run(&run_id(2), &spec("w"), b"w", T0).unwrap_err());
    assert_eq!(failure.code, Code::StoreNewer);
    assert_eq!(failure.message, "this store was written by owf 9 (format 99); this owf knows format 6");
    assert!(!newer.run_dir(&run_id(2)).exists());
    db.execute_batch("UPDATE meta SET value = '98' WHERE key = 'lowest_reader'").unwrap();
    assert!(matches!(Store::open(store.home(), OpenMode::ReadOnly), Err(StoreError::Newer(_))));
}

#[test]
fn a_store_opened_for_reading_writes_nothing() {
    let store = Store::in_memory().unwrap();
    drop(started(&store, &run_id(1), &spec("w")));
    let reading = Store::open(store.home(), OpenMode::ReadOnly).unwrap();
    assert_eq!(reading.last_seq(&run_id(1)).unwrap(), 2);
    assert!(matches!(reading.claim(&run_id(1), &me(), T0), Err(StoreError::NotWritable { .. })));
}

#[test]
fn a_moved_home_still_reads_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let store = Store::open(&old, OpenMode::Create).unwrap();
    drop(started(&store, &run_id(1), &spec("w")));
    drop(store);
    std::fs::rename(&old, &new).unwrap();
    let bytes = std::fs::read(new.join("workflow.sqlite")).unwrap();
    let path = old.display().to_string();
    assert!(!bytes.windows(path.len()).any(|w| w == path.as_bytes()), "the home's path is in the database");
    let store = Store::open(&new, OpenMode::Existing).unwrap();
    let lease = store.claim(&run_id(1), &me(), T0).unwrap();
    crate::store_support::append(&store, &lease, vec![start(2)]).unwrap();
    assert_eq!(store.events(&run_id(1), 0, 10).unwrap().len(), 3);
    assert_eq!(store.run_dir(&run_id(1)), new.join("runs").join(run_id(1).as_str()));
}
