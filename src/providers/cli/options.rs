//! What a user may set for the CLIs that have an adapter of their own: `[providers.claude.cli]`, `[providers.codex.cli]`.

use serde::Deserialize;

use super::profile::Profile;

/// The settings of one CLI. Unknown keys are refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Options {
    /// The program: a name that is looked up on PATH, or an absolute path.
    pub(super) program: Option<String>,
    /// More arguments, after ours.
    pub(super) args: Vec<String>,
    /// Names of more variables that it is given.
    pub(super) pass_env: Vec<String>,
    /// The profile of calls that name neither tools nor paths: `lean` or `read`.
    pub(super) profile: Option<Profile>,
    /// Tools that agents may use without being asked, in the CLI's own notation: `Bash(cargo test:*)`.
    pub(super) allow: Vec<String>,
    /// Turns an agent may take.
    pub(super) max_turns: Option<u32>,
    /// A stop, looked at after each of its answers: the one that passes it is paid.
    pub(super) max_budget_usd: Option<f64>,
    /// Retries inside the CLI; the engine's own are journaled.
    pub(super) max_retries: Option<u32>,
    /// MCP servers of agents: a file, or JSON. None = none at all.
    pub(super) mcp_config: Option<String>,
    /// Whether the shell of an agent may see its key where no sandbox can hide it.
    pub(super) shell_sees_key: bool,
    /// Whether a denied tool fails the call.
    pub(super) fail_on_denial: bool,
}

impl Options {
    /// Reads the `cli` part of an entry.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub(super) fn read(name: &str, cli: Option<&toml::Value>) -> Result<Self, String> {
        let Some(cli) = cli else { return Ok(Self::default()) };
        let read: Result<Self, _> = cli.clone().try_into();
        let options: Self = read.map_err(|error: toml::de::Error| {
            format!("the providers file, [providers.{name}.cli]: {}", crate::providers::in_words(&error))
        })?;
        if options.profile == Some(Profile::Write) {
            let why = "profile must be lean or read: a call that changes files says so itself (writeScope, isolation)";
            return Err(format!("the providers file, [providers.{name}.cli]: {why}"));
        }
        Ok(options)
    }
}
