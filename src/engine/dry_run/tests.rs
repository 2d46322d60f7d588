//! Rehearsals of real scripts.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Against, DryRunInput, dry_run};
use crate::core::budget::{Charge, Limits};
use crate::core::call::{Ask, CallKind, CallSpec};
use crate::core::event::{Event, EventRecord};
use crate::core::failure::Code;
use crate::core::identity::request_key;
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::{CallStatus, CostSource, Outcome, ReasonCode};
use crate::core::run::{Mood, Settings};
use crate::core::time::Millis;
use crate::engine::source::{Reference, load};
use crate::engine::view::{
    DryCallRow, DryOutcome, DryPhase, DryRunView, FanOut, Notice, ProviderRow, RerunCall, ReuseForecast, Unreached, Usd,
};
use crate::providers::fake::{FakeProvider, parse};
use crate::providers::{AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Registry, Reply, ReplyError};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn input(reference: &Reference) -> DryRunInput {
    DryRunInput {
        workflow: load(reference, root(), None).unwrap(),
        args: None,
        provider: None,
        model: None,
        settings: Settings::default(),
        registry: Registry::new(Arc::new(FakeProvider::new(None, None, false))),
        setup: crate::providers::Setup::default(),
        fixtures: None,
        assume: BTreeMap::new(),
        against: None,
        full: false,
        cwd: root().to_path_buf(),
        user_home: None,
        time_limit: Duration::from_mins(1),
    }
}

fn file(path: &str) -> DryRunInput {
    input(&Reference { path: Some(path.to_owned()), ..Reference::default() })
}

fn text(body: &str) -> DryRunInput {
    let script = format!("export const meta = {{ name: 't', description: 'Test.' }}\n{body}\n");
    input(&Reference { script: Some(script), ..Reference::default() })
}

fn with_claude(input: DryRunInput) -> DryRunInput {
    DryRunInput { provider: Some("claude".to_owned()), model: Some("sonnet".to_owned()), ..input }
}

fn run(input: DryRunInput) -> DryRunView {
    dry_run(input).unwrap()
}

fn notices(view: &DryRunView) -> Vec<&str> {
    view.warnings.iter().map(|n| n.code.as_str()).collect()
}

const REVIEW: &str = "
const LIST = { type: 'object', properties: { files: { type: 'array', items: { type: 'string' } } }, required: ['files'] }
const FOUND = { type: 'object', properties: { claim: { type: 'string' } }, required: ['claim'] }
phase('Scan')
const { files } = await agent(`List what differs from ${args.base}`, { label: 'scan', schema: LIST })
phase('Review')
const found = await parallel(files.map(f => () => agent(`Review ${f}`, { label: `review:${f}`, schema: FOUND })))
phase('Verify')
return await parallel(found.filter(Boolean).map((r, i) => () => agent(`Is it true: ${r.claim}`, { label: `verify:${i}` })))";

