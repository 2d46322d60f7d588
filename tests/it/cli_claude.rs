//! Claude Code as a provider: every row of its trap table, against a stand-in that prints what the real one was seen to print.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::outcome::{CostSource, ErrorClass, Provenance, Usage};
use owf::providers::{AttemptRequest, Budgeted, ReplyAnswer};
use serde_json::{Value, json};

use crate::cli_support::{Stub, owf_run, request, roots, structured};
use crate::support::cli::{Place, eventually};

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
                  "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}, "output_tokens_details": {"thinking_tokens": 3}},
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
    let run = owf_run(&stub, &place, "return await agent('2 + 2')");
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
        Usage {
            input_tokens: 10,
            output_tokens: 7,
            cache_read_tokens: 200,
            cache_write_tokens: 30,
            cache_write_1h_tokens: 10,
            reasoning_tokens: 3
        }
    );
    assert_eq!((reply.cost_nanos, reply.cost_source), (Some(12_300_000), CostSource::Reported));
    assert_eq!(reply.model.as_deref(), Some("claude-sonnet-5"));
    assert_eq!(
        reply.provenance,
        Provenance {
            provider_version: Some("2.1.332".into()),
            schema_mode: None,
            profile: Some("read".into()),
            warnings: Vec::new(),
            price: None
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

/// The class and message of an attempt that ended like this.
fn class(more: &Value, code: i32) -> (ErrorClass, String) {
    let failure = ending(more, code).failure();
    (failure.error.class, failure.error.message)
}

#[test]
fn claude_row_api_failures_are_classified_by_is_error_and_status_never_by_the_subtype() {
    for (status, said, wanted) in [
        (400, "API Error: 400 messages: field required", ErrorClass::BadRequest),
        (400, "API Error: 400 prompt is too long: 300000 tokens > 200000", ErrorClass::ContextTooLong),
        (401, "API Error: 401 authentication_error", ErrorClass::Auth),
        (404, "API Error: 404 model: nope", ErrorClass::BadRequest),
        (429, "API Error: 429 rate_limit_error", ErrorClass::RateLimited),
        (429, "You've hit your limit", ErrorClass::Quota),
        (500, "API Error: 500 api_error", ErrorClass::Transport),
        (529, "API Error: 529 overloaded_error", ErrorClass::Overloaded),
    ] {
        let more = json!({"subtype": "success", "is_error": true, "api_error_status": status, "result": said});
        assert_eq!(class(&more, 1), (wanted, said.to_owned()));
    }
}

#[test]
fn claude_row_no_status_is_transport_except_where_nobody_is_logged_in() {
    for (said, wanted) in [
        ("API Error: Connection error.", ErrorClass::Transport),
        ("API Error: Unable to connect to API (ConnectionRefused)", ErrorClass::Transport),
        ("Request timed out.", ErrorClass::Transport),
        ("something else altogether", ErrorClass::Transport),
        ("Not logged in · Please run /login", ErrorClass::Auth),
    ] {
        let more = json!({"is_error": true, "api_error_status": null, "result": said});
        assert_eq!(class(&more, 1), (wanted, said.to_owned()));
    }
}

#[test]
fn claude_row_internal_retries_are_few_because_the_engine_retries() {
    let stub = ending(&json!({}), 0);
    stub.reply();
    let env = stub.env();
    assert_eq!(env["CLAUDE_CODE_MAX_RETRIES"], "1");
    assert_eq!(env["API_TIMEOUT_MS"], "60000");
    assert_eq!(env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"], "1");
    assert_eq!(env["DISABLE_AUTOUPDATER"], "1");
    let stub = ending(&json!({}), 0).cli("max_retries = 0");
    stub.reply();
    assert_eq!(stub.env()["CLAUDE_CODE_MAX_RETRIES"], "0");
}

#[test]
fn claude_row_retry_after_of_a_429_is_the_wait_before_the_next_attempt_and_is_told() {
    let retry = json!({"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 1, "retry_delay_ms": 2000,
                       "error_status": 429, "error": "rate_limit"});
    let more = json!({"is_error": true, "api_error_status": 429, "result": "API Error: 429"});
    let stub = Stub::printing("claude", VERSION, &[init(), retry, result(&more)], 1);
    let failure = stub.failure();
    assert_eq!((failure.error.class, failure.error.retry_after_ms), (ErrorClass::RateLimited, Some(2_000)));
    assert_eq!(stub.progress(), ["the service said 429; retry 1 of 1 in 2.0 s"]);
}

#[test]
fn claude_row_verbose_json_is_an_array_and_is_read_like_lines() {
    let events = json!([init(), result(&json!({}))]);
    let stub = Stub::printing("claude", VERSION, &[events], 0);
    let reply = stub.reply();
    assert_eq!((reply.answer, reply.model.as_deref()), (ReplyAnswer::Text("four".into()), Some("claude-sonnet-5")));
    let stub = Stub::printing("claude", VERSION, &[result(&json!({}))], 0);
    assert_eq!(stub.reply().answer, ReplyAnswer::Text("four".into()));
}

#[test]
fn claude_row_stream_json_always_comes_with_verbose() {
    let stub = ending(&json!({}), 0);
    stub.reply();
    assert_eq!(stub.after("--output-format").as_deref(), Some("stream-json"));
    assert!(stub.argv().contains(&"--verbose".to_owned()));
    let stub =
        Stub::doing("claude", VERSION, "echo 'Error: --output-format=stream-json requires --verbose' >&2; exit 1");
    let failure = stub.failure().error;
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (ErrorClass::Other, "claude ended with exit code 1: Error: --output-format=stream-json requires --verbose")
    );
}

#[test]
fn claude_row_stdin_is_closed_after_the_prompt() {
    // The stub reads its input to the end before it prints anything: an open one would never end.
    let stub = ending(&json!({}), 0);
    stub.call(&request("a prompt")).unwrap();
    assert_eq!(stub.stdin(), "a prompt");
}

const SCHEMA: &str = r#"{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}"#;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

#[test]
fn claude_row_a_schema_whose_tool_was_never_called_is_a_missing_answer() {
    let stub = ending(&json!({"result": "{\"n\": 1}"}), 0);
    assert_eq!(stub.call(&structured(schema())).unwrap().answer, ReplyAnswer::Missing);
    let place = Place::new();
    let body = format!("try {{ await agent('x', {{ schema: {SCHEMA} }}) }} catch (e) {{ return [e.name, e.message] }}");
    let run = owf_run(&stub, &place, &body);
    assert_eq!(run["output"], json!(["Error", "an answer by schema was asked for and none came"]), "{run}");
    assert_eq!(stub.calls(), 2, "the program nudges its model itself, so it is not called again");
}

#[test]
fn claude_row_answers_that_are_no_objects_are_wrapped_on_the_way_and_come_back_as_they_are() {
    for (schema, answer) in roots() {
        let more = json!({"structured_output": {"value": answer}});
        let stub = ending(&more, 0);
        let reply = stub.call(&structured(schema.clone())).unwrap();
        assert_eq!(reply.answer, ReplyAnswer::Json(answer.clone()), "{schema}");
        let sent: Value = serde_json::from_str(&stub.after("--json-schema").unwrap()).unwrap();
        assert_eq!((&sent["type"], &sent["required"]), (&json!("object"), &json!(["value"])), "{sent}");
    }
}

#[test]
fn claude_row_structured_output_is_the_answer() {
    let stub = ending(&json!({"structured_output": {"n": 4}}), 0);
    let reply = stub.call(&structured(schema())).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"n": 4})));
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("native"));
    assert_eq!(stub.after("--json-schema").map(|text| serde_json::from_str(&text).unwrap()), Some(schema()));
}

