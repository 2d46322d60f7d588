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
    /// The workflow as a file. Wins over name and script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The workflow by its name (see list_workflows). Wins over script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The workflow as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The workflow's args, an object. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// The workflow's args as JSON text, for anything that is not an object. Keys of args win over its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_json: Option<String>,
    /// Provider of calls that name none: claude, codex, fake (invents answers), ... Default: the configured one, else fake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Model of calls that name none. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Limit on output tokens, the script's budget.total. On resume: the new total. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// Limit on cost in US dollars. On resume: the new total. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_cost_usd: Option<f64>,
    /// Limit on agent calls of the run and its children. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Allow a cost limit with a model whose price is unknown. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_unpriced: Option<bool>,
    /// Calls at once, per provider. Default: by provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Answers of other runs: auto (read and write), refresh (ask again, not on resume), read_only, disabled. Default: auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_policy: Option<CachePolicy>,
    /// Fixture file with answers of the fake provider. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<String>,
    /// How the fake provider answers what no fixture matches: happy, unhappy, empty. Default: happy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<MoodArg>,
    /// Fail the run when a call failed, also where the script went on. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Look for the provider's program or key before starting. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_provider: Option<bool>,
    /// When a provider is not logged in or out of quota: pause the run or fail the call. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_provider_down: Option<OnProviderDown>,
    /// Seconds to wait for the end before returning; 0 returns at once, the run goes on. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u32>,
    /// Your own key against double starts: the same key joins the run it started. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
    /// concise or full (with calls). Default: concise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Directory that relative paths, workflow names, git state and agents start from. Default: the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The store to use: a directory. Default: OWF_HOME, else .workflows of the main git working tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// Rehearses a workflow with generated answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRunParams {
    /// The workflow as a file. Wins over name and script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The workflow by its name (see list_workflows). Wins over script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The workflow as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The workflow's args, an object. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// The workflow's args as JSON text, for anything that is not an object. Keys of args win over its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_json: Option<String>,
    /// The provider planned for, so that the estimate fits; it is not asked. Default: the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model planned for. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Limit on output tokens, the script's budget.total. On resume: the new total. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// Limit on cost in US dollars. On resume: the new total. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_cost_usd: Option<f64>,
    /// Limit on agent calls of the run and its children. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Allow a cost limit with a model whose price is unknown. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_unpriced: Option<bool>,
    /// Calls at once, per provider. Default: by provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Reused answers whose files changed since: reuse (with a warning) or rerun. Default: reuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_workspace_changed: Option<IfWorkspaceChanged>,
    /// Fixture file with answers of the fake provider. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<String>,
    /// How the fake provider answers what no fixture matches: happy, unhappy, empty. Default: happy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<MoodArg>,
    /// A run: report which of its calls a resume with this workflow would reuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Sizes of generated lists by property name, for example {"files": 40}. Default: 2 each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume: Option<BTreeMap<String, u32>>,
    /// Show every call instead of 20 rows. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// Directory that relative paths, workflow names, git state and agents start from. Default: the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The store to use: a directory. Default: OWF_HOME, else .workflows of the main git working tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// Checks a workflow without running it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateParams {
    /// The workflow as a file. Wins over name and script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The workflow by its name (see list_workflows). Wins over script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The workflow as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Directory that relative paths, workflow names, git state and agents start from. Default: the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The store to use: a directory. Default: OWF_HOME, else .workflows of the main git working tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// Goes on with a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeParams {
    /// The run: its id, a unique prefix, its short id, or latest. Default: latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Go on with this file instead of the pinned source; unchanged calls are still reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Go on with the workflow of this name instead of the pinned source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Go on with this text instead of the pinned source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// pinned (default: the text the run was started with) or current (its file as it is now).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceChoice>,
    /// New args, an object; different args make a new run. Default: the recorded ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// New args as JSON text, for anything that is not an object. Keys of args win over its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_json: Option<String>,
    /// Provider for calls not yet made. Default: the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Model for calls not yet made. Default: the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Limit on output tokens, the script's budget.total. On resume: the new total. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// Limit on cost in US dollars. On resume: the new total. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_cost_usd: Option<f64>,
    /// Limit on agent calls of the run and its children. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Allow a cost limit with a model whose price is unknown. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_unpriced: Option<bool>,
    /// Calls at once, per provider. Default: by provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Answers of other runs: auto (read and write), refresh (ask again, not on resume), read_only, disabled. Default: auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_policy: Option<CachePolicy>,
    /// Reused answers whose files changed since: reuse (with a warning) or rerun. Default: reuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_workspace_changed: Option<IfWorkspaceChanged>,
    /// Run failed calls again, in a new run. Default: false (an ended run always does).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_failed: Option<bool>,
    /// Fixture file with answers of the fake provider. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<String>,
    /// How the fake provider answers what no fixture matches: happy, unhappy, empty. Default: happy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<MoodArg>,
    /// Fail the run when a call failed, also where the script went on. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Look for the provider's program or key before starting. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_provider: Option<bool>,
    /// When a provider is not logged in or out of quota: pause the run or fail the call. Default: pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_provider_down: Option<OnProviderDown>,
    /// Seconds to wait for the end before returning; 0 returns at once, the run goes on. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u32>,
    /// Your own key against double starts: the same key joins the run it started. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
    /// concise or full (with calls). Default: concise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Directory that relative paths, workflow names, git state and agents start from. Default: the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The store to use: a directory. Default: OWF_HOME, else .workflows of the main git working tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// Creates a workflow file from a template.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkflowParams {
    /// The file to write, below the workspace.
    pub output_path: String,
    /// Which template; list_workflows names them. Default: hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// Directory that output_path starts from. Default: the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_root: Option<String>,
    /// Allow a path outside the workspace. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_absolute: Option<bool>,
    /// Write over an existing file. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// The store to use: a directory. Default: OWF_HOME, else .workflows of the main git working tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}
