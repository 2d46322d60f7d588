//! `owf_validate_workflow` and `owf_dry_run`: both read what anybody may have written, so a process of its own does it.

use std::time::Duration;

use serde_json::{Value, json};

use super::ground::ground;
use super::patience::Patience;
use super::rehearsal::rehearse;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::{DryRunParams, ValidateParams};
use crate::engine::view::{DryRunView, ValidateView};
use crate::mcp::Call;

/// Seconds a check may take.
const CHECK: Duration = Duration::from_secs(20);
/// Seconds a rehearsal may take, when the client waits so long: a little over its own limit.
const REHEARSAL: u32 = 75;

pub(super) const VALIDATE: Tool = Tool {
    name: "owf_validate_workflow",
    description: "Check a workflow without running it: syntax, metadata, known mistakes, and which args it reads. Give path, name, or the script text itself. Free, starts nothing, spends nothing. Returns ok and a list of diagnostics with line, column and a hint for each. Fix every error, then owf_dry_run.",
    annotations: Annotations::READS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<ValidateParams>,
    output_schema: schema::output::<ValidateView>,
    serve: |call, arguments| served(call, arguments, validate),
};

pub(super) const DRY_RUN: Tool = Tool {
    name: "owf_dry_run",
    description: "Rehearse a workflow: execute the real script with generated answers and report which agents it would call, by phase, what it costs (low, expected, high), which code was never reached, and, with against, which calls a resume of that run would reuse. Free, records nothing. Name the provider and model you intend to use, so that the estimate fits. Then owf_run_workflow.",
    annotations: Annotations::READS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<DryRunParams>,
    output_schema: schema::output::<DryRunView>,
    serve: |call, arguments| served(call, arguments, dry_run),
};

fn validate(call: &Call<'_>, params: ValidateParams) -> Result<Value, Failure> {
    let engine = ground(call, params.home.as_deref(), params.workspace.as_deref())?;
    let params = ValidateParams { home: None, workspace: None, ..params };
    rehearse(call, &engine, &json!({ "validate": params }), CHECK)
}

fn dry_run(call: &Call<'_>, params: DryRunParams) -> Result<Value, Failure> {
    let engine = ground(call, params.home.as_deref(), params.workspace.as_deref())?;
    let params = DryRunParams { home: None, workspace: None, ..params };
    // However short waits are set to be, a rehearsal gets the time of a check.
    let most = Patience::of(call, None, Some(REHEARSAL)).most.max(CHECK);
    rehearse(call, &engine, &json!({ "dry_run": params }), most)
}
