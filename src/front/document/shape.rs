//! The form of a document: its JSON Schema, and every place where a text breaks it, by line.

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{ValidationError, Validator};
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::report::Report;
use super::tries;
use super::types::Document;
use crate::core::located::{Data, Node};
use crate::core::schema::plain;
use crate::front::script::close;

/// The JSON Schema of a document.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Document>().to_value();
    plain(&mut schema);
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "owf workflow document".into());
    }
    schema
}

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

static VALIDATOR: LazyLock<Option<Validator>> =
    LazyLock::new(|| jsonschema::options().should_validate_formats(false).offline().build(&SCHEMA).ok());

/// Reports every place where the tree breaks the schema.
pub(super) fn check(root: &Node, report: &mut Report<'_>) -> Option<Value> {
    let mut value = root.to_value();
    empty(&mut value);
    let Some(validator) = VALIDATOR.as_ref() else {
        report.error(root.at, "internal", "the schema of documents cannot be compiled");
        return None;
    };
    let mut broken = false;
    for error in validator.iter_errors(&value) {
        broken = true;
        explain(&error, root, report);
    }
    (!broken && tries::spans(root, report)).then_some(value)
}

/// A key without a value is as good as no key, where a value is not asked for.
fn empty(value: &mut Value) {
    fn drop_nulls(map: &mut Value, but: &[&str]) {
        if let Value::Object(map) = map {
            map.retain(|key, value| !value.is_null() || but.contains(&key.as_str()));
        }
    }
    drop_nulls(value, &["result"]);
    let tasks = value.get_mut("tasks").and_then(Value::as_object_mut).into_iter().flat_map(|m| m.values_mut());
    tasks.for_each(|task| drop_nulls(task, &["expr", "args"]));
    let steps = value.get_mut("steps").and_then(Value::as_array_mut).into_iter().flatten();
    steps.for_each(|task| drop_nulls(task, &["expr", "args"]));
}

fn explain(error: &ValidationError<'_>, root: &Node, report: &mut Report<'_>) {
    let pointer = error.instance_path().to_string();
    let path: Vec<String> = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let (at, node) = root.follow(path.iter().map(String::as_str));
    let what = match &path[..] {
        [] => "the document".to_owned(),
        [.., list, number] if number.parse::<usize>().is_ok() => format!("an item of `{list}`"),
        [.., last] => format!("`{last}`"),
    };
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                let at = node.entry(name).map_or(at, |(at, _)| at);
                let known = known_properties(error);
                let mut message = format!("there is no field `{name}` here");
                let near = close(name, known.iter().map(String::as_str)).or_else(|| word_here(name, &known));
                if let Some(near) = near {
                    message = format!("{message}; did you mean `{near}`?");
                } else if let Some(place) = elsewhere(name, &known) {
                    message = format!("{message}; {place}");
                }
                report.hinted(at, "unknown_field", message, format!("fields here: {}", known.join(", ")));
            }
        }
        Kind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            let hint = part(error, &format!("/properties/{property}")).and_then(|s| s.get("description"));
            let hint = hint.and_then(Value::as_str).map(|text| format!("{property}: {text}"));
            report.maybe_hinted(at, "missing_field", format!("{what} needs `{property}`"), hint);
        }
        Kind::AnyOf { context } => {
            // The alternative that has the right type is the one that was meant.
            let here = error.instance_path().to_string();
            let wrong_type = |e: &ValidationError<'_>| {
                matches!(e.kind(), Kind::Type { .. }) && e.instance_path().to_string() == here
            };
            let meant = context.iter().find(|errors| !errors.is_empty() && !errors.iter().any(&wrong_type));
            match meant {
                Some(errors) => errors.iter().for_each(|e| explain(e, root, report)),
                None => {
                    let kinds: Vec<String> =
                        context.iter().flatten().filter(|e| wrong_type(e)).map(type_words).collect();
                    let message = format!("{what} must be {}, not {}", kinds.join(" or "), sort(node));
                    report.maybe_hinted(node.at, "wrong_type", message, meant_by(error));
                }
            }
        }
        Kind::Type { .. } => {
            let is = match (&node.data, type_words(error).as_str()) {
                (Data::Number(_), "a whole number") => node.to_value().to_string(),
                _ => sort(node).to_owned(),
            };
            let message = format!("{what} must be {}, not {is}", type_words(error));
            report.maybe_hinted(node.at, "wrong_type", message, meant_by(error));
        }
        Kind::OneOfNotValid { context } => {
            let words = context.iter().flatten().filter_map(|e| match e.kind() {
                Kind::Constant { expected_value } => expected_value.as_str().map(str::to_owned),
                Kind::Enum { options } => {
                    Some(options.as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
                }
                _ => None,
            });
            report.error(node.at, "wrong_value", not_one_of(&what, &words.collect::<Vec<_>>(), node));
        }
        Kind::Enum { options } => {
            let words: Vec<String> = options
                .as_array()
                .map(|list| list.iter().map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned)).collect())
                .unwrap_or_default();
            report.error(node.at, "wrong_value", not_one_of(&what, &words, node));
        }
        Kind::Pattern { .. } if what == "`id`" => {
            let message = "an id is letters, digits and underscores and does not begin with a digit";
            report.error(node.at, "bad_id", message);
        }
        Kind::Pattern { .. } => {
            let message = format!("{what} must be a span of time such as 500ms, 90s or 2h, not {}", node.to_value());
            report.error(node.at, "wrong_value", message);
        }
        Kind::Minimum { limit } => report.error(node.at, "wrong_value", format!("{what} must be at least {limit}")),
        Kind::Maximum { limit } => report.error(node.at, "wrong_value", format!("{what} must be at most {limit}")),
        Kind::MinLength { .. } | Kind::MinItems { .. } => {
            report.error(node.at, "wrong_value", format!("{what} must not be empty"));
        }
        _ => report.error(node.at, "wrong_value", format!("{what}: {error}")),
    }
}

