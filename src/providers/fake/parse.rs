//! Reading a fixture file: every key of the format, all faults at once.

use std::path::Path;

use super::fixtures::{
    Answer, Crash, FixtureProblem, Fixtures, Rule, Scripted, ScriptedCost, ScriptedError, ScriptedUsage, StopReason,
};
use super::matcher::{Glob, Match, Ranges};
use super::node::{self, At, Data, Node};
use super::reader::{Fields, Reader};
use super::template;
use crate::core::ids::Hash;
use crate::core::json::check_domain;
use crate::core::outcome::ErrorClass;
use crate::core::run::Mood;

const ANSWERS: &[&str] = &["text", "json", "merge", "error", "never", "answers"];
const ANSWER_KEYS: &[&str] = &["text", "json", "merge", "error", "never", "delay_ms", "usage", "cost_usd"];
const RULE_KEYS: &[&str] = &[
    "match",
    "text",
    "json",
    "merge",
    "error",
    "never",
    "answers",
    "fail_first",
    "delay_ms",
    "usage",
    "cost_usd",
    "stop_reason",
    "transcript",
    "write",
    "delete",
    "commit",
    "tool_calls",
    "crash",
];
const MATCH_KEYS: &[&str] = &[
    "label",
    "prompt",
    "prompt_regex",
    "phase",
    "model",
    "provider",
    "agent_type",
    "has_schema",
    "occurrence",
    "attempt",
    "call_index",
    "tool",
    "command",
];

/// What `defaults` says.
#[derive(Debug, Clone, Copy, Default)]
struct Defaults {
    usage: Option<ScriptedUsage>,
    cost: Option<ScriptedCost>,
    delay_ms: u64,
}

/// Reads a fixture file, YAML or JSON. `path` is where it was read from: its extension may say JSON, and other paths of the
/// file start from its directory.
///
/// # Errors
/// All its faults at once, in the order of the file.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Fixtures, Vec<FixtureProblem>> {
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let root = node::read(bytes, is_json).map_err(|problem| vec![problem])?;
    let mut reader = Reader::default();
    let mut fixtures = Fixtures {
        hash: Hash::of(bytes),
        dir: path.parent().map(Path::to_path_buf).unwrap_or_default(),
        mood: None,
        strict: false,
        invocation_log: None,
        rules: Vec::new(),
    };
    let known = ["owf_fixtures", "mood", "strict", "invocation_log", "defaults", "rules"];
    if let Some(fields) = reader.fields(&root, "", &known) {
        read_head(&mut reader, root.at, fields, &mut fixtures);
        let defaults = fields.get("defaults").map(|node| read_defaults(&mut reader, node)).unwrap_or_default();
        if let Some(list) = fields.get("rules") {
            for (i, item) in reader.list(list, "rules").iter().enumerate() {
                let rule = read_rule(&mut reader, item, &format!("rules[{i}]"), defaults);
                fixtures.rules.extend(rule);
            }
        }
    }
    if reader.problems.is_empty() {
        return Ok(fixtures);
    }
    reader.problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(reader.problems)
}

fn read_head(reader: &mut Reader, at: At, fields: Fields<'_>, fixtures: &mut Fixtures) {
    match fields.get("owf_fixtures") {
        None => reader.fault(at, "owf_fixtures", "missing: the format version", Some("owf_fixtures: 1".to_owned())),
        Some(node) if node.to_value() == 1 => {}
        Some(node) => reader.fault(node.at, "owf_fixtures", "this version of owf reads format 1 only", None),
    }
    let moods = [("happy", Mood::Happy), ("unhappy", Mood::Unhappy), ("empty", Mood::Empty), ("fail", Mood::Fail)];
    fixtures.mood = fields.get("mood").and_then(|node| reader.word(node, "mood", &moods));
    fixtures.strict = fields.get("strict").and_then(|node| reader.flag(node, "strict")).unwrap_or(false);
    if let Some(node) = fields.get("invocation_log")
        && let Some(text) = reader.text(node, "invocation_log")
    {
        fixtures.invocation_log = reader.path(node.at, &text, "invocation_log");
    }
}

fn read_defaults(reader: &mut Reader, node: &Node) -> Defaults {
    let mut out = Defaults::default();
    if let Some(fields) = reader.fields(node, "defaults", &["usage", "cost_usd", "delay_ms"]) {
        out.usage = fields.get("usage").and_then(|node| read_usage(reader, node, "defaults.usage"));
        out.cost = fields.get("cost_usd").and_then(|node| read_cost(reader, node, "defaults.cost_usd"));
        out.delay_ms = read_delay(reader, fields, "defaults").unwrap_or(0);
    }
    out
}

