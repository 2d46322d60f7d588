//! The file tools of one attempt: what they may touch, and the call of one by name.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::bounds::{Bounds, Deadline};
use super::glob::Glob;
use super::path::Below;
use super::tree::Tree;
use crate::core::file_rules::FileRules;
use crate::core::redact::Redactor;

/// What is refused without anybody saying so: the repository's own files, the home of runs, and what usually holds secrets.
const REFUSED: &[&str] = &[
    ".git",
    ".workflows",
    ".owf-writing-*",
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "id_rsa*",
    "id_ed25519*",
    ".ssh",
    ".netrc",
    ".npmrc",
];

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `read_file`.
    Read,
    /// `list_files`.
    List,
    /// `search_files`.
    Search,
    /// `write_file`.
    Write,
}

/// What an attempt may touch, beside the rules of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The tools on offer.
    pub tools: Vec<Kind>,
    /// Paths that may be read; none = all.
    pub read: Option<Vec<String>>,
    /// Paths that may be written (and read); none = all, empty = nothing.
    pub write: Option<Vec<String>>,
}

/// The file tools of one attempt.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    /// Directories beside it that may be read.
    roots: Vec<PathBuf>,
    grant: Grant,
    readable: Option<Vec<Glob>>,
    writable: Option<Vec<Glob>>,
    refused: Vec<Glob>,
    extensions: Option<BTreeSet<String>>,
    pub(super) bounds: Bounds,
    /// Values that no cut may go through.
    pub(super) secrets: Redactor,
    changed: Mutex<BTreeSet<String>>,
}

impl Files {
    /// Tools in a directory.
    ///
    /// # Errors
    /// A scope or rule that cannot be read.
    pub fn new(dir: &Path, grant: Grant, rules: &FileRules, bounds: Bounds) -> Result<Self, String> {
        let globs = |list: &[String]| list.iter().map(|pattern| scope(pattern)).collect::<Result<Vec<_>, _>>();
        let refused = REFUSED.iter().map(|pattern| (*pattern).to_owned()).chain(rules.deny.iter().cloned());
        let writable = grant.write.as_deref().map(globs).transpose()?;
        // What may be written may be read.
        let readable = match &grant.read {
            None => None,
            Some(read) => {
                let mut all = globs(read)?;
                all.extend(writable.clone().unwrap_or_default());
                Some(all)
            }
        };
        Ok(Self {
            dir: dir.to_path_buf(),
            roots: rules.roots.clone(),
            readable,
            writable,
            refused: refused.map(|pattern| Glob::tree(&pattern)).collect::<Result<_, _>>()?,
            extensions: rules
                .extensions
                .as_ref()
                .map(|list| list.iter().map(|ending| ending.trim_start_matches('.').to_lowercase()).collect()),
            grant,
            bounds,
            secrets: Redactor::default(),
            changed: Mutex::default(),
        })
    }

    /// The same, which takes care of these values where it cuts: half a key is known no more, and would be recorded.
    #[must_use]
    pub fn with_secrets(self, secrets: Redactor) -> Self {
        Self { secrets, ..self }
    }

    /// The tools on offer.
    pub fn kinds(&self) -> &[Kind] {
        &self.grant.tools
    }

    /// The bounds.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Files that were written, relative to the directory.
    pub fn changed(&self) -> Vec<String> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Calls a tool. Blocks, and may take as long as its bound.
    ///
    /// # Errors
    /// One sentence for a model.
    pub fn call(&self, kind: Kind, arguments: &Value) -> Result<String, String> {
        if !self.grant.tools.contains(&kind) {
            return Err(format!("the tool {} is not on offer", kind.name()));
        }
        let arguments = Arguments::new(kind, arguments)?;
        let deadline = Deadline::of(&self.bounds);
        match kind {
            Kind::Read => self.read(&arguments),
            Kind::List => self.list(&arguments, deadline),
            Kind::Search => self.search(&arguments, deadline),
            Kind::Write => self.write(&arguments),
        }
    }

    fn read(&self, arguments: &Arguments<'_>) -> Result<String, String> {
        let text = arguments.text("path")?;
        let first = arguments.count("first_line")?.unwrap_or(1).max(1);
        let (mut file, path) = self.open(text)?;
        let content = text_of(&mut file, &path)?;
        let from = content.split_inclusive('\n').take(first - 1).map(str::len).sum::<usize>();
        let rest = &content[from..];
        if rest.is_empty() && first > 1 {
            let lines = content.lines().count();
            return Err(format!("{path} has {lines} lines"));
        }
        if rest.len() <= self.bounds.read_bytes {
            return Ok(rest.to_owned());
        }
        // Whole lines where there are any.
        let end = self.secrets.cut(rest, self.bounds.read_bytes);
        let end = rest[..end].rfind('\n').map_or(end, |at| at + 1);
        let next = first + rest[..end].matches('\n').count();
        Ok(format!("{}\n[cut: {} bytes follow; go on with first_line {next}]", &rest[..end], rest.len() - end))
    }

