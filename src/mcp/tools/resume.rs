//! `owf_resume`.

use super::ground::ground;
use super::patience::{Looker, Patience};
use super::run_workflow::WAIT;
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::Execution;
use crate::engine::params::ResumeParams;
use crate::engine::view::RunView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_resume",
    description: "Continue a run that was interrupted, paused, failed or cancelled. Finished calls are reused and cost nothing; only the rest runs, which spends tokens or money. Pass path or script to go on with an edited workflow (unchanged calls are still reused), provider or model to finish elsewhere, a higher budget_cost_usd or budget_tokens after budget_exhausted. Use the run_id in the reply: it is new when the old run had ended or the script changed.",
    annotations: Annotations::RUNS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<ResumeParams>,
    output_schema: schema::output::<RunView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: ResumeParams) -> Result<RunView, Failure> {
    let engine = ground(call, params.home.as_deref(), params.workspace.as_deref())?;
    let patience = Patience::of(call, params.wait_seconds, Some(WAIT));
    let params = ResumeParams { home: None, workspace: None, ..params };
    let started = engine.resume(&params, Execution::Detached)?;
    let mut looker = Looker::new(call, &engine);
    let view =
        engine.follow(&started, params.detail.unwrap_or_default(), patience.most, &mut |run| looker.look(run))?;
    Ok(patience.tell(view))
}
