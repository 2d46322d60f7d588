//! Tokens and cost as views show them.

use std::collections::BTreeSet;

use crate::core::outcome::{CacheStatus, CostSource, Usage};
use crate::core::run::Settings;
use crate::engine::view::{UsageView, Usd};

/// What something used: summed over calls or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spent {
    pub(super) usage: Usage,
    pub(super) cost_nanos: Option<u64>,
    pub(super) source: CostSource,
    pub(super) unpriced: u64,
    /// Calls that used tokens whose number nobody knows.
    pub(super) untold: u64,
}

impl Spent {
    pub(super) fn add(&mut self, other: Self) {
        self.usage += other.usage;
        self.cost_nanos = match (self.cost_nanos, other.cost_nanos) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (one, None) | (None, one) => one,
        };
        self.source = match (self.source, other.source) {
            (CostSource::Unknown, one) | (one, CostSource::Unknown) => one,
            (a, b) if a == b => a,
            _ => CostSource::Mixed,
        };
        self.unpriced += other.unpriced;
        self.untold += other.untold;
    }

    /// The cost and where it comes from: nothing spent is known to be 0, also before the first call; a cost of which nothing
    /// is known is absent.
    pub(super) fn cost(&self, settings: &Settings) -> (Option<Usd>, CostSource) {
        match self.cost_nanos {
            Some(nanos) => (Some(Usd::from_nanos(nanos)), self.source),
            None if self.unpriced > 0 || self.untold > 0 || self.usage != Usage::default() => {
                (None, CostSource::Unknown)
            }
            None if self.source != CostSource::Unknown => (Some(Usd::default()), self.source),
            None if crate::core::run::is_fake(&settings.provider) => (Some(Usd::default()), CostSource::Simulated),
            None => (Some(Usd::default()), CostSource::Reported),
        }
    }

    pub(super) fn view(&self, settings: &Settings) -> UsageView {
        let (cost_usd, cost_source) = self.cost(settings);
        UsageView {
            input_tokens: self.usage.input_tokens,
            output_tokens: self.usage.output_tokens,
            cache_read_tokens: self.usage.cache_read_tokens,
            cache_write_tokens: self.usage.cache_write_tokens,
            cache_write_1h_tokens: self.usage.hour(),
            reasoning_tokens: self.usage.reasoning(),
            usage_unknown_calls: (self.untold > 0).then_some(self.untold),
            cost_usd,
            cost_source,
            prices_as_of: Vec::new(),
            unpriced_calls: (self.unpriced > 0).then_some(self.unpriced),
        }
    }
}

/// The days of the prices that calls were estimated with, in order.
pub(super) fn days(calls: &[crate::store::CallRow]) -> Vec<String> {
    let own = calls.iter().filter(|call| call.reused.is_none());
    let own = own.filter(|call| call.cache.as_ref().is_none_or(|note| note.status != CacheStatus::Hit));
    own.filter_map(|call| call.prices_as_of.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

impl From<&crate::store::RunRow> for Spent {
    fn from(row: &crate::store::RunRow) -> Self {
        Self {
            usage: row.usage,
            cost_nanos: row.cost_nanos,
            source: row.cost_source,
            unpriced: row.unpriced,
            untold: row.untold,
        }
    }
}

impl From<&crate::store::CallRow> for Spent {
    fn from(call: &crate::store::CallRow) -> Self {
        Self { usage: call.usage, cost_nanos: call.cost_nanos, source: call.cost_source, unpriced: 0, untold: 0 }
    }
}
