//! Idempotency keys: of all who ask with one, one is carried out, here and in other processes, also when one of them dies.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use owf::core::call::{Ask, CallKind, CallSpec};
use owf::core::event::Event;
use owf::core::ids::{CallId, Hash};
use owf::core::outcome::{CallError, ErrorClass, Outcome};
use owf::core::time::Millis;
use owf::store::{Append, CacheWrite, Lease, Once, OnceClaim, Store};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::document_support::found;
use crate::store_support::{T0, append, begins, continued, me, run_id, spec, start, started};
use crate::support::cli::{Place, eventually};

const SECOND: Duration = Duration::from_secs(1);

const RUN: &[&str] = &["run", "flow.yaml", "--allow-commands", "--no-input", "--json"];

fn place(document: &str) -> Place {
    let place = Place::new();
    place.file("flow.yaml", document);
    place
}

fn view(place: &Place, more: &[&str]) -> Value {
    place.owf(&[RUN, more].concat()).json()
}

/// The lines of a file.
fn lines(place: &Place, name: &str) -> Vec<String> {
    std::fs::read_to_string(place.path().join(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A run once it has ended, in time or not at all.
fn ended(place: &Place, run: &str) -> Value {
    let mut view = Value::Null;
    eventually(5 * SECOND, &format!("run {run} ends"), || {
        view = place.json(&["status", run, "--json"]);
        matches!(view["status"].as_str(), Some("done" | "failed" | "cancelled"))
    });
    view
}

/// Status, output and the message of the error of a run.
fn end(view: &Value) -> Value {
    json!([view["status"], view["output"], view["error"]["message"]])
}

/// Counts itself in `done`, then prints its word.
fn counted(word: &str) -> String {
    format!("[sh, -c, 'echo {word} >> done; wc -l < done']")
}

#[test]
fn accept_096_two_steps_with_one_key_do_not_mix_and_a_later_run_gets_what_was_given() {
    let text = format!(
        "name: x\ntasks:\n  a: {{run: {}, idempotency_key: 'k-{{{{ input.day }}}}'}}\n  b: {{after: a, run: {}, idempotency_key: 'k-{{{{ input.day }}}}'}}\nresult: ['{{{{ tasks.a }}}}', '{{{{ tasks.b }}}}']\n",
        counted("a"),
        counted("b")
    );
    let place = place(&text);
    let monday = view(&place, &["--arg", "day=1"]);
    assert_eq!(end(&monday), json!(["done", ["1", "2"], null]), "{monday}");
    let again = view(&place, &["--arg", "day=1"]);
    assert_eq!(end(&again), json!(["done", ["1", "2"], null]), "{again}");
    assert_eq!(lines(&place, "done"), ["a", "b"]);
    let explained = place.json(&["explain-cache", "latest", "--json"]);
    let first = &explained["calls"][0];
    assert_eq!(
        json!([first["cache_status"], first["reason_code"], first["from"]]),
        json!(["hit", "idempotency_key", {"run_id": monday["run_id"], "call_id": "c0001"}]),
        "{explained}"
    );
    let tuesday = view(&place, &["--arg", "day=2"]);
    assert_eq!(end(&tuesday), json!(["done", ["3", "4"], null]), "{tuesday}");
    // Another document with the same tasks and keys is another matter.
    place.file("other.yaml", &text.replace("name: x", "name: y"));
    let other = place.owf(&["run", "other.yaml", "--allow-commands", "--no-input", "--json", "--arg", "day=1"]).json();
    assert_eq!(end(&other), json!(["done", ["5", "6"], null]), "{other}");
}

#[test]
fn accept_096_the_same_key_for_another_request_is_an_error_and_nothing_is_carried_out() {
    let place =
        place("name: x\ntasks:\n  a: {run: [sh, -c, 'echo \"$0\" >> done', '{{ input.v }}'], idempotency_key: k}\n");
    let first = view(&place, &["--arg", "v=1"]);
    assert_eq!(first["status"], "done", "{first}");
    let second = view(&place, &["--arg", "v=2"]);
    let from = first["run_id"].as_str().unwrap();
    let message = format!(
        "task `a` failed: idempotency key \"k\" of task `a`: it stands for another request already, that of {from}/c0001"
    );
    assert_eq!(json!([second["status"], second["error"]["message"]]), json!(["failed", message]), "{second}");
    assert_eq!(lines(&place, "done"), ["1"]);
    let calls = place.json(&["calls", "latest", "c0001", "--json"]);
    assert_eq!(
        json!([calls["call"]["error"]["class"], calls["call"]["attempts"], calls["call"]["error"]["hint"]]),
        json!(["policy", 0, "give another request another key"]),
        "{calls}"
    );
}

#[test]
fn accept_096_of_two_processes_at_once_one_carries_out_and_the_other_waits_for_its_answer() {
    let text = "name: x\ntasks:\n  a:\n    run: [sh, -c, 'echo begun >> begun; until test -e go; do sleep 0.01; done; echo made']\n    idempotency_key: k\n";
    let place = place(text);
    let start = || place.command(RUN).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let (one, other) = (start(), start());
    eventually(5 * SECOND, "one has begun", || lines(&place, "begun").len() == 1);
    // The other is as far as it can be: its call was asked for.
    let both = || {
        let runs = place.json(&["runs", "--json"]);
        let runs = runs["runs"].as_array().unwrap().clone();
        runs.iter().filter(|run| run["calls"] == 1).count() == 2
    };
    eventually(5 * SECOND, "both ask", both);
    place.file("go", "");
    for child in [one, other] {
        let view: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(end(&view), json!(["done", "made", null]), "{view}");
    }
    assert_eq!(lines(&place, "begun"), ["begun"]);
}

#[test]
fn accept_096_items_of_one_list_with_one_key_are_one_execution_whoever_answers() {
    let text =
        "name: x\ntasks:\n  a: {for_each: [1, 1, 2, 1], prompt: 'n {{ item }}', idempotency_key: 'k{{ item }}'}\n";
    let place = place(text);
    place.file("answers.yaml", "owf_fixtures: 1\ninvocation_log: calls.jsonl\nrules:\n  - text: '{{ label }}'\n");
    let run = || place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--no-input", "--json"]).json();
    let first = run();
    assert_eq!(end(&first), json!(["done", ["a[0]", "a[0]", "a[2]", "a[0]"], null]), "{first}");
    assert_eq!(place.log("calls.jsonl").len(), 2);
    assert_eq!(json!([first["counts"]["hit"], first["counts"]["done"]]), json!([2, 4]), "{first}");
    let cached = place.owf(&["cache", "clear", "--json"]);
    assert_eq!(cached.code, 0, "{cached:?}");
    assert_eq!(end(&run()), end(&first));
    assert_eq!(place.log("calls.jsonl").len(), 2, "the cache has no part in it");
    let real = place.owf(&RUN.iter().copied().chain(["--provider", "nobody"]).collect::<Vec<_>>());
    assert_ne!(real.code, 0);
}

#[test]
fn what_was_invented_is_nothing_that_was_carried_out() {
    let place = place(&format!("name: x\ntasks:\n  a: {{run: {}, idempotency_key: k}}\n", counted("a")));
    place.file("answers.yaml", "owf_fixtures: 1\nrules:\n  - match: {command: '*'}\n    text: invented\n");
    let scripted = || view(&place, &["--fixtures", "answers.yaml"]);
    assert_eq!(end(&scripted()), json!(["done", "invented", null]));
    assert_eq!(end(&view(&place, &[])), json!(["done", "1", null]));
    assert_eq!(end(&scripted()), json!(["done", "invented", null]));
    assert_eq!(end(&view(&place, &[])), json!(["done", "1", null]));
    assert_eq!(lines(&place, "done").len(), 1);
}

#[test]
fn a_failed_execution_leaves_its_key_free_and_an_old_answer_does_not_count_any_more() {
    let text =
        "name: x\ntasks:\n  a: {run: [sh, -c, 'echo x >> done; test -e ready && cat ready'], idempotency_key: k}\n";
    let place = place(text);
    assert_eq!(view(&place, &[])["status"], "failed");
    place.file("ready", "yes");
    assert_eq!(end(&view(&place, &[])), json!(["done", "yes", null]));
    place.file("ready", "no");
    assert_eq!(end(&view(&place, &[])), json!(["done", "yes", null]));
    assert_eq!(lines(&place, "done").len(), 2);
    // One whose answers count for no time: what it gives is carried out by the next again.
    let short = |place: &Place| {
        let output = place.command(RUN).env("OWF_IDEMPOTENCY_MS", "0").output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let brief = Place::new();
    brief.file("flow.yaml", text);
    brief.file("ready", "one");
    assert_eq!(end(&short(&brief)), json!(["done", "one", null]));
    brief.file("ready", "two");
    assert_eq!(end(&short(&brief)), json!(["done", "two", null]));
}

#[test]
fn a_call_that_was_lost_with_its_process_is_asked_about_by_whoever_comes_next() {
    let text = "name: x\ntasks:\n  a: {run: [sh, -c, 'echo x >> begun; until test -e go; do sleep 0.01; done; echo made'], idempotency_key: k}\n";
    let place = place(text);
    let mut child = place.spawn(RUN);
    eventually(5 * SECOND, "it has begun", || lines(&place, "begun").len() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let lost = place.json(&["runs", "--json"])["runs"][0]["run_id"].as_str().unwrap().to_owned();
    place.file("go", "");
    let next = view(&place, &[]);
    let asked = &next["approvals"][0];
    let message = format!(
        "`a` may have been carried out: {lost}/c0001 was at work for the same idempotency key \"k\" and was broken off. Run it?"
    );
    assert_eq!(
        json!([next["status"], next["status_reason"], asked["kind"], asked["message"], asked["metadata"]]),
        json!(["paused", "repeat", "repeat", message, {"idempotency_key": "k", "lost": format!("{lost}/c0001")}]),
        "{next}"
    );
    assert_eq!(lines(&place, "begun").len(), 1);
    let denied = place.owf(&["deny", next["run_id"].as_str().unwrap(), "--reason", "no", "--json"]);
    assert!(matches!(denied.code, 0 | 1 | 3), "{denied:?}");
    let id = next["run_id"].as_str().unwrap().to_owned();
    let after = ended(&place, &id);
    assert_eq!(after["status"], "failed", "{after}");
    let calls = place.json(&["calls", &id, "--json"]);
    assert_eq!(calls["calls"][0]["status"], "skipped", "{calls}");
    assert_eq!(lines(&place, "begun").len(), 1);
    // Another asks again, and its person says yes.
    let third = view(&place, &[]);
    let id = third["run_id"].as_str().unwrap().to_owned();
    let approved = place.owf(&["approve", &id, "--reason", "yes", "--json"]);
    assert!(matches!(approved.code, 0 | 3), "{approved:?}");
    let after = ended(&place, &id);
    assert_eq!(end(&after), json!(["done", "made", null]), "{after}");
    assert_eq!(lines(&place, "begun").len(), 2);
    // The one that was lost goes on: it asks for itself, and gets the answer that is there by now.
    let resumed = place.owf(&["resume", &lost, "--no-input", "--json"]).json();
    assert_eq!(resumed["status_reason"], "repeat", "{resumed}");
    let approved = place.owf(&["approve", &lost, "--reason", "yes", "--json"]);
    assert!(matches!(approved.code, 0 | 3), "{approved:?}");
    let after = ended(&place, &lost);
    assert_eq!(end(&after), json!(["done", "made", null]), "{after}");
    assert_eq!(lines(&place, "begun").len(), 2);
}

#[test]
fn a_call_that_was_broken_off_is_asked_about_and_one_that_had_not_begun_is_not() {
    let text = "name: x\ntasks:\n  a: {run: [sh, -c, 'echo x >> begun; test -e go || sleep 300; echo made'], idempotency_key: k, timeout: 1}\n";
    let place = place(text);
    assert_eq!(view(&place, &[])["status"], "failed");
    assert_eq!(lines(&place, "begun").len(), 1);
    place.file("go", "");
    let next = view(&place, &[]);
    assert_eq!(json!([next["status"], next["status_reason"]]), json!(["paused", "repeat"]), "{next}");
    assert_eq!(lines(&place, "begun").len(), 1);
    // A call that waits for a person has begun nothing: when its run is cancelled, the key is free.
    let waits = Place::new();
    waits.file(
        "flow.yaml",
        "name: y\ntasks:\n  a: {run: [sh, -c, 'echo x >> begun'], idempotency_key: k, approval: {message: May I}}\n",
    );
    let first = view(&waits, &[]);
    assert_eq!(first["status_reason"], "approval", "{first}");
    let cancelled = waits.owf(&["cancel", first["run_id"].as_str().unwrap(), "--json"]);
    assert_eq!(cancelled.json()["status"], "cancelled", "{cancelled:?}");
    assert_eq!(view(&waits, &[])["status_reason"], "approval");
    assert_eq!(lines(&waits, "begun").len(), 0);
}

#[test]
fn an_answer_outlives_the_run_that_gave_it() {
    let place = place(&format!("name: x\ntasks:\n  a: {{run: {}, idempotency_key: k}}\n", counted("a")));
    assert_eq!(end(&view(&place, &[])), json!(["done", "1", null]));
    let pruned = place.owf(&["prune", "--keep", "0", "--json"]);
    assert_eq!(pruned.code, 0, "{pruned:?}");
    assert_eq!(place.json(&["runs", "--json"])["total"], 0);
    assert_eq!(end(&view(&place, &[])), json!(["done", "1", null]));
    assert_eq!(lines(&place, "done").len(), 1);
}

#[test]
fn a_run_that_is_removed_leaves_no_claim_behind() {
    let text =
        "name: x\ntasks:\n  a: {run: [sh, -c, 'test -e go || sleep 300; echo made'], idempotency_key: k, timeout: 1}\n";
    let place = place(text);
    assert_eq!(view(&place, &[])["status"], "failed");
    let claims = || {
        let database = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
        database.query_row("SELECT count(*) FROM once", [], |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!(claims(), 1);
    assert_eq!(place.owf(&["prune", "--keep", "0", "--json"]).code, 0);
    assert_eq!(claims(), 0);
    place.file("go", "");
    assert_eq!(end(&view(&place, &[])), json!(["done", "made", null]));
}

#[test]
fn a_key_that_cannot_be_looked_up_is_a_refusal() {
    let place = place(&format!("name: x\ntasks:\n  a: {{run: {}, idempotency_key: k}}\n", counted("a")));
    assert_eq!(end(&view(&place, &[])), json!(["done", "1", null]));
    let database = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
    let changed = database
        .execute("UPDATE once SET event = NULL, run_id = (SELECT run_id FROM run_key LIMIT 1), body = '{}'", [])
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);
    let refused = view(&place, &[]);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("a stored value does not read: "), "{refused}");
    assert_ne!(refused["status"], "done");
    assert_eq!(lines(&place, "done").len(), 1);
}

#[test]
fn files_that_were_made_for_a_key_must_still_be_there() {
    let place = place(
        "name: x\ntasks:\n  a: {run: [sh, -c, 'echo x >> made.txt'], outputs: made.txt, idempotency_key: k}\nresult: '{{ tasks.a.files }}'\n",
    );
    assert_eq!(end(&view(&place, &[])), json!(["done", ["made.txt"], null]));
    assert_eq!(end(&view(&place, &[])), json!(["done", ["made.txt"], null]));
    assert_eq!(lines(&place, "made.txt").len(), 1);
    std::fs::remove_file(place.path().join("made.txt")).unwrap();
    let gone = view(&place, &[]);
    let message = gone["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("made made.txt for the idempotency key, and it is not there any more"), "{message}");
}

#[test]
fn a_key_is_said_to_be_the_same_where_it_cannot_differ_and_refused_where_it_means_nothing() {
    let text = "name: x
tasks:
  a: {for_each: [1, 2], prompt: 'n {{ item }}', idempotency_key: k}
  b: {prompt: hi, until: 'output == 1', max_iterations: 3, idempotency_key: k}
  c: {for_each: [1, 2], prompt: 'n {{ item }}', idempotency_key: 'k{{ item }}'}
  d: {expr: 1, idempotency_key: k}
  e: {prompt: hi, cache: refresh, idempotency_key: k}
  f: {prompt: hi, idempotency_key: ''}
  g: {prompt: hi, idempotency_key: '{{ tasks.c }}'}
";
    let codes: Vec<(u32, String)> = found(text).into_iter().map(|(line, _, code, _)| (line, code)).collect();
    assert_eq!(codes, [(8, "wrong_value".to_owned())], "the form comes first");
    let rest: Vec<(u32, u32, String)> = found(&text.replace("  f: {prompt: hi, idempotency_key: ''}\n", ""))
        .into_iter()
        .map(|(line, column, code, _)| (line, column, code))
        .collect();
    let three = |line, column, code: &str| (line, column, code.to_owned());
    assert_eq!(
        rest,
        [
            three(3, 49, "same_key"),
            three(4, 60, "same_key"),
            three(6, 16, "misplaced"),
            three(7, 19, "misplaced"),
            three(8, 40, "undeclared_dependency"),
        ]
    );
}

/// What becomes of one key, step by step.
#[derive(Debug, Clone)]
enum Move {
    /// A run asks for it, for one of two requests, with or without leave to repeat.
    Ask { run: usize, params: u8, may_repeat: bool },
    /// The one who has it begins.
    Begin,
    /// It ends.
    End { ok: bool },
    /// The process of a run ends.
    Die { run: usize },
    /// Another process takes that run up.
    Resume { run: usize },
    /// The one who has the key asks again, as it does when its run was taken up.
    Again,
    /// Time passes until what was given does not count any more.
    Expire,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (0..3_usize, 0..2_u8, any::<bool>()).prop_map(|(run, params, may_repeat)| Move::Ask { run, params, may_repeat }),
        3 => Just(Move::Begin),
        2 => any::<bool>().prop_map(|ok| Move::End { ok }),
        2 => (0..3_usize).prop_map(|run| Move::Die { run }),
        2 => (0..3_usize).prop_map(|run| Move::Resume { run }),
        2 => Just(Move::Again),
        1 => Just(Move::Expire),
    ]
}

/// What the key stands for, as the rules have it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Free,
    Claimed { life: u8, call: u32, params: u8, begun: bool, alive: bool },
    Given { params: u8 },
}

const HOUR: u64 = 3_600_000;

fn play(moves: &[Move]) {
    let store = Store::in_memory().unwrap();
    let mut leases: Vec<Option<Lease>> = Vec::new();
    let mut lives = [1_u8, 2, 3];
    leases.extend(lives.map(|n| Some(started(&store, &run_id(n), &spec("w")))));
    let (mut key, mut calls, mut time) = (Key::Free, [0_u32; 250], T0);
    for (at, step) in moves.iter().enumerate() {
        match step {
            Move::Ask { run, params, may_repeat } => {
                let run = *run;
                if leases[run].is_none() {
                    // Another process takes its place, with a run of its own.
                    lives[run] = 10 + at as u8;
                    leases[run] = Some(started(&store, &run_id(lives[run]), &spec("w")));
                }
                let life = lives[run];
                calls[usize::from(life)] += 1;
                let call = calls[usize::from(life)];
                let (call_id, key_of) = (CallId(call), Hash::of([*params]));
                let spec = Box::new(CallSpec::new(CallKind::Agent, Ask::default()));
                let asked = Event::CallRequested { call_id, key: key_of, occurrence: call, spec };
                append(&store, leases[run].as_ref().unwrap(), vec![asked]).unwrap();
                let found = ask(&store, life, call, *params, *may_repeat, time);
                let expected = match key {
                    Key::Free | Key::Claimed { begun: false, alive: false, .. } => "claimed",
                    Key::Given { params: theirs } if theirs != *params => "other",
                    Key::Given { .. } => "given",
                    Key::Claimed { params: theirs, .. } if theirs != *params => "other",
                    Key::Claimed { life: theirs, alive: true, .. } if theirs == life => "ours",
                    Key::Claimed { alive: true, .. } => "busy",
                    // Its own tree takes it up again, and has been taken up by now.
                    Key::Claimed { life: theirs, .. } if theirs == life => "ours",
                    Key::Claimed { .. } if *may_repeat => "claimed",
                    Key::Claimed { .. } => "lost",
                };
                assert_eq!(found, expected, "{key:?} {step:?}");
                if found == "claimed" {
                    key = Key::Claimed { life, call, params: *params, begun: false, alive: true };
                }
            }
            Move::Again => {
                if let Key::Claimed { life, call, params, begun, .. } = key
                    && lease_of(&leases, lives, life).is_some()
                {
                    assert_eq!(ask(&store, life, call, params, false, time), "claimed", "its own key is its own");
                    key = Key::Claimed { life, call, params, begun, alive: true };
                }
            }
            Move::Begin => {
                if let Key::Claimed { life, call, params, begun: false, alive: true } = key
                    && let Some(lease) = lease_of(&leases, lives, life)
                {
                    append(&store, lease, vec![begins(call)]).unwrap();
                    key = Key::Claimed { life, call, params, begun: true, alive: true };
                }
            }
            Move::End { ok } => {
                if let Key::Claimed { life, call, params, begun: true, .. } = key
                    && let Some(lease) = lease_of(&leases, lives, life)
                {
                    let outcome = if *ok {
                        Outcome::done(CallId(call), Some(json!(CallId(call).to_string())))
                    } else {
                        Outcome::failed(CallId(call), CallError::new(ErrorClass::Exit, "no"))
                    };
                    let ended = Event::CallFinished {
                        call_id: CallId(call),
                        outcome: Box::new(outcome),
                        reused: None,
                        rule: None,
                    };
                    let mut ended: Append = continued(&store, lease, vec![ended]);
                    if *ok {
                        let (key, seq, until) = (Hash::of("k"), ended.records[0].seq, time.plus(HOUR));
                        ended.cache.push(CacheWrite::Once { key, call_id: CallId(call), seq, until });
                    }
                    store.append(ended).wait().unwrap();
                    key = if *ok { Key::Given { params } } else { Key::Free };
                }
            }
            Move::Die { run } => {
                if leases[*run].take().is_some()
                    && let Key::Claimed { life, call, params, begun, .. } = key
                    && life == lives[*run]
                {
                    key = Key::Claimed { life, call, params, begun, alive: false };
                }
            }
            Move::Resume { run } => {
                if leases[*run].is_none() {
                    let lease = store.claim(&run_id(lives[*run]), &me(), T0).unwrap();
                    append(&store, &lease, vec![start(lease.epoch)]).unwrap();
                    leases[*run] = Some(lease);
                }
            }
            Move::Expire => {
                time = time.plus(HOUR);
                if matches!(key, Key::Given { .. }) {
                    key = Key::Free;
                }
            }
        }
    }
}

fn lease_of(leases: &[Option<Lease>], lives: [u8; 3], life: u8) -> Option<&Lease> {
    leases[lives.iter().position(|other| *other == life)?].as_ref()
}

/// Asks for the key; what there is for it, in a word.
fn ask(store: &Store, life: u8, call: u32, params: u8, may_repeat: bool, time: Millis) -> &'static str {
    let (params, call_id) = (Hash::of([params]), CallId(call));
    let claim = OnceClaim { key: Hash::of("k"), params, run: run_id(life), call_id, may_repeat };
    match store.claim_once(&claim, time).unwrap() {
        Once::Claimed => "claimed",
        Once::Done(hit) => {
            assert_eq!(hit.outcome.value, Some(json!(hit.from.call_id.to_string())));
            "given"
        }
        Once::Busy { ours: true, .. } => "ours",
        Once::Busy { .. } => "busy",
        Once::Lost { pauses, .. } => {
            assert!(!pauses);
            "lost"
        }
        Once::Other(_) => "other",
        Once::Above(_) => "above",
        Once::Circle(_) => "circle",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whoever_asks_and_dies_in_whatever_order_a_key_is_claimed_by_one_and_its_answer_is_everybodys(
        steps in prop::collection::vec(moves(), 1..40),
    ) {
        play(&steps);
    }
}
