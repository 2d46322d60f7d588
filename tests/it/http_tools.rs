//! The tool loop: a service's model that reads, lists, searches and writes files through owf.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, printed};
use crate::support::http_mock::{Answer, Mock, Seen};

/// A workflow of one call with these options.
pub(crate) fn workflow(place: &Place, options: &str) {
    place.file(
        "w.js",
        &format!("export const meta = {{name: 'w', description: 'd'}}\nreturn await agent('Do it', {options})\n"),
    );
}

/// The key of these tests.
pub(crate) const KEY: &str = "sk-canary-0123456789abcdef";

pub(crate) fn owf(place: &Place, mock: &Mock, args: &[&str]) -> Printed {
    let output = place
        .command(args)
        .env("OPENAI_API_KEY", KEY)
        .env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"))
        .output()
        .unwrap();
    printed(&output)
}

pub(crate) fn run(place: &Place, mock: &Mock) -> Value {
    owf(place, mock, &["run", "w.js", "--provider", "openai", "--json"]).json()
}

/// The only call of the latest run.
pub(crate) fn call(place: &Place, mock: &Mock) -> Value {
    owf(place, mock, &["calls", "latest", "1", "--json"]).json()["call"].clone()
}

pub(crate) fn text(text: &str) -> Answer {
    Answer::json(
        200,
        &json!({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5}}),
    )
}

