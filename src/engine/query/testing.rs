//! A store with hand-made journals: small steps, each one event, at times a test can compute.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::core::call::{Ask, CallKind, CallSpec, Decider, Decision, Site};
use crate::core::event::{ApprovalKind, ApprovalNote, CacheRecord, Event, EventRecord, LogLevel, Owner};
use crate::core::identity::request_key;
use crate::core::ids::{ApprovalId, CallId, Hash, RunId};
use crate::core::outcome::{CacheNote, CacheStatus, CallError, CallRef, CostSource, ErrorClass, Outcome, Usage};
use crate::core::run::{JOURNAL_FORMAT, RunOutcome, RunSpec, RunStatus, Settings, StatusReason, WorkflowKind};
use crate::core::time::Millis;
use crate::store::{Append, Lease, ProcessInfo, Store};

use super::{Bound, Query, QueryEnv};

/// 2026-05-28T14:32:00.000Z.
pub(super) const START: Millis = Millis(1_779_978_720_000);

/// A store and what queries need.
pub(super) struct Book {
    pub(super) store: Store,
    pub(super) env: QueryEnv,
    runs: u8,
}

/// One run that is being written.
pub(super) struct Run {
    pub(super) id: RunId,
    store: Store,
    lease: Option<Lease>,
    seq: u64,
    at: Millis,
    calls: u32,
    occurrences: BTreeMap<Hash, u32>,
}

pub(super) fn spec(workflow: &str) -> RunSpec {
    RunSpec {
        format: JOURNAL_FORMAT,
        workflow_name: workflow.to_owned(),
        description: String::new(),
        phases: Vec::new(),
        kind: WorkflowKind::Script,
        source_hash: Hash::of("line one\n  const found = null.map()\n"),
        source_path: None,
        args: None,
        workspace: "/w".to_owned(),
        cwd: "/w".to_owned(),
        settings: Settings { provider: "claude".to_owned(), ..Settings::default() },
        parent: None,
        root: None,
        depth: 0,
        resumed_from: None,
        diverged: None,
        started_by: "cli".to_owned(),
        request_key: None,
        metadata: None,
        principal: None,
        hooks: Vec::new(),
        events: Vec::new(),
        notices: Vec::new(),
        asks: None,
        cleanups: Vec::new(),
        budget_base: crate::core::budget::Charge::default(),
    }
}

/// An agent call as asked: prompt, label and line.
pub(super) fn agent(prompt: &str, label: &str, line: u32) -> CallSpec {
    let ask = Ask { prompt: Some(prompt.to_owned()), ..Ask::default() };
    let site = Some(Site { line, column: 1 });
    CallSpec { label: label.to_owned(), site, ..CallSpec::new(CallKind::Agent, ask) }
}

pub(super) fn done(value: Value) -> Outcome {
    Outcome {
        provider: Some("claude".to_owned()),
        model: Some("sonnet".to_owned()),
        usage: Usage { input_tokens: 100, output_tokens: 10, ..Usage::default() },
        cost_nanos: Some(60_000_000),
        cost_source: CostSource::Reported,
        attempts: 1,
        duration_ms: 500,
        ..Outcome::done(CallId(1), Some(value))
    }
}

pub(super) fn failed(class: ErrorClass, message: &str) -> Outcome {
    Outcome {
        provider: Some("claude".to_owned()),
        attempts: 1,
        duration_ms: 500,
        ..Outcome::failed(CallId(1), CallError::new(class, message))
    }
}

pub(super) fn fake(value: Value) -> Outcome {
    Outcome {
        provider: Some("fake".to_owned()),
        model: None,
        cost_nanos: Some(0),
        cost_source: CostSource::Simulated,
        simulated: true,
        ..done(value)
    }
}

/// A recorded cache key with one component per `name=value` word.
pub(super) fn record(parts: &str) -> CacheRecord {
    let parts = parts.split_whitespace().filter_map(|p| p.split_once('='));
    CacheRecord {
        key: Hash::of("key"),
        occurrence: 1,
        parts: parts.map(|(k, v)| (k.into(), v.into())).collect(),
        workspace: None,
    }
}

impl Book {
    pub(super) fn new() -> Self {
        let env = QueryEnv { now: Millis(START.0 + 60_000), ..QueryEnv::default() };
        Self { store: Store::in_memory().unwrap(), env, runs: 0 }
    }

    pub(super) fn query(&self) -> Query<'_> {
        Query { store: &self.store, env: &self.env }
    }

    pub(super) fn model(&self) -> QueryEnv {
        QueryEnv { bound: Bound::Model, ..self.env.clone() }
    }

    /// A run that is recorded.
    pub(super) fn created(&mut self, spec: &RunSpec) -> Run {
        self.runs += 1;
        let at = Millis(START.0 + i64::from(self.runs) * 1_000);
        let id = RunId::new(at, [self.runs; 5]);
        self.store.create_run(&id, spec, b"line one\n  const found = null.map()\n", at).unwrap();
        let store = self.store.clone();
        Run { id, store, lease: None, seq: 1, at, calls: 0, occurrences: BTreeMap::new() }
    }

    /// A run that a process has taken up.
    pub(super) fn run(&mut self, spec: &RunSpec) -> Run {
        let mut run = self.created(spec);
        run.start();
        run
    }
}

impl Run {
    pub(super) fn start(&mut self) {
        let lease =
            self.store.claim(&self.id, &ProcessInfo { pid: 7, host: "host".into(), ..ProcessInfo::default() }, self.at);
        self.lease = Some(lease.unwrap());
        let owner =
            Owner { epoch: self.epoch(), pid: 7, host: "host".into(), boot_id: String::new(), process_start: 0 };
        self.event(Event::RunStarted { owner });
    }

