//! The args of a workflow, from the two ways they are passed.

use serde_json::{Map, Value, json};

use crate::core::failure::{Code, Failure};
use crate::core::json::check_domain;

/// The args: the object `args`, or the value of the text `args_json`; given both, the keys of `args` win over those of the
/// object in `args_json`. Text inside the text that holds an object or an array is decoded: some clients quote twice.
///
/// # Errors
/// `invalid_arguments`: the text is no JSON, it is no object although `args` is given, or a value does not survive JavaScript.
pub fn args_value(args: Option<&Map<String, Value>>, args_json: Option<&str>) -> Result<Option<Value>, Failure> {
    let parsed = args_json.map(parse).transpose()?;
    let value = match (args, parsed) {
        (None, parsed) => parsed,
        (Some(args), None) => Some(Value::Object(args.clone())),
        (Some(args), Some(Value::Object(mut base))) => {
            base.extend(args.clone());
            Some(Value::Object(base))
        }
        (Some(_), Some(_)) => return Err(refuse("/args_json", "must be an object when args are given one by one too")),
    };
    if let Some(value) = &value {
        check_domain(value).map_err(|refused| refuse("/args", &refused.to_string()))?;
    }
    Ok(value)
}

fn parse(text: &str) -> Result<Value, Failure> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| refuse("/args_json", &format!("must be JSON: {error}")))?;
    if let Value::String(inner) = &value
        && let Ok(decoded @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(inner)
    {
        return Ok(decoded);
    }
    Ok(value)
}

fn refuse(path: &str, message: &str) -> Failure {
    Failure::new(Code::InvalidArguments, format!("1 argument is wrong: {path} {message}"))
        .with("errors", json!([{ "path": path, "message": message }]))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn single_args_win_over_the_text_and_text_in_text_is_decoded() {
        let one = json!({ "b": "2" });
        let value = args_value(one.as_object(), Some(r#"{"a":1,"b":1}"#)).unwrap();
        assert_eq!(value, Some(json!({ "a": 1, "b": "2" })));
        assert_eq!(args_value(None, Some(r#""{\"a\":1}""#)).unwrap(), Some(json!({ "a": 1 })));
        assert_eq!(args_value(None, Some(r#""plain""#)).unwrap(), Some(json!("plain")));
        assert_eq!(args_value(None, Some("null")).unwrap(), Some(Value::Null));
        assert_eq!(args_value(None, None).unwrap(), None);
    }

    #[test]
    fn broken_text_is_refused_with_its_place() {
        let failure = args_value(None, Some("{")).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArguments);
        assert_eq!(failure.extra["errors"][0]["path"], "/args_json");
        assert!(args_value(json!({}).as_object(), Some("[1]")).is_err());
    }
}
