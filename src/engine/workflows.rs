//! Temporary.
use super::{
    params::{ListWorkflowsParams, NewWorkflowParams},
    view::{NewWorkflowView, WorkflowsView},
};
use crate::core::failure::{Code, Failure};
use std::path::Path;
pub(crate) fn list_workflows(_p: &ListWorkflowsParams, _c: &Path, _h: Option<&Path>) -> WorkflowsView {
    WorkflowsView { workflows: vec![], templates: vec![], truncated: false }
}
pub(crate) fn new_workflow(_p: &NewWorkflowParams, _c: &Path) -> Result<NewWorkflowView, Failure> {
    Err(Failure::new(Code::Internal, "x"))
}
