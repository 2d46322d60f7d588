//! JSON Schemas of requests and replies, in the plain form that strict clients accept.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::core::schema::plain;

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
