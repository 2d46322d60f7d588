//! Drawings: of a document before it runs and of any run, byte for byte the same.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::engine::params::{GraphFormat, GraphParams};
use serde_json::{Value, json};

use crate::document_support::Paper;
use crate::support::cli::Place;
use crate::support::mcp::Mcp;

const FLOW: &str = "name: flow
agents: {w: {}}
tasks:
  draft: {agent: w, prompt: hi, max_visits: 2, description: Writes}
  check: {after: draft, expr: 'true', routes: {'true': send, 'no \"q\"': draft, stop: END}}
  send: {approval: Send?, prompt: send, for_each: [1, 2]}
  child: {after: send, workflow: other}
  judge: {after: draft, expr: true, guard: {retry_task: draft}}
";

const DRAWN: &str = r#"flowchart TD
  n0["draft<br/>agent w<br/>Writes"]
  n1("check<br/>expr")
  n2{{"send<br/>agent, approval, for_each"}}
  n3[["child<br/>workflow"]]
  n4("judge<br/>expr")
  n5(["END"])
  n0 --> n1
  n0 --> n4
  n1 -- "true" --> n2
  n1 -- "no #quot;q#quot;" --> n0
  n1 -- "stop" --> n5
  n2 --> n3
  n4 -. "again" .-> n0
"#;

fn drawn(paper: &Paper, params: GraphParams) -> owf::engine::view::GraphView {
    paper.desk.engine.graph(&params).unwrap()
}

fn file() -> GraphParams {
    GraphParams { path: Some("flow.yaml".to_owned()), ..GraphParams::default() }
}

#[test]
fn accept_090_a_document_is_drawn_the_same_every_time_and_nothing_runs() {
    let paper = Paper::new(FLOW);
    let first = drawn(&paper, file());
    assert_eq!(first.text.as_deref(), Some(DRAWN));
    assert_eq!(first, drawn(&paper, file()));
    let dot = drawn(&paper, GraphParams { format: Some(GraphFormat::Dot), ..file() });
    assert!(
        dot.text
            .unwrap()
            .starts_with("digraph \"flow\" {\n  rankdir=TB;\n  n0 [label=\"draft\\nagent w\\nWrites\", shape=box];")
    );
    let data = drawn(&paper, GraphParams { format: Some(GraphFormat::Json), ..file() });
    assert_eq!(data.text, None);
    assert_eq!(
        serde_json::to_value(&data.nodes[2]).unwrap(),
        json!({"id": "send", "kind": "agent", "approval": true, "repeats": "for_each"})
    );
    assert_eq!(
        serde_json::to_value(&data.edges[3]).unwrap(),
        json!({"from": "check", "to": "draft", "kind": "route", "key": "no \"q\""})
    );
    assert!(!paper.desk.place.home().exists());
}

#[test]
fn accept_090_a_run_is_drawn_with_how_its_tasks_ended() {
    let paper = Paper::answered(
        "name: x\nsteps:\n  - {id: a, prompt: a, routes: {go: b, no: END}}\n  - {id: b, expr: 1, for_each: [1, 2]}\n  - {id: c, when: false, expr: 1}\n",
        "  - match: {label: a}\n    text: go",
    );
    paper.run();
    let view = drawn(&paper, GraphParams::default());
    let states: Vec<_> = view.nodes.iter().map(|n| (n.id.as_str(), n.status.as_deref())).collect();
    assert_eq!(states, [("a", Some("done")), ("b", Some("done")), ("c", Some("skipped")), ("END", None)]);
    let text = view.text.unwrap();
    assert!(text.contains("class n0,n1 done\n") && text.contains("class n2 skipped\n"), "{text}");
}

#[test]
fn accept_090_a_run_of_a_script_is_drawn_by_what_led_to_what() {
    let paper = Paper::new(FLOW);
    paper.desk.workflow("s", "const a = await agent('a', {label: 'a'}); return await agent('b' + a, {label: 'b'});");
    paper.desk.run("s");
    let view = drawn(&paper, GraphParams::default());
    assert_eq!(view.nodes.iter().map(|n| n.id.as_str()).collect::<Vec<_>>(), ["c0001", "c0002"]);
    assert_eq!((view.edges[0].from.as_str(), view.edges[0].to.as_str()), ("c0001", "c0002"));
    let refused = paper.desk.engine.graph(&GraphParams { path: Some("s.js".to_owned()), ..GraphParams::default() });
    assert!(refused.unwrap_err().message.contains("is a script"));
}

/// The same with what may stand in it: a question of its own, a repetition until something holds.
const MORE: &str = "name: more
tasks:
  ask: {approval: Publish?, routes: {approve: send, deny: END}}
  send: {prompt: send, until: output == 'ok', max_iterations: 3}
  child: {after: send, workflow: ./low.yaml}
  tell: {after: child, expr: 1}
  judge: {after: tell, expr: true, guard: {retry_task: tell}}
";

