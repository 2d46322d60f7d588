//! `owf runs`.

use std::fmt::Write as _;

use super::text::{Paint, ago, clean, cost, cut_middle, pad, pad_left, plural, width};
use crate::core::run::{RunStatus, is_fake};
use crate::core::time::Millis;
use crate::engine::view::{RunRow, RunsView};

/// One line per run, in columns.
pub fn list(view: &RunsView, now: Millis, long: bool, paint: &Paint) -> String {
    let rows: Vec<[String; 7]> = view.runs.iter().map(|row| cells(row, now, long)).collect();
    let mut columns = [0_usize; 7];
    for row in &rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            *column = (*column).max(width(cell));
        }
    }
    let mut out = String::new();
    for (row, facts) in rows.iter().zip(&view.runs) {
        let [id, status, name, provider, calls, money, when] = row;
        let word = pad(status, columns[1]);
        let word = match facts.status {
            RunStatus::Failed => paint.red(&word),
            RunStatus::Paused | RunStatus::Interrupted => paint.yellow(&word),
            RunStatus::Running => paint.green(&word),
            RunStatus::Queued | RunStatus::Done | RunStatus::Cancelled => word,
        };
        let line = format!(
            "{}  {word}  {}  {}  {}  {}  {}",
            pad(id, columns[0]),
            pad(name, columns[2]),
            pad(provider, columns[3]),
            pad(calls, columns[4]),
            pad_left(money, columns[5]),
            pad_left(when, columns[6]),
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if view.truncated || view.matched < view.total {
        let of = if view.matched < view.total {
            format!("{} of {} matching, {} in all", view.runs.len(), view.matched, view.total)
        } else {
            format!("{} of {}", view.runs.len(), view.total)
        };
        let _ = writeln!(out, "{of}   more: --limit N   full ids: --long   clear: owf prune");
    }
    out
}

fn cells(row: &RunRow, now: Millis, long: bool) -> [String; 7] {
    let id = if long { row.run_id.to_string() } else { row.run_id.short().to_owned() };
    // Right-aligned numbers read as one column.
    let calls = format!("{:>2} {}", row.calls, if row.calls == 1 { "call " } else { "calls" });
    let calls = if row.failed > 0 { format!("{calls} {} failed", row.failed) } else { calls };
    [
        id,
        row.status.as_str().to_owned(),
        cut_middle(&row.workflow_name, 24),
        answered_by(row),
        calls,
        cost(row.cost_usd, row.cost_source),
        ago(&row.created_at, now),
    ]
}

/// Who answered: a run whose calls were all programs and tools was not answered by the provider it would have asked.
fn answered_by(row: &RunRow) -> String {
    let names = row.answerers();
    let only_fake = names.len() == 1 && names.iter().all(|name| is_fake(name));
    match names.join(", ").as_str() {
        _ if row.simulated => "FAKE".to_owned(),
        "" => "-".to_owned(),
        _ if only_fake && row.status.is_ended() => "-".to_owned(),
        _ if only_fake => "FAKE".to_owned(),
        names => clean(names),
    }
}

/// `3 runs`.
pub(super) fn runs(n: u64) -> String {
    plural(n, "run")
}
