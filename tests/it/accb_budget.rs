//! Acceptance 26 to 30: budgets of tokens, cost and calls; child workflows in the same books; the limit of nesting.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::support::cli::Place;

/// Runs `body` against `fixtures`; the RunView that `--json` printed, and the exit code.
fn run(place: &Place, body: &str, fixtures: &str, flags: &[&str]) -> (Value, i32) {
    place.file("w.js", &format!("export const meta = {{name: 'w', description: 'd'}};\n{body}"));
    place.file("f.yaml", &format!("owf_fixtures: 1\ninvocation_log: calls.jsonl\n{fixtures}"));
    let mut args = vec!["run", "w.js", "--fixtures", "f.yaml", "--json"];
    args.extend(flags);
    let printed = place.owf(&args);
    (printed.json(), printed.code)
}

fn calls(place: &Place) -> Vec<Value> {
    let rows = place.json(&["calls", "--json"])["calls"].clone();
    rows.as_array().unwrap().clone()
}

const SIXTY: &str = "defaults: { usage: { input_tokens: 1, output_tokens: 60 } }\nrules:\n  - text: ok\n";

#[test]
fn accept_026_a_token_budget_of_100_starts_two_calls_of_60_one_after_another_and_refuses_the_third() {
    let place = Place::new();
    let body = "const out = [];
        for (let i = 0; i < 3; i++) out.push(await owf.agent('call ' + i));
        return {statuses: out.map(r => r.status), spent: budget.spent(), left: budget.remaining(), total: budget.total};";
    let (view, code) = run(&place, body, SIXTY, &["--budget-tokens", "100"]);
    assert_eq!(code, 0, "{view}");
    let expected = json!({"statuses": ["done", "done", "budget_exhausted"], "spent": 120, "left": 0, "total": 100});
    assert_eq!(view["output"], expected, "never more than the budget and one call");
    assert_eq!(place.log("calls.jsonl").len(), 2);
    assert_eq!(view["budget"], json!({"tokens": {"limit": 100, "spent": 120, "reserved": 0}}));
    assert_eq!((&view["gaps_total"], &view["gaps"][0]["status"]), (&json!(1), &json!("budget_exhausted")));
    assert!(view["next"].as_str().unwrap().contains("budget_tokens"), "{}", view["next"]);
}

#[test]
fn accept_026_of_two_calls_at_once_the_second_is_refused() {
    let place = Place::new();
    let body = "const out = await Promise.all([owf.agent('a'), owf.agent('b')]);
        return out.map(r => [r.status, r.ok]);";
    let (view, code) = run(&place, body, SIXTY, &["--budget-tokens", "100"]);
    assert_eq!((&view["output"], code), (&json!([["done", true], ["budget_exhausted", false]]), 0), "{view}");
    assert_eq!(place.log("calls.jsonl").len(), 1);
}

#[test]
fn accept_026_a_plain_agent_throws_outside_a_fan_out_and_the_run_says_which_limit() {
    let place = Place::new();
    let body = "for (let i = 0; i < 3; i++) await agent('call ' + i); return 'unreached';";
    let (view, code) = run(&place, body, SIXTY, &["--budget-tokens", "100"]);
    let seen = (&view["status"], &view["error"]["code"], code);
    assert_eq!(seen, (&json!("failed"), &json!("budget_exhausted"), 1), "{view}");
    let message = view["error"]["message"].as_str().unwrap();
    assert!(message.contains("token budget 100: 120 spent"), "{message}");
    let again = place.owf(&["resume", "--budget-tokens", "200", "--json"]);
    let view = again.json();
    assert_eq!((&view["output"], again.code), (&json!("unreached"), 0), "a higher total goes on: {view}");
    assert_eq!(place.log("calls.jsonl").len(), 3, "what was paid for is reused");
}

#[test]
fn accept_027_a_cost_budget_of_a_cent_refuses_the_second_call_of_six_tenths() {
    let place = Place::new();
    let fixtures = "defaults: { cost_usd: 0.006 }\nrules:\n  - text: ok\n";
    let body = "const out = []; for (let i = 0; i < 2; i++) out.push((await owf.agent('c' + i)).status); return out;";
    let (view, code) = run(&place, body, fixtures, &["--budget-cost-usd", "0.01"]);
    assert_eq!((&view["output"], code), (&json!(["done", "budget_exhausted"]), 0), "{view}");
    assert_eq!(view["budget"], json!({"cost_usd": {"limit": 0.01, "spent": 0.006, "reserved": 0}}));
    assert_eq!(view["usage"]["cost_usd"], json!(0.006));
    let message = view["gaps"][0]["message"].as_str().unwrap();
    assert_eq!(message, "cost budget 0.01 USD: 0.006 spent or reserved, the call needs up to 0.006, 0.004 left");
    assert_eq!(place.log("calls.jsonl").len(), 1);
}

