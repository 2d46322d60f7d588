//! Results, checks before a run, failures a script asked for, answers by schema, and what never reaches the disk.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use serde_json::{Value, json};

use crate::acca_support::{Desk, answers, script, texts};
use crate::support::cli::Place;

#[test]
fn accept_001_a_returned_object_is_the_output() {
    let place = Place::new();
    place.file("one.js", &script("one", "await agent('A.'); return { b: 1, a: 2 }"));
    let view = place.json(&["run", "one.js", "--provider", "fake", "--no-input", "--json"]);
    assert_eq!((&view["status"], &view["output"]), (&json!("done"), &json!({"b": 1, "a": 2})));
    let output = place.json(&["output", view["run_id"].as_str().unwrap(), "--json"]);
    assert_eq!(
        (&output["status"], &output["has_output"], &output["output"]),
        (&json!("done"), &json!(true), &json!({"b": 1, "a": 2}))
    );
    let result = place.owf(&["run", "one.js", "--no-input", "--result"]);
    assert_eq!((result.code, serde_json::from_str::<Value>(&result.out).unwrap()), (0, json!({"b": 1, "a": 2})));
    assert!(result.out.find("\"b\"") < result.out.find("\"a\""), "in the order of the script: {}", result.out);
}

#[test]
fn accept_002_a_script_without_its_entry_is_refused_by_name_and_no_run_exists() {
    let place = Place::new();
    place.file("none.js", "const result = await agent('A.')\nreturn result\n");
    place.file("nameless.js", "export const meta = { description: 'No name.' }\nreturn 1\n");
    for (file, missing) in [("none.js", "meta"), ("nameless.js", "name")] {
        let checked = place.owf(&["validate", file, "--json"]);
        let view = checked.json();
        assert_eq!((checked.code, &view["ok"], &view["error"]["code"]), (2, &json!(false), &json!("invalid_workflow")));
        assert!(view["diagnostics"][0]["message"].as_str().unwrap().contains(missing), "{view}");
        assert_eq!(view["diagnostics"][0]["line"], 1);
        let refused = place.owf(&["run", file, "--no-input", "--json"]);
        assert_eq!((refused.code, &refused.json()["error"]["code"]), (2, &json!("invalid_workflow")), "{refused:?}");
    }
    let runs = place.owf(&["runs", "--json"]).json();
    assert!(runs["total"] == 0 || runs["error"]["code"] == "not_found", "{runs}");
}

#[test]
fn accept_003_validate_tells_the_metadata_and_starts_nothing() {
    let place = Place::new();
    place.file(
        "phases.js",
        "export const meta = {
  name: 'phases', description: 'Three of them.',
  phases: [{ title: 'Plan', detail: 'first' }, 'dropped', { title: 'Do' }, { title: 'Check' }],
}
log('a side effect')
await agent('A.')
throw new Error('and another')
",
    );
    let view = place.json(&["validate", "phases.js", "--json"]);
    assert_eq!(
        (&view["ok"], &view["workflow"], &view["agent_sites"]),
        (
            &json!(true),
            &json!({"name": "phases", "description": "Three of them.", "phases": ["Plan", "Do", "Check"]}),
            &json!(1)
        )
    );
    assert!(!place.home().exists(), "nothing was run, so nothing was written");
    let text = place.owf(&["validate", "phases.js"]);
    assert!(!text.out.contains("a side effect") && !text.err.contains("a side effect"), "{text:?}");
}

