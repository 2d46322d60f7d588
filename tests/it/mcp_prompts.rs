//! Prompts over the wire, in both eras.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use crate::support::cli::Place;
use crate::support::mcp::{ERAS, Mcp};

#[test]
fn prompts_are_listed_and_filled_in() {
    let place = Place::new();
    place.file("w.js", "export const meta = {name: 'w', description: 'd'};\nreturn 1;");
    let run = place.json(&["run", "w.js", "--json"])["run_id"].as_str().unwrap().to_owned();
    for era in ERAS {
        let mut peer = Mcp::capable(&place, era, json!({}));
        let listed = peer.served("prompts/list", json!({}));
        let names: Vec<_> = listed["prompts"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["author_workflow", "review_run"]);
        let filled =
            peer.served("prompts/get", json!({"name": "author_workflow", "arguments": {"task": "Find dead code"}}));
        let message = &filled["messages"][0];
        assert_eq!(message["role"], "user");
        assert!(message["content"]["text"].as_str().unwrap().contains("Find dead code"));
        for arguments in [json!({}), json!({"run_id": run})] {
            let filled = peer.served("prompts/get", json!({"name": "review_run", "arguments": arguments}));
            let text = filled["messages"][0]["content"]["text"].as_str().unwrap().to_owned();
            assert!(text.contains(&run) && text.contains("\"status\":\"done\"") && text.len() < 14_000, "{text}");
        }
        for (params, says) in [
            (json!({"name": "gone"}), "no prompt gone"),
            (json!({"name": "author_workflow"}), "task is missing"),
            (json!({"name": "review_run", "arguments": {"run_id": "zzzz"}}), "zzzz"),
        ] {
            let (code, message) = peer.error("prompts/get", params);
            assert_eq!(code, -32602);
            assert!(message.contains(says), "{message}");
        }
    }
}
