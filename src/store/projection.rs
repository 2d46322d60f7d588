//! The fold of the journal into projection rows: pure, one event at a time, the same when appending and when rebuilding.

use crate::core::call::{CallKind, Decision};
use crate::core::event::{ApprovalNote, Event};
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::{CacheNote, CacheStatus, CallRef, CallStatus, ErrorClass, Outcome, Usage};
use crate::core::run::{RunSpec, RunStatus, StatusReason};
use crate::core::time::Millis;
use crate::store::seal::Seal;
use crate::store::words::cost_bit;

/// A row of `run`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunFold {
    pub(super) no: i64,
    pub(super) root: i64,
    pub(super) parent: Option<(i64, CallId)>,
    pub(super) resumed_from: Option<RunId>,
    pub(super) workflow_name: String,
    pub(super) request_key: Option<String>,
    pub(super) status: RunStatus,
    pub(super) status_reason: Option<StatusReason>,
    pub(super) message: Option<String>,
    pub(super) cancel_requested: bool,
    pub(super) created_at: Millis,
    pub(super) started_at: Option<Millis>,
    pub(super) completed_at: Option<Millis>,
    pub(super) last_at: Millis,
    pub(super) owned_since: Option<Millis>,
    pub(super) owned_ms: u64,
    pub(super) last_seq: u64,
    pub(super) settings_seq: u64,
    pub(super) finished_seq: Option<u64>,
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) spent: Spent,
    pub(super) unpriced: u64,
    /// Calls that used tokens whose number nobody knows.
    pub(super) untold: u64,
    pub(super) simulated: bool,
    /// Over its journal; moved on where events are written, as it does not follow from what they say.
    pub(super) seal: Seal,
}

/// What executed calls used: summed over a run, or of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spent {
    pub(super) usage: Usage,
    pub(super) cost_nanos: Option<u64>,
    pub(super) cost_sources: i64,
}

impl Spent {
    fn add(&mut self, other: Self) {
        self.usage += other.usage;
        if let Some(nanos) = other.cost_nanos {
            self.cost_nanos = Some(self.cost_nanos.unwrap_or(0).saturating_add(nanos));
        }
        self.cost_sources |= other.cost_sources;
    }

    /// What `self` holds beyond `earlier`.
    fn beyond(&self, earlier: &Self) -> Self {
        let usage = Usage {
            input_tokens: self.usage.input_tokens.saturating_sub(earlier.usage.input_tokens),
            output_tokens: self.usage.output_tokens.saturating_sub(earlier.usage.output_tokens),
            cache_read_tokens: self.usage.cache_read_tokens.saturating_sub(earlier.usage.cache_read_tokens),
            cache_write_tokens: self.usage.cache_write_tokens.saturating_sub(earlier.usage.cache_write_tokens),
            cache_write_1h_tokens: self.usage.cache_write_1h_tokens.saturating_sub(earlier.usage.cache_write_1h_tokens),
            reasoning_tokens: self.usage.reasoning_tokens.saturating_sub(earlier.usage.reasoning_tokens),
        };
        let cost_nanos = self.cost_nanos.map(|nanos| nanos.saturating_sub(earlier.cost_nanos.unwrap_or(0)));
        Self { usage, cost_nanos, cost_sources: self.cost_sources }
    }
}

impl RunFold {
    pub(super) fn created(no: i64, root: i64, parent: Option<(i64, CallId)>, at: Millis, spec: &RunSpec) -> Self {
        Self {
            no,
            root,
            parent,
            resumed_from: spec.resumed_from.clone(),
            workflow_name: spec.workflow_name.clone(),
            request_key: spec.request_key.as_ref().map(|(key, _)| key.clone()),
            status: RunStatus::Queued,
            status_reason: None,
            message: None,
            cancel_requested: false,
            created_at: at,
            started_at: None,
            completed_at: None,
            last_at: at,
            owned_since: None,
            owned_ms: 0,
            last_seq: 1,
            settings_seq: 1,
            finished_seq: None,
            calls: 0,
            failed: 0,
            spent: Spent::default(),
            unpriced: 0,
            untold: 0,
            simulated: false,
            seal: Seal::default(),
        }
    }

