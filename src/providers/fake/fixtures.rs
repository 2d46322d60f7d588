//! A fixture file as typed values.

use std::path::{Path, PathBuf};

use crate::core::ids::Hash;
use crate::core::run::Mood;

/// One fault of a fixture file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixtureProblem {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Where in the document: `rules[2].match.label`.
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
}

/// Reads a fixture file, YAML or JSON. `path` is where it was read from.
///
/// # Errors
/// All its faults at once.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Fixtures, Vec<FixtureProblem>> {
    let dir = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(Fixtures { hash: Hash::of(bytes), dir, mood: None, strict: false })
}
