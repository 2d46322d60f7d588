//! The walk of a coding agent through the tools, recorded in `fixtures/transcripts/`: what it asks, and what it sees. Values that
//! differ from run to run are masked. `OWF_RECORD=1` records it again.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use owf::app::AppOptions;
use owf::engine::params::RunParams;
use owf::engine::{Environment, Execution};
use serde_json::{Value, json};

use crate::support::cli::{Place, eventually};
use crate::support::mcp::Mcp;
use crate::support::volatile::masked;

const SCRIPT: &str = "export const meta = { name: 'review', description: 'Review files, ask, verify', phases: [{ title: 'Scan' }, { title: 'Review' }, { title: 'Verify' }] }
const schema = { type: 'object', properties: { files: { type: 'array', items: { type: 'string' } } }, required: ['files'] }
phase('Scan')
const { files } = await agent('List the files that changed against ' + args.base, { label: 'scan', schema })
phase('Review')
const found = await parallel(files.map(f => () => agent('Review ' + f, { label: 'review:' + f })))
const asked = await owf.approve({ message: 'Verify ' + files.length + ' files?' })
phase('Verify')
const last = asked.decision === 'approve' ? await agent('Verify ' + found.filter(Boolean).length, { label: 'verify' }) : null
return { found, last }
";

const ANSWERS: &str = "owf_fixtures: 1
defaults:
  usage: { input_tokens: 100, output_tokens: 20 }
rules:
  - match: { label: scan }
    json: { files: [src/a.ts, src/b.ts, src/c.ts] }
  - match: { label: 'review:src/b.ts' }
    fail_first: 1
    error: { class: bad_request, message: no such file }
    text: nothing
  - text: 'answer to {{ label }}'
";

/// Keys whose values differ beside those of every run.
const VOLATILE: &[&str] = &["sha256", "next_cursor", "cursor", "resumed_from", "against", "saved_usd"];

/// A value as it is written down.
fn written(value: &Value, dir: &Path) -> Value {
    let text = masked(value, VOLATILE).to_string().replace(dir.to_str().unwrap(), "<dir>");
    serde_json::from_str(&text).unwrap()
}

/// A client whose calls are written down.
struct Walk {
    client: Mcp,
    dir: std::path::PathBuf,
    lines: Vec<Value>,
}

impl Walk {
    fn new(place: &Place) -> Self {
        Self { client: Mcp::start(place), dir: place.path().to_owned(), lines: Vec::new() }
    }

    fn heading(&mut self, text: &str) {
        self.lines.push(json!({ "walk": text }));
    }

    fn note(&mut self, tool: &str, arguments: &Value, result: &Value) {
        let failed = result["isError"] == json!(true);
        let said: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        let (arguments, reply) = (written(arguments, &self.dir), written(&said, &self.dir));
        self.lines.push(json!({ "tool": tool, "arguments": arguments, "is_error": failed, "reply": reply }));
    }

    /// A call that is served.
    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.client.result(tool, arguments.clone());
        assert_ne!(result["isError"], json!(true), "{tool}: {result}");
        self.note(tool, &arguments, &result);
        result["structuredContent"].clone()
    }

    /// A call that is refused with this code.
    fn refused(&mut self, tool: &str, arguments: Value, code: &str) {
        let result = self.client.result(tool, arguments.clone());
        let said: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!((&result["isError"], &said["error"]["code"]), (&json!(true), &json!(code)), "{tool}: {said}");
        self.note(tool, &arguments, &result);
    }

    /// Compares with the recorded lines, or records them.
    fn replayed(self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/transcripts").join(name);
        let text = self.lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
        if std::env::var_os("OWF_RECORD").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let recorded = std::fs::read_to_string(&path).unwrap();
        for (n, (line, recorded)) in self.lines.iter().zip(recorded.lines()).enumerate() {
            let recorded: Value = serde_json::from_str(recorded).unwrap();
            assert!(*line == recorded, "{name}:{}: recorded\n{recorded:#}\nseen\n{line:#}", n + 1);
        }
        assert_eq!(self.lines.len(), recorded.lines().count(), "{name}");
    }
}