    /// Time under an owner up to `at`, closed: the last owner is gone by then.
    fn close_ownership(&mut self, at: Millis) {
        if let Some(since) = self.owned_since.take() {
            self.owned_ms = self.owned_ms.saturating_add(at.since(since));
        }
    }

    /// Applies the part of an event that concerns the run itself; calls report what they add through [`Self::count`].
    pub(super) fn apply(&mut self, seq: u64, at: Millis, event: &Event) {
        match event {
            Event::SettingsChanged { .. } => self.settings_seq = seq,
            Event::RunStarted { .. } => {
                // An owner that died without a word counts up to its last event.
                self.close_ownership(self.last_at);
                self.status = RunStatus::Running;
                self.status_reason = None;
                self.message = None;
                self.started_at.get_or_insert(at);
                self.owned_since = Some(at);
            }
            Event::RunPaused { reason, message } => {
                self.close_ownership(at);
                self.status = RunStatus::Paused;
                self.status_reason = Some(*reason);
                self.message.clone_from(message);
            }
            Event::CancelRequested { call_id: None, .. } => self.cancel_requested = true,
            Event::RunFinished { outcome } => {
                self.close_ownership(at);
                self.status = outcome.status;
                self.status_reason = outcome.reason;
                self.message = None;
                self.completed_at = Some(at);
                self.finished_seq = Some(seq);
            }
            Event::RunCreated { .. }
            | Event::CancelRequested { call_id: Some(_), .. }
            | Event::CallRequested { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptFailed { .. }
            | Event::AttemptProgress { .. }
            | Event::AttemptRaised { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::CallFinished { .. }
            | Event::ApprovalAsked { .. }
            | Event::ApprovalDecided { .. }
            | Event::Log { .. }
            | Event::Phase { .. }
            | Event::Swallowed { .. }
            | Event::Pinned { .. }
            | Event::PolicyDecided { .. }
            | Event::Warning { .. } => {}
        }
        self.last_seq = seq;
        self.last_at = at;
    }

    /// Adds what one event did to one of the run's calls.
    pub(super) fn count(&mut self, delta: &Delta) {
        self.calls += u64::from(delta.requested);
        self.failed += u64::from(delta.failed);
        self.unpriced += u64::from(delta.unpriced);
        self.untold += u64::from(delta.untold);
        self.simulated |= delta.simulated;
        self.spent.add(delta.spent);
    }
}

/// What one event of a call adds to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Delta {
    pub(super) requested: bool,
    pub(super) failed: bool,
    pub(super) unpriced: bool,
    pub(super) untold: bool,
    pub(super) simulated: bool,
    pub(super) spent: Spent,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallState {
    /// Requested, no attempt yet (or none since it was lost).
    Queued,
    /// An attempt was started.
    Running,
    /// It ended.
    Ended(CallStatus),
}

impl CallState {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended(status) => status.as_str(),
        }
    }
}

/// A row of `call`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallFold {
    pub(super) kind: CallKind,
    pub(super) state: CallState,
    pub(super) label: String,
    pub(super) phase: Option<String>,
    pub(super) site: Option<(u32, u32)>,
    pub(super) cache: Option<CacheNote>,
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    pub(super) attempts: u32,
    pub(super) spent: Spent,
    /// Whether it used tokens whose number nobody knows.
    pub(super) untold: bool,
    pub(super) duration_ms: u64,
    pub(super) requested_at: Millis,
    pub(super) started_at: Option<Millis>,
    pub(super) error: Option<(ErrorClass, String)>,
    pub(super) child_run: Option<RunId>,
    pub(super) reused: Option<CallRef>,
    pub(super) simulated: bool,
    pub(super) abandoned: bool,
    pub(super) mutating: bool,
    /// A person was asked about it, so its end may have to withdraw a question.
    pub(super) asked: bool,
    pub(super) requested_seq: u64,
    pub(super) cached_seq: Option<u64>,
    pub(super) finished_seq: Option<u64>,
    pub(super) changed_seq: u64,
    /// The day of the prices that its cost was estimated with.
    pub(super) prices_as_of: Option<String>,
}

