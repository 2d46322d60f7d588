//! Flags that several commands share, and their way into parameters.

use std::collections::BTreeMap;
use std::io::Read;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::core::call::CachePolicy;
use crate::core::failure::{Code, Failure};
use crate::core::run::{IfWorkspaceChanged, OnProviderDown};
use crate::engine::params::MoodArg;

/// Which workflow: at most one of the three ends up set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkflowRef {
    /// A file.
    pub path: Option<String>,
    /// A name.
    pub name: Option<String>,
    /// The text itself.
    pub script: Option<String>,
}

/// The same workflow said with flags.
#[derive(Debug, Clone, Default, Args)]
pub struct WorkflowFlags {
    /// The workflow as a file, whatever its name looks like
    #[arg(long, value_name = "FILE")]
    pub path: Option<String>,
    /// The workflow by its name, whatever it looks like
    #[arg(long)]
    pub name: Option<String>,
    /// The workflow as text; - reads standard input
    #[arg(long, value_name = "TEXT")]
    pub script: Option<String>,
}

impl WorkflowFlags {
    /// The workflow that `word` or the flags mean; `-` reads `stdin`.
    pub fn resolve(&self, word: Option<&str>, stdin: &mut dyn Read) -> Result<WorkflowRef, Failure> {
        let mut found = WorkflowRef { path: self.path.clone(), name: self.name.clone(), script: self.script.clone() };
        match word {
            Some("-") => found.script = Some("-".to_owned()),
            Some(word) if looks_like_a_path(word) => {
                found.path.get_or_insert_with(|| word.to_owned());
            }
            Some(word) => {
                found.name.get_or_insert_with(|| word.to_owned());
            }
            None => {}
        }
        if found.script.as_deref() == Some("-") {
            let mut bytes = Vec::new();
            stdin.read_to_end(&mut bytes).map_err(|error| {
                Failure::new(Code::InvalidArguments, format!("standard input cannot be read: {error}"))
            })?;
            found.script = Some(String::from_utf8(bytes).map_err(|_| {
                Failure::new(Code::InvalidArguments, "standard input is not UTF-8 text")
                    .hint("pipe the source of a workflow")
            })?);
        }
        Ok(found)
    }
}

/// A word with a slash or a known ending is a path, any other a name.
pub fn looks_like_a_path(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let endings = [".js", ".mjs", ".cjs", ".ts", ".yaml", ".yml", ".json"];
    word.contains('/') || endings.iter().any(|ending| lower.len() > ending.len() && lower.ends_with(ending))
}

/// The args of a workflow.
#[derive(Debug, Clone, Default, Args)]
pub struct ArgFlags {
    /// One arg: K=V is a string, K:=JSON a value; repeatable
    #[arg(long = "arg", value_name = "K=V")]
    pub arg: Vec<String>,
    /// All args as JSON text; --arg wins over its keys
    #[arg(long, value_name = "JSON")]
    pub args_json: Option<String>,
}

impl ArgFlags {
    /// The object of `--arg`, none without one. All wrong ones are reported at once.
    pub fn object(&self) -> Result<Option<Map<String, Value>>, Failure> {
        if self.arg.is_empty() {
            return Ok(None);
        }
        let mut object = Map::new();
        let mut wrong = Vec::new();
        for text in &self.arg {
            match one_arg(text) {
                Ok((key, value)) => {
                    object.insert(key.to_owned(), value);
                }
                Err(message) => wrong.push((format!("--arg {text}"), message)),
            }
        }
        if wrong.is_empty() { Ok(Some(object)) } else { Err(wrong_arguments(&wrong)) }
    }
}

fn one_arg(text: &str) -> Result<(&str, Value), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("must be K=V (a string) or K:=JSON (a value)".to_owned());
    };
    let (key, value) = match key.strip_suffix(':') {
        Some(key) => (key, serde_json::from_str(value).map_err(|error| format!("is no JSON after `:=`: {error}"))?),
        None => (key, Value::String(value.to_owned())),
    };
    if key.is_empty() { Err("has no name before `=`".to_owned()) } else { Ok((key, value)) }
}

/// One failure for all wrong arguments.
pub fn wrong_arguments(wrong: &[(String, String)]) -> Failure {
    let list: Vec<_> = wrong.iter().map(|(path, message)| format!("{path} {message}")).collect();
    let head = if wrong.len() == 1 {
        "1 argument is wrong".to_owned()
    } else {
        format!("{} arguments are wrong", wrong.len())
    };
    let errors: Vec<_> = wrong.iter().map(|(path, message)| json!({ "path": path, "message": message })).collect();
    Failure::new(Code::InvalidArguments, format!("{head}: {}", list.join("; "))).with("errors", errors)
}

/// Sizes of generated lists, from `files=40`.
pub fn sizes(texts: &[String]) -> Result<Option<BTreeMap<String, u32>>, Failure> {
    let mut sizes = BTreeMap::new();
    let mut wrong = Vec::new();
    for text in texts {
        match text.split_once('=').map(|(key, number)| (key, number.parse())) {
            Some((key, Ok(number))) if !key.is_empty() => {
                sizes.insert(key.to_owned(), number);
            }
            _ => wrong.push((format!("--assume {text}"), "must be NAME=NUMBER, for example files=40".to_owned())),
        }
    }
    if wrong.is_empty() { Ok((!sizes.is_empty()).then_some(sizes)) } else { Err(wrong_arguments(&wrong)) }
}

