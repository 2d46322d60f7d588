//! Calls that wait for an idempotency key: whoever has it may wait for a person, die with its process, or be the very call they
//! are a part of. No run hangs for it, and nothing is done twice.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Child, Stdio};
use std::time::Duration;

use owf::core::call::{Ask, CallKind, CallSpec, Decision};
use owf::core::event::Event;
use owf::core::ids::{CallId, Hash, RunId};
use owf::core::outcome::{CallError, CallRef, CallStatus, DecisionNote, ErrorClass, Outcome};
use owf::core::run::{ParentRef, RunSpec, StatusReason};
use owf::store::{Append, Created, Lease, Once, OnceClaim, Store};
use serde_json::{Value, json};

use crate::http_tools::{KEY, calls, text};
use crate::store_support::{T0, append, begins, me, run_id, spec, start, started};
use crate::support::cli::{Place, eventually};
use crate::support::http_mock::Mock;

const SECOND: Duration = Duration::from_secs(1);

const TOOLS: &str = r#"
[tools.note]
description = "Takes a note."
command = ["sh", "-c", "echo x >> notes; echo noted"]

[tools.deploy]
description = "Deploys."
command = ["sh", "-c", "echo x >> deployed; echo done"]
requires_approval = true

[tools.release]
workflow = "release.yaml"

[tools.again]
workflow = "flow.yaml"

[tools.one]
workflow = "one.yaml"

[tools.other]
workflow = "other.yaml"
"#;

/// A command under way. A test that ends without it ends it.
struct Going(Option<Child>);

impl Going {
    fn printed(mut self) -> String {
        let going = self.0.as_mut().unwrap();
        eventually(5 * SECOND, "the command ends", || going.try_wait().unwrap().is_some());
        let child = self.0.take().unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    fn json(self) -> Value {
        let printed = self.printed();
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"))
    }

    fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // One that has ended needs no end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A place, and a service whose model takes a note, deploys, and is done.
struct Scene {
    place: Place,
    mock: Mock,
}

impl Scene {
    fn new(document: &str) -> Self {
        let place = Place::new();
        place.file("flow.yaml", document);
        place.file("user.toml", TOOLS);
        let mock = Mock::new(|seen| {
            let told = seen.body["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool");
            if told { text("done") } else { calls(&[("note", json!({})), ("deploy", json!({}))]) }
        });
        Self { place, mock }
    }

    fn spawn(&self, args: &[&str]) -> Going {
        let mut command = self.place.command(args);
        command.env("OWF_CONFIG", self.place.path().join("user.toml")).env("OPENAI_API_KEY", KEY);
        command.env("OWF_PROVIDER_OPENAI_BASE_URL", self.mock.url("/v1")).env("OWF_NESTING", "3");
        Going(Some(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()))
    }

    /// What a command prints, which ends in time or not at all.
    fn json(&self, args: &[&str]) -> Value {
        self.spawn(args).json()
    }

    fn run(&self) -> Value {
        self.json(RUN)
    }

    fn decide(&self, word: &str, view: &Value) {
        let asked = &self.json(&["approvals", "--json"])["approvals"];
        let run = asked[0]["run_id"].as_str().unwrap_or_else(|| panic!("nobody asks: {view}"));
        self.json(&[word, run, "--json"]);
    }

    fn until(&self, view: &Value, statuses: &[&str]) -> Value {
        let id = view["run_id"].as_str().unwrap();
        let mut now = Value::Null;
        eventually(5 * SECOND, &format!("the run is {statuses:?}"), || {
            now = self.json(&["status", id, "--json"]);
            statuses.iter().any(|status| now["status"] == *status)
        });
        now
    }

    /// How many lines a file has.
    fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.place.path().join(name)).unwrap_or_default().lines().count()
    }

    /// The kinds of the questions that were asked in a run.
    fn asked(&self, view: &Value) -> Vec<Value> {
        let all = self.spawn(&["events", view["run_id"].as_str().unwrap()]).printed();
        let all = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|e| e["type"] == "approval_asked").map(|e| e["data"]["approval"]["kind"].clone()).collect()
    }
}

const RUN: &[&str] = &["run", "flow.yaml", "--provider", "openai", "--allow-commands", "--no-input", "--json"];

