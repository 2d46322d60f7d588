//! `owf_list_runs`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::ListRunsParams;
use crate::engine::view::RunsView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_list_runs",
    description: "List recorded runs, newest first: id, state, workflow, provider, cost, age, who started it. Filter with status (for example running, paused, interrupted), workflow, since. Reads only. Call it first to find work that is still running or was interrupted.",
    annotations: Annotations::READS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<ListRunsParams>,
    output_schema: schema::output::<RunsView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: ListRunsParams) -> Result<RunsView, Failure> {
    ground(call, params.home.as_deref(), None)?.list_runs(&params)
}
