//! `owf_new_workflow`.

use std::path::{Path, PathBuf};

use super::ground::ground;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::{Code, Failure};
use crate::engine::params::NewWorkflowParams;
use crate::engine::view::NewWorkflowView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_new_workflow",
    description: "Create a workflow script file from a template, ready to edit. Templates: hello, research, review, judge-panel, migrate, loop-until-dry, loop-until-budget, nested, extract, errors, compare. Writes one file, below the workspace unless allow_absolute, and never over an existing file unless force. Edit it, then owf_validate_workflow.",
    annotations: Annotations { read_only: false, destructive: true, idempotent: false, open_world: false },
    core: false,
    max_result_chars: None,
    input_schema: schema::input::<NewWorkflowParams>,
    output_schema: schema::output::<NewWorkflowView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: NewWorkflowParams) -> Result<NewWorkflowView, Failure> {
    let engine = ground(call, params.home.as_deref(), params.workspace_root.as_deref())?;
    if params.workspace_root.is_some() && params.allow_absolute != Some(true) {
        let own = ground(call, params.home.as_deref(), None)?;
        let (root, workspace) = (&engine.services().cwd, &own.services().workspace);
        if !real(root).starts_with(real(workspace)) {
            let message = format!("workspace_root {} is outside the workspace {}", root.display(), workspace.display());
            return Err(Failure::new(Code::PathRefused, message)
                .hint("leave workspace_root out, or pass allow_absolute: true where the person wants the file there"));
        }
    }
    engine.new_workflow(&NewWorkflowParams { workspace_root: None, ..params })
}

/// The directory without links; as it is named where that cannot be told.
fn real(dir: &Path) -> PathBuf {
    dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf())
}
