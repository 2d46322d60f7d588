//! The tools: one file each. A tool is a plain function from checked arguments to a reply; this is the list of them all.

use serde_json::Value;

use super::Call;
use crate::core::failure::Failure;

/// What hosts are told about a tool's effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Annotations {
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
    pub(crate) idempotent: bool,
    pub(crate) open_world: bool,
}

/// One tool.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Written for a model that has never seen owf.
    pub(crate) description: &'static str,
    pub(crate) annotations: Annotations,
    /// Whether `owf mcp --tools core` offers it.
    pub(crate) core: bool,
    /// `anthropic/maxResultSizeChars`, for the one tool whose replies may be asked to be long.
    pub(crate) max_result_chars: Option<u32>,
    pub(crate) input_schema: fn() -> Value,
    pub(crate) output_schema: fn() -> Value,
    /// Serves a call: the arguments are checked here, all faults at once. The reply is bounded and becomes the structured
    /// content; a failure becomes a result with `isError` and one JSON text block.
    pub(crate) serve: fn(&Call<'_>, Value) -> Result<Value, Failure>,
}

/// Every tool, in the order in which `tools/list` shows them.
pub(crate) fn all() -> &'static [Tool] {
    &[]
}