#[test]
fn claude_row_always_invalid_output_is_a_schema_failure_that_keeps_its_cost() {
    let more = json!({"subtype": "error_max_structured_output_retries", "is_error": true, "result": null});
    let failure = ending(&more, 1).call(&structured(schema())).unwrap_err();
    assert_eq!(
        (failure.error.class, failure.error.message.as_str()),
        (ErrorClass::Schema, "no answer satisfied the schema in five tries")
    );
    assert_eq!((failure.cost_nanos, failure.cost_source), (Some(12_300_000), CostSource::Reported));
    assert_eq!(failure.usage.output_tokens, 7);
}

#[test]
fn dialect_027_five_invalid_outputs_of_claude_throw_and_become_null_inside_parallel() {
    let more = json!({"subtype": "error_max_structured_output_retries", "is_error": true, "result": null});
    let stub = ending(&more, 1);
    let place = Place::new();
    let body = format!(
        "const ask = () => agent('x', {{ schema: {SCHEMA} }})\nlet name\ntry {{ await ask() }} catch (e) {{ name = e.name }}\n\
         return [name, await parallel([ask])]"
    );
    let run = owf_run(&stub, &place, &body);
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!(["Error", [null]])), "{run}");
    assert_eq!(stub.calls(), 2, "one attempt each: the program has tried five times itself");
    assert_eq!(run["gaps"][0]["status"], json!("schema_failed"), "{run}");
}

#[test]
fn claude_row_max_turns_is_an_outcome_of_its_own() {
    let more = json!({"subtype": "error_max_turns", "is_error": true, "terminal_reason": "max_turns", "result": null});
    let stub = ending(&more, 1).cli("max_turns = 3");
    let failure = stub.failure();
    assert_eq!(
        (failure.error.class, failure.error.message.as_str(), failure.cost_nanos),
        (ErrorClass::MaxTurns, "the agent used up its turns", Some(12_300_000))
    );
    assert_eq!(stub.after("--max-turns").as_deref(), Some("3"));
}

#[test]
fn claude_row_a_passed_budget_is_a_stop_that_was_paid() {
    let more = json!({"subtype": "error_max_budget_usd", "is_error": true, "result": null, "total_cost_usd": 5.25});
    let stub = ending(&more, 1).cli("max_budget_usd = 0.5");
    let failure = stub.failure();
    assert_eq!((failure.error.class, failure.cost_nanos), (ErrorClass::Budget, Some(5_250_000_000)));
    assert_eq!(stub.after("--max-budget-usd").as_deref(), Some("0.5"));
    let message = "the agent was to stop at 0.5 USD, and passed it; what it had written is lost";
    assert_eq!(
        (failure.error.message.as_str(), failure.error.hint.as_deref()),
        (message, Some("raise max_budget_usd"))
    );
    // Where the budget of the run leaves it less, it says so.
    let budget = Some(Budgeted { left_nanos: Some(250_000_000), ..Budgeted::default() });
    let error = stub.call(&AttemptRequest { budget, ..request("p") }).unwrap_err().error;
    let message = "the agent was to stop at 0.25 USD, its share of the run's cost budget, and passed it; what it had \
                   written is lost";
    let hint = "raise budget_cost_usd, or run fewer calls at once";
    assert_eq!((error.message.as_str(), error.hint.as_deref()), (message, Some(hint)));
    assert_eq!(stub.after("--max-budget-usd").as_deref(), Some("0.25"));
    // Next to nothing is no leave to spend anything.
    let budget = Some(Budgeted { left_nanos: Some(0), ..Budgeted::default() });
    stub.call(&AttemptRequest { budget, ..request("p") }).unwrap_err();
    assert_eq!(stub.after("--max-budget-usd").as_deref(), Some("0.000001"));
}

#[test]
fn claude_row_a_denied_tool_is_a_warning_and_a_failure_where_that_is_wanted() {
    let denied =
        json!({"permission_denials": [{"tool_name": "Bash", "tool_use_id": "t", "tool_input": {"command": "ls"}}]});
    let warning = "the tool Bash was denied: {\"command\":\"ls\"}";
    let reply = ending(&denied, 0).reply();
    assert_eq!(reply.provenance.warnings, [warning]);
    let failure = ending(&denied, 0).cli("fail_on_denial = true").failure();
    assert_eq!((failure.error.class, failure.error.message.as_str()), (ErrorClass::ToolDenied, warning));
}

#[test]
fn claude_row_an_answer_cut_at_its_length_is_no_success() {
    let cut = json!({"stop_reason": "max_tokens"});
    assert_eq!(class(&cut, 0), (ErrorClass::MaxTokens, "the answer was cut at its length limit".to_owned()));
    let given_up = json!({"stop_reason": "max_tokens", "is_error": true, "result": "too long"});
    assert_eq!(class(&given_up, 1), (ErrorClass::MaxTokens, "too long".to_owned()));
}

