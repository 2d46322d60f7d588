//! The dialect of Gemini's `generateContent`.

use serde_json::{Map, Value, json};

use super::wire::{Asked, Fault, Finish, Held, Said, ToolCall, Turn, Unread, count, fault};
use crate::providers::ToolSpec;
use crate::providers::prices::TokenUse;

pub(super) fn body(asked: &Asked<'_>) -> Value {
    let contents: Vec<Value> = asked
        .turns
        .iter()
        .map(|turn| match turn {
            Turn::User(text) => json!({"role": "user", "parts": [{"text": text}]}),
            Turn::Assistant(text) => json!({"role": "model", "parts": [{"text": text}]}),
            // Whole, thought signatures included: without them the service refuses the results.
            Turn::Raw(content) => content.clone(),
            Turn::Results(results) => {
                let parts: Vec<Value> = results
                    .iter()
                    .map(|result| {
                        let response = match &result.content {
                            Ok(text) => json!({"result": text}),
                            Err(why) => json!({"error": why}),
                        };
                        let mut answer = json!({"name": result.name, "response": response});
                        if !result.id.is_empty() {
                            answer["id"] = result.id.clone().into();
                        }
                        json!({"functionResponse": answer})
                    })
                    .collect();
                json!({"role": "user", "parts": parts})
            }
        })
        .collect();
    let mut body = Map::new();
    body.insert("contents".into(), contents.into());
    if let Some(system) = asked.system {
        body.insert("systemInstruction".into(), json!({"parts": [{"text": system}]}));
    }
    let mut declared: Vec<Value> = asked.tools.iter().map(declaration).collect();
    let mut generation = Map::new();
    match asked.held {
        Held::Free => {}
        Held::Json => drop(generation.insert("responseMimeType".into(), "application/json".into())),
        Held::Schema { schema, .. } => {
            generation.insert("responseMimeType".into(), "application/json".into());
            generation.insert("responseJsonSchema".into(), schema.clone());
        }
        Held::Tool { tool } => {
            let mut choice = json!({"mode": "ANY"});
            if declared.is_empty() {
                choice["allowedFunctionNames"] = json!([tool.name]);
            }
            declared.push(declaration(tool));
            body.insert("toolConfig".into(), json!({"functionCallingConfig": choice}));
        }
    }
    if !declared.is_empty() {
        body.insert("tools".into(), json!([{"functionDeclarations": declared}]));
    }
    if let Some(most) = asked.max_output {
        generation.insert("maxOutputTokens".into(), most.into());
    }
    if let Some(effort) = asked.effort {
        let level = if effort == "low" || effort == "medium" { effort } else { "high" };
        generation.insert("thinkingConfig".into(), json!({"thinkingLevel": level}));
    }
    if !generation.is_empty() {
        body.insert("generationConfig".into(), Value::Object(generation));
    }
    Value::Object(body)
}

fn declaration(spec: &ToolSpec) -> Value {
    json!({"name": spec.name, "description": spec.description, "parametersJsonSchema": spec.parameters})
}

pub(super) fn read(body: &Value) -> Result<Said, Unread> {
    if let Some(fault) = fault(body) {
        return Err(Unread::Fault(fault));
    }
    let prompt = count(body, "/usageMetadata/promptTokenCount") + count(body, "/usageMetadata/toolUsePromptTokenCount");
    let cached = count(body, "/usageMetadata/cachedContentTokenCount");
    let thoughts = count(body, "/usageMetadata/thoughtsTokenCount");
    let used = TokenUse {
        input: prompt.saturating_sub(cached),
        cache_read: cached,
        cache_write_5m: 0,
        cache_write_1h: 0,
        // Here what was thought is counted apart from what was said.
        output: count(body, "/usageMetadata/candidatesTokenCount") + thoughts,
        reasoning: thoughts,
    };
    let model = body.get("modelVersion").and_then(Value::as_str).map(str::to_owned);
    let mut said = Said {
        text: String::new(),
        calls: Vec::new(),
        finish: Finish::Done,
        raw: Value::Null,
        used,
        cost_nanos: None,
        model,
    };
    if let Some(why) = body.pointer("/promptFeedback/blockReason").and_then(Value::as_str) {
        said.finish = Finish::Refused(why.to_owned());
        return Ok(said);
    }
    let candidate = body.pointer("/candidates/0").ok_or(Unread::Shape("candidates"))?;
    let word = candidate.get("finishReason").and_then(Value::as_str);
    said.finish = match word {
        None | Some("STOP" | "FINISH_REASON_UNSPECIFIED") => Finish::Done,
        Some("MAX_TOKENS") => Finish::Length,
        Some("MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" | "MALFORMED_RESPONSE") => {
            Finish::Malformed(word.unwrap_or_default().to_owned())
        }
        Some(
            why @ ("SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "MODEL_ARMOR"),
        ) => Finish::Refused(why.to_owned()),
        Some(other) => Finish::Other(other.to_owned()),
    };
    let parts = candidate.pointer("/content/parts").and_then(Value::as_array).cloned().unwrap_or_default();
    for part in &parts {
        if part.get("thought") == Some(&Value::Bool(true)) {
            continue;
        }
        said.text.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default());
        if let Some(call) = part.get("functionCall") {
            said.calls.push(ToolCall {
                id: call.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
                name: call.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
                arguments: Ok(call.get("args").cloned().unwrap_or_else(|| json!({}))),
            });
        }
    }
    if parts.is_empty() && said.finish == Finish::Done {
        let fault = Fault { message: "an answer without content".to_owned(), ..Fault::default() };
        return Err(Unread::Fault(fault));
    }
    said.raw = json!({"role": "model", "parts": parts});
    Ok(said)
}