/// An answer that calls tools.
pub(crate) fn calls(list: &[(&str, Value)]) -> Answer {
    let calls: Vec<Value> = list
        .iter()
        .enumerate()
        .map(|(n, (name, arguments))| {
            json!({"id": format!("t{n}"), "type": "function",
                "function": {"name": name, "arguments": arguments.to_string()}})
        })
        .collect();
    let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
    Answer::json(
        200,
        &json!({"choices": [{"message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5}}),
    )
}

/// What the tools gave, as the last request of a list says.
pub(crate) fn results(seen: &[Seen]) -> Vec<String> {
    let messages = seen.last().unwrap().body["messages"].as_array().unwrap().clone();
    let results = messages.iter().filter(|m| m["role"] == "tool");
    results.map(|m| m["content"].as_str().unwrap().to_owned()).collect()
}

fn offered(seen: &Seen) -> Vec<String> {
    let tools = seen.body["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn tools_are_offered_by_name_and_by_scope() {
    for (options, wanted) in [
        ("{}", vec![]),
        ("{ tools: [] }", vec![]),
        ("{ tools: ['read_file', 'Grep'] }", vec!["read_file", "search_files"]),
        ("{ readScope: 'src' }", vec!["read_file", "list_files", "search_files"]),
        ("{ readScope: 'src', disallowedTools: ['search_files'] }", vec!["read_file", "list_files"]),
        ("{ writeScope: 'out' }", vec!["read_file", "list_files", "search_files", "write_file"]),
        ("{ tools: ['write_file'] }", vec![]),
        ("{ tools: ['Read', 'Bash'] }", vec!["read_file"]),
    ] {
        let place = Place::new();
        workflow(&place, options);
        let mock = Mock::of(vec![text("done")]);
        assert_eq!(run(&place, &mock)["output"], "done", "{options}");
        assert_eq!(offered(&mock.seen()[0]), wanted, "{options}");
    }
}

#[test]
fn a_model_reads_lists_and_searches_and_its_transcript_is_kept() {
    let place = Place::new();
    place.file("src/a.md", "one\ntwo\n");
    workflow(&place, "{ readScope: 'src' }");
    let mock = Mock::of(vec![
        calls(&[("list_files", json!({})), ("read_file", json!({"path": "src/a.md"}))]),
        calls(&[("search_files", json!({"query": "tw"}))]),
        text("done"),
    ]);
    assert_eq!(run(&place, &mock)["output"], "done");
    let seen = mock.seen();
    assert_eq!(results(&seen), ["src/a.md", "one\ntwo\n", "src/a.md:2: two"]);
    // What the model said goes back as it came, each result beside its call.
    let messages = &seen[1].body["messages"];
    assert_eq!(messages[1]["tool_calls"][1]["id"], messages[3]["tool_call_id"]);
    let call = call(&place, &mock);
    assert_eq!((&call["attempts"], &call["input_tokens"], &call["output_tokens"]), (&json!(1), &json!(30), &json!(15)));
    let transcript = owf(&place, &mock, &["artifacts", "latest", "--json"]).out;
    assert!(transcript.contains("transcript.jsonl"), "{transcript}");
}

#[test]
fn a_model_writes_within_its_scope_and_the_files_are_named() {
    let place = Place::new();
    workflow(&place, "{ writeScope: 'out' }");
    let mock = Mock::of(vec![
        calls(&[
            ("write_file", json!({"path": "out/a.md", "content": "hello"})),
            ("write_file", json!({"path": "w.js", "content": "mine now"})),
        ]),
        text("done"),
    ]);
    assert_eq!(run(&place, &mock)["output"], "done");
    assert_eq!(std::fs::read_to_string(place.path().join("out/a.md")).unwrap(), "hello");
    assert!(!std::fs::read_to_string(place.path().join("w.js")).unwrap().contains("mine now"));
    assert_eq!(results(&mock.seen()), ["wrote 5 bytes to out/a.md", "error: w.js is outside of what may be written"]);
    assert_eq!(call(&place, &mock)["changed_files"], json!(["out/a.md"]));
}

#[test]
fn accept_076_the_turn_cap_is_named_and_a_tools_error_is_told_to_the_model() {
    let place = Place::new();
    workflow(&place, "{ readScope: '.' }");
    let mock = Mock::of(vec![calls(&[
        ("read_file", json!({"path": "nowhere.md"})),
        ("fly", json!({})),
        ("read_file", json!("not an object")),
    ])]);
    let view = run(&place, &mock);
    assert_eq!(mock.seen().len(), 25, "{view}");
    let told = results(&mock.seen());
    assert_eq!(
        told[..3],
        [
            "error: there is no nowhere.md".to_owned(),
            "error: there is no tool fly; there is: read_file, list_files, search_files".to_owned(),
            "error: the arguments must be an object".to_owned()
        ]
    );
    let call = call(&place, &mock);
    assert_eq!(call["error"]["class"], "max_turns", "{call}");
    assert_eq!(call["error"]["message"], "the agent used up its 25 turns");
    assert_eq!(call["status"], "provider_failed");
    // The task of a document fails with it.
    place.file("flow.yaml", "name: x\ntasks:\n  t: {prompt: Do it, read_scope: src}\n  u: {after: t, prompt: more}\n");
    let ended = owf(&place, &mock, &["run", "flow.yaml", "--provider", "openai", "--json"]).json();
    assert_eq!(
        (&ended["status"], &ended["error"]["message"]),
        (&json!("failed"), &json!("task `t` failed: the agent used up its 25 turns")),
        "{ended}"
    );
    assert_eq!(mock.seen().len(), 50);
}

#[test]
fn in_a_loop_one_request_is_tried_again_and_no_tool_is_called_twice() {
    let place = Place::new();
    workflow(&place, "{ writeScope: 'out' }");
    let busy = || Answer::json(503, &json!({"error": {"message": "busy"}})).header("retry-after-ms", "20");
    let append = calls(&[("write_file", json!({"path": "out/a.md", "content": "once"}))]);
    let mock = Mock::of(vec![append, busy(), Answer::text(200, "{\"half\":"), text("done")]);
    assert_eq!(run(&place, &mock)["output"], "done");
    let seen = mock.seen();
    assert_eq!(seen.len(), 4);
    // The same request three times: the conversation has one result.
    assert_eq!((&seen[1].body, &seen[1].body), (&seen[2].body, &seen[3].body));
    assert_eq!(results(&seen), ["wrote 4 bytes to out/a.md"]);
    assert_eq!(call(&place, &mock)["attempts"], 1);
}

#[test]
fn after_a_write_a_failure_is_final_also_when_retries_were_asked_for() {
    let place = Place::new();
    workflow(&place, "{ writeScope: 'out', retry: { maxAttempts: 3 } }");
    let mock = Mock::new(|seen| match seen.number {
        0 => calls(&[("write_file", json!({"path": "out/a.md", "content": "once"}))]),
        _ => Answer::json(503, &json!({"error": {"message": "busy"}})).header("retry-after-ms", "1"),
    });
    run(&place, &mock);
    let call = call(&place, &mock);
    assert_eq!(
        call["error"]["message"], "openai answered 503: busy; not tried again, because files were written",
        "{call}"
    );
    assert_eq!(call["attempts"], 1, "{call}");
    // The first request of the loop and four tries of the second.
    assert_eq!(mock.seen().len(), 5);
}

#[test]
fn after_a_write_a_time_limit_is_final_too() {
    let place = Place::new();
    workflow(&place, "{ writeScope: 'out', timeoutMs: 1500, retry: { maxAttempts: 3 } }");
    let mock = Mock::new(|seen| match seen.number {
        0 => calls(&[("write_file", json!({"path": "out/a.md", "content": "once"}))]),
        _ => text("late").after(std::time::Duration::from_mins(2)),
    });
    run(&place, &mock);
    let call = call(&place, &mock);
    assert_eq!(call["error"]["message"], "no answer in 1500 ms, after files were written", "{call}");
    assert_eq!((&call["attempts"], mock.seen().len()), (&json!(1), 2), "{call}");
}

#[test]
fn an_empty_scope_holds_nothing() {
    let place = Place::new();
    place.file("secret.md", "the plan");
    workflow(&place, "{ readScope: [], tools: ['read_file'] }");
    let mock = Mock::of(vec![calls(&[("read_file", json!({"path": "secret.md"}))]), text("done")]);
    assert_eq!(run(&place, &mock)["output"], "done");
    let told = results(&mock.seen());
    assert!(told[0].starts_with("error: ") && !told[0].contains("the plan"), "{told:?}");
}

#[test]
fn a_call_that_writes_is_told_in_the_same_conversation_what_is_wrong_with_its_answer() {
    let place = Place::new();
    workflow(
        &place,
        "{ writeScope: 'out', schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] } }",
    );
    let mock = Mock::of(vec![
        calls(&[("write_file", json!({"path": "out/a.md", "content": "once"}))]),
        text("{\"n\": \"many\"}"),
        text("{\"n\": 3}"),
    ]);
    assert_eq!(run(&place, &mock)["output"], json!({"n": 3}));
    let messages = mock.seen()[2].body["messages"].as_array().unwrap().clone();
    let told = messages.last().unwrap()["content"].as_str().unwrap();
    assert!(told.starts_with("Your answer does not satisfy the schema:\n- /n must be integer"), "{told}");
    assert_eq!(results(&mock.seen()), ["wrote 4 bytes to out/a.md"]);
}

#[test]
fn a_cached_answer_that_read_files_misses_after_one_in_its_scope_changed() {
    let place = Place::new();
    let git = |args: &[&str]| {
        let done = std::process::Command::new("git").arg("-C").arg(place.path()).args(args).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    place.file("src/a.md", "one");
    place.file("docs/b.md", "one");
    place.file(".gitignore", "home\nuser\n");
    workflow(&place, "{ readScope: 'src' }");
    git(&["init", "-q"]);
    let mock = Mock::of(vec![text("done")]);
    run(&place, &mock);
    place.file("docs/b.md", "two");
    run(&place, &mock);
    assert_eq!(mock.seen().len(), 1);
    place.file("src/a.md", "two");
    run(&place, &mock);
    assert_eq!(mock.seen().len(), 2);
}
