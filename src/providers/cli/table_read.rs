//! Reading the output of a CLI by its table.

use std::sync::Arc;

use serde_json::Value;

use crate::core::outcome::{CallError, CostSource, ErrorClass, Provenance};
use crate::core::price::PriceNote;
use crate::process::{Exit, Finished};
use crate::providers::prices::{Prices, TokenUse};
use crate::providers::{Progress, Reply, ReplyAnswer, ReplyError};

use super::agent::{Reader, cut_short, no_result};
use super::classify::{of_status, of_words};
use super::table_form::{Rule, Shape, Table, Take};

/// Reads the output of one attempt.
pub(super) struct TableReader {
    name: String,
    table: Arc<Table>,
    structured: bool,
    model: Option<String>,
    prices: Arc<Prices>,
    progress: Progress,
    /// Its output, where that is one value.
    whole: Vec<u8>,
    events: Vec<Value>,
}

impl TableReader {
    pub(super) fn new(
        name: &str,
        table: Arc<Table>,
        structured: bool,
        model: Option<String>,
        prices: Arc<Prices>,
        progress: Progress,
    ) -> Self {
        let (whole, events) = (Vec::new(), Vec::new());
        Self { name: name.to_owned(), table, structured, model, prices, progress, whole, events }
    }

    /// The values that a rule finds, in order.
    fn find(&self, rule: Option<&Rule>) -> Vec<&Value> {
        let Some(rule) = rule else { return Vec::new() };
        self.events.iter().filter(|event| holds(rule, event)).flat_map(|event| at(event, &rule.at)).collect()
    }

    fn text(&self, rule: Option<&Rule>) -> Option<String> {
        let found = self.find(rule);
        let mut texts = found.iter().filter_map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        });
        match rule?.take {
            Take::Join => {
                let all: Vec<String> = texts.collect();
                (!all.is_empty()).then(|| all.concat())
            }
            Take::Last | Take::Sum => texts.next_back(),
        }
    }

    fn number(&self, rule: Option<&Rule>) -> Option<f64> {
        let numbers: Vec<f64> = self.find(rule).into_iter().filter_map(Value::as_f64).collect();
        match rule?.take {
            Take::Sum => (!numbers.is_empty()).then(|| numbers.iter().sum()),
            Take::Last | Take::Join => numbers.last().copied(),
        }
    }

    fn used(&self) -> TokenUse {
        let rules = &self.table.usage;
        let of = |rule: &Option<Rule>| self.number(rule.as_ref()).map_or(0, |n| n.max(0.0) as u64);
        let (read, written) = (of(&rules.cache_read), of(&rules.cache_write));
        let reasoning = of(&rules.reasoning);
        let apart = if rules.output_includes_reasoning.unwrap_or(true) { 0 } else { reasoning };
        let within = if rules.input_includes_cache { read + written } else { 0 };
        TokenUse {
            input: of(&rules.input).saturating_sub(within),
            cache_read: read,
            cache_write_5m: written,
            cache_write_1h: 0,
            output: of(&rules.output) + apart,
            reasoning,
        }
    }

    fn cost(&self, used: &TokenUse, model: Option<&str>) -> (Option<u64>, CostSource, Option<PriceNote>) {
        let told = self.number(self.table.cost_usd.as_ref()).filter(|cost| cost.is_finite() && *cost > 0.0);
        let source = if self.table.cost_is_reported { CostSource::Reported } else { CostSource::Estimated };
        if let Some(cost) = told {
            return (Some((cost * 1e9).round() as u64), source, None);
        }
        let known = *used != TokenUse::default();
        let estimate = model.filter(|_| known).and_then(|model| self.prices.estimate(&self.name, model, used));
        estimate
            .map_or((None, CostSource::Unknown, None), |(cost, price)| (Some(cost), CostSource::Estimated, Some(price)))
    }

    fn failure(&self, finished: &Finished) -> Option<CallError> {
        let by_code = match finished.exit {
            Exit::Code(code) => self.table.exit_codes.get(&code.to_string()).copied(),
            Exit::Signal(_) => None,
        };
        let message = self.text(self.table.error.as_ref());
        if message.is_none() && by_code.is_none() {
            return None;
        }
        let name = self.text(self.table.error_name.as_ref()).unwrap_or_default();
        let said = message.unwrap_or_else(|| if name.is_empty() { finished.errors.clone() } else { name.clone() });
        let words = format!("{name} {said}");
        let status = self.number(self.table.status.as_ref()).map(|status| status as u64);
        let class = by_code
            .or_else(|| status.filter(|s| (400..600).contains(s)).map(|status| of_status(status, &words)))
            .or_else(|| of_words(&words))
            .unwrap_or(ErrorClass::Other);
        Some(CallError::new(class, said))
    }

    fn verdict(&self, finished: &Finished) -> Result<ReplyAnswer, CallError> {
        if finished.ended_by_us {
            return Err(CallError::new(ErrorClass::Cancelled, format!("{} was ended on request", self.name)));
        }
        if let Some(error) = self.failure(finished) {
            return Err(error);
        }
        let said = if finished.errors.is_empty() {
            String::from_utf8_lossy(&self.whole[..self.whole.len().min(16_000)]).into_owned()
        } else {
            finished.errors.clone()
        };
        let nothing = || no_result(&self.name, finished, said.trim());
        if finished.exit != Exit::Code(0) {
            return Err(nothing());
        }
        if self.table.done.is_some() && self.find(self.table.done.as_ref()).is_empty() {
            return Err(nothing());
        }
        if self.structured
            && let Some(value) = self.find(self.table.structured.as_ref()).last().filter(|value| !value.is_null())
        {
            return Ok(ReplyAnswer::Json((*value).clone()));
        }
        match self.table.output {
            Shape::Text => Ok(ReplyAnswer::Text(String::from_utf8_lossy(&self.whole).trim_end().to_owned())),
            Shape::Json | Shape::JsonArray | Shape::Jsonl | Shape::Claude => {
                self.text(self.table.text.as_ref()).map(ReplyAnswer::Text).ok_or_else(nothing)
            }
        }
    }
}

