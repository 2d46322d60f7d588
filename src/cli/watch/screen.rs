//! Following on a terminal: a screen of at most 14 lines.

use std::fmt::Write as _;

use super::live::Live;
use super::plain::provider;
use crate::cli::render::text::{
    age, clean, count, cut_end, cut_middle, dollars, duration, pad, pad_left, plural, whole_duration, width,
};
use crate::core::time::Millis;
use crate::engine::view::Usd;

/// The screen at `now`; `hint` stands at its end and says what Ctrl-C does. No line is wider than `columns`.
pub fn screen(live: &Live, now: Millis, columns: usize, hint: &str) -> Vec<String> {
    let mut out = Vec::new();
    let run = live.run_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let by = Some(provider(live)).filter(|by| !by.is_empty()).map(|by| format!("{by}  ")).unwrap_or_default();
    let head = format!("{}  {by}{run}", cut_middle(&live.workflow, 24));
    let elapsed = duration(live.started.map_or(0, |at| now.since(at)));
    let elapsed =
        if elapsed.contains('.') { whole_duration(live.started.map_or(0, |at| now.since(at))) } else { elapsed };
    out.push(format!("{head}{}", pad_left(&elapsed, columns.saturating_sub(width(&head)).max(elapsed.len() + 2))));
    phases(&mut out, live);
    running(&mut out, live, now);
    if let Some(failed) = &live.last_failed {
        out.push(format!("  FAIL {}  {}", cut_middle(&failed.label, 40), failed.status));
        out.push(format!("       {}", clean(&failed.message)));
    }
    if let Some(log) = &live.last_log {
        out.push(format!("  log  {}", clean(log)));
    }
    let tokens = format!("{} in  {} out", count(live.usage.input_tokens), count(live.usage.output_tokens));
    let mut total = format!("{}  {} done ({} reused)", plural(live.total, "call"), live.done, live.reused);
    for (n, word) in [
        (live.running.len() as u64, "running"),
        (live.waiting(), "waiting"),
        (live.failed, "failed"),
        (live.questions, "to answer"),
    ] {
        if n > 0 {
            let _ = write!(total, "  {n} {word}");
        }
    }
    out.push(format!("{total}   {tokens}"));
    let of = live.limits.cost_nanos.map(|n| format!(" of {}", dollars(Usd::from_nanos(n)))).unwrap_or_default();
    let money = if live.simulated { "FAKE answers".to_owned() } else { format!("{}{of}", live.cost()) };
    out.push(format!("{money}   {hint}"));
    out.into_iter().map(|line| cut_end(&line, columns)).collect()
}

/// The last four phases with their tallies.
fn phases(out: &mut Vec<String>, live: &Live) {
    let known: Vec<_> = live.phases.iter().filter(|p| p.total > 0).collect();
    let titles = known.iter().map(|p| width(&cut_middle(&p.title, 16))).max().unwrap_or(0).max(8);
    for phase in known.iter().skip(known.len().saturating_sub(4)) {
        let waiting = phase.total.saturating_sub(phase.done + phase.running + phase.failed + phase.other);
        let mut parts = Vec::new();
        for (n, word) in [(phase.done, "done"), (phase.running, "running"), (phase.failed, "failed")] {
            if n > 0 {
                parts.push(pad(&format!("{n} {word}"), 10));
            }
        }
        if waiting > 0 {
            parts.push(match live.concurrency {
                Some(limit) => format!("{waiting} waiting for a slot (limit {limit})"),
                None => format!("{waiting} waiting"),
            });
        }
        let line = format!("  {}  {}", pad(&cut_middle(&phase.title, 16), titles), parts.join("  "));
        out.push(line.trim_end().to_owned());
    }
}

/// The three oldest calls under way.
fn running(out: &mut Vec<String>, live: &Live, now: Millis) {
    for index in live.running.iter().take(3) {
        let Some(call) = live.calls.get(index) else { continue };
        let time = whole_duration(call.started.map_or(0, |at| now.since(at)));
        let mut line = format!("  run  {}  {}", pad(&cut_middle(&call.label, 34), 34), pad_left(&time, 6));
        if let Some((class, at)) = call.setback {
            let word = class.as_str().replace('_', " ");
            let _ = write!(line, "  try {}, {word} {} ago", call.attempt, age(now.since(at)));
        }
        out.push(line);
    }
    if live.running.len() > 3 {
        out.push(format!("       + {} more", live.running.len() - 3));
    }
}
