//! `owf calls`: the list, and one call in full.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::prices::per_million;
use super::status::provider;
use super::text::{clean, cost, cut_dots, cut_middle, duration, estimates, kilo, pad, width};
use crate::cli::Terminal;
use crate::engine::view::{CallDetail, CallDetailView, CallRow, CallsView};

/// One line per call, the error of a failed one below it.
pub fn list(view: &CallsView, term: &Terminal) -> String {
    let mut out = String::new();
    let labels: Vec<String> = view.calls.iter().map(|row| cut_middle(&row.label, 30)).collect();
    let label_width = labels.iter().map(|l| width(l)).max().unwrap_or(0);
    let status_width = view.calls.iter().map(|row| row.status.as_str().len()).max().unwrap_or(0).max(13);
    for (row, label) in view.calls.iter().zip(&labels) {
        let status = pad(row.status.as_str(), status_width);
        let status = if row.status.is_failing() { term.paint.red(&status) } else { status };
        let cache = row.cache_status.map_or("", crate::core::outcome::CacheStatus::as_str);
        let label = pad(label, label_width);
        let mut line = format!("{}  {status}  {}  {label}{}", row.call_id, pad(cache, 4), facts(row));
        line.truncate(line.trim_end().len());
        out.push_str(&line);
        out.push('\n');
        if let Some(error) = &row.error {
            let _ = writeln!(out, "       {}", cut_dots(&clean(&error.message), term.width.saturating_sub(7).max(40)));
        }
    }
    let one = view
        .calls
        .first()
        .map_or_else(String::new, |row| format!("   one in full: owf calls {} {}", view.run_id.short(), row.call_id));
    let more = if view.truncated { "   more: --limit N" } else { "" };
    let _ = writeln!(out, "{} of {} calls{more}{one}", view.calls.len(), view.calls_total);
    let days: BTreeSet<&String> = view.calls.iter().filter_map(|row| row.prices_as_of.as_ref()).collect();
    out.push_str(&estimates(&days.into_iter().cloned().collect::<Vec<_>>()));
    out
}

/// `  20m00s  2 tries  $0.21`.
fn facts(row: &CallRow) -> String {
    let mut out = String::new();
    if let Some(ms) = row.duration_ms {
        let _ = write!(out, "  {}", duration(ms));
    }
    if row.attempts > 1 {
        let _ = write!(out, "  {} tries", row.attempts);
    }
    if let (usd, Some(source)) = (row.cost_usd, row.cost_source) {
        let _ = write!(out, "  {}", cost(usd, source));
    }
    out
}

/// What its tokens are made of, when more than prompt and answer is known: a line of its own.
fn parts(call: &CallDetail) -> String {
    let (read, written) = (call.cache_read_tokens.unwrap_or(0), call.cache_write_tokens.unwrap_or(0));
    let mut parts = Vec::new();
    if read + written > 0 {
        let hour = call.cache_write_1h_tokens.map(|n| format!(" ({} of that for an hour)", kilo(n)));
        let hour = hour.unwrap_or_default();
        parts.push(format!(
            "beside that {} read from the prompt cache, {} written to it{hour}",
            kilo(read),
            kilo(written)
        ));
    }
    if let Some(reasoning) = call.reasoning_tokens {
        parts.push(format!("{} of the answer reasoning", kilo(reasoning)));
    }
    if parts.is_empty() { String::new() } else { format!("  tokens   {}\n", parts.join("; ")) }
}

