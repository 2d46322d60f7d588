//! How many tokens a request is likely to take, before it is made: low, expected, high; and what that costs at most.
//!
//! There is no tokenizer here: bytes per token, a factor per family of models, and what was observed with the same model before.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::prices::{Prices, TokenUse};
use super::provider::{AttemptRequest, Provider, ProviderKind};
use crate::core::budget::Charge;
use crate::core::call::Ask;

/// A low, an expected and a high number.
pub type Three = [u64; 3];

/// Tokens an agent CLI sends of its own with every call: system prompt and tools, a few turns at the high end. Measured
/// requests of `claude` are 35 to 77 KB, those of `codex` 20 to 38 KB.
const CLAUDE: Three = [8_200, 12_400, 19_600];
const CODEX: Three = [5_000, 10_000, 16_000];
/// The same without any tool: 1.2 to 1.8 KB.
const LEAN: Three = [300, 400, 600];
/// Tokens that a service's own framing of a request takes.
const HTTP: Three = [100, 300, 900];
/// Tokens of an answer in free text.
const TEXT: Three = [300, 800, 1_800];
/// Tokens of a structured answer beyond those that follow from its schema.
const STRUCTURED: Three = [200, 600, 1_400];

/// Requests of a tool loop that nothing is known of, as is likely; it may be one, and at most as many as the loop may have turns.
const TURNS: u64 = 4;
/// Tokens by which each request of a loop is longer than the one before: what the model said, and what the tool gave.
const GROWS: Three = [200, 800, 3_000];
/// Tokens of a call of a tool.
const CALL: Three = [0, 100, 300];
/// How many times the tokens of its first request a loop may believably have taken, in thousandths.
const BELIEVABLE_LOOP: std::ops::RangeInclusive<u64> = 1_000..=500_000;
/// What the name of a model is followed by where its loops are observed.
const WITH_TOOLS: &str = " with tools";

/// Thousandths of a token that 39 bytes of ASCII make.
const ASCII_39: u64 = 10_000;
/// Thousandths of a token of one character of another script: Cyrillic and Greek take about half a token, Chinese, Japanese and
/// Korean one, pictures more.
const LETTER: u64 = 500;
const IDEOGRAM: u64 = 1_000;
/// How far the low and the high number are from the expected one, in percent: without and with observations.
const BLIND: (u64, u64) = (78, 133);
const OBSERVED: (u64, u64) = (90, 115);

/// Bytes of text per token as observed, in thousandths; outside these bounds something else was measured.
const BELIEVABLE: std::ops::RangeInclusive<u64> = 500..=12_000;

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt, everything that is sent.
    pub input: Three,
    /// Of the answer.
    pub output: Three,
}

/// Who is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The canonical name of the provider.
    pub provider: &'a str,
    /// What sort of provider it is.
    pub kind: ProviderKind,
    /// The model, when it is known.
    pub model: Option<&'a str>,
    /// Whether an agent program is asked without its own tools and prompts.
    pub lean: bool,
}

/// Estimates from prices and observations. Cheap to clone; what one copy learns all know.
#[derive(Debug, Clone, Default)]
pub struct Estimates {
    prices: Arc<Prices>,
    /// Thousandths of bytes per token by provider and model.
    observed: Arc<RwLock<BTreeMap<(String, String), u64>>>,
}

impl Estimates {
    /// Estimates by these prices, with nothing observed yet.
    pub fn new(prices: Arc<Prices>) -> Self {
        Self { prices, observed: Arc::default() }
    }

    /// Takes over what was observed with a model: thousandths of bytes of text per token, or under the name that
    /// [`Self::of_loop`] gives it how long its loops are.
    pub fn learn(&self, provider: &str, model: &str, milli_bytes_per_token: u64) {
        let believable = if model.ends_with(WITH_TOOLS) { BELIEVABLE_LOOP } else { BELIEVABLE };
        if believable.contains(&milli_bytes_per_token) {
            let mut observed = self.observed.write().unwrap_or_else(PoisonError::into_inner);
            observed.insert((provider.to_owned(), model.to_owned()), milli_bytes_per_token);
        }
    }

    fn observed(&self, asked: Asked<'_>) -> Option<u64> {
        let observed = self.observed.read().unwrap_or_else(PoisonError::into_inner);
        observed.get(&(asked.provider.to_owned(), asked.model?.to_owned())).copied()
    }

