//! Work in worktrees in the hands of a person: listed, shown, taken over, removed, cleared up.

#![expect(clippy::unwrap_used, reason = "tests")]

use owf::engine::params::ResumeParams;
use serde_json::{Value, json};

use crate::acca_support::Desk;
use crate::support::git::Repo;
use crate::worktrees::desk_in_repo;

const IGNORED: (&str, &str) = (".gitignore", "*.js\n*.yaml\n*.jsonl\n");

/// A run whose only call wrote `b.txt`, changed `a.txt` and deleted `gone.txt` in its worktree.
fn done() -> (Desk, Repo, String) {
    let (desk, repo) = desk_in_repo(&[("a.txt", "1\n2\n3\n"), ("gone.txt", "x\n"), IGNORED]);
    desk.answers("  - write: { b.txt: \"b\\n\", a.txt: \"1\\n2\\nthree\\n\" }\n    delete: [gone.txt]\n    text: done");
    desk.workflow("edit", "return await agent('Edit.', { label: 'edit', isolation: 'worktree' })");
    let run = desk.run("edit")["run_id"].as_str().unwrap().to_owned();
    (desk, repo, run)
}

#[test]
fn kept_work_is_listed_shown_applied_and_removed() {
    let (desk, repo, run) = done();
    let short = &run[16..];
    let path = desk.place.home().join("worktrees").join(&run).join("c0001-1").display().to_string();
    let base = repo.git(&["rev-parse", "HEAD"]);
    let row = json!({"run_id": run, "call_id": "c0001", "attempt": 1, "label": "edit", "state": "kept",
        "branch": format!("owf/{short}/c0001"), "base": base, "path": path, "commits": 0,
        "changed_files": ["a.txt", "b.txt", "gone.txt"], "changed_total": 3});
    let list = desk.place.json(&["worktree", "list", "--json"]);
    assert_eq!(list, json!({"home": desk.place.home().display().to_string(), "worktrees": [row], "truncated": false}));
    let screen = desk.place.owf(&["worktree", "list", short]).out;
    assert_eq!(
        screen,
        format!("{short}/c0001  kept     3 files  edit\n  owf/{short}/c0001  home/worktrees/{run}/c0001-1\n")
    );
    let diff = desk.place.owf(&["worktree", "diff", &format!("{short}/c0001")]).out;
    assert!(diff.contains("-3\n+three\n") && diff.contains("deleted file mode"), "{diff}");
    assert_eq!(desk.place.json(&["worktree", "diff", "c0001", "--json"])["patch"], json!(diff));
    let other = desk.place.owf(&["worktree", "diff", "c0001", "--attempt", "7"]);
    assert!(other.code == 2 && other.err.contains("c0001 has no worktree of attempt 7"), "{other:?}");
    // The person has gone on in the meantime, in other places of the same files.
    repo.write("other.txt", "mine\n");
    let applied = desk.place.json(&["worktree", "apply", "c0001", "--json"]);
    assert_eq!(applied["worktree"], row);
    assert_eq!((repo.read("a.txt"), repo.read("b.txt")), ("1\n2\nthree\n".into(), "b\n".into()));
    assert_eq!(repo.status(), " M a.txt\n D gone.txt\n?? b.txt\n?? other.txt");
    let removed = desk.place.owf(&["worktree", "remove", "c0001"]);
    let (said, brings) = removed.out.split_once("\n  its work was ").unwrap();
    assert_eq!((removed.code, said), (0, format!("removed {short}/c0001 with branch owf/{short}/c0001").as_str()));
    let (commit, brings) = brings.split_once("; ").unwrap();
    assert_eq!(brings, format!("git branch owf/{short}/c0001 {commit} brings it back while git keeps it\n"));
    assert_eq!(repo.git(&["show", "--name-only", "--format=%P", commit]), format!("{base}\n\na.txt\nb.txt\ngone.txt"));
    let again = desk.place.owf(&["worktree", "remove", &run]);
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (0, "", "no worktrees\n"));
    assert_eq!((repo.branches(), desk.place.home().join("worktrees").exists()), (vec![], false));
    assert_eq!(desk.status(&run).get("worktrees"), None);
    let none = desk.place.owf(&["worktree", "diff", "c0001"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.err.contains(&format!("{run} c0001 has no worktree")), "{none:?}");
}

