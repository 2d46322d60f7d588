//! Random documents on the real engine: failures, retries, questions, and owners that die in between.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use owf::core::call::Decision;
use owf::core::outcome::{CallError, CostSource, ErrorClass};
use owf::core::time::Millis;
use owf::engine::params::{ResumeParams, RunParams};
use owf::engine::{Engine, Execution, Started};
use owf::providers::fake::FakeProvider;
use owf::providers::{
    AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Registry, Reply, ReplyAnswer, ReplyError,
};
use owf::store::{ApprovalState, InboxMessage, Store};
use serde_json::{Value, json};

use crate::acca_support::engine_with;
use crate::model::rng::Rng;
use crate::support::cli::{Place, eventually};

/// Documents that run in this process.
const DOCUMENTS: u64 = 6;
/// Documents that real processes run, which end themselves in the middle of calls.
const REAL_DOCUMENTS: u64 = 2;
/// Owners of one run that die: a call in flight at three deaths is given up by design.
const DEATHS: usize = 2;

/// What a random task does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Work {
    Expr,
    Agent { writes: bool },
    Question,
}

/// How the work goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Luck {
    Good,
    /// So many attempts fail before one is answered; there are more than that.
    Slow(u32),
    Bad,
}

#[derive(Debug, Clone)]
struct Made {
    after: Vec<usize>,
    work: Work,
    luck: Luck,
    /// The answer to the question before it, when there is one.
    asked: Option<Decision>,
    allowed: bool,
    when: bool,
}

fn made(rng: &mut Rng, count: usize) -> Vec<Made> {
    let one = |index: usize, rng: &mut Rng| {
        let mut after: Vec<usize> = (0..rng.below(4)).filter_map(|_| index.checked_sub(1 + rng.below(15))).collect();
        after.sort_unstable();
        after.dedup();
        let work = match rng.below(100) {
            0..=24 => Work::Expr,
            25..=27 => Work::Question,
            28..=30 => Work::Agent { writes: true },
            _ => Work::Agent { writes: false },
        };
        let luck = match rng.below(100) {
            0..=5 => Luck::Bad,
            6..=25 => Luck::Slow(1 + rng.below(2) as u32),
            _ => Luck::Good,
        };
        let decision = if rng.chance(70) { Decision::Approve } else { Decision::Deny };
        let asked = (work == Work::Question || rng.chance(3)).then_some(decision);
        Made { after, work, luck, asked, allowed: rng.chance(60), when: rng.chance(93) }
    };
    (0..count).map(|index| one(index, rng)).collect()
}

fn document(made: &[Made], concurrency: usize) -> String {
    let mut out = format!("name: storm\nconcurrency: {concurrency}\ntasks:\n");
    for (index, task) in made.iter().enumerate() {
        let after: Vec<String> = task.after.iter().map(|i| format!("t{i}")).collect();
        let seen: Vec<String> = after.iter().map(|t| format!("{{{{ tasks.{t}.status }}}}")).collect();
        write!(out, "  t{index}: {{after: [{}], allow_failure: {}", after.join(", "), task.allowed).unwrap();
        if !task.when {
            out.push_str(", when: false");
        }
        if task.asked.is_some() {
            write!(out, ", approval: 'May t{index}?'").unwrap();
        }
        match task.work {
            Work::Expr if task.luck == Luck::Bad => out.push_str(", expr: '1 + []'"),
            Work::Expr => write!(out, ", expr: '{index} + 1'").unwrap(),
            Work::Question => {}
            Work::Agent { writes } => {
                write!(out, ", prompt: 'p{index} after {}'", seen.join(" ")).unwrap();
                out.push_str(", retry: {max_attempts: 4, on: [rate_limited]}");
                if writes {
                    out.push_str(", write_scope: [out]");
                }
            }
        }
        out.push_str("}\n");
    }
    out
}

/// How every task must end, whatever happens to the process.
fn expected(made: &[Made]) -> BTreeMap<String, &'static str> {
    let mut ends: Vec<&'static str> = Vec::new();
    for task in made {
        let blocks = |i: &usize| match ends[*i] {
            "done" | "skipped" => false,
            "cancelled" => true,
            _ => !made[*i].allowed,
        };
        let end = match (task.work, task.luck) {
            _ if task.after.iter().any(blocks) => "cancelled",
            _ if !task.when => "skipped",
            _ if task.asked == Some(Decision::Deny) => "denied",
            (Work::Expr, Luck::Bad) => "failed",
            (Work::Agent { .. }, Luck::Bad) => "provider_failed",
            _ => "done",
        };
        ends.push(end);
    }
    ends.into_iter().enumerate().map(|(i, end)| (format!("t{i}"), end)).collect()
}

