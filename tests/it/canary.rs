//! Every adapter with a key that must be found nowhere: not below the home, in logs, reports, events, replies or arguments,
//! although the other side repeats it in bodies and headers.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use serde_json::{Value, json};

use crate::cli_support::Stub;
use crate::support::cli::{Place, Printed, printed};
use crate::support::http_mock::{Answer, Mock, Seen};
use crate::support::mcp::{LEGACY, Mcp};

/// No form of a key, so that only its value gives it away, with characters that encodings change.
const KEY: &str = "canary/0123+4567=89xyz";
const ENCODED: &str = "canary%2F0123%2B4567%3D89xyz";
/// `user:canary/0123+4567=89xyz` in base64.
const BASIC: &str = "dXNlcjpjYW5hcnkvMDEyMys0NTY3PTg5eHl6";
/// What of the base64 forms any that begins elsewhere has in common with none: looked for beside the whole.
const TRACES: [&str; 4] = ["canary/0123", "canary%2F0123", "anary\\/0123", "jYW5hcnkvMDEyMys0NTY3"];

/// Everything that gives the key away.
fn echo() -> String {
    format!("you sent {KEY}, {ENCODED} and Basic {BASIC}")
}

fn leaks(text: &str) -> Vec<&str> {
    TRACES.iter().copied().filter(|trace| text.contains(trace)).collect()
}

/// Files below a directory that hold a trace of the key.
fn leaking_files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        if !leaks(&text).is_empty() {
            found.push(format!("{}: {:?}", entry.path().display(), leaks(&text)));
        }
    }
    found
}

/// An answer in the dialect of the path that was asked.
fn said(seen: &Seen, text: &str) -> Value {
    let path = seen.line.as_str();
    if path.contains("/chat/completions") {
        json!({"id": KEY, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
            "finish_reason": "stop"}], "usage": {"prompt_tokens": 12, "completion_tokens": 3}})
    } else if path.contains("/responses") {
        json!({"id": KEY, "model": "m", "status": "completed", "output": [{"type": "message", "role": "assistant",
            "content": [{"type": "output_text", "text": text}]}], "usage": {"input_tokens": 12, "output_tokens": 3}})
    } else if path.contains("/v1/messages") {
        json!({"id": KEY, "type": "message", "model": "m", "role": "assistant", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 12, "output_tokens": 3}})
    } else {
        json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 3}, "modelVersion": "m"})
    }
}

/// A service that repeats the key it was sent in every way there is.
fn parrot() -> Mock {
    Mock::new(|seen| {
        let asked = seen.body.to_string();
        let echo = echo();
        let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": echo, "status": echo,
            "code": echo, "param": echo, "details": [{"headers": seen.headers}]}, "request_id": echo});
        let answer = if asked.contains("ask-good") {
            Answer::json(200, &said(seen, &echo))
        } else if asked.contains("ask-json") {
            Answer::json(200, &said(seen, &json!({ "said": echo }).to_string()))
        } else if asked.contains("ask-odd") {
            Answer::text(200, &format!("{echo} <html>"))
        } else if asked.contains("ask-plain") {
            Answer::text(404, &echo)
        } else if asked.contains("ask-auth") {
            Answer::json(401, &error)
        } else {
            Answer::json(400, &error)
        };
        answer.header("x-request-id", KEY).header("request-id", KEY).header("x-echo", &echo)
    })
}

const SCRIPT: &str = "export const meta = { name: 'w', description: 'd' }
const schema = { type: 'object', properties: { said: { type: 'string' } }, required: ['said'] }
const ask = (prompt, more) => owf.agent('ask-' + prompt, { retry: { maxAttempts: 1 }, ...more }).then(r => r.ok ? r.value : r.error)
const all = []
all.push(await ask('good'), await ask('json', { schema }), await ask('odd'), await ask('plain'), await ask('bad'))
log(JSON.stringify(all))
return all
";

const AUTH: &str = "export const meta = { name: 'auth', description: 'd' }\nreturn await agent('ask-auth')\n";

