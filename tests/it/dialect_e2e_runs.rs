//! The script dialect through the whole engine: results, args, reuse, concurrency.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use owf::core::failure::Code;
use owf::core::run::{RunErrorCode, RunStatus};
use owf::engine::params::{ResumeParams, RunParams};
use owf::providers::{ProviderKind, ReplyAnswer};
use serde_json::{Value, json};

use crate::dialect_lab::{Ended, Lab, Outfit, Scripted, inline, named, script};
use crate::support::cli::Place;

const LOG: &str = "owf_fixtures: 1\ninvocation_log: log.jsonl\nrules:\n";

/// A lab whose runs write an invocation log; `rules` are those of the fixture file.
fn counted(rules: &str) -> Lab {
    let lab = Lab::new();
    lab.file("f.yaml", &format!("{}{rules}", if rules.is_empty() { LOG.trim_end_matches("rules:\n") } else { LOG }));
    lab
}

fn first(lab: &Lab, body: &str) -> Ended {
    lab.run(&RunParams { fixtures: Some("f.yaml".to_owned()), ..inline(body) })
}

/// Resumes a run with another text; gives the ended run and how often the provider was asked for it.
fn again(lab: &Lab, of: &Ended, text: Option<&str>) -> (Ended, usize) {
    let before = lab.invocations("log.jsonl");
    let params =
        ResumeParams { run_id: Some(of.run.clone()), script: text.map(str::to_owned), ..ResumeParams::default() };
    let ended = lab.resume(&params).unwrap();
    assert_ne!(ended.run, of.run, "a finished run is never continued in place");
    (ended, lab.invocations("log.jsonl") - before)
}

#[test]
fn dialect_52_a_run_returns_what_the_table_says() {
    let lab = Lab::new();
    let table = "return { date: new Date(0), map: new Map([[1, 2]]), set: new Set([1]), regexp: /x/g, error: new Error('e'),
  typed: new Uint8Array([7, 8]), nan: NaN, infinite: -Infinity, none: undefined, fn() {}, list: [undefined, () => 1, NaN],
  toJSON() { return 'called' }, nested: { deep: [null, 'a'] } }";
    assert_eq!(
        lab.value(table),
        json!({ "date": {}, "map": {}, "set": {}, "regexp": {}, "error": {}, "typed": { "0": 7, "1": 8 }, "nan": null,
            "infinite": null, "list": [null, null, null], "nested": { "deep": [null, "a"] } })
    );
    let nothing = lab.body("return undefined");
    assert_eq!((nothing.outcome.status, nothing.outcome.output), (RunStatus::Done, None));
    let null = lab.body("return null");
    assert_eq!((null.outcome.status, null.outcome.output), (RunStatus::Done, Some(Value::Null)));
    for body in ["return () => 1", "return 1n", "return { a: [1n] }", "const a = {}; a.a = a; return a"] {
        let ended = lab.body(body);
        let code = ended.outcome.error.map(|e| e.code);
        assert_eq!((ended.outcome.status, code), (RunStatus::Failed, Some(RunErrorCode::ResultNotJson)), "{body}");
    }
    let thrown = lab.body("throw 'only text'").outcome;
    let error = thrown.error.unwrap();
    assert_eq!((thrown.status, error.code), (RunStatus::Failed, RunErrorCode::ScriptError));
    assert_eq!(error.message, "only text");
}

#[test]
fn dialect_53_an_agent_nobody_awaits_is_abandoned_and_no_gap() {
    let lab = Lab::new();
    lab.file("f.yaml", "owf_fixtures: 1\nrules:\n  - match: { label: left }\n    never: true\n");
    let ended = first(&lab, "void agent('p', { label: 'left' })\nawait agent('q')\nreturn 'over'");
    assert_eq!(ended.value(), json!("over"));
    assert_eq!(ended.statuses(), ["done", "cancelled"]);
    let view = lab.view(&ended.run);
    assert_eq!((view.gaps, view.counts.total, view.counts.done, view.counts.cancelled), (vec![], 2, 1, 1));
}

