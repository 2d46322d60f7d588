//! Explanations that add up, files that are what their rows say, homes that move, pages that make up the file.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;

use owf::core::ids::Hash;
use owf::engine::params::{ArtifactsParams, ReadArtifactParams, ResumeParams, SourceChoice};
use serde_json::{Value, json};

use crate::acca_support::{Desk, answers, script, texts};
use crate::support::cli::Place;

#[test]
fn accept_040_one_reason_a_call_and_counts_that_add_up() {
    let desk = Desk::new();
    desk.answers(
        "  - match: { label: bad }
    error: { class: bad_request, message: no }
  - text: '{{ prompt }}'",
    );
    // The answer that another run is going to have.
    desk.workflow("other", "return await agent('Known.', { label: 'known' })");
    desk.run("other");
    desk.workflow("mixed", "return [await agent('Kept.', { label: 'kept' }), await agent('Bad.', { label: 'bad' })]");
    let first = desk.run("mixed");
    desk.workflow(
        "mixed",
        "const out = [await agent('Kept.', { label: 'kept' }), await agent('Bad.', { label: 'bad' })];
         out.push(await agent('Known.', { label: 'known' }), await agent('New.', { label: 'new' }));
         out.push(await agent('Write.', { label: 'write', writeScope: ['x'] }));
         out.push(await agent('Quiet.', { label: 'quiet', cache: 'disabled' }));
         await owf.sleep(1);
         return out",
    );
    let view = desk.resume(ResumeParams { source: Some(SourceChoice::Current), ..ResumeParams::default() });
    let run = view["run_id"].as_str().unwrap();
    let explained = desk.explain(run);
    let rows: Vec<Value> = explained["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| json!([r["call_index"], r["label"], r["cache_status"], r["reason_code"]]))
        .collect();
    let sleep = explained["calls"][6]["label"].clone();
    assert_eq!(
        json!(rows),
        json!([
            [1, "kept", "replayed", "replayed"],
            [2, "bad", "miss", "earlier_failed"],
            [3, "known", "hit", "same_request"],
            [4, "new", "miss", "first_time"],
            [5, "write", "bypassed", "mutating"],
            [6, "quiet", "disabled", "policy"],
            [7, sleep, "bypassed", "policy"],
        ])
    );
    assert!(texts(&explained["calls"], "reason").iter().all(|r| r.len() > 5 && !r.ends_with('.')), "{explained}");
    assert_eq!(explained["calls"][0]["from"], json!({"run_id": first["run_id"], "call_id": "c0001"}));
    assert_eq!(explained["counts"], json!({"replayed": 1, "hit": 1, "miss": 2, "bypassed": 2, "disabled": 1}));
    assert_eq!(explained["counts"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>(), 7);
    let counts = &view["counts"];
    assert_eq!(
        json!([counts["total"], counts["done"], counts["failed"], counts["replayed"], counts["hit"]]),
        json!([7, 6, 1, 1, 1])
    );
    assert_eq!(
        view["reuse"],
        json!({"replayed": 1, "rerun": 4, "rerun_reasons": {"earlier_failed": 1, "first_time": 1, "mutating": 1, "policy": 1}, "saved_usd": 0})
    );
    let one = desk.place.json(&["explain-cache", run, "--cache-status", "miss", "--json"]);
    assert_eq!(
        (texts(&one["calls"], "label"), &one["counts"]),
        (vec!["bad".to_owned(), "new".into()], &explained["counts"])
    );
    let screen = desk.place.owf(&["explain-cache", run]).out;
    assert!(screen.contains("1 replayed, 1 hit, 2 miss, 2 bypassed, 1 disabled"), "{screen}");
}

/// A run with every sort of file: prompts, outputs, an error, a transcript, an export.
fn busy() -> (Place, String) {
    let place = Place::new();
    place.file("said.jsonl", "{\"said\":\"grüß dich\"}\n");
    place.file(
        "answers.yaml",
        &answers(
            "  - match: { label: bad }
    error: { class: bad_request, message: 'geht nicht' }
  - match: { label: said }
    transcript: said.jsonl
    text: 'größer 😀'
  - match: { has_schema: true }
    json: { n: 7 }",
        ),
    );
    place.file(
        "busy.js",
        &script(
            "busy",
            "const schema = { type: 'object', properties: { n: { type: 'integer' } } };
             return [await agent('Say.', { label: 'said' }), await agent('Bad.', { label: 'bad' }), await agent('Count.', { schema })]",
        ),
    );
    let view = place.json(&["run", "busy.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
    let run = view["run_id"].as_str().unwrap().to_owned();
    (place, run)
}

#[test]
fn accept_041_every_file_is_there_with_the_size_and_hash_of_its_row() {
    let (place, run) = busy();
    let view = place.json(&["artifacts", &run, "--json"]);
    let dir = std::path::PathBuf::from(view["run_dir"].as_str().unwrap());
    let rows = view["artifacts"].as_array().unwrap();
    let paths = texts(&view["artifacts"], "path");
    for wanted in [
        "calls/c0001/output.txt",
        "calls/c0001/prompt.txt",
        "calls/c0001/transcript.jsonl",
        "calls/c0002/error.txt",
        "calls/c0003/output.json",
        "manifest.json",
        "output.json",
        "source.js",
        "summary.md",
    ] {
        assert!(paths.iter().any(|p| p == wanted), "{wanted} is missing: {paths:?}");
    }
    assert_eq!((rows.len() as u64, &view["truncated"]), (view["artifacts_total"].as_u64().unwrap(), &json!(false)));
    for row in rows {
        let path = dir.join(row["path"].as_str().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            (row["size_bytes"].as_u64().unwrap(), row["sha256"].as_str().unwrap()),
            (bytes.len() as u64, Hash::of(&bytes).to_string().as_str()),
            "{row}"
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0, "{row}");
    }
    assert!(texts(&view["artifacts"], "created_at").iter().all(|t| t.ends_with('Z')));
    // Each row can be read by its path.
    let said = place.owf(&["cat", &format!("{run}/c0001")]);
    assert_eq!(said.out, "größer 😀");
    let transcript = place.owf(&["cat", &format!("{run}/c0001"), "--transcript"]);
    assert_eq!(transcript.out, "{\"said\":\"grüß dich\"}\n");
}

#[test]
fn accept_041_a_moved_home_still_reads_and_resumes() {
    let (place, run) = busy();
    let tell = |args: &[&str]| {
        let mut view = place.json(args);
        for key in ["run_dir", "home", "file_path", "next"] {
            view.as_object_mut().unwrap().remove(key);
        }
        if let Some(facts) = view["run"].as_object_mut() {
            facts.remove("home");
        }
        view
    };
    let moved = place.path().join("elsewhere/kept");
    std::fs::create_dir_all(moved.parent().unwrap()).unwrap();
    let asked: [&[&str]; 5] =
        [&["status", &run], &["calls", &run], &["output", &run], &["artifacts", &run], &["explain-cache", &run]];
    let before: Vec<Value> = asked.iter().map(|args| tell(&[args, &["--json"][..]].concat())).collect();
    std::fs::rename(place.home(), &moved).unwrap();
    let there = moved.to_str().unwrap();
    let after: Vec<Value> = asked.iter().map(|args| tell(&[args, &["--json", "--home", there][..]].concat())).collect();
    assert_eq!(after, before);
    assert_eq!(place.owf(&["cat", &format!("{run}/c0001"), "--home", there]).out, "größer 😀");
    let status = place.json(&["status", &run, "--home", there, "--json"]);
    assert_eq!(status["run_dir"], json!(format!("{there}/runs/{run}")));
    let resumed = place.owf(&["resume", &run, "--no-input", "--json", "--home", there]);
    assert_eq!((resumed.code, &resumed.json()["counts"]["replayed"]), (0, &json!(2)), "{resumed:?}");
    assert!(!place.home().exists(), "nothing went to the old place");
    // No row holds the old path.
    for entry in std::fs::read_dir(&moved).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let old = place.home().display().to_string();
            assert!(!bytes.windows(old.len()).any(|w| w == old.as_bytes()), "{} names {old}", path.display());
        }
    }
}

/// The bytes of a page.
fn decoded(view: &Value) -> Vec<u8> {
    let content = view["content"].as_str().unwrap();
    if view["encoding"] == "utf-8" {
        return content.as_bytes().to_vec();
    }
    let value =
        |b: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|c| *c == b);
    let sextets: Vec<usize> = content.bytes().filter_map(value).collect();
    sextets
        .chunks(4)
        .flat_map(|four| {
            let bits = four.iter().fold(0, |bits, s| bits << 6 | s) << (6 * (4 - four.len()));
            let bytes = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
            bytes[..four.len() - 1].to_vec()
        })
        .collect()
}

#[test]
fn accept_042_pages_make_up_the_file_byte_for_byte() {
    let desk = Desk::new();
    desk.workflow("one", "return 1");
    let run = desk.run("one")["run_id"].as_str().unwrap().to_owned();
    let dir = desk.place.home().join("runs").join(&run);
    let text: String = (0..3000).map(|i| ['a', 'ß', '漢', '😀', '\n'][i % 5]).collect();
    let binary: Vec<u8> = (0..20_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    // Text whose middle is not.
    let mixed = [text.as_bytes(), &binary[..501], text.as_bytes()].concat();
    let files: [(&str, &[u8]); 4] =
        [("text.txt", text.as_bytes()), ("binary.bin", &binary), ("mixed.txt", &mixed), ("empty.txt", b"")];
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).unwrap();
        for max_bytes in [1, 3, 7, 1000, 200_000] {
            if max_bytes < 7 && bytes.len() > 12_000 && name != "text.txt" {
                continue;
            }
            let mut whole = Vec::new();
            let mut offset = 0;
            loop {
                let params = ReadArtifactParams {
                    run_id: Some(run.clone()),
                    path: name.to_owned(),
                    offset: Some(offset),
                    max_bytes: Some(max_bytes),
                    home: None,
                };
                let page = serde_json::to_value(desk.engine.read_artifact(&params).unwrap()).unwrap();
                let got = decoded(&page);
                assert_eq!(
                    (page["returned_bytes"].as_u64(), page["offset"].as_u64(), page["size_bytes"].as_u64()),
                    (Some(got.len() as u64), Some(offset as u64), Some(bytes.len() as u64)),
                    "{name} by {max_bytes} at {offset}"
                );
                // A character is never cut, so a page may hold the rest of one.
                assert!(got.len() as u64 <= max_bytes.max(4), "{name} by {max_bytes}: {} bytes", got.len());
                whole.extend(got);
                let more = whole.len() < bytes.len();
                assert_eq!((page["truncated"].as_bool(), page["next_offset"].is_u64()), (Some(more), more));
                if !more {
                    break;
                }
                offset = page["next_offset"].as_i64().unwrap();
                assert_eq!(offset as usize, whole.len(), "{name} by {max_bytes}");
            }
            assert!(whole == bytes, "{name} by {max_bytes} is not the file");
        }
        // The command line prints the very bytes.
        let printed = desk.place.command(&["cat", &format!("{run}/{name}")]).output().unwrap();
        assert!(printed.status.success() && printed.stdout == bytes, "{name}: {printed:?}");
    }
    let end = |offset: i64| {
        let params = ReadArtifactParams {
            run_id: None,
            path: "text.txt".into(),
            offset: Some(offset),
            max_bytes: None,
            home: None,
        };
        desk.engine.read_artifact(&params).unwrap()
    };
    let last = end(-12);
    assert_eq!(
        (last.truncated, last.size_bytes - last.offset, last.returned_bytes),
        (false, last.content.len() as u64, last.content.len() as u64)
    );
    assert!(text.ends_with(&last.content) && !last.content.is_empty());
    let beyond = end(1_000_000);
    assert_eq!((beyond.returned_bytes, beyond.truncated, beyond.content.as_str()), (0, false, ""));
}

