//! The cost of tokens: the user's table over the embedded one, in whole billionths of a dollar.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::table::{Found, Price, Rates, Table};
use crate::core::price::PriceNote;

/// The table in the binary.
const EMBEDDED: &str = include_str!("prices.json");

/// The file in the user's configuration directory.
pub(super) const FILE: &str = "prices.json";

/// The prices in force: what the user put there over the embedded table. Read when first asked for.
#[derive(Debug, Default)]
pub struct Prices {
    /// The user's file.
    file: Option<PathBuf>,
    tables: OnceLock<Tables>,
}

/// The tables, the one that wins first.
#[derive(Debug)]
struct Tables {
    user: Option<Table>,
    embedded: Table,
    problem: Option<String>,
}

/// Tokens of one request, each counted once: what is read from or written to a prompt cache is not in `input`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUse {
    /// Tokens of the prompt that no cache had a part in.
    pub input: u64,
    /// Tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Tokens written to a cache that lives five minutes.
    pub cache_write_5m: u64,
    /// Tokens written to a cache that lives an hour.
    pub cache_write_1h: u64,
    /// Tokens of the answer, reasoning included.
    pub output: u64,
    /// Of these, tokens of reasoning.
    pub reasoning: u64,
}

impl From<TokenUse> for crate::core::outcome::Usage {
    fn from(used: TokenUse) -> Self {
        Self {
            input_tokens: used.input,
            output_tokens: used.output,
            cache_read_tokens: used.cache_read,
            cache_write_tokens: used.cache_write_5m + used.cache_write_1h,
            cache_write_1h_tokens: used.cache_write_1h,
            reasoning_tokens: used.reasoning,
        }
    }
}

impl std::ops::AddAssign for TokenUse {
    fn add_assign(&mut self, more: Self) {
        self.input += more.input;
        self.cache_read += more.cache_read;
        self.cache_write_5m += more.cache_write_5m;
        self.cache_write_1h += more.cache_write_1h;
        self.output += more.output;
        self.reasoning += more.reasoning;
    }
}

/// The parts of a model's name that do not change its price: a date, `-latest`, the version of the CLIs' long context.
pub(super) fn plain(model: &str) -> &str {
    let model = model.strip_suffix("[1m]").unwrap_or(model);
    if let Some(plain) = model.strip_suffix("-latest") {
        return plain;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // `-20260929`
    if let Some((plain, date)) = model.rsplit_once('-')
        && date.len() == 8
        && date.starts_with("20")
        && digits(date)
    {
        return plain;
    }
    // `-2026-09-29`
    if model.len() > 11 && model.is_char_boundary(model.len() - 11) {
        let (plain, date) = model.split_at(model.len() - 11);
        let parts: Vec<&str> = date.split('-').collect();
        if let ["", year, month, day] = parts.as_slice()
            && year.len() == 4
            && [year, month, day].iter().all(|part| digits(part))
        {
            return plain;
        }
    }
    model
}

impl Prices {
    /// The embedded table under that of the user in `dir`.
    pub fn of_user(dir: Option<&std::path::Path>) -> Self {
        Self { file: dir.map(|dir| dir.join(FILE)), tables: OnceLock::new() }
    }

    /// The user's file, whether it is there or not.
    pub fn file(&self) -> Option<PathBuf> {
        self.file.clone()
    }

    fn tables(&self) -> &Tables {
        self.tables.get_or_init(|| {
            let embedded = Table::parse(EMBEDDED, "", "").map(|(table, _)| table.completed()).unwrap_or_default();
            let text = self.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
            match text.map(|text| Table::parse(&text, "", "")) {
                None => Tables { user: None, embedded, problem: None },
                Some(Ok((table, _))) => Tables { user: Some(table.completed()), embedded, problem: None },
                Some(Err(what)) => Tables { user: None, embedded, problem: Some(what) },
            }
        })
    }

    /// The day of the prices in force.
    pub fn as_of(&self) -> &str {
        let tables = self.tables();
        &tables.user.as_ref().unwrap_or(&tables.embedded).as_of
    }

    /// The user's table, or the embedded one without it.
    pub fn table(&self) -> &Table {
        let tables = self.tables();
        tables.user.as_ref().unwrap_or(&tables.embedded)
    }

    /// Whether the user's own table is in force.
    pub fn is_users(&self) -> bool {
        self.tables().user.is_some()
    }

    /// What is wrong with the user's table, which then does not count.
    pub fn problem(&self) -> Option<&str> {
        self.tables().problem.as_deref()
    }

    /// The price of `model` on `provider` (canonical name), when it is known. The CLIs use the prices of the service behind
    /// them, and a broker those of the vendor that a model's name begins with.
    pub fn lookup(&self, provider: &str, model: &str) -> Option<Found<'_>> {
        let model = model.trim().to_lowercase();
        let model = model.strip_prefix("models/").unwrap_or(&model);
        self.on(provider, model).or_else(|| match (provider, model.split_once('/')) {
            ("claude", _) => self.on("anthropic", model),
            ("codex", _) => self.on("openai", model),
            ("gemini-cli", _) => self.on("gemini", model),
            ("openrouter" | "opencode", Some((vendor, model))) => match vendor {
                "google" => self.on("gemini", model),
                // Brokers write `claude-sonnet-4.6`.
                "anthropic" => self.on("anthropic", &model.replace('.', "-")),
                vendor => self.on(vendor, model),
            },
            _ => None,
        })
    }

    fn on(&self, provider: &str, model: &str) -> Option<Found<'_>> {
        let tables = self.tables();
        [tables.user.as_ref(), Some(&tables.embedded)].into_iter().flatten().find_map(|table| {
            let exact = table.find(provider, model);
            exact.or_else(|| table.find(provider, plain(model)))
        })
    }

    /// What these tokens cost in billionths of a US dollar; none when the model's price is not known.
    pub fn cost(&self, provider: &str, model: &str, used: &TokenUse) -> Option<u64> {
        Some(self.lookup(provider, model)?.price.cost(used))
    }

    /// What these tokens cost, and the price it was computed with.
    pub fn estimate(&self, provider: &str, model: &str, used: &TokenUse) -> Option<(u64, PriceNote)> {
        let found = self.lookup(provider, model)?;
        Some((found.price.cost(used), found.note()))
    }

    /// What these tokens cost as part of a batch, and the price it was computed with.
    pub fn batch_estimate(&self, provider: &str, model: &str, used: &TokenUse) -> Option<(u64, PriceNote)> {
        let found = self.lookup(provider, model)?;
        let whole = u128::from(found.price.cost(used)) * u128::from(found.price.batch_percent);
        Some((u64::try_from(whole.div_ceil(100)).unwrap_or(u64::MAX), found.note()))
    }
}

