//! What the adapter of one CLI has to know: how it is called, and how its output is read.

use std::path::Path;

use serde_json::Value;

use crate::core::outcome::{CallError, ErrorClass};
use crate::process::{Exit, Finished};
use crate::providers::{AttemptRequest, Progress, Reply, ReplyError};

use super::classify::of_words;
use super::profile::Profile;

/// Texts longer than this go to stdin: a single argument has a limit of its own.
pub(super) const MOST_ARGUMENT: usize = 100_000;

/// How a CLI is called for one attempt.
#[derive(Debug, Default)]
pub(super) struct Invocation {
    /// Arguments.
    pub(super) args: Vec<String>,
    /// Variables it gets beside the allow-listed ones.
    pub(super) env: Vec<(String, String)>,
    /// What it reads.
    pub(super) input: String,
    /// How the answer is held to its schema.
    pub(super) schema_mode: Option<&'static str>,
    /// What a reader should know.
    pub(super) warnings: Vec<String>,
    /// Files it reads, removed after the attempt.
    pub(super) files: Option<tempfile::TempDir>,
}

/// One CLI. Implementations hold what is configured and nothing of a run.
pub(super) trait Agent: Send + Sync {
    /// The provider's canonical name.
    fn name(&self) -> &str;

    /// The program: a name on PATH or an absolute path.
    fn program(&self) -> &str;

    /// The arguments that make it say its version.
    fn version_args(&self) -> Vec<String> {
        vec!["--version".to_owned()]
    }

    /// Names of the allow-listed variables it needs beside the common ones: where its own files are.
    fn passes(&self) -> Vec<&str>;

    /// What an attempt may do.
    fn profile(&self, request: &AttemptRequest) -> Profile;

    /// What of the configuration its answers depend on; none when nothing is configured.
    fn configuration(&self) -> Option<String>;

    /// The model when none is asked for.
    fn default_model(&self) -> Option<String>;

    /// The model that an attempt asks for, other names of it resolved.
    fn model(&self, request: &AttemptRequest) -> Option<String>;

    /// Attempts at a structured answer; none = the engine's number.
    fn schema_attempts(&self) -> Option<u32>;

    /// How it is called.
    ///
    /// # Errors
    /// A request that this CLI cannot carry out.
    fn invoke(&self, request: &AttemptRequest, profile: Profile) -> Result<Invocation, CallError>;

    /// What reads its output.
    fn reader(&self, request: &AttemptRequest, progress: Progress) -> Box<dyn Reader>;
}

/// Reads the output of one attempt.
pub(super) trait Reader: Send {
    /// Takes a line of its output.
    fn line(&mut self, line: &[u8]);

    /// What came of it. Exit code 0 alone is no success, and nothing is after it was ended from here.
    fn finish(self: Box<Self>, finished: &Finished) -> Result<Reply, ReplyError>;
}

/// The prompt as a CLI reads it: what was asked, and what was wrong with the answer before.
pub(super) fn prompt(request: &AttemptRequest) -> String {
    let mut out = request.spec.ask.prompt_text().unwrap_or_default();
    if let Some(feedback) = &request.feedback {
        out.push_str("\n\nYour answer before this one was refused: ");
        out.push_str(&feedback.message);
        for error in feedback.errors.iter().take(20) {
            let place = if error.pointer.is_empty() { "/" } else { &error.pointer };
            out.push_str(&format!("\n- at {place}: {}", error.message));
        }
        if let Some(answer) = &feedback.answer {
            out.push_str("\nIt was:\n");
            out.push_str(&clip(answer, 20_000));
        }
        out.push_str("\nAnswer again, corrected.");
    }
    out
}

/// At most `most` characters of a text, the cut shown.
pub(super) fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// What is added to a prompt when the CLI cannot be held to a schema otherwise.
pub(super) fn schema_in_prompt(schema: &Value) -> String {
    format!(
        "\n\nAnswer with one JSON value that satisfies this JSON Schema, and nothing else: no explanation, no code fence.\n{schema}"
    )
}

/// The error of a program that ended without saying how its turn ended.
pub(super) fn no_result(name: &str, finished: &Finished, said: &str) -> CallError {
    if finished.ended_by_us {
        return CallError::new(ErrorClass::Cancelled, format!("{name} was ended on request"));
    }
    let what = if said.is_empty() { String::new() } else { format!(": {said}") };
    let (class, how) = match finished.exit {
        Exit::Signal(signal) => (ErrorClass::Crashed, format!("was ended by signal {signal}")),
        // A shell in between reports a signal like this.
        Exit::Code(code @ 129..=159) => (ErrorClass::Crashed, format!("was ended by signal {}", code - 128)),
        Exit::Code(0) => (ErrorClass::Other, "ended without an answer".to_owned()),
        Exit::Code(2) => (ErrorClass::BadRequest, "refused its arguments".to_owned()),
        Exit::Code(code) => (of_words(said).unwrap_or(ErrorClass::Other), format!("ended with exit code {code}")),
    };
    CallError::new(class, format!("{name} {how}{what}"))
}

/// Whether a program was ended, from here or by a signal, before it could say what it used.
pub(super) fn cut_short(finished: &Finished, error: &CallError) -> bool {
    finished.ended_by_us || finished.too_much || error.class == ErrorClass::Crashed
}

/// A path as seen from the working directory.
pub(super) fn relative(path: &str, cwd: &Path) -> String {
    Path::new(path).strip_prefix(cwd).map_or_else(|_| path.to_owned(), |p| p.to_string_lossy().into_owned())
}
