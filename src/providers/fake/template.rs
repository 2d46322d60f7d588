//! Templates in fixture answers.

use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value, json};

use crate::providers::provider::AttemptRequest;

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine
});

/// Whether `text` is a template at all.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether any text in `value` is a template.
pub(super) fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(has_template),
        Value::Object(map) => map.values().any(has_template),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The fault of a template's syntax, if it has one.
pub(super) fn syntax_error(text: &str) -> Option<String> {
    if !is_template(text) {
        return None;
    }
    let engine: Environment<'_> = Environment::new();
    let owned = text.to_owned();
    engine.template_from_str(&owned).err().map(|error| reason(&error))
}

fn reason(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// What templates may speak of: `label, phase, prompt, occurrence, attempt, call_index, args, tools`.
pub(super) fn variables(request: &AttemptRequest) -> Value {
    json!({
        "label": request.spec.label,
        "phase": request.spec.phase.as_deref().unwrap_or_default(),
        "prompt": request.spec.ask.prompt.as_deref().unwrap_or_default(),
        "occurrence": request.occurrence,
        "attempt": request.attempt,
        "call_index": request.call_id.0,
        "args": request.args,
        "tools": [],
    })
}

/// The text that a template gives.
///
/// # Errors
/// What is wrong with it, an undefined variable for one.
pub(super) fn render(text: &str, variables: &Value) -> Result<String, String> {
    if !is_template(text) {
        return Ok(text.to_owned());
    }
    ENGINE.render_str(text, minijinja::Value::from(Serde(variables))).map_err(|error| reason(&error))
}

/// A value with all its texts rendered. A text that is exactly one expression becomes the expression's own value: a number
/// stays a number, and a text that looks like a number stays text.
///
/// # Errors
/// What is wrong with the first template that fails.
pub(super) fn render_value(value: &Value, variables: &Value) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => match lone_expression(text) {
            Some(expression) => evaluate(expression, variables)?,
            None => Value::String(render(text, variables)?),
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| render_value(item, variables)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), render_value(item, variables)?)))
                .collect::<Result<Map<_, _>, String>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// The expression in a text that is nothing but `{{ expression }}`.
fn lone_expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    let nested = ["{{", "}}", "{%", "{#"].iter().any(|mark| inner.contains(mark));
    (!nested && !inner.trim().is_empty()).then_some(inner)
}

fn evaluate(expression: &str, variables: &Value) -> Result<Value, String> {
    let compiled = ENGINE.compile_expression_owned(expression.to_owned()).map_err(|error| reason(&error))?;
    let value = compiled.eval(minijinja::Value::from(Serde(variables))).map_err(|error| reason(&error))?;
    if value.is_undefined() {
        return Err(format!("`{}` is undefined", expression.trim()));
    }
    serde_json::to_value(&value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_expressions_keep_their_type_and_texts_stay_texts() {
        let variables = json!({"args": {"n": 3, "version": "1.0", "files": ["a", "b"]}, "label": "review:a.ts"});
        let template = json!({
            "n": "{{ args.n }}", "version": "{{ args.version }}", "files": "{{ args.files }}", "text": "n={{ args.n }}",
            "file": "{{ label | replace('review:', '') }}", "plain": "{ x }", "list": ["{{ args.files | length }}"],
        });
        assert_eq!(
            render_value(&template, &variables),
            Ok(json!({"n": 3, "version": "1.0", "files": ["a", "b"], "text": "n=3", "file": "a.ts", "plain": "{ x }",
                "list": [2]}))
        );
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let variables = json!({"args": {}});
        assert!(render("{{ args.nothing }} x", &variables).is_err());
        assert!(render_value(&json!("{{ nothing }}"), &variables).is_err());
        assert!(syntax_error("{{ a | }}").is_some());
        assert_eq!(syntax_error("{{ a }} {% if b %}{% endif %}"), None);
    }
}
