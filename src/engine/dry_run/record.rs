//! What a rehearsal did, folded from the events of its machines: calls in request order, and what a reader should know.

use std::collections::HashMap;

use crate::core::call::{CallKind, CallSpec};
use crate::core::event::Event;
use crate::core::ids::{CallId, Hash};
use crate::core::outcome::{CallStatus, ErrorClass, Outcome};
use crate::engine::view::{Notice, SwallowedRow};

/// One call of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rehearsed {
    /// Which run of the tree it belongs to: 0 is the root.
    pub(super) run: usize,
    pub(super) key: Hash,
    pub(super) occurrence: u32,
    pub(super) spec: Box<CallSpec>,
    /// The provider a real run would ask, once an attempt was made.
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    /// Size of the persona's system prompt.
    pub(super) persona_bytes: u64,
    /// Whether it may use tools of the workspace, as the provider that a real run would ask understands it.
    pub(super) reads: bool,
    pub(super) started: bool,
    /// Its outcome's status and the class of its error.
    pub(super) ended: Option<(CallStatus, Option<ErrorClass>)>,
    /// What a task said that ended without a call: an expression or a rule of a document that failed.
    pub(super) said: Option<String>,
    /// Set when an earlier run's outcome was taken over: its cost, and how many calls it stands for.
    pub(super) reused: Option<Reused>,
}

/// What reuse of one outcome saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reused {
    pub(super) cost_nanos: Option<u64>,
    pub(super) calls: u64,
}

impl Rehearsed {
    /// Whether it is an agent call that a real run would send.
    pub(super) fn is_sent(&self) -> bool {
        self.spec.kind == CallKind::Agent && self.started && self.reused.is_none()
    }
}

/// The record of a rehearsal.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// All calls of the tree; those of one run in request order.
    pub(super) calls: Vec<Rehearsed>,
    /// Where a call of a run stands in `calls`.
    places: HashMap<(usize, CallId), usize>,
    pub(super) swallowed: Vec<SwallowedRow>,
    pub(super) warnings: Vec<Notice>,
    /// Questions a person would be asked.
    pub(super) questions: Vec<String>,
    /// Fixture rules that answered.
    pub(super) rules: std::collections::BTreeSet<u32>,
    runs: usize,
}

impl Record {
    /// The number of a new run of the tree, from 0.
    pub(super) fn begin(&mut self) -> usize {
        self.runs += 1;
        self.runs - 1
    }

    /// The agent calls.
    pub(super) fn agents(&self) -> impl Iterator<Item = &Rehearsed> {
        self.calls.iter().filter(|c| c.spec.kind == CallKind::Agent && c.spec.known.is_none())
    }

    pub(super) fn call_mut(&mut self, run: usize, call_id: CallId) -> Option<&mut Rehearsed> {
        self.calls.get_mut(*self.places.get(&(run, call_id))?)
    }

    /// Folds one event of a run.
    pub(super) fn apply(&mut self, run: usize, event: &Event) {
        match event {
            Event::CallRequested { call_id, key, occurrence, spec } => {
                self.places.insert((run, *call_id), self.calls.len());
                self.calls.push(Rehearsed {
                    run,
                    key: *key,
                    occurrence: *occurrence,
                    spec: spec.clone(),
                    provider: None,
                    model: None,
                    persona_bytes: 0,
                    reads: false,
                    started: false,
                    ended: None,
                    said: None,
                    reused: None,
                });
            }
            Event::AttemptStarted { call_id, provider, model, .. } => {
                if let Some(call) = self.call_mut(run, *call_id) {
                    call.provider.clone_from(provider);
                    call.model.clone_from(model);
                    call.started = true;
                }
            }
            Event::AttemptFailed { rule, .. } => self.rules.extend(*rule),
            Event::CallFinished { call_id, outcome, reused, rule } => {
                self.rules.extend(*rule);
                if let Some(call) = self.call_mut(run, *call_id) {
                    call.ended = Some((outcome.status, outcome.error.as_ref().map(|e| e.class)));
                    let failed = call.spec.known.is_some() && outcome.status.is_failing();
                    call.said = outcome.error.as_ref().filter(|_| failed).map(|error| error.message.clone());
                    call.reused = reused.as_ref().map(|_| saved(call.spec.kind, outcome));
                }
            }
            Event::Swallowed { what } => self.swallowed.push(what.into()),
            Event::Warning { code, message } => self.warn(code, message),
            Event::ApprovalAsked { approval } => self.questions.push(approval.message.clone()),
            // A rehearsal has no life of its own, and its log is the script's affair.
            Event::RunCreated { .. }
            | Event::RunStarted { .. }
            | Event::SettingsChanged { .. }
            | Event::RunPaused { .. }
            | Event::CancelRequested { .. }
            | Event::RunFinished { .. }
            | Event::ApprovalDecided { .. }
            | Event::AttemptProgress { .. }
            | Event::AttemptRaised { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::Log { .. }
            | Event::Phase { .. }
            | Event::PolicyDecided { .. }
            | Event::Pinned { .. } => {}
        }
    }

    /// Adds a warning, once.
    pub(super) fn warn(&mut self, code: &str, message: &str) {
        let notice = Notice::new(code, message);
        if !self.warnings.contains(&notice) {
            self.warnings.push(notice);
        }
    }
}

/// What a reused outcome stands for: a child workflow for all its calls.
fn saved(kind: CallKind, outcome: &Outcome) -> Reused {
    let calls = match kind {
        CallKind::Agent | CallKind::Tool | CallKind::Command | CallKind::Expr | CallKind::Turn => 1,
        CallKind::Workflow => outcome.charge.calls,
        CallKind::Approval | CallKind::Timer => 0,
    };
    Reused { cost_nanos: outcome.cost_nanos, calls }
}
