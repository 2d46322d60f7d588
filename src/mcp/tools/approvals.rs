//! `owf_approvals`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::ApprovalsParams;
use crate::engine::view::ApprovalsView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_approvals",
    description: "List questions that runs are waiting on: message, run, what approve and deny lead to, when each expires, and the content_hash that owf_decide needs. Reads only.",
    annotations: Annotations::READS,
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<ApprovalsParams>,
    output_schema: schema::output::<ApprovalsView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: ApprovalsParams) -> Result<ApprovalsView, Failure> {
    ground(call, params.home.as_deref(), None)?.approvals(&params)
}
