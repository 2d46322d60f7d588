//! Queries whose real versions are on their way.
use super::engine::Engine;
use super::params as p;
use super::view as v;
use crate::core::failure::{Code, Failure};
fn unbuilt<T>() -> Result<T, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
macro_rules! requests { ($($name:ident: $params:ty => $view:ty;)*) => { impl Engine { $(
    /// Not built.
    pub fn $name(&self, _params: &$params) -> Result<$view, Failure> { unbuilt() } )* } }; }
requests! {
    status: p::StatusParams => v::RunView;
    calls: p::CallsParams => v::CallsView;
    call_detail: p::CallsParams => v::CallDetailView;
    explain_cache: p::ExplainParams => v::ExplainView;
    output: p::OutputParams => v::OutputView;
    artifacts: p::ArtifactsParams => v::ArtifactsView;
    read_artifact: p::ReadArtifactParams => v::ReadArtifactView;
    list_runs: p::ListRunsParams => v::RunsView;
    approvals: p::ApprovalsParams => v::ApprovalsView;
    prune: p::PruneParams => v::PruneView;
    export: p::ExportParams => v::ExportView;
}
impl Engine {
    /// Not built.
    pub fn clear_cache(&self) -> Result<v::ClearedView, Failure> {
        unbuilt()
    }
    /// Not built.
    pub fn doctor(&self) -> Result<v::DoctorView, Failure> {
        unbuilt()
    }
}
