//! Resources over the wire: listing, reading, the guard, bounds and refusals, in both eras.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::support::cli::Place;
use crate::support::mcp::{ERAS, Era, Mcp};

/// A place with one finished run whose output has `bytes` characters; its id.
fn finished(place: &Place, bytes: usize) -> String {
    place.file(
        "w.js",
        &format!(
            "export const meta = {{name: 'w', description: 'd'}};\nconst a = await agent('hi', {{label: 'one'}});\n\
             return {{a, pad: 'x'.repeat({bytes})}};"
        ),
    );
    let view = place.json(&["run", "w.js", "--json"]);
    view["run_id"].as_str().unwrap().to_owned()
}

fn uri(run: &str, rest: &str) -> Value {
    json!({"uri": format!("owf://runs/{run}/{rest}")})
}

fn text(result: &Value) -> &str {
    result["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"))
}

#[test]
fn a_run_can_be_read_through_its_resources() {
    let place = Place::new();
    let run = finished(&place, 1);
    std::fs::write(place.home().join(format!("runs/{run}/picture.png")), [0x89, b'P', b'N', b'G', 0xff]).unwrap();
    for era in ERAS {
        let mut peer = Mcp::capable(&place, era, json!({}));
        let read = peer.served("resources/read", uri(&run, "output"));
        let value: Value = serde_json::from_str(text(&read)).unwrap();
        assert_eq!(value["pad"], "x");
        assert_eq!(read["contents"][0]["mimeType"], "application/json");
        assert_eq!(read["contents"][0]["uri"], uri(&run, "output")["uri"]);
        assert_eq!(read.get("ttlMs").is_some(), era == Era::Modern, "{read}");
        let read = peer.served("resources/read", uri("latest", "artifacts/calls/c0001/prompt.txt"));
        assert_eq!(text(&read), "hi");
        let read = peer.served("resources/read", uri(&run, "artifacts/picture.png"));
        assert_eq!(
            (&read["contents"][0]["blob"], &read["contents"][0]["mimeType"]),
            (&json!("iVBOR/8="), &json!("image/png"))
        );

        let (code, message) = peer.error("resources/read", uri(&run, "report"));
        assert_eq!(code, if era == Era::Modern { -32602 } else { -32002 });
        assert!(message.contains("owf_report writes one"), "{message}");
    }
    place.json(&["report", &run, "--json"]);
    let mut peer = Mcp::capable(&place, Era::Modern, json!({}));
    let read = peer.served("resources/read", uri(&run, "report"));
    assert!(text(&read).contains("# "), "{read}");
    let listed = peer.served("resources/list", json!({}));
    let of_run = |what: &str| {
        listed["resources"].as_array().unwrap().iter().find(|r| r["uri"] == uri(&run, what)["uri"]).cloned()
    };
    let (output, report) = (of_run("output").unwrap(), of_run("report").unwrap());
    assert_eq!((&output["mimeType"], &report["mimeType"]), (&json!("application/json"), &json!("text/markdown")));
    assert!(output["size"].as_u64().unwrap() > 10 && output["title"].as_str().unwrap().contains("FAKE"), "{output}");
    assert_eq!((&listed["ttlMs"], &listed["cacheScope"]), (&json!(0), &json!("private")));
    let templates = peer.served("resources/templates/list", json!({}));
    assert_eq!(templates["resourceTemplates"].as_array().unwrap().len(), 3);
}

#[test]
fn what_is_not_there_or_may_not_be_read_is_refused_and_named() {
    let place = Place::new();
    let run = finished(&place, 1);
    std::fs::write(place.path().join("secret"), "secret").unwrap();
    let dir = place.home().join(format!("runs/{run}"));
    std::os::unix::fs::symlink(place.path().join("secret"), dir.join("link")).unwrap();
    for era in ERAS {
        let mut peer = Mcp::capable(&place, era, json!({}));
        let missing = if era == Era::Modern { -32602 } else { -32002 };
        for (address, code) in [
            ("owf://runs/latest/artifacts/gone.txt".to_owned(), missing),
            ("owf://runs/zzzzzzzz/output".to_owned(), missing),
            ("file:///etc/passwd".to_owned(), missing),
            ("nonsense".to_owned(), missing),
            (format!("owf://runs/{run}/artifacts/../../../secret"), -32602),
            (format!("owf://runs/{run}/artifacts//etc/passwd"), -32602),
            (format!("owf://runs/{run}/artifacts/%2e%2e/%2e%2e/secret"), -32602),
            (format!("owf://runs/{run}/artifacts/a%00"), -32602),
        ] {
            let answer = peer.request("resources/read", json!({ "uri": address }));
            let message = answer["error"]["message"].as_str().unwrap();
            assert_eq!(answer["error"]["code"], code, "{era:?} {address}: {message}");
            assert!(!message.is_empty() && !message.contains("secret\n"));
            let unknown = !address.starts_with(&format!("owf://runs/{run}/"));
            assert_eq!(answer["error"]["data"]["uri"] == address, unknown, "{answer}");
        }
        for path in ["link", "calls"] {
            let (_, message) = peer.error("resources/read", uri(&run, &format!("artifacts/{path}")));
            assert!(message.contains(path), "{message}");
        }
        for method in ["resources/list", "resources/templates/list", "prompts/list"] {
            let (code, message) = peer.error(method, json!({"cursor": "made up"}));
            assert_eq!(code, -32602, "{method}");
            assert!(message.contains("made up") && message.contains("cursor"), "{message}");
        }
    }
}

#[test]
fn what_is_too_large_names_the_tool_that_reads_parts() {
    let place = Place::new();
    let run = finished(&place, 300_000);
    let mut peer = Mcp::capable(&place, Era::Modern, json!({}));
    for (rest, tool) in [("output", "owf_output"), ("artifacts/output.json", "owf_read_artifact")] {
        let (code, message) = peer.error("resources/read", uri(&run, rest));
        assert_eq!(code, -32602);
        assert!(
            message.contains(tool) && message.contains("owf_read_artifact") && message.contains("200000"),
            "{message}"
        );
    }
}

#[test]
fn many_runs_are_listed_page_by_page_and_an_empty_place_lists_nothing() {
    let place = Place::new();
    let mut peer = Mcp::capable(&place, Era::Modern, json!({}));
    assert_eq!(peer.served("resources/list", json!({}))["resources"], json!([]));
    assert!(!place.home().exists(), "looking makes no store");
    place.file("w.js", "export const meta = {name: 'w', description: 'd'};\nreturn 1;");
    for _ in 0..23 {
        place.json(&["run", "w.js", "--json"]);
    }
    let first = peer.served("resources/list", json!({}));
    assert_eq!(first["resources"].as_array().unwrap().len(), 20);
    let second = peer.served("resources/list", json!({"cursor": first["nextCursor"]}));
    assert_eq!(second["resources"].as_array().unwrap().len(), 3);
    assert!(second.get("nextCursor").is_none(), "{second}");
}
