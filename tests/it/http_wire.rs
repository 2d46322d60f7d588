//! The wire table, one test for each of its rows: what is sent to a service of each dialect, and what is read from its answer.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use owf::core::budget::Charge;
use owf::core::call::{Ask, ChatMessage, ChatRole};
use owf::core::environment::Environment;
use owf::core::outcome::{CostSource, ErrorClass, Usage};
use owf::providers::http::providers_with;
use owf::providers::prices::Prices;
use owf::providers::{AttemptRequest, Budgeted, Entry, Provider, Reply, ReplyAnswer, Setup};
use serde_json::{Value, json};

use crate::support::dialects::{DIALECTS, entry, said};
use crate::support::http_ask::{KEY, PATIENT, ask, at, error, prompt, provider, request, structured};
use crate::support::http_mock::{Answer, Mock, Seen};

/// Asks each dialect for `of`, answered with a text; what was sent and what was read, by provider.
fn each(of: &Ask) -> Vec<(&'static str, Seen, Reply)> {
    DIALECTS
        .into_iter()
        .map(|(name, path, kind)| {
            let mock = Mock::of(vec![Answer::json(200, &said(name, "hello"))]);
            let reply = ask(&provider(name, entry(&mock, path, kind)), &request(of.clone())).unwrap();
            (name, mock.seen().remove(0), reply)
        })
        .collect()
}

#[test]
fn path_auth_and_minimal_body() {
    let of = Ask { prompt: Some("Say hello".into()), ..Ask::default() };
    let sent: Vec<(String, Value)> = each(&of).into_iter().map(|(_, seen, _)| (seen.line, seen.body)).collect();
    assert_eq!(
        sent,
        [
            (
                "POST /v1/chat/completions",
                json!({"model": "m-1", "messages": [{"role": "user", "content": "Say hello"}], "stream": true,
                    "stream_options": {"include_usage": true}})
            ),
            (
                "POST /v1/responses",
                json!({"model": "m-1", "input": [{"role": "user", "content": "Say hello"}], "store": false,
                    "stream": true})
            ),
            (
                "POST /v1/messages",
                json!({"model": "m-1", "max_tokens": 16000, "messages": [{"role": "user", "content": "Say hello"}],
                    "stream": true})
            ),
            (
                "POST /v1beta/models/m-1:streamGenerateContent?alt=sse",
                json!({"contents": [{"role": "user", "parts": [{"text": "Say hello"}]}]})
            ),
        ]
        .map(|(line, body)| (line.to_owned(), body))
    );
    let bearer = format!("Bearer {KEY}");
    let headers =
        [("authorization", bearer.as_str()), ("authorization", &bearer), ("x-api-key", KEY), ("x-goog-api-key", KEY)];
    for ((name, seen, _), (header, value)) in each(&of).into_iter().zip(headers) {
        assert_eq!(seen.headers[header], value, "{name}");
        assert_eq!(seen.headers["content-type"], "application/json", "{name}");
        let version = seen.headers.get("anthropic-version").map(String::as_str);
        assert_eq!(version, (name == "anthropic").then_some("2023-06-01"), "{name}");
        assert!(!seen.line.contains("key"), "{name}: {}", seen.line);
    }
}

#[test]
fn system_prompt_and_history() {
    let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    let of = Ask {
        prompt: Some("And now?".into()),
        system: Some("Be brief.".into()),
        messages: Some(vec![message(ChatRole::User, "Hi"), message(ChatRole::Assistant, "Hello")]),
        ..Ask::default()
    };
    let sent: Vec<Value> = each(&of).into_iter().map(|(_, seen, _)| seen.body).collect();
    let plain = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "And now?"}]);
    let mut chat = plain.clone();
    chat.as_array_mut().unwrap().insert(0, json!({"role": "system", "content": "Be brief."}));
    assert_eq!(sent[0]["messages"], chat);
    assert_eq!((&sent[1]["instructions"], &sent[1]["input"]), (&json!("Be brief."), &plain));
    assert_eq!((&sent[2]["system"], &sent[2]["messages"]), (&json!("Be brief."), &plain));
    assert_eq!(sent[3]["systemInstruction"], json!({"parts": [{"text": "Be brief."}]}));
    assert_eq!(
        sent[3]["contents"],
        json!([{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Hello"}]},
            {"role": "user", "parts": [{"text": "And now?"}]}])
    );
}

