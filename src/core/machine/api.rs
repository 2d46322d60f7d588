//! The complete boundary of the run machine: what it is told and what it asks for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::core::budget::{Charge, Limits};
use crate::core::call::{ApprovalAsk, Decision};
use crate::core::event::{ApprovalNote, CacheRecord, Event, PolicyVerdict};
use crate::core::ids::{ApprovalId, CallId, Hash, RunId};
use crate::core::op::{DriverState, Op};
use crate::core::outcome::{
    CacheNote, CallError, CallRef, CostSource, DecisionNote, Outcome, Provenance, Usage, WorktreeNote,
};
use crate::core::run::{EngineLimits, OnProviderDown, RunOutcome, StatusReason};

/// What the machine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The driver ran until it could go no further: after its start, or after [`Effect::Deliver`].
    Ran {
        /// What it did, in order.
        ops: Vec<Op>,
        /// Where it stands.
        state: DriverState,
    },
    /// The answer to [`Effect::Prepare`].
    Prepared {
        /// The call.
        call_id: CallId,
        /// What to do with it.
        plan: Plan,
    },
    /// The answer to [`Effect::Acquire`]: the call holds a permit now.
    Permitted {
        /// The call.
        call_id: CallId,
        /// What the attempt may charge at most.
        reserve: Charge,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The call.
        call_id: CallId,
        /// The attempt's number.
        attempt: u32,
        /// How it ended.
        report: Box<AttemptReport>,
    },
    /// A running attempt said how far it is.
    Progressed {
        /// The call.
        call_id: CallId,
        /// The attempt's number.
        attempt: u32,
        /// One short sentence.
        message: String,
    },
    /// A policy that the shell asked decided something about a call that has no outcome yet.
    Policy {
        /// The call.
        call_id: CallId,
        /// Which policy.
        policy: String,
        /// What it decided.
        verdict: PolicyVerdict,
        /// Why.
        reason: Option<String>,
    },
    /// More was set aside for a running attempt.
    Raised {
        /// The call.
        call_id: CallId,
        /// The attempt's number.
        attempt: u32,
        /// What it counts for from now on when its owner dies.
        reserve_nanos: u64,
    },
    /// A tool of a running attempt is about to change something.
    ToolStarted {
        /// The call.
        call_id: CallId,
        /// The attempt's number.
        attempt: u32,
        /// Which of the attempt's effects, from 1.
        number: u32,
        /// The tool.
        tool: String,
        /// What it changes.
        target: Option<String>,
        /// Its arguments, for a tool of the configuration.
        args: Option<Value>,
    },
    /// It has, or has not.
    ToolFinished {
        /// The call.
        call_id: CallId,
        /// The attempt's number.
        attempt: u32,
        /// Which of the attempt's effects.
        number: u32,
        /// Whether it did what it was to do.
        ok: bool,
        /// What the model was told.
        message: String,
    },
    /// A timer fired.
    TimerFired {
        /// The timer's call.
        call_id: CallId,
    },
    /// A person decided, or an approval expired.
    Decided(DecisionInput),
    /// The run, or one call, is to end.
    Cancel {
        /// The call; none = the run.
        call_id: Option<CallId>,
        /// Who asked.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The run is to start nothing more, let running attempts finish, and pause.
    Pause {
        /// Why.
        reason: StatusReason,
    },
    /// A child run has nothing left to do but wait, or goes on again.
    ChildWaiting {
        /// The call that started it.
        call_id: CallId,
        /// What it waits for; none = it goes on.
        waits: Option<Waits>,
    },
    /// Another call is at work for the idempotency key of a call that is being prepared.
    KeyBusy {
        /// The call.
        call_id: CallId,
        /// Who is at work.
        by: CallRef,
        /// Whether that is a call of the same run tree: when that one waits for a person, this one has nothing else to wait for.
        ours: bool,
    },
    /// The call waits for nobody's key any more.
    KeyFound {
        /// The call.
        call_id: CallId,
    },
    /// To look again where the run stands, which may have been looked at too early.
    Look,
    /// A child run has paused: its call is unfinished and starts again when this run is resumed.
    ChildPaused {
        /// The call that started it.
        call_id: CallId,
        /// What for.
        reason: StatusReason,
        /// What a provider said.
        message: Option<String>,
    },
}

/// What a run waits for that has nothing left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// For a person.
    Person(StatusReason),
    /// For an idempotency key, at which another call of its tree is at work.
    Key,
}

/// A decision as it came out of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionInput {
    /// Which question.
    pub approval_id: ApprovalId,
    /// The answer.
    pub decision: Decision,
    /// Whether it came by expiry.
    pub expired: bool,
    /// Who decided.
    pub by: String,
    /// Through what.
    pub via: String,
    /// Why.
    pub reason: Option<String>,
}

