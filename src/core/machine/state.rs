//! The machine's state, and the entry point that every input goes through.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::core::budget::{Charge, Ledger};
use crate::core::call::{ApprovalAsk, CallKind, CallSpec};
use crate::core::event::{ApprovalKind, CacheRecord, Event};
use crate::core::history::History;
use crate::core::ids::{ApprovalId, CallId, Hash, RunId};
use crate::core::outcome::{CacheNote, CostSource, DecisionNote, Outcome, Usage};
use crate::core::run::{RunOutcome, StatusReason};
use crate::core::time::Millis;

use super::api::{Effect, GoingOn, Input, MachineConfig, Reuse, Step, Waits};

/// Where a requested call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallState {
    /// Its outcome stands in this run's journal and waits for its turn.
    Recorded,
    /// Its outcome stands in an earlier run's journal and waits for its turn.
    Reusable,
    /// It may not start yet.
    Held,
    /// The shell finds out how to execute it.
    Preparing,
    /// A person is asked.
    Asking(ApprovalId),
    /// It waits for a permit.
    WaitingForPermit,
    /// An attempt runs.
    Running,
    /// Its attempt was asked to end, and has yet to say what it used.
    Ending,
    /// A timer runs.
    Ticking,
    /// It has an outcome that is not delivered yet.
    Settled,
    /// Its outcome was delivered, or the run ended.
    Over,
}

/// One requested call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) spec: Arc<CallSpec>,
    pub(super) key: Hash,
    pub(super) occurrence: u32,
    pub(super) state: CallState,
    pub(super) outcome: Option<Arc<Outcome>>,
    /// Number of the current attempt over the lineage; 0 before the first.
    pub(super) attempt: u32,
    /// Attempts of this incarnation.
    pub(super) tries: u32,
    pub(super) started_at: Option<Millis>,
    pub(super) usage: Usage,
    pub(super) usage_unknown: bool,
    pub(super) cost_nanos: Option<u64>,
    pub(super) cost_source: CostSource,
    /// Charged by attempts of this incarnation.
    pub(super) charge: Charge,
    /// Charged by failed attempts of earlier incarnations: already in the ledger.
    pub(super) charged_before: Charge,
    pub(super) reserved: Option<Charge>,
    /// What was set aside for it at its start; further requests of an attempt set aside more.
    pub(super) reserved_first: Charge,
    /// What it was told it may come to beyond that; none = it was told nothing.
    pub(super) promised: Option<u64>,
    pub(super) permit: bool,
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    pub(super) real: bool,
    /// Attempts at a structured answer, when the provider has its own number.
    pub(super) schema_attempts: Option<u32>,
    pub(super) note: CacheNote,
    pub(super) record: Option<CacheRecord>,
    pub(super) child_run: Option<RunId>,
    /// Set while a child run only waits.
    pub(super) child_waits: Option<Waits>,
    /// Set while it only waits for another call of the tree, which is at work for its idempotency key.
    pub(super) key_waits: bool,
    /// Set while its last attempt winds down: what to tell a reader, and whether nobody awaited it.
    pub(super) ending: Option<(String, bool)>,
    /// Whether some attempt may have been billed for more than is known.
    pub(super) unclear: bool,
    pub(super) over_cap: bool,
    /// Set when a person agreed to repeat a lost mutating attempt.
    pub(super) repeat_agreed: bool,
    /// What a person is asked before it starts, and as what.
    pub(super) question: Option<(ApprovalKind, Box<ApprovalAsk>)>,
    /// What its last attempt left for the next one to go on with.
    pub(super) kept: Option<Arc<Value>>,
    /// What a person said to the question that it left with.
    pub(super) decision: Option<DecisionNote>,
}

/// What the run is heading for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Course {
    /// On.
    Going,
    /// Starts nothing, delivers nothing, pauses when no attempt runs.
    Pausing { reason: StatusReason, message: Option<String> },
    /// The run has its outcome; attempts that were asked to end have yet to say what they used. Nothing starts, nothing is delivered.
    Ending(Box<RunOutcome>),
    /// Over.
    Ended,
}

/// The run machine: all rules about replay, reuse, budget, approval, retry, cancellation and failure of one run.
///
/// Feed [`Input::Ran`] with the result of the driver's start first (or [`Input::Cancel`] to end a run that is not to be
/// replayed); then carry out each step's effects in order, feeding their answers as they come. Events of a step are
/// appended to the journal before its effects are carried out.
#[derive(Debug)]
pub struct RunMachine {
    pub(super) config: MachineConfig,
    pub(super) history: History,
    pub(super) reuse: Reuse,
    pub(super) calls: Vec<Call>,
    pub(super) occurrences: HashMap<Hash, u32>,
    /// Recorded outcomes delivered so far.
    pub(super) replayed: usize,
    pub(super) reusable: BinaryHeap<Reverse<(u32, u64, u32)>>,
    pub(super) held: BTreeSet<u32>,
    /// Requested calls without an outcome in this journal.
    pub(super) unsettled: BTreeSet<u32>,
    pub(super) settled: VecDeque<CallId>,
    /// Whether the driver runs now: it starts, or a delivery was asked for.
    pub(super) driver_runs: bool,
    pub(super) first: bool,
    pub(super) course: Course,
    pub(super) spent: Charge,
    pub(super) approvals: HashMap<ApprovalId, CallId>,
    pub(super) next_approval: u32,
    pub(super) logs: usize,
    pub(super) phases: usize,
    pub(super) swallowed: usize,
    pub(super) warned: HashSet<(String, String)>,
    pub(super) waiting: Option<Waits>,
    pub(super) gaps: u64,
    pub(super) now: Millis,
    pub(super) step: Step,
}