#[test]
fn work_that_would_conflict_is_refused_and_nothing_is_changed() {
    let (desk, repo, run) = done();
    let mut hints = Vec::new();
    for (path, text) in [("a.txt", "1\n2\nIII\n"), ("b.txt", "mine\n")] {
        repo.write(path, text);
        let before = (repo.status(), repo.read("a.txt"));
        let refused = desk.place.owf(&["worktree", "apply", "c0001", "--json"]);
        let error = refused.json()["error"].clone();
        assert_eq!((refused.code, &error["code"]), (2, &json!("content_changed")), "{error}");
        assert!(error["message"].as_str().unwrap().ends_with("; nothing was changed"), "{error}");
        hints.push(error["hint"].as_str().unwrap().to_owned());
        assert_eq!((repo.status(), repo.read("a.txt")), before);
        repo.git(&["checkout", "--quiet", "--", "."]);
    }
    let tree = desk.place.home().join("worktrees").join(&run).join("c0001-1").display().to_string();
    let (short, branch) = (&run[16..], format!("owf/{}/c0001", &run[16..]));
    let hint = format!(
        "commit what you have, then merge its work, which is not committed yet: git -C {tree} add -A && git -C {tree} commit -m \
         'work of {short}/c0001' && git merge {branch}; or owf worktree diff {short}/c0001 | git apply -3"
    );
    assert_eq!(hints, [hint.clone(), hint.clone()]);
    // What the hint says does what it says.
    repo.write("b.txt", "mine\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "--quiet", "-m", "mine"]);
    let named = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@x GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@x";
    let (_, line) = hint.split_once(": ").unwrap();
    let (line, _) = line.split_once("; or ").unwrap();
    let told = std::process::Command::new("sh").args(["-c", &format!("{named}; {line}")]).current_dir(&repo.0).output();
    let told = String::from_utf8_lossy(&told.unwrap().stdout).into_owned();
    assert!(told.contains("CONFLICT (add/add): Merge conflict in b.txt"), "{told}");
    assert_eq!(repo.read("a.txt"), "1\n2\nthree\n");
    let error = desk.place.owf(&["worktree", "apply", "c0001", "--json"]).json()["error"].clone();
    assert_eq!(error["hint"], json!(format!("commit what you have, then merge its branch: git merge {branch}")));
    // Elsewhere it fits.
    let other = Repo::new(&desk.place.path().join("other"), &[("a.txt", "1\n2\n3\n"), ("gone.txt", "x\n")]);
    desk.place.json(&["worktree", "apply", "c0001", "--to", "other", "--json"]);
    assert_eq!(other.read("a.txt"), "1\n2\nthree\n");
}

#[test]
fn a_branch_can_be_kept_with_all_of_the_work_committed() {
    let (desk, repo, run) = done();
    let branch = format!("owf/{}/c0001", &run[16..]);
    let removed = desk.place.json(&["worktree", "remove", &run, "--keep-branch", "--json"]);
    assert_eq!((&removed["branches_kept"], &removed["removed"][0]["branch"]), (&json!(true), &json!(branch)));
    assert_eq!(
        repo.git(&["show", "--name-only", "--format=%an %s", &branch]),
        format!("owf work of {run} c0001\n\na.txt\nb.txt\ngone.txt")
    );
    repo.git(&["merge", "--quiet", &branch]);
    assert_eq!(repo.read("a.txt"), "1\n2\nthree\n");
}

#[test]
fn doctor_lists_what_dead_processes_left_and_fix_clears_it_up_without_losing_work() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n"), IGNORED]);
    desk.answers(
        "  - match: { label: half }
    write: { half.txt: \"h\\n\" }
    text: done
    crash: after_answer
  - match: { label: idle }
    text: idle
    crash: after_answer",
    );
    for name in ["half", "idle"] {
        desk.workflow(name, &format!("return await agent('Go.', {{ label: '{name}', isolation: 'worktree' }})"));
        let file = format!("{name}.js");
        let died = desk.place.owf(&["run", &file, "--fixtures", "answers.yaml", "--no-input"]);
        assert_eq!(died.code, -1, "{died:?}");
    }
    let states = || -> Vec<Value> {
        let list = desk.place.json(&["worktree", "list", "--json"]);
        let mut states: Vec<Value> =
            list["worktrees"].as_array().unwrap().iter().map(|row| json!([row["label"], row["state"]])).collect();
        states.sort_by_key(Value::to_string);
        states
    };
    assert_eq!(states(), [json!(["half", "orphan"]), json!(["idle", "orphan"])]);
    let check = |view: &Value| view["checks"].as_array().unwrap().iter().find(|c| c["name"] == "worktrees").cloned();
    let warned = check(&desk.place.json(&["doctor", "--json"])).unwrap();
    assert_eq!(warned["health"], json!("warn"));
    assert!(
        warned["message"].as_str().unwrap().starts_with("0 kept for review, 2 that nobody works in any more"),
        "{warned}"
    );
    let fixed = desk.place.owf(&["doctor", "--fix"]);
    let mut lines: Vec<&str> = fixed.err.lines().collect();
    lines.sort_by_key(|line| line.rsplit(": ").next().unwrap().to_owned());
    assert_eq!(lines.len(), 2, "{fixed:?}");
    assert!(lines[0].ends_with("it has changes, and is kept for review (owf worktree list)"), "{fixed:?}");
    assert!(lines[1].ends_with("nothing had changed in it, so it is gone"), "{fixed:?}");
    assert_eq!((states(), repo.branches().len()), (vec![json!(["half", "kept"])], 1));
    assert_eq!(check(&desk.place.json(&["doctor", "--json"])).unwrap()["message"], json!("1 kept for review"));
    assert_eq!(desk.place.owf(&["doctor", "--fix"]).err, "");
}

#[test]
fn a_worktree_whose_directory_vanished_leaves_nothing_with_git_unless_something_was_committed() {
    for commits in [false, true] {
        let (desk, repo, run) = done();
        let (tree, branch) =
            (desk.place.home().join("worktrees").join(&run).join("c0001-1"), format!("owf/{}/c0001", &run[16..]));
        if commits {
            let named = ["-c", "user.name=a", "-c", "user.email=a@x", "commit", "--quiet", "--all", "-m", "half"];
            repo.git(&[&["-C", tree.to_str().unwrap()], &named[..]].concat());
        }
        std::fs::remove_dir_all(&tree).unwrap();
        let said = desk.place.owf(&["doctor", "--fix"]).err;
        let wanted = if commits {
            format!("its directory was gone already; branch {branch} holds what was committed\n")
        } else {
            format!("its directory was gone already and nothing had been committed, so branch {branch} is gone, too\n")
        };
        assert!(said.ends_with(&wanted), "{said}");
        assert_eq!(repo.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
        assert_eq!(repo.branches(), if commits { vec![branch] } else { vec![] });
    }
}

#[test]
fn prune_leaves_runs_with_work_to_review_unless_it_is_told_to_take_it_along() {
    let (desk, repo, run) = done();
    desk.workflow("plain", "return 1");
    desk.run("plain");
    let pruned = desk.place.json(&["prune", "--keep", "0", "--json"]);
    assert_eq!(json!([pruned["pruned_total"], pruned["kept"], pruned["with_worktrees"]]), json!([1, 1, [run]]));
    assert_eq!(repo.branches().len(), 1);
    let again = desk.place.owf(&["prune", "--keep", "0"]).out;
    assert!(
        again.ends_with("1 run stays for the work in worktrees: owf worktree list; --worktrees removes it, too\n"),
        "{again}"
    );
    let all = desk.place.json(&["prune", "--keep", "0", "--worktrees", "--json"]);
    assert_eq!(json!([all["pruned_total"], all["kept"], all.get("with_worktrees")]), json!([1, 0, null]));
    assert_eq!((repo.branches(), desk.place.home().join("worktrees").exists()), (vec![], false));
}

#[test]
fn a_reused_answer_keeps_pointing_at_its_work() {
    let (desk, repo, run) = done();
    let view = desk.resume(ResumeParams::default());
    assert_eq!(json!([view["counts"]["replayed"], view["resumed_from"]]), json!([1, run]));
    assert_eq!(
        (&view["worktrees"][0]["branch"], repo.branches().len()),
        (&json!(format!("owf/{}/c0001", &run[16..])), 1)
    );
    assert_eq!(desk.invocations(), 1);
    let new = view["run_id"].as_str().unwrap();
    let diff = desk.place.owf(&["worktree", "diff", &format!("{new}/c0001")]);
    assert!(diff.out.contains("+three"), "{diff:?}");
}

#[test]
fn accept_011_writing_calls_are_never_cached_and_always_resumed() {
    let (desk, _repo) = desk_in_repo(&[("a.txt", "one\n"), IGNORED]);
    desk.answers("  - text: done");
    desk.workflow(
        "edit",
        "await agent('Tree.', { isolation: 'worktree' })\nreturn await agent('Scope.', { writeScope: ['src'] })",
    );
    desk.run("edit");
    desk.run("edit");
    assert_eq!((desk.cache(), desk.invocations()), (vec!["bypassed".to_owned(), "bypassed".into()], 4));
    desk.resume(ResumeParams::default());
    assert_eq!((desk.cache(), desk.invocations()), (vec!["replayed".to_owned(), "replayed".into()], 4));
}