    fn epoch(&self) -> u64 {
        self.lease.as_ref().map_or(0, |lease| lease.epoch)
    }

    /// The process is gone; the next one starts with [`Run::start`].
    pub(super) fn die(&mut self) {
        self.lease = None;
    }

    /// Appends one event, 100 ms after the one before.
    pub(super) fn event(&mut self, event: Event) -> u64 {
        self.events(vec![event])
    }

    pub(super) fn events(&mut self, events: Vec<Event>) -> u64 {
        let records = events.into_iter().map(|event| {
            self.seq += 1;
            self.at = self.at.plus(100);
            EventRecord { seq: self.seq, at: self.at, event }
        });
        let records = records.collect();
        self.store.append(Append::new(&self.id, self.epoch(), records)).wait().unwrap();
        self.seq
    }

    pub(super) fn request(&mut self, spec: CallSpec) -> Event {
        self.calls += 1;
        let key = request_key(spec.kind, &spec.ask);
        let occurrence = self.occurrences.entry(key).or_default();
        *occurrence += 1;
        Event::CallRequested { call_id: CallId(self.calls), key, occurrence: *occurrence, spec: Box::new(spec) }
    }

    pub(super) fn ask(&mut self, spec: CallSpec) -> CallId {
        let event = self.request(spec);
        self.event(event);
        CallId(self.calls)
    }

    pub(super) fn attempt(&mut self, call_id: CallId, attempt: u32, cache: Option<CacheRecord>) {
        self.event(Event::AttemptStarted {
            call_id,
            attempt,
            provider: Some("claude".to_owned()),
            model: Some("sonnet".to_owned()),
            cache,
            due_at: None,
            child_run: None,
            reserve_nanos: 0,
            reserve_tokens: 0,
        });
    }

    pub(super) fn outcome(&mut self, call_id: CallId, outcome: Outcome) -> u64 {
        let outcome = Box::new(Outcome { call_id, ..outcome });
        self.event(Event::CallFinished { call_id, outcome, reused: None, rule: None })
    }

    /// Asks, tries once and ends.
    pub(super) fn call(&mut self, spec: CallSpec, outcome: Outcome) -> CallId {
        let parts = format!("prompt={}", spec.ask.prompt.as_deref().unwrap_or_default().replace(' ', "_"));
        let call_id = self.ask(spec);
        self.attempt(call_id, 1, Some(record(&parts)));
        self.outcome(call_id, outcome);
        call_id
    }

    pub(super) fn reused(&mut self, spec: CallSpec, from: &RunId, call: u32, outcome: Outcome) -> CallId {
        let call_id = self.ask(spec);
        let from = CallRef { run_id: from.clone(), call_id: CallId(call) };
        let outcome = Box::new(Outcome { call_id: CallId(call), ..outcome });
        self.event(Event::CallFinished { call_id, outcome, reused: Some(from), rule: None });
        call_id
    }

    pub(super) fn log(&mut self, message: &str) {
        self.event(Event::Log { level: LogLevel::Info, message: message.to_owned(), fields: None });
    }

    pub(super) fn question(&mut self, message: &str) -> CallId {
        self.question_as(1, message)
    }

    /// The question with this number in the run.
    pub(super) fn question_as(&mut self, number: u32, message: &str) -> CallId {
        let ask = Ask::default();
        let call_id = self.ask(CallSpec { label: "approve".to_owned(), ..CallSpec::new(CallKind::Approval, ask) });
        self.event(Event::ApprovalAsked {
            approval: ApprovalNote {
                approval_id: ApprovalId(number),
                call_id,
                kind: ApprovalKind::Approve,
                message: message.to_owned(),
                metadata: Some(json!({"files": 14})),
                content_hash: "5be1c07f".to_owned(),
                decider: Decider::Any,
                expires_at: Some(Millis(START.0 + 7_200_000)),
                on_timeout: Decision::Deny,
            },
        });
        call_id
    }

    pub(super) fn pause(&mut self, reason: StatusReason, message: Option<&str>) {
        self.event(Event::RunPaused { reason, message: message.map(str::to_owned) });
        self.die();
    }

    pub(super) fn end(&mut self, outcome: RunOutcome) {
        self.event(Event::RunFinished { outcome: Box::new(outcome) });
        self.die();
    }

    pub(super) fn returns(&mut self, output: Option<Value>) {
        self.end(RunOutcome { status: RunStatus::Done, reason: None, output, error: None, superseded_by: None });
    }

    pub(super) fn cancelled(&mut self) {
        let reason = Some(StatusReason::User);
        self.end(RunOutcome { status: RunStatus::Cancelled, reason, output: None, error: None, superseded_by: None });
    }

    pub(super) fn file(&self, path: &str, bytes: &[u8]) {
        let path = self.store.run_dir(&self.id).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A hit from another run.
pub(super) fn hit(from: &RunId, call: u32) -> Outcome {
    let cache = CacheNote {
        status: CacheStatus::Hit,
        from: Some(CallRef { run_id: from.clone(), call_id: CallId(call) }),
        ..CacheNote::default()
    };
    Outcome { cache, attempts: 0, usage: Usage::default(), cost_nanos: Some(0), ..done(json!("hit")) }
}

/// A view as JSON, without what differs from store to store.
pub(super) fn shown(view: &impl serde::Serialize, hidden: &[&str]) -> Value {
    let mut value = serde_json::to_value(view).unwrap();
    if let Value::Object(map) = &mut value {
        for key in hidden {
            map.shift_remove(*key);
        }
    }
    value
}
