//! `owf_read_artifact`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::ReadArtifactParams;
use crate::engine::view::ReadArtifactView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_read_artifact",
    description: "Read part of one file of a run, by its path from owf_artifacts. Returns as many bytes as fit (about 8,000) from offset; a negative offset counts from the end; next_offset continues. Reads only, and nothing outside the run. For files over 50 KB it is quicker to read or grep file_path with your own file tools.",
    annotations: Annotations::READS,
    core: true,
    max_result_chars: Some(210_000),
    input_schema: schema::input::<ReadArtifactParams>,
    output_schema: schema::output::<ReadArtifactView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: ReadArtifactParams) -> Result<ReadArtifactView, Failure> {
    ground(call, params.home.as_deref(), None)?.read_artifact(&params)
}
