//! What owf itself says to a model: the schema in words, what was wrong with an answer.

use serde_json::Value;

use crate::core::outcome::SchemaError;
use crate::providers::{Feedback, ToolSpec};

/// The name of the tool that takes the answer.
pub(super) const ANSWER: &str = "give_answer";

/// The most errors that a model is told.
const ERRORS: usize = 10;

/// The schema in words. It names json in lower case, which one service insists on.
pub(super) fn in_words(schema: &Value) -> String {
    format!(
        "Answer with one json value that satisfies the JSON Schema below, and with nothing else: no code fence, no text \
         before or after it.\n\n{schema}"
    )
}

/// The tool that takes the answer.
pub(super) fn answer_tool(schema: &Value) -> ToolSpec {
    ToolSpec {
        name: ANSWER.to_owned(),
        description: "Give your final answer. Call this once, when you are done; its arguments are the answer."
            .to_owned(),
        parameters: schema.clone(),
    }
}

/// What was wrong with an answer, and what is wanted. The schema stands in it: a service may have ignored it.
pub(super) fn correction(feedback: &Feedback, schema: &Value) -> String {
    let mut out = if feedback.answer.is_some() {
        "Your answer does not satisfy the schema:\n".to_owned()
    } else {
        "You gave no answer that could be read:\n".to_owned()
    };
    if feedback.errors.is_empty() {
        out.push_str(&format!("- {}\n", feedback.message));
    }
    for error in feedback.errors.iter().take(ERRORS) {
        out.push_str(&format!("- {}\n", line(error)));
    }
    out.push_str("\nCorrect it. ");
    out.push_str(&in_words(schema));
    out
}

fn line(error: &SchemaError) -> String {
    let got = error.got.as_ref().map(|got| format!(", got {got}")).unwrap_or_default();
    format!("{} {}{got}", error.pointer, error.message)
}