fn string(view: &Value, key: &str) -> String {
    view[key].as_str().unwrap().to_owned()
}

#[test]
fn the_walk_from_a_script_over_an_approval_to_an_edited_resume_is_as_recorded() {
    let place = Place::new();
    place.file("review.js", SCRIPT);
    place.file("f.yaml", ANSWERS);
    let mut walk = Walk::new(&place);

    walk.heading("Author and validate");
    walk.call("owf_validate_workflow", json!({ "path": "review.js" }));
    walk.refused(
        "owf_validate_workflow",
        json!({ "script": SCRIPT.replace("const schema", "const schema: object") }),
        "invalid_workflow",
    );

    walk.heading("Dry run");
    let plan = json!({ "path": "review.js", "args": { "base": "main" }, "provider": "claude", "model": "sonnet" });
    let plan = walk.call("owf_dry_run", plan);
    assert_eq!(plan["outcome"], "completed");

    walk.heading("Run, with a failing agent, up to an approval");
    let ask = json!({ "path": "review.js", "args": { "base": "main" }, "fixtures": "f.yaml", "wait_seconds": 50, "request_key": "review-main" });
    let view = walk.call("owf_run_workflow", ask);
    assert_eq!((&view["status"], &view["gaps"][0]["call_id"]), (&json!("paused"), &json!("c0003")), "{view}");
    let (run, cursor) = (string(&view, "run_id"), string(&view, "next_cursor"));
    let again = walk.call("owf_wait", json!({ "run_id": run, "cursor": cursor, "timeout_seconds": 40 }));
    assert_eq!(again["woke"], "needs_person");

    walk.heading("Why");
    walk.call("owf_calls", json!({ "run_id": run, "call_id": "c0003" }));
    // The files of a call follow its end in the journal.
    eventually(Duration::from_secs(2), "the error is on disk", || {
        let ask = json!({ "run_id": run, "path": "calls/c0003/error.txt" });
        walk.client.result("owf_read_artifact", ask)["isError"] != json!(true)
    });
    let error = walk.call("owf_read_artifact", json!({ "run_id": run, "path": "calls/c0003/error.txt" }));
    assert!(error["content"].as_str().unwrap().contains("no such file"));

    walk.heading("Approval");
    let question = walk.call("owf_approvals", json!({ "run_id": run }))["approvals"][0].clone();
    let decide = |hash: &str, decision: &str| json!({ "run_id": run, "approval_id": "a1", "decision": decision, "content_hash": hash, "reason": "Ada said yes in chat" });
    walk.refused("owf_decide", decide("0000", "approve"), "content_changed");
    let hash = string(&question, "content_hash");
    let decided = walk.client.call("owf_decide", decide(&hash, "approve"));
    assert_eq!(decided["decision"]["state"], "approved", "{decided}");
    assert_eq!(decided["decision"]["decided_via"], "mcp test-client 1.0");
    let view = walk.call("owf_wait", json!({ "run_id": run, "timeout_seconds": 50, "until": "end" }));
    assert_eq!((&view["status"], &view["gaps_total"]), (&json!("done"), &json!(1)), "{view}");
    walk.refused("owf_decide", decide(&hash, "deny"), "already_decided");

    walk.heading("Edit and resume");
    place.file("review.js", &SCRIPT.replace("'Review ' + f", "(f === 'src/c.ts' ? 'Review closely ' : 'Review ') + f"));
    let plan = json!({ "path": "review.js", "against": run, "args": { "base": "main" }, "fixtures": "f.yaml" });
    let reuse = walk.call("owf_dry_run", plan)["reuse"].clone();
    assert!(reuse["replayed"].as_u64() >= Some(2), "{reuse}");
    let view = walk.call("owf_resume", json!({ "run_id": run, "path": "review.js", "wait_seconds": 50 }));
    assert_eq!((&view["resumed"], &view["resumed_from"]), (&json!("new_run"), &json!(run)), "{view}");
    let new = string(&view, "run_id");
    if view["status"] == "paused" {
        let question = walk.client.call("owf_approvals", json!({ "run_id": new }))["approvals"][0].clone();
        let answer = json!({ "run_id": new, "approval_id": question["approval_id"], "decision": "approve", "content_hash": question["content_hash"], "reason": "yes" });
        walk.client.call("owf_decide", answer);
    }

    walk.heading("End");
    let view = walk.call("owf_wait", json!({ "run_id": new, "timeout_seconds": 50, "until": "end" }));
    assert_eq!((&view["status"], view.get("gaps_total")), (&json!("done"), None), "{view}");
    walk.call("owf_output", json!({ "run_id": new, "pointer": "/found" }));
    let why = walk.client.call("owf_explain_cache", json!({ "run_id": new }));
    assert!(why["counts"]["replayed"].as_u64() >= Some(2), "{why}");
    let report = walk.client.call("owf_report", json!({ "run_id": new, "format": "html" }));
    assert!(Path::new(report["file_path"].as_str().unwrap()).is_file());
    walk.call("owf_list_runs", json!({}));
    walk.replayed("walk.jsonl");
}