const AGENTS: &str = "name: x
agents:
  worker: {tools: [note, deploy]}
tasks:
  t: {agent: worker, for_each: [1, 1, 1], prompt: Do it, idempotency_key: k}
";

fn reasons(view: &Value) -> Value {
    json!([view["status"], view["status_reason"]])
}

#[test]
fn who_waits_for_a_key_of_an_agent_that_asks_a_person_pauses_with_it_and_gets_its_answer() {
    let scene = Scene::new(AGENTS);
    let paused = scene.run();
    assert_eq!(reasons(&paused), json!(["paused", "approval"]), "{paused}");
    scene.decide("approve", &paused);
    let view = scene.until(&paused, &["done", "failed", "paused"]);
    assert_eq!(json!([view["status"], view["output"]]), json!(["done", ["done", "done", "done"]]), "{view}");
    assert_eq!((scene.lines("notes"), scene.lines("deployed"), scene.mock.seen().len()), (1, 1, 2));
    assert_eq!(scene.asked(&view), ["tool"]);
}

#[test]
fn who_waits_may_ask_first_when_the_run_is_taken_up_and_nobody_is_asked_about_it() {
    let scene = Scene::new(AGENTS);
    // At first the second call is the first to ask, then it is the last.
    let hook = r#"
[hooks.order]
at = "before"
kinds = ["agent"]
command = ["sh", "-c", '''
read -r asked
case "$asked" in
*'"id":"c0002"'*) test -e first && until test -e second; do sleep 0.01; done; touch first ;;
*) until test -e go; do sleep 0.01; done; echo x >> let ;;
esac
echo '{"verdict": "allow"}'
''']
"#;
    scene.place.file("user.toml", &format!("{TOOLS}{hook}"));
    let child = scene.spawn(RUN);
    eventually(5 * SECOND, "the second call asks", || scene.lines("notes") == 1);
    scene.place.file("go", "");
    let paused = child.json();
    assert_eq!(reasons(&paused), json!(["paused", "approval"]), "{paused}");
    scene.decide("approve", &paused);
    // Two of the first start, and two of the second.
    eventually(5 * SECOND, "the others are let through again", || scene.lines("let") == 4);
    scene.place.file("second", "");
    let view = scene.until(&paused, &["done", "failed", "paused"]);
    assert_eq!(json!([view["status"], view["output"]]), json!(["done", ["done", "done", "done"]]), "{view}");
    assert_eq!((scene.lines("notes"), scene.lines("deployed"), scene.mock.seen().len()), (1, 1, 2));
    assert_eq!(scene.asked(&view), ["tool"]);
}

#[test]
fn a_tool_that_is_a_workflow_is_carried_out_once_for_its_key_although_its_child_asks_a_person() {
    let scene = Scene::new("name: x\ntasks:\n  t: {tool: release, for_each: [1, 1], idempotency_key: k}\n");
    scene.place.file(
        "release.yaml",
        "name: release\nsteps:\n  - {id: build, run: [sh, -c, 'echo x >> built; echo built']}\n  - {id: ship, run: [sh, -c, 'echo x >> shipped; echo shipped'], approval: {message: Ship it?}}\n",
    );
    let paused = scene.run();
    assert_eq!(reasons(&paused), json!(["paused", "approval"]), "{paused}");
    scene.decide("approve", &paused);
    let view = scene.until(&paused, &["done", "failed", "paused"]);
    assert_eq!(json!([view["status"], view["output"]]), json!(["done", ["shipped", "shipped"]]), "{view}");
    assert_eq!((scene.lines("built"), scene.lines("shipped")), (1, 1));
    // Nor by another run.
    let again = scene.run();
    assert_eq!(json!([again["status"], again["output"]]), json!(["done", ["shipped", "shipped"]]), "{again}");
    assert_eq!((scene.lines("built"), scene.lines("shipped")), (1, 1));
    let calls = scene.json(&["calls", "latest", "--json"]);
    let hits: Vec<&Value> = calls["calls"].as_array().unwrap().iter().map(|call| &call["cache_status"]).collect();
    assert_eq!(hits, ["hit", "hit"], "{calls}");
}

