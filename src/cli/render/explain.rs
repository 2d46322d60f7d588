//! `owf explain-cache`.

use std::fmt::Write as _;

use super::text::{clean, cut_middle, dollars};
use crate::cli::Terminal;
use crate::core::outcome::CacheStatus;
use crate::engine::view::ExplainView;

/// One line per call, then the sums, and how to ask the `workflow` afresh.
pub fn screen(view: &ExplainView, term: &Terminal, workflow: &str) -> String {
    let mut out = String::new();
    for row in &view.calls {
        let word = format!("{:<8}", row.cache_status.as_str());
        let word = match row.cache_status {
            CacheStatus::Replayed | CacheStatus::Hit => term.paint.green(&word),
            CacheStatus::Miss => term.paint.yellow(&word),
            CacheStatus::Bypassed | CacheStatus::Disabled => term.paint.dim(&word),
        };
        let _ = writeln!(out, "{word}  {}: {}", cut_middle(&row.label, 40), clean(&row.reason));
    }
    let counts = &view.counts;
    let mut parts = vec![
        format!("{} replayed", counts.replayed),
        format!("{} hit", counts.hit),
        format!("{} miss", counts.miss),
        format!("{} bypassed", counts.bypassed),
    ];
    if counts.disabled > 0 {
        parts.push(format!("{} disabled", counts.disabled));
    }
    let saved = view.saved_usd.filter(|usd| usd.get() > 0.0).map(|usd| format!("   saved {}", dollars(usd)));
    let _ = writeln!(out, "{}{}", parts.join(", "), saved.unwrap_or_default());
    if view.truncated {
        out.push_str("more: --limit N\n");
    }
    if counts.replayed + counts.hit > 0 {
        let _ = writeln!(out, "ask everything again: owf run {} --cache-policy refresh", clean(workflow));
    }
    out
}
