//! Questions on the terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{clean, cut_middle, hour_minute, wrap};
use crate::core::call::Decision;
use crate::core::ids::RunId;
use crate::engine::view::{ApprovalRow, ApprovalState, ApprovalsView, RunView};

/// `16:32 UTC, then deny`; empty when the question does not expire.
fn until(row: &ApprovalRow) -> String {
    match (&row.expires_at, row.on_timeout) {
        (Some(at), Some(answer)) => format!("{} UTC, then {}", hour_minute(at), answer.as_str()),
        (Some(at), None) => format!("{} UTC", hour_minute(at)),
        (None, _) => String::new(),
    }
}

/// `question a1: Apply the migration to 14 files?  until 16:32, then deny`.
pub fn pending_line(row: &ApprovalRow) -> String {
    let until = match until(row) {
        text if text.is_empty() => text,
        text => format!("  until {}", text.replace(" UTC", "")),
    };
    format!("question {}: {}{until}\n", row.approval_id, clean(&row.message))
}

/// The questions of a run and the commands that answer them; for one that expired unnoticed, the command that goes on.
pub fn block(view: &RunView) -> String {
    let mut out = String::new();
    for row in &view.approvals {
        if row.state == ApprovalState::Expired {
            let answer = row.on_timeout.map_or("deny", Decision::as_str);
            let _ = writeln!(
                out,
                "question {}: {}  expired, which counts as {answer}\n  go on: owf resume {}",
                row.approval_id,
                clean(&row.message),
                view.run_id.short()
            );
        } else {
            out.push_str(&pending_line(row));
            out.push_str(&how_to_answer(row, view.approvals.len() > 1));
        }
    }
    out
}

/// The two commands that answer a question.
pub fn how_to_answer(row: &ApprovalRow, several: bool) -> String {
    let short = row.run_id.short();
    let which = if several { format!(" {}", row.approval_id) } else { String::new() };
    format!("  owf approve {short}{which}   or   owf deny {short}{which} --reason \"...\"\n")
}

/// The block before the prompt of a foreground run.
pub fn question(row: &ApprovalRow, workflow: &str, width: usize) -> String {
    let head = format!("question {} from {workflow} ({}): {}", row.approval_id, row.call_id, clean(&row.message));
    let mut out = wrap(&head, width, 2);
    let means = format!("  approve: {}   deny: {}", row.approve_means, row.deny_means);
    let _ = write!(out, "\n{}\n", wrap(&means, width, 4));
    let until = until(row);
    if !until.is_empty() {
        let _ = writeln!(out, "  until {until}");
    }
    out
}

/// The prompt itself; the cursor stays behind it.
pub const PROMPT: &str = "approve? [y]es [n]o [s]how details [l]ater: ";

/// What `s` shows: everything the question holds.
pub fn details(row: &ApprovalRow) -> String {
    let mut out = format!("  call     {}   kind {}   hash {}\n", row.call_id, row.kind.as_str(), row.content_hash);
    let _ = writeln!(out, "  message  {}", clean(&row.message));
    if let Some(metadata) = &row.metadata {
        for (i, line) in format!("{metadata:#}").lines().enumerate() {
            let _ = writeln!(out, "  {} {}", if i == 0 { "data    " } else { "        " }, clean(line));
        }
    }
    out
}

/// One line per question: `a1  k7q2mvx4  migrate  Apply the migration to 14 files?  16:32 UTC, then deny`.
pub fn list(view: &ApprovalsView, names: &BTreeMap<RunId, String>, width: usize) -> String {
    let mut out = String::new();
    for row in &view.approvals {
        let name = names.get(&row.run_id).map_or("", String::as_str);
        let message = cut_middle(&row.message, width.max(60));
        let mut line = format!("{}  {}  {name}  {message}", row.approval_id, row.run_id.short());
        let tail = match &row.decided_at {
            Some(at) => format!(
                "{} {} UTC{}",
                row.state.as_str(),
                hour_minute(at),
                row.decided_via.as_deref().map(|via| format!(" by {via}")).unwrap_or_default()
            ),
            None => until(row),
        };
        if !tail.is_empty() {
            let _ = write!(line, "  {tail}");
        }
        out.push_str(&line);
        out.push('\n');
    }
    if view.truncated {
        let _ = writeln!(out, "{} of {}", view.approvals.len(), view.approvals_total);
    }
    out
}

/// Reply of `owf approve|deny`.
pub fn decided(view: &RunView, approval_id: &str, decision: Decision) -> String {
    let word = match decision {
        Decision::Approve => "approved",
        Decision::Deny => "denied",
    };
    let short = view.run_id.short();
    if super::super::exit::goes_on(view.status) {
        format!("{word} {approval_id}; run {} goes on in the background\n  follow it: owf wait {short}\n", view.run_id)
    } else {
        format!(
            "{word} {approval_id}; run {} is {}\n  owf status {short} shows it\n",
            view.run_id,
            view.status.as_str()
        )
    }
}
