//! Tools of the user's configuration: arguments, mode, person, handler, in this order; locks, and what takes a call back.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, eventually, printed};

const SECOND: Duration = Duration::from_secs(1);

/// Tools that leave a trace when they run.
const TOOLS: &str = r#"
[tools.deploy]
description = "Deploys a version."
command = ["sh", "-c", "tee -a ran; echo >> ran"]
schema = { type = "object", required = ["version"], additionalProperties = false, properties = { version = { type = "string" }, to = { type = "string" } } }
fixed_args = { to = "test" }
modes = ["edit"]
requires_approval = true
approval_message = "Deploy it?"

[tools.echo]
command = ["cat"]
modes = []

[tools.only_edit]
command = ["sh", "-c", "echo edited >> ran"]
modes = ["edit", "repair"]

[tools.save]
builtin = "write_file"

[tools.load]
builtin = "read_file"

[tools.alone]
command = ["sh", "-c", "mkdir busy || exit 7; sleep 0.05; rmdir busy; echo >> ran"]
lock = true

[tools.broken]
command = ["true"]
builtin = "read_file"

[tools.hidden]
command = ["sh", "-c", "echo \"it is $TOOL_TOKEN\""]
secrets = ["TOOL_TOKEN"]

[tools.slow]
command = ["sleep", "300"]
timeout_seconds = 1

[tools.publish]
command = ["sh", "-c", "cat > published; echo '{\"id\": 7}'"]
fixed_args = { to = "test" }
undo = ["sh", "-c", "test -e may_undo || { echo not yet >&2; exit 1; }; cat > undone; rm published"]

[tools.brief]
command = ["true"]
undo = ["true"]
undo_seconds = 0
"#;

/// A place with this document and the tools.
fn place(document: &str) -> Place {
    let place = Place::new();
    place.file("flow.yaml", document);
    place.file("user.toml", TOOLS);
    place
}

fn owf_in(place: &Place, env: &[(&str, &str)], args: &[&str]) -> Printed {
    let config = place.path().join("user.toml");
    printed(&place.command(args).env("OWF_CONFIG", config).envs(env.iter().copied()).output().unwrap())
}

fn owf(place: &Place, args: &[&str]) -> Printed {
    owf_in(place, &[], args)
}

const RUN: &[&str] = &["run", "flow.yaml", "--no-input", "--json"];

fn run(place: &Place) -> Value {
    owf(place, RUN).json()
}

/// Status and message of the call of the latest run with this label.
fn told(place: &Place, label: &str) -> String {
    let calls = place.json(&["calls", "latest", "--json"]);
    let call = calls["calls"].as_array().unwrap().iter().find(|c| c["label"] == label).cloned().unwrap();
    format!(
        "{} {}: {}",
        call["status"].as_str().unwrap(),
        call["attempts"],
        call["error"]["message"].as_str().unwrap_or("-")
    )
}

fn trace(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("ran")).unwrap_or_default()
}

#[test]
fn accept_097_arguments_that_break_the_schema_are_refused_before_the_mode_the_person_and_the_tool() {
    let place = place(
        "name: x
mode: review
on_failure: best_effort
tasks:
  missing: {tool: deploy, args: {}}
  wrong: {tool: deploy, args: {version: 3}}
  more: {tool: deploy, args: {version: '3', force: true}}
  none: {tool: deploy, args: '{{ 1 }}'}
",
    );
    assert_eq!(run(&place)["status"], json!("done"));
    assert_eq!(
        ["missing", "wrong", "more", "none"].map(|label| told(&place, label)),
        [
            "failed 0: the arguments of `deploy` break its schema: \"version\" is a required property",
            "failed 0: the arguments of `deploy` break its schema at /version: 3 is not of type \"string\"",
            "failed 0: the arguments of `deploy` break its schema: Additional properties are not allowed ('force' was unexpected)",
            "failed 0: the arguments of a tool are an object, not 1",
        ]
    );
    assert_eq!(trace(&place), "");
    assert_eq!(place.json(&["approvals", "--json"])["approvals"], json!([]));
    // In the mode it may be used in, where a person would be asked next, nobody is.
    let place = self::place("name: x\nmode: edit\ntasks:\n  wrong: {tool: deploy, args: {version: 3}}\n");
    let view = run(&place);
    let message =
        "task `wrong` failed: the arguments of `deploy` break its schema at /version: 3 is not of type \"string\"";
    assert_eq!(json!([view["status"], view["error"]["message"]]), json!(["failed", message]), "{view}");
    let types: Vec<Value> = journal(&place).iter().map(|e| e["type"].clone()).collect();
    assert!(!types.contains(&json!("approval_asked")) && !types.contains(&json!("attempt_started")), "{types:?}");
    assert_eq!(trace(&place), "");
}

