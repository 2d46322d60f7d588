//! Documents that run: order, results, failures, loops, lists, routes, guards.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::document_support::{Paper, map};

/// The order of starts and ends of calls, by label.
fn course(paper: &Paper) -> Vec<String> {
    let events = paper.desk.events(&paper.latest());
    let mut labels = std::collections::BTreeMap::new();
    let mut out = Vec::new();
    for event in events {
        let id = event["call_id"].to_string();
        match event["type"].as_str().unwrap() {
            "call_requested" => {
                labels.insert(id, event["spec"]["label"].as_str().unwrap().to_owned());
            }
            "attempt_started" => out.push(format!("+{}", labels[&id])),
            "call_finished" => out.push(format!("-{}", labels[&id])),
            _ => {}
        }
    }
    out
}

#[test]
fn accept_059_independent_tasks_overlap_and_concurrency_bounds_them() {
    let tasks = "tasks:\n  a: {prompt: a}\n  b: {prompt: b}\n";
    let slow = "  - match: {label: '*'}\n    text: ok\n    delay_ms: 50";
    let free = Paper::answered(&format!("name: x\n{tasks}"), slow);
    free.run();
    assert_eq!(course(&free)[..2], ["+a", "+b"]);
    let bound = Paper::answered(&format!("name: x\nconcurrency: 1\n{tasks}"), slow);
    bound.run();
    assert_eq!(course(&bound), ["+a", "-a", "+b", "-b"]);
}

#[test]
fn accept_060_a_join_runs_once_after_both_branches() {
    let paper = Paper::answered(
        "name: x
tasks:
  top: {prompt: top}
  left: {after: top, prompt: 'left of {{ tasks.top }}'}
  right: {after: [top, top], prompt: 'right of {{ tasks.top }}'}
  join: {after: [left, right], prompt: '{{ tasks.left }} + {{ tasks.right }}'}
",
        "  - match: {label: '*'}\n    text: '<{{ prompt }}>'",
    );
    let view = paper.run();
    assert_eq!(view["status"], "done");
    assert_eq!(paper.output(), json!("<<left of <top>> + <right of <top>>>"));
    assert_eq!(paper.desk.labels().iter().filter(|l| *l == "join").count(), 1);
}

