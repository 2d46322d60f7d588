//! What agents used over all runs, as `owf usage` shows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Usd;
use crate::core::outcome::CostSource;

/// What to add up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    /// By provider.
    #[default]
    Provider,
    /// By provider and model.
    Model,
    /// By workflow.
    Workflow,
    /// By day, UTC.
    Day,
}

/// What some calls used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageSum {
    /// The provider, `provider/model`, the workflow, or the day.
    pub name: String,
    /// Runs with such calls.
    pub runs: u64,
    /// Calls that were executed; reused ones cost nothing.
    pub calls: u64,
    /// Tokens of prompts that no cache had a part in.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// Tokens read from prompt caches.
    pub cache_read_tokens: u64,
    /// Tokens written to prompt caches.
    pub cache_write_tokens: u64,
    /// Of these, tokens for caches that live an hour; absent when none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_tokens: Option<u64>,
    /// Of the answers' tokens, those of reasoning; absent when no provider told of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Calls that used tokens whose number nobody knows: they were ended before they told, or never tell. The sums lack those tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_unknown_calls: Option<u64>,
    /// What is known of the cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// reported by the vendor, estimated from the table of prices, mixed, simulated, unknown.
    pub cost_source: CostSource,
    /// The days of the prices that estimated costs were computed with, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices_as_of: Vec<String>,
    /// The part that vendors reported, when the cost is mixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported_usd: Option<Usd>,
    /// The part that was estimated, when the cost is mixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_usd: Option<Usd>,
    /// Calls whose cost is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpriced_calls: Option<u64>,
}

/// Reply of `owf usage`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageReport {
    /// The home, absolute.
    pub home: String,
    /// What was added up by.
    pub by: UsageBy,
    /// Only calls from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The sums, dearest first; days in order.
    pub usage: Vec<UsageSum>,
    /// All of it.
    pub total: UsageSum,
}
