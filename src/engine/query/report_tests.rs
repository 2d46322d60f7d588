//! Reports over hand-made journals: goldens, hostile text, every state of a run, and a run of a thousand calls.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::testing::{Book, Run, agent, done, failed, fake, spec};
use crate::core::event::Event;
use crate::core::outcome::ErrorClass;
use crate::core::run::{RunError, RunErrorCode, RunOutcome, RunSpec, RunStatus, StatusReason};
use crate::engine::Report;
use crate::engine::params::ReportFormat::{self, Html, Markdown};

/// Everything that markup, a terminal or a table could be broken with.
const HOSTILE: &str = "<script>document.title='owned'</script></pre></details></textarea>--><img src=x onerror=alert(1)> \
    [x](javascript:alert(1)) ![i](http://evil.example/i.png) `` ```` | \"' & {{ 7*7 }} {% raw %} \u{1b}[31mred\u{1b}[0m \
    \u{202e}desrever 👩‍💻 www.evil.example a@b.example\n\n# head\n````\n</details>\n| a | b |\n|---|---|\n";

fn text(book: &Book, run: &Run, format: ReportFormat) -> String {
    let report = Report::of(book.query(), &run.id, format).unwrap();
    let again = Report::of(book.query(), &run.id, format).unwrap();
    assert_eq!(report, again, "the same journal gives the same bytes");
    // Where the store is differs from test to test.
    let dir = book.query().run_dir(&run.id);
    report.text.replace(&dir, "RUN_DIR").replace(&dir.replace('/', "&#x2f;"), "RUN_DIR")
}

fn in_phase(prompt: &str, label: &str, phase: &str) -> crate::core::call::CallSpec {
    crate::core::call::CallSpec { phase: Some(phase.to_owned()), ..agent(prompt, label, 3) }
}

fn small(book: &mut Book) -> Run {
    let mut spec =
        RunSpec { phases: vec!["Scan".into(), "Check".into()], args: Some(json!({"base": "main"})), ..spec("review") };
    spec.description = "Reviews a change.".to_owned();
    let mut run = book.run(&spec);
    run.call(in_phase("List the files.", "scan", "Scan"), done(json!({"files": ["a.ts", "b.ts"]})));
    run.log("2 files");
    let call = run.ask(in_phase("Check a.ts.", "check:a", "Check"));
    run.attempt(call, 1, None);
    let error = crate::core::outcome::CallError::new(
        ErrorClass::Overloaded,
        "529 with key sk-ant-api03-abcdefghijklmnopqrstuvwxyz",
    );
    run.event(Event::AttemptFailed {
        worktree: None,
        call_id: call,
        attempt: 1,
        error,
        usage: crate::core::outcome::Usage::default(),
        cost_nanos: None,
        charge_nanos: None,
        charge_tokens: None,
        usage_unknown: false,
        price: None,
        retry_in_ms: Some(500),
        duration_ms: 80,
        rule: None,
        kept: None,
    });
    run.attempt(call, 2, None);
    run.outcome(call, done(json!("fine")));
    run.call(in_phase("Check b.ts.", "check:b", "Check"), failed(ErrorClass::BadRequest, "could not read b.ts"));
    run.call(in_phase("Check c.ts.", "check:c", "Check"), failed(ErrorClass::BadRequest, "could not read b.ts"));
    run.question("Publish?");
    run.event(Event::ApprovalDecided {
        approval_id: crate::core::ids::ApprovalId(1),
        decision: crate::core::call::Decision::Approve,
        expired: false,
        by: "mara".to_owned(),
        via: "cli".to_owned(),
        reason: Some("looks good".to_owned()),
    });
    run.event(Event::Warning { code: "workspace_changed".into(), message: "2 files changed since".into() });
    run.returns(Some(json!({"ok": true, "text": "**bold** <b>"})));
    run
}

#[test]
fn a_small_run_reads_like_this_in_markdown() {
    let mut book = Book::new();
    let run = small(&mut book);
    insta::assert_snapshot!(text(&book, &run, Markdown));
}

#[test]
fn a_small_run_is_this_document_in_html() {
    let mut book = Book::new();
    let run = small(&mut book);
    let html = text(&book, &run, Html);
    let (head, rest) = html.split_once("<style>").unwrap();
    let body = rest.split_once("</style>").unwrap().1;
    insta::assert_snapshot!(format!("{head}<style>{body}"));
}

