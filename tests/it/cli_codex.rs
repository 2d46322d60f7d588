//! Codex as a provider: every row of its trap table, against a stand-in that prints what the real one was seen to print.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::outcome::{CostSource, ErrorClass, Usage};
use owf::providers::ReplyAnswer;
use serde_json::{Value, json};

use crate::cli_support::{Stub, owf_run, request, structured};
use crate::support::cli::{Place, eventually};

const VERSION: &str = "codex-cli 0.171.0";

fn began() -> Vec<Value> {
    vec![json!({"type": "thread.started", "thread_id": "t"}), json!({"type": "turn.started"})]
}

fn said(text: &str) -> Value {
    json!({"type": "item.completed", "item": {"id": "i", "type": "agent_message", "text": text}})
}

fn completed(input: u64, cached: u64, output: u64) -> Value {
    json!({"type": "turn.completed", "usage": {"input_tokens": input, "cached_input_tokens": cached,
           "cache_write_input_tokens": 0, "output_tokens": output, "reasoning_output_tokens": 1}})
}

fn printing(events: &[Value], code: i32) -> Stub {
    let all: Vec<Value> = began().into_iter().chain(events.iter().cloned()).collect();
    Stub::printing("codex", VERSION, &all, code)
}

fn answering(text: &str) -> Stub {
    printing(&[said(text), completed(100, 60, 9)], 0)
}

/// A turn that failed like this.
fn failing(message: &str) -> Stub {
    let events =
        [json!({"type": "error", "message": message}), json!({"type": "turn.failed", "error": {"message": message}})];
    printing(&events, 1)
}

fn class(message: &str) -> (ErrorClass, String) {
    let error = failing(message).failure().error;
    (error.class, error.message)
}

#[test]
fn codex_plain_text_through_owf_run() {
    let stub = answering("four");
    let run = owf_run(&stub, &Place::new(), "return await agent('2 + 2')");
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!("four")), "{run}");
    assert_eq!(stub.stdin(), "2 + 2");
}

#[test]
fn codex_argv_is_the_recommended_one() {
    let stub = answering("four");
    let mut asked = request("- look");
    asked.model = Some("gpt-5.5".into());
    asked.spec.ask.effort = Some("max".into());
    asked.spec.ask.system = Some("Be \"brief\".\nAlways.".into());
    stub.call(&asked).unwrap();
    assert_eq!(
        stub.argv(),
        [
            "exec",
            "--json",
            "--ephemeral",
            "--skip-git-repo-check",
            "--color",
            "never",
            "-C",
            "/tmp",
            "-s",
            "read-only",
            "-m",
            "gpt-5.5",
            "-c",
            "model_reasoning_effort=\"xhigh\"",
            "-c",
            "shell_environment_policy.ignore_default_excludes=false",
            "-c",
            "shell_environment_policy.exclude=[]",
            "-c",
            "developer_instructions=\"Be \\\"brief\\\".\\nAlways.\"",
            "-",
        ]
    );
    assert_eq!(stub.stdin(), "- look");
}

#[test]
fn codex_input_tokens_include_cached_ones_which_are_counted_once() {
    let reply = answering("four").reply();
    assert_eq!(
        reply.usage,
        Usage { input_tokens: 40, output_tokens: 9, cache_read_tokens: 60, reasoning_tokens: 1, ..Usage::default() }
    );
}

#[test]
fn codex_cost_is_estimated_from_its_tokens_and_unknown_without_a_model() {
    let stub = answering("four");
    let mut asked = request("p");
    asked.model = Some("gpt-5.5".into());
    let reply = stub.call(&asked).unwrap();
    assert_eq!((reply.cost_source, reply.model.as_deref()), (CostSource::Estimated, Some("gpt-5.5")));
    assert!(reply.cost_nanos.is_some());
    let reply = stub.reply();
    assert_eq!((reply.cost_nanos, reply.cost_source), (None, CostSource::Unknown));
}