#[test]
fn accept_061_templates_reach_into_inputs_and_results_once() {
    let paper = Paper::answered(
        "name: x
tasks:
  t: {prompt: t}
  s: {prompt: s, schema: {type: object, properties: {k: {type: array, items: {type: string}}}}}
  u:
    after: [t, s]
    prompt: >-
      {{ input.a.b.0 }}|{{ tasks.t }}|{{ tasks.s.data.k.1 }}|{{ tasks.s.data }}|{{ tasks.t.files }}|{{ input.n }}|{{
      input.x | json }}|{{ input.gone.path | default('none') }}|{{{{ kept }}|{{ input.a }}
",
        "  - match: {label: t}\n    text: '{% raw %}{{ input.n }}{% endraw %}'\n  - match: {label: s}\n    json: {k: [v, w]}",
    );
    paper.run_args(json!({"a": {"b": ["first", 2]}, "n": 1.0, "x": "q\"", "injected": 1}));
    assert_eq!(
        paper.prompts()[2],
        r#"first|{{ input.n }}|w|{"k":["v","w"]}|[]|1|"q\""|none|{{ kept }}|{"b":["first",2]}"#
    );
}

#[test]
fn accept_061_a_file_is_found_by_its_short_name_and_the_first_of_two_has_it() {
    let paper = Paper::answered(
        "name: x
tasks:
  a: {prompt: a, outputs: [src/notes-1.md, doc/notes-1.md, out/files]}
  b: {after: a, prompt: '{{ tasks.a.notes_1_md }} {{ tasks.a.files }}'}
",
        "  - match: {label: '*'}\n    text: ok",
    );
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.prompts()[1], r#"src/notes-1.md ["src/notes-1.md","doc/notes-1.md","out/files"]"#);
    let text = "name: x
tasks:
  a: {prompt: a, outputs: [notes.md]}
  b: {prompt: b}
  c: {after: [a, b], prompt: '{{ tasks.a.note_md }} {{ tasks.b.notes_md }}'}
";
    let known = "text, data, files, status, error, ok, iterations, cap_reached, decision";
    let said = |id: &str, part: &str, rest: &str| {
        format!("`tasks.{id}.{part}` is no part of a task: use `tasks.{id}.data.{part}`, or one of {known}{rest}")
    };
    let found: Vec<(String, String)> =
        crate::document_support::found(text).into_iter().map(|(_, _, code, message)| (code, message)).collect();
    let code = "unknown_part".to_owned();
    assert_eq!(
        found,
        [
            (code.clone(), said("a", "note_md", ", or a file of its outputs: notes_md")),
            (code, said("b", "notes_md", ""))
        ]
    );
}

#[test]
fn accept_063_a_missing_path_says_what_exists() {
    let paper = Paper::new("name: x\ntasks:\n  a: {prompt: '{{ input.user.nmae }}'}\n");
    let view = paper.run_args(json!({"user": {"name": "n", "mail": "m"}}));
    assert_eq!(view["status"], "failed");
    assert_eq!(view["error"]["message"], "task `a` failed: `input.user.nmae` is missing: `input.user` has name, mail");
    assert_eq!(view["error"]["code"], "task_failed");
    assert_eq!(paper.desk.invocations(), 0);
}

#[test]
fn accept_064_a_task_is_tried_as_often_as_it_says() {
    let text = "name: x\ntasks:\n  a: {prompt: a, retry: {max_attempts: 3, delay: 20ms, on: [overloaded]}}\n";
    let rule = |times: u32| {
        format!(
            "  - match: {{label: a}}\n    fail_first: {times}\n    error: {{class: overloaded, message: busy}}\n    text: ok"
        )
    };
    let works = Paper::answered(text, &rule(2));
    assert_eq!(works.run()["status"], "done");
    let events = works.desk.events(&works.latest());
    let waits: Vec<&Value> =
        events.iter().filter(|e| e["type"] == "attempt_failed").map(|e| &e["retry_in_ms"]).collect();
    assert_eq!(waits, [&json!(20), &json!(20)]);
    let outcome = &events.iter().find(|e| e["type"] == "call_finished").unwrap()["outcome"];
    assert_eq!(outcome["attempts"], 3);
    assert!(outcome["duration_ms"].as_u64().unwrap() >= 40, "both waits were sat out: {outcome}");
    let each =
        |n: u32| format!("  - match: {{label: a, attempt: {n}}}\n    error: {{class: overloaded, message: busy {n}}}");
    let fails = Paper::answered(text, &[each(1), each(2), each(3), each(4)].join("\n"));
    let view = fails.run();
    assert_eq!(
        (view["status"].clone(), view["error"]["message"].clone()),
        (json!("failed"), json!("task `a` failed: busy 3"))
    );
    assert_eq!(fails.desk.invocations(), 3);
}

#[test]
fn accept_080_only_listed_classes_are_tried_again_and_a_task_overrides_the_default() {
    let paper = Paper::answered(
        "name: x
on_failure: best_effort
defaults: {retry: {max_attempts: 2, on: [bad_request]}}
tasks:
  inherits: {prompt: a}
  other: {prompt: b, retry: {max_attempts: 4, on: [transport]}}
  own: {prompt: c, retry: {max_attempts: 3, on: [bad_request]}}
",
        "  - match: {label: '*'}\n    fail_first: 9\n    error: {class: bad_request, message: no}\n    text: ok",
    );
    paper.run();
    let count = |label: &str| paper.desk.labels().iter().filter(|l| *l == label).count();
    assert_eq!([count("inherits"), count("other"), count("own")], [2, 1, 3]);
    // Without a list everything that may pass is tried again, and nothing else.
    let text = "name: x\non_failure: best_effort\ntasks:\n  passes: {prompt: a, retry: {max_attempts: 3}}\n  stays: {prompt: b, retry: {max_attempts: 3}}\n";
    let rules = "  - match: {label: passes}\n    fail_first: 9\n    error: {class: transport, message: no}\n    text: ok\n  - match: {label: stays}\n    fail_first: 9\n    error: {class: refusal, message: no}\n    text: ok";
    let open = Paper::answered(text, rules);
    open.run();
    let count = |label: &str| open.desk.labels().iter().filter(|l| *l == label).count();
    assert_eq!([count("passes"), count("stays")], [3, 1]);
}

const BRANCHES: &str = "tasks:
  bad: {prompt: bad}
  child: {after: bad, prompt: child}
  grandchild: {after: child, prompt: grandchild}
  alone: {prompt: alone}
  later: {after: alone, prompt: later}
";

const BAD_FAILS: &str = "  - match: {label: bad}\n    error: {class: refusal, message: I will not}\n  - match: {label: alone}\n    text: ok\n    delay_ms: 40\n  - match: {label: '*'}\n    text: ok";

#[test]
fn accept_066_a_failed_task_cancels_only_what_comes_after_it() {
    let paper = Paper::answered(&format!("name: x\n{BRANCHES}"), BAD_FAILS);
    let view = paper.run();
    assert_eq!(
        paper.states(),
        map(&[
            ("alone", "done"),
            ("bad", "provider_failed"),
            ("child", "cancelled"),
            ("grandchild", "cancelled"),
            ("later", "done"),
        ])
    );
    assert_eq!(view["status"], "failed");
    assert_eq!(view["error"]["message"], "task `bad` failed: I will not");
    let reasons: Vec<String> = paper.ends().into_iter().filter(|e| e.1 == "cancelled").map(|e| e.2).collect();
    assert_eq!(
        reasons,
        ["it comes after `bad`, which did not end well", "it comes after `child`, which did not end well"]
    );
    let own = paper.ends().into_iter().find(|e| e.0 == "bad").unwrap();
    assert_eq!((own.1.as_str(), own.2.as_str()), ("provider_failed", "I will not"));
    // Of two that fail the run names the one that failed first.
    let two = Paper::answered(
        "name: x\ntasks:\n  late: {prompt: late}\n  soon: {prompt: soon}\n",
        "  - match: {label: late}\n    delay_ms: 40\n    error: {class: refusal, message: second}\n  - match: {label: soon}\n    error: {class: refusal, message: first}",
    );
    assert_eq!(two.run()["error"]["message"], "task `soon` failed: first");
}

#[test]
fn accept_067_fail_fast_ends_what_runs_and_best_effort_finishes_everything() {
    let fast = Paper::answered(
        &format!("name: x\non_failure: fail_fast\n{BRANCHES}"),
        &BAD_FAILS.replace("text: ok\n    delay_ms: 40", "never: true"),
    );
    let view = fast.run();
    assert_eq!(view["status"], "failed");
    assert_eq!(
        fast.states(),
        map(&[
            ("alone", "cancelled"),
            ("bad", "provider_failed"),
            ("child", "cancelled"),
            ("grandchild", "cancelled"),
            ("later", "cancelled"),
        ])
    );
    let all = Paper::answered(&format!("name: x\non_failure: best_effort\n{BRANCHES}"), BAD_FAILS);
    let view = all.run();
    assert_eq!((view["status"].clone(), view["counts"]["failed"].clone()), (json!("done"), json!(1)));
    assert_eq!(all.states()["grandchild"], "done");
}

#[test]
fn a_failure_that_is_allowed_can_be_looked_at() {
    let paper = Paper::answered(
        "name: x
tasks:
  bad: {prompt: bad, allow_failure: true}
  next: {after: bad, expr: {ok: '{{ tasks.bad.ok }}', why: '{{ tasks.bad.error }}', got: '{{ tasks.bad | default(1) }}'}}
",
        BAD_FAILS,
    );
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.output(), json!({"ok": false, "why": "I will not", "got": 1}));
}

#[test]
fn accept_073_a_false_condition_skips_and_dependents_run_unless_told() {
    let text = |cascade: &str| {
        format!(
            "name: x
tasks:
  a: {{when: input.go, prompt: a{cascade}}}
  b: {{after: a, prompt: 'b<{{{{ tasks.a }}}}>'}}
  c: {{after: b, prompt: c}}
"
        )
    };
    let paper = Paper::new(&text(""));
    assert_eq!(paper.run_args(json!({"go": false}))["status"], "done");
    assert_eq!(paper.ends()[0], ("a".to_owned(), "skipped".to_owned(), "`when` is false".to_owned()));
    assert_eq!(paper.states(), map(&[("a", "skipped"), ("b", "done"), ("c", "done")]));
    assert_eq!(paper.prompts()[0], "b<>");
    let cascade = Paper::new(&text(", skip_dependents: true"));
    assert_eq!(cascade.run_args(json!({"go": false}))["status"], "done");
    assert_eq!(cascade.states(), map(&[("a", "skipped"), ("b", "skipped"), ("c", "skipped")]));
}

#[test]
fn accept_074_a_loop_ends_by_its_condition_or_at_its_cap() {
    let text = |until: &str| {
        format!(
            "name: x
steps:
  - id: improve
    prompt: 'draft {{{{ loop.iteration }}}} after {{{{ loop.previous | default(\"nothing\") }}}}'
    until: {until}
    max_iterations: 3
  - id: say
    expr: {{n: '{{{{ tasks.improve.iterations }}}}', capped: '{{{{ tasks.improve.cap_reached }}}}'}}
"
        )
    };
    let rules =
        "  - match: {label: improve, prompt: draft 2}\n    text: two\n  - match: {label: improve}\n    text: one";
    let stops = Paper::answered(&text("output == 'two'"), rules);
    assert_eq!(stops.run()["status"], "done");
    assert_eq!(stops.prompts(), ["draft 1 after nothing", "draft 2 after one"]);
    assert_eq!(stops.output(), json!({"n": 2, "capped": false}));
    let capped = Paper::new(&text("output == 'never'"));
    assert_eq!(capped.run()["status"], "done");
    assert_eq!(capped.output(), json!({"n": 3, "capped": true}));
    assert_eq!(capped.log(), ["improve: repeated 3 times without its condition becoming true"]);
}

#[test]
fn what_came_before_is_nothing_the_first_time_and_a_condition_may_ask_for_it() {
    let text = "name: x
steps:
  - id: improve
    prompt: '{{ loop.iteration }}{{ loop.previous }}{% if loop.feedback %} told {{ loop.feedback }}{% endif %}{% if not loop.previous %} new{% else %} {{ loop.previous.n }}{% endif %} {{ loop.previous is defined }}'
    schema: {type: object, properties: {n: {type: integer}}, required: [n]}
    until: output.n > 1
    max_iterations: 2
  - {id: say, expr: {why: '{{ tasks.improve.error }}', text: 'why: {{ tasks.improve.error }}', other: '{{ tasks.improve.error | default(7) }}', is: '{{ tasks.improve.error is defined }}'}}
";
    let paper =
        Paper::answered(text, "  - match: {label: improve}\n    answers:\n      - json: {n: 1}\n      - json: {n: 2}");
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.prompts(), ["1 new false", "2{\"n\":1} 1 true"]);
    assert_eq!(paper.output(), json!({"why": null, "text": "why: ", "other": 7, "is": false}));
}

