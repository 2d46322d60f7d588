//! `owf_list_workflows`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::ListWorkflowsParams;
use crate::engine::view::WorkflowsView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_list_workflows",
    description: "List the workflows that can be run by name here (project, user, bundled), with description, file and problems, and the templates for owf_new_workflow. Free, reads only. Call it first when the user names a workflow or asks what exists; then owf_dry_run or owf_run_workflow with that name.",
    annotations: Annotations::READS,
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<ListWorkflowsParams>,
    output_schema: schema::output::<WorkflowsView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: ListWorkflowsParams) -> Result<WorkflowsView, Failure> {
    let engine = ground(call, params.home.as_deref(), params.workspace.as_deref())?;
    engine.list_workflows(&ListWorkflowsParams::default())
}