#[test]
fn accept_042_lists_of_files_page_too() {
    let (place, run) = busy();
    let all = texts(&place.json(&["artifacts", &run, "--json"])["artifacts"], "path");
    let mut paged = Vec::new();
    let mut cursor: Option<String> = None;
    let engine = crate::acca_support::engine_over(&place, &[]);
    loop {
        let params =
            ArtifactsParams { run_id: Some(run.clone()), limit: Some(2), cursor, ..ArtifactsParams::default() };
        let page = engine.artifacts(&params).unwrap();
        paged.extend(page.artifacts.iter().map(|a| a.path.clone()));
        assert_eq!((page.artifacts_total, page.truncated), (all.len() as u64, page.next_cursor.is_some()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
}

#[test]
fn a_process_that_leaves_a_paused_run_has_written_the_files_of_all_its_calls() {
    let place = Place::new();
    // So much that the files are written a while after the journal: who does not wait for them leaves before they are there.
    let text = "x".repeat(60_000);
    place.file("answers.yaml", &answers(&format!("  - match: {{ label: 'n*' }}\n    text: {text}")));
    let body =
        "const all = await parallel(Array.from({ length: 300 }, (_, i) => () => agent('n' + i, { label: 'n' + i })))
await owf.approve('Go on?')
return all.length";
    place.file("w.js", &script("w", body));
    let paused = place.owf(&["run", "w.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
    assert_eq!((paused.code, &paused.json()["status"]), (3, &json!("paused")), "{paused:?}");
    let calls = place.home().join("runs").join(paused.json()["run_id"].as_str().unwrap()).join("calls");
    let missing = (1..=300).filter(|n| !calls.join(format!("c{n:04}/output.txt")).exists()).count();
    assert_eq!(missing, 0);
}

#[test]
fn an_expression_has_a_file_of_its_own_when_it_is_too_long_to_be_shown_whole_and_in_an_export() {
    let place = Place::new();
    let text = "name: x\ntasks:\n  short: {expr: '[1, 2]'}\n  whole: {expr: \"'x' * 1000\"}\n  long: {expr: \"'x' * 1001\"}\n  fails: {expr: '1 + []', allow_failure: true}\n";
    place.file("flow.yaml", text);
    let run = place.json(&["run", "flow.yaml", "--json"])["run_id"].as_str().unwrap().to_owned();
    let calls = |root: &std::path::Path| {
        let mut names: Vec<String> = walkdir::WalkDir::new(root.join("calls"))
            .into_iter()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.path().strip_prefix(root).unwrap().display().to_string())
            .collect();
        names.sort();
        names
    };
    assert_eq!(calls(&place.home().join("runs").join(&run)), ["calls/c0003/output.txt"]);
    let shown = |call: &str| place.json(&["calls", &run, call, "--json"])["call"].clone();
    assert_eq!(shown("c0001")["output_preview"], "[1,2]");
    assert_eq!(shown("c0002")["output_preview"], "x".repeat(1000));
    assert_eq!(shown("c0003")["files"]["output"], "calls/c0003/output.txt");
    place.json(&["export", &run, "--output", "out", "--json"]);
    let all = ["calls/c0001/output.json", "calls/c0002/output.txt", "calls/c0003/output.txt", "calls/c0004/error.txt"];
    assert_eq!(calls(&place.path().join("out")), all);
}
