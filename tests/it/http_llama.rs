//! llama.cpp: a stand-in that behaves as it does, and a real one with a random tiny model (`scripts/llama-server.py`) where
//! `OWF_TEST_LLAMA_URL` names it.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::environment::Environment;
use owf::core::outcome::ErrorClass;
use owf::providers::schema::{compile, read_answer};
use owf::providers::{Entry, ReplyAnswer};
use serde_json::{Value, json};

use crate::support::cli::{Place, printed};
use crate::support::http_ask::{ask, at, prompt, provider_in, structured};
use crate::support::http_mock::{Answer, Mock, Seen};

/// A server: the real one, or one that behaves as it does.
struct Server {
    url: String,
    /// Kept as long as it is asked.
    mock: Option<Mock>,
}

/// What is tested: always the stand-in, and the real server where its address is given. That it is left out is said.
#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn servers() -> Vec<Server> {
    let mock = Mock::new(llama);
    let mut all = vec![Server { url: mock.url("/v1"), mock: Some(mock) }];
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match var("OWF_TEST_LLAMA_URL") {
        Some(url) => all.push(Server { url, mock: None }),
        None => {
            assert!(var("OWF_REQUIRE_LLAMA").is_none(), "OWF_REQUIRE_LLAMA is set, and OWF_TEST_LLAMA_URL is not");
            eprintln!("left out: OWF_TEST_LLAMA_URL names no llama.cpp server");
        }
    }
    all
}

/// How llama.cpp behaves: its chat endpoint samples by a schema, the others ignore one, tools are never called, and a prompt that
/// does not fit is refused.
fn llama(seen: &Seen) -> Answer {
    if seen.raw.len() > 100_000 {
        let error = json!({"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 70_000, "n_ctx": 16_384,
            "message": "the request exceeds the available context size, try increasing it"});
        return Answer::json(400, &json!({"error": error}));
    }
    let schema = &seen.body["response_format"]["json_schema"]["schema"];
    let text = if schema.is_object() { sample(schema).to_string() } else { "th he hehe".to_owned() };
    let body = if seen.line.ends_with("/responses") {
        json!({"status": "completed", "model": "tiny", "output": [{"type": "message", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}],
            "usage": {"input_tokens": 24, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 20}}})
    } else if seen.line.ends_with("/messages") {
        json!({"type": "message", "model": "tiny", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "cache_read_input_tokens": 20, "output_tokens": 9}})
    } else {
        json!({"model": "tiny", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant",
            "content": text}}], "usage": {"prompt_tokens": 24, "completion_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 20}}})
    };
    Answer::json(200, &body)
}

/// Something that fits a schema of these tests.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0).or_else(|| schema.get("const")) {
        return first.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            Value::Object(fields.map(|(name, field)| (name.clone(), sample(field))).collect())
        }
        Some("array") => {
            (0..schema["minItems"].as_u64().unwrap_or(1).max(1)).map(|_| sample(&schema["items"])).collect()
        }
        Some("string") if schema.get("pattern").is_some() => json!("AB-123"),
        Some("string") => json!("he"),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        _ => schema["anyOf"].get(0).map_or(Value::Null, sample),
    }
}

fn entry(url: String, kind: &str) -> Entry {
    Entry { kind: Some(kind.to_owned()), default_model: Some("tiny".into()), ..at(url) }
}

#[test]
fn llama_cpp_answers_in_three_dialects() {
    for Server { url, mock } in &servers() {
        let url = url.clone();
        let root = url.trim_end_matches("/v1").to_owned();
        for (kind, base) in [("openai", url.clone()), ("openai-responses", url.clone()), ("anthropic", root)] {
            let reply = ask(&provider_in(Environment::default(), "llama", entry(base, kind)), &prompt("Say hello"));
            let reply = reply.unwrap_or_else(|failed| panic!("{kind}: {:?}", failed.error));
            assert!(matches!(reply.answer, ReplyAnswer::Text(_)), "{kind}: {reply:?}");
            let read = reply.usage.input_tokens + reply.usage.cache_read_tokens;
            // A real one leaves out the event that counts the prompt when its first token is half a character.
            assert!((read > 10 || reply.usage_unknown) && reply.usage.output_tokens > 0, "{kind}: {reply:?}");
            assert!(mock.is_none() || !reply.usage_unknown, "{kind}: {reply:?}");
        }
    }
}

