//! The cache across runs: what hits, what misses and why, and what each policy does.

use owf::core::call::CachePolicy;
use owf::engine::params::{ResumeParams, RunParams};
use serde_json::{Value, json};

use crate::acca_support::{Counting, Desk, texts};

const ECHO: &str = "  - text: 'answer to {{ prompt }}'";

fn policy(cache_policy: CachePolicy) -> RunParams {
    RunParams { cache_policy: Some(cache_policy), ..RunParams::default() }
}

fn with_provider(name: &str) -> RunParams {
    RunParams { provider: Some(name.to_owned()), ..RunParams::default() }
}

#[test]
fn accept_004_a_read_only_call_run_twice_hits_and_costs_nothing() {
    let desk = Desk::new();
    desk.answers(ECHO);
    desk.workflow("one", "return await owf.agent('Look.', { label: 'look' })");
    let first = desk.run("one");
    assert_eq!((&first["status"], desk.cache(), desk.invocations()), (&json!("done"), vec!["miss".into()], 1));
    let second = desk.run("one");
    assert_eq!((desk.cache(), desk.invocations()), (vec!["hit".to_owned()], 1));
    assert_eq!(
        second["usage"],
        json!({"input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0,
               "cost_usd": 0, "cost_source": "simulated"})
    );
    assert_eq!((&second["counts"]["hit"], &second["counts"]["done"]), (&json!(1), &json!(1)));
    let output = desk.output();
    assert_eq!(
        (&output["text"], &output["cacheStatus"], &output["usage"]["outputTokens"]),
        (&json!("answer to Look."), &json!("hit"), &json!(0)),
        "{output}"
    );
    let row = &desk.explain("latest")["calls"][0];
    assert_eq!(row["from"], json!({"run_id": first["run_id"], "call_id": "c0001"}));
}

#[test]
fn accept_005_a_change_of_schema_model_provider_namespace_or_system_prompt_is_a_miss() {
    let (second, third) = (Counting::new("second"), Counting::new("third"));
    let desk = Desk::with(&[second.clone(), third.clone()]);
    let schema = |more: &str| format!("{{type: 'object', properties: {{n: {{type: 'integer'}}{more}}}}}");
    let options = |changed: &str| format!("label: 'x', schema: {}, {changed}", schema(""));
    let variants = [
        ("schema", format!("label: 'x', schema: {}", schema(", m: {type: 'string'}"))),
        ("model", options("model: 'large'")),
        ("provider", options("provider: 'third'")),
        ("namespace", options("cacheNamespace: 'apart'")),
        ("system", options("system: 'Be brief.'")),
        ("effort", options("effort: 'high'")),
        ("prompt", options("")),
    ];
    let base = options("");
    desk.workflow("base", &format!("return await agent('Look.', {{ {base} }})"));
    desk.run_with("base", with_provider("second"));
    for (what, options) in variants {
        // The nearest earlier call is always the base.
        desk.workflow("base", &format!("return await agent('Look.', {{ {base} }})"));
        desk.run_with("base", with_provider("second"));
        assert_eq!(desk.cache(), ["hit"]);
        let prompt = if what == "prompt" { "Look here." } else { "Look." };
        desk.workflow("base", &format!("return await agent('{prompt}', {{ {options} }})"));
        let before = second.count() + third.count();
        desk.run_with("base", with_provider("second"));
        let row = desk.explain("latest")["calls"][0].clone();
        assert_eq!(
            (&row["cache_status"], &row["reason_code"], &row["changed"]),
            (&json!("miss"), &json!("changed"), &json!([what])),
            "{row}"
        );
        assert_eq!(second.count() + third.count(), before + 1, "{what}");
        desk.run_with("base", with_provider("second"));
        assert_eq!((desk.cache(), second.count() + third.count()), (vec!["hit".to_owned()], before + 1), "{what}");
    }
    assert_eq!(third.count(), 1);
}

#[test]
fn accept_005_another_provider_for_the_run_is_a_miss_too() {
    let (second, third) = (Counting::new("second"), Counting::new("third"));
    let desk = Desk::with(&[second.clone(), third.clone()]);
    desk.workflow("one", "return await agent('Look.', { label: 'x' })");
    for name in ["second", "third", "second", "third", "FIXTURE", "fake"] {
        desk.run_with("one", with_provider(name));
    }
    assert_eq!((second.count(), third.count()), (1, 1));
    assert_eq!(desk.cache(), ["hit"], "an alias is the same provider");
}

#[test]
fn accept_006_label_phase_and_timeout_are_in_no_key() {
    let desk = Desk::new();
    desk.answers(ECHO);
    for options in [
        "label: 'a'",
        "label: 'b'",
        "label: 'a', phase: 'Other'",
        "label: 'a', timeoutMs: 70000",
        "label: 'a', retry: { maxAttempts: 3 }",
        "label: 'a', metadata: { ticket: 7 }, unknownOption: true",
    ] {
        desk.workflow("one", &format!("return await agent('Look.', {{ {options} }})"));
        desk.run("one");
    }
    assert_eq!((desk.cache(), desk.invocations()), (vec!["hit".to_owned()], 1));
}

#[test]
fn accept_007_a_disabled_cache_is_neither_read_nor_written() {
    let desk = Desk::new();
    desk.answers(ECHO);
    desk.workflow("two", "return [await agent('A.', { label: 'a' }), await agent('B.', { label: 'b' })]");
    for count in [2, 4] {
        desk.run_with("two", policy(CachePolicy::Disabled));
        assert_eq!((desk.cache(), desk.invocations()), (vec!["disabled".to_owned(); 2], count));
    }
    desk.run("two");
    assert_eq!((desk.cache(), desk.invocations()), (vec!["miss".to_owned(); 2], 6), "nothing had been stored");
}

