//! The end of a run on the terminal.

use std::fmt::Write as _;
use std::path::Path;

use super::approvals;
use super::text::{clean, cost, count, cut_dots, cut_middle, dollars, duration, plural, relative, sketch, wrap};
use super::words::terminal;
use crate::cli::Terminal;
use crate::core::outcome::CostSource;
use crate::core::run::{RunErrorCode, RunStatus, StatusReason};
use crate::engine::view::{CallState, ErrorView, RunView};

/// The three lines on stdout that end `owf run`.
pub fn three_lines(view: &RunView, cwd: &Path) -> String {
    let dir = view.run_dir.as_deref().map(|dir| relative(dir, cwd)).unwrap_or_default();
    format!("run_id: {}\nstatus: {}\nrun_dir: {dir}\n", view.run_id, view.status.as_str())
}

/// What is said on stderr when a run has ended, paused, or lost its process.
pub fn screen(view: &RunView, term: &Terminal) -> String {
    let mut out = String::new();
    for warning in view.warnings.iter().filter(|w| w.code != "simulated" && w.code != "budget_exhausted") {
        let line = format!("warning: {}", terminal(&clean(&warning.message)));
        let _ = writeln!(out, "{}", term.paint_err.yellow(&wrap(&line, term.width, 2)));
    }
    match view.status {
        RunStatus::Done => done(&mut out, view, term),
        RunStatus::Failed => failed(&mut out, view, term),
        RunStatus::Paused => paused(&mut out, view, term),
        RunStatus::Interrupted | RunStatus::Cancelled => stopped(&mut out, view, term),
        RunStatus::Queued | RunStatus::Running => {
            let _ = writeln!(out, "{}  {}  {}", view.status.as_str(), duration(view.elapsed_ms), tally(view));
            let _ = writeln!(out, "  follow it: owf wait {}", view.run_id.short());
        }
    }
    out
}

