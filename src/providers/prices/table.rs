//! A table of prices: its file, what is in it, how a model is found.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::litellm;
use crate::core::price::{PriceNote, PriceRates, PriceTier};

/// The version of the file.
const FORMAT: u32 = 1;

/// Characters of a table's day and origin that a record of a call keeps.
const DAY: usize = 20;
const ORIGIN: usize = 120;

/// Prices of models, in billionths of a US dollar per million tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The version of the form, 1.
    pub owf_prices: u32,
    /// The day the prices were looked up, `2026-11-27`.
    pub as_of: String,
    /// Where they come from.
    pub source: String,
    /// The prices.
    pub prices: Vec<Price>,
}

/// The price of one model, or of several that cost the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The provider's canonical name.
    pub provider: String,
    /// The names of the models; one that ends in `*` is the beginning of a name.
    pub models: Vec<String>,
    /// What tokens cost.
    pub rates: Rates,
    /// Other rates for requests whose prompt is long, cached parts included; ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// What a call in a batch costs, in percent.
    #[serde(default = "hundred", skip_serializing_if = "is_hundred")]
    pub batch_percent: u32,
}

/// What a million tokens cost, in billionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Of the prompt.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
    /// Of what is read from a prompt cache; none = like the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Of what is written to a cache that lives five minutes; none = like the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Of what is written to a cache that lives an hour; none = twice the prompt at Anthropic, elsewhere as for five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
}

/// Rates for requests with more than so many tokens of prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Tokens of the prompt, all of them: above it these rates hold for the whole request.
    pub above: u64,
    /// The rates.
    pub rates: Rates,
}

impl From<Rates> for PriceRates {
    fn from(rates: Rates) -> Self {
        let Rates { input, output, cache_read, cache_write, cache_write_1h } = rates;
        Self { input, output, cache_read, cache_write, cache_write_1h }
    }
}

/// A price in the table it was found in.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The price.
    pub price: &'a Price,
    /// The name it was found by.
    name: &'a str,
    table: &'a Table,
}

impl Found<'_> {
    /// What a record of a call keeps of it.
    pub fn note(&self) -> PriceNote {
        let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        PriceNote {
            provider: self.price.provider.clone(),
            model: self.name.to_owned(),
            as_of: cut(&self.table.as_of, DAY),
            source: cut(&self.table.source, ORIGIN),
            rates: self.price.rates.into(),
            tiers: self
                .price
                .tiers
                .iter()
                .map(|tier| PriceTier { above: tier.above, rates: tier.rates.into() })
                .collect(),
        }
    }
}

/// `2026-11-27`.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten();
    match parts.as_slice() {
        [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => {
            number(year).is_some()
                && number(month).is_some_and(|month| (1..=12).contains(&month))
                && number(day).is_some_and(|day| (1..=31).contains(&day))
        }
        _ => false,
    }
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

fn hundred() -> u32 {
    100
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_hundred(percent: &u32) -> bool {
    *percent == 100
}

/// What a file of prices turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Our own form.
    Own,
    /// LiteLLM's table.
    Litellm,
}

impl Table {
    /// Reads a table in our own form, or LiteLLM's, which says neither day nor origin: `today` and `from` do.
    ///
    /// # Errors
    /// One sentence: neither form, a version that is not known, no price in it.
    pub fn parse(text: &str, today: &str, from: &str) -> Result<(Self, Source), String> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let (table, source) = if value.get("owf_prices").is_some() {
            let table: Self =
                serde_json::from_value(value).map_err(|error| format!("it is no table of prices: {error}"))?;
            (table, Source::Own)
        } else {
            let prices = litellm::prices(&value);
            let (as_of, source) = (today.to_owned(), format!("LiteLLM's table, {from}"));
            (Self { owf_prices: FORMAT, as_of, source, prices }, Source::Litellm)
        };
        if table.owf_prices != FORMAT {
            return Err(format!("it has version {} of the form; this owf knows {FORMAT}", table.owf_prices));
        }
        if table.prices.is_empty() {
            return Err("there is no price of a known provider in it".to_owned());
        }
        Ok((table, source))
    }

    /// Whether it can take the place of another: every price is one of a model, as of a day.
    ///
    /// # Errors
    /// One sentence fragment.
    pub fn check(&self) -> Result<(), String> {
        if !is_day(&self.as_of) {
            return Err(format!("as_of must be a day like 2026-11-27, not {:?}", clip(&self.as_of)));
        }
        for price in &self.prices {
            if price.provider.trim().is_empty() || price.models.is_empty() {
                return Err(format!("a price of {:?} names no model", clip(&price.provider)));
            }
            if price.models.iter().any(|model| model.trim().is_empty()) {
                return Err(format!("a price of {:?} has an empty name of a model", clip(&price.provider)));
            }
        }
        Ok(())
    }

    /// The models that this table has a price of its own for and `other` has none at all.
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        let names = self.prices.iter().flat_map(|price| price.models.iter().map(move |model| (&price.provider, model)));
        let gone = names.filter(|(provider, model)| other.find(provider, model).is_none());
        gone.map(|(provider, model)| format!("{provider}/{model}")).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The table as a file: one price a line, so that two of them can be compared.
    pub fn to_text(&self) -> String {
        let line = |value: &str| serde_json::Value::from(value).to_string();
        let rows: Vec<String> = self.prices.iter().filter_map(|price| serde_json::to_string(price).ok()).collect();
        format!(
            "{{\"owf_prices\":{},\"as_of\":{},\"source\":{},\"prices\":[\n{}\n]}}\n",
            self.owf_prices,
            line(&self.as_of),
            line(&self.source),
            rows.join(",\n")
        )
    }

    /// The same with what a vendor's list says of itself: a cache that lives an hour costs twice the prompt at Anthropic.
    pub(super) fn completed(mut self) -> Self {
        for price in self.prices.iter_mut().filter(|price| ["anthropic", "claude"].contains(&price.provider.as_str())) {
            let tiers = price.tiers.iter_mut().map(|tier| &mut tier.rates);
            for rates in tiers.chain([&mut price.rates]) {
                rates.cache_write_1h = rates.cache_write_1h.or(Some(rates.input.saturating_mul(2)));
            }
        }
        self
    }

    /// Models it has prices for.
    pub fn models(&self) -> usize {
        let names = self.prices.iter().flat_map(|price| price.models.iter().map(|model| (&price.provider, model)));
        names.collect::<BTreeSet<_>>().len()
    }

    /// The price of a model on a provider: by its exact name, else by the longest beginning of it.
    pub(super) fn find(&self, provider: &str, model: &str) -> Option<Found<'_>> {
        let of = || self.prices.iter().filter(|price| price.provider == provider);
        let names = || of().flat_map(|price| price.models.iter().map(move |name| (price, name.as_str())));
        let exact = names().find(|(_, name)| *name == model);
        let fits = |name: &str| name.strip_suffix('*').is_some_and(|start| model.starts_with(start));
        let found = exact.or_else(|| names().filter(|(_, name)| fits(name)).max_by_key(|(_, name)| name.len()));
        found.map(|(price, name)| Found { price, name, table: self })
    }
}
