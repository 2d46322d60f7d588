//! Questions to a person, as shown.

use std::collections::HashMap;

use serde_json::Value;

use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::core::run::WorkflowKind;
use crate::core::time::Millis;
use crate::engine::params::ApprovalsParams;
use crate::engine::view::{ApprovalRow, ApprovalState, ApprovalsView};
use crate::store;

use super::bounds::{Room, clip, finish};
use super::handle::Query;

/// Characters of a question and of its data.
const TEXT: usize = 1_000;

fn state_of(state: store::ApprovalState) -> ApprovalState {
    match state {
        store::ApprovalState::Pending => ApprovalState::Pending,
        store::ApprovalState::Approved => ApprovalState::Approved,
        store::ApprovalState::Denied => ApprovalState::Denied,
        store::ApprovalState::Expired => ApprovalState::Expired,
        store::ApprovalState::Cancelled => ApprovalState::Cancelled,
    }
}

fn stored(state: ApprovalState) -> store::ApprovalState {
    match state {
        ApprovalState::Pending => store::ApprovalState::Pending,
        ApprovalState::Approved => store::ApprovalState::Approved,
        ApprovalState::Denied => store::ApprovalState::Denied,
        ApprovalState::Expired => store::ApprovalState::Expired,
        ApprovalState::Cancelled => store::ApprovalState::Cancelled,
    }
}

/// Where a question stands now: one whose time has passed while no process lived takes no answer any more.
fn state_now(asked: &store::ApprovalRow, now: Millis) -> ApprovalState {
    match asked.state {
        store::ApprovalState::Pending if asked.note.expires_at.is_some_and(|at| at <= now) => ApprovalState::Expired,
        state => state_of(state),
    }
}

/// A question as a row. Data that is too long is shown as the beginning of its JSON text.
fn row(asked: &store::ApprovalRow, asks: WorkflowKind, now: Millis) -> ApprovalRow {
    let note = &asked.note;
    let (approve_means, deny_means) = ApprovalRow::meanings(note.kind, asks);
    let metadata = note.metadata.as_ref().map(|data| {
        let text = data.to_string();
        if text.chars().count() <= TEXT { data.clone() } else { Value::String(clip(&text, TEXT)) }
    });
    ApprovalRow {
        approval_id: note.approval_id.to_string(),
        run_id: asked.run_id.clone(),
        call_id: note.call_id.to_string(),
        kind: note.kind,
        message: clip(&note.message, TEXT),
        metadata,
        content_hash: note.content_hash.clone(),
        decider: note.decider,
        state: state_now(asked, now),
        created_at: asked.created_at.rfc3339(),
        expires_at: note.expires_at.map(Millis::rfc3339),
        on_timeout: note.expires_at.map(|_| note.on_timeout),
        approve_means: approve_means.to_owned(),
        deny_means: deny_means.to_owned(),
        decided_at: asked.decided_at.map(Millis::rfc3339),
        decided_via: asked.decided_via.clone(),
        reason: asked.reason.as_deref().map(|text| clip(text, TEXT)),
    }
}

impl Query<'_> {
    /// Questions as rows.
    pub(super) fn asked(&self, asked: &[store::ApprovalRow]) -> Result<Vec<ApprovalRow>, Failure> {
        let mut kinds = HashMap::new();
        let rows = asked.iter().map(|question| {
            let kind = match kinds.get(&question.run_id) {
                Some(kind) => *kind,
                None => self.store.run(&question.run_id)?.map(|run| run.spec.kind).unwrap_or_default(),
            };
            kinds.insert(question.run_id.clone(), kind);
            Ok(row(question, kind, self.env.now))
        });
        rows.collect()
    }

    /// The open questions of a run and of the runs below it, those included whose time has passed unnoticed.
    pub(super) fn pending(&self, run: &RunId, children: &[RunId]) -> Result<Vec<store::ApprovalRow>, Failure> {
        let mut found = self.store.approvals(Some(run), Some(store::ApprovalState::Pending))?;
        for child in children {
            let tree = match self.tree(child) {
                // It is named by the call that starts it before it is recorded.
                Err(failure) if failure.code == Code::NotFound => continue,
                tree => tree?,
            };
            for run in tree {
                found.extend(self.store.approvals(Some(&run), Some(store::ApprovalState::Pending))?);
            }
        }
        found.sort_by_key(|q| q.created_at);
        Ok(found)
    }

    /// A run and all runs below it.
    fn tree(&self, run: &RunId) -> Result<Vec<RunId>, Failure> {
        let mut tree = vec![run.clone()];
        let mut at = 0;
        while let Some(run) = tree.get(at).cloned() {
            tree.extend(self.store.children(&run)?.into_iter().map(|child| child.run_id));
            at += 1;
        }
        Ok(tree)
    }

    /// Questions of one run and the runs below it, or of all runs, in one state (pending unless asked otherwise), oldest first.
    ///
    /// # Errors
    /// `not_found`, or what the store says.
    pub(crate) fn approvals(&self, params: &ApprovalsParams) -> Result<ApprovalsView, Failure> {
        let run = params.run_id.as_deref().map(|r| self.resolve(Some(r))).transpose()?;
        let state = params.state.unwrap_or_default();
        let mut asked = Vec::new();
        for run in run.map(|run| self.tree(&run)).transpose()?.map_or(vec![None], |t| t.into_iter().map(Some).collect())
        {
            asked.extend(self.store.approvals(run.as_ref(), Some(stored(state)))?);
            if state == ApprovalState::Expired {
                asked.extend(self.store.approvals(run.as_ref(), Some(store::ApprovalState::Pending))?);
            }
        }
        asked.sort_by_key(|q| q.created_at);
        let mut rows = self.asked(&asked)?;
        rows.retain(|row| row.state == state);
        let mut view = ApprovalsView { approvals: Vec::new(), approvals_total: rows.len() as u64, truncated: false };
        view.truncated = Room::beside(self.env.bound, &view).keep(&mut rows);
        view.approvals = rows;
        Ok(finish(self.env.bound, view))
    }
}
