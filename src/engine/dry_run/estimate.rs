//! What the calls of a rehearsal would use with the provider planned for: tokens in and out, and their cost.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::core::call::Ask;
use crate::engine::view::{Band, MoneyBand, Usd};
use crate::providers::{ProviderKind, Registry, prices};

use super::record::Rehearsed;

/// A low, an expected and a high number.
type Three = [u64; 3];

/// Tokens an agent CLI sends of its own with every call: system prompt and tools, a few turns at the high end. Measured
/// requests of `claude` are 35 to 77 KB, those of `codex` 20 to 38 KB.
const CLAUDE: Three = [8_200, 12_400, 19_600];
const CODEX: Three = [5_000, 10_000, 16_000];
/// Tokens that a service's own framing of a request takes.
const HTTP: Three = [100, 300, 900];
/// Tokens of an answer in free text.
const TEXT: Three = [300, 800, 1_800];
/// Tokens of a structured answer beyond those that follow from its schema.
const STRUCTURED: Three = [200, 600, 1_400];

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
        let input = input(call, overhead(provider, planned.registry));
        let output = output(ask);
        add(&mut self.input, input);
        add(&mut self.output, output);
        let Some(provider) = provider else {
            self.unplanned = true;
            return;
        };
        if provider == "fake" {
            return;
        }
        let mut cost = [0; 3];
        for i in 0..3 {
            match model.and_then(|model| prices::estimate(provider, model, input[i], output[i])) {
                Some(nanos) => cost[i] = nanos,
                None => {
                    let what =
                        model.map_or_else(|| format!("{provider}'s default model"), |m| format!("{provider}/{m}"));
                    self.unpriced.insert(what);
                    return;
                }
            }
        }
        add(&mut self.nanos, cost);
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

fn overhead(provider: Option<&str>, registry: &Registry) -> Three {
    let Some(provider) = provider.and_then(|name| registry.get(name)) else { return [0; 3] };
    match provider.kind() {
        ProviderKind::Fake => [0; 3],
        ProviderKind::Http => HTTP,
        ProviderKind::Cli if provider.name() == "codex" => CODEX,
        ProviderKind::Cli => CLAUDE,
    }
}

/// A token is three to five bytes of text.
fn input(call: &Rehearsed, overhead: Three) -> Three {
    let ask = &call.spec.ask;
    let bytes = prompt_bytes(ask)
        + ask.system.as_ref().map_or(0, |s| s.len() as u64)
        + call.persona_bytes
        + schema_bytes(ask.schema.as_ref());
    [bytes / 5 + overhead[0], bytes.div_ceil(4) + overhead[1], bytes.div_ceil(3) + overhead[2]]
}

fn output(ask: &Ask) -> Three {
    match &ask.schema {
        None => TEXT,
        // A wide schema asks for a long answer; lists make the high end.
        Some(schema) => {
            let tokens = schema_bytes(Some(schema)) / 4;
            [STRUCTURED[0] + tokens / 2, STRUCTURED[1] + tokens, STRUCTURED[2] + 3 * tokens]
        }
    }
}

/// Size of a request's prompt.
pub(super) fn prompt_bytes(ask: &Ask) -> u64 {
    ask.prompt_text().map_or(0, |p| p.len() as u64)
}

fn schema_bytes(schema: Option<&Value>) -> u64 {
    schema.map_or(0, |schema| schema.to_string().len() as u64)
}

fn add(sum: &mut Three, more: Three) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.saturating_add(more);
    }
}

fn band([low, expected, high]: Three) -> Band {
    Band { low, expected, high }
}