#[test]
fn a_part_that_a_task_did_not_give_is_missing_for_a_reason() {
    let text = "name: x
on_failure: best_effort
tasks:
  a: {prompt: hi}
  b: {prompt: hi, when: 'false'}
  c: {after: a, prompt: '{{ tasks.a.data.n }}'}
  d: {after: b, prompt: '{{ tasks.b.data.n }}'}
  e: {prompt: '{{ loop.previous.n }}', until: output, max_iterations: 2}
";
    let paper = Paper::answered(text, "  - match: {label: '*'}\n    text: plain");
    paper.run();
    let failed = paper.ends().into_iter().filter(|(_, status, _)| status == "failed");
    let mut said: Vec<String> = failed.map(|(_, _, message)| message).collect();
    said.sort();
    assert_eq!(
        said,
        [
            "`loop.previous.n` is missing: `loop.previous` has no value yet",
            "`tasks.a.data.n` is missing: what `a` gave is a text without JSON in it; read `tasks.a.text`, or ask an agent with a `schema`",
            "`tasks.b.data.n` is missing: `b` ended as skipped and gave nothing",
        ]
    );
}

#[test]
fn accept_075_a_list_is_gone_over_in_order_and_one_failure_fails_the_task() {
    let text = "name: x
tasks:
  all: {for_each: input.items, prompt: 'about {{ item.name }}'}
  sum: {after: all, expr: '{{ tasks.all }}'}
";
    let echo = "  - match: {prompt: bad}\n    error: {class: refusal, message: no}\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'";
    let paper = Paper::answered(text, echo);
    let items = |names: &[&str]| json!({"items": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()});
    paper.run_args(items(&[]));
    assert_eq!(paper.output(), json!([]));
    paper.run_args(items(&["a"]));
    assert_eq!(paper.output(), json!(["<about a>"]));
    let slow = echo.replace(
        "  - match: {prompt: bad}",
        "  - match: {prompt: about a}\n    delay_ms: 30\n    text: '<{{ prompt }}>'\n  - match: {prompt: bad}",
    );
    paper.desk.answers(&slow);
    paper.run_args(items(&["a", "b", "c"]));
    assert_eq!(paper.output(), json!(["<about a>", "<about b>", "<about c>"]), "in the order of the list");
    let view = paper.run_args(items(&["a", "bad", "c"]));
    assert_eq!(view["status"], "failed");
    assert_eq!(view["error"]["message"], "task `all` failed: 1 of 3 items failed; the first is all[1]: no");
    assert_eq!(
        paper.states(),
        map(&[
            ("all", "failed"),
            ("all[0]", "done"),
            ("all[1]", "provider_failed"),
            ("all[2]", "done"),
            ("sum", "cancelled"),
        ])
    );
    let view = paper.run_args(items(&["a", "bad one", "bad two"]));
    assert_eq!(view["error"]["message"], "task `all` failed: 2 of 3 items failed; the first is all[1]: no");
    assert_eq!(view["error"]["call_id"], "c0002");
}