#[test]
fn text_usage_and_model_are_read_each_token_once() {
    for (name, _, reply) in each(&Ask { prompt: Some("p".into()), ..Ask::default() }) {
        assert_eq!(reply.answer, ReplyAnswer::Text("hello".into()), "{name}");
        let cache_write_tokens = if name == "gemini" { 0 } else { 10 };
        let input_tokens = 100 - 60 - cache_write_tokens;
        let usage = Usage {
            input_tokens,
            output_tokens: 20,
            cache_read_tokens: 60,
            cache_write_tokens,
            // Only one dialect tells how long what it wrote lives, and it does not say what it thought.
            cache_write_1h_tokens: if name == "anthropic" { 4 } else { 0 },
            reasoning_tokens: if name == "anthropic" { 0 } else { 5 },
        };
        assert_eq!(reply.usage, usage, "{name}");
        assert_eq!(reply.model.as_deref(), Some("m-1"), "{name}");
        // The model is in no price table.
        assert_eq!((reply.cost_nanos, reply.cost_source), (None, CostSource::Unknown), "{name}");
    }
}

/// The provider of a name, whose model has a price.
fn priced(name: &str, entry: Entry) -> Arc<dyn Provider> {
    let dir = tempfile::tempdir().unwrap();
    let table = json!({"owf_prices": 1, "as_of": "2030-01-02", "source": "test", "prices": [
        {"provider": name, "models": ["m-1"], "rates": {"input": 1_000, "output": 2_000}}]});
    std::fs::write(dir.path().join("prices.json"), table.to_string()).unwrap();
    let prices = Prices::of_user(Some(dir.path()));
    assert_eq!(prices.problem(), None);
    let env = ["OPENAI", "DEEPSEEK", "OPENROUTER", "ANTHROPIC", "GEMINI"];
    let env = env.map(|service| (format!("{service}_API_KEY"), KEY.to_owned()));
    let mut setup = Setup::new(Environment::new(env)).with_prices(prices);
    setup.entries.insert(name.to_owned(), entry);
    providers_with(&setup, PATIENT).into_iter().find(|provider| provider.name() == name).unwrap()
}

#[test]
fn the_bound_of_a_budget_in_each_dialect() {
    let aside = Charge { tokens: 7_200, ..Charge::default() };
    let sent = |name: &str, path: &str, kind: Option<&str>, budget: Option<Budgeted>| {
        let mock = Mock::of(vec![Answer::json(200, &said(name, "hello"))]);
        let request = AttemptRequest { budget, ..prompt("p") };
        ask(&priced(name, entry(&mock, path, kind)), &request).unwrap();
        mock.seen().remove(0).body
    };
    let services = DIALECTS.into_iter().chain([("deepseek", "", None), ("openrouter", "", None), ("ollama", "", None)]);
    let places = [
        "/max_completion_tokens",
        "/max_output_tokens",
        "/max_tokens",
        "/generationConfig/maxOutputTokens",
        "/max_tokens",
        "/max_tokens",
        "/max_tokens",
    ];
    for ((name, path, kind), place) in services.zip(places) {
        let bound = |budget| sent(name, path, kind, budget).pointer(place).cloned();
        let none = (name == "anthropic").then_some(json!(16_000));
        assert_eq!(bound(None), none, "{name}");
        assert_eq!(bound(Some(Budgeted { aside, left_nanos: None })), Some(json!(7_200)), "{name}");
        // At least what a request may need by itself.
        let little = Budgeted { aside: Charge::default(), left_nanos: None };
        assert_eq!(bound(Some(little)), Some(json!(1_800)), "{name}");
    }
    // What has no price is not bound.
    let mock = Mock::of(vec![Answer::json(200, &said("openai", "hello"))]);
    let request = AttemptRequest { budget: Some(Budgeted { aside, left_nanos: None }), ..prompt("p") };
    ask(&provider("openai", entry(&mock, "/v1", None)), &request).unwrap();
    assert_eq!(mock.seen()[0].body.get("max_completion_tokens"), None);
}

