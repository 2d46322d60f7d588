//! What the result of a run lacks: failed calls, and exceptions turned into null.

use crate::core::event::Event;
use crate::engine::view::{Gap, SwallowedRow};
use crate::store::CallRow;

use super::bounds::clip;
use super::snapshot::Snapshot;

/// Characters of a message in a row.
const MESSAGE: usize = 200;
/// Characters of a label in a row.
pub(super) const LABEL: usize = 120;

/// The failed calls, in call order.
pub(super) fn failed(run: &Snapshot) -> Vec<&CallRow> {
    run.calls.iter().filter(|call| run.state(call).is_failing()).collect()
}

/// A failed call as a gap, with the number of attempts when there were several.
pub(super) fn gap(run: &Snapshot, call: &CallRow) -> Gap {
    let mut message = call.error.as_ref().map(|(_, message)| message.clone()).unwrap_or_default();
    if call.attempts > 1 {
        message = format!("{} ({} attempts)", clip(&message, MESSAGE - 20), call.attempts);
    }
    Gap {
        call_id: call.call_id.to_string(),
        label: clip(&call.label, LABEL),
        status: run.state(call),
        message: clip(&message, MESSAGE),
    }
}

/// Exceptions turned into null that no failed call explains.
pub(super) fn swallowed(run: &Snapshot) -> Vec<SwallowedRow> {
    let rows = run.events.iter().filter_map(|e| match &e.event {
        Event::Swallowed { what } if what.call_id.is_none() => Some(what),
        _ => None,
    });
    rows.map(|what| SwallowedRow { message: clip(&what.message, MESSAGE), ..what.into() }).collect()
}