impl Price {
    /// The rates for a prompt of so many tokens.
    fn rates(&self, prompt: u64) -> &Rates {
        let tier = self.tiers.iter().filter(|tier| prompt > tier.above).max_by_key(|tier| tier.above);
        tier.map_or(&self.rates, |tier| &tier.rates)
    }

    /// What these tokens cost in billionths of a US dollar, rounded up.
    pub fn cost(&self, used: &TokenUse) -> u64 {
        let parts = [used.input, used.cache_read, used.cache_write_5m, used.cache_write_1h];
        let rates = self.rates(parts.iter().fold(0, |sum: u64, part| sum.saturating_add(*part)));
        let read = rates.cache_read.unwrap_or(rates.input);
        let write = rates.cache_write.unwrap_or(rates.input);
        let hour = rates.cache_write_1h.unwrap_or(write);
        let sum: u128 = [rates.input, read, write, hour]
            .iter()
            .zip(parts)
            .chain([(&rates.output, used.output)])
            .map(|(rate, tokens)| u128::from(*rate) * u128::from(tokens))
            .sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn used(input: u64, output: u64) -> TokenUse {
        TokenUse { input, output, ..TokenUse::default() }
    }

    fn cost(provider: &str, model: &str, used: &TokenUse) -> Option<u64> {
        Prices::default().cost(provider, model, used)
    }

    #[test]
    fn a_known_model_is_priced_and_an_unknown_one_is_not() {
        assert_eq!(cost("openai", "gpt-5.4-mini", &used(1_000, 100)), Some(1_200_000));
        assert_eq!(cost("claude", "sonnet", &used(1_000, 10)), Some(3_150_000));
        assert_eq!(cost("claude", "claude-sonnet-4-6", &used(1, 0)), Some(3_000));
        assert_eq!(cost("codex", "GPT-5.5", &used(1, 0)), Some(5_000));
        assert_eq!(cost("ollama", "qwen2.5", &used(1_000, 10)), Some(0));
        assert_eq!(cost("openrouter", "openai/gpt-5.5", &used(1, 0)), Some(5_000));
        assert_eq!(cost("openrouter", "anthropic/claude-sonnet-4.6", &used(1, 0)), Some(3_000));
        assert_eq!(cost("gemini", "models/gemini-3.5-flash", &used(1, 0)), Some(1_500));
        assert_eq!(cost("openai", "gpt-99", &used(1, 1)), None);
        assert_eq!(cost("fake", "gpt-5.5", &used(1, 1)), None);
        assert_eq!(cost("anthropic", "claude-opus-4-8", &used(u64::MAX, 1)), Some(u64::MAX));
    }

    #[test]
    fn every_default_model_has_a_price() {
        for (provider, model) in [
            ("openai", "gpt-5.4-mini"),
            ("deepseek", "deepseek-v4-flash"),
            ("openrouter", "openai/gpt-5.5"),
            ("anthropic", "claude-sonnet-4-6"),
            ("gemini", "gemini-3.5-flash"),
            ("ollama", "qwen2.5"),
        ] {
            assert!(cost(provider, model, &used(1, 1)).is_some(), "{provider} {model}");
        }
    }

    #[test]
    fn a_long_prompt_costs_the_rates_of_its_tier_as_a_whole() {
        assert_eq!(cost("openai", "gpt-5.5", &used(272_000, 0)), Some(1_360_000_000));
        assert_eq!(cost("openai", "gpt-5.5", &used(1_000_000, 100_000)), Some(14_500_000_000));
        let cached = TokenUse { input: 1_000, cache_read: 300_000, ..TokenUse::default() };
        assert_eq!(cost("openai", "gpt-5.5", &cached), Some(310_000_000), "cached tokens count towards the tier");
    }

    #[test]
    fn caches_have_their_own_prices_and_batches_are_halved() {
        let all = TokenUse {
            input: 1_000,
            cache_read: 10_000,
            cache_write_5m: 2_000,
            cache_write_1h: 1_000,
            output: 100,
            reasoning: 50,
        };
        let whole = 3_000_000 + 3_000_000 + 7_500_000 + 6_000_000 + 1_500_000;
        assert_eq!(cost("anthropic", "claude-sonnet-4-6", &all), Some(whole));
        assert_eq!(
            Prices::default().batch_estimate("anthropic", "claude-sonnet-4-6", &all).map(|(cost, _)| cost),
            Some(whole / 2)
        );
    }

    #[test]
    fn a_cache_of_an_hour_costs_twice_the_prompt_at_anthropic_unless_the_table_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let table = r#"{"owf_prices":1,"as_of":"2030-01-02","source":"mine","prices":[
            {"provider":"anthropic","models":["claude-a"],"rates":{"input":1000000,"output":2000000,"cache_write":1250000}},
            {"provider":"anthropic","models":["claude-b"],"rates":{"input":1000000,"output":2000000,"cache_write_1h":3000000}},
            {"provider":"openai","models":["gpt-a"],"rates":{"input":1000000,"output":2000000,"cache_write":1250000}}]}"#;
        std::fs::write(dir.path().join(FILE), table).unwrap();
        let prices = Prices::of_user(Some(dir.path()));
        let hour = TokenUse { cache_write_1h: 100, ..TokenUse::default() };
        let costs = [("anthropic", "claude-a"), ("claude", "claude-a"), ("anthropic", "claude-b"), ("openai", "gpt-a")]
            .map(|(provider, model)| prices.cost(provider, model, &hour));
        assert_eq!(costs, [Some(200), Some(200), Some(300), Some(125)]);
        let (_, note) = prices.estimate("claude", "claude-a", &hour).unwrap();
        assert_eq!(note.rates.cache_write_1h, Some(2_000_000), "what was used stands in the record");
        let short = TokenUse { cache_write_5m: 100, ..TokenUse::default() };
        assert_eq!(prices.cost("anthropic", "claude-a", &short), Some(125));
    }

    #[test]
    fn reasoning_is_a_part_of_the_answer_and_an_hour_one_of_what_is_written() {
        let used =
            TokenUse { input: 1, cache_read: 2, cache_write_5m: 3, cache_write_1h: 4, output: 50, reasoning: 40 };
        let usage = crate::core::outcome::Usage {
            input_tokens: 1,
            output_tokens: 50,
            cache_read_tokens: 2,
            cache_write_tokens: 7,
            cache_write_1h_tokens: 4,
            reasoning_tokens: 40,
        };
        assert_eq!(crate::core::outcome::Usage::from(used), usage);
    }

    #[test]
    fn a_date_in_a_name_does_not_change_the_price() {
        for (name, short) in [
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("gpt-5.5-2026-04-24", "gpt-5.5"),
            ("x-latest", "x"),
            ("claude-sonnet-4-6[1m]", "claude-sonnet-4-6"),
            ("gpt-5.5", "gpt-5.5"),
            ("o3", "o3"),
            ("é-2026-04-2é", "é-2026-04-2é"),
        ] {
            assert_eq!(plain(name), short);
        }
    }

    #[test]
    fn accept_048_the_users_table_wins_and_the_embedded_one_fills_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let table = r#"{"owf_prices":1,"as_of":"2030-01-02","source":"mine","prices":[
            {"provider":"openai","models":["gpt-5.5","mine-*"],"rates":{"input":1000000,"output":2000000}}]}"#;
        std::fs::write(dir.path().join(FILE), table).unwrap();
        let prices = Prices::of_user(Some(dir.path()));
        assert_eq!(prices.cost("openai", "gpt-5.5", &used(10, 1)), Some(12));
        assert_eq!(prices.cost("openai", "mine-7", &used(1, 0)), Some(1));
        assert_eq!(prices.cost("openai", "gpt-5.4-mini", &used(1_000, 100)), Some(1_200_000));
        assert_eq!((prices.as_of(), prices.is_users(), prices.problem()), ("2030-01-02", true, None));
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        let broken = Prices::of_user(Some(dir.path()));
        assert_eq!(broken.cost("openai", "gpt-5.5", &used(1, 0)), Some(5_000));
        assert!(broken.problem().unwrap().starts_with("it is no JSON"));
    }
}