fn read_usage(reader: &mut Reader, node: &Node, path: &str) -> Option<ScriptedUsage> {
    let known = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"];
    let fields = reader.fields(node, path, &known)?;
    let mut read = |key: &str| fields.get(key).and_then(|node| reader.whole(node, &format!("{path}.{key}")));
    Some(ScriptedUsage {
        input: read(known[0]),
        output: read(known[1]),
        cache_read: read(known[2]).unwrap_or(0),
        cache_write: read(known[3]).unwrap_or(0),
    })
}

fn read_cost(reader: &mut Reader, node: &Node, path: &str) -> Option<ScriptedCost> {
    match &node.data {
        Data::Null => Some(ScriptedCost::Unknown),
        Data::Number(number) => match number.as_f64() {
            Some(usd) if (0.0..1e9).contains(&usd) => Some(ScriptedCost::Nanos((usd * 1e9).round() as u64)),
            _ => {
                reader.fault(node.at, path, "must be a cost in US dollars, 0 or more", None);
                None
            }
        },
        Data::Bool(_) | Data::Text(_) | Data::List(_) | Data::Map(_) => {
            reader.fault(node.at, path, format!("must be a number or null, is {}", node.sort()), None);
            None
        }
    }
}

fn read_delay(reader: &mut Reader, fields: Fields<'_>, path: &str) -> Option<u64> {
    fields.get("delay_ms").and_then(|node| reader.whole(node, &format!("{path}.delay_ms")))
}

fn read_rule(reader: &mut Reader, node: &Node, path: &str, defaults: Defaults) -> Option<Rule> {
    let fields = reader.fields(node, path, RULE_KEYS)?;
    let matcher = fields.get("match").map(|node| read_match(reader, node, &format!("{path}.match")));
    let fail_first = fields.get("fail_first").and_then(|node| reader.whole(node, &format!("{path}.fail_first")));
    // With `fail_first` the error is that of the first attempts, else it is the answer.
    let has_first = fields.get("fail_first").is_some();
    let error = fields.get("error").filter(|_| has_first);
    let failure = error.and_then(|node| read_error(reader, node, &format!("{path}.error")));
    Some(Rule {
        matcher: matcher.unwrap_or_default(),
        answers: read_answers(reader, fields, path, defaults, has_first),
        fail_first: fail_first.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        failure: failure.unwrap_or_else(default_failure),
        delay_ms: read_delay(reader, fields, path).unwrap_or(defaults.delay_ms),
        stop_reason: read_stop_reason(reader, fields, path),
        transcript: fields.get("transcript").and_then(|node| {
            let path = format!("{path}.transcript");
            let text = reader.text(node, &path)?;
            reader.path(node.at, &text, &path)
        }),
        write: read_write(reader, fields, path),
        delete: read_delete(reader, fields, path),
        commit: fields.get("commit").and_then(|node| reader.text(node, &format!("{path}.commit"))),
        calls_tools: read_tool_calls(reader, fields, path),
        crash: fields.get("crash").and_then(|node| {
            let words = [("before_answer", Crash::BeforeAnswer), ("after_answer", Crash::AfterAnswer)];
            reader.word(node, &format!("{path}.crash"), &words)
        }),
    })
}

fn default_failure() -> ScriptedError {
    ScriptedError { class: ErrorClass::BadRequest, message: "scripted failure".to_owned(), retry_after_ms: None }
}

fn read_answers(
    reader: &mut Reader,
    fields: Fields<'_>,
    path: &str,
    defaults: Defaults,
    leave_out_error: bool,
) -> Vec<Scripted> {
    let one = read_scripted(reader, fields, path, ANSWERS, defaults, leave_out_error);
    let Some(list) = fields.get("answers") else { return vec![one] };
    let path = format!("{path}.answers");
    let mut out = Vec::new();
    let items = reader.list(list, &path);
    if items.is_empty() {
        reader.fault(list.at, &path, "needs at least one answer", None);
    }
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(inner) = reader.fields(item, &path, ANSWER_KEYS) else { continue };
        let mut answer = read_scripted(reader, inner, &path, &ANSWERS[..5], defaults, false);
        // What the answer does not say, the rule says; an error costs only what it says itself.
        if !matches!(answer.answer, Answer::Error(_)) {
            if inner.get("usage").is_none() {
                answer.usage = one.usage;
            }
            if inner.get("cost_usd").is_none() {
                answer.cost = one.cost;
            }
        }
        answer.delay_ms = inner.get("delay_ms").and(answer.delay_ms);
        out.push(answer);
    }
    if out.is_empty() { vec![one] } else { out }
}

