//! The tools as a model is told of them.

use serde_json::{Value, json};

use super::files::Kind;

impl Kind {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Read, Self::List, Self::Search, Self::Write];

    /// The tool of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read_file",
            Self::List => "list_files",
            Self::Search => "search_files",
            Self::Write => "write_file",
        }
    }

    /// What it does.
    pub fn description(self) -> &'static str {
        match self {
            Self::Read => "Read a text file. Long files are cut; the end of the reply says how to go on.",
            Self::List => {
                "List the files of a directory and of everything below it, one path per line. `pattern` chooses: `*.md`, \
                 `src/**/*.rs`."
            }
            Self::Search => {
                "Search text files for a regular expression. Gives `path:line: text`, one match per line. `pattern` chooses \
                 files as in list_files."
            }
            Self::Write => {
                "Write a text file as a whole, in place of one that is there. Directories that are missing are made."
            }
        }
    }

    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["path", "first_line"],
            Self::List => &["path", "pattern"],
            Self::Search => &["query", "path", "pattern"],
            Self::Write => &["path", "content"],
        }
    }

    /// The JSON Schema of its arguments.
    pub fn parameters(self) -> Value {
        let path = |what: &str| json!({"type": "string", "description": what});
        let (properties, required) = match self {
            Self::Read => (
                json!({"path": path("The file, relative to the working directory."),
                    "first_line": {"type": "integer", "description": "The line to begin with, from 1."}}),
                json!(["path"]),
            ),
            Self::List => (
                json!({"path": path("The directory; the working directory when absent."),
                    "pattern": path("Only paths that match.")}),
                json!([]),
            ),
            Self::Search => (
                json!({"query": path("The regular expression."),
                    "path": path("The directory or file; the working directory when absent."),
                    "pattern": path("Only files whose path matches.")}),
                json!(["query"]),
            ),
            Self::Write => (
                json!({"path": path("The file, relative to the working directory."), "content": path("Its whole text.")}),
                json!(["path", "content"]),
            ),
        };
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }
}
