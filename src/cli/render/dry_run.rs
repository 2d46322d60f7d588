//! `owf dry-run`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::status::provider;
use super::text::{Paint, clean, count, cut_dots, cut_middle, dollars, pad, plural, width, wrap};
use super::words::terminal;
use crate::cli::Terminal;
use crate::core::outcome::CostSource;
use crate::engine::view::{DryOutcome, DryRunView, MoneyBand, Usd};

/// The calls, the coverage, what they would cost, and what to do next with the `workflow` as it was named. `full` shows
/// every row.
pub fn screen(view: &DryRunView, term: &Terminal, workflow: &str, full: bool) -> String {
    let mut out = String::new();
    head(&mut out, view, term.paint);
    calls(&mut out, view, full);
    coverage(&mut out, view);
    if view.estimate.calls > 0 {
        estimate(&mut out, view);
    }
    providers(&mut out, view);
    for row in view.swallowed.iter().take(5) {
        let line = row.line.map(|l| format!(" line {l}")).unwrap_or_default();
        let text = format!("turned into null: {}{line}: {}", clean(&row.place), clean(&row.message));
        let _ = writeln!(out, "{}", cut_dots(&text, term.width));
    }
    for notice in &view.warnings {
        let _ = writeln!(out, "{}", wrap(&format!("warning: {}", terminal(&clean(&notice.message))), term.width, 2));
    }
    if let Some(command) = next(view, workflow) {
        let _ = writeln!(out, "next: {command}");
    }
    reuse(&mut out, view);
    out
}

fn head(out: &mut String, view: &DryRunView, paint: Paint) {
    let name = clean(&view.workflow.name);
    let planned = view.provider.as_deref().map(|p| provider(p, view.model.as_deref()));
    let to = planned.unwrap_or_else(|| "a provider".to_owned());
    let word = match view.outcome {
        DryOutcome::Completed => "completed".to_owned(),
        DryOutcome::NoCalls => "completed without a call".to_owned(),
        DryOutcome::StoppedBeforeCalls => paint.red("stopped before its first call"),
        DryOutcome::Threw => paint.red("threw"),
    };
    let _ = writeln!(out, "{name}: {word}, nothing was sent to {to}");
    if let Some(error) = &view.error {
        let place = error.line.map(|l| format!(" ({l}:{})", error.column.unwrap_or(1))).unwrap_or_default();
        let _ = writeln!(out, "{} {}{place}", paint.red("error:"), clean(&error.message));
        if let Some(hint) = &error.hint {
            let _ = writeln!(out, "  hint: {}", terminal(&clean(hint)));
        }
    }
}

