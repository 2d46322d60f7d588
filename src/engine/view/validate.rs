//! What a check of a workflow found, without running it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::ErrorView;
use crate::core::run::WorkflowKind;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The workflow cannot run.
    Error,
    /// It can, but probably not as meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// error, warning, note.
    pub severity: Severity,
    /// The stable word.
    pub code: String,
    /// What it is.
    pub message: String,
    /// The file, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, 1-based.
    pub line: u32,
    /// Column, 1-based, in characters.
    pub column: u32,
    /// The line of the source.
    pub excerpt: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a workflow says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowMeta {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// When to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_to_use: Option<String>,
    /// Its declared phases.
    #[serde(default)]
    pub phases: Vec<String>,
}

/// Reply of `owf validate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValidateView {
    /// Whether it can run: there is no error.
    pub ok: bool,
    /// `invalid_workflow`, when it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorView>,
    /// Its file; absent for inline text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_path: Option<String>,
    /// Hash of its text.
    #[serde(default)]
    pub script_hash: String,
    /// Size of its text.
    #[serde(default)]
    pub size_bytes: u64,
    /// script, document.
    #[serde(default)]
    pub kind: WorkflowKind,
    /// What it says about itself; absent when that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowMeta>,
    /// Places in the source that call an agent.
    #[serde(default)]
    pub agent_sites: u32,
    /// Properties of args it reads.
    #[serde(default)]
    pub args_read: Vec<String>,
    /// Providers named by literals in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers_named: Option<Vec<String>>,
    /// What was found, errors first.
    pub diagnostics: Vec<Diagnostic>,
    /// What to do next.
    #[serde(default)]
    pub next: String,
}
