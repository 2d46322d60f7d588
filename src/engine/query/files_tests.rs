//! Outputs, files, lists and housekeeping over hand-made journals.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::core::ids::Hash;
use crate::core::run::{RunSpec, RunStatus, Settings};
use crate::engine::params::{ArtifactsParams, Detail, ListRunsParams, OutputParams, PruneParams, ReadArtifactParams};
use crate::engine::view::Health;

use super::RunScope;
use super::testing::{Book, agent, done, fake, shown, spec};

#[test]
fn a_small_value_comes_whole_and_what_is_missing_says_why() {
    let mut book = Book::new();
    let mut run = book.run(&spec("a"));
    let output = |book: &Book, params: OutputParams| book.query().output(&params);
    let view = output(&book, OutputParams::default()).unwrap();
    assert_eq!(
        (view.has_output, view.next),
        (false, format!("The run has not finished: owf_wait with run_id {}.", run.id))
    );
    run.returns(Some(json!({"b": 1, "a": {"x/y": [true, null]}})));
    run.file("output.json", b"{}");
    let view = output(&book, OutputParams::default()).unwrap();
    assert_eq!(
        shown(&view, &["file_path"]),
        json!({"run_id": run.id, "status": "done", "simulated": false, "has_output": true, "output": {"b": 1, "a": {"x/y": [true, null]}},
            "size_bytes": 31, "truncated": false, "next": "This is the whole value."})
    );
    assert!(view.file_path.unwrap().ends_with("/output.json"));
    let part = |pointer: &str| output(&book, OutputParams { pointer: Some(pointer.into()), ..OutputParams::default() });
    assert_eq!(part("/a/x~1y/1").unwrap().output, Some(Value::Null));
    let nowhere = part("/a/z").unwrap_err();
    assert_eq!(
        (nowhere.code.as_str(), nowhere.allowed, &nowhere.extra["what"]),
        ("not_found", vec!["x~1y".to_owned()], &json!("pointer"))
    );
    assert_eq!(part("a").unwrap_err().code.as_str(), "invalid_arguments");
    let mut run = book.run(&spec("a"));
    run.returns(None);
    assert_eq!(
        output(&book, OutputParams::default()).unwrap().next,
        "The script returned undefined: there is no result."
    );
}

#[test]
fn pages_of_a_large_value_make_up_its_text() {
    let mut book = Book::new();
    book.env = book.model();
    let mut run = book.run(&spec("a"));
    let findings: Vec<Value> = (0..300).map(|n| json!({"file": format!("src/\"{n}\".rs"), "claim": "é😀\n"})).collect();
    let value = json!({"findings": findings, "summary": "x"});
    run.returns(Some(value.clone()));
    for max_bytes in [None, Some(1_001)] {
        let mut params = OutputParams { max_bytes, ..OutputParams::default() };
        let mut whole = String::new();
        loop {
            let view = book.query().output(&params).unwrap();
            assert!(super::bounds::size(&view) <= 10_000);
            assert_eq!(view.offset, Some(whole.len() as u64));
            if whole.is_empty() {
                assert_eq!(
                    view.outline,
                    Some(
                        json!({"findings": "array of 300 objects {file, claim}", "summary": "string of 1 characters"})
                    )
                );
                assert!(view.next.starts_with("owf_output with pointer \"/findings\", or with offset "));
            }
            whole.push_str(&view.output_text.unwrap());
            assert_eq!(view.truncated, view.next_offset.is_some());
            let Some(next) = view.next_offset else { break };
            params.offset = i64::try_from(next).ok();
        }
        assert_eq!(whole, value.to_string());
    }
    let end = book.query().output(&OutputParams { offset: Some(-3), ..OutputParams::default() }).unwrap();
    assert_eq!((end.output_text.as_deref(), end.truncated), (Some("x\"}"), false));
    let view = book.query().run_view(&run.id, &RunScope::Start { detail: Detail::Concise }).unwrap();
    assert_eq!((view.output, view.output_bytes), (None, Some(whole_len(&value))));
    assert_eq!(view.outline.unwrap()["findings"], "array of 300 objects {file, claim}");
}

#[test]
fn a_large_result_is_shown_by_pointer_and_a_long_text_by_offset() {
    for (value, says) in [
        (json!("x".repeat(20_000)), "The result is a long text: owf_output with an offset shows it page by page."),
        (json!(vec!["x"; 5_000]), "The result is large: owf_output with a pointer shows a part of it."),
        (json!({"string ": "x".repeat(20_000)}), "The result is large: owf_output with a pointer shows a part of it."),
    ] {
        let mut book = Book::new();
        book.env = book.model();
        let mut run = book.run(&spec("large"));
        run.returns(Some(value));
        let view = book.query().run_view(&run.id, &RunScope::Start { detail: Detail::Concise }).unwrap();
        assert_eq!(view.next, says);
    }
}

