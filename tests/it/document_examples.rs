//! The example documents: each is without a finding, runs on generated answers, and does what its description says.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use serde_json::{Value, json};

use crate::document_support::{Paper, check};

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/documents/{name}.yaml"));
    std::fs::read_to_string(path).unwrap()
}

/// Runs an example with args and rules of answers; the view and what it returned.
fn run(name: &str, args: Value, rules: &str) -> (Value, Value, Paper) {
    let text = text(name);
    let checked = check(&text);
    assert_eq!(checked.diagnostics, [], "{name}");
    assert_eq!(checked.meta.unwrap().name, name);
    let paper = if rules.is_empty() { Paper::new(&text) } else { Paper::answered(&text, rules) };
    paper.desk.place.file("fixtures/documents/haiku-sequential.yaml", &self::text("haiku-sequential"));
    let view = paper.run_args(args);
    let output = if view["status"] == "done" { paper.output() } else { Value::Null };
    (view, output, paper)
}

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

#[test]
fn sequential_haiku() {
    let (_, output, paper) = run("haiku-sequential", json!({"topic": "rain"}), ECHO);
    assert_eq!(output, json!("<Translate this haiku into French:\n<Write a haiku about rain.>\n>"));
    let events = paper.desk.events(&paper.latest());
    let asked = events.iter().find(|e| e["type"] == "call_requested").unwrap();
    assert_eq!(asked["spec"]["ask"]["system"], "You are a haiku poet.\n\nAnswer with the poem alone.");
}

#[test]
fn parallel_haiku() {
    let rules =
        "  - match: {label: choose}\n    json: {best: b, why: w}\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'";
    let (_, output, paper) = run("haiku-parallel", json!({"seasons": ["may", "june"]}), rules);
    assert_eq!(
        output,
        json!({"poems": ["<Write a haiku about may.>", "<Write a haiku about june.>"], "choice": {"best": "b", "why": "w"}})
    );
    assert!(paper.prompts()[2].contains("- <Write a haiku about may.>"), "{:?}", paper.prompts());
}

#[test]
fn refund() {
    let order = |days: u32| json!({"order": {"id": "o1", "total": 12.5, "days_ago": days}});
    let (_, output, _) = run("refund", order(3), ECHO);
    assert_eq!((&output["eligible"], &output["amount"]), (&json!(true), &json!(12.5)));
    assert!(output["letter"].as_str().unwrap().contains("granted: 12.5"), "{output}");
    let (_, output, paper) = run("refund", order(31), ECHO);
    assert_eq!((&output["eligible"], &output["amount"]), (&json!(false), &json!(0)));
    assert_eq!(paper.states()["amount"], "skipped");
}

#[test]
fn support_triage() {
    let rules = |kind: &str| {
        format!(
            "  - match: {{label: classify}}\n    json: {{kind: {kind}}}\n  - match: {{label: '*'}}\n    text: '{{{{ label }}}}'"
        )
    };
    let message = json!({"message": "it crashes"});
    let (_, output, _) = run("support-triage", message.clone(), &rules("bug"));
    assert_eq!(output, json!({"kind": "bug", "text": "report"}));
    let (_, output, _) = run("support-triage", message.clone(), &rules("question"));
    assert_eq!(output, json!({"kind": "question", "text": "answer"}));
    let (view, output, paper) = run("support-triage", message, &rules("spam"));
    assert_eq!((&view["status"], output), (&json!("done"), json!({"kind": "spam", "text": ""})));
    assert_eq!(paper.states()["report"], "skipped");
}

#[test]
fn content_review() {
    let rules = "  - match: {label: review, prompt: simpler}\n    json: {ok: true, feedback: ''}\n  - match: {label: review}\n    json: {ok: false, feedback: make it simpler}\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'";
    let (_, output, paper) = run("content-review", json!({"topic": "x"}), rules);
    assert_eq!(output["reviewed"], true);
    assert_eq!(paper.prompts().len(), 4);
    assert!(output["text"].as_str().unwrap().contains("The reviewer asks: make it simpler"), "{output}");
}