/// The journal of the latest run.
fn journal(place: &Place) -> Vec<Value> {
    let store = place.store();
    let events = store.events(&store.resolve("latest").unwrap(), 0, 1000).unwrap();
    events.iter().map(|e| serde_json::to_value(&e.event).unwrap()).collect()
}

#[test]
fn accept_098_a_tool_of_another_mode_is_denied_and_never_runs() {
    let tasks = "on_failure: best_effort\ntasks:\n  a: {tool: only_edit}\n  b: {tool: deploy, args: {version: '3'}}\n  c: {tool: echo}\n";
    let denied = place(&format!("name: x\nmode: review\n{tasks}"));
    run(&denied);
    assert_eq!(
        ["a", "b", "c"].map(|label| told(&denied, label)),
        [
            "denied 0: `only_edit` may be used in mode edit, repair only; the mode is review",
            "denied 0: `deploy` may be used in mode edit only; the mode is review",
            "done 1: -",
        ]
    );
    // On record as what it was, and never begun.
    let events = journal(&denied);
    let of = |kind: &str| events.iter().filter(|e| e["type"] == kind).collect::<Vec<_>>();
    let ends: Vec<Value> = of("call_finished")
        .iter()
        .map(|e| json!([e["call_id"], e["outcome"]["status"], e["outcome"]["error"]["class"]]))
        .collect();
    let denial = |call: u32| json!([call, "denied", "tool_denied"]);
    assert_eq!(ends, [denial(1), denial(2), json!([3, "done", null])], "{events:?}");
    let begun: Vec<&Value> = of("attempt_started").iter().map(|e| &e["call_id"]).collect();
    assert_eq!(begun, [&json!(3)]);
    let none = place(&format!("name: x\n{tasks}"));
    run(&none);
    assert_eq!(told(&none, "a"), "denied 0: `only_edit` may be used in mode edit, repair only; this run has no mode");
    assert_eq!([trace(&denied), trace(&none)], ["", ""]);
    let may = place("name: x\nmode: repair\ntasks:\n  a: {tool: only_edit}\n");
    assert_eq!(run(&may)["status"], json!("done"));
    assert_eq!(trace(&may), "edited\n");
}

const DEPLOYS: &str = "name: x\nmode: edit\ntasks:\n  d: {tool: deploy, args: {version: '{{ input.v }}'}}\n  end: {after: d, expr: tasks.d.data.version}\n";

