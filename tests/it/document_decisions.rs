//! Races about the questions of documents: whatever comes together, exactly one decision counts, and nothing runs twice.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use owf::core::call::Decision;
use owf::core::time::Millis;
use owf::store::{ApprovalState, InboxMessage, Store};
use serde_json::{Value, json};

use crate::acca_support::{answers, labels};
use crate::support::cli::{Place, Printed, eventually, printed};

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

/// A place with a document and answers.
fn place(text: &str, rules: &str) -> Place {
    let place = Place::new();
    place.file("flow.yaml", text);
    place.file("answers.yaml", &answers(rules));
    place
}

/// Runs it until it waits for a person; its id.
fn asked(place: &Place) -> String {
    let printed = place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--json"]);
    assert_eq!(printed.code, 3, "{printed:?}");
    printed.json()["run_id"].as_str().unwrap().to_owned()
}

/// A document of `count` tasks with a question each.
fn questions(count: usize) -> String {
    let task = |i| format!("  t{i}: {{approval: 'May t{i}?', prompt: p{i}, allow_failure: true}}");
    let tasks: Vec<String> = (0..count).map(task).collect();
    format!("name: x\ntasks:\n{}\n", tasks.join("\n"))
}

/// Everything that is asked in a store: the answer to each, ready to be sent.
fn ballot(store: &Store, run: &str, decision: Decision, by: &str) -> Vec<InboxMessage> {
    let open = store.approvals(Some(&run.parse().unwrap()), Some(ApprovalState::Pending)).unwrap();
    open.iter()
        .map(|row| InboxMessage::Decide {
            approval_id: row.note.approval_id,
            decision,
            content_hash: row.note.content_hash.clone(),
            by: by.to_owned(),
            via: "test".to_owned(),
            reason: None,
            person: true,
        })
        .collect()
}