#[test]
fn codex_profiles_choose_the_sandbox() {
    let stub = answering("four");
    let mut asked = request("p");
    asked.spec.ask.write_scope = Some(vec!["src".into()]);
    let reply = stub.call(&asked).unwrap();
    assert_eq!(
        (stub.after("-s").as_deref(), reply.provenance.profile.as_deref()),
        (Some("workspace-write"), Some("write"))
    );
    let mut asked = request("p");
    asked.spec.ask.tools = Some(Vec::new());
    let reply = stub.call(&asked).unwrap();
    assert_eq!((stub.after("-s").as_deref(), reply.provenance.profile.as_deref()), (Some("read-only"), Some("lean")));
    assert!(stub.argv().contains(&"features.shell_tool=false".to_owned()));
}

#[test]
fn codex_row_429_is_retried_by_the_engine_since_the_cli_does_not() {
    let limited = "exceeded retry limit, last status: 429 Too Many Requests, request id: 1";
    assert_eq!(class(limited), (ErrorClass::RateLimited, limited.to_owned()));
    let behave =
        "n=$(wc -l <\"$dir/calls\")\nif [ $n -eq 1 ]; then cat \"$dir/events\"; exit 1; fi\ncat \"$dir/second\"";
    let stub = Stub::doing("codex", VERSION, behave);
    stub.events(&[json!({"type": "turn.failed", "error": {"message": limited}})]);
    std::fs::write(stub.path().join("second"), format!("{}\n{}\n", said("four"), completed(1, 0, 1))).unwrap();
    let place = Place::new();
    let run = owf_run(&stub, &place, "return await agent('x')");
    assert_eq!((&run["output"], stub.calls()), (&json!("four"), 2), "{run}");
}

#[test]
fn codex_row_500_and_529_are_told_by_their_words_or_status() {
    for (message, wanted) in [
        ("We're currently experiencing high demand, which may cause temporary errors.", ErrorClass::Overloaded),
        ("exceeded retry limit, last status: 500 Internal Server Error", ErrorClass::Transport),
        ("exceeded retry limit, last status: 503 Service Unavailable", ErrorClass::Overloaded),
        ("unexpected status 529 : overloaded", ErrorClass::Overloaded),
    ] {
        assert_eq!(class(message), (wanted, message.to_owned()));
    }
}

#[test]
fn codex_row_retries_of_a_custom_provider_are_off() {
    let mut stub = answering("four").var("TEAM_KEY", "canary-key");
    stub.entry.base_url = Some("http://127.0.0.1:9/v1".into());
    stub.entry.api_key_env = Some("TEAM_KEY".into());
    stub.reply();
    let argv = stub.argv();
    let at = argv.iter().position(|arg| arg == "model_provider=\"owf\"").unwrap();
    assert_eq!(
        argv[at + 2],
        "model_providers.owf={name=\"owf\",base_url=\"http://127.0.0.1:9/v1\",wire_api=\"responses\",\
         request_max_retries=0,stream_max_retries=0,env_key=\"TEAM_KEY\"}"
    );
    assert_eq!(stub.env()["TEAM_KEY"], "canary-key");
    assert!(argv.contains(&"shell_environment_policy.exclude=[\"TEAM_KEY\"]".to_owned()));
    assert!(argv.iter().all(|arg| !arg.contains("canary")));
}

#[test]
fn codex_finds_a_key_of_another_name_when_it_is_told_no_service() {
    let mut stub = answering("four").var("TEAM_KEY", "canary-key");
    stub.entry.api_key_env = Some("TEAM_KEY".into());
    stub.reply();
    assert_eq!((stub.env().get("TEAM_KEY"), stub.env()["CODEX_API_KEY"].as_str()), (None, "canary-key"));
    assert!(stub.argv().contains(&"shell_environment_policy.exclude=[\"CODEX_API_KEY\"]".to_owned()));
}

#[test]
fn codex_row_401_and_404_are_read_from_the_text() {
    let refused = "unexpected status 401 Unauthorized: Missing bearer authentication in header";
    assert_eq!(class(refused), (ErrorClass::Auth, refused.to_owned()));
    let unknown = "unexpected status 404 Not Found: no such model";
    assert_eq!(class(unknown), (ErrorClass::BadRequest, unknown.to_owned()));
}

