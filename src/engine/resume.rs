//! Going on with a run: in place, or as a new run that reuses what the old one finished.

use std::cell::LazyCell;

use serde_json::Value;

use crate::core::event::Event;
use crate::core::failure::{Code, Failure};
use crate::core::ids::{Hash, RunId};
use crate::core::json::canonical;
use crate::core::run::{RunOutcome, RunSpec, RunStatus, Settings, StatusReason};
use crate::store::{Created, Lease, RunRow, Store, StoreError};

use super::cleanups::{begun, clean_up_unowned};
use super::execute::read_history;
use super::hooks::Scene;
use super::journal::{Journal, now};
use super::params::{ResumeParams, SourceChoice, args_value};
use super::services::{Services, random};
use super::source::{Reference, Workflow};
use super::start::{Overrides, settings};
use super::view::ResumedHow;

impl From<&ResumeParams> for Overrides {
    fn from(p: &ResumeParams) -> Self {
        Self {
            provider: p.provider.clone(),
            model: p.model.clone(),
            budget_tokens: p.budget_tokens,
            budget_cost_usd: p.budget_cost_usd,
            max_calls: p.max_calls,
            allow_unpriced: p.allow_unpriced,
            allow_commands: p.allow_commands,
            concurrency: p.concurrency,
            cache_policy: p.cache_policy,
            if_workspace_changed: p.if_workspace_changed,
            on_provider_down: p.on_provider_down,
            strict: p.strict,
            check_provider: p.check_provider,
            fixtures: p.fixtures.clone(),
            mood: p.mood.map(Into::into),
        }
    }
}

/// A run that is ready to be taken up by a process.
pub(crate) struct Ready {
    pub(crate) run_id: RunId,
    pub(crate) how: ResumedHow,
    pub(crate) joined: bool,
}

