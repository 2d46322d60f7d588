//! The args of a document, checked against its inputs.

use serde_json::{Map, Value};

use super::compile::validator;
use super::plan::Plan;

/// The args with the defaults of the inputs filled in.
///
/// # Errors
/// Everything that is wrong with them, one sentence each.
pub(super) fn complete(plan: &Plan, args: Value) -> Result<Value, Vec<String>> {
    let mut map = match args {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => return Err(vec![format!("the args of a document are an object of inputs, not {other}")]),
    };
    let Some(schema) = &plan.inputs else {
        let missing: Vec<String> = plan
            .needed
            .iter()
            .filter(|(name, _)| !map.contains_key(name))
            .map(|(name, by)| {
                let user =
                    if by == "result" { "the result needs it".to_owned() } else { format!("task `{by}` needs it") };
                format!("input `{name}` is missing: {user}")
            })
            .collect();
        return if missing.is_empty() { Ok(Value::Object(map)) } else { Err(missing) };
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(default) = property.get("default").filter(|_| !map.contains_key(name)) {
            map.insert(name.clone(), default.clone());
        }
    }
    let value = Value::Object(map);
    let problems: Vec<String> = match validator(schema) {
        Err(message) => vec![format!("`inputs` is no schema that can be used: {message}")],
        Ok(validator) => validator
            .iter_errors(&value)
            .take(20)
            .map(|error| {
                let path = error.instance_path().to_string();
                let name = path.trim_start_matches('/').replace('/', ".");
                if name.is_empty() { format!("inputs: {error}") } else { format!("input `{name}`: {error}") }
            })
            .collect(),
    };
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

/// What is wrong with the args of the document `text`, before a run of it exists.
///
/// # Errors
/// Everything that is wrong, one sentence each.
pub fn check_args(text: &str, args: Option<&Value>) -> Result<(), Vec<String>> {
    let plan = super::check::plan(text).map_err(|message| vec![message])?;
    complete(&plan, args.cloned().unwrap_or(Value::Null)).map(|_| ())
}
