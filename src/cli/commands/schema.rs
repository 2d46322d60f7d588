//! Prints JSON Schemas of what goes in and comes out.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::{Context, Exit, Outcome};
use crate::core::failure::{Code, Failure};
use crate::engine::params::{self, input_schema, output_schema};
use crate::engine::view;

/// `owf schema [NAME]`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which one: run, run.input, calls, event, ... [default: all]
    pub name: Option<String>,
    /// Write each to a file of its own in this directory instead of printing them
    #[arg(long, short, value_name = "DIR", conflicts_with = "name")]
    pub output: Option<PathBuf>,
}

/// Every schema by name: a request is `NAME.input`, its reply `NAME`.
fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    let mut add = |name: &str, schema: Value| {
        all.insert(name.to_owned(), schema);
    };
    add("run.input", input_schema::<params::RunParams>());
    add("dry_run.input", input_schema::<params::DryRunParams>());
    add("validate.input", input_schema::<params::ValidateParams>());
    add("resume.input", input_schema::<params::ResumeParams>());
    add("wait.input", input_schema::<params::WaitParams>());
    add("status.input", input_schema::<params::StatusParams>());
    add("cancel.input", input_schema::<params::CancelParams>());
    add("decide.input", input_schema::<params::DecideParams>());
    add("calls.input", input_schema::<params::CallsParams>());
    add("explain_cache.input", input_schema::<params::ExplainParams>());
    add("output.input", input_schema::<params::OutputParams>());
    add("artifacts.input", input_schema::<params::ArtifactsParams>());
    add("read_artifact.input", input_schema::<params::ReadArtifactParams>());
    add("report.input", input_schema::<params::ReportParams>());
    add("list_runs.input", input_schema::<params::ListRunsParams>());
    add("list_workflows.input", input_schema::<params::ListWorkflowsParams>());
    add("new_workflow.input", input_schema::<params::NewWorkflowParams>());
    add("approvals.input", input_schema::<params::ApprovalsParams>());
    add("run", output_schema::<view::RunView>());
    add("dry_run", output_schema::<view::DryRunView>());
    add("validate", output_schema::<view::ValidateView>());
    add("calls", output_schema::<view::CallsView>());
    add("call", output_schema::<view::CallDetailView>());
    add("explain_cache", output_schema::<view::ExplainView>());
    add("output", output_schema::<view::OutputView>());
    add("artifacts", output_schema::<view::ArtifactsView>());
    add("read_artifact", output_schema::<view::ReadArtifactView>());
    add("report", output_schema::<view::ReportView>());
    add("list_runs", output_schema::<view::RunsView>());
    add("list_workflows", output_schema::<view::WorkflowsView>());
    add("new_workflow", output_schema::<view::NewWorkflowView>());
    add("approvals", output_schema::<view::ApprovalsView>());
    add("graph", output_schema::<view::GraphView>());
    add("graph.input", input_schema::<params::GraphParams>());
    add("document", crate::front::document::schema());
    add("event", output_schema::<view::EventView>());
    add("init", output_schema::<view::InitView>());
    add("export", output_schema::<view::ExportView>());
    add("prune", output_schema::<view::PruneView>());
    add("cache_clear", output_schema::<view::ClearedView>());
    add("usage", output_schema::<view::UsageReport>());
    add("prices", output_schema::<view::PricesView>());
    add("providers", output_schema::<view::ProvidersView>());
    add("tools", output_schema::<view::ToolsView>());
    add("trust", output_schema::<view::TrustView>());
    add("batch", output_schema::<view::BatchView>());
    add("batch_results", output_schema::<view::BatchResultsView>());
    add("batches", output_schema::<view::BatchesView>());
    add("worktrees", output_schema::<view::WorktreesView>());
    add("worktree_diff", output_schema::<view::WorktreeDiffView>());
    add("worktree_apply", output_schema::<view::WorktreeAppliedView>());
    add("worktree_remove", output_schema::<view::WorktreesRemovedView>());
    add("doctor", output_schema::<view::DoctorView>());
    all
}

/// Writes every schema to `DIR/NAME.json` and prints the directory.
fn write_all(ctx: &mut Context, dir: &Path) -> Outcome {
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        for (name, schema) in schemas() {
            std::fs::write(dir.join(format!("{name}.json")), format!("{schema:#}\n"))?;
        }
        Ok(())
    };
    write().map_err(|error| {
        Failure::new(Code::NotWritable, format!("{} cannot be written: {error}", dir.display()))
            .hint("choose another directory")
    })?;
    ctx.out.result(&dir.display().to_string());
    Ok(Exit::Done)
}

/// Prints one schema, or all of them as one object; or writes them to files.
pub fn run(ctx: &mut Context, args: &SchemaArgs) -> Outcome {
    if let Some(dir) = &args.output {
        return write_all(ctx, dir);
    }
    let all = schemas();
    let value = match &args.name {
        None => Value::Object(all),
        Some(name) => all.get(&name.replace('-', "_")).cloned().ok_or_else(|| {
            let mut names: Vec<_> = all.keys().cloned().collect();
            // Nearest first: those that share the beginning.
            names.sort_by_key(|n| !n.starts_with(name.as_str()));
            Failure::new(Code::NotFound, format!("there is no schema `{name}`"))
                .with("what", "schema")
                .hint(format!("one of {}", names.join(", ")))
                .allowed(names)
        })?,
    };
    ctx.out.result(&if ctx.global.json { value.to_string() } else { format!("{value:#}") });
    Ok(Exit::Done)
}