/// Checks everything, then records what the resume changes: new settings in place, or a new run.
pub(crate) fn prepare(params: &ResumeParams, services: &Services, store: &Store) -> Result<Ready, Failure> {
    let run_id = super::reference::resolve(store, params.run_id.as_deref())?;
    // Looked at first: the facts of a run come from its journal, and without one nothing else can be read.
    if store.events(&run_id, 0, 1)?.is_empty() {
        return Err(no_journal(&run_id));
    }
    let row = found(store, &run_id)?;
    refuse_child(&row)?;
    if params.cache_policy == Some(crate::core::call::CachePolicy::Refresh) {
        return Err(super::start::invalid(vec![serde_json::json!({
            "path": "/cache_policy",
            "message": "refresh cannot be used on a resume, which reuses finished calls",
            "hint": "start the workflow again with cache_policy refresh",
        })]));
    }
    // The owner of a run that has ended or paused is on its way out: taking the run up waits for it.
    let leaving = row.status.is_ended() || row.status == RunStatus::Paused;
    if !leaving && let Some(owner) = store.owner(&run_id)? {
        return Err(StoreError::Live { run: run_id, owner: Some(owner) }.into());
    }
    if row.last_seq == 0 {
        return Err(no_journal(&run_id));
    }
    store.verify(&run_id)?;
    let spec = row.spec.clone();
    let workflow = new_source(params, &spec, services)?;
    let (kind, body) = match workflow.as_ref().map(super::source::require).transpose()? {
        Some(script) => (script.kind, script.body.clone()),
        None => {
            let source = store.source(&spec.source_hash)?.unwrap_or_default();
            (spec.kind, String::from_utf8_lossy(&source).into_owned())
        }
    };
    super::commands::learn_secrets(kind, &body, services);
    let args = if params.args.is_some() || params.args_json.is_some() {
        let mut args = args_value(params.args.as_ref(), params.args_json.as_deref())?;
        if let Some(args) = &mut args {
            services.secrets.value(args);
        }
        args
    } else {
        spec.args.clone()
    };
    super::start::check_inputs(kind, &body, args.as_ref())?;
    let base = row.settings.clone();
    let (cwd, _) = super::services::directories(services, params.workspace.as_deref());
    let mut next = settings(&base, &Overrides::from(params), services, store, &cwd)?;
    next.engine = super::limits::limits(&services.env, next.engine)?;
    let changed_source = workflow.as_ref().is_some_and(|w| Hash::of(&w.bytes) != spec.source_hash);
    let changed_args = text(args.as_ref()) != text(spec.args.as_ref());
    if (changed_source || changed_args) && !params.allow_commands {
        // A person allowed the commands of that source with those args, and no others.
        next.allow_commands = false;
    }
    super::commands::check(kind, &body, services, &next)?;
    let new_run = row.status.is_ended()
        || changed_source
        || changed_args
        || params.retry_failed == Some(true)
        || holds_answers_of_fake(&row, &base, &next);
    if !new_run {
        if next != base {
            change_settings(store, &run_id, &next)?;
        }
        return Ok(Ready { run_id, how: ResumedHow::InPlace, joined: false });
    }
    let (source, script_spec) = match &workflow {
        Some(workflow) => {
            let script = super::source::require(workflow)?;
            let fresh = super::start::spec_of(workflow, script, args.clone(), next.clone(), services);
            (workflow.bytes.clone(), Some(fresh))
        }
        None => (store.source(&spec.source_hash)?.unwrap_or_default(), None),
    };
    let mut new_spec = match script_spec {
        Some(fresh) => RunSpec { workspace: spec.workspace.clone(), cwd: spec.cwd.clone(), ..fresh },
        None => spec.clone(),
    };
    new_spec.args = args;
    new_spec.settings = next.clone();
    super::nested::below(&mut new_spec, &services.env, store)?;
    new_spec.resumed_from = Some(run_id.clone());
    new_spec.diverged = None;
    new_spec.started_by.clone_from(&services.started_by);
    new_spec.principal = services.principal.clone().or_else(|| spec.principal.clone());
    super::hooks::require(services, &super::hooks::Named::by(&new_spec))?;
    new_spec.request_key = params.request_key.as_ref().map(|key| {
        let what = format!("{run_id} {} {}", new_spec.source_hash, text(new_spec.args.as_ref()));
        (key.clone(), Hash::of(what))
    });
    // The old run is held before the new one exists: of two who resume it, the slower leaves nothing behind.
    let lease =
        if row.status.is_ended() { None } else { Some(store.claim(&run_id, &super::process::info(), now())?) };
    let new_id = RunId::new(now(), random());
    match store.create_run(&new_id, &new_spec, &source, now())? {
        Created::New => {}
        Created::Joined { run_id } => {
            return Ok(Ready { run_id, how: ResumedHow::NewRun, joined: true });
        }
        Created::KeyConflict { run_id } => {
            return Err(Failure::new(
                Code::RequestKeyConflict,
                format!("request_key started run {run_id} with other arguments"),
            )
            .with("run_id", run_id.to_string()));
        }
    }
    if let Some(lease) = &lease {
        close_superseded(store, services, &run_id, lease, &new_id)?;
    }
    Ok(Ready { run_id: new_id, how: ResumedHow::NewRun, joined: false })
}

fn no_journal(run: &RunId) -> Failure {
    Failure::new(Code::NothingToResume, format!("run {run} has no journal"))
        .hint("start the workflow again with owf run")
}

/// A run as stored, or why it is not there.
pub(crate) fn found(store: &Store, run: &RunId) -> Result<RunRow, Failure> {
    store
        .run(run)?
        .ok_or_else(|| StoreError::NotFound { what: "run", name: run.to_string(), nearest: Vec::new() }.into())
}

/// A child run is acted on through its root.
pub(crate) fn refuse_child(row: &RunRow) -> Result<(), Failure> {
    match &row.spec.root {
        None => Ok(()),
        Some(root) => Err(super::start::invalid(vec![serde_json::json!({
            "path": "/run_id",
            "message": format!("{} is a child run of {root}", row.run_id),
            "hint": format!("use {root}"),
        })])),
    }
}