/// Characters of an error message kept in the row; the journal has all of it.
const MESSAGE_CHARS: usize = 400;

impl CallFold {
    /// The row of a call as its request makes it; none when `event` is no request.
    pub(super) fn requested(seq: u64, at: Millis, event: &Event) -> Option<Self> {
        let Event::CallRequested { spec, .. } = event else { return None };
        Some(Self {
            kind: spec.kind,
            state: CallState::Queued,
            label: spec.label.clone(),
            phase: spec.phase.clone(),
            site: spec.site.map(|site| (site.line, site.column)),
            cache: None,
            provider: None,
            model: None,
            attempts: 0,
            spent: Spent::default(),
            untold: false,
            duration_ms: 0,
            requested_at: at,
            started_at: None,
            error: None,
            child_run: None,
            reused: None,
            simulated: false,
            abandoned: false,
            mutating: spec.is_mutating(),
            asked: false,
            requested_seq: seq,
            cached_seq: None,
            finished_seq: None,
            changed_seq: seq,
            prices_as_of: None,
        })
    }

    /// Applies an event of the call.
    pub(super) fn apply(&mut self, seq: u64, at: Millis, event: &Event) -> Delta {
        self.changed_seq = seq;
        match event {
            Event::AttemptStarted { attempt, provider, model, cache, child_run, .. } => {
                self.state = CallState::Running;
                self.attempts = self.attempts.max(*attempt);
                self.started_at.get_or_insert(at);
                self.error = None;
                take(&mut self.provider, provider.as_ref());
                take(&mut self.model, model.as_ref());
                if child_run.is_some() {
                    self.child_run.clone_from(child_run);
                }
                if cache.is_some() {
                    self.cached_seq = Some(seq);
                }
                Delta::default()
            }
            Event::AttemptFailed { attempt, error, usage, usage_unknown, cost_nanos, price, duration_ms, .. } => {
                self.state = CallState::Queued;
                self.attempts = self.attempts.max(*attempt);
                self.error = Some((error.class, cut(&error.message)));
                self.duration_ms += duration_ms;
                let spent = Spent { usage: *usage, cost_nanos: *cost_nanos, cost_sources: 0 };
                self.spent.add(spent);
                take(&mut self.prices_as_of, price.as_ref().map(|price| &price.as_of));
                Delta { spent, untold: self.not_told(*usage_unknown), ..Delta::default() }
            }
            Event::ApprovalAsked { .. } => {
                self.asked = true;
                Delta::default()
            }
            Event::CallFinished { outcome, reused, .. } => self.finish(seq, outcome, reused.as_ref()),
            Event::RunCreated { .. }
            | Event::RunStarted { .. }
            | Event::SettingsChanged { .. }
            | Event::RunPaused { .. }
            | Event::CancelRequested { .. }
            | Event::RunFinished { .. }
            | Event::CallRequested { .. }
            | Event::AttemptProgress { .. }
            | Event::AttemptRaised { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::ApprovalDecided { .. }
            | Event::Log { .. }
            | Event::Phase { .. }
            | Event::Swallowed { .. }
            | Event::Pinned { .. }
            | Event::PolicyDecided { .. }
            | Event::Warning { .. } => Delta::default(),
        }
    }

    /// Takes over that it did not tell what it used; whether that is new.
    fn not_told(&mut self, unknown: bool) -> bool {
        unknown && !std::mem::replace(&mut self.untold, true)
    }

    fn finish(&mut self, seq: u64, outcome: &Outcome, reused: Option<&CallRef>) -> Delta {
        let executed = reused.is_none() && !matches!(outcome.cache.status, CacheStatus::Hit | CacheStatus::Replayed);
        self.state = CallState::Ended(outcome.status);
        self.finished_seq = Some(seq);
        self.attempts = self.attempts.max(outcome.attempts);
        self.duration_ms = outcome.duration_ms;
        self.error = outcome.error.as_ref().map(|error| (error.class, cut(&error.message)));
        self.simulated = outcome.simulated;
        self.abandoned = outcome.abandoned;
        self.reused = reused.cloned();
        take(&mut self.provider, outcome.provider.as_ref());
        take(&mut self.model, outcome.model.as_ref());
        if outcome.child_run.is_some() {
            self.child_run.clone_from(&outcome.child_run);
        }
        let mut note = outcome.cache.clone();
        if reused.is_some() {
            note = CacheNote { status: CacheStatus::Replayed, from: reused.cloned(), ..CacheNote::default() };
        }
        self.cache = Some(note);
        let mut delta = Delta {
            failed: outcome.status.is_failing(),
            simulated: outcome.simulated,
            unpriced: executed
                && self.kind == CallKind::Agent
                && outcome.attempts > 0
                && outcome.cost_nanos.is_none()
                && !outcome.simulated
                && (outcome.usage != Usage::default() || outcome.usage_unknown),
            ..Delta::default()
        };
        if executed {
            // The outcome counts all attempts; failed ones were counted when they failed.
            let total = Spent {
                usage: outcome.usage,
                cost_nanos: outcome.cost_nanos,
                cost_sources: cost_bit(outcome.cost_source),
            };
            take(&mut self.prices_as_of, outcome.provenance.price.as_ref().map(|price| &price.as_of));
            delta.untold = self.not_told(outcome.usage_unknown);
            delta.spent = total.beyond(&self.spent);
            self.spent = total;
        }
        delta
    }
}

fn take(slot: &mut Option<String>, value: Option<&String>) {
    if let Some(value) = value {
        *slot = Some(value.clone());
    }
}

fn cut(text: &str) -> String {
    text.char_indices().nth(MESSAGE_CHARS).map_or_else(|| text.to_owned(), |(end, _)| text[..end].to_owned())
}

/// The state of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// It waits for an answer.
    Pending,
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Its call or run ended before it was answered.
    Cancelled,
}

