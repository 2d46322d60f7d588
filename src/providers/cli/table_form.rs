//! The form of a CLI's table: how the program is called and where in its output the answer stands. `docs/providers-cli.md`
//! describes it for users.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::core::outcome::ErrorClass;

/// How a CLI is called and read. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// The program: a name on PATH, or an absolute path.
    pub(super) program: String,
    /// Arguments of every call.
    #[serde(default)]
    pub(super) args: Vec<String>,
    /// Arguments when there is a model.
    #[serde(default)]
    pub(super) model_args: Vec<String>,
    /// Arguments when there is a system prompt; without them it stands before the prompt.
    #[serde(default)]
    pub(super) system_args: Vec<String>,
    /// Arguments when there is an effort; without them it is left out.
    #[serde(default)]
    pub(super) effort_args: Vec<String>,
    /// Arguments when there is a schema; without them it stands behind the prompt.
    #[serde(default)]
    pub(super) schema_args: Vec<String>,
    /// Arguments that hold the prompt; without them it stands on stdin.
    #[serde(default)]
    pub(super) prompt_args: Vec<String>,
    /// Arguments that make it say its version.
    #[serde(default = "version_args")]
    pub(super) version_args: Vec<String>,
    /// What is added for a call that only answers.
    #[serde(default)]
    pub(super) lean: Extra,
    /// What is added for a call that reads.
    #[serde(default)]
    pub(super) read: Extra,
    /// What is added for a call that writes.
    #[serde(default)]
    pub(super) write: Extra,
    /// What is added in a project that the user trusts.
    #[serde(default)]
    pub(super) trusted: Extra,
    /// What is added elsewhere: what keeps the program from following files of the project.
    #[serde(default)]
    pub(super) untrusted: Extra,
    /// Arguments when there is a key.
    #[serde(default)]
    pub(super) key_args: Vec<String>,
    /// Variables with fixed values.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// Names of variables that are passed on.
    #[serde(default)]
    pub(super) pass_env: Vec<String>,
    /// The variable in which it wants its key; the entry's `api_key_env` says where the key is, else it is the same.
    #[serde(default)]
    pub(super) key_env: Option<String>,
    /// The variable in which it wants the entry's `base_url`.
    #[serde(default)]
    pub(super) base_url_env: Option<String>,
    /// The shape of its output.
    pub(super) output: Shape,
    /// The answer.
    #[serde(default)]
    pub(super) text: Option<Rule>,
    /// A structured answer.
    #[serde(default)]
    pub(super) structured: Option<Rule>,
    /// The message of a failure.
    #[serde(default)]
    pub(super) error: Option<Rule>,
    /// The name of a failure.
    #[serde(default)]
    pub(super) error_name: Option<Rule>,
    /// The HTTP status behind a failure.
    #[serde(default)]
    pub(super) status: Option<Rule>,
    /// What must be there for a success.
    #[serde(default)]
    pub(super) done: Option<Rule>,
    /// The model that answered.
    #[serde(default)]
    pub(super) model: Option<Rule>,
    /// What it cost, in dollars.
    #[serde(default)]
    pub(super) cost_usd: Option<Rule>,
    /// Whether that is the vendor's own figure.
    #[serde(default)]
    pub(super) cost_is_reported: bool,
    /// Tokens.
    #[serde(default)]
    pub(super) usage: UsageRules,
    /// Classes of failures by exit code.
    #[serde(default)]
    pub(super) exit_codes: BTreeMap<String, ErrorClass>,
}

fn version_args() -> Vec<String> {
    vec!["--version".to_owned()]
}

/// What a profile adds, or the trust in a project.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Extra {
    /// Arguments.
    pub(super) args: Vec<String>,
    /// Variables.
    pub(super) env: BTreeMap<String, String>,
    /// Variables that name a file, with what the file holds. It is there for the attempt.
    pub(super) files: BTreeMap<String, String>,
}

/// The shape of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    /// One JSON value.
    Json,
    /// One JSON array of events.
    JsonArray,
    /// One JSON event a line.
    Jsonl,
    /// Text: the answer itself.
    Text,
    /// Events like Claude Code's; no rules are needed.
    Claude,
}

/// Where tokens stand.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UsageRules {
    /// Of the prompt.
    pub(super) input: Option<Rule>,
    /// Of the answer.
    pub(super) output: Option<Rule>,
    /// Of reasoning.
    pub(super) reasoning: Option<Rule>,
    /// Read from a cache.
    pub(super) cache_read: Option<Rule>,
    /// Written to a cache.
    pub(super) cache_write: Option<Rule>,
    /// Whether `input` includes what a cache had a part in.
    pub(super) input_includes_cache: bool,
    /// Whether `output` includes reasoning.
    #[serde(deserialize_with = "given")]
    pub(super) output_includes_reasoning: Option<bool>,
}

