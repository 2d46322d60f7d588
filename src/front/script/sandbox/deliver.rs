//! From a recorded outcome to what the prelude hands to the script.

use serde_json::{Value, json};

use super::host::{Answer, OpenCall};
use super::result;
use crate::core::event::LogLevel;
use crate::core::outcome::{CallStatus, Outcome};

/// The kind of a delivery; the numbers are those of `RESULT` in the prelude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The first text, as a string.
    Text = 0,
    /// The first text, read as JSON.
    Json = 1,
    /// `null`.
    Null = 2,
    /// `undefined`.
    Undefined = 3,
    /// An error: name and message.
    Throw = 4,
    /// A timer fires.
    Fire = 5,
}

/// One delivery.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Delivery {
    /// What the texts are.
    pub how: How,
    /// A string, JSON, or the name of an error.
    pub first: String,
    /// The message of an error.
    pub second: String,
    /// The full result object, where it was asked for.
    pub full: Option<String>,
    /// Whether the call is done.
    pub ok: bool,
    /// A line that tells people what the script does not see.
    pub log: Option<(LogLevel, String)>,
}

/// What the script is given for `outcome`; paths of worktrees start at `worktrees`.
pub(super) fn delivery(call: &OpenCall, outcome: &Outcome, worktrees: &str) -> Delivery {
    let ok = outcome.status == CallStatus::Done;
    let mut delivery = Delivery {
        how: How::Null,
        first: String::new(),
        second: String::new(),
        full: call.full.then(|| result::full(outcome, worktrees)),
        ok,
        log: None,
    };
    match call.answer {
        Answer::Sleep => delivery.how = How::Undefined,
        Answer::Timer => delivery.how = if ok { How::Fire } else { How::Null },
        Answer::Approval => {
            delivery.how = How::Json;
            delivery.first = decision(outcome);
        }
        Answer::Agent => {
            if ok {
                let empty = Value::String(outcome.text.clone().unwrap_or_default());
                value(&mut delivery, Some(outcome.value.as_ref().unwrap_or(&empty)));
            } else {
                failure(&mut delivery, outcome, &format!("agent \"{}\" {}", call.label, outcome.status.as_str()));
            }
        }
        Answer::Tool => {
            if ok {
                value(&mut delivery, outcome.value.as_ref());
            } else {
                delivery.how = How::Throw;
                "Error".clone_into(&mut delivery.first);
                delivery.second =
                    with_message(&format!("tool \"{}\" {}", call.label, outcome.status.as_str()), outcome);
            }
        }
        Answer::Workflow => {
            let what = format!("workflow \"{}\" {}", call.label, outcome.status.as_str());
            if ok {
                value(&mut delivery, outcome.value.as_ref());
                delivery.log = Some((LogLevel::Info, what));
            } else {
                failure(&mut delivery, outcome, &what);
                delivery.log = Some((LogLevel::Warn, with_message(&what, outcome)));
            }
        }
    }
    delivery
}

fn value(delivery: &mut Delivery, value: Option<&Value>) {
    match value {
        None => delivery.how = How::Undefined,
        Some(Value::Null) => delivery.how = How::Null,
        Some(Value::String(text)) => {
            delivery.how = How::Text;
            delivery.first.clone_from(text);
        }
        Some(other) => {
            delivery.how = How::Json;
            delivery.first = other.to_string();
        }
    }
}

fn failure(delivery: &mut Delivery, outcome: &Outcome, what: &str) {
    if let Some(error) = &outcome.error
        && let Some(name) = &error.throws
    {
        delivery.how = How::Throw;
        delivery.first.clone_from(name);
        delivery.second.clone_from(&error.message);
    } else if outcome.status.is_failing() {
        delivery.log = Some((LogLevel::Warn, with_message(what, outcome)));
    }
}

fn with_message(what: &str, outcome: &Outcome) -> String {
    match &outcome.error {
        Some(error) => format!("{what}: {}", error.message),
        None => what.to_owned(),
    }
}

/// `{decision, by, reason}`; a question that ended without one counts as denied.
fn decision(outcome: &Outcome) -> String {
    match (&outcome.decision, &outcome.value) {
        (Some(note), _) => {
            json!({"decision": note.decision.as_str(), "by": note.by, "reason": note.reason}).to_string()
        }
        (None, Some(value @ Value::Object(_))) => value.to_string(),
        (None, _) => {
            let reason = outcome.error.as_ref().map(|error| error.message.clone());
            json!({"decision": "deny", "by": outcome.status.as_str(), "reason": reason}).to_string()
        }
    }
}
