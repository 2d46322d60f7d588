//! Numbers of the acceptance and conformance lists that other adapters have tests for, over HTTP: worktrees, failures, answers
//! that do not fit, agents that do not exist.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::http_tools::{call, calls, owf, run, text};
use crate::support::cli::Place;
use crate::support::git::Repo;
use crate::support::http_mock::{Answer, Mock};

const SCHEMA: &str = "{ type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }";

fn script(place: &Place, body: &str) {
    place.file("w.js", &format!("export const meta = {{name: 'w', description: 'd'}}\n{body}\n"));
}

fn in_repo(body: &str, files: &[(&str, &str)]) -> (Place, Repo) {
    let place = Place::new();
    script(&place, body);
    place.file(".gitignore", "home\nuser\n");
    let repo = Repo::new(place.path(), files);
    (place, repo)
}

/// The lines that the latest run logged.
fn logged(place: &Place, mock: &Mock) -> Vec<String> {
    let events = owf(place, mock, &["events", "latest"]).out;
    let all = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["type"] == "log")
        .map(|event| event["data"]["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn accept_011_over_http_a_call_that_writes_is_asked_each_time_and_not_by_a_resume() {
    let place = Place::new();
    script(&place, "return await agent('Write', { writeScope: ['out'] })");
    let write = || calls(&[("write_file", json!({"path": "out/a.md", "content": "x"}))]);
    let mock = Mock::new(move |seen| if seen.number.is_multiple_of(2) { write() } else { text("done") });
    for count in [2, 4] {
        assert_eq!((&run(&place, &mock)["output"], mock.seen().len()), (&json!("done"), count));
        assert_eq!(call(&place, &mock)["cache_status"], "bypassed");
    }
    let resumed = owf(&place, &mock, &["resume", "latest", "--json"]).json();
    assert_eq!((&resumed["output"], mock.seen().len()), (&json!("done"), 4), "{resumed}");
    assert_eq!(call(&place, &mock)["cache_status"], "replayed");
}

#[test]
fn accept_038_over_http_without_a_change_branch_and_folder_are_gone() {
    let (place, repo) = in_repo("return await agent('Look', { isolation: 'worktree' })", &[]);
    let mock = Mock::of(vec![calls(&[("read_file", json!({"path": "w.js"}))]), text("looked")]);
    assert_eq!(run(&place, &mock)["output"], "looked");
    assert_eq!(mock.seen().len(), 2);
    let call = call(&place, &mock);
    assert_eq!((call.get("worktree_path"), call.get("changed_files")), (None, None), "{call}");
    assert_eq!(repo.git(&["branch", "--format=%(refname:short)"]), "main");
    assert_eq!(repo.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
}

#[test]
fn accept_038_over_http_without_a_repository_the_service_is_not_asked() {
    let place = Place::new();
    script(&place, "return await agent('Look', { isolation: 'worktree' })");
    let mock = Mock::of(vec![text("never")]);
    let view = run(&place, &mock);
    assert_eq!((&view["status"], &view["output"]), (&json!("done"), &Value::Null), "{view}");
    assert_eq!((&call(&place, &mock)["status"], mock.seen().len()), (&json!("worktree_failed"), 0));
}

#[test]
fn accept_039_over_http_new_and_changed_files_with_any_name_are_exact() {
    let files = [("größe/ä.txt", "1\n"), ("same.txt", "s\n"), ("kept.txt", "k\n")];
    let (place, repo) = in_repo("return await agent('Write', { isolation: 'worktree' })", &files);
    let write = |path: &str, text: &str| ("write_file", json!({"path": path, "content": text}));
    let mock = Mock::of(vec![
        calls(&[write("größe/ä.txt", "2\n"), write("new name.txt", "n\n"), write("same.txt", "s\n")]),
        calls(&[write("新しい/ファイル.txt", "x\n")]),
        text("done"),
    ]);
    assert_eq!(run(&place, &mock)["output"], "done");
    let call = call(&place, &mock);
    assert_eq!(call["changed_files"], json!(["größe/ä.txt", "new name.txt", "新しい/ファイル.txt"]), "{call}");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    // Each write is on record as it was asked for, that of the same text too.
    let effects = call["attempts_list"][0]["effects"].as_array().unwrap().len();
    assert_eq!(effects, 4, "{call}");
}

#[test]
fn dialect_026_over_http_a_failure_of_any_sort_is_null_with_one_line_and_no_throw() {
    let place = Place::new();
    script(&place, "const out = []\nfor (const n of [400, 404, 413, 422]) out.push(await agent('p' + n))\nreturn out");
    let mock = Mock::new(|seen| {
        let prompt = seen.body["messages"][0]["content"].as_str().unwrap();
        let status: u16 = prompt[1..].parse().unwrap();
        Answer::json(status, &json!({"error": {"message": format!("no {status}")}}))
    });
    let view = run(&place, &mock);
    assert_eq!((&view["status"], &view["output"]), (&json!("done"), &json!([null, null, null, null])), "{view}");
    let lines = logged(&place, &mock);
    let told: Vec<bool> =
        [400, 404, 413, 422].iter().zip(&lines).map(|(n, line)| line.contains(&n.to_string())).collect();
    assert_eq!((lines.len(), told), (4, vec![true; 4]), "{lines:?}");
    assert_eq!(mock.seen().len(), 4, "none of these is worth another try");
}

#[test]
fn dialect_027_over_http_outputs_that_never_fit_throw_with_the_last_error_and_are_null_in_a_fan_out() {
    let place = Place::new();
    script(
        &place,
        &format!(
            "const ask = () => agent('p', {{ schema: {SCHEMA} }})\nlet seen\n             try {{ await ask() }} catch (e) {{ seen = [e instanceof Error, e.name, e.message] }}\n             return [seen, await parallel([ask]), await pipeline([1], ask)]"
        ),
    );
    let mock = Mock::new(|seen| text(&json!({"n": format!("try {}", seen.number + 1)}).to_string()));
    let mut command = place.command(&["run", "w.js", "--provider", "openai", "--json"]);
    command.env("OPENAI_API_KEY", "sk-canary-0123456789abcdef").env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
    let output = command.env("OWF_SCHEMA_ATTEMPTS", "5").output().unwrap();
    let view = crate::support::cli::printed(&output).json();
    let seen = &view["output"][0];
    assert_eq!((&seen[0], &seen[1]), (&json!(true), &json!("Error")), "{view}");
    assert!(seen[2].as_str().unwrap().contains("/n must be integer"), "{view}");
    assert_eq!((&view["output"][1], &view["output"][2]), (&json!([null]), &json!([null])), "{view}");
    // Set to five as in the dialect; a service is asked twice when nothing is set.
    assert_eq!(mock.seen().len(), 15);
}

#[test]
fn dialect_027_over_http_a_missing_output_throws_after_one_nudge_and_is_null_in_a_fan_out() {
    let place = Place::new();
    script(
        &place,
        &format!(
            "const ask = () => agent('p', {{ schema: {SCHEMA} }})\nlet name\n             try {{ await ask() }} catch (e) {{ name = e.name }}\nreturn [name, await parallel([ask])]"
        ),
    );
    let mock = Mock::of(vec![text("")]);
    let view = run(&place, &mock);
    assert_eq!((&view["status"], &view["output"]), (&json!("done"), &json!(["Error", [null]])), "{view}");
    let seen = mock.seen();
    assert_eq!(seen.len(), 4, "the first and one nudge, twice");
    let nudge = seen[1].body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
    assert!(nudge.contains("schema"), "{nudge}");
    let call = call(&place, &mock);
    assert_eq!(
        (&call["status"], &call["error"]["class"], &call["attempts"]),
        (&json!("schema_failed"), &json!("no_output"), &json!(2))
    );
}

#[test]
fn dialect_031_over_http_an_unknown_agent_throws_before_the_service_is_asked_and_odd_options_are_ignored() {
    let place = Place::new();
    script(
        &place,
        "let name\ntry { await agent('x', { agentType: 'nobody' }) } catch (e) { name = [e.name, e.message] }\n\
         return [name, await agent('y', { isolation: 'box', effort: 'heroic' })]",
    );
    let mock = Mock::of(vec![text("fine")]);
    let view = run(&place, &mock);
    let thrown = &view["output"][0];
    assert_eq!((&thrown[0], &view["output"][1]), (&json!("Error"), &json!("fine")), "{view}");
    let known = thrown[1].as_str().unwrap();
    assert!(known.contains("nobody") && known.contains("general-purpose"), "{known}");
    let seen = mock.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body.get("reasoning_effort"), None, "{:?}", seen[0].body);
}
