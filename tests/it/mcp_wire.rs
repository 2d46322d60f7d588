//! The wire against the real binary: every row of what a client may send, in both eras, over a pipe, a socket and a file. What needs a
//! client that acts in between is in `mcp_flow.rs` and `mcp_streams.rs`; `NOT_AS_LINES` says what that is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{Place, eventually};
use crate::support::mcp::{Era, LEGACY, Mcp};
use crate::support::rows::{Row, served_everywhere};
use crate::support::session::{opening, request};

const PARSE: i64 = -32700;
const REQUEST: i64 = -32600;
const METHOD: i64 = -32601;
const PARAMS: i64 = -32602;

/// Rows that are no lines in a file or cannot be made to happen from outside, why, and where they are tested instead.
const NOT_AS_LINES: &[(&str, &str, &str)] = &[
    ("stdout closed", "a file has no reader that could go", "mcp_streams.rs: pipe and socket"),
    ("client never reads stdout", "a file takes whatever is written", "mcp_streams.rs: pipe and socket"),
    ("SIGTERM, SIGINT", "a file has ended before a signal comes", "mcp_flow.rs: a call in flight over a pipe"),
    ("panic in a tool", "no tool of the binary panics on demand", "src/mcp/wire/tests.rs: a socket, both eras"),
];

#[test]
fn what_is_not_tested_as_lines_is_tested_where_the_table_says() {
    for (row, why, place) in NOT_AS_LINES {
        let file = place.split(':').next().unwrap_or_default();
        let dir = if file.starts_with("src") { "" } else { "tests/it/" };
        let path = format!("{}/{dir}{file}", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::exists(&path).is_ok_and(|there| there), "{row} ({why}): {path}");
    }
}

#[test]
fn accept_052_bad_json_is_answered_with_its_place_and_the_server_lives() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    served_everywhere(&Place::new(), |era| {
        let bad = |name, line: &[u8]| Row::new(era, name).line(line).error(Value::Null, PARSE, "column");
        vec![
            bad("malformed JSON", b"{bad"),
            bad("truncated JSON", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"),
            bad("invalid UTF-8", b"\"\xff\xfe\""),
            bad("a zero byte", b"\x00"),
            bad("nesting over 128", deep.as_bytes()),
            bad("garbage line, then the opening", b"hello there").before_opening(),
            Row::new(era, "what is malformed is answered in its order")
                .line("{1}\n5\n{2}")
                .error(Value::Null, PARSE, "column 2")
                .error(Value::Null, REQUEST, "a number")
                .error(Value::Null, PARSE, "column 2"),
        ]
    });
}

