//! Owners that come back from the dead, fixtures that change, and runs that were killed more than once.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Child;
use std::time::Duration;

use owf::engine::params::{ResumeParams, RunParams};
use serde_json::{Value, json};

use crate::acca_support::{Counting, Desk, LOG, answers, ended, labels, script, texts};
use crate::support::cli::{Place, eventually};

const TWO: &str = "return [await agent('A.', { label: 'a' }), await agent('B.', { label: 'b' })]";

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Waits until an attempt of a call is on disk: one that is not did not happen, as far as a resume knows.
fn until_started(place: &Place, run: &str, call: u32) {
    let started = || journal(place, run).iter().any(|e| e["type"] == "attempt_started" && e["call_id"] == json!(call));
    eventually(Duration::from_secs(1), "the attempt on disk", started);
}

/// The journal of a run as `--events` prints it, without the run's view.
fn journal(place: &Place, run: &str) -> Vec<Value> {
    let store = place.store();
    let run = run.parse().unwrap();
    let events = store.events(&run, 0, 10_000).unwrap();
    events.iter().map(|e| serde_json::to_value(&e.event).unwrap()).collect()
}

#[test]
fn a_zombie_owner_writes_nothing_and_ends_with_4() {
    let place = Place::new();
    place.file("two.js", &script("two", TWO));
    place.file(
        "answers.yaml",
        &answers(
            "  - match: { label: b, attempt: 1 }
    text: from the dead
    delay_ms: 3000
  - text: '{{ label }} at attempt {{ attempt }}'",
        ),
    );
    let mut zombie = place.spawn(&["run", "two.js", "--fixtures", "answers.yaml", "--no-input"]);
    eventually(Duration::from_secs(1), "both calls", || place.log(LOG).len() == 2);
    let run = place.json(&["status", "--json"])["run_id"].as_str().unwrap().to_owned();
    until_started(&place, &run, 2);
    signal(&zombie, rustix::process::Signal::STOP);
    assert_eq!(place.json(&["status", "--json"])["status"], "running", "a suspended owner lives");
    assert_eq!(place.owf(&["resume", &run, "--no-input"]).code, 2);
    // What a file system that forgets locks does to an owner.
    std::fs::remove_file(place.home().join("runs").join(&run).join("owner.lock")).unwrap();
    let taken = place.owf(&["resume", &run, "--no-input"]);
    assert_eq!(taken.code, 0, "{taken:?}");
    let dir = place.home().join("runs").join(&run);
    let files =
        || ["output.json", "calls/c0002/output.txt", "manifest.json"].map(|f| std::fs::read(dir.join(f)).unwrap());
    let (before, there) = (journal(&place, &run), files());
    signal(&zombie, rustix::process::Signal::CONT);
    assert_eq!(zombie.wait().unwrap().code(), Some(4));
    assert!(journal(&place, &run) == before, "the zombie wrote events");
    assert!(files() == there, "the zombie wrote files");
    assert_eq!(place.json(&["output", &run, "--json"])["output"], json!(["a at attempt 1", "b at attempt 2"]));
    assert_eq!(labels(&place), ["a", "b", "b"]);
    assert_eq!(place.store().integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn fixtures_edited_between_run_and_resume_do_not_count_unless_they_are_given_again() {
    let desk = Desk::new();
    desk.answers("  - match: { label: b, attempt: 1 }\n    never: true\n  - text: 'old {{ label }}'");
    desk.workflow("three", "return [await agent('A.', { label: 'a' }), await agent('B.', { label: 'b' }), await agent('C.', { label: 'c' })]");
    let interrupt = || {
        let count = desk.invocations();
        let handle = desk
            .start(
                "three",
                RunParams {
                    fixtures: Some("answers.yaml".into()),
                    cache_policy: Some(owf::core::call::CachePolicy::Disabled),
                    ..RunParams::default()
                },
            )
            .unwrap()
            .handle
            .unwrap();
        eventually(Duration::from_secs(1), "the call in flight", || desk.invocations() == count + 2);
        handle.interrupt();
        ended(&handle);
        handle.run_id().to_string()
    };
    let first = interrupt();
    let second = interrupt();
    desk.answers("  - text: 'new {{ label }}'");
    let pinned = desk.resume(ResumeParams { run_id: Some(first.clone()), ..ResumeParams::default() });
    assert_eq!((&pinned["run_id"], &pinned["output"]), (&json!(first), &json!(["old a", "old b", "old c"])));
    let params =
        ResumeParams { run_id: Some(second.clone()), fixtures: Some("answers.yaml".into()), ..ResumeParams::default() };
    let given = desk.resume(params);
    assert_eq!((&given["run_id"], &given["output"]), (&json!(second), &json!(["old a", "new b", "new c"])));
    let finished = desk.resume(ResumeParams { run_id: Some(second), ..ResumeParams::default() });
    assert_eq!((&finished["resumed"], &finished["output"]), (&json!("new_run"), &json!(["old a", "new b", "new c"])));
}

#[test]
fn a_provider_override_in_place_replays_and_is_kept_by_the_next_resume() {
    let (second, third) = (Counting::new("second"), Counting::new("third"));
    let desk = Desk::with(&[second.clone(), third.clone()]);
    desk.workflow(
        "three",
        "const out = [];
         for (const p of ['A.', 'B.', 'C, wait.', 'D.']) out.push(await agent(p, { label: p }));
         return out",
    );
    let interrupt = |started: owf::engine::Started, asked: &dyn Fn() -> bool| {
        let handle = started.handle.unwrap();
        eventually(Duration::from_secs(1), "the call in flight", asked);
        handle.interrupt();
        ended(&handle);
        handle.run_id().to_string()
    };
    let params = RunParams { provider: Some("second".into()), ..RunParams::default() };
    let run = interrupt(desk.start("three", params).unwrap(), &|| second.count() == 3);
    let params = ResumeParams { provider: Some("THIRD".into()), ..ResumeParams::default() };
    let view = desk.resume(params);
    let expected = json!(["second 1: A.", "second 2: B.", "third 1: C, wait.", "third 2: D."]);
    assert_eq!((&view["run_id"], &view["output"], &view["status"]), (&json!(run), &expected, &json!("done")));
    assert_eq!(texts(&desk.calls(&run), "provider"), ["second", "second", "third", "third"]);
    let again = desk.resume(ResumeParams::default());
    assert_eq!((&again["output"], second.count(), third.count()), (&expected, 3, 2));
    assert_eq!(again["run"]["provider"], "third");
    assert_eq!(texts(&again["warnings"], "code"), ["provider_changed"]);
    assert_eq!(desk.cache(), vec!["replayed"; 4]);
}

#[test]
fn a_run_killed_after_its_own_mutating_call_does_not_repeat_it() {
    let place = Place::new();
    place.file(
        "edit.js",
        &script(
            "edit",
            "const made = await owf.agent('Write.', { label: 'write', writeScope: ['out'] });
             const look = await agent('Look.', { label: 'look' });
             return { made: made.text, changed: made.changedFiles, look };",
        ),
    );
    place.file(
        "answers.yaml",
        &answers(
            "  - match: { label: write }
    text: written
    write: { out/new.txt: 'made by {{ label }}' }
  - match: { attempt: 1 }
    never: true
  - text: looked",
        ),
    );
    let child = place.spawn(&["run", "edit.js", "--fixtures", "answers.yaml", "--no-input"]);
    eventually(Duration::from_secs(1), "both calls", || place.log(LOG).len() == 2);
    let run = place.json(&["status", "--json"])["run_id"].as_str().unwrap().to_owned();
    until_started(&place, &run, 2);
    kill(child);
    // Its own edit is part of the workspace now: neither that nor a later change by hand makes it run again.
    place.file("out/new.txt", "changed by hand");
    let resumed = place.owf(&["resume", "--no-input"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(
        place.json(&["output", "--json"])["output"],
        json!({"made": "written", "changed": ["out/new.txt"], "look": "looked"})
    );
    assert_eq!(labels(&place), ["write", "look", "look"]);
    assert_eq!(std::fs::read_to_string(place.path().join("out/new.txt")).unwrap(), "changed by hand");
    assert_eq!(place.json(&["calls", &run, "1", "--json"])["call"]["possibly_repeated"], Value::Null);
    // And so after the end.
    assert_eq!(place.owf(&["resume", "--no-input"]).code, 0);
    assert_eq!(labels(&place).len(), 3);
}

#[test]
fn a_resume_of_a_resume_of_a_killed_run_replays_what_each_of_them_finished() {
    let place = Place::new();
    place.file(
        "four.js",
        &script("four", "const out = []; for (const l of ['a', 'b', 'c', 'd']) out.push(await agent(l + '.', { label: l })); return out"),
    );
    // Each process stops at another call: b at the first attempt, c at the first two.
    place.file(
        "answers.yaml",
        &answers(
            "  - match: { label: b, attempt: 1 }
    never: true
  - match: { label: c, attempt: '1-1' }
    never: true
  - text: '{{ label }}{{ attempt }}'",
        ),
    );
    let first = place.spawn(&["run", "four.js", "--fixtures", "answers.yaml", "--no-input"]);
    eventually(Duration::from_secs(1), "b", || labels(&place) == ["a", "b"]);
    let run = place.json(&["status", "--json"])["run_id"].clone();
    until_started(&place, run.as_str().unwrap(), 2);
    kill(first);
    let second = place.spawn(&["resume", "--no-input"]);
    eventually(Duration::from_secs(1), "c", || labels(&place) == ["a", "b", "b", "c"]);
    until_started(&place, run.as_str().unwrap(), 3);
    kill(second);
    let third = place.owf(&["resume", "--no-input", "--json"]);
    let view = third.json();
    assert_eq!((third.code, &view["run_id"], &view["resumed"]), (0, &run, &json!("in_place")), "{view}");
    assert_eq!(view["output"], json!(["a1", "b2", "c2", "d1"]));
    assert_eq!(labels(&place), ["a", "b", "b", "c", "c", "d"]);
    let explained = place.json(&["explain-cache", "--json"]);
    assert_eq!(texts(&explained["calls"], "cache_status"), ["replayed", "replayed", "miss", "miss"]);
    // A new run over it, and one over that, still find everything.
    for _ in 0..2 {
        let view = place.owf(&["resume", "--no-input", "--json"]).json();
        assert_eq!((&view["resumed"], &view["output"]), (&json!("new_run"), &json!(["a1", "b2", "c2", "d1"])));
    }
    assert_eq!(labels(&place).len(), 6);
}