#[test]
fn claude_row_a_refusal_is_not_tried_again() {
    let more = json!({"is_error": true, "stop_reason": "refusal", "result": "I cannot help with that"});
    let (class, _) = class(&more, 1);
    assert_eq!((class, class.is_retryable()), (ErrorClass::Refusal, false));
}

#[test]
fn claude_row_cost_counts_only_for_the_vendors_own_service_and_list_prices() {
    let cost = |stub: &Stub| {
        let reply = stub.reply();
        (reply.cost_nanos, reply.cost_source)
    };
    let vendor = ending(&json!({}), 0).var("ANTHROPIC_BASE_URL", "https://api.anthropic.com/");
    assert_eq!(cost(&vendor), (Some(12_300_000), CostSource::Reported));
    let gateway = ending(&json!({}), 0).var("ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
    assert_eq!(cost(&gateway).1, CostSource::Estimated);
    assert_eq!(gateway.env()["ANTHROPIC_BASE_URL"], "http://127.0.0.1:9");
    let guessed = json!({"modelUsage": {"my-model": {"costUSD": 0.0123, "costBasis": "default"}}});
    assert_eq!(cost(&ending(&guessed, 0)).1, CostSource::Estimated);
    let bedrock = ending(&json!({}), 0).cli("pass_env = ['CLAUDE_CODE_USE_BEDROCK']");
    assert_eq!(cost(&bedrock.var("CLAUDE_CODE_USE_BEDROCK", "1")).1, CostSource::Estimated);
    let nameless = json!({"modelUsage": {"my-model": {"costUSD": 0.0123, "costBasis": "list"}}});
    assert_eq!(cost(&ending(&nameless, 0)).1, CostSource::Estimated);
    let known = json!({"modelUsage": {"my-model": {"costUSD": 0.0123, "costBasis": "list", "canonicalModel": "claude-sonnet-5"}}});
    assert_eq!(cost(&ending(&known, 0)), (Some(12_300_000), CostSource::Reported));
    let mut unknown = init();
    unknown["model"] = json!("my-model");
    let unknown = Stub::printing("claude", VERSION, &[unknown, result(&guessed)], 0);
    assert_eq!(cost(&unknown), (None, CostSource::Unknown));
}

#[test]
fn claude_row_an_effort_is_checked_here_because_the_cli_ignores_a_bad_one() {
    let stub = ending(&json!({}), 0);
    let mut asked = request("p");
    asked.spec.ask.effort = Some("heroic".into());
    let reply = stub.call(&asked).unwrap();
    assert_eq!(stub.after("--effort"), None);
    assert_eq!(reply.provenance.warnings, ["the effort \"heroic\" is unknown to claude and was left out"]);
}

#[test]
fn claude_row_a_broken_mcp_server_is_a_warning() {
    let mut begun = init();
    begun["mcp_servers"] = json!([{"name": "db", "status": "failed"}, {"name": "ok", "status": "connected"}]);
    let stub =
        Stub::printing("claude", VERSION, &[begun, result(&json!({}))], 0).cli("mcp_config = '/etc/servers.json'");
    assert_eq!(stub.reply().provenance.warnings, ["the MCP server \"db\" is not there: failed"]);
    assert_eq!(stub.after("--mcp-config").as_deref(), Some("/etc/servers.json"));
}

#[test]
fn claude_row_no_session_is_named_or_resumed_so_none_is_used_twice() {
    let stub = ending(&json!({}), 0);
    stub.reply();
    let argv = stub.argv();
    assert!(argv.contains(&"--no-session-persistence".to_owned()));
    for flag in ["--session-id", "--resume", "-r", "--continue", "-c", "--fork-session"] {
        assert!(!argv.contains(&flag.to_owned()), "{flag}");
    }
}

#[test]
fn claude_row_a_prompt_of_three_megabytes_goes_through_stdin_and_never_into_argv() {
    let stub = ending(&json!({}), 0);
    let prompt = format!("- {}", "word ".repeat(600_000));
    stub.call(&request(&prompt)).unwrap();
    assert_eq!(stub.stdin(), prompt);
    assert!(stub.argv().iter().all(|arg| arg.len() < 100));
    let mut asked = request("short");
    asked.spec.ask.system = Some("s".repeat(200_000));
    stub.call(&asked).unwrap();
    assert!(stub.argv().iter().all(|arg| arg.len() < 100));
    assert!(stub.stdin().starts_with("<instructions>\nsss") && stub.stdin().ends_with("\n\nshort"));
}

#[test]
fn claude_row_permission_mode_default_is_never_passed() {
    let stub = ending(&json!({}), 0);
    for (write, mode) in [(None, "dontAsk"), (Some(vec!["src".to_owned()]), "acceptEdits")] {
        let mut asked = request("p");
        asked.spec.ask.write_scope = write;
        stub.call(&asked).unwrap();
        assert_eq!(stub.after("--permission-mode").as_deref(), Some(mode));
    }
}

#[test]
fn claude_profile_lean_has_no_tools_and_a_system_prompt_of_its_own() {
    let stub = ending(&json!({}), 0);
    let mut asked = request("p");
    asked.spec.ask.tools = Some(Vec::new());
    let reply = stub.call(&asked).unwrap();
    assert_eq!(reply.provenance.profile.as_deref(), Some("lean"));
    assert_eq!(stub.after("--tools").as_deref(), Some(""));
    assert!(stub.after("--system-prompt").unwrap().starts_with("You carry out one step"));
    assert_eq!(stub.after("--append-system-prompt"), None);
    assert!(!stub.provider().reads_workspace(&asked));
    asked.spec.ask.system = Some("Be brief.".into());
    stub.call(&asked).unwrap();
    assert_eq!(stub.after("--system-prompt").as_deref(), Some("Be brief."));
    let preset = ending(&json!({}), 0).cli("profile = 'lean'");
    assert_eq!(preset.reply().provenance.profile.as_deref(), Some("lean"));
}

#[test]
fn claude_profile_read_takes_named_tools_but_none_that_write() {
    let stub = ending(&json!({}), 0).cli("allow = ['Bash(git log:*)']");
    let mut asked = request("p");
    asked.spec.ask.tools = Some(["read_file", "Bash", "Edit", "search_files"].map(str::to_owned).to_vec());
    asked.spec.ask.disallowed_tools = Some(vec!["WebFetch".to_owned()]);
    let reply = stub.call(&asked).unwrap();
    assert_eq!(stub.after("--tools").as_deref(), Some("Read,Bash,Grep"));
    assert_eq!(stub.after("--allowedTools").as_deref(), Some("Bash(git log:*)"));
    assert_eq!(stub.after("--disallowedTools").as_deref(), Some("WebFetch"));
    assert_eq!(reply.provenance.warnings, ["the tool Edit was left out: the call has no write scope and no worktree"]);
    assert!(stub.provider().reads_workspace(&asked));
}

#[test]
fn claude_profile_write_edits_and_reports_the_files() {
    let edit = json!({"type": "assistant", "message": {"id": "m1", "content": [
        {"type": "text", "text": "I fix it."},
        {"type": "tool_use", "id": "t", "name": "Edit", "input": {"file_path": "/tmp/src/a.rs", "old_string": "a"}}
    ], "usage": {"input_tokens": 3, "output_tokens": 4}}, "parent_tool_use_id": null});
    let stub =
        Stub::printing("claude", VERSION, &[init(), edit, result(&json!({}))], 0).cli("allow = ['Bash(cargo test:*)']");
    let mut asked = request("p");
    asked.spec.ask.write_scope = Some(vec!["src".into()]);
    let reply = stub.call(&asked).unwrap();
    assert_eq!(reply.provenance.profile.as_deref(), Some("write"));
    assert_eq!(stub.after("--tools").as_deref(), Some("Read,Grep,Glob,Edit,Write,Bash"));
    assert_eq!(reply.changed_files, ["src/a.rs"]);
    assert_eq!(stub.progress(), ["I fix it.", "Edit /tmp/src/a.rs"]);
}

#[test]
fn claude_gets_one_key_and_nothing_else_of_the_environment() {
    let stub = ending(&json!({}), 0)
        .var("ANTHROPIC_API_KEY", "sk-ant-canary")
        .var("ANTHROPIC_AUTH_TOKEN", "other-canary")
        .var("OPENAI_API_KEY", "sk-canary")
        .var("CLAUDECODE", "1")
        .var("CLAUDE_CONFIG_DIR", "/c")
        .var("LC_ALL", "C.UTF-8");
    let asked = request("p");
    stub.call(&asked).unwrap();
    let env = stub.env();
    let names: Vec<&str> = env.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ANTHROPIC_API_KEY",
            "API_TIMEOUT_MS",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "CLAUDE_CODE_MAX_RETRIES",
            "CLAUDE_CONFIG_DIR",
            "DISABLE_AUTOUPDATER",
            "LC_ALL",
            "OWF_CALL_ID",
            "PATH",
        ]
    );
    assert_eq!(env["OWF_CALL_ID"], asked.marker);
    assert!(stub.argv().iter().all(|arg| !arg.contains("canary")));
}

