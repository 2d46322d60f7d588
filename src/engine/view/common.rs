//! What several replies share: amounts of money, notices, errors.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::core::failure::Failure;
use crate::core::run::RunError;

/// An amount of US dollars with at most six decimals; a whole amount is written as an integer.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Usd(f64);

impl Usd {
    /// An amount, rounded to millionths of a dollar.
    pub fn new(amount: f64) -> Self {
        let rounded = (amount * 1e6).round() / 1e6;
        // `-0.0` would be written with its sign.
        Self(if rounded == 0.0 { 0.0 } else { rounded })
    }

    /// An amount from billionths of a dollar, as the journal counts.
    pub fn from_nanos(nanos: u64) -> Self {
        Self::new(nanos as f64 / 1e9)
    }

    /// Dollars.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 1e15 {
            to.serialize_i64(self.0 as i64)
        } else {
            to.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        f64::deserialize(from).map(Self::new)
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// Something a reader should know: a stable word and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// The stable word: `simulated`, `budget_exhausted`, `workspace_changed`, ...
    pub code: String,
    /// One or two sentences.
    pub message: String,
}

impl Notice {
    /// A notice.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// Why a run failed, what it is paused on, or why a workflow is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorView {
    /// The stable word.
    pub code: String,
    /// What happened, complete by itself.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The name of the JavaScript error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Line in the script, 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column, 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Up to five frames.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
    /// The source line it points at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// The call that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// What would be accepted, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// Each wrong argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Value>,
}

impl ErrorView {
    /// An error with a code and a message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            hint: None,
            name: None,
            line: None,
            column: None,
            stack: Vec::new(),
            excerpt: None,
            call_id: None,
            allowed: Vec::new(),
            errors: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<&RunError> for ErrorView {
    fn from(error: &RunError) -> Self {
        Self {
            name: error.name.clone(),
            line: error.line,
            column: error.column,
            stack: error.stack.clone(),
            call_id: error.call_id.map(|id| id.to_string()),
            ..Self::new(error.code.as_str(), error.message.clone())
        }
    }
}

impl From<&Failure> for ErrorView {
    fn from(failure: &Failure) -> Self {
        Self {
            hint: failure.hint.clone(),
            allowed: failure.allowed.clone(),
            errors: failure.extra.get("errors").cloned(),
            ..Self::new(failure.code.as_str(), failure.message.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_six_decimals_and_whole_amounts_are_integers() {
        let text = |usd: Usd| serde_json::to_string(&usd).ok();
        assert_eq!(text(Usd::new(5.0)).as_deref(), Some("5"));
        assert_eq!(text(Usd::new(0.0)).as_deref(), Some("0"));
        assert_eq!(text(Usd::from_nanos(1_470_000_000)).as_deref(), Some("1.47"));
        assert_eq!(text(Usd::from_nanos(1_234_567)).as_deref(), Some("0.001235"));
    }
}
