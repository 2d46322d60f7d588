//! Acceptance 83 to 88 for scripts: questions that outlive their process, decided once, by the right one, about the right text.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{Place, Printed, eventually, printed};

/// A call, a question, a call: which ran, the invocation log tells.
const ASK: &str = "const a = await agent('before', {label: 'before'});
    const d = await owf.approve({message: 'Apply it?', metadata: {files: 14}, ...args?.ask});
    const b = await agent('after ' + d.decision, {label: 'after'});
    return {a, d, b};";

const ANSWERS: &str = "owf_fixtures: 1\ninvocation_log: calls.jsonl\nrules:\n  - text: 'answer to {{ prompt }}'\n";

fn script(body: &str) -> String {
    format!("export const meta = {{name: 'ask', description: 'd'}};\n{body}")
}

/// A place with `body` as `ask.js`, run once without a person: exit code 3 and the view.
fn paused_run(place: &Place, body: &str, ask: &Value) -> Value {
    place.file("ask.js", &script(body));
    place.file("f.yaml", ANSWERS);
    let args = json!({ "ask": ask }).to_string();
    let printed = place.owf(&["run", "ask.js", "--fixtures", "f.yaml", "--args-json", &args, "--json"]);
    assert_eq!(printed.code, 3, "{printed:?}");
    let view = printed.json();
    assert_eq!((&view["status"], &view["status_reason"]), (&json!("paused"), &json!("approval")), "{view}");
    view
}

fn id(view: &Value) -> &str {
    view["run_id"].as_str().unwrap()
}

fn labels(place: &Place) -> Vec<String> {
    place.log("calls.jsonl").iter().map(|l| l["label"].as_str().unwrap().to_owned()).collect()
}

fn code_of(printed: &Printed) -> String {
    assert_eq!(printed.code, 2, "{printed:?}");
    printed.json()["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn accept_083_a_paused_run_survives_its_process_and_goes_on_where_it_stood() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({}));
    let run = id(&view).to_owned();
    assert_eq!(view["counts"]["done"], json!(1));
    assert!(!place.store().is_live(&run.parse().unwrap()), "no process waits with it");
    let listed = place.json(&["approvals", "--json"]);
    let row = &listed["approvals"][0];
    let seen = json!([
        row["approval_id"],
        row["run_id"],
        row["call_id"],
        row["kind"],
        row["message"],
        row["metadata"],
        row["decider"],
        row["state"],
        row["approve_means"],
        row["deny_means"]
    ]);
    let expected = json!(["a1", run, "c0002", "approve", "Apply it?", {"files": 14}, "any", "pending",
        "the script goes on", "owf.approve() returns {decision: \"deny\"}"]);
    assert_eq!(seen, expected);
    assert_eq!(&view["approvals"], &listed["approvals"], "the view of the run shows the same row");
    let reply = place.json(&["approve", &run, "--reason", "checked the list", "--json"]);
    assert_eq!((&reply["run_id"], &reply["decision"]["state"]), (&json!(run), &json!("approved")));
    let end = place.owf(&["wait", &run, "--json"]);
    assert_eq!(end.code, 0, "{end:?}");
    let output = json!({
        "a": "answer to before", "d": {"decision": "approve", "by": "unknown", "reason": "checked the list"},
        "b": "answer to after approve"
    });
    assert_eq!(end.json()["output"], output);
    assert_eq!(labels(&place), ["before", "after"], "what was finished did not run again");
    let decided = place.json(&["approvals", &run, "--state", "approved", "--json"]);
    let row = &decided["approvals"][0];
    assert_eq!((&row["decided_via"], &row["reason"]), (&json!("cli"), &json!("checked the list")));
}

#[test]
fn accept_082_a_denial_is_a_value_to_the_script() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({}));
    let screen = place.owf(&["deny", id(&view), "--reason", "not on a Friday"]);
    assert_eq!(screen.code, 0, "{screen:?}");
    assert!(screen.out.starts_with(&format!("denied a1; run {} ", id(&view))), "{screen:?}");
    let end = place.owf(&["wait", id(&view), "--json"]).json();
    assert_eq!(end["output"]["d"], json!({"decision": "deny", "by": "unknown", "reason": "not on a Friday"}));
    assert_eq!(end["output"]["b"], json!("answer to after deny"));
}

