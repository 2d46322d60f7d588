//! Acceptance 26 to 34 and 40 to 44 through the tools of the server.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::cli::Place;
use crate::support::mcp::Mcp;

/// Runs `body` to its end through the server.
fn run(place: &Place, client: &mut Mcp, body: &str, fixtures: &str, more: &Value) -> Value {
    place.file("w.js", &format!("export const meta = {{name: 'w', description: 'd'}};\n{body}"));
    place.file("f.yaml", &format!("owf_fixtures: 1\ninvocation_log: calls.jsonl\n{fixtures}"));
    let mut ask = json!({ "path": "w.js", "fixtures": "f.yaml", "wait_seconds": 50 });
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.call("owf_run_workflow", ask)
}

fn here() -> (Place, Mcp) {
    let place = Place::new();
    let client = Mcp::start(&place);
    (place, client)
}

const SIXTY: &str = "defaults: { usage: { input_tokens: 1, output_tokens: 60 } }\nrules:\n  - text: ok\n";

#[test]
fn accept_026_a_token_budget_refuses_the_third_of_three_calls_over_mcp() {
    let (place, mut client) = here();
    let body =
        "const out = []; for (let i = 0; i < 3; i++) out.push((await owf.agent('call ' + i)).status); return out;";
    let view = run(&place, &mut client, body, SIXTY, &json!({ "budget_tokens": 100 }));
    assert_eq!(view["output"], json!(["done", "done", "budget_exhausted"]), "{view}");
    assert_eq!(view["budget"], json!({"tokens": {"limit": 100, "spent": 120, "reserved": 0}}));
    assert_eq!(view["warnings"][1]["code"], "budget_exhausted");
    assert!(view["next"].as_str().unwrap().starts_with("owf_resume with budget_tokens"), "{}", view["next"]);
}

#[test]
fn accept_027_and_028_cost_token_and_call_limits_hold_over_mcp() {
    let (place, mut client) = here();
    let cost = "defaults: { cost_usd: 0.006 }\nrules:\n  - text: ok\n";
    let body = "const out = []; for (let i = 0; i < 2; i++) out.push((await owf.agent('c' + i)).status); return out;";
    let view = run(&place, &mut client, body, cost, &json!({ "budget_cost_usd": 0.01 }));
    assert_eq!(view["output"], json!(["done", "budget_exhausted"]), "{view}");
    let many = "defaults: { cost_usd: 0.01, delay_ms: 5, usage: { output_tokens: 10 } }\nrules:\n  - text: ok\n";
    let body = "const out = await parallel(Array.from({length: 20}, (_, i) => () => agent('p' + i)));
        return out.filter(x => x !== null).length;";
    for limit in [json!({ "budget_cost_usd": 0.05 }), json!({ "budget_tokens": 50 }), json!({ "max_calls": 5 })] {
        let mut more = limit.clone();
        more["cache_policy"] = "disabled".into();
        let view = run(&place, &mut client, body, many, &more);
        assert_eq!((&view["output"], &view["gaps_total"]), (&json!(5), &json!(15)), "{limit} {view}");
        let rows = client.call("owf_calls", json!({ "status": ["budget_exhausted"] }));
        assert_eq!(rows["matched"], 15, "{limit}");
    }
}

#[test]
fn accept_029_and_030_children_share_the_books_and_nesting_ends_over_mcp() {
    let (place, mut client) = here();
    place.file("child.js", "export const meta = {name: 'child', description: 'c'};\nreturn await agent('child asks');");
    let body = "await workflow({scriptPath: 'child.js'}); return budget.spent();";
    let view = run(&place, &mut client, body, SIXTY, &json!({ "budget_tokens": 100 }));
    assert_eq!(view["output"], 60, "{view}");
    let runs = client.call("owf_list_runs", json!({ "children": true }));
    let child = runs["runs"].as_array().unwrap().iter().find(|r| r["workflow_name"] == "child").unwrap().clone();
    assert_eq!(child["parent_run_id"], view["run_id"]);
    let body = "return await workflow({scriptPath: 'w.js'});";
    let view = run(&place, &mut client, body, SIXTY, &json!({}));
    assert_eq!(view["status"], "failed", "{view}");
    assert!(view.to_string().contains("nest"), "the limit is named: {view}");
}

