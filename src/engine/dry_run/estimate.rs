//! What the calls of a rehearsal would use with the provider planned for: tokens in and out, and their cost.

use std::collections::BTreeSet;

use crate::core::call::Ask;
use crate::engine::view::{Band, MoneyBand, Usd};
use crate::providers::estimate::{Asked, Three, add};
use crate::providers::{Registry, Setup};

use super::record::Rehearsed;
use crate::tools::Bounds;

/// The sum over calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) calls: u64,
    input: Three,
    output: Three,
    nanos: Three,
    /// Provider and model of calls whose price is not known.
    pub(super) unpriced: BTreeSet<String>,
    /// Whether some call has no provider planned for it.
    pub(super) unplanned: bool,
}

/// Who the calls are planned for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned<'a> {
    pub(super) registry: &'a Registry,
    /// The canonical name of the provider of calls that name none.
    pub(super) provider: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) setup: &'a Setup,
}

impl Sum {
    /// Adds up calls.
    pub(super) fn of<'c>(calls: impl IntoIterator<Item = &'c Rehearsed>, planned: Planned<'_>) -> Self {
        let mut sum = Self::default();
        for call in calls {
            sum.add(call, planned);
        }
        sum
    }

    fn add(&mut self, call: &Rehearsed, planned: Planned<'_>) {
        self.calls += 1;
        let ask = &call.spec.ask;
        let own = ask.provider.as_deref().and_then(|name| planned.registry.canonical(name));
        let model = call.model.as_deref().or(ask.model.as_deref());
        let model = model.or(if own.is_none() { planned.model } else { None });
        let provider = own.as_deref().or(planned.provider);
        let adapter = provider.and_then(|name| planned.registry.get(name));
        let model = model.map(str::to_owned).or_else(|| adapter.as_ref().and_then(|adapter| adapter.default_model()));
        let model = model.map(|model| planned.setup.model(provider.unwrap_or_default(), &model));
        let asked = adapter.as_ref().map(|adapter| Asked {
            provider: adapter.name(),
            kind: adapter.kind(),
            model: model.as_deref(),
            lean: !call.reads,
        });
        let estimates = &planned.setup.estimates;
        let tokens = match asked {
            Some(asked) if call.reads => {
                let turns = u64::from(Bounds::default().max_turns);
                estimates.loop_tokens(asked, ask, call.persona_bytes, turns)
            }
            Some(_) | None => estimates.tokens(asked, ask, call.persona_bytes),
        };
        add(&mut self.input, tokens.input);
        add(&mut self.output, tokens.output);
        let (Some(provider), Some(asked)) = (provider, asked) else {
            self.unplanned = true;
            return;
        };
        if provider == "fake" {
            return;
        }
        match estimates.cost(asked, &tokens) {
            Some(nanos) => add(&mut self.nanos, nanos),
            None => {
                let name = model.map_or_else(|| format!("{provider}'s default model"), |m| format!("{provider}/{m}"));
                self.unpriced.insert(name);
            }
        }
    }

    /// Tokens in.
    pub(super) fn input(&self) -> Band {
        band(self.input)
    }

    /// Tokens out.
    pub(super) fn output(&self) -> Band {
        band(self.output)
    }

    /// The cost, when every call has a price.
    pub(super) fn cost(&self) -> Option<MoneyBand> {
        let [low, expected, high] = self.nanos;
        self.is_priced().then(|| MoneyBand {
            low: Usd::from_nanos(low),
            expected: Usd::from_nanos(expected),
            high: Usd::from_nanos(high),
        })
    }

    /// The expected cost in billionths of a dollar, when every call has a price.
    pub(super) fn expected_nanos(&self) -> Option<u64> {
        self.is_priced().then_some(self.nanos[1])
    }

    /// The high cost of `calls` calls like these, in billionths of a dollar.
    pub(super) fn high_nanos(&self, calls: u64) -> Option<u64> {
        let [_, _, high] = self.nanos;
        let scaled = u128::from(high) * u128::from(calls) / u128::from(self.calls.max(1));
        self.is_priced().then(|| u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    fn is_priced(&self) -> bool {
        self.unpriced.is_empty() && !self.unplanned
    }
}

/// Size of a request's prompt.
pub(super) fn prompt_bytes(ask: &Ask) -> u64 {
    ask.prompt_text().map_or(0, |p| p.len() as u64)
}

fn band([low, expected, high]: Three) -> Band {
    Band { low, expected, high }
}