#[test]
fn every_script_of_the_repository_is_rehearsed_to_its_end() {
    let mut rows = Vec::new();
    for dir in ["fixtures/workflows", "fixtures/scripts"] {
        let mut files: Vec<_> = std::fs::read_dir(root().join(dir)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for path in files.iter().filter(|p| p.extension().is_some_and(|e| e == "js")) {
            let view = run(file(path.to_str().unwrap()));
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert_eq!((view.outcome, view.error), (DryOutcome::Completed, None), "{name}");
            rows.push(format!("{name} {} calls {}/{}", view.calls_total, view.sites_reached, view.sites_total));
        }
    }
    assert_eq!(
        rows,
        [
            "compare 4 calls 2/2",
            "errors 4 calls 3/5",
            "extract 6 calls 2/2",
            "hello 1 calls 1/1",
            "judge-panel 13 calls 3/3",
            "loop-until-budget 8 calls 4/4",
            "loop-until-dry 10 calls 2/2",
            "migrate 6 calls 4/5",
            "nested 4 calls 1/1",
            "research 6 calls 4/4",
            "review 30 calls 4/4",
            "budget-while 2 calls 1/1",
            "child-echo 1 calls 1/1",
            "child-workflows 3 calls 0/0",
            "chunked-batches 31 calls 2/2",
            "dedupe-rank 6 calls 2/2",
            "many-small-agents 200 calls 1/1",
            "nested-parallel-in-stage 16 calls 3/3",
            "phase-opts 6 calls 4/4",
            "pipeline-index-args 7 calls 3/3",
            "race-and-timers 5 calls 5/5",
            "rich-schemas 3 calls 3/3",
            "shadowed-names 3 calls 0/0",
            "state-machine 4 calls 3/3",
            "stringify-args 1 calls 1/2",
            "try-catch-everywhere 2 calls 2/2",
            "url-parsing 4 calls 2/2",
        ]
    );
}

#[test]
fn a_plan_for_a_real_provider_shows_tree_fan_outs_and_cost() {
    let view = run(DryRunInput { args: Some(json!({"base": "main"})), ..with_claude(text(REVIEW)) });
    let row = |phase: &str, label: &str, count, schema, prompt_bytes| DryCallRow {
        phase: Some(phase.to_owned()),
        label: label.to_owned(),
        count,
        provider: None,
        model: None,
        schema,
        prompt_bytes,
    };
    assert_eq!(view.outcome, DryOutcome::Completed);
    assert_eq!((view.calls_total, view.sites_total, view.sites_reached, view.unreached.len()), (5, 3, 3, 0));
    assert_eq!((view.args_read.as_slice(), view.args_missing.as_slice()), (&["base".to_owned()][..], &[][..]));
    let bytes: Vec<u64> = view.calls.iter().map(|c| c.prompt_bytes).collect();
    assert_eq!(
        view.calls,
        [
            row("Scan", "scan", 1, true, bytes[0]),
            row("Review", "review:*", 2, true, bytes[1]),
            row("Verify", "verify:*", 2, false, bytes[2]),
        ]
    );
    assert_eq!(bytes[0], 27);
    let phases: Vec<(&str, u64)> = view.phases.iter().map(|p| (p.title.as_str(), p.calls)).collect();
    assert_eq!(phases, [("Scan", 1), ("Review", 2), ("Verify", 2)]);
    assert_eq!(
        view.fan_outs[0],
        FanOut {
            line: 8,
            over: "files".to_owned(),
            calls: 2,
            note: "size comes from an answer; each further item adds 1 review and about 1 verify call".to_owned(),
        }
    );
    let estimate = &view.estimate;
    let cost = estimate.cost_usd.unwrap();
    assert_eq!((estimate.calls, estimate.cost_source), (5, CostSource::Estimated));
    assert!(estimate.input_tokens.low > 40_000 && estimate.input_tokens.high < 100_000, "{estimate:?}");
    assert!(estimate.output_tokens.low < estimate.output_tokens.expected, "{estimate:?}");
    assert!(cost.low < cost.expected && cost.expected < cost.high, "{cost:?}");
    let each = estimate.per_extra_item_usd.unwrap().get();
    assert!((each - cost.expected.get() * 2.0 / 5.0).abs() < 0.01, "a review and a verification: {each}");
    assert_eq!(estimate.worst_case.calls, 1000);
    assert!(estimate.worst_case.cost_usd.unwrap().get() > 60.0);
    assert!(estimate.prices_as_of.is_some());
    assert_eq!(notices(&view), ["open_fan_out"]);
    assert_eq!(
        view.providers,
        [ProviderRow {
            name: "claude".to_owned(),
            available: false,
            version: None,
            login: None,
            message: Some("this version of owf has no adapter for `claude` yet".to_owned()),
        }]
    );
    assert_eq!(
        view.next,
        "A run with provider \"claude\" would fail: this version of owf has no adapter for `claude` yet. \
         Usable here: fake (invents answers)."
    );
}

#[test]
fn the_next_step_names_a_provider_only_where_a_run_could_ask_it() {
    let mut usable = with_claude(text("return await agent('Hello.')"));
    usable.registry.insert(Arc::new(Usable));
    assert_eq!(run(usable).next, "owf_run_workflow with provider \"claude\" and budget_cost_usd");
    let asks = text("return await owf.agent('Hello.', { provider: 'codex' })");
    let view = run(DryRunInput { provider: Some("fake".to_owned()), ..asks });
    assert_eq!(
        view.next,
        "Not yet to be run: what asks provider \"codex\" would fail: this version of owf has no adapter for `codex` yet. \
         Usable here: fake (invents answers)."
    );
}

/// A provider under a real name that can be used.
struct Usable;

impl Provider for Usable {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Cli
    }

    fn default_concurrency(&self) -> u32 {
        1
    }

    fn reads_workspace(&self, _request: &AttemptRequest) -> bool {
        true
    }

    fn reserve(&self, _request: &AttemptRequest) -> Charge {
        Charge::default()
    }

    fn call<'a>(
        &'a self,
        _request: &'a AttemptRequest,
        _context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn without_a_provider_the_estimate_is_in_tokens_only() {
    let view = run(text("return await agent('Hello.', { label: 'a' })"));
    let estimate = &view.estimate;
    assert_eq!((estimate.cost_usd, estimate.worst_case.cost_usd, estimate.per_extra_item_usd), (None, None, None));
    assert_eq!((estimate.cost_source, estimate.input_tokens.expected), (CostSource::Unknown, 2));
    assert_eq!((view.provider.as_deref(), view.providers.len()), (None, 0));
    assert_eq!(notices(&view), ["no_provider"]);
}

#[test]
fn a_model_without_a_price_is_told() {
    let view = run(DryRunInput { model: None, ..with_claude(text("await agent('Hello.')")) });
    assert_eq!(view.estimate.cost_usd, None);
    assert_eq!(
        view.warnings,
        [Notice::new(
            "unpriced",
            "No price is known for claude's default model, so no cost is estimated. Name a model that has a price: owf prices lists them."
        )]
    );
}

#[test]
fn the_fake_provider_costs_nothing_and_is_named_as_such() {
    let view = run(DryRunInput { provider: Some("FIXTURE".to_owned()), ..text("await agent('Hello.')") });
    assert_eq!((view.provider.as_deref(), view.estimate.cost_source), (Some("fake"), CostSource::Simulated));
    assert_eq!(view.estimate.cost_usd.map(|c| c.high), Some(Usd::default()));
}

#[test]
fn an_unknown_provider_is_refused() {
    let failure = dry_run(DryRunInput { provider: Some("cluade".to_owned()), ..text("return 1") }).unwrap_err();
    assert_eq!(failure.code, Code::UnknownProvider);
}

#[test]
fn missing_args_that_stop_the_script_are_named() {
    let view = run(text("const list = args.files.map(f => f.name)\nawait agent(list[0])"));
    let error = view.error.unwrap();
    assert_eq!(view.outcome, DryOutcome::StoppedBeforeCalls);
    assert_eq!(view.args_missing, ["files"]);
    assert_eq!((error.code.as_str(), error.line), ("script_error", Some(2)));
    assert_eq!(error.hint.as_deref(), Some("the script reads args that were not given: files"));
    assert_eq!(error.excerpt.as_deref(), Some("const list = args.files.map(f => f.name)"));
    assert_eq!(view.unreached, [Unreached { line: 3, label: None }]);
    assert_eq!(view.next, "owf_dry_run again with args {files}");
}

#[test]
fn a_script_that_throws_says_where() {
    let view = run(text("await agent('x')\n\nthrow new TypeError('on purpose')"));
    let error = view.error.unwrap();
    assert_eq!(view.outcome, DryOutcome::Threw);
    assert_eq!((error.name.as_deref(), error.message.as_str()), (Some("TypeError"), "on purpose"));
    assert_eq!((error.line, error.excerpt.as_deref()), (Some(4), Some("throw new TypeError('on purpose')")));
}

#[test]
fn a_script_without_agents_is_no_calls() {
    let view = run(text("return 1 + 1"));
    assert_eq!((view.outcome, view.calls_total, view.estimate.calls), (DryOutcome::NoCalls, 0, 0));
}

#[test]
fn a_script_with_an_error_is_refused() {
    let failure = dry_run(text("const x = ")).unwrap_err();
    assert_eq!(failure.code, Code::InvalidWorkflow);
}

#[test]
fn assumed_sizes_and_fixtures_decide_how_large_a_fan_out_is() {
    let args = Some(json!({"base": "main"}));
    let assume = BTreeMap::from([("files".to_owned(), 40)]);
    let view = run(DryRunInput { args: args.clone(), assume, ..text(REVIEW) });
    assert_eq!(view.calls_total, 81);
    let file = b"owf_fixtures: 1\nrules:\n  - match: { label: scan }\n    json: { files: [a, b, c] }\n    delay_ms: 600000\n  - match: { label: nobody }\n    text: x\n";
    let fixtures = Some(Arc::new(parse(file, Path::new("/nowhere/f.yaml")).unwrap()));
    let view = run(DryRunInput { args, fixtures, ..text(REVIEW) });
    assert_eq!(view.calls_total, 7);
    let told = Notice::new("fixture_rule_unused", "Rules of the fixture file that matched no call: 2");
    assert!(view.warnings.contains(&told), "{:?}", view.warnings);
}

#[test]
fn an_answer_that_never_comes_is_a_timeout_and_nothing_waits() {
    let file = b"owf_fixtures: 1\nrules:\n  - never: true\n";
    let fixtures = Some(Arc::new(parse(file, Path::new("/nowhere/f.yaml")).unwrap()));
    let view = run(DryRunInput { fixtures, ..text("return await agent('x', { label: 'a' })") });
    assert_eq!(view.outcome, DryOutcome::Completed);
    let told = Notice::new("failed_calls", "1 call failed in the dry run, first \"a\": timeout (timeout)");
    assert!(view.warnings.contains(&told), "{:?}", view.warnings);
}

#[test]
fn timers_fire_at_once_in_the_order_they_are_due() {
    let body = "const at = ms => new Promise(r => setTimeout(() => { log(ms); r(ms) }, ms))\n\
                const order = []\n\
                await Promise.all([at(3600000), at(5), owf.sleep(60000)].map(async p => order.push(await p)))\n\
                if (order.join() !== '5,,3600000') throw new Error(order.join())\n\
                await agent('done')";
    assert_eq!(run(text(body)).outcome, DryOutcome::Completed);
}

#[test]
fn approvals_are_answered_and_told() {
    let body = "const a = await owf.approve({ message: 'Ship it?' })\n\
                if (a.decision !== 'approve') throw new Error(a.decision)\n\
                await agent('ship')";
    let view = run(text(body));
    assert_eq!((view.outcome, view.calls_total), (DryOutcome::Completed, 1));
    let message = "A run would ask a person 1 question, answered here with approve: \"Ship it?\"";
    assert!(view.warnings.contains(&Notice::new("approvals", message)), "{:?}", view.warnings);
}

#[test]
fn the_call_cap_and_the_budget_hold_as_in_a_run() {
    let many = "return await parallel(Array.from({ length: 8 }, (_, i) => () => agent(`n ${i}`, { label: `n${i}` })))";
    let capped = Settings { max_calls: 3, ..Settings::default() };
    let view = run(DryRunInput { settings: capped, ..text(many) });
    assert_eq!((view.outcome, view.calls_total, view.estimate.calls), (DryOutcome::Completed, 8, 3));
    assert_eq!(view.swallowed.len(), 5);
    let limits = Limits { calls: Some(2), ..Limits::default() };
    let view = run(DryRunInput { settings: Settings { limits, ..Settings::default() }, ..text(many) });
    assert_eq!((view.estimate.calls, view.budget), (2, Some(json!({"calls": 2}))));
}

#[test]
fn children_share_the_cap_and_nest_no_deeper_than_allowed() {
    let view = run(text("return await workflow({ scriptPath: 'fixtures/scripts/child-workflows.js' })"));
    assert_eq!(
        view.error.unwrap().message,
        "workflow() cannot be called here: child workflows nest 1 deep at most, and this one is at level 1"
    );
    let capped = Settings { max_calls: 2, ..Settings::default() };
    let view = run(DryRunInput { settings: capped, ..file("fixtures/workflows/nested.js") });
    assert_eq!((view.calls_total, view.estimate.calls), (4, 2));
}

#[test]
fn a_mood_changes_the_answers() {
    let body = "const S = { type: 'object', properties: { approved: { type: 'boolean' } }, required: ['approved'] }\n\
                const a = await agent('ok?', { schema: S })\n\
                if (!a.approved) await agent('repair')";
    assert_eq!(run(text(body)).calls_total, 1);
    let settings = Settings { mood: Some(Mood::Unhappy), ..Settings::default() };
    assert_eq!(run(DryRunInput { settings, ..text(body) }).calls_total, 2);
}

#[test]
fn rows_are_bounded_unless_all_are_asked_for() {
    let body = "for (let i = 0; i < 30; i++) await agent(`x${i}`, { label: `row ${i}`, phase: `P${i}` })";
    let view = run(text(body));
    assert_eq!((view.calls.len(), view.truncated), (20, true));
    let full = run(DryRunInput { full: true, ..text(body) });
    assert_eq!((full.calls.len(), full.truncated), (30, false));
    assert_eq!(full.phases[0], DryPhase { title: "P0".to_owned(), calls: 1, models: None, prompt_bytes: 2 });
}

#[test]
fn a_script_that_hangs_is_stopped() {
    let view = run(DryRunInput { time_limit: Duration::from_millis(200), ..text("await agent('x')\nfor (;;) {}") });
    assert_eq!(view.outcome, DryOutcome::Threw);
    assert_eq!(view.error.unwrap().message, "the dry run took too long and was stopped");
    let endless = "for (;;) await agent('x')";
    let settings = Settings { max_calls: u64::MAX, ..Settings::default() };
    let view = run(DryRunInput { settings, time_limit: Duration::from_millis(200), ..text(endless) });
    assert_eq!(view.error.unwrap().message, "the dry run took too long and was stopped");
}

/// A journal with one call per row: prompt, label, how it ended.
fn journal(rows: &[(&str, &str, Option<CallStatus>)], simulated: bool) -> Vec<EventRecord> {
    let mut events = Vec::new();
    let mut push = |event| events.push(EventRecord { seq: events.len() as u64 + 1, at: Millis(0), event });
    for (index, (prompt, label, status)) in rows.iter().enumerate() {
        let call_id = CallId(index as u32 + 1);
        let ask = Ask { prompt: Some((*prompt).to_owned()), ..Ask::default() };
        let key = request_key(CallKind::Agent, &ask);
        let spec = Box::new(CallSpec { label: (*label).to_owned(), ..CallSpec::new(CallKind::Agent, ask) });
        push(Event::CallRequested { call_id, key, occurrence: 1, spec });
        if let Some(status) = status {
            let value = Some(json!(format!("answer to {prompt}")));
            let outcome = Outcome { value, simulated, cost_nanos: Some(250_000_000), ..Outcome::new(call_id, *status) };
            push(Event::CallFinished { call_id, outcome: Box::new(outcome), reused: None, rule: None });
        }
    }
    events
}

const EDITED: &str = "
const first = await agent('one', { label: 'a' })
await agent(`two after ${first}`, { label: 'b' })
await parallel(['three', 'four', 'five'].map(p => () => agent(p, { label: p })))
await agent('one', { label: 'a' })
await agent('new', { label: 'z' })";

#[test]
fn a_comparison_says_what_a_resume_reuses_and_why_the_rest_runs_again() {
    let rows = [
        ("one", "a", Some(CallStatus::Done)),
        ("two", "b", Some(CallStatus::Done)),
        ("three", "three", Some(CallStatus::SchemaFailed)),
        ("four", "four", Some(CallStatus::Cancelled)),
        ("five", "five", None),
    ];
    let run_id = RunId::new(Millis(0), [1; 5]);
    let against = Against::new(&[(run_id.clone(), journal(&rows, false))], |_, _| true);
    let view = run(DryRunInput { against, ..with_claude(text(EDITED)) });
    let rerun = |label: &str, reason_code, changed: &[&str]| RerunCall {
        label: label.to_owned(),
        reason_code,
        changed: changed.iter().map(|c| (*c).to_owned()).collect(),
    };
    assert_eq!(
        view.reuse,
        Some(ReuseForecast {
            run_id,
            replayed: 1,
            rerun: 6,
            rerun_calls: vec![
                rerun("b", ReasonCode::Changed, &["prompt"]),
                rerun("three", ReasonCode::EarlierFailed, &[]),
                rerun("four", ReasonCode::EarlierCancelled, &[]),
                rerun("five", ReasonCode::EarlierCancelled, &[]),
                rerun("a", ReasonCode::Occurrence, &[]),
                rerun("z", ReasonCode::FirstTime, &[]),
            ],
            saved_usd: Some(Usd::new(0.25)),
        })
    );
    assert_eq!((view.calls_total, view.estimate.calls), (7, 6), "the estimate is for what is sent");
}

#[test]
fn the_nearest_run_of_the_lineage_counts_and_reused_values_are_delivered() {
    let near = journal(&[("one", "a", Some(CallStatus::Failed))], false);
    let far = journal(
        &[("one", "a", Some(CallStatus::Done)), ("two after answer to one", "b", Some(CallStatus::Done))],
        false,
    );
    let chain = [(RunId::new(Millis(0), [2; 5]), near), (RunId::new(Millis(0), [1; 5]), far)];
    let view = run(DryRunInput { against: Against::new(&chain, |_, _| true), ..with_claude(text(EDITED)) });
    let reuse = view.reuse.unwrap();
    assert_eq!((reuse.run_id, reuse.replayed), (chain[0].0.clone(), 2));
}

#[test]
fn generated_answers_are_not_reused_by_a_real_provider() {
    let rows = [("one", "a", Some(CallStatus::Done))];
    let chain = [(RunId::new(Millis(0), [1; 5]), journal(&rows, true))];
    let body = "await agent('one', { label: 'a' })";
    let view = run(DryRunInput { against: Against::new(&chain, |_, _| true), ..with_claude(text(body)) });
    let reuse = view.reuse.unwrap();
    assert_eq!((reuse.replayed, reuse.rerun_calls[0].reason_code), (0, ReasonCode::Simulated));
    let view = run(DryRunInput { against: Against::new(&chain, |_, _| true), ..text(body) });
    assert_eq!(view.reuse.unwrap().replayed, 1);
    let view = run(DryRunInput { against: Against::new(&chain, |_, _| false), ..text(body) });
    assert_eq!(view.reuse.unwrap().rerun_calls[0].changed, ["workspace"]);
}
