//! `owf_graph`: a drawing as Mermaid, with its nodes and edges; small, since every client loads its description.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params;
use crate::engine::view::GraphView;
use crate::mcp::Call;

/// What to draw; nothing is the latest run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct GraphParams {
    /// Document file.
    path: Option<String>,
    /// Or a run.
    run_id: Option<String>,
}

pub(super) const TOOL: Tool = Tool {
    name: "owf_graph",
    description: "Draw a document, or a run.",
    annotations: Annotations::READS,
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<GraphParams>,
    output_schema: schema::output::<GraphView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, asked: GraphParams) -> Result<GraphView, Failure> {
    let params = params::GraphParams { path: asked.path, run_id: asked.run_id, ..params::GraphParams::default() };
    ground(call, None, None)?.graph(&params)
}
