//! What starts a workflow, rehearses it, checks it, or goes on with a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::{Detail, MoodArg, SourceChoice};
use crate::core::call::CachePolicy;
use crate::core::run::{IfWorkspaceChanged, OnProviderDown};

/// Starts a workflow.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunParams {
    /// Workflow file. Wins over name and script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Workflow name. Wins over script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Workflow text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The workflow's args. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// Args as JSON text, when they are no object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_json: Option<String>,
    /// claude, codex, fake (invents answers), ... Default: the configured one, else fake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Output tokens at most (budget.total).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// US dollars at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_cost_usd: Option<f64>,
    /// Limit on agent calls. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Allow a cost limit without a known price. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_unpriced: Option<bool>,
    /// Allow commands. Never an argument of a tool: only a person at a terminal says so.
    #[serde(skip)]
    #[schemars(skip)]
    pub allow_commands: bool,
    /// Calls at once. Default: by provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Answers of other runs: refresh asks again (not on resume). Default: auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_policy: Option<CachePolicy>,
    /// File with answers for fake. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<String>,
    /// How fake answers otherwise. Default: happy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<MoodArg>,
    /// Fail the run when any call failed. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Look for the provider first. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_provider: Option<bool>,
    /// No login or quota. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_provider_down: Option<OnProviderDown>,
    /// Seconds to wait for the end; the run goes on. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u32>,
    /// The same key joins the run it started. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
    /// full adds calls. Default: concise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Where paths, names and agents start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Store directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// Rehearses a workflow with generated answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRunParams {
    /// Workflow file. Wins over name and script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Workflow name. Wins over script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Workflow text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The workflow's args. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// Args as JSON text, when they are no object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_json: Option<String>,
    /// The provider planned for; not asked. Default: the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model planned for. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Output tokens at most (budget.total).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// US dollars at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_cost_usd: Option<f64>,
    /// Limit on agent calls. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Allow a cost limit without a known price. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_unpriced: Option<bool>,
    /// Calls at once. Default: by provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Answers whose files changed since. Default: reuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_workspace_changed: Option<IfWorkspaceChanged>,
    /// File with answers for fake. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<String>,
    /// How fake answers otherwise. Default: happy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<MoodArg>,
    /// A run: say which of its calls a resume would reuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Sizes of generated lists: {"files": 40}. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume: Option<BTreeMap<String, u32>>,
    /// Every call, not 20 rows. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// Where paths, names and agents start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Store directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// Checks a workflow without running it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateParams {
    /// Workflow file. Wins over name and script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Workflow name. Wins over script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Workflow text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Where paths, names and agents start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Store directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// Goes on with a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeParams {
    /// Run id, prefix or latest (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Go on with this file instead of the pinned source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Go on with this workflow instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Go on with this text instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// current: the file as it is now. Default: pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceChoice>,
    /// New args; they make a new run. Default: the recorded ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// New args as JSON text, when they are no object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_json: Option<String>,
    /// For calls not yet made. Default: the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// For calls not yet made. Default: the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Output tokens at most (budget.total).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// US dollars at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_cost_usd: Option<f64>,
    /// Limit on agent calls. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Allow a cost limit without a known price. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_unpriced: Option<bool>,
    /// Allow commands. Never an argument of a tool: only a person at a terminal says so.
    #[serde(skip)]
    #[schemars(skip)]
    pub allow_commands: bool,
    /// Calls at once. Default: by provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Answers of other runs: refresh asks again (not on resume). Default: auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_policy: Option<CachePolicy>,
    /// Answers whose files changed since. Default: reuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_workspace_changed: Option<IfWorkspaceChanged>,
    /// Run failed calls again, in a new run. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_failed: Option<bool>,
    /// File with answers for fake. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<String>,
    /// How fake answers otherwise. Default: happy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<MoodArg>,
    /// Fail the run when any call failed. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Look for the provider first. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_provider: Option<bool>,
    /// No login or quota. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_provider_down: Option<OnProviderDown>,
    /// Seconds to wait for the end; the run goes on. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u32>,
    /// The same key joins the run it started. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
    /// full adds calls. Default: concise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Where paths, names and agents start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Store directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// Creates a workflow file from a template.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkflowParams {
    /// The file to write, below the workspace.
    pub output_path: String,
    /// Default: hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// Directory that output_path starts from. Default: the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_root: Option<String>,
    /// Allow a path outside the workspace. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_absolute: Option<bool>,
    /// Write over an existing file. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Store directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}
