//! The worst run through every tool: no reply is longer than a model should read, and each fits its schema.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use crate::support::cli::Place;
use crate::support::mcp::Mcp;

const WORST: &str = r#"export const meta = { name: 'worst', description: 'The worst run 😀"',
  phases: [{ title: 'One' }, { title: 'Two' }] }
const nasty = '😀"\\\n\u0001<b>'
phase('One')
const huge = await parallel([1, 2, 3].map(i => () => agent(nasty.repeat(30000) + i, { label: nasty.repeat(60) + i })))
for (let i = 0; i < 60; i++) log(nasty.repeat(80) + i)
phase('Two')
const out = await parallel(Array.from({ length: 1000 }, (_, i) => () => agent('ask ' + i + nasty.repeat(20), { label: (i % 5 ? 'part:' : 'bad:') + i + nasty.repeat(10) })))
return { [nasty]: huge, list: out.map((x, i) => ({ i, x, nasty: nasty.repeat(20) })), text: nasty.repeat(40000) }
"#;

#[test]
fn accept_057_the_worst_run_stays_within_the_bound_and_the_schemas_of_every_tool() {
    let place = Place::new();
    place.file("worst.js", WORST);
    place.file(
        "f.yaml",
        "owf_fixtures: 1\nrules:\n  - match: { label: 'bad:*' }\n    error: { class: bad_request, message: 'no 😀\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\" good' }\n  - text: 'answer 😀\"'\n",
    );
    let mut client = Mcp::start(&place);
    let view = client.call(
        "owf_run_workflow",
        json!({ "path": "worst.js", "fixtures": "f.yaml", "max_calls": 2000, "wait_seconds": 50, "detail": "full" }),
    );
    let run = view["run_id"].clone();
    let mut view = view;
    for _ in 0..10 {
        if view["status"] == "done" {
            break;
        }
        view =
            client.call("owf_wait", json!({ "run_id": run, "timeout_seconds": 50, "until": "end", "detail": "full" }));
    }
    assert_eq!(view["status"], "done", "{view}");
    assert_eq!((&view["counts"]["total"], &view["gaps_total"]), (&json!(1003), &json!(200)));
    client.call("owf_wait", json!({ "run_id": run, "detail": "full" }));
    client.call("owf_status", json!({ "run_id": run, "limit": 1000 }));
    client.call("owf_calls", json!({ "run_id": run, "limit": 1000 }));
    client.call("owf_calls", json!({ "run_id": run, "status": ["provider_failed"] }));
    for call in ["c0001", "c0004", "c0005"] {
        client.call("owf_calls", json!({ "run_id": run, "call_id": call }));
    }
    for pointer in ["", "/list", "/list/0", "/text"] {
        client.call("owf_output", json!({ "run_id": run, "pointer": pointer }));
    }
    let part = client.call("owf_output", json!({ "run_id": run, "max_bytes": 100_000 }));
    assert!(part["returned_bytes"].as_u64().unwrap() > 90_000);
    client.refused("owf_output", json!({ "run_id": run, "pointer": "/none" }));
    client.call("owf_explain_cache", json!({ "run_id": run }));
    let files = client.call("owf_artifacts", json!({ "run_id": run }));
    let prompt =
        client.call("owf_artifacts", json!({ "run_id": run, "kind": "prompt" }))["artifacts"][0]["path"].clone();
    assert_eq!(files["truncated"], true);
    client.call("owf_read_artifact", json!({ "run_id": run, "path": prompt }));
    client.call("owf_read_artifact", json!({ "run_id": run, "path": prompt, "max_bytes": 200_000 }));
    client.call("owf_report", json!({ "run_id": run }));
    client.call("owf_report", json!({ "run_id": run, "format": "html" }));
    client.call("owf_list_runs", json!({}));
    client.call("owf_approvals", json!({}));
    client.call("owf_validate_workflow", json!({ "path": "worst.js" }));
    client.call("owf_dry_run", json!({ "path": "worst.js", "full": true, "fixtures": "f.yaml" }));
    client.call("owf_dry_run", json!({ "path": "worst.js", "against": run, "provider": "claude", "model": "sonnet" }));
    client.call("owf_resume", json!({ "run_id": run, "wait_seconds": 50, "detail": "full" }));
    for n in 0..120 {
        place.file(
            &format!(".claude/workflows/w{n}.js"),
            &format!("export const meta = {{ name: 'name-{n}', description: '{}' }}\nreturn 1", "\"😀".repeat(100)),
        );
    }
    assert_eq!(client.call("owf_list_workflows", json!({}))["truncated"], true);
}
