//! The dialect of Anthropic's `messages`.

use serde_json::{Map, Value, json};

use super::wire::{Asked, Finish, Held, Said, ToolCall, Turn, Unread, count, fault};
use crate::providers::ToolSpec;
use crate::providers::prices::TokenUse;

/// The most tokens of an answer when nobody says: the dialect must have a number, and above about 21,000 the service wants a
/// stream.
const MAX_TOKENS: u64 = 16_000;

pub(super) fn body(asked: &Asked<'_>) -> Value {
    let messages: Vec<Value> = asked
        .turns
        .iter()
        .map(|turn| match turn {
            Turn::User(text) => json!({"role": "user", "content": text}),
            Turn::Assistant(text) => json!({"role": "assistant", "content": text}),
            Turn::Raw(content) => json!({"role": "assistant", "content": content}),
            Turn::Results(results) => {
                let blocks: Vec<Value> = results
                    .iter()
                    .map(|result| {
                        let (Ok(text) | Err(text)) = &result.content;
                        let mut block = json!({"type": "tool_result", "tool_use_id": result.id, "content": text});
                        if result.content.is_err() {
                            block["is_error"] = true.into();
                        }
                        block
                    })
                    .collect();
                json!({"role": "user", "content": blocks})
            }
        })
        .collect();
    let mut body = Map::new();
    body.insert("model".into(), asked.model.into());
    body.insert("max_tokens".into(), asked.max_output.unwrap_or(MAX_TOKENS).into());
    body.insert("messages".into(), messages.into());
    if let Some(system) = asked.system {
        body.insert("system".into(), system.into());
    }
    let mut tools: Vec<Value> = asked.tools.iter().map(tool).collect();
    let mut output = Map::new();
    match asked.held {
        Held::Free | Held::Json => {}
        Held::Schema { schema, .. } => {
            output.insert("format".into(), json!({"type": "json_schema", "schema": schema}));
        }
        Held::Tool { tool: answer } => {
            let choice =
                if tools.is_empty() { json!({"type": "tool", "name": answer.name}) } else { json!({"type": "any"}) };
            tools.push(tool(answer));
            body.insert("tool_choice".into(), choice);
        }
    }
    if let Some(effort) = asked.effort {
        output.insert("effort".into(), effort.into());
    }
    if !output.is_empty() {
        body.insert("output_config".into(), Value::Object(output));
    }
    if !tools.is_empty() {
        body.insert("tools".into(), tools.into());
    }
    Value::Object(body)
}

fn tool(spec: &ToolSpec) -> Value {
    json!({"name": spec.name, "description": spec.description, "input_schema": spec.parameters})
}

pub(super) fn read(body: &Value) -> Result<Said, Unread> {
    if let Some(fault) = fault(body) {
        return Err(Unread::Fault(fault));
    }
    let content = body.get("content").and_then(Value::as_array).ok_or(Unread::Shape("content"))?;
    let texts = content.iter().filter(|block| block["type"] == "text").filter_map(|block| block["text"].as_str());
    let calls = content.iter().filter(|block| block["type"] == "tool_use").map(|block| ToolCall {
        id: block["id"].as_str().unwrap_or_default().to_owned(),
        name: block["name"].as_str().unwrap_or_default().to_owned(),
        arguments: Ok(block.get("input").cloned().unwrap_or_else(|| json!({}))),
    });
    let finish = match body.get("stop_reason").and_then(Value::as_str) {
        None | Some("end_turn" | "stop_sequence" | "tool_use") => Finish::Done,
        Some("max_tokens") => Finish::Length,
        Some("pause_turn") => Finish::Paused,
        Some("refusal") => Finish::Refused("refusal".to_owned()),
        Some("model_context_window_exceeded") => Finish::ContextFull,
        Some(other) => Finish::Other(other.to_owned()),
    };
    let written = count(body, "/usage/cache_creation_input_tokens");
    let for_an_hour = count(body, "/usage/cache_creation/ephemeral_1h_input_tokens");
    let used = TokenUse {
        // Here the prompt's tokens do not include what the cache had a part in.
        input: count(body, "/usage/input_tokens"),
        cache_read: count(body, "/usage/cache_read_input_tokens"),
        cache_write_5m: written.saturating_sub(for_an_hour),
        cache_write_1h: for_an_hour,
        output: count(body, "/usage/output_tokens"),
        reasoning: count(body, "/usage/output_tokens_details/thinking_tokens"),
    };
    Ok(Said {
        text: texts.collect(),
        calls: calls.collect(),
        finish,
        raw: Value::Array(content.clone()),
        used,
        cost_nanos: None,
        model: body.get("model").and_then(Value::as_str).map(str::to_owned),
    })
}

/// Whether a model takes `output_config.format`: those of Claude 4.5 and later, and those whose name does not tell.
pub(super) fn takes_schema(model: &str) -> bool {
    let model = model.to_lowercase();
    let Some(rest) = model.rsplit('/').next().and_then(|name| name.strip_prefix("claude")) else { return true };
    // Dates and the like are no versions.
    let mut numbers = rest.split(['-', '.', '@']).filter_map(|part| part.parse::<u32>().ok()).filter(|n| *n < 100);
    let Some(major) = numbers.next() else { return true };
    (major, numbers.next().unwrap_or(0)) >= (4, 5) || major > 4
}

#[cfg(test)]
mod tests {
    use super::takes_schema;

    #[test]
    fn claude_4_5_and_later_take_a_schema() {
        for (model, takes) in [
            ("claude-sonnet-4-6", true),
            ("claude-haiku-4-5-20251001", true),
            ("claude-opus-4-1-20250805", false),
            ("claude-sonnet-4-20250514", false),
            ("claude-3-5-sonnet-latest", false),
            ("claude-sonnet-5", true),
            ("anthropic/claude-opus-4.8", true),
            ("some-model", true),
        ] {
            assert_eq!(takes_schema(model), takes, "{model}");
        }
    }
}