impl ApprovalState {
    /// The word on disk and in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that a decision leads to.
    pub(super) fn of(decision: Decision, expired: bool) -> Self {
        match (expired, decision) {
            (true, _) => Self::Expired,
            (false, Decision::Approve) => Self::Approved,
            (false, Decision::Deny) => Self::Denied,
        }
    }
}

/// A row of `approval`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApprovalFold {
    pub(super) note: ApprovalNote,
    pub(super) asked_at: Millis,
    pub(super) state: ApprovalState,
    pub(super) answer: Option<Answered>,
}

/// How an approval was decided.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answered {
    pub(super) decision: Decision,
    pub(super) at: Millis,
    pub(super) by: String,
    pub(super) via: String,
    pub(super) reason: Option<String>,
}

impl ApprovalFold {
    pub(super) fn asked(at: Millis, note: &ApprovalNote) -> Self {
        Self { note: note.clone(), asked_at: at, state: ApprovalState::Pending, answer: None }
    }

    /// Takes the answer, if the question is open. The one who asked first in the store wins, so an answer that came
    /// through the inbox stands when its event follows.
    pub(super) fn answer(&mut self, expired: bool, answer: Answered) -> bool {
        let open = self.state == ApprovalState::Pending;
        if open {
            self.state = ApprovalState::of(answer.decision, expired);
            self.answer = Some(answer);
        }
        open
    }

    /// Withdraws an open question.
    pub(super) fn withdraw(&mut self) {
        if self.state == ApprovalState::Pending {
            self.state = ApprovalState::Cancelled;
        }
    }
}
