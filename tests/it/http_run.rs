//! Services as providers of whole runs: the real binary against a service on the loopback interface.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, printed};
use crate::support::http_mock::{Answer, Mock};

const KEY: &str = "sk-canary-0123456789abcdef";

/// An answer of the chat dialect.
fn chat(text: &str) -> Value {
    json!({"id": "c1", "model": "gpt-5.4-mini", "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
        "finish_reason": "stop"}], "usage": {"prompt_tokens": 12, "completion_tokens": 3}})
}

/// Runs `owf` with provider openai at the mock.
fn owf(place: &Place, mock: &Mock, args: &[&str]) -> Printed {
    let output = place
        .command(args)
        .env("OPENAI_API_KEY", KEY)
        .env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"))
        .output()
        .unwrap();
    printed(&output)
}

#[test]
fn a_plain_call_goes_through_a_service() {
    let place = Place::new();
    place.file("w.js", "export const meta = {name: 'w', description: 'd'}\nreturn await agent('Say hello')\n");
    let mock = Mock::of(vec![Answer::json(200, &chat("hello there"))]);
    let run = owf(&place, &mock, &["run", "w.js", "--provider", "openai", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let view = run.json();
    assert_eq!(view["output"], "hello there", "{view}");
    let seen = mock.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /v1/chat/completions");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(
        seen[0].body,
        json!({"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Say hello"}], "stream": true,
            "stream_options": {"include_usage": true}})
    );
    let calls = owf(&place, &mock, &["calls", "latest", "1", "--json"]).json();
    assert_eq!(calls["call"]["provider"], "openai", "{calls}");
    assert_eq!(calls["call"]["model"], "gpt-5.4-mini");
}
