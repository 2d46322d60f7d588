//! Runs in a list, and the static facts of one.

use std::time::Duration;

use crate::core::failure::{Code, Failure};
use crate::core::ids::{ApprovalId, Hash, RunId};
use crate::core::run::{RunStatus, StatusReason};
use crate::core::time::Millis;
use crate::engine::params::ListRunsParams;
use crate::engine::view::{ApprovalRow, OwnerView, RunFacts, RunRow, RunsView};
use crate::store;

use super::bounds::{Bound, Room, clip, finish};
use super::cursor;
use super::handle::Query;
use super::money::Spent;
use super::snapshot::Snapshot;

/// A time that lies an age ago (`2h`, `7d`), or a time as written.
pub(super) fn moment(text: &str, now: Millis) -> Result<Millis, Failure> {
    if let Ok(age) = humantime::parse_duration(text.trim()) {
        return Ok(before(now, age));
    }
    // A day begins at midnight.
    let whole = if text.trim().len() == 10 { format!("{}T00:00:00Z", text.trim()) } else { text.trim().to_owned() };
    let at = humantime::parse_rfc3339_weak(&whole).map_err(|_| {
        Failure::new(Code::InvalidArguments, format!("`{text}` is neither an age nor a time"))
            .hint("an age such as 2h or 7d, or a time such as 2026-05-28T14:00:00Z")
    })?;
    let since = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// The time an age ago.
pub(super) fn before(now: Millis, age: Duration) -> Millis {
    Millis(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

/// Where a list of runs goes on.
///
/// # Errors
/// `invalid_arguments` for what is no cursor of it.
pub(crate) fn runs_cursor(cursor: Option<&str>) -> Result<Option<i64>, Failure> {
    cursor::of_list('r', cursor)
}

impl Query<'_> {
    fn run_row(&self, row: &store::RunRow, status: RunStatus, reason: Option<StatusReason>) -> RunRow {
        let (cost_usd, cost_source) = Spent::from(row).cost(&row.settings);
        let bound = self.env.bound;
        RunRow {
            run_id: row.run_id.clone(),
            id: row.run_id.clone(),
            status,
            status_reason: reason,
            workflow_name: bound.clip(&row.spec.workflow_name, 80),
            provider: row.settings.provider.clone(),
            model: row.settings.model.clone(),
            others: Some(row.spec.answerers(&row.settings)).filter(|names| *names != [row.settings.provider.clone()]),
            simulated: row.simulated,
            created_at: row.created_at.rfc3339(),
            started_at: row.started_at.map(Millis::rfc3339),
            completed_at: row.completed_at.map(Millis::rfc3339),
            elapsed_ms: row.elapsed_ms(status == RunStatus::Running, self.env.now),
            calls: row.calls,
            failed: row.failed,
            cost_usd,
            cost_source,
            pending_approvals: row.pending_approvals,
            script_path: row.spec.source_path.clone(),
            started_by: bound.clip(&row.spec.started_by, 80),
            parent_run_id: row.parent.as_ref().map(|parent| parent.run_id.clone()),
            resumed_from: row.resumed_from.clone(),
        }
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// `invalid_arguments` for a bad cursor or time.
    pub(crate) fn list_runs(&self, params: &ListRunsParams) -> Result<RunsView, Failure> {
        let now = self.env.now;
        let filter = store::RunFilter {
            status: params.status.clone().unwrap_or_default(),
            workflow: params.workflow.clone(),
            since: params.since.as_deref().map(|text| moment(text, now)).transpose()?,
            children: params.children.unwrap_or(false),
            limit: match (params.limit, self.env.bound) {
                (Some(0), _) => return Err(Failure::new(Code::InvalidArguments, "/limit must be at least 1")),
                (Some(limit), _) => limit as usize,
                (None, Bound::Model) => 20,
                (None, Bound::None) => usize::MAX,
            },
            before: runs_cursor(params.cursor.as_deref())?,
            now,
        };
        let page = self.store.runs(&filter)?;
        let mut rows: Vec<RunRow> = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let (status, reason) = self.store.effective_status(row, now);
            rows.push(self.run_row(row, status, reason));
        }
        let mut view = RunsView {
            home: self.home(),
            total: page.total,
            matched: page.matched,
            runs: Vec::new(),
            truncated: false,
            next_cursor: None,
            next: advice(&rows),
        };
        let cut = Room::beside(self.env.bound, &view).keep(&mut rows);
        view.truncated = cut || page.next.is_some();
        let position = rows.len().checked_sub(1).and_then(|last| page.rows.get(last)).map(|row| row.position);
        view.next_cursor = position.filter(|_| view.truncated).map(|n| cursor::list('r', n));
        view.runs = rows;
        Ok(finish(self.env.bound, view))
    }

    /// All static facts of a run.
    pub(super) fn facts(&self, run: &Snapshot) -> Result<RunFacts, Failure> {
        let owner = self.store.owner(&run.row.root)?.map(|row| OwnerView {
            pid: row.owner.pid,
            host: clip(&row.owner.host, 80),
            since: row.since.rfc3339(),
        });
        // A file that is gone cannot be compared; that it is gone, `resume` says.
        let now = run.row.spec.source_path.as_ref().and_then(|path| std::fs::read(path).ok());
        Ok(RunFacts {
            row: self.run_row(&run.row, run.status, run.reason),
            owner,
            home: self.home(),
            source_changed: now.map(|bytes| Hash::of(bytes) != run.row.spec.source_hash),
        })
    }

    /// One question of a run, whatever its state.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn approval(&self, run: &RunId, id: ApprovalId) -> Result<Option<ApprovalRow>, Failure> {
        let all = self.store.approvals(Some(run), None)?;
        let found = all.into_iter().find(|asked| asked.note.approval_id == id);
        Ok(self.asked(found.as_slice())?.pop())
    }
}

/// What to do with what the list shows.
fn advice(rows: &[RunRow]) -> String {
    let has = |status: RunStatus| rows.iter().any(|row| row.status == status);
    let asks = rows.iter().any(|row| row.pending_approvals > 0);
    let mut parts = Vec::new();
    if has(RunStatus::Running) {
        parts.push("owf_wait follows a running run");
    }
    if has(RunStatus::Interrupted) {
        parts.push("owf_resume continues an interrupted run");
    }
    if asks {
        parts.push("owf_approvals shows the open questions");
    } else if has(RunStatus::Paused) {
        parts.push("owf_status shows what a paused run needs");
    }
    match (parts.is_empty(), rows.is_empty()) {
        (false, _) => parts.join("; "),
        (true, false) => "owf_status with a run_id shows one of them".to_owned(),
        (true, true) => "owf_run_workflow starts a run".to_owned(),
    }
}