#[test]
fn a_child_that_waits_for_a_key_of_its_parents_run_pauses_with_it() {
    let scene = Scene::new(
        "name: x
agents:
  worker: {tools: [note, deploy]}
tasks:
  t: {agent: worker, prompt: Do it, idempotency_key: k}
  below: {tool: release}
",
    );
    // A document of the same name, in which the same task asks for the same.
    scene.place.file(
        "release.yaml",
        "name: x\nagents:\n  worker: {tools: [note, deploy]}\ntasks:\n  t: {agent: worker, prompt: Do it, idempotency_key: k}\n",
    );
    let paused = scene.run();
    assert_eq!(reasons(&paused), json!(["paused", "approval"]), "{paused}");
    scene.decide("approve", &paused);
    let view = scene.until(&paused, &["done", "failed", "paused"]);
    assert_eq!(json!([view["status"], view["output"]]), json!(["done", {"t": "done", "below": "done"}]), "{view}");
    assert_eq!((scene.lines("notes"), scene.lines("deployed"), scene.mock.seen().len()), (1, 1, 2));
}

#[test]
fn a_run_does_not_pause_for_a_person_while_who_waits_for_a_key_can_go_on() {
    let scene = Scene::new(
        "name: x
tasks:
  ask: {expr: 1, approval: {message: 'Well?'}}
  t: {for_each: [1, 1], run: [sh, -c, 'echo x >> begun; until test -e go; do sleep 0.01; done; echo made'], idempotency_key: k}
  next: {after: t, run: [sh, -c, 'echo x >> after']}
",
    );
    let child = scene.spawn(RUN);
    eventually(5 * SECOND, "the first has begun", || scene.lines("begun") == 1);
    scene.place.file("go", "");
    let paused = child.json();
    assert_eq!(reasons(&paused), json!(["paused", "approval"]), "{paused}");
    assert_eq!((scene.lines("begun"), scene.lines("after")), (1, 1));
}

#[test]
fn a_run_goes_on_while_a_hook_judges_the_answer_that_was_given_for_a_key() {
    let scene = Scene::new(
        "name: x
tasks:
  ask: {expr: 1, approval: {message: 'Well?'}}
  t: {for_each: [1, 1], run: [sh, -c, 'echo x >> begun; until test -e go; do sleep 0.01; done; echo made'], idempotency_key: k}
",
    );
    // Longer than a run looks for whether it has anything to do; nothing depends on how much.
    let hook = r#"
[hooks.slow]
at = "after"
kinds = ["command"]
command = ["sh", "-c", "read -r _; echo x >> judged; sleep 0.2; echo '{\"verdict\": \"accept\"}'"]
"#;
    scene.place.file("user.toml", &format!("{TOOLS}{hook}"));
    let child = scene.spawn(RUN);
    eventually(2 * SECOND, "the first has begun", || scene.lines("begun") == 1);
    scene.place.file("go", "");
    let paused = child.json();
    assert_eq!(reasons(&paused), json!(["paused", "approval"]), "{paused}");
    // One hook for each answer: none was broken off, to be asked again.
    assert_eq!((scene.lines("begun"), scene.lines("judged")), (1, 2), "{paused}");
    scene.decide("approve", &paused);
    let view = scene.until(&paused, &["done", "failed"]);
    assert_eq!((view["output"]["t"].clone(), scene.lines("judged")), (json!(["made", "made"]), 2), "{view}");
}

#[test]
fn a_cancelled_call_waits_for_its_key_no_more_and_the_others_get_the_answer() {
    let scene = Scene::new(&COMMANDS.replace("[1, 1]", "[1, 1, 1]"));
    let child = scene.spawn(RUN);
    eventually(2 * SECOND, "the first has begun", || scene.lines("begun") == 1);
    let run = scene.json(&["runs", "--json"])["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let states = || -> Vec<Value> {
        let calls = scene.json(&["calls", &run, "--json"])["calls"].clone();
        calls.as_array().unwrap().iter().take(3).map(|call| call["status"].clone()).collect()
    };
    eventually(2 * SECOND, "the others wait", || states() == ["running", "queued", "queued"]);
    scene.json(&["cancel", &run, "--call", "c0002", "--json"]);
    eventually(2 * SECOND, "it is cancelled", || states() == ["running", "cancelled", "queued"]);
    scene.place.file("go", "");
    child.json();
    assert_eq!((states(), scene.lines("begun")), (vec![json!("done"), json!("cancelled"), json!("done")], 1));
}

