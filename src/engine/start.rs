//! Starting a run: everything is checked before a row exists.

use std::path::Path;

use serde_json::{Value, json};

use crate::core::budget::{Charge, Limits};
use crate::core::failure::{Code, Failure};
use crate::core::ids::{Hash, RunId};
use crate::core::json::canonical;
use crate::core::run::{FixturesPin, JOURNAL_FORMAT, RunSpec, Settings, WorkflowKind};
use crate::front::script::Script;
use crate::store::{Created, Store};

use super::params::{RunParams, args_value};
use super::services::Services;
use super::source::{Reference, Workflow};

/// What a run or a resume may set, whatever it is called in its parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) budget_tokens: Option<u64>,
    pub(crate) budget_cost_usd: Option<f64>,
    pub(crate) max_calls: Option<u64>,
    pub(crate) allow_unpriced: Option<bool>,
    pub(crate) allow_commands: bool,
    pub(crate) concurrency: Option<u32>,
    pub(crate) cache_policy: Option<crate::core::call::CachePolicy>,
    pub(crate) if_workspace_changed: Option<crate::core::run::IfWorkspaceChanged>,
    pub(crate) on_provider_down: Option<crate::core::run::OnProviderDown>,
    pub(crate) strict: Option<bool>,
    pub(crate) check_provider: Option<bool>,
    pub(crate) fixtures: Option<String>,
    pub(crate) mood: Option<crate::core::run::Mood>,
}

impl From<&RunParams> for Overrides {
    fn from(p: &RunParams) -> Self {
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
            if_workspace_changed: None,
            on_provider_down: p.on_provider_down,
            strict: p.strict,
            check_provider: p.check_provider,
            fixtures: p.fixtures.clone(),
            mood: p.mood.map(Into::into),
        }
    }
}

/// The settings that `base` becomes with `overrides`, and what the caller should know about it.
///
/// # Errors
/// `invalid_arguments` (all at once), `unknown_provider`, `provider_unavailable`, `unpriced_model`, a bad fixture file. Nothing
/// is written but the pinned fixture file.
pub(crate) fn settings(
    base: &Settings,
    overrides: &Overrides,
    services: &Services,
    store: &Store,
    cwd: &Path,
) -> Result<Settings, Failure> {
    let mut settings = plain_settings(base, overrides)?;
    sound_configuration(services)?;
    if let Some(provider) = &overrides.provider {
        let canonical = services.registry.canonical(provider).ok_or_else(|| unknown_provider(services, provider))?;
        if canonical != settings.provider && overrides.model.is_none() {
            settings.model = None;
        }
        settings.provider = canonical;
    }
    if let Some(model) = &overrides.model {
        settings.model = Some(model.clone());
    }
    if settings.model.as_ref().is_some_and(|model| model.trim().is_empty()) {
        let whose = if overrides.model.is_some() { "" } else { ": OWF_MODEL or the configuration sets it" };
        return Err(invalid(vec![json!({"path": "/model", "message": format!("must not be empty{whose}"),
            "hint": "leave it out for the default model of the provider"})]));
    }
    if let Some(path) = &overrides.fixtures {
        let full = cwd.join(path);
        let full = full.canonicalize().unwrap_or(full);
        let (bytes, _) = super::source::fixtures(&full)?;
        let hash = store.put_source(&bytes)?;
        settings.fixtures = Some(FixturesPin { hash, path: full.display().to_string() });
    }
    if overrides.check_provider.unwrap_or(true) {
        check_provider(services, &settings.provider)?;
    }
    services.config.ceilings.keep(&mut settings)?;
    check_price(services, &settings)?;
    Ok(settings)
}

/// Refuses to start anything by a configuration of which a part could not be read: what it says would silently not count.
///
/// # Errors
/// `invalid_arguments`.
pub(crate) fn sound_configuration(services: &Services) -> Result<(), Failure> {
    match &services.config.refused {
        None => Ok(()),
        Some(what) => {
            Err(Failure::new(Code::InvalidArguments, what.clone()).hint("correct it; owf providers shows what is read"))
        }
    }
}