fn given<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(input).map(Some)
}

/// Where a value stands: a JSON Pointer in which `*` is every key or index, alone or with conditions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RuleForm")]
pub(super) struct Rule {
    /// Values by pointer that an event must have.
    pub(super) when: BTreeMap<String, toml::Value>,
    /// The pointer.
    pub(super) at: String,
    /// What becomes of several values.
    pub(super) take: Take,
}

/// What becomes of several values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Take {
    /// The last one.
    #[default]
    Last,
    /// All texts, one after the other.
    Join,
    /// The sum of the numbers.
    Sum,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RuleForm {
    Pointer(String),
    Full(FullRule),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullRule {
    #[serde(default)]
    when: BTreeMap<String, toml::Value>,
    at: String,
    #[serde(default)]
    take: Take,
}

impl TryFrom<RuleForm> for Rule {
    type Error = String;

    fn try_from(form: RuleForm) -> Result<Self, String> {
        let rule = match form {
            RuleForm::Pointer(at) => Self { when: BTreeMap::new(), at, take: Take::Last },
            RuleForm::Full(FullRule { when, at, take }) => Self { when, at, take },
        };
        let bad = |pointer: &&String| !pointer.is_empty() && !pointer.starts_with('/');
        match std::iter::once(&rule.at).chain(rule.when.keys()).find(bad) {
            Some(pointer) => Err(format!("\"{pointer}\" is no JSON Pointer: it must begin with /")),
            None => Ok(rule),
        }
    }
}

/// What may stand in braces in an argument.
const WORDS: &[&str] = &["model", "system", "effort", "schema", "schema_file", "prompt", "cwd"];

impl Table {
    /// The table of a provider: the user's keys over the shipped ones.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub(super) fn read(name: &str, shipped: Option<&str>, user: Option<&toml::Value>) -> Result<Self, String> {
        let of = |message: String| format!("the providers file, [providers.{name}.cli]: {message}");
        let mut table: toml::Table = match shipped {
            Some(text) => text.parse().map_err(|e: toml::de::Error| of(e.message().to_owned()))?,
            None => toml::Table::new(),
        };
        match user {
            Some(toml::Value::Table(own)) => table.extend(own.clone()),
            Some(_) => return Err(of("it must be a table".to_owned())),
            None if shipped.is_none() => return Err(of("it is missing: kind \"cli\" needs it".to_owned())),
            None => {}
        }
        let table: Self = table.try_into().map_err(|e: toml::de::Error| of(e.message().to_owned()))?;
        table.check().map_err(of)?;
        Ok(table)
    }

    fn check(&self) -> Result<(), String> {
        let needs_text = matches!(self.output, Shape::Json | Shape::JsonArray | Shape::Jsonl);
        if needs_text && self.text.is_none() && self.structured.is_none() {
            return Err("`text` is missing: where does the answer stand?".to_owned());
        }
        let lists = [
            &self.args,
            &self.model_args,
            &self.system_args,
            &self.effort_args,
            &self.schema_args,
            &self.prompt_args,
            &self.lean.args,
            &self.read.args,
            &self.write.args,
            &self.trusted.args,
            &self.untrusted.args,
            &self.key_args,
        ];
        for word in lists.into_iter().flatten().flat_map(|arg| words(arg)) {
            if !WORDS.contains(&word) {
                return Err(format!("{{{word}}} is unknown; known are {{{}}}", WORDS.join("}, {")));
            }
        }
        match self.exit_codes.keys().find(|code| code.parse::<i32>().is_err()) {
            Some(code) => Err(format!("the exit code \"{code}\" is no number")),
            None => Ok(()),
        }
    }
}

/// The words in braces in an argument.
fn words(arg: &str) -> impl Iterator<Item = &str> {
    arg.split('{').skip(1).filter_map(|rest| {
        let (word, _) = rest.split_once('}')?;
        (!word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')).then_some(word)
    })
}

/// An argument with the words in braces replaced. What is put in is not looked at again.
pub(super) fn fill(arg: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = arg;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let named = after.split_once('}').and_then(|(word, tail)| Some((value(word)?, tail)));
        rest = match named {
            Some((text, tail)) => {
                out.push_str(&text);
                tail
            }
            None => {
                out.push('{');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_once_and_other_braces_stay() {
        let value = |word: &str| (word == "model").then(|| "{cwd}".to_owned());
        assert_eq!(fill("-m={model} {\"a\":{}}", &value), "-m={cwd} {\"a\":{}}");
        assert_eq!(words("{model}{\"a\":1}{b_c}{}").collect::<Vec<_>>(), ["model", "b_c"]);
    }
}
