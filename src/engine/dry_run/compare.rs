//! Which calls a resume would reuse, and why the others run again.

use std::collections::HashSet;

use crate::core::history::add_cost;
use crate::core::ids::RunId;
use crate::core::outcome::{CallStatus, ReasonCode};
use crate::engine::view::{RerunCall, ReuseForecast, Usd};

use super::against::{Against, Identity, changed};
use super::record::Rehearsed;
use super::stage::Stage;

/// What a resume would reuse, summed over the run tree.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Forecast {
    replayed: u64,
    rerun: Vec<RerunCall>,
    saved_nanos: Option<u64>,
}

impl Forecast {
    /// The forecast as a reply shows it: `rows` rerun calls at most; also whether some were left out.
    pub(super) fn view(&self, run_id: &RunId, rows: usize) -> (ReuseForecast, bool) {
        let view = ReuseForecast {
            run_id: run_id.clone(),
            replayed: self.replayed,
            rerun: self.rerun.len() as u64,
            rerun_calls: self.rerun.iter().take(rows).cloned().collect(),
            saved_usd: self.saved_nanos.map(Usd::from_nanos),
        };
        (view, self.rerun.len() > rows)
    }
}

impl Stage {
    /// Adds the calls of one played run to the forecast.
    pub(super) fn forecast_run(&mut self, run: usize, against: Option<&Against>) {
        let Some(against) = against else { return };
        let real = self.settings.provider != "fake";
        let calls: Vec<&Rehearsed> = self.record.calls.iter().filter(|c| c.run == run).collect();
        let mut taken: HashSet<Identity> = calls.iter().map(|c| (c.key, c.occurrence)).collect();
        for call in calls {
            if let Some(reused) = call.reused {
                self.forecast.replayed += reused.calls;
                self.forecast.saved_nanos = add_cost(self.forecast.saved_nanos, reused.cost_nanos);
            } else if call.is_sent() {
                let (reason_code, changed) = reason(call, against, &mut taken, real);
                self.forecast.rerun.push(RerunCall { label: call.spec.label.clone(), reason_code, changed });
            }
        }
    }
}

fn reason(
    call: &Rehearsed,
    against: &Against,
    taken: &mut HashSet<Identity>,
    default_is_real: bool,
) -> (ReasonCode, Vec<String>) {
    let only = |code| (code, Vec::new());
    if let Some(earlier) = against.earlier.get(&(call.key, call.occurrence)) {
        let real = call.provider.as_deref().map_or(default_is_real, |name| name != "fake");
        return match earlier.status {
            Some(CallStatus::Done) if earlier.simulated && real => only(ReasonCode::Simulated),
            // Everything asked is equal and the answer was good: the files it was based on are others now.
            Some(CallStatus::Done) => (ReasonCode::Changed, vec!["workspace".to_owned()]),
            None | Some(CallStatus::Cancelled | CallStatus::Skipped) => only(ReasonCode::EarlierCancelled),
            Some(
                CallStatus::Failed
                | CallStatus::SchemaFailed
                | CallStatus::ProviderFailed
                | CallStatus::Timeout
                | CallStatus::WorktreeFailed
                | CallStatus::BudgetExhausted
                | CallStatus::Denied,
            ) => only(ReasonCode::EarlierFailed),
        };
    }
    if call.occurrence > 1 && against.earlier.contains_key(&(call.key, 1)) {
        return only(ReasonCode::Occurrence);
    }
    match against.nearest(&call.spec, taken) {
        Some((id, earlier)) => {
            taken.insert(id);
            (ReasonCode::Changed, changed(&earlier.spec.ask, &call.spec.ask))
        }
        None => only(ReasonCode::FirstTime),
    }
}
