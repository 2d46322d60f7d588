//! What `tools/list` says, how it keeps step with the command line, and what tools refuse.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use owf::cli::args::Cli;
use serde_json::{Value, json};

use crate::support::cli::{Place, eventually};
use crate::support::mcp::Mcp;

fn listed(client: &mut Mcp) -> Vec<Value> {
    client.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone()
}

#[test]
fn accept_057_every_tool_is_listed_as_pinned() {
    let place = Place::new();
    let tools = listed(&mut Mcp::start(&place));
    assert_eq!(tools.len(), 19);
    for tool in &tools {
        assert_eq!((&tool["inputSchema"]["type"], &tool["outputSchema"]["type"]), (&json!("object"), &json!("object")));
    }
    insta::assert_json_snapshot!("tools_list", tools);
}

/// Flags and the arguments they are.
type Renamed = &'static [(&'static str, &'static str)];

/// Command, tool, and the flags that have another name as an argument.
const PAIRS: &[(&str, &str, Renamed)] = &[
    ("validate", "owf_validate_workflow", &[]),
    ("dry-run", "owf_dry_run", &[("arg", "args")]),
    ("run", "owf_run_workflow", &[("arg", "args"), ("detach", "wait_seconds")]),
    ("resume", "owf_resume", &[("arg", "args"), ("detach", "wait_seconds"), ("run", "run_id")]),
    ("wait", "owf_wait", &[("timeout", "timeout_seconds"), ("run", "run_id")]),
    ("status", "owf_status", &[("run", "run_id")]),
    ("cancel", "owf_cancel", &[("call", "call_id"), ("run", "run_id")]),
    ("calls", "owf_calls", &[("call", "call_id"), ("run", "run_id")]),
    ("output", "owf_output", &[("run", "run_id")]),
    ("explain-cache", "owf_explain_cache", &[("run", "run_id")]),
    ("artifacts", "owf_artifacts", &[("call", "call_id"), ("run", "run_id")]),
    ("runs", "owf_list_runs", &[]),
    ("list", "owf_list_workflows", &[]),
    ("new", "owf_new_workflow", &[("path", "output_path"), ("template", "template_name")]),
    ("approvals", "owf_approvals", &[("run", "run_id")]),
    ("approve", "owf_decide", &[("approval", "approval_id"), ("run", "run_id")]),
    ("report", "owf_report", &[("html", "format"), ("run", "run_id")]),
];

/// What only the command line has: how it prints, follows and asks; what only a person may allow.
const COMMAND_LINE: &[&str] = &[
    "no_check_provider",
    "allow_commands",
    "principal",
    "result",
    "events",
    "quiet",
    "json",
    "log_format",
    "no_input",
    "help",
    "long",
    "out",
    "stdout",
    "failed",
];

/// What only a tool needs: the decision is the command's own name, the workspace of a new file is the global flag.
const TOOLS: &[(&str, &str)] = &[("owf_decide", "decision"), ("owf_new_workflow", "workspace_root")];

