//! Acting on a run from outside: cancel, pause, decide. The owner acts where there is one; else whoever asks does.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use crate::core::failure::{Code, Failure};
use crate::core::ids::{ApprovalId, CallId, RunId};
use crate::core::machine::{Input, MachineConfig, Reuse, RunMachine};
use crate::core::run::{OnProviderDown, RunStatus};
use crate::core::time::Millis;
use crate::store::{ApprovalState, CallState, InboxMessage, Store, StoreError};

use super::cleanups::clean_up_unowned;
use super::execute::read_history;
use super::hooks::Scene;
use super::journal::{Journal, now};
use super::params::{CancelParams, DecideParams};
use super::resume::{found, refuse_child};
use super::services::Services;

/// How long a caller waits for the owner to act: well over the 50 ms an owner takes, under what a person minds.
const ACT_WITHIN: Duration = Duration::from_secs(10);

/// Ends a run or one call. Returns when it has ended, or after ten seconds; a run that no process executes is ended and cleaned up
/// after here, however long its cleanups may take.
pub(crate) fn cancel(store: &Store, services: &Services, params: &CancelParams, by: &str) -> Result<RunId, Failure> {
    let run = named(store, &params.run_id)?;
    let row = found(store, &run)?;
    if row.status == RunStatus::Cancelled {
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
        match end_now(store, services, &run, by, params.reason.clone()) {
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

/// Ends a run that no process executes, its children included, and cleans up after it.
fn end_now(
    store: &Store,
    services: &Services,
    root: &RunId,
    by: &str,
    reason: Option<String>,
) -> Result<(), StoreError> {
    let lease = store.claim(root, &super::process::info(), now())?;
    super::execute::end_left_behind(root);
    super::isolation::harvest(store, root);
    let consumed: Vec<i64> = store.inbox(root, 0)?.iter().map(|r| r.id).collect();
    let sound = LazyCell::new(|| store.verify(root));
    // Children first: a root that has ended has no open child.
    for run in open_tree(store, root)?.iter().rev() {
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
            person_decides: false,
            waits: spec.settings.engine.into(),
        };
        let begun = super::cleanups::begun(&history);
        let mut ledger = crate::core::budget::Ledger::default();
        let mut machine = RunMachine::new(config, history, Reuse::default());
        let mut step =
            machine.on(Input::Cancel { call_id: None, by: by.to_owned(), reason: reason.clone() }, now(), &mut ledger);
        let mut journal = Journal::new(store.clone(), root.clone(), run.clone(), lease.epoch, last);
        let rows = if run == root { consumed.clone() } else { Vec::new() };
        let scene = Scene { services, root, run, spec: &spec, provider: &spec.settings.provider };
        let warnings = clean_up_unowned(store, &sound, scene, &begun);
        let end = step.events.pop();
        step.events.extend(warnings);
        step.events.extend(end);
        journal.append(step.events, Vec::new(), rows);
        journal.commit()?;
    }
    Ok(())
}

/// A run and all below it that have not ended, each before those below it.
pub(super) fn open_tree(store: &Store, root: &RunId) -> Result<Vec<RunId>, StoreError> {
    let mut open = vec![root.clone()];
    let mut at = 0;
    while let Some(run) = open.get(at).cloned() {
        open.extend(store.children(&run)?.into_iter().filter(|c| !c.status.is_ended()).map(|c| c.run_id));
        at += 1;
    }
    Ok(open)
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

/// Records a decision; a run that waits for it and has no process is started again. Returns the run that was named, and the
/// one of its tree that asked.
pub(crate) fn decide(
    store: &Store,
    services: &Services,
    params: &DecideParams,
    by: &str,
    via: &str,
    person: bool,
) -> Result<Decided, Failure> {
    let named = named(store, &params.run_id)?;
    let row = found(store, &named)?;
    let approval_id: ApprovalId = params.approval_id.parse().map_err(|_| {
        super::start::invalid(vec![serde_json::json!({
            "path": "/approval_id", "message": "must look like a1", "got": params.approval_id,
        })])
    })?;
    let root = row.spec.root.clone().unwrap_or_else(|| named.clone());
    store.verify(&root)?;
    let asker = asker(store, &named, approval_id)?;
    let mut reason = Some(params.reason.clone()).filter(|r| !r.is_empty());
    services.secrets.option(&mut reason);
    let message = InboxMessage::Decide {
        approval_id,
        decision: params.decision,
        content_hash: params.content_hash.clone(),
        by: by.to_owned(),
        via: via.to_owned(),
        reason,
        person,
    };
    let sent = store.send(&asker, &message, now()).map_err(|error| closed(store, &asker, &root, approval_id, error))?;
    if !sent.live_owner {
        super::supervise::spawn(store, services, &root)?;
    }
    wait_until(|| store.inbox(&root, 0).is_ok_and(|rows| rows.is_empty()));
    Ok(Decided { named, asker, approval_id })
}

/// A decision that was recorded.
pub(crate) struct Decided {
    /// The run that the decider named.
    pub(crate) named: RunId,
    /// The run that asked: that one, or one below it.
    pub(crate) asker: RunId,
    /// The question.
    pub(crate) approval_id: ApprovalId,
}

/// The run that asks a question named by one of the runs above it: questions are counted per run, so an open one wins, and
/// two open ones are told apart by their own runs' ids.
fn asker(store: &Store, named: &RunId, approval_id: ApprovalId) -> Result<RunId, Failure> {
    let mut tree = vec![named.clone()];
    let (mut open, mut any) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(run) = tree.get(at).cloned() {
        let asked = store.approvals(Some(&run), None)?;
        if let Some(question) = asked.iter().find(|q| q.note.approval_id == approval_id) {
            if question.state == ApprovalState::Pending {
                open.push(run.clone());
            }
            any.push(run.clone());
        }
        tree.extend(store.children(&run)?.into_iter().map(|c| c.run_id));
        at += 1;
    }
    match open.as_slice() {
        [] => Ok(any.into_iter().next().unwrap_or_else(|| named.clone())),
        [one] => Ok(one.clone()),
        [first, ..] if first == named => Ok(first.clone()),
        several => Err(Failure::new(
            Code::Ambiguous,
            format!("{} runs below {named} ask a question {approval_id}", several.len()),
        )
        .allowed(several.iter().map(ToString::to_string))
        .hint("name the run that asks")),
    }
}

/// Why a decision came too late, in full: who was faster, or what the expiry counted as.
fn closed(store: &Store, asker: &RunId, root: &RunId, approval_id: ApprovalId, error: StoreError) -> Failure {
    let question = store
        .approvals(Some(asker), None)
        .ok()
        .and_then(|all| all.into_iter().find(|q| q.note.approval_id == approval_id));
    let (Some(question), StoreError::AlreadyDecided(_) | StoreError::ApprovalExpired) = (question, &error) else {
        return error.into();
    };
    let clock = |at: Option<Millis>| {
        at.map(|at| format!(" at {}Z", at.rfc3339().get(11..19).unwrap_or_default())).unwrap_or_default()
    };
    let mut failure = Failure::from(error);
    match failure.code {
        Code::AlreadyDecided => {
            let word = match question.state {
                ApprovalState::Approved => "approved",
                ApprovalState::Denied => "denied",
                ApprovalState::Pending | ApprovalState::Expired | ApprovalState::Cancelled => "withdrawn",
            };
            let by = match (&question.decided_via, &question.decided_by) {
                (Some(via), Some(by)) if via != by => format!(" by {via} ({by})"),
                (_, Some(by)) => format!(" by {by}"),
                (_, None) => String::new(),
            };
            let why = question.reason.map(|r| format!(": \"{r}\"")).unwrap_or_default();
            failure.message = format!("approval {approval_id} was {word}{}{by}{why}", clock(question.decided_at));
            failure.hint(format!("owf status {} shows how the run went on", root.short()))
        }
        _ => {
            let answer = question.note.on_timeout.as_str();
            failure.message =
                format!("approval {approval_id} expired{}, which counts as {answer}", clock(question.note.expires_at));
            let waits = question.state == ApprovalState::Pending;
            let short = root.short();
            failure.hint(if waits {
                format!("owf resume {short} goes on with that answer")
            } else {
                format!("owf status {short} shows how the run went on")
            })
        }
    }
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
