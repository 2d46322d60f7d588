//! What coding agents are given: the skill is well formed, its examples run, and the plugin points at what is there.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use regex::Regex;
use serde_json::{Value, json};

use crate::support::cli::Place;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The fields between the first two lines of three dashes, and what follows them.
fn front_matter(text: &str) -> (Vec<(String, String)>, String) {
    let rest = text.strip_prefix("---\n").unwrap();
    let (head, body) = rest.split_once("\n---\n").unwrap();
    let fields = head.lines().map(|line| line.split_once(": ").unwrap());
    (fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(), body.to_owned())
}

/// The skill and everything beside it that is text for a reader.
fn skill_files() -> Vec<String> {
    let mut files = vec!["skill/owf/SKILL.md".to_owned()];
    for entry in std::fs::read_dir(repository().join("skill/owf/references")).unwrap() {
        files.push(format!("skill/owf/references/{}", entry.unwrap().file_name().to_string_lossy()));
    }
    files.sort();
    files
}

/// The fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = Regex::new(&format!(r"(?ms)^```{language}\n(.*?)^```$")).unwrap();
    fence.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_skill_has_valid_front_matter_and_a_short_body() {
    let (fields, body) = front_matter(&read("skill/owf/SKILL.md"));
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let known = ["name", "description", "license", "compatibility", "metadata", "allowed-tools"];
    assert!(fields.iter().all(|(key, _)| known.contains(&key.as_str())), "{fields:?}");
    assert_eq!(field("name"), Some("owf"), "the name is that of the directory");
    let description = field("description").unwrap();
    assert!((1..=1024).contains(&description.chars().count()), "{}", description.chars().count());
    assert!(description.contains("Use it when"), "what and when");
    // Plain YAML: a colon with a space or a hash would need quotes.
    assert!(fields.iter().all(|(_, value)| !value.contains(": ") && !value.contains(" #")), "{fields:?}");
    assert!(field("compatibility").unwrap().chars().count() <= 500);
    assert!(body.lines().count() < 500, "{}", body.lines().count());
}

#[test]
fn the_root_skill_is_the_same_file() {
    assert_eq!(read("SKILL.md"), read("skill/owf/SKILL.md"), "cp skill/owf/SKILL.md SKILL.md");
}

