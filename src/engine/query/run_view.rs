//! The view of a run: every key that applies, bounded when a model reads it.

use crate::core::event::Event;
use crate::core::failure::Failure;
use crate::core::ids::RunId;
use crate::core::run::RunStatus;
use crate::engine::params::Detail;
use crate::engine::view::{CallRow, CallState, Gap, ResumedHow, RunView, Woke, next};
use crate::store;

use super::bounds::{Bound, Room, VALUE, clip, finish, size};
use super::calls::RowContext;
use super::cursor;
use super::handle::Query;
use super::snapshot::Snapshot;
use super::{gaps, money, outline, tally, warnings};

/// Characters that warnings may take, so that they leave room for what they are about.
const NOTICES: usize = 3_000;

/// What a view of a run is for: what it shows depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunScope {
    /// The reply to a start, a resume, a cancel or a decision.
    Start {
        /// Whether calls are shown.
        detail: Detail,
    },
    /// What is new since a cursor.
    Wait {
        /// `next_cursor` of the last reply.
        cursor: Option<String>,
        /// Whether calls are shown.
        detail: Detail,
    },
    /// Everything, with the run's facts.
    Status {
        /// Calls at most.
        limit: Option<u32>,
        /// Calls changed and lines logged since this.
        cursor: Option<String>,
    },
}

/// What a scope shows.
struct Shows {
    since: u64,
    calls: Option<usize>,
    gaps: usize,
    facts: bool,
    places: bool,
    resumed: Option<ResumedHow>,
}

impl RunScope {
    fn shows(&self, bound: Bound, run: &Snapshot) -> Result<Shows, Failure> {
        let few = bound.rows(None, 5);
        let base = Shows { since: 0, calls: None, gaps: few, facts: false, places: true, resumed: None };
        Ok(match self {
            Self::Start { detail } => {
                Shows { calls: matches!(detail, Detail::Full).then(|| bound.rows(None, 25)), ..base }
            }
            Self::Wait { cursor, detail } => Shows {
                since: cursor::sequence(cursor.as_deref())?,
                calls: matches!(detail, Detail::Full).then(|| bound.rows(None, 25)),
                places: !matches!(run.status, RunStatus::Queued | RunStatus::Running),
                ..base
            },
            Self::Status { limit, cursor } => {
                let lineage = || match (&run.row.resumed_from, run.starts.count) {
                    (Some(_), _) => Some(ResumedHow::NewRun),
                    (None, 2..) => Some(ResumedHow::InPlace),
                    (None, _) => None,
                };
                Shows {
                    since: cursor::sequence(cursor.as_deref())?,
                    calls: Some(bound.rows(*limit, 12)),
                    gaps: bound.rows(None, 20),
                    facts: true,
                    places: true,
                    resumed: lineage(),
                }
            }
        })
    }

    fn is_wait(&self) -> bool {
        matches!(self, Self::Wait { .. })
    }
}

