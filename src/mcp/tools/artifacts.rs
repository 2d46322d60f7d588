//! `owf_artifacts`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::ArtifactsParams;
use crate::engine::view::ArtifactsView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_artifacts",
    description: "List the files of a run (prompts, outputs, errors, transcripts, worktree diffs, reports) with kind, call, size and path. Reads only. Read one with owf_read_artifact, or directly on disk below run_dir.",
    annotations: Annotations::READS,
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<ArtifactsParams>,
    output_schema: schema::output::<ArtifactsView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: ArtifactsParams) -> Result<ArtifactsView, Failure> {
    ground(call, params.home.as_deref(), None)?.artifacts(&params)
}
