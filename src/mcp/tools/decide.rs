//! `owf_decide`.

use serde_json::json;

use super::arguments::invalid;
use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::DecideParams;
use crate::engine::view::RunView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_decide",
    description: "Record a person's answer to an approval: approve or deny, with the content_hash you were shown and a reason. Only after the person has answered this very question; do not decide for them. Single use and final. Starts the paused run again. Questions marked decider person may be answered only at a terminal (owf approve) or in your client's own dialog.",
    annotations: Annotations { read_only: false, destructive: true, idempotent: false, open_world: true },
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<DecideParams>,
    output_schema: schema::output::<RunView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: DecideParams) -> Result<RunView, Failure> {
    let empty = [("/content_hash", &params.content_hash), ("/reason", &params.reason)];
    let faults: Vec<_> = empty
        .into_iter()
        .filter(|(_, text)| text.trim().is_empty())
        .map(|(path, _)| json!({ "path": path, "message": "must not be empty" }))
        .collect();
    if !faults.is_empty() {
        return Err(invalid(faults));
    }
    let who = call.client.who();
    // A tool is called by a model, whatever it says a person said.
    ground(call, params.home.as_deref(), None)?.decide(&params, &who, &who, false)
}