/// A provider whose answers follow from the request, and which can fall silent.
struct Storm {
    made: Vec<Made>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Labels of the attempts, in order.
    asked: Vec<String>,
    /// Attempts that came to an end, by label.
    ended: BTreeMap<String, u32>,
    running: usize,
    most: usize,
    /// Attempts until it falls silent.
    left: Option<usize>,
    silent: bool,
}

/// An attempt under way, however it ends.
struct Running<'a>(&'a Storm);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().running -= 1;
    }
}

impl Storm {
    fn new(made: &[Made]) -> Arc<Self> {
        Arc::new(Self { made: made.to_vec(), state: Mutex::default() })
    }

    /// Answers again, and falls silent at the attempt after `left` more.
    fn speak(&self, left: Option<usize>) {
        let mut state = self.state.lock().unwrap();
        (state.left, state.silent) = (left, false);
    }

    fn is_silent(&self) -> bool {
        self.state.lock().unwrap().silent
    }

    fn begin(&self, label: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        state.asked.push(label.to_owned());
        state.running += 1;
        state.most = state.most.max(state.running);
        match state.left {
            Some(0) => state.silent = true,
            Some(left) => state.left = Some(left - 1),
            None => {}
        }
        state.silent
    }
}

impl Provider for Storm {
    fn name(&self) -> &'static str {
        "storm"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Http
    }

    fn default_concurrency(&self) -> u32 {
        64
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        false
    }

    fn call<'a>(&'a self, request: &'a AttemptRequest, _: &'a CallContext) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            let label = &request.spec.label;
            let index: usize = label[1..].parse().unwrap();
            let _running = Running(self);
            if self.begin(label) {
                std::future::pending::<()>().await;
            }
            // Who is asked later may be answered earlier.
            for _ in 0..crate::model::rng::hash(label, 1) % 4 {
                tokio::task::yield_now().await;
            }
            let before = {
                let mut state = self.state.lock().unwrap();
                let ended = state.ended.entry(label.clone()).or_default();
                *ended += 1;
                *ended - 1
            };
            match self.made[index].luck {
                Luck::Slow(times) if before < times => Err(CallError::new(ErrorClass::RateLimited, "later").into()),
                Luck::Bad => Err(CallError::new(ErrorClass::Refusal, "no").into()),
                Luck::Good | Luck::Slow(_) => {
                    let text = format!("<{}>", request.spec.ask.prompt.as_deref().unwrap_or_default());
                    let (cost_nanos, cost_source) = (Some(0), CostSource::Reported);
                    Ok(Reply { cost_nanos, cost_source, ..Reply::new(ReplyAnswer::Text(text)) })
                }
            }
        })
    }
}

/// Answers everything that is asked in a store, as the document's author would. Whether something was.
fn decide_all(store: &Store, made: &[Made]) -> bool {
    let run = store.resolve("latest").unwrap();
    let open = store.approvals(Some(&run), Some(ApprovalState::Pending)).unwrap();
    for row in &open {
        let message = &row.note.message;
        // A lost attempt may be repeated; the others say which task asks.
        let index = message.strip_prefix("May t").and_then(|rest| rest.trim_end_matches('?').parse::<usize>().ok());
        let decision = index.map_or(Decision::Approve, |i| made[i].asked.unwrap());
        let answer = InboxMessage::Decide {
            approval_id: row.note.approval_id,
            decision,
            content_hash: row.note.content_hash.clone(),
            by: "author".to_owned(),
            via: "test".to_owned(),
            reason: None,
            person: true,
        };
        let sent = store.send(&run, &answer, Millis(1)).unwrap();
        assert!(!sent.live_owner, "the run waits without a process");
        assert!(store.send(&run, &answer, Millis(1)).is_err(), "only one decision counts");
    }
    !open.is_empty()
}

