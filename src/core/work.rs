//! What commands and tools are asked for: the identifying part of calls that no agent answers.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::call::{WorkflowTarget, is_default};

/// A program to be run, without a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandAsk {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The directory it runs in, relative to the workspace; none = the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// What it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Whether it is declared to change nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
}

impl CommandAsk {
    /// The command in one line, for readers: words with something special in them are quoted.
    pub fn line(&self) -> String {
        let plain = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c))
        };
        let quoted = |word: &String| {
            if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
        };
        self.argv.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// A tool to be used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolAsk {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Value,
    /// The mode it is used in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// What the configuration says of a tool that a call uses, or may use: no part of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolNote {
    /// Its name.
    pub name: String,
    /// Whether it changes nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// The child workflow that carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowTarget>,
}

/// Files that a call is to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputsAsk {
    /// These, each of which must be there when the call has ended.
    Files(Vec<String>),
    /// Those that the pattern matches then.
    Pattern(String),
    /// Those that the call's value names at this path.
    From(String),
}

/// Whether a path is written so that it stays below where it starts: relative, and never upwards.
pub fn stays_below(path: &str) -> bool {
    let parts = Path::new(path).components();
    !path.is_empty() && !path.contains('\0') && { parts }.all(|p| matches!(p, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let argv = ["git", "commit", "-m", "it's", "", "a b"].map(str::to_owned).to_vec();
        let ask = CommandAsk { argv, ..CommandAsk::default() };
        assert_eq!(ask.line(), r"git commit -m 'it'\''s' '' 'a b'");
    }

    #[test]
    fn paths_that_lead_out_are_told_by_their_looks() {
        for (path, stays) in
            [("a/b", true), ("./a", true), (".", true), ("", false), ("/a", false), ("../a", false), ("a/../b", false)]
        {
            assert_eq!(stays_below(path), stays, "{path}");
        }
    }
}
