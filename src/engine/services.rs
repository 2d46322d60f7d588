//! What every run of an engine may use: providers, the asynchronous runtime, the environment as it was at start.

use std::path::PathBuf;

use crate::core::environment::Environment;
use crate::providers::Registry;

use super::configured::Configured;
use super::secrets::Secrets;

/// Configured defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The provider of runs that name none.
    pub provider: Option<String>,
    /// The model of runs that name none.
    pub model: Option<String>,
}

/// The services of an engine.
pub struct Services {
    /// The providers.
    pub registry: Registry,
    /// Where provider futures and timers run.
    pub runtime: tokio::runtime::Runtime,
    /// The environment.
    pub env: Environment,
    /// Values that never reach the store.
    pub secrets: Secrets,
    /// The rest of the configuration.
    pub config: Configured,
    /// Configured defaults.
    pub defaults: Defaults,
    /// The user's home directory.
    pub user_home: Option<PathBuf>,
    /// The directory names and relative paths start from.
    pub cwd: PathBuf,
    /// The directory agents work in.
    pub workspace: PathBuf,
    /// Who starts runs through this engine: `cli`, `mcp claude-code 2.1.329`.
    pub started_by: String,
    /// For whom runs are started, as the user said.
    pub principal: Option<String>,
    /// The program that executes detached runs.
    pub program: Option<PathBuf>,
    /// Defaults of the engine's limits, so that tests can use small ones.
    pub limits: crate::core::run::EngineLimits,
    /// Providers that are left alone for a while.
    pub breakers: std::sync::Arc<super::breaker::Breakers>,
}

/// The working directory and the workspace of a request: those of the engine, or what `workspace` says.
pub(crate) fn directories(services: &Services, workspace: Option<&str>) -> (PathBuf, PathBuf) {
    match workspace {
        None => (services.cwd.clone(), services.workspace.clone()),
        Some(dir) => {
            let dir = services.cwd.join(dir);
            let dir = dir.canonicalize().unwrap_or(dir);
            let top = super::workspace::top_level(&dir).unwrap_or_else(|| dir.clone());
            (dir, top)
        }
    }
}

/// 40 random bits for a run id.
pub(crate) fn random() -> [u8; 5] {
    let mut bits = [0; 5];
    if getrandom::fill(&mut bits).is_err() {
        // No entropy: a clash of ids is caught by the store, so time and process id will do.
        let mix = super::journal::now().0 as u64 ^ (u64::from(std::process::id()) << 20);
        bits.copy_from_slice(&mix.to_le_bytes()[..5]);
    }
    bits
}
