//! What an attempt has used up, and what it may come to.

use super::service::Service;
use super::wire::{Said, Turn};
use crate::core::budget::Charge;
use crate::core::outcome::CostSource;
use crate::core::price::PriceNote;
use crate::providers::prices::{Prices, TokenUse};

/// What is set aside for one request.
pub(super) type Reserve<'r> = dyn Fn() -> Charge + Sync + 'r;

/// Bytes of what tools say that are a token at the least.
const BYTES_PER_TOKEN: u64 = 3;

/// What was used up so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) used: TokenUse,
    /// The last of them: its conversation is sent again with the next.
    last: TokenUse,
    cost_nanos: u64,
    source: Option<CostSource>,
    /// The price of what was estimated last.
    pub(super) price: Option<PriceNote>,
    /// Whether some request was not answered, or not with what it used.
    pub(super) usage_unknown: bool,
    /// Requests of which nobody knows what they cost, and what counts for them.
    unpriced: u32,
    unpriced_nanos: u64,
    /// Output tokens that count for requests of which nobody knows what they used.
    untold_tokens: u64,
    pub(super) model: Option<String>,
}

impl Tally {
    /// Counts an answer to a request for which so much was set aside. No request is without a prompt: a service that counts none
    /// does not tell, or the part of a stream that tells it is missing.
    pub(super) fn add(&mut self, service: &Service, prices: &Prices, model: &str, said: &Said, aside: Charge) {
        let TokenUse { input, cache_read, cache_write_5m, cache_write_1h, output, .. } = said.used;
        let told = input + cache_read + cache_write_5m + cache_write_1h > 0;
        self.usage_unknown |= !told;
        if !told && output == 0 {
            self.untold_tokens = self.untold_tokens.saturating_add(aside.tokens);
        }
        self.used += said.used;
        self.last = said.used;
        if said.model.is_some() {
            self.model.clone_from(&said.model);
        }
        let answered = said.model.as_deref().unwrap_or(model);
        let estimated = || {
            let price = |model: &str| prices.estimate(&service.name, model, &said.used);
            let (cost, price) = price(model).or_else(|| price(answered))?;
            // A service that counts nothing, or a stream whose last word was lost: only the price of nothing is known then.
            let free = price.rates.input == 0 && price.rates.output == 0;
            (told || free).then_some((cost, CostSource::Estimated, Some(price)))
        };
        match said.cost_nanos.map(|cost| (cost, CostSource::Reported, None)).or_else(estimated) {
            None => self.unpriced(aside),
            Some((cost, source, price)) => {
                self.cost_nanos += cost;
                self.price = price.or_else(|| self.price.take());
                self.source = match self.source {
                    Some(old) if old != source => Some(CostSource::Mixed),
                    Some(_) | None => Some(source),
                };
            }
        }
    }

    /// Counts a request that was not answered: nobody knows what it used.
    pub(super) fn lost(&mut self, aside: Charge) {
        self.usage_unknown = true;
        self.untold_tokens = self.untold_tokens.saturating_add(aside.tokens);
        self.unpriced(aside);
    }

    /// Counts a request of which nobody knows what it cost.
    fn unpriced(&mut self, aside: Charge) {
        self.unpriced += 1;
        self.unpriced_nanos = self.unpriced_nanos.saturating_add(aside.cost_nanos);
    }

    /// The cost of everything, unknown when any part of it is.
    pub(super) fn cost(&self) -> (Option<u64>, CostSource) {
        match self.source {
            Some(source) if self.unpriced == 0 => (Some(self.cost_nanos), source),
            Some(_) | None => (None, CostSource::Unknown),
        }
    }

    /// What counts while the cost is not known: what is known of it, and what was set aside for the requests it is not known of.
    pub(super) fn charge(&self) -> Option<u64> {
        (self.unpriced > 0).then(|| self.cost_nanos.saturating_add(self.unpriced_nanos))
    }

    /// What counts of output tokens while not all are known, likewise.
    pub(super) fn charge_tokens(&self) -> Option<u64> {
        self.usage_unknown.then(|| self.used.output.saturating_add(self.untold_tokens))
    }

    /// What the attempt has come to so far, as a budget counts it.
    pub(super) fn so_far(&self) -> Charge {
        let cost_nanos = self.cost_nanos.saturating_add(self.unpriced_nanos);
        Charge { tokens: self.used.output.saturating_add(self.untold_tokens), cost_nanos, calls: 0 }
    }

    /// What the last request, for which `aside` was set aside, may come to when it is made again with room for an answer of `output`
    /// tokens.
    pub(super) fn again(&self, service: &Service, prices: &Prices, model: &str, aside: Charge, output: u64) -> Charge {
        let last = self.last;
        let input = last.input + last.cache_read + last.cache_write_5m + last.cache_write_1h;
        let cost = |used: TokenUse| prices.cost(&service.name, model, &used).unwrap_or(0);
        let cost_nanos = match input {
            // It did not tell how long the conversation is: what was set aside for it covers that.
            0 => {
                let output = output.saturating_sub(aside.tokens);
                aside.cost_nanos.saturating_add(cost(TokenUse { output, ..TokenUse::default() }))
            }
            input => cost(TokenUse { input, output, ..TokenUse::default() }),
        };
        Charge { tokens: output, cost_nanos, calls: 1 }
    }

    /// What one more request may come to, high: one that sends again what the last one sent and heard, and what was said since, and
    /// whose answer is as long as is set aside for. Before the first answer of an attempt that goes on with a conversation of
    /// another one, all of that was said since.
    pub(super) fn next(
        &self,
        service: &Service,
        prices: &Prices,
        model: &str,
        later: &[Turn],
        reserve: &Reserve<'_>,
    ) -> Charge {
        let next = reserve();
        let last = self.last;
        // Cached or not: what is sent again costs its full price at most.
        let again = last.input + last.cache_read + last.cache_write_5m + last.cache_write_1h + last.output;
        let since: usize = match (again, later) {
            (0, all) => all.iter().map(Turn::bytes_left).sum(),
            (_, all) => all.last().map_or(0, Turn::bytes),
        };
        let input = again + since as u64 / BYTES_PER_TOKEN;
        let sent = prices.cost(&service.name, model, &TokenUse { input, ..TokenUse::default() }).unwrap_or(0);
        Charge { cost_nanos: sent.saturating_add(next.cost_nanos), ..next }
    }
}