/// Runs both scripts with a provider and looks at everything that can be seen of them.
fn everything(place: &Place, provider: &str, owf: &dyn Fn(&[&str]) -> Printed) {
    place.file("w.js", SCRIPT);
    place.file("auth.js", AUTH);
    let mut printed = Vec::new();
    let mut say = |args: &[&str]| {
        let said = owf(args);
        assert_ne!(said.code, 101, "{provider}: {args:?}: {said:?}");
        let text = format!("{}{}", said.out, said.err);
        printed.push((args.join(" "), text.clone()));
        text
    };
    let run = say(&["run", "w.js", "--provider", provider, "--json"]);
    assert!(run.contains("_KEY]"), "{provider}: nothing was repeated, so nothing is shown: {run}");
    for args in [
        &["run", "auth.js", "--provider", provider, "--events"][..],
        &["run", "w.js", "--provider", provider, "--detach", "--json"],
        &["wait", "--timeout", "60"],
        &["status", "--json"],
        &["events"],
        &["output"],
        &["calls", "--json"],
        &["cat", "1"],
        &["cat", "1", "--transcript"],
        &["cat", "5", "--error"],
        &["explain-cache", "--json"],
        &["report"],
        &["report", "--html"],
        &["export"],
        &["usage", "--by", "model"],
        &["providers", "--json"],
        &["doctor"],
        &["dry-run", "w.js", "--provider", provider, "--json"],
    ] {
        say(args);
    }
    for call in 1..=5 {
        say(&["calls", "latest", &call.to_string(), "--json"]);
    }
    for (command, text) in &printed {
        assert_eq!(leaks(text), [""; 0], "{provider}: owf {command}: {text}");
    }
    assert_eq!(leaking_files(place.path()), [""; 0], "{provider}");
}

#[test]
fn accept_047_no_service_gets_its_key_written_down() {
    let custom = ["openai", "openai-responses", "anthropic", "gemini"];
    for (provider, kind) in ["openai", "deepseek", "openrouter", "anthropic", "gemini"]
        .map(|name| (name, None))
        .into_iter()
        .chain(custom.map(|kind| ("custom", Some(kind))))
    {
        let (place, mock) = (Place::new(), parrot());
        let variable = match kind {
            None => format!("{}_API_KEY", provider.to_uppercase()),
            Some(_) => "OWN_SERVICE_KEY".to_owned(),
        };
        let path = if matches!(kind.unwrap_or(provider), "anthropic" | "gemini") { "" } else { "/v1" };
        let prefix = format!("OWF_PROVIDER_{}", provider.to_uppercase());
        let owf = |args: &[&str]| {
            let mut command = place.command(args);
            command.env(&variable, KEY).env(format!("{prefix}_BASE_URL"), mock.url(path)).env("OWF_LOG", "trace");
            if let Some(kind) = kind {
                command.env(format!("{prefix}_KIND"), kind).env(format!("{prefix}_API_KEY_ENV"), &variable);
                command.env(format!("{prefix}_MODEL"), "m");
            }
            printed(&command.output().unwrap())
        };
        everything(&place, provider, &owf);
        let sent = mock.seen();
        assert!(sent.len() >= 6, "{provider}: {}", sent.len());
        for seen in sent {
            assert!(!seen.line.contains("canary"), "{provider}: a key in an address: {}", seen.line);
            assert!(!seen.body.to_string().contains("canary"), "{provider}: a key in a body");
            assert!(seen.headers.values().any(|value| value.contains(KEY)), "{provider}: the key was not sent");
        }
    }
}

