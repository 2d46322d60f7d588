//! MCP servers of the user's configuration, whose tools may be lent to workflows.

use std::time::Duration;

use serde::Deserialize;

/// How long a server may take to get ready when nothing is configured.
const STARTUP_SECONDS: f64 = 30.0;
/// The longest that a server may be given.
const MOST_SECONDS: f64 = 86_400.0;

/// A tool of an MCP server: `mcp = { server = "...", tool = "..." }`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpTool {
    /// The server, by its name in the configuration.
    pub server: String,
    /// The tool, by the name it has there; none = the name it has here.
    #[serde(default)]
    pub tool: Option<String>,
}

/// A program that lends tools over the Model Context Protocol: `[mcp_servers.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpServer {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Names of variables that its environment is given.
    pub env: Vec<String>,
    /// Seconds it may take to get ready.
    pub startup_timeout_seconds: Option<f64>,
    /// Seconds a call of a tool may take that says nothing itself.
    pub timeout_seconds: Option<f64>,
}

impl McpServer {
    /// How long it may take to get ready.
    pub fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.startup_timeout_seconds.unwrap_or(STARTUP_SECONDS))
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<String> {
        let bad = |seconds: Option<f64>| seconds.is_some_and(|s| !(s > 0.0 && s <= MOST_SECONDS));
        if self.command.is_empty() {
            return Some("`command` must name a program".to_owned());
        }
        if bad(self.startup_timeout_seconds) || bad(self.timeout_seconds) {
            return Some("`startup_timeout_seconds` and `timeout_seconds` are above 0 and at most a day".to_owned());
        }
        self.env.iter().find(|name| name.is_empty() || name.contains('=')).map(|name| {
            format!("`env` holds names of variables, never values: `{}`", name.split('=').next().unwrap_or_default())
        })
    }
}