/// What the shell found out about a call that is about to start.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// It cannot be carried out: it settles with this error, no attempt is made.
    Refuse(CallError),
    /// A person is asked first; the shell is asked for a plan again once they approve.
    Ask(Box<ApprovalAsk>),
    /// A person is asked first whether what may have happened already is to happen again; the shell is asked for a plan again
    /// once they approve.
    AskToRepeat(Box<ApprovalAsk>),
    /// The cache has its answer.
    Hit(Box<Outcome>),
    /// It is to be executed.
    Run {
        /// The provider that will be asked.
        provider: Option<String>,
        /// The model that will be asked for.
        model: Option<String>,
        /// Whether the provider is a real one, whose `auth` and `quota` failures pause the run.
        real: bool,
        /// The cache's part in it.
        note: CacheNote,
        /// The cache key, when the answer may be stored.
        record: Option<CacheRecord>,
        /// The run of a child workflow.
        child_run: Option<RunId>,
        /// Content that is fixed for the run from now on.
        pin: Option<PinNote>,
        /// Whether the call needs a permit of its provider before it starts.
        permit: bool,
        /// Attempts at a structured answer, when the provider has its own number.
        schema_attempts: Option<u32>,
    },
}

/// Outside content that was used for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinNote {
    /// `persona`, `workflow`.
    pub kind: String,
    /// The name it was asked for by.
    pub name: String,
    /// The hash of the content.
    pub hash: Hash,
    /// Where it was found.
    pub path: Option<String>,
}

/// A successful attempt's answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The value, checked against the schema; absent is `undefined` (child workflows only).
    pub value: Option<Value>,
    /// The raw text, when the value was read from it.
    pub text: Option<String>,
    /// Files that were changed.
    pub changed_files: Vec<String>,
    /// Hash of the workspace state it was made in.
    pub workspace: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptReport {
    /// The answer, or why there is none.
    pub result: Result<Answer, CallError>,
    /// Tokens.
    pub usage: Usage,
    /// Whether it used tokens beside these whose number nobody knows.
    pub usage_unknown: bool,
    /// Cost in billionths of a US dollar, when known.
    pub cost_nanos: Option<u64>,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// The provider that answered.
    pub provider: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Whether the answer was generated.
    pub simulated: bool,
    /// What it charges to the budget.
    pub charge: Charge,
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// The fixture rule that answered, 0 = the mood.
    pub rule: Option<u32>,
    /// The worktree that was kept.
    pub worktree: Option<WorktreeNote>,
    /// Files that differ in it, whatever the result.
    pub changed_files: Vec<String>,
    /// What a reader of the run should know, by code; said once a run.
    pub notices: Vec<(String, String)>,
    /// How the answer came about.
    pub provenance: Provenance,
    /// The answer that broke the schema: the next attempt may be told. Not journaled.
    pub rejected: Option<String>,
    /// Whether its tools had effects that must not be had again: it is not tried again from its beginning.
    pub acted: bool,
    /// What was said so far, for another attempt to go on with.
    pub kept: Option<Box<Value>>,
    /// What a person is asked before one of its tools is used. The attempt ended for that, and another goes on with the answer.
    pub question: Option<Box<ApprovalAsk>>,
}

/// What an attempt goes on with that another one left.
#[derive(Debug, Clone, PartialEq)]
pub struct GoingOn {
    /// What was said so far.
    pub kept: Arc<Value>,
    /// The answer to the question that it left with.
    pub decision: Option<DecisionNote>,
}

impl AttemptReport {
    /// A report of this result and nothing else.
    pub fn new(result: Result<Answer, CallError>) -> Self {
        Self {
            result,
            usage: Usage::default(),
            usage_unknown: false,
            cost_nanos: None,
            cost_source: CostSource::Unknown,
            provider: None,
            model: None,
            simulated: false,
            charge: Charge::default(),
            duration_ms: 0,
            rule: None,
            worktree: None,
            changed_files: Vec::new(),
            notices: Vec::new(),
            provenance: Provenance::default(),
            rejected: None,
            acted: false,
            kept: None,
            question: None,
        }
    }
}