#[test]
fn effort_in_each_dialect() {
    let sent: Vec<Value> = each(&Ask { prompt: Some("p".into()), effort: Some("max".into()), ..Ask::default() })
        .into_iter()
        .map(|(_, seen, _)| seen.body)
        .collect();
    assert_eq!(sent[0]["reasoning_effort"], "xhigh");
    assert_eq!(sent[1]["reasoning"], json!({"effort": "xhigh"}));
    assert_eq!(sent[2]["output_config"], json!({"effort": "max"}));
    assert_eq!(sent[3]["generationConfig"], json!({"thinkingConfig": {"thinkingLevel": "high"}}));
}

#[test]
fn schema_in_each_dialect() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    let mut strict = schema.clone();
    strict["additionalProperties"] = false.into();
    let of = Ask { prompt: Some("p".into()), schema: Some(schema.clone()), ..Ask::default() };
    let got = each(&of);
    let modes: Vec<Option<&str>> = got.iter().map(|(_, _, reply)| reply.provenance.schema_mode.as_deref()).collect();
    assert_eq!(modes, [Some("native_strict"), Some("native_strict"), Some("native_strict"), Some("native")]);
    assert_eq!(
        got[0].1.body["response_format"],
        json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": strict}})
    );
    assert_eq!(
        got[1].1.body["text"],
        json!({"format": {"type": "json_schema", "name": "answer", "strict": true, "schema": strict}})
    );
    assert_eq!(got[2].1.body["output_config"], json!({"format": {"type": "json_schema", "schema": strict}}));
    assert_eq!(
        got[3].1.body["generationConfig"],
        json!({"responseMimeType": "application/json", "responseJsonSchema": schema})
    );
}

#[test]
fn a_schemas_name_has_only_allowed_characters() {
    let mock = Mock::of(vec![Answer::json(200, &said("openai", "{}"))]);
    let title = format!("A title: {}", "ä".repeat(80));
    let schema = json!({"type": "object", "title": title, "properties": {"a": {"type": "null"}}, "required": ["a"]});
    let openai = provider("openai", at(mock.url("/v1")));
    ask(&openai, &structured("p", &schema)).unwrap();
    let name = mock.seen()[0].body["response_format"]["json_schema"]["name"].as_str().unwrap().to_owned();
    assert_eq!(name, format!("A_title__{}", "_".repeat(55)));
}

/// The class of each of these answers with status 200.
fn classes(name: &str, path: &str, kind: Option<&str>, bodies: &[Value]) -> Vec<Result<ReplyAnswer, ErrorClass>> {
    bodies
        .iter()
        .map(|body| {
            let mock = Mock::of(vec![Answer::json(200, body)]);
            let result = ask(&provider(name, entry(&mock, path, kind)), &prompt("p"));
            result.map(|reply| reply.answer).map_err(|failed| failed.error.class)
        })
        .collect()
}

#[test]
fn finish_reasons_of_openai_chat() {
    let choice = |reason: Value, message: Value| json!({"choices": [{"message": message, "finish_reason": reason}]});
    let text = json!({"content": "half"});
    let got = classes(
        "openai",
        "/v1",
        None,
        &[
            choice(json!("stop"), text.clone()),
            choice(json!("length"), text.clone()),
            choice(json!("content_filter"), text.clone()),
            choice(json!("stop"), json!({"content": null, "refusal": "I will not"})),
            choice(
                Value::Null,
                json!({"content": [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]}),
            ),
            choice(json!("eos"), text),
            json!({"choices": []}),
        ],
    );
    assert_eq!(
        got,
        [
            Ok(ReplyAnswer::Text("half".into())),
            Err(ErrorClass::MaxTokens),
            Err(ErrorClass::Refusal),
            Err(ErrorClass::Refusal),
            Ok(ReplyAnswer::Text("in parts".into())),
            Ok(ReplyAnswer::Text("half".into())),
            Err(ErrorClass::Transport),
        ]
    );
}