/// Checks the journal of a run that has ended against the document; how its tasks ended.
fn checked(events: &[Value], made: &[Made], concurrency: usize) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    let mut ended: BTreeMap<String, String> = BTreeMap::new();
    let mut told = BTreeSet::new();
    let mut settled = BTreeSet::new();
    let mut at_work = BTreeSet::new();
    for event in events {
        let id = event["call_id"].to_string();
        match event["type"].as_str().unwrap() {
            "run_started" => at_work.clear(),
            "call_requested" => {
                let label = event["spec"]["label"].as_str().unwrap().to_owned();
                let index: usize = label[1..].parse().unwrap();
                // How a task ends may be known, and what comes after it be asked, before the record of it has its outcome.
                let record = event["spec"]["ask"]["extra"]["ended"].as_str();
                if record.is_some() {
                    told.insert(label.clone());
                }
                if !matches!(record, Some("cancelled" | "skipped")) {
                    for before in &made[index].after {
                        let before = format!("t{before}");
                        assert!(ended.contains_key(&before) || told.contains(&before), "{label} before {before} ended");
                    }
                }
                labels.insert(id, label);
            }
            "attempt_started" => {
                at_work.insert(id);
                assert!(at_work.len() <= concurrency, "{at_work:?}");
            }
            "attempt_failed" if event["retry_in_ms"].is_null() => drop(at_work.remove(&id)),
            "call_finished" => {
                at_work.remove(&id);
                assert!(settled.insert(id.clone()), "{id} ended twice");
                let label = labels[&id].clone();
                let index: usize = label[1..].parse().unwrap();
                let status = match event["outcome"]["decision"]["decision"].as_str() {
                    // The question before a task is not its end.
                    Some("approve" | "deny") if made[index].work != Work::Question => continue,
                    Some("deny") => "denied",
                    _ => event["outcome"]["status"].as_str().unwrap(),
                };
                assert_eq!(ended.insert(label.clone(), status.to_owned()), None, "{label} ended twice");
            }
            _ => {}
        }
    }
    assert_eq!(settled.len(), labels.len(), "every call has an outcome");
    ended
}

/// Status, output, and how the tasks ended.
type Course = (Value, Value, BTreeMap<String, String>);

struct Stage {
    place: Place,
    engine: Engine,
    storm: Arc<Storm>,
}

impl Stage {
    fn new(text: &str, made: &[Made]) -> Self {
        let (place, storm) = (Place::new(), Storm::new(made));
        place.file("flow.yaml", text);
        let mut registry = Registry::new(Arc::new(FakeProvider::new(None, None, false)));
        registry.insert(Arc::clone(&storm) as Arc<dyn Provider>);
        let engine = engine_with(&place, registry);
        Self { place, engine, storm }
    }

    fn resume(&self) -> Started {
        let how = Execution::InProcess { linger_on_approvals: false };
        let started = self.engine.resume(&ResumeParams::default(), how).unwrap();
        assert_eq!(serde_json::to_value(started.resumed).unwrap(), json!("in_place"));
        started
    }

    fn events(&self) -> Vec<Value> {
        let events = self.engine.events("latest", 0, 100_000).unwrap();
        events.iter().map(|e| serde_json::to_value(&e.event).unwrap()).collect()
    }

    fn status(&self) -> Value {
        serde_json::to_value(self.engine.status(&owf::engine::params::StatusParams::default()).unwrap()).unwrap()
    }

    /// Labels of the calls whose outcome is on record.
    fn finished(&self) -> BTreeSet<String> {
        let mut labels = BTreeMap::new();
        let mut out = BTreeSet::new();
        for event in self.events() {
            let id = event["call_id"].to_string();
            if event["type"] == "call_requested" && event["spec"]["kind"] == "agent" {
                labels.insert(id, event["spec"]["label"].as_str().unwrap().to_owned());
            } else if event["type"] == "call_finished" {
                out.extend(labels.get(&id).cloned());
            }
        }
        out
    }

    /// Runs the document; its owners die after so many attempts each.
    fn play(&self, made: &[Made], concurrency: usize, mut deaths: Vec<usize>) -> Course {
        self.storm.speak(deaths.pop());
        let params = RunParams {
            path: Some("flow.yaml".to_owned()),
            provider: Some("storm".to_owned()),
            ..RunParams::default()
        };
        let mut started = self.engine.start(&params, Execution::InProcess { linger_on_approvals: false }).unwrap();
        let mut kept: Vec<(usize, BTreeSet<String>)> = Vec::new();
        let view = loop {
            let handle = started.handle.unwrap();
            eventually(Duration::from_secs(3), "an end, or silence", || {
                handle.end().is_some() || self.storm.is_silent()
            });
            if self.storm.is_silent() {
                handle.interrupt();
                assert!(handle.wait_ended(Duration::from_secs(30)));
                eventually(Duration::from_secs(1), "no attempt is left", || {
                    self.storm.state.lock().unwrap().running == 0
                });
                kept.push((self.storm.state.lock().unwrap().asked.len(), self.finished()));
                self.storm.speak(deaths.pop());
            } else {
                assert!(handle.wait_ended(Duration::from_secs(30)));
                let view = self.status();
                if view["status"] != "paused" {
                    break view;
                }
                assert!(decide_all(&self.place.store(), made), "{view}");
            }
            started = self.resume();
        };
        let state = self.storm.state.lock().unwrap();
        assert!(state.most <= concurrency, "{} at once", state.most);
        for (asked, finished) in kept {
            let again: Vec<&String> = state.asked[asked..].iter().filter(|l| finished.contains(*l)).collect();
            assert_eq!(again, Vec::<&String>::new(), "asked again after the outcome was on record");
        }
        let ends = checked(&self.events(), made, concurrency);
        (view["status"].clone(), view["output"].clone(), ends)
    }
}

