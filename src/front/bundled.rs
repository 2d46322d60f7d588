//! The workflow scripts that ship inside the binary: templates for new files, and workflows that run by name.

/// One bundled script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundledScript {
    /// The template's name, equal to the script's `meta.name`.
    pub template: &'static str,
    /// The whole source text.
    pub source: &'static str,
    /// The ending of its file: `js`, or `yaml` of a document.
    pub ending: &'static str,
}

impl BundledScript {
    /// The file name that a copy gets by default.
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.template, self.ending)
    }
}

/// Names a script by the file it comes from, so that template name and file name cannot differ.
macro_rules! bundled {
    ($($name:literal),+ $(,)?) => {
        &[$(BundledScript {
            template: $name,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/workflows/", $name, ".js")),
            ending: "js",
        }),+]
    };
}

/// All bundled scripts, simplest first.
pub const BUNDLED: &[BundledScript] = bundled![
    "hello",
    "research",
    "review",
    "judge-panel",
    "migrate",
    "loop-until-dry",
    "loop-until-budget",
    "nested",
    "extract",
    "errors",
    "compare",
];

/// Names a document by the file it comes from.
macro_rules! documents {
    ($($name:literal),+ $(,)?) => {
        &[$(BundledScript {
            template: $name,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/documents/", $name, ".yaml")),
            ending: "yaml",
        }),+]
    };
}

/// Documents that new files are made from; they are not run by name.
pub const DOCUMENTS: &[BundledScript] = documents!["haiku-parallel", "support-triage", "content-review", "approval"];

/// All templates, scripts first.
pub fn templates() -> impl Iterator<Item = &'static BundledScript> + Clone {
    BUNDLED.iter().chain(DOCUMENTS)
}

/// The template of that exact name.
pub fn bundled(template: &str) -> Option<&'static BundledScript> {
    templates().find(|script| script.template == template)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_list_names_every_file_of_the_directory_once() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/workflows");
        let files: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "js"))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let listed: BTreeSet<String> = BUNDLED.iter().map(BundledScript::file_name).collect();
        assert_eq!(listed, files);
        assert_eq!(listed.len(), BUNDLED.len());
    }

    #[test]
    fn every_script_carries_its_template_name_in_its_metadata() {
        for script in BUNDLED {
            let after = script.source.split_once("export const meta = {").unwrap().1;
            let name = after.lines().nth(1).unwrap().trim();
            assert_eq!(name, format!("name: '{}',", script.template));
        }
    }

    #[test]
    fn a_script_is_found_by_its_exact_name_only() {
        assert_eq!(bundled("hello"), Some(&BUNDLED[0]));
        assert_eq!(bundled("Hello"), None);
    }
}
