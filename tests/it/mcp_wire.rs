//! The wire, line by line, against the real binary: what a client may send wrong, in both eras.

use serde_json::{Value, json};

use crate::support::cli::Place;
use crate::support::mcp::{ERAS, Era, LEGACY, Mcp};

/// Sends a line as it is and gives the one answer to it.
fn one(client: &mut Mcp, line: &[u8]) -> Value {
    client.write(line);
    client.write(b"\n");
    client.next().unwrap_or_else(|| panic!("the server closed on {}", String::from_utf8_lossy(line)))
}

/// Whether the server still serves.
fn lives(client: &mut Mcp) {
    let answer = client.request("tools/list", json!({}));
    assert!(answer["result"]["tools"].is_array(), "{answer}");
}

fn error(answer: &Value) -> (i64, &str) {
    (answer["error"]["code"].as_i64().unwrap_or(0), answer["error"]["message"].as_str().unwrap_or_default())
}

#[test]
fn accept_052_bad_json_is_answered_with_its_place_and_the_server_lives() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for line in
            [&b"{bad"[..], b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":", b"\"\xff\xfe\"", deep.as_bytes(), b"\x00"]
        {
            let answer = one(&mut client, line);
            let (code, message) = error(&answer);
            assert_eq!(code, -32700, "{answer}");
            assert!(message.contains("column"), "{message}");
            assert_eq!(answer.get("id"), Some(&Value::Null), "{answer}");
        }
        lives(&mut client);
    }
}

#[test]
fn what_is_no_message_is_an_invalid_request_with_its_reason() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        for (line, says) in [
            ("5", "a number"),
            ("\"x\"", "a string"),
            ("null", "null"),
            ("[]", "batches"),
            ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", "batches"),
            ("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", "`id`"),
            ("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", "`id`"),
            ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", "`id`"),
            ("{\"jsonrpc\":\"2.0\",\"id\":184467440737095516160,\"method\":\"ping\"}", "`id`"),
        ] {
            let answer = one(&mut client, line.as_bytes());
            let (code, message) = error(&answer);
            assert_eq!(code, -32600, "{line}: {answer}");
            assert!(message.contains(says), "{line}: {message}");
            assert_eq!(answer.get("id"), Some(&Value::Null), "{answer}");
        }
        lives(&mut client);
    }
}

#[test]
fn an_invalid_request_with_a_readable_id_is_answered_under_it() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        for line in [
            json!({ "id": "q", "method": "ping" }),
            json!({ "jsonrpc": "1.0", "id": "q", "method": "ping" }),
            json!({ "jsonrpc": "2.0", "id": "q" }),
            json!({ "jsonrpc": "2.0", "id": "q", "method": 5 }),
        ] {
            let answer = one(&mut client, line.to_string().as_bytes());
            assert_eq!(error(&answer).0, -32600, "{line}: {answer}");
            assert_eq!(answer["id"], "q", "{answer}");
        }
        lives(&mut client);
    }
}

#[test]
fn accept_052_blank_lines_marks_and_carriage_returns_are_ignored() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        client.write(b"\n\r\n   \t \n");
        client.write("\u{feff}".as_bytes());
        let params = client.dressed(json!({}));
        client.write(
            json!({ "jsonrpc": "2.0", "id": "b", "method": "tools/list", "params": params }).to_string().as_bytes(),
        );
        client.write(b"\r\n");
        assert!(client.answer("b")["result"].is_object());
        assert!(client.others.is_empty(), "{:?}", client.others);
    }
}

#[test]
fn accept_052_ids_come_back_as_they_were_written() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        let params = client.dressed(json!({}));
        for id in ["0", "-7", "\"7\"", "\"\"", "\"é\\n\"", "9223372036854775807", "18446744073709551615", "1.0"] {
            let answer = one(
                &mut client,
                format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\",\"params\":{params}}}").as_bytes(),
            );
            assert!(answer["result"].is_object(), "{answer}");
            assert_eq!(answer["id"].to_string(), serde_json::from_str::<Value>(id).unwrap_or_default().to_string());
        }
    }
}