fn read_scripted(
    reader: &mut Reader,
    fields: Fields<'_>,
    path: &str,
    kinds: &[&'static str],
    defaults: Defaults,
    leave_out_error: bool,
) -> Scripted {
    let mut given = fields.given(kinds);
    given.retain(|(key, _)| !(leave_out_error && *key == "error"));
    if let [(first, _), (second, at), ..] = given[..] {
        let message = format!("a rule has one answer: `{first}` is there already");
        reader.fault(at, &format!("{path}.{second}"), message, Some("use `answers` for several".to_owned()));
    }
    let answer = given.first().and_then(|(key, _)| {
        let node = fields.get(key)?;
        read_answer(reader, node, key, &format!("{path}.{key}"))
    });
    let answer = answer.unwrap_or(Answer::Mood);
    let usage = fields.get("usage").and_then(|node| read_usage(reader, node, &format!("{path}.usage")));
    let cost = fields.get("cost_usd").and_then(|node| read_cost(reader, node, &format!("{path}.cost_usd")));
    let is_error = matches!(answer, Answer::Error(_));
    Scripted {
        delay_ms: fields.get("delay_ms").and_then(|node| match node.data {
            Data::Number(ref number) => number.as_u64(),
            _ => None,
        }),
        usage: if is_error { usage } else { usage.or(defaults.usage) },
        cost: if is_error { cost } else { cost.or(defaults.cost) }.unwrap_or_default(),
        answer,
    }
}

fn read_answer(reader: &mut Reader, node: &Node, key: &str, path: &str) -> Option<Answer> {
    match key {
        "text" => {
            let text = reader.text(node, path)?;
            check_template(reader, node, path);
            Some(Answer::Text(text))
        }
        "json" | "merge" => {
            check_template(reader, node, path);
            let value = node.to_value();
            if let Err(refused) = check_domain(&value) {
                reader.fault(node.at, path, refused.to_string(), None);
            }
            if key == "json" {
                return Some(Answer::Json(value));
            }
            if !value.is_object() {
                reader.fault(node.at, path, format!("must be a map of fields, is {}", node.sort()), None);
            }
            Some(Answer::Merge(value))
        }
        "error" => read_error(reader, node, path).map(Answer::Error),
        "never" => reader.flag(node, path)?.then_some(Answer::Never),
        _ => None,
    }
}

fn check_template(reader: &mut Reader, node: &Node, path: &str) {
    match &node.data {
        Data::Text(text) => {
            if let Some(why) = template::syntax_error(text) {
                reader.fault(node.at, path, format!("the template is wrong: {why}"), None);
            }
        }
        Data::List(items) => {
            for (i, item) in items.iter().enumerate() {
                check_template(reader, item, &format!("{path}[{i}]"));
            }
        }
        Data::Map(entries) => {
            for (_, key, item) in entries {
                check_template(reader, item, &format!("{path}.{key}"));
            }
        }
        Data::Null | Data::Bool(_) | Data::Number(_) => {}
    }
}

fn read_error(reader: &mut Reader, node: &Node, path: &str) -> Option<ScriptedError> {
    let fields = reader.fields(node, path, &["class", "message", "retry_after_ms"])?;
    let words: Vec<(&str, ErrorClass)> = CLASSES.iter().map(|class| (class.as_str(), *class)).collect();
    let class = fields.get("class").and_then(|node| reader.word(node, &format!("{path}.class"), &words));
    let message = fields.get("message").and_then(|node| reader.text(node, &format!("{path}.message")));
    let wait = fields.get("retry_after_ms").and_then(|node| reader.whole(node, &format!("{path}.retry_after_ms")));
    let fallback = default_failure();
    Some(ScriptedError {
        class: class.unwrap_or(fallback.class),
        message: message.unwrap_or(fallback.message),
        retry_after_ms: wait,
    })
}

/// Every class of a failed call.
const CLASSES: [ErrorClass; 24] = [
    ErrorClass::Auth,
    ErrorClass::Quota,
    ErrorClass::NotInstalled,
    ErrorClass::RateLimited,
    ErrorClass::Overloaded,
    ErrorClass::Transport,
    ErrorClass::Timeout,
    ErrorClass::BadRequest,
    ErrorClass::ContextTooLong,
    ErrorClass::Refusal,
    ErrorClass::MaxTokens,
    ErrorClass::MaxTurns,
    ErrorClass::Schema,
    ErrorClass::NoOutput,
    ErrorClass::ToolDenied,
    ErrorClass::Budget,
    ErrorClass::Denied,
    ErrorClass::Worktree,
    ErrorClass::Crashed,
    ErrorClass::Exit,
    ErrorClass::Cancelled,
    ErrorClass::Policy,
    ErrorClass::Fixture,
    ErrorClass::Other,
];

fn read_stop_reason(reader: &mut Reader, fields: Fields<'_>, path: &str) -> StopReason {
    let words = [
        ("end_turn", StopReason::End),
        ("stop", StopReason::End),
        ("max_tokens", StopReason::MaxTokens),
        ("max_turns", StopReason::MaxTurns),
        ("refusal", StopReason::Refusal),
    ];
    let node = fields.get("stop_reason");
    node.and_then(|node| reader.word(node, &format!("{path}.stop_reason"), &words)).unwrap_or_default()
}

fn read_write(reader: &mut Reader, fields: Fields<'_>, path: &str) -> Vec<(String, String)> {
    let Some(node) = fields.get("write") else { return Vec::new() };
    let path = format!("{path}.write");
    let Data::Map(entries) = &node.data else {
        reader.fault(node.at, &path, format!("must be a map from paths to contents, is {}", node.sort()), None);
        return Vec::new();
    };
    let mut out = Vec::new();
    for (at, file, content) in entries {
        let path = format!("{path}.{file}");
        let file = reader.path(*at, file, &path);
        let content_text = reader.text(content, &path);
        check_template(reader, content, &path);
        out.extend(file.zip(content_text));
    }
    out
}

fn read_delete(reader: &mut Reader, fields: Fields<'_>, path: &str) -> Vec<String> {
    let Some(node) = fields.get("delete") else { return Vec::new() };
    let path = format!("{path}.delete");
    let mut out = Vec::new();
    for (i, item) in reader.list(node, &path).iter().enumerate() {
        let path = format!("{path}[{i}]");
        if let Some(text) = reader.text(item, &path) {
            out.extend(reader.path(item.at, &text, &path));
        }
    }
    out
}

fn read_tool_calls(reader: &mut Reader, fields: Fields<'_>, path: &str) -> bool {
    let Some(node) = fields.get("tool_calls") else { return false };
    let path = format!("{path}.tool_calls");
    let items = reader.list(node, &path);
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(inner) = reader.fields(item, &path, &["name", "arguments"]) else { continue };
        match inner.get("name") {
            Some(name) => drop(reader.text(name, &format!("{path}.name"))),
            None => reader.fault(item.at, &path, "needs the name of a tool", None),
        }
    }
    !items.is_empty()
}

