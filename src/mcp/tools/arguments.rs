//! Arguments of a call against the tool's schema: every fault at once, with its place and what was probably meant.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::schema;
use crate::core::failure::{Code, Failure};
use crate::front::script::close;

/// Faults that are told at most.
const FAULTS: usize = 10;
/// Characters of a wrong value that are told.
const GOT: usize = 60;

/// A schema and its compiled form.
struct Compiled {
    schema: Value,
    validator: Validator,
}

/// The arguments as the tool's parameters.
///
/// # Errors
/// `invalid_arguments` with `errors`.
pub(super) fn checked<P: DeserializeOwned + JsonSchema + 'static>(arguments: Value) -> Result<P, Failure> {
    let compiled = compiled::<P>()?;
    let object = match arguments {
        Value::Null => Map::new(),
        Value::Object(object) => object,
        other => {
            return Err(invalid(vec![fault("", "must be an object", Some(&other))]));
        }
    };
    let object = Value::Object(eased(object, &compiled.schema));
    let mut faults = Vec::new();
    for error in compiled.validator.iter_errors(&object) {
        for found in faults_of(&error, &compiled.schema) {
            if !faults.iter().any(|known: &Value| known["path"] == found["path"]) {
                faults.push(found);
            }
        }
    }
    if !faults.is_empty() {
        return Err(invalid(faults));
    }
    serde_json::from_value(object.clone()).map_err(|error| invalid(beyond::<P>(&object, &error)))
}

/// What some clients send in other words: `null` for an argument that is not given, `args` as JSON text, 20.0 for 20.
fn eased(mut object: Map<String, Value>, schema: &Value) -> Map<String, Value> {
    let properties = &schema["properties"];
    object.retain(|key, value| !value.is_null() || properties.get(key.as_str()).is_none());
    if let Some(Value::String(text)) = object.get("args")
        && properties.get("args_json").is_some()
    {
        match serde_json::from_str::<Value>(text) {
            Ok(value @ Value::Object(_)) => {
                object.insert("args".to_owned(), value);
            }
            Ok(_) if !object.contains_key("args_json") => {
                if let Some(text) = object.shift_remove("args") {
                    object.insert("args_json".to_owned(), text);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
    for (key, value) in &mut object {
        let wanted = properties.get(key.as_str()).and_then(|p| p.get("type"));
        if wanted == Some(&json!("integer"))
            && let Some(number) = value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15)
            && value.is_f64()
        {
            *value = json!(number as i64);
        }
    }
    object
}

fn compiled<P: JsonSchema + 'static>() -> Result<Arc<Compiled>, Failure> {
    static COMPILED: Mutex<Option<HashMap<TypeId, Arc<Compiled>>>> = Mutex::new(None);
    let mut slot = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = slot.get_or_insert_default();
    if let Some(compiled) = known.get(&TypeId::of::<P>()) {
        return Ok(Arc::clone(compiled));
    }
    let schema = schema::strict::<P>();
    let validator = jsonschema::validator_for(&schema)
        .map_err(|error| Failure::new(Code::Internal, format!("the tool's schema is broken: {error}")))?;
    let compiled = Arc::new(Compiled { schema, validator });
    known.insert(TypeId::of::<P>(), Arc::clone(&compiled));
    Ok(compiled)
}

fn fault(path: &str, message: &str, got: Option<&Value>) -> Value {
    let mut row = json!({ "path": path, "message": message });
    if let Some(got) = got {
        row["got"] = shown(got);
    }
    row
}

/// A wrong value, as far as it helps to see it.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > GOT => {
            Value::String(text.chars().take(GOT).chain(['…']).collect())
        }
        Value::Array(items) => format!("an array of {} items", items.len()).into(),
        Value::Object(_) => "an object".into(),
        other => other.clone(),
    }
}

fn faults_of(error: &ValidationError<'_>, schema: &Value) -> Vec<Value> {
    use ValidationErrorKind as Kind;
    let at = error.instance_path().to_string();
    let got = Some(error.instance().as_ref());
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unexpected.iter().map(|name| unknown(&at, name, schema)).collect(),
        Kind::Required { property } => {
            vec![fault(&format!("{at}/{}", property.as_str().unwrap_or_default()), "is missing", None)]
        }
        Kind::Enum { options } => {
            let words: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mut row = fault(&at, &format!("must be one of {}", words.join(", ")), got);
            row["allowed"] = json!(words);
            if let Some(near) = error.instance().as_str().and_then(|text| close(text, words.iter().copied())) {
                row["hint"] = format!("did you mean {near}?").into();
            }
            vec![row]
        }
        Kind::Type { kind: TypeKind::Single(one) } => {
            let name = one.as_str();
            let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
            let mut row = fault(&at, &format!("must be {article} {name}"), got);
            if at == "/args" {
                row["hint"] = "args_json takes any other value, as JSON text".into();
            }
            vec![row]
        }
        Kind::Minimum { limit } => vec![fault(&at, &format!("must be at least {limit}"), got)],
        Kind::Maximum { limit } => vec![fault(&at, &format!("must be at most {limit}"), got)],
        Kind::MinLength { .. } => vec![fault(&at, "must not be empty", got)],
        _ => vec![fault(&at, &error.to_string(), got)],
    }
}

