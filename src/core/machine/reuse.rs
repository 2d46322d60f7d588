//! Reuse across runs: which outcomes of earlier runs a new run may take over.

use std::sync::Arc;

use crate::core::call::CallKind;
use crate::core::history::History;
use crate::core::ids::RunId;
use crate::core::outcome::{CallRef, CallStatus, Outcome};
use crate::core::run::is_fake;

use super::api::{Reuse, ReusedCall};
use super::state::{Call, RunMachine};

impl Reuse {
    /// Adds what the journal of `run_id`, `distance` runs back, offers; call it nearest run first. Approvals are always asked
    /// again; `usable` may turn down others (a child that ended with gaps, an answer made in another workspace state).
    pub fn add(
        &mut self,
        distance: u32,
        run_id: &RunId,
        history: &History,
        mut usable: impl FnMut(CallKind, &Outcome) -> bool,
    ) {
        for (id, call) in &history.calls {
            let attempts = self.attempts.entry(*id).or_insert(0);
            *attempts = (*attempts).max(call.attempts);
            let Some((position, outcome)) = &call.outcome else {
                // Nearer runs speak first: a call that ended there is not lost.
                // One that was left with effects of its tools would have them again.
                let left = call.kept.is_some() && !call.effects.is_empty();
                if (call.open || call.lost_last || left) && !self.settled.contains(id) {
                    self.lost.insert(*id);
                }
                continue;
            };
            self.settled.insert(*id);
            let ok = outcome.status == CallStatus::Done && call.kind != CallKind::Approval;
            if ok && !self.ok.contains_key(id) && usable(call.kind, outcome) {
                let from =
                    call.reused.clone().unwrap_or_else(|| CallRef { run_id: run_id.clone(), call_id: call.call_id });
                let outcome = Arc::clone(outcome);
                self.ok.insert(*id, ReusedCall { distance, position: *position, from, outcome });
            }
        }
    }
}

impl RunMachine {
    /// The rank of an earlier outcome that `call` may take over.
    pub(super) fn reusable(&self, call: &Call) -> Option<(u32, u64)> {
        let earlier = self.reuse.ok.get(&(call.key, call.occurrence))?;
        let provider = call.spec.ask.provider.as_deref().unwrap_or(&self.config.provider);
        (!earlier.outcome.simulated || is_fake(provider)).then_some((earlier.distance, earlier.position))
    }
}
