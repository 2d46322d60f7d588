//! What every surface shows: the reply shapes, one file per family. A key that is unknown or does not apply is absent.

mod approvals;
mod batches;
mod calls;
mod common;
mod config;
mod dry_run;
mod event;
mod explain;
mod graph;
mod home;
pub mod next;
mod output;
mod prices;
mod run;
mod runs;
mod tools;
mod undo;
mod usage;
mod validate;
mod workflows;
mod worktrees;

pub use approvals::{ApprovalRow, ApprovalState, ApprovalsView};
pub use batches::{BatchPhaseView, BatchResultRow, BatchResultsView, BatchView, BatchesView};
pub use calls::{
    AttemptRow, CallDetail, CallDetailView, CallErrorView, CallFiles, CallPrice, CallRow, CallState, CallsView,
    UnknownCallState,
};
pub use common::{ErrorView, Notice, Usd};
pub use config::{KeyRow, ProviderDetail, ProvidersView, TrustRow, TrustView};
pub use dry_run::{
    Band, DryCallRow, DryOutcome, DryPhase, DryRunView, Estimate, FanOut, MoneyBand, ProviderRow, RerunCall,
    ReuseForecast, Unreached, WorkflowName, WorstCase,
};
pub use event::EventView;
pub use explain::{ExplainCounts, ExplainRow, ExplainView, FromCall};
pub use graph::{GraphEdge, GraphNode, GraphView};
pub use home::{ClearedView, DoctorCheck, DoctorView, ExportView, Health, InitView, PruneView, PrunedRun};
pub use output::{ArtifactRow, ArtifactsView, OutputView, ReadArtifactView, ReportView};
pub use prices::{PriceRow, PricesView, RatesRow};
pub use run::{
    BudgetLine, BudgetView, Counts, DecisionView, Gap, PhaseRow, ResumedHow, ReuseView, RunView, SwallowedRow,
    UsageView, Woke, WorktreeRow,
};
pub use runs::{OwnerView, RunFacts, RunRow, RunsView};
pub use tools::{OfferedTool, ToolRow, ToolServerRow, ToolsView};
pub use undo::UndoView;
pub use usage::{UsageBy, UsageReport, UsageSum};
pub use validate::{Diagnostic, Severity, ValidateView, WorkflowMeta};
pub use workflows::{NewWorkflowView, Scope, TemplateRow, WorkflowRow, WorkflowsView};
pub use worktrees::{
    WorktreeAppliedView, WorktreeDiffView, WorktreeEntry, WorktreeState, WorktreesRemovedView, WorktreesView,
};