#[test]
fn codex_row_400_is_a_raw_body_whose_message_is_told() {
    let body = json!({"error": {"message": "Invalid schema for response_format", "type": "invalid_request_error", "code": null}});
    assert_eq!(class(&body.to_string()), (ErrorClass::BadRequest, "Invalid schema for response_format".to_owned()));
    let full = json!({"error": {"message": "too many tokens", "code": "context_length_exceeded"}});
    assert_eq!(class(&full.to_string()), (ErrorClass::ContextTooLong, "too many tokens".to_owned()));
    let empty = json!({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}});
    assert_eq!(class(&empty.to_string()), (ErrorClass::Quota, "You exceeded your current quota".to_owned()));
}

#[test]
fn codex_row_a_rate_limit_with_a_wait_passes_the_wait_on() {
    let error = failing("Rate limit reached for gpt-5.5. Please try again in 1.5s.").failure().error;
    assert_eq!((error.class, error.retry_after_ms), (ErrorClass::RateLimited, Some(1_500)));
}

#[test]
fn codex_row_text_counts_only_when_the_turn_was_completed() {
    let cut = [said("par"), json!({"type": "error", "message": "stream disconnected before completion: closed"})];
    let failure = printing(&cut, 1).failure();
    assert_eq!(failure.error.class, ErrorClass::Transport);
    let reconnected =
        [said("par"), json!({"type": "error", "message": "Reconnecting... 1/5"}), said("partial"), completed(10, 0, 2)];
    assert_eq!(printing(&reconnected, 0).reply().answer, ReplyAnswer::Text("partial".into()));
    let silent = printing(&[said("four")], 0).failure().error;
    assert_eq!((silent.class, silent.message.as_str()), (ErrorClass::Other, "codex ended without an answer"));
}

#[test]
fn codex_row_a_silent_server_is_ended_by_our_time_limit() {
    let stub = Stub::doing("codex", VERSION, "exec sleep 300");
    let place = Place::new();
    let run = owf_run(&stub, &place, "return [await agent('x', { timeoutMs: 300, retry: { maxAttempts: 1 } })]");
    assert_eq!((&run["status"], &run["gaps"][0]["status"]), (&json!("done"), &json!("timeout")), "{run}");
}

#[test]
fn codex_row_the_schema_is_made_strict_and_optional_nulls_are_dropped_from_the_answer() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}, "note": {"type": "string"}}, "required": ["n"]});
    let behave = "while [ $# -gt 0 ]; do if [ \"$1\" = --output-schema ]; then cp \"$2\" \"$dir/schema\"; echo \"$2\" >\"$dir/place\"; fi; shift; done\n\
                  cat \"$dir/events\"";
    let stub = Stub::doing("codex", VERSION, behave);
    stub.events(&[said("{\"n\": 4, \"note\": null}"), completed(1, 0, 1)]);
    let reply = stub.call(&structured(schema)).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"n": 4})));
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("native_strict"));
    let sent: Value = serde_json::from_str(&std::fs::read_to_string(stub.path().join("schema")).unwrap()).unwrap();
    assert_eq!((&sent["additionalProperties"], &sent["required"]), (&json!(false), &json!(["n", "note"])), "{sent}");
    let place = std::fs::read_to_string(stub.path().join("place")).unwrap();
    assert!(!std::path::Path::new(place.trim()).exists(), "the file is removed after the attempt");
}

#[test]
fn codex_row_a_schema_that_cannot_be_strict_is_put_into_the_prompt() {
    let schema = json!({"type": "object", "additionalProperties": {"type": "number"}});
    let stub = answering("{\"a\": 1}");
    let reply = stub.call(&structured(schema.clone())).unwrap();
    assert_eq!(stub.after("--output-schema"), None);
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("prompt"));
    assert_eq!(reply.answer, ReplyAnswer::Text("{\"a\": 1}".into()));
    assert!(stub.stdin().ends_with(&schema.to_string()), "{}", stub.stdin());
}

