//! The path of a file of a run: relative, normalised, taken literally.

use std::fmt;
use std::path::{Component, Path};

use crate::core::failure::{Code, Failure};

/// Longest path in bytes.
const MAX_BYTES: usize = 1024;

/// A path below a run directory whose parts are plain names. It is never decoded or normalised: what would need that is
/// refused. Holding one says nothing about the file system: see [`super::RunFiles`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactPath(String);

impl ArtifactPath {
    /// Reads a path as it came in.
    ///
    /// # Errors
    /// `path_refused` for anything but plain names separated by single slashes: absolute paths, `.` and `..`, empty names,
    /// control characters, backslashes, and percent-encoded dots, slashes or control characters.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let refused = |why: &str| {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
            Failure::new(Code::PathRefused, format!("\"{shown}\" {why}"))
                .hint("a path as the list of artifacts gives it, relative to the run directory")
        };
        if text.is_empty() {
            return Err(refused("is empty"));
        }
        if text.len() > MAX_BYTES {
            return Err(refused("is too long"));
        }
        if text.chars().any(char::is_control) {
            return Err(refused("holds control characters"));
        }
        if text.contains('\\') {
            return Err(refused("holds a backslash"));
        }
        let lower = text.to_ascii_lowercase();
        if ["%2e", "%2f", "%5c", "%0", "%1", "%25"].iter().any(|code| lower.contains(code)) {
            return Err(refused("is percent-encoded; paths are taken literally"));
        }
        if text.starts_with('/') || Path::new(text).is_absolute() {
            return Err(refused("is absolute"));
        }
        let plain = |name: &str| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
        };
        if !text.split('/').all(plain) {
            return Err(refused("leaves the run directory or is not normalised"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its names, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_pass_as_they_are() {
        for text in ["output.json", "calls/c0009/transcript.jsonl", "a b/ü.txt", "..a/b..c", "50%"] {
            assert_eq!(ArtifactPath::parse(text).map(|p| p.as_str().to_owned()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn whatever_could_lead_elsewhere_is_refused() {
        let long = "a/".repeat(600) + "b";
        for text in [
            "",
            ".",
            "..",
            "../x",
            "a/../x",
            "a/..",
            "./a",
            "a/./b",
            "/etc/passwd",
            "a//b",
            "a/",
            "a\0b",
            "\0",
            "a\nb",
            "..\\x",
            "a\\b",
            "%2e%2e/x",
            "%2E%2E%2Fx",
            "a%2fb",
            "a%00",
            "%252e",
            &long,
        ] {
            let code = ArtifactPath::parse(text).map_err(|f| f.code);
            assert_eq!(code, Err(Code::PathRefused), "{text:?}");
        }
    }
}
