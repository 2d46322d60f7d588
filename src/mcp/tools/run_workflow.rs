//! `owf_run_workflow`.

use super::ground::ground;
use super::patience::{Looker, Patience};
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::Execution;
use crate::engine::params::RunParams;
use crate::engine::view::RunView;
use crate::mcp::Call;

/// Seconds a start is waited for when it does not say.
pub(super) const WAIT: u32 = 20;

pub(super) const TOOL: Tool = Tool {
    name: "owf_run_workflow",
    description: "Run a workflow: starts AI agents on a provider, which spends tokens or money and may edit files. Give path, name or script, plus args. provider \"fake\" invents answers (for testing); \"claude\" and \"codex\" use the installed command-line tools. Always set budget_cost_usd or max_calls for real providers. Waits wait_seconds (default 20), then returns the result or a run_id to pass to owf_wait; the run goes on by itself. Pass request_key if you may repeat the call.",
    annotations: Annotations::RUNS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<RunParams>,
    output_schema: schema::output::<RunView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: RunParams) -> Result<RunView, Failure> {
    let engine = ground(call, params.home.as_deref(), params.workspace.as_deref())?;
    let patience = Patience::of(call, params.wait_seconds, Some(WAIT));
    let params = RunParams { home: None, workspace: None, ..params };
    let started = engine.start(&params, Execution::Detached)?;
    let mut looker = Looker::new(call, &engine);
    let view =
        engine.follow(&started, params.detail.unwrap_or_default(), patience.most, &mut |run| looker.look(run))?;
    Ok(patience.tell(view))
}
