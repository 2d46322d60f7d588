//! Files of a run that are swapped for links while a client reads them: whatever the moment, nothing from outside is told.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use crate::support::cli::Place;
use crate::support::mcp::Mcp;

const PATH: &str = "calls/c0001/prompt.txt";
/// What lies outside, under the same names.
const OUTSIDE: &str = "OUTSIDE-1f6d";
/// Reads at least.
const READS: usize = 400;

/// Ends the swapping, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Swaps until told to stop, as fast as it can: the file with a link to another file, then its directory with a link to
/// another directory.
fn swap(run_dir: &Path, outside: &Path, stop: &AtomicBool) {
    let pairs = [run_dir.join(PATH), run_dir.join("calls/c0001")].map(|inside| {
        let below = inside.strip_prefix(run_dir).unwrap().to_owned();
        let link = run_dir.join(below.display().to_string().replace('/', "-"));
        symlink(outside.join(below), &link).unwrap();
        (inside, link)
    });
    while !stop.load(Ordering::Relaxed) {
        for (inside, link) in &pairs {
            // An even number, so that all is in its place again.
            for _ in 0..200 {
                renameat_with(CWD, inside, CWD, link, RenameFlags::EXCHANGE).unwrap();
            }
        }
    }
}

#[test]
fn accept_043_a_file_that_is_swapped_for_a_link_while_it_is_read_tells_nothing_from_outside() {
    let place = Place::new();
    let outside = place.path().join("outside");
    place.file(&format!("outside/{PATH}"), &OUTSIDE.repeat(500));
    let mut client = Mcp::start(&place);
    let script = "export const meta = {name: 'one', description: 'one call'};\nreturn await agent('INSIDE');";
    let view = client.call("owf_run_workflow", json!({ "script": script }));
    let run = view["run_id"].as_str().unwrap().to_owned();
    let run_dir = PathBuf::from(view["run_dir"].as_str().unwrap());
    assert_eq!(fs::read_to_string(run_dir.join(PATH)).unwrap(), "INSIDE");

    let stop = AtomicBool::new(false);
    let (mut told, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| swap(&run_dir, &outside, &stop));
        let stop = Stop(&stop);
        let until = Instant::now() + Duration::from_mins(1);
        while (told + refused < READS || told == 0 || refused == 0) && !swapping.is_finished() {
            assert!(Instant::now() < until, "{told} reads told the file, {refused} were refused");
            let part = json!({ "run_id": run, "path": PATH, "offset": 0, "max_bytes": 200_000 });
            let part = client.start_call("owf_read_artifact", part);
            let listed = client.start_call("owf_artifacts", json!({ "run_id": run }));
            let whole = client.ask("resources/read", json!({ "uri": format!("owf://runs/{run}/artifacts/{PATH}") }));
            let (part, listed, whole) = (client.answer(part), client.answer(listed), client.answer(whole));
            for answer in [&part, &listed, &whole] {
                assert!(!answer.to_string().contains(OUTSIDE), "{answer}");
            }
            // Not even how large it is.
            let row = |row: &&serde_json::Value| row["path"] == PATH;
            let rows = listed["result"]["structuredContent"]["artifacts"].as_array();
            if let Some(row) = rows.and_then(|rows| rows.iter().find(row)) {
                assert_eq!(row["size_bytes"], 6, "{row}");
            }
            let result = &part["result"];
            if result["isError"] == json!(true) {
                let text = result["content"][0]["text"].as_str().unwrap();
                assert!(text.contains("path_refused") || text.contains("not_found"), "{text}");
                refused += 1;
            } else {
                assert_eq!(result["structuredContent"]["content"], "INSIDE", "{result}");
                told += 1;
            }
            if let Some(contents) = whole["result"]["contents"].as_array() {
                assert_eq!(contents[0]["text"], "INSIDE", "{whole}");
            }
        }
        drop(stop);
        swapping.join().unwrap();
    });
}