#[test]
fn claude_key_comes_from_the_variable_that_the_entry_names() {
    let mut stub = ending(&json!({}), 0).var("TEAM_KEY", "team").var("ANTHROPIC_API_KEY", "personal");
    stub.entry.api_key_env = Some("TEAM_KEY".into());
    stub.entry.base_url = Some("http://127.0.0.1:9".into());
    stub.reply();
    let env = stub.env();
    assert_eq!((env["ANTHROPIC_API_KEY"].as_str(), env["ANTHROPIC_BASE_URL"].as_str()), ("team", "http://127.0.0.1:9"));
    assert_eq!(env.get("TEAM_KEY"), None);
}

#[test]
fn claude_key_is_scrubbed_from_the_shell_of_an_agent_only_where_bubblewrap_is() {
    let mut asked = request("p");
    asked.spec.ask.tools = Some(vec!["Bash".into()]);
    let scrubbed = |bubblewrap: bool, asked: &owf::providers::AttemptRequest| {
        let mut stub = ending(&json!({}), 0).var("ANTHROPIC_API_KEY", "sk-ant-1").cli("shell_sees_key = true");
        if bubblewrap {
            crate::cli_support::write_program(&stub.path().join("bwrap"), "#!/bin/sh\n");
        }
        stub.vars.retain(|(name, _)| name != "CLAUDECODE");
        stub.call(asked).unwrap();
        stub.env().contains_key("CLAUDE_CODE_SUBPROCESS_ENV_SCRUB")
    };
    let here = ["/usr/bin/bwrap", "/bin/bwrap"].iter().any(|path| std::path::Path::new(path).exists());
    assert_eq!(scrubbed(false, &asked), here);
    assert!(scrubbed(true, &asked));
    assert!(!scrubbed(true, &request("p")), "no shell, nothing to scrub");
}

/// A stub for which no bubblewrap is to be found, whatever this machine has: its PATH has nothing but what its script needs.
fn without_bubblewrap() -> Stub {
    let mut stub = ending(&json!({}), 0).var("ANTHROPIC_API_KEY", "sk-ant-1");
    let tools = stub.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    for tool in ["env", "cat"] {
        // No link: what is written to a link is written to the system's own file.
        crate::cli_support::write_program(&tools.join(tool), &format!("#!/bin/sh\nexec /usr/bin/{tool} \"$@\"\n"));
    }
    stub.search = Some(format!("{}:{}", tools.display(), stub.path().display()));
    stub
}

