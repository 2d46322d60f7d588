//! The dry run as a request: parameters and the store become the input of a rehearsal.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::core::call::CallKind;
use crate::core::event::EventRecord;
use crate::core::failure::Failure;
use crate::core::ids::{Hash, RunId};
use crate::core::run::{IfWorkspaceChanged, Settings};
use crate::store::{Store, StoreError};

use super::dry_run::{Against, DryRunInput, dry_run as rehearse};
use super::engine::Engine;
use super::not_here::{Consequence, NotHere, not_here};
use super::params::{DryRunParams, args_value};
use super::services::directories;
use super::source::{Reference, load};
use super::start::{Overrides, plain_settings};
use super::view::{DryRunView, Notice};

/// Wall clock a dry run may take.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// Rehearses a workflow; reads the store only to compare, and writes nothing.
pub(crate) fn dry_run(engine: &Engine, params: &DryRunParams) -> Result<DryRunView, Failure> {
    let services = engine.services();
    // Opening the store brings what was observed with models; without one, or with one that cannot be read, the estimate is
    // blind.
    let _ = engine.existing();
    let (cwd, _) = directories(services, params.workspace.as_deref());
    let reference = Reference::new(params.path.as_ref(), params.name.as_ref(), params.script.as_ref());
    let mut workflow = load(&reference, &cwd, services.user_home.as_deref())?;
    let overrides = Overrides {
        budget_tokens: params.budget_tokens,
        budget_cost_usd: params.budget_cost_usd,
        max_calls: params.max_calls,
        concurrency: params.concurrency,
        if_workspace_changed: params.if_workspace_changed,
        mood: params.mood.map(Into::into),
        ..Overrides::default()
    };
    let base = Settings { engine: services.limits, ..Settings::default() };
    let mut settings = plain_settings(&base, &overrides)?;
    services.config.ceilings.keep(&mut settings)?;
    let fixtures = match &params.fixtures {
        Some(path) => Some(super::source::fixtures(&cwd.join(path))?.1),
        None => None,
    };
    let planned = params.fixtures.is_none().then_some(&settings);
    let refused = workflow.checked.script.iter().flat_map(|script| not_here(script, services, planned));
    let notices: Vec<Notice> = refused.map(told).collect();
    workflow.notices.extend(notices);
    let args = args_value(params.args.as_ref(), params.args_json.as_deref())?;
    let rerun = settings.if_workspace_changed == IfWorkspaceChanged::Rerun;
    let against = match &params.against {
        Some(reference) => {
            let store = engine.existing()?;
            let run = super::reference::resolve(&store, Some(reference))?;
            against(&store, &run, rerun, services.user_home.as_deref())?
        }
        None => None,
    };
    let args = match (args, &params.against) {
        // What a resume would run: with the recorded args unless others are given.
        (None, Some(reference)) => {
            let store = engine.existing()?;
            store.run(&super::reference::resolve(&store, Some(reference))?)?.and_then(|row| row.spec.args)
        }
        (args, _) => args,
    };
    rehearse(DryRunInput {
        workflow,
        args,
        provider: params.provider.clone().or_else(|| services.defaults.provider.clone()),
        // A configured model belongs to the configured provider.
        model: params.model.clone().or_else(|| {
            services
                .defaults
                .model
                .clone()
                .filter(|_| params.provider.is_none() || params.provider == services.defaults.provider)
        }),
        settings,
        registry: services.registry.clone(),
        setup: services.config.setup.clone(),
        fixtures,
        assume: params.assume.clone().unwrap_or_default(),
        against,
        full: params.full == Some(true),
        cwd,
        user_home: services.user_home.clone(),
        time_limit: TIME_LIMIT,
    })
}

/// What a run would say at once, or as soon as it comes to it.
fn told(one: NotHere) -> Notice {
    let before = match one.consequence {
        Consequence::Refused => "A run would be refused: ",
        Consequence::Fails => "A task would fail: ",
        Consequence::Nothing => "",
    };
    let hint = one.failure.hint.map(|hint| format!(": {hint}")).unwrap_or_default();
    Notice::new("not_configured", format!("{before}{}{hint}", one.failure.message))
}

fn against(store: &Store, run: &RunId, rerun: bool, home: Option<&Path>) -> Result<Option<Against>, StoreError> {
    let mut chain = Vec::new();
    let mut next = Some(run.clone());
    let mut spec = None;
    while let Some(id) = next {
        let row = store.run(&id)?;
        // The one asked for says where the workspace is.
        spec = spec.or_else(|| row.as_ref().map(|r| r.spec.clone()));
        next = row.and_then(|r| r.resumed_from);
        chain.push((id.clone(), all_events(store, &id)?));
    }
    let workspace = spec.as_ref().map(|spec| super::workspace::Comparison::with(store, spec));
    let mut found = Against::new(&chain, |kind, outcome| match (kind, &outcome.child_run) {
        (_, Some(child)) => super::child::reusable_child(store, child, home),
        (CallKind::Workflow, None) => false,
        (_, None) => !(rerun && workspace.as_ref().is_some_and(|w| w.changed(outcome.workspace.as_deref()))),
    });
    if let Some(found) = &mut found {
        let mut children: HashMap<(Hash, u32), Against> = HashMap::new();
        for (id, child) in children_of(&chain) {
            if found.reuse.ok.contains_key(&id) || children.contains_key(&id) {
                continue;
            }
            if let Some(inner) = against(store, &child, rerun, home)? {
                children.insert(id, inner);
            }
        }
        found.children = children;
    }
    Ok(found)
}

/// Child runs by the identity of the call that started them, nearest run first.
fn children_of(chain: &[(RunId, Vec<EventRecord>)]) -> Vec<((Hash, u32), RunId)> {
    let mut out = Vec::new();
    for (_, events) in chain {
        let history = crate::core::history::History::of(events.iter().map(|e| (e.at, &e.event)));
        for (id, call) in &history.calls {
            let settled = call.outcome.as_ref().and_then(|(_, o)| o.child_run.clone());
            if let Some(child) = settled.or_else(|| call.child_run.clone()) {
                out.push((*id, child));
            }
        }
    }
    out
}

fn all_events(store: &Store, run: &RunId) -> Result<Vec<EventRecord>, StoreError> {
    const PAGE: usize = 10_000;
    let mut out = Vec::new();
    loop {
        let page = store.events(run, out.last().map_or(0, |e: &EventRecord| e.seq), PAGE)?;
        let full = page.len() == PAGE;
        out.extend(page);
        if !full {
            return Ok(out);
        }
    }
}
