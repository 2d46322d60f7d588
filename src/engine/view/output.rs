//! What a run returned, and its files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::ids::{Hash, RunId};
use crate::core::run::RunStatus;
use crate::engine::params::ReportFormat;

/// Reply of `owf output`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutputView {
    /// The run.
    pub run_id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// Whether an answer was generated.
    pub simulated: bool,
    /// Whether there is a value; if not, `next` says why.
    pub has_output: bool,
    /// The value, when it fits.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::core::call::present")]
    pub output: Option<Value>,
    /// Part of its JSON text instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_text: Option<String>,
    /// Where the part begins, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Bytes of the part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned_bytes: Option<u64>,
    /// Size of the value as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Whether something is left out.
    #[serde(default)]
    pub truncated: bool,
    /// Where the next part begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
    /// Its shape, when it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outline: Option<Value>,
    /// The part of the value that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The file that holds the value, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_path: Option<String>,
    /// What to do next.
    pub next: String,
}

/// One file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactRow {
    /// Path below the run directory.
    pub path: String,
    /// What it is: prompt, output, error, transcript, source, manifest, summary, log, ...
    pub kind: String,
    /// The call it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Its size.
    pub size_bytes: u64,
    /// Its hash.
    pub sha256: Hash,
    /// Its media type.
    pub mime_type: String,
    /// When it was written.
    pub created_at: String,
}

/// Reply of `owf artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactsView {
    /// The run.
    pub run_id: RunId,
    /// Its directory, absolute.
    pub run_dir: String,
    /// The files, by path.
    pub artifacts: Vec<ArtifactRow>,
    /// How many match.
    pub artifacts_total: u64,
    /// Whether some were left out.
    pub truncated: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Reply of `owf_read_artifact`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadArtifactView {
    /// The run.
    pub run_id: RunId,
    /// Path below the run directory.
    pub path: String,
    /// The same, absolute.
    pub file_path: String,
    /// Its media type.
    pub mime_type: String,
    /// utf-8, base64 (the range is not text).
    pub encoding: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// Hash of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// Bytes of the range.
    pub returned_bytes: u64,
    /// Whether more follows.
    pub truncated: bool,
    /// Where the next range begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
    /// The range.
    pub content: String,
}

/// Reply of `owf report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportView {
    /// The run.
    pub run_id: RunId,
    /// Its status when the report was made.
    pub status: RunStatus,
    /// markdown, html.
    pub format: ReportFormat,
    /// Path below the run directory, for `owf_read_artifact`; as it was given when it was written elsewhere.
    pub path: String,
    /// The same, absolute.
    pub file_path: String,
    /// Its size.
    pub size_bytes: u64,
    /// The beginning of a Markdown report, 8,000 characters at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Whether `content` is not all of it.
    pub truncated: bool,
    /// Where `content` ends, for `owf_read_artifact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
}