#[test]
fn claude_row_without_bubblewrap_a_shell_that_would_see_the_key_is_refused_unless_the_user_accepts_it() {
    for tool in ["Bash", "Bash(cargo test:*)", "PowerShell", "default"] {
        for scope in [None, Some(vec!["src".to_owned()])] {
            let stub = without_bubblewrap();
            let mut asked = request("p");
            asked.spec.ask.tools = Some(vec![tool.to_owned()]);
            asked.spec.ask.write_scope = scope;
            let error = stub.call(&asked).unwrap_err().error;
            assert_eq!(
                (error.class, error.class.is_retryable(), stub.calls()),
                (ErrorClass::Policy, false, 0),
                "{tool}"
            );
            let said = "the shell of this agent would see ANTHROPIC_API_KEY: bubblewrap (bwrap), which can hide it, is not installed";
            assert_eq!(error.message, said);
            assert!(error.hint.unwrap().contains("shell_sees_key = true in [providers.claude.cli]"));
        }
    }
    // A rule of the user's that allows a shell says nothing of the key.
    let stub = without_bubblewrap().cli("allow = ['Bash(cargo test:*)']");
    let mut asked = request("p");
    asked.spec.ask.write_scope = Some(vec!["src".into()]);
    assert_eq!((stub.call(&asked).unwrap_err().error.class, stub.calls()), (ErrorClass::Policy, 0));
    // Accepted; and where there is no shell or no key there is nothing to accept.
    let stub = without_bubblewrap().cli("allow = ['Bash(cargo test:*)']\nshell_sees_key = true");
    let warning = "the agent's shell can see ANTHROPIC_API_KEY: bubblewrap (bwrap) is not installed";
    assert_eq!(stub.call(&asked).unwrap().provenance.warnings, [warning]);
    assert_eq!(without_bubblewrap().call(&asked).unwrap().provenance.warnings, [""; 0]);
    let mut stub = without_bubblewrap();
    stub.vars.clear();
    asked.spec.ask.tools = Some(vec!["Bash".into()]);
    assert_eq!(stub.call(&asked).unwrap().provenance.warnings, [""; 0]);
}

#[test]
fn claude_model_aliases_go_unchanged_unless_the_user_names_them_otherwise() {
    let mut stub = ending(&json!({}), 0);
    stub.entry.models.insert("cheap".into(), "claude-haiku-4-5".into());
    for (model, passed) in [("opus", "opus"), ("cheap", "claude-haiku-4-5")] {
        let mut asked = request("p");
        asked.model = Some(model.into());
        stub.call(&asked).unwrap();
        assert_eq!(stub.after("--model").as_deref(), Some(passed));
    }
    assert_eq!(stub.provider().default_model(), None);
    stub.reply();
    assert_eq!(stub.after("--model"), None, "the CLI chooses its own");
}

#[test]
fn claude_version_is_asked_once_and_is_part_of_what_an_answer_depends_on() {
    let stub = ending(&json!({}), 0);
    let provider = stub.provider();
    let asked = request("p");
    for _ in 0..3 {
        assert_eq!(provider.identity(&asked), [("provider_version".to_owned(), "2.1.332".to_owned())].into());
        assert_eq!(provider.availability().version.as_deref(), Some("2.1.332"));
    }
    assert_eq!(stub.asked_version(), 1);
    let configured = ending(&json!({}), 0).cli("profile = 'lean'").provider();
    assert!(configured.identity(&asked).contains_key("configuration"));
}

#[test]
fn claude_setting_that_is_unknown_makes_the_provider_unavailable_and_says_where() {
    let stub = ending(&json!({}), 0).cli("profle = 'lean'");
    let availability = stub.provider().availability();
    assert!(!availability.available);
    let message = availability.message.unwrap();
    assert!(message.starts_with("the providers file, [providers.claude.cli]: unknown field `profle`"), "{message}");
    assert_eq!(stub.failure().error.class, ErrorClass::NotInstalled);
    for (setting, told) in [
        ("profile = 'write'", "profile must be lean or read"),
        ("max_turns = 'many'", "the value must be a whole number"),
        ("args = 'x'", "the value must be a list"),
    ] {
        let message = ending(&json!({}), 0).cli(setting).provider().availability().message.unwrap();
        assert!(message.starts_with(&format!("the providers file, [providers.claude.cli]: {told}")), "{message}");
    }
}

#[test]
fn claude_exit_code_alone_is_never_enough() {
    let failed_after = ending(&json!({}), 1).failure().error;
    assert_eq!(
        (failed_after.class, failed_after.message.as_str()),
        (ErrorClass::Crashed, "claude ended with exit code 1 after its answer")
    );
    let silent = Stub::printing("claude", VERSION, &[init()], 0).failure().error;
    assert_eq!((silent.class, silent.message.as_str()), (ErrorClass::Other, "claude ended without an answer"));
    let killed = Stub::doing("claude", VERSION, "kill -9 $$").failure().error;
    assert_eq!((killed.class, killed.message.as_str()), (ErrorClass::Crashed, "claude was ended by signal 9"));
}

#[test]
fn claude_row_sigint_harvests_usage_and_a_zero_exit_after_our_signal_is_no_success() {
    let aborted = json!({"subtype": "error_during_execution", "terminal_reason": "aborted_tools", "is_error": false});
    for last in [result(&aborted), result(&json!({}))] {
        // The real one flushes its result when it is interrupted, and ends with 0.
        let behave = "head -n 1 \"$dir/events\"; trap 'tail -n 1 \"$dir/events\"; exit 0' INT; echo >\"$dir/ready\"\n\
                      while :; do sleep 0.05; done";
        let stub = Stub::doing("claude", VERSION, behave);
        stub.events(&[init(), last]);
        let failure = stopped(&stub);
        assert_eq!(failure.error.class, ErrorClass::Cancelled);
        assert_eq!((failure.usage.output_tokens, failure.cost_nanos), (7, Some(12_300_000)));
    }
}

/// One attempt that is asked to end as soon as the stub is ready for it.
fn stopped(stub: &Stub) -> owf::providers::ReplyError {
    let context = owf::providers::CallContext::default();
    std::thread::scope(|scope| {
        let (inner, stop) = (context.clone(), context.stop.clone());
        let call = scope.spawn(move || stub.call_in(&request("p"), &inner));
        eventually(std::time::Duration::from_secs(2), "the stub runs", || stub.path().join("ready").exists());
        stop.stop();
        call.join().unwrap().unwrap_err()
    })
}

