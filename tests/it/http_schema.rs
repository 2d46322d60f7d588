//! The structured-output table, one test for each of its rows: how services are held to a schema, and how they come down.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::outcome::SchemaError;
use owf::providers::{Entry, Feedback, ReplyAnswer};
use serde_json::{Value, json};

use crate::support::http_ask::{ask, at, error, provider, structured};
use crate::support::http_mock::{Answer, Mock};

fn chat(text: &str) -> Value {
    json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]})
}

fn map() -> Value {
    json!({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "number"}}},
        "required": ["m"]})
}

/// The way a request was held to its schema, as its body shows.
fn held(body: &Value) -> String {
    let format = &body["response_format"];
    if let Some(strict) = format.pointer("/json_schema/strict") {
        return format!("json_schema strict {strict}");
    }
    if body.get("tool_choice").is_some() {
        return "tool".to_owned();
    }
    format["type"].as_str().unwrap_or("nothing").to_owned()
}

#[test]
fn a_400_that_mentions_the_schema_steps_down_and_is_remembered() {
    let no = |what: &str| {
        Answer::json(400, &json!({"error": {"message": format!("Invalid {what}"), "type": "invalid_request_error"}}))
    };
    let mock = Mock::new(move |seen| match held(&seen.body).as_str() {
        "json_schema strict true" => no("schema for response_format"),
        "json_schema strict false" => no("parameter: 'response_format' of type 'json_schema' is not supported"),
        "tool" => no("tool_choice"),
        _ => Answer::json(200, &chat("{\"a\": \"x\"}")),
    });
    let openai = provider("openai", at(mock.url("/ladder")));
    let mut request = structured("p", &schema());
    request.model = Some("old-1".into());
    let reply = ask(&openai, &request).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Text("{\"a\": \"x\"}".into()));
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("json_object"));
    assert!(ask(&openai, &request).is_ok());
    let ways: Vec<String> = mock.seen().iter().map(|seen| held(&seen.body)).collect();
    let asked = ["json_schema strict true", "json_schema strict false", "tool", "json_object", "json_object"];
    assert_eq!(ways, asked);
    // Another schema starts at the top: what is wrong with one says nothing about the next.
    let mut other = structured("p", &json!({"type": "object", "properties": {"a": {"type": "string"}}}));
    other.model = Some("old-1".into());
    assert!(ask(&openai, &other).is_ok());
    assert_eq!(held(&mock.seen()[5].body), "json_schema strict true");
    let before = mock.seen().len();
    // So does another model of the same service.
    request.model = Some("new-1".into());
    assert!(ask(&openai, &request).is_ok());
    assert_eq!(held(&mock.seen()[before].body), "json_schema strict true");
}

#[test]
fn a_400_about_something_else_does_not_step_down() {
    let no = json!({"error": {"message": "temperature is out of range", "type": "invalid_request_error"}});
    let mock = Mock::of(vec![Answer::json(400, &no)]);
    let got = error(&provider("openai", at(mock.url("/other"))), &structured("p", &schema()));
    assert_eq!(got.message, "openai answered 400: invalid_request_error: temperature is out of range");
    assert_eq!(mock.seen().len(), 1);
}

#[test]
fn nulls_of_optional_fields_are_dropped_from_a_strict_answer() {
    let mock = Mock::of(vec![Answer::json(200, &chat("{\"a\": \"x\", \"b\": null}"))]);
    let reply = ask(&provider("openai", at(mock.url(""))), &structured("p", &schema())).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"a": "x"})));
    let sent = &mock.seen()[0].body["response_format"]["json_schema"];
    assert_eq!(sent["schema"]["properties"]["b"], json!({"type": ["integer", "null"]}));
    assert_eq!(sent["schema"]["required"], json!(["a", "b"]));
}

#[test]
fn a_map_is_sent_as_it_is_and_not_strictly() {
    let mock = Mock::of(vec![Answer::json(200, &chat("{\"m\": {}}"))]);
    let reply = ask(&provider("openai", at(mock.url(""))), &structured("p", &map())).unwrap();
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("native"));
    let sent = &mock.seen()[0].body["response_format"]["json_schema"];
    assert_eq!((&sent["strict"], &sent["schema"]), (&json!(false), &map()));
}

#[test]
fn anthropic_takes_maps_and_old_models_by_a_forced_tool() {
    let answer = json!({"content": [{"type": "tool_use", "id": "t1", "name": "give_answer", "input": {"m": {"k": 1}}}],
        "stop_reason": "tool_use"});
    let mock = Mock::of(vec![Answer::json(200, &answer)]);
    let anthropic = provider("anthropic", at(mock.url("")));
    let reply = ask(&anthropic, &structured("p", &map())).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"m": {"k": 1}})));
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("forced_tool"));
    let sent = mock.seen()[0].body.clone();
    assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "give_answer"}));
    assert_eq!(sent["tools"][0]["input_schema"], map());
    assert_eq!(sent.get("output_config"), None);
    let mut old = structured("p", &schema());
    old.model = Some("claude-3-5-haiku-20241022".into());
    assert_eq!(ask(&anthropic, &old).unwrap().provenance.schema_mode.as_deref(), Some("forced_tool"));
}

