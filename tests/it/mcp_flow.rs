//! Calls that take a while: waiting beside other requests, progress, cancellation, the end of a client.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::cli::{Place, eventually};
use crate::support::mcp::{ERAS, Era, LEGACY, Mcp};

const FIXTURES: &str = "owf_fixtures: 1
invocation_log: calls.jsonl
rules:
  - match: { prompt: never, attempt: 1 }
    never: true
  - match: { prompt: slow }
    delay_ms: 350
    text: ok
  - text: ok
";

fn place() -> Place {
    let place = Place::new();
    place.file("f.yaml", FIXTURES);
    place
}

fn script(body: &str) -> String {
    format!("export const meta = {{ name: 'w', description: 'd' }};\n{body}")
}

/// Starts a run and gives its id at once.
fn run(client: &mut Mcp, body: &str) -> String {
    let arguments = json!({ "script": script(body), "fixtures": "f.yaml", "wait_seconds": 0 });
    client.call("owf_run_workflow", arguments)["run_id"].as_str().unwrap().to_owned()
}

/// A run that goes on until somebody cancels it, whose call has begun.
fn endless(place: &Place, client: &mut Mcp) -> String {
    let id = run(client, "return await agent('never');");
    eventually(Duration::from_secs(2), "the call", || !place.log("calls.jsonl").is_empty());
    id
}

fn wait(client: &mut Mcp, run: &str) -> u64 {
    client.start_call("owf_wait", json!({ "run_id": run, "until": "end", "timeout_seconds": 40 }))
}

fn status(client: &mut Mcp, run: &str) -> Value {
    client.call("owf_status", json!({ "run_id": run }))["status"].clone()
}

#[test]
fn accept_051_a_ping_during_a_long_wait_is_answered_within_a_tenth_of_a_second() {
    for era in ERAS {
        let place = place();
        let mut client = Mcp::start_as(&place, era, "test");
        let id = endless(&place, &mut client);
        let waiting = wait(&mut client, &id);
        let begun = Instant::now();
        let method = if era == Era::Modern { "server/discover" } else { "ping" };
        assert!(client.request(method, json!({}))["result"].is_object());
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(100), "{took:?}");
        assert!(client.others.iter().all(|m| m["id"] != waiting), "the wait goes on");
        client.call("owf_cancel", json!({ "run_id": id }));
        assert_eq!(client.answer(waiting)["result"]["structuredContent"]["status"], "cancelled");
    }
}

#[test]
fn accept_053_a_script_that_logs_leaves_stdout_to_the_protocol() {
    let place = place();
    let mut client = Mcp::start(&place);
    let body = "log('one'); owf.log('two', {a: 1}); await agent('x'); log('{\"jsonrpc\":1}'); return 1;";
    let arguments = json!({ "script": script(body), "wait_seconds": 20 });
    assert_eq!(client.call("owf_run_workflow", arguments)["output"], 1);
    client.call("owf_dry_run", json!({ "script": script(body) }));
    // Every line was parsed as it came; nothing but the two answers did.
    let (left, code) = client.finish();
    assert_eq!((left, code), (Vec::new(), Some(0)));
}

