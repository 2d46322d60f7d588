//! Documents at the edges of what the rules say: places in the middle, odd values, what is left when something is taken back.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::call::Decision;
use owf::core::ids::CallId;
use owf::core::machine::BudgetView;
use owf::core::op::{DriverState, Op};
use owf::core::outcome::{CallError, CallStatus, DecisionNote, ErrorClass, Outcome};
use owf::front::driver::{Driver, DriverStep};
use serde_json::{Value, json};

use crate::document_property::driver;
use crate::document_support::{Paper, check, codes, found, map};

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

/// What was found in a document: line, column and message.
fn told(text: &str) -> Vec<(u32, u32, String)> {
    found(text).into_iter().map(|(line, column, _, message)| (line, column, message)).collect()
}

/// Requests (`+`) and ends (`-`) of the calls of the latest run, in order, without those that only record how a task ended.
fn course(paper: &Paper) -> Vec<String> {
    let mut labels = std::collections::BTreeMap::new();
    let mut out = Vec::new();
    for event in paper.desk.events(&paper.latest()) {
        let id = event["call_id"].to_string();
        if event["type"] == "call_requested" && event["spec"]["known"].is_null() {
            let label = event["spec"]["label"].as_str().unwrap().to_owned();
            out.push(format!("+{label}"));
            labels.insert(id, label);
        } else if event["type"] == "call_finished"
            && let Some(label) = labels.get(&id)
        {
            out.push(format!("-{label}"));
        }
    }
    out
}

#[test]
fn accept_058_an_error_behind_any_number_of_warnings_keeps_a_document_from_running() {
    let mut text = String::from("name: x\ntasks:\n");
    for i in 0..150 {
        text.push_str(&format!("  t{i}: {{prompt: hi, retry: {{max_attempts: 2}}}}\n"));
    }
    text.push_str("  last: {prompt: hi, after: gone}\n");
    let checked = check(&text);
    assert!(checked.script.is_none());
    let errors: Vec<_> = checked.diagnostics.iter().filter(|d| d.severity.as_str() == "error").collect();
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].line, errors[0].message.as_str()), (153, "there is no task `gone`"));
    assert_eq!(checked.diagnostics.len(), 101, "of warnings there are as many as somebody reads");
}

#[test]
fn what_is_often_written_and_is_no_yaml_is_told_with_what_to_write_instead() {
    let cases = [
        (
            "    prompt: {{ input.x }} more",
            4,
            14,
            "a key must be a text; a text that begins with a brace stands in quotes, '{{ input.x }}'",
        ),
        (
            "    prompt: hi: there",
            4,
            15,
            "mapping values are not allowed in this context; a text with `: ` in it stands in quotes",
        ),
        (
            "    prompt: *bold* text",
            4,
            13,
            "alias references unknown anchor; a text that begins with `*` stands in quotes",
        ),
        ("    prompt: `code`", 4, 13, "unexpected character: ``'; a text that begins so stands in quotes"),
        ("    prompt: hi\n  null: {prompt: hi}", 5, 3, "a key must be a text, not null"),
        ("    expr: .inf", 4, 11, "a number must be finite"),
    ];
    for (task, line, column, message) in cases {
        let text = format!("name: x\ntasks:\n  a:\n{task}\n");
        assert_eq!(told(&text), [(line, column, format!("this is not YAML that can be used: {message}"))], "{task}");
    }
}

#[test]
fn accept_059_whatever_takes_a_place_gives_it_back_however_it_ends() {
    let rules = "  - match: {label: bad}\n    error: {class: refusal, message: no}\n  - match: {command: '*'}\n    text: ran\n  - match: {tool: '*'}\n    text: used\n  - match: {label: '*'}\n    text: ok";
    let paper = Paper::answered(
        "name: x
concurrency: 1
on_failure: best_effort
tasks:
  bad: {prompt: bad}
  command: {run: [make]}
  tool: {tool: lookup}
  list: {for_each: [1, 2], prompt: '{{ item }}'}
  kid: {workflow: ./kid.yaml}
  agent: {prompt: agent}
",
        rules,
    );
    paper.desk.place.file("kid.yaml", "name: kid\ntasks:\n  p: {prompt: p}\n");
    assert_eq!(paper.run()["status"], "done");
    let each = ["bad", "command", "tool", "list[0]", "list[1]", "kid", "agent"];
    let one_by_one: Vec<String> = each.iter().flat_map(|label| [format!("+{label}"), format!("-{label}")]).collect();
    assert_eq!(course(&paper), one_by_one);
}

