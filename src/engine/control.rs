//! Acting on a run from outside: cancel, pause, decide. The owner acts where there is one; else whoever asks does.

use std::time::{Duration, Instant};

use crate::core::failure::Failure;
use crate::core::ids::{ApprovalId, CallId, RunId};
use crate::core::machine::{Input, MachineConfig, Reuse, RunMachine};
use crate::core::run::OnProviderDown;
use crate::store::{CallState, InboxMessage, Store, StoreError};

use super::execute::read_history;
use super::journal::{Journal, now};
use super::params::{CancelParams, DecideParams};
use super::resume::{found, refuse_child};
use super::services::Services;

/// How long a caller waits for the owner to act: well over the 50 ms an owner takes, under what a person minds.
const ACT_WITHIN: Duration = Duration::from_secs(10);

/// Ends a run or one call. Returns when it has ended, or after ten seconds.
pub(crate) fn cancel(store: &Store, params: &CancelParams, by: &str) -> Result<RunId, Failure> {
    let run = named(store, &params.run_id)?;
    let row = found(store, &run)?;
    if row.status == crate::core::run::RunStatus::Cancelled {
        return Ok(run);
    }
    let call_id = match &params.call_id {
        None => None,
        Some(text) => {
            let text = text.rsplit_once('/').map_or(text.as_str(), |(_, call)| call);
            let call: CallId = text.parse().map_err(|_| {
                super::start::invalid(vec![serde_json::json!({
                    "path": "/call_id", "message": "must look like c0009 or 9", "got": text,
                })])
            })?;
            if store.call(&run, call)?.is_none() {
                return Err(StoreError::NotFound { what: "call", name: call.to_string(), nearest: Vec::new() }.into());
            }
            Some(call)
        }
    };
    if call_id.is_none() {
        refuse_child(&row)?;
    }
    let message = InboxMessage::Cancel { call_id, by: by.to_owned(), reason: params.reason.clone() };
    let sent = store.send(&run, &message, now())?;
    if !sent.live_owner && call_id.is_none() {
        match end_now(store, &run, by, params.reason.clone()) {
            // Somebody took the run up meanwhile and reads the inbox.
            Ok(()) | Err(StoreError::Live { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    wait_until(|| match call_id {
        None => store.run(&run).ok().flatten().is_some_and(|r| r.status.is_ended()),
        Some(call) => {
            !sent.live_owner
                || store.call(&run, call).ok().flatten().is_some_and(|c| matches!(c.state, CallState::Ended(_)))
        }
    });
    Ok(run)
}

/// Ends a run that no process executes, its children included.
fn end_now(store: &Store, root: &RunId, by: &str, reason: Option<String>) -> Result<(), StoreError> {
    let lease = store.claim(root, &super::process::info(), now())?;
    let consumed: Vec<i64> = store.inbox(root, 0)?.iter().map(|r| r.id).collect();
    let mut open = vec![root.clone()];
    let mut at = 0;
    while let Some(run) = open.get(at).cloned() {
        open.extend(store.children(&run)?.into_iter().filter(|c| !c.status.is_ended()).map(|c| c.run_id));
        at += 1;
    }
    // Children first: a root that has ended has no open child.
    for run in open.iter().rev() {
        let (history, last) = read_history(store, run)?;
        let Some(spec) = history.spec.clone() else { continue };
        let config = MachineConfig {
            run_id: run.clone(),
            source_hash: spec.source_hash,
            provider: spec.settings.provider.clone(),
            limits: spec.settings.limits,
            schema_attempts: 1,
            on_provider_down: OnProviderDown::Pause,
            strict: false,
            linger: false,
            budget_base: spec.budget_base,
        };
        let mut ledger = crate::core::budget::Ledger::default();
        let mut machine = RunMachine::new(config, history, Reuse::default());
        let step =
            machine.on(Input::Cancel { call_id: None, by: by.to_owned(), reason: reason.clone() }, now(), &mut ledger);
        let mut journal = Journal::new(store.clone(), root.clone(), run.clone(), lease.epoch, last);
        let rows = if run == root { consumed.clone() } else { Vec::new() };
        journal.append(step.events, Vec::new(), rows);
        journal.commit()?;
    }
    Ok(())
}

/// Asks a run to pause: it starts nothing more and lets running attempts finish.
pub(crate) fn pause(store: &Store, run: &str, by: &str) -> Result<RunId, Failure> {
    let run = named(store, run)?;
    refuse_child(&found(store, &run)?)?;
    let sent = store.send(&run, &InboxMessage::Pause { by: by.to_owned() }, now())?;
    if sent.live_owner {
        wait_until(|| !store.is_live(&run));
    }
    Ok(run)
}

/// Records a decision; a run that waits for it and has no process is started again.
pub(crate) fn decide(
    store: &Store,
    services: &Services,
    params: &DecideParams,
    by: &str,
    via: &str,
    person: bool,
) -> Result<(RunId, ApprovalId), Failure> {
    let run = named(store, &params.run_id)?;
    let row = found(store, &run)?;
    let approval_id: ApprovalId = params.approval_id.parse().map_err(|_| {
        super::start::invalid(vec![serde_json::json!({
            "path": "/approval_id", "message": "must look like a1", "got": params.approval_id,
        })])
    })?;
    let message = InboxMessage::Decide {
        approval_id,
        decision: params.decision,
        content_hash: params.content_hash.clone(),
        by: by.to_owned(),
        via: via.to_owned(),
        reason: Some(params.reason.clone()).filter(|r| !r.is_empty()),
        person,
    };
    let sent = store.send(&run, &message, now())?;
    let root = row.spec.root.clone().unwrap_or_else(|| run.clone());
    if !sent.live_owner {
        super::supervise::spawn(store, services, &root)?;
    }
    wait_until(|| store.inbox(&root, 0).is_ok_and(|rows| rows.is_empty()));
    Ok((run, approval_id))
}

/// A run that was named: `latest` is refused, it might be somebody else's.
fn named(store: &Store, reference: &str) -> Result<RunId, Failure> {
    if reference == "latest" {
        return Err(super::start::invalid(vec![serde_json::json!({
            "path": "/run_id", "message": "must name a run, not latest: it may be another client's",
        })]));
    }
    super::reference::resolve(store, Some(reference))
}

fn wait_until(mut reached: impl FnMut() -> bool) {
    let until = Instant::now() + ACT_WITHIN;
    while !reached() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
