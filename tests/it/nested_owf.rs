//! owf started below a call of a run (P38): a run of its own, one level deeper, with what is left of the budget.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::acca_support::{answers, script};
use crate::support::cli::{Place, Printed, eventually, printed};

const RULES: &str = "  - text: fine
    usage: { input_tokens: 10, output_tokens: 30 }
    cost_usd: 0.25";

/// A place with a run that spent 30 tokens of 100 and a quarter of a dollar of one, in one call of at most 5.
fn outer() -> (Place, String) {
    let place = Place::new();
    place.file("answers.yaml", &answers(RULES));
    place.file("one.js", &script("one", "return await agent('One.')"));
    place.file("told.js", &script("told", "return [owf.budget.tokens?.total ?? budget.total, args ?? null]"));
    let args = ["--fixtures", "answers.yaml", "--budget-tokens", "100", "--budget-cost-usd", "1", "--max-calls", "5"];
    let view = place.json(&[&["run", "one.js", "--json", "--no-input"], &args[..]].concat());
    let run = view["run_id"].as_str().unwrap().to_owned();
    (place, run)
}

fn owf_below(place: &Place, marker: &str, env: &[(&str, &str)], args: &[&str]) -> Printed {
    let mut command = place.command(args);
    command.env("OWF_CALL_ID", marker).envs(env.iter().copied());
    printed(&command.output().unwrap())
}

fn settings(place: &Place, run: &str) -> Value {
    let row = place.store().run(&run.parse().unwrap()).unwrap().unwrap();
    json!([
        row.settings.limits.tokens,
        row.settings.limits.cost_nanos,
        row.settings.max_calls,
        row.spec.depth,
        row.spec.root
    ])
}

#[test]
fn a_run_below_a_call_names_its_parent_and_takes_what_is_left_of_the_budget() {
    let (place, run) = outer();
    let marker = format!("{run}/{run}/c0001/1");
    let below = |args: &[&str]| {
        let fresh =
            ["run", "one.js", "--fixtures", "answers.yaml", "--cache-policy", "refresh", "--json", "--no-input"];
        let all = [&fresh[..], args].concat();
        let printed = owf_below(&place, &marker, &[], &all);
        printed.json()["run_id"].as_str().unwrap_or_else(|| panic!("{printed:?}")).to_owned()
    };
    let first = below(&[]);
    assert_eq!(settings(&place, &first), json!([70, 750_000_000_u64, 4, 1, null]));
    let status = place.json(&["status", &first, "--json"]);
    assert_eq!(json!([status["status"], status["parent_run_id"]]), json!(["done", run]));
    // The next one has what the first one left, and keeps a smaller budget of its own.
    let second = below(&["--budget-tokens", "20", "--max-calls", "100"]);
    assert_eq!(settings(&place, &second), json!([20, 500_000_000_u64, 3, 1, null]));
    let third = below(&[]);
    assert_eq!(settings(&place, &third)[0], json!(10));
    // The parent is not held up or changed by any of them, and they are listed as its children.
    assert_eq!(place.json(&["status", &run, "--json"])["counts"]["total"], json!(1));
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(1));
    let all = place.json(&["runs", "--children", "--json"]);
    assert_eq!(all["total"], json!(4));
}

#[test]
fn levels_are_counted_and_refused_beyond_the_limit() {
    let (place, run) = outer();
    let args = ["run", "told.js", "--json", "--no-input"];
    let inner = owf_below(&place, &format!("{run}/{run}/c0001/1"), &[], &args).json();
    let inner = inner["run_id"].as_str().unwrap();
    let marker = format!("{inner}/{inner}/c0001/1");
    let refused = owf_below(&place, &marker, &[], &args);
    let error = refused.json()["error"].clone();
    assert_eq!((refused.code, &error["code"], &error["got"]), (2, &json!("nesting_limit"), &json!(2)), "{error}");
    assert!(error["message"].as_str().unwrap().starts_with("runs may be nested 1 deep"), "{error}");
    let allowed = owf_below(&place, &marker, &[("OWF_NESTING", "2")], &args);
    assert_eq!(settings(&place, allowed.json()["run_id"].as_str().unwrap())[3], json!(2));
    // Another home does not know the parent; the level counts.
    let elsewhere = place.path().join("elsewhere").display().to_string();
    let there = owf_below(&place, &marker, &[("OWF_HOME", &elsewhere)], &args).json();
    assert_eq!((&there["status"], there.get("parent_run_id")), (&json!("done"), None));
    let none = owf_below(&place, &marker, &[("OWF_HOME", &elsewhere), ("OWF_NESTING", "0")], &args);
    assert_eq!((none.code, &none.json()["error"]["code"]), (2, &json!("nesting_limit")));
    // A marker that is none is ignored.
    let odd = owf_below(&place, "whatever", &[], &args).json();
    assert_eq!(odd["status"], json!("done"));
}