fn whole_len(value: &Value) -> u64 {
    value.to_string().len() as u64
}

#[test]
fn files_are_listed_with_size_and_hash_and_read_in_ranges() {
    let mut book = Book::new();
    let mut run = book.run(&spec("a"));
    run.call(agent("a", "a", 1), done(json!(1)));
    run.file("calls/c0001/prompt.txt", "é".repeat(6).as_bytes());
    run.file("calls/c0001/blob", &[0xff, 0xfe]);
    run.file("summary.md", b"# a\n");
    let params = ArtifactsParams::default();
    let view = book.query().artifacts(&params).unwrap();
    let rows: Vec<_> = view
        .artifacts
        .iter()
        .map(|a| (a.path.as_str(), a.kind.as_str(), a.call_id.as_deref(), a.size_bytes, a.mime_type.as_str()))
        .collect();
    assert_eq!(
        rows,
        [
            ("calls/c0001/blob", "file", Some("c0001"), 2, "application/octet-stream"),
            ("calls/c0001/prompt.txt", "prompt", Some("c0001"), 12, "text/plain"),
            ("summary.md", "summary", None, 4, "text/markdown"),
        ]
    );
    assert_eq!((view.artifacts[2].sha256, view.artifacts_total, view.truncated), (Hash::of("# a\n"), 3, false));
    let page = book.query().artifacts(&ArtifactsParams { limit: Some(2), ..params.clone() }).unwrap();
    assert_eq!((page.truncated, page.next_cursor.as_deref()), (true, Some("f2")));
    let rest = book.query().artifacts(&ArtifactsParams { cursor: page.next_cursor, ..params.clone() }).unwrap();
    assert_eq!((rest.artifacts.len(), rest.truncated), (1, false));
    let of_call = ArtifactsParams { call_id: Some("1".into()), kind: Some("prompt".into()), ..params };
    assert_eq!(book.query().artifacts(&of_call).unwrap().artifacts_total, 1);
    let read = |path: &str, offset: i64, max: Option<u64>| {
        let params = ReadArtifactParams {
            path: path.into(),
            offset: Some(offset),
            max_bytes: max,
            ..ReadArtifactParams::default()
        };
        book.query().read_artifact(&params)
    };
    let view = read("calls/c0001/prompt.txt", -5, Some(3)).unwrap();
    assert_eq!(
        (
            view.content.as_str(),
            view.encoding.as_str(),
            view.offset,
            view.returned_bytes,
            view.size_bytes,
            view.next_offset
        ),
        ("é", "utf-8", 8, 2, 12, Some(10))
    );
    assert_eq!((view.sha256, view.truncated), (Some(Hash::of("é".repeat(6))), true));
    assert!(view.file_path.ends_with("calls/c0001/prompt.txt"));
    assert_eq!(
        read("calls/c0001/blob", 0, None).map(|v| (v.content, v.encoding)),
        Ok(("//4=".into(), "base64".into()))
    );
    for path in ["../x", "/etc/passwd", "calls/../summary.md", "a\0b", "%2e%2e/x", "calls", "owner.lock/x"] {
        assert_eq!(read(path, 0, None).map_err(|f| f.code.as_str()), Err("path_refused"), "{path}");
    }
    assert_eq!(read("calls/c0009/prompt.txt", 0, None).map_err(|f| f.code.as_str()), Err("not_found"));
}

