//! A server in this process with tools of the test's own, over a socket pair.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::run;
use crate::app::AppOptions;
use crate::core::failure::{Code, Failure};
use crate::mcp::settings::Settings;
use crate::mcp::tools;
use crate::mcp::{Client, Shared, Tool};

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn tool(name: &'static str, serve: fn(&crate::mcp::Call<'_>, Value) -> Result<Value, Failure>) -> Tool {
    Tool {
        name,
        description: "A tool of a test.",
        annotations: tools::all()[0].annotations,
        core: true,
        max_result_chars: Some(7),
        input_schema: || json!({ "type": "object" }),
        output_schema: || json!({ "type": "object" }),
        serve,
    }
}

static TOOLS: LazyLock<[Tool; 4]> = LazyLock::new(|| {
    [
        tool("panics", |_, _| panic!("on purpose")),
        tool("who", |call, arguments| {
            let Client { name, version } = call.client;
            Ok(json!({ "client": format!("{name} {version}"), "by": call.client.who(), "arguments": arguments }))
        }),
        tool("fails", |_, _| Err(Failure::new(Code::NotFound, "nothing here".repeat(1_000)))),
        tool("busy", |call, _| {
            let now = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            MOST.fetch_max(now, Ordering::SeqCst);
            for _ in 0..20 {
                if !(call.cancelled)() {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            }
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok(json!({}))
        }),
    ]
});

/// Serves lines and gives the answers, in the order of their ids.
fn served(settings: Settings, lines: &[Value]) -> Vec<Value> {
    served_by(TOOLS.iter().collect(), settings, lines)
}

/// The same with these tools.
fn served_by(offered: Vec<&'static Tool>, settings: Settings, lines: &[Value]) -> Vec<Value> {
    let (ours, theirs) = UnixStream::pair().unwrap_or_else(|e| panic!("{e}"));
    let output = theirs.try_clone().unwrap_or_else(|e| panic!("{e}"));
    let server = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap_or_else(|e| panic!("{e}"));
        runtime.block_on(run(
            theirs.into(),
            output.into(),
            offered,
            Arc::new(Shared::new(AppOptions::default(), settings)),
        ))
    });
    let opening = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": { "protocolVersion": "2025-11-25",
        "capabilities": {}, "clientInfo": { "name": "claude-code", "version": "2.1" } } });
    for line in std::iter::once(&opening).chain(lines) {
        writeln!(&ours, "{line}").unwrap_or_else(|e| panic!("{e}"));
    }
    ours.shutdown(Shutdown::Write).unwrap_or_else(|e| panic!("{e}"));
    let mut answers: Vec<Value> = BufReader::new(&ours)
        .lines()
        .map_while(Result::ok)
        .map(|line| serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(server.join().is_ok_and(|ended| ended.is_ok()));
    answers.sort_by_key(|answer| answer["id"].as_i64());
    answers.remove(0);
    answers
}

fn call(id: u32, name: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": { "n": id } } })
}

/// The same call with what a request of the era without sessions brings.
fn modern(mut call: Value) -> Value {
    call["params"]["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "codex", "version": "0.169.0" } });
    call
}

#[test]
fn a_panic_in_a_tool_is_an_error_result_and_the_server_lives() {
    let answers = served(Settings::default(), &[call(1, "panics"), modern(call(2, "panics")), call(3, "who")]);
    for answer in &answers[..2] {
        assert_eq!(answer["result"]["isError"], true);
        assert!(answer["result"].get("structuredContent").is_none());
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        let said: Value = serde_json::from_str(text).unwrap_or_default();
        assert_eq!(
            said["error"],
            json!({ "code": "internal", "message": "owf broke off: on purpose",
                "hint": "this is a fault of owf; runs go on and can be resumed" })
        );
    }
    assert_eq!(answers[2]["result"]["structuredContent"]["arguments"], json!({ "n": 3 }));
}

#[test]
fn a_panic_outside_of_tools_is_an_error_of_its_request_and_the_server_lives() {
    static BROKEN: LazyLock<Tool> =
        LazyLock::new(|| Tool { input_schema: || panic!("on purpose"), ..tool("broken", |_, _| Ok(json!({}))) });
    let list = |id: u32| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" });
    let answers = served_by(vec![&BROKEN], Settings::default(), &[list(1), call(2, "broken"), list(3)]);
    for at in [0, 2] {
        let error = json!({ "code": -32603, "message": "internal error: owf broke off: on purpose" });
        assert_eq!(answers[at]["error"], error);
    }
    assert_eq!(answers[1]["result"]["structuredContent"], json!({}));
}

#[test]
fn a_tool_knows_its_client_in_both_eras() {
    let answers = served(Settings::default(), &[call(1, "who"), modern(call(2, "who"))]);
    assert_eq!(answers[0]["result"]["structuredContent"]["client"], "claude-code 2.1");
    assert_eq!(answers[0]["result"]["structuredContent"]["by"], "mcp claude-code 2.1");
    assert_eq!(answers[1]["result"]["structuredContent"]["client"], "codex 0.169.0");
    assert_eq!(answers[1]["result"]["resultType"], "complete");
}

#[test]
fn a_failure_is_one_short_text() {
    let answers = served(Settings::default(), &[call(1, "fails")]);
    let text = answers[0]["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.chars().count() < 2_000 && text.starts_with("{\"error\":{\"code\":\"not_found\""), "{text}");
}

#[test]
fn no_more_calls_run_at_a_time_than_the_setting_says() {
    let settings = Settings { calls: 3, requests: 8, ..Settings::default() };
    let lines: Vec<Value> = (1..=40).map(|id| call(id, "busy")).collect();
    let answers = served(settings, &lines);
    assert_eq!(answers.len(), 40);
    assert!(MOST.load(Ordering::SeqCst) <= 3);
}

#[test]
fn the_list_carries_annotations_and_the_size_of_results() {
    let answers = served(Settings::default(), &[json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })]);
    let tool = &answers[0]["result"]["tools"][0];
    assert_eq!(tool["name"], "panics");
    assert_eq!(tool["_meta"], json!({ "anthropic/maxResultSizeChars": 7 }));
    let hints =
        json!({ "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false });
    assert_eq!(tool["annotations"], hints);
}
