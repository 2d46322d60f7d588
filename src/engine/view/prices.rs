//! Prices of models, as `owf prices` shows them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Usd;
use super::calls::CallPrice;
use crate::core::price::{PriceNote, PriceRates};

/// What a million tokens cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RatesRow {
    /// Prompts of more tokens than this cost so; absent for the price that holds otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above_tokens: Option<u64>,
    /// Of the prompt.
    pub input_usd: Usd,
    /// Of the answer.
    pub output_usd: Usd,
    /// Of what is read from a prompt cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_usd: Option<Usd>,
    /// Of what is written to a prompt cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_usd: Option<Usd>,
    /// Of what is written to a cache that lives an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_usd: Option<Usd>,
}

impl RatesRow {
    /// The rates of prompts of more than `above_tokens` tokens; none = of all others.
    pub fn new(above_tokens: Option<u64>, rates: &PriceRates) -> Self {
        Self {
            above_tokens,
            input_usd: Usd::from_nanos(rates.input),
            output_usd: Usd::from_nanos(rates.output),
            cache_read_usd: rates.cache_read.map(Usd::from_nanos),
            cache_write_usd: rates.cache_write.map(Usd::from_nanos),
            cache_write_1h_usd: rates.cache_write_1h.map(Usd::from_nanos),
        }
    }
}

impl From<&PriceNote> for CallPrice {
    fn from(note: &PriceNote) -> Self {
        let plain = std::iter::once(RatesRow::new(None, &note.rates));
        let tiers = note.tiers.iter().map(|tier| RatesRow::new(Some(tier.above), &tier.rates));
        Self {
            provider: note.provider.clone(),
            model: note.model.clone(),
            prices_as_of: note.as_of.clone(),
            source: note.source.clone(),
            per_million: plain.chain(tiers).collect(),
        }
    }
}

/// The price of models that cost the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PriceRow {
    /// The provider.
    pub provider: String,
    /// Names of models; one that ends in `*` is the beginning of a name.
    pub models: Vec<String>,
    /// What a million tokens cost; the first holds unless a later one does.
    pub per_million: Vec<RatesRow>,
    /// What a call in a batch costs, in percent.
    pub batch_percent: u32,
}

/// Reply of `owf prices`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PricesView {
    /// The day the prices were looked up.
    pub prices_as_of: String,
    /// Where they come from.
    pub source: String,
    /// embedded, or user: the table in the user's configuration directory, over the embedded one.
    pub table: String,
    /// The user's table, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_path: Option<String>,
    /// The table before this refresh, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_path: Option<String>,
    /// What a refresh leaves to know: prices that are gone, providers that nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What is wrong with the user's table, which then does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Models in the table.
    pub models_total: u64,
    /// The prices asked for.
    pub prices: Vec<PriceRow>,
}
