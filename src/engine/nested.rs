//! A run started below a call of another run: an agent that reached owf. It is a run of its own, one level deeper, with at most
//! what is left of its parent's budget; what others beside it may still spend is not left.

use crate::core::budget::Charge;
use crate::core::call::CallKind;
use crate::core::environment::Environment;
use crate::core::failure::{Code, Failure};
use crate::core::ids::{CallId, RunId};
use crate::core::run::{ParentRef, RunSpec};
use crate::providers::MARKER;
use crate::store::{Store, Turn};

use super::execute::read_history;

/// Runs that are looked through for what they spent.
const RUNS: usize = 1_000;

/// The call that this process was started for, by the marker in its environment: the root of its run's tree, the run, the call.
fn parent(env: &Environment) -> Option<(RunId, RunId, CallId)> {
    let mut parts = env.get(MARKER)?.split('/');
    let (root, run, call) = (parts.next()?, parts.next()?, parts.next()?);
    Some((root.parse().ok()?, run.parse().ok()?, call.parse().ok()?))
}

/// Makes `spec` a run below the call that this process was started for, if it was. What it gives is to be held until the run is
/// recorded: of two that start side by side the second one sees what the first one has taken.
///
/// # Errors
/// `nesting_limit`, or what the store says.
pub(crate) fn below(spec: &mut RunSpec, env: &Environment, store: &Store) -> Result<Option<Turn>, Failure> {
    let Some((root, run, call_id)) = parent(env) else { return Ok(None) };
    let above = store.run(&run)?;
    // What another home holds cannot be seen from here; it is one level all the same.
    spec.depth = above.as_ref().map_or(0, |row| row.spec.depth) + 1;
    let limit = spec.settings.engine.nesting;
    if spec.depth > limit {
        let message =
            format!("runs may be nested {limit} deep; this one would be level {}, below {run} {call_id}", spec.depth);
        return Err(Failure::new(Code::NestingLimit, message)
            .hint("do the work here instead of starting a run, or raise OWF_NESTING (at most 5) where the first run is started")
            .with("limit", limit)
            .with("got", spec.depth));
    }
    if above.is_none() {
        return Ok(None);
    }
    spec.parent = Some(ParentRef { run_id: run, call_id });
    let mut turn = None;
    if let Some(top) = store.run(&root)? {
        if top.settings.limits.any() {
            turn = Some(store.turn(&root)?);
        }
        let mut seen = 0;
        let spent = spent(store, &root, &mut seen)?;
        let left = |limit: Option<u64>, spent: u64| limit.map(|limit| limit.saturating_sub(spent));
        let least = |own: Option<u64>, left: Option<u64>| match (own, left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (one, None) | (None, one) => one,
        };
        let (theirs, own) = (top.settings.limits, &mut spec.settings.limits);
        own.tokens = least(own.tokens, left(theirs.tokens, spent.charge.tokens));
        own.cost_nanos = least(own.cost_nanos, left(theirs.cost_nanos, spent.charge.cost_nanos));
        own.calls = least(own.calls, left(theirs.calls, spent.charge.calls));
        let calls = top.settings.max_calls.saturating_sub(spent.requested);
        spec.settings.max_calls = spec.settings.max_calls.min(calls);
        spec.settings.allow_unpriced |= top.settings.allow_unpriced;
    }
    Ok(turn)
}

/// What a run tree spent so far, the runs below its calls included.
#[derive(Debug, Default)]
struct Spent {
    charge: Charge,
    requested: u64,
}

fn spent(store: &Store, run: &RunId, seen: &mut usize) -> Result<Spent, Failure> {
    *seen += 1;
    let (history, _) = read_history(store, run)?;
    let requested = history.calls.values().filter(|call| call.kind == CallKind::Agent).count() as u64;
    let mut sum = Spent { charge: history.charged(), requested };
    // What is under way has yet to charge what was set aside for it.
    let aside = history.calls.values().filter(|call| call.open).map(|call| call.reserve_nanos);
    sum.charge.cost_nanos = aside.fold(sum.charge.cost_nanos, u64::saturating_add);
    let children = store.children(run)?.into_iter().map(|row| (row, true));
    let nested = store.nested(run)?.into_iter().map(|row| (row, false));
    for (row, child) in children.chain(nested) {
        if *seen >= RUNS {
            break;
        }
        let mut below = spent(store, &row.run_id, seen)?;
        if !child && !row.status.is_ended() {
            // It may yet spend all that it was given.
            let limits = row.settings.limits;
            let charge = &mut below.charge;
            charge.tokens = charge.tokens.max(limits.tokens.unwrap_or(0));
            charge.cost_nanos = charge.cost_nanos.max(limits.cost_nanos.unwrap_or(0));
            charge.calls = charge.calls.max(limits.calls.unwrap_or(0));
        }
        sum.requested += below.requested;
        // What a child that has ended charged stands in the outcome of the call that started it.
        if !(child && row.status.is_ended()) {
            sum.charge += below.charge;
        }
    }
    Ok(sum)
}