#[test]
fn accept_084_a_second_decision_is_refused_and_told_who_was_faster() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({}));
    place.json(&["approve", id(&view), "--reason", "yes", "--json"]);
    let second = place.owf(&["deny", id(&view), "--json"]);
    assert_eq!(code_of(&second), "already_decided");
    let message = second.json()["error"]["message"].as_str().unwrap().to_owned();
    let (head, tail) =
        (message.starts_with("approval a1 was approved at "), message.ends_with(" by cli (unknown): \"yes\""));
    assert!(head && tail, "{message}");
    let short = id(&view).rsplit('-').next().unwrap();
    assert_eq!(second.json()["error"]["hint"], json!(format!("owf status {short} shows how the run went on")));
    eventually(Duration::from_secs(1), "the end", || place.json(&["status", "--json"])["status"] == "done");
    assert_eq!(code_of(&place.owf(&["approve", id(&view), "a1", "--json"])), "already_decided", "also after the end");
    assert_eq!(labels(&place), ["before", "after"]);
}

#[test]
fn accept_084_a_denial_is_final_too() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({}));
    place.json(&["deny", id(&view), "--reason", "no", "--json"]);
    assert_eq!(code_of(&place.owf(&["approve", id(&view), "a1", "--json"])), "already_decided");
    assert_eq!(place.owf(&["wait", id(&view), "--json"]).json()["output"]["d"]["decision"], "deny");
    assert_eq!(code_of(&place.owf(&["approve", id(&view), "a1", "--json"])), "already_decided", "also after the end");
    assert_eq!(labels(&place), ["before", "after"]);
}

#[test]
fn accept_084_of_concurrent_deciders_exactly_one_wins() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({}));
    let verbs = ["approve", "deny", "approve", "deny", "approve", "deny"];
    let children: Vec<_> = verbs
        .iter()
        .map(|verb| {
            let mut command = place.command(&[verb, id(&view), "a1", "--json"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let ends: Vec<_> = children.into_iter().map(|c| printed(&c.wait_with_output().unwrap())).collect();
    let winners: Vec<usize> = (0..ends.len()).filter(|i| ends[*i].code == 0).collect();
    assert_eq!(winners.len(), 1, "{ends:?}");
    for end in ends.iter().filter(|end| end.code != 0) {
        assert_eq!(code_of(end), "already_decided");
    }
    let end = place.owf(&["wait", id(&view), "--json"]).json();
    assert_eq!(end["output"]["d"]["decision"], json!(verbs[winners[0]]), "the one that was told it won");
    assert_eq!(labels(&place), ["before", "after"]);
}

#[test]
fn accept_085_a_decision_about_another_text_is_refused() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({}));
    let wrong = place.owf(&["approve", id(&view), "--content-hash", "00000000", "--json"]);
    assert_eq!(code_of(&wrong), "content_changed");
    assert_eq!(place.json(&["status", "--json"])["status"], "paused", "nothing was decided");
    // Another text of the workflow asks another question, word for word the same or not.
    place.file("ask.js", &script(&format!("// edited\n{ASK}")));
    let again = place.owf(&["resume", id(&view), "--source", "current", "--json"]);
    assert_eq!(again.code, 3, "{again:?}");
    let again = again.json();
    assert_eq!((&again["resumed"], &again["resumed_from"]), (&json!("new_run"), &view["run_id"]));
    let hash = view["approvals"][0]["content_hash"].as_str().unwrap();
    assert_ne!(again["approvals"][0]["content_hash"], json!(hash));
    let stale = place.owf(&["approve", id(&again), "--content-hash", hash, "--json"]);
    assert_eq!(code_of(&stale), "content_changed");
    let old = place.owf(&["approve", id(&view), "a1", "--json"]);
    assert_eq!(old.code, 2, "the question of a superseded run takes no answer: {old:?}");
    let hash = again["approvals"][0]["content_hash"].as_str().unwrap();
    place.json(&["approve", id(&again), "--content-hash", hash, "--json"]);
    assert_eq!(place.owf(&["wait", id(&again), "--json"]).json()["status"], "done");
    assert_eq!(labels(&place), ["before", "after"], "the first answer was reused");
}

#[test]
fn accept_086_tampering_with_the_table_of_approvals_decides_nothing() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({}));
    let database = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
    let changed = database.execute(
        "UPDATE approval SET state = 'approved', decision = 'approve', decided_at = 1, decided_by = 'mallory', decided_via = 'sql'",
        [],
    );
    assert_eq!(changed, Ok(1));
    drop(database);
    let resumed = place.owf(&["resume", id(&view), "--json"]);
    assert_eq!(
        (resumed.code, &resumed.json()["status"]),
        (3, &json!("paused")),
        "the journal is the truth: {resumed:?}"
    );
    assert_eq!(labels(&place), ["before"]);
}