impl Query<'_> {
    /// One run as it stands.
    ///
    /// # Errors
    /// `not_found`, `invalid_arguments` for a bad cursor, or what the store says.
    pub(crate) fn run_view(&self, run: &RunId, scope: &RunScope) -> Result<RunView, Failure> {
        let bound = self.env.bound;
        let snapshot = self.snapshot(run)?;
        let shows = scope.shows(bound, &snapshot)?;
        let mut view = self.fixed(&snapshot, scope, &shows)?;
        let children: Vec<RunId> = snapshot.calls.iter().filter_map(|c| c.child_run.clone()).collect();
        let asked = if snapshot.status.is_ended() { Vec::new() } else { self.pending(run, &children)? };

        view.next_cursor = snapshot.row.last_seq.to_string();
        view.next = "x".repeat(260);
        let mut notices = std::mem::take(&mut view.warnings);
        let mut room = Room::beside(bound, &view);
        view.approvals = self.asked(&asked)?;
        view.truncated |= room.keep(&mut view.approvals);
        room.keep_within(NOTICES, &mut notices);
        view.warnings = notices;
        self.value(&snapshot, &mut view, &mut room);
        let failed = gaps::failed(&snapshot);
        view.gaps_total = (!failed.is_empty()).then_some(failed.len() as u64);
        view.gaps = failed.iter().take(shows.gaps).map(|call| gaps::gap(&snapshot, call)).collect();
        room.keep(&mut view.gaps);
        view.swallowed = gaps::swallowed(&snapshot);
        view.swallowed.truncate(shows.gaps);
        room.keep(&mut view.swallowed);
        if !matches!(snapshot.status, RunStatus::Queued | RunStatus::Running) {
            view.worktrees = self.kept_work(&snapshot);
            view.worktrees.truncate(bound.rows(None, 10));
            view.truncated |= room.keep(&mut view.worktrees);
        }
        view.phases = tally::phases(&snapshot);
        if bound == Bound::Model {
            view.phases.truncate(30);
            view.phases.iter_mut().for_each(|phase| phase.title = clip(&phase.title, 80));
        }
        room.keep(&mut view.phases);
        view.logs = logs(&snapshot, shows.since, bound);
        let mut lines = std::mem::take(&mut view.logs);
        if let Some(limit) = shows.calls {
            view.calls = self.newest_calls(&snapshot, scope, shows.since, limit);
            // The newest lines are worth more than the last rows of calls.
            room.keep(&mut lines);
            room.keep(&mut view.calls);
        } else {
            room.keep(&mut lines);
        }
        view.logs = lines;
        view.next = self.sentence(&snapshot, &view);
        Ok(finish(bound, view))
    }

    /// The keys that are no rows.
    fn fixed(&self, run: &Snapshot, scope: &RunScope, shows: &Shows) -> Result<RunView, Failure> {
        let row = &run.row;
        let mut view = RunView::new(row.run_id.clone(), run.status);
        view.status_reason = run.reason;
        view.simulated = row.simulated;
        // A wait tells recorded warnings once, and all of them at the end.
        let since = if scope.is_wait() && !run.status.is_ended() { shows.since } else { 0 };
        view.warnings = warnings::of(self, run, since);
        view.error = warnings::error(self, run)?;
        view.counts = tally::counts(run);
        let fresh = self.spent(run)?;
        view.usage = fresh.view(&row.settings);
        view.usage.prices_as_of = money::days(&run.calls);
        view.budget = self.budget(run, &fresh)?;
        view.reuse = self.reuse(run)?;
        view.resumed = shows.resumed;
        view.elapsed_ms = run.elapsed_ms(self);
        if row.cancel_requested && !run.status.is_ended() {
            view.cancel_requested = Some(true);
        }
        view.resumed_from.clone_from(&row.resumed_from);
        if shows.facts {
            view.parent_run_id = row.parent.as_ref().map(|parent| parent.run_id.clone());
            view.created_at = Some(row.created_at.rfc3339());
            view.run = Some(self.facts(run)?);
        }
        if shows.places {
            let dir = self.run_dir(&row.run_id);
            let copy = || format!("{dir}/{}", row.spec.kind.source_file());
            view.script_path = Some(row.spec.source_path.clone().unwrap_or_else(copy));
            view.run_dir = Some(dir);
        }
        Ok(view)
    }

    /// The returned value, or its outline when there is no room for it.
    fn value(&self, run: &Snapshot, view: &mut RunView, room: &mut Room) {
        let Some(output) = run.row.outcome.as_ref().and_then(|outcome| outcome.output.as_ref()) else { return };
        let fits = self.env.bound == Bound::None || (size(output) <= VALUE && room.takes(output));
        if fits {
            view.output = Some(output.clone());
            return;
        }
        view.output_bytes = Some(super::output::text_of(output).len() as u64);
        let outline = outline::of(output);
        // An outline is bounded, so there is room for it.
        room.takes(&outline);
        view.outline = Some(outline);
    }

    /// Running calls, failed ones, then the newest; in a wait only those that changed.
    fn newest_calls(&self, run: &Snapshot, scope: &RunScope, since: u64, limit: usize) -> Vec<CallRow> {
        let rows = RowContext::of(run, self);
        let changed = |c: &&store::CallRow| !scope.is_wait() && since == 0 || c.changed_seq > since;
        let mut calls: Vec<&store::CallRow> = run.calls.iter().filter(changed).collect();
        let rank = |c: &store::CallRow| match run.state(c) {
            CallState::Running => 0,
            state if state.is_failing() => 1,
            _ => 2,
        };
        calls.sort_by_key(|c| {
            let rank = rank(c);
            let newest = u32::MAX - c.call_id.0;
            (rank, if rank == 2 { newest } else { c.call_id.0 })
        });
        calls.into_iter().take(limit).map(|call| rows.row(call)).collect()
    }

    /// What to do next.
    fn sentence(&self, run: &Snapshot, view: &RunView) -> String {
        let simulated = run.row.simulated && view.status == RunStatus::Done && view.gaps.is_empty();
        if let Some(provider) = self.env.real_provider().filter(|_| simulated) {
            return next::simulated(provider);
        }
        if matches!(view.status, RunStatus::Done | RunStatus::Failed)
            && let Some(lift) = warnings::lift_budget(run, run.row.settings.limits)
        {
            return lift;
        }
        next::of_run(view)
    }

    /// The view as the reply of a wait that ended for `woke` after `waited_ms`.
    pub(crate) fn told(&self, mut view: RunView, woke: Woke, waited_ms: u64) -> RunView {
        view.woke = Some(woke);
        view.waited_ms = Some(waited_ms);
        if woke == Woke::FirstFailure
            && let Some(Gap { call_id, .. }) = view.gaps.first()
        {
            view.next = next::first_failure(call_id, &view.next_cursor);
        }
        finish(self.env.bound, view)
    }
}

/// Lines the script logged after an event: the newest ten for a model, in order.
fn logs(run: &Snapshot, since: u64, bound: Bound) -> Vec<String> {
    let mut lines: Vec<String> = run
        .events
        .iter()
        .filter(|e| e.seq > since)
        .filter_map(|e| match &e.event {
            Event::Log { message, .. } => Some(bound.clip(message, 200)),
            _ => None,
        })
        .collect();
    if bound == Bound::Model {
        lines.drain(..lines.len().saturating_sub(10));
    }
    lines
}