#[test]
fn a_list_may_be_as_long_as_a_fan_out_and_no_longer() {
    let text = |n: u32| {
        format!(
            "name: x\ntasks:\n  a: {{for_each: '{{{{ range({n}) | list }}}}', expr: item}}\n  b: {{after: a, expr: 'tasks.a | length'}}\n"
        )
    };
    let most = Paper::new(&text(4096));
    assert_eq!(most.run()["status"], "done");
    assert_eq!(most.output(), json!(4096));
    let more = Paper::new(&text(4097));
    let message = "task `a` failed: `for_each` has 4097 items, at most 4096 are allowed";
    assert_eq!(more.run()["error"]["message"], message);
}

#[test]
fn a_child_workflow_takes_one_of_the_places_and_an_expression_none() {
    let paper = Paper::answered(
        "name: x\nconcurrency: 1\ntasks:\n  a: {workflow: ./kid.yaml}\n  b: {workflow: ./kid.yaml}\n  c: {expr: 1}\n",
        "  - match: {label: '*'}\n    text: ok",
    );
    paper.desk.place.file("kid.yaml", "name: kid\ntasks:\n  p: {prompt: p}\n");
    assert_eq!(paper.run()["status"], "done");
    let events = paper.desk.events(&paper.latest());
    let course: Vec<String> = events
        .iter()
        .filter(|e| e["type"] == "call_requested" || e["type"] == "call_finished")
        .map(|e| format!("{}{}", if e["type"] == "call_requested" { "+" } else { "-" }, e["call_id"]))
        .collect();
    // The first child and the expression are asked for at once; the other child when the first has ended.
    assert_eq!(
        course.iter().position(|c| c == "+3").unwrap(),
        course.iter().position(|c| c == "-1").unwrap() + 1,
        "{course:?}"
    );
    assert_eq!(course[..2], ["+1", "+2"], "{course:?}");
}

