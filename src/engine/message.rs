//! What reaches a run loop from outside: attempts, permits, timers, the inbox, child runs.

use std::sync::Arc;

use crate::core::ids::CallId;
use crate::core::machine::{AttemptReport, DecisionInput, Plan, Waits};
use crate::core::run::{RunError, StatusReason};

use super::hooks::{Judged, Judging, PolicyNote};
use super::run_end::RunEnd;

/// A message to a run loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// An attempt ended.
    Attempt {
        /// The call.
        call_id: CallId,
        /// Its attempt.
        attempt: u32,
        /// How it ended.
        report: Box<AttemptReport>,
    },
    /// An attempt said how far it is.
    Progress {
        /// The call.
        call_id: CallId,
        /// Its attempt.
        attempt: u32,
        /// One short sentence.
        message: String,
    },
    /// A tool of an attempt is about to change something, and waits until that is on record.
    ToolStarted {
        /// The call.
        call_id: CallId,
        /// Its attempt.
        attempt: u32,
        /// Which of the attempt's effects.
        number: u32,
        /// The tool.
        tool: String,
        /// What it changes.
        target: Option<String>,
        /// Its arguments, for a tool of the configuration.
        args: Option<serde_json::Value>,
        /// What to wait for; dropped when the attempt is not wanted any more.
        recorded: tokio::sync::oneshot::Sender<crate::store::Ticket>,
    },
    /// An attempt may spend more than was set aside for it, and waits for the word that it may.
    Raise {
        /// The call.
        call_id: CallId,
        /// Its attempt.
        attempt: u32,
        /// What it has used.
        used: crate::core::budget::Charge,
        /// What its next request may need.
        next: crate::core::budget::Charge,
        /// Where the word goes, with what to wait for before anything is spent; dropped when the attempt is not wanted any more.
        granted: tokio::sync::oneshot::Sender<Result<Option<crate::store::Ticket>, crate::core::outcome::CallError>>,
    },
    /// It has changed it, or has not.
    ToolFinished {
        /// The call.
        call_id: CallId,
        /// Its attempt.
        attempt: u32,
        /// Which of the attempt's effects.
        number: u32,
        /// Whether it did what it was to do.
        ok: bool,
        /// What the model was told.
        message: String,
    },
    /// The journal has reached the disk as far as some attempt waits for.
    Written,
    /// A plan that could not be made at once.
    Planned {
        /// The call.
        call_id: CallId,
        /// The plan.
        plan: Box<Plan>,
        /// The claim that the answer is worked on here.
        claim: Option<crate::store::KeyClaim>,
    },
    /// What became of an idempotency key that others were at work for, or that had to be claimed off the loop.
    Once {
        /// What was to be claimed, and for which call.
        claim: Box<crate::store::OnceClaim>,
        /// What is to be done if it is to be carried out here.
        plan: Box<Plan>,
        /// What there is for the key.
        found: Result<crate::store::Once, crate::store::StoreError>,
    },
    /// The server of a call's tool has described it, or cannot be asked.
    Described {
        /// The call.
        call_id: CallId,
        /// Why its tool is not known.
        failed: Option<crate::core::outcome::CallError>,
    },
    /// Hooks have judged a call of a tool in the loop of an agent.
    Policies {
        /// The agent's call.
        call_id: CallId,
        /// What is worth an event.
        notes: Vec<PolicyNote>,
    },
    /// The hooks before a call have judged it.
    Allowed {
        /// The call.
        call_id: CallId,
        /// What they decided.
        judged: Judged,
    },
    /// The hooks after a call have judged its answer.
    Accepted {
        /// The call.
        call_id: CallId,
        /// What they decided.
        judged: Judged,
        /// The answer.
        what: Box<Judging>,
    },
    /// A permit was granted.
    Permit(CallId),
    /// A timer fired.
    Timer(CallId),
    /// The run, or one call, is to end.
    Cancel {
        /// The inbox row.
        row: Option<i64>,
        /// The call; none = the run.
        call_id: Option<CallId>,
        /// Who asked.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The run has waited long enough for its children to end.
    CancelNow,
    /// The run is to pause.
    Pause {
        /// The inbox row.
        row: Option<i64>,
        /// Why.
        reason: StatusReason,
    },
    /// A question has an answer.
    Decided {
        /// The inbox row.
        row: Option<i64>,
        /// The answer.
        decision: DecisionInput,
    },
    /// Another call is at work for the idempotency key of a call.
    KeyBusy {
        /// What is to be claimed, and for which call.
        claim: Box<crate::store::OnceClaim>,
        /// Who is at work.
        by: crate::core::outcome::CallRef,
        /// Whether that is a call of this tree.
        ours: bool,
    },
    /// What came of a look at keys may be another by now.
    Look,
    /// A child run has nothing left to do but wait, or goes on.
    ChildWaiting {
        /// The call that started it.
        call_id: CallId,
        /// What it waits for.
        waits: Option<Waits>,
        /// Kept until everybody above has heard of it.
        word: Arc<()>,
    },
    /// A child run's loop ended.
    ChildEnded {
        /// The call that started it.
        call_id: CallId,
        /// How.
        end: Box<RunEnd>,
    },
    /// The process is to leave the run as it stands: stop everything, append nothing.
    Interrupt,
    /// The store failed: the same, and the run is no longer ours.
    StoreFailed,
    /// The run fails with this error, for a reason outside its own script.
    Fail(RunError),
}