#[test]
fn finish_reasons_of_openai_responses() {
    let message = json!([{"type": "message", "content": [{"type": "output_text", "text": "half"}]}]);
    let refusal = json!([{"type": "message", "content": [{"type": "refusal", "refusal": "I will not"}]}]);
    let got = classes(
        "mine",
        "/v1",
        Some("openai-responses"),
        &[
            json!({"status": "completed", "output": message}),
            json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": message}),
            json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []}),
            json!({"status": "completed", "output": refusal}),
            json!({"status": "failed", "error": {"code": "server_error", "message": "broken"}, "output": []}),
            json!({"status": "cancelled", "output": []}),
        ],
    );
    assert_eq!(
        got,
        [
            Ok(ReplyAnswer::Text("half".into())),
            Err(ErrorClass::MaxTokens),
            Err(ErrorClass::Refusal),
            Err(ErrorClass::Refusal),
            Err(ErrorClass::Transport),
            Err(ErrorClass::Other),
        ]
    );
}

#[test]
fn finish_reasons_of_anthropic_messages() {
    let reasons = ["end_turn", "stop_sequence", "max_tokens", "refusal", "model_context_window_exceeded", "new_reason"];
    let bodies = reasons.map(|reason| json!({"content": [{"type": "text", "text": "half"}], "stop_reason": reason}));
    let half = || Ok(ReplyAnswer::Text("half".into()));
    assert_eq!(
        classes("anthropic", "", None, &bodies),
        [half(), half(), Err(ErrorClass::MaxTokens), Err(ErrorClass::Refusal), Err(ErrorClass::ContextTooLong), half(),]
    );
    // A turn that pauses goes on when its content is sent back.
    let paused = json!({"content": [{"type": "text", "text": "wait"}], "stop_reason": "pause_turn"});
    let mock = Mock::of(vec![Answer::json(200, &paused), Answer::json(200, &said("anthropic", "done"))]);
    let reply = ask(&provider("anthropic", at(mock.url(""))), &prompt("p")).unwrap();
    assert_eq!(reply.answer, ReplyAnswer::Text("done".into()));
    assert_eq!(mock.seen()[1].body["messages"][1], json!({"role": "assistant", "content": paused["content"]}));
}

#[test]
fn finish_reasons_of_gemini() {
    let body = |reason: &str| {
        let content = json!({"parts": [{"text": "half"}]});
        json!({"candidates": [{"content": content, "finishReason": reason}]})
    };
    let mut bodies: Vec<Value> =
        ["STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL", "OTHER"].map(body).into();
    bodies.push(json!({"promptFeedback": {"blockReason": "SAFETY"}}));
    bodies.push(json!({"candidates": [{"finishReason": "STOP"}]}));
    let half = || Ok(ReplyAnswer::Text("half".into()));
    assert_eq!(
        classes("gemini", "", None, &bodies),
        [
            half(),
            Err(ErrorClass::MaxTokens),
            Err(ErrorClass::Refusal),
            Err(ErrorClass::Refusal),
            Err(ErrorClass::Transport),
            half(),
            Err(ErrorClass::Refusal),
            Err(ErrorClass::Transport),
        ]
    );
}

#[test]
fn errors_are_worded_as_the_service_does_with_its_request_id() {
    let openai = json!({"error": {"message": "No such model", "type": "invalid_request_error", "param": null, "code": "model_not_found"}});
    let anthropic =
        json!({"type": "error", "error": {"type": "not_found_error", "message": "No such model"}, "request_id": "r"});
    let gemini = json!({"error": {"code": 404, "message": "No such model", "status": "NOT_FOUND", "details": []}});
    for (name, path, body, message) in [
        (
            "openai",
            "/v1",
            openai,
            "openai answered 404: invalid_request_error: model_not_found: No such model (request r-1)",
        ),
        ("anthropic", "", anthropic, "anthropic answered 404: not_found_error: No such model (request r-1)"),
        ("gemini", "", gemini, "gemini answered 404: NOT_FOUND: No such model (request r-1)"),
        ("ollama", "/v1", json!({"error": "No such model"}), "ollama answered 404: No such model (request r-1)"),
    ] {
        let header = if name == "anthropic" { "request-id" } else { "x-request-id" };
        let mock = Mock::of(vec![Answer::json(404, &body).header(header, "r-1")]);
        let got = error(&provider(name, at(mock.url(path))), &prompt("p"));
        assert_eq!((got.class, got.message.as_str()), (ErrorClass::BadRequest, message));
        assert_eq!(got.hint.as_deref(), Some("check the model's name and the base URL of the provider"));
    }
}