    /// Tokens of a call. `persona_bytes` is the size of a system prompt that is not in `ask`.
    pub fn tokens(&self, asked: Option<Asked<'_>>, ask: &Ask, persona_bytes: u64) -> Tokens {
        let text = Text::of(ask, persona_bytes);
        let mut input = match asked.and_then(|asked| self.observed(asked)) {
            Some(milli) => band(text.bytes.saturating_mul(1_000).div_ceil(milli), OBSERVED),
            None => band((text.milli_tokens * family(asked)).div_ceil(100_000), BLIND),
        };
        add(&mut input, overhead(asked, ask));
        Tokens { input, output: output(ask) }
    }

    /// Tokens of a call that may use tools, at most `turns` requests long: each sends again what was said before. What programs
    /// do within one call is in their overhead already. What was observed with the model makes the expected number.
    pub fn loop_tokens(&self, asked: Asked<'_>, ask: &Ask, persona_bytes: u64, turns: u64) -> Tokens {
        let one = self.tokens(Some(asked), ask, persona_bytes);
        let turns = turns.max(1);
        let input = |i: usize, n: u64| n.saturating_mul(one.input[i]).saturating_add(GROWS[i] * (n * (n - 1) / 2));
        let output = |i: usize, n: u64| one.output[i].saturating_add(CALL[i] * (n - 1));
        let (likely, most) = if asked.kind == ProviderKind::Http { (TURNS.min(turns), turns) } else { (1, 1) };
        let mut tokens = Tokens {
            input: [one.input[0], input(1, likely), input(2, most)],
            output: [one.output[0], output(1, likely), output(2, most)],
        };
        let name = asked.model.map(|model| format!("{model}{WITH_TOOLS}"));
        if let Some(times) = self.observed(Asked { model: name.as_deref(), ..asked }) {
            let [low, expected, high] = &mut tokens.input;
            *expected = (one.input[1].saturating_mul(times) / 1_000).max(*low);
            *high = (*high).max(expected.saturating_mul(2));
        }
        tokens
    }

    /// What an answered call that may use tools tells about how long such calls are: the name to keep it by, and how many times
    /// the tokens of its first request it took in all, in thousandths.
    pub fn of_loop(
        &self,
        asked: Asked<'_>,
        ask: &Ask,
        persona_bytes: u64,
        prompt_tokens: u64,
    ) -> Option<(String, u64)> {
        let [_, expected, _] = self.tokens(Some(asked), ask, persona_bytes).input;
        let times = prompt_tokens.saturating_mul(1_000) / expected.max(1);
        BELIEVABLE_LOOP.contains(&times).then_some((format!("{}{WITH_TOOLS}", asked.model?), times))
    }

    /// What tokens cost in billionths of a dollar: low, expected, high; none when the model or its price is not known.
    pub fn cost(&self, asked: Asked<'_>, tokens: &Tokens) -> Option<Three> {
        let price = self.prices.lookup(asked.provider, asked.model?)?.price;
        let of = |i: usize| {
            price.cost(&TokenUse { input: tokens.input[i], output: tokens.output[i], ..TokenUse::default() })
        };
        Some([of(0), of(1), of(2)])
    }

    /// The most an attempt is likely to charge: what its provider reserves before the start. The model is the one that will
    /// be asked, aliases resolved; without a known price only tokens are reserved.
    pub fn reserve(&self, provider: &dyn Provider, model: Option<&str>, request: &AttemptRequest) -> Charge {
        let lean = !provider.reads_workspace(request);
        let asked = Asked { provider: provider.name(), kind: provider.kind(), model, lean };
        let persona = request.persona.as_ref().map_or(0, |persona| persona.system.len() as u64);
        let tokens = self.tokens(Some(asked), &request.spec.ask, persona);
        let cost = self.cost(asked, &tokens).map_or(0, |[_, _, high]| high);
        Charge { tokens: tokens.output[2], cost_nanos: cost, calls: 1 }
    }
}