#[test]
fn a_person_is_asked_before_the_tool_runs_and_its_fixed_arguments_are_there() {
    let place = place(DEPLOYS);
    let paused = owf(&place, &[RUN, &["--arg", "v=3"]].concat()).json();
    assert_eq!(json!([paused["status"], paused["status_reason"]]), json!(["paused", "approval"]), "{paused}");
    assert_eq!(trace(&place), "");
    let row = place.json(&["approvals", "--json"])["approvals"][0].clone();
    assert_eq!(
        json!([row["kind"], row["message"], row["metadata"]]),
        json!(["tool", "Deploy it?", {"tool": "deploy", "arguments": {"to": "test", "version": "3"}}]),
        "{row}"
    );
    let id = paused["run_id"].as_str().unwrap().to_owned();
    let approved = owf(&place, &["approve", &id, "--reason", "go", "--json"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    eventually(5 * SECOND, "the run ends", || place.json(&["status", &id, "--json"])["status"] == "done");
    assert_eq!(place.json(&["output", &id, "--json"])["output"], json!("3"));
    assert_eq!(trace(&place), "{\"to\":\"test\",\"version\":\"3\"}\n");
}

#[test]
fn a_tool_that_a_person_denies_is_denied_without_an_attempt() {
    let place = place(DEPLOYS);
    let paused = owf(&place, &[RUN, &["--arg", "v=3"]].concat()).json();
    let id = paused["run_id"].as_str().unwrap().to_owned();
    let denied = owf(&place, &["deny", &id, "--reason", "not today", "--json"]);
    assert_eq!(denied.code, 0, "{denied:?}");
    eventually(5 * SECOND, "the run ends", || place.json(&["status", &id, "--json"])["status"] == "failed");
    let text = told(&place, "d");
    assert!(text.starts_with("denied 0: denied by ") && text.ends_with(": not today"), "{text}");
    assert_eq!(trace(&place), "");
}

#[test]
fn a_call_may_set_what_is_fixed_and_the_record_says_so() {
    let place = place(&DEPLOYS.replace("version: '{{ input.v }}'", "version: '3', to: production"));
    let id = run(&place)["run_id"].as_str().unwrap().to_owned();
    owf(&place, &["approve", &id, "--json"]);
    eventually(5 * SECOND, "the run ends", || place.json(&["status", &id, "--json"])["status"] == "done");
    assert_eq!(trace(&place), "{\"to\":\"production\",\"version\":\"3\"}\n");
    let detail = place.json(&["calls", &id, "c0001", "--json"]);
    assert!(detail.to_string().contains("the call set `to`, which the configuration of `deploy` fixes"), "{detail}");
}

#[test]
fn scripts_use_tools_with_a_mode_of_their_own_and_failures_are_thrown() {
    let place = place("");
    place.file(
        "flow.js",
        "export const meta = { name: 'flow', description: 'Uses tools.' }
const said = await owf.tool('echo', { a: [1] })
const caught = []
for (const call of [() => owf.tool('only_edit'), () => owf.tool('deploy', {}), () => owf.tool('gone'), () => owf.tool('echo', 1)]) {
  try { await call() } catch (error) { caught.push(error.message) }
}
await owf.tool('only_edit', {}, { mode: 'edit', label: 'edits' })
return { said, caught }
",
    );
    let view = owf(&place, &["run", "flow.js", "--no-input", "--json"]).json();
    let configured = "alone, brief, broken, deploy, echo, hidden, load, only_edit, publish, save, slow";
    assert_eq!(
        view["output"],
        json!({"said": {"a": [1]}, "caught": [
            "tool \"only_edit\" denied: `only_edit` may be used in mode edit, repair only; this run has no mode",
            "tool \"deploy\" failed: the arguments of `deploy` break its schema: \"version\" is a required property",
            format!("tool \"gone\" failed: there is no tool `gone`; configured are {configured}"),
            "owf.tool() option \"args\" must be an object, not 1",
        ]}),
        "{view}"
    );
    assert_eq!(told(&place, "edits"), "done 1: -");
}

#[test]
fn file_tools_secrets_and_time_limits_come_from_the_configuration() {
    let place = place(
        "name: x
on_failure: best_effort
tasks:
  save: {tool: save, args: {path: made/a.txt, content: hello}, outputs: made/a.txt}
  load: {tool: load, args: {path: made/a.txt}, after: save}
  out: {tool: load, args: {path: ../x}}
  hidden: {tool: hidden}
  slow: {tool: slow}
  wrong: {after: load, expr: '{{ tasks.load }}'}
",
    );
    let view = owf_in(&place, &[("TOOL_TOKEN", "token-0123456789")], RUN).json();
    assert_eq!(
        json!([view["output"]["wrong"], view["output"]["hidden"]]),
        json!(["hello", "it is [TOOL_TOKEN]"]),
        "{view}"
    );
    assert_eq!(told(&place, "out"), "failed 1: ../x must not contain `..`");
    assert_eq!(told(&place, "slow"), "timeout 1: no answer in 1 s");
    run(&place);
    assert_eq!(told(&place, "hidden"), "failed 0: the secret TOOL_TOKEN of `hidden` is not set in the environment");
}

#[test]
fn a_tool_that_is_not_there_or_wrong_is_told_before_anything_starts() {
    for (tool, message) in [
        ("gone", "task `b`: there is no tool `gone`; configured are"),
        (
            "broken",
            "task `b`: the tool `broken` is configured wrongly: it needs one handler: `command`, `builtin`, `mcp` or `workflow`",
        ),
    ] {
        let place = place(&format!("name: x\ntasks:\n  a: {{prompt: hi}}\n  b: {{after: a, tool: {tool}}}\n"));
        let refused = owf(&place, RUN);
        let error = refused.json()["error"].clone();
        assert_eq!((refused.code, &error["code"]), (2, &json!("invalid_arguments")), "{error}");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
        assert_eq!(place.json(&["runs", "--json"])["total"], json!(0));
    }
}

#[test]
fn accept_110_a_locked_tool_runs_alone_in_parallel_tasks_and_in_several_processes() {
    let place = place("name: x\ntasks:\n  a: {for_each: [1, 2, 3], tool: alone}\n");
    let config = place.path().join("user.toml");
    let start = || {
        let mut command = place.command(RUN);
        command.env("OWF_CONFIG", &config).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let started = [start(), start()];
    for child in started {
        let view = printed(&child.wait_with_output().unwrap()).json();
        assert_eq!(view["status"], json!("done"), "{view}");
    }
    assert_eq!(trace(&place), "\n".repeat(6));
}

#[test]
fn accept_110_what_a_killed_process_left_of_a_locked_tool_ends_before_another_uses_it() {
    let place = place("name: x\ntasks:\n  a: {tool: alone}\n");
    let config = "[tools.alone]\nlock = true\ncommand = [\"sh\", \"-c\", \"echo $$ >> begun; until test -e go; do sleep 0.01; done; echo >> ran\"]\n";
    place.file("user.toml", config);
    let begun = || std::fs::read_to_string(place.path().join("begun")).unwrap_or_default();
    let start = || {
        let mut command = place.command(RUN);
        command.env("OWF_CONFIG", place.path().join("user.toml")).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut first = start();
    eventually(5 * SECOND, "the first uses it", || begun().lines().count() == 1);
    let left = begun().trim().to_owned();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(crate::commands::alive(&left), "it is nobody's, and works");
    let second = start();
    eventually(5 * SECOND, "the second uses it", || begun().lines().count() == 2);
    assert!(!crate::commands::alive(&left), "alone");
    place.file("go", "");
    let view = printed(&second.wait_with_output().unwrap()).json();
    assert_eq!(view["status"], json!("done"), "{view}");
    assert_eq!(trace(&place), "\n");
    let lock = std::fs::read_to_string(place.home().join("locks/alone.lock")).unwrap();
    assert_eq!(lock, "", "who gave it back is not named any more");
    std::fs::write(place.home().join("locks/alone.lock"), [0xff]).unwrap();
    let view = printed(&start().wait_with_output().unwrap()).json();
    assert_eq!(view["status"], json!("done"), "what is no text names nobody: {view}");
}

#[test]
fn a_dry_run_uses_no_tool_and_a_rule_answers_in_its_place() {
    let place = place("name: x\ntasks:\n  a: {tool: only_edit}\n  b: {after: a, tool: elsewhere}\n");
    let dry = owf(&place, &["dry-run", "flow.yaml", "--json"]).json();
    let warned: Vec<&Value> = dry["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == "tools").collect();
    let message = "A run would make 2 calls of tools, none of them made here: elsewhere, only_edit";
    assert_eq!(warned, [&json!({"code": "tools", "message": message})], "{dry}");
    place.file("answers.yaml", &crate::acca_support::answers("  - match: {tool: elsewhere}\n    json: {n: 1}"));
    place.file("flow.yaml", "name: x\ntasks:\n  b: {tool: elsewhere}\n");
    let view = owf(&place, &[RUN, &["--fixtures", "answers.yaml"]].concat()).json();
    assert_eq!(view["output"], json!({"n": 1}), "{view}");
    assert_eq!(trace(&place), "");
}

#[test]
fn accept_100_a_call_is_taken_back_once_in_time_and_a_failed_try_leaves_it_possible() {
    let place = place(
        "name: x\ntasks:\n  p: {tool: publish, args: {v: 1}}\n  b: {tool: brief}\n  e: {tool: echo}\n  x: {expr: 1}\n",
    );
    let view = run(&place);
    let id = view["run_id"].as_str().unwrap().to_owned();
    let undo = |call: &str| owf(&place, &["undo", &id, call, "--json"]);
    let error = |printed: Printed| {
        let error = printed.json()["error"].clone();
        format!("{} {} {}", printed.code, error["code"].as_str().unwrap(), error["message"].as_str().unwrap())
    };
    assert_eq!(
        error(undo("c0001")),
        format!("2 undo_failed taking {id}/c0001 back failed: `sh` ended with exit code 1: not yet")
    );
    // Nothing is taken back on the word of a journal that somebody has changed.
    let swap = |from: &str, to: &str| {
        let db = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
        let sql = "UPDATE event SET body = replace(body, ?1, ?2) WHERE instr(body, ?1)";
        assert!(db.execute(sql, [from, to]).unwrap() > 0);
    };
    swap("publish", "purged!");
    assert_eq!(
        error(undo("c0001")),
        format!("4 store_corrupt what is stored of run {id} was changed by something other than owf")
    );
    swap("purged!", "publish");
    assert!(place.path().join("published").exists());
    place.file("may_undo", "");
    let done = undo("1");
    assert_eq!((done.code, done.json()), (0, json!({"run_id": id, "call_id": "c0001", "tool": "publish"})));
    let read: Value = serde_json::from_str(&std::fs::read_to_string(place.path().join("undone")).unwrap()).unwrap();
    assert_eq!(read, json!({"tool": "publish", "arguments": {"v": 1, "to": "test"}, "result": {"id": 7}}));
    assert!(!place.path().join("published").exists());
    assert_eq!(error(undo("c0001")), format!("2 undo_refused {id}/c0001 was taken back already"));
    assert_eq!(error(undo("c0002")), format!("2 undo_refused {id}/c0002 could be taken back for 0 s, which are over"));
    assert_eq!(error(undo("c0003")), "2 undo_refused the tool `echo` has no `undo`");
    assert_eq!(error(undo("c0004")), format!("2 undo_refused {id}/c0004 is no call of a tool"));
    assert_eq!(owf(&place, &["undo", "latest", "c0001"]).code, 2);
    // The tool that has its handler by now has another name, and is not the one that was used.
    let renamed = TOOLS.replace("[tools.publish]", "[tools.release]");
    place.file("user.toml", &renamed);
    let gone = error(undo("c0001"));
    assert!(gone.starts_with("2 undo_refused there is no tool `publish`; configured are "), "{gone}");
    place.file("user.toml", TOOLS);
    let database = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
    let altered = "UPDATE event SET body = replace(body, '\"v\":1', '\"v\":2') \
        WHERE id >> 32 = (SELECT no FROM run_key WHERE run_id = ?1)";
    assert!(database.execute(altered, [&id]).unwrap() > 0);
    drop(database);
    assert!(error(undo("c0002")).starts_with("4 store_corrupt "), "{}", error(undo("c0002")));
}

#[test]
fn hooks_are_asked_once_after_arguments_mode_and_person_and_what_those_refuse_they_never_see() {
    let hook = "
[hooks.audit]
at = \"before\"
kinds = [\"tool\"]
command = [\"sh\", \"-c\", \"cat > /dev/null; echo asked >> asked; echo '{\\\"verdict\\\": \\\"allow\\\"}'\"]
";
    let asked = |place: &Place| std::fs::read_to_string(place.path().join("asked")).unwrap_or_default();
    let refused = place(
        "name: x\nmode: review\non_failure: best_effort\ntasks:\n  a: {tool: deploy, args: {}}\n  b: {tool: only_edit}\n",
    );
    refused.file("user.toml", &format!("{TOOLS}{hook}"));
    assert_eq!(run(&refused)["status"], json!("done"));
    assert_eq!(["a", "b"].map(|label| told(&refused, label).starts_with("done")), [false, false]);
    assert_eq!(asked(&refused), "");
    let approved = place(DEPLOYS);
    approved.file("user.toml", &format!("{TOOLS}{hook}"));
    let paused = owf(&approved, &[RUN, &["--arg", "v=3"]].concat()).json();
    assert_eq!((&paused["status"], asked(&approved)), (&json!("paused"), String::new()), "{paused}");
    let id = paused["run_id"].as_str().unwrap().to_owned();
    owf(&approved, &["approve", &id, "--json"]);
    eventually(5 * SECOND, "the run ends", || approved.json(&["status", &id, "--json"])["status"] == "done");
    assert_eq!(
        (asked(&approved).as_str(), trace(&approved).as_str()),
        ("asked\n", "{\"to\":\"test\",\"version\":\"3\"}\n")
    );
}

#[test]
fn accept_100_an_undo_whose_process_ended_is_repeated_only_when_that_is_said() {
    let place = place("name: x\ntasks:\n  p: {tool: slow}\n");
    let config = "[tools.slow]\ncommand = [\"true\"]\nundo = [\"sh\", \"-c\", \"echo x >> begun; until test $(wc -l < begun) -eq 2; do sleep 0.01; done; echo y >> ended\"]\n";
    place.file("user.toml", config);
    let id = run(&place)["run_id"].as_str().unwrap().to_owned();
    let begun = || std::fs::read_to_string(place.path().join("begun")).unwrap_or_default().lines().count();
    let args = ["undo", &id, "c0001", "--json"];
    let mut command = place.command(&args);
    command.env("OWF_CONFIG", place.path().join("user.toml"));
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually(5 * SECOND, "it has begun", || begun() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let again = owf(&place, &args);
    let error = again.json()["error"].clone();
    let message = error["message"].as_str().unwrap();
    assert_eq!((again.code, &error["code"]), (2, &json!("undo_refused")));
    assert!(message.starts_with(&format!("{id}/c0001 may have been taken back: that was begun at 20")), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("`--repeat`"), "{error}");
    assert_eq!(begun(), 1);
    let repeated = owf(&place, &["undo", &id, "c0001", "--repeat", "--json"]);
    assert_eq!((repeated.code, begun()), (0, 2), "{repeated:?}");
    // Of the one whose process was killed nothing went on beside it.
    assert_eq!(std::fs::read_to_string(place.path().join("ended")).unwrap(), "y\n");
    let over = owf(&place, &["undo", &id, "c0001", "--repeat", "--json"]);
    assert_eq!(over.json()["error"]["message"], json!(format!("{id}/c0001 was taken back already")));
}

#[test]
fn accept_100_an_undo_that_was_broken_off_is_unclear_and_one_that_failed_is_not() {
    let place =
        place("name: x\ntasks:\n  a: {tool: slow}\n  b: {tool: killed}\n  c: {tool: talks}\n  d: {tool: fails}\n");
    let tool = |name: &str, undo: &str| {
        format!("[tools.{name}]\ncommand = [\"true\"]\nundo = [\"sh\", \"-c\", \"test -e go || {undo}\"]\n")
    };
    let config = [
        tool("slow", "sleep 300") + "timeout_seconds = 1\n",
        tool("killed", "kill -9 $$"),
        tool("talks", "while echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; do :; done"),
        tool("fails", "exit 3"),
    ];
    place.file("user.toml", &config.concat());
    let id = run(&place)["run_id"].as_str().unwrap().to_owned();
    let undo = |call: &str, more: &[&str]| owf(&place, &[&["undo", &id, call, "--json"], more].concat());
    for (call, why) in [
        ("c0001", "no end in 1 s"),
        ("c0002", "`sh` ended with signal 9"),
        ("c0003", "`sh` printed more than 64 KB and was ended"),
    ] {
        let broken = undo(call, &[]).json()["error"].clone();
        let message = format!("taking {id}/{call} back was broken off, and nobody knows how far it came: {why}");
        assert_eq!(json!([broken["code"], broken["message"]]), json!(["undo_failed", message]), "{broken}");
        let again = undo(call, &[]).json()["error"].clone();
        let said = again["message"].as_str().unwrap();
        assert!(said.starts_with(&format!("{id}/{call} may have been taken back: that was begun at ")), "{again}");
        assert!(again["hint"].as_str().unwrap().contains("`--repeat`"), "{again}");
    }
    for _ in 0..2 {
        let failed = undo("c0004", &[]).json()["error"].clone();
        assert_eq!(failed["message"], json!(format!("taking {id}/c0004 back failed: `sh` ended with exit code 3")));
    }
    place.file("go", "");
    for (call, more) in
        [("c0001", &["--repeat"][..]), ("c0002", &["--repeat"]), ("c0003", &["--repeat"]), ("c0004", &[])]
    {
        assert_eq!(undo(call, more).code, 0, "{call}");
    }
}

#[test]
fn a_call_that_another_run_took_over_is_taken_back_once_for_all() {
    let text = "name: x\nsteps:\n  - {id: p, tool: publish}\n";
    let place = place(text);
    let first = run(&place)["run_id"].as_str().unwrap().to_owned();
    place.file("flow.yaml", &format!("{text}  - {{id: more, expr: 7}}\n"));
    let second = owf(&place, &["resume", &first, "flow.yaml", "--no-input", "--json"]).json();
    assert_eq!(json!([second["output"], second["resumed_from"]]), json!([7, first]), "{second}");
    let second = second["run_id"].as_str().unwrap().to_owned();
    place.file("may_undo", "");
    let undo = |run: &str| owf(&place, &["undo", run, "c0001", "--json"]).json();
    assert_eq!(undo(&second), json!({"run_id": first, "call_id": "c0001", "tool": "publish"}));
    for run in [&first, &second] {
        assert_eq!(undo(run)["error"]["message"], json!(format!("{first}/c0001 was taken back already")));
    }
}

#[test]
fn what_was_only_invented_is_not_taken_back() {
    let place = place("name: x\ntasks:\n  p: {tool: publish}\n");
    place.file("answers.yaml", "owf_fixtures: 1\nrules:\n  - match: {tool: publish}\n    json: {id: 7}\n");
    let id =
        owf(&place, &[RUN, &["--fixtures", "answers.yaml"]].concat()).json()["run_id"].as_str().unwrap().to_owned();
    place.file("may_undo", "");
    let refused = owf(&place, &["undo", &id, "c0001", "--json"]);
    let message = format!("{id}/c0001 is not done, so there is nothing to take back");
    assert_eq!((refused.code, &refused.json()["error"]["message"]), (2, &json!(message)));
    assert!(!place.path().join("undone").exists());
}

#[test]
fn who_agreed_to_a_tool_is_asked_again_when_another_may_have_used_it_for_the_same_key() {
    let place = place("name: x\ntasks:\n  p: {tool: asks, idempotency_key: k}\n");
    let config = "[tools.asks]\ncommand = [\"sh\", \"-c\", \"echo x >> begun; until test -e go; do sleep 0.01; done; echo 7\"]\nrequires_approval = true\n";
    place.file("user.toml", config);
    let begun = || std::fs::read_to_string(place.path().join("begun")).unwrap_or_default().lines().count();
    let status = |run: &str| owf(&place, &["status", run, "--json"]).json();
    let asked = |run: &str| status(run)["approvals"][0]["kind"].clone();
    let lost = run(&place)["run_id"].as_str().unwrap().to_owned();
    assert_eq!(asked(&lost), "tool");
    assert!(matches!(owf(&place, &["approve", &lost, "--json"]).code, 0 | 3));
    eventually(5 * SECOND, "it has begun", || begun() == 1);
    let pid = status(&lost)["run"]["owner"]["pid"].as_u64().unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    eventually(5 * SECOND, "its process is gone", || status(&lost)["status"] == "interrupted");
    place.file("go", "");
    let next = run(&place)["run_id"].as_str().unwrap().to_owned();
    for kind in ["tool", "repeat"] {
        eventually(5 * SECOND, "a question", || status(&next)["status"] == "paused" && asked(&next) == kind);
        assert!(matches!(owf(&place, &["approve", &next, "--json"]).code, 0 | 3));
    }
    eventually(5 * SECOND, "the run ends", || status(&next)["status"] == "done");
    assert_eq!((status(&next)["output"].clone(), begun()), (json!(7), 2));
    let questions = owf(&place, &["approvals", &next, "--state", "approved", "--json"]).json();
    assert_eq!(questions["approvals_total"], json!(2), "{questions}");
}

#[test]
fn what_a_tool_would_refuse_is_told_before_a_run() {
    let document = "name: x
inputs: {properties: {v: {type: string}}, required: [v]}
agents: {own: {provider: openai, tools: [Read, echo, ehco]}}
tasks:
  a: {tool: deploy, args: {verison: '1'}}
  b: {tool: deploy, args: {version: 3, to: '{{ input.v }}'}}
  c: {tool: deploy, args: {version: '{{ input.v }}'}}
  d: {tool: deploy, args: '{{ input }}'}
  e: {tool: echo, args: all}
  f: {tool: load, args: {path: 'x', size: 3}}
  g: {tool: nothing}
  h: {tool: broken}
  i: {agent: own, prompt: hi}
";
    let place = place(document);
    let broken =
        "the tool `broken` is configured wrongly: it needs one handler: `command`, `builtin`, `mcp` or `workflow`";
    let mode = |task: &str| format!("task `{task}`: `deploy` may be used in mode edit only; this run has no mode");
    let in_line = |line: u32, column: u32, message: &str| (line, column, message.to_owned());
    let wrong = |task: &str, what: &str| format!("task `{task}`: the arguments of {what}");
    let view = owf_in(&place, &[], &["validate", "flow.yaml", "--json"]).json();
    let found: Vec<(u32, u32, String)> = view["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| {
            let number = |key: &str| d[key].as_u64().unwrap() as u32;
            (number("line"), number("column"), d["message"].as_str().unwrap().to_owned())
        })
        .collect();
    let unknown = |tool: &str| {
        format!(
            "task `g`: there is no tool `{tool}`; configured are alone, brief, broken, deploy, echo, hidden, load, only_edit, publish, save, slow"
        )
    };
    assert_eq!(
        found,
        [
            in_line(
                5,
                3,
                &wrong(
                    "a",
                    "`deploy` break its schema: Additional properties are not allowed ('verison' was unexpected)"
                )
            ),
            in_line(5, 3, &wrong("a", "`deploy` break its schema: \"version\" is a required property")),
            in_line(5, 3, &mode("a")),
            in_line(6, 3, &wrong("b", "`deploy` break its schema at /version: 3 is not of type \"string\"")),
            in_line(6, 3, &mode("b")),
            in_line(7, 3, &mode("c")),
            in_line(9, 3, &wrong("e", "a tool are an object, not \"all\"")),
            in_line(
                10,
                3,
                &wrong("f", "`load` break its schema: Additional properties are not allowed ('size' was unexpected)")
            ),
            in_line(11, 13, &unknown("nothing")),
            in_line(12, 13, &format!("task `h`: {broken}")),
            in_line(
                3,
                54,
                "task `i`: its agent names the tool `ehco`, which is neither one of owf's file tools nor configured, and gets none"
            ),
        ]
    );
    assert_eq!(view["ok"], true, "elsewhere it may be right");
}