const MORE_DRAWN: &str = r#"flowchart TD
  n0{{"ask<br/>approval"}}
  n1["send<br/>agent, until"]
  n2[["child<br/>workflow"]]
  n3("tell<br/>expr")
  n4("judge<br/>expr")
  n5(["END"])
  n0 -- "approve" --> n1
  n0 -- "deny" --> n5
  n1 --> n2
  n2 --> n3
  n3 --> n4
  n4 -. "again" .-> n3
"#;

const MORE_DOT: &str = r#"digraph "more" {
  rankdir=TB;
  n0 [label="ask\napproval", shape=hexagon];
  n1 [label="send\nagent, until", shape=box];
  n2 [label="child\nworkflow", shape=box3d];
  n3 [label="tell\nexpr", shape=ellipse];
  n4 [label="judge\nexpr", shape=ellipse];
  n5 [label="END", shape=doublecircle];
  n0 -> n1 [label="approve"];
  n0 -> n5 [label="deny"];
  n1 -> n2;
  n2 -> n3;
  n3 -> n4;
  n4 -> n3 [label="again", style=dashed];
}
"#;

#[test]
fn accept_090_other_processes_and_clients_draw_the_same_bytes_in_every_form() {
    let place = Place::new();
    place.file("flow.yaml", MORE);
    let drawn = |format: &str| {
        let printed = ["first", "second"].map(|_| place.owf(&["graph", "flow.yaml", "--format", format]));
        assert_eq!((printed[0].code, &printed[0].out), (0, &printed[1].out), "{format}");
        printed[0].out.clone()
    };
    assert_eq!((drawn("mermaid").as_str(), drawn("dot").as_str()), (MORE_DRAWN, MORE_DOT));
    let data: Value = serde_json::from_str(&drawn("json")).unwrap();
    let expected = json!({
        "workflow": "more",
        "nodes": [
            {"id": "ask", "kind": "approval", "approval": true},
            {"id": "send", "kind": "agent", "repeats": "until"},
            {"id": "child", "kind": "workflow"},
            {"id": "tell", "kind": "expr"},
            {"id": "judge", "kind": "expr"},
            {"id": "END", "kind": "end"},
        ],
        "edges": [
            {"from": "ask", "to": "send", "kind": "route", "key": "approve"},
            {"from": "ask", "to": "END", "kind": "route", "key": "deny"},
            {"from": "send", "to": "child", "kind": "after"},
            {"from": "child", "to": "tell", "kind": "after"},
            {"from": "tell", "to": "judge", "kind": "after"},
            {"from": "judge", "to": "tell", "kind": "guard"},
        ],
    });
    assert_eq!(data, expected);
    let mut client = Mcp::start(&place);
    let told = client.call("owf_graph", json!({"path": "flow.yaml"}));
    assert_eq!(told["text"], MORE_DRAWN, "{told}");
    assert!(!place.home().exists());
}

#[test]
fn accept_090_a_run_is_drawn_as_it_was_whatever_became_of_its_document() {
    let paper = Paper::answered(
        "name: x\nsteps:\n  - {id: a, for_each: [1, 2, 3], prompt: '{{ item }}', allow_failure: true}\n  - {id: q, approval: 'Go?'}\n",
        "  - match: {prompt: '2'}\n    error: {class: bad_request, message: no}\n  - match: {label: '*'}\n    text: ok",
    );
    assert_eq!(paper.run()["status"], "paused");
    let before = drawn(&paper, GraphParams::default());
    let states = |view: &owf::engine::view::GraphView| -> Vec<(String, Option<String>)> {
        view.nodes.iter().map(|node| (node.id.clone(), node.status.clone())).collect()
    };
    let known = |id: &str, status: &str| (id.to_owned(), Some(status.to_owned()));
    assert_eq!(states(&before), [known("a", "failed"), known("q", "waiting")]);
    assert!(before.text.as_ref().unwrap().contains("class n0 failed\n"), "{before:?}");
    paper.write("name: y\nsteps:\n  - {id: other, expr: 1}\n");
    assert_eq!(drawn(&paper, GraphParams::default()), before);
    std::fs::remove_file(paper.desk.place.path().join("flow.yaml")).unwrap();
    assert_eq!(drawn(&paper, GraphParams::default()), before);
}

#[test]
fn a_list_of_which_an_item_is_under_way_is_under_way_whatever_the_others_came_to() {
    let paper =
        Paper::new("name: x\ntasks:\n  a: {for_each: [2, 1], workflow: ./child.yaml, args: {n: '{{ item }}'}}\n");
    paper.desk.place.file(
        "child.yaml",
        "name: child\ntasks:\n  q: {approval: 'Go?', when: input.n == 1}\n  r: {when: input.n == 2, expr: '1 + []'}\n",
    );
    assert_eq!(paper.run()["status"], "paused");
    let view = drawn(&paper, GraphParams::default());
    assert_eq!(view.nodes[0].status.as_deref(), Some("running"), "{view:?}");
}
