//! Acceptance 21, 25, 35 and the canary over HTTP: whole runs against a service on the loopback interface.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, eventually, printed};
use crate::support::git::Repo;
use crate::support::http_mock::{Answer, Mock};

const KEY: &str = "sk-canary-0123456789abcdef";

fn text(text: &str) -> Answer {
    Answer::json(
        200,
        &json!({"model": "gpt-5.4-mini", "choices": [{"message": {"role": "assistant", "content": text},
        "finish_reason": "stop"}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}),
    )
}

fn failure(status: u16) -> Answer {
    Answer::json(status, &json!({"error": {"message": "no", "type": "t"}})).header("retry-after-ms", "1")
}

fn with(place: &Place, mock: &Mock, vars: &[(&str, &str)], args: &[&str]) -> Printed {
    let mut command = place.command(args);
    command.env("OPENAI_API_KEY", KEY).env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1")).envs(vars.iter().copied());
    printed(&command.output().unwrap())
}

fn owf(place: &Place, mock: &Mock, args: &[&str]) -> Printed {
    with(place, mock, &[], args)
}

fn script(place: &Place, body: &str) {
    place.file("w.js", &format!("export const meta = {{name: 'w', description: 'd'}}\n{body}\n"));
}

fn run(place: &Place, mock: &Mock) -> Value {
    owf(place, mock, &["run", "w.js", "--provider", "openai", "--json"]).json()
}

const SCHEMA: &str = "{ type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }";

#[test]
fn accept_021_over_http_a_failure_has_its_status_and_the_run_goes_on() {
    let place = Place::new();
    script(
        &place,
        &format!(
            "const out = [];
             for (const [word, options] of [['refused', {{}}], ['slow', {{ timeoutMs: 2000, retry: {{ maxAttempts: 1 }} }}],
                 ['crooked', {{ schema: {SCHEMA} }}]]) {{
               const result = await owf.agent(word, options);
               out.push([word, result.ok, result.status, result.error?.class]);
             }}
             return out;"
        ),
    );
    let mock = Mock::new(|seen| {
        let prompt = seen.body["messages"][0]["content"].as_str().unwrap().to_owned();
        match prompt.as_str() {
            "refused" => failure(400),
            "slow" => text("late").after(Duration::from_mins(2)),
            _ => text("{\"n\": \"many\"}"),
        }
    });
    let view = run(&place, &mock);
    assert_eq!(
        view["output"],
        json!([
            ["refused", false, "provider_failed", "bad_request"],
            ["slow", false, "timeout", "timeout"],
            ["crooked", false, "schema_failed", "schema"]
        ]),
        "{view}"
    );
    assert_eq!(view["status"], "done");
    let slow = owf(&place, &mock, &["calls", "latest", "2", "--json"]).json()["call"].clone();
    assert_eq!(slow["error"]["hint"], "the service may have charged for it all the same", "{slow}");
    assert_eq!((slow.get("cost_usd"), &slow["cost_source"]), (None, &json!("unknown")), "{slow}");
    // One attempt at what is wrong with the request, one at the slow one, two at the schema.
    assert_eq!(mock.seen().len(), 4);
}

#[test]
fn accept_025_over_http_an_invalid_answer_is_corrected_and_both_attempts_count() {
    let place = Place::new();
    script(&place, &format!("return await agent('Count', {{ schema: {SCHEMA} }});"));
    let mock = Mock::of(vec![text("{\"n\": \"many\"}"), text("{\"n\": 3}")]);
    let view = run(&place, &mock);
    assert_eq!(view["output"], json!({"n": 3}), "{view}");
    let told = mock.seen()[1].body["messages"].clone();
    assert_eq!(told[1], json!({"role": "assistant", "content": "{\"n\": \"many\"}"}));
    assert!(told[2]["content"].as_str().unwrap().contains("/n must be integer"), "{told}");
    let call = owf(&place, &mock, &["calls", "latest", "1", "--json"]).json()["call"].clone();
    assert_eq!((&call["attempts"], &call["input_tokens"], &call["output_tokens"]), (&json!(2), &json!(20), &json!(10)));
}

#[test]
fn accept_035_over_http_two_at_once_hold_for_a_run_and_its_child() {
    let place = Place::new();
    place.file(
        "child.js",
        "export const meta = {name: 'child', description: 'd'}
         return await parallel(Array.from({length: 10}, (_, i) => () => agent('child ' + i)));",
    );
    script(
        &place,
        "return (await Promise.all([workflow({scriptPath: 'child.js'}),
           parallel(Array.from({length: 10}, (_, i) => () => agent('parent ' + i)))])).flat().length;",
    );
    // The first is answered when the second is there; each takes a moment, for a third to come if it may.
    let asked = AtomicUsize::new(0);
    let mock = Mock::new(move |_| {
        asked.fetch_add(1, Ordering::SeqCst);
        eventually(Duration::from_secs(6), "two are there", || asked.load(Ordering::SeqCst) >= 2);
        text("ok").after(Duration::from_millis(30))
    });
    let args = ["run", "w.js", "--provider", "openai", "--json"];
    let view = with(&place, &mock, &[("OWF_PROVIDER_OPENAI_CONCURRENCY", "2")], &args).json();
    assert_eq!(view["output"], 20, "{view}");
    assert_eq!((mock.seen().len(), mock.widest()), (20, 2));
}

