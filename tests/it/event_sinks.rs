//! Event sinks: what they hear, in which order, and what becomes of a run when one fails.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use owf::core::event::Event;
use serde_json::{Value, json};

use crate::policies::Guarded;
use crate::support::cli::eventually;

const FLOW: &str = "name: x
metadata: {tags: [nightly]}
steps:
  - {id: a, prompt: a, metadata: {tags: [release]}}
  - {id: b, expr: '1'}
  - {id: c, prompt: c, when: false}
";

fn lines(guarded: &Guarded, name: &str) -> Vec<Value> {
    guarded.place.log(name)
}

fn file(guarded: &Guarded, name: &str, rest: &str) -> String {
    let path = guarded.place.path().join(format!("{name}.jsonl"));
    format!("[events.{name}]\nfile = {:?}\n{rest}\n", path.display().to_string())
}

fn kinds(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|l| l["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn accept_089_a_sink_hears_everything_in_the_order_of_the_journal_and_others_what_they_ask_for() {
    let guarded = Guarded::new(FLOW, &[]);
    let script = guarded.place.file("bin/sink.sh", "cat >> command.jsonl\n").display().to_string();
    guarded.config(&format!(
        "{}{}{}[events.command]\ncommand = [\"/bin/sh\", {script:?}]\n",
        file(&guarded, "all", ""),
        file(&guarded, "ends", "types = [\"call_finished\", \"run_finished\"]"),
        file(&guarded, "release", "tags = [\"release\", \"other\"]"),
    ));
    let view = guarded.run();
    assert_eq!(view["status"], "done");
    let all = lines(&guarded, "all.jsonl");
    let expected = [
        "run_created",
        "run_started",
        "call_requested",
        "attempt_started",
        "call_finished",
        "call_requested",
        "call_finished",
        "call_requested",
        "call_finished",
        "run_finished",
    ];
    assert_eq!(kinds(&all), expected);
    let seqs: Vec<u64> = all.iter().map(|l| l["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
    assert!(all.iter().all(|l| l["run_id"] == view["run_id"] && l["workflow"] == "x"), "{all:?}");
    assert_eq!(all[4]["tags"], json!(["nightly", "release"]));
    assert_eq!(all[4]["data"]["outcome"]["value"], "<a>");
    assert_eq!(all[9]["tags"], json!(["nightly"]));
    assert_eq!(lines(&guarded, "command.jsonl"), all);
    let ends = lines(&guarded, "ends.jsonl");
    assert_eq!(kinds(&ends), ["call_finished", "call_finished", "call_finished", "run_finished"]);
    let release = lines(&guarded, "release.jsonl");
    assert_eq!(kinds(&release), ["call_requested", "attempt_started", "call_finished"]);
}

#[test]
fn accept_089_a_failing_sink_is_a_warning_or_the_failure_of_the_run_as_declared() {
    for (command, why) in [
        ("cat > /dev/null; echo full >&2; exit 1", "it ended with exit code 1: full"),
        ("sleep 600", "it took longer than 100 ms"),
    ] {
        for (policy, status) in [("ignore", "done"), ("fail", "failed")] {
            let guarded = Guarded::new(FLOW, &[]);
            let script = guarded.place.file("bin/sink.sh", command).display().to_string();
            let rest = "timeout_seconds = 0.1";
            guarded
                .config(&format!("[events.s]\ncommand = [\"/bin/sh\", {script:?}]\non_failure = {policy:?}\n{rest}\n"));
            let view = guarded.run();
            let message = format!("the event sink `s` failed: {why}");
            assert_eq!(view["status"], status, "{view}");
            if policy == "fail" {
                assert_eq!(
                    (&view["error"]["code"], &view["error"]["message"]),
                    (&json!("event_sink_failed"), &json!(message))
                );
            } else {
                let warning = json!({"code": "event_sink_failed", "message": message});
                assert!(view["warnings"].as_array().unwrap().contains(&warning), "{view}");
            }
        }
    }
}

#[test]
fn accept_104_a_sink_that_hangs_holds_up_nothing() {
    let guarded = Guarded::new(FLOW, &[]);
    let waits = "while [ ! -e go ]; do sleep 0.01; done\ncat >> late.jsonl\n";
    let script = guarded.place.file("bin/sink.sh", waits).display().to_string();
    guarded.config(&format!("[events.s]\ncommand = [\"/bin/sh\", {script:?}]\n"));
    let config = guarded.place.path().join("config/config.toml");
    let mut command = guarded.place.command(&["run", "flow.yaml", "--fixtures", "answers.yaml"]);
    command.env("OWF_CONFIG", config).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    eventually(Duration::from_secs(2), "the run is done", || {
        guarded.place.owf(&["status", "latest", "--json"]).json()["status"] == "done"
    });
    assert_eq!(lines(&guarded, "late.jsonl"), Vec::<Value>::new());
    guarded.place.file("go", "");
    assert!(child.wait().unwrap().success());
    let heard: Vec<u64> = lines(&guarded, "late.jsonl").iter().map(|l| l["seq"].as_u64().unwrap()).collect();
    assert_eq!(heard, (1..=10).collect::<Vec<u64>>(), "and in the end it has heard everything, without a gap");
}

#[test]
fn a_resumed_run_tells_what_is_new_with_the_tags_of_calls_made_before_and_a_child_is_heard_too() {
    let text = "name: x
steps:
  - {id: q, approval: 'Go?', metadata: {tags: [ask]}}
  - {id: c, workflow: ./child.yaml}
";
    let guarded = Guarded::new(text, &[]);
    guarded.place.file("child.yaml", "name: child\nsteps:\n  - {id: d, prompt: d}\n");
    guarded.config(&format!("{}{}", file(&guarded, "all", ""), file(&guarded, "ask", "tags = [\"ask\"]")));
    let view = guarded.run();
    assert_eq!(view["status"], "paused");
    let run = view["run_id"].as_str().unwrap();
    assert_eq!(kinds(&lines(&guarded, "all.jsonl")).last().unwrap(), "run_paused");
    assert_eq!(guarded.owf(&["approve", run, "--json"]).code, 0);
    eventually(Duration::from_secs(2), "the last event", || {
        lines(&guarded, "all.jsonl").iter().any(|l| l["type"] == "run_finished" && l["workflow"] == "x")
    });
    assert_eq!(kinds(&lines(&guarded, "ask.jsonl")), ["call_requested", "approval_asked", "call_finished"]);
    let all = lines(&guarded, "all.jsonl");
    let own: Vec<u64> = all.iter().filter(|l| l["workflow"] == "x").map(|l| l["seq"].as_u64().unwrap()).collect();
    assert_eq!(own, (1..=own.len() as u64).collect::<Vec<_>>(), "each once, in order");
    let child: Vec<Value> = all.into_iter().filter(|l| l["workflow"] == "child").collect();
    assert_eq!(kinds(&child)[..2], ["run_created", "run_started"]);
    assert_eq!(kinds(&child).last().unwrap(), "run_finished");
    let seen: BTreeSet<String> = kinds(&child).into_iter().collect();
    assert!(seen.iter().all(|kind| Event::TYPES.contains(&kind.as_str())), "{seen:?}");
}

#[test]
fn a_document_names_sinks_that_are_configured_and_a_misspelt_type_is_told() {
    let guarded = Guarded::new(&format!("events: [mine]\n{FLOW}"), &[]);
    let refused = guarded.owf(&["run", "flow.yaml", "--json"]);
    let message = "the document names the event sink `mine`, which is not configured here";
    assert_eq!((refused.code, &refused.json()["error"]["message"]), (2, &json!(message)));
    guarded.config(&file(&guarded, "mine", "always = false\ntypes = [\"run_finished\"]"));
    assert_eq!(guarded.run()["status"], "done");
    assert_eq!(kinds(&lines(&guarded, "mine.jsonl")), ["run_finished"]);
    guarded.place.file("flow.yaml", FLOW);
    assert_eq!(guarded.run()["status"], "done");
    assert_eq!(lines(&guarded, "mine.jsonl").len(), 1);
    guarded.config(&file(&guarded, "mine", "types = [\"run_ended\"]"));
    let refused = guarded.owf(&["runs", "--json"]);
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("the configuration is wrong: events.mine.types: there is no event `run_ended`"),
        "{message}"
    );
}

#[test]
fn every_kind_of_event_can_be_asked_for() {
    let source = include_str!("../../src/core/event.rs");
    let kind = |arm: &'static str| arm.split_once("{ .. } => \"")?.1.split('"').next();
    let kinds: Vec<&str> = source.split("Self::").filter_map(kind).collect();
    assert_eq!(kinds, owf::core::event::Event::TYPES);
}

#[test]
fn accept_104_a_pipe_that_nobody_reads_holds_up_nothing_and_one_that_somebody_reads_hears_everything() {
    let guarded = Guarded::new(FLOW, &[]);
    let pipe = guarded.place.path().join("all.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    guarded.config(&file(&guarded, "all", ""));
    let view = guarded.run();
    let message = format!("the event sink `all` failed: {}: No such device or address (os error 6)", pipe.display());
    let warning = json!({"code": "event_sink_failed", "message": message});
    assert!(view["warnings"].as_array().unwrap().contains(&warning), "{view}");
    // Opened for both, it has a reader that does not read until the run is over.
    let held = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    assert_eq!(guarded.run()["status"], "done");
    let mut reader = std::io::BufReader::new(held);
    let mut heard: Vec<Value> = Vec::new();
    while heard.last().is_none_or(|line| line["type"] != "run_finished") {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        heard.push(serde_json::from_str(&line).unwrap());
    }
    let seqs: Vec<u64> = heard.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn accept_104_a_pipe_that_is_full_is_waited_for_as_long_as_the_sink_may_take() {
    let text = format!("name: x\ntasks:\n  a: {{prompt: '{}'}}\n", "long ".repeat(50_000));
    let guarded = Guarded::new(&text, &[]);
    let pipe = guarded.place.path().join("all.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    guarded.config(&file(&guarded, "all", "timeout_seconds = 0.2\non_failure = \"fail\""));
    let held = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let view = guarded.run();
    let message =
        format!("the event sink `all` failed: {}: Resource temporarily unavailable (os error 11)", pipe.display());
    assert_eq!(json!([view["status"], view["error"]["message"]]), json!(["failed", message]), "{view}");
    drop(held);
}

#[test]
fn accept_089_a_sink_that_fails_is_told_of_also_when_the_run_fails_or_is_cancelled() {
    let guarded = Guarded::new("name: x\nsteps:\n  - {id: a, expr: '1 + []'}\n", &[]);
    for policy in ["ignore", "fail"] {
        guarded.config(&format!("[events.s]\nfile = \"/nowhere/at/all\"\non_failure = {policy:?}\n"));
        let view = guarded.run();
        let message = "the event sink `s` failed: /nowhere/at/all: No such file or directory (os error 2)";
        assert_eq!(view["error"]["code"], "task_failed", "{view}");
        assert_eq!(view["warnings"], json!([{"code": "event_sink_failed", "message": message}]), "{view}");
    }
    let guarded = Guarded::new(FLOW, &[]);
    guarded.place.file("answers.yaml", &crate::acca_support::answers("  - match: {label: '*'}\n    never: true"));
    guarded.config("[events.s]\nfile = \"/nowhere/at/all\"\n");
    let mut command = guarded.place.command(&["run", "flow.yaml", "--fixtures", "answers.yaml"]);
    command.env("OWF_CONFIG", guarded.place.path().join("config/config.toml"));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    eventually(Duration::from_secs(5), "it calls", || guarded.invocations() == 1);
    let run = guarded.owf(&["runs", "--json"]).json()["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let view = guarded.owf(&["cancel", &run, "--json"]).json();
    child.wait().unwrap();
    let codes: Vec<&Value> = view["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
    assert!(codes.contains(&&json!("event_sink_failed")), "{view}");
}

#[test]
fn a_sink_that_only_a_child_document_names_hears_of_that_child_alone() {
    let guarded = Guarded::new("name: x\nsteps:\n  - {id: c, workflow: ./child.yaml}\n", &[]);
    guarded.place.file("child.yaml", "name: child\nevents: [mine]\nsteps:\n  - {id: d, prompt: d}\n");
    guarded.config(&file(&guarded, "mine", "always = false\ntypes = [\"run_finished\"]"));
    assert_eq!(guarded.run()["status"], "done");
    let heard = lines(&guarded, "mine.jsonl");
    let of: Vec<&str> = heard.iter().map(|line| line["workflow"].as_str().unwrap()).collect();
    assert_eq!(of, ["child"]);
    // And one that its parent names hears of both.
    guarded.place.file("flow.yaml", "name: x\nevents: [mine]\nsteps:\n  - {id: c, workflow: ./child.yaml}\n");
    guarded.place.file("child.yaml", "name: child\nsteps:\n  - {id: d, prompt: d}\n");
    assert_eq!(guarded.run()["status"], "done");
    let heard = lines(&guarded, "mine.jsonl");
    let of: Vec<&str> = heard.iter().map(|line| line["workflow"].as_str().unwrap()).collect();
    assert_eq!(of, ["child", "child", "x"]);
}
