//! Questions of runs in the client's own dialog, in both eras: accepted, turned away, garbage, forged.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::support::cli::Place;
use crate::support::mcp::{ERAS, Era, LEGACY, Mcp};

const ASK: &str = "export const meta = {name: 'ask', description: 'd'};\n\
    const d = await owf.approve({message: 'Apply it?', metadata: {files: 14}, decider: args?.decider ?? 'any'});\nreturn d;";

fn dialog() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

fn accept(decision: &str) -> Value {
    json!({"action": "accept", "content": {"decision": decision, "reason": "as agreed"}})
}

fn run(place: &Place, decider: &str) -> Value {
    place.file("ask.js", ASK);
    json!({"path": "ask.js", "args": {"decider": decider}})
}

/// A run that waits for a person; its id and the hash of its question.
fn waiting(place: &Place) -> (String, String) {
    place.file("ask.js", ASK);
    let view = place.owf(&["run", "ask.js", "--args-json", "{\"decider\":\"person\"}", "--json"]).json();
    assert_eq!(view["status"], "paused", "{view}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&view["run_id"]), text(&view["approvals"][0]["content_hash"]))
}

fn decision(run: &str, hash: &str) -> Value {
    json!({"run_id": run, "approval_id": "a1", "decision": "approve", "content_hash": hash, "reason": "Ada said yes"})
}

fn state(place: &Place, run: &str) -> Value {
    place.json(&["approvals", run, "--json"])["approvals_total"].clone()
}

#[test]
fn a_run_that_asks_is_answered_in_the_dialog_and_goes_on() {
    for era in ERAS {
        for answer in ["approve", "deny"] {
            let place = Place::new();
            let mut peer = Mcp::capable(&place, era, dialog());
            peer.answers.push_back(accept(answer));
            let view = peer.call("owf_run_workflow", run(&place, "person"));
            assert_eq!(
                (&view["status"], &view["output"]["decision"]),
                (&json!("done"), &json!(answer)),
                "{era:?} {view}"
            );
            assert_eq!(view["output"]["reason"], "as agreed");
            let asked = peer.asked[0]["message"].as_str().unwrap().to_owned();
            assert!(asked.contains("Apply it?") && asked.contains("14") && asked.contains("deny:"), "{asked}");
            let runs = place.json(&["runs", "--json"]);
            assert_eq!(runs["total"], json!(1), "a call that comes again starts nothing: {runs}");
            let word = if answer == "approve" { "approved" } else { "denied" };
            let row = &place.json(&["approvals", "--state", word, "--json"])["approvals"][0];
            assert_eq!(row["decided_via"], "dialog", "{row}");
        }
    }
}

#[test]
fn a_dialog_fits_into_a_single_call_at_a_time() {
    for era in ERAS {
        let place = Place::new();
        let mut peer =
            Mcp::raw(place.command(&["mcp"]).env("OWF_MCP_MAX_CALLS", "1")).opened(era, "test-client", dialog());
        peer.answers.push_back(accept("approve"));
        let view = peer.call("owf_run_workflow", run(&place, "person"));
        assert_eq!(
            (&view["status"], &view["output"]["decision"]),
            (&json!("done"), &json!("approve")),
            "{era:?} {view}"
        );
        assert_eq!(peer.call("owf_list_runs", json!({}))["total"], json!(1), "the server still serves");
    }
}

#[test]
fn an_answer_that_is_none_decides_nothing_and_the_reply_follows() {
    for era in ERAS {
        let place = Place::new();
        for answer in [
            json!({"action": "decline"}),
            json!({"action": "cancel"}),
            json!({"action": "accept"}),
            json!({"action": "accept", "content": {"decision": "maybe"}}),
            json!({"action": "accept", "content": {"decision": ["approve"]}}),
            json!({"action": "shrug", "content": {"decision": "approve"}}),
            json!({}),
        ] {
            let mut peer = Mcp::capable(&place, era, dialog());
            peer.answers.push_back(answer.clone());
            let view = peer.call("owf_run_workflow", run(&place, "any"));
            assert_eq!(view["status"], "paused", "{era:?} {answer}: {view}");
            assert!(view["next"].as_str().unwrap().contains("Ask the person"), "{view}");
            let id = view["run_id"].as_str().unwrap();
            assert_eq!(state(&place, id), json!(1), "{answer}");
            // Turned away once, the question is not put again unasked.
            assert_eq!(peer.call("owf_wait", json!({ "run_id": id }))["status"], "paused");
            assert_eq!(peer.asked.len(), 1, "{era:?} {answer}");
        }
    }
}

#[test]
fn a_wait_and_a_resume_that_meet_a_question_ask_it() {
    for era in ERAS {
        for tool in ["owf_wait", "owf_resume"] {
            let place = Place::new();
            let (id, _) = waiting(&place);
            let mut peer = Mcp::capable(&place, era, dialog());
            peer.answers.push_back(accept("approve"));
            let view = peer.call(tool, json!({ "run_id": id }));
            assert_eq!((&view["run_id"], &view["status"]), (&json!(id), &json!("done")), "{era:?} {tool}: {view}");
            assert_eq!(peer.asked.len(), 1);
        }
    }
}

#[test]
fn what_only_a_person_may_decide_is_put_to_the_person_with_what_the_model_proposes() {
    for era in ERAS {
        let place = Place::new();
        let (id, hash) = waiting(&place);
        let mut plain = Mcp::capable(&place, era, json!({}));
        assert_eq!(plain.refused("owf_decide", decision(&id, &hash))["error"]["code"], "person_required");
        let mut peer = Mcp::capable(&place, era, dialog());
        peer.answers.push_back(json!({"action": "decline"}));
        assert_eq!(peer.refused("owf_decide", decision(&id, &hash))["error"]["code"], "person_required");
        let asked = peer.asked[0]["message"].as_str().unwrap().to_owned();
        assert!(asked.contains("The assistant proposes: approve (Ada said yes)"), "{asked}");
        // A question of another text, or none, is left for the tool to refuse.
        assert_eq!(peer.refused("owf_decide", decision(&id, "00000000"))["error"]["code"], "content_changed");
        assert_eq!(peer.asked.len(), 1);
        peer.answers.push_back(accept("deny"));
        let view = peer.call("owf_decide", decision(&id, &hash));
        let made = &view["decision"];
        assert_eq!(
            (&made["state"], &made["decided_via"]),
            (&json!("denied"), &json!("dialog")),
            "the person decides: {view}"
        );
        assert_eq!(view["run_id"], json!(id));
        assert_eq!(peer.refused("owf_decide", decision(&id, &hash))["error"]["code"], "already_decided");
    }
}

#[test]
fn a_state_that_was_made_up_decides_nothing_and_starts_nothing() {
    let place = Place::new();
    let (id, hash) = waiting(&place);
    let (other, _) = waiting(&place);
    let mut peer = Mcp::capable(&place, Era::Modern, dialog());
    let asked = peer.served("tools/call", json!({"name": "owf_wait", "arguments": {"run_id": id}}));
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let given = asked["requestState"].as_str().unwrap().to_owned();
    let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let again = |tool: &str, arguments: Value, state: &str| json!({"name": tool, "arguments": arguments, "requestState": state, "inputResponses": {&key: accept("approve")}});
    let here = json!({ "run_id": id });
    for (tool, arguments, state) in [
        ("owf_wait", here.clone(), "nonsense".to_owned()),
        ("owf_wait", here.clone(), String::new()),
        ("owf_wait", json!({ "run_id": other }), given.clone()),
        ("owf_run_workflow", json!({"path": "ask.js"}), given.clone()),
        ("owf_wait", here.clone(), given.replace("owf_wait", "owf_resume")),
        ("owf_wait", here.clone(), given.replace(&id, "20200101-000000-00000000")),
        ("owf_run_workflow", json!({"path": "ask.js"}), "{}".to_owned()),
        ("owf_status", here.clone(), given.clone()),
    ] {
        let (code, message) = peer.error("tools/call", again(tool, arguments, &state));
        assert_eq!(code, -32602, "{tool} {state}");
        assert!(message.contains("requestState"), "{message}");
    }
    // The right form, another text of the question: it is not open, so that nothing is decided.
    let result = peer.served("tools/call", again("owf_wait", here.clone(), &given.replace(&hash, "ffffffff")));
    assert_eq!(result["structuredContent"]["status"], "paused", "{result}");
    assert_eq!((state(&place, &id), state(&place, &other)), (json!(1), json!(1)));
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(2));
    // The state that was given works, also with a server that did not give it.
    let mut second = Mcp::capable(&place, Era::Modern, dialog());
    let result = second.served("tools/call", again("owf_wait", here, &given));
    assert_eq!(result["structuredContent"]["status"], "done", "{result}");
}

#[test]
fn a_dialog_that_is_open_at_the_end_of_the_input_decides_nothing_and_the_server_ends() {
    let place = Place::new();
    let (id, _) = waiting(&place);
    let mut client = Mcp::capable(&place, LEGACY, dialog());
    client.start_call("owf_wait", json!({ "run_id": id }));
    let asked = client.next().unwrap();
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    assert_eq!(client.finish(), (Vec::new(), Some(0)));
    assert_eq!(state(&place, &id), json!(1));
}
