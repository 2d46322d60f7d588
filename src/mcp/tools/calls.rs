//! `owf_calls`.

use serde_json::Value;

use super::ground::ground;
use super::reply::reply;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::CallsParams;
use crate::engine::view::{CallDetailView, CallsView};
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_calls",
    description: "List the calls (agents, tools, approvals) of a run, or show one in full with call_id: prompt and answer previews, error with its class and a hint, every attempt, files. Filter with status, phase, label. Reads only. This is how to find out why an agent failed.",
    annotations: Annotations::READS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<CallsParams>,
    output_schema: schema::either::<CallsView, CallDetailView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: CallsParams) -> Result<Value, Failure> {
    let engine = ground(call, params.home.as_deref(), None)?;
    match params.call_id {
        Some(_) => reply(&engine.call_detail(&params)?, true),
        None => reply(&engine.calls(&params)?, true),
    }
}
