//! What calls used: tokens, each counted where it belongs, and where a cost comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::call::is_default;

/// Tokens of one call or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt that no cache had a part in.
    #[serde(skip_serializing_if = "is_default")]
    pub input_tokens: u64,
    /// Tokens of the answer, reasoning included.
    #[serde(skip_serializing_if = "is_default")]
    pub output_tokens: u64,
    /// Tokens read from the provider's prompt cache.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_read_tokens: u64,
    /// Tokens written to it.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_write_tokens: u64,
    /// Of these, tokens written to a cache that lives an hour; the others live five minutes.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_write_1h_tokens: u64,
    /// Of the answer's tokens, those of reasoning, as far as the provider tells.
    #[serde(skip_serializing_if = "is_default")]
    pub reasoning_tokens: u64,
}

impl Usage {
    /// What was written to caches that live an hour, when there was any.
    pub fn hour(&self) -> Option<u64> {
        Some(self.cache_write_1h_tokens).filter(|n| *n > 0)
    }

    /// What was spent on reasoning, when the provider told of any.
    pub fn reasoning(&self) -> Option<u64> {
        Some(self.reasoning_tokens).filter(|n| *n > 0)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cache_read_tokens += other.cache_read_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.cache_write_1h_tokens += other.cache_write_1h_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
    }
}

/// Where a cost comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// Said by the vendor.
    Reported,
    /// Computed from a price table.
    Estimated,
    /// Several of these.
    Mixed,
    /// Answered by the fake provider.
    Simulated,
    /// Not known.
    #[default]
    Unknown,
}

impl CostSource {
    /// In a reader's words, with the days of the prices that an estimate was made with.
    pub fn words(self, days: &[String]) -> String {
        let span = match days {
            [] => return self.word().to_owned(),
            [day] => day.clone(),
            [first, .., last] => format!("{first} to {last}"),
        };
        format!("{}, prices of {span}", self.word())
    }

    /// In a reader's words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::Mixed => "partly estimated",
            Self::Simulated => "simulated",
            Self::Unknown => "unknown",
        }
    }
}
