//! The example documents: each is without a finding, runs on generated answers, and does what its description says.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use owf::engine::params::GraphParams;
use serde_json::{Value, json};

use crate::document_support::{Paper, check};
use crate::policies::Guarded;
use crate::support::cli::Place;

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
fn persistent_approval() {
    let place = Place::new();
    place.file("flow.yaml", &text("persistent-approval"));
    place.file("answers.yaml", &crate::acca_support::answers(ECHO));
    let args = ["run", "flow.yaml", "--fixtures", "answers.yaml", "--arg", "version=2", "--json"];
    let paused = place.owf(&args);
    assert_eq!((paused.code, &paused.json()["status_reason"]), (3, &json!("approval")), "{paused:?}");
    let run = paused.json()["run_id"].as_str().unwrap().to_owned();
    assert!(!place.store().is_live(&run.parse().unwrap()), "no process waits with it");
    assert_eq!(place.owf(&["approve", &run, "a1", "--json"]).code, 0);
    let second = place.owf(&["wait", &run, "--json"]).json();
    assert_eq!(second["approvals"][0]["message"], "Announce 2 to everybody?");
    let refused = place.owf(&["approve", &run, "a2", "--json"]);
    assert_eq!(refused.json()["error"]["code"], "person_required", "the second is for a person");
    let terminal = crate::support::pty::Pty::new();
    place.command(&["approve", &run, "a2", "--json"]).stdin(terminal.slave()).output().unwrap();
    let end = place.owf(&["wait", &run, "--json"]).json();
    let notes = "<Write release notes for version 2.>";
    let expected = json!({
        "announcement": format!("<Write a short announcement: {notes}>"),
        "approved": ["publish", "announce"],
    });
    assert_eq!(end["output"], expected, "{end}");
    assert_eq!(crate::acca_support::labels(&place), ["notes", "publish", "announce"]);
}

#[test]
fn hooks() {
    let guarded = Guarded::new(&text("hooks"), &[]);
    let verdict = |word: &str, else_word: &str, pattern: &str| {
        format!(
            "read line\ncase \"$line\" in *'{pattern}'*) echo '{{\"verdict\": \"{word}\", \"reason\": \"because\"}}';; *) echo '{{\"verdict\": \"{else_word}\"}}';; esac\n"
        )
    };
    let (owner, tone) = (verdict("deny", "allow", "to Eve."), verdict("fail", "accept", "to Mallory.>"));
    let log = guarded.place.path().join("log.jsonl").display().to_string();
    let config = [
        guarded.hook("budget-owner", &owner, "at = \"before\"\nalways = false"),
        guarded.hook("tone", &tone, "at = \"after\"\nalways = false"),
        guarded.hook("remove-draft", "cat > /dev/null\necho gone >> drafts\n", "at = \"cleanup\""),
        format!("[events.log]\nfile = {log:?}\ntypes = [\"policy_decided\", \"run_finished\"]\ntags = [\"letters\"]\n"),
    ];
    guarded.config(&config.concat());
    let outcome = |to: &str| guarded.run_with(&["--arg", &format!("to={to}")])["output"].clone();
    assert_eq!(outcome("Bob"), json!({"sent": true, "why": ""}));
    let denied = "denied by hook `budget-owner`: because";
    assert_eq!(outcome("Eve"), json!({"sent": false, "why": denied}));
    let rejected = "the answer was rejected by hook `tone`: because";
    assert_eq!(outcome("Mallory"), json!({"sent": false, "why": rejected}));
    let heard: Vec<Value> = guarded.place.log("log.jsonl").iter().map(|l| l["type"].clone()).collect();
    assert_eq!(heard, ["run_finished", "policy_decided", "run_finished", "policy_decided", "run_finished"]);
    // What a hook forbade was not begun.
    assert_eq!(std::fs::read_to_string(guarded.place.path().join("drafts")).unwrap(), "gone\ngone\n");
}

#[test]
fn chat_pipeline() {
    let rules = "  - match: {label: allowed, prompt: spam}\n    json: {outcome: cancel, reason: spam}\n  - match: {label: allowed}\n    json: {outcome: ok}\n  - match: {label: checked}\n    json: {ok: true}\n  - match: {label: profile}\n    error: {class: refusal, message: no}\n  - match: {label: '*'}\n    text: '{{ label }}!'";
    let history = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]);
    let (_, output, paper) = run("chat-pipeline", json!({"message": "What now?", "history": history}), rules);
    let mut said = history.as_array().unwrap().clone();
    said.push(json!({"role": "user", "content": "What now?"}));
    said.push(json!({"role": "assistant", "content": "answer!"}));
    assert_eq!(output, json!({"answer": "answer!", "history": said}));
    let events = paper.desk.events(&paper.latest());
    let asked = events.iter().find(|e| e["spec"]["label"] == "answer").unwrap();
    assert_eq!(asked["spec"]["ask"]["messages"], history);
    assert!(asked["spec"]["ask"]["prompt"].as_str().unwrap().contains("known of the user: nothing; topic: topic!"));
    let (view, _, paper) = run("chat-pipeline", json!({"message": "spam"}), rules);
    assert_eq!(view["status"], "cancelled");
    assert_eq!(paper.desk.labels(), ["allowed"]);
}