#[test]
fn what_is_no_message_is_an_invalid_request_under_its_id_where_that_is_readable() {
    served_everywhere(&Place::new(), |era| {
        let bad = |name, line: &str, says| Row::new(era, name).line(line).error(Value::Null, REQUEST, says);
        let named = |name, line: &str, says| Row::new(era, name).line(line).error("q", REQUEST, says);
        vec![
            bad("a number", "5", "a number"),
            bad("a string", "\"x\"", "a string"),
            bad("null", "null", "not null"),
            bad("an empty batch", "[]", "batches are gone"),
            bad("a batch", r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "batches are gone"),
            bad("id null", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "`id`"),
            bad("id with a fraction", r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "`id`"),
            bad("id an object", r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "`id`"),
            bad("id beyond 64 bit", r#"{"jsonrpc":"2.0","id":184467440737095516160,"method":"ping"}"#, "`id`"),
            named("jsonrpc missing", r#"{"id":"q","method":"ping"}"#, "`jsonrpc`"),
            named("jsonrpc 1.0", r#"{"jsonrpc":"1.0","id":"q","method":"ping"}"#, "`jsonrpc`"),
            named("method missing", r#"{"jsonrpc":"2.0","id":"q"}"#, "`method` is missing"),
            named("method not a string", r#"{"jsonrpc":"2.0","id":"q","method":5}"#, "`method` must be a string"),
        ]
    });
}

#[test]
fn accept_052_blank_lines_marks_and_notifications_are_ignored_and_ids_come_back_as_they_were_written() {
    served_everywhere(&Place::new(), |era| {
        let written = |id: &str| {
            let params = request(era, "", "", json!({}))["params"].clone();
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\",\"params\":{params}}}")
        };
        let mut ids = Row::new(era, "ids of every kind");
        for id in ["0", "-7", "\"7\"", "\"\"", "\"é\\n\"", "9223372036854775807", "18446744073709551615"] {
            let value: Value = serde_json::from_str(id).unwrap_or_default();
            ids = ids.line(written(id)).answer(value, &[]);
        }
        vec![
            Row::new(era, "an empty line, CRLF, only spaces").line("\n\r\n   \t \n"),
            Row::new(era, "BOM and CRLF around a message")
                .line(format!("\u{feff}{}\r", written("\"b\"")))
                .answer("b", &[("/result/tools/0/name", "owf_list_workflows".into())]),
            Row::new(era, "unknown notification").line(r#"{"jsonrpc":"2.0","method":"notifications/unheard"}"#),
            Row::new(era, "notification with broken params")
                .line(r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":[1]}"#),
            Row::new(era, "cancel without params").line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#),
            Row::new(era, "cancel unknown id")
                .line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}"#),
            Row::new(era, "an answer to nothing").line(r#"{"jsonrpc":"2.0","id":5,"result":{}}"#),
            ids,
        ]
    });
}

#[test]
fn a_notification_or_an_answer_as_the_first_message_is_dropped() {
    served_everywhere(&Place::new(), |era| {
        [
            ("a notification first", r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            (
                "a cancellation first",
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
            ),
            ("an answer first", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            ("an answer with a text id first", r#"{"jsonrpc":"2.0","id":"x","result":5}"#),
            ("an error first", r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#),
        ]
        .map(|(name, line)| Row::new(era, name).line(line).before_opening())
        .into()
    });
}

#[test]
fn accept_052_what_is_unknown_or_malformed_in_a_request_is_named() {
    served_everywhere(&Place::new(), |era| {
        let missing = if era == LEGACY { -32002 } else { PARAMS };
        let bad = |name, method: &str, params: Value, code: i64, says: &str| {
            Row::new(era, name).ask("q", method, params).error("q", code, says)
        };
        let tool = |name, arguments: Value, says: &str| {
            bad(name, "tools/call", json!({ "name": "owf_status", "arguments": arguments }), PARAMS, says)
        };
        let wrong = |name, tool: &str, arguments: Value, says: &str| {
            Row::new(era, name).call("q", tool, arguments).refused("q", says)
        };
        let page = |method| bad("bad pagination cursor", method, json!({ "cursor": "page-9" }), PARAMS, "page-9");
        vec![
            bad("unknown method", "no/such", json!({}), METHOD, "no/such"),
            bad("unknown tool", "tools/call", json!({ "name": "owf_nonsense" }), PARAMS, "owf_nonsense"),
            bad("tools/call with no name", "tools/call", json!({}), PARAMS, "`name` is missing"),
            bad(
                "tools/call, a name that is none",
                "tools/call",
                json!({ "name": 5 }),
                PARAMS,
                "`name` must be a string",
            ),
            tool("arguments an array", json!([1]), "`arguments` must be an object, not an array"),
            tool("arguments a string", json!("{}"), "`arguments` must be an object, not a string"),
            Row::new(era, "params an array")
                .line(r#"{"jsonrpc":"2.0","id":"q","method":"tools/list","params":[1]}"#)
                .error("q", PARAMS, "`params` must be an object, not an array"),
            Row::new(era, "tools/call with no params")
                .line(r#"{"jsonrpc":"2.0","id":"q","method":"tools/call"}"#)
                // Without a session a request lacks its `_meta`, which is told first.
                .error("q", PARAMS, if era == LEGACY { "`name` is missing" } else { "protocolVersion" }),
            bad(
                "unknown resource",
                "resources/read",
                json!({ "uri": "owf://runs/zzzz/output" }),
                missing,
                "no runs yet",
            ),
            bad(
                "unknown scheme",
                "resources/read",
                json!({ "uri": "file:///etc/passwd" }),
                missing,
                "file:///etc/passwd",
            ),
            bad("cursor of another type", "tools/list", json!({ "cursor": 5 }), PARAMS, "tools/list"),
            page("tools/list"),
            page("resources/list"),
            page("resources/templates/list"),
            page("prompts/list"),
            wrong("bad cursor of a tool", "owf_list_runs", json!({ "cursor": "page-9" }), "invalid_arguments"),
            wrong("wrong type", "owf_calls", json!({ "limit": "ten" }), "/limit must be"),
            wrong("missing field", "owf_cancel", json!({}), "/run_id is missing"),
            wrong("bad enum", "owf_wait", json!({ "until": "later" }), "/until must be one of"),
            wrong("extra argument", "owf_status", json!({ "run": 5 }), "/run is unknown"),
            wrong("all faults at once", "owf_wait", json!({ "until": 5, "nap": 1 }), "2 arguments are wrong"),
        ]
    });
}

#[test]
fn accept_051_initialize_echoes_a_supported_version_and_answers_others_with_ours() {
    served_everywhere(&Place::new(), |era| {
        if era == Era::Modern {
            return removed();
        }
        let open = |id: &str, version: Value| {
            let params = json!({ "protocolVersion": version, "capabilities": {},
                "clientInfo": { "name": "x", "version": "1" } });
            json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params }).to_string()
        };
        let list = r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#;
        let mut rows: Vec<Row> = [
            ("2024-11-05", "2024-11-05"),
            ("2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            ("2099-01-01", "2025-11-25"),
            ("", "2025-11-25"),
        ]
        .into_iter()
        .map(|(asked, answered)| {
            let row = Row::new(era, "initialize asking for a version").line(open("i", asked.into())).line(list);
            row.alone()
                .answer("i", &[("/result/protocolVersion", answered.into())])
                // What came later is left out of the answers of a session that has agreed on an older revision.
                .answer("l", &[("/result/resultType", Value::Null), ("/result/ttlMs", Value::Null)])
        })
        .collect();
        let wants = "protocolVersion, capabilities, clientInfo";
        let broken = |name, line: String| Row::new(era, name).line(line).before_opening().error("i", PARAMS, wants);
        rows.extend([
            Row::new(era, "2nd initialize")
                .line(open("again", "2025-11-25".into()))
                .answer("again", &[("/result/serverInfo/name", "owf".into())]),
            broken("initialize without params", r#"{"jsonrpc":"2.0","id":"i","method":"initialize"}"#.to_owned()),
            broken("initialize with empty params", r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}"#.to_owned()),
            broken("initialize without clientInfo", r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#.to_owned()),
            broken("initialize with a numeric version", open("i", 20_251_125.into())),
            Row::new(era, "a request before any handshake")
                .line(list)
                .before_opening()
                .error("l", PARAMS, "io.modelcontextprotocol/protocolVersion"),
            Row::new(era, "a ping before any handshake")
                .line(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#)
                .before_opening()
                .answer(2, &[("/result", json!({}))]),
            Row::new(era, "what this revision defines is served")
                .ask("p", "ping", json!({}))
                .ask("s", "resources/subscribe", json!({}))
                .answer("p", &[("/result", json!({}))])
                .error("s", PARAMS, ""),
        ]);
        rows
    });
}

/// The handshakes of the era without sessions.
fn removed() -> Vec<Row> {
    let era = Era::Modern;
    let version = |version: &str| {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {} });
        json!({ "jsonrpc": "2.0", "id": "v", "method": "tools/list", "params": { "_meta": meta } }).to_string()
    };
    let mut rows = vec![
        Row::new(era, "modern request with unknown version").line(version("2031-01-01")).answer(
            "v",
            &[
                ("/error/code", (-32022).into()),
                ("/error/data/requested", "2031-01-01".into()),
                ("/error/data/supported/4", "2026-07-28".into()),
            ],
        ),
        Row::new(era, "modern session, later call without _meta")
            .line(r#"{"jsonrpc":"2.0","id":"later","method":"tools/list"}"#)
            .error("later", PARAMS, "io.modelcontextprotocol/protocolVersion"),
        Row::new(era, "a single request is a whole session")
            .line(version("2026-07-28"))
            .alone()
            .answer("v", &[("/result/resultType", "complete".into()), ("/result/cacheScope", "public".into())]),
    ];
    // Whatever their params. The refused `initialize` has opened nothing.
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        let mut row = Row::new(era, "a method that this revision has removed");
        for params in [json!({}), json!({ "uri": "owf://runs/x/report", "level": "info" }), json!({ "level": 5 })] {
            row = row.ask("q", method, params).error("q", METHOD, &format!("{method}: removed"));
        }
        let later = r#"{"jsonrpc":"2.0","id":"later","method":"tools/list"}"#;
        rows.push(row.line(later).error("later", PARAMS, ""));
    }
    rows
}

#[test]
fn lines_of_any_size_are_served_or_refused_under_their_id_within_bounds() {
    let fat =
        [&br#"{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":""#[..], &vec![b'x'; 50 << 20], b"\"}}"]
            .concat();
    let many = format!(
        r#"{{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{{"name":"x","arguments":{{"a":[{}0]}}}}}}"#,
        "[],".repeat(4 << 20)
    );
    served_everywhere(&Place::new(), |era| {
        vec![
            Row::new(era, "50 MB line")
                .line(&fat)
                .error("q", REQUEST, "invalid request: the line exceeds 16777216 bytes")
                .within_mib(80),
            Row::new(era, "10 MB line")
                .ask("q", "tools/call", json!({ "name": "owf_nonsense", "arguments": { "x": "y".repeat(10 << 20) } }))
                .error("q", PARAMS, "owf_nonsense")
                .within_mib(120),
            Row::new(era, "a line of very many values")
                .line(&many)
                .error("q", REQUEST, "more than 500000 values")
                .within_mib(80),
        ]
    });
}

#[test]
fn the_end_of_the_input_serves_what_came_before_it_and_is_a_good_end() {
    let place = Place::new();
    served_everywhere(&place, |era| {
        vec![
            Row::new(era, "nothing at all").alone(),
            Row::new(era, "a mere probe").line(opening(era).to_string()).alone().answer("open", &[]),
            Row::new(era, "last line without newline, then EOF").unended(),
            Row::new(era, "half a line, then EOF").line("{\"id\":").alone().unended().error(Value::Null, PARSE, ""),
        ]
    });
    assert!(!place.home().exists(), "a probe opens and makes nothing");
}

/// A place with a run that goes on until somebody cancels it, and a run that waits for a person.
fn with_runs() -> (Place, [String; 2]) {
    let place = Place::new();
    place.file("f.yaml", "owf_fixtures: 1\ninvocation_log: calls.jsonl\nrules:\n  - never: true\n");
    let mut client = Mcp::start(&place);
    let ids = ["return await agent('x');", "return await owf.approve({ message: 'Go on?' });"].map(|body| {
        let script = format!("export const meta = {{ name: 'w', description: 'd' }};\n{body}");
        let ask = json!({ "script": script, "fixtures": "f.yaml", "wait_seconds": 0 });
        client.call("owf_run_workflow", ask)["run_id"].as_str().unwrap_or_default().to_owned()
    });
    eventually(Duration::from_secs(3), "both wait", || {
        let runs = client.call("owf_list_runs", json!({ "status": ["paused"] }));
        runs["matched"] == 1 && !place.log("calls.jsonl").is_empty()
    });
    (place, ids)
}

#[test]
fn calls_in_flight_are_cancelled_doubled_and_met_by_the_end_of_the_input() {
    let (place, [endless, asking]) = with_runs();
    let running = [("/result/structuredContent/status", "running".into())];
    served_everywhere(&place, |era| {
        let wait = |name, id, seconds| {
            let arguments = json!({ "run_id": endless, "until": "end", "timeout_seconds": seconds });
            Row::new(era, name).call(id, "owf_wait", arguments)
        };
        let asked =
            Row::new(era, "EOF during an unanswered elicitation").call("w", "owf_wait", json!({ "run_id": asking }));
        vec![
            wait("cancel in flight", "w", 40)
                .line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"w"}}"#),
            wait("duplicate id in flight", "w", 1)
                .ask("w", "tools/list", json!({}))
                .error("w", REQUEST, "in flight")
                .answer("w", &running),
            wait("EOF during a call of a second", "w", 1).answer("w", &running),
            // Given up: no answer comes.
            wait("EOF during a call of a minute", "w", 45),
            if era == LEGACY {
                asked.may_be_asked()
            } else {
                asked.answer("w", &[("/result/resultType", "input_required".into())])
            },
        ]
    });
    let mut client = Mcp::start(&place);
    for (id, status) in [(&endless, "running"), (&asking, "paused")] {
        assert_eq!(client.call("owf_status", json!({ "run_id": id }))["status"], status, "runs belong to the store");
    }
    client.call("owf_cancel", json!({ "run_id": endless }));
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