impl RunMachine {
    /// A machine for a run with this journal (empty but for its creation and start when it is new) and these reusable outcomes.
    pub fn new(config: MachineConfig, history: History, reuse: Reuse) -> Self {
        let warned = history.warnings.iter().cloned().collect();
        let next_approval = history.approvals + 1;
        let spent = config.budget_base;
        Self {
            config,
            history,
            reuse,
            calls: Vec::new(),
            occurrences: HashMap::new(),
            replayed: 0,
            reusable: BinaryHeap::new(),
            held: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            settled: VecDeque::new(),
            driver_runs: true,
            first: true,
            course: Course::Going,
            spent,
            approvals: HashMap::new(),
            next_approval,
            logs: 0,
            phases: 0,
            swallowed: 0,
            warned,
            waiting: None,
            gaps: 0,
            now: Millis(0),
            step: Step::default(),
        }
    }

    /// Takes one input at `now`; `ledger` is the run tree's.
    pub fn on(&mut self, input: Input, now: Millis, ledger: &mut Ledger) -> Step {
        self.now = now;
        if self.course == Course::Ended {
            return Step::default();
        }
        if let Course::Ending(_) = &self.course {
            // What the attempts that wind down used still counts; nothing else does.
            match input {
                Input::AttemptEnded { call_id, attempt, report } => {
                    self.attempt_ended(call_id, attempt, *report, ledger);
                }
                Input::Permitted { call_id, .. } => self.effect(Effect::Release { call_id }),
                Input::ToolFinished { call_id, attempt, number, ok, message } => {
                    self.tool_finished(call_id, attempt, number, ok, message);
                }
                _ => {}
            }
            self.close();
            return std::mem::take(&mut self.step);
        }
        if self.first {
            self.first = false;
            ledger.record(self.history.charged());
            if let Some((by, reason)) = self.history.cancel.clone() {
                self.cancel_run(&by, reason, true, ledger);
                return std::mem::take(&mut self.step);
            }
        }
        match input {
            Input::Ran { ops, state } => self.ran(ops, state, ledger),
            Input::Prepared { call_id, plan } => self.prepared(call_id, plan, ledger),
            Input::Permitted { call_id, reserve } => self.permitted(call_id, reserve, ledger),
            Input::AttemptEnded { call_id, attempt, report } => self.attempt_ended(call_id, attempt, *report, ledger),
            Input::Progressed { call_id, attempt, message } => {
                if self.is_running(call_id, attempt) {
                    self.emit(Event::AttemptProgress { call_id, attempt, message });
                }
            }
            Input::Policy { call_id, policy, verdict, reason } => {
                if self.unsettled.contains(&call_id.0) {
                    self.emit(Event::PolicyDecided { call_id, policy, verdict, reason });
                }
            }
            Input::Raised { call_id, attempt, reserve_nanos } => {
                if self.is_running(call_id, attempt) {
                    self.emit(Event::AttemptRaised { call_id, attempt, reserve_nanos });
                }
            }
            Input::ToolStarted { call_id, attempt, number, tool, target, args } => {
                if self.is_running(call_id, attempt) {
                    self.emit(Event::ToolStarted { call_id, attempt, number, tool, target, args });
                }
            }
            Input::ToolFinished { call_id, attempt, number, ok, message } => {
                self.tool_finished(call_id, attempt, number, ok, message);
            }
            Input::TimerFired { call_id } => self.timer_fired(call_id, ledger),
            Input::Decided(decision) => self.decided(decision, ledger),
            Input::Cancel { call_id: None, by, reason } => self.cancel_run(&by, reason, false, ledger),
            Input::Cancel { call_id: Some(call_id), by, reason } => {
                self.cancel_asked(call_id, by, reason, ledger);
            }
            Input::Pause { reason } => self.pause(reason, None),
            Input::ChildWaiting { call_id, waits } => {
                if let Some(call) = self.call_mut(call_id) {
                    call.child_waits = waits;
                }
            }
            Input::KeyBusy { call_id, by, ours } => self.key_busy(call_id, &by, ours),
            Input::KeyFound { call_id } => {
                if let Some(call) = self.call_mut(call_id) {
                    call.key_waits = false;
                }
            }
            Input::Look => {}
            Input::ChildPaused { call_id, reason, message } => self.child_paused(call_id, reason, message, ledger),
        }
        self.advance(ledger);
        std::mem::take(&mut self.step)
    }