/// What the shell is to carry out. Effects of one step are carried out in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Find out how the call is to be executed; answer with [`Input::Prepared`].
    Prepare {
        /// The call.
        call_id: CallId,
    },
    /// Get a concurrency permit for the call, first come first served; answer with [`Input::Permitted`].
    Acquire {
        /// The call.
        call_id: CallId,
    },
    /// Give the call's permit back, or take it off the waiting list.
    Release {
        /// The call.
        call_id: CallId,
    },
    /// Start an attempt; answer with [`Input::AttemptEnded`].
    Start {
        /// The call.
        call_id: CallId,
        /// The attempt's number over the lineage.
        attempt: u32,
        /// Milliseconds to wait before it.
        delay_ms: u64,
        /// Whether every event so far must be on disk before the attempt takes effect.
        barrier: bool,
    },
    /// Start a timer; answer with [`Input::TimerFired`].
    StartTimer {
        /// The call.
        call_id: CallId,
        /// Milliseconds from now.
        after_ms: u64,
    },
    /// End a running attempt or timer; no answer is expected.
    Abort {
        /// The call.
        call_id: CallId,
    },
    /// Ask a person. The question is in the journal.
    Ask {
        /// The question.
        approval: ApprovalNote,
    },
    /// Give an outcome to the driver, let it run; answer with [`Input::Ran`]. At most one a step, and the last.
    Deliver {
        /// The call.
        call_id: CallId,
        /// Its outcome, as recorded.
        outcome: Arc<Outcome>,
        /// What the script may read as spent from now on.
        budget: BudgetView,
    },
    /// The run ended; the event is in the step.
    Finished {
        /// How.
        outcome: Box<RunOutcome>,
    },
    /// The run is ready to pause. The shell appends [`Event::RunPaused`] in one transaction that re-reads the inbox: when that
    /// finds rows, nothing is written and they are the next inputs; else the machine is dropped.
    Pause {
        /// What for.
        reason: StatusReason,
        /// What a provider said.
        message: Option<String>,
    },
    /// Whether a lingering run has nothing left to do but wait changed.
    Waiting {
        /// What it waits for; none = it goes on.
        waits: Option<Waits>,
    },
    /// The replay left its journal: nothing live was started. The run goes on as a new run.
    Diverged {
        /// What was expected and what came, for a reader.
        detail: String,
    },
}

/// What one input leads to: events to append, then effects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// To append, in order, before any effect.
    pub events: Vec<Event>,
    /// To carry out, in order.
    pub effects: Vec<Effect>,
}

/// What a script can read of the budget: computed from delivered outcomes alone, so that a replay reads the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BudgetView {
    /// The totals.
    pub limits: Limits,
    /// What delivered outcomes charged.
    pub spent: Charge,
}

/// The settings the machine needs.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineConfig {
    /// The run.
    pub run_id: RunId,
    /// The pinned source: part of what an approval is about.
    pub source_hash: Hash,
    /// The provider of calls that name none.
    pub provider: String,
    /// Totals, as the script reads them.
    pub limits: Limits,
    /// Attempts at a structured answer.
    pub schema_attempts: u32,
    /// What a provider that is down does to the run.
    pub on_provider_down: OnProviderDown,
    /// Whether a done run with gaps fails.
    pub strict: bool,
    /// Whether the process stays while only approvals are pending (somebody is asked at a terminal).
    pub linger: bool,
    /// What a child's script reads as spent before its first call.
    pub budget_base: Charge,
    /// Whether only a person decides questions, whatever the script says.
    pub person_decides: bool,
    /// How long waits before another attempt may be.
    pub waits: RetryWaits,
}

/// How long waits before another attempt may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryWaits {
    /// Milliseconds that a provider may ask for: beyond it the call fails, and a resume asks again.
    pub ceiling_ms: u64,
    /// Milliseconds from the first attempt in which another may begin, where the provider was busy or gone.
    pub total_ms: u64,
}

impl From<EngineLimits> for RetryWaits {
    fn from(limits: EngineLimits) -> Self {
        Self { ceiling_ms: limits.retry_ceiling_ms, total_ms: limits.retry_total_ms }
    }
}

/// An ok outcome of an earlier run that this one may reuse.
#[derive(Debug, Clone, PartialEq)]
pub struct ReusedCall {
    /// Runs back: 0 is `resumed_from`.
    pub distance: u32,
    /// Its place among the outcomes of that run.
    pub position: u64,
    /// Which call it was.
    pub from: CallRef,
    /// The outcome, as recorded there.
    pub outcome: Arc<Outcome>,
}

/// What the earlier runs of the lineage offer, by request key and occurrence; the nearest run wins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reuse {
    /// Ok outcomes.
    pub ok: HashMap<(Hash, u32), ReusedCall>,
    /// Attempts made so far, over the lineage, whatever became of them.
    pub attempts: HashMap<(Hash, u32), u32>,
    /// Calls whose last attempt was in flight when the owner of their run died: a mutating one is repeated only as it allows.
    pub lost: HashSet<(Hash, u32)>,
    /// Agent calls that the finished children of `workflow` calls requested.
    pub child_requests: HashMap<(Hash, u32), u64>,
    /// Calls that have an outcome of any kind in a run of the lineage.
    pub settled: HashSet<(Hash, u32)>,
}
