//! What tasks share: which writes stay, and which are taken back.

use serde_json::json;

use crate::document_support::Paper;

const ECHO: &str = "  - match: {label: '*'}\n    text: '<{{ prompt }}>'";

#[test]
fn accept_079_what_tasks_wrote_that_a_guard_has_run_again_is_taken_back() {
    let text = "name: x
state: {initial: {tries: 0}}
steps:
  - {id: first, expr: 1, set: {first: yes}}
  - {id: write, prompt: 'write {{ state.tries }} {{ loop.feedback | default(\"freely\") }}', set: {tries: '{{ state.tries + 1 }}', text: '{{ output }}'}}
  - {id: mark, expr: 1, set: {marks: '{{ state.marks | default(0) + 1 }}'}}
  - id: check
    expr: {ok: \"{{ 'short' in tasks.write }}\", feedback: make it short}
    set: {checks: '{{ state.checks | default(0) + 1 }}'}
    guard: {retry_task: write, max_attempts: 3}
  - {id: end, expr: {first: '{{ state.first }}', tries: '{{ state.tries }}', text: '{{ state.text }}', marks: '{{ state.marks }}', checks: '{{ state.checks }}'}}
";
    let paper = Paper::answered(text, ECHO);
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.prompts(), ["write 0 freely", "write 0 make it short"]);
    assert_eq!(
        paper.output(),
        json!({"first": "yes", "tries": 1, "text": "<write 0 make it short>", "marks": 1, "checks": 2}),
        "only what the guard itself noted counts both times"
    );
    // A guard that gives up has failed, and takes back what it wrote last; what it checked is done, and keeps its last writes.
    let stuck = format!("on_failure: best_effort\n{}", text.replace("'short'", "'never'"));
    let paper = Paper::answered(&stuck, ECHO);
    assert_eq!(paper.run()["status"], "done");
    assert_eq!((paper.prompts().len(), paper.states()["check"].as_str()), (3, "failed"));
    assert_eq!(
        paper.output(),
        json!({"first": "yes", "tries": 1, "text": "<write 0 make it short>", "marks": 1, "checks": 2})
    );
}

#[test]
fn accept_079_a_way_back_by_a_route_keeps_what_was_written_and_loops_count_with_it() {
    let text = "name: x
state: {initial: {rounds: 0}}
steps:
  - {id: draft, max_visits: 5, prompt: 'draft {{ state.rounds }}', set: {rounds: '{{ state.rounds + 1 }}'}}
  - id: review
    expr: \"'again' if state.rounds < 3 else 'fine'\"
    set: {reviews: '{{ state.reviews | default(0) + 1 }}'}
    routes: {again: draft, fine: end}
  - {id: end, expr: [state.rounds, state.reviews]}
result: ['{{ state.rounds }}', '{{ state.reviews }}']
";
    let paper = Paper::answered(text, ECHO);
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.prompts(), ["draft 0", "draft 1", "draft 2"]);
    assert_eq!(paper.output(), json!([3, 3]));
    // What a later pass wrote is taken back when it fails, what earlier passes wrote is not.
    let fails = text
        .replace("'again' if state.rounds < 3", "'again' if state.rounds < 2 else 'gone' if state.rounds == 2")
        .replace("fine: end", "fine: end, deny: end")
        .replace("    routes", "    allow_failure: true\n    routes");
    let paper = Paper::answered(&fails, ECHO);
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.states()["review"], "failed", "`gone` is no route");
    assert_eq!(paper.output(), json!([2, 1]));
}

#[test]
fn a_failed_task_takes_back_its_own_writes_and_not_what_others_wrote_over_them() {
    // Answers come in the order of the calls: `a` writes, then `b`, then `a` fails in its second round.
    let text = "name: x
on_failure: best_effort
tasks:
  a: {prompt: 'a {{ loop.iteration }}', until: output.gone if loop.iteration > 1 else false, max_iterations: 3, set: {k: a, own: a}}
  b: {prompt: b, set: {k: b}}
  end: {after: [a, b], expr: {k: '{{ state.k }}', own: '{{ state.own | default(0) }}'}}
";
    let paper = Paper::answered(text, ECHO);
    assert_eq!(paper.run()["status"], "done");
    assert_eq!(paper.states()["a"], "failed");
    assert_eq!(paper.output(), json!({"k": "b", "own": 0}));
}

#[test]
fn a_round_that_skips_the_task_or_has_it_done_again_takes_back_the_rounds_before() {
    let run = |outcome: &str| {
        let paper = Paper::answered(
            &format!(
                "name: x
state: {{initial: {{n: 0}}}}
tasks:
  t: {{prompt: 'n={{{{ state.n }}}}', outcome: \"{outcome}\", until: state.n > 2, max_iterations: 9, set: {{n: '{{{{ state.n + 1 }}}}'}}}}
  end: {{after: t, expr: '[tasks.t.status, state.n]'}}
"
            ),
            ECHO,
        );
        let view = paper.run();
        assert_eq!(view["status"], "done", "{view}");
        (paper.prompts(), paper.output())
    };
    let (prompts, output) = run("'skip' if output == '<n=1>' else 'ok'");
    assert_eq!((prompts, output), (vec!["n=0".to_owned(), "n=1".to_owned()], json!(["skipped", 0])));
    let (prompts, output) =
        run("{'outcome': 'retry', 'reason': 'why'} if output == '<n=1>' and loop.feedback is undefined else 'ok'");
    assert_eq!((prompts.join(" "), output), ("n=0 n=1 n=0 n=1 n=2".to_owned(), json!(["done", 3])));
}
