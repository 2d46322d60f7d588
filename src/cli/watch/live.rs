//! What a watcher knows of a run: its events, folded.

use std::collections::{BTreeSet, HashMap};

use crate::core::budget::Limits;
use crate::core::event::{Event, EventRecord};
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::{CacheStatus, CostSource, ErrorClass, Outcome, Usage};
use crate::core::run::{RunSpec, Settings};
use crate::core::time::Millis;
use crate::engine::view::Usd;

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Requested.
    Queued,
    /// An attempt is under way.
    Running,
    /// It has an outcome.
    Ended,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveCall {
    /// What people call it.
    pub label: String,
    /// Index of its phase in [`Live::phases`].
    pub phase: Option<usize>,
    /// How far it is.
    pub stage: Stage,
    /// When its first attempt began.
    pub started: Option<Millis>,
    /// Its last attempt.
    pub attempt: u32,
    /// The last failed attempt.
    pub setback: Option<(ErrorClass, Millis)>,
}

/// Calls of one phase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhaseTally {
    /// The title.
    pub title: String,
    /// All of them.
    pub total: u64,
    /// With a value.
    pub done: u64,
    /// Under way.
    pub running: u64,
    /// Failed in any way.
    pub failed: u64,
    /// Ended otherwise.
    pub other: u64,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The call.
    pub call_id: CallId,
    /// What people call it.
    pub label: String,
    /// How it failed.
    pub status: &'static str,
    /// Why.
    pub message: String,
}

/// A run as its events tell it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Live {
    /// The run.
    pub run_id: Option<RunId>,
    /// What it was created as.
    pub spec: Option<Box<RunSpec>>,
    /// Its workflow.
    pub workflow: String,
    /// The provider of calls that name none.
    pub provider: String,
    /// The providers that may answer its calls; none = it asks no agent.
    pub answerers: Vec<String>,
    /// Their model.
    pub model: Option<String>,
    /// Calls at once, when set.
    pub concurrency: Option<u32>,
    /// Limits.
    pub limits: Limits,
    /// When this owner took it up.
    pub started: Option<Millis>,
    /// Phases in order of appearance.
    pub phases: Vec<PhaseTally>,
    /// Calls by index.
    pub calls: HashMap<u32, LiveCall>,
    /// Those under way, oldest first.
    pub running: BTreeSet<u32>,
    /// All calls.
    pub total: u64,
    /// With a value.
    pub done: u64,
    /// Of those, from a journal or the cache.
    pub reused: u64,
    /// Failed in any way.
    pub failed: u64,
    /// Ended otherwise.
    pub other: u64,
    /// The last failure.
    pub last_failed: Option<Failed>,
    /// The last line of the log.
    pub last_log: Option<String>,
    /// Tokens of calls this run executed.
    pub usage: Usage,
    /// What they cost in billionths of a US dollar.
    pub cost_nanos: u64,
    /// Where that comes from; none before the first.
    pub cost_source: Option<CostSource>,
    /// Whether an answer was generated.
    pub simulated: bool,
    /// The last event.
    pub seq: u64,
    /// Whether the last word on the run is that it ended or paused.
    pub at_rest: bool,
    /// Questions without an answer.
    pub questions: u64,
}

impl Live {
    /// Calls neither under way nor ended.
    pub fn waiting(&self) -> u64 {
        self.total.saturating_sub(self.done + self.failed + self.other + self.running.len() as u64)
    }

    /// What was spent, for display.
    pub fn cost(&self) -> String {
        let source = self.cost_source.unwrap_or(CostSource::Reported);
        let usd =
            Some(Usd::from_nanos(self.cost_nanos)).filter(|_| source != CostSource::Unknown || self.cost_nanos > 0);
        crate::cli::render::text::cost(usd, source)
    }

