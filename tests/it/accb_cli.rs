//! Acceptance 45 and 50: unknown providers, one JSON document for every verb, the exit codes, an empty home, prune, request keys.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, printed};

const HELLO: &str = "export const meta = {name: 'hello', description: 'd'};\nreturn await agent('hi', {label: 'hi'});";

fn failure(printed: &Printed, exit: i32, code: &str) -> Value {
    assert_eq!(printed.code, exit, "{printed:?}");
    let error = printed.json()["error"].clone();
    assert_eq!(error["code"], code, "{printed:?}");
    error
}

#[test]
fn accept_045_an_unknown_provider_is_refused_with_the_known_names() {
    let place = Place::new();
    place.file("hello.js", HELLO);
    let error = failure(&place.owf(&["run", "hello.js", "--provider", "fkae", "--json"]), 2, "unknown_provider");
    assert_eq!(error["allowed"][0], "fake", "the nearest comes first: {error}");
    assert!(error["message"].as_str().unwrap().contains("fkae"));
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(0), "no run exists");
    for name in ["FAKE", "Fake", "fixture"] {
        let printed = place.owf(&["run", "hello.js", "--provider", name, "--json"]);
        assert_eq!(printed.code, 0, "{name}: {printed:?}");
    }
}

#[test]
fn accept_045_a_call_that_names_an_unknown_provider_is_a_failed_call() {
    let place = Place::new();
    place.file(
        "w.js",
        "export const meta = {name: 'w', description: 'd'};\nconst r = await owf.agent('hi', {provider: 'no' + 'where'}); return r.status;",
    );
    assert_eq!(place.json(&["run", "w.js", "--json"])["output"], json!("provider_failed"));
    let error = place.json(&["calls", "latest", "1", "--json"])["call"]["error"].clone();
    assert_eq!(
        (&error["class"], &error["message"]),
        (&json!("not_installed"), &json!("there is no provider \"nowhere\""))
    );
    assert!(error["hint"].as_str().unwrap().starts_with("known providers: anthropic, claude, "), "{error}");
}

#[test]
fn accept_050_an_empty_home_is_clean_and_stays_empty() {
    let place = Place::new();
    let none = place.json(&["runs", "--json"]);
    assert_eq!((&none["total"], &none["runs"], &none["truncated"]), (&json!(0), &json!([]), &json!(false)));
    assert_eq!(place.json(&["approvals", "--json"])["approvals"], json!([]));
    assert_eq!(place.json(&["doctor", "--json"])["ok"], json!(true));
    let home = place.home().display().to_string();
    let verbs: [&[&str]; 12] = [
        &["status"],
        &["wait"],
        &["events"],
        &["output"],
        &["calls"],
        &["explain-cache"],
        &["artifacts"],
        &["cat", "1"],
        &["export"],
        &["resume"],
        &["cancel", "k7q2"],
        &["approve", "k7q2"],
    ];
    for verb in verbs {
        let mut args = verb.to_vec();
        args.push("--json");
        let error = failure(&place.owf(&args), 2, "not_found");
        assert_eq!((&error["home"], &error["message"]), (&json!(home), &json!(format!("no runs yet in {home}"))));
    }
    let screen = place.owf(&["status"]);
    assert_eq!(
        screen.err,
        format!("error: no runs yet in {home}\n  hint: owf run FILE, or --home for another store\n")
    );
    assert!(!place.home().exists(), "looking makes nothing");
}

#[test]
fn accept_050_every_verb_with_json_prints_one_document() {
    let place = Place::new();
    place.file("hello.js", HELLO);
    let run = place.json(&["run", "hello.js", "--json"]);
    let id = run["run_id"].as_str().unwrap();
    let verbs: Vec<Vec<&str>> = [
        "init",
        "examples",
        "list",
        "new made.js",
        "validate hello.js",
        "dry-run hello.js",
        "run hello.js",
        "runs",
        "run hello.js --detach",
        "wait latest",
        "resume latest",
        "status latest",
        "wait latest",
        "wait latest --until change --timeout 0",
        "events latest",
        "output latest",
        "calls latest",
        "calls latest 1",
        "explain-cache latest",
        "artifacts latest",
        "cat latest/1",
        "export latest",
        "approvals",
        "approvals latest",
        "prune --keep 50",
        "cache clear",
        "doctor",
        "schema",
        "completions bash",
    ]
    .iter()
    .map(|line| line.split(' ').collect())
    .collect();
    for verb in verbs {
        let mut args = verb.clone();
        args.push("--json");
        let printed = place.owf(&args);
        assert_eq!(printed.code, 0, "{verb:?}: {printed:?}");
        assert!(printed.json().is_object(), "{verb:?}");
        assert!(printed.out.ends_with("}\n"), "{verb:?}");
    }
    let refusals: [&[&str]; 8] = [
        &["cancel", id],
        &["pause", id],
        &["approve", id],
        &["deny", id],
        &["new", "made.js"],
        &["cancel", "latest"],
        &["prune"],
        &["nonsense"],
    ];
    for verb in refusals {
        let mut args = verb.to_vec();
        args.push("--json");
        let printed = place.owf(&args);
        assert_eq!(printed.code, 2, "{verb:?}: {printed:?}");
        let error = printed.json()["error"].clone();
        assert!(error["code"].is_string() && error["message"].is_string(), "{verb:?}: {error}");
        assert_eq!(printed.err, "", "{verb:?}");
    }
}

