//! The tools: one file each. A tool is a plain function from checked arguments to a reply.

mod approvals;
mod arguments;
mod artifacts;
mod calls;
mod cancel;
mod check;
mod decide;
mod explain_cache;
mod graph;
mod ground;
mod list_runs;
mod list_workflows;
mod new_workflow;
mod output;
mod patience;
mod read_artifact;
mod rehearsal;
mod reply;
mod report;
mod resume;
mod run_workflow;
mod schema;
mod status;
mod tool;
#[cfg(test)]
mod tool_tests;
mod wait;

pub(crate) use ground::ground;
pub(crate) use patience::{progress_line, tolerance};
pub(crate) use reply::told;
pub(crate) use tool::{Tool, all};