#[test]
fn every_flag_of_a_command_is_an_argument_of_its_tool_and_the_other_way_round() {
    let place = Place::new();
    let tools = listed(&mut Mcp::start(&place));
    let cli = Cli::command();
    let mut wrong = Vec::new();
    for (command, tool, renamed) in PAIRS {
        let schema = &tools.iter().find(|t| t["name"] == *tool).unwrap()["inputSchema"]["properties"];
        let arguments: BTreeSet<String> = schema.as_object().unwrap().keys().cloned().collect();
        let command_line = cli.get_subcommands().find(|c| c.get_name() == *command).unwrap();
        let flags: BTreeSet<String> = command_line
            .get_arguments()
            .chain(cli.get_arguments())
            .filter(|arg| !(arg.is_positional() && arg.get_id() == "workflow"))
            .map(|arg| arg.get_long().map_or_else(|| arg.get_id().to_string(), str::to_owned).replace('-', "_"))
            .filter(|flag| !COMMAND_LINE.contains(&flag.as_str()))
            .map(|flag| renamed.iter().find(|(from, _)| *from == flag).map_or(flag.clone(), |(_, to)| (*to).to_owned()))
            .collect();
        // A command that looks no file up takes the global flag and does nothing with it.
        let only_flags = flags.difference(&arguments).filter(|flag| *flag != "workspace");
        wrong.extend(only_flags.map(|flag| format!("{command} has {flag}, {tool} has not")));
        let only_arguments = arguments.difference(&flags).filter(|a| !TOOLS.contains(&(*tool, a.as_str())));
        wrong.extend(only_arguments.map(|argument| format!("{tool} has {argument}, {command} has not")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_argument_of_a_tool_grants_what_only_the_configuration_may() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let before = place.json(&["doctor", "--json"]);
    let grants = json!({
        "base_url": "http://127.0.0.1:9/v1", "api_key_env": "AWS_SECRET_ACCESS_KEY", "providers": {}, "providers_file": "p.toml",
        "hooks": ["x"], "events": ["y"], "tools": {}, "files": {"roots": ["/"]}, "trust": true, "commands": true,
        "allow_commands": true, "principal": "root",
    });
    for (tool, arguments) in [
        ("owf_run_workflow", json!({ "script": "export const meta = { name: 'w', description: 'd' }\nreturn 1" })),
        ("owf_dry_run", json!({ "script": "export const meta = { name: 'w', description: 'd' }\nreturn 1" })),
        ("owf_resume", json!({ "run_id": "latest" })),
    ] {
        for (name, value) in grants.as_object().unwrap() {
            let mut one = arguments.clone();
            one[name] = value.clone();
            let refused = client.refused(tool, one)["error"].clone();
            assert_eq!(
                (&refused["code"], &refused["errors"][0]["path"], &refused["errors"][1]),
                (&json!("invalid_arguments"), &json!(format!("/{name}")), &Value::Null),
                "{tool}: {refused}"
            );
        }
    }
    assert_eq!(place.json(&["doctor", "--json"])["checks"], before["checks"]);
    assert_eq!(client.call("owf_list_runs", json!({}))["total"], 0, "nothing was recorded");
}

#[test]
fn faults_of_arguments_are_told_at_once_and_a_workflow_with_errors_is_shown_whole() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let refused = client.refused("owf_run_workflow", json!({ "budget_cost_usd": "five", "provder": "fake" }));
    assert_eq!(
        refused["error"]["message"],
        "2 arguments are wrong: /budget_cost_usd must be a number; /provder is unknown (did you mean provider?)"
    );
    let view = client.refused("owf_validate_workflow", json!({ "script": "const x: string = 1" }));
    assert_eq!((&view["ok"], &view["error"]["code"]), (&json!(false), &json!("invalid_workflow")), "{view}");
    assert_eq!(view["diagnostics"][0]["severity"], "error");
    let good = "export const meta = { name: 'w', description: 'd' }\nreturn args.base";
    let view = client.call("owf_validate_workflow", json!({ "script": good, "name": "hello" }));
    assert_eq!(view["workflow"]["name"], "hello", "a name wins over a script");
    assert!(view["diagnostics"].to_string().contains("argument_ignored"), "{view}");
    for (tool, arguments) in [
        ("owf_cancel", json!({ "run_id": "latest" })),
        (
            "owf_decide",
            json!({ "run_id": "latest", "approval_id": "a1", "decision": "deny", "content_hash": "x", "reason": "y" }),
        ),
    ] {
        let code = client.refused(tool, arguments)["error"]["code"].clone();
        assert!(["invalid_arguments", "not_found"].contains(&code.as_str().unwrap()), "{tool}: {code}");
    }
    let run = json!({ "script": good, "provider": "claude" });
    assert_eq!(client.refused("owf_run_workflow", run)["error"]["code"], "provider_unavailable");
    let run = json!({ "script": good, "provider": "cluade" });
    assert_eq!(client.refused("owf_run_workflow", run)["error"]["code"], "unknown_provider");
    assert_eq!(client.call("owf_list_runs", json!({}))["total"], 0, "nothing was recorded");
}

#[test]
fn a_script_that_breaks_its_checker_is_a_diagnostic_and_the_server_lives() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let deep = format!(
        "export const meta = {{ name: 'w', description: 'd' }}\nreturn {}1{}",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    let view = client.refused("owf_validate_workflow", json!({ "script": deep }));
    assert_eq!(view["error"]["code"], "invalid_workflow", "{view}");
    let rows = if view["diagnostics"].is_array() { &view["diagnostics"] } else { &view["error"]["diagnostics"] };
    assert_eq!(rows[0]["severity"], "error", "{view}");
    assert_eq!(client.refused("owf_dry_run", json!({ "script": deep }))["error"]["code"], "invalid_workflow");
    assert_eq!(client.call("owf_list_runs", json!({}))["total"], 0);
}

#[test]
fn args_as_text_are_decoded_and_a_request_key_joins_the_run_it_started() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let script = "export const meta = { name: 'w', description: 'd' }\nreturn args";
    let ask = json!({ "script": script, "args": "{\"a\":[1]}", "request_key": "k", "wait_seconds": 50 });
    let first = client.call("owf_run_workflow", ask.clone());
    assert_eq!((&first["status"], &first["output"]), (&json!("done"), &json!({ "a": [1] })), "{first}");
    assert!(first["run_dir"].is_string() && first.get("joined").is_none());
    let again = client.call("owf_run_workflow", ask);
    assert_eq!((&again["run_id"], &again["joined"]), (&first["run_id"], &json!(true)));
    let other = json!({ "script": script, "args": { "a": 2 }, "request_key": "k" });
    assert_eq!(client.refused("owf_run_workflow", other)["error"]["code"], "request_key_conflict");
    let listed = client.call("owf_list_runs", json!({}));
    assert_eq!(listed["runs"][0]["started_by"], "mcp test-client 1.0");
}

const NEVER: &str = "owf_fixtures: 1\nrules:\n  - never: true\n";
const ONE: &str = "export const meta = { name: 'w', description: 'd' }\nreturn await agent('x')";

#[test]
fn accept_054_owf_cancel_ends_the_run_at_once_and_a_cancelled_call_ends_nothing_else() {
    let place = Place::new();
    place.file("f.yaml", NEVER);
    let mut client = Mcp::start(&place);
    let run = client.call("owf_run_workflow", json!({ "script": ONE, "fixtures": "f.yaml", "wait_seconds": 0 }));
    let run = run["run_id"].as_str().unwrap().to_owned();
    let waiting = client.start_call("owf_wait", json!({ "run_id": run, "timeout_seconds": 50 }));
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": waiting } }));
    let view = client.call("owf_wait", json!({ "run_id": run, "timeout_seconds": 0 }));
    assert_eq!((&view["status"], &view["woke"]), (&json!("running"), &json!("timeout")), "{view}");
    let began = Instant::now();
    let view = client.call("owf_cancel", json!({ "run_id": run, "reason": "enough" }));
    assert_eq!(view["status"], "cancelled", "{view}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let again = client.call("owf_cancel", json!({ "run_id": run }));
    assert_eq!(again["status"], "cancelled");
}

#[test]
fn accept_056_two_runs_started_at_once_both_proceed_and_outlive_their_server() {
    let place = Place::new();
    place.file("f.yaml", "owf_fixtures: 1\nrules:\n  - delay_ms: 300\n    text: ok\n");
    let mut client = Mcp::start(&place);
    let ask = |n: u32| json!({ "script": format!("{ONE}\n// {n}"), "fixtures": "f.yaml", "wait_seconds": 0, "cache_policy": "disabled" });
    let (one, two) = (client.start_call("owf_run_workflow", ask(1)), client.start_call("owf_run_workflow", ask(2)));
    for id in [one, two] {
        let answer = client.answer(id);
        assert!(answer["result"]["structuredContent"]["run_id"].is_string(), "{answer}");
    }
    client.finish();
    eventually(Duration::from_secs(3), "both runs end without their server", || {
        let runs = place.json(&["runs", "--json"]);
        runs["runs"].as_array().unwrap().iter().all(|run| run["status"] == "done") && runs["total"] == 2
    });
}

#[test]
fn a_wait_that_is_too_long_for_the_client_says_so() {
    let place = Place::new();
    place.file("f.yaml", NEVER);
    let mut command = place.command(&["mcp"]);
    command.env("OWF_MCP_MAX_WAIT_SECONDS", "0");
    let mut client = Mcp::open(&mut command, crate::support::mcp::LEGACY, "codex-mcp-client");
    let view = client.call("owf_run_workflow", json!({ "script": ONE, "fixtures": "f.yaml" }));
    assert!(view.get("warnings").is_none_or(|w| !w.to_string().contains("wait_clamped")), "{view}");
    let view = client.call("owf_wait", json!({ "timeout_seconds": 5 }));
    assert_eq!((&view["woke"], &view["warnings"][0]["code"]), (&json!("timeout"), &json!("wait_clamped")), "{view}");
    client.call("owf_cancel", json!({ "run_id": view["run_id"] }));
}
