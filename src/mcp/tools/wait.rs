//! `owf_wait`.

use super::ground::ground;
use super::patience::{Looker, Patience};
use super::schema;
use super::tool::{Annotations, Tool, served};
use crate::core::failure::Failure;
use crate::engine::params::WaitParams;
use crate::engine::view::RunView;
use crate::mcp::Call;

pub(super) const TOOL: Tool = Tool {
    name: "owf_wait",
    description: "Wait for a running workflow and return what is new. Returns early when the run ends, needs a person, or has its first failed call; otherwise after timeout_seconds (the default suits your client). Pass the next_cursor of the last reply as cursor. Cheap: prefer it to owf_status in a loop. If status is paused, ask the person instead of waiting.",
    annotations: Annotations::READS,
    core: true,
    max_result_chars: None,
    input_schema: schema::input::<WaitParams>,
    output_schema: schema::output::<RunView>,
    serve: |call, arguments| served(call, arguments, body),
};

fn body(call: &Call<'_>, params: WaitParams) -> Result<RunView, Failure> {
    let engine = ground(call, params.home.as_deref(), None)?;
    let patience = Patience::of(call, params.timeout_seconds, None);
    let mut looker = Looker::new(call, &engine);
    let view = engine.wait_while(&params, patience.most, &mut |run| looker.look(run))?;
    Ok(patience.tell(view))
}
