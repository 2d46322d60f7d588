//! Layer 3: the composition root. Home, configuration and environment become a wired engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;

use crate::core::failure::{Code, Failure};
use crate::core::run::EngineLimits;
use crate::engine::{Defaults, Engine, Environment, Secrets, Services};
use crate::providers::fake::FakeProvider;
use crate::providers::{Registry, Setup};
use crate::store::StoreOptions;

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

/// The configuration file: `config.toml` in the user's configuration directory, or what `OWF_CONFIG` names (`none` = nothing).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The provider of runs that name none.
    provider: Option<String>,
    /// The model of runs that name none.
    model: Option<String>,
}

/// Wires an engine. Nothing is opened, scanned or migrated by this.
///
/// # Errors
/// A configuration file that cannot be read or has unknown keys, a limit in the environment that is no number in range; a
/// runtime that cannot start.
pub fn engine(options: AppOptions) -> Result<Engine, Failure> {
    let cwd = match &options.workspace {
        Some(dir) => {
            let full = options.cwd.join(dir);
            let found = full.canonicalize().ok().filter(|found| found.is_dir());
            found.ok_or_else(|| {
                Failure::new(Code::NotFound, format!("there is no directory {}", full.display()))
                    .hint("a workspace is the directory that relative paths, names and agents start from")
                    .with("what", "file")
            })?
        }
        None => options.cwd.clone(),
    };
    let user_home = options.env.get("HOME").map(PathBuf::from);
    let config = config(&options.env, user_home.as_deref())
        .map_err(|e| Failure::new(Code::InvalidArguments, format!("{e:#}")))?;
    let limits = crate::engine::limits(&options.env, options.limits.unwrap_or_default())?;
    let home = match &options.home {
        Some(home) => options.cwd.join(home),
        None => default_home(&options.env, &cwd, user_home.as_deref()),
    };
    let workspace = crate::engine::git_top_level(&cwd).unwrap_or_else(|| cwd.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("owf-async")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Code::Internal, format!("the asynchronous runtime did not start: {e}")))?;
    let started_by = if options.started_by.is_empty() { "cli".to_owned() } else { options.started_by.clone() };
    let setup = Setup::new(options.env.clone());
    let fake = || Arc::new(FakeProvider::new(None, None, false));
    let registry = options.registry.unwrap_or_else(|| crate::providers::registry(&setup, fake()));
    check_concurrency(&options.env, &registry)?;
    let services = Services {
        registry,
        runtime,
        defaults: Defaults {
            provider: options.env.get("OWF_PROVIDER").map(str::to_owned).or(config.provider),
            model: options.env.get("OWF_MODEL").map(str::to_owned).or(config.model),
        },
        secrets: Secrets::of(&options.env, &crate::providers::key_variables()),
        env: options.env,
        user_home,
        cwd,
        workspace,
        started_by,
        program: options.program,
        limits,
        breakers: Arc::default(),
    };
    Ok(Engine::new(services, home).with_store_options(options.store.unwrap_or_default()))
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

fn config(env: &Environment, user_home: Option<&Path>) -> anyhow::Result<Config> {
    let path = match env.get("OWF_CONFIG") {
        Some("none") => return Ok(Config::default()),
        Some(path) => PathBuf::from(path),
        None => {
            let dir = env.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| user_home.map(|h| h.join(".config")));
            match dir.map(|d| d.join("owf/config.toml")) {
                Some(path) if path.exists() => path,
                Some(_) | None => return Ok(Config::default()),
            }
        }
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read the configuration {}", path.display()))?;
    toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        anyhow::anyhow!("the configuration {} is wrong in line {line}: {}", path.display(), error.message())
    })
}

/// `OWF_HOME`, else `.workflows` of the main git working tree, else of the working directory; where that is `/`, the user's
/// home or not writable, the user's data directory.
fn default_home(env: &Environment, cwd: &Path, user_home: Option<&Path>) -> PathBuf {
    if let Some(home) = env.get("OWF_HOME") {
        return cwd.join(home);
    }
    if let Some(tree) = crate::engine::git_main_tree(cwd) {
        return tree.join(".workflows");
    }
    let local = cwd.join(".workflows");
    let unfit = cwd == Path::new("/") || user_home == Some(cwd) || (!local.exists() && !writable(cwd));
    let data = env.get("XDG_DATA_HOME").map(PathBuf::from).or_else(|| user_home.map(|h| h.join(".local/share")));
    match data {
        Some(data) if unfit => data.join("owf"),
        Some(_) | None => local,
    }
}

fn writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}
