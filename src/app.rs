//! Layer 4: the composition root. Home, configuration and environment become a wired engine.

mod config;
mod policies;
mod project;
mod stamps;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::failure::{Code, Failure};
use crate::core::run::EngineLimits;
use crate::engine::{Engine, Environment, RepositoryMark, Secrets, Services};
use crate::providers::Registry;
use crate::providers::fake::FakeProvider;
use crate::store::StoreOptions;

pub use config::Places;
pub use trust::{Ask as TrustAsk, trust};

/// The name of a home beside what is worked on.
const LOCAL_HOME: &str = ".workflows";

/// Which tools a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolSet {
    /// Every tool.
    All,
    /// What the loop from script to result needs, for clients that load every description.
    Core,
}

/// What the surfaces decide about an engine.
#[derive(Debug, Clone, Default)]
pub struct AppOptions {
    /// The store: `--home`.
    pub home: Option<PathBuf>,
    /// Where relative paths, names, git state and agents start from: `--workspace`.
    pub workspace: Option<PathBuf>,
    /// Who starts runs: `cli` when empty.
    pub started_by: String,
    /// For whom they are: `--principal`, else `OWF_PRINCIPAL`.
    pub principal: Option<String>,
    /// The environment, captured by `main`.
    pub env: Environment,
    /// The working directory.
    pub cwd: PathBuf,
    /// Providers beside the known ones, for tests.
    pub registry: Option<Registry>,
    /// Limits of the engine, for tests; the environment overrides them.
    pub limits: Option<EngineLimits>,
    /// Settings of the store, for tests.
    pub store: Option<StoreOptions>,
    /// The program that executes detached runs; none = this one.
    pub program: Option<PathBuf>,
}

impl AppOptions {
    /// The environment and working directory of this process; the rest as by default. Variables that are not text are left
    /// out: owf reads none of them.
    pub fn from_process() -> Self {
        let vars = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self { env: Environment::new(vars), cwd: std::env::current_dir().unwrap_or_default(), ..Self::default() }
    }
}

/// What lies on disk that decides how an engine is wired: two engines with the same options and the same place are alike.
/// Cheap to look at; no process is started for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    cwd: PathBuf,
    repositories: Vec<RepositoryMark>,
    /// Whether the working directory itself is no place for a home.
    unfit: bool,
    /// The files of the configuration, as far as they are there.
    stamps: Vec<stamps::Stamp>,
}

impl Place {
    /// Looks at the place of an engine that works in `workspace`, else in `cwd`.
    ///
    /// # Errors
    /// A workspace that is no directory.
    pub fn of(env: &Environment, cwd: &Path, workspace: Option<&Path>) -> Result<Self, Failure> {
        let base = cwd;
        let cwd = match workspace {
            Some(dir) => {
                let full = base.join(dir);
                let found = full.canonicalize().ok().filter(|found| found.is_dir());
                found.ok_or_else(|| {
                    Failure::new(Code::NotFound, format!("there is no directory {}", full.display()))
                        .hint("a workspace is the directory that relative paths, names and agents start from")
                        .with("what", "file")
                })?
            }
            None => base.to_path_buf(),
        };
        let user_home = user_home(env);
        let unfit = cwd == Path::new("/")
            || user_home.as_ref() == Some(&cwd)
            || (!cwd.join(LOCAL_HOME).exists() && !writable(&cwd));
        let stamps = stamps::of(env, base, &cwd);
        Ok(Self { repositories: crate::engine::git_marks(&cwd), unfit, stamps, cwd })
    }
}

/// Wires an engine. Nothing is opened, scanned or migrated by this.
///
/// # Errors
/// As [`Place::of`] and [`engine_at`].
pub fn engine(options: AppOptions) -> Result<Engine, Failure> {
    let place = Place::of(&options.env, &options.cwd, options.workspace.as_deref())?;
    engine_at(options, place)
}

/// Wires an engine at a place that was looked at with the same options.
///
/// # Errors
/// A configuration file of the user's that cannot be read or has unknown keys, a limit in the environment that is no number in
/// range; a runtime that cannot start.
pub fn engine_at(options: AppOptions, place: Place) -> Result<Engine, Failure> {
    let Place { cwd, unfit, .. } = place;
    let user_home = user_home(&options.env);
    let limits = crate::engine::limits(&options.env, options.limits.unwrap_or_default())?;
    let home = match &options.home {
        Some(home) => options.cwd.join(home),
        None => default_home(&options.env, &cwd, unfit),
    };
    let workspace = crate::engine::git_top_level(&cwd).unwrap_or_else(|| cwd.clone());
    let config::Configuration { defaults, config } = config::configuration(&options.env, &options.cwd, &workspace)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("owf-async")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Code::Internal, format!("the asynchronous runtime did not start: {e}")))?;
    let started_by = if options.started_by.is_empty() { "cli".to_owned() } else { options.started_by.clone() };
    let principal = options.principal.or_else(|| options.env.get("OWF_PRINCIPAL").map(str::to_owned));
    let fake = || Arc::new(FakeProvider::new(None, None, false));
    let registry = options.registry.unwrap_or_else(|| crate::providers::registry(&config.setup, fake()));
    check_concurrency(&options.env, &registry)?;
    let services = Services {
        registry,
        runtime,
        defaults,
        secrets: secrets(&config, &options.env),
        config,
        env: options.env,
        user_home,
        cwd,
        workspace,
        started_by,
        principal,
        program: options.program,
        limits,
        breakers: Arc::default(),
    };
    Ok(Engine::new(services, home).with_store_options(options.store.unwrap_or_default()))
}

/// The values that are never recorded: keys of providers and secrets of tools.
fn secrets(config: &crate::engine::Configured, env: &Environment) -> Secrets {
    let secrets = Secrets::new(config.setup.secrets.clone());
    secrets.learn(env, config.tools.secrets());
    secrets
}

/// Refuses a concurrency that is no number: a limit that is silently not there is none.
fn check_concurrency(env: &Environment, registry: &Registry) -> Result<(), Failure> {
    let own = registry.known_names().into_iter().map(|name| Registry::concurrency_variable(&name));
    for variable in own.chain(["OWF_MAX_CONCURRENCY".to_owned()]) {
        if let Some(text) = env.get(&variable)
            && !text.trim().parse::<u32>().is_ok_and(|n| n > 0)
        {
            let message = format!("{variable} must be a whole number of at least 1, got `{text}`");
            return Err(Failure::new(Code::InvalidArguments, message).hint("correct it, or unset it"));
        }
    }
    Ok(())
}

/// `OWF_HOME`, else `.workflows` of the main git working tree, else of the working directory; where that is `/`, the user's
/// home or not writable, the user's data directory.
fn default_home(env: &Environment, cwd: &Path, unfit: bool) -> PathBuf {
    if let Some(home) = env.get("OWF_HOME") {
        return cwd.join(home);
    }
    if let Some(tree) = crate::engine::git_main_tree(cwd) {
        return tree.join(LOCAL_HOME);
    }
    let data = env.get("XDG_DATA_HOME").map(PathBuf::from).or_else(|| user_home(env).map(|h| h.join(".local/share")));
    match data {
        Some(data) if unfit => data.join("owf"),
        Some(_) | None => cwd.join(LOCAL_HOME),
    }
}

fn user_home(env: &Environment) -> Option<PathBuf> {
    env.get("HOME").map(PathBuf::from)
}

fn writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}
