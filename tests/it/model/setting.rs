//! What surrounds a run and is no part of it, and how a process of it may end.

use owf::core::budget::{Charge, Limits};
use owf::core::call::Decision;
use owf::core::event::{ApprovalKind, ApprovalNote};
use owf::core::ids::CallId;
use owf::core::machine::{Answer, AttemptReport, DecisionInput};
use owf::core::outcome::{CallError, Usage};
use owf::core::run::{RunOutcome, StatusReason};

use super::rng::Rng;
use super::world::Asked;

/// A broken rule of the model: its name and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) message: String,
}

/// Why a process ended.
#[derive(Debug)]
pub(crate) enum Stop {
    Crash,
    Finished(Box<RunOutcome>),
    Paused(StatusReason),
    Diverged(String),
    Broken(Violation),
}

pub(crate) type Go = Result<(), Stop>;

pub(crate) fn broken<T>(rule: &'static str, message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Broken(Violation { rule, message: message.into() }))
}

/// What surrounds a run and is no part of it.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    pub(crate) provider: &'static str,
    /// Whether some attempts fail.
    pub(crate) bad: bool,
    pub(crate) salt: u64,
    pub(crate) permits: usize,
    pub(crate) limits: Limits,
    pub(crate) max_calls: u64,
    pub(crate) schema_attempts: u32,
    pub(crate) linger: bool,
    /// Whether the cache knows some answers.
    pub(crate) cache: bool,
    /// Whether other things happen while the script runs.
    pub(crate) overlap: bool,
}

impl Env {
    pub(crate) fn calm() -> Self {
        Self {
            provider: "A",
            bad: false,
            salt: 0,
            permits: 4,
            limits: Limits::default(),
            max_calls: 1000,
            schema_attempts: 1,
            linger: false,
            cache: false,
            overlap: false,
        }
    }
}

/// An attempt that reached its provider.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Invocation {
    pub(crate) asked: Asked,
    pub(crate) call_id: CallId,
    pub(crate) attempt: u32,
}

pub(crate) fn random_decision(note: &ApprovalNote, rng: &mut Rng) -> Decision {
    let percent = match note.kind {
        ApprovalKind::Repeat => 85,
        ApprovalKind::Approve | ApprovalKind::Tool => 75,
    };
    if rng.chance(percent) { Decision::Approve } else { Decision::Deny }
}

pub(crate) fn answer(note: &ApprovalNote, decision: Decision) -> DecisionInput {
    DecisionInput {
        approval_id: note.approval_id,
        decision,
        expired: false,
        by: "ana".to_owned(),
        via: "cli".to_owned(),
        reason: None,
    }
}

/// A report of an attempt that used ten output tokens.
pub(crate) fn report(result: Result<Answer, CallError>) -> AttemptReport {
    AttemptReport {
        usage: Usage { output_tokens: 10, ..Usage::default() },
        charge: Charge { tokens: 10, cost_nanos: 0, calls: 0 },
        duration_ms: 1,
        ..AttemptReport::new(result)
    }
}