#[test]
fn accept_052_an_unknown_method_is_named_and_an_unknown_notification_is_ignored() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/unheard" }));
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" }));
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 77 } }));
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized", "params": [1] }));
        let answer = client.request("no/such", json!({}));
        assert_eq!(error(&answer), (-32601, "no/such"));
        assert!(client.others.is_empty(), "{:?}", client.others);
    }
}

#[test]
fn a_method_that_a_revision_removed_is_unknown_to_requests_of_it_whatever_their_params() {
    let removed = ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];
    let place = Place::new();
    let mut client = Mcp::start_as(&place, Era::Modern, "test");
    for method in removed {
        for params in [json!({}), json!({ "uri": "owf://runs/x/report", "level": "info" }), json!({ "level": 5 })] {
            let answer = client.request(method, params);
            assert_eq!(error(&answer).0, -32601, "{answer}");
            assert!(error(&answer).1.starts_with(&format!("{method}: removed")), "{answer}");
        }
    }
    // The refused `initialize` has opened nothing.
    let answer = one(&mut client, br#"{"jsonrpc":"2.0","id":"later","method":"tools/list"}"#);
    assert_eq!((error(&answer).0, &answer["id"]), (-32602, &json!("later")));
    lives(&mut client);
    // A client that has opened a session still has what its own revision defines.
    let place = Place::new();
    let mut client = Mcp::start(&place);
    assert_eq!(client.request("ping", json!({}))["result"], json!({}));
    assert_eq!(error(&client.request("resources/subscribe", json!({}))).0, -32602);
}

#[test]
fn malformed_params_of_a_known_method_are_invalid_params_with_the_reason() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        for (method, params, says) in [
            ("tools/call", json!({}), "`name` is missing"),
            ("tools/call", json!({ "name": 5 }), "`name` must be a string"),
            (
                "tools/call",
                json!({ "name": "owf_status", "arguments": [1] }),
                "`arguments` must be an object, not an array",
            ),
            (
                "tools/call",
                json!({ "name": "owf_status", "arguments": "{}" }),
                "`arguments` must be an object, not a string",
            ),
            ("tools/list", json!({ "cursor": 5 }), "tools/list"),
            ("tools/list", json!({ "cursor": "page-9" }), "page-9"),
            ("tools/call", json!({ "name": "owf_nonsense" }), "owf_nonsense"),
        ] {
            let answer = client.request(method, params);
            let (code, message) = error(&answer);
            assert_eq!(code, -32602, "{answer}");
            assert!(message.contains(says), "{message}");
        }
        let answer = one(&mut client, br#"{"jsonrpc":"2.0","id":"p","method":"tools/list","params":[1]}"#);
        assert_eq!((error(&answer).0, &answer["id"]), (-32602, &json!("p")));
        lives(&mut client);
    }
    // Without a session a request without params lacks its `_meta`, which is told first.
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let answer = one(&mut client, br#"{"jsonrpc":"2.0","id":"n","method":"tools/call"}"#);
    assert_eq!(error(&answer), (-32602, "tools/call: `name` is missing"));
}

