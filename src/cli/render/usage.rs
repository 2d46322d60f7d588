//! Sums of what agents used, as lines.

use std::fmt::Write as _;

use super::text::{clean, cost, count, estimates, pad, pad_left, plural, width};
use crate::engine::view::{UsageReport, UsageSum};

/// `name  calls  tokens  cost`, and the total.
pub fn usage(view: &UsageReport) -> String {
    let rows: Vec<&UsageSum> = view.usage.iter().chain([&view.total]).collect();
    let names = rows.iter().map(|row| width(&row.name)).max().unwrap_or(0);
    let lines: Vec<[String; 5]> = rows.iter().map(|row| columns(row)).collect();
    let wide = |i: usize| lines.iter().map(|line| width(&line[i])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(wide).collect();
    let mut out = String::new();
    for (row, line) in rows.iter().zip(&lines) {
        let _ = write!(out, "{}", pad(&clean(&row.name), names));
        for (text, width) in line.iter().zip(&widths) {
            let _ = write!(out, "  {}", pad_left(text, *width));
        }
        let mut notes = Vec::new();
        if let (Some(reported), Some(estimated)) = (row.reported_usd, row.estimated_usd) {
            notes.push(format!(
                "{} reported, {} estimated",
                cost(Some(reported), crate::core::outcome::CostSource::Reported),
                cost(Some(estimated), crate::core::outcome::CostSource::Estimated)
            ));
        }
        if let Some(n) = row.unpriced_calls {
            notes.push(format!("without the cost of {}", plural(n, "call")));
        }
        if let Some(n) = row.usage_unknown_calls {
            notes.push(format!("tokens of {} unknown", plural(n, "call")));
        }
        if !notes.is_empty() {
            let _ = write!(out, "  ({})", notes.join(", "));
        }
        out.push('\n');
    }
    out.push_str(&parts(&view.total));
    out.push_str(&estimates(&view.total.prices_as_of));
    out
}

/// What the tokens of the total are made of, where that is known: `in: 1,200 new, 90,000 from caches, ...`.
fn parts(total: &UsageSum) -> String {
    let mut out = String::new();
    let (read, written) = (total.cache_read_tokens, total.cache_write_tokens);
    if read + written > 0 {
        let hour = total.cache_write_1h_tokens.map(|n| format!(" ({} of that for an hour)", count(n)));
        let _ = writeln!(
            out,
            "in: {} new, {} read from prompt caches, {} written to them{}",
            count(total.input_tokens),
            count(read),
            count(written),
            hour.unwrap_or_default()
        );
    }
    if let Some(reasoning) = total.reasoning_tokens {
        let _ = writeln!(out, "out: {} of it reasoning", count(reasoning));
    }
    out
}

fn columns(row: &UsageSum) -> [String; 5] {
    [
        plural(row.runs, "run"),
        plural(row.calls, "call"),
        format!("{} in", count(row.input_tokens + row.cache_read_tokens + row.cache_write_tokens)),
        format!("{} out", count(row.output_tokens)),
        if row.calls == 0 { "$0".to_owned() } else { cost(row.cost_usd, row.cost_source) },
    ]
}