#[test]
fn accept_007_the_stricter_of_run_and_call_wins() {
    let desk = Desk::new();
    desk.answers(ECHO);
    desk.workflow(
        "two",
        "return [await agent('A.', { label: 'a', cache: 'disabled' }), await agent('B.', { label: 'b' })]",
    );
    desk.run("two");
    desk.run("two");
    assert_eq!(
        (desk.cache(), desk.labels()),
        (vec!["disabled".into(), "hit".into()], vec!["a".to_owned(), "b".into(), "a".into()])
    );
    desk.run_with("two", policy(CachePolicy::Refresh));
    assert_eq!(desk.cache(), ["disabled", "miss"]);
}

#[test]
fn accept_008_refresh_asks_again_and_the_next_run_hits_the_new_text() {
    let second = Counting::new("second");
    let desk = Desk::with(std::slice::from_ref(&second));
    desk.workflow("one", "return await agent('Look.', { label: 'x' })");
    let mut seen = Vec::new();
    for cache_policy in [CachePolicy::Auto, CachePolicy::Refresh, CachePolicy::Auto] {
        desk.run_with("one", RunParams { cache_policy: Some(cache_policy), ..with_provider("second") });
        let row = desk.explain("latest")["calls"][0].clone();
        seen.push((desk.output(), row["cache_status"].clone(), row["reason_code"].clone(), second.count()));
    }
    assert_eq!(
        seen,
        [
            (json!("second 1: Look."), json!("miss"), json!("first_time"), 1),
            (json!("second 2: Look."), json!("miss"), json!("refresh"), 2),
            (json!("second 2: Look."), json!("hit"), json!("same_request"), 2),
        ]
    );
}

#[test]
fn accept_009_read_only_executes_a_miss_and_stores_nothing() {
    let desk = Desk::new();
    desk.answers(ECHO);
    desk.workflow("one", "return await agent('Look.', { label: 'x' })");
    for (cache_policy, status, count) in [
        (CachePolicy::ReadOnly, "miss", 1),
        (CachePolicy::ReadOnly, "miss", 2),
        (CachePolicy::Auto, "miss", 3),
        (CachePolicy::ReadOnly, "hit", 3),
    ] {
        desk.run_with("one", policy(cache_policy));
        assert_eq!((desk.cache(), desk.invocations()), (vec![status.to_owned()], count));
    }
}

#[test]
fn accept_010_failed_calls_are_executed_again() {
    let desk = Desk::new();
    desk.answers(
        "  - match: { label: bad }
    error: { class: bad_request, message: 'no such file' }
  - match: { label: broken }
    json: { n: many }
  - text: fine",
    );
    desk.workflow(
        "three",
        "const schema = { type: 'object', properties: { n: { type: 'integer' } } }
         return [
           await owf.agent('A.', { label: 'bad' }), await owf.agent('B.', { label: 'broken', schema }),
           await owf.agent('C.', { label: 'good' }),
         ].map(r => r.status)",
    );
    let output = |view: &Value| view["output"].clone();
    let statuses = json!(["provider_failed", "schema_failed", "done"]);
    let first = desk.run("three");
    let once = desk.labels();
    let second = desk.run("three");
    assert_eq!((output(&first), output(&second)), (statuses.clone(), statuses));
    assert_eq!(desk.cache(), ["miss", "miss", "hit"]);
    let rows = desk.explain("latest");
    assert_eq!(texts(&rows["calls"], "reason_code"), ["earlier_failed", "earlier_failed", "same_request"]);
    let again: Vec<String> = once.iter().filter(|l| *l != "good").cloned().collect();
    assert_eq!(desk.labels(), [once, again].concat());
}

#[test]
fn accept_011_mutating_calls_bypass_the_cache_and_are_reused_by_a_resume() {
    let desk = Desk::new();
    crate::support::git::Repo::new(desk.place.path(), &[]);
    desk.answers(ECHO);
    desk.workflow(
        "edits",
        "return [
           await agent('Patch.', { label: 'scope', writeScope: ['src'] }),
           await agent('Patch.', { label: 'tree', isolation: 'worktree' }),
         ]",
    );
    for count in [2, 4] {
        desk.run("edits");
        assert_eq!((desk.cache(), desk.invocations()), (vec!["bypassed".to_owned(); 2], count));
    }
    let resumed = desk.resume(ResumeParams::default());
    assert_eq!((&resumed["resumed"], &resumed["status"]), (&json!("new_run"), &json!("done")));
    assert_eq!((desk.cache(), desk.invocations()), (vec!["replayed".to_owned(); 2], 4));
    assert_eq!(desk.output(), json!(["answer to Patch.", "answer to Patch."]));
}

#[test]
fn accept_005_a_miss_after_a_hit_names_what_changed_since_the_answer_was_made() {
    let desk = Desk::new();
    desk.answers(ECHO);
    desk.workflow("one", "return await agent('Look.', { label: 'look' })");
    desk.run("one");
    desk.run("one");
    assert_eq!(desk.cache(), ["hit"]);
    desk.answers("  - text: 'another answer'");
    desk.run("one");
    let row = &desk.explain("latest")["calls"][0];
    assert_eq!(
        (&row["cache_status"], &row["reason_code"], &row["changed"]),
        (&json!("miss"), &json!("changed"), &json!(["fixtures"])),
        "{row}"
    );
    assert_eq!(desk.output(), json!("another answer"));
}
