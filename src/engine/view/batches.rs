//! Batches, and their answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calls::CallErrorView;
use super::common::Usd;
use super::run::UsageView;
use crate::core::outcome::CostSource;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchPhaseView {
    /// The service works on it.
    Pending,
    /// There are results, though maybe not for every prompt.
    Ended,
    /// The service refused it as a whole.
    Failed,
    /// It is not known whether the service has taken it.
    Unclear,
}

impl BatchPhaseView {
    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Unclear => "unclear",
        }
    }
}

/// Reply of `owf batch submit|status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchView {
    /// The service's id, by which it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// The provider.
    pub provider: String,
    /// pending, ended, failed, unclear.
    pub status: BatchPhaseView,
    /// The service's own word for it, as far as it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_status: Option<String>,
    /// When it was submitted.
    pub created_at: String,
    /// Its prompts.
    pub prompts: u64,
    /// Those with an answer, when the service was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<u64>,
    /// Those that will have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where it is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_path: Option<String>,
    /// What to do next.
    pub next: String,
}

/// The answer to one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchResultRow {
    /// Whose answer it is.
    pub custom_id: String,
    /// Whether there is one.
    pub ok: bool,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<CallErrorView>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Cost in US dollars, at the price of batches, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// estimated, unknown.
    pub cost_source: CostSource,
}

/// Reply of `owf batch fetch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchResultsView {
    /// The batch.
    pub batch: BatchView,
    /// What all of it used, at the price of batches.
    pub usage: UsageView,
    /// The answers in the order of the prompts; none before it has ended.
    pub results: Vec<BatchResultRow>,
}

/// Reply of `owf batch list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchesView {
    /// The batches, the latest first, as they stood when they were last asked for.
    pub batches: Vec<BatchView>,
    /// Whether some were left out.
    pub truncated: bool,
}
