//! The full result object of `owf.agent()`, as JSON.

use serde_json::{Value, json};

use crate::core::outcome::{CallStatus, Outcome};

/// The result object of an outcome. Computed from the outcome and the place of its home alone, so that a replay gives the same
/// object.
pub(super) fn full(outcome: &Outcome, worktrees: &str) -> String {
    let worktree = outcome.worktree.as_ref();
    let text = outcome.text.clone().or_else(|| match &outcome.value {
        None => (outcome.status == CallStatus::Done).then(String::new),
        Some(Value::String(text)) => Some(text.clone()),
        Some(value) => Some(value.to_string()),
    });
    let error = outcome.error.as_ref().map(|error| {
        let mut object = json!({"class": error.class.as_str(), "message": error.message});
        if let Some(hint) = &error.hint {
            object["hint"] = json!(hint);
        }
        if let Some(name) = &error.throws {
            object["name"] = json!(name);
        }
        if !error.schema_errors.is_empty() {
            object["schemaErrors"] = json!(error.schema_errors);
        }
        if let Some(ms) = error.retry_after_ms {
            object["retryAfterMs"] = json!(ms);
        }
        object
    });
    let mut object = json!({
        "ok": outcome.status == CallStatus::Done,
        "status": outcome.status.as_str(),
        "text": text,
        "value": outcome.value,
        "error": error,
        "callId": outcome.call_id.to_string(),
        "cacheStatus": outcome.cache.status.as_str(),
        "usage": {
            "inputTokens": outcome.usage.input_tokens,
            "outputTokens": outcome.usage.output_tokens,
            "cacheReadTokens": outcome.usage.cache_read_tokens,
            "cacheWriteTokens": outcome.usage.cache_write_tokens,
        },
        "costUsd": outcome.cost_nanos.map(|nanos| nanos as f64 / 1e9),
        "provider": outcome.provider,
        "model": outcome.model,
        "attempts": outcome.attempts,
        "worktreePath": worktree.map(|note| std::path::Path::new(worktrees).join(&note.path)),
        "worktreeBranch": worktree.map(|note| &note.branch),
        "changedFiles": outcome.changed_files,
        "artifacts": [],
    });
    if outcome.simulated {
        object["simulated"] = json!(true);
    }
    object.to_string()
}

/// The result object of something that never was a call, to be filled in by the prelude.
pub(super) fn empty() -> String {
    json!({
        "ok": false,
        "status": "failed",
        "text": null,
        "value": null,
        "error": null,
        "callId": null,
        "cacheStatus": null,
        "usage": {"inputTokens": 0, "outputTokens": 0, "cacheReadTokens": 0, "cacheWriteTokens": 0},
        "costUsd": null,
        "provider": null,
        "model": null,
        "attempts": 0,
        "worktreePath": null,
        "worktreeBranch": null,
        "changedFiles": [],
        "artifacts": [],
    })
    .to_string()
}
