//! Several real processes at one store: one owner a run, many writers, readers during writing.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::Duration;

use owf::core::event::Event;
use owf::core::run::RunStatus;
use serde_json::{Value, json};

use crate::robust_local::script;
use crate::support::cli::{Place, Printed, eventually, printed};

fn piped(place: &Place, args: &[&str]) -> Child {
    place.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Printed {
    printed(&child.wait_with_output().unwrap())
}

/// Dies at the second call of the first run; the third is never answered.
const DIES_THEN_WAITS: &str = "
owf_fixtures: 1
rules:
  - match: { label: dies, attempt: 1 }
    crash: before_answer
    text: later
  - match: { label: waits }
    never: true
";

#[test]
fn of_processes_that_resume_one_run_one_wins_and_the_others_are_told_who() {
    let place = Place::new();
    let body = "const a = await agent('a', {label: 'first'}); await agent('b', {label: 'dies'}); return await agent('c', {label: 'waits'})";
    place.file("w.js", &script(body));
    place.file("f.yaml", DIES_THEN_WAITS);
    let died = place.owf(&["run", "w.js", "--fixtures", "f.yaml", "--no-input", "--json"]);
    assert_ne!(died.code, 0);
    let run = place.store().resolve("latest").unwrap().to_string();
    let mut children: Vec<Option<Child>> =
        (0..4).map(|_| Some(piped(&place, &["resume", &run, "--no-input", "--json"]))).collect();
    // All but one end by themselves, however long the winner goes on.
    let mut losers = Vec::new();
    eventually(Duration::from_secs(4), "three of four are refused", || {
        for slot in &mut children {
            if slot.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some()) {
                losers.push(end(slot.take().unwrap()));
            }
        }
        losers.len() == 3
    });
    let winner = children.into_iter().flatten().next().unwrap();
    let owner = place.store().owner(&run.parse().unwrap()).unwrap().unwrap().owner;
    assert_eq!(owner.pid, winner.id(), "{losers:?}");
    for loser in &losers {
        assert_eq!(loser.code, 2, "{loser:?}");
        let error = loser.json()["error"].clone();
        assert_eq!(
            (&error["code"], &error["owner"]["pid"], &error["owner"]["host"], &error["run_id"]),
            (&json!("run_is_live"), &json!(owner.pid), &json!(owner.host), &json!(run))
        );
        let message = format!("run {run} is executed by process {} on {} since ", owner.pid, owner.host);
        assert!(error["message"].as_str().unwrap().starts_with(&message), "{error}");
    }
    // The same for people, who read neither JSON nor ids.
    let told = place.owf(&["resume", &run, "--no-input"]);
    assert_eq!((told.code, told.out.as_str()), (2, ""));
    assert!(told.err.contains(&format!("is executed by process {} on {}", owner.pid, owner.host)), "{told:?}");
    assert!(told.err.contains("hint: wait for it"), "{told:?}");
    assert_eq!(place.owf(&["cancel", &run]).code, 0);
    let won = end(winner);
    assert_eq!((won.code, &won.json()["status"]), (3, &json!("cancelled")), "{won:?}");
    let starts = place.store().events(&run.parse().unwrap(), 0, 1000).unwrap();
    let starts = starts.iter().filter(|r| matches!(r.event, Event::RunStarted { .. })).count();
    assert_eq!(starts, 2, "the owner that died and the one that won");
    assert_eq!(place.store().integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn twenty_processes_run_and_read_one_home_at_once() {
    let place = Place::new();
    place.file(
        "w.js",
        &script("return (await parallel([1, 2, 3, 4, 5].map(i => () => agent(`${args.n} ${i}`)))).length"),
    );
    let arg = |n: u32| format!("n={n}");
    let mut children = Vec::new();
    for n in 0..20 {
        // Nobody has made the home before: they race for that too.
        children.push(piped(&place, &["run", "w.js", "--arg", &arg(n), "--no-input", "--json"]));
        if n % 4 == 3 {
            children.push(piped(&place, &["runs", "--json"]));
        }
    }
    let ended: Vec<Printed> = children.into_iter().map(end).collect();
    let mut ids = BTreeSet::new();
    for printed in &ended {
        assert_eq!(printed.code, 0, "{printed:?}");
        let view = printed.json();
        if let Some(id) = view["run_id"].as_str() {
            assert_eq!(
                (&view["status"], &view["output"], &view["counts"]["done"]),
                (&json!("done"), &json!(5), &json!(5))
            );
            assert!(ids.insert(id.to_owned()));
        } else {
            assert!(view["runs"].is_array(), "{view}");
        }
    }
    assert_eq!(ids.len(), 20);
    let runs = place.json(&["runs", "--json", "--limit", "100"]);
    let listed: BTreeSet<String> =
        runs["runs"].as_array().unwrap().iter().map(|r| r["run_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, ids);
    let calls: Vec<&Value> = runs["runs"].as_array().unwrap().iter().map(|r| &r["calls"]).collect();
    assert_eq!(calls, vec![&json!(5); 20]);
    let store = place.store();
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    for id in &ids {
        let run = id.parse().unwrap();
        let seqs: Vec<u64> = store.events(&run, 0, 1000).unwrap().iter().map(|r| r.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_reader_sees_whole_states_while_another_process_writes_without_pause() {
    let place = Place::new();
    let body = "let n = 0; for (let r = 0; r < 4; r++) n += (await parallel(Array.from({length: 200}, (_, i) => () => agent(`${r} ${i}`)))).length; return n";
    place.file("w.js", &script(body));
    let writer = piped(&place, &["run", "w.js", "--max-calls", "5000", "--no-input", "--json", "--quiet"]);
    eventually(Duration::from_secs(2), "the run is there", || {
        place.home().join("workflow.sqlite").exists()
            && owf::store::Store::open(&place.home(), owf::store::OpenMode::ReadOnly)
                .is_ok_and(|s| s.resolve("latest").is_ok())
    });
    let store = owf::store::Store::open(&place.home(), owf::store::OpenMode::ReadOnly).unwrap();
    let run = store.resolve("latest").unwrap();
    let (mut seen, mut last, mut between) = (0_u64, 0_u64, 0_u32);
    let mut asked = false;
    loop {
        let ended = store.run(&run).unwrap().unwrap().status.is_ended();
        let events = store.events(&run, last, 500).unwrap();
        for record in &events {
            assert_eq!(record.seq, last + 1);
            last = record.seq;
            if matches!(record.event, Event::CallFinished { .. }) {
                seen += 1;
            }
        }
        between += u32::from(!ended && seen > 0);
        if seen > 0 && !asked {
            asked = true;
            // And by way of commands, one after another.
            let status = place.json(&["status", run.as_str(), "--json"]);
            let counts = &status["counts"];
            let parts: u64 = ["queued", "running", "done", "failed", "cancelled", "skipped", "denied"]
                .map(|k| counts[k].as_u64().unwrap())
                .iter()
                .sum();
            assert_eq!(json!(parts), counts["total"]);
            let calls = place.json(&["calls", run.as_str(), "--json"]);
            assert!(calls["calls"].as_array().is_some_and(|c| !c.is_empty()), "{calls}");
        }
        if ended && events.is_empty() {
            break;
        }
    }
    assert!(between > 0, "something was read while it was written");
    assert_eq!(seen, 800);
    let end = end(writer);
    assert_eq!((end.code, &end.json()["output"]), (0, &json!(800)));
    assert_eq!(store.run(&run).unwrap().unwrap().status, RunStatus::Done);
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
}
