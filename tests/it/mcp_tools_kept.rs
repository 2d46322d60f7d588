//! One server over a store that others change between its calls: whatever it keeps open, it answers from what is there now.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use crate::support::cli::Place;
use crate::support::mcp::{LEGACY, Mcp};

const ONE: &str = "export const meta = {name: 'one', description: 'one call'};\nreturn await agent('one');";

fn run(client: &mut Mcp) -> String {
    let view = client.call("owf_run_workflow", json!({ "script": ONE }));
    assert_eq!(view["status"], "done", "{view}");
    view["run_id"].as_str().unwrap().to_owned()
}

fn runs(client: &mut Mcp) -> Vec<String> {
    let view = client.call("owf_list_runs", json!({}));
    view["runs"].as_array().unwrap().iter().map(|row| row["run_id"].as_str().unwrap().to_owned()).collect()
}

/// A run by a process of its own.
fn run_elsewhere(place: &Place) -> String {
    let file = place.file("one.js", ONE).display().to_string();
    place.json(&["run", &file, "--json"])["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_home_that_is_made_removed_made_again_or_replaced_is_seen_by_the_next_call() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    assert_eq!(runs(&mut client), [""; 0]);
    assert!(!place.home().exists());
    let elsewhere = run_elsewhere(&place);
    let here = run(&mut client);
    assert_eq!(runs(&mut client), [here, elsewhere.clone()]);
    std::fs::remove_dir_all(place.home()).unwrap();
    assert_eq!(runs(&mut client), [""; 0]);
    assert!(!place.home().exists());
    assert_eq!(client.refused("owf_status", json!({ "run_id": elsewhere }))["error"]["code"], "not_found");
    let again = run_elsewhere(&place);
    assert_eq!(runs(&mut client), std::slice::from_ref(&again));
    // Another store under the same name, as when a backup is put back.
    std::fs::rename(place.home(), place.path().join("away")).unwrap();
    let third = run(&mut client);
    assert_eq!(runs(&mut client), [third]);
    std::fs::remove_dir_all(place.home()).unwrap();
    std::fs::rename(place.path().join("away"), place.home()).unwrap();
    assert_eq!(runs(&mut client), [again]);
}

#[test]
fn a_store_that_was_upgraded_meanwhile_is_read_and_not_written() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let done = run(&mut client);
    let set = |format: &str| -> String {
        let db = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
        let before = db.query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0)).unwrap();
        db.execute("UPDATE meta SET value = ?1 WHERE key = 'format'", [format]).unwrap();
        before
    };
    let before = set("99");
    assert_eq!(client.refused("owf_run_workflow", json!({ "script": ONE }))["error"]["code"], "store_newer");
    assert_eq!(client.call("owf_status", json!({ "run_id": done }))["status"], "done");
    set(&before);
    run(&mut client);
}

#[test]
fn runs_that_others_prune_are_gone_and_runs_that_others_go_on_with_stand_as_they_left_them() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let script = "export const meta = {name: 'ask', description: 'a question'};\nreturn await owf.approve('Go on?');";
    let view = client.call("owf_run_workflow", json!({ "script": script }));
    assert_eq!(view["status"], "paused", "{view}");
    let asked = view["run_id"].as_str().unwrap().to_owned();
    let done = run(&mut client);
    assert_eq!(place.json(&["prune", "--keep", "0", "--json"])["pruned"][0]["run_id"], done);
    assert_eq!(client.refused("owf_cancel", json!({ "run_id": done }))["error"]["code"], "not_found");
    assert_eq!(runs(&mut client), std::slice::from_ref(&asked));
    place.json(&["cancel", &asked, "--json"]);
    let view = client.call("owf_status", json!({ "run_id": asked }));
    assert_eq!(view["status"], "cancelled", "{view}");
    assert_eq!(client.call("owf_cancel", json!({ "run_id": asked }))["status"], "cancelled");
}

#[test]
fn a_changed_configuration_holds_from_the_next_call_on() {
    let place = Place::new();
    let config = place.file("config.toml", "");
    let mut command = place.command(&["mcp"]);
    command.env("OWF_CONFIG", &config);
    let mut client = Mcp::open(&mut command, LEGACY, "test-client");
    run(&mut client);
    std::fs::write(&config, "provider = \"nobody\"\n").unwrap();
    let failure = client.refused("owf_run_workflow", json!({ "script": ONE }));
    assert_eq!(failure["error"]["code"], "unknown_provider", "{failure}");
    std::fs::write(&config, "provder = 1\n").unwrap();
    let failure = client.refused("owf_list_runs", json!({}));
    assert!(failure["error"]["message"].as_str().unwrap().contains("line 1"), "{failure}");
}

#[test]
fn calls_at_once_share_one_engine_and_the_server_stays_small() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    run(&mut client);
    let ids: Vec<u64> = (0..200).map(|_| client.start_call("owf_list_runs", json!({}))).collect();
    for id in ids {
        assert_eq!(client.answer(id)["result"]["structuredContent"]["total"], 1);
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", client.child.id())).unwrap().filter(|thread| {
        let name = thread.as_ref().unwrap().path().join("comm");
        std::fs::read_to_string(name).is_ok_and(|name| name.starts_with("owf-async"))
    });
    assert_eq!(threads.count(), 2);
    assert_eq!(client.finish().1, Some(0));
}