    fn tool_finished(&mut self, call_id: CallId, attempt: u32, number: u32, ok: bool, message: String) {
        if self.is_running(call_id, attempt) || self.is_ending(call_id, attempt) {
            self.emit(Event::ToolFinished { call_id, attempt, number, ok, message });
        }
    }

    /// The request key and occurrence of a call that was requested.
    pub fn identity(&self, call_id: CallId) -> Option<(Hash, u32)> {
        self.call(call_id).map(|c| (c.key, c.occurrence))
    }

    /// What is set aside for a call.
    pub fn reserved(&self, call_id: CallId) -> Charge {
        self.call(call_id).and_then(|c| c.reserved).unwrap_or_default()
    }

    /// Agent calls that were requested and have yet to start; `most`, where there are more.
    pub fn yet_to_start(&self, most: u64) -> u64 {
        let waits = |call: &&Call| {
            let on_its_way = matches!(call.state, CallState::Held | CallState::Preparing | CallState::WaitingForPermit);
            on_its_way && call.spec.kind == CallKind::Agent
        };
        self.unsettled.iter().filter_map(|id| self.call(CallId(*id))).filter(waits).take(most as usize).count() as u64
    }

    /// What a cost budget lets a call come to that is not heard of before it ends, while so many are `waiting` for their start. What it
    /// is told is no longer free for others until it ends.
    pub fn promise(&mut self, call_id: CallId, waiting: u64, ledger: &mut Ledger) -> Option<u64> {
        let call = self.call_mut(call_id)?;
        ledger.take_back(call.promised.take());
        let own = call.reserved.unwrap_or_default();
        let share = ledger.promise(own, waiting)?;
        call.promised = Some(share.saturating_sub(own.cost_nanos));
        Some(share)
    }

    /// The request of a call.
    pub fn spec(&self, call_id: CallId) -> Option<&Arc<CallSpec>> {
        self.call(call_id).map(|c| &c.spec)
    }

    /// What the next attempt of a call goes on with; none when it starts from its beginning.
    pub fn going_on(&self, call_id: CallId) -> Option<GoingOn> {
        let call = self.call(call_id)?;
        Some(GoingOn { kept: Arc::clone(call.kept.as_ref()?), decision: call.decision.clone() })
    }

    /// Whether a person agreed that a call starts.
    pub fn is_agreed(&self, call_id: CallId) -> bool {
        self.call(call_id).is_some_and(|c| c.repeat_agreed)
    }

    /// Whether a person agreed that what may have happened already happens again.
    pub fn is_repeat_agreed(&self, call_id: CallId) -> bool {
        let asked = |question: &Option<(ApprovalKind, _)>| match question {
            Some((kind, _)) => *kind == ApprovalKind::Repeat,
            None => true,
        };
        self.call(call_id).is_some_and(|c| c.repeat_agreed && asked(&c.question))
    }

    /// The number of a call's current attempt; 0 before the first.
    pub fn attempt(&self, call_id: CallId) -> u32 {
        self.call(call_id).map_or(0, |c| c.attempt)
    }

    /// Whether an attempt is still wanted: it was started, and its call has not ended since.
    pub fn is_running(&self, call_id: CallId, attempt: u32) -> bool {
        self.call(call_id).is_some_and(|c| c.state == CallState::Running && c.attempt == attempt)
    }

    /// The journal this machine replays.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What the script reads as spent now.
    pub fn spent(&self) -> Charge {
        self.spent
    }

    /// Calls requested so far.
    pub fn requested(&self) -> usize {
        self.calls.len()
    }

    /// Whether the run is to pause, whatever it could still do.
    pub fn is_pausing(&self) -> bool {
        matches!(self.course, Course::Pausing { .. })
    }

    /// Whether the run has ended, is about to, or has gone over to another run: nothing is delivered any more.
    pub fn is_over(&self) -> bool {
        matches!(self.course, Course::Ended | Course::Ending(_))
    }

    /// Whether an attempt was asked to end and has yet to say what it used.
    pub fn is_ending(&self, call_id: CallId, attempt: u32) -> bool {
        self.call(call_id).is_some_and(|c| c.state == CallState::Ending && c.attempt == attempt)
    }

    pub(super) fn call(&self, call_id: CallId) -> Option<&Call> {
        self.calls.get((call_id.0 as usize).checked_sub(1)?)
    }

    pub(super) fn call_mut(&mut self, call_id: CallId) -> Option<&mut Call> {
        self.calls.get_mut((call_id.0 as usize).checked_sub(1)?)
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.step.events.push(event);
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.step.effects.push(effect);
    }
}