#[test]
fn default_models_and_services_that_speak_the_chat_dialect() {
    for (name, model) in [
        ("openai", "gpt-5.4-mini"),
        ("deepseek", "deepseek-v4-flash"),
        ("openrouter", "openai/gpt-5.5"),
        ("anthropic", "claude-sonnet-4-6"),
        ("gemini", "gemini-3.5-flash"),
        ("ollama", "qwen2.5"),
    ] {
        let mock = Mock::of(vec![Answer::json(200, &said(name, "hello"))]);
        let provider = provider(name, at(mock.url("/v1")));
        assert_eq!(provider.default_model().as_deref(), Some(model));
        assert!(ask(&provider, &prompt("p")).is_ok(), "{name}");
        let seen = mock.seen().remove(0);
        let path = match name {
            "anthropic" => "POST /v1/messages".to_owned(),
            "gemini" => format!("POST /v1/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            _ => "POST /v1/chat/completions".to_owned(),
        };
        assert_eq!(seen.line, path);
        if name != "gemini" {
            assert_eq!(seen.body["model"], model);
        }
        assert_eq!(seen.headers.contains_key("authorization"), !["anthropic", "gemini", "ollama"].contains(&name));
    }
}

#[test]
fn a_custom_endpoint_is_a_kind_with_an_address_and_other_names_for_models() {
    let mock = Mock::of(vec![Answer::json(200, &said("openai", "hello"))]);
    let custom = provider(
        "llama",
        Entry {
            kind: Some("openai".into()),
            default_model: Some("small".into()),
            concurrency: Some(3),
            models: [("small".to_owned(), "tiny-1".to_owned())].into(),
            ..at(mock.url("/v1/"))
        },
    );
    assert_eq!(custom.default_concurrency(), 3);
    assert!(custom.availability().available);
    assert!(ask(&custom, &prompt("p")).is_ok());
    let seen = mock.seen().remove(0);
    assert_eq!((seen.line.as_str(), &seen.body["model"]), ("POST /v1/chat/completions", &json!("tiny-1")));
    assert_eq!(seen.headers.get("authorization"), None);
    let mut asked = prompt("p");
    asked.model = Some("small".into());
    let identity = custom.identity(&asked);
    assert_eq!(identity["base_url"], format!("openai-chat {}", mock.url("/v1")));
    assert_eq!(identity["resolved_model"], "tiny-1");
}

#[test]
fn openrouter_reports_cost_and_others_are_estimated() {
    let mut body = said("openrouter", "hello");
    body["usage"]["cost"] = json!(0.001_25);
    let mock = Mock::of(vec![Answer::json(200, &body)]);
    let reply = ask(&provider("openrouter", at(mock.url("/v1"))), &prompt("p")).unwrap();
    assert_eq!((reply.cost_nanos, reply.cost_source), (Some(1_250_000), CostSource::Reported));
    // A local server bills nothing, which the price table knows.
    let mock = Mock::of(vec![Answer::json(200, &said("ollama", "hello"))]);
    let reply = ask(&provider("ollama", at(mock.url("/v1"))), &prompt("p")).unwrap();
    assert_eq!((reply.cost_nanos, reply.cost_source), (Some(0), CostSource::Estimated));
}

#[test]
fn a_missing_key_is_of_class_auth_and_names_its_variable() {
    let nothing = owf::core::environment::Environment::default();
    let gemini = crate::support::http_ask::provider_in(nothing, "gemini", Entry::default());
    let message = "provider \"gemini\" needs a key in the environment variable GEMINI_API_KEY or GOOGLE_API_KEY";
    assert_eq!(gemini.availability().message.as_deref(), Some(message));
    let failed = error(&gemini, &prompt("p"));
    assert_eq!((failed.class, failed.message.as_str()), (ErrorClass::Auth, message));
    assert_eq!(failed.hint.as_deref(), Some("set GEMINI_API_KEY in the environment, then resume"));
}