#[test]
fn accept_087_a_second_question_later_pauses_again() {
    let place = Place::new();
    let body = "const one = await owf.approve({message: 'first'}); await agent('between', {label: 'between'});
        const two = await owf.approve({message: 'second'}); return [one.decision, two.decision];";
    let view = paused_run(&place, body, &json!({}));
    place.json(&["approve", id(&view), "--json"]);
    let second = place.owf(&["wait", id(&view), "--json"]);
    assert_eq!((second.code, &second.json()["approvals"][0]["approval_id"]), (3, &json!("a2")), "{second:?}");
    assert_eq!(second.json()["approvals"][0]["message"], "second");
    place.json(&["deny", id(&view), "a2", "--json"]);
    assert_eq!(place.owf(&["wait", id(&view), "--json"]).json()["output"], json!(["approve", "deny"]));
    assert_eq!(labels(&place), ["between"]);
}

#[test]
fn accept_087_two_questions_at_once_are_answered_one_by_one() {
    let place = Place::new();
    let body = "const out = await Promise.all([owf.approve({message: 'left'}), owf.approve({message: 'right'})]);
        return out.map(d => d.decision);";
    let view = paused_run(&place, body, &json!({}));
    assert_eq!(view["approvals"].as_array().unwrap().len(), 2);
    let which = place.owf(&["approve", id(&view), "--json"]);
    assert_eq!(code_of(&which), "ambiguous");
    place.json(&["deny", id(&view), "a2", "--json"]);
    let half = place.owf(&["wait", id(&view), "--json"]);
    assert_eq!((half.code, half.json()["approvals"].as_array().unwrap().len()), (3, 1), "{half:?}");
    place.json(&["approve", id(&view), "--json"]);
    assert_eq!(place.owf(&["wait", id(&view), "--json"]).json()["output"], json!(["approve", "deny"]));
}

#[test]
fn accept_087_an_expiry_applies_the_declared_outcome_while_the_run_lives() {
    for (on_timeout, decision) in [(json!("approve"), "approve"), (json!("deny"), "deny"), (json!(null), "deny")] {
        let place = Place::new();
        place.file("f.yaml", "owf_fixtures: 1\nrules:\n  - delay_ms: 120\n    text: ok\n");
        let ask = json!({"message": "quick?", "expiresInMs": 1, "onTimeout": on_timeout});
        place
            .file("w.js", &script(&format!("return await Promise.all([owf.approve({ask}), agent('busy meanwhile')])")));
        let printed = place.owf(&["run", "w.js", "--fixtures", "f.yaml", "--json"]);
        assert_eq!(printed.code, 0, "{printed:?}");
        assert_eq!(printed.json()["output"], json!([{"decision": decision, "by": "timeout", "reason": null}, "ok"]));
        let expired = place.json(&["approvals", "--state", "expired", "--json"]);
        assert_eq!(expired["approvals"][0]["decided_via"], "timeout");
    }
}

