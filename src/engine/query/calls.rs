//! Calls of a run as rows.

use crate::core::call::CallKind;
use crate::core::failure::{Code, Failure};
use crate::core::outcome::{CacheStatus, CostSource, Usage};
use crate::engine::params::CallsParams;
use crate::engine::view::{CallErrorView, CallRow, CallState, CallsView, Usd};
use crate::store;

use super::bounds::{Bound, Room, clip, finish};
use super::cursor;
use super::gaps::LABEL;
use super::handle::Query;
use super::snapshot::{Snapshot, Starts, cache_status, state};
use crate::core::ids::CallId;
use crate::core::run::RunStatus;

/// What rows of calls need of their run.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowContext {
    pub(super) status: RunStatus,
    pub(super) starts: Starts,
    pub(super) bound: Bound,
}

impl RowContext {
    pub(super) fn of(run: &Snapshot, query: &Query<'_>) -> Self {
        Self { status: run.status, starts: run.starts, bound: query.env.bound }
    }

    /// A call as a row.
    pub(super) fn row(&self, call: &store::CallRow) -> CallRow {
        let status = state(call, self.status, self.starts);
        let cache_status = cache_status(call, self.starts);
        // Reused from elsewhere: this run paid nothing, and that is known.
        let elsewhere = call.reused.is_some() || matches!(cache_status, Some(CacheStatus::Hit));
        let ended = call.finished_seq.is_some() && call.provider.is_some();
        // A program that is no agent, a question and the like use no tokens and are not billed.
        let is_asked = matches!(call.kind, CallKind::Agent | CallKind::Workflow | CallKind::Turn);
        let used = call.usage != Usage::default() || call.cost_nanos.is_some();
        let told = used || is_asked && (elsewhere || ended);
        let unknown = call.usage_unknown && !elsewhere;
        let counted = told && !(unknown && call.usage == Usage::default());
        let source = match call.cost_source {
            CostSource::Unknown if elsewhere && call.simulated => CostSource::Simulated,
            CostSource::Unknown if elsewhere => CostSource::Reported,
            source => source,
        };
        let cost = if elsewhere { Some(0) } else { call.cost_nanos };
        let is_estimate = matches!(source, CostSource::Estimated | CostSource::Mixed) && !elsewhere && cost.is_some();
        CallRow {
            call_id: call.call_id.to_string(),
            call_index: call.call_id.0,
            kind: call.kind,
            label: self.bound.clip(&call.label, LABEL),
            status,
            phase: call.phase.as_deref().map(|phase| self.bound.clip(phase, LABEL)),
            cache_status,
            provider: call.provider.clone(),
            model: call.model.clone(),
            attempts: call.attempts,
            input_tokens: counted.then_some(call.usage.input_tokens),
            output_tokens: counted.then_some(call.usage.output_tokens),
            usage_unknown: unknown.then_some(true),
            cost_usd: cost.filter(|_| told).map(Usd::from_nanos),
            cost_source: told.then_some(if cost.is_some() { source } else { CostSource::Unknown }),
            prices_as_of: call.prices_as_of.clone().filter(|_| is_estimate),
            duration_ms: call.finished_seq.map(|_| call.duration_ms),
            started_at: call.started_at.map(crate::core::time::Millis::rfc3339),
            error: call.error.as_ref().filter(|_| status != CallState::Done).map(|(class, message)| CallErrorView {
                class: *class,
                message: clip(message, 200),
                retryable: Some(class.is_retryable()),
                hint: None,
                retry_at: None,
            }),
            child_run_id: call.child_run.clone(),
        }
    }
}

impl Query<'_> {
    /// Calls of a run that match, in call order.
    ///
    /// # Errors
    /// `not_found`, `invalid_arguments` for a bad cursor.
    pub(crate) fn calls(&self, params: &CallsParams) -> Result<CallsView, Failure> {
        let run = self.resolve(params.run_id.as_deref())?;
        let after = cursor::of_list('c', params.cursor.as_deref())?;
        if params.limit == Some(0) {
            return Err(Failure::new(Code::InvalidArguments, "/limit must be at least 1"));
        }
        let row = self.row(&run)?;
        let (status, _) = self.store.effective_status(&row, self.env.now);
        let starts = Starts::of(&self.store.run_events(&run, 0)?);
        let filter =
            store::CallFilter { phase: params.phase.clone(), label: params.label.clone(), ..Default::default() };
        let context = RowContext { status, starts, bound: self.env.bound };
        // The states that are shown are computed, so they are filtered here.
        let wanted = params.status.as_ref().filter(|states| !states.is_empty());
        let mut found = self.store.calls(&run, &filter)?;
        found.retain(|call| wanted.is_none_or(|states| states.contains(&state(call, status, starts))));
        let matched = found.len() as u64;
        let after = after.map_or(0, |n| n as u32);
        found.retain(|call| call.call_id > CallId(after));
        let limit = self.env.bound.rows(params.limit, 25);
        let mut cut = found.len() > limit;
        let mut rows: Vec<CallRow> = found.iter().take(limit).map(|call| context.row(call)).collect();
        let mut view = CallsView {
            run_id: run,
            status,
            simulated: row.simulated,
            calls: Vec::new(),
            calls_total: row.calls,
            matched,
            truncated: false,
            next_cursor: None,
        };
        cut |= Room::beside(self.env.bound, &view).keep(&mut rows);
        view.truncated = cut;
        view.next_cursor = rows.last().filter(|_| cut).map(|row| cursor::list('c', i64::from(row.call_index)));
        view.calls = rows;
        Ok(finish(self.env.bound, view))
    }
}