#[test]
fn accept_047_no_program_gets_its_key_written_down_or_as_an_argument() {
    let echo = echo();
    let claude = json!({"type": "result", "subtype": "success", "is_error": false, "api_error_status": null,
        "num_turns": 1, "result": echo, "stop_reason": "end_turn", "session_id": KEY, "total_cost_usd": 0.01,
        "usage": {"input_tokens": 10, "output_tokens": 7}, "structured_output": {"said": echo}});
    let codex = [
        json!({"type": "thread.started", "thread_id": KEY}),
        json!({"type": "item.completed", "item": {"id": "i", "type": "agent_message", "text": json!({"said": echo}).to_string()}}),
        json!({"type": "turn.completed", "usage": {"input_tokens": 1, "cached_input_tokens": 0, "output_tokens": 1}}),
    ];
    let opencode = [
        json!({"type": "text", "part": {"type": "text", "text": json!({"said": echo}).to_string()}}),
        json!({"type": "step_finish", "part": {"type": "step-finish", "cost": 0, "tokens": {"input": 1, "output": 1}}}),
    ];
    let gemini = json!({"session_id": KEY, "response": json!({"said": echo}).to_string(),
        "stats": {"models": {"gemini-3.5-flash": {"tokens": {"prompt": 5, "candidates": 2, "cached": 0, "thoughts": 0}}}}});
    // Its progress and its warnings are cut: not through the key.
    let qwen = json!([
        {"type": "system", "subtype": "init", "model": KEY, "qwen_code_version": KEY},
        {"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": format!("{}{KEY}", "x".repeat(85))}]}},
        {"type": "result", "subtype": "success", "is_error": false, "result": echo, "structured_output": {"said": echo},
         "usage": {"input_tokens": 2, "output_tokens": 3},
         "permission_denials": [{"tool_name": "edit", "tool_input": {"x": format!("{}{KEY}", "x".repeat(180))}}]}
    ]);
    let own = json!({"answer": json!({"said": echo}).to_string(), "model": KEY});
    let said: [(&str, &str, &str, &[Value]); 6] = [
        ("claude", "claude", "ANTHROPIC_API_KEY", std::slice::from_ref(&claude)),
        ("codex", "codex", "CODEX_API_KEY", &codex),
        ("opencode", "opencode", "OPENAI_API_KEY", &opencode),
        ("gemini-cli", "gemini", "GEMINI_API_KEY", std::slice::from_ref(&gemini)),
        ("qwen-code", "qwen", "OPENAI_API_KEY", std::slice::from_ref(&qwen)),
        ("mine", "mine", "OWN_PROGRAM_KEY", std::slice::from_ref(&own)),
    ];
    for (name, program, variable, events) in said {
        // It repeats the key on both streams, and fails for some prompts.
        let behave = format!(
            "echo '{echo}' >&2\nif grep -q ask-bad \"$dir/stdin\" || grep -q ask-auth \"$dir/stdin\"; then echo '{echo}'; exit 1; fi\n\
             cat \"$dir/events\"\nexit 0"
        );
        let stub = Stub::doing(program, "2.1.332", &behave).var(variable, KEY);
        stub.events(events);
        let place = Place::new();
        let table = "[providers.opencode]\napi_key_env = \"OPENAI_API_KEY\"\n[providers.mine]\nkind = \"cli\"\napi_key_env = \"OWN_PROGRAM_KEY\"\n[providers.mine.cli]\n\
                     program = \"mine\"\nkey_env = \"MINE_KEY\"\noutput = \"json\"\ntext = \"/answer\"\nmodel = \"/model\"\n";
        let providers = place.file("providers.toml", table);
        let owf = |args: &[&str]| {
            let mut command = stub.command(&place, args);
            command.env("OWF_PROVIDERS_FILE", &providers);
            printed(&command.env("OWF_LOG", "trace").output().unwrap())
        };
        everything(&place, name, &owf);
        let got = std::fs::read_to_string(stub.path().join("env")).unwrap();
        assert!(got.contains(KEY), "{name}: the key did not reach it, so nothing is shown");
        let argv = std::fs::read_to_string(stub.path().join("argv")).unwrap();
        assert_eq!(leaks(&argv), [""; 0], "{name}: {argv}");
    }
}

#[test]
fn accept_047_no_reply_to_a_client_holds_a_key() {
    let (place, mock) = (Place::new(), parrot());
    let mut command = place.command(&["mcp"]);
    command.env("OPENAI_API_KEY", KEY).env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
    let mut client = Mcp::open(&mut command, LEGACY, "test-client");
    let run = client.call("owf_run_workflow", json!({"script": SCRIPT, "provider": "openai", "wait_seconds": 60}));
    assert_eq!(run["status"], "done", "{run}");
    assert!(run["output"][0].as_str().unwrap().contains("[OPENAI_API_KEY]"), "{run}");
    let id = run["run_id"].clone();
    let auth = client.call("owf_run_workflow", json!({"script": AUTH, "provider": "openai", "wait_seconds": 60}));
    assert_eq!(auth["status_reason"], "provider_auth", "{auth}");
    let mut replies = vec![run, auth];
    for tool in ["owf_status", "owf_calls", "owf_output", "owf_explain_cache", "owf_artifacts"] {
        replies.push(client.call(tool, json!({ "run_id": id })));
    }
    replies.push(client.call("owf_report", json!({"run_id": id, "format": "markdown"})));
    for call in 1..=5 {
        replies.push(client.call("owf_calls", json!({"run_id": id, "call_id": call.to_string()})));
    }
    for resource in ["", "/output", "/report"] {
        let uri = format!("owf://runs/{}{resource}", id.as_str().unwrap());
        replies.push(client.request("resources/read", json!({ "uri": uri })));
    }
    for (tool, arguments) in [
        ("owf_wait", json!({"run_id": id, "wait_seconds": 0})),
        ("owf_list_runs", json!({})),
        ("owf_graph", json!({ "run_id": id })),
        ("owf_approvals", json!({})),
        ("owf_report", json!({"run_id": id, "format": "html"})),
        ("owf_dry_run", json!({"script": SCRIPT, "provider": "openai"})),
        ("owf_resume", json!({"run_id": id, "wait_seconds": 60})),
        ("owf_cancel", json!({ "run_id": id })),
    ] {
        replies.push(client.result(tool, arguments));
    }
    for path in ["calls/c0001/output.txt", "calls/c0005/error.json", "summary.md"] {
        replies.push(client.result("owf_read_artifact", json!({"run_id": id, "path": path})));
    }
    for reply in replies {
        assert_eq!(leaks(&reply.to_string()), [""; 0], "{reply}");
    }
    drop(client);
    assert_eq!(leaking_files(place.path()), [""; 0]);
}

