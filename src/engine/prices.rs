//! Prices as a person looks at them and brings them up to date.

use std::path::PathBuf;

use crate::core::failure::{Code, Failure};
use crate::providers::http::fetch;
use crate::providers::prices::{self, Price, Prices, Table};

use super::engine::Engine;
use super::journal::now;
use super::params::PricesParams;
use super::view::{PriceRow, PricesView, RatesRow};

/// LiteLLM's table, which is kept up to date by many.
const LITELLM: &str = "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json";

/// The most bytes of a table.
const MOST_BYTES: usize = 32 << 20;

/// What a refused table leaves.
const KEPT: &str = "the prices that were there are still in force";

/// The most names in a sentence.
const SHOWN: usize = 10;

/// Names as part of a sentence.
fn some(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let text = names.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

impl Engine {
    /// The prices in force; with `refresh`, `file` or `url` after putting others in their place.
    ///
    /// # Errors
    /// `invalid_arguments` for a table that cannot be read or that holds no price, and with `OWF_CONFIG=none`; `not_writable`.
    pub fn prices(&self, params: &PricesParams) -> Result<PricesView, Failure> {
        let services = self.services();
        let wanted = params.model.as_deref().map(str::to_lowercase);
        if params.refresh != Some(true) && params.file.is_none() && params.url.is_none() {
            return Ok(view(&services.config.setup.prices, wanted.as_deref()));
        }
        let dir = services.config.dir.as_ref().ok_or_else(|| {
            Failure::new(Code::InvalidArguments, "OWF_CONFIG is none, so there is no place to keep prices")
                .hint("unset it, or let it name the configuration file")
        })?;
        let (text, from) = match (&params.file, &params.url) {
            (Some(file), _) => {
                let path = services.cwd.join(file);
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    Failure::new(Code::NotFound, format!("{} cannot be read: {error}", path.display()))
                        .with("what", "file")
                })?;
                (text, format!("from the file {name}"))
            }
            (None, url) => {
                let url = url.as_deref().unwrap_or(LITELLM);
                let text = services.runtime.block_on(fetch(url, MOST_BYTES, &services.env)).map_err(|what| {
                    Failure::new(Code::InvalidArguments, format!("no prices from {}: {what}", shown(url)))
                        .hint("--file reads a table from disk")
                })?;
                (text, format!("from {}", shown(url)))
            }
        };
        let today = now().rfc3339();
        let (table, _) = Table::parse(&text, today.get(..10).unwrap_or_default(), &from)
            .map_err(|what| Failure::new(Code::InvalidArguments, format!("no prices {from}: {what}")).hint(KEPT))?;
        table
            .check()
            .map_err(|what| Failure::new(Code::InvalidArguments, format!("no prices {from}: {what}")).hint(KEPT))?;
        let setup = &services.config.setup;
        let mut warnings = Vec::new();
        let unknown: std::collections::BTreeSet<&str> =
            table.prices.iter().map(|price| price.provider.as_str()).filter(|name| !setup.knows(name)).collect();
        if !unknown.is_empty() {
            let names = some(unknown.into_iter().map(str::to_owned).collect());
            warnings.push(format!("prices of providers that are not known here, and of no use: {names}"));
        }
        if setup.prices.is_users() {
            let gone = setup.prices.table().beyond(&table);
            if !gone.is_empty() {
                warnings.push(format!("your table had prices that this one has not: {}", some(gone)));
            }
        }
        let written = prices::write(dir, &table).map_err(|error| {
            Failure::new(Code::NotWritable, format!("{} cannot be written: {error}", dir.display()))
        })?;
        let mut view = view(&Prices::of_user(Some(dir)), wanted.as_deref());
        view.warnings = warnings;
        view.previous_path = written.previous.map(|path| path.display().to_string());
        Ok(view)
    }
}

/// An address as it may be shown.
fn shown(url: &str) -> String {
    crate::providers::base_url::host(url).unwrap_or_else(|| "that address".to_owned())
}

fn view(prices: &Prices, wanted: Option<&str>) -> PricesView {
    let table = prices.table();
    let named = |price: &&Price| match wanted {
        None => true,
        Some(part) => price.provider.contains(part) || price.models.iter().any(|model| model.contains(part)),
    };
    let row = |price: &Price| PriceRow {
        provider: price.provider.clone(),
        models: price.models.clone(),
        per_million: std::iter::once(RatesRow::new(None, &price.rates.into()))
            .chain(price.tiers.iter().map(|tier| RatesRow::new(Some(tier.above), &tier.rates.into())))
            .collect(),
        batch_percent: price.batch_percent,
    };
    PricesView {
        prices_as_of: table.as_of.clone(),
        source: table.source.clone(),
        table: if prices.is_users() { "user" } else { "embedded" }.to_owned(),
        file_path: prices.file().filter(|_| prices.is_users()).map(|file: PathBuf| file.display().to_string()),
        previous_path: None,
        warnings: Vec::new(),
        problem: prices.problem().map(str::to_owned),
        models_total: table.models() as u64,
        prices: table.prices.iter().filter(named).map(row).collect(),
    }
}
