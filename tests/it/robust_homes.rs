//! Homes that cannot be used, by the real binary: what is said, with which exit code, and that nothing is touched.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use owf::core::failure::Code;
use serde_json::{Value, json};

use crate::robust_local::script;
use crate::support::cli::{Place, Printed, printed};

fn with_home(place: &Place, home: &Path, args: &[&str]) -> Printed {
    printed(&place.command(args).env("OWF_HOME", home).output().unwrap())
}

fn error(printed: &Printed) -> Value {
    printed.json()["error"].clone()
}

#[test]
fn a_home_that_not_even_root_can_write_is_refused_with_exit_4() {
    let place = Place::new();
    place.file("w.js", &script("return 1"));
    let file = place.file("file", "not a directory");
    let mut homes = vec![file.join("home")];
    if cfg!(target_os = "linux") {
        homes.push("/proc/owf-home".into());
    }
    for home in homes {
        for args in [["run", "w.js", "--json"], ["init", "--json", "--quiet"]] {
            let args: Vec<&str> = args.into_iter().filter(|a| *a != "--quiet").collect();
            let printed = with_home(&place, &home, &args);
            assert_eq!(printed.code, 4, "{printed:?}");
            let error = error(&printed);
            assert_eq!(
                (&error["code"], &error["home"]),
                (&json!(Code::NotWritable.as_str()), &json!(home.display().to_string()))
            );
            let start = format!("{} cannot be written: ", home.display());
            assert!(error["message"].as_str().unwrap().starts_with(&start), "{error}");
        }
        let text = with_home(&place, &home, &["run", "w.js"]);
        assert_eq!((text.code, text.out.as_str()), (4, ""));
        assert!(text.err.starts_with("error: ") && text.err.contains("\n  hint: "), "{text:?}");
    }
    assert_eq!(std::fs::read_to_string(place.path().join("file")).unwrap(), "not a directory");
}