#[test]
fn accept_022_require_ok_on_a_failed_call_fails_the_run_with_its_message() {
    let place = Place::new();
    place.file("answers.yaml", &answers("  - match: { label: bad }\n    error: { class: bad_request, message: 'no such file: x.rs' }\n  - text: fine"));
    for (name, body) in [
        ("ok", "const r = await owf.agent('A.', { label: 'bad' }); r.requireOk(); return 'not reached'"),
        ("value", "return (await owf.agent('A.', { label: 'bad' })).valueOrRaise()"),
        ("text", "return (await owf.agent('A.', { label: 'bad' })).textOrRaise()"),
    ] {
        place.file("w.js", &script(name, body));
        let ran = place.owf(&["run", "w.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
        let view = ran.json();
        assert_eq!((ran.code, &view["status"], &view["error"]["code"]), (1, &json!("failed"), &json!("script_error")));
        assert!(view["error"]["message"].as_str().unwrap().contains("no such file: x.rs"), "{view}");
        assert_eq!((&view["error"]["line"], view.get("output")), (&json!(2), None), "{view}");
    }
    place.file("w.js", &script("fine", "const r = await owf.agent('A.', { label: 'good' }); r.requireOk(); return [r.requireOk().ok, r.valueOrRaise(), r.textOrRaise()]"));
    let view = place.json(&["run", "w.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
    assert_eq!(view["output"], json!([true, "fine", "fine"]));
}

const FINDINGS: &str = "const schema = {
   type: 'object', required: ['findings'],
   properties: { findings: { type: 'array', items: {
     type: 'object', required: ['line'], properties: { line: { type: 'integer' }, at: { type: 'object', properties: { 'a/b': { type: 'boolean' } } } } } } },
 };";

#[test]
fn accept_023_a_nested_violation_carries_the_pointer_of_the_first_failing_value() {
    let desk = Desk::new();
    desk.answers(
        "  - match: { label: deep }
    json: { findings: [{ line: 1 }, { line: around 120, at: { a/b: 7 } }] }
  - match: { label: absent }
    json: { findings: [{ line: 1 }, {}] }",
    );
    desk.workflow(
        "deep",
        &format!(
            "{FINDINGS}
             const out = [];
             for (const label of ['deep', 'absent']) {{
               const r = await owf.agent('Find.', {{ label, schema }});
               out.push({{ ok: r.ok, status: r.status, class: r.error.class, message: r.error.message }});
             }}
             return out"
        ),
    );
    desk.run("deep");
    let output = desk.output();
    assert_eq!(texts(&output, "status"), ["schema_failed"; 2]);
    assert!(output[0]["message"].as_str().unwrap().starts_with("/findings/1/line must be integer"), "{output}");
    let errors = |call: &str| desk.call("latest", call)["schema_errors"].clone();
    assert_eq!(
        errors("c0001")[0],
        json!({"pointer": "/findings/1/line", "message": "must be integer", "got": "around 120"})
    );
    assert_eq!(texts(&errors("c0001"), "pointer"), ["/findings/1/line", "/findings/1/at/a~1b"]);
    assert_eq!(errors("c0002"), json!([{"pointer": "/findings/1", "message": "must have the property \"line\""}]));
}

#[test]
fn accept_024_generated_answers_satisfy_enum_minimum_and_pattern() {
    let desk = Desk::new();
    desk.workflow(
        "shapes",
        "const schema = { type: 'object', additionalProperties: false, required: ['verdict', 'score', 'id', 'tags'], properties: {
           verdict: { enum: ['reject', 'approved'] }, score: { type: 'integer', minimum: 7, maximum: 9 },
           id: { type: 'string', pattern: '^[A-Z]{3}-[0-9]{2,4}$' },
           tags: { type: 'array', minItems: 3, items: { type: 'string', minLength: 4 }, uniqueItems: true } } };
         return await agent('Judge.', { label: 'judge', schema })",
    );
    for mood in ["happy", "unhappy", "empty"] {
        let params = owf::engine::params::RunParams {
            mood: Some(serde_json::from_value(json!(mood)).unwrap()),
            ..owf::engine::params::RunParams::default()
        };
        let view = desk.run_with("shapes", params);
        assert_eq!((&view["status"], &view["counts"]["failed"]), (&json!("done"), &json!(0)), "{mood}: {view}");
        let value = desk.output();
        assert!(["reject", "approved"].contains(&value["verdict"].as_str().unwrap()), "{value}");
        assert!((7..=9).contains(&value["score"].as_u64().unwrap()), "{value}");
        let (letters, digits) = value["id"].as_str().unwrap().split_once('-').unwrap();
        assert!(letters.len() == 3 && letters.bytes().all(|b| b.is_ascii_uppercase()), "{value}");
        assert!((2..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()), "{value}");
        assert!(value["tags"].as_array().unwrap().len() >= 3, "{value}");
    }
}

/// Every file below a directory that holds one of the texts.
fn holding(dir: &Path, texts: &[&str], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding(&path, texts, found);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for text in texts {
            if bytes.windows(text.len()).any(|w| w == text.as_bytes()) {
                found.push(format!("{text} in {}", path.display()));
            }
        }
    }
}

#[test]
fn accept_047_a_key_in_the_environment_is_nowhere_in_the_home() {
    const KEY: &str = "sk-test-4f8a1c0e9b7d6523";
    let place = Place::new();
    place.file("w.js", &script("w", "console.log(typeof process, Object.keys(globalThis)); return [await agent('A.'), (await owf.approve({ message: 'Go?' })).decision, await agent('B.', { provider: 'openai' })]"));
    let with_key = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("OPENAI_API_KEY", KEY).env("ANTHROPIC_API_KEY", KEY).env("MY_SECRET_TOKEN", KEY);
        crate::support::cli::printed(&command.output().unwrap())
    };
    let mut printed = vec![with_key(&["run", "w.js", "--no-input", "--json"])];
    assert_eq!(printed[0].code, 3, "{printed:?}");
    let run = printed[0].json()["run_id"].as_str().unwrap().to_owned();
    // The decider's process starts the run again, detached, with this environment.
    printed.push(with_key(&["approve", &run, "--reason", "go", "--json"]));
    printed.push(with_key(&["wait", &run, "--json"]));
    assert_eq!(printed[2].json()["status"], "done", "{printed:?}");
    for args in [
        &["doctor", "--json"][..],
        &["export", &run],
        &["resume", "--no-input"],
        &["status"],
        &["calls", &run, "3", "--json"],
    ] {
        printed.push(with_key(args));
    }
    let mut found = Vec::new();
    holding(&place.home(), &[KEY], &mut found);
    assert_eq!(found, Vec::<String>::new());
    let told: Vec<_> = printed.iter().filter(|p| p.out.contains(KEY) || p.err.contains(KEY)).collect();
    assert!(told.is_empty(), "{told:?}");
    let mut seen = Vec::new();
    holding(&place.home(), &["Go?"], &mut seen);
    assert!(!seen.is_empty(), "the search finds what is there");
}