#[test]
fn accept_087_a_question_that_expired_while_no_process_lived_takes_no_answer_and_a_resume_goes_on_with_its_outcome() {
    for (on_timeout, b) in [("approve", "answer to after approve"), ("deny", "answer to after deny")] {
        let place = Place::new();
        let view = paused_run(&place, ASK, &json!({"expiresInMs": 3000, "onTimeout": on_timeout}));
        eventually(Duration::from_secs(3), "the expiry", || {
            place.json(&["status", "--json"])["approvals"][0]["state"] == "expired"
        });
        assert_eq!(place.json(&["approvals", "--json"])["approvals"], json!([]), "nothing to answer any more");
        let listed = place.json(&["approvals", "--state", "expired", "--json"]);
        assert_eq!(listed["approvals"][0]["approval_id"], "a1");
        let late = place.owf(&["approve", id(&view), "--json"]);
        assert_eq!(code_of(&late), "approval_expired");
        let error = late.json()["error"].clone();
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("approval a1 expired at ") && message.ends_with(on_timeout), "{message}");
        let short = id(&view).rsplit('-').next().unwrap();
        assert_eq!(error["hint"], json!(format!("owf resume {short} goes on with that answer")));
        let waited = place.owf(&["wait", id(&view), "--json"]);
        let next = waited.json()["next"].as_str().unwrap().to_owned();
        assert_eq!(waited.code, 3, "{waited:?}");
        assert!(next.contains(&format!("counts as {on_timeout}: owf_resume")), "{next}");
        let screen = place.owf(&["status", id(&view)]).out;
        assert!(
            screen.contains(&format!("expired, which counts as {on_timeout}\n  go on: owf resume {short}")),
            "{screen}"
        );
        let resumed = place.owf(&["resume", id(&view), "--json"]);
        assert_eq!(resumed.code, 0, "{resumed:?}");
        let end = resumed.json();
        assert_eq!((&end["run_id"], &end["resumed"]), (&view["run_id"], &json!("in_place")));
        assert_eq!(end["output"]["d"], json!({"decision": on_timeout, "by": "timeout", "reason": null}));
        assert_eq!(end["output"]["b"], json!(b));
        assert_eq!(code_of(&place.owf(&["deny", id(&view), "a1", "--json"])), "approval_expired");
        assert_eq!(labels(&place), ["before", "after"]);
    }
}

#[test]
fn accept_087_a_decision_in_time_wins_over_a_later_expiry() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({"expiresInMs": 3_600_000, "onTimeout": "deny"}));
    let row = &view["approvals"][0];
    assert_eq!((&row["on_timeout"], row["expires_at"].is_string()), (&json!("deny"), true));
    place.json(&["approve", id(&view), "--json"]);
    assert_eq!(place.owf(&["wait", id(&view), "--json"]).json()["output"]["d"]["decision"], "approve");
}

#[test]
fn accept_083_a_question_for_a_person_is_not_answered_without_a_terminal() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({"decider": "person"}));
    assert_eq!(view["approvals"][0]["decider"], "person");
    let refused = place.owf(&["approve", id(&view), "--json"]);
    assert_eq!(code_of(&refused), "person_required");
    assert_eq!(place.json(&["status", "--json"])["status"], "paused");
}

#[test]
fn an_agent_with_a_terminal_of_its_own_is_no_person() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({"decider": "person"}));
    for (marker, status) in [(Some("root/run/c0001/1"), "paused"), (None, "done")] {
        let terminal = crate::support::pty::Pty::new();
        let mut command = place.command(&["approve", id(&view), "--json"]);
        if let Some(marker) = marker {
            command.env("OWF_CALL_ID", marker);
        }
        command.stdin(terminal.slave()).output().unwrap();
        assert_eq!(place.owf(&["wait", id(&view), "--json"]).json()["status"], status);
    }
}

