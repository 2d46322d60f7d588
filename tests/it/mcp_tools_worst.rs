//! The worst run through every tool: no reply is longer than a model should read, and each fits its schema.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{Place, eventually};
use crate::support::mcp::{ERAS, Era, LEGACY, Mcp};

const WORST: &str = r#"export const meta = { name: 'worst', description: 'The worst run 😀"',
  phases: [{ title: 'One' }, { title: 'Two' }] }
const nasty = '😀"\\\n\u0001<b>'
phase('One')
const huge = await parallel([1, 2, 3].map(i => () => agent(nasty.repeat(30000) + i, { label: nasty.repeat(60) + i })))
for (let i = 0; i < 60; i++) log(nasty.repeat(80) + i)
phase('Two')
const out = await parallel(Array.from({ length: 1000 }, (_, i) => () => agent('ask ' + i + nasty.repeat(20), { label: (i % 5 ? 'part:' : 'bad:') + i + nasty.repeat(10) })))
return { [nasty]: huge, list: out.map((x, i) => ({ i, x, nasty: nasty.repeat(20) })), text: nasty.repeat(40000) }
"#;

#[test]
fn accept_057_the_worst_run_stays_within_the_bound_and_the_schemas_of_every_tool() {
    let place = Place::new();
    place.file("worst.js", WORST);
    place.file(
        "f.yaml",
        "owf_fixtures: 1\nrules:\n  - match: { label: 'bad:*' }\n    error: { class: bad_request, message: 'no 😀\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\" good' }\n  - text: 'answer 😀\"'\n",
    );
    let mut client = Mcp::start(&place);
    let view = client.call(
        "owf_run_workflow",
        json!({ "path": "worst.js", "fixtures": "f.yaml", "max_calls": 2000, "wait_seconds": 50, "detail": "full" }),
    );
    let run = view["run_id"].clone();
    let mut view = view;
    for _ in 0..10 {
        if view["status"] == "done" {
            break;
        }
        view =
            client.call("owf_wait", json!({ "run_id": run, "timeout_seconds": 50, "until": "end", "detail": "full" }));
    }
    assert_eq!(view["status"], "done", "{view}");
    assert_eq!((&view["counts"]["total"], &view["gaps_total"]), (&json!(1003), &json!(200)));
    client.call("owf_wait", json!({ "run_id": run, "detail": "full" }));
    client.call("owf_status", json!({ "run_id": run, "limit": 1000 }));
    client.call("owf_calls", json!({ "run_id": run, "limit": 1000 }));
    client.call("owf_calls", json!({ "run_id": run, "status": ["provider_failed"] }));
    for call in ["c0001", "c0004", "c0005"] {
        client.call("owf_calls", json!({ "run_id": run, "call_id": call }));
    }
    for pointer in ["", "/list", "/list/0", "/text"] {
        client.call("owf_output", json!({ "run_id": run, "pointer": pointer }));
    }
    let part = client.call("owf_output", json!({ "run_id": run, "max_bytes": 100_000 }));
    assert!(part["returned_bytes"].as_u64().unwrap() > 90_000);
    client.refused("owf_output", json!({ "run_id": run, "pointer": "/none" }));
    client.call("owf_explain_cache", json!({ "run_id": run }));
    let files = client.call("owf_artifacts", json!({ "run_id": run }));
    let prompt =
        client.call("owf_artifacts", json!({ "run_id": run, "kind": "prompt" }))["artifacts"][0]["path"].clone();
    assert_eq!(files["truncated"], true);
    client.call("owf_read_artifact", json!({ "run_id": run, "path": prompt }));
    client.call("owf_read_artifact", json!({ "run_id": run, "path": prompt, "max_bytes": 200_000 }));
    client.call("owf_report", json!({ "run_id": run }));
    client.call("owf_report", json!({ "run_id": run, "format": "html" }));
    client.call("owf_list_runs", json!({}));
    client.call("owf_approvals", json!({}));
    client.call("owf_validate_workflow", json!({ "path": "worst.js" }));
    client.call("owf_dry_run", json!({ "path": "worst.js", "full": true, "fixtures": "f.yaml" }));
    client.call("owf_dry_run", json!({ "path": "worst.js", "against": run, "provider": "claude", "model": "sonnet" }));
    client.call("owf_resume", json!({ "run_id": run, "wait_seconds": 50, "detail": "full" }));
    for n in 0..120 {
        place.file(
            &format!(".claude/workflows/w{n}.js"),
            &format!("export const meta = {{ name: 'name-{n}', description: '{}' }}\nreturn 1", "\"😀".repeat(100)),
        );
    }
    assert_eq!(client.call("owf_list_workflows", json!({}))["truncated"], true);
}

