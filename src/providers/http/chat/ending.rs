//! How an attempt ends: with an answer or without, what it used and which files it changed.

use serde_json::Value;

use super::super::wire::Failed;
use super::Chat;
use crate::core::outcome::ErrorClass;
use crate::providers::{Reply, ReplyAnswer, ReplyError};

impl Chat<'_> {
    fn changed_files(&self) -> Vec<String> {
        self.context.tools.as_ref().map(|tools| tools.changed_files()).unwrap_or_default()
    }

    fn transcript(&self) -> Option<String> {
        let lines: Vec<String> = self.transcript.iter().map(Value::to_string).collect();
        (!lines.is_empty()).then(|| lines.join("\n") + "\n")
    }

    pub(super) fn reply(mut self, answer: ReplyAnswer) -> Reply {
        let (cost_nanos, cost_source) = self.tally.cost();
        let (charge_nanos, charge_tokens) = (self.tally.charge(), self.tally.charge_tokens());
        self.provenance.price = self.tally.price.take();
        Reply {
            answer,
            usage: self.tally.used.into(),
            usage_unknown: self.tally.usage_unknown,
            cost_nanos,
            cost_source,
            charge_nanos,
            charge_tokens,
            model: self.tally.model.clone(),
            rule: None,
            changed_files: self.changed_files(),
            transcript: self.transcript(),
            provenance: self.provenance,
        }
    }

    pub(super) fn failed(mut self, failed: Failed) -> ReplyError {
        let mut error = failed.error;
        let changed = self.changed_files();
        if !changed.is_empty() {
            self.provenance.warnings.push(format!("files were written before it failed: {}", changed.join(", ")));
            if error.class.is_retryable() {
                // Another attempt would write them again.
                error.message = format!("{}; not tried again, because files were written", error.message);
                error.class = ErrorClass::Other;
                error.retry_after_ms = None;
            }
        }
        let Reply {
            usage,
            usage_unknown,
            cost_nanos,
            cost_source,
            charge_nanos,
            charge_tokens,
            model,
            rule,
            transcript,
            provenance,
            ..
        } = self.reply(ReplyAnswer::Missing);
        ReplyError {
            error,
            usage,
            usage_unknown,
            cost_nanos,
            cost_source,
            charge_nanos,
            charge_tokens,
            model,
            rule,
            transcript,
            provenance,
        }
    }
}
