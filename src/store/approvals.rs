//! Reading questions to people.

use rusqlite::params;

use crate::core::call::Decision;
use crate::core::event::ApprovalNote;
use crate::core::ids::RunId;
use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::journal;
use crate::store::projection::ApprovalState;
use crate::store::rows::{self, APPROVAL_COLUMNS};
use crate::store::runs::id_of;
use crate::store::store::Store;

/// A question and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalRow {
    /// The run that asks.
    pub run_id: RunId,
    /// The question.
    pub note: ApprovalNote,
    /// When it was asked.
    pub created_at: Millis,
    /// Where it stands.
    pub state: ApprovalState,
    /// The answer, also what an expiry counted as.
    pub decision: Option<Decision>,
    /// When it was decided.
    pub decided_at: Option<Millis>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// Through what.
    pub decided_via: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Store {
    /// Questions, oldest first; of one run, in one state.
    ///
    /// # Errors
    /// `NotFound` for the run, or what the database says.
    pub fn approvals(&self, run: Option<&RunId>, state: Option<ApprovalState>) -> Result<Vec<ApprovalRow>, StoreError> {
        self.read(|db| {
            let no = match run {
                Some(run) => Some(journal::number(db, run)?.ok_or_else(|| StoreError::no_run(run))?),
                None => None,
            };
            // Written out, so that the index of open questions serves the commonest query.
            let state_is = match state {
                Some(ApprovalState::Pending) => "state = 'pending'",
                _ => "(?2 IS NULL OR state = ?2)",
            };
            let sql = format!(
                "SELECT {APPROVAL_COLUMNS} FROM approval WHERE {state_is} AND (?1 IS NULL OR run = ?1) \
                 AND (?2 IS NULL OR state = ?2) ORDER BY asked_at, run, approval_id"
            );
            let mut select = db.prepare_cached(&sql)?;
            let mut rows = select.query(params![no, state.map(ApprovalState::as_str)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let run_no: i64 = row.get(0)?;
                let fold = rows::read_approval(row)?;
                let answer = fold.answer;
                found.push(ApprovalRow {
                    run_id: id_of(db, run_no)?,
                    note: fold.note,
                    created_at: fold.asked_at,
                    state: fold.state,
                    decision: answer.as_ref().map(|a| a.decision),
                    decided_at: answer.as_ref().map(|a| a.at),
                    decided_by: answer.as_ref().map(|a| a.by.clone()),
                    decided_via: answer.as_ref().map(|a| a.via.clone()),
                    reason: answer.and_then(|a| a.reason),
                });
            }
            Ok(found)
        })
    }
}
