//! The tools of the user's configuration, and the servers that lend some of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tool as it is configured here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolRow {
    /// Its name.
    pub name: String,
    /// command, builtin, workflow, mcp; absent when its configuration says nothing that can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its program, built-in tool, workflow, or server and tool there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// What it does, by its configuration, else by its server where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The modes in which it may be used; empty = all.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub modes: Vec<String>,
    /// Whether only one call of it runs at a time.
    pub lock: bool,
    /// Whether a person is asked before it runs.
    pub requires_approval: bool,
    /// Whether a call of it can be taken back.
    pub undo: bool,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A tool that a server offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferedTool {
    /// Its name there.
    pub name: String,
    /// What it does, as the server says.
    pub description: String,
    /// The names that it has here; empty = no workflow can use it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub configured_as: Vec<String>,
}

/// An MCP server that lends tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolServerRow {
    /// Its name.
    pub name: String,
    /// Its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What it offers, where it was asked and answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offers: Option<Vec<OfferedTool>>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Reply of `owf tools`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolsView {
    /// The tools, by name.
    pub tools: Vec<ToolRow>,
    /// The servers, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub servers: Vec<ToolServerRow>,
}