/// One call in full.
pub fn detail(view: &CallDetailView, term: &Terminal) -> String {
    let call = &view.call;
    let row = &call.row;
    let short = view.run_id.short();
    let phase = row.phase.as_deref().map(|p| format!("   {}", clean(p))).unwrap_or_default();
    let by = row.provider.as_deref().map(|p| format!("   {}", provider(p, row.model.as_deref()))).unwrap_or_default();
    let mut out = format!("{} {}   {}{phase}{by}\n", row.call_id, clean(&row.label), row.status.as_str());
    let mut tries = format!("  tries    {}", row.attempts);
    if let Some(ms) = row.duration_ms {
        let _ = write!(tries, "   {}", duration(ms));
    }
    let unknown = row.usage_unknown == Some(true);
    match (row.input_tokens, row.output_tokens) {
        (Some(input), Some(output)) => {
            let least = if unknown { "at least " } else { "" };
            let _ = write!(tries, "   {least}{} in  {} out", kilo(input), kilo(output));
        }
        _ if unknown => tries.push_str("   tokens unknown"),
        _ => {}
    }
    if let Some(source) = row.cost_source {
        let words = source.words(row.prices_as_of.as_slice());
        let _ = write!(tries, "  {} ({})", cost(row.cost_usd, source), clean(&words));
    }
    let _ = writeln!(out, "{tries}");
    out.push_str(&parts(call));
    if call.attempts_list.len() > 1 || call.attempts_list.iter().any(|attempt| !attempt.effects.is_empty()) {
        // `owf undo --use` counts like this.
        let mut uses = 1..;
        for attempt in &call.attempts_list {
            let class = attempt.class.map(|c| format!(" {}", c.as_str())).unwrap_or_default();
            let message = attempt.message.as_deref().map(|m| format!(": {}", clean(m))).unwrap_or_default();
            let line = format!("  try {:<4} {}{class}{message}", attempt.attempt, attempt.status.as_str());
            let _ = writeln!(out, "{}", cut_dots(&line, term.width));
            for (effect, nth) in attempt.effects.iter().zip(&mut uses) {
                let _ = writeln!(out, "{}", cut_dots(&format!("    did {nth}: {}", clean(effect)), term.width));
            }
        }
    }
    if let Some(error) = &row.error {
        let _ = writeln!(out, "  error    {}: {}", error.class.as_str(), clean(&error.message));
        if let Some(hint) = &error.hint {
            let _ = writeln!(out, "  hint     {}", clean(hint));
        }
        if let Some(at) = &error.retry_at {
            let _ = writeln!(out, "  again    not before {}", clean(at));
        }
    }
    let program = [call.provider_version.as_deref(), call.profile.as_deref()];
    if call.provider_version.is_some() || call.profile.is_some() {
        let words: Vec<_> = program.into_iter().flatten().map(clean).collect();
        let _ = writeln!(out, "  program  {}", words.join("   "));
    }
    if let Some(price) = &call.price {
        let of = format!("{} of {}", clean(&price.model), clean(&price.provider));
        let _ = writeln!(
            out,
            "  price    {of}: {} USD per million tokens ({})",
            per_million(&price.per_million),
            clean(&price.source)
        );
    }
    for warning in &call.warnings {
        let _ = writeln!(out, "  note     {}", clean(warning));
    }
    if call.possibly_repeated == Some(true) {
        out.push_str("  repeat   its process died while it may have had effects\n");
    }
    let room = term.width.saturating_sub(11).max(40);
    if !call.prompt_preview.is_empty() {
        let text = cut_dots(&clean(&call.prompt_preview), room.saturating_sub(16));
        let _ = writeln!(out, "  prompt   {}({} bytes)", pad(&text, 53), call.prompt_bytes);
    }
    if let Some(preview) = &call.output_preview {
        let _ = writeln!(out, "  answer   {}", cut_dots(&clean(preview), room));
    }
    if let Some(explain) = &call.explain {
        let _ = writeln!(out, "  cache    {}: {}", explain.cache_status.as_str(), clean(&explain.reason));
    }
    if let Some(child) = &row.child_run_id {
        let _ = writeln!(out, "  run      {child}");
    }
    if let Some(branch) = &call.worktree_branch {
        let path = call.worktree_path.as_deref().unwrap_or_default();
        let _ = writeln!(out, "  worktree {branch}  {path}");
    }
    let files: Vec<&str> = [&call.files.prompt, &call.files.output, &call.files.error, &call.files.transcript]
        .into_iter()
        .filter_map(|f| f.as_deref())
        .collect();
    if let Some(first) = files.first() {
        let folder = first.rsplit_once('/').map_or("", |(dir, _)| dir);
        let names: Vec<_> = files.iter().map(|f| f.rsplit('/').next().unwrap_or(f)).collect();
        let _ = writeln!(out, "  files    {folder}/{{{}}}", names.join(","));
        let mut flags = String::new();
        for (flag, there) in [("prompt", &call.files.prompt), ("transcript", &call.files.transcript)] {
            if there.is_some() {
                let _ = write!(flags, "   --{flag}");
            }
        }
        let _ = writeln!(out, "  all of it: owf cat {short}/{}{flags}", row.call_id);
    }
    out
}