#[test]
fn accept_088_a_childs_question_pauses_the_parent_and_is_decided_through_either() {
    for through_root in [true, false] {
        let place = Place::new();
        place.file(
            "child.js",
            "export const meta = {name: 'child', description: 'c'};
             await agent('in child', {label: 'child'});
             const d = await owf.approve({message: 'from below'});
             return d.decision;",
        );
        let body = "const first = await agent('before', {label: 'before'});
            const c = await workflow({scriptPath: 'child.js'});
            await agent('after', {label: 'after'});
            return c;";
        let view = paused_run(&place, body, &json!({}));
        let row = view["approvals"][0].clone();
        assert_eq!(row["message"], "from below");
        assert_ne!(row["run_id"], view["run_id"], "the child asks");
        let of_root = place.json(&["approvals", id(&view), "--json"]);
        assert_eq!(of_root["approvals"], json!([row]), "the root's questions are those of its tree");
        let named = if through_root { id(&view) } else { row["run_id"].as_str().unwrap() };
        let reply = place.json(&["approve", named, "a1", "--json"]);
        assert_eq!((&reply["run_id"], &reply["decision"]["state"]), (&json!(named), &json!("approved")), "{reply}");
        let end = place.owf(&["wait", id(&view), "--json"]);
        assert_eq!((end.code, &end.json()["output"]), (0, &json!("approve")), "{end:?}");
        assert_eq!(labels(&place), ["before", "child", "after"]);
        // Taken up once for the decision: not again and again until the child has heard of it.
        let events = place.owf(&["events", id(&view)]);
        assert_eq!(events.out.matches("\"run_started\"").count(), 2, "{}", events.out);
        let child = place.json(&["status", row["run_id"].as_str().unwrap(), "--json"]);
        assert_eq!((&child["status"], &child["parent_run_id"]), (&json!("done"), &view["run_id"]));
        assert_eq!(code_of(&place.owf(&["deny", named, "a1", "--json"])), "already_decided");
    }
}

#[test]
fn accept_087_a_childs_question_that_expired_unnoticed_lets_the_tree_go_on_when_resumed() {
    let place = Place::new();
    place.file(
        "child.js",
        "export const meta = {name: 'child', description: 'c'};
         return (await owf.approve({message: 'below', expiresInMs: 3000, onTimeout: 'approve'})).by;",
    );
    let view = paused_run(&place, "return await workflow({scriptPath: 'child.js'})", &json!({}));
    eventually(Duration::from_secs(3), "the expiry", || {
        place.json(&["status", "--json"])["approvals"][0]["state"] == "expired"
    });
    let resumed = place.owf(&["resume", id(&view), "--json"]);
    assert_eq!((resumed.code, &resumed.json()["output"]), (0, &json!("timeout")), "{resumed:?}");
}

#[test]
fn accept_099_a_cancel_of_a_paused_run_withdraws_its_questions() {
    let place = Place::new();
    let view = paused_run(&place, ASK, &json!({}));
    let other = paused_run(&place, ASK, &json!({}));
    for run in [&view, &other] {
        let listed = place.json(&["approvals", id(run), "--json"]);
        let rows: Vec<&Value> = listed["approvals"].as_array().unwrap().iter().map(|row| &row["run_id"]).collect();
        assert_eq!(rows, [&run["run_id"]], "of the other run nothing is listed: {listed}");
    }
    assert_eq!(place.json(&["approvals", "--json"])["approvals_total"], json!(2));
    assert_eq!(place.json(&["cancel", id(&other), "--json"])["status"], json!("cancelled"));
    let cancelled = place.json(&["cancel", id(&view), "--json"]);
    assert_eq!((&cancelled["status"], &cancelled["status_reason"]), (&json!("cancelled"), &json!("user")));
    assert_eq!(place.json(&["approvals", "--json"])["approvals_total"], json!(0));
    let gone = place.json(&["approvals", "--state", "cancelled", "--json"]);
    assert_eq!(gone["approvals"][0]["approval_id"], "a1");
    assert_eq!(code_of(&place.owf(&["approve", id(&view), "a1", "--json"])), "run_ended");
}
