//! Claude Code as a provider: every row of its trap table, against a stand-in that prints what the real one was seen to print.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::outcome::{CostSource, ErrorClass, Provenance, Usage};
use owf::providers::ReplyAnswer;
use serde_json::{Value, json};

use crate::cli_support::{Stub, request, structured};
use crate::support::cli::Place;

const VERSION: &str = "2.1.332 (Claude Code)";

/// The first event of every attempt.
fn init() -> Value {
    json!({"type": "system", "subtype": "init", "session_id": "s", "model": "claude-sonnet-5", "tools": ["Read"],
           "mcp_servers": [], "permissionMode": "dontAsk", "claude_code_version": "2.1.332", "apiKeySource": "none"})
}

/// The last event of an attempt that answered; `more` replaces fields of it.
fn result(more: &Value) -> Value {
    let mut result = json!({
        "type": "result", "subtype": "success", "is_error": false, "api_error_status": null, "num_turns": 1,
        "result": "four", "stop_reason": "end_turn", "session_id": "s", "total_cost_usd": 0.0123,
        "usage": {"input_tokens": 10, "output_tokens": 7, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 200,
                  "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}},
        "modelUsage": {"claude-sonnet-5": {"inputTokens": 10, "outputTokens": 7, "costUSD": 0.0123, "costBasis": "list"}},
        "permission_denials": [], "terminal_reason": "completed", "errors": []
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        result[key] = value.clone();
    }
    result
}

/// A stub that prints the first event and this result.
fn ending(more: &Value, code: i32) -> Stub {
    Stub::printing("claude", VERSION, &[init(), result(more)], code)
}

#[test]
fn claude_plain_text_through_owf_run() {
    let stub = ending(&json!({}), 0);
    let place = Place::new();
    let script = "export const meta = { name: 'sum', description: 'd' }\nreturn await agent('2 + 2')\n";
    place.file("sum.js", script);
    let mut command = place.command(&["run", "sum.js", "--provider", "claude", "--json"]);
    let output = command.env("PATH", stub.search_path()).output().unwrap();
    let printed = crate::support::cli::printed(&output);
    assert_eq!(printed.code, 0, "{printed:?}");
    let run = printed.json();
    assert_eq!(
        (&run["status"], &run["output"], &run["simulated"]),
        (&json!("done"), &json!("four"), &json!(false)),
        "{run}"
    );
    assert_eq!(stub.stdin(), "2 + 2");
}

#[test]
fn claude_reply_holds_text_usage_cost_model_and_version() {
    let stub = ending(&json!({}), 0);
    let reply = stub.reply();
    assert_eq!(reply.answer, ReplyAnswer::Text("four".into()));
    assert_eq!(
        reply.usage,
        Usage { input_tokens: 10, output_tokens: 7, cache_read_tokens: 200, cache_write_tokens: 30 }
    );
    assert_eq!((reply.cost_nanos, reply.cost_source), (Some(12_300_000), CostSource::Reported));
    assert_eq!(reply.model.as_deref(), Some("claude-sonnet-5"));
    assert_eq!(
        reply.provenance,
        Provenance {
            provider_version: Some("2.1.332".into()),
            schema_mode: None,
            profile: Some("read".into()),
            warnings: Vec::new()
        }
    );
    assert_eq!(reply.transcript, Some(format!("{}\n{}\n", init(), result(&json!({})))));
}

#[test]
fn claude_argv_of_a_reading_call_is_the_recommended_one() {
    let stub = ending(&json!({}), 0);
    let mut asked = request("- look");
    asked.model = Some("sonnet".into());
    asked.spec.ask.effort = Some("high".into());
    asked.spec.ask.system = Some("Be brief.".into());
    stub.call(&asked).unwrap();
    assert_eq!(
        stub.argv(),
        [
            "-p",
            "--output-format",
            "stream-json",
            "--verbose",
            "--no-session-persistence",
            "--strict-mcp-config",
            "--mcp-config",
            "{\"mcpServers\":{}}",
            "--setting-sources",
            "",
            "--disable-slash-commands",
            "--permission-mode",
            "dontAsk",
            "--tools",
            "Read,Grep,Glob",
            "--model",
            "sonnet",
            "--effort",
            "high",
            "--append-system-prompt",
            "Be brief.",
        ]
    );
    assert_eq!(stub.stdin(), "- look");
}

#[test]
fn dialect_026_provider_failure_of_claude_gives_null_with_one_log_line() {
    let stub = ending(&json!({"is_error": true, "api_error_status": 400, "result": "API Error: 400 bad"}), 1);
    let place = Place::new();
    place.file("w.js", "export const meta = { name: 'w', description: 'd' }\nreturn [await agent('x')]\n");
    let mut command = place.command(&["run", "w.js", "--provider", "claude", "--json"]);
    let output = command.env("PATH", stub.search_path()).output().unwrap();
    let run = crate::support::cli::printed(&output).json();
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!([null])), "{run}");
    assert_eq!(run["gaps"][0]["status"], json!("provider_failed"), "{run}");
    let _ = ErrorClass::BadRequest;
    let _ = structured(Value::Null);
}
