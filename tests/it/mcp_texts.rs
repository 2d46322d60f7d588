//! The texts that a model reads, pinned: instructions, what replies say to do next, and what errors say and advise. Prompts are
//! pinned beside their source.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{Place, eventually};
use crate::support::mcp::{Era, LEGACY, Mcp};

#[test]
fn the_instructions_are_short_and_as_pinned_in_both_eras() {
    let place = Place::new();
    let mut client = Mcp::start_as(&place, Era::Modern, "test-client");
    let modern = client.served("server/discover", json!({}))["instructions"].clone();
    let mut client = Mcp::raw(&mut place.command(&["mcp"]));
    let info = json!({ "name": "test-client", "version": "1.0" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    assert_eq!(client.served("initialize", params)["instructions"], modern);
    let text = modern.as_str().unwrap();
    assert!(text.chars().count() < 800);
    insta::assert_snapshot!("instructions", text);
}

const META: &str = "export const meta = { name: 'w', description: 'd' }\n";

/// Texts of replies under their headings, without what differs from run to run.
struct Texts {
    client: Mcp,
    dir: String,
    text: String,
}

/// What differs from run to run, and what stands in its place.
const MASKS: &[(&str, &str)] = &[
    (r"\b\d{8}-\d{6}-[a-z0-9]{8}\b", "RUN"),
    (r"owf_status [a-z0-9]{8}\b", "owf_status RUN"),
    (r#"cursor "\d+""#, "cursor CURSOR"),
    (r"process \d+ on \S+", "process PID on HOST"),
    (r"(\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
];

impl Texts {
    fn new(place: &Place) -> Self {
        let dir = place.path().to_str().unwrap().to_owned();
        // Which providers are here is told; here are none, and git.
        let bin = place.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let git = std::env::split_paths(&path).map(|dir| dir.join("git")).find(|git| git.is_file()).unwrap();
        std::os::unix::fs::symlink(git, bin.join("git")).unwrap();
        let client = Mcp::open(place.command(&["mcp"]).env("PATH", bin), LEGACY, "test-client");
        Self { client, dir, text: String::new() }
    }

    /// Notes what `value` says, in the order of a reply.
    fn note(&mut self, heading: &str, value: &Value) {
        let mut lines = Vec::new();
        said("", value, &mut lines);
        // A warning is told once here.
        lines.retain(|line| !(line.starts_with("warnings.") && self.text.contains(line.as_str())));
        let mut text = lines.join("\n").replace(&self.dir, "DIR");
        for (pattern, word) in MASKS {
            text = regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned();
        }
        self.text.push_str(&format!("# {heading}\n{text}\n\n"));
    }

    fn call(&mut self, heading: &str, tool: &str, arguments: Value) -> Value {
        let view = self.client.call(tool, arguments);
        self.note(&format!("{heading}: {tool}"), &view);
        view
    }

    fn refused(&mut self, tool: &str, arguments: Value) {
        let view = self.client.refused(tool, arguments);
        let heading = format!("{}: {tool}", view["error"]["code"].as_str().unwrap());
        self.note(&heading, &view);
    }
}

/// The sentences of a value, with the path of each.
fn said(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match value {
                    Value::String(text) if ["next", "message", "hint", "note"].contains(&key.as_str()) => {
                        lines.push(format!("{at}: {text}"));
                    }
                    // What a person or an agent wrote, and which providers are here.
                    _ if ["approvals", "output", "logs", "providers"].contains(&key.as_str()) => {}
                    value => said(&at, value, lines),
                }
            }
        }
        Value::Array(rows) => rows.iter().for_each(|row| said(path, row, lines)),
        _ => {}
    }
}

fn script(body: &str) -> Value {
    json!({ "script": format!("{META}{body}"), "wait_seconds": 50, "fixtures": "f.yaml" })
}

const ANSWERS: &str = "owf_fixtures: 1
defaults:
  usage: { input_tokens: 100, output_tokens: 60 }
rules:
  - match: { prompt: never }
    never: true
  - match: { prompt: bad }
    error: { class: bad_request, message: no such file }
  - text: ok
";

#[test]
fn what_to_do_next_is_said_as_pinned() {
    let place = Place::new();
    place.file("f.yaml", ANSWERS);
    place.file("w.js", &format!("{META}return await agent('x ' + args?.a)"));
    let mut texts = Texts::new(&place);
    texts.call("no runs", "owf_list_runs", json!({}));
    texts.call("no questions", "owf_approvals", json!({}));
    texts.call("valid", "owf_validate_workflow", json!({ "path": "w.js" }));
    texts.refused("owf_validate_workflow", json!({ "script": "const x: string = 1" }));
    texts.call("rehearsed", "owf_dry_run", json!({ "path": "w.js", "provider": "fake" }));
    texts.call("rehearsed without a provider", "owf_dry_run", json!({ "path": "w.js" }));
    let plan = json!({ "script": format!("{META}throw new Error('no')") });
    texts.call("rehearsed and thrown", "owf_dry_run", plan);

    let run = texts.call("done", "owf_run_workflow", script("return await agent('x')"))["run_id"].clone();
    texts.call("done", "owf_wait", json!({ "run_id": run }));
    texts.call("done", "owf_output", json!({ "run_id": run }));
    texts.call("done", "owf_report", json!({ "run_id": run }));
    texts.call("done", "owf_resume", json!({ "run_id": run, "wait_seconds": 50 }));
    texts.call("undefined", "owf_run_workflow", script("await agent('x')"));
    let run = texts.call("large", "owf_run_workflow", script("return 'x'.repeat(9000)"))["run_id"].clone();
    texts.call("large", "owf_output", json!({ "run_id": run }));
    texts.call("a gap", "owf_run_workflow", script("return await agent('bad')"));
    let two = "return await parallel([() => agent('bad 1'), () => agent('bad 2')])";
    texts.call("gaps", "owf_run_workflow", script(two));
    texts.call("gaps", "owf_calls", json!({ "call_id": "c0001" }));
    let run = texts.call("failed", "owf_run_workflow", script("throw new Error('no')"))["run_id"].clone();
    texts.call("failed", "owf_output", json!({ "run_id": run }));
    let mut poor = script("return [await agent('x'), await agent('y')]");
    poor["budget_tokens"] = json!(50);
    poor["cache_policy"] = json!("disabled");
    texts.call("budget used up", "owf_run_workflow", poor);

    let mut now = script("return await agent('never')");
    now["wait_seconds"] = json!(0);
    let run = texts.client.call("owf_run_workflow", now)["run_id"].clone();
    eventually(Duration::from_secs(3), "the call runs", || {
        texts.client.call("owf_status", json!({ "run_id": run }))["counts"]["running"] == 1
    });
    texts.call("running", "owf_wait", json!({ "run_id": run, "timeout_seconds": 0 }));
    texts.refused("owf_resume", json!({ "run_id": run }));
    texts.call("cancelled", "owf_cancel", json!({ "run_id": run }));
    texts.call("cancelled", "owf_output", json!({ "run_id": run }));

    let ask = "return await owf.approve({ message: 'Go on?', decider: args.decider })";
    let mut any = script(ask);
    any["args"] = json!({ "decider": "any" });
    let view = texts.call("paused", "owf_run_workflow", any);
    let (run, question) = (view["run_id"].clone(), view["approvals"][0].clone());
    texts.call("paused", "owf_output", json!({ "run_id": run }));
    let decide = |hash: &Value| json!({ "run_id": run, "approval_id": "a1", "decision": "approve", "content_hash": hash, "reason": "yes" });
    texts.refused("owf_decide", decide(&json!("00000000")));
    texts.client.call("owf_decide", decide(&question["content_hash"]));
    texts.refused("owf_decide", decide(&question["content_hash"]));
    let mut person = script(ask);
    person["args"] = json!({ "decider": "person" });
    let view = texts.client.call("owf_run_workflow", person);
    let mut answer = decide(&view["approvals"][0]["content_hash"]);
    answer["run_id"] = view["run_id"].clone();
    texts.note("paused for a person", &view);
    texts.refused("owf_decide", answer);
    insta::assert_snapshot!("next", texts.text);
}

#[test]
fn what_errors_say_and_advise_is_as_pinned() {
    let place = Place::new();
    place.file("f.yaml", ANSWERS);
    place.file("w.js", &format!("{META}return 1"));
    let mut texts = Texts::new(&place);
    texts.refused("owf_status", json!({}));
    texts.refused("owf_run_workflow", json!({ "budget_cost_usd": "five", "provder": "fake" }));
    texts.refused("owf_run_workflow", json!({}));
    texts.refused("owf_run_workflow", json!({ "path": "gone.js" }));
    texts.refused("owf_run_workflow", json!({ "name": "helo" }));
    texts.refused("owf_run_workflow", json!({ "path": "w.js", "provider": "cluade" }));
    texts.refused("owf_run_workflow", json!({ "path": "w.js", "args_json": "{" }));
    texts.refused("owf_run_workflow", json!({ "path": "w.js", "fixtures": "gone.yaml" }));
    texts.refused("owf_run_workflow", json!({ "path": "w.js", "home": place.path() }));
    texts.refused("owf_new_workflow", json!({ "output_path": "w.js", "template_name": "hello" }));
    texts.refused("owf_new_workflow", json!({ "output_path": "../w.js", "template_name": "hello" }));
    texts.refused("owf_new_workflow", json!({ "output_path": "v.js", "template_name": "helo" }));
    place.file(".claude/workflows/a.js", &format!("{META}return 1"));
    place.file(".claude/workflows/b.js", &format!("{META}return 1"));
    texts.refused("owf_run_workflow", json!({ "name": "w" }));

    let keyed = |n: u32| json!({ "path": "w.js", "args": { "n": n }, "request_key": "k", "wait_seconds": 50 });
    let view = texts.client.call("owf_run_workflow", keyed(1));
    let run = view["run_id"].clone();
    texts.refused("owf_run_workflow", keyed(2));
    texts.refused("owf_status", json!({ "run_id": "zzzzzzzz" }));
    texts.refused("owf_cancel", json!({ "run_id": "latest" }));
    texts.refused("owf_calls", json!({ "run_id": run, "call_id": "c0009" }));
    texts.refused("owf_calls", json!({ "run_id": run, "cursor": "page-9" }));
    texts.refused("owf_output", json!({ "run_id": run, "pointer": "/none" }));
    texts.refused("owf_read_artifact", json!({ "run_id": run, "path": "gone.txt" }));
    texts.refused("owf_read_artifact", json!({ "run_id": run, "path": "../../workflow.sqlite" }));
    let decide = json!({ "run_id": run, "approval_id": "a9", "decision": "deny", "content_hash": "x", "reason": "y" });
    texts.refused("owf_decide", decide);
    insta::assert_snapshot!("errors", texts.text);
}