/// As `nasty` of the scripts.
const NASTY: &str = "😀\"\\\n\u{1}<b>";

/// Many questions at once, long and hostile, beside calls that have not ended.
const ASKING: &str = r#"export const meta = { name: 'asking 😀"<b>', description: 'Asks much' }
const nasty = '😀"\\\n\u0001<b>'
const ask = i => () => owf.approve({ message: nasty.repeat(1000) + i, metadata: { [nasty.repeat(50)]: nasty.repeat(2000), list: Array.from({ length: 500 }, () => nasty) } })
const held = i => () => agent('hold ' + nasty.repeat(500) + i, { label: nasty.repeat(50) + i })
const all = await parallel([...Array.from({ length: 60 }, (_, i) => ask(i)), ...(args?.hold ? Array.from({ length: 300 }, (_, i) => held(i)) : [])])
return { all, text: nasty.repeat(40000) }
"#;

/// The text of a failure, which no hostile argument makes long.
fn short_refusal(client: &mut Mcp, tool: &str, arguments: Value) {
    let said = client.refused(tool, arguments);
    let chars = said.to_string().chars().count();
    assert!(chars < 4_000, "{tool}: {chars} characters");
    let shown = format!("{}{}", said["error"]["message"], said["error"]["hint"]);
    assert!(!shown.contains('\u{1}'), "{tool}: {shown}");
}

#[test]
fn the_worst_questions_are_listed_decided_and_cancelled_within_the_bound() {
    let place = Place::new();
    place.file("asking.js", ASKING);
    place.file("f.yaml", "owf_fixtures: 1\nrules:\n  - never: true\n");
    let mut client = Mcp::start(&place);
    let ask = |hold: bool| json!({ "path": "asking.js", "fixtures": "f.yaml", "args": { "hold": hold }, "wait_seconds": 50, "detail": "full" });
    let view = client.call("owf_run_workflow", ask(false));
    assert_eq!(view["status"], "paused", "{view}");
    assert!(view["approvals"].as_array().unwrap().len() < 60);
    let run = view["run_id"].clone();
    let mut seen = 0;
    let mut page = client.call("owf_approvals", json!({ "run_id": run }));
    assert_eq!((&page["approvals_total"], &page["truncated"]), (&json!(60), &json!(true)));
    seen += page["approvals"].as_array().unwrap().len();
    assert!(seen > 0);
    let first = page["approvals"][0].take();
    let decide = |decision: &str, hash: &Value, reason: String| json!({ "run_id": run, "approval_id": first["approval_id"], "decision": decision, "content_hash": hash, "reason": reason });
    short_refusal(&mut client, "owf_decide", decide("approve", &json!(NASTY.repeat(500)), "no".to_owned()));
    short_refusal(&mut client, "owf_decide", decide(&NASTY.repeat(500), &first["content_hash"], "no".to_owned()));
    let long = NASTY.repeat(2_000);
    let decided = client.result("owf_decide", decide("approve", &first["content_hash"], long.clone()));
    if decided["isError"] == json!(true) {
        client.call("owf_decide", decide("approve", &first["content_hash"], NASTY.repeat(100)));
    }
    client.call("owf_approvals", json!({ "run_id": run, "state": "approved" }));
    client.call("owf_approvals", json!({}));
    short_refusal(&mut client, "owf_approvals", json!({ "run_id": NASTY.repeat(500) }));

    let view = client.call(
        "owf_run_workflow",
        json!({ "path": "asking.js", "fixtures": "f.yaml", "args": { "hold": true }, "wait_seconds": 0 }),
    );
    let held = view["run_id"].clone();
    eventually(Duration::from_secs(5), "calls run", || {
        client.call("owf_status", json!({ "run_id": held }))["counts"]["running"].as_u64() > Some(0)
    });
    client.call("owf_wait", json!({ "run_id": held, "detail": "full", "timeout_seconds": 1 }));
    let rows = client.call("owf_calls", json!({ "run_id": held, "status": ["running"], "limit": 1000 }));
    let one = rows["calls"][0]["call_id"].clone();
    short_refusal(&mut client, "owf_cancel", json!({ "run_id": held, "call_id": NASTY.repeat(500) }));
    short_refusal(&mut client, "owf_cancel", json!({ "run_id": NASTY.repeat(500) }));
    client.call("owf_cancel", json!({ "run_id": held, "call_id": one, "reason": NASTY.repeat(100) }));
    let reason = client.result("owf_cancel", json!({ "run_id": held, "reason": long }));
    if reason["isError"] == json!(true) {
        client.call("owf_cancel", json!({ "run_id": held, "reason": NASTY.repeat(100) }));
    }
    assert_eq!(client.call("owf_status", json!({ "run_id": held }))["status"], "cancelled");
    client.call("owf_resume", json!({ "run_id": held, "wait_seconds": 1, "detail": "full" }));
    let resumed = client.call("owf_list_runs", json!({ "limit": 1 }))["runs"][0]["run_id"].clone();
    client.call("owf_cancel", json!({ "run_id": resumed }));
}