/// A run whose every text is hostile.
fn hostile(book: &mut Book) -> Run {
    let mut spec = RunSpec { phases: vec![HOSTILE.into()], args: Some(json!({HOSTILE: HOSTILE})), ..spec(HOSTILE) };
    spec.description = HOSTILE.to_owned();
    spec.source_path = Some(HOSTILE.to_owned());
    spec.started_by = HOSTILE.to_owned();
    let mut run = book.run(&spec);
    run.call(in_phase(HOSTILE, HOSTILE, HOSTILE), fake(json!(HOSTILE)));
    run.call(in_phase(HOSTILE, HOSTILE, HOSTILE), done(json!({HOSTILE: [HOSTILE]})));
    run.call(in_phase(HOSTILE, HOSTILE, "other"), failed(ErrorClass::Other, HOSTILE));
    run.question(HOSTILE);
    run.log(HOSTILE);
    run.event(Event::Warning { code: HOSTILE.into(), message: HOSTILE.into() });
    let what =
        crate::core::event::Swallowed { place: HOSTILE.into(), line: Some(1), message: HOSTILE.into(), call_id: None };
    run.event(Event::Swallowed { what });
    let mut error = RunError::new(RunErrorCode::ScriptError, HOSTILE);
    error.name = Some(HOSTILE.to_owned());
    error.stack = vec![HOSTILE.to_owned()];
    run.end(RunOutcome {
        status: RunStatus::Failed,
        reason: None,
        output: Some(json!(HOSTILE)),
        error: Some(error),
        superseded_by: None,
    });
    run
}

#[test]
fn hostile_text_is_no_markup_in_html() {
    let mut book = Book::new();
    let run = hostile(&mut book);
    let html = text(&book, &run, Html);
    for sign in ["<script", "<img", "<textarea", "</textarea", "\u{1b}", "\u{202e}", "href=\"javascript", "href=\"http"]
    {
        assert!(!html.contains(sign), "{sign:?} got through");
    }
    assert!(html.contains("--&gt;"));
    assert_eq!(html.matches("-->").count(), 1, "the only comment is the report's own");
    for tag in ["details", "pre", "section", "table", "bdi", "code", "p", "span", "summary", "div"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "<{tag}> is not balanced");
    }
    // Every link leads to a place in the document.
    for link in html.split("href=\"").skip(1) {
        let anchor = link.split('"').next().unwrap().strip_prefix('#').unwrap();
        assert!(html.contains(&format!("id=\"{anchor}\"")), "nothing is called {anchor}");
    }
}

/// What a renderer takes as markup: the lines outside fences, without code in line.
fn markup(markdown: &str) -> String {
    let mut fence: Option<usize> = None;
    let mut out = String::new();
    for line in markdown.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            None if ticks >= 3 && !line[ticks..].contains('`') => fence = Some(ticks),
            None => {
                let mut rest = line;
                while let Some(at) = rest.find('`') {
                    out.push_str(&rest[..at]);
                    let ticks = rest[at..].chars().take_while(|c| *c == '`').count();
                    let after = &rest[at + ticks..];
                    let end = after.match_indices('`').map(|(i, _)| i).find(|i| {
                        !after[..*i].ends_with('`') && after[*i..].chars().take_while(|c| *c == '`').count() == ticks
                    });
                    rest = &after[end.unwrap_or_else(|| panic!("code without an end: {line}")) + ticks..];
                }
                out.push_str(rest);
                out.push('\n');
            }
            Some(open) if ticks >= open && line.trim_start_matches('`').is_empty() => fence = None,
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "a fence without an end");
    out
}

#[test]
fn hostile_text_is_no_markup_in_markdown() {
    let mut book = Book::new();
    let run = hostile(&mut book);
    let markdown = text(&book, &run, Markdown);
    assert!(!markdown.contains('\u{1b}') && !markdown.contains('\u{202e}'));
    let rest = markup(&markdown);
    let ours = ["<!-- owf report -->", "<details>", "</details>", "<summary>", "</summary>"];
    for line in rest.lines() {
        let mut line = line.to_owned();
        let folded = line.starts_with("<details>");
        for tag in ours {
            line = line.replace(tag, "");
        }
        assert!(!line.contains('<') && !line.contains('\u{1b}'), "{line}");
        // Within a summary, which is no Markdown, the words are escaped as HTML.
        assert!(folded || !line.contains("](") && !line.contains("evil"), "{line}");
    }
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows: Vec<_> = markdown.lines().filter(|l| l.starts_with("| c0")).collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(columns(row), 11, "{row}");
    }
}

