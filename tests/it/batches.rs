//! Acceptance 49: batches against a service on the loopback interface: ids, pending, results, halved cost, nothing sent twice.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use owf::providers::prices::{Prices, TokenUse};
use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, printed};
use crate::support::http_mock::{Answer, Mock};

const KEY: &str = "canary-key-0123456789";

fn owf(place: &Place, mock: &Mock, args: &[&str]) -> Printed {
    let mut command = place.command(args);
    command
        .env("OWF_PROVIDER_ANTHROPIC_BASE_URL", mock.url(""))
        .env("ANTHROPIC_API_KEY", KEY)
        .env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"))
        .env("OPENAI_API_KEY", KEY);
    printed(&command.output().unwrap())
}

fn message(text: &str, input: u64, output: u64) -> Value {
    json!({"type": "message", "model": "claude-sonnet-4-6", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
        "usage": {"input_tokens": input, "output_tokens": output}})
}

/// A service that speaks Anthropic's batches, and ends its only one when it is told to.
fn anthropic(ended: &Arc<AtomicBool>) -> Mock {
    let ended = Arc::clone(ended);
    Mock::new(move |seen| {
        let state = |word: &str, counts: Value| {
            Answer::json(
                200,
                &json!({"id": "msgbatch_1", "type": "message_batch", "processing_status": word, "request_counts": counts}),
            )
        };
        let none = json!({"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0});
        match seen.line.as_str() {
            "POST /v1/messages/batches" => state("in_progress", none),
            "GET /v1/messages/batches/msgbatch_1" if !ended.load(Ordering::SeqCst) => state("in_progress", none),
            "GET /v1/messages/batches/msgbatch_1" => {
                state("ended", json!({"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0}))
            }
            "GET /v1/messages/batches/msgbatch_1/results" => {
                let lines = [
                    json!({"custom_id": "three", "result": {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": format!("no such model, said {KEY}")}}}}),
                    json!({"custom_id": "two", "result": {"type": "succeeded", "message": message("Second.", 2000, 100)}}),
                    json!({"custom_id": "line-1", "result": {"type": "succeeded", "message": message("First.", 1000, 500)}}),
                ];
                Answer::text(200, &lines.map(|line| line.to_string()).join("\n"))
            }
            other => Answer::json(404, &json!({"error": {"message": other}})),
        }
    })
}

const PROMPTS: &str = "\"One.\"\n{\"prompt\": \"Two.\", \"custom_id\": \"two\", \"system\": \"Be brief.\", \"max_tokens\": 50}\n\n{\"prompt\": \"Three.\", \"custom_id\": \"three\", \"model\": \"odd\"}\n";

#[test]
fn accept_049_a_batch_is_submitted_once_and_its_answers_are_joined_by_id_at_half_the_price() {
    let place = Place::new();
    place.file("prompts.jsonl", PROMPTS);
    let ended = Arc::new(AtomicBool::new(false));
    let mock = anthropic(&ended);
    let submit = ["batch", "submit", "prompts.jsonl", "--provider", "anthropic", "--json"];
    let submitted = owf(&place, &mock, &submit);
    assert_eq!(submitted.code, 0, "{submitted:?}");
    let view = submitted.json();
    assert_eq!(json!([view["batch_id"], view["status"], view["prompts"]]), json!(["msgbatch_1", "pending", 3]));
    let sent = &mock.seen()[0];
    assert_eq!(sent.headers["x-api-key"], KEY);
    assert_eq!(
        sent.body["requests"],
        json!([
            {"custom_id": "line-1", "params": {"model": "claude-sonnet-4-6", "max_tokens": 16000, "messages": [{"role": "user", "content": "One."}]}},
            {"custom_id": "two", "params": {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": [{"role": "user", "content": "Two."}], "system": "Be brief."}},
            {"custom_id": "three", "params": {"model": "odd", "max_tokens": 16000, "messages": [{"role": "user", "content": "Three."}]}},
        ])
    );
    // The record is the user's own, whatever the store, and holds neither key nor prompts.
    let record = std::fs::read_to_string(view["file_path"].as_str().unwrap()).unwrap();
    assert!(record.contains("msgbatch_1") && !record.contains(KEY) && !record.contains("One."), "{record}");
    assert!(!place.home().exists());
    let again = owf(&place, &mock, &submit);
    assert_eq!(
        (again.code, &again.json()["error"]["code"], &again.json()["error"]["batch_id"]),
        (2, &json!("exists"), &json!("msgbatch_1"))
    );
    // Pending: nothing to fetch, from any directory, by the id alone.
    let fetched = owf(&place, &mock, &["batch", "fetch", "msgbatch_1"]);
    assert_eq!((fetched.code, fetched.out.as_str()), (3, ""), "{fetched:?}");
    assert_eq!(
        owf(&place, &mock, &["batch", "status", "msgbatch_1", "--json"]).json()["provider_status"],
        json!("in_progress")
    );
    ended.store(true, Ordering::SeqCst);
    let status = owf(&place, &mock, &["batch", "status", "msgbatch_1", "--json"]).json();
    assert_eq!(json!([status["status"], status["succeeded"], status["failed"]]), json!(["ended", 2, 1]));
    let fetched = owf(&place, &mock, &["batch", "fetch", "msgbatch_1"]);
    let rows: Vec<Value> = fetched.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let prices = Prices::default();
    let half = |input, output| {
        let used = TokenUse { input, output, ..TokenUse::default() };
        prices.cost("anthropic", "claude-sonnet-4-6", &used).unwrap() as f64 / 2e9
    };
    let told: Vec<Value> =
        rows.iter().map(|r| json!([r["custom_id"], r["ok"], r["text"], r["cost_usd"], r["cost_source"]])).collect();
    assert_eq!(
        told,
        [
            json!(["line-1", true, "First.", half(1000, 500), "estimated"]),
            json!(["two", true, "Second.", half(2000, 100), "estimated"]),
            json!(["three", false, null, null, "unknown"]),
        ]
    );
    assert_eq!(rows[2]["error"]["class"], json!("bad_request"));
    assert!(!fetched.out.contains(KEY), "{fetched:?}");
    let whole = owf(&place, &mock, &["batch", "fetch", "msgbatch_1", "--json"]).json();
    let total: f64 = half(1000, 500) + half(2000, 100);
    assert!((whole["usage"]["cost_usd"].as_f64().unwrap() - total).abs() < 1e-9, "{whole}");
    let written = owf(&place, &mock, &["batch", "fetch", "msgbatch_1", "--output", "answers.jsonl"]);
    assert_eq!((written.code, std::fs::read_to_string(place.path().join("answers.jsonl")).unwrap()), (0, fetched.out));
    let list = owf(&place, &mock, &["batch", "list", "--json"]).json();
    assert_eq!(json!([list["batches"][0]["batch_id"], list["batches"][0]["status"]]), json!(["msgbatch_1", "ended"]));
    assert_eq!(mock.seen().iter().filter(|seen| seen.line.starts_with("POST")).count(), 1);
}

#[test]
fn openai_takes_a_file_and_gives_answers_and_errors_in_two() {
    let place = Place::new();
    place.file("prompts.jsonl", "\"One.\"\n\"Two.\"\n\"Three.\"\n");
    let mock = Mock::new(|seen| {
        match seen.line.as_str() {
        "POST /v1/files" => Answer::json(200, &json!({"id": "file-in"})),
        "POST /v1/batches" => Answer::json(200, &json!({"id": "batch_7", "status": "validating"})),
        "GET /v1/batches/batch_7" => Answer::json(
            200,
            &json!({"id": "batch_7", "status": "completed", "output_file_id": "file-out", "error_file_id": "file-err", "request_counts": {"total": 3, "completed": 1, "failed": 1}}),
        ),
        "GET /v1/files/file-out/content" => {
            let body = json!({"model": "gpt-5.4-mini", "choices": [{"message": {"role": "assistant", "content": "Zwei."}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 10, "completion_tokens": 4}});
            Answer::text(200, &(json!({"id": "r1", "custom_id": "line-2", "response": {"status_code": 200, "body": body}, "error": null}).to_string() + "\n"))
        }
        "GET /v1/files/file-err/content" => Answer::text(
            200,
            &json!({"custom_id": "line-1", "response": {"status_code": 400, "body": {"error": {"message": "bad", "type": "invalid_request_error"}}}}).to_string(),
        ),
        other => Answer::json(404, &json!({"error": {"message": other}})),
    }
    });
    let view = owf(&place, &mock, &["batch", "submit", "prompts.jsonl", "--provider", "openai", "--json"]).json();
    assert_eq!(view["batch_id"], json!("batch_7"), "{view}");
    let seen = mock.seen();
    let upload = String::from_utf8(seen[0].raw.clone()).unwrap();
    assert!(seen[0].headers["content-type"].starts_with("multipart/form-data; boundary=owf-batch"));
    assert!(upload.contains("name=\"purpose\"\r\n\r\nbatch\r\n"), "{upload}");
    let line = json!({"custom_id": "line-2", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Two."}]}});
    assert!(upload.lines().any(|l| serde_json::from_str::<Value>(l).is_ok_and(|l| l == line)), "{upload}");
    assert_eq!(
        seen[1].body,
        json!({"input_file_id": "file-in", "endpoint": "/v1/chat/completions", "completion_window": "24h"})
    );
    let rows = owf(&place, &mock, &["batch", "fetch", "batch_7", "--json"]).json()["results"].clone();
    let told: Vec<Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|r| json!([r["custom_id"], r["text"], r["error"]["class"], r["error"]["message"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["line-1", null, "bad_request", "bad"]),
            json!(["line-2", "Zwei.", null, null]),
            json!(["line-3", null, "no_output", "the service gave no answer to this prompt"]),
        ]
    );
}

#[test]
fn every_bad_line_is_named_and_nothing_is_sent() {
    let place = Place::new();
    place.file("prompts.jsonl", "\"ok\"\n{\"prompt\": 7}\n[]\n");
    let mock = Mock::of(vec![Answer::json(500, &json!({}))]);
    let refused = owf(&place, &mock, &["batch", "submit", "prompts.jsonl", "--provider", "anthropic", "--json"]);
    let error = refused.json()["error"].clone();
    assert_eq!((refused.code, &error["code"]), (2, &json!("invalid_arguments")));
    let paths: Vec<&str> = error["errors"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["line 2", "line 3"]);
    for (provider, code) in
        [("gemini", "provider_unavailable"), ("nobody", "unknown_provider"), ("fake", "provider_unavailable")]
    {
        let refused = owf(&place, &mock, &["batch", "submit", "prompts.jsonl", "--provider", provider, "--json"]);
        assert_eq!((refused.code, &refused.json()["error"]["code"]), (2, &json!(code)), "{provider}");
    }
    let unknown = owf(&place, &mock, &["batch", "status", "nothing", "--json"]);
    assert_eq!((unknown.code, &unknown.json()["error"]["what"]), (2, &json!("batch")));
    assert_eq!(mock.seen().len(), 0);
}

#[test]
fn a_batch_whose_fate_is_unknown_is_not_sent_again_unasked_and_a_refused_one_may_be() {
    let place = Place::new();
    place.file("prompts.jsonl", "\"One.\"\n");
    let submit = ["batch", "submit", "prompts.jsonl", "--provider", "anthropic", "--json"];
    let no =
        Answer::json(400, &json!({"type": "error", "error": {"type": "invalid_request_error", "message": "too few"}}));
    let yes = Answer::json(200, &json!({"id": "msgbatch_2", "processing_status": "in_progress"}));
    let mock = Mock::of(vec![no, Answer::json(200, &json!({"id": "x"})).cut(), yes]);
    let refused = owf(&place, &mock, &submit).json()["error"].clone();
    assert_eq!(refused["code"], json!("invalid_arguments"), "{refused}");
    let unclear = owf(&place, &mock, &submit).json()["error"].clone();
    assert!(
        unclear["message"].as_str().unwrap().ends_with("it is not known whether the service has taken the batch"),
        "{unclear}"
    );
    let again = owf(&place, &mock, &submit);
    assert_eq!((again.code, &again.json()["error"]["code"]), (2, &json!("exists")), "{again:?}");
    assert_eq!(owf(&place, &mock, &["batch", "list", "--json"]).json()["batches"][0]["status"], json!("unclear"));
    assert_eq!(mock.seen().len(), 2);
    let asked = owf(&place, &mock, &[&submit[..], &["--again"]].concat());
    assert_eq!((asked.code, &asked.json()["batch_id"]), (0, &json!("msgbatch_2")));
}

#[test]
fn prompts_that_failed_were_cancelled_or_expired_are_told_apart_and_cost_nothing() {
    let place = Place::new();
    place.file("prompts.jsonl", "\"One.\"\n\"Two.\"\n\"Three.\"\n\"Four.\"\n");
    let mock = Mock::new(|seen| match seen.line.as_str() {
        "POST /v1/messages/batches" => {
            Answer::json(200, &json!({"id": "msgbatch_1", "processing_status": "in_progress"}))
        }
        "GET /v1/messages/batches/msgbatch_1" => Answer::json(
            200,
            &json!({"id": "msgbatch_1", "processing_status": "ended",
                "request_counts": {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 1, "expired": 1}}),
        ),
        "GET /v1/messages/batches/msgbatch_1/results" => {
            let refused =
                json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no such model"}});
            let lines = [
                json!({"custom_id": "line-4", "result": {"type": "expired"}}),
                json!({"custom_id": "line-3", "result": {"type": "canceled"}}),
                json!({"custom_id": "line-2", "result": {"type": "errored", "error": refused}}),
                json!({"custom_id": "line-1", "result": {"type": "succeeded", "message": message("First.", 1000, 500)}}),
            ];
            Answer::text(200, &lines.map(|line| line.to_string()).join("\n"))
        }
        other => Answer::json(404, &json!({"error": {"message": other}})),
    });
    owf(&place, &mock, &["batch", "submit", "prompts.jsonl", "--provider", "anthropic", "--json"]);
    let status = owf(&place, &mock, &["batch", "status", "msgbatch_1", "--json"]).json();
    assert_eq!(json!([status["status"], status["succeeded"], status["failed"]]), json!(["ended", 1, 3]));
    let fetched = owf(&place, &mock, &["batch", "fetch", "msgbatch_1"]);
    let rows: Vec<Value> = fetched.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<Value> = rows
        .iter()
        .map(|r| {
            json!([r["custom_id"], r["ok"], r["text"], r["error"]["class"], r["error"]["message"], r["input_tokens"]])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["line-1", true, "First.", null, null, 1000]),
            json!(["line-2", false, null, "bad_request", "no such model", 0]),
            json!(["line-3", false, null, "cancelled", "the batch was cancelled", 0]),
            json!(["line-4", false, null, "timeout", "the batch expired first", 0]),
        ]
    );
    assert!(rows[1..].iter().all(|row| row.get("cost_usd").is_none()), "{rows:?}");
    let whole = owf(&place, &mock, &["batch", "fetch", "msgbatch_1", "--json"]).json();
    assert_eq!(whole["usage"].get("unpriced_calls"), None, "{whole}");
}

#[test]
fn a_batch_of_openai_that_expired_or_was_cancelled_gives_what_was_answered_and_one_that_failed_says_why() {
    let place = Place::new();
    place.file("prompts.jsonl", "\"One.\"\n\"Two.\"\n\"Three.\"\n");
    let word = Arc::new(std::sync::Mutex::new("expired"));
    let told = Arc::clone(&word);
    let mock = Mock::new(move |seen| match seen.line.as_str() {
        "POST /v1/files" => Answer::json(200, &json!({"id": "file-in"})),
        "POST /v1/batches" => Answer::json(200, &json!({"id": "batch_7", "status": "validating"})),
        "GET /v1/batches/batch_7" => match *told.lock().unwrap() {
            "failed" => Answer::json(
                200,
                &json!({"id": "batch_7", "status": "failed",
                "errors": {"data": [{"code": "invalid_json_line", "message": "line 2 is no JSON", "line": 2}]}}),
            ),
            word => Answer::json(
                200,
                &json!({"id": "batch_7", "status": word, "output_file_id": "file-out",
                "error_file_id": "file-err", "request_counts": {"total": 3, "completed": 1, "failed": 2}}),
            ),
        },
        "GET /v1/files/file-out/content" => {
            let body = json!({"model": "gpt-5.4-mini", "choices": [{"message": {"content": "Eins."}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 4}});
            Answer::text(
                200,
                &json!({"custom_id": "line-1", "response": {"status_code": 200, "body": body}, "error": null})
                    .to_string(),
            )
        }
        "GET /v1/files/file-err/content" => {
            let error = json!({"code": "batch_expired", "message": "This request could not be executed before the completion window expired."});
            Answer::text(200, &json!({"custom_id": "line-2", "response": null, "error": error}).to_string())
        }
        other => Answer::json(404, &json!({"error": {"message": other}})),
    });
    owf(&place, &mock, &["batch", "submit", "prompts.jsonl", "--provider", "openai", "--json"]);
    for state in ["expired", "cancelled"] {
        *word.lock().unwrap() = state;
        let whole = owf(&place, &mock, &["batch", "fetch", "batch_7", "--json"]).json();
        assert_eq!(
            json!([whole["batch"]["status"], whole["batch"]["provider_status"]]),
            json!(["ended", state]),
            "{whole}"
        );
        let rows = whole["results"].as_array().unwrap();
        let told: Vec<Value> = rows.iter().map(|r| json!([r["custom_id"], r["text"], r["error"]["class"]])).collect();
        assert_eq!(
            told,
            [
                json!(["line-1", "Eins.", null]),
                json!(["line-2", null, "timeout"]),
                json!(["line-3", null, "no_output"])
            ]
        );
    }
    *word.lock().unwrap() = "failed";
    let failed = owf(&place, &mock, &["batch", "fetch", "batch_7", "--json"]);
    let whole = failed.json();
    assert_eq!(
        json!([whole["batch"]["status"], whole["batch"]["message"]]),
        json!(["failed", "line 2 is no JSON"]),
        "{failed:?}"
    );
}
