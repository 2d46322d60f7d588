//! What a rehearsal found: the calls a workflow would make and what they would cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{ErrorView, Notice, Usd};
use super::run::SwallowedRow;
use crate::core::ids::RunId;
use crate::core::outcome::{CostSource, ReasonCode};

/// How a rehearsal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DryOutcome {
    /// The script returned.
    Completed,
    /// It returned without a call.
    NoCalls,
    /// It threw before its first call: usually args are missing.
    StoppedBeforeCalls,
    /// It threw.
    Threw,
}

impl DryOutcome {
    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::NoCalls => "no_calls",
            Self::StoppedBeforeCalls => "stopped_before_calls",
            Self::Threw => "threw",
        }
    }
}

/// The workflow, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowName {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A place in the source that was not reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unreached {
    /// Line, 1-based.
    pub line: u32,
    /// The label it would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Calls of one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DryPhase {
    /// The title.
    pub title: String,
    /// Its calls.
    pub calls: u64,
    /// Models its calls would ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Size of its prompts.
    #[serde(default)]
    pub prompt_bytes: u64,
}

/// A fan-out whose size comes from an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FanOut {
    /// Line, 1-based.
    pub line: u32,
    /// What it loops over.
    pub over: String,
    /// Calls it made in the rehearsal.
    pub calls: u64,
    /// What each further item adds.
    pub note: String,
}

/// Equal calls, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DryCallRow {
    /// The phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The label; `*` stands for what differs.
    pub label: String,
    /// How many.
    pub count: u64,
    /// The provider, when the call names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model, when the call names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether the answer has to satisfy a schema.
    pub schema: bool,
    /// Size of the largest prompt.
    pub prompt_bytes: u64,
}

/// A low, an expected and a high number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Band {
    /// Low.
    pub low: u64,
    /// Expected.
    pub expected: u64,
    /// High.
    pub high: u64,
}

/// A low, an expected and a high amount in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct MoneyBand {
    /// Low.
    pub low: Usd,
    /// Expected.
    pub expected: Usd,
    /// High.
    pub high: Usd,
}

/// The most it can come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorstCase {
    /// Calls: `max_calls` when a fan-out is open.
    pub calls: u64,
    /// Their cost in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
}

/// What the calls would use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The calls it is for.
    pub calls: u64,
    /// Tokens of the prompts.
    pub input_tokens: Band,
    /// Tokens of the answers.
    pub output_tokens: Band,
    /// Cost in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<MoneyBand>,
    /// What one more item of a fan-out costs, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_extra_item_usd: Option<Usd>,
    /// The most it can come to.
    pub worst_case: WorstCase,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// The day of the price table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices_as_of: Option<String>,
}

/// A call that a resume would run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RerunCall {
    /// Its label.
    pub label: String,
    /// Why.
    pub reason_code: ReasonCode,
    /// What differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

/// What a resume of a run would reuse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReuseForecast {
    /// The run.
    pub run_id: RunId,
    /// Calls that would be reused.
    pub replayed: u64,
    /// Calls that would run again.
    pub rerun: u64,
    /// Those calls.
    #[serde(default)]
    pub rerun_calls: Vec<RerunCall>,
    /// What reuse would save, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_usd: Option<Usd>,
}

/// A provider the workflow would use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderRow {
    /// Its name.
    pub name: String,
    /// Whether its program or key is here.
    pub available: bool,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it is logged in: yes, no, unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Reply of `owf dry-run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRunView {
    /// completed, no_calls, stopped_before_calls, threw.
    pub outcome: DryOutcome,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorView>,
    /// Version of owf.
    #[serde(default)]
    pub runtime_version: String,
    /// The file; absent for inline text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_path: Option<String>,
    /// Hash of the text.
    pub script_hash: String,
    /// The workflow.
    pub workflow: WorkflowName,
    /// The provider planned for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model planned for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The args, under 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::core::call::present")]
    pub args: Option<Value>,
    /// The budget planned for: tokens, cost_usd, calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Value>,
    /// Calls made.
    pub calls_total: u64,
    /// Places in the source that call an agent.
    pub sites_total: u64,
    /// Those that were reached.
    pub sites_reached: u64,
    /// Those that were not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<Unreached>,
    /// Properties of args the script reads.
    #[serde(default)]
    pub args_read: Vec<String>,
    /// Read but not given.
    #[serde(default)]
    pub args_missing: Vec<String>,
    /// Calls by phase.
    #[serde(default)]
    pub phases: Vec<DryPhase>,
    /// Fan-outs whose size comes from an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fan_outs: Vec<FanOut>,
    /// The calls, equal ones counted.
    #[serde(default)]
    pub calls: Vec<DryCallRow>,
    /// What they would use.
    pub estimate: Estimate,
    /// What a resume would reuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<ReuseForecast>,
    /// Providers it would use.
    #[serde(default)]
    pub providers: Vec<ProviderRow>,
    /// Exceptions turned into null.
    #[serde(default)]
    pub swallowed: Vec<SwallowedRow>,
    /// Things to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Notice>,
    /// Whether rows were left out.
    #[serde(default)]
    pub truncated: bool,
    /// What to do next.
    pub next: String,
}