/// `40 calls: 39 done (12 reused, saved $1.33), 1 failed`.
pub fn tally(view: &RunView) -> String {
    let counts = &view.counts;
    let mut parts = Vec::new();
    if counts.done > 0 {
        let reused = counts.replayed + counts.hit;
        let saved = view.reuse.as_ref().and_then(|r| r.saved_usd).filter(|usd| usd.get() > 0.0);
        parts.push(match (reused, saved) {
            (0, _) => format!("{} done", counts.done),
            (n, None) => format!("{} done ({n} reused)", counts.done),
            (n, Some(usd)) => format!("{} done ({n} reused, saved {})", counts.done, dollars(usd)),
        });
    }
    if counts.failed > 0 {
        parts.push(format!("{} {}", counts.failed, if all_refused(view) { "refused" } else { "failed" }));
    }
    for (n, word) in [
        (counts.denied, "denied"),
        (counts.skipped, "skipped"),
        (counts.cancelled, "cancelled"),
        (counts.running, "running"),
        (counts.queued, "waiting"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    let head = plural(counts.total, "call");
    if parts.is_empty() { head } else { format!("{head}: {}", parts.join(", ")) }
}

/// Whether every failed call is one that a budget refused.
fn all_refused(view: &RunView) -> bool {
    !view.gaps.is_empty() && view.gaps.iter().all(|gap| gap.status == CallState::BudgetExhausted)
}

/// `$2.38 of $8.00 reported by claude   610k in  29k out`; empty when nothing was spent on anything.
fn spent(view: &RunView) -> String {
    let usage = &view.usage;
    let untold = usage.usage_unknown_calls;
    let nothing = usage.input_tokens == 0 && usage.output_tokens == 0 && untold.is_none();
    if usage.cost_source == CostSource::Simulated || nothing {
        return String::new();
    }
    let mut money = cost(usage.cost_usd, usage.cost_source);
    if let Some(line) = view.budget.as_ref().and_then(|b| b.cost_usd) {
        let _ = write!(money, " of {}", dollars(line.limit));
    }
    let by = match (usage.cost_source, &view.run) {
        (CostSource::Reported, Some(facts)) => format!(" reported by {}", facts.row.provider),
        (source, _) => format!(" {}", source.word()),
    };
    let untold = untold.map_or_else(String::new, |n| format!("  tokens of {} unknown", plural(n, "call")));
    format!("{money}{by}   {} in  {} out{untold}", count(usage.input_tokens), count(usage.output_tokens))
}

fn done(out: &mut String, view: &RunView, term: &Terminal) {
    let short = view.run_id.short();
    let gaps = view.gaps_total.unwrap_or(0);
    let head = match gaps {
        0 => term.paint_err.green("done"),
        n => term.paint_err.yellow(&format!("done with {}", plural(n, "gap"))),
    };
    let fake = if view.simulated { " (FAKE answers)" } else { "" };
    let _ = writeln!(out, "{head}{fake}  {}  {}", duration(view.elapsed_ms), tally(view));
    push_line(out, &spent(view));
    for notice in view.warnings.iter().filter(|w| w.code == "budget_exhausted") {
        push_line(out, &wrap(&terminal(&clean(&notice.message)), term.width, 2));
    }
    if gaps > 0 {
        gap_lines(out, view, term, gaps);
    }
    for row in view.swallowed.iter().take(3) {
        let line = row.line.map(|line| format!(" line {line}")).unwrap_or_default();
        let text = format!("turned into null: {}{line}: {}", row.place, clean(&row.message));
        push_line(out, &cut_dots(&text, term.width));
    }
    for tree in view.worktrees.iter().take(10) {
        let _ = writeln!(out, "to review: {} {}  {}", tree.call_id, tree.branch, plural(tree.changed_total, "file"));
    }
    if let Some(value) = &view.output {
        let (text, cut) = sketch(value, 60);
        let more = if cut { format!("   all of it: owf output {short}") } else { String::new() };
        let _ = writeln!(out, "result: {text}{more}");
    } else if let Some(outline) = &view.outline {
        let _ = writeln!(out, "result: {}   all of it: owf output {short}", sketch(outline, 60).0);
    } else {
        out.push_str("result: none, the script returned undefined\n");
    }
}

fn gap_lines(out: &mut String, view: &RunView, term: &Terminal, gaps: u64) {
    let short = view.run_id.short();
    if all_refused(view) {
        if let Some(first) = view.gaps.first() {
            let label = cut_middle(&first.label, 30);
            let more = if gaps > 1 { format!(" and {} more", gaps - 1) } else { String::new() };
            let line = format!("missing from the result: {} {label}{more} (owf calls --failed)", first.call_id);
            push_line(out, &wrap(&line, term.width, 2));
        }
        let (flag, them) = (limit_flag(view), if gaps == 1 { "it" } else { "them" });
        let _ = writeln!(out, "  run {them}: owf resume {short} {flag} N   {}", plural(gaps, "call"));
        return;
    }
    out.push_str("missing from the result:\n");
    for gap in view.gaps.iter().take(5) {
        let label = cut_middle(&gap.label, 34);
        let line = format!("  {} {label}  {}: {}", gap.call_id, gap.status.as_str(), clean(&gap.message));
        push_line(out, &wrap(&cut_dots(&line, 240), term.width.max(40), 8));
    }
    let shown = view.gaps.len().min(5) as u64;
    if gaps > shown {
        let _ = writeln!(out, "  and {} more: owf calls {short} --failed", gaps - shown);
    }
    let again = if gaps == 1 { "it" } else { "them" };
    let _ = writeln!(out, "  try {again} again: owf resume {short}");
}

/// The flag that lifts the limit which refused calls.
fn limit_flag(view: &RunView) -> &'static str {
    match &view.budget {
        Some(b) if b.cost_usd.is_some() => "--budget-cost-usd",
        Some(b) if b.tokens.is_some() => "--budget-tokens",
        Some(_) | None => "--max-calls",
    }
}

fn failed(out: &mut String, view: &RunView, term: &Terminal) {
    let fake = if view.simulated { " (FAKE answers)" } else { "" };
    let head = term.paint_err.red("failed");
    let _ = writeln!(out, "{head}{fake}  {}  {}", duration(view.elapsed_ms), tally(view));
    push_line(out, &spent(view));
    if let Some(error) = &view.error {
        error_lines(out, error, view, term);
    }
    let gaps = view.gaps_total.unwrap_or(0);
    if gaps > 0 && is_strictness(view) {
        gap_lines(out, view, term, gaps);
    }
}

/// Whether the run failed only because it may have no gaps.
fn is_strictness(view: &RunView) -> bool {
    view.error.as_ref().is_some_and(|error| error.code == RunErrorCode::Gaps.as_str())
}

/// The error of a run: name and message, place and source line, hint.
fn error_lines(out: &mut String, error: &ErrorView, view: &RunView, term: &Terminal) {
    let name = match &error.name {
        Some(name) if !error.message.starts_with(name.as_str()) => format!("{name}: "),
        Some(_) | None => String::new(),
    };
    let message = wrap(&format!("error: {name}{}", clean(&error.message)), term.width, 2);
    let _ = writeln!(out, "{}{}", term.paint_err.red("error:"), message.trim_start_matches("error:"));
    if let Some(line) = error.line {
        let file = view
            .script_path
            .as_deref()
            .and_then(|p| Path::new(p).file_name())
            .map_or_else(|| "script".to_owned(), |f| f.to_string_lossy().into_owned());
        let excerpt = error.excerpt.as_deref().map(|e| format!("  {}", clean(e.trim()))).unwrap_or_default();
        let place = format!("  {file}:{line}:{}{excerpt}", error.column.unwrap_or(1));
        push_line(out, &cut_dots(&place, term.width));
    }
    if let Some(hint) = &error.hint {
        push_line(out, &wrap(&format!("  hint: {}", terminal(&clean(hint))), term.width, 8));
    } else if !is_strictness(view) {
        let reused = match view.counts.done {
            0 => String::new(),
            n => format!("   {} reused", plural(n, "call")),
        };
        let short = view.run_id.short();
        if [RunErrorCode::CallCap, RunErrorCode::BudgetExhausted].iter().any(|code| error.code == code.as_str()) {
            let _ = writeln!(out, "  hint: owf resume {short} {} N goes on with more{reused}", limit_flag(view));
            return;
        }
        if error.code == RunErrorCode::TaskFailed.as_str() {
            // What failed may be the world's fault as well as the document's.
            let _ = writeln!(
                out,
                "  hint: owf resume {short} tries it again{reused}; add --source current for an edited file"
            );
            return;
        }
        let named = view.run.as_ref().is_none_or(|facts| facts.row.script_path.is_some());
        let again = if named { "--source current" } else { "FILE" };
        let _ = writeln!(out, "  hint: fix the file, then owf resume {short} {again}{reused}");
    }
}

fn paused(out: &mut String, view: &RunView, term: &Terminal) {
    let short = view.run_id.short();
    let head = term.paint_err.yellow("paused");
    let time = duration(view.elapsed_ms);
    match view.status_reason {
        Some(StatusReason::ProviderAuth | StatusReason::ProviderQuota) => {
            let error = view.error.as_ref();
            let message = error.map_or("a provider is not usable", |e| e.message.as_str());
            let _ = writeln!(out, "{head}  {time}  {}", clean(message));
            if let Some(hint) = error.and_then(|e| e.hint.as_deref()) {
                push_line(out, &wrap(&format!("  {}", terminal(&clean(hint))), term.width, 2));
            }
            let _ = writeln!(out, "  then: owf resume {short}");
        }
        // A question put off is still what the run waits on.
        _ if !view.approvals.is_empty() => {
            let done = view.counts.done;
            let waiting = view.approvals.len() as u64;
            let calls = plural(view.counts.total, "call");
            let _ = writeln!(out, "{head}  {time}  {calls}: {done} done, {waiting} waiting for an answer");
            out.push_str(&approvals::block(view));
        }
        _ => {
            let _ = writeln!(out, "{head}  {time}  {}", tally(view));
            out.push_str(&approvals::block(view));
            let _ = writeln!(out, "  go on: owf resume {short}");
        }
    }
}

fn stopped(out: &mut String, view: &RunView, term: &Terminal) {
    let counts = &view.counts;
    let mut parts = vec![format!("{} done and kept", counts.done)];
    if counts.failed > 0 {
        parts.push(format!("{} failed", counts.failed));
    }
    let again = counts.running + counts.queued + counts.cancelled;
    if again > 0 {
        parts.push(if view.status == RunStatus::Cancelled {
            format!("{again} ended")
        } else {
            format!("{again} will run again")
        });
    }
    let head = term.paint_err.yellow(view.status.as_str());
    let calls = plural(counts.total, "call");
    let _ = writeln!(out, "{head}  {}  {calls}: {}", duration(view.elapsed_ms), parts.join(", "));
    if view.status_reason == Some(StatusReason::NotStarted)
        && let Some(error) = &view.error
    {
        let _ = writeln!(out, "  it never started: {}", clean(&error.message));
    }
    if view.status_reason == Some(StatusReason::Superseded) {
        out.push_str("  another run took its place: owf runs\n");
    } else if view.status_reason == Some(StatusReason::Workflow) {
        let short = view.run_id.short();
        let _ = writeln!(out, "  the workflow ended itself; what there was: owf output {short}");
    } else {
        let _ = writeln!(out, "  go on: owf resume {}", view.run_id.short());
    }
}

/// Reply of `owf cancel`: `cancelled k7q2mvx4: 8 agents ended, 19 calls kept`.
pub fn cancelled_line(view: &RunView, call: Option<&str>, why: Option<&str>) -> String {
    let short = view.run_id.short();
    let line = match call {
        Some(call) => format!("cancelling {call} of {short}; the run goes on"),
        None if view.status == RunStatus::Cancelled => format!(
            "cancelled {short}: {} ended, {} kept",
            plural(view.counts.cancelled, "call"),
            plural(view.counts.done, "call")
        ),
        None => format!("cancelling {short}: {} being ended", plural(view.counts.running, "call")),
    };
    why.map_or_else(|| line.clone(), |why| format!("{line}; the reason: {}", clean(why)))
}

fn push_line(out: &mut String, line: &str) {
    if !line.is_empty() {
        out.push_str(line);
        out.push('\n');
    }
}
