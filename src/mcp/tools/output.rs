//! `owf_output`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::OutputParams;
use crate::engine::view::OutputView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_output",
    description: "Get the value a finished workflow returned. Small values come whole; of a large one you get its outline and the beginning: then ask for a part with pointer (JSON Pointer such as /findings/0) or page with offset. Reads only.",
    annotations: Annotations::READS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<OutputParams>,
    output_schema: schema::output::<OutputView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: OutputParams) -> Result<OutputView, Failure> {
    ground(call, params.home.as_deref(), None)?.output(&params)
}
