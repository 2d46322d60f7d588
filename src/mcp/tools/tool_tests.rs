//! What hosts are told of the tools, and the tools that need no process of their own.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::{Tool, all};
use crate::app::AppOptions;
use crate::core::failure::{Code, Failure};
use crate::engine::Environment;
use crate::mcp::settings::Settings;
use crate::mcp::{Call, Client, Shared};

fn tool(name: &str) -> &'static Tool {
    all().iter().find(|tool| tool.name == name).unwrap()
}

fn serve(dir: &std::path::Path, name: &str, arguments: Value) -> Result<Value, Failure> {
    let env = Environment::new([("OWF_CONFIG".to_owned(), "none".to_owned())]);
    let options = AppOptions { cwd: dir.to_owned(), env, home: Some(dir.join("home")), ..AppOptions::default() };
    let client = Client { name: "test".to_owned(), version: "1".to_owned() };
    let shared = Shared::new(options, Settings::default());
    let call = Call { shared: &shared, client: &client, cancelled: &|| false, progress: &|_, _| {} };
    (tool(name).serve)(&call, arguments)
}

#[test]
fn descriptions_and_input_schemas_together_are_under_20_000_characters() {
    let sizes: Vec<(usize, &str)> = all()
        .iter()
        .map(|tool| (tool.description.len() + (tool.input_schema)().to_string().chars().count(), tool.name))
        .collect();
    let total: usize = sizes.iter().map(|(size, _)| size).sum();
    assert!(total < 20_000, "{total}: {sizes:?}");
}

#[test]
fn input_schemas_are_closed_and_plain_and_output_schemas_are_open() {
    for tool in all() {
        let input = (tool.input_schema)();
        assert_eq!(
            (&input["type"], &input["additionalProperties"]),
            (&json!("object"), &json!(false)),
            "{}",
            tool.name
        );
        let text = input.to_string();
        for word in ["$ref", "$schema", "\"format\"", "null", "oneOf", "anyOf"] {
            assert!(
                !text.contains(word) || (word == "\"format\"" && tool.name == "owf_report"),
                "{} {word}: {text}",
                tool.name
            );
        }
        for (name, property) in input["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{} {name}", tool.name);
        }
        let output = (tool.output_schema)();
        assert_eq!(output["type"], "object", "{}", tool.name);
        assert!(
            output.get("additionalProperties").is_none() && !output.to_string().contains("$schema"),
            "{}",
            tool.name
        );
        jsonschema::validator_for(&output).unwrap();
    }
}

#[test]
fn only_one_tool_may_be_asked_for_long_replies_and_the_core_is_eleven() {
    let long: Vec<&str> = all().iter().filter(|t| t.max_result_chars.is_some()).map(|t| t.name).collect();
    assert_eq!(long, ["owf_read_artifact"]);
    let core: Vec<&str> = all().iter().filter(|t| t.core).map(|t| t.name).collect();
    assert_eq!(
        core,
        [
            "owf_validate_workflow",
            "owf_dry_run",
            "owf_run_workflow",
            "owf_wait",
            "owf_status",
            "owf_calls",
            "owf_output",
            "owf_read_artifact",
            "owf_list_runs",
            "owf_resume",
            "owf_cancel"
        ]
    );
}

#[test]
fn looking_into_a_place_without_a_store_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let runs = serve(dir.path(), "owf_list_runs", json!({})).unwrap();
    assert_eq!((&runs["total"], &runs["runs"]), (&json!(0), &json!([])));
    assert_eq!(serve(dir.path(), "owf_approvals", json!({})).unwrap()["approvals"], json!([]));
    assert_eq!(serve(dir.path(), "owf_list_workflows", json!({})).unwrap()["truncated"], false);
    let failure = serve(dir.path(), "owf_status", json!({})).unwrap_err();
    assert_eq!(failure.code, Code::NotFound);
    assert_eq!(failure.hint.as_deref(), Some("owf_run_workflow starts one; home names another store"));
    assert!(!dir.path().join("home").exists());
}

#[test]
fn accept_044_a_new_workflow_stays_below_its_workspace() {
    let dir = tempfile::tempdir().unwrap();
    let made = serve(dir.path(), "owf_new_workflow", json!({ "output_path": "a.js" })).unwrap();
    assert_eq!(made["template"], "hello");
    for path in ["../a.js", "/tmp/owf-a.js"] {
        let failure = serve(dir.path(), "owf_new_workflow", json!({ "output_path": path })).unwrap_err();
        assert_eq!(failure.code, Code::PathRefused, "{path}");
    }
    assert_eq!(serve(dir.path(), "owf_new_workflow", json!({ "output_path": "a.js" })).unwrap_err().code, Code::Exists);
}

#[test]
fn a_workspace_that_is_no_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let failure = serve(dir.path(), "owf_list_workflows", json!({ "workspace": "none" })).unwrap_err();
    assert_eq!(failure.code, Code::NotFound);
}
