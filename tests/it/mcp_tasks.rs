//! Runs as tasks over the wire: what becomes one, how it is followed over a restart, answered and cancelled.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::cli::{Place, eventually};
use crate::support::mcp::{Era, Mcp};

const SLOW: &str = "owf_fixtures: 1\nrules:\n  - match: { label: slow }\n    delay_ms: 2500\n    text: done\n\
    \n  - match: { label: never }\n    never: true\n";

fn tasks() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

fn place() -> Place {
    let place = Place::new();
    place.file("f.yaml", SLOW);
    place
}

/// The arguments of a run of a script whose calls have these labels.
fn script(labels: &[&str], more: &str) -> Value {
    let calls: Vec<String> = labels.iter().map(|label| format!("await agent('do', {{label: '{label}'}});")).collect();
    let calls = calls.join("\n");
    json!({
        "script": format!("export const meta = {{name: 't', description: 'd'}};\n{calls}\n{more}\nreturn 'end';"),
        "fixtures": "f.yaml", "cache_policy": "disabled",
    })
}

/// Looks at a task, at the pace the server asks for, until it is in one of these states.
fn follow(peer: &mut Mcp, task: &str, until: &[&str]) -> Value {
    let began = Instant::now();
    loop {
        let seen = peer.served("tasks/get", json!({"taskId": task}));
        assert_eq!(seen["resultType"], "complete");
        if until.contains(&seen["status"].as_str().unwrap()) {
            return seen;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{seen}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn started(peer: &mut Mcp, arguments: Value) -> String {
    let task = peer.result("owf_run_workflow", arguments);
    assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")), "{task}");
    let poll = task["pollIntervalMs"].as_u64().unwrap();
    assert!((2_000..=5_000).contains(&poll), "{task}");
    assert!(task["createdAt"].as_str().unwrap().ends_with('Z') && task.get("ttlMs").is_some(), "{task}");
    task["taskId"].as_str().unwrap().to_owned()
}

#[test]
fn a_task_is_followed_across_a_restart_of_the_server_and_its_result_is_the_view() {
    let place = place();
    let mut first = Mcp::capable(&place, Era::Modern, tasks());
    let task = started(&mut first, script(&["slow", "slow"], ""));
    let seen = first.served("tasks/get", json!({"taskId": task}));
    assert_eq!(seen["status"], "working");
    assert!(seen["statusMessage"].as_str().unwrap().contains("running"), "{seen}");
    first.kill();
    let mut second = Mcp::capable(&place, Era::Modern, tasks());
    let seen = follow(&mut second, &task, &["completed"]);
    assert_eq!(seen["taskId"], json!(task));
    let view = &seen["result"]["structuredContent"];
    assert_eq!(
        (&view["run_id"], &view["status"], &view["output"]),
        (&json!(task), &json!("done"), &json!("end")),
        "{seen}"
    );
    assert_eq!(seen["result"]["isError"], json!(false));
    assert!(seen["lastUpdatedAt"].as_str().unwrap() >= seen["createdAt"].as_str().unwrap(), "{seen}");
}

#[test]
fn a_task_fits_into_a_single_call_at_a_time() {
    let place = place();
    let mut peer =
        Mcp::raw(place.command(&["mcp"]).env("OWF_MCP_MAX_CALLS", "1")).opened(Era::Modern, "test-client", tasks());
    let task = started(&mut peer, script(&["slow"], ""));
    assert_eq!(peer.call("owf_list_runs", json!({}))["runs"][0]["run_id"], json!(task));
}

#[test]
fn what_ends_at_once_a_wait_of_zero_and_clients_without_tasks_get_the_reply() {
    let place = place();
    let mut peer = Mcp::capable(&place, Era::Modern, tasks());
    assert_eq!(peer.call("owf_run_workflow", script(&[], ""))["status"], "done");
    let mut detached = script(&["slow"], "");
    detached["wait_seconds"] = json!(0);
    let view = peer.call("owf_run_workflow", detached);
    let run = view["run_id"].clone();
    let task = peer.result("owf_wait", json!({"run_id": run, "until": "end"}));
    assert_eq!((&task["resultType"], &task["taskId"]), (&json!("task"), &run));
    assert_eq!(follow(&mut peer, run.as_str().unwrap(), &["completed"])["status"], "completed");

    let mut plain = Mcp::capable(&place, Era::Modern, json!({}));
    let mut short = script(&["slow"], "");
    short["wait_seconds"] = json!(1);
    assert_eq!(plain.call("owf_run_workflow", short.clone())["status"], "running");
    let (code, message) = plain.error("tasks/get", json!({ "taskId": run }));
    assert_eq!(code, -32021, "{message}");
    let mut off =
        Mcp::raw(place.command(&["mcp"]).env("OWF_MCP_TASKS", "0")).opened(Era::Modern, "test-client", tasks());
    assert_eq!(off.call("owf_run_workflow", short)["status"], "running");
    assert_eq!(off.error("tasks/get", json!({ "taskId": run })).0, -32601);
}

#[test]
fn a_failed_run_is_a_completed_task_and_a_cancelled_one_is_cancelled() {
    let place = place();
    let mut peer = Mcp::capable(&place, Era::Modern, tasks());
    let failed = started(&mut peer, script(&["slow"], "throw new Error('no');"));
    let cancelled = started(&mut peer, script(&["never"], ""));
    let asked = Instant::now();
    let ack = peer.served("tasks/cancel", json!({ "taskId": cancelled }));
    assert_eq!(ack, json!({"resultType": "complete"}));
    follow(&mut peer, &cancelled, &["cancelled"]);
    assert!(asked.elapsed() >= Duration::from_millis(900), "a cancel waits a second: {:?}", asked.elapsed());
    let seen = follow(&mut peer, &failed, &["completed"]);
    assert_eq!(seen["result"]["structuredContent"]["status"], "failed");
    assert_eq!(seen["result"]["isError"], json!(false));
    // Too late, and still no error.
    peer.served("tasks/cancel", json!({ "taskId": failed }));
    for task in ["20260528-143201-k7q2mvx4", "latest", "", "\u{1b}[31m"] {
        for (method, params) in [
            ("tasks/get", json!({ "taskId": task })),
            ("tasks/cancel", json!({ "taskId": task })),
            ("tasks/update", json!({ "taskId": task, "inputResponses": {} })),
        ] {
            let (code, message) = peer.error(method, params);
            assert_eq!(code, -32602, "{method}");
            assert!(message.contains("there is no task") && !message.contains('\u{1b}'), "{message}");
        }
    }
}

#[test]
fn a_cancel_whose_server_dies_within_a_second_leaves_the_run_alone() {
    let place = place();
    let mut peer = Mcp::capable(&place, Era::Modern, tasks());
    let killed = started(&mut peer, script(&["slow", "slow"], ""));
    peer.served("tasks/cancel", json!({ "taskId": killed }));
    peer.kill();
    let mut peer = Mcp::capable(&place, Era::Modern, tasks());
    let closed = started(&mut peer, script(&["slow", "slow"], ""));
    peer.served("tasks/cancel", json!({ "taskId": closed }));
    // The end of its input ends a server just as well.
    drop(peer);
    for run in [killed, closed] {
        eventually(Duration::from_secs(2), "the end of the run", || {
            place.json(&["status", &run, "--json"])["status"] == "done"
        });
    }
}

#[test]
fn a_paused_task_asks_and_goes_on_with_the_answer() {
    let place = place();
    let both = json!({"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let mut peer = Mcp::capable(&place, Era::Modern, both);
    let task = started(
        &mut peer,
        script(&["slow"], "const d = await owf.approve({message: 'Go on?', decider: 'person'}); log(d.decision);"),
    );
    let seen = follow(&mut peer, &task, &["input_required"]);
    let (key, request) = seen["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert!(request["params"]["message"].as_str().unwrap().contains("Go on?"), "{seen}");
    let answer = |action: Value, key: &str| json!({"taskId": task, "inputResponses": {key: action}});
    let accept = json!({"action": "accept", "content": {"decision": "approve"}});
    // Neither garbage nor an answer to another question decides anything.
    peer.served("tasks/update", answer(accept.clone(), "made/up/key"));
    assert_eq!(peer.served("tasks/get", json!({ "taskId": task }))["status"], "input_required");
    assert_eq!(peer.served("tasks/update", answer(accept, key)), json!({"resultType": "complete"}));
    let seen = follow(&mut peer, &task, &["completed"]);
    assert_eq!(seen["result"]["structuredContent"]["status"], "done", "{seen}");
    let row = &place.json(&["approvals", &task, "--state", "approved", "--json"])["approvals"][0];
    assert_eq!(row["decided_via"], "dialog");
}

#[test]
fn a_paused_task_without_a_dialog_completes_with_the_view_that_says_what_is_needed() {
    let place = place();
    let ask = "await owf.approve({message: 'Go on?'});";
    let mut peer = Mcp::capable(&place, Era::Modern, tasks());
    let task = started(&mut peer, script(&["slow"], ask));
    let seen = follow(&mut peer, &task, &["completed", "input_required"]);
    let view = &seen["result"]["structuredContent"];
    assert_eq!((&seen["status"], &view["status"]), (&json!("completed"), &json!("paused")), "{seen}");
    assert!(view["next"].as_str().unwrap().contains("Ask the person"), "{view}");
    // The same once a person has turned the dialog away.
    let both = json!({"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let mut peer = Mcp::capable(&place, Era::Modern, both);
    let seen = follow(&mut peer, &task, &["input_required"]);
    let key = seen["inputRequests"].as_object().unwrap().keys().next().unwrap();
    peer.served("tasks/update", json!({"taskId": task, "inputResponses": {key: {"action": "decline"}}}));
    let seen = peer.served("tasks/get", json!({ "taskId": task }));
    assert_eq!(seen["status"], "completed", "{seen}");
}
