//! Children over a resume: stale ones run again, finished calls of one in flight are kept, rules and caps count on.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::json;

use crate::support::cli::{Place, eventually};

const PARENT: &str = "export const meta = {name: 'parent', description: 'd'};
const child = await workflow({scriptPath: 'kid.js'});
return {child, own: await agent('own', {label: 'own'})};";

fn kid(body: &str) -> String {
    format!("export const meta = {{name: 'kid', description: 'd'}};\n{body}")
}

fn labels(place: &Place) -> Vec<String> {
    place.log("calls.jsonl").iter().map(|l| l["label"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_child_whose_source_changed_is_not_reused_whole() {
    let place = Place::new();
    place.file("parent.js", PARENT);
    place.file("kid.js", &kid("return 'v1';"));
    assert_eq!(place.owf(&["run", "parent.js", "--no-input"]).code, 0);
    place.file("kid.js", &kid("return 'v2';"));
    assert_eq!(place.owf(&["resume", "--no-input"]).code, 0);
    let output = place.json(&["output", "--json"]);
    assert_eq!(output["output"]["child"], "v2");
}

#[test]
fn the_finished_calls_of_a_child_in_flight_are_reused_by_a_new_run() {
    let place = Place::new();
    place.file("parent.js", PARENT);
    place.file("kid.js", &kid("return [await agent('a', {label: 'kid1'}), await agent('b', {label: 'kid2'})];"));
    place.file(
        "answers.yaml",
        "owf_fixtures: 1\ninvocation_log: calls.jsonl\nrules:\n  - match: { label: kid2, attempt: 1 }\n    never: true\n  - text: '{{ label }}'\n",
    );
    let args = ["run", "parent.js", "--fixtures", "answers.yaml", "--cache-policy", "disabled", "--no-input"];
    let mut child = place.spawn(&args);
    eventually(Duration::from_secs(1), "the second call", || labels(&place) == ["kid1", "kid2"]);
    let run = place.store().resolve("latest").unwrap();
    let finished = |run: &owf::core::ids::RunId| {
        let events = place.store().events(run, 0, 1000).unwrap();
        events.iter().filter(|e| e.event.kind() == "call_finished").count()
    };
    let kid_run = || place.store().children(&run).unwrap().first().map(|c| c.run_id.clone());
    eventually(Duration::from_secs(1), "the first outcome on disk", || kid_run().is_some_and(|k| finished(&k) == 1));
    // An attempt that is not on disk did not happen, as far as a resume knows: the rule would take the next for the first.
    let begun = |run: &owf::core::ids::RunId| {
        let events = place.store().events(run, 0, 1000).unwrap();
        events.iter().filter(|e| e.event.kind() == "attempt_started").count()
    };
    eventually(Duration::from_secs(1), "the second attempt on disk", || kid_run().is_some_and(|k| begun(&k) == 2));
    child.kill().unwrap();
    child.wait().unwrap();
    place.file("edited.js", &PARENT.replace("{child, own", "{edited: true, child, own"));
    let printed = place.owf(&["resume", "latest", "edited.js", "--no-input"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    assert_eq!(labels(&place), ["kid1", "kid2", "kid2", "own"]);
    let output = place.json(&["output", "--json"]);
    assert_eq!(output["output"], json!({"edited": true, "child": ["kid1", "kid2"], "own": "own"}));
}

#[test]
fn accept_047_known_secrets_are_replaced_wherever_they_appear() {
    let place = Place::new();
    let secret = "sk-test-0123456789abcdef";
    place.file(
        "leak.js",
        "export const meta = {name: 'leak', description: 'd'};
         log('using ' + args.key);
         const {reason} = await owf.approve({message: 'Show ' + args.key + '?'});
         return {answer: await agent('key is ' + args.key, {label: args.key}), key: args.key, reason};",
    );
    place.file("said.jsonl", &format!("{{\"thought\":\"the key {secret}\"}}\n"));
    place.file(
        "answers.yaml",
        &format!("owf_fixtures: 1\nrules:\n  - text: 'you said {secret}'\n    transcript: said.jsonl\n"),
    );
    let mut command = place.command(&["run", "leak.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
    let arg = format!("key={secret}");
    let output = command.args(["--arg", &arg]).env("OPENAI_API_KEY", secret).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let run = place.store().resolve("latest").unwrap();
    let mut command = place.command(&["approve", run.as_str(), "--reason", &format!("{secret} is fine")]);
    let decided = command.env("OPENAI_API_KEY", secret).output().unwrap();
    assert!(decided.status.success(), "{decided:?}");
    let view = place.owf(&["wait", run.as_str(), "--json"]).json();
    let said = "[OPENAI_API_KEY]";
    assert_eq!(
        view["output"],
        json!({"answer": format!("you said {said}"), "key": said, "reason": format!("{said} is fine")})
    );
    let transcript =
        std::fs::read_to_string(place.home().join("runs").join(run.as_str()).join("calls/c0002/transcript.jsonl"));
    assert_eq!(transcript.unwrap(), format!("{{\"thought\":\"the key {said}\"}}\n"));
    for record in place.store().events(&run, 0, 1000).unwrap() {
        let text = serde_json::to_string(&record.event).unwrap();
        assert!(!text.contains(secret), "{text}");
    }
    for entry in walkdir::WalkDir::new(place.home().join("runs")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{}", entry.path().display());
        }
    }
}

#[test]
fn a_configured_provider_that_does_not_exist_is_an_error_and_never_fake() {
    let place = Place::new();
    place.file("kid.js", &kid("return await agent('x');"));
    let mut command = place.command(&["run", "kid.js", "--no-input", "--json"]);
    let output = command.env("OWF_PROVIDER", "cluade").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["error"]["code"], "unknown_provider");
}