#[test]
fn a_request_before_any_handshake_says_what_is_missing() {
    let place = Place::new();
    let mut client = Mcp::raw(&mut place.command(&["mcp"]));
    let answer = one(&mut client, br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    assert_eq!(error(&answer).0, -32602);
    assert!(error(&answer).1.contains("io.modelcontextprotocol/protocolVersion"), "{answer}");
    // A ping is allowed at any time.
    assert_eq!(one(&mut client, br#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#)["result"], json!({}));
}

#[test]
fn a_session_of_single_requests_still_wants_meta_with_each() {
    let place = Place::new();
    let mut client = Mcp::start_as(&place, Era::Modern, "test");
    let answer = one(&mut client, br#"{"jsonrpc":"2.0","id":"later","method":"tools/list"}"#);
    assert_eq!((error(&answer).0, &answer["id"]), (-32602, &json!("later")));
}

#[test]
fn a_broken_initialize_says_what_it_wants_and_may_be_repeated() {
    let place = Place::new();
    let mut client = Mcp::raw(&mut place.command(&["mcp"]));
    for params in [
        json!({}),
        json!({ "protocolVersion": "2025-11-25", "capabilities": {} }),
        json!({ "protocolVersion": 20_251_125, "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } }),
    ] {
        let answer = client.request("initialize", params);
        assert_eq!(error(&answer).0, -32602, "{answer}");
        assert!(error(&answer).1.contains("protocolVersion, capabilities, clientInfo"), "{answer}");
    }
    let answer = one(&mut client, br#"{"jsonrpc":"2.0","id":"i","method":"initialize"}"#);
    assert_eq!(error(&answer).0, -32602);
    let good =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
    for _ in 0..2 {
        assert_eq!(client.request("initialize", good.clone())["result"]["serverInfo"]["name"], "owf");
    }
    lives(&mut client);
}

#[test]
fn accept_051_initialize_echoes_a_supported_version_and_answers_others_with_ours() {
    for (asked, answered) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("", "2025-11-25"),
    ] {
        let place = Place::new();
        let mut client = Mcp::raw(&mut place.command(&["mcp"]));
        let info = json!({ "name": "x", "version": "1" });
        let params = json!({ "protocolVersion": asked, "capabilities": {}, "clientInfo": info });
        let answer = client.request("initialize", params);
        assert_eq!(answer["result"]["protocolVersion"], answered, "{answer}");
        assert!(answer["result"]["instructions"].as_str().is_some_and(|text| text.chars().count() < 800));
        // What came after this revision is left out of the answers of a session that has agreed on an older one.
        assert!(client.request("tools/list", json!({}))["result"].get("resultType").is_none());
    }
}

#[test]
fn a_modern_request_is_served_alone_and_an_unknown_version_lists_the_supported_ones() {
    let place = Place::new();
    let mut client = Mcp::start_as(&place, Era::Modern, "test");
    let answer = client.request("server/discover", json!({}));
    let versions = answer["result"]["supportedVersions"].as_array().cloned().unwrap_or_default();
    assert!(versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2025-11-25")), "{answer}");
    assert!(answer["result"]["instructions"].is_string(), "{answer}");
    let list = client.request("tools/list", json!({}));
    assert_eq!(list["result"]["resultType"], "complete");
    assert_eq!(list["result"]["cacheScope"], "public");
    assert!(list["result"]["ttlMs"].is_u64(), "{list}");
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2031-01-01", "io.modelcontextprotocol/clientCapabilities": {} });
    client.send(&json!({ "jsonrpc": "2.0", "id": "v", "method": "tools/list", "params": { "_meta": meta } }));
    let answer = client.answer("v");
    assert_eq!(answer["error"]["code"], -32022, "{answer}");
    assert_eq!(answer["error"]["data"]["requested"], "2031-01-01");
    assert!(answer["error"]["data"]["supported"].is_array());
}

#[test]
fn a_notification_or_an_answer_as_the_first_line_is_dropped() {
    for era in ERAS {
        for first in [
            &br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#[..],
            br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
            br#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            br#"{"jsonrpc":"2.0","id":"x","result":5}"#,
            br#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#,
        ] {
            let place = Place::new();
            let mut client = Mcp::raw(&mut place.command(&["mcp"]));
            client.write(first);
            client.write(b"\n");
            match era {
                Era::Modern => {
                    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                        "io.modelcontextprotocol/clientCapabilities": {} });
                    assert!(client.request("server/discover", json!({ "_meta": meta }))["result"].is_object());
                }
                Era::Legacy(version) => {
                    let params = json!({ "protocolVersion": version, "capabilities": {},
                        "clientInfo": { "name": "x", "version": "1" } });
                    assert!(client.request("initialize", params)["result"].is_object());
                }
            }
            assert!(client.others.is_empty(), "{:?}", client.others);
        }
    }
}

#[test]
fn a_garbage_line_before_the_handshake_does_no_harm() {
    let place = Place::new();
    let mut client = Mcp::raw(&mut place.command(&["mcp"]));
    assert_eq!(error(&one(&mut client, b"hello there")).0, -32700);
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
    assert!(client.request("initialize", params)["result"].is_object());
}

#[test]
fn the_end_of_the_input_after_a_mere_probe_is_a_good_end() {
    let place = Place::new();
    assert_eq!(Mcp::raw(&mut place.command(&["mcp"])).finish(), (Vec::new(), Some(0)));
    let mut client = Mcp::raw(&mut place.command(&["mcp"]));
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    assert!(client.request("server/discover", json!({ "_meta": meta }))["result"].is_object());
    assert_eq!(client.finish(), (Vec::new(), Some(0)));
    assert!(!place.home().exists(), "a probe opens and makes nothing");
}

#[test]
fn the_last_line_without_an_end_is_served() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        let params = client.dressed(json!({}));
        client.write(
            json!({ "jsonrpc": "2.0", "id": "last", "method": "tools/list", "params": params }).to_string().as_bytes(),
        );
        let (left, code) = client.finish();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!((&left[0]["id"], code), (&json!("last"), Some(0)));
    }
}

#[test]
fn a_line_beyond_the_bound_is_refused_under_its_id_and_the_next_one_is_served() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        client.write(br#"{"jsonrpc":"2.0","id":"fat","method":"tools/call","params":{"name":""#);
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..50 {
            client.write(&chunk);
        }
        client.write(b"\"}}\n");
        let answer = client.answer("fat");
        assert_eq!(error(&answer), (-32600, "invalid request: the line exceeds 16777216 bytes"));
        lives(&mut client);
        assert!(client.peak_kib() < 80 * 1024, "{} KiB", client.peak_kib());
    }
}

#[test]
fn a_line_of_ten_megabytes_is_served() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let answer =
        client.request("tools/call", json!({ "name": "owf_nonsense", "arguments": { "x": "y".repeat(10 << 20) } }));
    assert_eq!(error(&answer).0, -32602, "{answer}");
    assert!(client.peak_kib() < 120 * 1024, "{} KiB", client.peak_kib());
}

#[test]
fn a_line_of_very_many_values_is_refused_before_it_is_built() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    let list = "[],".repeat(4 << 20);
    client.write(format!(r#"{{"jsonrpc":"2.0","id":"many","method":"tools/call","params":{{"name":"x","arguments":{{"a":[{list}0]}}}}}}"#).as_bytes());
    client.write(b"\n");
    let answer = client.answer("many");
    assert!(error(&answer).1.contains("more than 500000 values"), "{answer}");
    assert!(client.peak_kib() < 80 * 1024, "{} KiB", client.peak_kib());
}

#[test]
fn the_core_set_is_a_part_of_all_tools_and_lists_are_equal_bytes() {
    let place = Place::new();
    let list = |args: &[&str]| {
        let mut client = Mcp::open(&mut place.command(args), LEGACY, "test");
        client.request("tools/list", json!({}))["result"]["tools"].clone()
    };
    let (all, again, core) = (list(&["mcp"]), list(&["mcp", "--tools", "all"]), list(&["mcp", "--tools", "core"]));
    assert_eq!(all.to_string(), again.to_string());
    let names = |tools: &Value| -> Vec<Value> {
        tools.as_array().into_iter().flatten().map(|tool| tool["name"].clone()).collect()
    };
    assert!(names(&core).iter().all(|name| names(&all).contains(name)));
}