/// Our word for what other systems, and people, call by another.
fn word_here(name: &str, known: &[String]) -> Option<&'static str> {
    const WORDS: &[(&str, &str)] = &[
        ("cmd", "run"),
        ("command", "run"),
        ("condition", "when"),
        ("dependencies", "after"),
        ("depends_on", "after"),
        ("foreach", "for_each"),
        ("if", "when"),
        ("input_schema", "inputs"),
        ("loop_until", "until"),
        ("needs", "after"),
        ("nodes", "tasks"),
        ("output_schema", "schema"),
        ("outputs", "result"),
        ("over", "for_each"),
        ("max_attempts", "retry"),
        ("parameters", "inputs"),
        ("requires_approval", "approval"),
        ("retries", "retry"),
        ("retry_on", "retry"),
        ("stages", "tasks"),
        ("subpipeline", "workflow"),
    ];
    let ours = WORDS.iter().filter(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
    { ours }.find(|ours| known.iter().any(|known| known == ours))
}

/// Where a field stands that stands elsewhere.
fn elsewhere(name: &str, known: &[String]) -> Option<String> {
    const OF_AGENTS: &[&str] = &["provider", "model", "effort", "role", "system_prompt", "tools", "type"];
    const AT_THE_TOP: &[&str] = &[
        "inputs",
        "mode",
        "state",
        "agents",
        "defaults",
        "on_failure",
        "concurrency",
        "include",
        "hooks",
        "events",
        "result",
    ];
    const FOR_ALL: &[&str] = &["retry", "timeout", "cache"];
    let here = |field: &str| known.iter().any(|known| known == field);
    match (here("prompt"), here("tasks")) {
        (true, _) if OF_AGENTS.contains(&name) => {
            Some(format!("it is said of an agent: `agents: {{NAME: {{{name}: ...}}}}`, and `agent: NAME` here"))
        }
        (true, _) if AT_THE_TOP.contains(&name) => Some("it stands at the top of the document".to_owned()),
        (_, true) if FOR_ALL.contains(&name) => Some("for all tasks it stands in `defaults`".to_owned()),
        _ => None,
    }
}

fn not_one_of(what: &str, words: &[String], node: &Node) -> String {
    let got = node.to_value();
    let near = got.as_str().and_then(|got| close(got, words.iter().map(String::as_str)));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("{what} must be one of {}, not {got}{hint}", words.join(", "))
}

/// What stands below the schema that an error was found by.
fn part(error: &ValidationError<'_>, below: &str) -> Option<&'static Value> {
    let pointer = error.schema_path().to_string();
    let above = pointer.rsplit_once('/').map_or("", |(above, _)| above);
    SCHEMA.pointer(&format!("{above}{below}"))
}

/// The properties of the object schema that an unknown one was found by.
fn known_properties(error: &ValidationError<'_>) -> Vec<String> {
    let properties = part(error, "/properties").and_then(Value::as_object);
    properties.map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

/// What a place holds: what is said of it in the schema, and its fields where it is a map.
fn meant_by(error: &ValidationError<'_>) -> Option<String> {
    let schema = part(error, "")?;
    let text = schema.get("description").and_then(Value::as_str).map(|text| text.trim_end_matches('.').to_owned());
    let forms = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().chain([schema]);
    let fields = { forms }.find_map(|form| form.get("properties")?.as_object());
    let fields = fields.map(|map| {
        let names: Vec<&str> = map.keys().map(String::as_str).collect();
        format!("its fields are {}", names.join(", "))
    });
    let all: Vec<String> = [text, fields].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// A type of JSON Schema in the words of people.
pub(super) fn words_of(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "array" => "a list",
        "object" => "a map",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    }
}

pub(super) fn type_words(error: &ValidationError<'_>) -> String {
    match error.kind() {
        Kind::Type { kind: TypeKind::Single(one) } => words_of(one.as_str()).to_owned(),
        Kind::Type { kind: TypeKind::Multiple(many) } => {
            many.iter().map(|one| words_of(one.as_str())).collect::<Vec<_>>().join(" or ")
        }
        _ => "something else".to_owned(),
    }
}

fn sort(node: &Node) -> &'static str {
    match &node.data {
        Data::Null => "nothing",
        Data::Bool(_) => "true or false",
        Data::Number(_) => "a number",
        Data::Text(_) => "a text",
        Data::List(_) => "a list",
        Data::Map(_) => "a map",
    }
}
