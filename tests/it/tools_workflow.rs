//! Tools that are child workflows: runs of their own below the call, checked by the tool's schema.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::acca_support::{LOG, answers};
use crate::support::cli::{Place, Printed, eventually, printed};

const SECOND: Duration = Duration::from_secs(1);

const TOOLS: &str = r#"
[tools.review]
description = "Reviews a file."
workflow = "review.yaml"
schema = { type = "object", required = ["file"], properties = { file = { type = "string" } } }
fixed_args = { depth = 2 }

[tools.twice]
workflow = "twice.js"

[tools.again]
workflow = "flow.yaml"

[tools.release]
workflow = "release.yaml"
"#;

const REVIEW: &str = "name: review
tasks:
  look: {prompt: 'look at {{ input.file }}, {{ input.depth }} deep'}
  verdict: {after: look, expr: '{\"file\": input.file, \"said\": tasks.look}'}
result: '{{ tasks.verdict }}'
";

fn place(document: &str) -> Place {
    let place = Place::new();
    place.file("flow.yaml", document);
    place.file("review.yaml", REVIEW);
    place.file(
        "twice.js",
        "export const meta = { name: 'twice', description: 'Doubles.' }\nreturn { twice: args.n * 2 }\n",
    );
    place.file(
        "release.yaml",
        "name: release\nsteps:\n  - {id: build, prompt: build}\n  - {id: ship, prompt: ship, approval: {message: Ship it?}}\n",
    );
    place.file("user.toml", TOOLS);
    place.file("answers.yaml", &answers("  - match: {prompt: hang}\n    never: true\n  - text: fine"));
    place
}

fn owf(place: &Place, args: &[&str]) -> Printed {
    printed(&place.command(args).env("OWF_CONFIG", place.path().join("user.toml")).output().unwrap())
}

const RUN: &[&str] = &["run", "flow.yaml", "--no-input", "--json", "--fixtures", "answers.yaml"];

fn run(place: &Place) -> Value {
    owf(place, RUN).json()
}

fn call(place: &Place, label: &str) -> Value {
    let calls = place.json(&["calls", "latest", "--json"]);
    calls["calls"].as_array().unwrap().iter().find(|c| c["label"] == label).cloned().unwrap()
}

#[test]
fn a_workflow_as_a_tool_gets_the_arguments_its_schema_allows_and_brings_its_result() {
    let place = place(
        "name: x
on_failure: best_effort
tasks:
  a: {tool: review, args: {file: a.rs}}
  b: {tool: twice, args: {n: 4}}
  wrong: {tool: review, args: {file: 3}}
",
    );
    let view = run(&place);
    assert_eq!(
        json!([view["output"]["a"], view["output"]["b"]]),
        json!([{"file": "a.rs", "said": "fine"}, {"twice": 8}]),
        "{view}"
    );
    let wrong = call(&place, "wrong");
    let message = "the arguments of `review` break its schema at /file: 3 is not of type \"string\"";
    assert_eq!(json!([wrong["status"], wrong["error"]["message"]]), json!(["failed", message]), "{wrong}");
    let child = call(&place, "a")["child_run_id"].as_str().unwrap().to_owned();
    let below = place.json(&["status", &child, "--json"]);
    assert_eq!(json!([below["status"], below["run"]["parent_run_id"]]), json!(["done", view["run_id"]]), "{below}");
    let asked: Vec<Value> = place.log(LOG).iter().map(|line| line["label"].clone()).collect();
    assert_eq!(asked, ["look"]);
    let usage = &view["usage"]["output_tokens"];
    assert_eq!(&call(&place, "a")["output_tokens"], usage, "the child counts on the parent: {view}");
    assert!(usage.as_u64().unwrap() > 0, "{view}");
}

#[test]
fn a_question_inside_a_tool_pauses_the_run_and_what_was_done_is_not_done_again() {
    let place = place("name: x\nsteps:\n  - {id: first, prompt: first}\n  - {id: r, tool: release}\n");
    let paused = run(&place);
    assert_eq!(json!([paused["status"], paused["status_reason"]]), json!(["paused", "approval"]), "{paused}");
    let id = paused["run_id"].as_str().unwrap().to_owned();
    let row = place.json(&["approvals", "--json"])["approvals"][0].clone();
    assert_eq!(row["message"], json!("Ship it?"), "{row}");
    let child = row["run_id"].as_str().unwrap().to_owned();
    assert_eq!(owf(&place, &["approve", &child, "--json"]).code, 0);
    eventually(5 * SECOND, "the run ends", || place.json(&["status", &id, "--json"])["status"] == "done");
    let asked: Vec<Value> = place.log(LOG).iter().map(|line| line["label"].clone()).collect();
    assert_eq!(asked, ["first", "build", "ship"]);
    // Changed after it: the child is taken over whole.
    let text = std::fs::read_to_string(place.path().join("flow.yaml")).unwrap();
    place.file("flow.yaml", &format!("{text}  - {{id: last, expr: 7}}\n"));
    let more = owf(&place, &["resume", &id, "flow.yaml", "--no-input", "--json"]).json();
    assert_eq!(json!([more["status"], more["output"]]), json!(["done", 7]), "{more}");
    assert_eq!(place.log(LOG).len(), 3);
}

#[test]
fn a_tool_that_is_its_own_workflow_ends_at_the_limit_of_nesting() {
    let place = place("name: x\ntasks:\n  a: {tool: again}\n");
    let view = run(&place);
    assert_eq!(view["status"], json!("failed"), "{view}");
    let text = view["error"]["message"].as_str().unwrap();
    assert!(text.contains("deep; this call would be level"), "{view}");
}

#[test]
fn a_child_that_died_with_its_owner_goes_on_in_place_and_nobody_is_asked_whether_to_repeat_it() {
    let place = place("name: x\ntasks:\n  a: {tool: review, args: {file: hang}}\n");
    let mut command = place.command(RUN);
    command.env("OWF_CONFIG", place.path().join("user.toml"));
    let mut owner = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually(5 * SECOND, "the child asks", || place.log(LOG).len() == 1);
    owner.kill().unwrap();
    owner.wait().unwrap();
    place.file("answers.yaml", &answers("  - text: fine"));
    let id = place.json(&["runs", "--json"])["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let view = owf(&place, &["resume", &id, "--no-input", "--json", "--fixtures", "answers.yaml"]).json();
    assert_eq!(json!([view["status"], view["run_id"], view["output"]["said"]]), json!(["done", id, "fine"]), "{view}");
}

#[test]
fn a_cancel_ends_the_child_of_a_tool_with_the_run() {
    let place = place("name: x\ntasks:\n  a: {tool: review, args: {file: hang}}\n");
    let started = owf(&place, &[RUN, &["--detach"]].concat()).json();
    let id = started["run_id"].as_str().unwrap().to_owned();
    eventually(5 * SECOND, "the child asks", || place.log(LOG).len() == 1);
    assert_eq!(owf(&place, &["cancel", &id, "--json"]).code, 0);
    eventually(5 * SECOND, "the run ends", || place.json(&["status", &id, "--json"])["status"] == "cancelled");
    let child = call(&place, "a")["child_run_id"].as_str().unwrap().to_owned();
    assert_eq!(place.json(&["status", &child, "--json"])["status"], json!("cancelled"));
}