#[test]
fn the_walk_through_what_goes_wrong_is_as_recorded() {
    let place = Place::new();
    let one = "export const meta = { name: 'one', description: 'd' }\nconst a = await agent('first')\nreturn [a, await agent('second')]\n";
    place.file("one.js", one);
    place.file("slow.yaml", "owf_fixtures: 1\nrules:\n  - match: { prompt: first }\n    text: one\n  - never: true\n");
    place.file(
        "quick.yaml",
        "owf_fixtures: 1\ndefaults:\n  usage: { input_tokens: 1, output_tokens: 60 }\nrules:\n  - text: two\n",
    );
    let mut walk = Walk::new(&place);

    walk.heading("The client dies, the run's process is killed, another client takes over");
    let view =
        walk.client.call("owf_run_workflow", json!({ "path": "one.js", "fixtures": "slow.yaml", "wait_seconds": 0 }));
    let run = string(&view, "run_id");
    eventually(Duration::from_secs(3), "the second call runs", || {
        walk.client.call("owf_status", json!({ "run_id": run }))["counts"]["done"] == 1
    });
    let pid = walk.client.call("owf_status", json!({ "run_id": run }))["run"]["owner"]["pid"].as_i64().unwrap();
    walk.client = Mcp::start(&place);
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually(Duration::from_secs(3), "its end is seen", || {
        walk.client.call("owf_status", json!({ "run_id": run }))["status"] == "interrupted"
    });
    let found = walk.call("owf_list_runs", json!({ "status": ["running", "paused", "interrupted"], "limit": 5 }));
    assert_eq!((&found["matched"], &found["runs"][0]["status_reason"]), (&json!(1), &json!("owner_gone")), "{found}");
    let view = walk.call("owf_resume", json!({ "run_id": run, "fixtures": "quick.yaml", "wait_seconds": 50 }));
    assert_eq!(
        (&view["status"], &view["resumed"], &view["output"]),
        (&json!("done"), &json!("in_place"), &json!(["one", "two"])),
        "{view}"
    );

    walk.heading("Wrong provider");
    walk.refused("owf_run_workflow", json!({ "path": "one.js", "provider": "codex" }), "provider_unavailable");
    walk.refused("owf_run_workflow", json!({ "path": "one.js", "provider": "cluade" }), "unknown_provider");

    walk.heading("Budget exceeded, and lifted");
    let ask = json!({ "path": "one.js", "fixtures": "quick.yaml", "budget_tokens": 50, "cache_policy": "disabled", "wait_seconds": 50 });
    let view = walk.call("owf_run_workflow", ask);
    assert_eq!((&view["status"], &view["error"]["code"]), (&json!("failed"), &json!("budget_exhausted")), "{view}");
    let view = walk.call("owf_resume", json!({ "run_id": view["run_id"], "budget_tokens": 500, "wait_seconds": 50 }));
    assert_eq!((&view["status"], &view["reuse"]["replayed"]), (&json!("done"), &json!(1)), "{view}");

    walk.heading("Two workflows of one name");
    place.file(".claude/workflows/a.js", one);
    place.file(".claude/workflows/b.js", one);
    walk.refused("owf_run_workflow", json!({ "name": "one" }), "ambiguous");
    walk.refused("owf_run_workflow", json!({ "name": "reveiw" }), "not_found");

    walk.heading("A newer store");
    let db = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
    db.execute_batch(
        "UPDATE meta SET value = '7' WHERE key = 'format'; UPDATE meta SET value = '0.9' WHERE key = 'written_by'",
    )
    .unwrap();
    drop(db);
    walk.refused("owf_run_workflow", json!({ "path": "one.js" }), "store_newer");
    let view = walk.call("owf_status", json!({ "run_id": run }));
    assert!(view["warnings"].to_string().contains("store_newer"), "{view}");
    walk.replayed("trouble.jsonl");
}

