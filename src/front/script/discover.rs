//! Where workflows are found by name: project directories nearest first, then the user's, then the bundled ones.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::front::script::script::Meta;

/// A workflow that is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundled {
    /// Its `meta.name`.
    pub name: &'static str,
    /// Its source.
    pub source: &'static str,
}

/// Whose workflow it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Of a directory from the working directory up to the repository root.
    Project,
    /// Of the user's home directory.
    User,
    /// Of the program.
    Bundled,
}

/// A workflow file, usable or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its `meta.name`; of a file without readable metadata, its file name.
    pub name: String,
    /// Its metadata, when readable.
    pub meta: Option<Meta>,
    /// The file; of a bundled one `bundled:NAME`.
    pub path: PathBuf,
    /// Whose it is.
    pub scope: Scope,
    /// Its text, when readable.
    pub bytes: Vec<u8>,
    /// Why it cannot be used by name, or what else is wrong with it; one sentence.
    pub problem: Option<String>,
    /// Files of the same name that it hides.
    pub shadows: Vec<PathBuf>,
    /// Properties of args it reads.
    pub args_read: Vec<String>,
}

/// Why a name leads to no workflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// No workflow has the name.
    #[error("no workflow is named {name:?}")]
    NotFound {
        /// The name.
        name: String,
        /// Names that exist, nearest first, at most 20.
        nearest: Vec<String>,
    },
    /// Two files of one directory have the name.
    #[error("two workflows are named {name:?} in one directory")]
    Ambiguous {
        /// The name.
        name: String,
        /// The files.
        paths: Vec<PathBuf>,
    },
}

/// All workflow files, nearest first.
pub fn discover(_cwd: &Path, _user_home: Option<&Path>, _bundled: &[Bundled]) -> Vec<Found> {
    Vec::new()
}

/// The workflow of a name, exact and case-sensitive.
///
/// # Errors
/// There is none, or more than one in the nearest directory that has it.
pub fn find(name: &str, _cwd: &Path, _user_home: Option<&Path>, _bundled: &[Bundled]) -> Result<Found, FindError> {
    Err(FindError::NotFound { name: name.to_owned(), nearest: Vec::new() })
}
