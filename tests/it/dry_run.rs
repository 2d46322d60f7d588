//! Rehearsals through the real binary: nothing is recorded, earlier runs are compared with, exit codes.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use crate::support::cli::Place;

const SCRIPT: &str = "export const meta = { name: 'two', description: 'Two calls.' }
const a = await agent('First.', { label: 'first' })
return await agent(`Second after ${a}`, { label: 'second' })
";

#[test]
fn a_dry_run_leaves_no_home_behind() {
    let place = Place::new();
    let printed = place.owf(&["dry-run", "hello", "--json"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let view = printed.json();
    assert_eq!(view["outcome"], "completed");
    assert_eq!((&view["calls_total"], &view["sites_reached"]), (&json!(1), &json!(1)));
    assert!(!place.home().exists());
}

#[test]
fn a_script_that_throws_exits_with_1_and_names_the_line() {
    let place = Place::new();
    place.file("w.js", "export const meta = { name: 'w', description: 'Throws.' }\nthrow new Error('no')\n");
    let printed = place.owf(&["dry-run", "w.js", "--json"]);
    let view = printed.json();
    assert_eq!((printed.code, &view["outcome"]), (1, &json!("stopped_before_calls")));
    assert_eq!((&view["error"]["line"], &view["error"]["message"]), (&json!(2), &json!("no")));
}

#[test]
fn a_finished_run_is_reused_and_an_edited_call_runs_again() {
    let place = Place::new();
    place.file("w.js", SCRIPT);
    assert_eq!(place.owf(&["run", "w.js", "--no-input"]).code, 0);
    let same = place.owf(&["dry-run", "w.js", "--against", "latest", "--json"]).json();
    assert_eq!((&same["reuse"]["replayed"], &same["reuse"]["rerun"]), (&json!(2), &json!(0)));
    place.file("w.js", &SCRIPT.replace("Second after", "Second, after"));
    let edited = place.owf(&["dry-run", "w.js", "--against", "latest", "--json"]).json();
    assert_eq!(
        edited["reuse"]["rerun_calls"],
        json!([{"label": "second", "reason_code": "changed", "changed": ["prompt"]}])
    );
    assert_eq!(place.owf(&["runs", "--json"]).json()["total"], 1);
}

#[test]
fn a_budget_that_the_estimate_passes_is_said_and_small_amounts_stand_apart() {
    let place = Place::new();
    place.file("w.js", SCRIPT);
    let planned = ["dry-run", "w.js", "--provider", "openai", "--model", "gpt-5.5"];
    let warned = |more: &[&str]| -> Option<String> {
        let view = place.owf(&[&planned[..], more, &["--json"]].concat()).json();
        let all = view["warnings"].as_array().cloned().unwrap_or_default();
        all.iter().find(|w| w["code"] == "budget_too_small").map(|w| w["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(warned(&[]), None);
    assert_eq!(warned(&["--budget-cost-usd", "1000"]), None);
    let said = warned(&["--budget-cost-usd", "0.000001"]).unwrap();
    assert!(said.starts_with("The cost budget of 0.000001 USD is less than expected, 0."), "{said}");
    assert!(said.ends_with(" USD: calls will be refused."), "{said}");
    let said = warned(&["--budget-tokens", "1"]).unwrap();
    assert!(said.starts_with("The token budget of 1 is less than expected, "), "{said}");
    let screen = place.owf(&planned).out;
    let cost = screen.lines().find(|line| line.starts_with("  cost")).unwrap();
    assert_eq!(cost.split("  ").filter(|cell| !cell.trim().is_empty()).count(), 4, "{screen}");
}

#[test]
fn a_task_that_fails_by_itself_is_told_though_the_run_would_go_on() {
    let place = Place::new();
    let text = "name: x\non_failure: best_effort\ntasks:\n  a: {prompt: hi}\n  b: {after: a, expr: tasks.a.data.n}\n";
    place.file("flow.yaml", text);
    let dry = place.json(&["dry-run", "flow.yaml", "--json"]);
    assert_eq!(dry["outcome"], "completed");
    let told = { dry["warnings"].as_array().unwrap().iter() }.find(|one| one["code"] == "failed_tasks").unwrap();
    let message = "1 task failed in the dry run, first \"b\": `tasks.a.data.n` is missing: what `a` gave is a text without JSON in it; read `tasks.a.text`, or ask an agent with a `schema`";
    assert_eq!(told["message"], message);
}