#[test]
fn the_walk_through_a_store_of_500_runs_is_as_recorded_and_every_run_is_on_one_page() {
    let place = Place::new();
    let env = Environment::new([("OWF_CONFIG".to_owned(), "none".to_owned())]);
    let options = AppOptions { home: Some(place.home()), cwd: place.path().to_owned(), env, ..AppOptions::default() };
    let engine = owf::app::engine(options).unwrap();
    // Made in this process, some side by side: 500 processes would take longer than all other tests.
    let mut going = std::collections::VecDeque::new();
    for n in 0..500 {
        let end = if n % 50 == 7 { "throw new Error('no')" } else { "return 1" };
        let script = format!("export const meta = {{ name: 'w{}', description: 'd' }}\n{end} // {n}", n % 3);
        let params = RunParams { script: Some(script), ..RunParams::default() };
        let started = engine.start(&params, Execution::InProcess { linger_on_approvals: false }).unwrap();
        going.push_back(started.handle.unwrap());
        if going.len() > 16 {
            assert!(going.pop_front().unwrap().wait_ended(Duration::from_secs(30)));
        }
    }
    assert!(going.into_iter().all(|run| run.wait_ended(Duration::from_secs(30))));
    let mut walk = Walk::new(&place);
    walk.heading("A store of 500 runs, page by page");
    // Pages of this size are the same wherever the place is.
    let first = walk.call("owf_list_runs", json!({ "limit": 3 }));
    assert_eq!((&first["total"], &first["matched"], &first["truncated"]), (&json!(500), &json!(500), &json!(true)));
    let second = walk.call("owf_list_runs", json!({ "limit": 3, "cursor": first["next_cursor"] }));
    let ids = |page: &Value| -> Vec<String> {
        page["runs"].as_array().unwrap().iter().map(|row| string(row, "run_id")).collect()
    };
    assert!(ids(&first).iter().all(|id| !ids(&second).contains(id)));
    walk.refused("owf_list_runs", json!({ "cursor": "nonsense" }), "invalid_arguments");

    walk.heading("Filtered");
    let some = walk.call("owf_list_runs", json!({ "workflow": "w1", "status": ["done"], "limit": 2 }));
    assert_eq!((&some["total"], &some["matched"]), (&json!(500), &json!(163)));
    let failed = walk.call("owf_list_runs", json!({ "status": ["failed"], "limit": 4 }));
    let rest = walk.call("owf_list_runs", json!({ "status": ["failed"], "cursor": failed["next_cursor"] }));
    assert_eq!((&failed["matched"], ids(&failed).len(), ids(&rest).len()), (&json!(10), 4, 6));
    walk.call("owf_list_runs", json!({ "status": ["running", "paused", "interrupted"] }));
    walk.call("owf_list_runs", json!({ "workflow": "w9" }));
    walk.call("owf_list_runs", json!({ "since": "2026-01-01T00:00:00Z", "limit": 1 }));
    walk.heading("The newest, and one by its short id");
    walk.call("owf_status", json!({}));
    let short = ids(&rest)[5].rsplit('-').next().unwrap().to_owned();
    assert_eq!(walk.call("owf_status", json!({ "run_id": short }))["run_id"], ids(&rest)[5]);

    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), Value::Null);
    loop {
        let page = walk.client.call("owf_list_runs", json!({ "limit": 100, "cursor": cursor }));
        assert!(ids(&page).len() >= 15, "{page}");
        seen.extend(ids(&page));
        match page.get("next_cursor") {
            Some(next) => cursor = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 500);
    walk.replayed("many.jsonl");
}
