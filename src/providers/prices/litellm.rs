//! LiteLLM's table of prices (MIT): what of it becomes ours. Figures only, of the providers that owf knows.

use std::collections::BTreeMap;

use serde_json::Value;

use super::table::{Price, Rates, Tier};

/// Providers by LiteLLM's names, which are ours.
const PROVIDERS: [&str; 5] = ["anthropic", "deepseek", "gemini", "openai", "openrouter"];

/// Parts of names of models that do not answer with text, or that are somebody's own.
const NOT_TEXT: [&str; 10] =
    ["ft:", "audio", "realtime", "image", "tts", "transcribe", "search", "embedding", "computer-use", "live"];

/// Prices by the short names of the Claude CLI: those of the dearest model each may stand for.
const SHORT: [(&str, &str); 3] =
    [("haiku", "claude-haiku-4-5"), ("sonnet", "claude-sonnet-4-6"), ("opus", "claude-opus-4-8")];

/// The prices in LiteLLM's table, in our own form and order.
pub(super) fn prices(table: &Value) -> Vec<Price> {
    let mut found: BTreeMap<(String, String), Price> = BTreeMap::new();
    for (key, row) in table.as_object().into_iter().flatten() {
        let Some((provider, model, price)) = price(key, row) else { continue };
        found.insert((provider, model), price);
    }
    let all = found.clone();
    // A dated name that costs what the plain one costs is found by the plain one.
    found.retain(|(provider, model), price| {
        let plain = super::cost::plain(model);
        let same = |base: &Price| base == price;
        plain == model || !all.get(&(provider.clone(), plain.to_owned())).is_some_and(same)
    });
    let mut prices: Vec<Price> = Vec::new();
    for ((_, model), price) in found {
        let same = prices.iter_mut().find(|p| Price { models: Vec::new(), ..Price::clone(p) } == price);
        match same {
            Some(same) => same.models.push(model),
            None => prices.push(Price { models: vec![model], ..price }),
        }
    }
    for (short, start) in SHORT {
        let dearest = all.iter().filter(|((provider, model), _)| provider == "anthropic" && model.starts_with(start));
        if let Some((_, price)) = dearest.max_by_key(|(_, price)| (price.rates.output, price.rates.input)) {
            prices.push(Price { provider: "claude".to_owned(), models: vec![short.to_owned()], ..price.clone() });
        }
    }
    if !prices.is_empty() {
        // A server on this machine bills nothing.
        prices.push(Price {
            provider: "ollama".to_owned(),
            models: vec!["*".to_owned()],
            batch_percent: 100,
            ..Price::default()
        });
    }
    prices
}

fn price(key: &str, row: &Value) -> Option<(String, String, Price)> {
    let provider = row.get("litellm_provider")?.as_str().filter(|name| PROVIDERS.contains(name))?;
    let mode = row.get("mode")?.as_str()?;
    let model = key.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).unwrap_or(key).to_lowercase();
    if !["chat", "responses"].contains(&mode) || NOT_TEXT.iter().any(|part| model.contains(part)) {
        return None;
    }
    // A service that asks for nothing has no price list: it is not known what it will cost.
    let base = rates(row, "").filter(|rates| rates.input > 0 || rates.output > 0)?;
    let mut limits: Vec<u64> = row.as_object()?.keys().filter_map(|name| limit(name)).collect();
    limits.sort_unstable();
    let tiers = limits.into_iter().filter_map(|limit| {
        let rates = rates(row, &format!("_above_{}k_tokens", limit / 1000))?;
        Some(Tier { above: limit, rates })
    });
    let halved = nanos(row, "output_cost_per_token_batches");
    let batch_percent = match (halved, base.output) {
        (Some(halved), output) if output > 0 => u32::try_from(halved * 100 / output).unwrap_or(100),
        // Where it says nothing: the vendors with batches halve the price.
        _ if ["openai", "anthropic"].contains(&provider) => 50,
        _ => 100,
    };
    let price =
        Price { provider: provider.to_owned(), models: Vec::new(), rates: base, tiers: tiers.collect(), batch_percent };
    Some((provider.to_owned(), model, price))
}

/// The limit in `input_cost_per_token_above_272k_tokens`.
fn limit(name: &str) -> Option<u64> {
    let thousands = name.strip_prefix("input_cost_per_token_above_")?.strip_suffix("k_tokens")?;
    thousands.parse::<u64>().ok().map(|n| n * 1000)
}

/// The rates whose names end so; none without a price for prompt and answer.
fn rates(row: &Value, ending: &str) -> Option<Rates> {
    let rate = |name: &str| nanos(row, &format!("{name}{ending}"));
    // A cache that costs nothing to write is one that is not billed apart.
    let written = rate("cache_creation_input_token_cost").filter(|nanos| *nanos > 0);
    let hour = match ending {
        "" => nanos(row, "cache_creation_input_token_cost_above_1hr"),
        _ => nanos(row, &format!("cache_creation_input_token_cost_above_1hr{ending}")),
    };
    Some(Rates {
        input: rate("input_cost_per_token")?,
        output: rate("output_cost_per_token")?,
        cache_read: rate("cache_read_input_token_cost"),
        cache_write: written,
        cache_write_1h: hour.filter(|nanos| *nanos > 0),
    })
}

/// Dollars per token as billionths of a dollar per million tokens.
fn nanos(row: &Value, name: &str) -> Option<u64> {
    let dollars = row.get(name)?.as_f64().filter(|n| n.is_finite() && (0.0..1.0).contains(n))?;
    Some((dollars * 1e15).round() as u64)
}
