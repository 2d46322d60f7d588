//! What models cost, for estimates: a small table in whole nano-dollars.
//!
//! The figures are those of LiteLLM's table (version 1.109.1), base tier, no batch or cache discounts.

/// The day the prices below were looked up.
pub const AS_OF: &str = "2026-11-21";

/// The price of one model in billionths of a US dollar per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// The provider's canonical name.
    pub provider: &'static str,
    /// The model, or what its name begins with when it ends in `*`.
    pub model: &'static str,
    /// Per token of the prompt.
    pub input: u64,
    /// Per token of the answer.
    pub output: u64,
}

const fn price(provider: &'static str, model: &'static str, input: u64, output: u64) -> Price {
    Price { provider, model, input, output }
}

/// First match wins. The short names of the Claude CLI are priced as the dearest model they may stand for.
const TABLE: &[Price] = &[
    price("anthropic", "claude-sonnet-4-6*", 3_000, 15_000),
    price("anthropic", "claude-sonnet-5*", 2_000, 10_000),
    price("anthropic", "claude-haiku-4-5*", 1_000, 5_000),
    price("anthropic", "claude-opus-4-6*", 5_000, 25_000),
    price("anthropic", "claude-opus-4-7*", 5_000, 25_000),
    price("anthropic", "claude-opus-4-8*", 5_000, 25_000),
    price("claude", "sonnet", 3_000, 15_000),
    price("claude", "haiku", 1_000, 5_000),
    price("claude", "opus", 5_000, 25_000),
    price("openai", "gpt-5.4-mini", 750, 4_500),
    price("openai", "gpt-5.4", 2_500, 15_000),
    price("openai", "gpt-5.5", 5_000, 30_000),
    price("deepseek", "deepseek-v4-flash", 300, 1_200),
    price("gemini", "gemini-3.5-flash", 1_500, 9_000),
    // A local server bills nothing.
    price("ollama", "*", 0, 0),
];

/// The prices in force: the embedded table, and what the user put in its place.
#[derive(Debug, Clone, Default)]
pub struct Prices {}

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

impl Prices {
    /// The price of a model, when it is known.
    pub fn lookup(&self, provider: &str, model: &str) -> Option<Price> {
        lookup(provider, model)
    }

    /// What these tokens cost in billionths of a US dollar; none when the model's price is not known.
    pub fn cost(&self, provider: &str, model: &str, used: &TokenUse) -> Option<u64> {
        let input = used.input + used.cache_read + used.cache_write_5m + used.cache_write_1h;
        estimate(provider, model, input, used.output)
    }
}

/// The price of `model` on `provider` (canonical name), when the table knows it. The CLIs use the prices of the service
/// behind them.
pub fn lookup(provider: &str, model: &str) -> Option<Price> {
    let model = model.to_lowercase();
    let on = |name: &str| {
        TABLE.iter().copied().find(|row| {
            row.provider == name
                && match row.model.strip_suffix('*') {
                    Some(start) => model.starts_with(start),
                    None => row.model == model,
                }
        })
    };
    on(provider).or_else(|| match provider {
        "claude" => on("anthropic"),
        "codex" => on("openai"),
        _ => None,
    })
}

/// The estimated cost in billionths of a US dollar of so many tokens; none when the price is not known.
pub fn estimate(provider: &str, model: &str, input_tokens: u64, output_tokens: u64) -> Option<u64> {
    let price = lookup(provider, model)?;
    Some(price.input.saturating_mul(input_tokens).saturating_add(price.output.saturating_mul(output_tokens)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_model_is_priced_and_an_unknown_one_is_not() {
        assert_eq!(estimate("openai", "gpt-5.5", 1_000_000, 100_000), Some(8_000_000_000));
        assert_eq!(estimate("claude", "sonnet", 1_000, 10), Some(3_150_000));
        assert_eq!(estimate("claude", "claude-sonnet-4-6", 1, 0), Some(3_000));
        assert_eq!(estimate("ollama", "qwen2.5", 1_000, 10), Some(0));
        assert_eq!(estimate("openai", "gpt-99", 1, 1), None);
        assert_eq!(estimate("fake", "gpt-5.5", 1, 1), None);
        assert_eq!(estimate("anthropic", "claude-opus-4-8", u64::MAX, 1), Some(u64::MAX));
    }
}