#[test]
fn branching() {
    let rules = |claims: &str| {
        format!(
            "  - match: {{label: look}}\n    json: {{claims: {claims}}}\n  - match: {{label: '*'}}\n    text: '{{{{ label }}}}'"
        )
    };
    let (_, output, _) = run("branching", json!({"text": "t"}), &rules("[a, b]"));
    assert_eq!(output, json!({"claims": 2, "checked": ["check[0]", "check[1]"]}));
    let (_, output, paper) = run("branching", json!({"text": "t"}), &rules("[]"));
    assert_eq!(output, json!({"claims": 0, "checked": []}));
    assert_eq!(paper.states()["check"], "skipped");
}

#[test]
fn approval() {
    let (view, _, paper) = run("approval", json!({}), ECHO);
    assert_eq!((&view["status"], &view["status_reason"]), (&json!("paused"), &json!("approval")));
    assert_eq!(paper.desk.labels(), ["draft"]);
}

#[test]
fn composition() {
    let (_, output, paper) = run("composition", json!({}), ECHO);
    assert_eq!(output["poems"].as_array().unwrap().len(), 2);
    assert!(output["poems"][0].as_str().unwrap().contains("into German"), "{output}");
    assert_eq!(output["extra_ok"], false);
    assert!(output["extra_error"].as_str().unwrap().contains("input `topic`"), "{output}");
    assert_eq!(paper.states()["best_effort"], "failed");
}

#[test]
fn parallel_enrichment() {
    let rules = "  - match: {label: people}\n    error: {class: refusal, message: no}\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'";
    let (view, output, _) = run("parallel-enrichment", json!({"company": "c"}), rules);
    assert_eq!(view["status"], "done");
    assert_eq!(output["sources"], json!({"profile": "done", "people": "provider_failed", "news": "done"}));
    assert!(output["summary"].as_str().unwrap().contains("(people unknown)"), "{output}");
}

#[test]
fn agent_with_tools() {
    let rules = |tool: &str| {
        format!(
            "  - match: {{label: read}}\n    json: {{order: o7}}\n  - match: {{tool: lookup_order}}\n    {tool}\n  - match: {{label: '*'}}\n    text: '<{{{{ prompt }}}}>'"
        )
    };
    let message = json!({"message": "where is it?"});
    let (_, output, paper) = run("agent-with-tools", message.clone(), &rules("json: {sent: monday}"));
    assert_eq!(output["found"], true);
    assert!(output["answer"].as_str().unwrap().contains("What is known of order o7: {\"sent\":\"monday\"}"), "{output}");
    let events = paper.desk.events(&paper.latest());
    let asked = events.iter().find(|e| e["spec"]["label"] == "lookup").unwrap();
    assert_eq!(asked["spec"]["ask"]["tool"], json!({"name": "lookup_order", "args": {"id": "o7"}, "mode": "support"}));
    let (_, output, _) = run("agent-with-tools", message, &rules("error: {class: bad_request, message: gone}"));
    assert_eq!(output["found"], false);
    assert!(output["answer"].as_str().unwrap().contains("Nothing is known of that order."), "{output}");
}

#[test]
fn release_notes() {
    let rules = |log: &str| {
        format!(
            "  - match: {{command: 'git log --oneline v1..HEAD'}}\n    text: '{log}'\n  - match: {{command: 'tee *'}}\n    text: saved\n  - match: {{label: '*'}}\n    text: '<{{{{ prompt }}}}>'"
        )
    };
    let (view, _, paper) = run("release-notes", json!({"since": "v1"}), &rules("a1 Add x"));
    assert_eq!((&view["status"], &view["status_reason"]), (&json!("paused"), &json!("approval")));
    assert_eq!(view["approvals"][0]["metadata"]["notes"], "<Write release notes from these commits:\na1 Add x\n>");
    assert_eq!(paper.states(), crate::document_support::map(&[("changes", "done"), ("write", "done")]));
    let (_, output, paper) = run("release-notes", json!({"since": "v1"}), &rules(""));
    assert_eq!(output, json!([]));
    assert_eq!(paper.states()["save"], "skipped");
}

#[test]
fn every_example_is_run_here() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/documents");
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().path().file_stem()?.to_str()?.replace('-', "_")))
        .filter(|name| name != "bad")
        .collect();
    names.sort();
    let source = include_str!("document_examples.rs").replace("haiku()", "haiku_()");
    let tested = |name: &str| {
        let reversed = name.split('_').rev().collect::<Vec<_>>().join("_");
        source.contains(&format!("fn {name}()")) || source.contains(&format!("fn {reversed}_()"))
    };
    let missing: Vec<&String> = names.iter().filter(|name| !tested(name)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}
