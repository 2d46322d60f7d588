//! `owf_graph`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::GraphParams;
use crate::engine::view::GraphView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_graph",
    description: "Draw a workflow document before it runs (path, name or script) or any run after (run_id): tasks, routes, approvals and, for a run, how each task ended. As Mermaid (default), dot or nodes and edges. Runs nothing.",
    annotations: Annotations { read_only: true, destructive: false, idempotent: true, open_world: false },
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<GraphParams>,
    output_schema: schema::output::<GraphView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: GraphParams) -> Result<GraphView, Failure> {
    ground(call, params.home.as_deref(), params.workspace.as_deref())?.graph(&params)
}