#[test]
fn every_state_of_a_run_has_a_report_that_says_so() {
    let mut book = Book::new();
    let says = |book: &Book, run: &Run, words: &[&str]| {
        for format in [Markdown, Html] {
            let text = text(book, run, format).replace("&#x27;", "'");
            for word in words {
                assert!(text.contains(word), "{format:?} does not say {word:?}:\n{text}");
            }
        }
    };
    let queued = book.created(&spec("flow"));
    says(&book, &queued, &["interrupted", "No process ever took the run up."]);
    let mut running = book.run(&spec("flow"));
    let call = running.ask(agent("p", "l", 1));
    running.attempt(call, 1, None);
    says(&book, &running, &["running", "still at work", "None yet"]);
    running.die();
    says(&book, &running, &["interrupted", "is gone"]);
    let mut paused = book.run(&spec("flow"));
    paused.question("Go on?");
    paused.pause(StatusReason::Approval, None);
    says(&book, &paused, &["paused", "waits for a person's answer", "Go on?", "owf approve"]);
    let mut down = book.run(&spec("flow"));
    down.pause(StatusReason::ProviderAuth, Some("please log in"));
    says(&book, &down, &["not logged in", "please log in", "What it waits for"]);
    let mut asked = book.run(&spec("flow"));
    asked.pause(StatusReason::User, None);
    says(&book, &asked, &["paused on request"]);
    let mut cancelled = book.run(&spec("flow"));
    cancelled.cancelled();
    says(&book, &cancelled, &["cancelled", "None: the run was cancelled."]);
    let mut broken = book.run(&spec("flow"));
    let mut error = RunError::new(RunErrorCode::ScriptError, "null has no map");
    (error.name, error.line) = (Some("TypeError".to_owned()), Some(2));
    broken.end(RunOutcome {
        status: RunStatus::Failed,
        reason: None,
        output: None,
        error: Some(error),
        superseded_by: None,
    });
    says(
        &book,
        &broken,
        &["failed", "Why it failed", "TypeError: null has no map", "line 2:1", "const found = null.map()"],
    );
    let mut empty = book.run(&spec("flow"));
    empty.returns(None);
    says(&book, &empty, &["done", "The script returned nothing."]);
    let mut resumed = book.run(&RunSpec { resumed_from: Some(empty.id.clone()), ..spec("flow") });
    resumed.returns(Some(json!(1)));
    says(&book, &resumed, &["Resumes", &empty.id.to_string()]);
    let mut again = book.run(&spec("flow"));
    again.call(agent("p", "l", 1), fake(json!("x")));
    again.die();
    again.start();
    again.returns(Some(json!("y")));
    says(&book, &again, &["FAKE", "in place", "replayed"]);
}

#[test]
fn a_thousand_calls_with_large_texts_stay_within_the_bound() {
    let mut book = Book::new();
    let mut run = book.run(&spec("many"));
    let huge = "\"<&>'/".repeat(700);
    let mut events = Vec::new();
    for n in 0..1_000_u32 {
        events.push(run.request(in_phase(
            &format!("{n} {huge}"),
            &format!("{n}{}", huge.repeat(2)),
            &format!("phase {}", n % 7),
        )));
        let call_id = crate::core::ids::CallId(n + 1);
        let outcome = if n % 10 == 0 { failed(ErrorClass::Other, &huge) } else { done(json!(huge)) };
        events.push(Event::AttemptStarted {
            call_id,
            attempt: 1,
            provider: Some("claude".into()),
            model: None,
            cache: None,
            due_at: None,
            child_run: None,
            reserve_nanos: 0,
            reserve_tokens: 0,
        });
        let outcome = Box::new(crate::core::outcome::Outcome { call_id, ..outcome });
        events.push(Event::CallFinished { call_id, outcome, reused: None, rule: None });
        if events.len() > 60 {
            run.events(std::mem::take(&mut events));
        }
    }
    if !events.is_empty() {
        run.events(events);
    }
    run.returns(Some(json!(huge.repeat(200))));
    for format in [Markdown, Html] {
        let text = text(&book, &run, format);
        assert!(text.len() < 8 << 20, "{format:?}: {}", text.len());
        for id in ["c0001", "c0500", "c1000"] {
            assert!(text.contains(id), "{format:?} leaves out {id}");
        }
        assert!(text.contains("calls/c1000/output.txt") || text.contains("calls&#x2f;c1000&#x2f;output.txt"));
    }
}

#[test]
fn a_report_written_elsewhere_replaces_a_report_and_nothing_else() {
    use crate::core::failure::Code;
    let mut book = Book::new();
    let run = small(&mut book);
    let report = Report::of(book.query(), &run.id, Html).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = dir.path().join(name);
        report.write_to(name, &path).map(|view| view.path).map_err(|failure| failure.code)
    };
    assert_eq!(at("r.html"), Ok("r.html".to_owned()));
    assert_eq!(at("r.html"), Ok("r.html".to_owned()));
    std::fs::write(dir.path().join("thesis.html"), "<p>years of work").unwrap();
    assert_eq!(at("thesis.html"), Err(Code::Exists));
    std::fs::write(dir.path().join("empty"), "").unwrap();
    assert_eq!(at("empty"), Ok("empty".to_owned()));
    assert_eq!(at("."), Err(Code::PathRefused));
    assert_eq!(at("nowhere/r.html"), Err(Code::NotFound));
    let view = report.write(book.query()).unwrap();
    assert_eq!((view.path.as_str(), view.content, view.truncated), ("report.html", None, false));
    let markdown = Report::of(book.query(), &run.id, Markdown).unwrap().write(book.query()).unwrap();
    assert!(markdown.content.unwrap().starts_with("<!-- owf report -->"));
}