#[test]
fn accept_078_a_long_chain_whose_first_task_fails_ends_cleanly() {
    let mut text = String::from("name: x\ntasks:\n  t0: {expr: '1 + []'}\n");
    for i in 1..1000 {
        text.push_str(&format!("  t{i}: {{after: t{}, expr: 'tasks.t{}'}}\n", i - 1, i - 1));
    }
    let paper = Paper::new(&text);
    let view = paper.run();
    assert_eq!(view["status"], "failed");
    let states = paper.states();
    assert_eq!(states.values().filter(|s| *s == "cancelled").count(), 999);
    assert_eq!(states["t0"], "failed");
}

#[test]
fn accept_079_steps_see_earlier_writes_and_a_failure_takes_its_own_back() {
    let paper = Paper::new(
        "name: x
state: {schema: {properties: {total: {type: integer, maximum: 10}}}, initial: {total: 1}}
on_failure: best_effort
steps:
  - {id: a, expr: 4, set: {total: '{{ state.total + output }}', seen: a}}
  - {id: b, expr: 50, set: {seen: b, total: '{{ state.total + output }}'}}
  - {id: c, expr: 2, until: output.gone, max_iterations: 2, set: {total: '{{ state.total + output }}'}}
  - {id: d, expr: {total: '{{ state.total }}', seen: '{{ state.seen }}'}}
",
    );
    paper.run();
    assert_eq!(paper.output(), json!({"total": 5, "seen": "a"}));
    let failed: Vec<(String, String)> =
        paper.ends().into_iter().filter(|e| e.1 == "failed").map(|(label, _, message)| (label, message)).collect();
    assert_eq!(failed[0].0, "b");
    assert!(failed[0].1.contains("breaks the schema of the state at /total"), "{failed:?}");
    assert_eq!(failed[1], ("c".to_owned(), "`until`: `output.gone` is missing: `output` is a number".to_owned()));
}

