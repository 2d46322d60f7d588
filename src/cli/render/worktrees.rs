//! Worktrees as lines.

use std::fmt::Write as _;
use std::path::Path;

use super::text::{clean, cut_middle, pad, plural, relative, width};
use crate::cli::Terminal;
use crate::engine::view::{WorktreeAppliedView, WorktreesRemovedView, WorktreesView};

/// `run/call  state  files  label  branch`, the directory below it.
pub fn list(view: &WorktreesView, cwd: &Path) -> String {
    let mut out = String::new();
    let names: Vec<String> =
        view.worktrees.iter().map(|row| format!("{}/{}", row.run_id.short(), row.call_id)).collect();
    let wide = names.iter().map(|name| width(name)).max().unwrap_or(0);
    for (row, name) in view.worktrees.iter().zip(&names) {
        let files = plural(row.changed_total, "file");
        let commits =
            if row.commits > 0 { format!(", {}", plural(u64::from(row.commits), "commit")) } else { String::new() };
        let label = cut_middle(&clean(&row.label), 30);
        let _ = writeln!(out, "{}  {}  {files}{commits}  {label}", pad(name, wide), pad(row.state.as_str(), 7));
        let _ = writeln!(out, "  {}  {}", row.branch, relative(&row.path, cwd));
    }
    out
}

/// What was applied, and what comes next.
pub fn applied(view: &WorktreeAppliedView, term: &Terminal) -> String {
    let files = plural(view.worktree.changed_total, "file");
    format!("{files} changed in {}\n  {}\n", relative(&view.applied_to, &term.cwd), view.next)
}

/// What was removed.
pub fn removed(view: &WorktreesRemovedView) -> String {
    let mut out = String::new();
    for row in &view.removed {
        let branch = if view.branches_kept { "; branch kept: " } else { " with branch " };
        let _ = writeln!(out, "removed {}/{}{branch}{}", row.run_id.short(), row.call_id, row.branch);
        if let Some(commit) = &row.last_commit {
            let short = commit.get(..12).unwrap_or(commit);
            let _ = writeln!(
                out,
                "  its work was {short}; git branch {} {short} brings it back while git keeps it",
                row.branch
            );
        }
    }
    out
}
