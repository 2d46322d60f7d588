//! Workflows that can be run by name, and templates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a workflow was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// In the project.
    Project,
    /// In the user's own directory.
    User,
    /// In owf itself.
    Bundled,
}

/// One workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowRow {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its file.
    pub path: String,
    /// project, user, bundled.
    pub scope: Scope,
    /// Whether it can run.
    pub ok: bool,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Files of the same name that it hides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadows: Option<Vec<String>>,
    /// Properties of args it reads.
    #[serde(default)]
    pub args_read: Vec<String>,
}

/// One template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateRow {
    /// Its name, for `owf new --template`.
    pub name: String,
    /// What it shows.
    pub description: String,
}

/// Reply of `owf list` and `owf examples`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowsView {
    /// Workflows that can be run by name here.
    pub workflows: Vec<WorkflowRow>,
    /// Templates.
    pub templates: Vec<TemplateRow>,
    /// Whether some were left out.
    pub truncated: bool,
}

/// Reply of `owf new`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewWorkflowView {
    /// The file that was written.
    pub path: String,
    /// The template it was made from.
    pub template: String,
    /// Its size.
    pub bytes: u64,
    /// What to do next.
    pub next: String,
}
