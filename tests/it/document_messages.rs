//! What a person who wrote a document wrongly is told: what is wrong, what is allowed, what to write instead.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::document_support::{Paper, check};
use crate::policies::Guarded;
use crate::support::cli::Place;
use crate::support::mcp::Mcp;

/// Message and hint of the findings of a task's fields.
fn told(text: &str) -> Vec<(String, String)> {
    let found = check(text).diagnostics.into_iter();
    found.map(|d| (d.message, d.hint.unwrap_or_default())).collect()
}

fn one(text: &str) -> (String, String) {
    let all = told(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

fn pair(message: &str, hint: &str) -> (String, String) {
    (message.to_owned(), hint.to_owned())
}

fn task(fields: &str) -> String {
    format!("name: x\ntasks:\n  a: {{{fields}}}\n")
}

#[test]
fn a_value_of_the_wrong_kind_is_told_what_the_place_holds() {
    let retry =
        "How failed attempts are tried again; its fields are max_attempts, delay, backoff, jitter, max_delay, on";
    assert_eq!(one(&task("prompt: p, retry: 3")), pair("`retry` must be a map, not a number", retry));
    let guard = "The task checks another: when it gives `false` or an object with `ok: false`, the other is run again; its fields are retry_task, max_attempts, stagnation";
    assert_eq!(one(&task("expr: false, guard: a")), pair("`guard` must be a map, not a text", guard));
    let list = "An expression that gives a list, or a list: the task is done once for every `item`";
    assert_eq!(one(&task("prompt: p, for_each: 3")), pair("`for_each` must be a text or a list, not a number", list));
    let (message, hint) = one("name: x\ninclude: part.yaml\ntasks: {a: {expr: 1}}\n");
    assert_eq!(message, "`include` must be a map, not a text");
    assert!(hint.contains("prefix"), "{hint}");
    let (message, _) = one("name: x\nconcurrency: 1.5\ntasks: {a: {expr: 1}}\n");
    assert_eq!(message, "`concurrency` must be a whole number, not 1.5");
}

#[test]
fn a_name_that_leads_nowhere_is_told_with_the_names_there_are() {
    let tasks = "name: x\ntasks:\n  a: {prompt: a}\n  b: {after: a, prompt: '{{ tasks.zz }}'}\n";
    assert_eq!(one(tasks), pair("there is no task `zz`", "tasks are a, b"));
    let names = "names here: input, tasks, state, run, loop, output; in an expression a text stands in quotes";
    assert_eq!(one(&task("prompt: p, outcome: skip")), pair("there is no `skip` here", names));
    let secret = "a secret is in the environment of the program, $NAME; no text ever holds it";
    assert_eq!(one(&task("prompt: '{{ secrets.A }}'")), pair("there is no `secrets` here", secret));
    let agents = "name: x\nagents: {poet: {}, critic: {}}\ntasks: {a: {agent: w, prompt: p}}\n";
    assert_eq!(one(agents), pair("there is no agent `w`", "`agents` has critic, poet"));
    let none = "without `agent` the run's own provider is asked; `agents` says who else there is";
    assert_eq!(one(&task("agent: w, prompt: p")), pair("there is no agent `w`", none));
}

#[test]
fn inputs_are_a_schema_and_who_lists_names_there_is_told_so() {
    let hint = "inputs: {properties: {topic: {type: string}}, required: [topic]}";
    let message = "`topic` is no word of JSON Schema, which `inputs` is";
    let text = "name: x\ninputs: {topic: {type: string}}\ntasks: {a: {prompt: hi}}\n";
    assert_eq!(one(text), pair(message, hint));
    let declared = "name: x\ninputs: {properties: {a: {}, b: {}}}\ntasks: {a: {prompt: '{{ input.zz }}'}}\n";
    assert_eq!(one(declared), pair("`inputs` declares no `zz`", "declared are a, b"));
}

#[test]
fn what_can_have_no_effect_in_an_approval_or_an_output_is_refused() {
    let message = "`on_timeout` needs `timeout`: without it the question never expires";
    assert_eq!(one(&task("approval: {message: Go?, on_timeout: approve}")).0, message);
    assert_eq!(one(&task("approval: ''")).0, "`approval` must not be empty");
    assert_eq!(one(&task("approval: {message: ''}")).0, "`message` must not be empty");
    assert_eq!(one(&task("run: [x], outputs: {pattern: ''}")).0, "`pattern` must not be empty");
    assert_eq!(one(&task("run: [x], outputs: {from: ''}")).0, "`from` must not be empty");
    let up = "an output must stay in the workspace: a pattern without `..`, not `../*`";
    assert_eq!(one(&task("run: [x], outputs: {pattern: '../*'}")).0, up);
}

#[test]
fn marks_of_templates_in_a_shells_words_are_explained() {
    let (message, _) = one("name: x\ntasks:\n  a: {run: [sh, -c, 'echo ${#HOME}']}\n");
    let expected = "syntax error: unexpected end of comment: `{#` begins a comment of the template; {{ '{#' }} stands for the characters";
    assert_eq!(message, expected);
    let paper = Paper::answered(
        "name: x\ntasks:\n  a: {prompt: \"echo ${{ '{#' }}HOME}\"}\n",
        "  - match: {label: '*'}\n    text: ok",
    );
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.prompts(), ["echo ${#HOME}"]);
}

#[test]
fn args_that_do_not_fit_are_told_by_name_with_what_they_must_be() {
    let paper = Paper::new(
        "name: x\ninputs: {required: [items], additionalProperties: false, properties: {items: {type: array, items: {type: string}}, mode: {enum: [fast, slow]}}}\ntasks: {a: {for_each: input.items, prompt: p}}\n",
    );
    let refused = |args: Value| {
        let failure = paper.start(Some(args)).unwrap_err();
        let errors = failure.extra["errors"].as_array().unwrap().clone();
        let messages: Vec<String> = errors.iter().map(|e| e["message"].as_str().unwrap().to_owned()).collect();
        (messages, failure.hint.unwrap_or_default())
    };
    let json_hint = "a value that is no text is passed as JSON, at a terminal --arg NAME:=JSON".to_owned();
    assert_eq!(refused(json!({})), (vec!["input `items` is missing: a list".to_owned()], String::new()));
    let (mut typo, _) = refused(json!({"itms": []}));
    typo.sort();
    assert_eq!(
        typo,
        [
            "input `items` is missing: a list; `itms` is none of them",
            "there is no input `itms`; declared are items, mode"
        ]
    );
    let text = vec!["input `items` must be a list, not \"a\"".to_owned()];
    assert_eq!(refused(json!({"items": "a"})), (text, json_hint));
    let inside = vec!["input `items.0` must be a text, not 1".to_owned()];
    assert_eq!(refused(json!({"items": [1]})), (inside, String::new()));
    let word = refused(json!({"items": [], "mode": "later"}));
    assert_eq!(word.0, ["input `mode` must be one of \"fast\", \"slow\", not \"later\""]);
}

#[test]
fn a_failed_document_says_how_it_is_tried_again_and_how_after_an_edit() {
    let place = Place::new();
    place.file("flow.yaml", "name: x\ntasks:\n  a: {prompt: a}\n  b: {prompt: b}\n");
    let rules = "  - match: {label: b}\n    error: {class: refusal, message: no}\n  - text: ok";
    place.file("answers.yaml", &crate::acca_support::answers(rules));
    let failed = place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--no-input"]);
    let id = place.json(&["status", "--json"])["run_id"].as_str().unwrap().rsplit('-').next().unwrap().to_owned();
    let hint =
        format!("  hint: owf resume {id} tries it again   1 call reused; add --source current for an edited file\n");
    assert!(failed.code == 1 && failed.err.contains(&hint), "{failed:?}");
}

#[test]
fn a_list_in_another_order_is_explained_by_what_was_asked_and_one_never_asked_is_new() {
    let place = Place::new();
    let text = "name: x\ntasks:\n  one: {for_each: input.items, prompt: 'Do {{ item }}'}\n  all: {after: one, prompt: 'Sum {{ tasks.one }}'}\n";
    place.file("flow.yaml", text);
    let rules = "  - match: {prompt: Do b}\n    fail_first: 1\n    error: {class: refusal, message: no}\n    text: B\n  - text: ok";
    place.file("answers.yaml", &crate::acca_support::answers(rules));
    let run = |args: &[&str]| place.owf(&[args, &["--no-input", "--json"]].concat()).json();
    let first = run(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--arg", "items:=[\"a\",\"b\"]"]);
    let short = first["run_id"].as_str().unwrap().rsplit('-').next().unwrap().to_owned();
    assert_eq!(run(&["resume", "--arg", "items:=[\"d\",\"a\",\"b\"]"])["status"], "done");
    let rows = place.json(&["explain-cache", "latest", "--json"])["calls"].clone();
    let mut told: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|r| format!("{}: {}", r["label"].as_str().unwrap(), r["reason"].as_str().unwrap()))
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "all: first time this was asked".to_owned(),
            format!("one[0]: prompt differs from {short} c0001"),
            format!("one[1]: same request, from {short} c0001"),
            format!("one[2]: no answer to reuse: {short} c0002 got no answer from its provider"),
        ]
    );
}