/// What an answered request tells about bytes per token, in thousandths; none when other things than its text were counted: the
/// prompts of agent programs, the turns of a tool loop, a handful of bytes.
pub fn observation(kind: ProviderKind, tools: bool, ask: &Ask, persona_bytes: u64, prompt_tokens: u64) -> Option<u64> {
    let text = Text::of(ask, persona_bytes);
    if kind != ProviderKind::Http || tools || text.bytes < 200 || prompt_tokens == 0 {
        return None;
    }
    Some(text.bytes * 1_000 / prompt_tokens).filter(|milli| BELIEVABLE.contains(milli))
}

/// The text of a request, measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Text {
    bytes: u64,
    milli_tokens: u64,
}

impl Text {
    fn of(ask: &Ask, persona_bytes: u64) -> Self {
        let mut all = Self { bytes: persona_bytes, milli_tokens: persona_bytes * ASCII_39 / 39 };
        let before = ask.messages.iter().flatten().map(|message| message.content.as_str());
        for text in [ask.prompt.as_deref(), ask.system.as_deref()].into_iter().flatten().chain(before) {
            all.add(text);
        }
        if let Some(schema) = &ask.schema {
            all.add(&schema.to_string());
        }
        all
    }

    fn add(&mut self, text: &str) {
        let (mut ascii, mut milli) = (0_u64, 0_u64);
        for c in text.chars() {
            match u32::from(c) {
                0..0x80 => ascii += 1,
                0x80..0x1100 => milli += LETTER,
                0x1100..0x1_0000 => milli += IDEOGRAM,
                _ => milli += 2 * IDEOGRAM,
            }
        }
        self.bytes += text.len() as u64;
        self.milli_tokens += milli + ascii * ASCII_39 / 39;
    }
}

/// Tokens of a family of models compared to others, in percent.
fn family(asked: Option<Asked<'_>>) -> u64 {
    let claude = asked.is_some_and(|asked| {
        matches!(asked.provider, "claude" | "anthropic") || asked.model.is_some_and(|model| model.contains("claude"))
    });
    if claude { 125 } else { 100 }
}

fn overhead(asked: Option<Asked<'_>>, ask: &Ask) -> Three {
    let Some(asked) = asked else { return [0; 3] };
    match asked.kind {
        ProviderKind::Fake => [0; 3],
        ProviderKind::Http => HTTP,
        ProviderKind::Cli if asked.provider == "codex" => CODEX,
        ProviderKind::Cli if asked.lean || ask.tools.as_ref().is_some_and(Vec::is_empty) => LEAN,
        ProviderKind::Cli => CLAUDE,
    }
}

/// Tokens of an answer, thoughts included.
fn output(ask: &Ask) -> Three {
    let mut tokens = match &ask.schema {
        None => TEXT,
        // A wide schema asks for a long answer; lists make the high end.
        Some(schema) => {
            let [_, of_schema, _] = schema_tokens(schema);
            [STRUCTURED[0] + of_schema / 2, STRUCTURED[1] + of_schema, STRUCTURED[2] + 3 * of_schema]
        }
    };
    // Thoughts are billed as answer.
    let (expected, high) = match ask.effort.as_deref() {
        Some("high") => (2, 3),
        Some("xhigh" | "max") => (3, 6),
        Some(_) | None => (1, 1),
    };
    tokens[1] *= expected;
    tokens[2] *= high;
    tokens
}

fn schema_tokens(schema: &Value) -> Three {
    let tokens = schema.to_string().len() as u64 / 4;
    [tokens, tokens, tokens]
}

fn band(expected: u64, (low, high): (u64, u64)) -> Three {
    [expected.saturating_mul(low) / 100, expected, expected.saturating_mul(high).div_ceil(100)]
}