#[test]
fn accept_031_to_033_fan_outs_keep_their_order_and_their_failures_over_mcp() {
    let (place, mut client) = here();
    let slow = "rules:\n  - match: { prompt: 'p0' }\n    delay_ms: 40\n    text: 'a p0'\n  - delay_ms: 6\n    text: 'a {{ prompt }}'\n";
    let body = "return await owf.parallel(Array.from({length: 10}, (_, i) => () => agent('p' + i)), {concurrency: 3});";
    let view = run(&place, &mut client, body, slow, &json!({}));
    let expected: Vec<String> = (0..10).map(|i| format!("a p{i}")).collect();
    assert_eq!(view["output"], json!(expected), "{view}");
    let fast = "rules:\n  - match: { prompt: q1 }\n    delay_ms: 20\n    error: { class: bad_request, message: no }\n  - never: true\n";
    let body = "const out = await owf.parallel(Array.from({length: 6}, (_, i) => () => owf.agent('q' + i)), {concurrency: 3, failFast: true});
        return out.map(r => r.status ?? r);";
    let view = run(&place, &mut client, body, fast, &json!({}));
    let mut expected = vec!["cancelled"; 6];
    expected[1] = "provider_failed";
    assert_eq!(view["output"], json!(expected), "{view}");
    let body = "const out = await owf.parallel([() => owf.agent('a'), () => { throw new RangeError('thrown') }]);
        return out.map(r => [r.ok, r.status]);";
    let view = run(&place, &mut client, body, "rules:\n  - text: ok\n", &json!({}));
    assert_eq!(view["output"], json!([[true, "done"], [false, "failed"]]), "{view}");
}

#[test]
fn accept_034_pipelines_have_no_barrier_and_stop_on_error_over_mcp() {
    let (place, mut client) = here();
    let rules = "rules:\n  - match: { prompt: 'one i1' }\n    error: { class: bad_request, message: no }\n  - match: { prompt: 'one' }\n    delay_ms: 30\n    text: late\n  - text: ok\n";
    let body = "const out = await owf.pipeline(['i1', 'i2', 'i3', 'i4'], x => owf.agent('one ' + x), (y, x) => owf.agent('two ' + x), {stopOnError: true, concurrency: 2});
        return out.map(r => r.status);";
    let view = run(&place, &mut client, body, rules, &json!({}));
    assert_eq!(view["output"], json!(["provider_failed", "cancelled", "cancelled", "cancelled"]), "{view}");
}

#[test]
fn accept_040_every_call_has_one_reason_and_they_add_up_over_mcp() {
    let (place, mut client) = here();
    let body = "for (const p of args.list) await agent(p); return 1;";
    let answers = "rules:\n  - text: ok\n";
    run(&place, &mut client, body, answers, &json!({ "args": { "list": ["a", "b"] } }));
    run(&place, &mut client, body, answers, &json!({ "args": { "list": ["a", "b", "c", "c"] } }));
    let view = client.call("owf_explain_cache", json!({}));
    let rows = view["calls"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for word in ["replayed", "hit", "miss", "bypassed", "disabled"] {
        let n = rows.iter().filter(|row| row["cache_status"] == word).count();
        assert_eq!(view["counts"][word], n, "{word}: {view}");
    }
    assert!(rows.iter().all(|row| row["reason_code"].is_string() && row["reason"].is_string()), "{view}");
}

fn decoded(page: &Value) -> Vec<u8> {
    let text = page["content"].as_str().unwrap();
    if page["encoding"] == "utf-8" {
        return text.as_bytes().to_vec();
    }
    let digit =
        |c: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|d| *d == c);
    let mut out = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digits: Vec<usize> = group.iter().filter_map(|c| digit(*c)).collect();
        let bits = digits.iter().fold(0, |bits, d| bits << 6 | d) << (6 * (4 - digits.len()));
        out.extend(&[(bits >> 16) as u8, (bits >> 8) as u8, bits as u8][..digits.len() - 1]);
    }
    out
}

#[test]
fn accept_041_and_042_files_are_what_their_rows_say_and_pages_make_up_the_file_over_mcp() {
    let (place, mut client) = here();
    let body = "return (await agent('x', {label: 'x'})).repeat(40);";
    let view = run(&place, &mut client, body, "rules:\n  - text: 'grün 😀 \"'\n", &json!({}));
    let dir = std::path::PathBuf::from(view["run_dir"].as_str().unwrap());
    let bytes: Vec<u8> = (0..3_000_u32).map(|n| (n * 7 % 256) as u8).collect();
    std::fs::write(dir.join("binary.bin"), &bytes).unwrap();
    let listed = client.call("owf_artifacts", json!({}));
    let rows = listed["artifacts"].as_array().unwrap();
    assert_eq!(listed["artifacts_total"], rows.len());
    for row in rows {
        let path = row["path"].as_str().unwrap();
        let whole = std::fs::read(dir.join(path)).unwrap();
        if path == "runner.log" {
            continue;
        }
        let hash = Sha256::digest(&whole).iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
        assert_eq!((&row["size_bytes"], &row["sha256"]), (&json!(whole.len()), &json!(hash)), "{path}");
        let mut pages = Vec::new();
        let mut next = Some(0);
        while let Some(offset) = next {
            let page = client.call("owf_read_artifact", json!({ "path": path, "offset": offset, "max_bytes": 701 }));
            let bytes = decoded(&page);
            assert_eq!((&page["returned_bytes"], &page["offset"]), (&json!(bytes.len()), &json!(offset)), "{path}");
            next = page["next_offset"].as_u64();
            assert_eq!(page["truncated"], next.is_some(), "{path}");
            pages.extend(bytes);
        }
        assert!(pages == whole, "{path}: pages make up the file");
    }
    let end = client.call("owf_read_artifact", json!({ "path": "binary.bin", "offset": -10 }));
    assert_eq!(decoded(&end), bytes[2_990..]);
    let past = client.call("owf_read_artifact", json!({ "path": "binary.bin", "offset": 9_000 }));
    assert_eq!((&past["returned_bytes"], &past["truncated"]), (&json!(0), &json!(false)));
}

