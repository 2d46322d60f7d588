//! The price that an estimated cost was computed with, as it stood in the table then: a later table changes nothing about it.

use serde::{Deserialize, Serialize};

/// A row of a table of prices, as the journal keeps it. Amounts are billionths of a US dollar per million tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceNote {
    /// The provider whose price it is: that of the service behind a program, or of the vendor behind a broker.
    pub provider: String,
    /// The name in the table that the model was found by.
    pub model: String,
    /// The day the prices of the table were looked up, `2026-11-27`.
    pub as_of: String,
    /// Where the table comes from.
    pub source: String,
    /// What tokens cost.
    pub rates: PriceRates,
    /// Other rates for requests whose prompt is long; ascending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
}

/// What a million tokens cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceRates {
    /// Of the prompt.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
    /// Of what is read from a prompt cache; none = like the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Of what is written to a cache that lives five minutes; none = like the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Of what is written to a cache that lives an hour; none = as for five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
}

/// Rates for requests with more than so many tokens of prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceTier {
    /// Tokens of the prompt.
    pub above: u64,
    /// The rates.
    pub rates: PriceRates,
}