#[test]
fn a_newer_store_is_read_with_a_warning_and_never_written() {
    let place = Place::new();
    place.file("w.js", &script("return await agent('a')"));
    place.file("f.yaml", "owf_fixtures: 1\nrules:\n  - text: kept\n");
    let view = place.json(&["run", "w.js", "--fixtures", "f.yaml", "--json", "--no-input"]);
    let run = view["run_id"].as_str().unwrap().to_owned();
    let approving = script("return await owf.approve({message: 'go on?'})");
    place.file("a.js", &approving);
    assert_eq!(place.owf(&["run", "a.js", "--json", "--no-input"]).code, 3);
    let db = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
    db.execute_batch(
        "UPDATE meta SET value = '7' WHERE key = 'format'; UPDATE meta SET value = '0.9' WHERE key = 'written_by'",
    )
    .unwrap();
    drop(db);
    let before = std::fs::read(place.home().join("workflow.sqlite")).unwrap();
    // Reading works and says why it is only that.
    let status = place.json(&["status", &run, "--json"]);
    assert_eq!((&status["status"], &status["output"]), (&json!("done"), &json!("kept")));
    let codes: Vec<&Value> = status["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
    assert!(codes.contains(&&json!("store_newer")), "{status}");
    assert_eq!(place.owf(&["output", &run]).out, "kept\n");
    for args in
        [&["runs"][..], &["calls", &run], &["events", &run], &["approvals"], &["explain-cache", &run], &["doctor"]]
    {
        let printed = place.owf(args);
        assert_eq!(printed.code, 0, "{args:?}: {printed:?}");
    }
    let shown = place.owf(&["status", &run]);
    assert!(format!("{}{}", shown.out, shown.err).contains("owf 0.9 (format 7)"), "{shown:?}");
    // Writing is refused, whatever would be written.
    let approvals = place.json(&["approvals", "--json"]);
    let paused = approvals["approvals"][0]["run_id"].as_str().unwrap().to_owned();
    for args in [
        &["run", "w.js"][..],
        &["run", "w.js", "--detach"],
        &["resume", &run],
        &["resume", &paused],
        &["cancel", &paused],
        &["pause", &paused],
        &["approve", &paused, "--reason", "fine"],
        &["prune", "--keep", "0"],
        &["cache", "clear"],
        &["init"],
    ] {
        let mut args = args.to_vec();
        args.push("--json");
        let printed = place.owf(&args);
        assert_eq!(printed.code, 4, "{args:?}: {printed:?}");
        let error = error(&printed);
        assert_eq!(
            (&error["code"], &error["message"], &error["hint"]),
            (
                &json!("store_newer"),
                &json!("this store was written by owf 0.9 (format 7); this owf knows format 6"),
                &json!("upgrade owf; reading still works (runs, status, output)")
            ),
            "{args:?}"
        );
    }
    assert!(std::fs::read(place.home().join("workflow.sqlite")).unwrap() == before, "the database has changed");
    assert_eq!(std::fs::read_dir(place.home().join("runs")).unwrap().count(), 2);
}

#[test]
fn a_home_that_is_not_a_store_is_refused_and_left_alone() {
    let place = Place::new();
    place.file("w.js", &script("return 1"));
    let home = place.path().join("photos");
    place.file("photos/cat.jpg", "meow");
    for args in [&["run", "w.js"][..], &["init"], &["runs"], &["status"], &["resume"]] {
        let mut args = args.to_vec();
        args.push("--json");
        let printed = with_home(&place, &home, &args);
        assert_eq!(printed.code, 2, "{args:?}: {printed:?}");
        let error = error(&printed);
        assert_eq!(
            (&error["code"], &error["home"]),
            (&json!("home_not_a_store"), &json!(home.display().to_string())),
            "{args:?}"
        );
    }
    let files: Vec<_> = std::fs::read_dir(&home).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["cat.jpg"]);
    // A database of another program under our name.
    let other = place.path().join("other");
    std::fs::create_dir(&other).unwrap();
    rusqlite::Connection::open(other.join("workflow.sqlite")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let printed = with_home(&place, &other, &["run", "w.js", "--json"]);
    assert_eq!((printed.code, &error(&printed)["code"]), (2, &json!("home_not_a_store")));
    // And something that is no database at all.
    let junk = place.path().join("junk");
    place.file("junk/workflow.sqlite", &"junk ".repeat(1000));
    let printed = with_home(&place, &junk, &["runs", "--json"]);
    assert!(matches!(error(&printed)["code"].as_str(), Some("home_not_a_store" | "store_corrupt")), "{printed:?}");
    // Where everybody is sent then, there is an answer.
    let doctor = with_home(&place, &junk, &["doctor", "--json"]);
    let view = doctor.json();
    let failed = view["checks"].as_array().unwrap().iter().find(|c| c["health"] == "fail").unwrap();
    assert_eq!((doctor.code, &view["ok"], &failed["name"]), (4, &json!(false), &json!("store")), "{view}");
    // Where nothing is, there are no runs yet; asking does not make a home.
    let none = place.path().join("none");
    let printed = with_home(&place, &none, &["status", "--json"]);
    assert_eq!((printed.code, &error(&printed)["message"]), (2, &json!(format!("no runs yet in {}", none.display()))));
    assert!(!none.exists());
}

#[test]
fn a_disk_that_takes_no_more_ends_the_run_with_exit_4_and_nothing_is_reported() {
    let place = Place::new();
    let body = "for (let i = 0; i < 300; i++) await agent(`${i} ` + 'x'.repeat(3000)); return 'all of it'";
    place.file("w.js", &script(body));
    let run = |json: bool| {
        // The limit on the size of a file stands for a disk that is full; the shell lets the write fail instead of killing.
        let shell = format!(
            "trap '' XFSZ; ulimit -f 600; exec \"$0\" run w.js --no-input --max-calls 400 --quiet{}",
            if json { " --json" } else { "" }
        );
        let owf = place.command(&[]);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &shell]).arg(env!("CARGO_BIN_EXE_owf")).current_dir(place.path()).env_clear();
        for (key, value) in owf.get_envs() {
            if let Some(value) = value {
                command.env(key, value);
            }
        }
        printed(&command.output().unwrap())
    };
    let text = run(false);
    assert_eq!((text.code, text.out.as_str()), (4, ""), "{text:?}");
    assert!(text.err.contains("error: ") && text.err.contains("hint: check the disk, then owf resume"), "{text:?}");
    let id = place.store().resolve("latest").unwrap();
    let status = place.json(&["status", id.as_str(), "--json"]);
    assert_eq!(status["status"], json!("interrupted"));
    assert_eq!(place.store().integrity_check().unwrap(), Vec::<String>::new());
    let resumed = place.owf(&["resume", id.as_str(), "--result", "--quiet"]);
    assert_eq!((resumed.code, resumed.out.as_str()), (0, "all of it\n"), "{resumed:?}");
}
