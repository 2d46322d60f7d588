//! Drawings: of a document before it runs and of any run, byte for byte the same.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::engine::params::{GraphFormat, GraphParams};
use serde_json::json;

use crate::document_support::Paper;

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