fn new_source(params: &ResumeParams, spec: &RunSpec, services: &Services) -> Result<Option<Workflow>, Failure> {
    let mut reference =
        Reference { path: params.path.clone(), name: params.name.clone(), script: params.script.clone() };
    if reference.path.is_none() && reference.name.is_none() && reference.script.is_none() {
        if params.source.unwrap_or(SourceChoice::Pinned) == SourceChoice::Pinned {
            return Ok(None);
        }
        let Some(path) = &spec.source_path else {
            return Err(super::start::invalid(vec![serde_json::json!({
                "path": "/source",
                "message": "current needs a file, and this run was started from a bundled workflow or from text",
                "hint": "name the workflow to go on with: path, name or script",
            })]));
        };
        reference.path = Some(path.clone());
    }
    let (cwd, _) = super::services::directories(services, params.workspace.as_deref());
    let workflow = super::source::load(&reference, &cwd, services.user_home.as_deref())?;
    super::source::require(&workflow)?;
    Ok(Some(workflow))
}

fn text(args: Option<&Value>) -> String {
    args.map_or_else(|| "undefined".to_owned(), canonical)
}

/// An unfinished run with generated answers does not go on with a real provider: its history would mix both.
fn holds_answers_of_fake(row: &RunRow, before: &Settings, after: &Settings) -> bool {
    let real = before.provider != after.provider && !crate::core::run::is_fake(&after.provider);
    real && row.simulated
}

fn change_settings(store: &Store, run: &RunId, settings: &Settings) -> Result<(), Failure> {
    let lease = store.claim(run, &super::process::info(), now())?;
    let last = last_seq_of(store, run)?;
    let mut journal = Journal::new(store.clone(), run.clone(), run.clone(), lease.epoch, last);
    let settings = Box::new(settings.clone());
    journal.append(vec![Event::SettingsChanged { settings }], Vec::new(), Vec::new());
    journal.commit()?;
    Ok(())
}

fn last_seq_of(store: &Store, run: &RunId) -> Result<u64, StoreError> {
    store.flush()?;
    store.last_seq(run)
}

/// Ends an unfinished run whose place another one takes.
fn close_superseded(
    store: &Store,
    services: &Services,
    root: &RunId,
    lease: &Lease,
    by: &RunId,
) -> Result<(), StoreError> {
    // What its last owner left running may still change what is cleaned up, and what the new run does.
    super::execute::end_left_behind(root);
    super::isolation::harvest(store, root);
    store.flush()?;
    let sound = LazyCell::new(|| store.verify(root));
    // Children first. Their calls stay as they are: of one that was under way the new run must know that nobody knows how it ended.
    for run in super::control::open_tree(store, root)?.iter().rev() {
        let (history, last_seq) = read_history(store, run)?;
        let warnings = history.spec.as_ref().map_or_else(Vec::new, |spec| {
            let scene = Scene { services, root, run, spec, provider: &spec.settings.provider };
            clean_up_unowned(store, &sound, scene, &begun(&history))
        });
        let mut journal = Journal::new(store.clone(), root.clone(), run.clone(), lease.epoch, last_seq);
        let outcome = Box::new(RunOutcome {
            status: RunStatus::Cancelled,
            reason: Some(StatusReason::Superseded),
            output: None,
            error: None,
            superseded_by: (run == root).then(|| by.clone()),
        });
        let events = warnings.into_iter().chain([Event::RunFinished { outcome }]).collect();
        journal.append(events, Vec::new(), Vec::new());
        journal.commit()?;
    }
    Ok(())
}

/// Goes on with a diverged run as a new one that reuses its outcomes; closes the old one.
pub(crate) fn supersede(
    store: &Store,
    services: &Services,
    run: &RunId,
    lease: &Lease,
    detail: &str,
) -> Result<(RunId, Lease, Settings), Failure> {
    let (history, _) = read_history(store, run)?;
    let Some(spec) = history.spec else {
        return Err(Failure::new(Code::Internal, format!("run {run} has no journal")));
    };
    let settings = history.settings.map_or_else(|| spec.settings.clone(), |s| *s);
    let source = store.source(&spec.source_hash)?.unwrap_or_default();
    let mut next_spec = *spec;
    next_spec.settings = settings.clone();
    next_spec.resumed_from = Some(run.clone());
    next_spec.diverged = Some(detail.to_owned());
    next_spec.started_by.clone_from(&services.started_by);
    next_spec.request_key = None;
    let next = RunId::new(now(), random());
    store.create_run(&next, &next_spec, &source, now())?;
    close_superseded(store, services, run, lease, &next)?;
    let lease = store.claim(&next, &super::process::info(), now())?;
    Ok((next, lease, settings))
}