const ROUTED: &str = "name: x
steps:
  - {id: draft, prompt: 'draft {{ loop.iteration }}', max_visits: 2}
  - id: review
    prompt: 'review {{ tasks.draft }}'
    routes: {again: draft, publish: publish, drop: END}
  - {id: fix, prompt: fix}
  - {id: publish, prompt: publish}
  - {id: tell, prompt: tell}
";

#[test]
fn accept_081_routes_jump_end_and_go_back_and_the_rest_is_skipped_with_reasons() {
    let text = ROUTED.replace("publish: publish, drop", "publish: publish, fix: fix, drop");
    let rule = |answers: &str| {
        format!(
            "  - match: {{label: review}}\n    text: {answers}\n  - match: {{label: '*'}}\n    text: '<{{{{ prompt }}}}>'"
        )
    };
    let jumps = Paper::answered(&text, &rule("publish"));
    jumps.run();
    assert_eq!(
        jumps.states(),
        map(&[("draft", "done"), ("fix", "skipped"), ("publish", "done"), ("review", "done"), ("tell", "done")])
    );
    assert_eq!(jumps.log(), ["review: route `publish` leads to publish"]);
    let ends = Paper::answered(&text, &rule("drop"));
    assert_eq!(ends.run()["status"], "done");
    assert_eq!(ends.states()["publish"], "skipped");
    let reason = ends.ends().into_iter().find(|e| e.0 == "tell").unwrap().2;
    assert_eq!(reason, "the document ended: `review` chose `drop`");
    let back = Paper::answered(&text, &rule("again"));
    let view = back.run();
    assert_eq!(view["status"], "failed");
    assert_eq!(
        view["error"]["message"],
        "task `review` failed: route `again` leads back to `draft`, which was run 2 times (max_visits)"
    );
    assert_eq!(back.prompts(), ["draft 1", "review <draft 1>", "draft 2", "review <draft 2>"]);
    let unknown = Paper::answered(&text, &rule("what"));
    let view = unknown.run();
    assert_eq!(
        view["error"]["message"],
        "task `review` failed: `what` is no route: there are again, publish, fix, drop"
    );
    assert_eq!(unknown.ends()[1].1, "done", "the output is kept");
    let looked_at = "result: ['{{ tasks.review }}', '{{ tasks.review.text }}', '{{ tasks.review.ok }}']";
    let kept = format!("on_failure: best_effort\n{text}{looked_at}\n");
    let kept = Paper::answered(&kept, &rule("what"));
    assert_eq!(kept.run()["status"], "done");
    assert_eq!(kept.output(), json!(["what", "what", false]), "and can be looked at");
    let fix = kept.ends().into_iter().find(|end| end.0 == "fix").unwrap();
    let reason = "nothing led to it: `review` failed before it chose a route".to_owned();
    assert_eq!(fix, ("fix".to_owned(), "skipped".to_owned(), reason));
}