#[test]
fn runs_are_listed_newest_first_with_what_to_do() {
    let mut book = Book::new();
    let mut first =
        book.run(&RunSpec { settings: Settings::default(), source_path: Some("/w/hello.js".into()), ..spec("hello") });
    first.call(agent("a", "a", 1), fake(json!(1)));
    first.returns(None);
    let mut second = book.run(&spec("migrate"));
    second.question("Go on?");
    let view = book.query().list_runs(&ListRunsParams::default()).unwrap();
    assert_eq!(
        shown(&view, &["home"]),
        json!({
            "total": 2, "matched": 2,
            "runs": [
                {"run_id": second.id, "id": second.id, "status": "running", "workflow_name": "migrate", "provider": "claude", "simulated": false,
                    "created_at": "2026-05-28T14:32:02.000Z", "started_at": "2026-05-28T14:32:02.100Z", "elapsed_ms": 57900, "calls": 1,
                    "failed": 0, "cost_usd": 0, "cost_source": "reported", "pending_approvals": 1, "started_by": "cli"},
                {"run_id": first.id, "id": first.id, "status": "done", "workflow_name": "hello", "provider": "fake", "simulated": true,
                    "created_at": "2026-05-28T14:32:01.000Z", "started_at": "2026-05-28T14:32:01.100Z",
                    "completed_at": "2026-05-28T14:32:01.500Z", "elapsed_ms": 400, "calls": 1, "failed": 0, "cost_usd": 0,
                    "cost_source": "simulated", "pending_approvals": 0, "script_path": "/w/hello.js", "started_by": "cli"}],
            "truncated": false,
            "next": "owf_wait follows a running run; owf_approvals shows the open questions",
        })
    );
    let some =
        |params: ListRunsParams| book.query().list_runs(&params).map(|v| (v.runs.len(), v.matched, v.next_cursor));
    assert_eq!(
        some(ListRunsParams { status: Some(vec![RunStatus::Done]), ..ListRunsParams::default() }),
        Ok((1, 1, None))
    );
    assert_eq!(some(ListRunsParams { since: Some("58s".into()), ..ListRunsParams::default() }), Ok((1, 1, None)));
    assert_eq!(
        some(ListRunsParams { since: Some("2026-05-28T14:32:00Z".into()), ..ListRunsParams::default() }),
        Ok((2, 2, None))
    );
    assert_eq!(
        some(ListRunsParams { since: Some("soon".into()), ..ListRunsParams::default() }).map_err(|f| f.code.as_str()),
        Err("invalid_arguments")
    );
    let page = some(ListRunsParams { limit: Some(1), ..ListRunsParams::default() }).unwrap();
    assert_eq!((page.0, page.1), (1, 2));
    assert_eq!(some(ListRunsParams { cursor: page.2, ..ListRunsParams::default() }).unwrap().0, 1);
}

#[test]
fn the_facts_of_a_run_say_whether_its_file_has_changed() {
    let mut book = Book::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.js");
    let path = Some(file.display().to_string());
    let run = book.run(&RunSpec { source_path: path, ..spec("a") });
    let changed = |book: &Book| {
        let view = book.query().run_view(&run.id, &RunScope::Status { limit: None, cursor: None }).unwrap();
        view.run.unwrap().source_changed
    };
    assert_eq!(changed(&book), None, "the file is gone");
    std::fs::write(&file, "line one\n  const found = null.map()\n").unwrap();
    assert_eq!(changed(&book), Some(false));
    std::fs::write(&file, "edited").unwrap();
    assert_eq!(changed(&book), Some(true));
}

#[test]
fn an_export_writes_every_file_from_the_store() {
    let mut book = Book::new();
    let mut run = book.run(&spec("a"));
    run.call(agent("ask", "a", 1), done(json!("text")));
    run.call(agent("ask json", "a", 1), done(json!({"a": 1})));
    run.returns(Some(json!([1])));
    run.file("calls/c0001/transcript.jsonl", b"{}\n");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("out");
    let view = book.query().export(&run.id, Some(&to)).unwrap();
    let names: Vec<String> =
        crate::artifacts::RunFiles::open(&to).unwrap().entries().iter().map(|e| e.path.to_string()).collect();
    assert_eq!(
        names,
        [
            "calls/c0001/output.txt",
            "calls/c0001/prompt.txt",
            "calls/c0001/transcript.jsonl",
            "calls/c0002/output.json",
            "calls/c0002/prompt.txt",
            "manifest.json",
            "output.json",
            "source.js",
            "summary.md"
        ]
    );
    assert_eq!((view.files, view.path), (9, to.display().to_string()));
    let again = book.query().export(&run.id, None).unwrap();
    assert_eq!((again.files, again.size_bytes), (9, view.size_bytes));
}

#[test]
fn prune_names_what_goes_and_the_doctor_looks_at_everything() {
    let mut book = Book::new();
    let mut old = book.run(&spec("a"));
    old.returns(None);
    let live = book.run(&spec("a"));
    assert_eq!(book.query().prune(&PruneParams::default()).map_err(|f| f.code.as_str()), Err("invalid_arguments"));
    let params = PruneParams { keep: Some(0), dry_run: Some(true), ..PruneParams::default() };
    let view = book.query().prune(&params).unwrap();
    assert_eq!(
        json!([view.dry_run, view.pruned, view.pruned_total, view.kept]),
        json!([true,
        [{"run_id": old.id, "workflow_name": "a", "created_at": "2026-05-28T14:32:01.000Z"}], 1, 1])
    );
    let view = book.query().prune(&PruneParams { dry_run: None, ..params }).unwrap();
    assert_eq!((view.pruned_total, view.kept, book.store.run(&old.id).unwrap()), (1, 1, None));
    assert!(book.store.run(&live.id).unwrap().is_some());
    assert_eq!(book.query().clear_cache().unwrap().cleared, 0);
    let doctor = book.query().doctor().unwrap();
    let names: Vec<_> = doctor.checks.iter().map(|c| (c.name.as_str(), c.health == Health::Fail)).collect();
    assert_eq!(names, [("home", false), ("store", false), ("integrity", false), ("git", false)]);
    assert!(doctor.ok && doctor.size_bytes > 0);
}