/// The part of [`settings`] that needs neither providers nor files.
///
/// # Errors
/// `invalid_arguments`, all at once.
pub(crate) fn plain_settings(base: &Settings, overrides: &Overrides) -> Result<Settings, Failure> {
    let mut settings = base.clone();
    let mut wrong = Vec::new();
    if let Some(cost) = overrides.budget_cost_usd {
        if cost.is_finite() && (0.0..=1e9).contains(&cost) {
            settings.limits.cost_nanos = Some((cost * 1e9).round() as u64);
        } else {
            wrong.push(json!({"path": "/budget_cost_usd", "message": "must be a number of dollars from 0 to 1e9", "got": cost.to_string()}));
        }
    }
    if let Some(concurrency) = overrides.concurrency {
        if (1..=1024).contains(&concurrency) {
            settings.concurrency = Some(concurrency);
        } else {
            wrong.push(json!({"path": "/concurrency", "message": "must be from 1 to 1024", "got": concurrency}));
        }
    }
    if let Some(max_calls) = overrides.max_calls {
        if (1..=1_000_000).contains(&max_calls) {
            settings.max_calls = max_calls;
        } else {
            wrong.push(json!({"path": "/max_calls", "message": "must be from 1 to 1000000", "got": max_calls}));
        }
    }
    if !wrong.is_empty() {
        return Err(invalid(wrong));
    }
    if let Some(tokens) = overrides.budget_tokens {
        settings.limits = Limits { tokens: Some(tokens), ..settings.limits };
    }
    settings.allow_commands |= overrides.allow_commands;
    settings.allow_unpriced = overrides.allow_unpriced.unwrap_or(settings.allow_unpriced);
    settings.cache_policy = overrides.cache_policy.unwrap_or(settings.cache_policy);
    settings.if_workspace_changed = overrides.if_workspace_changed.unwrap_or(settings.if_workspace_changed);
    settings.on_provider_down = overrides.on_provider_down.unwrap_or(settings.on_provider_down);
    settings.strict = overrides.strict.unwrap_or(settings.strict);
    if let Some(mood) = overrides.mood {
        settings.mood = Some(mood);
    }
    Ok(settings)
}

/// The settings of a run that sets nothing.
///
/// # Errors
/// `unknown_provider` when the configured one does not exist: it must not silently become generated answers.
pub(crate) fn default_settings(services: &Services) -> Result<Settings, Failure> {
    let provider = match &services.defaults.provider {
        Some(name) => services.registry.canonical(name).ok_or_else(|| unknown_provider(services, name))?,
        None => "fake".to_owned(),
    };
    let (model, engine) = (services.defaults.model.clone(), services.limits);
    Ok(Settings { provider, model, engine, ..Settings::default() })
}

pub(crate) fn invalid(errors: Vec<Value>) -> Failure {
    let text = |e: &Value| {
        let path = e["path"].as_str().unwrap_or("/");
        format!("{path} {}", e["message"].as_str().unwrap_or("is wrong"))
    };
    let list: Vec<String> = errors.iter().map(text).collect();
    let count = if errors.len() == 1 {
        "1 argument is wrong".to_owned()
    } else {
        format!("{} arguments are wrong", errors.len())
    };
    let mut failure = Failure::new(Code::InvalidArguments, format!("{count}: {}", list.join("; ")));
    failure.hint = errors.iter().find_map(|e| e["hint"].as_str()).map(str::to_owned);
    failure.with("errors", errors)
}

pub(crate) fn unknown_provider(services: &Services, name: &str) -> Failure {
    services.registry.unknown(name)
}

fn check_provider(services: &Services, name: &str) -> Result<(), Failure> {
    let Some(provider) = services.registry.get(name) else { return Err(unknown_provider(services, name)) };
    let availability = provider.availability();
    if availability.available {
        return Ok(());
    }
    let usable: Vec<String> = services
        .registry
        .known_names()
        .into_iter()
        .filter(|n| services.registry.get(n).is_some_and(|p| p.availability().available))
        .collect();
    let message = availability.message.unwrap_or_else(|| format!("provider \"{name}\" cannot be used here"));
    Err(Failure::new(Code::ProviderUnavailable, message)
        .hint(format!("use one that is here: {}", usable.join(", ")))
        .allowed(usable))
}

fn check_price(services: &Services, settings: &Settings) -> Result<(), Failure> {
    let fake = crate::core::run::is_fake(&settings.provider);
    if settings.limits.cost_nanos.is_none() || settings.allow_unpriced || fake {
        return Ok(());
    }
    let of_provider = || services.registry.get(&settings.provider).and_then(|provider| provider.default_model());
    let model = settings.model.clone().or_else(of_provider).unwrap_or_default();
    let setup = &services.config.setup;
    if setup.prices.lookup(&settings.provider, &setup.model(&settings.provider, &model)).is_some() {
        return Ok(());
    }
    let what = if model.is_empty() { "its default model".to_owned() } else { format!("model \"{model}\"") };
    Err(Failure::new(
        Code::UnpricedModel,
        format!("no price is known for {what} of {}, so a cost budget cannot be kept", settings.provider),
    )
    .hint(if settings.limits.cost_nanos == services.config.ceilings.budget_cost_nanos {
        "the cost limit is that of the configuration (owf doctor names it): allow_unpriced to go on, or a model with a price"
    } else {
        "set max_calls or budget_tokens instead, or allow_unpriced to go on"
    })
    .with("allow_unpriced", true))
}

/// A run that exists in the store and waits for a process.
pub(crate) struct Recorded {
    pub(crate) run_id: RunId,
    /// An earlier run that the request key found.
    pub(crate) joined: bool,
}

