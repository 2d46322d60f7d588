//! The command line: every command parses, flags reach the parameters, wrong usage is refused with code 2.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::process::{Command as Process, Output};

use clap::{CommandFactory, Parser};
use owf::cli::args::{Cli, Command};
use owf::engine::params::{Detail, RunParams, input_schema};
use serde_json::{Value, json};

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"owf").chain(words))
}

fn owf(words: &[&str]) -> Output {
    Process::new(env!("CARGO_BIN_EXE_owf")).args(words).env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_list_of_commands_is_the_agreed_one() {
    let command = Cli::command();
    let names: Vec<_> = command.get_subcommands().filter(|c| !c.is_hide_set()).map(clap::Command::get_name).collect();
    assert_eq!(
        names,
        [
            "init",
            "new",
            "examples",
            "list",
            "validate",
            "graph",
            "dry-run",
            "run",
            "resume",
            "cancel",
            "undo",
            "pause",
            "approvals",
            "approve",
            "deny",
            "runs",
            "status",
            "wait",
            "events",
            "output",
            "calls",
            "explain-cache",
            "artifacts",
            "cat",
            "export",
            "report",
            "batch",
            "worktree",
            "prune",
            "cache",
            "usage",
            "prices",
            "providers",
            "tools",
            "trust",
            "doctor",
            "mcp",
            "schema",
            "completions",
        ]
    );
}

#[test]
fn every_key_of_a_run_request_is_a_flag_of_run() {
    let schema = input_schema::<RunParams>();
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let flags: Vec<_> = run.get_arguments().filter_map(clap::Arg::get_long).collect();
    for key in schema["properties"].as_object().unwrap().keys() {
        let flag = match key.as_str() {
            "args" => "arg".to_owned(),
            "wait_seconds" => "detach".to_owned(),
            // Global flags.
            "home" | "workspace" => continue,
            other => other.replace('_', "-"),
        };
        assert!(flags.contains(&flag.as_str()), "no flag for {key}");
    }
}

#[test]
fn flags_of_run_reach_the_request() {
    let cli = parse(&[
        "run",
        "review",
        "--arg",
        "base=main",
        "--arg",
        "n:=3",
        "--provider",
        "claude",
        "--budget-cost-usd",
        "5",
        "--max-calls",
        "9",
        "--cache-policy",
        "read_only",
        "--mood",
        "unhappy",
        "--strict",
        "--detail",
        "full",
        "--json",
    ])
    .unwrap();
    assert!(cli.global.json);
    let Command::Run(args) = cli.command else { panic!("not run") };
    let mut expected = RunParams {
        name: Some("review".to_owned()),
        provider: Some("claude".to_owned()),
        budget_cost_usd: Some(5.0),
        max_calls: Some(9),
        strict: Some(true),
        detail: Some(Detail::Full),
        ..RunParams::default()
    };
    expected.args = json!({ "base": "main", "n": 3 }).as_object().cloned();
    expected.cache_policy = Some(owf::core::call::CachePolicy::ReadOnly);
    expected.mood = Some(owf::engine::params::MoodArg::Unhappy);
    assert_eq!(args.params().unwrap(), expected);
}

#[test]
fn a_resume_takes_a_run_then_a_workflow() {
    let cli = parse(&["resume", "k7q2", "review.js", "--retry-failed", "--detach"]).unwrap();
    let Command::Resume(args) = cli.command else { panic!("not resume") };
    let params = args.params().unwrap();
    assert_eq!((params.run_id.as_deref(), params.path.as_deref()), (Some("k7q2"), Some("review.js")));
    assert_eq!((params.retry_failed, params.wait_seconds), (Some(true), Some(0)));
}

#[test]
fn events_exclude_json_and_a_negative_offset_is_a_number() {
    assert!(parse(&["run", "x.js", "--events", "--json"]).is_err());
    assert!(parse(&["run", "x.js", "--result", "--json"]).is_err());
    assert!(parse(&["run"]).is_err(), "run needs a workflow");
    for words in [["run", "-", "--check-provider=false"], ["run", "x", "--no-check-provider"]] {
        assert!(parse(&words).is_ok(), "{words:?}");
    }
    let cli = parse(&["output", "k7q2", "/a", "--offset", "-4000"]).unwrap();
    let Command::Output(args) = cli.command else { panic!("not output") };
    assert_eq!(args.offset, Some(-4000));
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_was_meant() {
    let out = owf(&["run", "x.js", "--provder", "claude"]);
    assert_eq!(out.status.code(), Some(2));
    let said = text(&out.stderr);
    assert!(said.starts_with("error: unexpected argument '--provder' found\n  hint: "), "{said}");
    assert!(said.contains("--provider"), "{said}");
    assert!(out.stdout.is_empty());
}

#[test]
fn with_json_wrong_usage_is_one_object_on_stdout() {
    let out = owf(&["run", "--json", "--nope"]);
    assert_eq!(out.status.code(), Some(2));
    let value: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(value["error"]["code"], "invalid_arguments");
    assert!(out.stderr.is_empty(), "{}", text(&out.stderr));
}

#[test]
fn all_wrong_args_are_reported_together() {
    let out = owf(&["run", "x.js", "--arg", "a", "--arg", "b:=x", "--json"]);
    assert_eq!(out.status.code(), Some(2));
    let value: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(value["error"]["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn schemas_and_completions_are_printed_without_a_store() {
    let out = owf(&["schema", "run.input"]);
    assert_eq!(out.status.code(), Some(0));
    let value: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(value["additionalProperties"], false);
    let out = owf(&["completions", "bash"]);
    assert!(text(&out.stdout).contains("_owf"));
    let out = owf(&["--version"]);
    assert!(text(&out.stdout).starts_with("owf "));
}