#[test]
fn accept_043_nothing_but_files_of_the_run_is_read_over_mcp() {
    let (place, mut client) = here();
    let view = run(&place, &mut client, "return 1;", "rules:\n  - text: ok\n", &json!({}));
    let dir = std::path::PathBuf::from(view["run_dir"].as_str().unwrap());
    let secret = place.file("secret.txt", "the secret");
    std::os::unix::fs::symlink(&secret, dir.join("link.txt")).unwrap();
    std::os::unix::fs::symlink(place.path(), dir.join("out")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap().success());
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    let absolute = secret.to_str().unwrap();
    for path in [
        "../x",
        "../../../secret.txt",
        absolute,
        "link.txt",
        "out/secret.txt",
        "%2e%2e/x",
        "a\u{0}b",
        "sub",
        ".",
        "",
        "pipe",
        "sub/../output.json",
        "/etc/passwd",
        "..\\x",
    ] {
        let refused = client.refused("owf_read_artifact", json!({ "path": path }));
        let code = refused["error"]["code"].as_str().unwrap();
        assert!(["path_refused", "not_found"].contains(&code), "{path:?}: {refused}");
        assert!(!refused.to_string().contains("the secret"), "{path:?}");
    }
}

#[test]
fn accept_044_new_workflows_are_written_below_the_root_only_over_mcp() {
    let (place, mut client) = here();
    let mut refused = |ask: Value| client.refused("owf_new_workflow", ask)["error"]["code"].clone();
    let outside = place.path().join("../owf-outside.js");
    assert_eq!(refused(json!({ "output_path": "../x.js" })), "path_refused");
    assert_eq!(refused(json!({ "output_path": outside })), "path_refused");
    // Naming another root is no way out, and force replaces nothing but workflows.
    let elsewhere = tempfile::tempdir().unwrap();
    for root in [json!("/"), json!(elsewhere.path())] {
        assert_eq!(refused(json!({ "output_path": "x.js", "workspace_root": root })), "path_refused");
    }
    assert!(!elsewhere.path().join("x.js").exists());
    assert_eq!(refused(json!({ "output_path": "home/workflow.sqlite", "force": true })), "invalid_arguments");
    assert_eq!(refused(json!({ "output_path": "x.js", "template_name": "helo" })), "not_found");
    place.file("mine.js", "mine");
    assert_eq!(refused(json!({ "output_path": "mine.js" })), "exists");
    client.call("owf_new_workflow", json!({ "output_path": "mine.js", "force": true }));
    let free = tempfile::tempdir().unwrap();
    let path = free.path().join("free.js");
    client.call("owf_new_workflow", json!({ "output_path": path, "allow_absolute": true }));
    assert!(path.is_file());
    assert_eq!(client.call("owf_validate_workflow", json!({ "path": "mine.js" }))["ok"], true);
}

#[test]
fn a_pipe_named_as_a_file_is_refused_instead_of_waited_for() {
    let (place, mut client) = here();
    let pipe = place.path().join("pipe.js");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    place.file("w.js", "export const meta = {name: 'w', description: 'd'};\nreturn 1;");
    for ask in [json!({ "path": "pipe.js" }), json!({ "path": "w.js", "fixtures": "pipe.js" })] {
        let error = client.refused("owf_run_workflow", ask.clone())["error"].clone();
        assert_eq!(error["code"], "invalid_arguments", "{error}");
        assert!(error["message"].as_str().unwrap().ends_with("it is no regular file"), "{error}");
        assert_eq!(client.refused("owf_dry_run", ask)["error"]["code"], "invalid_arguments");
    }
    place.file(
        "parent.js",
        "export const meta = {name: 'p', description: 'd'};\nreturn await workflow({scriptPath: '/dev/zero'});",
    );
    let view = client.call("owf_run_workflow", json!({ "path": "parent.js" }));
    let message = view["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("/dev/zero") && message.contains("no regular file"), "{view}");
}
