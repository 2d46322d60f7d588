//! `owf status`.

use std::fmt::Write as _;

use super::approvals;
use super::run_end::tally;
use super::text::{ago, clean, cost, cut_dots, cut_middle, dollars, duration, plural, relative, sketch, wrap};
use super::words::terminal;
use crate::cli::Terminal;
use crate::core::outcome::CostSource;
use crate::core::run::{RunStatus, StatusReason, is_fake};
use crate::core::time::Millis;
use crate::engine::view::RunView;

/// Phases shown: the latest.
const PHASES: usize = 20;

/// Where a run stands, one fact a line.
pub fn screen(view: &RunView, now: Millis, term: &Terminal) -> String {
    let mut out = format!("run_id: {}\n", view.run_id);
    let reason = view.status_reason.map(|r| format!(" ({})", r.as_str())).unwrap_or_default();
    let fake = if view.simulated { "   FAKE answers" } else { "" };
    let word = match view.status {
        RunStatus::Done | RunStatus::Running => term.paint.green(view.status.as_str()),
        RunStatus::Failed => term.paint.red(view.status.as_str()),
        RunStatus::Queued | RunStatus::Paused | RunStatus::Cancelled | RunStatus::Interrupted => {
            term.paint.yellow(view.status.as_str())
        }
    };
    let _ = writeln!(out, "status: {word}{reason}{fake}");
    if let Some(facts) = &view.run {
        let path = facts.row.script_path.as_deref().map(|p| relative(p, &term.cwd));
        let changed = if facts.source_changed == Some(true) { " (changed since the start)" } else { "" };
        let place = path.map_or_else(|| "   (no file)".to_owned(), |p| format!("   {p}{changed}"));
        let _ = writeln!(out, "workflow: {}{place}", clean(&facts.row.workflow_name));
        let names = facts.row.answerers();
        let own = names == [facts.row.provider.as_str()];
        let nobody = names.is_empty() || own && is_fake(&facts.row.provider) && view.status.is_ended();
        let name = if nobody && !view.simulated { "-".to_owned() } else { names.join(", ") };
        let _ = writeln!(out, "provider: {}", provider(&name, facts.row.model.as_deref().filter(|_| own)));
        let at = facts.row.created_at.get(..16).unwrap_or(&facts.row.created_at).replace('T', " ");
        let _ = writeln!(out, "started: {at} by {}, {}", clean(&facts.row.started_by), ago(&facts.row.created_at, now));
        if let Some(owner) = &facts.owner {
            let _ = writeln!(out, "owner: pid {} on {}, since {}", owner.pid, owner.host, ago(&owner.since, now));
        }
    }
    for (name, from) in [("resumed_from", &view.resumed_from), ("parent_run_id", &view.parent_run_id)] {
        if let Some(id) = from {
            let _ = writeln!(out, "{name}: {id}");
        }
    }
    let _ = writeln!(out, "calls: {}   {}", calls(view), duration(view.elapsed_ms));
    let _ = writeln!(out, "cost: {}", money(view));
    if !view.phases.is_empty() {
        let earlier = view.phases.len().saturating_sub(PHASES);
        let shown = view.phases.iter().skip(earlier).map(|p| format!("{} {}", clean(&p.title), phase(p, view)));
        let phases: Vec<_> = (earlier > 0).then(|| format!("({earlier} earlier)")).into_iter().chain(shown).collect();
        let _ = writeln!(out, "phases: {}", phases.join("   "));
    }
    for notice in &view.warnings {
        let _ = writeln!(out, "{}", wrap(&format!("warning: {}", terminal(&clean(&notice.message))), term.width, 2));
    }
    if let Some(error) = &view.error {
        let _ = writeln!(out, "error: {}", clean(&error.message));
        if let Some(hint) = &error.hint {
            let _ = writeln!(out, "{}", wrap(&format!("  hint: {}", terminal(&clean(hint))), term.width, 8));
        }
    }
    if let Some(total) = view.gaps_total.filter(|n| *n > 0) {
        let _ = writeln!(out, "gaps: {total}");
        for gap in &view.gaps {
            let label = cut_middle(&gap.label, 30);
            let line = format!("  {} {label}  {}: {}", gap.call_id, gap.status.as_str(), clean(&gap.message));
            let _ = writeln!(out, "{}", wrap(&cut_dots(&line, 240), term.width, 8));
        }
    }
    out.push_str(&approvals::block(view));
    let short = view.run_id.short();
    match view.status {
        RunStatus::Interrupted | RunStatus::Cancelled | RunStatus::Failed => {
            let _ = writeln!(out, "go on: owf resume {short}");
        }
        RunStatus::Paused if view.approvals.is_empty() => {
            let _ = writeln!(out, "go on: owf resume {short}");
        }
        RunStatus::Queued | RunStatus::Running => {
            let _ = writeln!(out, "follow it: owf wait {short}");
        }
        RunStatus::Paused | RunStatus::Done => {}
    }
    if let Some(value) = &view.output {
        let _ = writeln!(out, "result: {}", sketch(value, 60).0);
    } else if let Some(outline) = &view.outline {
        let _ = writeln!(out, "result: {}", sketch(outline, 60).0);
    }
    if let Some(dir) = &view.run_dir {
        let _ = writeln!(out, "run_dir: {}", relative(dir, &term.cwd));
    }
    out
}