fn read_match(reader: &mut Reader, node: &Node, path: &str) -> Match {
    let Some(fields) = reader.fields(node, path, MATCH_KEYS) else { return Match::default() };
    let mut text = |key: &str| fields.get(key).and_then(|node| reader.text(node, &format!("{path}.{key}")));
    let mut out = Match {
        label: text("label").map(|glob| Glob::new(&glob)),
        prompt: text("prompt"),
        phase: text("phase"),
        model: text("model"),
        provider: text("provider"),
        agent_type: text("agent_type"),
        tool: text("tool").map(|glob| Glob::new(&glob)),
        command: text("command").map(|glob| Glob::new(&glob)),
        ..Match::default()
    };
    if let Some(node) = fields.get("prompt_regex") {
        let path = format!("{path}.prompt_regex");
        out.prompt_regex = reader.text(node, &path).and_then(|text| {
            let built = regex::RegexBuilder::new(&text).size_limit(1 << 20).build();
            built.map_err(|error| reader.fault(node.at, &path, format!("not a regular expression: {error}"), None)).ok()
        });
    }
    out.has_schema = fields.get("has_schema").and_then(|node| reader.flag(node, &format!("{path}.has_schema")));
    let mut ranges = |key: &str| fields.get(key).map(|node| read_ranges(reader, node, &format!("{path}.{key}")));
    out.occurrence = ranges("occurrence");
    out.attempt = ranges("attempt");
    out.call_index = ranges("call_index");
    out
}

fn read_ranges(reader: &mut Reader, node: &Node, path: &str) -> Ranges {
    let items = match &node.data {
        Data::List(items) => items.as_slice(),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Map(_) => std::slice::from_ref(node),
    };
    let mut out = Vec::new();
    for item in items {
        let range = match &item.data {
            Data::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()).map(|n| (n, n)),
            Data::Text(text) => Ranges::read(text),
            Data::Null | Data::Bool(_) | Data::List(_) | Data::Map(_) => None,
        };
        if let Some(range) = range {
            out.push(range);
        } else {
            let hint = Some("a number, a list of numbers, or a range such as \"2-\" or \"2-4\"".to_owned());
            reader.fault(item.at, path, "is no number and no range", hint);
        }
    }
    Ranges::new(out)
}
