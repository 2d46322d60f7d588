//! What the tests of the store share: run specs, events of a plausible call, a run with an owner.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use owf::core::budget::Charge;
use owf::core::call::{Ask, CallKind, CallSpec, Decider, Decision, Site};
use owf::core::event::{ApprovalKind, ApprovalNote, CacheRecord, Event, EventRecord, Owner};
use owf::core::ids::{ApprovalId, CallId, Hash, RunId};
use owf::core::outcome::{CacheNote, CacheStatus, CostSource, Outcome, ReasonCode, Usage};
use owf::core::run::{JOURNAL_FORMAT, RunOutcome, RunSpec, RunStatus, Settings, WorkflowKind};
use owf::core::time::Millis;
use owf::store::{Append, CacheWrite, Created, Lease, ProcessInfo, Store};

pub(crate) const T0: Millis = Millis(1_779_978_721_204);

pub(crate) fn run_id(n: u8) -> RunId {
    RunId::new(T0.plus(u64::from(n) * 1000), [n, 77, n, 3, n])
}

pub(crate) fn spec(name: &str) -> RunSpec {
    RunSpec {
        format: JOURNAL_FORMAT,
        workflow_name: name.to_owned(),
        description: String::new(),
        phases: Vec::new(),
        kind: WorkflowKind::Script,
        source_hash: Hash::of(name),
        source_path: None,
        args: None,
        workspace: "/w".to_owned(),
        cwd: "/w".to_owned(),
        settings: Settings::default(),
        parent: None,
        root: None,
        depth: 0,
        resumed_from: None,
        diverged: None,
        started_by: "test".to_owned(),
        request_key: None,
        metadata: None,
        principal: None,
        hooks: Vec::new(),
        events: Vec::new(),
        notices: Vec::new(),
        asks: None,
        cleanups: Vec::new(),
        budget_base: Charge::default(),
    }
}

pub(crate) fn me() -> ProcessInfo {
    ProcessInfo { pid: 7, host: "here".into(), boot_id: "b".into(), process_start: 1 }
}

/// A run made, claimed and started.
pub(crate) fn started(store: &Store, run: &RunId, spec: &RunSpec) -> Lease {
    let source = spec.workflow_name.clone();
    assert_eq!(store.create_run(run, spec, source.as_bytes(), T0).unwrap(), Created::New);
    let lease = store.claim(run, &me(), T0).unwrap();
    append(store, &lease, vec![start(lease.epoch)]).unwrap();
    lease
}

pub(crate) fn start(epoch: u64) -> Event {
    let owner = Owner { epoch, pid: 7, host: "here".into(), boot_id: "b".into(), process_start: 1 };
    Event::RunStarted { owner }
}

pub(crate) fn finish(status: RunStatus) -> Event {
    let outcome = RunOutcome { status, reason: None, output: None, error: None, superseded_by: None };
    Event::RunFinished { outcome: Box::new(outcome) }
}

/// The events as records that continue the journal of the lease's run.
pub(crate) fn continued(store: &Store, lease: &Lease, events: Vec<Event>) -> Append {
    store.flush().unwrap();
    let last = store.last_seq(&lease.run).unwrap();
    let records = events
        .into_iter()
        .zip(last + 1..)
        .map(|(event, seq)| EventRecord { seq, at: T0.plus(seq * 10), event })
        .collect();
    Append::new(&lease.run, lease.epoch, records)
}

pub(crate) fn append(store: &Store, lease: &Lease, events: Vec<Event>) -> Result<(), owf::store::StoreError> {
    store.append(continued(store, lease, events)).wait()
}

/// The three events of a call that a script makes and the fake provider answers, and its cache row.
pub(crate) fn noop_call(call: u32, seq: u64) -> (Vec<EventRecord>, CacheWrite) {
    let call_id = CallId(call);
    let ask = Ask { prompt: Some(format!("no-op number {call}")), ..Ask::default() };
    let key = owf::core::identity::request_key(CallKind::Agent, &ask);
    let label = format!("noop:{call}");
    let spec = CallSpec {
        label,
        phase: Some("Main".into()),
        site: Some(Site { line: 3, column: 9 }),
        ..CallSpec::new(CallKind::Agent, ask)
    };
    let cache_key = Hash::of(format!("cache {call}"));
    let names = ["defaults", "fixtures", "model", "mood", "prompt", "provider"];
    let parts: BTreeMap<_, _> =
        names.iter().map(|n| ((*n).to_owned(), Hash::of(n).to_string()[..8].to_owned())).collect();
    let mut outcome = Outcome::done(call_id, Some("ok".into()));
    outcome.provider = Some("fake".into());
    outcome.model = Some("fake-1".into());
    outcome.usage = Usage { input_tokens: 12, output_tokens: 3, ..Usage::default() };
    outcome.cost_nanos = Some(0);
    outcome.cost_source = CostSource::Simulated;
    outcome.charge = Charge { tokens: 3, cost_nanos: 0, calls: 1 };
    outcome.attempts = 1;
    outcome.simulated = true;
    outcome.cache =
        CacheNote { status: CacheStatus::Miss, reason: Some(ReasonCode::FirstTime), ..CacheNote::default() };
    let events = [
        Event::CallRequested { call_id, key, occurrence: 1, spec: Box::new(spec) },
        Event::AttemptStarted {
            call_id,
            attempt: 1,
            provider: Some("fake".into()),
            model: Some("fake-1".into()),
            cache: Some(CacheRecord { key: cache_key, occurrence: 1, parts, workspace: None }),
            due_at: None,
            child_run: None,
            reserve_nanos: 0,
            reserve_tokens: 0,
        },
        Event::CallFinished { call_id, outcome: Box::new(outcome), reused: None, rule: None },
    ];
    let records =
        events.into_iter().zip(seq..).map(|(event, seq)| EventRecord { seq, at: T0.plus(seq), event }).collect();
    (records, CacheWrite::Answer { key: cache_key, occurrence: 1, seq: seq + 2 })
}

/// A call of kind approval and its question.
pub(crate) fn question(call: u32, approval: u32, expires_at: Option<Millis>) -> Vec<Event> {
    let spec = CallSpec::new(CallKind::Approval, Ask::default());
    let note = ApprovalNote {
        approval_id: ApprovalId(approval),
        call_id: CallId(call),
        kind: ApprovalKind::Approve,
        message: "go on?".into(),
        metadata: None,
        content_hash: "0011aabb".into(),
        decider: Decider::Any,
        expires_at,
        on_timeout: Decision::Deny,
    };
    vec![
        Event::CallRequested {
            call_id: CallId(call),
            key: Hash::of([call as u8]),
            occurrence: 1,
            spec: Box::new(spec),
        },
        Event::ApprovalAsked { approval: note },
    ]
}

/// The first attempt of a call, as it begins, of which nothing else is known.
pub(crate) fn begins(call: u32) -> Event {
    begins_again(call, 1)
}

/// An attempt of a call.
pub(crate) fn begins_again(call: u32, attempt: u32) -> Event {
    Event::AttemptStarted {
        call_id: CallId(call),
        attempt,
        provider: None,
        model: None,
        cache: None,
        due_at: None,
        child_run: None,
        reserve_nanos: 0,
        reserve_tokens: 0,
    }
}
