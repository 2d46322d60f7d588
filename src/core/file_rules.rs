//! What the built-in file tools may touch, as configured by the user: part of no request.

use serde::Deserialize;

/// Rules for the file tools, beside their confinement to the call's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileRules {
    /// Endings of files that may be read, listed and written, without the dot; none = all.
    pub extensions: Option<Vec<String>>,
    /// Paths below the directory that are refused: relative, `*` stands for any part of a name, a directory for all in it.
    pub deny: Vec<String>,
    /// Directories beside the call's own that may be read, absolute.
    pub roots: Vec<std::path::PathBuf>,
}