#[test]
fn claude_row_sigterm_gives_no_result_so_usage_is_that_of_the_messages_and_cost_unknown() {
    let said = json!({"type": "assistant", "message": {"id": "m1", "content": [],
                      "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5}}});
    let again = json!({"type": "assistant", "message": {"id": "m1", "content": [],
                       "usage": {"input_tokens": 3, "output_tokens": 6, "cache_read_input_tokens": 5}}});
    let stub = Stub::doing(
        "claude",
        VERSION,
        "cat \"$dir/events\"; trap '' INT; trap 'exit 143' TERM; echo >\"$dir/ready\"; while :; do sleep 0.05; done",
    );
    stub.events(&[init(), said, again]);
    let failure = stopped(&stub);
    assert_eq!(failure.error.class, ErrorClass::Cancelled);
    assert_eq!((failure.usage.input_tokens, failure.usage.output_tokens, failure.usage.cache_read_tokens), (3, 6, 5));
    assert_eq!((failure.cost_nanos, failure.cost_source), (None, CostSource::Unknown));
}

#[test]
fn acceptance_021_error_timeout_schema_and_missing_cli_end_calls_and_not_the_run() {
    let place = Place::new();
    let failed = ending(&json!({"is_error": true, "api_error_status": 400, "result": "bad"}), 1);
    let run = owf_run(&failed, &place, "return [await agent('x')]");
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!([null])), "{run}");
    assert_eq!(run["gaps"][0]["status"], json!("provider_failed"), "{run}");
    let place = Place::new();
    let crooked = json!({"subtype": "error_max_structured_output_retries", "is_error": true, "result": null});
    let body = format!(
        "const r = await owf.agent('x', {{ schema: {SCHEMA} }})\nreturn [r.ok, r.status, (await owf.agent('y')).ok]"
    );
    let run = owf_run(&ending(&crooked, 1), &place, &body);
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!([false, "schema_failed", false])), "{run}");
    let place = Place::new();
    let slow = Stub::doing("claude", VERSION, "exec sleep 300");
    let run = owf_run(&slow, &place, "return [await agent('x', { timeoutMs: 200, retry: { maxAttempts: 1 } })]");
    assert_eq!((&run["status"], &run["gaps"][0]["status"]), (&json!("done"), &json!("timeout")), "{run}");
    // The script names a provider whose program is not there.
    let place = Place::new();
    place.file(
        "w.js",
        "export const meta = { name: 'w', description: 'd' }\nreturn [await agent('x', { provider: 'claude' })]\n",
    );
    let mut command = place.command(&["run", "w.js", "--provider", "fake", "--json"]);
    let run = crate::support::cli::printed(&command.env("PATH", "/usr/bin:/bin").output().unwrap()).json();
    assert_eq!((&run["status"], &run["gaps"][0]["status"]), (&json!("done"), &json!("provider_failed")), "{run}");
}

#[test]
fn acceptance_065_a_timeout_kills_everything_and_counts_as_an_attempt() {
    let stub = Stub::doing("claude", VERSION, "setsid sleep 300 & echo $! >>\"$dir/children\"; sleep 300");
    let place = Place::new();
    let run = owf_run(&stub, &place, "return [await agent('x', { timeoutMs: 2000 })]");
    assert_eq!((&run["status"], &run["gaps"][0]["status"]), (&json!("done"), &json!("timeout")), "{run}");
    assert_eq!(stub.calls(), 2);
    let call = stub.json(&place, &["calls", "latest", "1", "--json"]);
    let attempts = call["call"]["attempts_list"].as_array().unwrap().clone();
    let classes: Vec<&Value> = attempts.iter().map(|attempt| &attempt["class"]).collect();
    assert_eq!(classes, ["timeout", "timeout"], "{call}");
    let children = std::fs::read_to_string(stub.path().join("children")).unwrap();
    assert_eq!(children.lines().count(), 2);
    for pid in children.lines() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{pid} is alive: {stat}");
    }
}

#[test]
fn dialect_026_provider_failure_of_claude_gives_null_with_one_log_line() {
    let stub = ending(&json!({"is_error": true, "api_error_status": 400, "result": "API Error: 400 bad"}), 1);
    let place = Place::new();
    let run = owf_run(&stub, &place, "return [await agent('x')]");
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!([null])), "{run}");
    let lines: Vec<String> = place
        .store()
        .events(&run["run_id"].as_str().unwrap().parse().unwrap(), 0, 1_000)
        .unwrap()
        .iter()
        .map(|record| serde_json::to_value(&record.event).unwrap())
        .filter(|event| event["type"] == "log")
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("API Error: 400 bad"), "{lines:?}");
}

#[test]
fn dialect_031_unknown_agent_type_throws_and_bad_isolation_and_effort_are_ignored() {
    let stub = ending(&json!({}), 0);
    let place = Place::new();
    let body = "let name\ntry { await agent('x', { agentType: 'nobody' }) } catch (e) { name = e.name }\n\
                return [name, await agent('y', { isolation: 'box', effort: 'heroic' })]";
    let run = owf_run(&stub, &place, body);
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!(["Error", "four"])), "{run}");
    assert_eq!((stub.calls(), stub.after("--effort")), (1, None));
    assert_eq!(stub.after("--permission-mode").as_deref(), Some("dontAsk"));
}

#[test]
fn a_login_that_is_missing_pauses_the_run_of_claude() {
    let stub =
        ending(&json!({"is_error": true, "api_error_status": null, "result": "Not logged in · Please run /login"}), 1);
    let place = Place::new();
    let run = owf_run(&stub, &place, "return await agent('x')");
    assert_eq!((&run["status"], &run["status_reason"]), (&json!("paused"), &json!("provider_auth")), "{run}");
    assert_eq!(stub.calls(), 1);
}

/// A run whose owner was killed while its agent and a child of that in a session of its own go on; gives a look at the two.
fn orphaned() -> (Stub, Place) {
    let stub = Stub::doing(
        "claude",
        VERSION,
        "setsid sleep 300 & echo $! >\"$dir/child\"; echo $$ >\"$dir/agent\"; exec sleep 300",
    );
    let place = Place::new();
    let agent = stub.path().join("agent");
    let runs = || std::fs::read_to_string(&agent).unwrap_or_default().ends_with('\n');
    killed_when(&stub, &place, "return await agent('x')", "the agent runs", runs);
    assert_eq!((lives(&stub, "agent"), lives(&stub, "child")), (true, true), "the orphans are real");
    (stub, place)
}

