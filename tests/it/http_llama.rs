//! A real llama.cpp server with a random tiny model (`scripts/llama-server.py`): opt-in by `OWF_TEST_LLAMA_URL`.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::environment::Environment;
use owf::core::outcome::ErrorClass;
use owf::providers::schema::{compile, read_answer};
use owf::providers::{Entry, ReplyAnswer};
use serde_json::json;

use crate::support::cli::{Place, printed};
use crate::support::http_ask::{ask, at, prompt, provider_in, structured};

/// The address of the server; none = these tests have nothing to say.
fn server() -> Option<String> {
    std::env::var("OWF_TEST_LLAMA_URL").ok().filter(|url| !url.is_empty())
}

fn entry(url: String, kind: &str) -> Entry {
    Entry { kind: Some(kind.to_owned()), default_model: Some("tiny".into()), ..at(url) }
}

#[test]
fn a_real_server_answers_in_three_dialects() {
    let Some(url) = server() else { return };
    let root = url.trim_end_matches("/v1").to_owned();
    for (kind, base) in [("openai", url.clone()), ("openai-responses", url.clone()), ("anthropic", root)] {
        let reply = ask(&provider_in(Environment::default(), "llama", entry(base, kind)), &prompt("Say hello"));
        let reply = reply.unwrap_or_else(|failed| panic!("{kind}: {:?}", failed.error));
        assert!(matches!(reply.answer, ReplyAnswer::Text(_)), "{kind}: {reply:?}");
        let read = reply.usage.input_tokens + reply.usage.cache_read_tokens;
        assert!(read > 10 && reply.usage.output_tokens > 0, "{kind}: {:?}", reply.usage);
    }
}

#[test]
fn a_real_server_samples_by_the_schema() {
    let Some(url) = server() else { return };
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

#[test]
fn a_real_server_ignores_the_schema_in_other_dialects_and_calls_no_tool() {
    let Some(url) = server() else { return };
    let schema = json!({"type": "object", "properties": {"m": {"type": "object",
        "additionalProperties": {"type": "number"}}}, "required": ["m"]});
    let root = url.trim_end_matches("/v1").to_owned();
    let reply =
        ask(&provider_in(Environment::default(), "llama", entry(root, "anthropic")), &structured("Answer", &schema))
            .unwrap();
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("forced_tool"));
    let called = matches!(reply.answer, ReplyAnswer::Json(_));
    let warned = reply.provenance.warnings == ["the tool that takes the answer was not called"];
    assert!(called != warned, "{reply:?}");
}

#[test]
fn a_real_server_refuses_a_prompt_that_is_too_long() {
    let Some(url) = server() else { return };
    let failed =
        ask(&provider_in(Environment::default(), "llama", entry(url, "openai")), &prompt(&"x ".repeat(70_000)))
            .unwrap_err();
    assert_eq!(failed.error.class, ErrorClass::ContextTooLong, "{:?}", failed.error);
}

#[test]
fn a_whole_workflow_goes_through_a_real_server() {
    let Some(url) = server() else { return };
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
    // Grammars do not know `uniqueItems`: an answer may break it twice, which is a gap and no more.
    assert!(view["calls"]["done"].as_u64().or(view["counts"]["done"].as_u64()).unwrap_or(0) >= 1, "{view}");
    assert!(!view["output"]["rows"].as_array().unwrap().is_empty(), "{view}");
}
