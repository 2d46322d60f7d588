//! `owf_cancel`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::CancelParams;
use crate::engine::view::RunView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_cancel",
    description: "Stop a run, or one call of it (call_id): agents are ended, finished work is kept and can be resumed later. Takes effect within a second. Cannot be undone for agents in the middle of editing files. Needs an explicit run_id, not latest.",
    annotations: Annotations { read_only: false, destructive: true, idempotent: true, open_world: false },
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<CancelParams>,
    output_schema: schema::output::<RunView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: CancelParams) -> Result<RunView, Failure> {
    ground(call, params.home.as_deref(), None)?.cancel(&params, &call.client.who())
}
