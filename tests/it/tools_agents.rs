//! Tools of the configuration in the loops of agents: the same policies in the same order, a person in the middle, nothing done twice.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http_tools::{KEY, calls, results, text};
use crate::support::cli::{Place, Printed, eventually, printed};
use crate::support::http_mock::{Answer, Mock};

const SECOND: Duration = Duration::from_secs(1);

const TOOLS: &str = r#"
[tools.note]
description = "Takes a note."
command = ["sh", "-c", "cat >> notes; echo >> notes; echo noted"]
schema = { type = "object", required = ["text", "by"], properties = { text = { type = "string" }, by = { type = "string" } } }
fixed_args = { by = "owf" }

[tools.deploy]
description = "Deploys."
command = ["sh", "-c", "cat >> deployed; echo >> deployed; echo '{\"ok\": true}'"]
requires_approval = true
approval_message = "Deploy?"

[tools.look]
description = "Looks."
command = ["sh", "-c", "echo looked >> looks; echo seen"]
read_only = true

[tools.review_only]
command = ["true"]
modes = ["review"]

[tools.fails]
command = ["sh", "-c", "echo half >> half; echo no disk >&2; exit 4"]

[tools.slow]
command = ["sleep", "300"]
timeout_seconds = 1

[tools.fetch]
command = ["sh", "-c", "echo fetched >> fetched"]
secrets = ["FETCH_TOKEN"]
schema = { type = "object", required = ["a", "b"], properties = { c = { type = "integer" } } }

[tools.child]
workflow = "child.yaml"
"#;

fn place(document: &str) -> Place {
    let place = Place::new();
    place.file("flow.yaml", document);
    place.file("user.toml", TOOLS);
    place
}

/// A document of one agent with these tools.
fn document(tools: &str) -> String {
    format!(
        "name: x\nmode: edit\nagents:\n  worker: {{tools: [{tools}]}}\ntasks:\n  t: {{agent: worker, prompt: Do it}}\n"
    )
}

