//! Documents that cannot run: every finding at once, each with its line and column, before anything is asked.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::failure::Code;
use serde_json::json;

use crate::document_support::{Paper, check, codes, found};

fn one(text: &str) -> (u32, u32, String, String) {
    let all = found(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

fn finding(line: u32, column: u32, code: &str, message: &str) -> (u32, u32, String, String) {
    (line, column, code.to_owned(), message.to_owned())
}

#[test]
fn accept_058_wrong_edges_are_found_where_they_stand() {
    let text = "name: x\ntasks:\n  a: {prompt: hi, after: [b, gone]}\n  b: {prompt: hi, after: a}\n  c: {prompt: hi, after: c}\n";
    assert_eq!(
        found(text),
        [
            finding(3, 3, "cycle", "the tasks wait for each other: b -> a -> b"),
            finding(3, 30, "unknown_task", "there is no task `gone`"),
            finding(5, 26, "self_dependency", "`c` cannot come after itself"),
        ]
    );
    let twice = "name: x\ntasks:\n  a: {prompt: hi}\n  a: {prompt: ho}\n";
    let (line, _, code, message) = one(twice);
    assert_eq!((line, code.as_str()), (4, "syntax"), "{message}");
    let steps = "name: x\nsteps:\n  - {id: a, prompt: hi}\n  - {id: a, prompt: ho}\n";
    assert_eq!(one(steps), finding(4, 6, "duplicate_id", "the id `a` is there already, in line 3"));
}

#[test]
fn accept_058_a_json_document_has_lines_too() {
    let text = "{\n  \"name\": \"x\",\n  \"tasks\": {\n    \"a\": {\"prompt\": \"hi\", \"after\": \"b\"}\n  }\n}\n";
    assert_eq!(one(text), finding(4, 36, "unknown_task", "there is no task `b`"));
}

#[test]
fn accept_062_references_that_lead_nowhere_are_found_and_nothing_is_asked() {
    let text = "name: x
inputs: {properties: {topic: {type: string}}}
tasks:
  a: {prompt: 'about {{ input.topik }}'}
  b: {prompt: 'after {{ tasks.a }}'}
  c:
    after: a
    prompt: |
      first
      {{ tasks.first }} and {{ task.a }}
  d: {after: c, prompt: '{{ tasks.a }} is reached through c'}
";
    assert_eq!(
        found(text),
        [
            finding(4, 25, "unknown_input", "`inputs` declares no `topik`; did you mean `topic`?"),
            finding(5, 25, "undeclared_dependency", "`b` does not come after `a`: add it to `after`"),
            finding(10, 10, "unknown_task", "there is no task `first`"),
            finding(10, 32, "unknown_name", "there is no `task` here; did you mean `tasks`?"),
        ]
    );
    let paper = Paper::new(text);
    assert_eq!(paper.start(None).unwrap_err().code, Code::InvalidWorkflow);
    assert_eq!(paper.desk.engine.list_runs(&owf::engine::params::ListRunsParams::default()).unwrap().runs.len(), 0);
}

#[test]
fn accept_103_a_step_cannot_read_what_has_no_result_yet() {
    let text = "name: x\nsteps:\n  - {id: a, prompt: '{{ tasks.b }}'}\n  - {id: b, prompt: '{{ tasks.b }}'}\n";
    assert_eq!(
        found(text),
        [
            finding(3, 25, "undeclared_dependency", "`b` comes after `a`, so it has no result yet"),
            finding(4, 25, "undeclared_dependency", "`b` has no result yet while it is being asked"),
        ]
    );
}

#[test]
fn accept_063_inputs_are_checked_before_a_run_exists() {
    let declared = Paper::new(
        "name: x\ninputs:\n  required: [topic]\n  properties:\n    topic: {type: string}\n    n: {type: integer, default: 3}\ntasks:\n  a: {expr: 'input.topic ~ input.n'}\n",
    );
    let failure = declared.start(Some(json!({"topic": 1, "n": "x"}))).unwrap_err();
    assert_eq!(failure.code, Code::InvalidArguments);
    assert_eq!(failure.extra["errors"].as_array().unwrap().len(), 2, "{failure:?}");
    let failure = declared.start(None).unwrap_err();
    assert!(failure.message.contains("topic"), "{failure}");
    declared.run_args(json!({"topic": "t"}));
    assert_eq!(declared.output(), json!("t3"));
    declared.run_args(json!({"topic": "t", "n": 4}));
    assert_eq!(declared.output(), json!("t4"), "a default is for what was not given");

    let undeclared = Paper::new(
        "name: x\ntasks:\n  a: {prompt: 'about {{ input.topic }} {{ input.style | default(\"plain\") }}'}\n",
    );
    let failure = undeclared.start(None).unwrap_err();
    assert_eq!(failure.message, "1 argument is wrong: /args input `topic` is missing: task `a` needs it");
    assert_eq!(
        undeclared.desk.engine.list_runs(&owf::engine::params::ListRunsParams::default()).unwrap().runs.len(),
        0
    );
    undeclared.run_args(json!({"topic": null}));
    assert_eq!(undeclared.prompts(), ["about null plain"], "null is a value, a missing input is not");
}

#[test]
fn accept_074_and_081_loops_and_ways_back_need_a_bound() {
    let text = "name: x
steps:
  - {id: a, prompt: hi, max_iterations: 5}
  - {id: b, prompt: hi, until: output == 'x'}
  - id: c
    prompt: hi
    routes: {again: a, on: d, gone: nowhere, stop: END}
  - {id: d, prompt: hi}
  - {id: e, prompt: hi, routes: {x: END}}
  - {id: f, prompt: hi}
";
    assert_eq!(
        codes(text),
        [
            (3, "no_condition".to_owned()),
            (4, "no_limit".to_owned()),
            (7, "backward_route".to_owned()),
            (7, "unknown_task".to_owned()),
            (10, "unreachable".to_owned()),
        ]
    );
}

#[test]
fn accept_080_a_retry_without_a_list_is_warned_about() {
    let checked = check("name: x\ntasks:\n  a: {prompt: hi, retry: {max_attempts: 3}}\n");
    assert_eq!(
        checked.diagnostics.iter().map(|d| (d.severity.as_str(), d.code.as_str())).collect::<Vec<_>>(),
        [("warning", "retry_all")]
    );
    assert!(checked.script.is_some());
}

#[test]
fn a_field_that_is_none_is_refused_with_the_fields_there_are() {
    let text = "name: x
tools: {}
secrets: []
tasks:
  a: {prompt: hi, undo: k, retry: {attempts: 2}}
  c: {prompt: hi, turns: [], timeuot: 3}
";
    let all: Vec<_> = check(text)
        .diagnostics
        .into_iter()
        .map(|d| (d.line, d.column, d.message, d.hint.unwrap_or_default()))
        .collect();
    let message = |name: &str| format!("there is no field `{name}` here");
    let said: Vec<(u32, u32, String)> =
        all.iter().map(|(line, column, text, _)| (*line, *column, text.clone())).collect();
    assert_eq!(
        said,
        [
            (2, 1, message("tools")),
            (3, 1, message("secrets")),
            (5, 19, message("undo")),
            (5, 28, "`retry` needs `max_attempts`".to_owned()),
            (5, 36, message("attempts")),
            (6, 19, message("turns")),
            (6, 30, format!("{}; did you mean `timeout`?", message("timeuot"))),
        ]
    );
    assert!(all[0].3.starts_with("fields here: $schema, name, description, version, inputs, mode, state"), "{all:?}");
    assert!(all[5].3.contains(", idempotency_key, "), "{all:?}");
}

#[test]
fn the_form_is_checked_by_the_schema_with_all_errors_at_once() {
    let text = "nam: x
on_failure: explode
concurrency: 0
tasks:
  a: {promt: hi, after: {b: 1}}
  b: {prompt: 3, retry: {delay: soon}}
";
    assert_eq!(
        found(text),
        [
            finding(1, 1, "missing_field", "the document needs `name`"),
            finding(1, 1, "unknown_field", "there is no field `nam` here; did you mean `name`?"),
            finding(
                2,
                13,
                "wrong_value",
                "`on_failure` must be one of continue_independent, fail_fast, best_effort, not \"explode\""
            ),
            finding(3, 14, "wrong_value", "`concurrency` must be at least 1"),
            finding(5, 7, "unknown_field", "there is no field `promt` here; did you mean `prompt`?"),
            finding(5, 25, "wrong_type", "`after` must be a text or a list, not a map"),
            finding(6, 15, "wrong_type", "`prompt` must be a text, not a number"),
            finding(6, 18, "missing_field", "`retry` needs `max_attempts`"),
            finding(6, 33, "wrong_value", "`delay` must be a span of time such as 500ms, 90s or 2h, not \"soon\""),
        ]
    );
}

#[test]
fn a_text_that_explodes_is_stopped() {
    let mut laughs = String::from("name: x\nmetadata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = level - 1;
        let list = vec![format!("*a{below}"); 10].join(", ");
        laughs.push_str(&format!("  a{level}: &a{level} [{list}]\n"));
    }
    assert_eq!(one(&laughs).2, "syntax");
    let deep = format!("name: x\nmetadata: {}1{}\n", "[".repeat(150), "]".repeat(150));
    assert!(!found(&deep).is_empty());
    let deeper = format!("{{\"name\": \"x\", \"metadata\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!found(&deeper).is_empty());
    assert_eq!(one("name: x\nname: y\n").2, "syntax");
    assert_eq!(codes("name: x\ntasks: {a: {expr: 1}}\nconcurrency: yes\n"), [(3, "wrong_type".to_owned())]);
}

#[test]
fn what_a_template_may_not_do_is_refused() {
    for (template, part) in [
        ("{% include 'x' %}", "stands alone"),
        ("{% macro m() %}{% endmacro %}", "macros"),
        ("{{ lipsum() }}", "no function `lipsum`"),
        ("{{ tasks }}", "followed by the id"),
        ("{{ input.a | defualt(1) }}", "did you mean `default`?"),
        ("{{ input.a is defnd }}", "no test `defnd`"),
        ("{{ input.a", "syntax error"),
        ("{{ item }}", "only in a task with `for_each`"),
        ("{{ loop.iteration }}", "only in a task with `until`"),
        ("{{ run.time }}", "`run` has id, mode, workflow"),
        ("{{ state.k }}", "nothing writes `state.k`"),
    ] {
        let text = format!("name: x\ntasks:\n  a: {{prompt: \"{template}\"}}\n");
        let (line, _, _, message) = one(&text);
        assert!(line == 3 && message.contains(part), "{template}: {message}");
    }
    let (_, _, _, message) = one("name: x\ntasks:\n  a: {expr: 1}\n  b: {after: a, prompt: '{{ tasks.a.name }}'}\n");
    assert!(message.starts_with("`tasks.a.name` is no part of a task: use `tasks.a.data.name`"), "{message}");
}

#[test]
fn nothing_is_accepted_that_would_have_no_effect() {
    let text = "name: x
tasks:
  a: {prompt: hi, routes: {}}
  b: {prompt: hi, timeout: 0}
  c: {prompt: hi, skip_dependents: true}
  d: {prompt: hi, read_scope: ../up, write_scope: [ok, /abs]}
  e: {prompt: hi, max_visits: 3}
  f: {expr: 1,    cleanup: tidy}
  g: {approval: q, cleanup: tidy}
";
    let in_workspace =
        |key: &str, path: &str| format!("`{key}` holds relative paths without `..` in the workspace, not `{path}`");
    assert_eq!(
        found(text),
        [
            finding(3, 19, "wrong_value", "`routes` must not be empty"),
            finding(4, 19, "wrong_value", "`timeout` must be more than 0"),
            finding(5, 19, "misplaced", "`skip_dependents` needs `when` or `outcome`: nothing else skips a task"),
            finding(6, 19, "bad_path", &in_workspace("read_scope", "../up")),
            finding(6, 38, "bad_path", &in_workspace("write_scope", "/abs")),
            finding(7, 19, "no_way_back", "nothing leads back to `e`: `max_visits` has no effect"),
            finding(8, 19, "misplaced", "`cleanup` belongs to a task with a `prompt`, `run`, `tool` or `workflow`"),
            finding(9, 20, "misplaced", "`cleanup` belongs to a task with a `prompt`, `run`, `tool` or `workflow`"),
        ]
    );
    let empty = "name: x\ntasks:\n  a: {prompt: ''}\n  b: {tool: ''}\n  c: {workflow: ''}\n  d: {run: []}\n  e: {run: [x], secrets: []}\n";
    let names: Vec<String> = found(empty).into_iter().map(|(_, _, _, message)| message).collect();
    let not_empty = |name: &str| format!("`{name}` must not be empty");
    assert_eq!(names, ["prompt", "tool", "workflow", "run", "secrets"].map(not_empty));
}

#[test]
fn words_of_a_schema_that_mean_nothing_are_warned_of_and_a_wrong_type_is_found_where_it_stands() {
    let text = "name: x
inputs:
  properties:
    a: {type: strng}
    b: {type: string, minLenght: 3}
  requires: [a]
state: {schema: {propertes: {n: {type: integer}}}}
tasks:
  a:
    prompt: hi
    schema: {type: object, properties: {minLenght: {type: array, items: {enums: [1]}}}, x-note: mine}
";
    let nothing = |word: &str, meant: &str| {
        format!("`{word}` is no word of JSON Schema and means nothing here; did you mean `{meant}`?")
    };
    let types = "`type` is one of string, number, integer, boolean, object, array, null, or a list of them, not \"strng\"; did you mean `string`?";
    assert_eq!(
        found(text),
        [
            finding(4, 9, "bad_schema", types),
            finding(5, 23, "schema_word", &nothing("minLenght", "minLength")),
            finding(6, 3, "schema_word", &nothing("requires", "required")),
            finding(7, 18, "schema_word", &nothing("propertes", "properties")),
            finding(11, 74, "schema_word", &nothing("enums", "enum")),
        ]
    );
}

#[test]
fn templates_where_none_are_expanded_are_warned_of() {
    let text = "name: x
agents:
  a: {role: '{{ input.who }}', system_prompt: 'Be {% if x %}brief{% endif %}.'}
  b: {role: a poet, system_prompt: 'Braces such as } or { are as good as any.'}
tasks:
  t: {agent: a, prompt: hi}
";
    let as_it_stands = |key: &str| {
        format!(
            "`{key}` of the agent `a` is used as it stands, braces and all: templates belong to the texts of tasks, such as `prompt`"
        )
    };
    assert_eq!(
        found(text),
        [
            finding(3, 7, "no_template", &as_it_stands("role")),
            finding(3, 32, "no_template", &as_it_stands("system_prompt")),
        ]
    );
}

#[test]
fn what_is_said_once_of_a_list_cannot_speak_of_its_items() {
    let text = "name: x\ntasks:\n  a: {for_each: '[1, 2]', when: item > 1, prompt: '{{ item }}'}\n";
    let message = "`item` is there only in what is done for each item; this is said once, of the whole task: to leave items out, filter the list of `for_each`";
    assert_eq!(one(text), finding(3, 33, "no_item", message));
}

#[test]
fn a_file_with_two_documents_says_so_in_words_of_its_own() {
    let text = "name: x\ntasks:\n  a: {prompt: hi}\n---\nname: y\n";
    let message = "a file holds one document: what stands behind `---` belongs into a file of its own";
    assert_eq!(one(text), finding(5, 1, "syntax", message));
}

#[test]
fn a_field_of_another_place_or_another_system_is_told_where_it_belongs() {
    let text = "name: x
retry: {max_attempts: 2}
nodes: 1
tasks:
  a: {prompt: hi, model: m, concurrency: 2, requires_approval: true, over: x, colour: red}
";
    let no = |name: &str, more: &str| format!("there is no field `{name}` here{more}");
    assert_eq!(
        found(text),
        [
            finding(2, 1, "unknown_field", &no("retry", "; for all tasks it stands in `defaults`")),
            finding(3, 1, "unknown_field", &no("nodes", "; did you mean `tasks`?")),
            finding(
                5,
                19,
                "unknown_field",
                &no("model", "; it is said of an agent: `agents: {NAME: {model: ...}}`, and `agent: NAME` here")
            ),
            finding(5, 29, "unknown_field", &no("concurrency", "; it stands at the top of the document")),
            finding(5, 45, "unknown_field", &no("requires_approval", "; did you mean `approval`?")),
            finding(5, 70, "unknown_field", &no("over", "; did you mean `for_each`?")),
            finding(5, 79, "unknown_field", &no("colour", "")),
        ]
    );
}
