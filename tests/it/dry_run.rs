//! Rehearsals through the real binary: nothing is recorded, earlier runs are compared with, exit codes.

use serde_json::json;

use crate::support::cli::Place;

const SCRIPT: &str = "export const meta = { name: 'two', description: 'Two calls.' }
const a = await agent('First.', { label: 'first' })
return await agent(`Second after ${a}`, { label: 'second' })
";

#[test]
fn a_dry_run_leaves_no_home_behind() {
    let place = Place::new();
    let printed = place.owf(&["dry-run", "hello", "--json"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let view = printed.json();
    assert_eq!(view["outcome"], "completed");
    assert_eq!((&view["calls_total"], &view["sites_reached"]), (&json!(1), &json!(1)));
    assert!(!place.home().exists());
}

#[test]
fn a_script_that_throws_exits_with_1_and_names_the_line() {
    let place = Place::new();
    place.file("w.js", "export const meta = { name: 'w', description: 'Throws.' }\nthrow new Error('no')\n");
    let printed = place.owf(&["dry-run", "w.js", "--json"]);
    let view = printed.json();
    assert_eq!((printed.code, &view["outcome"]), (1, &json!("stopped_before_calls")));
    assert_eq!((&view["error"]["line"], &view["error"]["message"]), (&json!(2), &json!("no")));
}

#[test]
fn a_finished_run_is_reused_and_an_edited_call_runs_again() {
    let place = Place::new();
    place.file("w.js", SCRIPT);
    assert_eq!(place.owf(&["run", "w.js", "--no-input"]).code, 0);
    let same = place.owf(&["dry-run", "w.js", "--against", "latest", "--json"]).json();
    assert_eq!((&same["reuse"]["replayed"], &same["reuse"]["rerun"]), (&json!(2), &json!(0)));
    place.file("w.js", &SCRIPT.replace("Second after", "Second, after"));
    let edited = place.owf(&["dry-run", "w.js", "--against", "latest", "--json"]).json();
    assert_eq!(
        edited["reuse"]["rerun_calls"],
        json!([{"label": "second", "reason_code": "changed", "changed": ["prompt"]}])
    );
    assert_eq!(place.owf(&["runs", "--json"]).json()["total"], 1);
}