const COMMANDS: &str = "name: x
on_failure: best_effort
tasks:
  t: {for_each: [1, 1], run: [sh, -c, 'echo x >> begun; until test -e go; do sleep 0.01; done; echo made'], idempotency_key: k}
";

/// A run whose first call was lost with its process, taken up again.
fn lost() -> (Scene, Value) {
    let scene = Scene::new(COMMANDS);
    let child = scene.spawn(RUN);
    eventually(5 * SECOND, "the first has begun", || scene.lines("begun") == 1);
    child.kill();
    scene.place.file("go", "");
    let id = scene.json(&["runs", "--json"])["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let paused = scene.json(&["resume", &id, "--no-input", "--json"]);
    assert_eq!(reasons(&paused), json!(["paused", "repeat"]), "{paused}");
    assert_eq!(scene.asked(&paused), ["repeat"], "one of two is asked about");
    (scene, paused)
}

#[test]
fn of_two_that_ask_with_the_key_of_a_lost_call_a_person_is_asked_once_and_agrees_for_both() {
    let (scene, paused) = lost();
    scene.decide("approve", &paused);
    let view = scene.until(&paused, &["done", "failed", "paused"]);
    assert_eq!(json!([view["status"], view["output"]]), json!(["done", ["made", "made"]]), "{view}");
    assert_eq!(scene.lines("begun"), 2);
    assert_eq!(scene.asked(&view), ["repeat"]);
}

#[test]
fn what_a_person_does_not_want_repeated_is_not_repeated_for_the_next_who_asks() {
    let (scene, paused) = lost();
    scene.decide("deny", &paused);
    let id = paused["run_id"].as_str().unwrap();
    eventually(5 * SECOND, "the other one asks", || {
        scene.asked(&paused).len() == 2 && scene.json(&["status", id, "--json"])["status"] == "paused"
    });
    assert_eq!(scene.lines("begun"), 1);
    scene.decide("approve", &paused);
    scene.until(&paused, &["done", "failed"]);
    let calls = scene.json(&["calls", id, "--json"]);
    let statuses: Vec<&Value> = calls["calls"].as_array().unwrap().iter().map(|call| &call["status"]).collect();
    assert_eq!(statuses[..2], ["skipped", "done"], "{calls}");
    assert_eq!(scene.lines("begun"), 2);
}

#[test]
fn a_call_that_asks_for_the_key_of_the_call_it_is_a_part_of_is_refused_and_told_which_one() {
    let scene = Scene::new("name: x\ntasks:\n  t: {tool: again, idempotency_key: k}\n");
    let view = scene.run();
    assert_eq!(view["status"], json!("failed"), "{view}");
    let id = view["run_id"].as_str().unwrap();
    let text = view["error"]["message"].as_str().unwrap();
    let why =
        format!("idempotency key \"k\" of task `t`: {id}/c0001 is at work for it, and this call is a part of that one");
    assert!(text.ends_with(&why), "{text}");
}

#[test]
fn calls_that_wait_for_one_another_in_a_circle_end_the_run_instead_of_waiting_for_ever() {
    let scene =
        Scene::new("name: x\ntasks:\n  a: {tool: one, idempotency_key: k}\n  b: {tool: other, idempotency_key: k}\n");
    scene.place.file("one.yaml", "name: x\ntasks:\n  b: {tool: other, idempotency_key: k}\n");
    scene.place.file("other.yaml", "name: x\ntasks:\n  a: {tool: one, idempotency_key: k}\n");
    let view = scene.run();
    assert_eq!(json!([view["status"], view["error"]["code"]]), json!(["failed", "deadlock"]), "{view}");
}

#[test]
fn who_waits_for_another_process_says_for_whom() {
    let scene = Scene::new(&COMMANDS.replace("[1, 1]", "[1]"));
    let first = scene.spawn(RUN);
    eventually(5 * SECOND, "the first has begun", || scene.lines("begun") == 1);
    let holder = scene.json(&["runs", "--json"])["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let second = scene.spawn(RUN);
    let message = format!("`t[0]` (c0001) waits for {holder}/c0001, which is at work for the same idempotency key");
    let said = json!({"code": "waits_for_key", "message": message});
    eventually(5 * SECOND, "it is said", || {
        let runs = scene.json(&["runs", "--json"])["runs"].clone();
        let mut ids = runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned());
        let Some(id) = ids.find(|id| *id != holder) else { return false };
        let warnings = scene.json(&["status", &id, "--json"])["warnings"].clone();
        warnings.as_array().is_some_and(|warnings| warnings.contains(&said))
    });
    scene.place.file("go", "");
    for child in [first, second] {
        let view = child.json();
        assert_eq!(json!([view["status"], view["output"]]), json!(["done", ["made"]]), "{view}");
    }
    assert_eq!(scene.lines("begun"), 1);
}

/// The journals of a run tree: a root, and a run below its first call.
struct Forest {
    store: Store,
    lease: Lease,
    child: RunId,
}

/// Appends events to a run of a tree.
pub(crate) fn add(store: &Store, lease: &Lease, run: &RunId, events: Vec<Event>) {
    store.flush().unwrap();
    let last = store.last_seq(run).unwrap();
    let records = events.into_iter().zip(last + 1..).map(|(event, seq)| owf::core::event::EventRecord {
        seq,
        at: T0.plus(seq * 10),
        event,
    });
    let append = Append { run: run.clone(), ..Append::new(&lease.run, lease.epoch, records.collect()) };
    store.append(append).wait().unwrap();
}

pub(crate) fn requested(call: u32) -> Event {
    let spec = Box::new(CallSpec::new(CallKind::Agent, Ask::default()));
    Event::CallRequested { call_id: CallId(call), key: Hash::of([call as u8]), occurrence: 1, spec }
}

pub(crate) fn ends(outcome: Outcome) -> Event {
    Event::CallFinished { call_id: outcome.call_id, outcome: Box::new(outcome), reused: None, rule: None }
}

impl Forest {
    /// A tree of two runs, in which both have requested two calls and the root's first has begun.
    fn new() -> Self {
        let store = Store::in_memory().unwrap();
        let (root, child) = (run_id(1), run_id(2));
        let lease = started(&store, &root, &spec("w"));
        let parent = Some(ParentRef { run_id: root.clone(), call_id: CallId(1) });
        let below = RunSpec { parent, root: Some(root.clone()), depth: 1, ..spec("w") };
        assert_eq!(store.create_run(&child, &below, b"w", T0).unwrap(), Created::New);
        add(&store, &lease, &root, vec![requested(1), requested(2), begins(1)]);
        add(&store, &lease, &child, vec![requested(1), requested(2)]);
        Self { store, lease, child }
    }

    fn root(&self) -> RunId {
        self.lease.run.clone()
    }

    fn claim(&self, run: &RunId, call: u32) -> Once {
        let (key, params) = (Hash::of("k"), Hash::of("p"));
        let claim = OnceClaim { key, params, run: run.clone(), call_id: CallId(call), may_repeat: false };
        self.store.claim_once(&claim, T0).unwrap()
    }

    /// Its process ends, and another takes the tree up.
    fn taken_up(self) -> Self {
        let Self { store, lease, child } = self;
        let root = lease.run.clone();
        drop(lease);
        let lease = store.claim(&root, &me(), T0).unwrap();
        append(&store, &lease, vec![start(lease.epoch)]).unwrap();
        Self { store, lease, child }
    }
}

fn by(run: &RunId, call: u32) -> CallRef {
    CallRef { run_id: run.clone(), call_id: CallId(call) }
}

#[test]
fn a_key_left_in_a_tree_is_busy_for_the_tree_as_long_as_its_call_is_taken_up_again() {
    let forest = Forest::new();
    let (root, child) = (forest.root(), forest.child.clone());
    assert_eq!(forest.claim(&child, 1), Once::Claimed);
    add(&forest.store, &forest.lease, &child, vec![begins(1)]);
    let busy = Once::Busy { by: by(&child, 1), ours: true };
    assert_eq!(forest.claim(&root, 2), busy);
    let forest = forest.taken_up();
    assert_eq!([forest.claim(&root, 2), forest.claim(&child, 2)], [busy.clone(), busy.clone()]);
    // Of another tree it is the one of a process that is gone.
    let other = started(&forest.store, &run_id(9), &spec("w"));
    append(&forest.store, &other, vec![requested(1)]).unwrap();
    let lost = |pauses| Once::Lost { from: by(&child, 1), pauses };
    assert_eq!(forest.claim(&run_id(9), 1), lost(false));
    let waits = vec![(root.clone(), 2)].into_iter().map(|(run, call)| OnceClaim {
        key: Hash::of("k"),
        params: Hash::of("p"),
        run,
        call_id: CallId(call),
        may_repeat: false,
    });
    let waits: Vec<OnceClaim> = waits.collect();
    assert!(!forest.store.any_free(waits.clone(), T0).unwrap());
    // Once it is claimed again it is busy for everybody.
    assert_eq!(forest.claim(&child, 1), Once::Claimed);
    assert_eq!(forest.claim(&run_id(9), 1), Once::Busy { by: by(&child, 1), ours: false });
    // And when the call above it has ended, nobody takes it up any more.
    let forest = forest.taken_up();
    let cancelled = Outcome::failed(CallId(1), CallError::new(ErrorClass::Cancelled, "no"));
    add(&forest.store, &forest.lease, &root, vec![ends(cancelled)]);
    assert_eq!(forest.claim(&root, 2), lost(false));
    assert!(forest.store.any_free(waits, T0).unwrap());
}

#[test]
fn a_call_does_not_wait_for_a_key_of_a_call_above_it() {
    let forest = Forest::new();
    let (root, child) = (forest.root(), forest.child.clone());
    assert_eq!(forest.claim(&root, 1), Once::Claimed);
    assert_eq!(forest.claim(&child, 2), Once::Above(by(&root, 1)));
    assert_eq!(forest.claim(&root, 2), Once::Busy { by: by(&root, 1), ours: true }, "beside it is not below it");
    // Nor does a run that an agent of the call started, which is a tree of its own.
    let nested = RunSpec { parent: Some(ParentRef { run_id: child.clone(), call_id: CallId(1) }), ..spec("w") };
    let lease = started(&forest.store, &run_id(3), &nested);
    append(&forest.store, &lease, vec![requested(1)]).unwrap();
    assert_eq!(forest.claim(&run_id(3), 1), Once::Above(by(&root, 1)));
}

#[test]
fn what_a_person_did_not_want_repeated_is_unclear_and_what_was_never_begun_is_not() {
    let forest = Forest::new();
    let root = forest.root();
    assert_eq!(forest.claim(&root, 1), Once::Claimed);
    let note = DecisionNote { decision: Decision::Deny, by: "ana".to_owned(), reason: None };
    let denied = Outcome { decision: Some(note), ..Outcome::new(CallId(1), CallStatus::Skipped) };
    add(&forest.store, &forest.lease, &root, vec![ends(denied)]);
    assert_eq!(forest.claim(&root, 2), Once::Lost { from: by(&root, 1), pauses: false });
    // A tool that nobody allowed has done nothing.
    let forest = Forest::new();
    assert_eq!(forest.claim(&root, 1), Once::Claimed);
    let denied = Outcome::failed(CallId(1), CallError::new(ErrorClass::Denied, "denied by ana"));
    add(&forest.store, &forest.lease, &root, vec![ends(denied)]);
    assert_eq!(forest.claim(&root, 2), Once::Claimed);
}

#[test]
fn a_key_of_another_run_that_is_paused_says_so() {
    let forest = Forest::new();
    let root = forest.root();
    assert_eq!(forest.claim(&root, 1), Once::Claimed);
    add(&forest.store, &forest.lease, &root, vec![Event::RunPaused { reason: StatusReason::Approval, message: None }]);
    let Forest { store, lease, child } = forest;
    drop(lease);
    let lease = started(&store, &run_id(9), &spec("w"));
    append(&store, &lease, vec![requested(1)]).unwrap();
    let forest = Forest { store, lease, child };
    assert_eq!(forest.claim(&run_id(9), 1), Once::Lost { from: by(&root, 1), pauses: true });
}