/// `claude/sonnet`.
pub(super) fn provider(name: &str, model: Option<&str>) -> String {
    let name = if name == "fake" { "FAKE" } else { name };
    match model {
        Some(model) => format!("{name}/{model}"),
        None => name.to_owned(),
    }
}

fn calls(view: &RunView) -> String {
    if view.status == RunStatus::Paused
        && matches!(view.status_reason, Some(StatusReason::Approval | StatusReason::Repeat))
    {
        let waiting = view.approvals.len();
        return format!("{}: {} done, {waiting} waiting for an answer", view.counts.total, view.counts.done);
    }
    let text = tally(view);
    let plain = plural(view.counts.total, "call");
    text.strip_prefix(&plain).map_or_else(|| text.clone(), |rest| format!("{}{rest}", view.counts.total))
}

fn money(view: &RunView) -> String {
    let usage = &view.usage;
    let may_ask = || view.run.as_ref().is_none_or(|facts| facts.row.answerers().into_iter().any(is_fake));
    let asked = view.simulated || !view.status.is_ended() && may_ask();
    if usage.cost_source == CostSource::Simulated && !asked {
        return "$0.00 (no agent was asked)".to_owned();
    }
    if usage.cost_source == CostSource::Simulated {
        return "$0.00 (FAKE answers)".to_owned();
    }
    let of = view.budget.as_ref().and_then(|b| b.cost_usd).map(|l| format!(" of {}", dollars(l.limit)));
    let unpriced = usage.unpriced_calls.filter(|n| *n > 0).map(|n| format!(", {} unpriced", plural(n, "call")));
    let untold = usage.usage_unknown_calls.map(|n| format!(", tokens of {} unknown", plural(n, "call")));
    format!(
        "{}{} ({}{}{})",
        cost(usage.cost_usd, usage.cost_source),
        of.unwrap_or_default(),
        clean(&usage.cost_source.words(&usage.prices_as_of)),
        unpriced.unwrap_or_default(),
        untold.unwrap_or_default()
    )
}

fn phase(row: &crate::engine::view::PhaseRow, view: &RunView) -> String {
    let waiting = row.total.saturating_sub(row.done + row.running + row.failed);
    let parts: Vec<_> = [(row.done, "done"), (row.running, "running"), (row.failed, "failed")]
        .into_iter()
        .chain((!view.status.is_ended()).then_some((waiting, "waiting")))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(" ") }
}