/// Characters of a message as it goes over the wire.
fn chars(value: &Value) -> usize {
    value.to_string().chars().count()
}

#[test]
fn the_worst_run_as_a_task_and_its_questions_as_dialogs_stay_within_the_bound() {
    let place = Place::new();
    place.file("asking.js", ASKING);
    place.file("worst.js", WORST);
    place.file("slow.yaml", "owf_fixtures: 1\nrules:\n  - match: { prompt: 'ask 999' }\n    delay_ms: 3000\n    text: late\n  - text: 'answer 😀\"'\n");
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} }, "elicitation": { "form": {} } });
    let mut client = Mcp::capable(&place, Era::Modern, tasks);
    let follow = |client: &mut Mcp, task: &Value, until: &str| {
        let mut seen = Value::Null;
        eventually(Duration::from_secs(10), "the task", || {
            // The reply of a task that has ended is checked as it comes.
            seen = client.served("tasks/get", json!({ "taskId": task }));
            let message = seen["statusMessage"].as_str().unwrap_or_default().chars().count();
            assert!(message < 500, "{message} characters of a message");
            seen["status"] == until
        });
        seen
    };
    let worst =
        client.result("owf_run_workflow", json!({ "path": "worst.js", "fixtures": "slow.yaml", "max_calls": 2000 }));
    assert_eq!(worst["resultType"], "task", "{worst}");
    let seen = follow(&mut client, &worst["taskId"], "completed");
    assert_eq!(seen["result"]["structuredContent"]["counts"]["total"], 1003, "{seen}");

    // A task whose run asks sixty questions at once; whoever answers is asked no more than can be read.
    let asking =
        client.served("tools/call", json!({ "name": "owf_run_workflow", "arguments": { "path": "asking.js" } }));
    if asking["resultType"] == "task" {
        let seen = follow(&mut client, &asking["taskId"], "input_required");
        assert!(chars(&seen) <= 10_000, "{} characters: {seen}", chars(&seen));
    } else {
        assert!(chars(&asking) <= 10_000, "{} characters: {asking}", chars(&asking));
    }
    for era in ERAS {
        let mut client = Mcp::capable(&place, era, json!({ "elicitation": { "form": {} } }));
        client.answers.push_back(
            json!({ "action": "accept", "content": { "decision": "approve", "reason": NASTY.repeat(5_000) } }),
        );
        client.call("owf_wait", json!({ "run_id": "latest", "timeout_seconds": 1 }));
        assert!(!client.asked.is_empty());
        for asked in &client.asked {
            assert!(chars(asked) < 5_000, "{era:?}: {} characters", chars(asked));
        }
    }
}

