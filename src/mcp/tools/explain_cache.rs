//! `owf_explain_cache`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::ExplainParams;
use crate::engine::view::ExplainView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_explain_cache",
    description: "Explain for each call of a run why it was reused or asked again: replayed, hit, miss (and what differed: prompt, schema, model, workspace files), bypassed, disabled. Reads only. Use it when a resume cost more than expected or an answer looks stale.",
    annotations: Annotations::READS,
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<ExplainParams>,
    output_schema: schema::output::<ExplainView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: ExplainParams) -> Result<ExplainView, Failure> {
    ground(call, params.home.as_deref(), None)?.explain_cache(&params)
}
