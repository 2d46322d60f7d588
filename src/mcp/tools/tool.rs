//! What a tool is, and the list of them all.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::arguments::checked;
use super::reply::{reply, told};
use super::{
    approvals, artifacts, calls, cancel, check, decide, explain_cache, graph, list_runs, list_workflows, new_workflow,
    output, read_artifact, report, resume, run_workflow, status, wait,
};
use crate::core::failure::Failure;
use crate::mcp::Call;

/// What hosts are told about a tool's effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Annotations {
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
    pub(crate) idempotent: bool,
    pub(crate) open_world: bool,
}

impl Annotations {
    /// A tool that only looks.
    pub(super) const READS: Self = Self { read_only: true, destructive: false, idempotent: true, open_world: false };
    /// A tool that starts agents, which may edit files and ask the world.
    pub(super) const RUNS: Self = Self { read_only: false, destructive: true, idempotent: false, open_world: true };
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
    /// content; a failure becomes a result with `isError` and one JSON text block. So does a reply whose `ok` is false: a
    /// workflow with errors, shown whole.
    pub(crate) serve: fn(&Call<'_>, Value) -> Result<Value, Failure>,
}

/// Every tool, in the order in which `tools/list` shows them.
pub(crate) fn all() -> &'static [Tool] {
    static ALL: [Tool; 19] = [
        list_workflows::TOOL,
        new_workflow::TOOL,
        check::VALIDATE,
        check::DRY_RUN,
        graph::TOOL,
        run_workflow::TOOL,
        wait::TOOL,
        status::TOOL,
        calls::TOOL,
        output::TOOL,
        explain_cache::TOOL,
        report::TOOL,
        artifacts::TOOL,
        read_artifact::TOOL,
        list_runs::TOOL,
        resume::TOOL,
        cancel::TOOL,
        approvals::TOOL,
        decide::TOOL,
    ];
    &ALL
}

/// Serves a call of a tool: checks the arguments, asks `body`, bounds what it says.
pub(super) fn served<P, V>(
    call: &Call<'_>,
    arguments: Value,
    body: fn(&Call<'_>, P) -> Result<V, Failure>,
) -> Result<Value, Failure>
where
    P: DeserializeOwned + JsonSchema + 'static,
    V: Serialize,
{
    // A part that was asked for by its size is as long as that.
    let sized = arguments.get("max_bytes").is_some_and(|bytes| !bytes.is_null());
    let view = checked::<P>(arguments).and_then(|params| body(call, params)).map_err(told)?;
    reply(&view, !sized)
}