#[test]
fn accept_059_a_call_that_no_longer_counts_gives_its_place_back() {
    // `check` sends the work back while `slow` has the only place: it is ended, and the work is done again in its place.
    let paper = Paper::answered(
        "name: x
concurrency: 1
tasks:
  work: {prompt: 'work {{ loop.iteration }}'}
  slow: {after: work, prompt: 'slow {{ tasks.work }}'}
  check: {after: work, expr: {ok: \"{{ tasks.work == '<work 2>' }}\", feedback: again}, guard: {retry_task: work, max_attempts: 3}}
",
        "  - match: {prompt: 'slow <work 1>'}\n    never: true\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'",
    );
    let view = paper.run();
    assert_eq!(view["status"], "done", "{view}");
    assert_eq!(paper.output(), json!({"slow": "<slow <work 2>>", "check": {"ok": true, "feedback": "again"}}));
}

#[test]
fn accept_060_a_task_that_comes_after_another_and_is_led_to_by_it_runs_once() {
    let paper = Paper::answered(
        "name: x
tasks:
  choose: {expr: \"'go'\", routes: {go: both, stop: END}}
  both: {after: [choose, choose], prompt: both}
  other: {after: choose, prompt: other}
  join: {after: [both, other, both], prompt: join}
",
        ECHO,
    );
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.desk.labels(), ["both", "other", "join"]);
    // Nor is one done again because another leads to it, too, when it has begun.
    let paper = Paper::answered(
        "name: x
tasks:
  one: {expr: \"'go'\", routes: {go: meet, no: END}}
  first: {prompt: first}
  two: {after: first, expr: \"'go'\", routes: {go: meet, no: END}}
  meet: {prompt: meet}
",
        ECHO,
    );
    assert_eq!(paper.run()["status"], "done");
    let mut labels = paper.desk.labels();
    labels.sort();
    assert_eq!(labels, ["first", "meet"]);
}

#[test]
fn accept_060_a_join_waits_anew_when_one_of_its_branches_is_done_again() {
    let paper = Paper::answered(
        "name: x
tasks:
  source: {prompt: source}
  left: {after: source, prompt: 'left {{ loop.iteration }} of {{ tasks.source }}'}
  right: {after: source, prompt: right}
  check: {after: left, expr: {ok: \"{{ 'left 2' in tasks.left }}\", feedback: again}, guard: {retry_task: left}}
  join: {after: [check, right], prompt: '{{ tasks.left }} {{ tasks.right }}'}
",
        ECHO,
    );
    let view = paper.run();
    assert_eq!(view["status"], "done", "{view}");
    assert_eq!(paper.output(), json!("<<left 2 of <source>> <right>>"));
    let count = |label: &str| paper.desk.labels().iter().filter(|l| *l == label).count();
    assert_eq!(["source", "left", "right", "join"].map(count), [1, 2, 1, 1]);
}

#[test]
fn accept_061_neither_a_text_nor_a_value_grows_without_bound() {
    let cases = [
        ("prompt: \"{% for i in range(1000) %}{{ 'a' * 100000 }}{% endfor %}\"", "the text would be larger than 16 MB"),
        ("expr: \"'a' * 20000000\"", "the value would be larger than 16 MB"),
        ("expr: \"['a' * 9000000, 'a' * 9000000]\"", "the value would be larger than 16 MB"),
        (
            "expr: \"('a' * 10000) | replace('a', 'b' * 10000) | length\"",
            "the text that `replace` gives would be larger than 16 MB",
        ),
        ("expr: \"(['a' * 100000] * 1000) | join | length\"", "the text that `join` gives would be larger than 16 MB"),
        (
            "expr: \"range(100000) | join('b' * 1000) | length\"",
            "the text that `join` gives would be larger than 16 MB",
        ),
        (
            "expr: \"('\\n' * 10000) | indent(10000) | length\"",
            "the text that `indent` gives would be larger than 16 MB",
        ),
        ("expr: \"'a' | indent(width=99999999999, first=true)\"", "`indent` takes numbers up to 10000"),
        ("expr: \"'%0999999999d' | format(1)\"", "`format` takes numbers up to 10000"),
        ("expr: \"'%*d' | format(999999999, 1)\"", "`format` takes numbers up to 10000"),
        ("expr: \"'%(n)0999999999d' | format(n=1)\"", "`format` takes numbers up to 10000"),
        ("expr: \"[1] | batch(999999999, 0) | list\"", "`batch` takes numbers up to 10000"),
        ("expr: \"[1] | slice(999999999) | list\"", "`slice` takes numbers up to 10000"),
    ];
    let mut text = String::from("name: x\non_failure: best_effort\ntasks:\n");
    for (number, (what, _)) in cases.iter().enumerate() {
        text.push_str(&format!("  t{number}: {{{what}}}\n"));
    }
    let paper = Paper::new(&text);
    assert_eq!(paper.run()["status"], "done");
    let mut said: Vec<(String, String)> =
        paper.ends().into_iter().map(|(label, _, message)| (label, message)).collect();
    said.sort_by_key(|(label, _)| label[1..].parse::<usize>().unwrap());
    let wanted: Vec<(String, String)> = cases
        .iter()
        .enumerate()
        .map(|(number, (_, message))| (format!("t{number}"), format!("invalid operation: {message}")))
        .collect();
    assert_eq!(said, wanted);
    assert_eq!(paper.desk.invocations(), 0);
    let usual = Paper::new(
        "name: x\ntasks:\n  a: {expr: \"['a-b' | replace('-', '+'), [1, 'b'] | join('-'), 'a\\nb' | indent(2), '%03d' | format(7), [1, 2, 3] | batch(20000) | list, [1, 2] | slice(2) | list, 'a' | indent(first=true)]\"}\n",
    );
    let forms = Paper::new(
        "name: x\ntasks:\n  a: {expr: \"['Order 20240115: %s' | format(7), 'http://h:50000/%s' | format('p'), '**%d** rows' | format(20000), '100%%99999: %s' | format(1)]\"}\n",
    );
    assert_eq!(forms.run()["status"], "done");
    assert_eq!(forms.output(), json!(["Order 20240115: 7", "http://h:50000/p", "**20000** rows", "100%99999: 1"]));
    assert_eq!(usual.run()["status"], "done");
    assert_eq!(usual.output(), json!(["a+b", "1-b", "a\n  b", "007", [[1, 2, 3]], [[1], [2]], "    a"]));
}

#[test]
fn accept_062_a_reference_is_followed_in_every_place_that_takes_a_template() {
    let places = [
        "{prompt: hi, when: tasks.a}",
        "{prompt: hi, approval: '{{ tasks.a }}?'}",
        "{prompt: hi, approval: {message: Go on?, metadata: {n: ['{{ tasks.a }}']}}}",
        "{prompt: hi, for_each: tasks.a}",
        "{prompt: hi, for_each: ['{{ tasks.a }}']}",
        "{prompt: '{{ tasks.a }}'}",
        "{prompt: hi, messages: [{role: user, content: '{{ tasks.a }}'}]}",
        "{prompt: hi, messages: tasks.a}",
        "{prompt: hi, idempotency_key: '{{ tasks.a }}'}",
        "{prompt: hi, outputs: ['{{ tasks.a }}']}",
        "{prompt: hi, outputs: {pattern: '{{ tasks.a }}'}}",
        "{prompt: hi, outcome: tasks.a}",
        "{prompt: hi, until: tasks.a, max_iterations: 2}",
        "{prompt: hi, set: {k: '{{ tasks.a }}'}}",
        "{prompt: hi, route: tasks.a, routes: {x: END}}",
        "{run: [echo, '{{ tasks.a }}']}",
        "{run: {argv: [echo], cwd: '{{ tasks.a }}'}}",
        "{run: {argv: [echo], input: '{{ tasks.a }}'}}",
        "{expr: tasks.a}",
        "{expr: {k: ['{{ tasks.a }}']}}",
        "{tool: lookup, args: {k: '{{ tasks.a }}'}}",
        "{workflow: kid, args: {k: '{{ tasks.a }}'}}",
    ];
    for place in places {
        for (wrong, code) in [
            ("tasks.a", "undeclared_dependency"),
            ("tasks.gone", "unknown_task"),
            ("tsks.a", "unknown_name"),
            ("tasks.b", "undeclared_dependency"),
        ] {
            // What a task gave is there where it is judged.
            if wrong == "tasks.b" && ["outcome", "until", "set", "route"].iter().any(|key| place.contains(key)) {
                continue;
            }
            let text = format!("name: x\ntasks:\n  a: {{prompt: hi}}\n  b: {}\n", place.replace("tasks.a", wrong));
            assert_eq!(codes(&text), [(4, code.to_owned())], "{place} {wrong}");
        }
        let text = format!("name: x\ntasks:\n  a: {{prompt: hi}}\n  b: {}\n", place.replacen('{', "{after: a, ", 1));
        assert_eq!(codes(&text), [], "{place}");
    }
    let result = "name: x\ntasks:\n  a: {prompt: hi}\nresult: {k: ['{{ tasks.gone }}', '{{ gone }}']}\n";
    assert_eq!(codes(result), [(4, "unknown_task".to_owned()), (4, "unknown_name".to_owned())]);
}

#[test]
fn accept_063_null_is_a_value_and_what_is_missing_is_told_even_when_it_is_asked_for_by_another_value() {
    let text = "name: x\ntasks:\n  a: {prompt: \"{{ input.x | default('d') }} {{ input.x is defined }} {{ input.o.k | default('d') }}\"}\n";
    let paper = Paper::new(text);
    paper.run_args(json!({"x": null, "o": {"k": null}}));
    assert_eq!(paper.prompts(), ["null true null"]);
    paper.run_args(json!({"o": {}}));
    assert_eq!(paper.prompts(), ["d false d"]);

    let paper = Paper::new(
        "name: x
on_failure: best_effort
tasks:
  a: {expr: {red: 1, green: {deep: 2}}}
  b: {after: a, expr: 'tasks.a.data[input.k]'}
  c: {after: a, prompt: 'of {{ tasks.a.data[input.k] }}'}
  d: {after: a, prompt: '{{ tasks.a.data.green[input.k].more }}'}
  e: {after: a, prompt: \"{{ input.o | default(1) }} {{ input.o.gone }}\"}
  f: {after: a, expr: \"tasks.a.data[input.k] | default('none')\"}
  g: {after: a, prompt: '{% if loop.previous %}{{ loop.previous.score }}{% endif %}{{ tasks.a.data[input.k] }}', until: 'true', max_iterations: 2}
  h: {after: a, prompt: '{{ tasks.a.data[input.k] }}{{ input.o[input.k] }}'}
",
    );
    paper.run_args(json!({"k": "blue", "o": {"there": 1}}));
    let said: Vec<(String, String)> = paper.ends().into_iter().skip(1).map(|(label, _, said)| (label, said)).collect();
    let row = |label: &str, said: &str| (label.to_owned(), said.to_owned());
    let mut wanted = [
        row("b", "a value is missing: `tasks.a.data` has red, green"),
        row("c", "a value is missing: `tasks.a.data` has red, green"),
        row("d", "a value is missing: `tasks.a.data.green` has deep"),
        row("e", "`input.o.gone` is missing: `input.o` has there"),
        row("f", ""),
        row("g", "a value is missing: `tasks.a.data` has red, green"),
        row("h", "undefined value: a value is missing"),
    ];
    let mut said = said;
    said.sort();
    wanted.sort();
    assert_eq!(said, wanted);
    assert_eq!(paper.output()["f"], "none");
    assert_eq!(paper.desk.invocations(), 0);
}

#[test]
fn a_prompt_that_says_nothing_is_refused_where_it_is_written_and_where_it_becomes_empty() {
    assert_eq!(told("name: x\ntasks:\n  a: {prompt: '  '}\n"), [(3, 7, "`prompt` must not be empty".to_owned())]);
    let paper = Paper::answered("name: x\ntasks:\n  a: {prompt: ' {{ input.x }} '}\n", ECHO);
    let view = paper.run_args(json!({"x": ""}));
    assert_eq!(view["error"]["message"], "task `a` failed: the prompt is empty");
    assert_eq!(paper.desk.invocations(), 0);
}

#[test]
fn accept_064_and_080_all_that_a_retry_says_goes_with_the_request_and_that_of_the_defaults_is_for_agents() {
    let paper = Paper::answered(
        "name: x
defaults: {retry: {max_attempts: 2, on: [transport]}}
tasks:
  own: {prompt: own, retry: {max_attempts: 3, delay: 1s, backoff: 2, jitter: full, max_delay: 1m, on: [timeout, exit]}}
  theirs: {prompt: theirs}
  command: {run: [make]}
  tool: {tool: lookup}
",
        "  - match: {command: '*'}\n    text: ran\n  - match: {tool: '*'}\n    text: used\n  - match: {label: '*'}\n    text: ok",
    );
    assert_eq!(paper.run()["status"], "done");
    let events = paper.desk.events(&paper.latest());
    let retries: Vec<Value> =
        events.iter().filter(|e| e["type"] == "call_requested").map(|e| e["spec"]["retry"].clone()).collect();
    let own = json!({"max_attempts": 3, "delay_ms": 1000, "backoff": 2.0, "jitter": true, "max_delay_ms": 60_000, "on": ["timeout", "exit"]});
    let theirs = json!({"max_attempts": 2, "delay_ms": 0, "backoff": 1.0, "on": ["transport"]});
    assert_eq!(
        retries,
        [own, theirs, Value::Null, Value::Null],
        "what may change things is tried again only when it says so itself"
    );
}

#[test]
fn accept_067_what_waits_for_its_place_never_begins_after_a_failure_that_ends_all() {
    let paper = Paper::answered(
        "name: x
concurrency: 2
defaults: {on_failure: fail_fast}
tasks:
  slow: {prompt: slow}
  bad: {prompt: bad}
  waits: {prompt: waits}
  list: {for_each: [1, 2], prompt: list}
  asks: {approval: 'Go on?'}
  later: {after: slow, prompt: later}
",
        "  - match: {label: slow}\n    never: true\n  - match: {label: bad}\n    error: {class: refusal, message: no}\n  - match: {label: '*'}\n    text: ok",
    );
    let view = paper.run();
    assert_eq!((&view["status"], &view["error"]["message"]), (&json!("failed"), &json!("task `bad` failed: no")));
    assert_eq!(
        (&view["error"]["line"], &view["error"]["column"], &view["error"]["call_id"]),
        (&json!(6), &json!(3), &json!("c0003"))
    );
    assert_eq!(
        paper.states(),
        map(&[
            ("asks", "cancelled"),
            ("bad", "provider_failed"),
            ("later", "cancelled"),
            ("list", "cancelled"),
            ("slow", "cancelled"),
            ("waits", "cancelled"),
        ])
    );
    let mut labels = paper.desk.labels();
    labels.sort();
    assert_eq!(labels, ["bad", "slow"]);

    // One that cannot even be asked for ends what was to begin with it.
    let paper = Paper::answered(
        "name: x
on_failure: fail_fast
tasks:
  bad: {prompt: '{{ input.x.gone }}'}
  value: {expr: 1}
  agent: {prompt: agent}
",
        ECHO,
    );
    let view = paper.run_args(json!({"x": {}}));
    assert_eq!(view["status"], "failed");
    let ends: Vec<(String, String)> = paper.ends().into_iter().map(|(label, status, _)| (label, status)).collect();
    let row = |label: &str, status: &str| (label.to_owned(), status.to_owned());
    assert_eq!(ends, [row("bad", "failed"), row("value", "cancelled"), row("agent", "cancelled")]);
    assert_eq!(paper.desk.invocations(), 0);
}

#[test]
fn accept_075_no_list_is_told_with_what_there_is_and_items_may_be_anything() {
    let paper = Paper::new(
        "name: x
on_failure: best_effort
tasks:
  text: {for_each: input.text, expr: item}
  map: {for_each: input.map, expr: item}
  none: {for_each: input.none, expr: item}
  gone: {for_each: input.map.gone, expr: item}
  any: {for_each: [1, [2], null, {a: 'b {{ input.text }}'}], expr: item}
  empty: {for_each: [], prompt: hi}
  after: {after: [empty, any], expr: [tasks.empty.ok, '{{ tasks.any.data.3.a }}', '{{ tasks.empty | length }}']}
",
    );
    let view = paper.run_args(json!({"text": "abc", "map": {"k": 1}, "none": null}));
    assert_eq!(view["status"], "done");
    let said: Vec<String> =
        paper.ends().into_iter().filter(|e| e.1 == "failed").map(|e| format!("{}: {}", e.0, e.2)).collect();
    assert_eq!(
        said,
        [
            "text: `for_each` needs a list, not \"abc\"",
            "map: `for_each` needs a list, not {\"k\":1}",
            "none: `for_each` needs a list, not null",
            "gone: `for_each`: `input.map.gone` is missing: `input.map` has k",
        ]
    );
    assert_eq!(paper.output()["after"], json!(["tasks.empty.ok", "b abc", 0]));
    assert_eq!(paper.desk.invocations(), 0);
}

#[test]
fn accept_080_a_retry_of_the_defaults_is_warned_about_too_and_one_of_nothing_is_refused() {
    let text = "name: x\ndefaults:\n  retry: {max_attempts: 3}\ntasks:\n  a: {prompt: hi}\n";
    let checked = check(text);
    let found: Vec<_> = checked.diagnostics.iter().map(|d| (d.severity.as_str(), d.line, d.code.as_str())).collect();
    assert_eq!(found, [("warning", 3, "retry_all")]);
    assert!(checked.script.is_some());
    let nothing = "`on` must not be empty: nothing would be tried again; without it everything that may pass is";
    let text = "name: x
defaults: {retry: {max_attempts: 3, on: []}, timeout: 0}
tasks:
  a: {prompt: hi, retry: {max_attempts: 3, on: []}}
  b: {approval: {message: Go on?, timeout: 0}}
";
    let zero = "`timeout` must be more than 0".to_owned();
    assert_eq!(
        told(text),
        [(2, 12, nothing.to_owned()), (2, 46, zero.clone()), (4, 19, nothing.to_owned()), (5, 35, zero),]
    );
}

#[test]
fn a_span_of_time_that_is_too_long_is_told_where_it_stands() {
    let text = "name: x
defaults: {timeout: 400d}
tasks:
  a: {prompt: hi, timeout: 9000h, retry: {max_attempts: 2, on: [timeout], delay: 99999999s, max_delay: 8761h}}
  b: {approval: {message: Go on?, timeout: 366d}}
  c: {prompt: hi, timeout: 365d}
";
    let message = |name: &str, given: &str| format!("`{name}` must be at most 365 days, not {given}");
    assert_eq!(
        told(text),
        [
            (2, 21, message("timeout", "400d")),
            (4, 28, message("timeout", "9000h")),
            (4, 82, message("delay", "99999999s")),
            (4, 104, message("max_delay", "8761h")),
            (5, 44, message("timeout", "366d")),
        ]
    );
    let steps = "name: x\nsteps:\n  - {id: a, prompt: hi, timeout: 9000h}\n";
    assert_eq!(told(steps), [(3, 34, message("timeout", "9000h"))]);
}

#[test]
fn accept_068_an_output_that_can_be_no_file_is_refused_where_it_is_written() {
    let text = "name: x
tasks:
  a: {prompt: hi, outputs: .}
  b: {prompt: hi, outputs: [ok.txt, dir/, '~/x']}
  c: {prompt: hi, outputs: {pattern: 'src/*.{js,ts}'}}
  d: {prompt: hi, outputs: {pattern: 'src/[ab].js'}}
  e: {prompt: hi, outputs: a/./b.txt}
";
    let no_file = |name: &str| {
        format!("an output is a file, which `{name}` cannot be; `{{pattern: ...}}` finds what is in a directory")
    };
    let literal =
        |pattern: &str| format!("`[` and `{{` stand for themselves in `{pattern}`: a pattern has `*`, `**` and `?`");
    assert_eq!(
        told(text),
        [
            (3, 19, no_file(".")),
            (4, 19, no_file("dir/")),
            (4, 19, "an output must stay in the workspace: a relative path without `..`, not `~/x`".to_owned()),
            (5, 29, literal("src/*.{js,ts}")),
            (6, 29, literal("src/[ab].js")),
        ]
    );
}

#[test]
fn accept_068_a_pattern_that_nothing_matches_is_told_in_the_log() {
    let paper = Paper::answered(
        "name: x
tasks:
  a: {prompt: a, outputs: {pattern: '*.none'}}
  b: {after: a, for_each: [1], prompt: b, outputs: {pattern: '{{ item }}.none'}}
  c: {after: b, expr: '{{ tasks.a.files | length + tasks.b.files | length }}'}
",
        ECHO,
    );
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.output(), json!(0));
    assert_eq!(paper.log(), ["a: no file matches its pattern `*.none`", "b: no file matches its pattern"]);
    let logged: Vec<Value> = paper
        .desk
        .events(&paper.latest())
        .into_iter()
        .filter(|e| e["type"] == "log")
        .map(|e| e["level"].clone())
        .collect();
    assert_eq!(logged, ["warn", "warn"]);
}

/// The labels of the requests of a step that somebody carries out, and those that only record how a task ended.
fn requested(step: &DriverStep) -> (Vec<String>, Vec<(String, CallStatus)>) {
    let (mut work, mut records) = (Vec::new(), Vec::new());
    for op in &step.ops {
        let Op::Request(spec) = op else { continue };
        match &spec.known {
            None => work.push(spec.label.clone()),
            Some(known) => records.push((spec.label.clone(), known.status)),
        }
    }
    (work, records)
}

#[test]
fn accept_067_what_was_done_just_before_the_document_stops_begins_nothing_more() {
    let mut driver = driver(
        "name: x
on_failure: fail_fast
concurrency: 7
state: {initial: {n: 0}}
tasks:
  bad: {prompt: bad}
  loops: {prompt: loops, until: output == 'never', max_iterations: 9, set: {n: '{{ state.n + 1 }}'}}
  again: {prompt: again, outcome: \"'retry'\", retry: {max_attempts: 9, delay: 1h, on: [timeout]}}
  back: {prompt: back, max_visits: 9, routes: {ok: back, no: END}}
  list: {for_each: [1, 2, 3, 4, 5], prompt: '{{ item }}'}
  asked: {approval: 'Go on?', prompt: asked}
",
    );
    let (work, _) = requested(&driver.start());
    assert_eq!(work, ["asked", "bad", "loops", "again", "back", "list[0]", "list[1]", "list[2]"]);
    let (budget, error) = (BudgetView::default(), CallError::new(ErrorClass::Refusal, "no"));
    let stops = driver.deliver(CallId(2), &Outcome::failed(CallId(2), error), &budget);
    assert_eq!(requested(&stops), (Vec::new(), Vec::new()));
    // The others had ended by then, so there was nothing to cancel.
    let mut calls = 8;
    let mut ends = Vec::new();
    for id in [1, 3, 4, 5, 6, 7, 8].map(CallId) {
        let mut outcome = Outcome::done(id, Some(json!("ok")));
        if id == CallId(1) {
            outcome.decision = Some(DecisionNote { decision: Decision::Approve, by: "me".to_owned(), reason: None });
        }
        let (work, records) = requested(&driver.deliver(id, &outcome, &budget));
        assert_eq!(work, Vec::<String>::new(), "after call {id}");
        ends.extend(records);
    }
    let cancelled = ["asked", "loops", "again", "back", "list"].map(|label| (label.to_owned(), CallStatus::Cancelled));
    assert_eq!(ends, cancelled);
    let mut last = DriverState::Waiting;
    for (label, status) in ends {
        assert_eq!(last, DriverState::Waiting, "before {label}");
        calls += 1;
        let known = Outcome::new(CallId(calls), status);
        last = driver.deliver(CallId(calls), &known, &budget).state;
    }
    let DriverState::Failed(error) = last else { panic!("{last:?}") };
    assert_eq!(error.message, "task `bad` failed: no");
}
