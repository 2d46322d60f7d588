//! What can be read off a script without running it: agent sites, fan-outs, properties of args, names.
use crate::core::call::WorkflowTarget;
use crate::front::script::script::{AgentSite, FanOut};
use crate::front::script::tree::Tree;

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) sites: Vec<AgentSite>,
    pub(super) fan_outs: Vec<FanOut>,
    pub(super) args_read: Vec<String>,
    pub(super) providers_named: Vec<String>,
    pub(super) models_named: Vec<String>,
    pub(super) agent_types_named: Vec<String>,
    pub(super) workflows_named: Vec<WorkflowTarget>,
}

pub(super) fn collect(_tree: &Tree<'_, '_>) -> Facts {
    Facts::default()
}
