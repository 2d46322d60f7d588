//! Calls in git worktrees: what is kept, what is removed, what is said, and what stays untouched.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::acca_support::{Desk, engine_over, texts};
use crate::support::cli::Place;
use crate::support::git::Repo;

/// A desk whose place is a repository with one commit.
pub(crate) fn desk_in_repo(files: &[(&str, &str)]) -> (Desk, Repo) {
    let place = Place::new();
    let repo = Repo::new(place.path(), files);
    let engine = engine_over(&place, &[]);
    (Desk { place, engine }, repo)
}

/// What is below the home's folder of worktrees: relative paths of directories and records.
fn left(desk: &Desk) -> Vec<String> {
    let top = desk.place.home().join("worktrees");
    let mut found: Vec<String> = walkdir::WalkDir::new(&top)
        .max_depth(2)
        .into_iter()
        .filter_map(|e| Some(e.ok()?.path().strip_prefix(&top).ok()?.display().to_string()))
        .filter(|p| !p.is_empty())
        .collect();
    found.sort();
    found
}

const EDIT: &str = "const r = await owf.agent('Edit it.', { label: 'edit', isolation: 'worktree' })
    return { ok: r.ok, status: r.status, path: r.worktreePath, branch: r.worktreeBranch, files: r.changedFiles, error: r.error }";

#[test]
fn accept_036_a_file_written_in_a_worktree_leaves_the_users_tree_alone_and_is_reported() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n")]);
    desk.answers("  - write: { src/new.ts: \"export const x = 1;\\n\", a.txt: \"two\\n\" }\n    text: done");
    desk.workflow("edit", EDIT);
    repo.write(".git/info/exclude", "*.js\n*.yaml\n*.jsonl\n");
    let before = (repo.status(), repo.read("a.txt"), repo.git(&["rev-parse", "HEAD"]));
    let view = desk.run("edit");
    let run = view["run_id"].as_str().unwrap();
    let branch = format!("owf/{}/c0001", &run[16..]);
    let path = format!("home/worktrees/{run}/c0001-1");
    assert_eq!(
        view["output"],
        json!({"ok": true, "status": "done", "path": path, "branch": branch, "files": ["a.txt", "src/new.ts"], "error": null})
    );
    assert_eq!((repo.status(), repo.read("a.txt"), repo.git(&["rev-parse", "HEAD"])), before, "the user's tree");
    assert_eq!(repo.read(&format!("{path}/a.txt")), "two\n");
    assert_eq!(repo.branches(), [branch.clone()]);
    let absolute = desk.place.home().join("worktrees").join(run).join("c0001-1").display().to_string();
    assert_eq!(
        view["worktrees"],
        json!([{"call_id": "c0001", "label": "edit", "branch": branch, "path": absolute, "changed_files": ["a.txt", "src/new.ts"], "changed_total": 2}])
    );
    let call = desk.call(run, "c0001");
    assert_eq!(
        json!([
            call["worktree_path"],
            call["worktree_branch"],
            call["changed_files"],
            call["cache_status"],
            call["isolation"]
        ]),
        json!([absolute, branch, ["a.txt", "src/new.ts"], "bypassed", "worktree"])
    );
    let artifacts = desk.place.json(&["artifacts", run, "--json"]);
    let diff = artifacts["artifacts"].as_array().unwrap().iter().find(|row| row["kind"] == "diff").unwrap().clone();
    assert_eq!(json!([diff["path"], diff["mime_type"]]), json!(["calls/c0001/diff.patch", "text/x-diff"]));
    let patch =
        std::fs::read_to_string(desk.place.home().join("runs").join(run).join("calls/c0001/diff.patch")).unwrap();
    assert!(patch.contains("+export const x = 1;") && patch.contains("-one\n+two\n"), "{patch}");
    // The journal holds no absolute path of the home.
    let events = desk.events(run);
    let note = &events.iter().find(|e| e["type"] == "call_finished").unwrap()["outcome"]["worktree"];
    assert_eq!(note["path"], json!(format!("worktrees/{run}/c0001-1")));
}

#[test]
fn accept_037_commits_made_in_a_worktree_survive_and_are_reported() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n")]);
    desk.answers("  - write: { b.txt: \"b\\n\" }\n    commit: add b\n    text: done");
    desk.workflow("edit", EDIT);
    let view = desk.run("edit");
    let run = view["run_id"].as_str().unwrap();
    let branch = format!("owf/{}/c0001", &run[16..]);
    assert_eq!(repo.git(&["log", "--format=%s", &branch]), "add b\nfirst");
    assert_eq!(repo.git(&["show", &format!("{branch}:b.txt")]), "b");
    assert_eq!(view["output"]["files"], json!(["b.txt"]));
    let note =
        desk.events(run).into_iter().find(|e| e["type"] == "call_finished").unwrap()["outcome"]["worktree"].clone();
    assert_eq!(
        json!([note["branch"], note["commits"], note["base"]]),
        json!([branch, 1, repo.git(&["rev-parse", "main"])])
    );
}

#[test]
fn accept_038_without_a_change_branch_and_folder_are_gone() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n")]);
    desk.answers("  - text: looked only");
    desk.workflow("edit", EDIT);
    let view = desk.run("edit");
    assert_eq!(
        view["output"],
        json!({"ok": true, "status": "done", "path": null, "branch": null, "files": [], "error": null})
    );
    assert_eq!((repo.branches(), left(&desk)), (vec![], vec![]));
    assert_eq!(repo.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    assert_eq!(view.get("worktrees"), None);
}

