//! The screens of the terminal, against those agreed on.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use owf::cli::Terminal;
use owf::cli::render::text::Paint;
use owf::cli::render::{self, approvals, calls, dry_run, explain, lists, run_end, runs, status, validate};
use owf::core::call::Decision;
use owf::core::failure::{Code, Failure};
use owf::core::time::Millis;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const OLD: &str = "20260528-143201-k7q2mvx4";
const NEW: &str = "20260528-151840-p3wd8n6t";

fn term() -> Terminal {
    Terminal {
        stdin: false,
        stderr: false,
        paint: Paint::new(false),
        paint_err: Paint::new(false),
        width: 80,
        cwd: PathBuf::from("/repo"),
        user: "ada".to_owned(),
    }
}

fn view<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// `base` with further keys, which win.
fn with(mut base: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

fn run(id: &str, status: &str) -> Value {
    json!({
        "run_id": id, "status": status, "simulated": false,
        "counts": { "total": 40, "done": 40 },
        "usage": { "input_tokens": 610_220, "output_tokens": 28_904, "cost_usd": 2.38, "cost_source": "reported" },
        "elapsed_ms": 1_188_000, "run_dir": format!("/repo/.workflows/runs/{id}"), "next": "", "next_cursor": "9"
    })
}

fn row(id: &str, status: &str) -> Value {
    json!({
        "run_id": id, "id": id, "status": status, "workflow_name": "review", "provider": "claude", "model": "sonnet",
        "simulated": false, "created_at": "2026-05-28T14:32:01.204Z", "elapsed_ms": 1, "calls": 40, "failed": 0,
        "cost_usd": 2.38, "cost_source": "reported", "pending_approvals": 0, "started_by": "mcp claude-code 2.1.329",
        "script_path": "/repo/.claude/workflows/review.js"
    })
}

fn question() -> Value {
    json!({
        "approval_id": "a1", "run_id": OLD, "call_id": "c0022", "kind": "approve",
        "message": "Apply the migration to 14 files?", "content_hash": "5be1c07f", "decider": "any", "state": "pending",
        "created_at": "2026-05-28T14:32:01.000Z", "expires_at": "2026-05-28T16:32:01.000Z", "on_timeout": "deny",
        "approve_means": "the script goes on", "deny_means": "owf.approve() returns {decision: \"deny\"}"
    })
}

#[test]
fn a_run_with_a_gap_ends_with_what_is_missing_and_how_to_get_it() {
    let items: Vec<_> = (0..17).map(|i| json!({ "file": format!("src/file{i}.ts") })).collect();
    let facts = with(row(NEW, "done"), json!({ "home": "/repo/.workflows" }));
    let view = view(with(
        run(NEW, "done"),
        json!({
            "counts": { "total": 40, "done": 39, "failed": 1, "replayed": 12 },
            "gaps": [{ "call_id": "c0031", "label": "verify:src/legacy/parser.ts", "status": "timeout",
                       "message": "no answer in 600s (2 tries)" }],
            "gaps_total": 1,
            "budget": { "cost_usd": { "limit": 8, "spent": 3.71, "fresh": 2.38, "reserved": 0 } },
            "reuse": { "replayed": 12, "rerun": 28, "saved_usd": 1.33 },
            "output": { "findings": items },
            "run": facts
        }),
    ));
    assert_eq!(
        run_end::screen(&view, &term()),
        "\
done with 1 gap  19m48s  40 calls: 39 done (12 reused, saved $1.33), 1 failed
$2.38 of $8.00 reported by claude   610k in  29k out
missing from the result:
  c0031 verify:src/legacy/parser.ts  timeout: no answer in 600s (2 tries)
  try it again: owf resume p3wd8n6t
result: {\"findings\": [17 items]}   all of it: owf output p3wd8n6t
"
    );
    assert_eq!(
        run_end::three_lines(&view, &PathBuf::from("/repo")),
        "\
run_id: 20260528-151840-p3wd8n6t
status: done
run_dir: .workflows/runs/20260528-151840-p3wd8n6t
"
    );
}

#[test]
fn a_failed_run_shows_the_place_and_the_way_on() {
    let view = view(with(
        run(OLD, "failed"),
        json!({
            "counts": { "total": 1, "done": 1 }, "elapsed_ms": 400, "usage": { "cost_source": "reported" },
            "script_path": "/repo/review.js",
            "error": { "code": "script_error", "name": "TypeError",
                       "message": "TypeError: cannot read property 'map' of undefined", "line": 10, "column": 34,
                       "excerpt": "const found = (await parallel(files.map(f => () => agent(prompt, options)" }
        }),
    ));
    assert_eq!(
        run_end::screen(&view, &term()),
        "\
failed  0.4s  1 call: 1 done
error: TypeError: cannot read property 'map' of undefined
  review.js:10:34  const found = (await parallel(files.map(f => () => agent(p...
  hint: fix the file, then owf resume k7q2mvx4 --source current   1 call reused
"
    );
}

#[test]
fn fake_answers_an_interruption_and_a_provider_that_is_down_are_named() {
    let fake = view(with(
        run(OLD, "done"),
        json!({
            "simulated": true, "elapsed_ms": 61, "output": { "findings": [] },
            "usage": { "input_tokens": 1210, "output_tokens": 802, "cost_usd": 0, "cost_source": "simulated" }
        }),
    ));
    assert_eq!(
        run_end::screen(&fake, &term()),
        "done (FAKE answers)  0.1s  40 calls: 40 done\nresult: {\"findings\": []}\n"
    );
    let stopped = view(with(
        run(OLD, "interrupted"),
        json!({
            "status_reason": "owner_gone", "elapsed_ms": 252_000, "counts": { "total": 27, "done": 19, "queued": 8 }
        }),
    ));
    assert_eq!(
        run_end::screen(&stopped, &term()),
        "interrupted  4m12s  27 calls: 19 done and kept, 8 will run again\n  go on: owf resume k7q2mvx4\n"
    );
    let down = view(with(
        run(OLD, "paused"),
        json!({
            "status_reason": "provider_auth", "elapsed_ms": 912, "counts": { "total": 1, "queued": 1 },
            "error": { "code": "provider_unavailable", "message": "claude is not logged in; 1 call was tried and waits",
                       "hint": "run `claude` and /login" }
        }),
    ));
    assert_eq!(
        run_end::screen(&down, &term()),
        "\
paused  0.9s  claude is not logged in; 1 call was tried and waits
  run `claude` and /login
  then: owf resume k7q2mvx4
"
    );
}

#[test]
fn refused_calls_say_how_to_run_them() {
    let view = view(with(
        run(OLD, "done"),
        json!({
            "counts": { "total": 40, "done": 33, "failed": 7 }, "elapsed_ms": 727_003,
            "gaps": [{ "call_id": "c0034", "label": "verify:src/a.ts", "status": "budget_exhausted", "message": "x" }],
            "gaps_total": 7,
            "usage": { "input_tokens": 1_204_110, "output_tokens": 51_002, "cost_usd": 4.91, "cost_source": "reported" },
            "budget": { "cost_usd": { "limit": 5, "spent": 4.91, "reserved": 0 } },
            "warnings": [{ "code": "budget_exhausted", "message": "cost budget 5.00 USD: 4.91 spent" }]
        }),
    ));
    assert_eq!(
        run_end::screen(&view, &term()),
        "\
done with 7 gaps  12m07s  40 calls: 33 done, 7 refused
$4.91 of $5.00 reported   1.2M in  51k out
cost budget 5.00 USD: 4.91 spent
missing from the result: c0034 verify:src/a.ts and 6 more (owf calls --failed)
  run them: owf resume k7q2mvx4 --budget-cost-usd N   7 calls
result: none, the script returned undefined
"
    );
}

#[test]
fn status_shows_a_paused_run_and_its_question() {
    let facts = with(
        row(OLD, "paused"),
        json!({
            "workflow_name": "migrate", "script_path": "/repo/.claude/workflows/migrate.js",
            "home": "/repo/.workflows", "source_changed": true
        }),
    );
    let view = view(with(
        run(OLD, "paused"),
        json!({
            "status_reason": "approval", "approvals": [question()], "counts": { "total": 22, "running": 1, "done": 21 },
            "elapsed_ms": 401_877,
            "usage": { "input_tokens": 1, "output_tokens": 1, "cost_usd": 1.88, "cost_source": "reported" },
            "budget": { "cost_usd": { "limit": 5, "spent": 1.88, "reserved": 0 } },
            "phases": [{ "title": "Plan", "total": 1, "done": 1 }, { "title": "Change", "total": 20, "done": 20 },
                       { "title": "Apply", "total": 1 }],
            "run": facts
        }),
    ));
    // 18 minutes after the start.
    let now = Millis(1_779_978_721_204 + 18 * 60_000);
    assert_eq!(
        status::screen(&view, now, &term()),
        "\
run_id: 20260528-143201-k7q2mvx4
status: paused (approval)
workflow: migrate   .claude/workflows/migrate.js (changed since the start)
provider: claude/sonnet
started: 2026-05-28 14:32 by mcp claude-code 2.1.329, 18m ago
calls: 22: 21 done, 1 waiting for an answer   6m42s
cost: $1.88 of $5.00 (reported)
phases: Plan 1 done   Change 20 done   Apply 1 waiting
question a1: Apply the migration to 14 files?  until 16:32, then deny
  owf approve k7q2mvx4   or   owf deny k7q2mvx4 --reason \"...\"
run_dir: .workflows/runs/20260528-143201-k7q2mvx4
"
    );
}

#[test]
fn runs_stand_in_columns() {
    let at = |minutes: i64| Value::from(Millis(1_779_978_721_204 - minutes * 60_000).rfc3339());
    let view = view(json!({
        "home": "/repo/.workflows", "total": 500, "matched": 500, "truncated": true, "next_cursor": "x", "next": "",
        "runs": [
            with(row(NEW, "done"), json!({ "failed": 1, "created_at": at(2) })),
            with(row(OLD, "paused"), json!({ "workflow_name": "migrate", "calls": 22, "cost_usd": 1.88, "created_at": at(18) })),
            with(row("20260528-141107-b9x0c2rd", "interrupted"), json!({
                "workflow_name": "research", "provider": "codex", "calls": 12, "cost_usd": 0.4, "cost_source": "estimated",
                "created_at": at(125) })),
            with(row("20260527-141107-a03mm5tz", "done"), json!({
                "workflow_name": "hello", "provider": "fake", "simulated": true, "calls": 1, "cost_usd": 0,
                "cost_source": "simulated", "created_at": at(1500) })),
        ]
    }));
    assert_eq!(
        runs::list(&view, Millis(1_779_978_721_204), false, &Paint::new(false)),
        "\
p3wd8n6t  done         review    claude  40 calls 1 failed   $2.38   2m ago
k7q2mvx4  paused       migrate   claude  22 calls            $1.88  18m ago
b9x0c2rd  interrupted  research  codex   12 calls           ≈$0.40   2h ago
a03mm5tz  done         hello     FAKE     1 call             $0.00   1d ago
4 of 500   more: --limit N   full ids: --long   clear: owf prune
"
    );
}

#[test]
fn calls_show_what_failed_and_one_in_full() {
    let list = view(json!({
        "run_id": NEW, "status": "done", "simulated": false, "calls_total": 40, "matched": 1, "truncated": false,
        "calls": [{ "call_id": "c0031", "call_index": 31, "kind": "agent", "label": "verify:src/legacy/parser.ts",
            "status": "timeout", "cache_status": "miss", "attempts": 2, "duration_ms": 1_200_000, "cost_usd": 0.21,
            "cost_source": "reported", "error": { "class": "timeout", "message": "no answer in 600s" } }]
    }));
    assert_eq!(
        calls::list(&list, &term()),
        "\
c0031  timeout        miss  verify:src/legacy/parser.ts  20m00s  2 tries  $0.21
       no answer in 600s
1 of 40 calls   one in full: owf calls p3wd8n6t c0031
"
    );
    let one = view(json!({
        "run_id": OLD, "status": "running", "simulated": false, "next": "",
        "call": { "call_id": "c0009", "call_index": 9, "kind": "agent", "label": "review:src/legacy/parser.ts",
            "phase": "Review", "status": "schema_failed", "cache_status": "miss", "provider": "claude",
            "model": "sonnet", "attempts": 1, "input_tokens": 31_020, "output_tokens": 2210, "cost_usd": 0.14,
            "cost_source": "reported", "duration_ms": 88_120,
            "error": { "class": "schema", "message": "/findings/0/line must be integer, got \"around 120\"",
                       "hint": "allow a string for line, or ask for an integer in the prompt" },
            "prompt_preview": "Review src/legacy/parser.ts", "prompt_bytes": 27,
            "output_preview": "{\"findings\":[{\"file\":\"src/legacy/parser.ts\",\"line\":\"around 120\",\"claim\":\"x\"}]}",
            "output_bytes": 412,
            "files": { "prompt": "calls/c0009/prompt.txt", "output": "calls/c0009/output.txt",
                       "error": "calls/c0009/error.txt", "transcript": "calls/c0009/transcript.jsonl" } }
    }));
    assert_eq!(
        calls::detail(&one, &term()),
        "\
c0009 review:src/legacy/parser.ts   schema_failed   Review   claude/sonnet
  tries    1   1m28s   31.0k in  2.2k out  $0.14 (reported)
  error    schema: /findings/0/line must be integer, got \"around 120\"
  hint     allow a string for line, or ask for an integer in the prompt
  prompt   Review src/legacy/parser.ts                          (27 bytes)
  answer   {\"findings\":[{\"file\":\"src/legacy/parser.ts\",\"line\":\"around 120\",\"c...
  files    calls/c0009/{prompt.txt,output.txt,error.txt,transcript.jsonl}
  all of it: owf cat k7q2mvx4/c0009   --prompt   --transcript
"
    );
}

#[test]
fn explain_cache_gives_one_line_per_call_and_the_sums() {
    let row = |i: u32, label: &str, status: &str, code: &str, reason: &str| {
        json!({ "call_index": i, "call_id": format!("c{i:04}"), "label": label, "cache_status": status,
                "reason_code": code, "reason": reason })
    };
    let view = view(json!({
        "run_id": NEW, "counts": { "replayed": 12, "hit": 0, "miss": 27, "bypassed": 1, "disabled": 0 },
        "saved_usd": 1.33, "truncated": false,
        "calls": [row(1, "scan", "replayed", "replayed", "same request, from 20260528-143201-k7q2mvx4 c0001"),
                  row(2, "patch:src/a.ts", "bypassed", "mutating", "writes files, so it is never reused")]
    }));
    assert_eq!(
        explain::screen(&view, &term(), "review"),
        "\
replayed  scan: same request, from 20260528-143201-k7q2mvx4 c0001
bypassed  patch:src/a.ts: writes files, so it is never reused
12 replayed, 0 hit, 27 miss, 1 bypassed   saved $1.33
ask everything again: owf run review --cache-policy refresh
"
    );
}

#[test]
fn a_question_is_shown_with_what_each_answer_means() {
    let row = view(question());
    assert_eq!(
        approvals::question(&row, "migrate", 80),
        "\
question a1 from migrate (c0022): Apply the migration to 14 files?
  approve: the script goes on   deny: owf.approve() returns {decision: \"deny\"}
  until 16:32 UTC, then deny
"
    );
    let list = view(json!({ "approvals": [question()], "approvals_total": 1, "truncated": false }));
    let names = BTreeMap::from([(OLD.parse().unwrap(), "migrate".to_owned())]);
    assert_eq!(
        approvals::list(&list, &names, 80),
        "a1  k7q2mvx4  migrate  Apply the migration to 14 files?  16:32 UTC, then deny\n"
    );
    let going = view(run(OLD, "running"));
    assert_eq!(
        approvals::decided(&going, "a1", Decision::Approve),
        "\
approved a1; run 20260528-143201-k7q2mvx4 goes on in the background
  follow it: owf wait k7q2mvx4
"
    );
}

#[test]
fn validate_points_at_the_place() {
    let view = view(json!({
        "ok": false, "script_path": "/repo/review.js",
        "diagnostics": [
            { "severity": "error", "code": "typescript", "line": 6, "column": 12, "message": "TypeScript is not supported",
              "excerpt": "const files: string[] = []", "hint": "write plain JavaScript: `const files = []`" },
            { "severity": "note", "code": "nulls_dropped", "line": 11, "column": 3,
              "message": "`.filter(Boolean)` drops failed calls; they become gaps of the run", "excerpt": ".filter(Boolean)" }]
    }));
    assert_eq!(
        validate::screen(&view, &term()),
        "\
error: TypeScript is not supported
 --> review.js:6:12
  |
6 | const files: string[] = []
  |            ^^^^^^^^^^
  hint: write plain JavaScript: `const files = []`
note: `.filter(Boolean)` drops failed calls; they become gaps of the run
 --> review.js:11:3
1 error, 1 note
"
    );
}

#[test]
fn a_dry_run_shows_calls_cost_and_reuse() {
    let view = view(json!({
        "outcome": "completed", "script_hash": "9c41f0d2a7e3", "workflow": { "name": "review" }, "provider": "claude",
        "model": "sonnet", "calls_total": 5, "sites_total": 3, "sites_reached": 3, "args_read": ["base"],
        "args_missing": [], "phases": [],
        "fan_outs": [{ "line": 10, "over": "files", "calls": 2, "note": "" }, { "line": 13, "over": "found", "calls": 2, "note": "" }],
        "estimate": { "calls": 5, "input_tokens": { "low": 41000, "expected": 62000, "high": 98000 },
            "output_tokens": { "low": 1500, "expected": 4000, "high": 9000 },
            "cost_usd": { "low": 0.15, "expected": 0.25, "high": 0.43 }, "per_extra_item_usd": 0.1,
            "worst_case": { "calls": 1000, "cost_usd": 86 }, "cost_source": "estimated", "prices_as_of": "2026-05-02" },
        "calls": [
            { "phase": "Scan", "label": "scan", "count": 1, "schema": true, "prompt_bytes": 41 },
            { "phase": "Review", "label": "review:*", "count": 2, "schema": true, "prompt_bytes": 44 },
            { "phase": "Verify", "label": "verify:*", "count": 2, "schema": false, "prompt_bytes": 58 }],
        "reuse": { "run_id": OLD, "replayed": 12, "rerun": 9, "rerun_calls": [
            { "label": "a", "reason_code": "changed", "changed": ["schema"] },
            { "label": "b", "reason_code": "earlier_cancelled" }, { "label": "c", "reason_code": "earlier_cancelled" }] },
        "providers": [{ "name": "claude", "available": true, "version": "2.1.329", "login": "unknown" }],
        "warnings": [{ "code": "open_fan_out", "message": "the number of agents depends on an answer; set --budget-cost-usd" }],
        "next": ""
    }));
    assert_eq!(
        dry_run::screen(&view, &term(), "review", false),
        "\
review: completed, nothing was sent to claude/sonnet
  Scan      1  scan
  Review    2  review:*            grows with files (line 10)
  Verify    2  verify:*            grows with found (line 13)
places reached: 3 of 3      args read: base
for these 5 calls   low      expected   high
  tokens in         41k      62k        98k
  tokens out        1.5k     4.0k       9.0k
  cost              ≈$0.15   ≈$0.25     ≈$0.43
each further item of files ≈$0.10; worst case 1000 calls (the limit) ≈$86
prices of 2026-05-02   claude 2.1.329 found, login not checked
warning: the number of agents depends on an answer; set --budget-cost-usd
next: owf run review --provider claude --model sonnet --budget-cost-usd 5
--against k7q2mvx4: 12 calls replayed, 9 run again (2 cancelled, 1 schema)
"
    );
}

#[test]
fn short_lists_are_plain() {
    let files = view(json!({
        "run_id": OLD, "run_dir": "/x", "artifacts_total": 1, "truncated": false,
        "artifacts": [{ "path": "output.json", "kind": "output", "size_bytes": 1234,
            "sha256": "0".repeat(64), "mime_type": "application/json", "created_at": "2026-05-28T14:32:01.204Z" }]
    }));
    assert_eq!(lists::artifacts(&files), "1.2 KB  output  output.json\n");
    let workflows = view(json!({ "truncated": false, "templates": [], "workflows": [
        { "name": "review", "description": "Review changed files", "path": "/repo/.claude/workflows/review.js",
          "scope": "project", "ok": false, "problem": "6:12 TypeScript", "shadows": ["/home/ada/.claude/workflows/review.js"],
          "args_read": [] }] }));
    assert_eq!(
        lists::workflows(&workflows, &term()),
        "\
review  Review changed files  .claude/workflows/review.js
  problem: 6:12 TypeScript
  hides: /home/ada/.claude/workflows/review.js
"
    );
}

#[test]
fn a_request_that_could_not_be_served_says_what_would_work() {
    let ambiguous = Failure::new(Code::Ambiguous, "two workflows are named \"review\" in one directory")
        .allowed([".claude/workflows/review.js", ".claude/workflows/review-old.js"])
        .hint("owf run .claude/workflows/review.js");
    assert_eq!(
        render::failure(&ambiguous, &term()),
        "\
error: two workflows are named \"review\" in one directory
  .claude/workflows/review.js
  .claude/workflows/review-old.js
  hint: owf run .claude/workflows/review.js
"
    );
    let invalid = Failure::new(Code::InvalidWorkflow, "1 error: 6:12 TypeScript is not supported").with(
        "diagnostics",
        json!([{ "severity": "error", "code": "typescript", "line": 6, "column": 12, "file": "/repo/review.js",
                 "message": "TypeScript is not supported", "excerpt": "const files: string[] = []",
                 "hint": "write plain JavaScript: `const files = []`" }]),
    );
    assert_eq!(
        render::failure(&invalid, &term()),
        "\
error: TypeScript is not supported
 --> review.js:6:12
  |
6 | const files: string[] = []
  |            ^^^^^^^^^^
  hint: write plain JavaScript: `const files = []`
1 error; nothing was started
"
    );
}

#[test]
fn text_of_others_cannot_drive_the_terminal() {
    let view = view(with(
        run(OLD, "failed"),
        json!({
            "error": { "code": "script_error", "message": "a\u{1b}[2J\u{7}b\r\nc\u{202e}d", "hint": "h" }
        }),
    ));
    let screen = run_end::screen(&view, &term());
    assert!(!screen.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{screen:?}");
}