/// The status of every task, by label; the question before a task is not its end.
fn ends(place: &Place, run: &str) -> BTreeMap<String, String> {
    let calls = place.json(&["calls", run, "--limit", "500", "--json"])["calls"].clone();
    let work = calls.as_array().unwrap().iter().filter(|c| c["kind"] != "approval");
    work.map(|c| (c["label"].as_str().unwrap().to_owned(), c["status"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn of_two_who_decide_a_hundred_questions_at_once_one_wins_each_and_nothing_runs_twice() {
    let place = place(&questions(100), ECHO);
    let run = asked(&place);
    assert_eq!(place.json(&["approvals", "--json"])["approvals_total"], 100);
    let vote = |decision, by: &'static str, backwards: bool| {
        let store = place.store();
        let mut ballot = ballot(&store, &run, decision, by);
        if backwards {
            ballot.reverse();
        }
        let run = run.parse().unwrap();
        move || ballot.iter().map(|vote| store.send(&run, vote, Millis(1)).is_ok()).collect::<Vec<bool>>()
    };
    let (yes, no) = (vote(Decision::Approve, "yes", false), vote(Decision::Deny, "no", true));
    let (yes, mut no) = std::thread::scope(|scope| {
        let (yes, no) = (scope.spawn(yes), scope.spawn(no));
        (yes.join().unwrap(), no.join().unwrap())
    });
    no.reverse();
    for (question, (yes, no)) in yes.iter().zip(&no).enumerate() {
        assert!(yes != no, "question {question}: {yes} {no}");
    }
    let view = place.json(&["resume", &run, "--json"]);
    assert_eq!((&view["status"], &view["resumed"]), (&json!("done"), &json!("in_place")), "{view}");
    let expected: BTreeMap<String, String> = yes
        .iter()
        .enumerate()
        .map(|(i, approved)| (format!("t{i}"), if *approved { "done" } else { "denied" }.to_owned()))
        .collect();
    assert_eq!(ends(&place, &run), expected);
    let mut asked = labels(&place);
    asked.sort();
    let mut approved: Vec<String> = (0..100).filter(|i| yes[*i]).map(|i| format!("t{i}")).collect();
    approved.sort();
    assert_eq!(asked, approved, "each approved task ran once");
}

/// Starts commands at once and waits for all of them.
fn at_once(place: &Place, commands: &[Vec<&str>]) -> Vec<Printed> {
    let spawn = |args: &Vec<&str>| {
        let mut command = place.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = commands.iter().map(spawn).collect();
    children.into_iter().map(|child| printed(&child.wait_with_output().unwrap())).collect()
}

#[test]
fn processes_that_decide_different_questions_at_once_start_the_run_as_often_as_they_need_and_each_task_once() {
    let place = place(&questions(4), ECHO);
    let run = asked(&place);
    let ids = ["a1", "a2", "a3", "a4"];
    let commands: Vec<Vec<&str>> =
        ids.iter().flat_map(|id| ["approve", "deny"].map(|verb| vec![verb, run.as_str(), id, "--json"])).collect();
    let ended = at_once(&place, &commands);
    let won: Vec<bool> = ended.iter().map(|end| end.code == 0).collect();
    for (end, won) in ended.iter().zip(&won) {
        assert!(*won || end.json()["error"]["code"] == "already_decided", "{end:?}");
    }
    let status = || place.json(&["status", &run, "--json"])["status"].clone();
    eventually(Duration::from_secs(3), "the end", || status() == "done");
    let expected: BTreeMap<String, String> =
        (0..4).map(|i| (format!("t{i}"), if won[2 * i] { "done" } else { "denied" }.to_owned())).collect();
    assert_eq!(ends(&place, &run), expected);
    let mut asked = labels(&place);
    asked.sort();
    assert_eq!(asked, (0..4).filter(|i| won[2 * i]).map(|i| format!("t{i}")).collect::<Vec<_>>());
    for pair in won.chunks(2) {
        assert_eq!(pair.iter().filter(|won| **won).count(), 1, "{ended:?}");
    }
}

#[test]
fn a_question_decided_while_its_supervisor_is_dead_lets_the_run_go_on_and_counts_once() {
    let text = "name: x
tasks:
  slow: {prompt: slow}
  apply: {approval: 'Apply?', prompt: apply}
  end: {after: [slow, apply], expr: [tasks.slow, tasks.apply]}
";
    let rules =
        "  - match: {label: slow, attempt: 1}\n    never: true\n  - match: {label: '*'}\n    text: '{{ label }}!'";
    let place = place(text, rules);
    let mut owner = place.spawn(&["run", "flow.yaml", "--fixtures", "answers.yaml"]);
    let pending = || place.json(&["approvals", "--json"])["approvals"].clone();
    eventually(Duration::from_secs(2), "the question is on record", || {
        place.home().join("workflow.sqlite").exists()
            && place.owf(&["approvals", "--json"]).code == 0
            && pending()[0].is_object()
    });
    eventually(Duration::from_secs(2), "the attempt is on record", || {
        let calls = place.json(&["calls", "latest", "--json"])["calls"].clone();
        calls.as_array().unwrap().iter().any(|call| call["label"] == "slow" && call["attempts"] == 1)
    });
    owner.kill().unwrap();
    owner.wait().unwrap();
    let row = pending()[0].clone();
    let run = row["run_id"].as_str().unwrap().to_owned();
    assert_eq!(place.json(&["status", &run, "--json"])["status"], "interrupted");
    let commands = ["approve", "deny", "approve", "deny"].map(|verb| vec![verb, run.as_str(), "a1", "--json"]);
    let ended = at_once(&place, &commands);
    let winners: Vec<usize> = (0..ended.len()).filter(|i| ended[*i].code == 0).collect();
    assert_eq!(winners.len(), 1, "{ended:?}");
    for end in ended.iter().filter(|end| end.code != 0) {
        assert_eq!((end.code, &end.json()["error"]["code"]), (2, &json!("already_decided")), "{end:?}");
    }
    let view = place.owf(&["wait", &run, "--json"]).json();
    let approved = winners[0].is_multiple_of(2);
    assert_eq!(view["status"], if approved { "done" } else { "failed" }, "{view}");
    let mut asked = labels(&place);
    asked.sort();
    // The attempt that died with its owner was made again; the decided task ran once or not at all.
    let expected: &[&str] = if approved { &["apply", "slow", "slow"] } else { &["slow", "slow"] };
    assert_eq!(asked, expected);
}

const ONE: &str = "name: x\nsteps:\n  - {id: apply, approval: {message: 'Apply?', timeout: 1h}, prompt: apply}\n";

#[test]
fn a_decision_after_the_expiry_or_about_an_edited_document_counts_for_nothing() {
    let place = place(ONE, ECHO);
    let run = asked(&place);
    let first = place.json(&["approvals", "--json"])["approvals"][0].clone();
    let hash = first["content_hash"].as_str().unwrap().to_owned();
    let edited = |run: &str, timeout: &str| {
        place.file("flow.yaml", &ONE.replace("prompt: apply", "prompt: apply all").replace("1h", timeout));
        let again = place.owf(&["resume", run, "--source", "current", "--json"]).json();
        let next = again["run_id"].as_str().unwrap().to_owned();
        assert_ne!(next, run);
        next
    };
    let next = edited(&run, "2h");
    let late = |run: &str, args: &[&str]| -> Value {
        let mut all = vec!["approve", run, "a1", "--json"];
        all.extend(args);
        let printed = place.owf(&all);
        assert_eq!(printed.code, 2, "{printed:?}");
        printed.json()["error"]["code"].clone()
    };
    assert_eq!(late(&run, &[]), "run_ended", "the question of the run before");
    assert_eq!(late(&next, &["--content-hash", &hash]), "content_changed");
    let next = &edited(&next, "300ms");
    eventually(Duration::from_secs(1), "the expiry", || {
        place.json(&["status", next, "--json"])["approvals"][0]["state"] == "expired"
    });
    assert_eq!(late(next, &[]), "approval_expired");
    let view = place.owf(&["resume", next, "--json"]).json();
    assert_eq!(
        (&view["status"], &view["error"]["message"]),
        (&json!("failed"), &json!("task `apply` was denied by timeout"))
    );
    assert_eq!(labels(&place), Vec::<String>::new());
}