    /// Opens a file that may be read, and gives its name as it is shown.
    fn open(&self, text: &str) -> Result<(File, String), String> {
        if let Some((root, rest)) = self.outside(text) {
            let path = Below::parse(rest).map_err(|why| format!("{text} {why}"))?;
            self.allowed(&path)?;
            return Ok((Tree::open(root)?.file(&path)?, text.to_owned()));
        }
        let path = self.readable(text)?;
        self.allowed(&path)?;
        Ok((Tree::open(&self.dir)?.file(&path)?, path.shown().to_owned()))
    }

    /// The configured directory outside the working directory that an absolute path is in, with the rest of the path.
    pub(super) fn outside<'a>(&'a self, text: &'a str) -> Option<(&'a Path, &'a str)> {
        let within = |root: &&PathBuf| Path::new(text).starts_with(root) && text.starts_with('/');
        let root = self.roots.iter().find(within)?;
        Some((root, text.strip_prefix(root.to_str()?)?.trim_start_matches('/')))
    }

    /// A path that may be read.
    pub(super) fn readable(&self, text: &str) -> Result<Below, String> {
        let path = Below::parse(text).map_err(|why| format!("{text} {why}"))?;
        if self.in_read_scope(&path) {
            Ok(path)
        } else {
            Err(format!("{} is outside of what may be read", path.shown()))
        }
    }

    pub(super) fn in_read_scope(&self, path: &Below) -> bool {
        self.readable.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.matches(path.as_str())))
    }

    pub(super) fn in_write_scope(&self, path: &Below) -> bool {
        self.writable.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.matches(path.as_str())))
    }

    /// Whether a path, or anything it leads through, is refused by a rule.
    pub(super) fn is_refused(&self, path: &Below) -> bool {
        let text = path.as_str();
        // Where letters of either case name the same file, a rule must hold for both.
        let lower = text.to_lowercase();
        self.refused.iter().any(|glob| glob.matches(text) || glob.matches(&lower))
    }

    pub(super) fn has_extension(&self, path: &Below) -> bool {
        let Some(allowed) = &self.extensions else { return true };
        path.extension().is_some_and(|ending| allowed.contains(&ending))
    }

    /// Checks a file against the rules of the configuration, before anything is opened.
    pub(super) fn allowed(&self, path: &Below) -> Result<(), String> {
        if self.is_refused(path) {
            return Err(format!("{} is refused by the rules for files", path.shown()));
        }
        if self.has_extension(path) {
            return Ok(());
        }
        let endings: Vec<&str> = self.extensions.iter().flatten().map(String::as_str).collect();
        Err(format!("{} has an ending that is not allowed; allowed are {}", path.shown(), endings.join(", ")))
    }

    pub(super) fn note_changed(&self, path: &Below) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.as_str().to_owned());
    }
}

/// A scope of a call: a path, everything below it, or a pattern.
fn scope(pattern: &str) -> Result<Glob, String> {
    match pattern.trim_start_matches("./").trim_end_matches('/') {
        "" | "." | "*" | "**" => Glob::new("**"),
        // A scope is meant from the top.
        path => Glob::tree(&format!("/{path}")),
    }
}

/// The text of a file.
pub(super) fn text_of(file: &mut File, shown: &str) -> Result<String, String> {
    /// The longest file that is looked into.
    const LONGEST: u64 = 32 << 20;
    let size = file.metadata().map_err(|error| format!("{shown} cannot be read: {error}"))?.len();
    if size > LONGEST {
        return Err(format!("{shown} is too long: {size} bytes, {LONGEST} at most"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if bytes.contains(&0) {
        return Err(format!("{shown} is no text"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{shown} is no text"))
}

/// The arguments of a call.
pub(super) struct Arguments<'a> {
    map: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    fn new(kind: Kind, value: &'a Value) -> Result<Self, String> {
        let Value::Object(map) = value else { return Err("the arguments must be an object".to_owned()) };
        let known = kind.arguments();
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(format!("{} has no argument {key}; it has {}", kind.name(), known.join(", "))),
            None => Ok(Self { map }),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, String> {
        self.optional(name)?.ok_or_else(|| format!("the argument {name} is missing"))
    }

    pub(super) fn optional(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("the argument {name} must be a text")),
        }
    }

    fn count(&self, name: &str) -> Result<Option<usize>, String> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(n) => Ok(Some(n)),
                None => Err(format!("the argument {name} must be a whole number")),
            },
        }
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
