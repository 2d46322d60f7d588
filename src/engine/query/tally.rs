//! Calls counted: over the run, and by phase.

use crate::core::event::Event;
use crate::core::outcome::CacheStatus;
use crate::engine::view::{CallState, Counts, PhaseRow};

use super::snapshot::{Snapshot, cache_status};

/// Calls by state.
pub(super) fn counts(run: &Snapshot) -> Counts {
    let mut counts = Counts { total: run.calls.len() as u64, ..Counts::default() };
    for call in &run.calls {
        match run.state(call) {
            CallState::Queued => counts.queued += 1,
            CallState::Running => counts.running += 1,
            CallState::Done => {
                counts.done += 1;
                match cache_status(call, run.starts) {
                    Some(CacheStatus::Replayed) => counts.replayed += 1,
                    Some(CacheStatus::Hit) => counts.hit += 1,
                    Some(CacheStatus::Miss | CacheStatus::Bypassed | CacheStatus::Disabled) | None => {}
                }
            }
            CallState::Cancelled => counts.cancelled += 1,
            CallState::Skipped => counts.skipped += 1,
            CallState::Denied => counts.denied += 1,
            CallState::Failed
            | CallState::SchemaFailed
            | CallState::ProviderFailed
            | CallState::Timeout
            | CallState::WorktreeFailed
            | CallState::BudgetExhausted => counts.failed += 1,
        }
    }
    counts
}

/// Phases: the declared ones in their order, then those the run entered, then those only calls name.
pub(super) fn phases(run: &Snapshot) -> Vec<PhaseRow> {
    let entered = run.events.iter().filter_map(|e| match &e.event {
        Event::Phase { title } => Some(title),
        _ => None,
    });
    let mut rows: Vec<PhaseRow> = Vec::new();
    let mut at = std::collections::HashMap::new();
    for title in run.row.spec.phases.iter().chain(entered).chain(run.calls.iter().filter_map(|c| c.phase.as_ref())) {
        at.entry(title.as_str()).or_insert_with(|| {
            rows.push(PhaseRow { title: title.clone(), ..PhaseRow::default() });
            rows.len() - 1
        });
    }
    for call in &run.calls {
        let Some(row) = call.phase.as_deref().and_then(|p| at.get(p)).and_then(|i| rows.get_mut(*i)) else { continue };
        row.total += 1;
        let state = run.state(call);
        row.done += u64::from(state == CallState::Done);
        row.running += u64::from(state == CallState::Running);
        row.failed += u64::from(state.is_failing());
    }
    rows
}