#[test]
fn full_pipeline() {
    let rules = "  - match: {label: triage, prompt: dull}\n    json: {outcome: cancel, reason: dull}\n  - match: {label: triage}\n    json: {outcome: ok}\n  - match: {label: edit, prompt: livelier}\n    json: {ok: true}\n  - match: {label: edit}\n    json: {ok: false, feedback: livelier}\n  - match: {label: facts}\n    fail_first: 1\n    error: {class: overloaded, message: later}\n    text: facts\n  - match: {label: quotes}\n    error: {class: refusal, message: no}\n  - match: {label: shorten, prompt: 'than: apples'}\n    text: a headline that is much longer than it may be\n  - match: {label: shorten}\n    text: short\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'";
    let place = Place::new();
    place.file("flow.yaml", &text("full-pipeline"));
    place.file("fixtures/documents/haiku-sequential.yaml", &text("haiku-sequential"));
    place.file("answers.yaml", &crate::acca_support::answers(rules));
    let start = |idea: &str| {
        let idea = format!("idea={idea}");
        place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--arg", &idea, "--json"])
    };
    let paused = start("apples");
    assert_eq!(paused.code, 3, "{paused:?}");
    let run = paused.json()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(place.json(&["approvals", "--json"])["approvals"][0]["message"], "Publish \"short\"?");
    assert_eq!(place.owf(&["approve", &run, "--json"]).code, 0);
    let view = place.owf(&["wait", &run, "--json"]).json();
    assert_eq!(view["status"], "done", "{view}");
    let output = &view["output"];
    assert_eq!((&output["headline"], &output["rounds"]), (&json!("short"), &json!(2)));
    assert_eq!(output["translations"].as_array().unwrap().len(), 2);
    assert!(output["translations"][1].as_str().unwrap().contains("Translate into French: <Format for the web:"));
    assert!(output["haiku"].as_str().unwrap().contains("haiku about apples"), "{output}");
    let ended = start("dull");
    assert_eq!((ended.code, &ended.json()["status"]), (3, &json!("cancelled")), "{ended:?}");
    assert_eq!(start("pears").code, 3);
    let run = place.json(&["approvals", "--json"])["approvals"][0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(place.owf(&["deny", &run, "--json"]).code, 0);
    let denied = place.owf(&["wait", &run, "--json"]).json();
    assert_eq!((&denied["status"], &denied["output"]["translations"]), (&json!("done"), &Value::Null), "{denied}");
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
    assert!(
        output["answer"].as_str().unwrap().contains("What is known of order o7: {\"sent\":\"monday\"}"),
        "{output}"
    );
    let events = paper.desk.events(&paper.latest());
    let asked = events.iter().find(|e| e["spec"]["label"] == "lookup").unwrap();
    assert_eq!(asked["spec"]["ask"]["tool"], json!({"name": "lookup_order", "args": {"id": "o7"}, "mode": "support"}));
    let (_, output, _) = run("agent-with-tools", message, &rules("error: {class: bad_request, message: gone}"));
    assert_eq!(output["found"], false);
    assert!(output["answer"].as_str().unwrap().contains("What is known of order o7: nothing"), "{output}");
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
fn agent_with_own_tools() {
    crate::tools_agents::run_example(&text("agent-with-own-tools"));
}

#[test]
fn tool_of_a_server() {
    crate::tools_mcp::run_example(&text("tool-of-a-server"));
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

#[test]
fn every_example_is_drawn_the_same_every_time_and_nothing_runs() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/documents");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|e| e == "yaml")) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let paper = Paper::new(&text(&name));
        paper.desk.place.file("fixtures/documents/haiku-sequential.yaml", &text("haiku-sequential"));
        let drawn =
            || paper.desk.engine.graph(&GraphParams { path: Some("flow.yaml".to_owned()), ..GraphParams::default() });
        let first = drawn().unwrap();
        assert_eq!(first, drawn().unwrap(), "{name}");
        let mermaid = first.text.unwrap();
        assert!(mermaid.starts_with("flowchart TD\n") && !first.nodes.is_empty(), "{name}: {mermaid}");
        assert!(!paper.desk.place.home().exists(), "{name}");
    }
}
