//! What a report says, before it has a form: every text is clean and cut, every number a word.

use serde::Serialize;

use crate::core::run::RunStatus;

use super::calls::Call;
use super::texts::Text;
use super::timeline::Timeline;

/// Stands near the beginning of every report: the sign that a file may be written over by a new one.
pub(super) const MARK: &str = "owf report";

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Pair {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// Why the run failed, or what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub(super) code: String,
    pub(super) message: Text,
    pub(super) place: Option<String>,
    pub(super) excerpt: Option<String>,
    pub(super) stack: Vec<String>,
    pub(super) hint: Option<String>,
}

/// A call that failed, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Lost {
    pub(super) id: String,
    pub(super) anchor: String,
    pub(super) label: String,
    pub(super) tries: String,
}

/// Calls that the result lacks for one and the same cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Gap {
    pub(super) calls: Vec<Lost>,
    /// Further calls of the same cause.
    pub(super) more: u64,
    pub(super) status: &'static str,
    pub(super) class: &'static str,
    pub(super) cause: Text,
    pub(super) hint: Option<String>,
    /// Where an answer broke its schema.
    pub(super) places: Vec<String>,
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Question {
    pub(super) id: String,
    pub(super) call: String,
    pub(super) kind: &'static str,
    pub(super) state: &'static str,
    pub(super) message: Text,
    pub(super) data: Option<Text>,
    pub(super) asked: String,
    /// `2026-… by mark via cli`, or what it waits for.
    pub(super) decided: String,
    pub(super) reason: Option<String>,
}

/// A phase and where its calls stand in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Phase {
    /// None: calls outside any phase.
    pub(super) title: Option<String>,
    /// `12 calls: 11 done, 1 failed`.
    pub(super) tally: String,
    pub(super) failed: u64,
    /// Indices into the list of calls, in order.
    pub(super) calls: Vec<usize>,
    /// The calls by label for the graph.
    pub(super) nodes: Vec<Node>,
    /// Further nodes that are left out.
    pub(super) more: usize,
}

/// Calls of one label that ended alike, in the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Node {
    pub(super) label: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) count: u64,
    pub(super) anchor: String,
    pub(super) depth: u32,
}

/// Everything a report says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Facts {
    pub(super) mark: &'static str,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) run_id: String,
    pub(super) short: String,
    #[serde(skip)]
    pub(super) status: RunStatus,
    /// The word for the badge.
    pub(super) state: String,
    /// ok, bad, wait, idle.
    pub(super) tone: &'static str,
    /// What the status means, when it is not the end.
    pub(super) remark: Option<String>,
    /// Set when answers were generated.
    pub(super) fake: Option<String>,
    pub(super) about: Vec<Pair>,
    pub(super) totals: Vec<Pair>,
    pub(super) trouble: Option<Trouble>,
    pub(super) gaps: Vec<Gap>,
    pub(super) gaps_total: u64,
    /// Failed calls of causes that are left out.
    pub(super) gaps_more: u64,
    pub(super) swallowed: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// The returned value; none when there is none.
    pub(super) result: Option<Text>,
    pub(super) no_result: &'static str,
    pub(super) args: Option<Text>,
    pub(super) questions: Vec<Question>,
    pub(super) questions_more: usize,
    /// Whether one of them waits, so that they come first.
    pub(super) asking: bool,
    pub(super) phases: Vec<Phase>,
    pub(super) calls: Vec<Call>,
    pub(super) calls_total: u64,
    pub(super) timeline: Timeline,
    pub(super) logs: Vec<String>,
    pub(super) logs_more: usize,
    pub(super) run_dir: String,
    /// How much of each prompt and answer is shown, for a reader.
    pub(super) per_text: String,
}