#[test]
fn a_forced_tool_that_is_not_called_is_said() {
    let mock = Mock::of(vec![Answer::json(
        200,
        &json!({"content": [{"type": "text", "text": "I would rather talk"}],
        "stop_reason": "end_turn"}),
    )]);
    let reply = ask(&provider("anthropic", at(mock.url(""))), &structured("p", &map())).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Text("I would rather talk".into()));
    assert_eq!(reply.provenance.warnings, ["the tool that takes the answer was not called"]);
}

#[test]
fn gemini_steps_down_to_a_function_it_must_call() {
    let no = json!({"error": {"code": 400, "message": "Invalid value at 'generation_config.response_json_schema'", "status": "INVALID_ARGUMENT"}});
    let answer = json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "give_answer", "args": {"a": "x"}}}]},
        "finishReason": "STOP"}]});
    let mock = Mock::of(vec![Answer::json(400, &no), Answer::json(200, &answer)]);
    let reply = ask(&provider("gemini", at(mock.url(""))), &structured("p", &schema())).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"a": "x"})));
    let sent = mock.seen()[1].body.clone();
    assert_eq!(
        sent["toolConfig"],
        json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["give_answer"]}})
    );
    assert_eq!(sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"], schema());
}

#[test]
fn deepseek_is_held_to_json_with_the_word_in_the_prompt_and_may_answer_nothing() {
    let mock = Mock::of(vec![Answer::json(200, &chat(""))]);
    let reply = ask(&provider("deepseek", at(mock.url(""))), &structured("p", &schema())).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Missing);
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("json_object"));
    let sent = mock.seen()[0].body.clone();
    assert_eq!(sent["response_format"], json!({"type": "json_object"}));
    let prompt = sent["messages"][0]["content"].as_str().unwrap();
    assert!(
        prompt.starts_with("p\n\n") && prompt.contains(" json ") && prompt.contains(&schema().to_string()),
        "{prompt}"
    );
}

#[test]
fn openrouter_is_told_to_take_a_provider_that_knows_all_parameters() {
    let mock = Mock::of(vec![Answer::json(200, &chat("{\"a\": \"x\"}"))]);
    ask(&provider("openrouter", at(mock.url(""))), &structured("p", &schema())).unwrap();
    let sent = mock.seen()[0].body.clone();
    assert_eq!(
        (&sent["provider"], held(&sent).as_str()),
        (&json!({"require_parameters": true}), "json_schema strict true")
    );
}

#[test]
fn openrouter_steps_down_when_no_endpoint_knows_the_parameters() {
    let none =
        json!({"error": {"code": 404, "message": "No endpoints found that can handle the requested parameters."}});
    let mock = Mock::of(vec![Answer::json(404, &none), Answer::json(200, &chat("{\"a\": \"x\"}"))]);
    let reply = ask(&provider("openrouter", at(mock.url("/router"))), &structured("p", &schema())).unwrap();
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("native"));
}

#[test]
fn ollama_gets_the_schema_as_it_is() {
    let mock = Mock::of(vec![Answer::json(200, &chat("{\"a\": \"x\"}"))]);
    let reply = ask(&provider("ollama", at(mock.url(""))), &structured("p", &schema())).unwrap();
    assert_eq!(reply.provenance.schema_mode.as_deref(), Some("native"));
    assert_eq!(mock.seen()[0].body["response_format"]["json_schema"]["schema"], schema());
}

#[test]
fn a_union_at_the_root_is_wrapped_on_the_wire_and_unwrapped_after() {
    let branch = |word: &str| json!({"type": "object", "properties": {"kind": {"const": word}}, "required": ["kind"]});
    let union = json!({"type": "object", "anyOf": [branch("a"), branch("b")]});
    let mock = Mock::of(vec![Answer::json(200, &chat("{\"value\": {\"kind\": \"b\"}}"))]);
    let reply = ask(&provider("openai", at(mock.url(""))), &structured("p", &union)).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"kind": "b"})));
}

#[test]
fn the_next_attempt_is_told_what_was_wrong() {
    let mut request = structured("p", &schema());
    request.feedback = Some(Feedback {
        answer: Some("{\"a\": 1}".into()),
        errors: vec![SchemaError { pointer: "/a".into(), message: "must be string".into(), got: Some(json!(1)) }],
        message: "/a must be string".into(),
    });
    let mock = Mock::of(vec![Answer::json(200, &chat("{\"a\": \"1\"}"))]);
    let openai = provider("openai", at(mock.url("")));
    assert_eq!(openai.schema_attempts(), Some(2));
    ask(&openai, &request).unwrap();
    let messages = mock.seen()[0].body["messages"].clone();
    assert_eq!(messages[1], json!({"role": "assistant", "content": "{\"a\": 1}"}));
    let told = messages[2]["content"].as_str().unwrap();
    assert!(told.starts_with("Your answer does not satisfy the schema:\n- /a must be string, got 1\n"), "{told}");
    assert!(told.ends_with(&schema().to_string()), "{told}");
}

#[test]
fn a_custom_endpoint_may_ignore_the_schema_and_is_still_read() {
    let mock = Mock::of(vec![Answer::json(200, &chat("Sure!\n```json\n{\"a\": \"x\", \"b\": null}\n```"))]);
    let entry = Entry { kind: Some("openai".into()), default_model: Some("m".into()), ..at(mock.url("/v1")) };
    let reply = ask(&provider("local", entry), &structured("p", &schema())).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Json(json!({"a": "x"})));
}