/// Limits of a run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// Limit on output tokens, the script's budget.total; on resume the new total
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    pub budget_tokens: Option<u64>,
    /// Limit on cost in US dollars; on resume the new total
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true)]
    pub budget_cost_usd: Option<f64>,
    /// Limit on agent calls of the run and its children [default: 1000]
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true)]
    pub max_calls: Option<u64>,
    /// Allow a cost limit with a model whose price is unknown
    #[arg(long)]
    pub allow_unpriced: bool,
    /// Calls at once, per provider [default: by provider]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub concurrency: Option<u32>,
}

/// A number of things.
///
/// # Errors
/// Anything but digits.
pub fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "must be a whole number, such as 20".to_owned())
}

/// A number of things at once, or of rows.
///
/// # Errors
/// Anything but digits, and 0.
pub fn at_least_one(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number of at least 1".to_owned()),
        Ok(n) => Ok(n),
    }
}

/// A number of seconds.
///
/// # Errors
/// Anything but digits.
pub fn seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "must be a whole number of seconds".to_owned())
}

fn dollars(text: &str) -> Result<f64, String> {
    match text.trim_start_matches('$').parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount >= 0.0 => Ok(amount),
        Ok(_) | Err(_) => Err("must be an amount of dollars, such as 5 or 0.25".to_owned()),
    }
}

/// What the fake provider answers.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Fake provider")]
pub struct FakeFlags {
    /// File with answers of the fake provider
    #[arg(long, value_name = "FILE")]
    pub fixtures: Option<String>,
    /// How it answers what no fixture matches [default: happy]
    #[arg(long, value_enum)]
    pub mood: Option<MoodFlag>,
}

macro_rules! words {
    ($(#[$doc:meta])* $flag:ident => $word:ident { $($(#[$vdoc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        #[value(rename_all = "snake_case")]
        pub enum $flag {
            $($(#[$vdoc])* $variant),*
        }

        impl From<$flag> for $word {
            fn from(flag: $flag) -> Self {
                match flag {
                    $($flag::$variant => Self::$variant),*
                }
            }
        }
    };
}

words! {
    /// `--mood`.
    MoodFlag => MoodArg {
        /// Favourable answers
        Happy,
        /// Unfavourable answers
        Unhappy,
        /// The smallest valid answers
        Empty,
    }
}
words! {
    /// `--cache-policy`.
    CacheFlag => CachePolicy {
        /// Use answers of other runs and store new ones
        Auto,
        /// Ask again and store the new answers
        Refresh,
        /// Use answers of other runs, store none
        ReadOnly,
        /// Neither
        Disabled,
    }
}
words! {
    /// `--if-workspace-changed`.
    ChangedFlag => IfWorkspaceChanged {
        /// Reuse the answer and warn
        Reuse,
        /// Ask again
        Rerun,
    }
}
words! {
    /// `--on-provider-down`.
    DownFlag => OnProviderDown {
        /// Pause the run
        Pause,
        /// Fail the call
        Fail,
    }
}

/// `true` as a parameter that was given, `false` as one that was not.
pub fn given(flag: bool) -> Option<bool> {
    flag.then_some(true)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_slash_or_a_known_ending_makes_a_path() {
        for path in ["a.js", "dir/x", "./x", "flow.YAML", "x.json"] {
            assert!(looks_like_a_path(path), "{path}");
        }
        for name in ["review", "review-old", ".js", "a.b", "é"] {
            assert!(!looks_like_a_path(name), "{name}");
        }
    }

    #[test]
    fn a_dash_reads_the_script_from_standard_input() {
        let flags = WorkflowFlags::default();
        let found = flags.resolve(Some("-"), &mut "return 1".as_bytes()).unwrap();
        assert_eq!(found, WorkflowRef { path: None, name: None, script: Some("return 1".to_owned()) });
    }

    #[test]
    fn args_are_strings_or_json_and_all_wrong_ones_are_reported_at_once() {
        let flags = |list: &[&str]| ArgFlags { arg: list.iter().map(|s| (*s).to_owned()).collect(), args_json: None };
        let object = flags(&["a=1", "b:=[1,2]", "c=x=y"]).object().unwrap().unwrap();
        assert_eq!(Value::Object(object), json!({ "a": "1", "b": [1, 2], "c": "x=y" }));
        let failure = flags(&["a", "=1", "ok=1", "b:=x"]).object().unwrap_err();
        assert_eq!(failure.extra["errors"].as_array().unwrap().len(), 3);
        assert!(failure.message.starts_with("3 arguments are wrong: --arg a must be K=V"), "{}", failure.message);
    }

    #[test]
    fn sizes_are_name_and_number() {
        assert_eq!(sizes(&["files=40".to_owned()]).unwrap(), Some(BTreeMap::from([("files".to_owned(), 40)])));
        assert_eq!(sizes(&[]).unwrap(), None);
        assert!(sizes(&["files".to_owned()]).is_err());
    }
}