/// Checks everything, then records the run.
pub(crate) fn record(params: &RunParams, services: &Services, store: &Store) -> Result<Recorded, Failure> {
    let (cwd, workspace) = super::services::directories(services, params.workspace.as_deref());
    let reference = Reference { path: params.path.clone(), name: params.name.clone(), script: params.script.clone() };
    let workflow = super::source::load(&reference, &cwd, services.user_home.as_deref())?;
    let script = super::source::require(&workflow)?.clone();
    super::commands::learn_secrets(script.kind, &script.body, services);
    let mut args = args_value(params.args.as_ref(), params.args_json.as_deref())?;
    if let Some(args) = &mut args {
        services.secrets.value(args);
    }
    if params.provider.is_none()
        && let Some(name) = services.defaults.provider.as_deref().filter(|n| services.registry.canonical(n).is_none())
    {
        let mut failure = unknown_provider(services, name);
        let meant = failure.hint.take().map(|hint| format!("{hint} ")).unwrap_or_default();
        return Err(failure.hint(format!("{meant}OWF_PROVIDER or the configuration names it")));
    }
    let base = match &params.provider {
        // A configured provider that is not used need not exist.
        Some(_) => Settings { engine: services.limits, ..Settings::default() },
        None => default_settings(services)?,
    };
    let settings = settings(&base, &Overrides::from(params), services, store, &cwd)?;
    check_inputs(script.kind, &script.body, args.as_ref())?;
    super::commands::check(script.kind, &script.body, services, &settings)?;
    let mut spec = spec_of(&workflow, &script, args, settings, services);
    spec.workspace = workspace.display().to_string();
    spec.cwd = cwd.display().to_string();
    // What was asked for, before it is cut to what is left of another run's budget.
    spec.request_key = params.request_key.as_ref().map(|key| (key.clone(), request_hash(&spec)));
    let turn = super::nested::below(&mut spec, &services.env, store)?;
    super::hooks::require(services, &super::hooks::Named::by(&spec))?;
    if spec.parent.is_some() {
        check_price(services, &spec.settings)?;
    }
    let at = super::journal::now();
    let run_id = RunId::new(at, super::services::random());
    let created = store.create_run(&run_id, &spec, &workflow.bytes, at)?;
    drop(turn);
    let (run_id, joined) = match created {
        Created::New => (run_id, false),
        Created::Joined { run_id } => (run_id, true),
        Created::KeyConflict { run_id } => {
            return Err(Failure::new(
                Code::RequestKeyConflict,
                format!("request_key started run {run_id} with other arguments"),
            )
            .hint("use another key, or owf_wait with that run")
            .with("run_id", run_id.to_string()));
        }
    };
    Ok(Recorded { run_id, joined })
}

/// Checks the args of a document against its inputs.
///
/// # Errors
/// `invalid_arguments` with everything that is wrong with them.
pub(crate) fn check_inputs(kind: WorkflowKind, text: &str, args: Option<&Value>) -> Result<(), Failure> {
    if kind == WorkflowKind::Script {
        return Ok(());
    }
    crate::front::document::check_args(text, args).map_err(|problems| {
        // A text where something else is meant is how a terminal passes it.
        let is_text = problems.iter().any(|message| message.contains(", not \""));
        let failure =
            invalid(problems.into_iter().map(|message| json!({"path": "/args", "message": message})).collect());
        if is_text {
            failure.hint("a value that is no text is passed as JSON, at a terminal --arg NAME:=JSON")
        } else {
            failure
        }
    })
}

/// The facts of a new run of a workflow.
pub(crate) fn spec_of(
    workflow: &Workflow,
    script: &Script,
    args: Option<Value>,
    settings: Settings,
    services: &Services,
) -> RunSpec {
    RunSpec {
        format: JOURNAL_FORMAT,
        workflow_name: script.meta.name.clone(),
        description: script.meta.description.clone(),
        phases: script.meta.phases.iter().map(|p| p.title.clone()).collect(),
        kind: script.kind,
        source_hash: Hash::of(&workflow.bytes),
        source_path: workflow.path.as_ref().map(|p| p.display().to_string()),
        args,
        workspace: services.workspace.display().to_string(),
        cwd: services.cwd.display().to_string(),
        settings,
        parent: None,
        root: None,
        depth: 0,
        resumed_from: None,
        diverged: None,
        started_by: services.started_by.clone(),
        request_key: None,
        metadata: script.policies.metadata.clone(),
        principal: services.principal.clone(),
        hooks: script.policies.hooks.clone(),
        cleanups: script.policies.cleanups.clone(),
        events: script.policies.events.clone(),
        notices: {
            let of_workflow = workflow.notices.iter().map(|n| (n.code.clone(), n.message.clone()));
            of_workflow
                .chain(services.config.notices.iter().map(|text| ("project_file".to_owned(), text.clone())))
                .collect()
        },
        asks: script.asks.clone(),
        budget_base: Charge::default(),
    }
}

/// What makes two requests with one key the same: everything but the moment.
fn request_hash(spec: &RunSpec) -> Hash {
    let value = json!({
        "source": spec.source_hash.to_string(),
        "args": spec.args,
        "args_given": spec.args.is_some(),
        "workspace": spec.workspace,
        "settings": serde_json::to_value(&spec.settings).unwrap_or_default(),
        "resumed_from": spec.resumed_from,
    });
    Hash::of(canonical(&value))
}