const CONFIG: &str = "[hooks.gate]\nat = \"before\"\ncommand = [\"true\"]\nalways = false\n[hooks.tidy]\nat = \"cleanup\"\ncommand = [\"true\"]\n[events.log]\ncommand = [\"true\"]\nalways = false\n";

#[test]
fn what_is_not_configured_here_is_a_warning_of_a_check_and_an_error_of_a_run() {
    let guarded = Guarded::new("", &[]);
    guarded.config(CONFIG);
    for (text, line, message, hint) in [
        (
            "hooks: [gat]\ntasks: {a: {prompt: hi}}",
            2,
            "the document names the hook `gat`, which is not configured here",
            "configured are gate, tidy",
        ),
        (
            "events: [none]\ntasks: {a: {prompt: hi}}",
            2,
            "the document names the event sink `none`, which is not configured here",
            "configured are log",
        ),
        (
            "tasks:\n  a: {prompt: hi, cleanup: gone}",
            3,
            "the document names the cleanup `gone`, which is not configured here",
            "configured are gate, tidy",
        ),
        ("hooks: [tidy]\ntasks: {a: {prompt: hi}}", 2, "`hooks` names `tidy`, which is a cleanup", "cleanup: tidy"),
        (
            "tasks:\n  a: {prompt: hi, cleanup: gate}",
            3,
            "`cleanup` names `gate`, which judges calls (at = \"before\")",
            "at = \"cleanup\"",
        ),
        ("tasks:\n  a: {tool: lookup}", 3, "task `a`: there is no tool `lookup`: none is configured", "[tools.NAME]"),
    ] {
        guarded.place.file("flow.yaml", &format!("name: x\n{text}\n"));
        let checked = guarded.owf(&["validate", "flow.yaml", "--json"]);
        assert_eq!(checked.code, 0, "{checked:?}");
        let found = checked.json()["diagnostics"].clone();
        assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
        let (is, code) = (&found[0]["severity"], &found[0]["code"]);
        assert_eq!((is, code), (&json!("warning"), &json!("not_configured")), "{found}");
        assert_eq!((&found[0]["line"], &found[0]["message"]), (&json!(line), &json!(message)), "{found}");
        assert!(found[0]["hint"].as_str().unwrap().contains(hint), "{found}");
        let refused = guarded.owf(&["run", "flow.yaml", "--no-input", "--json"]);
        assert_eq!((refused.code, &refused.json()["error"]["message"]), (2, &json!(message)), "{refused:?}");
    }
    assert_eq!(guarded.owf(&["runs", "--json"]).json()["runs"], json!([]));
    // A child that is not there is named where it stands.
    guarded.place.file("flow.yaml", "name: x\ntasks:\n  a: {prompt: hi}\n  b: {workflow: gone.yaml}\n");
    let found = guarded.owf(&["validate", "flow.yaml", "--json"]).json()["diagnostics"].clone();
    assert_eq!(
        (&found[0]["code"], &found[0]["line"], &found[0]["column"]),
        (&json!("unknown_workflow"), &json!(4), &json!(17)),
        "{found}"
    );
}