/// A service of batches that repeats the key wherever it may say something.
fn batch_parrot() -> Mock {
    let looked = std::sync::atomic::AtomicBool::new(false);
    Mock::new(move |seen| {
        let echo = echo();
        let line = |id: &str, result: Value| json!({"custom_id": id, "result": result}).to_string();
        let message = |stop: &str| {
            json!({"type": "message", "model": echo, "stop_reason": stop,
            "content": [{"type": "text", "text": echo}], "usage": {"input_tokens": 1, "output_tokens": 1}})
        };
        let answer = match seen.line.as_str() {
            "POST /v1/messages/batches" => Answer::json(200, &json!({"id": "msgbatch_1", "processing_status": echo})),
            "GET /v1/messages/batches/msgbatch_1" => {
                // First a word that nobody knows.
                let word = if looked.swap(true, std::sync::atomic::Ordering::SeqCst) { "ended" } else { echo.as_str() };
                Answer::json(200, &json!({"id": "msgbatch_1", "processing_status": word}))
            }
            "GET /v1/messages/batches/msgbatch_1/results" => {
                let error = json!({"type": "error", "error": {"type": echo, "message": echo}});
                let lines = [
                    line("line-1", json!({"type": "succeeded", "message": message("end_turn")})),
                    line("line-2", json!({"type": "succeeded", "message": message(&echo)})),
                    line("line-3", json!({"type": "errored", "error": error})),
                ];
                Answer::text(200, &lines.join("\n"))
            }
            "POST /v1/files" => Answer::json(200, &json!({"id": "file-in"})),
            "POST /v1/batches" => Answer::json(200, &json!({"id": "batch_7", "status": "validating"})),
            "GET /v1/batches/batch_7" => Answer::json(
                200,
                &json!({"id": "batch_7", "status": "failed", "errors": {"data": [{"message": echo}]}}),
            ),
            "POST /v1/odd/batches" => Answer::json(200, &json!({"id": "batch_8", "status": "validating"})),
            _ => Answer::json(404, &json!({"error": {"message": echo, "type": echo}})),
        };
        answer.header("x-request-id", KEY)
    })
}

#[test]
fn accept_047_no_batch_gets_its_key_written_down() {
    let (place, mock) = (Place::new(), batch_parrot());
    place.file("prompts.jsonl", "\"One.\"\n\"Two.\"\n\"Three.\"\n");
    let mut printed_all = Vec::new();
    let mut owf = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("ANTHROPIC_API_KEY", KEY).env("OPENAI_API_KEY", KEY).env("OWF_LOG", "trace");
        command
            .env("OWF_PROVIDER_ANTHROPIC_BASE_URL", mock.url(""))
            .env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
        let said = printed(&command.output().unwrap());
        assert_ne!(said.code, 101, "{args:?}: {said:?}");
        let text = format!("{}{}", said.out, said.err);
        printed_all.push((args.join(" "), text.clone()));
        text
    };
    for provider in ["anthropic", "openai"] {
        owf(&["batch", "submit", "prompts.jsonl", "--provider", provider, "--json"]);
    }
    for id in ["msgbatch_1", "batch_7", "nothing"] {
        for args in [&["status", id][..], &["status", id, "--json"], &["fetch", id], &["fetch", id, "--json"]] {
            let said = owf(&[&["batch"], args].concat());
            assert!(id == "nothing" || !said.is_empty(), "{id}: {args:?}");
        }
    }
    let fetched = owf(&["batch", "fetch", "msgbatch_1"]);
    assert!(fetched.matches("[ANTHROPIC_API_KEY]").count() > 5, "nothing was repeated: {fetched}");
    owf(&["batch", "list", "--json"]);
    for (command, text) in &printed_all {
        assert_eq!(leaks(text), [""; 0], "owf {command}: {text}");
    }
    assert_eq!(leaking_files(place.path()), [""; 0]);
}

#[test]
fn what_looks_like_a_key_is_in_no_error_of_a_program_whoever_it_belongs_to() {
    let foreign = format!("sk-ant-{}", "canary".repeat(4));
    for (program, events) in [
        (
            "claude",
            json!({"type": "result", "subtype": "success", "is_error": true, "api_error_status": 400,
            "result": format!("bad key {foreign}")}),
        ),
        ("codex", json!({"type": "turn.failed", "error": {"message": format!("unexpected status 400: {foreign}")}})),
        (
            "opencode",
            json!({"type": "error", "error": {"name": "APIError", "data": {"message": foreign, "statusCode": 400}}}),
        ),
        ("opencode", json!({})),
    ] {
        let stub = Stub::doing(program, "2.1.332", &format!("cat \"$dir/events\"; echo 'it is {foreign}' >&2; exit 1"));
        stub.events(&[events]);
        let message = stub.failure().error.message;
        assert!(message.contains("[key removed]") && !message.contains("canary"), "{program}: {message}");
    }
}