#[test]
fn accept_028_of_twenty_parallel_calls_and_room_for_five_five_execute() {
    let fixtures = "defaults: { cost_usd: 0.01, delay_ms: 5, usage: { output_tokens: 10 } }\nrules:\n  - text: ok\n";
    for limit in [["--budget-cost-usd", "0.05"], ["--budget-tokens", "50"], ["--max-calls", "5"]] {
        let place = Place::new();
        let body = "const out = await parallel(Array.from({length: 20}, (_, i) => () => agent('p' + i)));
            return out.filter(x => x !== null).length;";
        let (view, code) = run(&place, body, fixtures, &limit);
        assert_eq!((&view["output"], code), (&json!(5), 0), "{limit:?} {view}");
        assert_eq!(place.log("calls.jsonl").len(), 5, "{limit:?}");
        assert_eq!(view["gaps_total"], json!(15), "{limit:?}");
        let refused = calls(&place).iter().filter(|c| c["status"] == "budget_exhausted").count();
        assert_eq!(refused, 15, "{limit:?}");
    }
}

const CHILD: &str = "export const meta = {name: 'child', description: 'c'};
    const a = await agent('child asks ' + (args?.n ?? 0));
    return {a, spent: budget.spent()};";

#[test]
fn accept_029_a_childs_spend_counts_on_its_parents_budget_and_its_run_names_the_parent() {
    let place = Place::new();
    place.file("child.js", CHILD);
    let body = "const before = budget.spent();
        const first = await workflow({scriptPath: 'child.js'}, {n: 1});
        const between = budget.spent();
        await agent('own');
        const r = await owf.agent('one too many');
        return {before, first, between, after: budget.spent(), last: r.status};";
    let (view, code) = run(&place, body, SIXTY, &["--budget-tokens", "100"]);
    let expected = json!({
        "before": 0, "first": {"a": "ok", "spent": 60}, "between": 60, "after": 120, "last": "budget_exhausted"
    });
    assert_eq!((&view["output"], code), (&expected, 0), "{view}");
    assert_eq!(view["budget"]["tokens"], json!({"limit": 100, "spent": 120, "reserved": 0}));
    assert_eq!(view["usage"]["output_tokens"], json!(120), "the child's tokens are the tree's");
    let runs = place.json(&["runs", "--children", "--json"]);
    let child = runs["runs"].as_array().unwrap().iter().find(|r| r["workflow_name"] == "child").unwrap().clone();
    assert_eq!(child["parent_run_id"], view["run_id"]);
    let rows = calls(&place);
    let call = rows.iter().find(|c| c["kind"] == "workflow").unwrap();
    assert_eq!((&call["child_run_id"], &call["status"]), (&child["run_id"], &json!("done")));
    let status = place.json(&["status", child["run_id"].as_str().unwrap(), "--json"]);
    assert_eq!((&status["parent_run_id"], &status["status"]), (&view["run_id"], &json!("done")));
    assert_eq!(place.json(&["runs", "--json"])["total"], json!(1), "children are not listed by themselves");
}

#[test]
fn accept_029_a_parallel_child_is_refused_what_its_parent_has_reserved() {
    let place = Place::new();
    place.file(
        "child.js",
        "export const meta = {name: 'child', description: 'c'};
         return (await parallel(Array.from({length: 10}, (_, i) => () => agent('k' + i)))).filter(x => x !== null).length;",
    );
    let fixtures = "defaults: { cost_usd: 0.01, delay_ms: 5 }\nrules:\n  - text: ok\n";
    let body = "const [n, own] = await Promise.all([
            workflow({scriptPath: 'child.js'}),
            parallel(Array.from({length: 10}, (_, i) => () => agent('p' + i))),
        ]);
        return n + own.filter(x => x !== null).length;";
    let (view, code) = run(&place, body, fixtures, &["--budget-cost-usd", "0.06"]);
    assert_eq!((&view["output"], code), (&json!(6), 0), "{view}");
    assert_eq!(place.log("calls.jsonl").len(), 6);
    assert_eq!(view["budget"]["cost_usd"], json!({"limit": 0.06, "spent": 0.06, "reserved": 0}));
}

#[test]
fn accept_030_nesting_beyond_the_limit_fails_the_innermost_run_with_the_limit_named() {
    let place = Place::new();
    place.file("inner.js", "export const meta = {name: 'inner', description: 'i'};\nreturn 1;");
    place.file(
        "child.js",
        "export const meta = {name: 'child', description: 'c'};\nreturn await workflow({scriptPath: 'inner.js'});",
    );
    let body = "try { return await workflow({scriptPath: 'child.js'}) } catch (e) { return e.message }";
    let (view, code) = run(&place, body, "rules: []\n", &[]);
    assert_eq!(code, 0, "{view}");
    assert!(view["output"].as_str().unwrap().contains("1 deep"), "{view}");
    let runs = place.json(&["runs", "--children", "--json"]);
    let child = runs["runs"].as_array().unwrap().iter().find(|r| r["workflow_name"] == "child").unwrap().clone();
    assert_eq!((&child["status"], runs["runs"].as_array().unwrap().len()), (&json!("failed"), 2));
    let status = place.json(&["status", child["run_id"].as_str().unwrap(), "--json"]);
    assert!(status["error"]["message"].as_str().unwrap().contains("1 deep"), "{status}");
}
