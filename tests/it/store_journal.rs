//! The journal and what is projected from it: rebuild, counts, lists, references, cache, prune.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::call::{Ask, CallKind, CallSpec, Decision, Site};
use owf::core::event::{Event, EventRecord, LogLevel, Swallowed};
use owf::core::ids::{ApprovalId, CallId, Hash, RunId};
use owf::core::outcome::{CallError, CallRef, CallStatus, CostSource, ErrorClass, Outcome, Usage};
use owf::core::price::PriceNote;
use owf::core::run::{RunStatus, Settings, StatusReason};
use owf::core::time::Millis;
use owf::store::{
    Append, ApprovalState, CacheWrite, CallFilter, CallState, Created, InboxMessage, OpenMode, PrunePlan, RunFilter,
    Store, StoreError,
};
use proptest::prelude::*;

use crate::store_support::{T0, append, finish, me, noop_call, question, run_id, spec, start, started};

/// Every projection row as text, in order, for comparing two states of one store.
fn dump(store: &Store) -> Vec<String> {
    let db = rusqlite::Connection::open(store.home().join("workflow.sqlite")).unwrap();
    let mut lines = Vec::new();
    for table in ["run", "call", "approval", "run_source"] {
        let mut select = db.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
        let columns = select.column_count();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<rusqlite::types::Value> = (0..columns).map(|i| row.get(i).unwrap()).collect();
            lines.push(format!("{table}|{values:?}"));
        }
    }
    lines
}

fn finished_with_calls(store: &Store, run: &RunId, name: &str, calls: u32) {
    let lease = started(store, run, &spec(name));
    let mut all = Append::new(run, lease.epoch, Vec::new());
    for call in 1..=calls {
        let (records, cache) = noop_call(call, u64::from(call) * 3);
        all.records.extend(records);
        all.cache.push(cache);
    }
    store.append(all).wait().unwrap();
    append(store, &lease, vec![finish(RunStatus::Done)]).unwrap();
    store.release(lease).unwrap();
}

#[test]
fn what_is_appended_is_read_back_in_order() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    let (records, cache) = noop_call(1, 3);
    let mut all = Append::new(&run_id(1), lease.epoch, records.clone());
    all.cache.push(cache.clone());
    store.append(all).wait().unwrap();
    assert_eq!(store.events(&run_id(1), 2, 10).unwrap(), records);
    assert_eq!(store.events(&run_id(1), 3, 1).unwrap(), records[1..2]);
    assert_eq!(store.call_events(&run_id(1), CallId(1)).unwrap(), records);
    let row = store.call(&run_id(1), CallId(1)).unwrap().unwrap();
    assert_eq!((row.state, row.label.as_str(), row.attempts), (CallState::Ended(CallStatus::Done), "noop:1", 1));
    assert_eq!((row.requested_seq, row.cached_seq, row.finished_seq, row.changed_seq), (3, Some(4), Some(5), 5));
    let Event::CallRequested { spec, .. } = &records[0].event else { unreachable!() };
    assert_eq!(store.request(&run_id(1), CallId(1)).unwrap().unwrap().spec, **spec);
    let Event::CallFinished { outcome, .. } = &records[2].event else { unreachable!() };
    assert_eq!(store.outcome(&run_id(1), CallId(1)).unwrap().unwrap(), **outcome);
    let CacheWrite::Answer { key, .. } = cache else { unreachable!() };
    let hit = store.cache_get(&key, 1).unwrap().unwrap();
    assert_eq!((hit.from, hit.outcome), (CallRef { run_id: run_id(1), call_id: CallId(1) }, (**outcome).clone()));
    assert_eq!(store.cache_get(&key, 2).unwrap(), None);
}

