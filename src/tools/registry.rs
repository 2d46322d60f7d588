//! Tools of the user's configuration: what each is for, what it takes, who may use it, and what carries it out.

use std::collections::BTreeMap;
use std::time::Duration;

use jsonschema::error::ValidationErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::files::Kind;
use super::mcp_message::Listed;
use super::servers::{McpServer, McpTool};

/// How long an undo stays possible when nothing is configured.
const UNDO_FOR: u64 = 3_600;
/// Faults of arguments that are told at once.
const MOST_FAULTS: usize = 10;

/// A tool as configured: `[tools.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Handler: a tool of a configured MCP server.
    pub mcp: Option<McpTool>,
    /// Handler: a workflow, by its name or path. The tool's arguments are its args, and its output is the result.
    pub workflow: Option<String>,
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
    /// Whether it is about the names of what is there, whatever the values are.
    pub of_names: bool,
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
            of_names: matches!(
                error.kind(),
                ValidationErrorKind::Required { .. } | ValidationErrorKind::AdditionalProperties { .. }
            ),
        };
        validator.iter_errors(arguments).take(MOST_FAULTS).map(fault).collect()
    }

    /// This tool with what its server says about it, where the configuration says nothing.
    ///
    /// # Errors
    /// The server's schema cannot be used: one clause.
    pub fn with(&self, listed: &Listed) -> Result<Self, String> {
        let mut out = self.clone();
        if out.description.is_empty() {
            out.description.clone_from(&listed.description);
        }
        if out.schema.is_none() {
            // Without one nothing is known of its arguments, and any are.
            let any = || Map::from_iter([("type".to_owned(), Value::from("object"))]);
            let schema = listed.schema.clone().unwrap_or_else(any);
            validator(&schema).map_err(|why| format!("its server gives no schema that can be used: {why}"))?;
            out.schema = Some(schema);
        }
        Ok(out)
    }

    /// What is wrong with it.
    fn problem(&self) -> Option<String> {
        let handlers = [self.command.is_some(), self.builtin.is_some(), self.mcp.is_some(), self.workflow.is_some()];
        if handlers.into_iter().filter(|is| *is).count() != 1 {
            return Some("it needs one handler: `command`, `builtin`, `mcp` or `workflow`".to_owned());
        }
        if let Some(name) = &self.workflow {
            // A child takes the time it takes, and may wait for a person for days.
            if self.lock || self.timeout_seconds.is_some() || !self.secrets.is_empty() {
                return Some("`lock`, `timeout_seconds` and `secrets` mean nothing for a `workflow`".to_owned());
            }
            if name.trim().is_empty() {
                return Some("`workflow` is a name or a path".to_owned());
            }
        }
        if self.mcp.is_some() && !self.secrets.is_empty() {
            return Some("`secrets` go to the server: name them in its `env`".to_owned());
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
    servers: BTreeMap<String, Result<McpServer, String>>,
}

impl Tools {
    /// Tools and the servers that lend some of them, as they were read, or why each could not be.
    pub fn new(
        read: BTreeMap<String, Result<Definition, String>>,
        servers: BTreeMap<String, Result<McpServer, String>>,
    ) -> Self {
        let named = |name: &str| if is_name(name) { Ok(()) } else { Err(NAMES.to_owned()) };
        let check = |(name, server): (String, Result<McpServer, String>)| {
            let server = server.and_then(|server| server.problem().map_or(Ok(server), Err));
            let server = named(&name).and(server);
            (name, server)
        };
        let servers: BTreeMap<_, _> = servers.into_iter().map(check).collect();
        let lent = |tool: &Definition| match tool.mcp.as_ref().map(|of| (&of.server, servers.get(&of.server))) {
            None | Some((_, Some(Ok(_)))) => None,
            Some((name, None)) => Some(format!("there is no `[mcp_servers.{name}]`")),
            Some((name, Some(Err(problem)))) => Some(format!("its server `{name}` is: {problem}")),
        };
        let check = |(name, tool): (String, Result<Definition, String>)| {
            let tool = tool.and_then(|tool| tool.problem().or_else(|| lent(&tool)).map_or(Ok(tool), Err));
            let tool = tool.and_then(|tool| named(&name).map(|()| tool));
            (name, tool)
        };
        let tools = read.into_iter().map(check).collect();
        Self { tools, servers }
    }

    /// The server of this name, if it can be used.
    pub fn server(&self, name: &str) -> Option<&McpServer> {
        self.servers.get(name)?.as_ref().ok()
    }

    /// All servers, each with what is wrong with it.
    pub fn servers(&self) -> impl Iterator<Item = (&str, Result<&McpServer, &str>)> {
        self.servers.iter().map(|(name, server)| (name.as_str(), server.as_ref().map_err(String::as_str)))
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

    /// The names of all variables that hold secrets of tools and of the servers that lend them.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let of_tools = self.tools.values().flatten().flat_map(|tool| &tool.secrets);
        of_tools.chain(self.servers.values().flatten().flat_map(|server| &server.env)).map(String::as_str)
    }
}

/// What a name may be.
const NAMES: &str = "a name is letters, digits, `_` and `-`, at most 64";

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
        let tools = BTreeMap::from([
            ("good".to_owned(), read(json!({"command": ["true"]}))),
            ("two".to_owned(), read(json!({"command": ["true"], "builtin": "read_file"}))),
            ("none".to_owned(), read(json!({}))),
            ("unknown".to_owned(), read(json!({"builtin": "fly"}))),
            ("schema".to_owned(), read(json!({"command": ["true"], "schema": {"type": 3}}))),
            ("a b".to_owned(), read(json!({"command": ["true"]}))),
            ("empty".to_owned(), read(json!({"command": [""]}))),
            ("lent".to_owned(), read(json!({"mcp": {"server": "tracker"}}))),
            ("nowhere".to_owned(), read(json!({"mcp": {"server": "gone"}}))),
            ("value".to_owned(), read(json!({"mcp": {"server": "value"}}))),
        ]);
        let server = |value: Value| serde_json::from_value(value).map_err(|error: serde_json::Error| error.to_string());
        let servers = BTreeMap::from([
            ("tracker".to_owned(), server(json!({"command": "tracker"}))),
            ("value".to_owned(), server(json!({"command": "x", "env": ["TOKEN=secret"]}))),
        ]);
        let tools = Tools::new(tools, servers);
        let wrong: Vec<&str> = tools.problems().map(|(name, _)| name).collect();
        assert_eq!(wrong, ["a b", "empty", "none", "nowhere", "schema", "two", "unknown", "value"]);
        assert!(tools.get("good").is_ok() && tools.get("lent").is_ok());
        let told = |name: &str| tools.get(name).err().unwrap_or_default();
        assert_eq!(told("nowhere"), "the tool `nowhere` is configured wrongly: there is no `[mcp_servers.gone]`");
        let value = "the tool `value` is configured wrongly: its server `value` is: `env` holds names of variables, never values: `TOKEN`";
        assert_eq!(told("value"), value);
        let two =
            "the tool `two` is configured wrongly: it needs one handler: `command`, `builtin`, `mcp` or `workflow`";
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