#[test]
fn llama_cpp_samples_by_the_schema() {
    for Server { url, .. } in &servers() {
        let url = url.clone();
        let schema = json!({"type": "object", "properties": {
            "word": {"type": "string", "enum": ["red", "green"]},
            "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
            "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
            "maybe": {"type": "integer"}}, "required": ["word", "code", "list"]});
        let compiled = compile(&schema).unwrap();
        let llama = provider_in(Environment::default(), "llama", entry(url, "openai"));
        for n in 0..3 {
            let reply = ask(&llama, &structured(&format!("Answer {n}"), &schema)).unwrap();
            assert_eq!(reply.provenance.schema_mode.as_deref(), Some("native_strict"));
            let value = match reply.answer {
                ReplyAnswer::Json(value) => value,
                ReplyAnswer::Text(text) => read_answer(&text).unwrap(),
                ReplyAnswer::Both { .. } | ReplyAnswer::Missing => panic!("no answer"),
            };
            assert_eq!(compiled.check(value.clone()).unwrap_or_else(|errors| panic!("{value}: {errors:?}")), value);
        }
    }
}

#[test]
fn llama_cpp_ignores_the_schema_in_other_dialects_and_calls_no_tool() {
    for Server { url, .. } in &servers() {
        let url = url.clone();
        let schema = json!({"type": "object", "properties": {"m": {"type": "object",
            "additionalProperties": {"type": "number"}}}, "required": ["m"]});
        let root = url.trim_end_matches("/v1").to_owned();
        let reply = ask(
            &provider_in(Environment::default(), "llama", entry(root, "anthropic")),
            &structured("Answer", &schema),
        )
        .unwrap();
        assert_eq!(reply.provenance.schema_mode.as_deref(), Some("forced_tool"));
        let called = matches!(reply.answer, ReplyAnswer::Json(_));
        let warned = reply.provenance.warnings == ["the tool that takes the answer was not called"];
        assert!(called != warned, "{reply:?}");
    }
}

#[test]
fn llama_cpp_refuses_a_prompt_that_is_too_long() {
    for Server { url, .. } in &servers() {
        let url = url.clone();
        let failed =
            ask(&provider_in(Environment::default(), "llama", entry(url, "openai")), &prompt(&"x ".repeat(70_000)))
                .unwrap_err();
        assert_eq!(failed.error.class, ErrorClass::ContextTooLong, "{:?}", failed.error);
    }
}

#[test]
fn a_whole_workflow_goes_through_llama_cpp() {
    for Server { url, mock } in &servers() {
        let url = url.clone();
        let place = Place::new();
        let output = place
            .command(&["run", "extract", "--provider", "llama", "--json"])
            .env("OWF_PROVIDER_LLAMA_BASE_URL", url)
            .env("OWF_PROVIDER_LLAMA_KIND", "openai")
            .env("OWF_PROVIDER_LLAMA_MODEL", "tiny")
            .env("OWF_PROVIDER_LLAMA_CONCURRENCY", "2")
            .output()
            .unwrap();
        let run = printed(&output);
        let view = run.json();
        assert_eq!(view["status"], "done", "{run:?}");
        // Grammars do not know all of a schema: of random weights an answer may miss its bounds twice, and nothing else fails.
        let gaps = view["gaps"].as_array().cloned().unwrap_or_default();
        assert!(gaps.iter().all(|gap| gap["status"] == "schema_failed"), "{view}");
        assert_eq!(view["output"]["rows"].as_array().unwrap().len() + gaps.len(), 3, "{view}");
        if mock.is_some() {
            assert_eq!((view["counts"]["done"].as_u64(), gaps.len()), (Some(6), 0), "{view}");
        }
    }
}