#[test]
fn every_workflow_in_the_skill_validates_rehearses_and_runs() {
    let mut seen = 0;
    for file in skill_files() {
        for script in blocks(&read(&file), "js").into_iter().filter(|block| block.contains("export const meta")) {
            let place = Place::new();
            place.file("example.js", &script);
            let checked = place.json(&["validate", "example.js", "--json"]);
            assert_eq!(checked["ok"], true, "{file}: {checked:#}");
            let found = checked["diagnostics"].as_array().unwrap();
            assert!(found.iter().all(|one| one["severity"] == "note"), "{file}: {checked:#}");
            let rehearsed = place.json(&["dry-run", "example.js", "--json"]);
            assert_eq!(rehearsed["outcome"], "completed", "{file}: {rehearsed:#}");
            assert_eq!(rehearsed["sites_reached"], rehearsed["sites_total"], "{file}: {rehearsed:#}");
            // One example asks a person.
            let ran = place.owf(&["run", "example.js", "--json", "--no-input"]).json();
            let view = if ran["status"] == "paused" {
                let run_id = ran["run_id"].as_str().unwrap();
                assert_eq!(place.owf(&["approve", run_id, "--reason", "tried"]).code, 0);
                place.json(&["wait", run_id, "--json"])
            } else {
                ran
            };
            assert_eq!(view["status"], "done", "{file}: {view:#}");
            assert!(view["swallowed"].is_null() && view["gaps"].is_null(), "{file}: {view:#}");
            // Bad news is an answer, too; `empty` finds nothing and must not break the script.
            for mood in ["unhappy", "empty"] {
                let ran = place.owf(&["run", "example.js", "--json", "--no-input", "--mood", mood]).json();
                assert!(ran["status"] == "done" || ran["status"] == "paused", "{file}, {mood}: {ran:#}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} examples were found");
}

#[test]
fn the_fixtures_in_the_skill_answer_the_first_example() {
    let place = Place::new();
    place.file("example.js", &blocks(&read("skill/owf/SKILL.md"), "js").remove(0));
    place.file("answers.yaml", &blocks(&read("skill/owf/references/fixtures.md"), "yaml").remove(0));
    let view = place.json(&["run", "example.js", "--fixtures", "answers.yaml", "--json"]);
    let expected = json!([{ "file": "src/a.js", "line": 7, "claim": "Off by one." }]);
    assert_eq!(view["output"]["findings"], expected, "{view:#}");
    assert!(view["warnings"].as_array().unwrap().iter().all(|one| one["code"] == "simulated"), "{view:#}");
}

#[test]
fn what_the_skill_links_to_exists() {
    let link = Regex::new(r"\]\(([^)#]+)\)").unwrap();
    for file in skill_files() {
        let beside = repository().join(&file);
        for found in link.captures_iter(&read(&file)) {
            assert!(beside.parent().unwrap().join(&found[1]).exists(), "{file} links to {}", &found[1]);
        }
    }
}

#[test]
fn the_plugin_points_at_the_skill_and_starts_the_server() {
    let plugin: Value = serde_json::from_str(&read(".claude-plugin/plugin.json")).unwrap();
    assert_eq!((&plugin["name"], &plugin["skills"]), (&"owf".into(), &"./skill/".into()));
    assert_eq!(plugin["version"], env!("CARGO_PKG_VERSION"));
    let servers: Value = serde_json::from_str(&read(".mcp.json")).unwrap();
    assert_eq!(servers["mcpServers"]["owf"], json!({ "command": "owf", "args": ["mcp"] }));
}

/// What `tools/list` of the real server names, in its order.
fn listed_tools() -> Vec<String> {
    let place = Place::new();
    let mut server = place.command(&["mcp"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let client = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let mut input = server.stdin.take().unwrap();
    for message in [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
    ] {
        writeln!(input, "{message}").unwrap();
    }
    drop(input);
    let output = server.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answer = answers.iter().find(|answer| answer["id"] == 2).unwrap();
    let tools = answer["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn drift_the_tables_of_tools_are_what_the_server_lists() {
    let listed: BTreeSet<String> = listed_tools().into_iter().collect();
    let row = Regex::new(r"(?m)^\| `(owf_[a-z_]+)` \|").unwrap();
    for file in ["README.md", "skill/owf/references/tools.md"] {
        let text = read(file);
        let named: BTreeSet<String> = row.captures_iter(&text).map(|found| found[1].to_owned()).collect();
        assert_eq!(named, listed, "{file}, table of tools");
    }
}

#[test]
fn the_readme_shows_the_configuration_that_is_printed() {
    let place = Place::new();
    let printed = |client: &str| {
        let got = place.owf(&["mcp", "--print-config", client]);
        assert_eq!((got.code, got.err.as_str()), (0, ""), "{got:?}");
        got.out
    };
    let readme = read("README.md");
    assert!(readme.contains(&format!("$ {}", printed("claude"))), "{}", printed("claude"));
    assert!(blocks(&readme, "toml").contains(&printed("codex")), "{}", printed("codex"));
    let plugin: Value = serde_json::from_str(&read(".mcp.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&printed("json")).unwrap(), plugin);
    let flags = place.owf(&["--home", "/srv/runs", "mcp", "--tools", "core", "--print-config", "claude"]);
    assert_eq!(flags.out, "claude mcp add owf -- owf --home /srv/runs mcp --tools core\n");
}

/// The names of tools in a text.
fn tools_in(text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(r"`(owf_[a-z_]+)`").unwrap();
    pattern.captures_iter(text).map(|found| found[1].to_owned()).filter(|name| name != "owf_fixtures").collect()
}

#[test]
fn every_error_code_has_its_row_in_the_troubleshooting() {
    let text = read("skill/owf/references/troubleshooting.md");
    let (_, table) = text.split_once("| error code |").unwrap();
    let listed: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|codes| codes.split(", "))
        .filter_map(|code| Some(code.strip_prefix('`')?.strip_suffix('`')?.to_owned()))
        .collect();
    let schema = serde_json::to_value(schemars::schema_for!(owf::core::failure::Code)).unwrap();
    let codes: BTreeSet<String> =
        schema["oneOf"].as_array().unwrap().iter().map(|one| one["const"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, codes);
}

#[test]
fn the_skill_names_no_tool_that_its_table_lacks() {
    let table = tools_in(&read("skill/owf/references/tools.md"));
    for file in skill_files() {
        let unknown: Vec<String> = tools_in(&read(&file)).difference(&table).cloned().collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}