#[test]
fn every_kind_of_event_can_be_asked_for_by_a_sink() {
    let source = include_str!("../../src/core/event.rs");
    let arms = source.split("pub fn kind(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let kinds: Vec<&str> = arms.lines().filter_map(|line| line.split("=> \"").nth(1)?.split('"').next()).collect();
    let mut types: Vec<&str> = owf::core::event::Event::TYPES.to_vec();
    let mut known = kinds.clone();
    known.sort_unstable();
    types.sort_unstable();
    assert_eq!(types, known);
}

#[test]
fn a_question_of_a_document_says_what_the_answers_mean_there() {
    let place = Place::new();
    place.file("flow.yaml", "name: x\ntasks:\n  a: {approval: 'Go?'}\n");
    let view = place.owf(&["run", "flow.yaml", "--no-input", "--json"]).json();
    let run = view["run_id"].as_str().unwrap();
    let none = place.owf(&["approve", run, "a7", "--json"]).json()["error"].clone();
    let message = format!("run {run} has no question a7");
    let told = json!(["not_found", message, "owf approvals lists the questions", ["a1"]]);
    assert_eq!(json!([none["code"], none["message"], none["hint"], none["allowed"]]), told);
    let args = json!({"run_id": run, "approval_id": "a7", "decision": "approve", "content_hash": "0", "reason": "r"});
    let none = Mcp::start(&place).refused("owf_decide", args)["error"].clone();
    let told = json!(["not_found", "there is no approval a7", "owf_approvals lists the questions"]);
    assert_eq!(json!([none["code"], none["message"], none["hint"]]), told);
    let means = json!(["the task goes on", "the task fails, or takes its route `deny`"]);
    let row = place.json(&["approvals", "--json"])["approvals"][0].clone();
    for row in [&view["approvals"][0], &row] {
        assert_eq!(json!([row["approve_means"], row["deny_means"]]), means, "{row}");
    }
}

#[test]
fn a_mark_stands_below_what_is_wrong_or_of_a_very_long_line_nowhere() {
    let place = Place::new();
    let long = format!("  a: {{prompt: '{}', bogus: 1}}\n", "x".repeat(400));
    place.file("long.yaml", &format!("name: x\ntasks:\n{long}"));
    let said = place.owf(&["validate", "long.yaml"]);
    let (head, rest) = said.out.split_once('\n').unwrap_or_else(|| panic!("{said:?}"));
    assert!(head.contains("`bogus`"), "{said:?}");
    assert!(rest.starts_with(" --> long.yaml:3:419\n  hint: "), "{said:?}");
    place.file("short.yaml", "name: x\ntasks:\n  a: {prompt: x, bogus: 1}\n");
    let said = place.owf(&["validate", "short.yaml"]);
    let shown = " --> short.yaml:3:18\n  |\n3 |   a: {prompt: x, bogus: 1}\n  |                  ^^^^^^\n";
    assert!(said.out.contains(shown), "{said:?}");
}
