//! Temporary.
use super::params::{Detail, Until};
use super::view::{ApprovalRow, RunView, Woke};
use crate::core::failure::Failure;
use crate::core::ids::{ApprovalId, RunId};
use crate::core::time::Millis;
use crate::store::Store;
pub(crate) struct QueryEnv {
    pub now: Millis,
    pub real_providers: Vec<String>,
}
pub(crate) struct Query<'a> {
    pub store: &'a Store,
    pub env: &'a QueryEnv,
}
pub(crate) enum RunScope {
    Start,
    Wait { cursor: Option<String>, detail: Detail },
}
impl Query<'_> {
    pub(crate) fn run_view(&self, run: &RunId, _s: &RunScope) -> Result<RunView, Failure> {
        let row = super::resume::found(self.store, run)?;
        let (status, reason) = self.store.effective_status(&row, self.env.now);
        let mut v = RunView::new(run.clone(), status);
        v.status_reason = reason;
        v.output = row.outcome.and_then(|o| o.output);
        v.next_cursor = row.last_seq.to_string();
        Ok(v)
    }
    pub(crate) fn woke(&self, run: &RunId, _c: Option<&str>, _u: Until) -> Result<Option<Woke>, Failure> {
        let row = super::resume::found(self.store, run)?;
        Ok(row.status.is_ended().then_some(Woke::Ended))
    }
    pub(crate) fn approval(&self, _run: &RunId, _a: ApprovalId) -> Result<Option<ApprovalRow>, Failure> {
        Ok(None)
    }
}