/// Adds up.
pub fn add(sum: &mut Three, more: Three) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ask(prompt: &str) -> Ask {
        Ask { prompt: Some(prompt.to_owned()), ..Ask::default() }
    }

    const OPENAI: Asked<'static> =
        Asked { provider: "openai", kind: ProviderKind::Http, model: Some("gpt-5.4-mini"), lean: true };

    #[test]
    fn text_is_counted_by_its_script_and_by_the_family_of_the_model() {
        let plain = |asked, prompt: &str| Estimates::default().tokens(asked, &ask(prompt), 0).input;
        assert_eq!(plain(None, &"a".repeat(3900)), [780, 1000, 1330]);
        assert_eq!(plain(None, &"語".repeat(1000)), [780, 1000, 1330]);
        assert_eq!(plain(None, &"я".repeat(1000)), [390, 500, 665]);
        let anthropic = Asked { provider: "anthropic", kind: ProviderKind::Http, model: None, lean: true };
        assert_eq!(plain(Some(anthropic), &"a".repeat(3900)), [975 + 100, 1250 + 300, 1663 + 900]);
    }

    #[test]
    fn what_was_observed_with_a_model_wins_and_narrows_the_band() {
        let estimates = Estimates::default();
        let copy = estimates.clone();
        estimates.learn("openai", "gpt-5.4-mini", 2_000);
        assert_eq!(copy.tokens(Some(OPENAI), &ask(&"a".repeat(4000)), 0).input, [1800 + 100, 2000 + 300, 2300 + 900]);
        estimates.learn("openai", "gpt-5.4-mini", 1);
        assert_eq!(copy.observed(OPENAI), Some(2_000), "what cannot be is not believed");
    }

    #[test]
    fn a_loop_is_one_request_at_least_its_turns_at_most_and_likely_what_was_observed() {
        let estimates = Estimates::default();
        let ask = ask(&"a".repeat(3900));
        let one = estimates.tokens(Some(OPENAI), &ask, 0);
        let blind = estimates.loop_tokens(OPENAI, &ask, 0, 25);
        assert_eq!(blind.input, [one.input[0], 4 * one.input[1] + 6 * 800, 25 * one.input[2] + 300 * 3_000]);
        assert_eq!(blind.output, [one.output[0], one.output[1] + 300, one.output[2] + 24 * 300]);
        assert_eq!(estimates.loop_tokens(OPENAI, &ask, 0, 1), one);
        let (name, times) = estimates.of_loop(OPENAI, &ask, 0, 7 * one.input[1]).unwrap();
        assert_eq!((name.as_str(), times), ("gpt-5.4-mini with tools", 7_000));
        estimates.learn("openai", &name, times);
        let seen = estimates.loop_tokens(OPENAI, &ask, 0, 25);
        assert_eq!(seen.input, [blind.input[0], 7 * one.input[1], blind.input[2]]);
        assert_eq!(estimates.tokens(Some(OPENAI), &ask, 0), one, "a plain call is no loop");
        // What a program does in one call is one call to it.
        let claude = Asked { provider: "claude", kind: ProviderKind::Cli, model: Some("sonnet"), lean: false };
        assert_eq!(estimates.loop_tokens(claude, &ask, 0, 25), estimates.tokens(Some(claude), &ask, 0));
    }

    #[test]
    fn only_plain_requests_to_services_tell_about_bytes_per_token() {
        let long = ask(&"a".repeat(1000));
        assert_eq!(observation(ProviderKind::Http, false, &long, 0, 250), Some(4_000));
        assert_eq!(observation(ProviderKind::Cli, false, &long, 0, 250), None);
        assert_eq!(observation(ProviderKind::Http, false, &ask("short"), 0, 2), None);
        assert_eq!(observation(ProviderKind::Http, false, &long, 0, 100_000), None);
        assert_eq!(observation(ProviderKind::Http, true, &long, 0, 250), None);
    }

    #[test]
    fn an_estimate_has_a_cost_only_with_a_price() {
        let estimates = Estimates::default();
        let tokens = Tokens { input: [1_000; 3], output: [100, 200, 300] };
        assert_eq!(estimates.cost(OPENAI, &tokens), Some([1_200_000, 1_650_000, 2_100_000]));
        assert_eq!(estimates.cost(Asked { model: Some("gpt-99"), ..OPENAI }, &tokens), None);
        assert_eq!(estimates.cost(Asked { model: None, ..OPENAI }, &tokens), None);
    }

    #[test]
    fn thinking_hard_and_wide_schemas_cost_more() {
        let free = output(&ask("x"));
        assert_eq!(free, TEXT);
        let hard = Ask { effort: Some("high".to_owned()), ..ask("x") };
        assert_eq!(output(&hard), [300, 1_600, 5_400]);
        let schema = serde_json::json!({"type": "object", "description": "x".repeat(4000)});
        let wide = output(&Ask { schema: Some(schema), ..ask("x") });
        assert!(wide[1] > 1_600 && wide[2] > 4_400, "{wide:?}");
    }
}
