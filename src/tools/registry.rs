//! Tools of the user's configuration: what each is for, what it takes, who may use it, and what carries it out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::files::Kind;

/// How long an undo stays possible when nothing is configured.
const UNDO_FOR: u64 = 3_600;
/// Faults of arguments that are told at once.
const MOST_FAULTS: usize = 10;

/// A tool as configured: `[tools.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Definition {
    /// What it does, for readers and models.
    pub description: String,
    /// The JSON Schema of its arguments; none = any object.
    pub schema: Option<Map<String, Value>>,
    /// Handler: a program and its arguments. It reads the tool's arguments as JSON, and what it prints is the result.
    pub command: Option<Vec<String>>,
    /// Handler: a file tool of owf by its name.
    pub builtin: Option<String>,
    /// Names of variables that the program's environment is given.
    pub secrets: Vec<String>,
    /// Whether only one call of it runs at a time, in all processes of a home.
    pub lock: bool,
    /// Arguments it gets besides those of a call.
    pub fixed_args: Map<String, Value>,
    /// The modes in which it may be used; empty = all.
    pub modes: Vec<String>,
    /// Whether a person is asked before it runs.
    pub requires_approval: bool,
    /// What the person is asked.
    pub approval_message: Option<String>,
    /// A program that takes a call back. It reads `{tool, arguments, result}` as JSON.
    pub undo: Option<Vec<String>>,
    /// Seconds for which that is possible.
    pub undo_seconds: Option<u64>,
    /// Seconds a call may take.
    pub timeout_seconds: Option<u64>,
    /// Whether it changes nothing.
    pub read_only: bool,
}

/// Where the arguments of a call break the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// JSON Pointer to the value.
    pub pointer: String,
    /// What the schema wants.
    pub message: String,
    /// What was there.
    pub got: Value,
}

impl Definition {
    /// The file tool that carries it out.
    pub fn file_tool(&self) -> Option<Kind> {
        self.builtin.as_deref().and_then(Kind::of)
    }

    /// Whether a call of it changes nothing.
    pub fn changes_nothing(&self) -> bool {
        self.read_only || self.file_tool().is_some_and(|kind| kind != Kind::Write)
    }

    /// How long a call of it can be taken back.
    pub fn undo_for(&self) -> Duration {
        Duration::from_secs(self.undo_seconds.unwrap_or(UNDO_FOR))
    }

    /// The arguments of a call with the fixed ones, and the names of fixed ones that the call set all the same.
    pub fn complete(&self, given: &Value) -> (Value, Vec<String>) {
        let Value::Object(given) = given else { return (given.clone(), Vec::new()) };
        let mut all = self.fixed_args.clone();
        let twice =
            given.iter().filter(|(name, value)| self.fixed_args.get(*name).is_some_and(|fixed| fixed != *value));
        let twice = twice.map(|(name, _)| name.clone()).collect();
        all.extend(given.clone());
        (Value::Object(all), twice)
    }

    /// Where arguments break the schema.
    pub fn faults(&self, arguments: &Value) -> Vec<Fault> {
        let any = Map::from_iter([("type".to_owned(), Value::from("object"))]);
        let Ok(validator) = validator(self.schema.as_ref().unwrap_or(&any)) else { return Vec::new() };
        let fault = |error: jsonschema::ValidationError<'_>| Fault {
            pointer: error.instance_path().to_string(),
            message: error.to_string(),
            got: error.instance().clone().into_owned(),
        };
        validator.iter_errors(arguments).take(MOST_FAULTS).map(fault).collect()
    }

    /// What is wrong with it.
    fn problem(&self) -> Option<String> {
        if self.command.is_some() == self.builtin.is_some() {
            return Some("it needs one handler: `command` or `builtin`".to_owned());
        }
        if let Some(name) = &self.builtin
            && Kind::of(name).is_none()
        {
            return Some(format!(
                "there is no built-in tool `{name}`: read_file, list_files, search_files, write_file"
            ));
        }
        let empty = |words: &Option<Vec<String>>| {
            words.as_ref().is_some_and(|words| words.first().is_none_or(String::is_empty))
        };
        if empty(&self.command) || empty(&self.undo) {
            return Some("`command` and `undo` begin with a program".to_owned());
        }
        match self.schema.as_ref().map(validator) {
            Some(Err(error)) => Some(format!("`schema` is no JSON Schema that can be used: {error}")),
            Some(Ok(_)) | None => None,
        }
    }
}