/// Whether the process lives whose id the stub wrote into this file.
fn lives(stub: &Stub, name: &str) -> bool {
    let pid = std::fs::read_to_string(stub.path().join(name)).unwrap_or_default();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_run_taken_over_after_sigkill_leaves_no_agent_of_the_dead_owner_alive() {
    let (first, place) = orphaned();
    let second = ending(&json!({}), 0);
    let run = second.json(&place, &["resume", "latest", "--json"]);
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!("four")), "{run}");
    for name in ["agent", "child"] {
        eventually(std::time::Duration::from_secs(1), "the orphan is gone", || !lives(&first, name));
    }
}

#[test]
fn a_dead_run_that_is_cancelled_leaves_no_agent_alive_by_command_and_over_mcp() {
    for over_mcp in [false, true] {
        let (stub, place) = orphaned();
        let run = place.store().resolve("latest").unwrap();
        let said = if over_mcp {
            let mut client = crate::support::mcp::Mcp::start(&place);
            client.call("owf_cancel", json!({ "run_id": run.as_str() }))
        } else {
            place.json(&["cancel", run.as_str(), "--json"])
        };
        assert_eq!(said["status"], json!("cancelled"), "{said}");
        for name in ["agent", "child"] {
            eventually(std::time::Duration::from_secs(1), "the orphan is gone", || !lives(&stub, name));
        }
    }
}

#[test]
fn a_second_interrupt_ends_owf_at_once_and_its_agents_with_it() {
    let behave = "setsid sleep 300 & echo $! >\"$dir/child\"; trap '' INT TERM; echo $$ >\"$dir/agent\"\n\
                  while :; do sleep 0.05; done";
    let stub = Stub::doing("claude", VERSION, behave);
    let place = Place::new();
    place.file("w.js", "export const meta = { name: 'w', description: 'd' }\nreturn await agent('x')\n");
    let mut owner = stub.spawn(&place, &["run", "w.js", "--provider", "claude", "--json"]);
    let pid = |name: &str| std::fs::read_to_string(stub.path().join(name)).unwrap_or_default();
    eventually(std::time::Duration::from_secs(5), "the agent runs", || pid("agent").ends_with('\n'));
    let began = std::time::Instant::now();
    // The signal may come before the program listens for the next one.
    eventually(std::time::Duration::from_secs(1), "owf ends", || {
        let process = rustix::process::Pid::from_child(&owner);
        let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
        owner.try_wait().unwrap().is_some()
    });
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    for name in ["agent", "child"] {
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid(name).trim())).unwrap_or_default();
        eventually(std::time::Duration::from_secs(1), "it is gone", || stat().is_empty() || stat().contains(") Z "));
    }
}

