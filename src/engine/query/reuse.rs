//! What a run took over from others, what that saved, and what its budget has of it.

use std::collections::HashMap;

use crate::core::budget::Charge;
use crate::core::call::CallKind;
use crate::core::event::Event;
use crate::core::failure::Failure;
use crate::core::ids::RunId;
use crate::core::outcome::{CacheStatus, CallRef, CallStatus, CostSource, ReasonCode};
use crate::engine::execute::read_history;
use crate::engine::view::{BudgetLine, BudgetView, ReuseView, Usd};
use crate::store::{CallFilter, CallRow, CallState};

use super::explain::Explainer;
use super::handle::Query;
use super::money::Spent;
use super::snapshot::{Snapshot, cache_status};

/// Calls of other runs by reference, each run read once.
#[derive(Default)]
struct Origins {
    runs: HashMap<RunId, HashMap<u32, CallRow>>,
}

impl Origins {
    fn find(&mut self, query: &Query<'_>, from: &CallRef) -> Result<Option<&CallRow>, Failure> {
        if !self.runs.contains_key(&from.run_id) {
            // A pruned run has no calls any more.
            let calls = match query.store.run(&from.run_id)? {
                Some(_) => query.store.calls(&from.run_id, &CallFilter::default())?,
                None => Vec::new(),
            };
            self.runs.insert(from.run_id.clone(), calls.into_iter().map(|c| (c.call_id.0, c)).collect());
        }
        Ok(self.runs.get(&from.run_id).and_then(|calls| calls.get(&from.call_id.0)))
    }
}

/// Whether a call was carried out by this run.
pub(super) fn executed(call: &CallRow) -> bool {
    let hit = call.cache.as_ref().is_some_and(|note| note.status == CacheStatus::Hit);
    call.attempts > 0 && call.reused.is_none() && !hit
}

/// Whether more may count against a cost budget than calls are known to have cost: an attempt of unknown cost counts with what was
/// set aside for it, and only the journal says how much that was. Where every call was asked once and told its cost, nothing does,
/// and the journal of a run under way is not read for each look at it.
fn may_charge_more(run: &Snapshot) -> bool {
    let asked = |call: &&CallRow| call.attempts > 0 || call.reused.is_some();
    let is_plain = |call: &CallRow| {
        let told = call.finished_seq.is_none() || call.cost_nanos.is_some() && call.cost_source != CostSource::Mixed;
        told && call.attempts == 1 && !call.usage_unknown && call.reused.is_none() && call.child_run.is_none()
    };
    run.starts.count > 1 || !run.calls.iter().filter(asked).all(is_plain)
}

