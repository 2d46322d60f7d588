//! `owf_status`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::StatusParams;
use crate::engine::view::RunView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_status",
    description: "Show one run in full: state, phases, counts, failures, pending approvals, cost, owner, and its first calls. Reads only. Use it to look at a run you did not start or to see more than owf_wait shows; to follow a run use owf_wait.",
    annotations: Annotations::READS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<StatusParams>,
    output_schema: schema::output::<RunView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: StatusParams) -> Result<RunView, Failure> {
    ground(call, params.home.as_deref(), None)?.status(&params)
}
