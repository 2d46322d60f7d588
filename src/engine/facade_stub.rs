//! Stand-in for the engine's facade: every request is answered by `internal` until the engine is built.

use std::time::Duration;

use super::params as p;
use super::view as v;
use crate::core::event::EventRecord;
use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;

/// The whole API of the product; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Engine;

/// Where a run is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// In this process.
    InProcess {
        /// Whether it stays while only approvals are pending: somebody is asked at a terminal.
        linger_on_approvals: bool,
    },
    /// In a process of its own.
    Detached,
}

/// A run executed by this process.
#[derive(Debug)]
pub struct RunHandle;

impl RunHandle {
    /// Ends the attempts politely and leaves a run that can be resumed.
    pub fn interrupt(&self) {}
    /// Ends at once.
    pub fn kill(&self) {}
    /// Waits until the run's execution here is over; whether it is.
    pub fn wait_ended(&self, _timeout: Duration) -> bool {
        true
    }
}

/// A run that was started.
#[derive(Debug)]
pub struct Started {
    /// The run; after a resume possibly a new one.
    pub run_id: RunId,
    /// Whether the request key found an earlier start.
    pub joined: bool,
    /// How a resume went on.
    pub resumed: Option<v::ResumedHow>,
    /// The run, when it is executed here.
    pub handle: Option<RunHandle>,
}

fn unbuilt<T>() -> Result<T, Failure> {
    Err(Failure::new(Code::Internal, "the engine is not built yet"))
}

macro_rules! requests {
    ($($name:ident: $params:ty => $view:ty;)*) => {
        impl Engine {
            $(
                /// Not built.
                pub fn $name(&self, _params: &$params) -> Result<$view, Failure> {
                    unbuilt()
                }
            )*
        }
    };
}

requests! {
    validate: p::ValidateParams => v::ValidateView;
    dry_run: p::DryRunParams => v::DryRunView;
    wait: p::WaitParams => v::RunView;
    status: p::StatusParams => v::RunView;
    calls: p::CallsParams => v::CallsView;
    call_detail: p::CallsParams => v::CallDetailView;
    explain_cache: p::ExplainParams => v::ExplainView;
    output: p::OutputParams => v::OutputView;
    artifacts: p::ArtifactsParams => v::ArtifactsView;
    read_artifact: p::ReadArtifactParams => v::ReadArtifactView;
    list_runs: p::ListRunsParams => v::RunsView;
    list_workflows: p::ListWorkflowsParams => v::WorkflowsView;
    new_workflow: p::NewWorkflowParams => v::NewWorkflowView;
    approvals: p::ApprovalsParams => v::ApprovalsView;
    prune: p::PruneParams => v::PruneView;
    export: p::ExportParams => v::ExportView;
    init: p::InitParams => v::InitView;
}

impl Engine {
    /// Not built.
    pub fn start(&self, _params: &p::RunParams, _how: Execution) -> Result<Started, Failure> {
        unbuilt()
    }
    /// Not built.
    pub fn resume(&self, _params: &p::ResumeParams, _how: Execution) -> Result<Started, Failure> {
        unbuilt()
    }
    /// Not built.
    pub fn cancel(&self, _params: &p::CancelParams, _by: &str) -> Result<v::RunView, Failure> {
        unbuilt()
    }
    /// Not built.
    pub fn pause(&self, _run: &str, _by: &str) -> Result<v::RunView, Failure> {
        unbuilt()
    }
    /// Not built.
    pub fn decide(
        &self,
        _params: &p::DecideParams,
        _by: &str,
        _via: &str,
        _person: bool,
    ) -> Result<v::RunView, Failure> {
        unbuilt()
    }
    /// Removes every cache entry.
    pub fn clear_cache(&self) -> Result<v::ClearedView, Failure> {
        unbuilt()
    }
    /// Not built.
    pub fn doctor(&self) -> Result<v::DoctorView, Failure> {
        unbuilt()
    }
    /// Committed events after `after_seq`, `limit` at most.
    pub fn events(&self, _run: &str, _after_seq: u64, _limit: usize) -> Result<Vec<EventRecord>, Failure> {
        unbuilt()
    }
    /// The run a reference means.
    pub fn resolve(&self, _reference: &str) -> Result<RunId, Failure> {
        unbuilt()
    }
    /// Real providers that can be used here, with version: `claude 2.1.329`.
    pub fn providers_here(&self) -> Vec<String> {
        Vec::new()
    }
    /// Calls `callback` at each Ctrl-C from now on, instead of ending the process.
    pub fn on_interrupt(&self, _callback: Box<dyn Fn() + Send + Sync>) {}
    /// Executes a run as its detached supervisor, to its end or pause.
    pub fn supervise(&self, _run: &str) -> Result<(), Failure> {
        unbuilt()
    }
}