fn owf(place: &Place, mock: &Mock, args: &[&str]) -> Printed {
    let mut command = place.command(args);
    command.env("OWF_CONFIG", place.path().join("user.toml")).env("OPENAI_API_KEY", KEY);
    let path = format!("{}:{}", place.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
    printed(&command.env("PATH", path).env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1")).output().unwrap())
}

const RUN: &[&str] = &["run", "flow.yaml", "--provider", "openai", "--no-input", "--json"];

fn run(place: &Place, mock: &Mock) -> Value {
    owf(place, mock, RUN).json()
}

fn read(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path().join(name)).unwrap_or_default()
}

/// The events of the latest run of one kind.
fn events(place: &Place, mock: &Mock, kind: &str) -> Vec<Value> {
    let lines = owf(place, mock, &["events", "latest"]).out;
    let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

fn decide(place: &Place, mock: &Mock, word: &str, run: &str, more: &[&str]) {
    let done = owf(place, mock, &[&[word, run, "--json"], more].concat());
    assert_eq!(done.code, 0, "{done:?}");
}

fn until(place: &Place, mock: &Mock, run: &str, status: &str) {
    let is = || owf(place, mock, &["status", run, "--json"]).json()["status"] == status;
    eventually(5 * SECOND, &format!("the run is {status}"), is);
}

#[test]
fn accept_100_what_an_agent_did_with_a_tool_is_taken_back_use_by_use() {
    let place = place(&document("note, publish, look, write_file").replace("Do it", "Do it, write_scope: [out]"));
    let publish = "[tools.publish]\ncommand = [\"sh\", \"-c\", \"echo '{\\\"id\\\": 7}'\"]\nundo = [\"sh\", \"-c\", \"cat >> undone; echo >> undone; echo gone\"]\n";
    place.file("user.toml", &format!("{TOOLS}{publish}"));
    let mock = Mock::of(vec![
        calls(&[("note", json!({"text": "hi"})), ("publish", json!({"v": 1})), ("look", json!({}))]),
        calls(&[("write_file", json!({"path": "out/a.md", "content": "x"})), ("publish", json!({"v": 2}))]),
        text("done"),
    ]);
    let id = run(&place, &mock)["run_id"].as_str().unwrap().to_owned();
    let listed = owf(&place, &mock, &["calls", &id, "c0001"]).out;
    let listed: Vec<&str> = listed.lines().filter(|line| line.contains(" did ")).map(str::trim).collect();
    let publish = ["did 2: publish: {\"id\":7}", "did 4: publish: {\"id\":7}"];
    let wrote = "did 3: write_file out/a.md: wrote 1 bytes to out/a.md";
    assert_eq!(listed, ["did 1: note: noted", publish[0], wrote, publish[1]]);
    let undo = |more: &[&str]| owf(&place, &mock, &[&["undo", &id, "c0001", "--json"], more].concat());
    let error = |printed: Printed| {
        let error = printed.json()["error"].clone();
        let hint = error["hint"].as_str().unwrap_or_default();
        format!("{} {} {hint}", error["code"].as_str().unwrap(), error["message"].as_str().unwrap())
    };
    let done = undo(&["--use", "4"]);
    let view = json!({"run_id": id, "call_id": "c0001", "tool": "publish", "use": 4, "output": "gone"});
    assert_eq!((done.code, done.json()), (0, view), "{done:?}");
    assert_eq!(undo(&["--use", "2"]).code, 0);
    let given = |v: i32| format!("{}\n", json!({"tool": "publish", "arguments": {"v": v}, "result": {"id": 7}}));
    assert_eq!(read(&place, "undone"), given(2) + &given(1));
    let of = |nth: u32, tool: &str| format!("use {nth} of a tool (`{tool}`) in {id}/c0001");
    for (more, why) in [
        (vec!["--use", "4"], format!("{} was taken back already ", of(4, "publish"))),
        (vec!["--use", "1"], "the tool `note` has no `undo` ".to_owned()),
        (vec!["--use", "3"], format!("{} is none of the configuration: it has no `undo` ", of(3, "write_file"))),
        (
            vec!["--use", "5"],
            format!(
                "the agent of {id}/c0001 has no use 5 of a tool; there is: 1 note, 2 publish, 3 write_file, 4 publish "
            ),
        ),
        (
            vec![],
            format!("{id}/c0001 is no call of a tool its agent used tools: `--use N` takes one of these 4 uses back"),
        ),
    ] {
        assert_eq!(error(undo(&more)), format!("undo_refused {why}"));
    }
}

#[test]
fn a_model_is_told_of_the_tools_and_of_what_they_bring_or_refuse_and_effects_are_on_record() {
    let place = place(&document("note, look, review_only, fails, slow, read_file"));
    let hook = "[hooks.audit]\nat = \"before\"\nkinds = [\"tool\"]\ncommand = [\"sh\", \"-c\", \"cat >> asked; echo >> asked; echo '{\\\"verdict\\\": \\\"allow\\\"}'\"]\n";
    place.file("user.toml", &format!("{TOOLS}{hook}"));
    let mock = Mock::of(vec![
        calls(&[("note", json!({})), ("note", json!({"text": "hi"})), ("look", json!({}))]),
        calls(&[("review_only", json!({})), ("fails", json!({})), ("slow", json!({}))]),
        text("done"),
    ]);
    let view = run(&place, &mock);
    assert_eq!(view["output"], json!("done"), "{view}");
    let offered = mock.seen()[0].body["tools"].as_array().unwrap().clone();
    let note = json!({"type": "function", "function": {"name": "note", "description": "Takes a note.", "parameters": {
        "type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "by": {"type": "string"}}}}});
    assert_eq!(offered[1], note, "{offered:?}");
    assert_eq!(
        results(&mock.seen()),
        [
            "error: the arguments of `note` break its schema: \"text\" is a required property",
            "noted",
            "seen",
            "error: `review_only` may be used in mode review only; the mode is edit",
            "error: `sh` ended with exit code 4: no disk",
            "error: slow took longer than 1 s",
        ]
    );
    assert_eq!(read(&place, "notes"), "{\"by\":\"owf\",\"text\":\"hi\"}\n");
    let started: Vec<Value> =
        events(&place, &mock, "tool_started").iter().map(|e| json!([e["tool"], e["args"]])).collect();
    assert_eq!(started, [json!(["note", {"text": "hi"}]), json!(["fails", {}]), json!(["slow", {}])]);
    let finished: Vec<Value> =
        events(&place, &mock, "tool_finished").iter().map(|e| json!([e["number"], e["ok"], e["message"]])).collect();
    let failed = "`sh` ended with exit code 4: no disk";
    assert_eq!(finished, [json!([1, true, "noted"]), json!([2, false, failed]), json!([3, false, "broken off"])]);
    let asked: Vec<Value> = read(&place, "asked")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|asked| json!([asked["call"]["kind"], asked["call"]["ask"]["tool"]["name"], asked["call"]["mutating"]]))
        .collect();
    let kinds = [json!(["tool", "note", true]), json!(["tool", "look", false]), json!(["tool", "fails", true])];
    assert_eq!(asked[..3], kinds);
}

#[test]
fn a_person_is_asked_in_the_middle_of_a_loop_and_nothing_before_it_is_done_again() {
    let place = place(&document("note, deploy"));
    let mock = Mock::of(vec![
        calls(&[("note", json!({"text": "one"})), ("deploy", json!({"v": 1})), ("note", json!({"text": "two"}))]),
        calls(&[("deploy", json!({"v": 2}))]),
        text("done"),
    ]);
    let paused = run(&place, &mock);
    assert_eq!(json!([paused["status"], paused["status_reason"]]), json!(["paused", "approval"]), "{paused}");
    assert_eq!((read(&place, "deployed"), mock.seen().len()), (String::new(), 1));
    let id = paused["run_id"].as_str().unwrap().to_owned();
    let row = owf(&place, &mock, &["approvals", "--json"]).json()["approvals"][0].clone();
    let about = json!({"tool": "deploy", "arguments": {"v": 1}});
    assert_eq!(json!([row["kind"], row["message"], row["metadata"]]), json!(["tool", "Deploy?", about]), "{row}");
    decide(&place, &mock, "approve", &id, &[]);
    let second = || {
        let rows = owf(&place, &mock, &["approvals", "--json"]).json()["approvals"].clone();
        rows[0]["metadata"]["arguments"]["v"] == json!(2)
            && owf(&place, &mock, &["status", &id, "--json"]).json()["status"] == "paused"
    };
    eventually(5 * SECOND, "the second question", second);
    assert_eq!(read(&place, "deployed"), "{\"v\":1}\n", "one answer is not one for the next question");
    decide(&place, &mock, "deny", &id, &["--reason", "not twice"]);
    until(&place, &mock, &id, "done");
    assert_eq!(owf(&place, &mock, &["output", &id, "--json"]).json()["output"], json!("done"));
    assert_eq!(read(&place, "deployed"), "{\"v\":1}\n");
    assert_eq!(read(&place, "notes").lines().count(), 2);
    let told = results(&mock.seen());
    assert_eq!(told[..3], ["noted", "{\"ok\":true}", "noted"]);
    assert!(told[3].starts_with("error: denied by ") && told[3].ends_with(": not twice"), "{told:?}");
    assert_eq!(mock.seen().len(), 3);
    let call = owf(&place, &mock, &["calls", &id, "1", "--json"]).json()["call"].clone();
    assert_eq!(json!([call["attempts"], call["input_tokens"], call["output_tokens"]]), json!([3, 30, 15]), "{call}");
}

#[test]
fn a_model_is_told_of_all_faults_at_once_and_what_lacks_a_secret_or_is_rejected_is_no_result() {
    let place = place(&document("fetch, note"));
    let rejects = r#"
[hooks.taste]
at = "after"
kinds = ["tool"]
command = ["sh", "-c", "read -r asked; case \"$asked\" in *noted*) echo '{\"verdict\": \"fail\", \"reason\": \"no\"}';; *) echo '{\"verdict\": \"accept\"}';; esac"]
"#;
    place.file("user.toml", &format!("{TOOLS}{rejects}"));
    let mock = Mock::of(vec![
        calls(&[("fetch", json!({"c": "x"})), ("fetch", json!({"a": 1, "b": 2})), ("note", json!({"text": "hi"}))]),
        text("done"),
    ]);
    assert_eq!(run(&place, &mock)["output"], json!("done"));
    let told = results(&mock.seen());
    for fault in ["\"a\" is a required property", "\"b\" is a required property", "/c \"x\" is not of type \"integer\""]
    {
        assert!(told[0].contains(fault) || told[0].contains(&fault.replacen("/c ", "/c: ", 1)), "{fault}: {told:?}");
    }
    assert_eq!(
        told[1..],
        [
            "error: the secret FETCH_TOKEN of `fetch` is not set in the environment",
            "error: the answer was rejected by hook `taste`: no",
        ]
    );
    assert_eq!((read(&place, "fetched").as_str(), read(&place, "notes").lines().count()), ("", 1));
}

#[test]
fn an_attempt_that_goes_on_and_does_nothing_of_its_own_may_be_tried_again_and_begins_where_it_did() {
    let retry = "prompt: Do it, retry: {max_attempts: 3, on: [transport, overloaded, other]}";
    let place = place(&document("note, deploy").replace("prompt: Do it", retry));
    let mock = Mock::new(|seen| match seen.number {
        0 => calls(&[("note", json!({"text": "one"})), ("deploy", json!({"v": 1}))]),
        1 => Answer::text(500, "broken"),
        _ => text("done"),
    });
    let id = run(&place, &mock)["run_id"].as_str().unwrap().to_owned();
    decide(&place, &mock, "deny", &id, &["--reason", "no"]);
    until(&place, &mock, &id, "done");
    assert_eq!((read(&place, "notes").lines().count(), read(&place, "deployed").as_str()), (1, ""));
    let told = results(&mock.seen());
    assert!(told[0] == "noted" && told[1].ends_with(": no"), "{told:?}");
    assert_eq!(mock.seen().len(), 3);
}

#[test]
fn a_yes_is_about_what_was_asked_and_about_nothing_else() {
    let place = place(&document("note, deploy"));
    let mock = Mock::of(vec![calls(&[("deploy", json!({"v": 1}))]), text("done")]);
    let id = run(&place, &mock)["run_id"].as_str().unwrap().to_owned();
    // By now the same words mean something else.
    place.file("user.toml", &TOOLS.replace("approval_message", "fixed_args = { to = \"prod\" }\napproval_message"));
    decide(&place, &mock, "approve", &id, &[]);
    let again = || {
        let rows = owf(&place, &mock, &["approvals", "--json"]).json()["approvals"].clone();
        rows[0]["metadata"] == json!({"tool": "deploy", "arguments": {"v": 1, "to": "prod"}})
            && owf(&place, &mock, &["status", &id, "--json"]).json()["status"] == "paused"
    };
    eventually(5 * SECOND, "it asks again", again);
    assert_eq!(read(&place, "deployed"), "");
    decide(&place, &mock, "approve", &id, &[]);
    until(&place, &mock, &id, "done");
    assert_eq!(read(&place, "deployed").lines().count(), 1);
}

#[test]
fn a_key_whose_agent_waits_in_the_middle_of_its_loop_is_asked_about_by_the_next() {
    let place = place(&document("note, deploy").replace("Do it", "Do it, idempotency_key: k"));
    let mock = Mock::new(|_| calls(&[("note", json!({"text": "one"})), ("deploy", json!({"v": 1}))]));
    let first = run(&place, &mock);
    assert_eq!(json!([first["status"], first["status_reason"]]), json!(["paused", "approval"]), "{first}");
    let second = run(&place, &mock);
    assert_eq!(json!([second["status"], second["status_reason"]]), json!(["paused", "repeat"]), "{second}");
    let from = first["run_id"].as_str().unwrap();
    let message = format!(
        "`t` may have been carried out in part: {from}/c0001 is at work for the same idempotency key \"k\", and its run is paused. Run it all the same?"
    );
    assert_eq!(second["approvals"][0]["message"], json!(message), "{second}");
    assert_eq!((read(&place, "notes").lines().count(), mock.seen().len()), (1, 1));
}

#[test]
fn after_a_tool_had_effects_a_failure_is_final_although_retries_were_asked_for() {
    let place = place(
        &document("note")
            .replace("prompt: Do it", "prompt: Do it, retry: {max_attempts: 3, on: [transport, overloaded, other]}"),
    );
    let mock = Mock::new(|seen| match seen.number {
        0 => calls(&[("note", json!({"text": "once"}))]),
        _ => Answer::text(500, "broken"),
    });
    let view = run(&place, &mock);
    assert_eq!(view["status"], json!("failed"), "{view}");
    assert_eq!(read(&place, "notes").lines().count(), 1);
    let call = owf(&place, &mock, &["calls", "latest", "1", "--json"]).json()["call"].clone();
    assert_eq!(call["attempts"], json!(1), "{call}");
}

#[test]
fn a_key_that_is_refused_in_the_middle_pauses_the_run_and_a_resume_goes_on_from_there() {
    let place = place(&document("note"));
    let mock = Mock::new(|seen| match seen.number {
        0 => calls(&[("note", json!({"text": "once"}))]),
        1 => Answer::text(401, "{\"error\": {\"message\": \"bad key\"}}"),
        _ => text("done"),
    });
    let paused = run(&place, &mock);
    assert_eq!(json!([paused["status"], paused["status_reason"]]), json!(["paused", "provider_auth"]), "{paused}");
    let id = paused["run_id"].as_str().unwrap();
    let view = owf(&place, &mock, &["resume", id, "--no-input", "--json"]).json();
    assert_eq!(json!([view["status"], view["output"]]), json!(["done", "done"]), "{view}");
    assert_eq!(read(&place, "notes").lines().count(), 1);
    assert_eq!((results(&mock.seen()), mock.seen().len()), (vec!["noted".to_owned()], 3));
}

#[test]
fn an_agent_that_cannot_use_a_tool_is_refused_with_the_reason_before_anything_starts() {
    let mock = Mock::of(vec![text("done")]);
    for (document, args, message) in [
        (
            document("note"),
            vec!["--provider", "claude"],
            "provider \"claude\" is a program with tools of its own; only agents of services can use the configured tool `note`",
        ),
        (
            document("child"),
            vec!["--provider", "openai"],
            "`child` is a workflow: use it by `tool` or `owf.tool()`, an agent cannot call it",
        ),
        (
            document("deploy").replace("prompt: Do it", "prompt: Do it, isolation: worktree"),
            vec!["--provider", "openai"],
            "a person is asked before `deploy` is used: it cannot be used from a worktree",
        ),
    ] {
        let place = place(&document);
        let claude = place.file("bin/claude", "#!/bin/sh\necho 2.1.0\n");
        std::fs::set_permissions(claude, std::fs::Permissions::from_mode(0o755)).unwrap();
        let refused = owf(&place, &mock, &[&["run", "flow.yaml", "--no-input", "--json"], &args[..]].concat());
        let error = refused.json()["error"].clone();
        assert_eq!(error["message"], json!(format!("task `t`: {message}")), "{error}");
        assert_eq!(refused.code, 2);
    }
    // A script says it when the call is made.
    let place = place("");
    place.file(
        "flow.js",
        "export const meta = { name: 'f', description: 'd' }\ntry { return await owf.agent('x', { tools: ['child'], throw: true }) } catch (e) { return e.message }\n",
    );
    owf(&place, &mock, &["run", "flow.js", "--provider", "openai", "--no-input", "--json"]);
    let call = owf(&place, &mock, &["calls", "latest", "1", "--json"]).json()["call"].clone();
    assert!(call["error"]["message"].as_str().unwrap().starts_with("`child` is a workflow"), "{call}");
}

#[test]
fn an_answer_is_kept_for_the_tools_as_they_were_when_they_only_look() {
    let place = place(&document("look"));
    let mock = Mock::new(|seen| if seen.number % 2 == 0 { calls(&[("look", json!({}))]) } else { text("done") });
    std::process::Command::new("git").args(["init", "-q"]).current_dir(place.path()).status().unwrap();
    place.file(".gitignore", "home\nlooks\nuser.toml\nuser\n");
    let requests = |place: &Place| {
        assert_eq!(run(place, &mock)["output"], json!("done"));
        mock.seen().len()
    };
    assert_eq!([requests(&place), requests(&place)], [2, 2], "the second answer is the first one's");
    place.file("user.toml", &TOOLS.replace("Looks.", "Looks closely."));
    assert_eq!(requests(&place), 4, "another tool by the same name");
}

#[test]
fn a_loop_that_was_killed_in_a_tool_is_asked_about_with_what_it_had_used() {
    let place = place(&document("note, slow"));
    let config = TOOLS
        .replace("timeout_seconds = 1", "")
        .replace("[\"sleep\", \"300\"]", "[\"sh\", \"-c\", \"touch slow; sleep 300\"]");
    place.file("user.toml", &config);
    let mock = Mock::of(vec![calls(&[("note", json!({"text": "once"})), ("slow", json!({}))])]);
    let mut command = place.command(RUN);
    command.env("OWF_CONFIG", place.path().join("user.toml")).env("OPENAI_API_KEY", KEY);
    command.env("OWF_PROVIDER_OPENAI_BASE_URL", mock.url("/v1"));
    let mut owner = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually(5 * SECOND, "the tool runs", || place.path().join("slow").exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    let id = owf(&place, &mock, &["runs", "--json"]).json()["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let paused = owf(&place, &mock, &["resume", &id, "--no-input", "--json"]).json();
    assert_eq!(json!([paused["status"], paused["status_reason"]]), json!(["paused", "repeat"]), "{paused}");
    let row = owf(&place, &mock, &["approvals", "--json"]).json()["approvals"][0].clone();
    assert!(row["message"].as_str().unwrap().contains("had changed note, slow: run it again?"), "{row}");
}

/// Runs the example of an agent with tools of the configuration.
pub(crate) fn run_example(document: &str) {
    let place = place(document);
    let mock = Mock::of(vec![
        calls(&[("note", json!({"text": "going to deploy"})), ("deploy", json!({"v": 1}))]),
        text("deployed"),
    ]);
    let paused = owf(&place, &mock, &[RUN, &["--arg", "request=Deploy it"]].concat()).json();
    assert_eq!(paused["status_reason"], json!("approval"), "{paused}");
    let id = paused["run_id"].as_str().unwrap();
    decide(&place, &mock, "approve", id, &[]);
    until(&place, &mock, id, "done");
    let output = owf(&place, &mock, &["output", id, "--json"]).json()["output"].clone();
    assert_eq!(output, json!({"report": "deployed"}));
    assert_eq!([read(&place, "notes").lines().count(), read(&place, "deployed").lines().count()], [1, 1]);
}

#[test]
fn a_script_says_in_which_mode_its_agent_uses_tools() {
    let place = place("");
    let script = |mode: &str| {
        format!(
            "export const meta = {{ name: 'f', description: 'd' }}\nreturn await agent('x', {{ tools: ['review_only']{mode} }})\n"
        )
    };
    for (mode, told) in
        [("", "error: `review_only` may be used in mode review only; this run has no mode"), (", mode: 'review'", "")]
    {
        let mock = Mock::of(vec![calls(&[("review_only", json!({}))]), text("done")]);
        place.file("flow.js", &script(mode));
        let view = owf(&place, &mock, &["run", "flow.js", "--provider", "openai", "--no-input", "--json"]).json();
        assert_eq!(view["output"], json!("done"), "{view}");
        assert_eq!(results(&mock.seen()), [told]);
    }
}
