//! What every surface takes in: one struct per request. Doc comments of fields become the descriptions in input schemas.

mod args;
mod common;
mod graph;
mod read;
mod schema;
mod start;
mod store;

pub use args::args_value;
pub use common::{Detail, MoodArg, SourceChoice, Until};
pub use graph::{GraphFormat, GraphParams};
pub use read::{
    ApprovalsParams, ArtifactsParams, CallsParams, ExplainParams, ListRunsParams, ListWorkflowsParams, OutputParams,
    ReadArtifactParams, ReportFormat, ReportParams, StatusParams, WaitParams,
};
pub use schema::{input_schema, output_schema};
pub use start::{DryRunParams, NewWorkflowParams, ResumeParams, RunParams, ValidateParams};
pub use store::{
    BatchParams, CancelParams, DecideParams, ExportParams, InitParams, PricesParams, PruneParams, UsageParams,
    WorktreeParams,
};