fn validator(schema: &Map<String, Value>) -> Result<jsonschema::Validator, String> {
    let schema = Value::Object(schema.clone());
    jsonschema::options().should_validate_formats(false).offline().build(&schema).map_err(|error| error.to_string())
}

/// The tools there are. One that is configured wrongly is known all the same, and says so when it is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tools {
    tools: BTreeMap<String, Result<Definition, String>>,
}

impl Tools {
    /// Tools as they were read, or why each could not be.
    pub fn new(read: BTreeMap<String, Result<Definition, String>>) -> Self {
        let check = |(name, tool): (String, Result<Definition, String>)| {
            let tool = tool.and_then(|tool| match tool.problem() {
                None if is_name(&name) => Ok(tool),
                None => Err("a name is letters, digits, `_` and `-`, at most 64".to_owned()),
                Some(problem) => Err(problem),
            });
            (name, tool)
        };
        Self { tools: read.into_iter().map(check).collect() }
    }

    /// The tool of this name.
    ///
    /// # Errors
    /// Why it cannot be used: one sentence.
    pub fn get(&self, name: &str) -> Result<&Definition, String> {
        match self.tools.get(name) {
            Some(Ok(tool)) => Ok(tool),
            Some(Err(problem)) => Err(format!("the tool `{name}` is configured wrongly: {problem}")),
            None if self.tools.is_empty() => Err(format!("there is no tool `{name}`: none is configured")),
            None => {
                let known: Vec<&str> = self.names().collect();
                Err(format!("there is no tool `{name}`; configured are {}", known.join(", ")))
            }
        }
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// What is wrong, by tool.
    pub fn problems(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tools.iter().filter_map(|(name, tool)| Some((name.as_str(), tool.as_ref().err()?.as_str())))
    }

    /// The names of all variables that hold secrets of tools.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.tools.values().flatten().flat_map(|tool| tool.secrets.iter().map(String::as_str))
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Definition, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_tool_needs_one_handler_that_there_is_and_a_schema_that_can_be_used() {
        let tools = Tools::new(BTreeMap::from([
            ("good".to_owned(), read(json!({"command": ["true"]}))),
            ("two".to_owned(), read(json!({"command": ["true"], "builtin": "read_file"}))),
            ("none".to_owned(), read(json!({}))),
            ("unknown".to_owned(), read(json!({"builtin": "fly"}))),
            ("schema".to_owned(), read(json!({"command": ["true"], "schema": {"type": 3}}))),
            ("a b".to_owned(), read(json!({"command": ["true"]}))),
            ("empty".to_owned(), read(json!({"command": [""]}))),
        ]));
        let wrong: Vec<&str> = tools.problems().map(|(name, _)| name).collect();
        assert_eq!(wrong, ["a b", "empty", "none", "schema", "two", "unknown"]);
        assert!(tools.get("good").is_ok());
        let two = "the tool `two` is configured wrongly: it needs one handler: `command` or `builtin`";
        assert_eq!(tools.get("two").err().as_deref(), Some(two));
        assert_eq!(Tools::default().get("x").err().as_deref(), Some("there is no tool `x`: none is configured"));
    }

    #[test]
    fn fixed_arguments_are_there_and_those_of_the_call_win() {
        let fixed_args = Map::from_iter([("a".to_owned(), json!(1)), ("b".to_owned(), json!(2))]);
        let tool = Definition { fixed_args, ..Definition::default() };
        let (all, twice) = tool.complete(&json!({"b": 3, "c": 4}));
        assert_eq!((all, twice), (json!({"a": 1, "b": 3, "c": 4}), vec!["b".to_owned()]));
        assert_eq!(tool.complete(&json!({"b": 2})).1, Vec::<String>::new());
    }
}