#[test]
fn a_detached_run_below_a_call_has_an_owner_of_its_own_without_the_marker() {
    let (place, run) = outer();
    place.file("never.yaml", "owf_fixtures: 1\nrules:\n  - never: true\n");
    let marker = format!("{run}/{run}/c0001/1");
    let args = ["run", "one.js", "--fixtures", "never.yaml", "--detach", "--json"];
    let started = owf_below(&place, &marker, &[], &args).json();
    let inner = started["run_id"].as_str().unwrap().to_owned();
    let mut pid = 0;
    eventually(Duration::from_secs(1), "it has an owner", || {
        pid = place.json(&["status", &inner, "--json"])["run"]["owner"]["pid"].as_u64().unwrap_or(0);
        pid > 0
    });
    if let Ok(environ) = std::fs::read(format!("/proc/{pid}/environ")) {
        let text = String::from_utf8_lossy(&environ).into_owned();
        assert!(text.contains("OWF_HOME=") && !text.contains("OWF_CALL_ID"), "{text}");
    }
    // Ending the parent's tree leaves it alone; it is ended by name.
    let cancelled = place.json(&["cancel", &inner, "--json"]);
    assert_eq!(cancelled["run_id"], json!(inner));
    eventually(Duration::from_secs(1), "it ends", || {
        place.json(&["status", &inner, "--json"])["status"] == json!("cancelled")
    });
}

#[test]
fn runs_below_one_call_side_by_side_share_what_is_left_of_the_budget() {
    let (place, run) = outer();
    place.file("never.yaml", "owf_fixtures: 1\nrules:\n  - never: true\n");
    let marker = format!("{run}/{run}/c0001/1");
    let start = |more: &[&str]| {
        let args = ["run", "one.js", "--fixtures", "never.yaml", "--cache-policy", "refresh", "--detach", "--json"];
        let args = [&args[..], more].concat();
        owf_below(&place, &marker, &[], &args).json()["run_id"].as_str().unwrap().to_owned()
    };
    let limits = |run: &str| settings(&place, run).as_array().unwrap()[..2].to_vec();
    // The first one keeps less than it could have; the second one takes the rest; nothing is left for the third.
    let first = start(&["--budget-tokens", "20", "--budget-cost-usd", "0.5"]);
    let second = start(&[]);
    let third = start(&[]);
    assert_eq!(limits(&first), [json!(20), json!(500_000_000_u64)]);
    assert_eq!(limits(&second), [json!(50), json!(250_000_000_u64)]);
    assert_eq!(limits(&third), [json!(0), json!(0)]);
    eventually(Duration::from_secs(1), "the third has ended", || {
        place.json(&["status", &third, "--json"])["counts"]["failed"] == json!(1)
    });
    let refused = place.json(&["calls", &third, "1", "--json"])["call"].clone();
    assert_eq!(refused["status"], json!("budget_exhausted"), "{refused}");
    // What ended without spending it gives it back.
    place.json(&["cancel", &second, "--json"]);
    eventually(Duration::from_secs(1), "the second has ended", || {
        place.json(&["status", &second, "--json"])["status"] == json!("cancelled")
    });
    let fourth = start(&[]);
    assert_eq!(limits(&fourth), [json!(50), json!(250_000_000_u64)]);
    for run in [&first, &fourth] {
        place.json(&["cancel", run, "--json"]);
    }
}

#[test]
fn of_many_that_start_at_once_below_one_call_no_two_get_the_same_part() {
    let (place, run) = outer();
    place.file("never.yaml", "owf_fixtures: 1\nrules:\n  - never: true\n");
    let marker = format!("{run}/{run}/c0001/1");
    let started: Vec<String> = std::thread::scope(|scope| {
        let one = || {
            let args = ["run", "one.js", "--fixtures", "never.yaml", "--cache-policy", "refresh", "--detach", "--json"];
            // One that got nothing of the money would end at once, and give its tokens back.
            let args = [&args[..], &["--budget-tokens", "20", "--budget-cost-usd", "0.1"]].concat();
            owf_below(&place, &marker, &[], &args).json()["run_id"].as_str().unwrap().to_owned()
        };
        let all: Vec<_> = (0..5).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut tokens: Vec<u64> = started.iter().map(|run| settings(&place, run)[0].as_u64().unwrap()).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [0, 10, 20, 20, 20], "seventy were left");
    for run in &started {
        // The one that got nothing has ended by itself.
        place.owf(&["cancel", run, "--json"]);
    }
}
