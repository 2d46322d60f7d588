//! Paths as a model writes them, parsed once: relative, without tricks.

/// A path below a directory: names joined by `/`; empty for the directory itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Below(String);

/// The longest path.
const LONGEST: usize = 1_000;

impl Below {
    /// Parses a path; `.` and empty are the directory itself.
    ///
    /// # Errors
    /// A sentence fragment for the model.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST || text.contains(['\0', '\\', '\n', '\r']) {
            return Err("is no path that can be used".to_owned());
        }
        if text.starts_with('/') || text.starts_with('~') {
            return Err("must be relative to the working directory".to_owned());
        }
        let mut names = Vec::new();
        for name in text.split('/') {
            match name {
                "" | "." => {}
                ".." => return Err("must not contain `..`".to_owned()),
                // Somebody between us and the model may decode it.
                name if name.to_lowercase().contains("%2e") || name.to_lowercase().contains("%2f") => {
                    return Err("must be written without `%`".to_owned());
                }
                name => names.push(name),
            }
        }
        Ok(Self(names.join("/")))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is shown to a model.
    pub(super) fn shown(&self) -> &str {
        if self.0.is_empty() { "." } else { &self.0 }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// The same with one more name.
    pub(super) fn join(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}/{name}", self.0)) }
    }

    /// The directory it stands in and its name.
    pub(super) fn split(&self) -> Option<(Self, &str)> {
        match self.0.rsplit_once('/') {
            Some((dir, name)) => Some((Self(dir.to_owned()), name)),
            None if self.0.is_empty() => None,
            None => Some((Self(String::new()), &self.0)),
        }
    }

    /// The ending of its name, lower case, without the dot.
    pub(super) fn extension(&self) -> Option<String> {
        let name = self.0.rsplit('/').next()?;
        let (before, ending) = name.rsplit_once('.')?;
        (!before.is_empty()).then(|| ending.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_relative_paths_without_tricks_are_taken() {
        assert_eq!(Below::parse("./a//b/./c.TXT").unwrap().as_str(), "a/b/c.TXT");
        assert_eq!(Below::parse("a/b/c.TXT").unwrap().extension().as_deref(), Some("txt"));
        assert_eq!(Below::parse(".").unwrap().as_str(), "");
        assert_eq!(Below::parse(".env").unwrap().extension(), None);
        for bad in ["/etc/passwd", "../x", "a/../../x", "~/.ssh/id", "a\\b", "a\0b", "%2e%2e/x", "a%2Fb", "x\ny"] {
            assert!(Below::parse(bad).is_err(), "{bad}");
        }
    }
}
