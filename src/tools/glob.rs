//! Patterns of paths: `*` within a name, `**` across names, `?` for one character.

use regex::Regex;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Glob(Regex);

impl Glob {
    /// Compiles a pattern for whole paths. One without a `/` is a pattern for the last name.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let anchored = if pattern.contains('/') { pattern.to_owned() } else { format!("**/{pattern}") };
        Self::build(anchored.trim_start_matches("./"), "")
    }

    /// A pattern that holds for a path and for everything below it; without a `/`, wherever the name stands.
    pub(super) fn tree(pattern: &str) -> Result<Self, String> {
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        let pattern = pattern.strip_suffix("/**").unwrap_or(pattern);
        let anchored = match pattern.strip_prefix('/') {
            Some(rest) => rest.to_owned(),
            None if pattern.contains('/') => pattern.to_owned(),
            None => format!("**/{pattern}"),
        };
        Self::build(&anchored, "(?:/.*)?")
    }

    fn build(pattern: &str, after: &str) -> Result<Self, String> {
        let mut out = String::from("(?s)^");
        let mut rest = pattern;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("**/") {
                out.push_str("(?:.*/)?");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("**") {
                out.push_str(".*");
                rest = after;
            } else {
                match c {
                    '*' => out.push_str("[^/]*"),
                    '?' => out.push_str("[^/]"),
                    other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
                }
                rest = &rest[c.len_utf8()..];
            }
        }
        out.push_str(after);
        out.push('$');
        Regex::new(&out).map(Self).map_err(|_| format!("the pattern {pattern} cannot be used"))
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn stars_stay_within_a_name_and_double_stars_do_not() {
        for (pattern, path, matches) in [
            ("*.rs", "src/a/b.rs", true),
            ("src/*.rs", "src/b.rs", true),
            ("src/*.rs", "src/a/b.rs", false),
            ("src/**/*.rs", "src/a/b.rs", true),
            ("src/**/*.rs", "src/b.rs", true),
            ("a?c", "abc", true),
            ("a.c", "abc", false),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(path), matches, "{pattern} {path}");
        }
        for (pattern, path, matches) in [
            (".git", "a/.git/config", true),
            (".git", ".gitignore", false),
            ("secret", "secret/x", true),
            ("a/secret", "b/a/secret", false),
            ("a/secret/", "a/secret/deep/x", true),
            ("a/secret/**", "a/secret", true),
            ("*.pem", "keys/x.pem", true),
            (".env*", "app/.env.local", true),
        ] {
            assert_eq!(Glob::tree(pattern).unwrap().matches(path), matches, "{pattern} {path}");
        }
    }
}
