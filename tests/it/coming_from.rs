//! `docs/coming-from.md` row by row: each is shown by a small document that runs here, or by the test that is named for it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use owf::engine::params::{GraphParams, ResumeParams};
use serde_json::{Value, json};

use crate::document_support::{Paper, codes, map};
use crate::policies::Guarded;
use crate::support::cli::Place;

const PAGE: &str = include_str!("../../docs/coming-from.md");

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

/// What shows that a row is true.
enum Proof {
    /// Something that runs.
    Run(fn()),
    /// Tests elsewhere: file and function.
    Tests(&'static [(&'static str, &'static str)]),
}

use Proof::{Run, Tests};

/// Every row by its first cell, in the order of the page.
const ROWS: &[(&str, Proof)] = &[
    // The examples.
    (
        "sequential and parallel haiku",
        Tests(&[("document_examples", "sequential_haiku"), ("document_examples", "parallel_haiku")]),
    ),
    (
        "refund, support triage, content review, branching",
        Tests(&[
            ("document_examples", "refund"),
            ("document_examples", "support_triage"),
            ("document_examples", "content_review"),
            ("document_examples", "branching"),
        ]),
    ),
    (
        "approval, persistent approval",
        Tests(&[("document_examples", "approval"), ("document_examples", "persistent_approval")]),
    ),
    ("hooks", Tests(&[("document_examples", "hooks")])),
    ("composition", Tests(&[("document_examples", "composition")])),
    ("graph export", Tests(&[("document_examples", "every_example_is_drawn_the_same_every_time_and_nothing_runs")])),
    (
        "chat pipeline, parallel enrichment, full pipeline",
        Tests(&[
            ("document_examples", "chat_pipeline"),
            ("document_examples", "parallel_enrichment"),
            ("document_examples", "full_pipeline"),
        ]),
    ),
    (
        "agent with tools",
        Tests(&[("document_examples", "agent_with_tools"), ("document_examples", "agent_with_own_tools")]),
    ),
    // Stagehand.
    ("`WorkflowBuilder.agent(id, executor, model, system_prompt, role, tools)`", Run(agents)),
    ("`task(id, agent, prompt, after)`", Run(tasks)),
    ("a task with a function", Run(functions)),
    ("`{{ input.k }}`, `{{ tasks.id }}`, `.data`, `.files`, `.report_md` (a file by its short name)", Run(templates)),
    ("`retry`, `timeout`", Run(retry_and_timeout)),
    ("`when`", Run(when)),
    ("`loop_until` + `max_iterations`", Run(until)),
    ("`over`", Run(over)),
    ("`max_concurrency`", Run(concurrency)),
    ("first failure wins, dependents cancelled", Run(failures)),
    ("`outputs`: static, pattern, dynamic", Run(outputs)),
    ("`secrets`", Run(secrets)),
    ("cache by key", Run(cache)),
    ("`resume(run_id)`", Run(resume)),
    // StepFlow.
    ("ordered steps", Run(steps)),
    ("the state all steps share", Run(state)),
    ("`routes={key: step}`, `END`", Run(routes)),
    ("`retries`, `retry_on`", Run(retry_on)),
    ("`requires_approval`, `approval_message`", Run(approval_fields)),
    ("`pause_on_approval`, `resume(result, decision)`", Run(pause_and_decide)),
    ("`context.run_child(..., fail_parent_on_failure)`", Run(children)),
    ("hooks: workflow started, step started, step finished, workflow finished", Run(step_hooks)),
    ("graph export", Run(graph)),
    ("trace of routes", Run(trace)),
    // Stageflow.
    ("pipeline of stages, kinds (transform, enrich, route, guard, work, agent)", Run(kinds)),
    ("`compose`", Run(compose)),
    ("dependencies; only declared inputs can be read", Run(declared)),
    ("conditional stage, `skip_reason`", Run(conditional)),
    ("`StageOutput.ok`, `skip`, `cancel`, `fail`, `retry`", Run(stage_outputs)),
    (
        "interceptors, sorted by priority",
        Tests(&[
            ("policies", "accept_092_policies_decide_in_their_order"),
            ("policies", "hooks_are_asked_in_the_order_of_their_names_until_one_refuses_and_for_scripts_too"),
            (
                "policies",
                "accept_092_a_hook_that_fails_or_says_nothing_never_lets_a_call_run_and_is_left_aside_only_when_declared_so",
            ),
        ]),
    ),
    ("auth and organisation interceptors", Run(principal)),
    (
        "timeout, circuit breaker, retry interceptor",
        Tests(&[
            (
                "document_outcomes",
                "accept_094_delays_follow_the_declared_sequence_and_every_attempt_has_its_time_limit",
            ),
            ("breaker", "accept_093_after_five_failures_attempts_fail_at_once_in_every_run"),
        ]),
    ),
    (
        "idempotency: key and hash of the parameters, single flight, 24 hours",
        Tests(&[
            ("idempotency", "accept_096_two_steps_with_one_key_do_not_mix_and_a_later_run_gets_what_was_given"),
            ("idempotency", "accept_096_the_same_key_for_another_request_is_an_error_and_nothing_is_carried_out"),
            ("idempotency", "accept_096_of_two_processes_at_once_one_carries_out_and_the_other_waits_for_its_answer"),
        ]),
    ),
    ("guard retry, stagnation limit", Run(guard)),
    (
        "cancellation with cleanups, last in first out",
        Tests(&[
            ("document_outcomes", "accept_101_a_cancel_ends_the_deepest_child_first_and_the_sixth_level_is_refused"),
            (
                "document_outcomes",
                "accept_102_cleanups_run_last_first_whatever_the_end_and_one_that_hangs_holds_up_no_other",
            ),
        ]),
    ),
    ("failure modes", Run(failures)),
    ("subpipelines, depth 5", Run(nesting)),
    (
        "approvals",
        Tests(&[
            ("document_resume", "accept_082_083_and_084_a_question_outlives_its_process_and_is_decided_once"),
            ("document_decisions", "a_decision_after_the_expiry_or_about_an_edited_document_counts_for_nothing"),
        ]),
    ),
    (
        "events, sinks that never block",
        Tests(&[
            (
                "event_sinks",
                "accept_089_a_sink_hears_everything_in_the_order_of_the_journal_and_others_what_they_ask_for",
            ),
            ("event_sinks", "accept_104_a_sink_that_hangs_holds_up_nothing"),
        ]),
    ),
    ("chat history", Tests(&[("document_examples", "chat_pipeline")])),
    (
        "tools, behaviour gate, undo",
        Tests(&[
            ("document_examples", "agent_with_own_tools"),
            ("document_examples", "tool_of_a_server"),
            ("tools", "file_tools_secrets_and_time_limits_come_from_the_configuration"),
            ("tools", "scripts_use_tools_with_a_mode_of_their_own_and_failures_are_thrown"),
            ("tools", "accept_098_a_tool_of_another_mode_is_denied_and_never_runs"),
            ("tools", "accept_100_a_call_is_taken_back_once_in_time_and_a_failed_try_leaves_it_possible"),
            ("tools_workflow", "a_workflow_as_a_tool_gets_the_arguments_its_schema_allows_and_brings_its_result"),
        ]),
    ),
];

#[test]
fn every_row_of_the_page_is_shown_here_and_nothing_else_is() {
    const HEADS: [&str; 2] = ["example of theirs", "there"];
    let cell = |line: &str| line.trim_start_matches("| ").split(" | ").next().unwrap().to_owned();
    let rows: Vec<String> = PAGE
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(cell)
        .filter(|first| !HEADS.contains(&first.as_str()))
        .collect();
    let shown: Vec<&str> = ROWS.iter().map(|(first, _)| *first).collect();
    assert_eq!(rows, shown);
}

#[test]
fn every_test_that_is_named_for_a_row_is_there() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut missing = BTreeSet::new();
    for (row, proof) in ROWS {
        let Tests(named) = proof else { continue };
        for (file, name) in *named {
            let text = std::fs::read_to_string(dir.join(format!("{file}.rs"))).unwrap();
            if !text.contains(&format!("#[test]\nfn {name}()")) {
                missing.insert(format!("{row}: {file}::{name}"));
            }
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn every_row_that_runs_here_is_true() {
    let untrue: Vec<String> = ROWS
        .iter()
        .filter_map(|(row, proof)| {
            let Run(run) = proof else { return None };
            let panic = std::panic::catch_unwind(run).err()?;
            Some(format!("{row}: {}", panic.downcast_ref::<String>().cloned().unwrap_or_default()))
        })
        .collect();
    assert_eq!(untrue, Vec::<String>::new());
}

/// A document that runs to its end with these rules of answers: its status and what it returned.
fn ran(text: &str, rules: &str) -> (Value, Value, Paper) {
    let paper = Paper::answered(text, rules);
    let view = paper.run();
    let output = paper.output();
    (view["status"].clone(), output, paper)
}

/// How often each label was asked of the provider.
fn asked(paper: &Paper, label: &str) -> usize {
    paper.desk.labels().iter().filter(|l| *l == label).count()
}

/// A place with a document that may run commands.
fn commands(text: &str) -> Place {
    let place = Place::new();
    place.file("flow.yaml", text);
    place
}

fn command_run(place: &Place) -> Value {
    place.owf(&["run", "flow.yaml", "--allow-commands", "--no-input", "--json"]).json()
}

fn agents() {
    let (_, _, paper) = ran(
        "name: x\nagents:\n  poet: {provider: fake, model: m, role: a poet, system_prompt: Be brief., tools: [read_file]}\ntasks:\n  a: {agent: poet, prompt: hi}\n",
        ECHO,
    );
    let events = paper.desk.events(&paper.latest());
    assert_eq!(
        events.iter().find(|e| e["type"] == "call_requested").unwrap()["spec"]["ask"],
        json!({"prompt": "hi", "provider": "fake", "model": "m", "system": "You are a poet.\n\nBe brief.", "tools": ["read_file"]})
    );
}

fn tasks() {
    let (status, output, _) = ran(
        "name: x\nagents: {a: {}}\ntasks:\n  one: {agent: a, prompt: 1st}\n  two: {agent: a, prompt: 'after {{ tasks.one }}', after: one}\n",
        ECHO,
    );
    assert_eq!((status, output), (json!("done"), json!("<after <1st>>")));
    let found = codes("name: x\nsteps:\n  - {id: a, prompt: p}\n  - {id: a, prompt: p}\n");
    assert_eq!(found, [(4, "duplicate_id".to_owned())]);
    let found = codes(
        "name: x\ntasks:\n  a: {prompt: p, after: b}\n  b: {prompt: p, after: a}\n  c: {prompt: p, after: gone}\n",
    );
    assert_eq!(found, [(3, "cycle".to_owned()), (5, "unknown_task".to_owned())]);
}

fn functions() {
    let (status, output, paper) =
        ran("name: x\ntasks:\n  a: {prompt: a}\n  b: {after: a, expr: 'tasks.a | upper'}\n", ECHO);
    assert_eq!((status, output, paper.desk.labels().len()), (json!("done"), json!("<A>"), 1));
    paper.desk.workflow("s", "return (await agent('a', {label: 'a'})).toUpperCase()");
    assert_eq!(paper.desk.run("s")["output"], "<A>");
}

fn templates() {
    let text = "name: x
tasks:
  a: {prompt: a, schema: {type: object, properties: {k: {type: string}}}, outputs: [out/report.md]}
  b:
    after: a
    prompt: '{{ input.k.p }} {{ tasks.a }} {{ tasks.a.data.k }} {{ tasks.a.files }} {{ tasks.a.report_md }} {{ input.gone | default(\"-\") }} {{ input.k | json }} {{{{'
";
    let paper = Paper::answered(text, "  - match: {label: a}\n    json: {k: v}\n  - match: {label: b}\n    text: ok");
    assert_eq!(paper.run_args(json!({"k": {"p": "i"}}))["status"], "done");
    assert_eq!(paper.prompts()[1], r#"i {"k":"v"} v ["out/report.md"] out/report.md - {"p":"i"} {{"#);
    let found = codes("name: x\ntasks:\n  a: {prompt: p}\n  b: {prompt: '{{ tasks.a }}'}\n");
    assert_eq!(found, [(4, "undeclared_dependency".to_owned())]);
}

fn retry_and_timeout() {
    let retry =
        "retry: {max_attempts: 3, delay: 1ms, backoff: 2, jitter: none, max_delay: 5ms, on: [overloaded, timeout]}";
    let text = format!(
        "name: x\non_failure: best_effort\ntasks:\n  works: {{prompt: a, {retry}}}\n  slow: {{prompt: b, timeout: 20ms, {retry}}}\n"
    );
    let (_, _, paper) = ran(
        &text,
        "  - match: {label: works}\n    fail_first: 2\n    error: {class: overloaded, message: busy}\n    text: ok\n  - match: {label: slow}\n    never: true",
    );
    assert_eq!(paper.states(), map(&[("works", "done"), ("slow", "timeout")]));
    assert_eq!((asked(&paper, "works"), asked(&paper, "slow")), (3, 3), "each attempt had its time");
}

fn when() {
    let text =
        |more: &str| format!("name: x\ntasks:\n  a: {{when: false, prompt: a{more}}}\n  b: {{after: a, prompt: b}}\n");
    assert_eq!(ran(&text(""), ECHO).2.states(), map(&[("a", "skipped"), ("b", "done")]));
    assert_eq!(ran(&text(", skip_dependents: true"), ECHO).2.states(), map(&[("a", "skipped"), ("b", "skipped")]));
}

fn until() {
    let text = |until: &str| {
        format!(
            "name: x\nsteps:\n  - {{id: a, prompt: 'n {{{{ loop.iteration }}}}', until: \"{until}\", max_iterations: 3}}\n  - {{id: b, expr: '[tasks.a, tasks.a.iterations, tasks.a.cap_reached]'}}\n"
        )
    };
    assert_eq!(ran(&text("output == '<n 2>'"), ECHO).1, json!(["<n 2>", 2, false]));
    assert_eq!(ran(&text("false"), ECHO).1, json!(["<n 3>", 3, true]));
}

fn over() {
    let paper = Paper::answered(
        "name: x\ntasks:\n  all: {for_each: input.items, prompt: '{{ item }}', cache: disabled}\n",
        ECHO,
    );
    paper.run_args(json!({"items": ["a", "b"]}));
    assert_eq!(paper.output(), json!(["<a>", "<b>"]));
    let args = json!({"items": ["new", "b", "a"]}).as_object().cloned();
    paper.desk.resume(ResumeParams { args, ..ResumeParams::default() });
    assert_eq!(paper.output(), json!(["<new>", "<b>", "<a>"]));
    assert_eq!(paper.desk.invocations(), 3, "the old ones are not asked again");
}

fn concurrency() {
    // Held back by nothing, two at once would both begin before one ends.
    let course = |head: &str| {
        let text = format!("name: x\n{head}tasks:\n  a: {{prompt: a}}\n  b: {{prompt: b}}\n");
        let (_, _, paper) = ran(&text, "  - match: {label: '*'}\n    text: ok\n    delay_ms: 20");
        let events = paper.desk.events(&paper.latest());
        let kinds = events.iter().map(|e| e["type"].as_str().unwrap().to_owned());
        kinds.filter(|k| k == "attempt_started" || k == "call_finished").collect::<Vec<_>>()
    };
    let (begin, end) = ("attempt_started", "call_finished");
    assert_eq!(course("concurrency: 1\n"), [begin, end, begin, end]);
    assert_eq!(course(""), [begin, begin, end, end]);
}

fn failures() {
    let text = |more: &str, task: &str| {
        format!(
            "name: x\n{more}tasks:\n  bad: {{prompt: bad{task}}}\n  next: {{after: bad, prompt: next}}\n  other: {{prompt: other}}\n"
        )
    };
    let rules = |other: &str| {
        format!(
            "  - match: {{label: bad}}\n    error: {{class: refusal, message: no}}\n  - match: {{label: other}}\n    {other}\n  - match: {{label: next}}\n    text: ok"
        )
    };
    let ended = |more: &str, task: &str, other: &str| {
        let (status, _, paper) = ran(&text(more, task), &rules(other));
        (status, paper.states())
    };
    let states = |bad, next, other| map(&[("bad", bad), ("next", next), ("other", other)]);
    let (failed, done) = (json!("failed"), json!("done"));
    let own = "provider_failed";
    assert_eq!(
        ended("on_failure: continue_independent\n", "", "text: ok"),
        (failed.clone(), states(own, "cancelled", "done"))
    );
    assert_eq!(ended("", "", "text: ok"), (failed.clone(), states(own, "cancelled", "done")), "the default");
    assert_eq!(ended("on_failure: fail_fast\n", "", "never: true"), (failed, states(own, "cancelled", "cancelled")));
    assert_eq!(ended("on_failure: best_effort\n", "", "text: ok"), (done.clone(), states(own, "done", "done")));
    assert_eq!(ended("", ", allow_failure: true", "text: ok"), (done, states(own, "done", "done")));
}

fn outputs() {
    let place = commands(
        "name: x
on_failure: best_effort
tasks:
  names: {run: [touch, a.md, b.md], outputs: [a.md, b.md]}
  missing: {after: names, run: [echo], outputs: [a.md, c.md]}
  pattern: {after: names, run: [echo], outputs: {pattern: '*.md'}}
  from: {after: names, run: [echo, '{\"made\": [\"b.md\"]}'], outputs: {from: made}}
result: ['{{ tasks.names.files }}', '{{ tasks.missing.error }}', '{{ tasks.pattern.files }}', '{{ tasks.from.files }}']
",
    );
    let expected = json!([["a.md", "b.md"], "`outputs`: there is no c.md", ["a.md", "b.md"], ["b.md"]]);
    assert_eq!(command_run(&place)["output"], expected);
}

fn secrets() {
    let place = commands(
        "name: x\ntasks:\n  a: {run: [sh, -c, 'echo x > ran; printf %s \"$DEPLOY_TOKEN\" | wc -c'], secrets: [DEPLOY_TOKEN]}\n",
    );
    let refused = command_run(&place);
    let message = "task `a` failed: the secret DEPLOY_TOKEN is not set in the environment";
    assert_eq!(json!([refused["status"], refused["error"]["message"]]), json!(["failed", message]));
    assert!(!place.path().join("ran").exists());
    let mut command = place.command(&["run", "flow.yaml", "--allow-commands", "--no-input", "--json"]);
    let done = crate::support::cli::printed(&command.env("DEPLOY_TOKEN", "0123456789").output().unwrap()).json();
    assert_eq!(done["output"].as_str().unwrap().trim(), "10");
}

fn cache() {
    let text = |task: &str, head: &str| {
        format!("name: x\n{head}agents: {{w: {{model: m1}}}}\ntasks:\n  a: {{agent: w, prompt: a{task}}}\n")
    };
    let paper = Paper::answered(&text("", ""), ECHO);
    let cached = |text: &str| {
        paper.write(text);
        assert_eq!(paper.run()["status"], "done");
        paper.desk.cache()
    };
    assert_eq!(cached(&text("", "")), ["miss"]);
    assert_eq!(cached(&text("", "")), ["hit"]);
    assert_eq!(cached(&text("", "").replace("m1", "m2")), ["miss"], "the model is part of the key");
    assert_eq!(cached(&text("", "").replace("prompt: a", "prompt: b")), ["miss"], "so is what is asked");
    assert_eq!(cached(&text(", cache: disabled", "")), ["disabled"]);
    assert_eq!(cached(&text("", "defaults: {cache: disabled}\n")), ["disabled"]);
    let place = &paper.desk.place;
    paper.write(&text("", ""));
    place.json(&[
        "run",
        "flow.yaml",
        "--fixtures",
        "answers.yaml",
        "--cache-policy",
        "disabled",
        "--no-input",
        "--json",
    ]);
    assert_eq!(paper.desk.cache(), ["disabled"], "for the run");
    // The state of the workspace: `workspace_cache::a_cached_review_misses_after_a_file_of_its_scope_changed_and_hits_when_another_did`.
}

fn resume() {
    let place = Place::new();
    place.file("flow.yaml", "name: x\nsteps:\n  - {id: a, prompt: a}\n  - {id: b, prompt: b}\n");
    let rules = "  - match: {label: b, attempt: 1}\n    crash: before_answer\n    text: x\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'";
    place.file("answers.yaml", &crate::acca_support::answers(rules));
    let killed = place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--no-input"]);
    assert!(!matches!(killed.code, 0..=3), "{killed:?}");
    let view = place.json(&["resume", "--json"]);
    assert_eq!(json!([view["status"], view["resumed"], view["output"]]), json!(["done", "in_place", "<b>"]));
    assert_eq!(crate::acca_support::labels(&place), ["a", "b", "b"]);
}

fn steps() {
    let (_, output, paper) =
        ran("name: x\nsteps:\n  - {id: b, prompt: 1st}\n  - {id: a, prompt: 'then {{ tasks.b }}'}\n", ECHO);
    assert_eq!((output, paper.desk.labels()), (json!("<then <1st>>"), vec!["b".to_owned(), "a".to_owned()]));
}

fn state() {
    let (_, output, _) = ran(
        "name: x
on_failure: best_effort
state: {schema: {properties: {n: {type: integer}}}, initial: {n: 1}}
steps:
  - {id: a, expr: 4, set: {n: '{{ state.n + output }}'}}
  - {id: b, expr: 50, set: {n: 'no number'}}
  - {id: c, expr: state.n}
",
        ECHO,
    );
    assert_eq!(output, json!(5));
    // Guards and routes: `document_state`.
}

fn routes() {
    let text = "name: x
steps:
  - {id: a, prompt: 'a {{ loop.iteration }}', max_visits: 2}
  - {id: b, prompt: b, route: \"'back' if tasks.a == '<a 1>' else input.to\", routes: {back: a, next: c, on: d, stop: END}}
  - {id: c, prompt: c}
  - {id: d, prompt: d}
";
    let paper = Paper::answered(text, ECHO);
    let to = |word: &str| {
        paper.run_args(json!({"to": word}));
        paper.states()
    };
    assert_eq!(to("on"), map(&[("a", "done"), ("b", "done"), ("c", "skipped"), ("d", "done")]));
    assert_eq!(paper.prompts(), ["a 1", "b", "a 2", "b", "d"]);
    assert_eq!(to("stop"), map(&[("a", "done"), ("b", "done"), ("c", "skipped"), ("d", "skipped")]));
    let by_text = ran(
        "name: x\nsteps:\n  - {id: a, prompt: a, routes: {'yes': c, 'no': b}}\n  - {id: b, prompt: b}\n  - {id: c, prompt: c}\n",
        "  - match: {label: a}\n    text: 'yes'\n  - match: {label: '*'}\n    text: ok",
    );
    assert_eq!(by_text.2.states(), map(&[("a", "done"), ("b", "skipped"), ("c", "done")]));
    let unbound = codes("name: x\nsteps:\n  - {id: a, prompt: a}\n  - {id: b, prompt: b, routes: {back: a}}\n");
    assert_eq!(unbound, [(4, "backward_route".to_owned())]);
}

fn retry_on() {
    let (_, _, paper) = ran(
        "name: x\non_failure: best_effort\ndefaults: {retry: {max_attempts: 2, on: [overloaded]}}\ntasks:\n  inherits: {prompt: a}\n  own: {prompt: b, retry: {max_attempts: 3, on: [overloaded]}}\n  other: {prompt: c, retry: {max_attempts: 3, on: [timeout]}}\n",
        "  - match: {label: '*'}\n    fail_first: 9\n    error: {class: overloaded, message: no}\n    text: ok",
    );
    assert_eq!((asked(&paper, "inherits"), asked(&paper, "own"), asked(&paper, "other")), (2, 3, 1));
}

fn approval_fields() {
    let (_, _, paper) = ran(
        "name: x\nsteps:\n  - {id: a, expr: 3}\n  - id: b\n    approval: {message: 'Go {{ tasks.a }}?', metadata: {n: '{{ tasks.a }}'}, timeout: 1h, on_timeout: approve, decider: person}\n    prompt: b\n",
        ECHO,
    );
    let row = paper.desk.status("latest")["approvals"][0].clone();
    assert_eq!(
        json!([row["message"], row["metadata"], row["expires_at"].is_string(), row["on_timeout"], row["decider"]]),
        json!(["Go 3?", {"n": 3}, true, "approve", "person"])
    );
}

fn pause_and_decide() {
    let place = Place::new();
    place.file("flow.yaml", "name: x\nsteps:\n  - {id: a, prompt: a, approval: 'Go?'}\n");
    place.file("answers.yaml", &crate::acca_support::answers(ECHO));
    let start = || {
        let view = place.owf(&["run", "flow.yaml", "--fixtures", "answers.yaml", "--no-input", "--json"]).json();
        assert_eq!(view["status"], "paused");
        let run = view["run_id"].as_str().unwrap().to_owned();
        assert!(!place.store().is_live(&run.parse().unwrap()), "no process waits with it");
        (run, view["approvals"][0]["content_hash"].as_str().unwrap().to_owned())
    };
    let decide = |word: &str, run: &str, hash: &str| {
        let printed = place.owf(&[word, run, "a1", "--content-hash", hash, "--json"]);
        (printed.code, printed.json()["error"]["code"].clone())
    };
    let (run, hash) = start();
    assert_eq!(decide("approve", &run, "00000000"), (2, json!("content_changed")), "only for the text that was read");
    assert_eq!(decide("approve", &run, &hash).0, 0);
    assert_eq!(decide("approve", &run, &hash), (2, json!("already_decided")), "once");
    assert_eq!(place.owf(&["wait", &run, "--json"]).json()["output"], "<a>");
    let (run, hash) = start();
    assert_eq!(decide("deny", &run, &hash).0, 0);
    let error = place.owf(&["wait", &run, "--json"]).json()["error"]["message"].clone();
    assert_eq!(error, "task `a` was denied by unknown");
}

fn children() {
    let paper = Paper::answered(
        "name: x\ntasks:\n  good: {workflow: ./kid.yaml, args: {n: 2}}\n  bad: {workflow: ./kid.yaml, args: {n: []}, allow_failure: true}\n  end: {after: [good, bad], expr: '[tasks.good, tasks.bad.ok, tasks.bad.status]'}\n",
        ECHO,
    );
    paper.desk.place.file("kid.yaml", "name: kid\ntasks:\n  a: {expr: 'input.n + 1'}\n");
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.output(), json!([3, false, "failed"]));
    paper.write("name: x\ntasks:\n  kid: {workflow: ./asks.yaml}\n");
    paper.desk.place.file("asks.yaml", "name: asks\ntasks:\n  a: {approval: 'Go?'}\n");
    let view = paper.run();
    assert_eq!(json!([view["status"], view["status_reason"]]), json!(["paused", "approval"]));
}

fn step_hooks() {
    let guarded = Guarded::new("name: x\nsteps:\n  - {id: a, prompt: a}\n", &[]);
    let sink = |rest: &str| {
        let file = guarded.place.path().join("heard.jsonl").display().to_string();
        guarded.config(&format!("[events.heard]\nfile = {file:?}\n{rest}\ntypes = [\"run_started\", \"call_requested\", \"call_finished\", \"run_finished\"]\n"));
    };
    sink("");
    assert_eq!(guarded.run()["status"], "done");
    let kinds: Vec<Value> = guarded.place.log("heard.jsonl").iter().map(|l| l["type"].clone()).collect();
    assert_eq!(kinds, ["run_started", "call_requested", "call_finished", "run_finished"]);
    // One that fails fails the run, when it is declared so.
    guarded.config("[events.heard]\ncommand = [\"false\"]\non_failure = \"fail\"\n");
    assert_eq!(guarded.run()["status"], "failed");
    guarded.config("[events.heard]\ncommand = [\"false\"]\n");
    assert_eq!(guarded.run()["status"], "done");
    // What may refuse a step is a hook.
    guarded.configure(&[("gate", "cat > /dev/null; echo '{\"verdict\": \"deny\"}'", "at = \"before\"")]);
    assert_eq!(guarded.run()["error"]["message"], "task `a` was denied by hook `gate`");
}

fn graph() {
    let paper = Paper::answered("name: x\nsteps:\n  - {id: a, expr: 1}\n  - {id: b, expr: 2}\n", ECHO);
    let before = GraphParams { path: Some("flow.yaml".to_owned()), ..GraphParams::default() };
    let text = paper.desk.engine.graph(&before).unwrap().text.unwrap();
    assert_eq!(text, "flowchart TD\n  n0(\"a<br/>expr\")\n  n1(\"b<br/>expr\")\n  n0 --> n1\n");
    assert!(!paper.desk.place.home().exists(), "nothing ran");
    paper.run();
    let after = paper.desk.engine.graph(&GraphParams::default()).unwrap().text.unwrap();
    let drawn = "flowchart TD\n  n0(\"a<br/>expr<br/>done\")\n  n1(\"b<br/>expr<br/>done\")\n  n0 --> n1\n  classDef done fill:#d7f5dd,stroke:#2da44e\n  class n0,n1 done\n";
    assert_eq!(after, drawn);
}

fn trace() {
    let (_, _, paper) = ran(
        "name: x\nsteps:\n  - {id: a, expr: \"'on'\", routes: {on: c, off: b}}\n  - {id: b, prompt: b}\n  - {id: c, prompt: c}\n",
        ECHO,
    );
    assert_eq!(paper.log(), ["a: route `on` leads to c"]);
    let skipped: Vec<_> = paper.ends().into_iter().filter(|end| end.1 == "skipped").collect();
    assert_eq!(skipped, [("b".to_owned(), "skipped".to_owned(), "nothing led to it: `a` went another way".to_owned())]);
}

fn kinds() {
    let paper = Paper::answered(
        "name: x
tasks:
  transform: {expr: 'input.n + 1'}
  agent: {after: transform, prompt: 'a {{ tasks.transform }}'}
  route: {after: agent, expr: \"'work'\", routes: {work: work, stop: END}}
  work: {run: [tool, x]}
  tool: {after: work, tool: lookup}
  guard: {after: tool, expr: true, guard: {retry_task: agent}}
  sub: {after: guard, workflow: ./kid.yaml}
  ask: {after: sub, approval: {message: Well?, timeout: 1ms, on_timeout: approve}}
",
        "  - match: {command: '*'}\n    text: ran\n  - match: {tool: '*'}\n    text: used\n  - match: {label: '*'}\n    text: '<{{ prompt }}>'",
    );
    paper.desk.place.file("kid.yaml", "name: kid\ntasks:\n  a: {expr: 1}\n");
    paper.run_args(json!({"n": 1}));
    let events = paper.desk.events(&paper.latest());
    let kinds: Vec<(Value, Value)> = events
        .iter()
        .filter(|e| e["type"] == "call_requested")
        .map(|e| (e["spec"]["label"].clone(), e["spec"]["kind"].clone()))
        .collect();
    let expected = [
        ("transform", "expr"),
        ("agent", "agent"),
        ("route", "expr"),
        ("work", "command"),
        ("tool", "tool"),
        ("guard", "expr"),
        ("sub", "workflow"),
        ("ask", "approval"),
    ];
    assert_eq!(kinds, expected.map(|(label, kind)| (json!(label), json!(kind))));
}

fn compose() {
    let paper = Paper::answered(
        "name: x\ninclude: {p: part.yaml}\ntasks:\n  own: {after: p_a, workflow: ./part.yaml}\nresult: ['{{ tasks.p_a }}', '{{ tasks.own }}']\n",
        ECHO,
    );
    paper.desk.place.file("part.yaml", "name: part\ntasks:\n  a: {prompt: a}\n");
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.output(), json!(["<a>", "<a>"]));
    let calls = paper.desk.calls("latest");
    let rows: Vec<Value> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|c| json!([c["label"], c["kind"], c["child_run_id"].is_string()]))
        .collect();
    assert_eq!(rows, [json!(["p_a", "agent", false]), json!(["own", "workflow", true])]);
}

fn declared() {
    let found =
        codes("name: x\ntasks:\n  a: {prompt: a}\n  b: {after: a, prompt: '{{ tasks.c }}'}\n  c: {prompt: c}\n");
    assert_eq!(found, [(4, "undeclared_dependency".to_owned())]);
}

fn conditional() {
    let (status, _, paper) = ran(
        "name: x\ntasks:\n  a: {prompt: a}\n  b: {after: a, when: \"'never' in tasks.a\", skip_dependents: true, prompt: b}\n  c: {after: b, prompt: c}\n",
        ECHO,
    );
    assert_eq!((status, paper.states()), (json!("done"), map(&[("a", "done"), ("b", "skipped"), ("c", "skipped")])));
    let reasons: Vec<String> = paper.ends().into_iter().filter(|e| e.1 == "skipped").map(|e| e.2).collect();
    assert_eq!(reasons, ["`when` is false", "it comes after `b`, which was skipped with everything after it"]);
}

fn stage_outputs() {
    let ended = |word: &str| {
        let text = format!(
            "name: x\nsteps:\n  - {{id: a, prompt: a}}\n  - {{id: b, prompt: 'b {{{{ loop.feedback | default(0) }}}}', outcome: \"{{'outcome': '{word}', 'reason': 'why'}} if loop.feedback is undefined else 'ok'\"}}\n  - {{id: c, prompt: c}}\n"
        );
        let (status, output, paper) = ran(&text, ECHO);
        let states = paper.states();
        (status, output, states["b"].clone(), states["c"].clone())
    };
    let word = str::to_owned;
    assert_eq!(ended("ok"), (json!("done"), json!("<c>"), word("done"), word("done")));
    assert_eq!(ended("skip"), (json!("done"), json!("<c>"), word("skipped"), word("done")));
    assert_eq!(ended("fail"), (json!("failed"), Value::Null, word("failed"), word("cancelled")));
    assert_eq!(ended("retry"), (json!("done"), json!("<c>"), word("done"), word("done")));
    let kept = json!({"a": "<a>", "b": "<b 0>"});
    assert_eq!(ended("cancel"), (json!("cancelled"), kept, word("done"), word("cancelled")), "with what there is");
}

fn principal() {
    let script = "read line\ncase \"$line\" in *'\"principal\":\"anna\"'*'\"team\":\"a\"'*'\"ticket\":7'*) echo '{\"verdict\": \"allow\"}';; *) echo '{\"verdict\": \"deny\", \"reason\": \"not hers\"}';; esac\n";
    let text = "name: x\nmetadata: {team: a}\ntasks:\n  t: {prompt: t, metadata: {ticket: 7}}\n";
    let guarded = Guarded::new(text, &[("auth", script, "at = \"before\"")]);
    assert_eq!(guarded.run_with(&["--principal", "anna"])["output"], "<t>");
    let refused = guarded.run_with(&["--principal", "eve"]);
    assert_eq!(refused["error"]["message"], "task `t` was denied by hook `auth`: not hers");
}

fn guard() {
    let text = "name: x
steps:
  - {id: write, prompt: 'write {{ loop.feedback | default(\"freely\") }}'}
  - {id: check, expr: {ok: \"{{ 'short' in tasks.write }}\", feedback: make it short}, guard: {retry_task: write, max_attempts: 2, stagnation: 2}}
";
    let (status, _, paper) = ran(text, ECHO);
    assert_eq!(
        (status, paper.prompts()),
        (json!("done"), vec!["write freely".to_owned(), "write make it short".to_owned()])
    );
    let message = |rules: &str| {
        let paper = Paper::answered(text, rules);
        paper.run()["error"]["message"].clone()
    };
    let head = "task `check` failed: the guard is not content, and `write`";
    assert_eq!(
        message("  - match: {label: '*'}\n    text: same"),
        format!("{head} gave the same 2 times: make it short")
    );
    assert_eq!(
        message("  - match: {label: '*'}\n    text: '{{ call_index }}'"),
        format!("{head} was run 2 times: make it short")
    );
}

fn nesting() {
    let place = Place::new();
    place.file("self.yaml", "name: self\ntasks:\n  c: {workflow: ./self.yaml}\n");
    let run = |levels: &str| {
        let mut command = place.command(&["run", "self.yaml", "--no-input", "--json"]);
        crate::support::cli::printed(&command.env("OWF_NESTING", levels).output().unwrap())
    };
    let message = run("5").json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("workflow() may be nested 5 deep; this call would be level 6"), "{message}");
    assert_eq!(run("6").code, 2, "5 at most");
}
