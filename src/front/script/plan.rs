//! A script that parses: its metadata, the text the sandbox runs, and what can be read off it without running.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::call::WorkflowTarget;
use crate::core::run::WorkflowKind;

/// What a script says about itself in `export const meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// The name it is found by: any text but the empty one.
    pub name: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// When to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_to_use: Option<String>,
    /// Its declared phases, in order.
    #[serde(default)]
    pub phases: Vec<PhaseMeta>,
}

/// A declared phase; it is a label only and assigns nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseMeta {
    /// Its title.
    pub title: String,
    /// One line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The model its author expects there; shown, never applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A script without an error: everything about it that is known before it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Script, or a document that can be run like one.
    #[serde(default)]
    pub kind: WorkflowKind,
    /// Its metadata.
    pub meta: Meta,
    /// The source to run; of a document its text, of a script, for the sandbox: byte order mark dropped, `#!` line and the whole `meta` declaration replaced by spaces, so
    /// that every line and column is that of the file and `meta` is not visible.
    pub body: String,
    /// The places that call an agent, in source order.
    pub sites: Vec<AgentSite>,
    /// The loops and fan-outs that hold agent calls, in source order.
    pub fan_outs: Vec<FanOut>,
    /// Properties of `args` that are read by name, in order of appearance, each once.
    pub args_read: Vec<String>,
    /// Providers that agent calls name literally, in order of appearance, each once.
    pub providers_named: Vec<String>,
    /// Models that agent calls name literally, in order of appearance, each once.
    pub models_named: Vec<String>,
    /// Personas that agent calls name literally, in order of appearance, each once.
    pub agent_types_named: Vec<String>,
    /// Child workflows that are named literally, in order of appearance, each once.
    pub workflows_named: Vec<WorkflowTarget>,
    /// The providers that the calls of a document name, where every one of them does; none = the run's own may be asked, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Vec<String>>,
    /// What a document says about policies; nothing for a script.
    #[serde(default)]
    pub policies: Policies,
}

/// What a document says about the policies of its runs. It names what the user configured; it cannot bring any.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Policies {
    /// Configured hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
    /// Configured cleanups that its tasks name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanups: Vec<String>,
    /// Configured event sinks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Its metadata, stored with its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

impl Script {
    /// The index of the innermost agent site that holds a position, both numbers 1-based; with no such site, of the only site
    /// on that line.
    pub fn site_at(&self, line: u32, column: u32) -> Option<usize> {
        let at = (line, column);
        let holds = |s: &AgentSite| (s.line, s.column) <= at && at <= (s.end_line, s.end_column);
        let innermost = self.sites.iter().rposition(holds);
        innermost.or_else(|| {
            let mut on_line = self.sites.iter().enumerate().filter(|(_, s)| s.line == line);
            match (on_line.next(), on_line.next()) {
                (Some((index, _)), None) => Some(index),
                (Some(_) | None, _) => None,
            }
        })
    }
}

/// A place in the source that calls an agent. Positions count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSite {
    /// Line where the call begins.
    pub line: u32,
    /// Column of the first character of `agent` or `owf.agent`.
    pub column: u32,
    /// Line where the call ends.
    pub end_line: u32,
    /// Column after the closing parenthesis.
    pub end_column: u32,
    /// Its label when the source gives one: the literal, with `*` for every part known only at run time.
    pub label: Option<String>,
    /// Its phase when the source gives it literally.
    pub phase: Option<String>,
    /// Whether it asks for structured output.
    pub schema: bool,
    /// The innermost loop or fan-out it stands in, an index into [`Script::fan_outs`].
    pub in_fan_out: Option<usize>,
}

/// A loop or fan-out around agent calls. Positions count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
    /// How it repeats.
    pub kind: FanOutKind,
    /// The source text of what it goes over, or of a loop's condition; white space collapsed, at most 60 characters.
    pub over: String,
    /// What decides how often.
    pub size: FanOutSize,
    /// The loop or fan-out around it, an index into [`Script::fan_outs`].
    pub parent: Option<usize>,
}

/// How a fan-out repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanOutKind {
    /// A callback of an array method such as `map`.
    Callback,
    /// The stages of `pipeline`.
    Pipeline,
    /// A `for`, `while` or `do` statement.
    Loop,
}

/// What decides how often a fan-out repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanOutSize {
    /// The source: this often.
    Fixed(u32),
    /// The args of the run.
    Args,
    /// An answer, or something else known only at run time.
    Open,
}
