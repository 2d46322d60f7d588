//! Short lists: workflows, templates, files, checks, removed runs.

use std::fmt::Write as _;

use super::runs::runs;
use super::text::{Paint, clean, cut_end, pad, pad_left, relative, size, width};
use crate::cli::Terminal;
use crate::engine::view::{ArtifactsView, DoctorView, Health, PruneView, WorkflowsView};

/// `name  description  path`, problems and hidden copies below it.
pub fn workflows(view: &WorkflowsView, term: &Terminal) -> String {
    let mut out = String::new();
    let names = view.workflows.iter().map(|w| width(&w.name)).max().unwrap_or(0);
    let about = view.workflows.iter().map(|w| width(&w.description)).max().unwrap_or(0).min(50);
    for row in &view.workflows {
        let path = relative(&row.path, &term.cwd);
        let description = cut_end(&clean(&row.description), about);
        let _ = writeln!(out, "{}  {}  {path}", pad(&clean(&row.name), names), pad(&description, about));
        if let Some(problem) = &row.problem {
            let _ = writeln!(out, "  {} {}", term.paint.red("problem:"), clean(problem));
        }
        for hidden in row.shadows.iter().flatten() {
            let _ = writeln!(out, "  hides: {}", relative(hidden, &term.cwd));
        }
    }
    out
}

/// `name  description`, and how to use one.
pub fn templates(view: &WorkflowsView) -> String {
    let mut out = String::new();
    let names = view.templates.iter().map(|t| width(&t.name)).max().unwrap_or(0);
    for row in &view.templates {
        let _ = writeln!(out, "{}  {}", pad(&row.name, names), clean(&row.description));
    }
    out.push_str("use one: owf new PATH --template NAME\n");
    out
}

/// `size  kind  path`.
pub fn artifacts(view: &ArtifactsView) -> String {
    let mut out = String::new();
    let sizes: Vec<_> = view.artifacts.iter().map(|a| size(a.size_bytes)).collect();
    let size_width = sizes.iter().map(|s| width(s)).max().unwrap_or(0);
    let kinds = view.artifacts.iter().map(|a| width(&a.kind)).max().unwrap_or(0);
    for (row, size) in view.artifacts.iter().zip(&sizes) {
        let _ = writeln!(out, "{}  {}  {}", pad_left(size, size_width), pad(&row.kind, kinds), clean(&row.path));
    }
    if view.truncated {
        let _ = writeln!(out, "{} of {}   more: --limit N", view.artifacts.len(), view.artifacts_total);
    }
    out
}

/// `ok`, `warn`, `fail` lines.
pub fn doctor(view: &DoctorView, paint: &Paint) -> String {
    let mut out = format!("owf {}   home {} ({})\n", view.runtime_version, view.home, size(view.size_bytes));
    for check in &view.checks {
        let word = pad(check.health.as_str(), 4);
        let word = match check.health {
            Health::Ok => paint.green(&word),
            Health::Warn => paint.yellow(&word),
            Health::Fail => paint.red(&word),
        };
        let _ = writeln!(out, "{word}  {}: {}", clean(&check.name), clean(&check.message));
        if let Some(hint) = &check.hint {
            let _ = writeln!(out, "      {}", clean(hint));
        }
    }
    out
}

/// What was removed, or would be.
pub fn pruned(view: &PruneView) -> String {
    let mut out = String::new();
    for run in &view.pruned {
        let _ = writeln!(out, "{}  {}", run.run_id, clean(&run.workflow_name));
    }
    let (verb, freed_verb) = if view.dry_run { ("would be removed", "would be freed") } else { ("removed", "freed") };
    let freed = size(view.freed_bytes);
    let _ = writeln!(
        out,
        "{} {verb}, {} kept, {freed} {freed_verb}; the cache is kept",
        runs(view.pruned_total),
        view.kept
    );
    if !view.with_worktrees.is_empty() {
        let stay = if view.with_worktrees.len() == 1 { "stays" } else { "stay" };
        let _ = writeln!(
            out,
            "{} {stay} for the work in worktrees: owf worktree list; --worktrees removes it, too",
            runs(view.with_worktrees.len() as u64)
        );
    }
    out
}