    /// Adds one event.
    pub fn apply(&mut self, record: &EventRecord) {
        self.seq = record.seq;
        match &record.event {
            Event::RunCreated { spec } => {
                self.workflow.clone_from(&spec.workflow_name);
                self.phases =
                    spec.phases.iter().map(|t| PhaseTally { title: t.clone(), ..PhaseTally::default() }).collect();
                self.spec = Some(spec.clone());
                self.settings(&spec.settings);
            }
            Event::SettingsChanged { settings } => self.settings(settings),
            Event::RunStarted { .. } => {
                self.started = Some(record.at);
                self.at_rest = false;
                // Attempts of an earlier owner died with it.
                for index in std::mem::take(&mut self.running) {
                    self.restage(index, Stage::Queued);
                }
            }
            Event::RunPaused { .. } | Event::RunFinished { .. } => self.at_rest = true,
            Event::CallRequested { call_id, spec, .. } => {
                let phase = spec.phase.as_deref().map(|title| self.phase(title));
                if let Some(i) = phase {
                    self.phases[i].total += 1;
                }
                self.total += 1;
                let call = LiveCall {
                    label: spec.label.clone(),
                    phase,
                    stage: Stage::Queued,
                    started: None,
                    attempt: 0,
                    setback: None,
                };
                self.calls.insert(call_id.0, call);
            }
            Event::AttemptStarted { call_id, attempt, .. } => {
                if let Some(call) = self.calls.get_mut(&call_id.0) {
                    call.attempt = *attempt;
                    call.started.get_or_insert(record.at);
                    self.running.insert(call_id.0);
                    self.restage(call_id.0, Stage::Running);
                }
            }
            Event::AttemptFailed { call_id, error, .. } => {
                if let Some(call) = self.calls.get_mut(&call_id.0) {
                    call.setback = Some((error.class, record.at));
                }
            }
            Event::CallFinished { call_id, outcome, reused, .. } => self.finish(*call_id, outcome, reused.is_some()),
            Event::ApprovalAsked { .. } => self.questions += 1,
            Event::ApprovalDecided { .. } => self.questions = self.questions.saturating_sub(1),
            Event::Log { message, .. } => self.last_log = Some(message.clone()),
            Event::Phase { title } => {
                self.phase(title);
            }
            Event::AttemptProgress { .. }
            | Event::AttemptRaised { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::CancelRequested { .. }
            | Event::Swallowed { .. }
            | Event::Pinned { .. }
            | Event::PolicyDecided { .. }
            | Event::Warning { .. } => {}
        }
    }

    fn settings(&mut self, settings: &Settings) {
        self.answerers = self.spec.as_ref().map_or_else(Vec::new, |spec| spec.answerers(settings));
        self.provider.clone_from(&settings.provider);
        self.model.clone_from(&settings.model);
        self.concurrency = settings.concurrency;
        self.limits = settings.limits;
    }

    fn phase(&mut self, title: &str) -> usize {
        if let Some(i) = self.phases.iter().position(|p| p.title == title) {
            return i;
        }
        self.phases.push(PhaseTally { title: title.to_owned(), ..PhaseTally::default() });
        self.phases.len() - 1
    }

    /// Moves a call to a stage, and its phase's tally along.
    fn restage(&mut self, index: u32, to: Stage) {
        let Some(call) = self.calls.get_mut(&index) else { return };
        let from = std::mem::replace(&mut call.stage, to);
        if let Some(phase) = call.phase.and_then(|i| self.phases.get_mut(i)) {
            match (from == Stage::Running, to == Stage::Running) {
                (false, true) => phase.running += 1,
                (true, false) => phase.running = phase.running.saturating_sub(1),
                (true, true) | (false, false) => {}
            }
        }
    }

    fn finish(&mut self, call_id: CallId, outcome: &Outcome, reused: bool) {
        self.running.remove(&call_id.0);
        self.restage(call_id.0, Stage::Ended);
        let from_elsewhere = reused || outcome.cache.status == CacheStatus::Hit;
        let failing = outcome.status.is_failing();
        let done = outcome.status == crate::core::outcome::CallStatus::Done;
        let call = self.calls.get(&call_id.0);
        if let Some(phase) = call.and_then(|c| c.phase).and_then(|i| self.phases.get_mut(i)) {
            let slot = if done {
                &mut phase.done
            } else if failing {
                &mut phase.failed
            } else {
                &mut phase.other
            };
            *slot += 1;
        }
        if done {
            self.done += 1;
            self.reused += u64::from(from_elsewhere);
        } else if failing {
            self.failed += 1;
            self.last_failed = Some(Failed {
                call_id,
                label: call.map(|c| c.label.clone()).unwrap_or_default(),
                status: outcome.status.as_str(),
                message: outcome.error.as_ref().map(|e| e.message.clone()).unwrap_or_default(),
            });
        } else {
            self.other += 1;
        }
        self.simulated |= outcome.simulated;
        if !from_elsewhere && outcome.provider.is_some() {
            self.usage += outcome.usage;
            self.cost_nanos += outcome.cost_nanos.unwrap_or(0);
            self.cost_source = Some(match self.cost_source {
                None => outcome.cost_source,
                Some(source) if source == outcome.cost_source => source,
                Some(_) => CostSource::Mixed,
            });
        }
    }
}
