//! A fixture file as typed values.

use std::path::PathBuf;

use serde_json::Value;

use super::matcher::Match;
use crate::core::ids::Hash;
use crate::core::outcome::ErrorClass;
use crate::core::run::Mood;

/// One fault of a fixture file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixtureProblem {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Where in the document: `rules[2].match.label`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// A fixture file, read and checked.
#[derive(Debug, Clone)]
pub struct Fixtures {
    /// Hash of the file's bytes.
    pub hash: Hash,
    /// The directory of the file: the invocation log and transcripts lie below it.
    pub dir: PathBuf,
    /// Answers what no rule matches.
    pub mood: Option<Mood>,
    /// Whether an unmatched call fails, and an unused rule fails the run.
    pub strict: bool,
    /// The invocation log, relative to `dir`.
    pub invocation_log: Option<String>,
    pub(super) rules: Vec<Rule>,
}

/// What one rule says; defaults are already in it.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) matcher: Match,
    /// One answer, or one per occurrence; the last repeats. Never empty.
    pub(super) answers: Vec<Scripted>,
    pub(super) fail_first: u32,
    /// What the first `fail_first` attempts give.
    pub(super) failure: ScriptedError,
    pub(super) delay_ms: u64,
    pub(super) stop_reason: StopReason,
    pub(super) transcript: Option<String>,
    pub(super) write: Vec<(String, String)>,
    pub(super) delete: Vec<String>,
    pub(super) commit: Option<String>,
    pub(super) calls_tools: bool,
    pub(super) crash: Option<Crash>,
}

impl Rule {
    /// Whether the rule changes files.
    pub(super) fn changes_files(&self) -> bool {
        !self.write.is_empty() || !self.delete.is_empty() || self.commit.is_some()
    }

    /// Whether an attempt takes time.
    pub(super) fn takes_time(&self) -> bool {
        let slow = |answer: &Scripted| answer.delay_ms.is_some_and(|ms| ms > 0) || answer.answer == Answer::Never;
        self.delay_ms > 0 || self.answers.iter().any(slow)
    }
}

/// One answer with what it costs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scripted {
    pub(super) answer: Answer,
    pub(super) delay_ms: Option<u64>,
    /// What the rule or this answer says; for errors only that, for others also the defaults.
    pub(super) usage: Option<ScriptedUsage>,
    pub(super) cost: ScriptedCost,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// That of the mood.
    Mood,
    /// A text template.
    Text(String),
    /// A value of templates.
    Json(Value),
    /// The mood's answer with these fields put over it.
    Merge(Value),
    /// A failure.
    Error(ScriptedError),
    /// None, ever.
    Never,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptedError {
    pub(super) class: ErrorClass,
    pub(super) message: String,
    pub(super) retry_after_ms: Option<u64>,
}

/// Tokens; what is not given for prompt and answer is counted from their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ScriptedUsage {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
}

/// Cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ScriptedCost {
    /// Not said: nothing.
    #[default]
    Free,
    /// Billionths of a US dollar.
    Nanos(u64),
    /// `null`.
    Unknown,
}

/// Why a model stopped, as far as it changes the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum StopReason {
    /// It was done.
    #[default]
    End,
    /// Its answer was cut.
    MaxTokens,
    /// It used up its turns.
    MaxTurns,
    /// It refused.
    Refusal,
}

/// When a rule ends this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    /// Before anything is done.
    BeforeAnswer,
    /// When the answer is there, with its files, but nobody has been told.
    AfterAnswer,
}