#[test]
fn acceptance_025_an_invalid_answer_of_codex_is_asked_for_again_with_the_errors() {
    let behave = "n=$(wc -l <\"$dir/calls\")\ncp \"$dir/stdin\" \"$dir/stdin$n\"\n\
                  if [ $n -eq 1 ]; then cat \"$dir/events\"; else cat \"$dir/second\"; fi";
    let stub = Stub::doing("codex", VERSION, behave);
    stub.events(&[said("{\"n\": \"many\"}"), completed(100, 60, 9)]);
    std::fs::write(stub.path().join("second"), format!("{}\n{}\n", said("{\"n\": 4}"), completed(10, 0, 2))).unwrap();
    let place = Place::new();
    let body = "return await agent('how many', { schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] } })";
    let run = owf_run(&stub, &place, body);
    assert_eq!((&run["status"], &run["output"]), (&json!("done"), &json!({"n": 4})), "{run}");
    let call = &stub.json(&place, &["calls", "latest", "1", "--json"])["call"];
    assert_eq!((&call["status"], &call["attempts"]), (&json!("done"), &json!(2)), "{call}");
    assert_eq!((&call["input_tokens"], &call["output_tokens"]), (&json!(50), &json!(11)), "{call}");
    let again = std::fs::read_to_string(stub.path().join("stdin2")).unwrap();
    assert!(again.starts_with("how many\n\nYour answer before this one was refused: /n "), "{again}");
    assert!(again.contains("{\"n\": \"many\"}") || again.contains("{\"n\":\"many\"}"), "{again}");
}

#[test]
fn codex_row_a_schema_file_that_cannot_be_read_is_an_error_of_words_only() {
    let stub = Stub::doing("codex", VERSION, "echo 'Failed to read output schema file x' >&2; exit 1");
    let error = stub.failure().error;
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Other, "codex ended with exit code 1: Failed to read output schema file x")
    );
}

#[test]
fn codex_row_a_bad_flag_is_a_bad_request_and_the_repository_check_is_skipped() {
    let stub = Stub::doing("codex", VERSION, "echo \"error: unexpected argument '--nope' found\" >&2; exit 2");
    let error = stub.failure().error;
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::BadRequest, "codex refused its arguments: error: unexpected argument '--nope' found")
    );
    assert!(stub.argv().contains(&"--skip-git-repo-check".to_owned()));
}

#[test]
fn codex_row_a_missing_key_is_a_matter_of_login() {
    let message = "Missing environment variable: `MOCK_KEY`.";
    assert_eq!(class(message), (ErrorClass::Auth, message.to_owned()));
    let run = owf_run(&failing(message), &Place::new(), "return await agent('x')");
    assert_eq!((&run["status"], &run["status_reason"]), (&json!("paused"), &json!("provider_auth")), "{run}");
}

#[test]
fn codex_row_an_effort_is_checked_here_because_the_cli_takes_any() {
    let stub = answering("four");
    let mut asked = request("p");
    asked.spec.ask.effort = Some("heroic".into());
    let reply = stub.call(&asked).unwrap();
    assert!(stub.argv().iter().all(|arg| !arg.contains("reasoning_effort")));
    assert_eq!(reply.provenance.warnings, ["the effort \"heroic\" is unknown to codex and was left out"]);
}

#[test]
fn codex_row_usage_of_a_thread_is_a_total_and_the_last_one_counts() {
    let stub = printing(&[said("a"), completed(100, 0, 5), said("b"), completed(200, 0, 9)], 0);
    let reply = stub.reply();
    assert_eq!(reply.answer, ReplyAnswer::Text("b".into()));
    assert_eq!((reply.usage.input_tokens, reply.usage.output_tokens), (200, 9));
}

#[test]
fn codex_row_every_attempt_is_ephemeral_and_none_is_resumed() {
    let stub = answering("four");
    stub.reply();
    let argv = stub.argv();
    assert!(argv.contains(&"--ephemeral".to_owned()));
    assert!(!argv.contains(&"resume".to_owned()));
}

#[test]
fn codex_row_events_are_no_audit_log_so_reported_files_are_only_a_hint() {
    let change = json!({"type": "item.completed", "item": {"id": "c", "type": "file_change", "status": "completed",
                        "changes": [{"path": "/tmp/src/a.rs", "kind": "update"}]}});
    let stub = printing(&[change, said("done"), completed(1, 0, 1)], 0);
    assert_eq!(stub.reply().changed_files, ["src/a.rs"]);
    // Nothing is said of a refused patch: the answer stands, and what changed is told by the worktree.
    assert_eq!(answering("I could not").reply().changed_files, Vec::<String>::new());
}