/// Whether an event has what a rule wants of it.
fn holds(rule: &Rule, event: &Value) -> bool {
    rule.when.iter().all(|(pointer, wanted)| {
        at(event, pointer).into_iter().any(|value| match wanted {
            toml::Value::String(text) => value.as_str() == Some(text),
            toml::Value::Integer(number) => value.as_i64() == Some(*number),
            toml::Value::Float(number) => value.as_f64() == Some(*number),
            toml::Value::Boolean(flag) => value.as_bool() == Some(*flag),
            toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => false,
        })
    })
}

/// The values at a pointer in which `*` stands for every key or index.
fn at<'a>(value: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        found = found
            .into_iter()
            .flat_map(|value| match (value, part) {
                (Value::Object(map), "*") => map.values().collect::<Vec<_>>(),
                (Value::Array(items), "*") => items.iter().collect(),
                (Value::Object(map), _) => map.get(&name).into_iter().collect(),
                (Value::Array(items), _) => name.parse().ok().and_then(|i: usize| items.get(i)).into_iter().collect(),
                (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => Vec::new(),
            })
            .collect();
    }
    found
}

/// The last JSON object in a text that may have other lines around it, with braces of their own.
fn object_in(text: &str) -> Option<Value> {
    let text = &text[..=text.rfind('}')?];
    let begins = text.match_indices('{').rev().map(|(at, _)| at);
    // The outermost: it begins a line, unless it is the only one.
    let lines = begins.filter(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n');
    lines.chain(text.find('{')).find_map(|at| serde_json::from_str(&text[at..]).ok())
}

impl Reader for TableReader {
    fn line(&mut self, line: &[u8]) {
        if self.table.output != Shape::Jsonl {
            self.whole.extend_from_slice(line);
            self.whole.push(b'\n');
            return;
        }
        let Ok(event @ Value::Object(_)) = serde_json::from_slice(line) else {
            self.whole.extend_from_slice(line);
            self.whole.push(b'\n');
            return;
        };
        if let Some(rule) = self.table.text.as_ref().filter(|rule| holds(rule, &event))
            && let Some(text) = at(&event, &rule.at).last().and_then(|value| value.as_str())
        {
            self.progress.say_short(text, 100);
        }
        self.events.push(event);
    }

    fn finish(mut self: Box<Self>, finished: &Finished) -> Result<Reply, ReplyError> {
        match self.table.output {
            Shape::Json => {
                let whole = serde_json::from_slice(&self.whole).ok();
                let whole = whole.or_else(|| object_in(&String::from_utf8_lossy(&self.whole)));
                self.events.extend(whole);
            }
            Shape::JsonArray => {
                if let Ok(Value::Array(events)) = serde_json::from_slice(&self.whole) {
                    self.events = events;
                }
            }
            Shape::Jsonl | Shape::Text | Shape::Claude => {}
        }
        // Some print their failure as JSON where nobody reads it.
        if finished.exit != Exit::Code(0) && self.find(self.table.error.as_ref()).is_empty() {
            self.events.extend(object_in(&finished.errors));
        }
        let verdict = self.verdict(finished);
        let used = self.used();
        let model = self.text(self.table.model.as_ref()).or_else(|| self.model.clone());
        let (cost_nanos, cost_source, price) = self.cost(&used, model.as_deref());
        let untold = used == TokenUse::default();
        let (usage, provenance) = (used.into(), Provenance { price, ..Provenance::default() });
        match verdict {
            Ok(answer) => Ok(Reply {
                usage,
                usage_unknown: untold,
                cost_nanos,
                cost_source,
                model,
                provenance,
                ..Reply::new(answer)
            }),
            Err(error) => {
                let usage_unknown = cut_short(finished, &error);
                Err(ReplyError {
                    usage,
                    usage_unknown,
                    cost_nanos,
                    cost_source,
                    model,
                    provenance,
                    ..ReplyError::from(error)
                })
            }
        }
    }
}