/// Starts a run in the background and kills its owner once `reached` holds.
fn killed_when(stub: &Stub, place: &Place, body: &str, what: &str, reached: impl FnMut() -> bool) {
    place.file("w.js", &format!("export const meta = {{ name: 'w', description: 'd' }}\n{body}\n"));
    let mut owner = stub.spawn(place, &["run", "w.js", "--provider", "claude", "--json"]);
    eventually(std::time::Duration::from_secs(5), what, reached);
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn after_sigkill_finished_writing_calls_are_not_repeated_and_the_one_in_flight_asks() {
    // The first call ends, the second stays.
    let behave = "n=$(wc -l <\"$dir/calls\")\nif [ $n -ge 2 ]; then echo $$ >\"$dir/agent\"; exec sleep 300; fi\ncat \"$dir/events\"";
    let stub = Stub::doing("claude", VERSION, behave);
    stub.events(&[init(), result(&json!({}))]);
    let place = Place::new();
    let body = "await agent('first', { writeScope: ['a'] })\nreturn await agent('second', { writeScope: ['b'] })";
    let agent = || std::fs::read_to_string(stub.path().join("agent")).unwrap_or_default();
    killed_when(&stub, &place, body, "the second call runs", || agent().ends_with('\n'));
    let run = stub.json(&place, &["resume", "latest", "--json"]);
    assert_eq!((&run["status"], stub.calls()), (&json!("paused"), 2), "{run}");
    let asked = &run["approvals"];
    assert_eq!((asked.as_array().map(Vec::len), &asked[0]["kind"]), (Some(1), &json!("repeat")), "{run}");
    assert!(asked[0]["message"].as_str().unwrap().contains("second"), "{run}");
    let statuses: Vec<Value> = stub.json(&place, &["calls", "--json"])["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["status"].clone())
        .collect();
    assert_eq!(statuses[0], json!("done"), "{statuses:?}");
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", agent().trim())).unwrap_or_default();
    eventually(std::time::Duration::from_secs(1), "the agent is gone", || stat().is_empty() || stat().contains(") Z "));
}

#[test]
fn a_cached_review_misses_after_a_file_in_its_scope_changed_and_hits_when_another_did() {
    let stub = ending(&json!({}), 0);
    let place = Place::new();
    place.file("repo/src/a.rs", "a\n");
    place.file("repo/notes.txt", "n\n");
    let repo = place.path().join("repo");
    let git = |args: &[&str]| {
        let names = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"];
        let status = std::process::Command::new("git").args(names).args(args).current_dir(&repo).output().unwrap();
        assert!(status.status.success(), "{status:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "m"]);
    let script =
        "export const meta = { name: 'w', description: 'd' }\nreturn await agent('review', { readScope: ['src'] })\n";
    place.file("repo/w.js", script);
    let run = || {
        let mut command = stub.command(&place, &["run", "w.js", "--provider", "claude", "--json"]);
        crate::support::cli::printed(&command.current_dir(&repo).output().unwrap()).json()
    };
    run();
    assert_eq!(stub.calls(), 1);
    place.file("repo/notes.txt", "other\n");
    assert_eq!(run()["output"], json!("four"));
    assert_eq!(stub.calls(), 1, "a file beside the scope changed");
    place.file("repo/src/a.rs", "changed\n");
    run();
    assert_eq!(stub.calls(), 2, "a file in the scope changed");
    let explained = stub.json(&place, &["explain-cache", "latest", "--json"]);
    let call = &explained["calls"][0];
    assert_eq!((&call["reason_code"], &call["changed"]), (&json!("changed"), &json!(["workspace"])), "{explained}");
    assert_eq!(call["files"], json!(["src/a.rs"]), "{explained}");
}

#[test]
fn a_key_that_the_program_echoes_stands_nowhere_below_the_home() {
    let behave = "printf '{\"type\":\"assistant\",\"message\":{\"id\":\"m\",\"content\":[{\"type\":\"text\",\"text\":\"key %s\"}]}}\\n' \"$ANTHROPIC_API_KEY\"\n\
                  echo \"bad key $ANTHROPIC_API_KEY\" >&2\n\
                  printf '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":%s,\"api_error_status\":400,\"result\":\"it is %s\"}\\n' \"$(cat \"$dir/fails\")\" \"$ANTHROPIC_API_KEY\"";
    let canary = "sk-ant-canary-0123456789abcdef";
    for fails in ["true", "false"] {
        let stub = Stub::doing("claude", VERSION, behave).var("ANTHROPIC_API_KEY", canary);
        std::fs::write(stub.path().join("fails"), fails).unwrap();
        let place = Place::new();
        let run = owf_run(&stub, &place, "return [await agent('x')]");
        assert_eq!(run["status"], json!("done"), "{run}");
        assert_eq!(stub.calls(), 1);
        assert!(!run.to_string().contains(canary), "{run}");
        let mut files = 0;
        for entry in walkdir::WalkDir::new(place.home()) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                files += 1;
                let bytes = std::fs::read(entry.path()).unwrap();
                let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!found, "{}", entry.path().display());
            }
        }
        assert!(files > 3, "{files}");
        assert!(stub.argv().iter().all(|arg| !arg.contains(canary)));
    }
}

#[test]
fn what_a_reader_should_know_about_an_answer_is_shown_with_its_call() {
    let denied = json!({"permission_denials": [{"tool_name": "Bash", "tool_input": {"command": "ls"}}]});
    let stub = ending(&denied, 0);
    let place = Place::new();
    owf_run(&stub, &place, "return await agent('x')");
    let call = &stub.json(&place, &["calls", "latest", "1", "--json"])["call"];
    assert_eq!((&call["provider_version"], &call["profile"]), (&json!("2.1.332"), &json!("read")), "{call}");
    assert_eq!(call["warnings"], json!(["the tool Bash was denied: {\"command\":\"ls\"}"]), "{call}");
    let shown = crate::support::cli::printed(&stub.command(&place, &["calls", "latest", "1"]).output().unwrap()).out;
    assert!(shown.contains("  program  2.1.332   read\n"), "{shown}");
    assert!(shown.contains("  note     the tool Bash was denied: {\"command\":\"ls\"}\n"), "{shown}");
}

#[test]
fn what_claude_reports_while_it_is_being_ended_counts_for_the_call_that_was_cancelled() {
    let behave = "head -n 1 \"$dir/events\"; trap 'tail -n 1 \"$dir/events\"; exit 0' INT; echo >\"$dir/ready\"\n\
                  while :; do sleep 0.05; done";
    let stub = Stub::doing("claude", VERSION, behave);
    let aborted = json!({"subtype": "error_during_execution", "terminal_reason": "aborted_tools", "is_error": false});
    stub.events(&[init(), result(&aborted)]);
    let place = Place::new();
    let ended = std::thread::scope(|scope| {
        let running = scope.spawn(|| owf_run(&stub, &place, "return await agent('2 + 2')"));
        eventually(std::time::Duration::from_secs(3), "the stub runs", || stub.path().join("ready").exists());
        let run = stub.json(&place, &["status", "latest", "--json"])["run_id"].as_str().unwrap().to_owned();
        let view = stub.json(&place, &["cancel", &run, "--json"]);
        running.join().unwrap();
        view
    });
    assert_eq!(ended["status"], json!("cancelled"), "{ended}");
    let call = &stub.json(&place, &["calls", "latest", "1", "--json"])["call"];
    assert_eq!(
        (&call["status"], &call["output_tokens"], &call["cost_usd"], &call["cost_source"]),
        (&json!("cancelled"), &json!(7), &json!(0.0123), &json!("reported")),
        "{call}"
    );
}

/// A run of one call in a worktree in which the stub does what these shell lines say, and its repository.
fn isolated(does: &str, files: &[(&str, &str)]) -> (Place, crate::support::git::Repo, Value) {
    let git = "git -c user.name=Ada -c user.email=ada@example.invalid";
    let stub =
        Stub::doing("claude", VERSION, &format!("git() {{ command {git} \"$@\"; }}\n{does}\ncat \"$dir/events\""));
    stub.events(&[init(), result(&json!({}))]);
    let place = Place::new();
    place.file(".gitignore", "home\nuser\n");
    place.file("w.js", "");
    let repo = crate::support::git::Repo::new(place.path(), files);
    let run = owf_run(&stub, &place, "return await agent('x', { isolation: 'worktree' })");
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!("four")), "{run}");
    let call = stub.json(&place, &["calls", "latest", "1", "--json"])["call"].clone();
    (place, repo, call)
}

#[test]
fn acceptance_037_what_claude_commits_in_a_worktree_survives_and_is_reported() {
    let does = "echo b >b.txt; git add b.txt; git commit --quiet --message='add b'";
    let (_place, repo, call) = isolated(does, &[("a.txt", "one\n")]);
    assert_eq!(call["changed_files"], json!(["b.txt"]), "{call}");
    let branch = call["worktree_branch"].as_str().unwrap();
    assert_eq!(repo.git(&["log", "--format=%s", branch]), "add b\nfirst");
    assert_eq!(repo.git(&["show", &format!("{branch}:b.txt")]), "b");
}

#[test]
fn acceptance_039_what_claude_renames_deletes_and_adds_is_exact() {
    let files = [("old name.txt", "the same text\n"), ("gone.txt", "x\n"), ("größe/ä.txt", "1\n"), ("kept.txt", "k\n")];
    let does = "git mv 'old name.txt' 'new name.txt'; rm gone.txt; echo 2 >größe/ä.txt; mkdir 新しい; echo n >新しい/ファイル.txt";
    let (_place, _repo, call) = isolated(does, &files);
    assert_eq!(
        call["changed_files"],
        json!(["gone.txt", "größe/ä.txt", "new name.txt", "old name.txt", "新しい/ファイル.txt"]),
        "{call}"
    );
}