#[test]
fn counts_follow_the_calls() {
    let store = Store::in_memory().unwrap();
    finished_with_calls(&store, &run_id(1), "w", 3);
    let counts = store.counts(&run_id(1)).unwrap();
    assert_eq!((counts.total, counts.of("done"), counts.failed, counts.replayed, counts.hit), (3, 3, 0, 0, 0));
    assert_eq!(counts.usage, Usage { input_tokens: 36, output_tokens: 9, ..Usage::default() });
    assert_eq!((counts.cost_nanos, counts.cost_source, counts.unpriced), (Some(0), CostSource::Simulated, 0));
    assert_eq!(counts.phases.iter().map(|p| (p.title.as_deref(), p.total)).collect::<Vec<_>>(), [(Some("Main"), 3)]);
    let filter = CallFilter { label: Some("NOOP:2".into()), ..CallFilter::default() };
    assert_eq!(store.calls(&run_id(1), &filter).unwrap().len(), 1);
    let filter = CallFilter { status: vec!["running".into(), "done".into()], limit: 2, ..CallFilter::default() };
    assert_eq!(store.calls(&run_id(1), &filter).unwrap().iter().map(|c| c.call_id.0).collect::<Vec<_>>(), [1, 2]);
    let filter =
        CallFilter { newest_first: true, after: Some(CallId(3)), changed_since_seq: Some(5), ..CallFilter::default() };
    assert_eq!(store.calls(&run_id(1), &filter).unwrap().iter().map(|c| c.call_id.0).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_request_key_joins_a_run_that_is_unfinished_or_ended_within_the_hour() {
    let store = Store::in_memory().unwrap();
    let keyed = |hash: &str| {
        let mut spec = spec("w");
        spec.request_key = Some(("review".into(), Hash::of(hash)));
        spec
    };
    let lease = started(&store, &run_id(1), &keyed("a"));
    let joined = Ok(Created::Joined { run_id: run_id(1) });
    assert_eq!(store.create_run(&run_id(2), &keyed("a"), b"w", T0.plus(9_000_000)), joined);
    let conflict = Ok(Created::KeyConflict { run_id: run_id(1) });
    assert_eq!(store.create_run(&run_id(2), &keyed("b"), b"w", T0), conflict);
    assert!(!store.run_dir(&run_id(2)).exists());
    append(&store, &lease, vec![finish(RunStatus::Done)]).unwrap();
    let end = store.run(&run_id(1)).unwrap().unwrap().completed_at.unwrap();
    assert_eq!(store.create_run(&run_id(2), &keyed("a"), b"w", end.plus(3_599_999)), joined);
    assert_eq!(store.create_run(&run_id(2), &keyed("a"), b"w", end.plus(3_600_000)), Ok(Created::New));
}

#[test]
fn references_are_resolved() {
    let store = Store::in_memory().unwrap();
    assert!(matches!(store.resolve("latest"), Err(StoreError::NotFound { .. })));
    let runs: Vec<RunId> = [(0, [1, 0, 0, 0, 1]), (60_000, [1, 0, 0, 0, 2]), (90_000_000, [9, 9, 9, 9, 9])]
        .into_iter()
        .map(|(ms, bits)| RunId::new(T0.plus(ms), bits))
        .collect();
    for run in &runs {
        store.create_run(run, &spec("w"), b"w", T0).unwrap();
    }
    let mut child_spec = spec("child");
    child_spec.root = Some(runs[2].clone());
    child_spec.parent = Some(owf::core::run::ParentRef { run_id: runs[2].clone(), call_id: CallId(1) });
    let child = RunId::child(&runs[2], CallId(1));
    store.create_run(&child, &child_spec, b"c", T0).unwrap();
    assert_eq!(store.resolve("latest"), Ok(runs[2].clone()));
    assert_eq!(store.resolve(runs[0].as_str()), Ok(runs[0].clone()));
    assert_eq!(store.resolve(&runs[2].short()[..2].to_uppercase()), Ok(runs[2].clone()));
    assert_eq!(store.resolve("20260529"), Ok(runs[2].clone()), "its child does not make it ambiguous");
    assert_eq!(store.resolve(child.short()), Ok(child));
    let both = vec![runs[1].to_string(), runs[0].to_string()];
    assert_eq!(store.resolve("20260528"), Err(StoreError::Ambiguous { name: "20260528".into(), candidates: both }));
    let Err(StoreError::NotFound { nearest, .. }) = store.resolve("0400001z") else { panic!() };
    assert_eq!(nearest[0], runs[1].to_string(), "most like it, latest first");
}

#[test]
fn lists_filter_by_what_the_status_amounts_to_and_page() {
    let store = Store::in_memory().unwrap();
    for n in 1..=3 {
        finished_with_calls(&store, &run_id(n), "a", 1);
    }
    drop(started(&store, &run_id(4), &spec("b")));
    let _live = started(&store, &run_id(5), &spec("b"));
    let ids = |filter: RunFilter| {
        let page = store.runs(&filter).unwrap();
        (page.rows.iter().map(|r| r.run_id.clone()).collect::<Vec<_>>(), page.total, page.matched, page.next)
    };
    let status = |status| RunFilter { status: vec![status], ..RunFilter::default() };
    assert_eq!(ids(status(RunStatus::Interrupted)), (vec![run_id(4)], 5, 1, None));
    assert_eq!(ids(status(RunStatus::Running)), (vec![run_id(5)], 5, 1, None));
    let (page, _, _, next) = ids(RunFilter { workflow: Some("a".into()), limit: 2, ..RunFilter::default() });
    assert_eq!(page, [run_id(3), run_id(2)]);
    let rest = ids(RunFilter { workflow: Some("a".into()), limit: 2, before: next, ..RunFilter::default() });
    assert_eq!(rest, (vec![run_id(1)], 5, 3, None));
}

#[test]
fn a_key_is_claimed_by_one_until_it_lets_go_or_dies() {
    let store = Store::in_memory().unwrap();
    let first = started(&store, &run_id(1), &spec("w"));
    let _second = started(&store, &run_id(2), &spec("w"));
    let key = Hash::of("k");
    let claim = store.claim_key(&key, 1, &run_id(1), T0).unwrap();
    assert!(claim.is_some());
    assert!(store.claim_key(&key, 1, &run_id(2), T0).unwrap().is_none());
    assert!(store.claim_key(&key, 2, &run_id(2), T0).unwrap().is_some(), "another occurrence is another question");
    drop(claim);
    let again = store.claim_key(&key, 1, &run_id(1), T0).unwrap();
    assert!(again.is_some());
    drop(first);
    assert!(store.claim_key(&key, 1, &run_id(2), T0).unwrap().is_some(), "its holder is dead");
    drop(again);
}

#[test]
fn prune_clears_ended_runs_and_keeps_what_others_need_and_the_cache() {
    let store = Store::in_memory().unwrap();
    // 1 stands alone; 3 resumed 2; 4 is interrupted; 5 is live; 6 is the latest.
    finished_with_calls(&store, &run_id(1), "a", 2);
    finished_with_calls(&store, &run_id(2), "b", 1);
    let mut resumed = spec("b");
    resumed.resumed_from = Some(run_id(2));
    drop(started(&store, &run_id(3), &resumed));
    drop(started(&store, &run_id(4), &spec("c")));
    let _live = started(&store, &run_id(5), &spec("c"));
    finished_with_calls(&store, &run_id(6), "a", 1);
    let answer = store.cache_get(&Hash::of("cache 2"), 1).unwrap().unwrap();
    assert_eq!(answer.from.run_id, run_id(1));
    std::fs::write(store.run_dir(&run_id(1)).join("summary.md"), "12345").unwrap();
    let plan = PrunePlan { keep: Some(1), older_than: None, spare: Vec::new(), dry_run: true };
    let named = store.prune(&plan).unwrap();
    assert_eq!((named.runs.as_slice(), named.needed.as_slice(), named.bytes), (&[run_id(1)][..], &[run_id(2)][..], 5));
    assert!(store.run(&run_id(1)).unwrap().is_some(), "a dry run");
    assert_eq!(store.prune(&PrunePlan { dry_run: false, ..plan.clone() }).unwrap(), named);
    assert_eq!(store.run(&run_id(1)).unwrap(), None);
    assert!(!store.run_dir(&run_id(1)).exists());
    assert_eq!(store.cache_get(&Hash::of("cache 2"), 1).unwrap(), Some(answer), "the answer outlives its run");
    assert!(store.source(&Hash::of("a")).unwrap().is_some(), "run 6 has the same source");
    assert!(matches!(store.claim(&run_id(1), &me(), T0), Err(StoreError::NotFound { .. })));
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    let late = PrunePlan { keep: None, older_than: Some(T0), spare: Vec::new(), dry_run: false };
    assert_eq!(store.prune(&late).unwrap().runs, Vec::<RunId>::new(), "nothing ended before it began");
    // Once what needs it has ended too, the whole chain goes.
    let lease = store.claim(&run_id(3), &me(), T0).unwrap();
    append(&store, &lease, vec![finish(RunStatus::Cancelled)]).unwrap();
    store.release(lease).unwrap();
    assert_eq!(store.prune(&PrunePlan { keep: Some(1), ..PrunePlan::default() }).unwrap().runs, [run_id(2), run_id(3)]);
    assert!(store.source(&Hash::of("b")).unwrap().is_none());
}

#[test]
fn sources_are_read_back() {
    let store = Store::in_memory().unwrap();
    let _lease = started(&store, &run_id(1), &spec("w"));
    let hash = store.put_source(b"persona").unwrap();
    assert_eq!(store.put_source(b"persona").unwrap(), hash);
    assert_eq!(store.source(&hash).unwrap().unwrap(), b"persona");
    assert_eq!(store.source(&Hash::of("w")).unwrap().unwrap(), b"w");
}

#[test]
fn another_process_sees_what_was_acknowledged() {
    let store = Store::in_memory().unwrap();
    let other = Store::open(store.home(), OpenMode::ReadOnly).unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    for n in 1..=20_u64 {
        let log = Event::Log { level: LogLevel::Info, message: n.to_string(), fields: None };
        append(&store, &lease, vec![log]).unwrap();
        assert_eq!(other.last_seq(&run_id(1)).unwrap(), 2 + n);
    }
}

#[test]
fn a_no_op_call_takes_at_most_1500_bytes_however_many_there_are() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    let (mut call, mut seq, mut sizes) = (0, 3, vec![]);
    for goal in [500_u32, 2000, 4000] {
        while call < goal {
            // The three events of a fan-out's calls do not lie together.
            let (mut requested, mut ended, mut cache) = (vec![], vec![], vec![]);
            for _ in 0..50 {
                call += 1;
                let (records, write) = noop_call(call, 0);
                let [first, rest @ ..] = records.as_slice() else { unreachable!() };
                requested.push(first.clone());
                ended.extend(rest.iter().cloned());
                cache.push(write);
            }
            requested.extend(ended);
            let mut finished = Vec::new();
            for record in &mut requested {
                record.seq = seq;
                if matches!(record.event, Event::CallFinished { .. }) {
                    finished.push(seq);
                }
                seq += 1;
            }
            for (write, seq) in cache.iter_mut().zip(finished) {
                let CacheWrite::Answer { seq: at, .. } = write else { unreachable!() };
                *at = seq;
            }
            let append = Append { cache, ..Append::new(&run_id(1), lease.epoch, requested) };
            store.append(append).wait().unwrap();
        }
        sizes.push((f64::from(call), pages(&store)));
    }
    let per_call = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
    let (early, late) = (per_call(sizes[0], sizes[1]), per_call(sizes[1], sizes[2]));
    assert!(early <= 1500.0 && late <= 1500.0 && late <= early * 1.05, "{early} then {late} bytes a call");
}

/// Bytes of the database without its log.
fn pages(store: &Store) -> f64 {
    let db = rusqlite::Connection::open(store.home().join("workflow.sqlite")).unwrap();
    let pages: u32 = db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    f64::from(pages) * 4096.0
}

/// One thing that happens in a random journal.
#[derive(Debug, Clone)]
enum Happening {
    Request { kind: u8, phase: bool, site: bool },
    Start { call: u32 },
    Fail { call: u32, tokens: u64 },
    End { call: u32, status: u8, reused: bool, hit: bool, tokens: u64, cost: Option<u64> },
    Ask { call: u32, expires: bool },
    Answer { approval: u32, by_inbox: bool, expire: bool },
    Log,
    Pin(u8),
    CancelCall { call: u32 },
    PauseAndResume { die: bool, settings: bool },
}

fn happening() -> impl Strategy<Value = Happening> {
    let call = || 1..12_u32;
    prop_oneof![
        4 => (0..8_u8, any::<bool>(), any::<bool>())
            .prop_map(|(kind, phase, site)| Happening::Request { kind, phase, site }),
        4 => call().prop_map(|call| Happening::Start { call }),
        2 => (call(), 0..50_u64).prop_map(|(call, tokens)| Happening::Fail { call, tokens }),
        4 => (call(), 0..10_u8, any::<bool>(), any::<bool>(), 0..50_u64, proptest::option::of(0..900_u64))
            .prop_map(|(call, status, reused, hit, tokens, cost)| Happening::End { call, status, reused, hit, tokens, cost }),
        2 => (call(), any::<bool>()).prop_map(|(call, expires)| Happening::Ask { call, expires }),
        2 => (1..5_u32, any::<bool>(), any::<bool>())
            .prop_map(|(approval, by_inbox, expire)| Happening::Answer { approval, by_inbox, expire }),
        1 => Just(Happening::Log),
        1 => (0..4_u8).prop_map(Happening::Pin),
        1 => call().prop_map(|call| Happening::CancelCall { call }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(die, settings)| Happening::PauseAndResume { die, settings }),
    ]
}

const KINDS: [CallKind; 8] = [
    CallKind::Agent,
    CallKind::Tool,
    CallKind::Command,
    CallKind::Expr,
    CallKind::Workflow,
    CallKind::Approval,
    CallKind::Timer,
    CallKind::Turn,
];
const STATUSES: [CallStatus; 10] = [
    CallStatus::Done,
    CallStatus::Failed,
    CallStatus::SchemaFailed,
    CallStatus::ProviderFailed,
    CallStatus::Timeout,
    CallStatus::WorktreeFailed,
    CallStatus::BudgetExhausted,
    CallStatus::Denied,
    CallStatus::Skipped,
    CallStatus::Cancelled,
];

/// Plays happenings through the public API of one store; what cannot happen is left out.
struct Play {
    store: Store,
    lease: Option<owf::store::Lease>,
    calls: u32,
    ended: Vec<u32>,
    approvals: u32,
    queued: Vec<Event>,
}

impl Play {
    fn flush(&mut self) {
        let events = std::mem::take(&mut self.queued);
        let lease = self.lease.as_ref().unwrap();
        append(&self.store, lease, events).unwrap();
    }

    /// The happening with call and approval numbers that exist, as far as any do.
    fn fitted(&self, what: &Happening) -> Happening {
        let open: Vec<u32> = (1..=self.calls).filter(|call| self.open(*call)).collect();
        let mut what = what.clone();
        match &mut what {
            Happening::Start { call }
            | Happening::Fail { call, .. }
            | Happening::End { call, .. }
            | Happening::Ask { call, .. }
            | Happening::CancelCall { call } => {
                *call = open.get(*call as usize % open.len().max(1)).copied().unwrap_or(u32::MAX);
            }
            Happening::Answer { approval, .. } => *approval = 1 + *approval % self.approvals.max(1),
            Happening::Request { .. } | Happening::Log | Happening::Pin(_) | Happening::PauseAndResume { .. } => {}
        }
        what
    }

    fn open(&self, call: u32) -> bool {
        call <= self.calls && !self.ended.contains(&call)
    }

    fn happen(&mut self, what: &Happening) {
        match *what {
            Happening::Request { kind, phase, site } => {
                self.calls += 1;
                let ask = Ask { prompt: Some(self.calls.to_string()), ..Ask::default() };
                let spec = CallSpec {
                    label: format!("call {}", self.calls),
                    phase: phase.then(|| "P".to_owned()),
                    site: site.then_some(Site { line: 1, column: 2 }),
                    ..CallSpec::new(KINDS[usize::from(kind)], ask)
                };
                let (call_id, key) = (CallId(self.calls), Hash::of([kind]));
                self.queued.push(Event::CallRequested { call_id, key, occurrence: 1, spec: Box::new(spec) });
            }
            Happening::Start { call } if self.open(call) => {
                let (records, _) = noop_call(call, 1);
                self.queued.push(records[1].event.clone());
            }
            Happening::Fail { call, tokens } if self.open(call) => self.queued.push(Event::AttemptFailed {
                worktree: None,
                call_id: CallId(call),
                attempt: 1,
                error: CallError::new(ErrorClass::Overloaded, "é".repeat(500)),
                usage: Usage { output_tokens: tokens, reasoning_tokens: tokens / 2, ..Usage::default() },
                cost_nanos: Some(tokens),
                charge_nanos: None,
                charge_tokens: None,
                usage_unknown: tokens % 3 == 0,
                price: (tokens % 2 == 0)
                    .then(|| Box::new(PriceNote { as_of: tokens.to_string(), ..PriceNote::default() })),
                retry_in_ms: None,
                duration_ms: 3,
                rule: None,
                kept: None,
            }),
            Happening::End { call, status, reused, hit, tokens, cost } if self.open(call) => {
                self.ended.push(call);
                let mut outcome = Outcome::new(CallId(call), STATUSES[usize::from(status)]);
                outcome.usage.output_tokens = tokens;
                outcome.usage.cache_write_1h_tokens = tokens / 3;
                outcome.usage_unknown = tokens % 5 == 0;
                outcome.cost_nanos = cost;
                outcome.cost_source = CostSource::Reported;
                outcome.attempts = 2;
                if hit {
                    outcome.cache.status = owf::core::outcome::CacheStatus::Hit;
                    outcome.cache.changed = vec!["prompt".into()];
                }
                let from = CallRef { run_id: run_id(200), call_id: CallId(call) };
                self.queued.push(Event::CallFinished {
                    call_id: CallId(call),
                    outcome: Box::new(outcome),
                    reused: reused.then_some(from),
                    rule: None,
                });
            }
            Happening::Ask { call, expires } if self.open(call) => {
                self.approvals += 1;
                let expires_at = expires.then(|| T0.plus(5));
                let mut events = question(call, self.approvals, expires_at);
                self.queued.push(events.remove(1));
            }
            Happening::Answer { approval, by_inbox, expire } if approval <= self.approvals => {
                let approval_id = ApprovalId(approval);
                if by_inbox {
                    self.flush();
                    let decide = InboxMessage::Decide {
                        approval_id,
                        decision: Decision::Approve,
                        content_hash: "0011aabb".into(),
                        by: "ann".into(),
                        via: "cli".into(),
                        reason: Some("why not".into()),
                        person: true,
                    };
                    let _ = if expire {
                        self.store.expire(&run_id(1), approval_id, T0.plus(9)).map(|_| ())
                    } else {
                        self.store.send(&run_id(1), &decide, T0.plus(1)).map(|_| ())
                    };
                } else {
                    self.queued.push(Event::ApprovalDecided {
                        approval_id,
                        decision: Decision::Deny,
                        expired: expire,
                        by: "bob".into(),
                        via: "dialog".into(),
                        reason: None,
                    });
                }
            }
            Happening::Log => {
                self.queued.push(Event::Log { level: LogLevel::Warn, message: "m".into(), fields: None });
                let what = Swallowed { place: "parallel[0]".into(), line: None, message: "m".into(), call_id: None };
                self.queued.push(Event::Swallowed { what });
            }
            Happening::Pin(n) => self.queued.push(Event::Pinned {
                kind: "persona".into(),
                name: n.to_string(),
                hash: Hash::of([n]),
                path: None,
            }),
            Happening::CancelCall { call } if self.open(call) => {
                self.queued.push(Event::CancelRequested {
                    call_id: Some(CallId(call)),
                    by: "ann".into(),
                    reason: None,
                });
            }
            Happening::PauseAndResume { die, settings } => {
                if !die {
                    self.queued.push(Event::RunPaused { reason: StatusReason::User, message: Some("m".into()) });
                }
                self.flush();
                self.lease = None;
                let lease = self.store.claim(&run_id(1), &me(), T0).unwrap();
                self.queued.push(start(lease.epoch));
                if settings {
                    let settings = Box::new(Settings { strict: true, ..Settings::default() });
                    self.queued.push(Event::SettingsChanged { settings });
                }
                self.lease = Some(lease);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_rebuild_gives_the_rows_that_appending_gave(
        happenings in proptest::collection::vec(happening(), 1..100),
        batch in 1..8_usize,
        end in any::<bool>(),
    ) {
        let store = Store::in_memory().unwrap();
        let lease = Some(started(&store, &run_id(1), &spec("w")));
        let mut play = Play { store: store.clone(), lease, calls: 0, ended: vec![], approvals: 0, queued: vec![] };
        for (n, what) in happenings.iter().enumerate() {
            play.happen(&play.fitted(what));
            if n % batch == 0 {
                play.flush();
            }
        }
        if end {
            play.queued.push(finish(RunStatus::Failed));
        }
        play.flush();
        finished_with_calls(&store, &run_id(2), "other", 2);
        let appended = dump(&store);
        let row = store.run(&run_id(1)).unwrap();
        store.rebuild().unwrap();
        prop_assert_eq!(dump(&store), appended);
        prop_assert_eq!(store.run(&run_id(1)).unwrap(), row);
        prop_assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
        let pending = store.approvals(None, Some(ApprovalState::Pending)).unwrap();
        prop_assert!(!end || pending.is_empty());
    }
}

#[test]
fn elapsed_time_counts_owners_and_not_the_time_between_them() {
    let store = Store::in_memory().unwrap();
    let lease = started(&store, &run_id(1), &spec("w"));
    let at = |seq: u64, ms: u64, event: Event| EventRecord { seq, at: T0.plus(ms), event };
    let log = || Event::Log { level: LogLevel::Info, message: String::new(), fields: None };
    let begun = store.run(&run_id(1)).unwrap().unwrap().started_at.unwrap();
    let begun = begun.since(T0);
    store.append(Append::new(&run_id(1), 1, vec![at(3, begun + 100, log())])).wait().unwrap();
    drop(lease);
    let row = store.run(&run_id(1)).unwrap().unwrap();
    assert_eq!((row.elapsed_ms(false, Millis(i64::MAX)), row.elapsed_ms(true, T0.plus(begun + 150))), (100, 150));
    let _lease = store.claim(&run_id(1), &me(), T0).unwrap();
    let more = vec![at(4, begun + 5_000, start(2)), at(5, begun + 5_030, finish(RunStatus::Done))];
    store.append(Append::new(&run_id(1), 2, more)).wait().unwrap();
    assert_eq!(store.run(&run_id(1)).unwrap().unwrap().elapsed_ms(false, Millis(i64::MAX)), 130);
}
