//! The four dialects: who speaks them in tests, and what an answer looks like in each.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use owf::providers::{Entry, Provider};
use serde_json::{Value, json};

use super::http_ask::{at, provider};
use super::http_mock::Mock;

/// The four dialects: a provider's name, the path below the mock that is its base, kind.
pub(crate) const DIALECTS: [(&str, &str, Option<&str>); 4] =
    [("openai", "/v1", None), ("mine", "/v1", Some("openai-responses")), ("anthropic", "", None), ("gemini", "", None)];

/// The entry of a dialect's provider, whose address is this mock.
pub(crate) fn entry(mock: &Mock, path: &str, kind: Option<&str>) -> Entry {
    Entry {
        kind: kind.map(str::to_owned),
        api_key_env: kind.map(|_| "OPENAI_API_KEY".to_owned()),
        default_model: Some("m-1".to_owned()),
        ..at(mock.url(path))
    }
}

/// The provider of a dialect over this mock.
pub(crate) fn of(name: &str, mock: &Mock) -> Arc<dyn Provider> {
    let (name, path, kind) = DIALECTS.into_iter().find(|dialect| dialect.0 == name).unwrap();
    provider(name, entry(mock, path, kind))
}

/// The answer of a dialect: it thinks, and says a text.
pub(crate) fn said(name: &str, text: &str) -> Value {
    match name {
        "mine" => json!({"status": "completed", "model": "m-1", "output": [{"type": "reasoning", "summary": []},
            {"type": "message", "content": [{"type": "output_text", "text": text}]}],
            "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
                "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 5}}}),
        "anthropic" => json!({"type": "message", "model": "m-1", "content": [{"type": "thinking", "thinking": "hm",
            "signature": "s"}, {"type": "text", "text": text}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10,
                "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 4}, "output_tokens": 20}}),
        "gemini" => json!({"modelVersion": "m-1", "candidates": [{"content": {"role": "model", "parts": [
            {"text": "hm", "thought": true}, {"text": text}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 15,
                "thoughtsTokenCount": 5}}),
        _ => {
            json!({"model": "m-1", "choices": [{"message": {"role": "assistant", "reasoning_content": "hm", "content": text},
            "finish_reason": "stop"}], "usage": {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60,
                "cache_write_tokens": 10}, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 5}}})
        }
    }
}