#[test]
fn a_busy_service_is_asked_again_and_each_attempt_is_in_the_journal() {
    let place = Place::new();
    script(&place, "return await agent('Try');");
    let mock = Mock::of(vec![failure(429), failure(503), failure(500), text("done")]);
    let view = run(&place, &mock);
    assert_eq!(view["output"], "done", "{view}");
    let call = owf(&place, &mock, &["calls", "latest", "1", "--json"]).json()["call"].clone();
    let classes: Vec<&Value> = call["attempts_list"].as_array().unwrap().iter().map(|a| &a["class"]).collect();
    assert_eq!(classes, [&json!("rate_limited"), &json!("overloaded"), &json!("transport"), &Value::Null], "{call}");
}

#[test]
fn a_wrong_key_and_an_empty_account_pause_the_run() {
    for (status, reason) in [(401, "provider_auth"), (402, "provider_quota")] {
        let place = Place::new();
        script(&place, "return await agent('Try');");
        let mock = Mock::of(vec![failure(status), text("done")]);
        let paused = owf(&place, &mock, &["run", "w.js", "--provider", "openai", "--json"]);
        let view = paused.json();
        assert_eq!((&view["status"], &view["status_reason"]), (&json!("paused"), &json!(reason)), "{view}");
        let resumed = owf(&place, &mock, &["resume", "latest", "--json"]).json();
        assert_eq!(resumed["output"], "done", "{resumed}");
    }
}

#[test]
fn a_service_without_a_key_is_refused_at_the_start_and_pauses_when_a_call_names_it() {
    let place = Place::new();
    script(&place, "return await agent('Try', { provider: 'deepseek' });");
    let mock = Mock::of(vec![text("done")]);
    let refused = owf(&place, &mock, &["run", "w.js", "--provider", "deepseek", "--json"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.out.contains("DEEPSEEK_API_KEY") || refused.err.contains("DEEPSEEK_API_KEY"), "{refused:?}");
    let view = run(&place, &mock);
    assert_eq!((&view["status"], &view["status_reason"]), (&json!("paused"), &json!("provider_auth")), "{view}");
    assert!(view.to_string().contains("DEEPSEEK_API_KEY"), "{view}");
}

#[test]
fn accept_047_over_http_a_key_is_nowhere_in_the_home_whatever_the_service_echoes() {
    let place = Place::new();
    script(
        &place,
        &format!(
            "return [await agent('Tell', {{ schema: {SCHEMA} }}).catch(() => 0), await agent('Say'), await agent('Fail')];"
        ),
    );
    let mock = Mock::new(|seen| {
        let prompt = seen.body["messages"][0]["content"].as_str().unwrap().to_owned();
        let echo = format!("{:?}", seen.headers);
        match prompt.as_str() {
            "Fail" => Answer::json(400, &json!({"error": {"message": echo, "type": KEY}})).header("x-request-id", KEY),
            "Say" => text(&echo),
            _ => text(&json!({"n": echo}).to_string()),
        }
    });
    let mut printed = owf(&place, &mock, &["run", "w.js", "--provider", "openai", "--json"]).out;
    for args in [["calls", "latest", "1"], ["calls", "latest", "2"], ["calls", "latest", "3"]] {
        printed.push_str(&owf(&place, &mock, &args).out);
    }
    printed.push_str(&owf(&place, &mock, &["report", "latest"]).out);
    assert!(mock.seen().len() >= 4);
    assert!(!printed.contains("canary"), "{printed}");
    for entry in walkdir::WalkDir::new(place.home()) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(6).any(|window| window == b"canary");
            assert!(!found, "{}", entry.path().display());
        }
    }
}

#[test]
fn accept_036_over_http_a_write_in_a_worktree_leaves_the_users_tree_alone() {
    let place = Place::new();
    script(&place, "return await agent('Write', { isolation: 'worktree' });");
    place.file(".gitignore", "home\nuser\n");
    let repo = Repo::new(place.path(), &[]);
    let arguments = json!({"path": "made/a.md", "content": "hello"}).to_string();
    let call = json!({"id": "t1", "type": "function", "function": {"name": "write_file", "arguments": arguments}});
    let mock = Mock::of(vec![
        Answer::json(
            200,
            &json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": [call]},
            "finish_reason": "tool_calls"}]}),
        ),
        text("done"),
    ]);
    let view = run(&place, &mock);
    assert_eq!(view["output"], "done", "{view}");
    assert!(!place.path().join("made").exists());
    let call = owf(&place, &mock, &["calls", "latest", "1", "--json"]).json()["call"].clone();
    assert_eq!(call["changed_files"], json!(["made/a.md"]), "{call}");
    let tree = std::path::PathBuf::from(call["worktree_path"].as_str().unwrap());
    let tree = if tree.is_absolute() { tree } else { place.home().join(tree) };
    assert_eq!(std::fs::read_to_string(tree.join("made/a.md")).unwrap(), "hello");
    // The branch that is reported is that of the tree, and the user's own stays as it was.
    let branch = call["worktree_branch"].as_str().unwrap();
    let listed = repo.git(&["worktree", "list", "--porcelain"]);
    assert!(listed.contains(&format!("branch refs/heads/{branch}")), "{listed} {call}");
    assert_eq!(
        (repo.git(&["status", "--porcelain"]), repo.git(&["branch", "--show-current"])),
        (String::new(), "main".to_owned())
    );
}