#[test]
fn codex_row_a_signal_leaves_usage_unknown_and_not_zero() {
    let stub = Stub::doing("codex", VERSION, "cat \"$dir/events\"; exec sleep 300");
    stub.events(&[said("par")]);
    let context = owf::providers::CallContext::default();
    let failure = std::thread::scope(|scope| {
        let (inner, stub) = (context.clone(), &stub);
        let call = scope.spawn(move || stub.call_in(&request("p"), &inner));
        eventually(std::time::Duration::from_secs(2), "the stub runs", || stub.calls() == 1);
        context.stop.stop();
        call.join().unwrap().unwrap_err()
    });
    assert_eq!(failure.error.class, ErrorClass::Cancelled);
    let used = |failure: &owf::providers::ReplyError| (failure.usage, failure.usage_unknown, failure.cost_nanos);
    assert_eq!((used(&failure), failure.cost_source), ((Usage::default(), true, None), CostSource::Unknown));
    let killed = Stub::doing("codex", VERSION, "kill -9 $$").failure();
    assert_eq!(used(&killed), (Usage::default(), true, None));
    let killed = killed.error;
    assert_eq!((killed.class, killed.message.as_str()), (ErrorClass::Crashed, "codex was ended by signal 9"));
    // A turn that was refused before the model said anything used nothing; one that broke off in the middle did.
    let failed = json!({"type": "turn.failed", "error": {"message": "unexpected status 401 Unauthorized: no"}});
    assert!(!printing(std::slice::from_ref(&failed), 1).failure().usage_unknown);
    assert!(printing(&[said("par"), failed], 1).failure().usage_unknown);
}

#[test]
fn codex_row_warnings_on_stderr_are_ignored_unless_it_fails() {
    let behave = "echo 'WARNING: proceeding, even though we could not create PATH aliases' >&2; cat \"$dir/events\"";
    let stub = Stub::doing("codex", VERSION, behave);
    stub.events(&[said("four"), completed(1, 0, 1)]);
    let reply = stub.reply();
    assert_eq!((reply.answer, reply.provenance.warnings), (ReplyAnswer::Text("four".into()), Vec::<String>::new()));
}

#[test]
fn codex_an_error_item_is_a_warning_and_the_turn_goes_on() {
    let warning =
        json!({"type": "item.completed", "item": {"id": "w", "type": "error", "message": "Model metadata not found"}});
    let reply = printing(&[warning, said("four"), completed(1, 0, 1)], 0).reply();
    assert_eq!(reply.provenance.warnings, ["Model metadata not found"]);
    assert_eq!(reply.provenance.provider_version.as_deref(), Some("0.171.0"));
}

#[test]
fn codex_row_exit_code_alone_is_never_enough() {
    let error = printing(&[said("four"), completed(1, 0, 1)], 1).failure().error;
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Crashed, "codex ended with exit code 1 after its answer")
    );
}

#[test]
fn codex_tells_what_it_does() {
    let run =
        json!({"type": "item.started", "item": {"id": "c", "type": "command_execution", "command": "cargo  test"}});
    let stub = printing(&[run, said("four"), completed(1, 0, 1)], 0);
    stub.reply();
    assert_eq!(stub.progress(), ["runs cargo test", "four"]);
}

#[test]
fn codex_gets_one_key_and_its_own_home() {
    let stub = answering("four")
        .var("OPENAI_API_KEY", "sk-canary")
        .var("CODEX_HOME", "/nowhere/codex")
        .var("ANTHROPIC_API_KEY", "other");
    stub.reply();
    let names: Vec<String> = stub.env().into_keys().collect();
    assert_eq!(names, ["CODEX_HOME", "OPENAI_API_KEY", "OWF_CALL_ID", "PATH"]);
    assert!(stub.argv().contains(&"shell_environment_policy.exclude=[\"OPENAI_API_KEY\"]".to_owned()));
}
