//! Files that a call was to make: looked for under the same rules as files that are read and listed.

use std::path::Path;

use super::bounds::{Bounds, Deadline};
use super::files::{Files, Grant};
use super::glob::Glob;
use super::list::Ground;
use super::path::Below;
use super::tree::Tree;
use crate::core::file_rules::FileRules;

/// Looks for files in one directory.
#[derive(Debug)]
pub struct Outputs {
    files: Files,
}

impl Outputs {
    /// Looks in `dir`, under the rules of the configuration.
    ///
    /// # Errors
    /// A rule that cannot be read.
    pub fn new(dir: &Path, rules: &FileRules) -> Result<Self, String> {
        let grant = Grant { tools: Vec::new(), read: None, write: Some(Vec::new()) };
        Files::new(dir, grant, rules, Bounds::default()).map(|files| Self { files })
    }

    /// Whether a file of this name may be one: nothing is opened.
    ///
    /// # Errors
    /// One sentence: the path leads out, or a rule refuses it.
    pub fn may_be(&self, path: &str) -> Result<(), String> {
        let below = Below::parse(path).map_err(|why| format!("{path} {why}"))?;
        if below.as_str().is_empty() || path.ends_with('/') {
            return Err(format!("`{path}` is no name of a file"));
        }
        self.files.allowed(&below)
    }

    /// Whether a pattern can be used: nothing is opened.
    ///
    /// # Errors
    /// One sentence.
    pub fn may_match(&self, pattern: &str) -> Result<(), String> {
        Below::parse(pattern).map_err(|why| format!("{pattern} {why}"))?;
        Glob::new(pattern).map(|_| ())
    }

    /// The name of a file that is there, in its plain form.
    ///
    /// # Errors
    /// One sentence: it may not be one, it is not there, or it is no plain file.
    pub fn present(&self, path: &str) -> Result<String, String> {
        self.may_be(path)?;
        let below = Below::parse(path).map_err(|why| format!("{path} {why}"))?;
        Tree::open(self.files.dir())?.file(&below)?;
        Ok(below.as_str().to_owned())
    }

    /// The names of the files that a pattern matches, sorted; links and what a rule refuses are left out.
    ///
    /// # Errors
    /// One sentence: the pattern cannot be used, there are too many files, or looking took too long.
    pub fn matching(&self, pattern: &str) -> Result<Vec<String>, String> {
        self.may_match(pattern)?;
        let glob = Glob::new(pattern)?;
        let (mut found, most) = (Vec::new(), self.files.bounds.entries);
        let top = Ground { dir: self.files.dir(), root: None, from: Below::parse("")? };
        let cut = self.files.walk(&top, Deadline::of(&self.files.bounds), &mut |path| {
            if glob.matches(path.as_str()) {
                found.push(path.as_str().to_owned());
            }
            Ok(found.len() <= most)
        })?;
        if cut {
            return Err(format!("{pattern} matches more than {most} files"));
        }
        found.sort();
        Ok(found)
    }
}