fn unknown(at: &str, name: &str, schema: &Value) -> Value {
    let shown: String = name.chars().take(GOT).collect();
    let mut row = fault(&format!("{at}/{shown}"), "unknown argument", None);
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    match close(name, known.iter().copied()) {
        Some(near) => row["hint"] = format!("did you mean {near}?").into(),
        None => row["allowed"] = json!(known),
    }
    row
}

/// What the schema takes and the parameters do not: numbers out of range. Told by the argument where it can be.
fn beyond<P: DeserializeOwned>(object: &Value, error: &serde_json::Error) -> Vec<Value> {
    let mut faults = Vec::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        let mut without = object.clone();
        if let Value::Object(map) = &mut without {
            map.shift_remove(key);
        }
        if value.is_number() && serde_json::from_value::<P>(without).is_ok() {
            faults.push(fault(&format!("/{key}"), "is out of range", Some(value)));
        }
    }
    if faults.is_empty() {
        faults.push(fault("", &error.to_string(), None));
    }
    faults
}

/// One failure for all faults.
pub(super) fn invalid(mut faults: Vec<Value>) -> Failure {
    let said = |row: &Value| {
        let path = row["path"].as_str().filter(|path| !path.is_empty()).unwrap_or("the arguments");
        let hint = row.get("hint").and_then(Value::as_str).filter(|hint| hint.starts_with("did you mean"));
        let hint = hint.map(|hint| format!(" ({})", hint.trim_end_matches('?').to_owned() + "?")).unwrap_or_default();
        match row["message"].as_str().unwrap_or_default() {
            "unknown argument" => format!("{path} is unknown{hint}"),
            message => format!("{path} {message}{hint}"),
        }
    };
    let count = match faults.len() {
        1 => "1 argument is wrong".to_owned(),
        n => format!("{n} arguments are wrong"),
    };
    let list: Vec<String> = faults.iter().take(FAULTS).map(said).collect();
    faults.truncate(FAULTS);
    Failure::new(Code::InvalidArguments, format!("{count}: {}", list.join("; "))).with("errors", faults)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::engine::params::{DecideParams, ListRunsParams, RunParams, WaitParams};

    #[test]
    fn all_faults_are_told_at_once_with_what_was_meant() {
        let failure = checked::<RunParams>(json!({ "budget_cost_usd": "five", "provder": "fake" })).unwrap_err();
        assert_eq!(
            failure.to_json(),
            json!({ "error": { "code": "invalid_arguments",
                "message": "2 arguments are wrong: /budget_cost_usd must be a number; /provder is unknown (did you mean provider?)",
                "errors": [
                    { "path": "/budget_cost_usd", "message": "must be a number", "got": "five" },
                    { "path": "/provder", "message": "unknown argument", "hint": "did you mean provider?" }] } })
        );
    }

    #[test]
    fn missing_arguments_and_wrong_words_are_told_with_their_places() {
        let failure = checked::<DecideParams>(json!({ "run_id": "k7", "decision": "aprove" })).unwrap_err();
        let rows = failure.extra["errors"].as_array().unwrap();
        let paths: Vec<&str> = rows.iter().map(|row| row["path"].as_str().unwrap()).collect();
        for path in ["/decision", "/approval_id", "/content_hash", "/reason"] {
            assert!(paths.contains(&path), "{path}: {rows:?}");
        }
        let decision = rows.iter().find(|row| row["path"] == "/decision").unwrap();
        assert_eq!(decision["hint"], "did you mean approve?");
        assert_eq!(decision["allowed"], json!(["approve", "deny"]));
        let failure = checked::<ListRunsParams>(json!({ "status": ["done", "gone"] })).unwrap_err();
        assert_eq!(failure.extra["errors"][0]["path"], "/status/1");
    }

    #[test]
    fn args_as_text_null_for_absent_and_whole_doubles_are_taken() {
        let params = checked::<RunParams>(json!({ "args": "{\"a\":1}", "name": null, "max_calls": 20.0 })).unwrap();
        assert_eq!(params.args, json!({ "a": 1 }).as_object().cloned());
        assert_eq!((params.name, params.max_calls), (None, Some(20)));
        let params = checked::<RunParams>(json!({ "args": "[1,2]" })).unwrap();
        assert_eq!((params.args, params.args_json.as_deref()), (None, Some("[1,2]")));
        let failure = checked::<RunParams>(json!({ "args": "a=1" })).unwrap_err();
        assert_eq!(failure.extra["errors"][0]["path"], "/args");
        assert_eq!(checked::<WaitParams>(Value::Null).unwrap(), WaitParams::default());
    }

    #[test]
    fn numbers_out_of_range_and_arguments_of_no_object_are_refused() {
        let failure = checked::<RunParams>(json!({ "concurrency": 5_000_000_000_u64 })).unwrap_err();
        assert_eq!(failure.extra["errors"][0]["path"], "/concurrency");
        let failure = checked::<WaitParams>(json!({ "timeout_seconds": 3601 })).unwrap_err();
        assert_eq!(failure.extra["errors"][0]["message"], "must be at most 3600");
        assert_eq!(checked::<WaitParams>(json!([1])).unwrap_err().code, Code::InvalidArguments);
        let many: Map<String, Value> = (0..500).map(|n| (format!("x{n}"), json!(n))).collect();
        let failure = super::super::reply::told(checked::<WaitParams>(Value::Object(many)).unwrap_err());
        assert!(failure.message.starts_with("500 arguments are wrong"), "{}", failure.message);
        assert!(failure.to_json().to_string().len() < 2_000);
    }
}