#[test]
fn accept_050_latest_is_the_newest_root_and_references_may_be_short() {
    let place = Place::new();
    place.file("child.js", "export const meta = {name: 'child', description: 'c'};\nreturn 1;");
    place.file(
        "p.js",
        "export const meta = {name: 'p', description: 'd'};\nreturn await workflow({scriptPath: 'child.js'});",
    );
    let first = place.json(&["run", "p.js", "--json"])["run_id"].as_str().unwrap().to_owned();
    assert_eq!(place.json(&["status", "--json"])["run_id"], json!(first), "a child is never the latest");
    let second = place.json(&["run", "p.js", "--json"])["run_id"].as_str().unwrap().to_owned();
    assert_eq!(place.json(&["status", "latest", "--json"])["run_id"], json!(second));
    let random = first.rsplit('-').next().unwrap();
    for reference in [first.as_str(), random, &random[..6]] {
        assert_eq!(place.json(&["status", reference, "--json"])["run_id"], json!(first), "{reference}");
    }
    let error = failure(&place.owf(&["status", &first[..8], "--json"]), 2, "ambiguous");
    assert!(error["allowed"].as_array().unwrap().contains(&json!(first)), "{error}");
}

#[test]
fn accept_050_exit_codes_tell_how_a_run_stands() {
    let place = Place::new();
    place.file("f.yaml", "owf_fixtures: 1\nrules:\n  - match: { prompt: bad }\n    error: { class: bad_request, message: no }\n  - text: ok\n");
    let file = |name: &str, body: &str| {
        place.file(name, &format!("export const meta = {{name: 'w', description: 'd'}};\n{body}"));
    };
    file("done.js", "return await agent('ok');");
    file("failed.js", "await agent('ok'); throw new Error('x');");
    file("gaps.js", "return await agent('bad');");
    file("paused.js", "return await owf.approve({message: 'go?'});");
    file("invalid.js", "return await agent(;");
    file("none.js", "await agent('ok');");
    let code = |args: &[&str]| place.owf(args).code;
    let run = |name: &str, more: &[&str]| {
        let mut args = vec!["run", name, "--fixtures", "f.yaml"];
        args.extend(more);
        code(&args)
    };
    assert_eq!(run("done.js", &[]), 0);
    assert_eq!((code(&["output"]), code(&["wait"]), code(&["status"])), (0, 0, 0));
    assert_eq!(run("none.js", &[]), 0);
    assert_eq!(code(&["output"]), 1, "undefined is no output");
    assert_eq!(run("failed.js", &[]), 1);
    assert_eq!((code(&["output"]), code(&["wait"]), code(&["status"]), code(&["calls"])), (1, 1, 0, 0));
    assert_eq!(run("gaps.js", &[]), 0);
    assert_eq!(run("gaps.js", &["--strict"]), 1);
    assert_eq!(run("paused.js", &[]), 3);
    assert_eq!((code(&["output"]), code(&["wait"]), code(&["status"]), code(&["approvals"])), (3, 3, 0, 0));
    assert_eq!(run("invalid.js", &[]), 2);
    assert_eq!((code(&["validate", "invalid.js"]), code(&["validate", "done.js"])), (2, 0));
    assert_eq!((code(&["dry-run", "failed.js"]), code(&["dry-run", "done.js"])), (1, 0));
    assert_eq!(code(&["run", "done.js", "--budget-cost-usd", "-1"]), 2);
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(code(&[]), 2);
    let other = place.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("file"), "mine").unwrap();
    assert_eq!(code(&["run", "done.js", "--home", "other"]), 2, "not a store");
    std::fs::remove_file(other.join("file")).unwrap();
    std::fs::write(other.join("workflow.sqlite"), "this is no database, it only has the name of one ".repeat(40))
        .unwrap();
    let damaged = place.owf(&["run", "done.js", "--home", "other", "--json"]);
    failure(&damaged, 4, "store_corrupt");
}

