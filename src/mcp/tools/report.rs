//! `owf_report`.

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::ReportParams;
use crate::engine::view::ReportView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_report",
    description: "Write a readable report of a run (markdown or html: result, timeline, calls, costs, failures, prompts) into its run directory; returns the file's path and, for markdown, its beginning. Give the person the path of the html.",
    annotations: Annotations { read_only: false, destructive: false, idempotent: true, open_world: false },
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<ReportParams>,
    output_schema: schema::output::<ReportView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: ReportParams) -> Result<ReportView, Failure> {
    ground(call, params.home.as_deref(), None)?.report(&params)
}