fn calls(out: &mut String, view: &DryRunView, full: bool) {
    let titles = view.calls.iter().map(|c| c.phase.as_deref().unwrap_or("-"));
    let title_width = titles.map(|t| width(&cut_middle(t, 16))).max().unwrap_or(0).max(6);
    let label_width = view.calls.iter().map(|c| width(&cut_middle(&c.label, 28))).max().unwrap_or(0).max(18);
    let mut notes: BTreeMap<usize, String> = BTreeMap::new();
    // A fan-out is noted at the next starred row that made as many calls.
    let mut from = 0;
    for fan in &view.fan_outs {
        let rest = view.calls.iter().enumerate().skip(from);
        let found = rest.into_iter().find(|(_, c)| c.count == fan.calls && c.label.contains('*'));
        if let Some((i, _)) = found {
            notes.insert(i, format!("grows with {} (line {})", clean(&fan.over), fan.line));
            from = i + 1;
        }
    }
    let max = if full { usize::MAX } else { 20 };
    for (i, row) in view.calls.iter().enumerate().take(max) {
        let title = pad(&cut_middle(row.phase.as_deref().unwrap_or("-"), 16), title_width);
        let label = pad(&cut_middle(&row.label, 28), label_width);
        let note = notes.get(&i).map_or("", String::as_str);
        let line = format!("  {title}  {:>3}  {label}  {note}", row.count);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if view.truncated || view.calls.len() > max {
        out.push_str("  ... every call: --full\n");
    }
}

fn coverage(out: &mut String, view: &DryRunView) {
    let args = if view.args_read.is_empty() {
        String::new()
    } else {
        format!("      args read: {}", view.args_read.join(", "))
    };
    let _ = writeln!(out, "places reached: {} of {}{args}", view.sites_reached, view.sites_total);
    if !view.args_missing.is_empty() {
        let _ = writeln!(out, "args missing: {}", view.args_missing.join(", "));
    }
    for place in view.unreached.iter().take(5) {
        let label = place.label.as_deref().map(|l| format!("  {}", cut_middle(l, 40))).unwrap_or_default();
        let _ = writeln!(out, "  not reached: line {}{label}", place.line);
    }
}

fn estimate(out: &mut String, view: &DryRunView) {
    let e = &view.estimate;
    let these = if e.calls == 1 { "this call".to_owned() } else { format!("these {} calls", e.calls) };
    let tokens = |band: crate::engine::view::Band| [count(band.low), count(band.expected), count(band.high)];
    let mut lines = vec![
        (format!("for {these}"), ["low", "expected", "high"].map(str::to_owned)),
        ("  tokens in".to_owned(), tokens(e.input_tokens)),
        ("  tokens out".to_owned(), tokens(e.output_tokens)),
    ];
    if let Some(MoneyBand { low, expected, high }) = e.cost_usd {
        lines.push(("  cost".to_owned(), [low, expected, high].map(|usd| about(usd, e.cost_source))));
    }
    // As wide as ever, and wider where a small amount has many digits.
    let wide = |column: usize, least: usize| {
        let widest = lines.iter().map(|(_, cells)| width(&cells[column])).max().unwrap_or(0);
        least.max(widest + 2)
    };
    let (first, second) = (wide(0, 9), wide(1, 11));
    for (name, [low, expected, high]) in &lines {
        let _ = writeln!(out, "{}{}{}{high}", pad(name, 20), pad(low, first), pad(expected, second));
    }
    let mut parts = Vec::new();
    if let (Some(usd), Some(fan)) = (e.per_extra_item_usd, view.fan_outs.first()) {
        parts.push(format!("each further item of {} {}", clean(&fan.over), about(usd, e.cost_source)));
    }
    if e.worst_case.calls > e.calls {
        let usd = e.worst_case.cost_usd.map(|usd| format!(" {}", about(usd, e.cost_source)));
        parts.push(format!("worst case {} calls (the limit){}", e.worst_case.calls, usd.unwrap_or_default()));
    }
    if !parts.is_empty() {
        let _ = writeln!(out, "{}", parts.join("; "));
    }
}

/// An estimated amount; whole dollars from ten on.
fn about(usd: Usd, source: CostSource) -> String {
    let sign = if source == CostSource::Reported || source == CostSource::Simulated { "" } else { "≈" };
    if usd.get() >= 10.0 { format!("{sign}${:.0}", usd.get()) } else { format!("{sign}{}", dollars(usd)) }
}

fn providers(out: &mut String, view: &DryRunView) {
    let mut parts = Vec::new();
    if let Some(day) = view.estimate.prices_as_of.as_deref().filter(|_| view.estimate.cost_usd.is_some()) {
        parts.push(format!("prices of {day}"));
    }
    for row in view.providers.iter().filter(|row| row.name != "fake") {
        let version = row.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
        parts.push(if row.available {
            let known = match row.login.as_deref() {
                Some("yes") => "found, logged in",
                Some("no") => "found, not logged in",
                Some(_) => "found, login not checked",
                // A service: nobody asked it anything.
                None => "not asked whether it answers",
            };
            format!("{}{version} {known}", row.name)
        } else {
            let why = row.message.as_deref().unwrap_or("not usable here");
            format!("{}: {}", row.name, clean(why))
        });
    }
    if !parts.is_empty() {
        let _ = writeln!(out, "{}", parts.join("   "));
    }
}

/// The command to go on with, when the rehearsal went well.
fn next(view: &DryRunView, workflow: &str) -> Option<String> {
    if !matches!(view.outcome, DryOutcome::Completed | DryOutcome::NoCalls) {
        return None;
    }
    let mut command = format!("owf run {}", clean(workflow));
    if let Some(name) = view.provider.as_deref().filter(|p| *p != "fake") {
        let _ = write!(command, " --provider {name}");
        if let Some(model) = &view.model {
            let _ = write!(command, " --model {model}");
        }
        // Room for more items than the rehearsal had, rounded up to a whole dollar.
        let high = view.estimate.cost_usd.map_or(0.0, |band| band.high.get());
        if high > 0.0 {
            let _ = write!(command, " --budget-cost-usd {:.0}", (high * 10.0).ceil().max(1.0));
        }
    }
    Some(command)
}

fn reuse(out: &mut String, view: &DryRunView) {
    let Some(reuse) = &view.reuse else { return };
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for call in &reuse.rerun_calls {
        let word = call
            .changed
            .first()
            .map_or_else(|| call.reason_code.as_str().trim_start_matches("earlier_").replace('_', " "), Clone::clone);
        *reasons.entry(word).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let why: Vec<_> = reasons.iter().map(|(word, n)| format!("{n} {word}")).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
    let saved = reuse.saved_usd.filter(|usd| usd.get() > 0.0).map(|usd| format!(", saves {}", dollars(usd)));
    let short = reuse.run_id.short();
    let _ = writeln!(
        out,
        "--against {short}: {} replayed, {} run again{why}{}",
        plural(reuse.replayed, "call"),
        reuse.rerun,
        saved.unwrap_or_default()
    );
}