#[test]
fn accept_054_a_cancelled_call_ends_alone_and_its_id_is_free_and_the_run_goes_on() {
    for era in ERAS {
        let place = place();
        let mut client = Mcp::start_as(&place, era, "test");
        let id = endless(&place, &mut client);
        let waiting = wait(&mut client, &id);
        client.send(
            &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": waiting } }),
        );
        // The same id again: the old call may still be on its way out.
        let params = client.dressed(json!({}));
        client.send(&json!({ "jsonrpc": "2.0", "id": waiting, "method": "tools/list", "params": params }));
        assert!(client.answer(waiting)["result"]["tools"].is_array());
        assert_eq!(status(&mut client, &id), "running");
        assert!(client.silent(Duration::from_millis(300)), "{:?}", client.others);
        let begun = Instant::now();
        assert_eq!(client.call("owf_cancel", json!({ "run_id": id }))["status"], "cancelled");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[test]
fn accept_055_progress_increases_without_a_total_and_ends_with_the_answer() {
    for era in ERAS {
        let place = place();
        let mut client = Mcp::start_as(&place, era, "test");
        let body = "for (let i = 0; i < 9; i++) await agent('slow', {label: `l${i}`}); return 'end';";
        let arguments = json!({ "script": script(body), "fixtures": "f.yaml", "wait_seconds": 30 });
        let meta = json!({ "progressToken": "p-1" });
        let id = client.ask("tools/call", json!({ "name": "owf_run_workflow", "arguments": arguments, "_meta": meta }));
        let answer = client.answer(id);
        assert_eq!(answer["result"]["structuredContent"]["output"], "end", "{answer}");
        let told: Vec<Value> = std::mem::take(&mut client.others);
        assert!(told.len() > 1, "{told:?}");
        let mut last = -1.0;
        for message in told {
            assert_eq!(message["method"], "notifications/progress");
            assert_eq!(message["params"]["progressToken"], "p-1");
            assert!(message["params"].get("total").is_none() && message.get("id").is_none(), "{message}");
            assert!(message["params"]["message"].is_string(), "{message}");
            let progress = message["params"]["progress"].as_f64().unwrap();
            assert!(progress > last, "{progress} after {last}");
            last = progress;
        }
        assert!(client.silent(Duration::from_millis(200)), "{:?}", client.others);
    }
}

#[test]
fn accept_056_two_runs_at_once_both_proceed() {
    let place = place();
    let mut client = Mcp::start(&place);
    let start = |client: &mut Mcp, body: &str| {
        let arguments = json!({ "script": script(body), "fixtures": "f.yaml", "wait_seconds": 40 });
        client.start_call("owf_run_workflow", arguments)
    };
    let held = start(&mut client, "return await agent('never');");
    let quick = start(&mut client, "return await agent('slow');");
    assert_eq!(client.answer(quick)["result"]["structuredContent"]["output"], "ok");
    assert!(client.others.iter().all(|m| m["id"] != held));
    let runs = client.call("owf_list_runs", json!({ "status": ["running"] }));
    let id = runs["runs"][0]["run_id"].clone();
    assert_eq!(runs["runs"][0]["started_by"], "mcp test-client 1.0");
    client.call("owf_cancel", json!({ "run_id": id }));
    assert_eq!(client.answer(held)["result"]["structuredContent"]["status"], "cancelled");
}

#[test]
fn an_id_in_flight_is_refused_for_a_second_request_and_the_first_is_answered() {
    for era in ERAS {
        let place = place();
        let mut client = Mcp::start_as(&place, era, "test");
        let id = endless(&place, &mut client);
        let waiting = wait(&mut client, &id);
        let params = client.dressed(json!({}));
        client.send(&json!({ "jsonrpc": "2.0", "id": waiting, "method": "tools/list", "params": params }));
        let refused = client.answer(waiting);
        assert_eq!(refused["error"]["code"], -32600, "{refused}");
        client.call("owf_cancel", json!({ "run_id": id }));
        assert_eq!(client.answer(waiting)["result"]["structuredContent"]["status"], "cancelled");
        // Answered, the id may be used again.
        let params = client.dressed(json!({}));
        client.send(&json!({ "jsonrpc": "2.0", "id": waiting, "method": "tools/list", "params": params }));
        assert!(client.answer(waiting)["result"].is_object());
    }
}

#[test]
fn the_end_of_the_input_lets_short_calls_finish_and_gives_up_long_ones() {
    let place = place();
    let mut client = Mcp::start(&place);
    let id = endless(&place, &mut client);
    let short = client.start_call("owf_wait", json!({ "run_id": id, "until": "end", "timeout_seconds": 1 }));
    wait(&mut client, &id);
    let (left, code) = client.finish();
    assert_eq!(left.iter().map(|m| &m["id"]).collect::<Vec<_>>(), [&json!(short)]);
    assert_eq!(code, Some(0));
    let mut second = Mcp::start(&place);
    assert_eq!(status(&mut second, &id), "running", "the run belongs to the store");
    second.call("owf_cancel", json!({ "run_id": id }));
}

/// How long the end takes after a signal, on a quiet machine at most; tests allow ten times as much.
const SIGNAL_FIGURE: Duration = Duration::from_millis(100);

#[test]
fn signals_end_the_server_at_once_and_leave_the_run_alone() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = place();
        let mut client = Mcp::start(&place);
        let id = endless(&place, &mut client);
        wait(&mut client, &id);
        let begun = Instant::now();
        let pid = Pid::from_raw(i32::try_from(client.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(client.ended(), Some(0));
        assert!(begun.elapsed() < 10 * SIGNAL_FIGURE, "{:?}", begun.elapsed());
        let mut second = Mcp::start(&place);
        assert_eq!(status(&mut second, &id), "running");
        second.call("owf_cancel", json!({ "run_id": id }));
    }
}

#[test]
fn calls_beyond_the_bound_wait_their_turn_while_other_requests_are_served() {
    let place = place();
    let mut client = Mcp::open(place.command(&["mcp"]).env("OWF_MCP_MAX_CALLS", "2"), LEGACY, "test");
    let id = endless(&place, &mut client);
    let waits: Vec<u64> = (0..2).map(|_| wait(&mut client, &id)).collect();
    let third = client.start_call("owf_cancel", json!({ "run_id": id }));
    assert!(client.request("ping", json!({}))["result"].is_object());
    assert!(client.silent(Duration::from_millis(200)), "{:?}", client.others);
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": waits[0] } }));
    assert_eq!(client.answer(third)["result"]["structuredContent"]["status"], "cancelled");
    assert_eq!(client.answer(waits[1])["result"]["structuredContent"]["status"], "cancelled");
}

#[test]
fn requests_beyond_the_table_wait_while_pings_cancellations_and_the_end_are_seen() {
    let place = place();
    let mut client = Mcp::open(place.command(&["mcp"]).env("OWF_MCP_MAX_REQUESTS", "4"), LEGACY, "test");
    let id = endless(&place, &mut client);
    let waits: Vec<u64> = (0..4).map(|_| wait(&mut client, &id)).collect();
    let [held, given_up] = [(); 2].map(|()| client.start_call("owf_status", json!({ "run_id": id })));
    assert_eq!(client.request("ping", json!({}))["result"], json!({}));
    client.send(&json!({ "jsonrpc": "2.0", "id": held, "method": "tools/list", "params": {} }));
    assert_eq!(client.answer(held)["error"]["code"], -32600, "an id that is held is in flight");
    assert!(client.silent(Duration::from_millis(300)), "{:?}", client.others);
    let cancel = |id| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    client.send(&cancel(given_up));
    client.send(&cancel(waits[0]));
    assert_eq!(client.answer(held)["result"]["structuredContent"]["status"], "running");
    // Full again, with one more than there is room for.
    let [_, last] = [(); 2].map(|()| wait(&mut client, &id));
    assert!(client.request("ping", json!({}))["result"].is_object());
    assert_eq!(client.others, Vec::<Value>::new(), "neither what was cancelled nor {last} is answered");
    let begun = Instant::now();
    let (left, code) = client.finish();
    assert_eq!((left, code), (Vec::new(), Some(0)));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    Mcp::start(&place).call("owf_cancel", json!({ "run_id": id }));
}

#[test]
fn requests_held_at_the_end_of_the_input_are_answered_when_room_comes() {
    let place = place();
    let mut client = Mcp::open(place.command(&["mcp"]).env("OWF_MCP_MAX_REQUESTS", "2"), LEGACY, "test");
    let asked: Vec<u64> = (0..40).map(|_| client.ask("tools/list", json!({}))).collect();
    let (left, code) = client.finish();
    assert_eq!((left.len(), code), (asked.len(), Some(0)));
}

#[test]
fn a_setting_that_is_no_number_is_told_before_anything_is_served() {
    let place = place();
    let output = place.command(&["mcp"]).env("OWF_MCP_MAX_CALLS", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("OWF_MCP_MAX_CALLS"));
}

#[test]
fn what_a_tool_cannot_serve_is_a_result_that_a_model_can_read() {
    for era in ERAS {
        let place = place();
        let mut client = Mcp::start_as(&place, era, "test");
        let refused = client.refused("owf_status", json!({ "run": 5 }));
        assert_eq!(refused["error"]["code"], "invalid_arguments", "{refused}");
    }
}

#[test]
fn a_file_that_is_no_workflow_shows_nothing_of_itself() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    for (name, text) in [
        ("service.env", "API_KEY=hunter2-canary\n"),
        ("id_rsa", "-----BEGIN hunter2-canary-----\n"),
        ("notes.txt", "export const meta = { name: 'hunter2-canary' }\nhunter2_canary()\n"),
    ] {
        let path = place.file(name, text).display().to_string();
        let checked = client.refused("owf_validate_workflow", json!({ "path": path }));
        let refused = client.refused("owf_run_workflow", json!({ "path": path }));
        let said = format!("{checked} {refused} {:?}", place.owf(&["validate", &path]));
        assert!(!said.contains("canary"), "{said}");
        assert!(said.contains(&format!("{path} is no workflow, and nothing of it is shown")), "{said}");
    }
}
