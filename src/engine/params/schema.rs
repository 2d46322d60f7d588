//! JSON Schemas of requests and replies, in the plain form that strict clients accept.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema of what is sent in: everything in one document, no nullable types, unknown keys refused.
pub fn input_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    plain(&mut schema);
    schema
}

/// The schema of what is replied: keys that are always there are required, further keys are allowed.
pub fn output_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|s| s.meta_schema = None);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    plain(&mut schema);
    schema
}

/// Removes what only says that a key may be absent: `null` among types, `default: null`, Rust's number formats.
fn plain(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if types.len() == 1 {
                    let only = types.remove(0);
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = map.get_mut("anyOf") {
                options.retain(|o| o.get("type") != Some(&Value::from("null")));
                if options.len() == 1
                    && let Value::Object(only) = options.remove(0)
                {
                    map.remove("anyOf");
                    for (key, value) in only {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            if let Some(Value::Array(values)) = map.get_mut("enum") {
                values.retain(|v| !v.is_null());
            }
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            let numeric = map.get("format").and_then(Value::as_str).is_some_and(|f| {
                matches!(f, "uint" | "uint8" | "uint16" | "uint32" | "uint64" | "int32" | "int64" | "double" | "float")
            });
            if numeric {
                map.remove("format");
            }
            map.values_mut().for_each(plain);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::params::{ListRunsParams, ResumeParams, RunParams};
    use crate::engine::view::RunView;

    #[test]
    fn input_schemas_hold_no_null_no_reference_and_refuse_unknown_keys() {
        for schema in [input_schema::<RunParams>(), input_schema::<ResumeParams>(), input_schema::<ListRunsParams>()] {
            let text = schema.to_string();
            assert!(!text.contains("null") && !text.contains("$ref"), "{text}");
            assert_eq!(schema["additionalProperties"], false);
        }
    }

    #[test]
    fn a_run_view_requires_exactly_the_keys_that_are_never_absent() {
        let schema = output_schema::<RunView>();
        assert_eq!(
            schema["required"],
            serde_json::json!([
                "run_id",
                "status",
                "simulated",
                "counts",
                "usage",
                "elapsed_ms",
                "next",
                "next_cursor"
            ])
        );
        assert!(schema.get("additionalProperties").is_none());
    }
}