#[test]
fn random_documents_whose_owners_die_end_as_if_they_had_not() {
    for seed in 0..DOCUMENTS {
        let mut rng = Rng::new(seed);
        let count = if seed == 0 { 200 } else { rng.range(5, 200) };
        let (made, concurrency) = (made(&mut rng, count), rng.range(1, 8));
        let text = document(&made, concurrency);
        let expected: BTreeMap<String, String> =
            expected(&made).into_iter().map(|(label, end)| (label, end.to_owned())).collect();
        let calm = Stage::new(&text, &made).play(&made, concurrency, Vec::new());
        assert_eq!(calm.2, expected, "seed {seed}");
        let stage = Stage::new(&text, &made);
        let deaths = (0..DEATHS).map(|_| rng.below(count)).collect();
        let storm = stage.play(&made, concurrency, deaths);
        assert_eq!(storm, calm, "seed {seed}");
        let failed = made.iter().enumerate().any(|(i, task)| {
            !task.allowed && matches!(expected[&format!("t{i}")].as_str(), "failed" | "provider_failed" | "denied")
        });
        assert_eq!(storm.0, if failed { "failed" } else { "done" }, "seed {seed}");
    }
}

/// Rules of the fake provider for these tasks: as the other provider, and the process ends in the middle of the fatal calls.
fn rules(made: &[Made], fatal: &[usize]) -> String {
    let mut out = "owf_fixtures: 1\ninvocation_log: calls.jsonl\nrules:\n".to_owned();
    for fatal in fatal {
        writeln!(out, "  - match: {{label: t{fatal}, attempt: 1}}\n    crash: before_answer\n    text: x").unwrap();
    }
    for (index, task) in made.iter().enumerate() {
        match task.luck {
            Luck::Bad => {
                writeln!(out, "  - match: {{label: t{index}}}\n    error: {{class: refusal, message: no}}").unwrap();
            }
            Luck::Slow(times) => writeln!(
                out,
                "  - match: {{label: t{index}}}\n    fail_first: {times}\n    error: {{class: rate_limited, message: later}}\n    text: '<{{{{ prompt }}}}>'"
            )
            .unwrap(),
            Luck::Good => {}
        }
    }
    out.push_str("  - text: '<{{ prompt }}>'\n");
    out
}

/// Runs a document with the real binary until it has ended; how often its process died.
fn play_real(place: &Place, made: &[Made], concurrency: usize) -> (Course, usize) {
    let mut printed = place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--no-input"]);
    let mut died = 0;
    let view = loop {
        let view = place.json(&["status", "latest", "--json"]);
        match view["status"].as_str().unwrap() {
            "paused" => assert!(decide_all(&place.store(), made), "{view}"),
            "interrupted" => died += 1,
            "done" | "failed" => break view,
            other => panic!("{other}: {printed:?}"),
        }
        printed = place.owf(&["resume", "latest", "--no-input"]);
    };
    let store = place.store();
    let events = store.events(&store.resolve("latest").unwrap(), 0, 100_000).unwrap();
    let events: Vec<Value> = events.iter().map(|e| serde_json::to_value(&e.event).unwrap()).collect();
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    let ends = checked(&events, made, concurrency);
    ((view["status"].clone(), place.json(&["status", "latest", "--json"])["output"].clone(), ends), died)
}

#[test]
fn random_documents_whose_processes_end_in_the_middle_of_calls_end_as_if_they_had_not() {
    let mut deaths = 0;
    for seed in 100..100 + REAL_DOCUMENTS {
        let mut rng = Rng::new(seed);
        let count = rng.range(60, 200);
        let (made, concurrency) = (made(&mut rng, count), rng.range(2, 8));
        let agents: Vec<usize> = (0..count).filter(|i| matches!(made[*i].work, Work::Agent { .. })).collect();
        let fatal: Vec<usize> = (0..DEATHS).map(|_| rng.pick(&agents)).collect();
        let play = |fatal: &[usize]| {
            let place = Place::new();
            place.file("flow.yaml", &document(&made, concurrency));
            place.file("answers.yaml", &rules(&made, fatal));
            play_real(&place, &made, concurrency)
        };
        let (storm, died) = play(&fatal);
        deaths += died;
        assert_eq!(play(&[]), (storm.clone(), 0), "seed {seed}");
        let expected = expected(&made).into_iter().map(|(label, end)| (label, end.to_owned()));
        assert_eq!(storm.2, expected.collect(), "seed {seed}");
    }
    assert!(deaths > 0, "some process died");
}
