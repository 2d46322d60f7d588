//! Why each call of a run was reused or asked again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Usd;
use crate::core::ids::RunId;
use crate::core::outcome::{CacheStatus, CallRef, ReasonCode};

/// Calls by what the cache and the journal had to do with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExplainCounts {
    /// From a journal.
    pub replayed: u64,
    /// From the cache.
    pub hit: u64,
    /// Asked afresh.
    pub miss: u64,
    /// Never cached.
    pub bypassed: u64,
    /// Cache turned off.
    pub disabled: u64,
}

/// A call of another run, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FromCall {
    /// The run.
    pub run_id: RunId,
    /// The call in it.
    pub call_id: String,
}

impl From<&CallRef> for FromCall {
    fn from(from: &CallRef) -> Self {
        Self { run_id: from.run_id.clone(), call_id: from.call_id.to_string() }
    }
}

/// One call, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainRow {
    /// Its place in request order, from 1.
    pub call_index: u32,
    /// `c0009`.
    pub call_id: String,
    /// What people call it.
    pub label: String,
    /// The phase it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// replayed, hit, miss, bypassed, disabled.
    pub cache_status: CacheStatus,
    /// Why, as a stable word.
    pub reason_code: ReasonCode,
    /// Why, as a sentence.
    pub reason: String,
    /// What differs: prompt, system, schema, provider, model, effort, persona, tools, scopes, namespace, workspace, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Files that differ, five at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The call it was compared with, or reused from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<FromCall>,
}

/// Reply of `owf explain-cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainView {
    /// The run.
    pub run_id: RunId,
    /// Its calls by cache status.
    pub counts: ExplainCounts,
    /// What reuse saved, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_usd: Option<Usd>,
    /// One row per call.
    pub calls: Vec<ExplainRow>,
    /// Whether some were left out.
    pub truncated: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
