//! Whether a wait is over. Edge-triggered: what the cursor was told already does not end it again.

use crate::core::failure::Failure;
use crate::core::ids::RunId;
use crate::core::run::RunStatus;
use crate::engine::params::Until;
use crate::engine::view::{CallState, Woke};
use crate::store::{ApprovalState, CallFilter};

use super::cursor;
use super::handle::Query;

impl Query<'_> {
    /// Why a wait with this cursor is over; none while there is nothing to tell. A run that ended, or that waits for a
    /// person, ends every wait.
    ///
    /// # Errors
    /// `not_found`, `invalid_arguments` for a bad cursor, or what the store says.
    pub(crate) fn woke(&self, run: &RunId, cursor: Option<&str>, until: Until) -> Result<Option<Woke>, Failure> {
        let seen = cursor::sequence(cursor)?;
        let row = self.row(run)?;
        let (status, _) = self.store.effective_status(&row, self.env.now);
        match status {
            // Nothing happens any more without somebody's doing.
            RunStatus::Done | RunStatus::Failed | RunStatus::Cancelled | RunStatus::Interrupted => {
                return Ok(Some(Woke::Ended));
            }
            RunStatus::Paused => return Ok(Some(Woke::NeedsPerson)),
            RunStatus::Queued | RunStatus::Running => {}
        }
        if row.last_seq <= seen && until != Until::Attention {
            return Ok(None);
        }
        match until {
            Until::End => Ok(None),
            Until::Change => Ok(Some(Woke::Change)),
            Until::Attention => {
                if row.failed > 0 && self.first_failure(run)? > Some(seen) {
                    return Ok(Some(Woke::FirstFailure));
                }
                Ok(self.asked_since(run, seen)?.then_some(Woke::NeedsPerson))
            }
        }
    }

    /// The number of the first event by which a call of the run failed.
    fn first_failure(&self, run: &RunId) -> Result<Option<u64>, Failure> {
        let failing = CallState::ALL.into_iter().filter(|state| state.is_failing());
        let filter = CallFilter { status: failing.map(|s| s.as_str().to_owned()).collect(), ..CallFilter::default() };
        Ok(self.store.calls(run, &filter)?.iter().filter_map(|call| call.finished_seq).min())
    }

    /// Whether a question was asked after this event, while the run goes on.
    fn asked_since(&self, run: &RunId, seen: u64) -> Result<bool, Failure> {
        for question in self.store.approvals(Some(run), Some(ApprovalState::Pending))? {
            let call = self.store.call(run, question.note.call_id)?;
            if call.is_some_and(|call| call.changed_seq > seen) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