#[test]
fn dialect_55_args_that_hold_an_object_or_a_list_as_text_are_decoded_for_every_kind_of_start() {
    let lab = Lab::new();
    let body = "return args === undefined ? 'undefined' : [typeof args, args]";
    let path = lab.file("w.js", &named("by-path", body));
    lab.file(".claude/workflows/n.js", &named("by-name", body));
    let starts = [
        RunParams { script: Some(script(body)), ..RunParams::default() },
        RunParams { path: Some(path), ..RunParams::default() },
        RunParams { name: Some("by-name".to_owned()), ..RunParams::default() },
    ];
    for start in starts {
        for (text, value) in [
            (Some(r#""{\"a\":[1]}""#), json!(["object", { "a": [1] }])),
            (Some(r#""[1,2]""#), json!(["object", [1, 2]])),
            (Some(r#"{"a":"{\"b\":1}"}"#), json!(["object", { "a": "{\"b\":1}" }])),
            (Some(r#""plain words""#), json!(["string", "plain words"])),
            (Some(r#""7""#), json!(["string", "7"])),
            (Some(r#""null""#), json!(["string", "null"])),
            (Some(r#""{broken""#), json!(["string", "{broken"])),
            (Some("null"), json!(["object", null])),
            (Some("7"), json!(["number", 7])),
            (None, json!("undefined")),
        ] {
            let params = RunParams { args_json: text.map(str::to_owned), ..start.clone() };
            assert_eq!(lab.run(&params).value(), value, "{text:?}");
        }
    }
}

#[test]
fn dialect_55_the_command_line_decodes_args_as_well() {
    let place = Place::new();
    place.file("w.js", &named("w", "return [typeof args, args]"));
    let value = |args: &[&str]| place.json(&[&["run", "w.js", "--json"], args].concat())["output"].clone();
    assert_eq!(value(&["--args-json", r#""{\"a\":1}""#]), json!(["object", { "a": 1 }]));
    assert_eq!(value(&["--arg", "a={\"b\":1}", "--arg", "n:=7"]), json!(["object", { "a": "{\"b\":1}", "n": 7 }]));
}

#[test]
fn dialect_56_a_path_beats_a_name_and_a_name_beats_text() {
    let lab = Lab::new();
    let path = lab.file("w.js", &named("by-path", "return 'path'"));
    lab.file(".claude/workflows/n.js", &named("by-name", "return 'name'"));
    let all = RunParams {
        path: Some(path),
        name: Some("by-name".to_owned()),
        script: Some(script("return 'text'")),
        ..RunParams::default()
    };
    assert_eq!(lab.run(&all).value(), json!("path"));
    let two = RunParams { path: None, ..all };
    assert_eq!(lab.run(&two).value(), json!("name"));
    assert_eq!(lab.run(&RunParams { name: None, ..two }).value(), json!("text"));
}

const FOUR: &str = "const slots = await parallel([0, 1, 2, 3].map(n => () => agent('slot ' + n, { label: 's' + n })))
const last = await agent('sum of ' + slots.length, { label: 'sum' })
return { slots, last }";

#[test]
fn dialect_57_the_same_script_and_args_reuse_every_call() {
    let lab = counted("");
    let ran = first(&lab, FOUR);
    assert_eq!(lab.invocations("log.jsonl"), 5);
    let (same, asked) = again(&lab, &ran, None);
    assert_eq!((asked, same.value()), (0, ran.value()));
    assert_eq!(same.statuses(), vec!["done*"; 5]);
    assert_eq!(same.count("attempt_started"), 0);
    let (once_more, asked) = again(&lab, &same, Some(&script(FOUR)));
    assert_eq!((asked, once_more.value()), (0, ran.value()));
    let view = lab.view(&once_more.run);
    assert_eq!((view.counts.total, view.counts.replayed, view.usage.output_tokens), (5, 5, 0));
}

#[test]
fn dialect_58_labels_phases_unknown_options_meta_and_the_return_expression_do_not_matter() {
    let lab = counted("");
    let ran = first(&lab, FOUR);
    let edited = "// A comment.
export const meta = { name: 'other name', description: 'Another text.', phases: [{ title: 'New' }], color: 'blue' }
phase('New')
const slots = await parallel([0, 1, 2, 3].map(n => () => agent('slot ' + n, { label: 'renamed ' + n, phase: 'P' + n, colour: n, timeoutMs: 9000 })))
log('edited')
const last = await agent('sum of ' + slots.length, { retry: { maxAttempts: 2 }, metadata: { a: 1 }, effort: 'bananas' })
return [last, ...slots]
";
    let (new, asked) = again(&lab, &ran, Some(edited));
    assert_eq!(asked, 0);
    let old = ran.value();
    let mut expected = vec![old["last"].clone()];
    expected.extend(old["slots"].as_array().unwrap().clone());
    assert_eq!(new.value(), Value::Array(expected));
}

#[test]
fn dialect_59_a_failed_sibling_costs_one_call_and_an_edit_exactly_the_changed_requests() {
    let lab = counted("  - match: { label: s1 }\n    fail_first: 1\n    text: \"slot 1, at last\"\n");
    let ran = first(&lab, FOUR);
    let value = ran.value();
    assert_eq!((value["slots"][1].clone(), lab.invocations("log.jsonl")), (json!(null), 5));
    let (healed, asked) = again(&lab, &ran, None);
    assert_eq!((asked, healed.value()["slots"][1].clone()), (1, json!("slot 1, at last")));
    // Reused outcomes first, then the one that ran.
    assert_eq!(healed.statuses().iter().filter(|s| s.as_str() == "done*").count(), 4);
    // One prompt of five edited: that call and no other.
    let one = FOUR.replace("'slot ' + n,", "(n === 2 ? 'Slot ' : 'slot ') + n,");
    let (edited, asked) = again(&lab, &healed, Some(&script(&one)));
    assert_eq!((asked, edited.statuses().iter().filter(|s| s.as_str() == "done").count()), (1, 1));
    // One more in front: only that one is asked, wherever the others now stand.
    let more = one.replace("[0, 1, 2, 3]", "[9, 0, 1, 2, 3]").replace("slots.length", "4");
    let (_, asked) = again(&lab, &edited, Some(&script(&more)));
    assert_eq!(asked, 1);
}

#[test]
fn dialect_60_a_resume_without_a_journal_is_an_error_and_starts_nothing() {
    let place = Place::new();
    let printed = place.owf(&["resume", "20260528-143201-k7q2mvx4", "--json"]);
    assert_eq!((printed.code, printed.json()["error"]["code"].clone()), (2, json!("not_found")));
    assert!(!place.home().exists(), "a refused resume makes no store");

    let lab = counted("");
    let ran = first(&lab, FOUR);
    let unknown = ResumeParams { run_id: Some("20260528-143201-k7q2mvx4".to_owned()), ..ResumeParams::default() };
    assert_eq!(lab.resume(&unknown).unwrap_err().code, Code::NotFound);
    // The journal of a known run is gone.
    let db = rusqlite::Connection::open(lab.path().join("home/workflow.sqlite")).unwrap();
    db.execute("DELETE FROM event WHERE id >> 32 = (SELECT no FROM run_key WHERE run_id = ?1)", [&ran.run]).unwrap();
    let before = lab.invocations("log.jsonl");
    let failure = lab.resume(&ResumeParams { run_id: Some(ran.run.clone()), ..ResumeParams::default() }).unwrap_err();
    assert_eq!((failure.code, lab.invocations("log.jsonl")), (Code::NothingToResume, before));
    let runs: u32 = db.query_row("SELECT count(*) FROM run_key", [], |row| row.get(0)).unwrap();
    assert_eq!(runs, 1, "no run was made in its place");
}

#[test]
fn dialect_61_equal_prompts_are_told_apart_by_order() {
    let lab = counted("  - match: { prompt: same }\n    answers: [{ text: one }, { text: two }, { text: three }]\n");
    let body = "return [await agent('same'), ...await parallel([() => agent('same'), () => agent('same')])]";
    let ran = first(&lab, body);
    assert_eq!(ran.value(), json!(["one", "two", "three"]));
    let (same, asked) = again(&lab, &ran, None);
    assert_eq!((same.value(), asked), (ran.value(), 0));
    // A fourth one is new; the three before it keep their answers, and it does not take one of theirs from the cache.
    let (more, asked) = again(
        &lab,
        &same,
        Some(&script(&body.replace("() => agent('same')])", "() => agent('same'), () => agent('same')])"))),
    );
    assert_eq!((more.value(), asked), (json!(["one", "two", "three", "three"]), 1));
}

#[test]
fn dialect_62_a_cli_provider_runs_so_many_agents_at_once_and_no_more() {
    let cpus = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let limit = cpus.saturating_sub(2).clamp(2, 16);
    // No answer comes before as many run as may, or none is left to come.
    let cli = |name, limit: u32, all: u32| {
        let answer = |_: u32, _: &_| Ok(ReplyAnswer::Text("fine".to_owned()));
        let provider = Scripted::new(name, ProviderKind::Cli, answer);
        Arc::new(provider.until(move |seen| seen.running() >= limit || seen.invoked() >= all))
    };
    let (one, other) = (cli("scripted", limit, 40), cli("claude", limit, 20));
    let lab =
        Lab::with(Outfit { providers: vec![Arc::clone(&one) as _, Arc::clone(&other) as _], ..Outfit::default() });
    // A child shares the limit with its parent; another provider has one of its own.
    lab.file(
        ".claude/workflows/c.js",
        &named("c", "await parallel(Array.from({ length: 20 }, (_, i) => () => agent('child ' + i)))"),
    );
    let body = "await Promise.all([
  workflow('c'),
  parallel(Array.from({ length: 20 }, (_, i) => () => agent('mine ' + i))),
  parallel(Array.from({ length: 20 }, (_, i) => () => agent('other ' + i, { provider: 'claude' }))),
])";
    lab.run(&RunParams { provider: Some("scripted".to_owned()), ..inline(body) });
    assert_eq!((one.invoked(), one.most(), other.invoked(), other.most()), (40, limit, 20, limit));
    // What is set for the run wins.
    let lab_of = |setting, limit| {
        let provider = cli("scripted", limit, 12);
        let env = vec![("OWF_PROVIDER_SCRIPTED_CONCURRENCY", "3")];
        let lab = Lab::with(Outfit { providers: vec![Arc::clone(&provider) as _], env, ..Outfit::default() });
        let body = "await parallel(Array.from({ length: 12 }, (_, i) => () => agent('n' + i)))";
        lab.run(&RunParams { provider: Some("scripted".to_owned()), concurrency: setting, ..inline(body) });
        provider.most()
    };
    assert_eq!((lab_of(None, 3), lab_of(Some(5), 5)), (3, 5));
}

#[test]
fn dialect_61_a_call_that_runs_again_never_gets_the_answer_of_its_equal_sibling() {
    let lab = counted(
        "  - match: { prompt: same, occurrence: 2 }\n    fail_first: 1\n    text: two\n  - match: { prompt: same }\n    answers: [{ text: one }, { text: two }, { text: three }]\n",
    );
    let body = "return await parallel([1, 2, 3].map(() => () => agent('same')))";
    let ran = first(&lab, body);
    assert_eq!(ran.value(), json!(["one", null, "three"]));
    let (healed, asked) = again(&lab, &ran, None);
    assert_eq!((healed.value(), asked), (json!(["one", "two", "three"]), 1));
    // Run again from the start, all three come from the cache, each its own.
    let before = lab.invocations("log.jsonl");
    assert_eq!(first(&lab, body).value(), json!(["one", "two", "three"]));
    assert_eq!(lab.invocations("log.jsonl"), before);
}