#[test]
fn accept_038_without_a_repository_the_call_fails_and_nobody_is_asked() {
    let desk = Desk::new();
    desk.answers("  - text: never");
    desk.workflow("edit", EDIT);
    let output = desk.run("edit")["output"].clone();
    let said = output["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(
        json!([output["ok"], output["status"], output["error"]["class"]]),
        json!([false, "worktree_failed", "worktree"])
    );
    assert!(said.contains("is in no git repository"), "{said}");
    assert_eq!((desk.invocations(), left(&desk)), (0, vec![]));
}

#[test]
fn without_a_commit_or_without_git_the_call_fails_and_nobody_is_asked() {
    let place = Place::new();
    let repo = Repo(place.path().canonicalize().unwrap());
    repo.git(&["init", "--quiet"]);
    let engine = engine_over(&place, &[]);
    let desk = Desk { place, engine };
    desk.answers("  - text: never");
    desk.workflow("edit", EDIT);
    let output = desk.run("edit")["output"].clone();
    assert_eq!((&output["status"], desk.invocations()), (&json!("worktree_failed"), 0));
    assert!(output["error"]["message"].as_str().unwrap().contains("nothing is committed"), "{output}");
    repo.git(&["commit", "--quiet", "--allow-empty", "--message=first"]);
    let empty = desk.place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut command = desk.place.command(&["run", "edit.js", "--fixtures", "answers.yaml", "--json"]);
    let printed = crate::support::cli::printed(&command.env("PATH", &empty).output().unwrap());
    let output = printed.json()["output"].clone();
    assert_eq!((&output["status"], desk.invocations()), (&json!("worktree_failed"), 0), "{output}");
    assert!(output["error"]["message"].as_str().unwrap().contains("git is not on PATH"), "{output}");
}

#[test]
fn accept_039_renames_deletions_untracked_and_non_ascii_names_are_exact() {
    let files = [
        ("old name.txt", "the same text\n"),
        ("gone.txt", "x\n"),
        ("größe/ä.txt", "1\n"),
        ("kept.txt", "k\n"),
        (".gitignore", "*.o\n"),
    ];
    let (desk, _repo) = desk_in_repo(&files);
    desk.answers(
        "  - write: { 'new name.txt': \"the same text\\n\", 'größe/ä.txt': \"2\\n\", '新しい/ファイル.txt': \"n\\n\", build.o: \"bin\" }
    delete: ['old name.txt', gone.txt]
    text: done",
    );
    desk.workflow("edit", EDIT);
    let view = desk.run("edit");
    assert_eq!(
        view["output"]["files"],
        json!(["gone.txt", "größe/ä.txt", "new name.txt", "old name.txt", "新しい/ファイル.txt"])
    );
}

#[test]
fn a_failed_call_keeps_what_it_changed_and_so_does_one_that_ran_out_of_time() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n")]);
    desk.place.file(
        "edit.js",
        &crate::acca_support::script(
            "edit",
            "const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }
             const r = await owf.agent('Edit it.', { label: 'edit', isolation: 'worktree', schema })
             return { status: r.status, branch: r.worktreeBranch, files: r.changedFiles }",
        ),
    );
    desk.answers("  - write: { b.txt: \"b\\n\" }\n    json: { n: wrong }");
    let view = desk.run("edit");
    let run = view["run_id"].as_str().unwrap();
    let branch = format!("owf/{}/c0001", &run[16..]);
    assert_eq!(view["output"], json!({"status": "schema_failed", "branch": branch, "files": ["b.txt"]}));
    assert_eq!(repo.branches(), [branch.clone()]);
    assert_eq!(texts(&view["worktrees"], "call_id"), ["c0001"]);
    let report = desk.place.owf(&["report", run, "--stdout"]).out;
    assert!(report.contains(&format!("{branch}, 0 commits, in worktrees/{run}/c0001-1")), "{report}");
    let names: Vec<Value> = left(&desk).into_iter().map(Value::from).collect();
    assert_eq!(json!(names), json!([run, format!("{run}/c0001-1"), format!("{run}/c0001-1.json")]));
}

#[test]
fn uncommitted_work_is_not_in_a_worktree_and_a_warning_says_so_once() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n"), ("b.txt", "b\n"), (".gitignore", "*.js\n*.yaml\n*.jsonl\n")]);
    repo.write("a.txt", "not committed\n");
    desk.answers("  - match: { label: 'edit*' }\n    write: { b.txt: \"c\\n\" }\n    text: done");
    desk.workflow(
        "edit",
        "return (await parallel([1, 2].map(n => () => owf.agent('Edit ' + n, { label: 'edit' + n, isolation: 'worktree' })))).map(r => r.changedFiles)",
    );
    let view = desk.run("edit");
    assert_eq!(view["output"], json!([["b.txt"], ["b.txt"]]));
    let warnings: Vec<&Value> =
        view["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == "worktree_base").collect();
    let commit = &repo.git(&["rev-parse", "HEAD"])[..10];
    let message = format!("worktrees start from commit {commit}: 1 change is not committed, and not in them");
    assert_eq!(json!(warnings), json!([{"code": "worktree_base", "message": message}]));
    assert_eq!(texts(&view["worktrees"], "call_id"), ["c0001", "c0002"]);
}