#[test]
fn prune_keeps_active_runs_and_those_that_another_one_resumed() {
    let place = Place::new();
    place.file("hello.js", HELLO);
    place.file(
        "ask.js",
        "export const meta = {name: 'ask', description: 'd'};\nreturn await owf.approve({message: 'go?'});",
    );
    let id = |view: Value| view["run_id"].as_str().unwrap().to_owned();
    let ids = |view: &Value| -> Vec<String> {
        view["pruned"].as_array().unwrap().iter().map(|row| row["run_id"].as_str().unwrap().to_owned()).collect()
    };
    let plain = id(place.json(&["run", "hello.js", "--json"]));
    let base = id(place.json(&["run", "hello.js", "--json"]));
    let resumed = id(place.json(&["resume", &base, "--json"]));
    let paused = id(place.owf(&["run", "ask.js", "--json"]).json());
    let newest = id(place.json(&["run", "hello.js", "--json"]));
    let dry = place.json(&["prune", "--keep", "3", "--dry-run", "--json"]);
    assert_eq!(ids(&dry), std::slice::from_ref(&plain), "{dry}");
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(5), "nothing is gone yet");
    let done = place.json(&["prune", "--keep", "3", "--json"]);
    assert_eq!((ids(&done), &done["pruned_total"]), (vec![plain.clone()], &json!(1)), "{done}");
    assert_eq!(place.json(&["prune", "--keep", "0", "--older-than", "1h", "--json"])["pruned"], json!([]));
    let all = place.json(&["prune", "--keep", "0", "--json"]);
    let pruned = ids(&all);
    assert!(pruned.contains(&resumed) && pruned.contains(&newest), "{all}");
    let left = place.json(&["runs", "--json"]);
    let left: Vec<&Value> = left["runs"].as_array().unwrap().iter().map(|r| &r["run_id"]).collect();
    assert!(left.contains(&&json!(paused)), "a paused run is active");
    assert!(!place.home().join("runs").join(&plain).exists());
    let again = place.json(&["run", "hello.js", "--json"]);
    assert_eq!(again["counts"]["hit"], json!(1), "the cache is kept");
}

#[test]
fn a_request_key_joins_the_same_start_and_refuses_another() {
    let place = Place::new();
    place.file("hello.js", HELLO);
    let first = place.json(&["run", "hello.js", "--request-key", "review", "--json"]);
    assert_eq!(first.get("joined"), None);
    let second = place.json(&["run", "hello.js", "--request-key", "review", "--json"]);
    assert_eq!((&second["run_id"], &second["joined"]), (&first["run_id"], &json!(true)));
    assert_eq!(second["output"], first["output"]);
    let other = place.owf(&["run", "hello.js", "--request-key", "review", "--arg", "n=1", "--json"]);
    let error = failure(&other, 2, "request_key_conflict");
    assert_eq!(error["run_id"], first["run_id"]);
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(1));
}

#[test]
fn an_empty_name_is_not_taken_for_a_directory() {
    let refused = Place::new().owf(&["run", ""]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("owf list shows what can be run by name"), "{refused:?}");
}

#[test]
fn diagnostics_are_json_lines_when_asked_for() {
    let place = Place::new();
    place.file("w.js", "export const meta = {name: 'w', description: 'd'};\nreturn 1");
    let diagnostics = |format: &str| {
        let mut command = place.command(&["run", "w.js", "--quiet", "--json", "--log-format", format]);
        let printed = printed(&command.env("OWF_LOG", "owf=trace").output().unwrap());
        assert_eq!((printed.code, &printed.json()["output"]), (0, &json!(1)), "{printed:?}");
        printed.err.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = diagnostics("json");
    assert!(!lines.is_empty());
    for line in lines {
        let value: Value = serde_json::from_str(&line).unwrap();
        assert!(value["level"].is_string() && value["fields"].is_object(), "{line}");
    }
    assert!(diagnostics("text").iter().all(|line| line.contains("TRACE") && !line.starts_with('{')));
}
