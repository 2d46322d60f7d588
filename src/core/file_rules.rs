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

impl FileRules {
    /// Whether every rule can have an effect. Whether a root is there is another matter: it may come later.
    ///
    /// # Errors
    /// The first rule that cannot, with the form that can.
    pub fn check(&self) -> Result<(), String> {
        for ending in self.extensions.iter().flatten() {
            let name = ending.strip_prefix('.').unwrap_or(ending);
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_-+~".contains(c)) {
                let form = "an ending is what stands behind the last dot of a name, like \"md\"";
                return Err(format!("files.extensions: \"{ending}\" is none: {form}"));
            }
        }
        for pattern in &self.deny {
            if let Some(why) = refused(pattern) {
                let form = "a pattern is a name, or a path below the working directory; * and ? stand for parts of a name, ** for any \
                            directories, and all below a directory is refused with it";
                return Err(format!("files.deny: \"{pattern}\" {why}: {form}"));
            }
        }
        match self.roots.iter().find(|root| !root.is_absolute()) {
            Some(root) => Err(format!("files.roots: \"{}\" must be an absolute path of a directory", root.display())),
            None => Ok(()),
        }
    }
}

/// Why a pattern would match nothing, or not what it seems to.
fn refused(pattern: &str) -> Option<&'static str> {
    let path = pattern.trim_start_matches("./").trim_end_matches('/');
    if path.is_empty() {
        Some("names nothing")
    } else if pattern.starts_with(['/', '~']) {
        Some("is not relative")
    } else if pattern.starts_with('!') {
        Some("cannot be turned around")
    } else if pattern.contains(['[', ']', '{', '}']) {
        Some("has brackets or braces, which stand for nothing here (a ? does for such a character)")
    } else if pattern.contains('\\') {
        Some("has a backslash")
    } else if path.split('/').any(|name| name == ".." || name == ".") {
        Some("must not contain .. or .")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_could_have_no_effect_are_refused_with_the_form_that_can() {
        let said = |extensions: &[&str], deny: &[&str], roots: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let extensions = (!extensions.is_empty()).then(|| owned(extensions));
            let roots = roots.iter().map(std::path::PathBuf::from).collect();
            FileRules { extensions, deny: owned(deny), roots }.check().err().unwrap_or_default()
        };
        assert_eq!(said(&["md", ".rs", "C++"], &["secret", "a/b/", "*.pem", "**/x", "./y"], &["/srv"]), "");
        for ending in ["*.md", "", ".", "tar.gz", "a/b"] {
            assert!(
                said(&[ending], &[], &[]).starts_with(&format!("files.extensions: \"{ending}\" is none: ")),
                "{ending}"
            );
        }
        for pattern in ["[", "/etc", "~/x", "{a,b}", "!x", "a\\b", "../x", "", "./"] {
            assert!(said(&[], &[pattern], &[]).starts_with(&format!("files.deny: \"{pattern}\" ")), "{pattern}");
        }
        assert_eq!(said(&[], &[], &["relative"]), "files.roots: \"relative\" must be an absolute path of a directory");
    }
}
