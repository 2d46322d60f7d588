//! Agent personas: markdown files with front matter, of the project, of the user, and built in.

use std::path::{Path, PathBuf};

use crate::core::ids::Hash;

/// A persona.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonaFile {
    /// Its name, what `agentType` says.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// Its tools, none = all.
    pub tools: Option<Vec<String>>,
    /// Its model as written, none = the default.
    pub model: Option<String>,
    /// The system prompt.
    pub system: String,
    /// The hash of the file's bytes; of a built-in one, of its text.
    pub source_hash: Hash,
    /// The file; none = built in.
    pub path: Option<PathBuf>,
}

/// A persona file that was left out, or read only in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonaWarning {
    /// The file.
    pub path: PathBuf,
    /// One sentence.
    pub message: String,
}

/// All personas, each name once: of several the nearest.
pub fn personas(cwd: &Path, user_home: Option<&Path>) -> Vec<PersonaFile> {
    personas_and_warnings(cwd, user_home).0
}

/// [`personas`], and what was wrong with files.
pub fn personas_and_warnings(_cwd: &Path, _user_home: Option<&Path>) -> (Vec<PersonaFile>, Vec<PersonaWarning>) {
    (Vec::new(), Vec::new())
}
