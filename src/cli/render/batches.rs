//! Batches as lines.

use std::fmt::Write as _;

use super::text::{clean, cost, estimates, pad, plural, width};
use crate::engine::view::{BatchPhaseView, BatchResultsView, BatchView, BatchesView};

/// One batch, and what comes next.
pub fn one(view: &BatchView) -> String {
    let mut out = String::new();
    if let Some(id) = &view.batch_id {
        let _ = writeln!(out, "batch_id: {id}");
    }
    let word = view.provider_status.as_deref().map(|word| format!(" ({})", clean(word))).unwrap_or_default();
    let _ = writeln!(out, "status: {}{word}", view.status.as_str());
    let mut counts = vec![plural(view.prompts, "prompt")];
    counts.extend(view.succeeded.map(|n| format!("{n} answered")));
    counts.extend(view.failed.filter(|n| *n > 0).map(|n| format!("{n} without an answer")));
    let _ = writeln!(out, "{}: {}", view.provider, counts.join(", "));
    if let Some(message) = &view.message {
        let _ = writeln!(out, "refused: {}", clean(message));
    }
    let _ = writeln!(out, "next: {}", view.next);
    out
}

/// `id  status  provider  prompts  when`.
pub fn list(view: &BatchesView) -> String {
    let id = |batch: &BatchView| batch.batch_id.clone().unwrap_or_else(|| "?".to_owned());
    let wide = view.batches.iter().map(|batch| width(&id(batch))).max().unwrap_or(0);
    let mut out = String::new();
    for batch in &view.batches {
        let _ = writeln!(
            out,
            "{}  {}  {}  {}  {}",
            pad(&id(batch), wide),
            pad(batch.status.as_str(), 7),
            batch.provider,
            plural(batch.prompts, "prompt"),
            batch.created_at
        );
    }
    out
}

/// What fetching came to, in one line.
pub fn ended(view: &BatchResultsView) -> String {
    let batch = &view.batch;
    match batch.status {
        BatchPhaseView::Ended => {
            let answered = view.results.iter().filter(|row| row.ok).count() as u64;
            let unknown = view.usage.unpriced_calls.unwrap_or(0);
            let missing =
                if unknown == 0 { String::new() } else { format!(" (no price is known for {unknown} of them)") };
            let paid = match view.usage.cost_usd {
                None if unknown == 0 => String::new(),
                usd => format!(", {} at the price of batches{missing}", cost(usd, view.usage.cost_source)),
            };
            let days = estimates(&view.usage.prices_as_of);
            let days = if days.is_empty() { days } else { format!("\n{}", days.trim_end()) };
            format!("{} of {}{paid}{days}", answered, plural(batch.prompts, "answer"))
        }
        BatchPhaseView::Failed => format!("refused: {}", clean(batch.message.as_deref().unwrap_or("no reason given"))),
        BatchPhaseView::Pending | BatchPhaseView::Unclear => {
            format!("not ended yet ({}): {}", batch.provider_status.as_deref().unwrap_or("?"), batch.next)
        }
    }
}
