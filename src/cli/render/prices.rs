//! Prices as lines.

use std::fmt::Write as _;

use super::text::{Paint, clean, pad, plural, width};
use crate::engine::view::{PricesView, RatesRow};

/// `provider  model  in  out` in dollars per million tokens; only the head when `brief`.
pub fn prices(view: &PricesView, brief: bool, paint: &Paint) -> String {
    let mut out = String::new();
    if let Some(problem) = &view.problem {
        let _ = writeln!(out, "{} the user's table does not count: {}", paint.red("problem:"), clean(problem));
    }
    if !brief {
        let providers = view.prices.iter().map(|row| width(&row.provider)).max().unwrap_or(0);
        let models = view.prices.iter().flat_map(|row| &row.models).map(|model| width(model)).max().unwrap_or(0);
        for row in &view.prices {
            for model in &row.models {
                let _ = writeln!(
                    out,
                    "{}  {}  {}",
                    pad(&clean(&row.provider), providers),
                    pad(&clean(model), models),
                    per_million(&row.per_million)
                );
            }
        }
    }
    let what =
        if view.table == "user" { "your own table, over the one built into owf" } else { "the table built into owf" };
    let _ = writeln!(
        out,
        "US dollars per million tokens of {}; {what}: prices of {}, from {}",
        plural(view.models_total, "model"),
        clean(&view.prices_as_of),
        clean(&view.source)
    );
    if let Some(path) = &view.file_path {
        let _ = writeln!(out, "in {}", clean(path));
    }
    if let Some(path) = &view.previous_path {
        let _ = writeln!(out, "the ones before: {}", clean(path));
    }
    for warning in &view.warnings {
        let _ = writeln!(out, "{} {}", paint.yellow("warning:"), clean(warning));
    }
    out
}

/// Rates of a price, those of long prompts behind the others.
pub(super) fn per_million(rates: &[RatesRow]) -> String {
    let one = |rates: &RatesRow| {
        let mut text = format!("{} in, {} out", rates.input_usd.get(), rates.output_usd.get());
        if let Some(read) = rates.cache_read_usd {
            text.push_str(&format!(", {} cached", read.get()));
        }
        match rates.above_tokens {
            None => text,
            Some(above) => format!("above {}k: {text}", above / 1000),
        }
    };
    rates.iter().map(one).collect::<Vec<_>>().join("; ")
}