#[test]
fn hostile_names_and_many_runs_stay_within_the_bounds_of_files_and_resources() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let new = |path: &str, template: &str| json!({ "output_path": path, "template_name": template });
    short_refusal(&mut client, "owf_new_workflow", new(&NASTY.repeat(3_000), "hello"));
    short_refusal(&mut client, "owf_new_workflow", new("w.js", &NASTY.repeat(3_000)));
    short_refusal(&mut client, "owf_new_workflow", new(&"../".repeat(3_000), "hello"));
    let deep = format!("{}/w.js", vec!["😀\"<b>".repeat(8); 10].join("/"));
    client.call("owf_new_workflow", new(&deep, "review"));
    client.call("owf_validate_workflow", json!({ "path": deep }));

    let script = |name: &str, n: usize| {
        format!("export const meta = {{ name: 'w{n}{name}', description: 'd' }};\nreturn '{name}'.repeat(100)")
    };
    for n in 0..25 {
        let ask = json!({ "script": script(&"😀\"<b>\\\\".repeat(30), n), "wait_seconds": 50 });
        let view = client.call("owf_run_workflow", ask);
        client.call("owf_report", json!({ "run_id": view["run_id"], "format": "html" }));
    }
    let file = client.call("owf_artifacts", json!({}))["artifacts"][0]["path"].clone();
    for era in [LEGACY, Era::Modern] {
        let mut client = Mcp::start_as(&place, era, "test-client");
        let (mut listed, mut cursor) = (0, Value::Null);
        loop {
            let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
            let page = client.served("resources/list", params);
            assert!(chars(&page) < 40_000, "{} characters", chars(&page));
            for row in page["resources"].as_array().unwrap() {
                listed += 1;
                let read = client.served("resources/read", json!({ "uri": row["uri"] }));
                assert!(read["contents"][0]["text"].as_str().unwrap().len() <= 200_000, "{row}");
            }
            match page.get("nextCursor") {
                Some(next) => cursor = next.clone(),
                None => break,
            }
        }
        assert_eq!(listed, 50, "an output and a report of each run");
        for uri in [
            NASTY.repeat(3_000),
            format!("owf://runs/{}/output", NASTY.repeat(3_000)),
            format!("owf://runs/latest/artifacts/{}", NASTY.repeat(3_000)),
        ] {
            let answer = client.request("resources/read", json!({ "uri": uri }));
            assert!(answer["error"]["message"].as_str().unwrap().chars().count() < 1_000, "{answer}");
        }
    }
    client.call("owf_read_artifact", json!({ "path": file }));
    client.call("owf_list_runs", json!({ "limit": 1000 }));
    short_refusal(&mut client, "owf_list_runs", json!({ "since": NASTY.repeat(3_000) }));
    short_refusal(&mut client, "owf_read_artifact", json!({ "path": NASTY.repeat(3_000) }));
    short_refusal(&mut client, "owf_output", json!({ "pointer": format!("/{}", NASTY.repeat(3_000)) }));
    short_refusal(&mut client, "owf_run_workflow", json!({ "name": NASTY.repeat(3_000) }));
    short_refusal(&mut client, "owf_run_workflow", json!({ "name": "hello", "provider": NASTY.repeat(3_000) }));
    let many: serde_json::Map<String, Value> =
        (0..500).map(|n| (format!("{n}{NASTY}"), json!(NASTY.repeat(20)))).collect();
    short_refusal(&mut client, "owf_run_workflow", Value::Object(many));
}