impl Query<'_> {
    /// What the run did not pay again: the cost of the calls it reused or replayed, as far as known.
    pub(super) fn saved(&self, run: &Snapshot) -> Result<Option<Usd>, Failure> {
        let mut origins = Origins::default();
        let mut saved = None;
        for call in &run.calls {
            let from = call.reused.as_ref().or(call.cache.as_ref().and_then(|note| note.from.as_ref()));
            let nanos = match cache_status(call, run.starts) {
                Some(CacheStatus::Replayed) if call.reused.is_none() => call.cost_nanos,
                Some(CacheStatus::Replayed | CacheStatus::Hit) => match from {
                    Some(from) => origins.find(self, from)?.and_then(|call| call.cost_nanos),
                    None => None,
                },
                Some(CacheStatus::Miss | CacheStatus::Bypassed | CacheStatus::Disabled) | None => None,
            };
            if let Some(nanos) = nanos {
                *saved.get_or_insert(0_u64) += nanos;
            }
        }
        Ok(saved.map(Usd::from_nanos))
    }

    /// After a resume: how much was reused, and why the rest was not.
    pub(super) fn reuse(&self, run: &Snapshot) -> Result<Option<ReuseView>, Failure> {
        if run.row.resumed_from.is_none() && run.starts.count < 2 {
            return Ok(None);
        }
        let mut view = ReuseView::default();
        let mut explainer = Explainer::new(*self, run);
        for call in &run.calls {
            match cache_status(call, run.starts) {
                Some(CacheStatus::Replayed) => {
                    view.replayed += u64::from(call.state == CallState::Ended(CallStatus::Done));
                    continue;
                }
                Some(CacheStatus::Hit) => continue,
                Some(CacheStatus::Miss | CacheStatus::Bypassed | CacheStatus::Disabled) | None => {}
            }
            if matches!(call.kind, CallKind::Timer | CallKind::Expr) {
                continue;
            }
            let in_place = run.row.resumed_from.is_none();
            if in_place && call.requested_seq > run.starts.last_seq {
                // Nobody asked for it before the restart.
                continue;
            }
            view.rerun += 1;
            let word = if in_place {
                // It was asked for before the restart and had no outcome by then.
                ReasonCode::EarlierCancelled.as_str().to_owned()
            } else {
                let Some(row) = explainer.row(call)? else { continue };
                match (row.reason_code, row.changed.first()) {
                    (ReasonCode::Changed, Some(what)) => what.clone(),
                    (code, _) => code.as_str().to_owned(),
                }
            };
            *view.rerun_reasons.entry(word).or_default() += 1;
        }
        view.saved_usd = self.saved(run)?;
        Ok(Some(view))
    }

    /// What the run itself used: its executed calls, and child runs that are still at work.
    pub(super) fn spent(&self, run: &Snapshot) -> Result<Spent, Failure> {
        let mut spent = Spent::from(&run.row);
        for call in &run.calls {
            let Some(child) = call.child_run.as_ref().filter(|_| call.finished_seq.is_none()) else { continue };
            if let Some(row) = self.store.run(child)? {
                spent.add(Spent::from(&row));
            }
        }
        Ok(spent)
    }

    /// The limits that are set, and what counts against them: reused calls with what they charged when they were executed.
    pub(super) fn budget(&self, run: &Snapshot, fresh: &Spent) -> Result<Option<BudgetView>, Failure> {
        let limits = run.row.settings.limits;
        if !limits.any() {
            return Ok(None);
        }
        let mut origins = Origins::default();
        let mut all = *fresh;
        let (mut calls, mut fresh_calls, mut running) = (0, 0, 0);
        let mut reused = false;
        let is_real = !run.row.simulated && limits.cost_nanos.or(limits.tokens).is_some();
        let mut aside = Charge::default();
        for call in &run.calls {
            let counts = matches!(call.kind, CallKind::Agent | CallKind::Tool | CallKind::Command | CallKind::Turn);
            if counts && executed(call) {
                fresh_calls += 1;
                let runs = run.state(call) == crate::engine::view::CallState::Running;
                running += u64::from(runs);
                if runs && is_real {
                    aside += self.set_aside(run, call)?;
                }
            }
            if let Some(from) = &call.reused {
                reused = true;
                if let Some(origin) = origins.find(self, from)? {
                    all.add(Spent { source: CostSource::Unknown, ..Spent::from(origin) });
                    calls += u64::from(counts && origin.attempts > 0);
                }
            }
        }
        calls += fresh_calls;
        let usd = |spent: &Spent| Usd::from_nanos(spent.cost_nanos.unwrap_or(0));
        // What is not known to have been used counts all the same, with what was set aside for it; the journal says how much.
        let charged = if is_real && may_charge_more(run) {
            read_history(self.store, &run.row.run_id)?.0.charged()
        } else {
            Charge::default()
        };
        let counted = Usd::from_nanos(all.cost_nanos.unwrap_or(0).max(charged.cost_nanos));
        Ok(Some(BudgetView {
            tokens: limits.tokens.map(|limit| BudgetLine {
                limit,
                spent: all.usage.output_tokens.max(charged.tokens),
                fresh: reused.then_some(fresh.usage.output_tokens),
                reserved: aside.tokens,
            }),
            cost_usd: limits.cost_nanos.map(|limit| BudgetLine {
                limit: Usd::from_nanos(limit),
                spent: counted,
                fresh: reused.then(|| usd(fresh)),
                reserved: Usd::from_nanos(aside.cost_nanos),
            }),
            calls: limits.calls.map(|limit| BudgetLine {
                limit,
                spent: calls - running,
                fresh: reused.then_some(fresh_calls - running),
                reserved: running,
            }),
        }))
    }

    /// What is set aside for the attempt of a call that is under way.
    fn set_aside(&self, run: &Snapshot, call: &CallRow) -> Result<Charge, Failure> {
        let mut aside = Charge::default();
        for record in self.store.call_events(&run.row.run_id, call.call_id)? {
            match record.event {
                Event::AttemptStarted { reserve_nanos, reserve_tokens, .. } => {
                    aside = Charge { tokens: reserve_tokens, cost_nanos: reserve_nanos, calls: 0 };
                }
                Event::AttemptRaised { reserve_nanos, .. } => aside.cost_nanos = reserve_nanos,
                _ => {}
            }
        }
        Ok(aside)
    }
}
