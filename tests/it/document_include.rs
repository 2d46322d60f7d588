//! Documents that include others: agents and tasks under a prefix, pinned as a whole.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::front::script::Origin;
use serde_json::{Value, json};

use crate::document_support::Paper;
use crate::support::cli::Place;

const PART: &str = "name: part
agents: {poet: {role: a poet}}
tasks:
  write: {agent: poet, prompt: 'Write about {{ input.topic }}.'}
  better: {after: write, agent: editor, prompt: 'Improve {{ tasks.write }}'}
";

const WHOLE: &str = "name: whole
include: {sea: parts/part.yaml}
agents: {editor: {role: an editor}}
tasks:
  end: {after: sea_better, prompt: 'End {{ tasks.sea_better }}'}
result: ['{{ tasks.sea_write }}', '{{ tasks.end }}']
";

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

#[test]
fn an_included_document_gives_its_tasks_and_agents_under_a_prefix() {
    let paper = Paper::answered(WHOLE, ECHO);
    paper.desk.place.file("parts/part.yaml", PART);
    let view = paper.run_args(json!({"topic": "salt"}));
    assert_eq!(view["status"], "done", "{view}");
    assert_eq!(paper.output(), json!(["<Write about salt.>", "<End <Improve <Write about salt.>>>"]));
    assert_eq!(paper.desk.labels(), ["sea_write", "sea_better", "end"]);
    // What was included is pinned: the file may change or go.
    std::fs::remove_file(paper.desk.place.path().join("parts/part.yaml")).unwrap();
    assert_eq!(paper.desk.resume(owf::engine::params::ResumeParams::default())["status"], "done");
    assert_eq!(paper.desk.invocations(), 3);
}

#[test]
fn what_is_wrong_in_an_included_document_is_found_there() {
    let paper = Paper::new(WHOLE);
    let path = paper.desk.place.path().join("flow.yaml");
    let found = |part: Option<&str>| {
        if let Some(part) = part {
            paper.desk.place.file("parts/part.yaml", part);
        }
        let checked = owf::front::document::check(WHOLE.as_bytes(), &Origin::File(path.clone()));
        checked.diagnostics.into_iter().map(|d| (d.file.unwrap(), d.line, d.code, d.message)).collect::<Vec<_>>()
    };
    let missing = found(None);
    assert_eq!((missing[0].1, missing[0].2.as_str()), (2, "include"));
    let part = paper.desk.place.path().join("parts/part.yaml");
    let message =
        format!("there is no file {}: a path of `include` starts from the directory of this document", part.display());
    assert_eq!(missing[0].3, message);
    let broken = found(Some(
        "name: part\nsteps: []\ntasks:\n  write: {prompt: '{{ tasks.end }}'}\n  better: {prompt: hi, after: writ}\n",
    ));
    let rows: Vec<(&str, u32, &str)> = broken.iter().map(|d| (d.0.as_str(), d.1, d.2.as_str())).collect();
    assert_eq!(
        rows,
        [
            ("parts/part.yaml", 2, "include"),
            ("parts/part.yaml", 4, "unknown_task"),
            ("parts/part.yaml", 5, "unknown_task"),
        ]
    );
}

#[test]
fn what_an_included_document_names_and_is_not_here_is_warned_of_in_its_file() {
    let place = Place::new();
    place.file("whole.yaml", "name: whole\ninclude: {sea: parts/part.yaml}\ntasks:\n  end: {prompt: hi}\n");
    let part = "name: part\nagents:\n  poet: {provider: nobody}\ntasks:\n  write: {agent: poet, prompt: hi}\n  keep: {tool: nothing}\n";
    place.file("parts/part.yaml", part);
    let view = place.json(&["validate", "whole.yaml", "--json"]);
    let found: Vec<Value> = { view["diagnostics"].as_array().unwrap().iter() }
        .map(|d| json!([d["file"], d["line"], d["column"], d["excerpt"]]))
        .collect();
    assert_eq!(
        found,
        [
            json!(["parts/part.yaml", 3, 20, "  poet: {provider: nobody}"]),
            json!(["parts/part.yaml", 6, 16, "  keep: {tool: nothing}"]),
        ]
    );
}

#[test]
fn the_error_of_a_task_that_was_included_names_its_file_and_line() {
    let paper = Paper::new("name: whole\ninclude: {sea: parts/part.yaml}\ntasks:\n  end: {expr: 1 + 1}\n");
    paper.desk.place.file("parts/part.yaml", "name: part\ntasks:\n  write: {expr: input.topic.gone}\n");
    let view = paper.run_args(json!({"topic": {}}));
    assert_eq!(view["error"]["excerpt"], "parts/part.yaml:3: write: {expr: input.topic.gone}");
}