#[test]
fn accept_081_routes_of_a_graph_open_one_branch_and_a_join_runs_after_it() {
    let paper = Paper::answered(
        "name: x
tasks:
  triage: {prompt: triage, routes: {bug: engineer, question: answer}}
  engineer: {prompt: engineer}
  deep: {after: engineer, prompt: deep}
  answer: {prompt: answer}
  close: {after: [deep, answer], expr: \"{{ tasks.answer | default('-') }} {{ tasks.deep | default('-') }}\"}
",
        "  - match: {label: triage}\n    text: question\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'",
    );
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(
        paper.states(),
        map(&[("answer", "done"), ("close", "done"), ("deep", "skipped"), ("engineer", "skipped"), ("triage", "done")])
    );
    assert_eq!(paper.output(), json!("<answer> -"));
}

#[test]
fn accept_095_a_guard_runs_the_named_task_again_with_its_feedback() {
    let text = "name: x
steps:
  - {id: write, prompt: 'write {{ loop.feedback | default(\"freely\") }}'}
  - id: check
    expr: {ok: \"{{ 'short' in tasks.write }}\", feedback: 'make it short'}
    guard: {retry_task: write, max_attempts: 3, stagnation: 2}
  - {id: publish, prompt: 'publish {{ tasks.write }}'}
";
    let works = Paper::answered(text, "  - match: {label: '*'}\n    text: '<{{ prompt }}>'");
    assert_eq!(works.run()["status"], "done");
    assert_eq!(works.prompts(), ["write freely", "write make it short", "publish <write make it short>"]);
    let before =
        text.replace("write {{ loop.feedback", "write {{ loop.previous | default(\"new\") }} {{ loop.feedback");
    let knows = Paper::answered(&before, "  - match: {label: '*'}\n    text: '<{{ prompt }}>'");
    assert_eq!(knows.run()["status"], "done");
    assert_eq!(knows.prompts()[..2], ["write new freely", "write <write new freely> make it short"]);
    let stuck = Paper::answered(text, "  - match: {label: '*'}\n    text: same");
    let view = stuck.run();
    assert_eq!(
        view["error"]["message"],
        "task `check` failed: the guard is not content, and `write` gave the same 2 times: make it short"
    );
    let visits = text.replace("id: write, ", "id: write, max_visits: 2, ");
    assert_eq!(crate::document_support::found(&visits), [], "a guard leads back to it");
    let bounded = Paper::answered(&visits, "  - match: {label: '*'}\n    text: '{{ call_index }}'");
    assert!(bounded.run()["error"]["message"].as_str().unwrap().contains("`write` was run 2 times"));
    let tries = Paper::answered(text, "  - match: {label: '*'}\n    text: '{{ call_index }}'");
    let view = tries.run();
    assert_eq!(
        view["error"]["message"],
        "task `check` failed: the guard is not content, and `write` was run 3 times: make it short"
    );
}

#[test]
fn agents_bring_provider_model_system_prompt_and_tools() {
    let paper = Paper::new(
        "name: x
agents:
  critic: {provider: fake, model: m1, effort: high, role: a strict critic, system_prompt: Be brief., tools: [read_file]}
tasks:
  a: {agent: critic, prompt: hi, read_scope: src, cache: disabled, metadata: {owner: me}, timeout: 5s}
",
    );
    paper.run();
    let events = paper.desk.events(&paper.latest());
    let spec = &events.iter().find(|e| e["type"] == "call_requested").unwrap()["spec"];
    assert_eq!(
        spec["ask"],
        json!({"prompt": "hi", "provider": "fake", "model": "m1", "effort": "high",
            "system": "You are a strict critic.\n\nBe brief.", "tools": ["read_file"], "read_scope": ["src"]})
    );
    assert_eq!(
        (&spec["timeout_ms"], &spec["cache"], &spec["metadata"]),
        (&json!(5000), &json!("disabled"), &json!({"owner": "me"}))
    );
}

#[test]
fn an_expression_that_does_not_come_to_an_end_is_ended() {
    let loops = "{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}";
    let paper = Paper::new(&format!("name: x\ntasks:\n  a: {{prompt: \"{loops}\"}}\n  b: {{expr: \"{loops}\"}}\n"));
    assert_eq!(paper.run()["status"], "failed");
    let told: Vec<String> =
        paper.ends().into_iter().map(|(label, status, message)| format!("{label} {status} {message}")).collect();
    let message = "engine ran out of fuel";
    assert_eq!(told, [format!("a failed {message}"), format!("b failed {message}")]);
    assert_eq!(paper.desk.invocations(), 0);
}
