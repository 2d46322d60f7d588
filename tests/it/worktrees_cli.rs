//! Worktrees with an agent program in them: a stand-in for Claude Code that uses files and git as an agent would.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::cli_support::{Stub, owf_run};
use crate::support::cli::{Place, eventually};
use crate::support::git::Repo;

/// Git as an agent that has no name of its own uses it.
const GIT: &str = "git -c user.name=Agent -c user.email=agent@example.invalid";

const EDIT: &str = "const r = await owf.agent('Edit it.', { label: 'edit', isolation: 'worktree', writeScope: ['.'] })
return { ok: r.ok, status: r.status, path: r.worktreePath, branch: r.worktreeBranch, files: r.changedFiles }";

/// An agent that does this in its working directory and then says that it is done.
fn agent(does: &str) -> Stub {
    let stub = Stub::doing("claude", "2.1.332 (Claude Code)", &format!("{does}\ncat \"$dir/events\""));
    stub.events(&[json!({"type": "result", "subtype": "success", "is_error": false, "api_error_status": null,
        "num_turns": 1, "result": "done", "stop_reason": "end_turn", "session_id": "s", "total_cost_usd": 0.01,
        "usage": {"input_tokens": 10, "output_tokens": 7}})]);
    stub
}

/// A place whose repository ignores what owf and the tests put there.
fn place_in_repo(files: &[(&str, &str)]) -> (Place, Repo) {
    let place = Place::new();
    let repo = Repo::new(place.path(), &[files, &[(".gitignore", "*.o\nw.js\nhome/\nuser/\n")]].concat());
    (place, repo)
}

/// The branch and the directory of the first attempt at the first call of a run.
fn names(run: &Value) -> (String, String) {
    let id = run["run_id"].as_str().unwrap();
    (format!("owf/{}/c0001", &id[16..]), format!("home/worktrees/{id}/c0001-1"))
}

fn note(stub: &Stub, place: &Place, run: &Value) -> Value {
    let events = stub.json(place, &["events", run["run_id"].as_str().unwrap(), "--json"])["events"].clone();
    let events = events.as_array().unwrap();
    events.iter().find(|event| event["type"] == "call_finished").unwrap()["data"]["outcome"]["worktree"].clone()
}

#[test]
fn accept_011_an_agent_program_that_writes_is_asked_each_time_and_not_by_a_resume() {
    let stub = agent("echo two >a.txt");
    let (place, _repo) = place_in_repo(&[("a.txt", "one\n")]);
    let body = "return [(await owf.agent('Edit.', { isolation: 'worktree' })).status, await agent('Edit.', { writeScope: ['a.txt'] })]";
    let cached = |run: &Value| {
        let calls = stub.json(&place, &["calls", run["run_id"].as_str().unwrap(), "--json"])["calls"].clone();
        calls.as_array().unwrap().iter().map(|call| call["cache_status"].clone()).collect::<Vec<_>>()
    };
    for count in [2, 4] {
        let run = owf_run(&stub, &place, body);
        assert_eq!((stub.calls(), cached(&run)), (count, vec![json!("bypassed"); 2]), "{run}");
    }
    let resumed = stub.json(&place, &["resume", "latest", "--json"]);
    assert_eq!((stub.calls(), cached(&resumed)), (4, vec![json!("replayed"); 2]), "{resumed}");
    assert_eq!(resumed["status"], json!("done"));
}

#[test]
fn accept_036_what_an_agent_program_writes_stays_in_its_worktree_and_is_reported() {
    let stub = agent("mkdir src; echo 'export const x = 1' >src/new.ts; echo two >a.txt; pwd >\"$dir/cwd\"");
    let (place, repo) = place_in_repo(&[("a.txt", "one\n")]);
    let before = (repo.status(), repo.read("a.txt"), repo.git(&["rev-parse", "HEAD"]));
    let run = owf_run(&stub, &place, EDIT);
    let (branch, path) = names(&run);
    let output =
        json!({"ok": true, "status": "done", "path": path, "branch": branch, "files": ["a.txt", "src/new.ts"]});
    assert_eq!(run["output"], output, "{run}");
    assert_eq!((repo.status(), repo.read("a.txt"), repo.git(&["rev-parse", "HEAD"])), before, "the user's tree");
    assert_eq!(repo.read(&format!("{path}/a.txt")), "two\n");
    assert_eq!(repo.branches(), std::slice::from_ref(&branch));
    let cwd = std::fs::read_to_string(stub.path().join("cwd")).unwrap();
    assert_eq!(cwd.trim(), repo.0.join(&path).display().to_string());
    let call = &stub.json(&place, &["calls", run["run_id"].as_str().unwrap(), "1", "--json"])["call"];
    assert_eq!(json!([call["worktree_branch"], call["changed_files"]]), json!([branch, ["a.txt", "src/new.ts"]]));
}

#[test]
fn accept_037_what_an_agent_program_commits_survives_and_is_reported() {
    let stub = agent(&format!("echo b >b.txt; git add b.txt; {GIT} commit -qm 'add b'"));
    let (place, repo) = place_in_repo(&[("a.txt", "one\n")]);
    let run = owf_run(&stub, &place, EDIT);
    let (branch, _) = names(&run);
    assert_eq!(run["output"]["files"], json!(["b.txt"]), "{run}");
    assert_eq!(repo.git(&["log", "--format=%s", &branch]), "add b\nfirst");
    let note = note(&stub, &place, &run);
    let base = repo.git(&["rev-parse", "main"]);
    assert_eq!(json!([note["branch"], note["commits"], note["base"]]), json!([branch, 1, base]));
}

#[test]
fn accept_037_a_commit_that_an_agent_program_left_again_is_on_its_branch_and_kept() {
    let behave = format!("echo b >b.txt; git add b.txt; {GIT} commit -qm 'add b'; git checkout -q --detach HEAD~1");
    let stub = agent(&behave);
    let (place, repo) = place_in_repo(&[("a.txt", "one\n")]);
    let run = owf_run(&stub, &place, EDIT);
    let (branch, path) = names(&run);
    let output = json!({"ok": true, "status": "done", "path": path, "branch": branch, "files": []});
    assert_eq!(run["output"], output, "{run}");
    assert_eq!(repo.git(&["log", "--format=%s", &branch]), "add b\nfirst");
    assert_eq!(note(&stub, &place, &run)["commits"], json!(1));
}

#[test]
fn accept_038_an_agent_program_that_changes_nothing_leaves_neither_branch_nor_folder() {
    let stub = agent("ls >/dev/null");
    let (place, repo) = place_in_repo(&[("a.txt", "one\n")]);
    let run = owf_run(&stub, &place, EDIT);
    let output = json!({"ok": true, "status": "done", "path": null, "branch": null, "files": []});
    assert_eq!(run["output"], output, "{run}");
    assert_eq!((stub.calls(), repo.branches()), (1, Vec::new()));
    assert!(!place.home().join("worktrees").exists());
    assert_eq!(repo.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
}

#[test]
fn accept_038_without_a_repository_no_agent_program_is_started() {
    let (stub, place) = (agent("touch \"$dir/ran\""), Place::new());
    let run = owf_run(&stub, &place, EDIT);
    assert_eq!(run["output"]["status"], json!("worktree_failed"), "{run}");
    assert_eq!((stub.calls(), stub.path().join("ran").exists()), (0, false));
}

#[test]
fn accept_039_what_an_agent_program_renames_deletes_and_adds_is_exact() {
    let files = [("old name.txt", "the same text\n"), ("gone.txt", "x\n"), ("größe/ä.txt", "1\n"), ("kept.txt", "k\n")];
    let stub = agent(
        "git mv 'old name.txt' 'new name.txt'; rm gone.txt; echo 2 >größe/ä.txt; mkdir 新しい; echo n >新しい/ファイル.txt; \
         echo bin >build.o; touch kept.txt",
    );
    let (place, _repo) = place_in_repo(&files);
    let run = owf_run(&stub, &place, EDIT);
    let files = json!(["gone.txt", "größe/ä.txt", "new name.txt", "old name.txt", "新しい/ファイル.txt"]);
    assert_eq!(run["output"]["files"], files, "{run}");
}

#[test]
fn a_repository_that_an_agent_forged_into_the_record_of_its_worktree_is_not_asked() {
    let stub = agent("echo two >a.txt");
    let (place, repo) = place_in_repo(&[("a.txt", "one\n")]);
    let run = owf_run(&stub, &place, EDIT);
    let (branch, path) = names(&run);
    // Another repository that knows the worktree, too, and starts a program where git looks at a file.
    let (forged, ran) = (place.path().canonicalize().unwrap().join("user/forged"), place.path().join("ran"));
    std::fs::create_dir_all(&forged).unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(repo.0.join(".git")).arg(&forged).status().unwrap();
    assert!(copied.success());
    let filter = format!("[filter \"x\"]\n\tclean = \"touch {}; cat\"\n", ran.display());
    let config = forged.join(".git/config");
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &filter).unwrap();
    std::fs::create_dir_all(forged.join(".git/info")).unwrap();
    std::fs::write(forged.join(".git/info/attributes"), "* filter=x\n").unwrap();
    let file = repo.0.join(format!("{path}.json"));
    let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for repository in [json!(forged.join(".git")), Value::Null] {
        record["repository"] = repository;
        std::fs::write(&file, record.to_string()).unwrap();
        std::fs::write(repo.0.join(&path).join("a.txt"), "three\n").unwrap();
        let id = run["run_id"].as_str().unwrap();
        let diff = stub.json(&place, &["worktree", "diff", &format!("{id}/c0001"), "--json"]);
        assert!(diff["patch"].as_str().unwrap().contains("+three"), "{diff}");
    }
    // As after a process that died: housekeeping looks at it.
    record["repository"] = json!(forged.join(".git"));
    record["state"] = json!("open");
    std::fs::write(&file, record.to_string()).unwrap();
    let said = stub.command(&place, &["doctor", "--fix"]).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("kept for review"), "{said:?}");
    let removed = stub.json(&place, &["worktree", "remove", run["run_id"].as_str().unwrap(), "--json"]);
    assert_eq!(removed["removed"][0]["branch"], json!(branch), "{removed}");
    assert_eq!((repo.branches(), ran.exists()), (Vec::new(), false));
}

#[test]
fn an_agent_that_outlived_its_owner_is_named_by_doctor_and_ended_before_its_worktree_is_judged() {
    // What it would still write is lost with a worktree that is taken for unchanged.
    let stub = agent("echo $$ >\"$dir/agent\"; pwd >\"$dir/cwd\"; exec sleep 300");
    let (place, repo) = place_in_repo(&[("a.txt", "one\n")]);
    place.file("w.js", &format!("export const meta = {{ name: 'w', description: 'd' }}\n{EDIT}\n"));
    let mut owner = stub.spawn(&place, &["run", "w.js", "--provider", "claude", "--json"]);
    let pid = || std::fs::read_to_string(stub.path().join("agent")).unwrap_or_default();
    eventually(std::time::Duration::from_secs(5), "the agent runs", || pid().ends_with('\n'));
    let check = || {
        let doctor = stub.json(&place, &["doctor", "--json"]);
        let all = doctor["checks"].as_array().unwrap().clone();
        all.into_iter().find(|check| check["name"] == "processes").map(|check| check["message"].clone())
    };
    assert_eq!(check(), None, "its owner lives");
    owner.kill().unwrap();
    owner.wait().unwrap();
    let run = place.store().resolve("latest").unwrap();
    let short = run.short();
    let said = check().unwrap();
    let pid = pid().trim().to_owned();
    assert_eq!(said, json!(format!("agents of run {short} outlived its owner: process {pid}")), "{said}");
    let fix = || {
        let said = String::from_utf8(stub.command(&place, &["doctor", "--fix"]).output().unwrap().stderr).unwrap();
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // Where nothing may be written, nobody else is kept from taking the run up meanwhile.
    let format = |change: &str| {
        let db = rusqlite::Connection::open(place.home().join("workflow.sqlite")).unwrap();
        let sql = format!("UPDATE meta SET value = value {change} WHERE key = 'format'");
        assert_eq!(db.execute(&sql, []), Ok(1));
    };
    format("+ 1");
    let kept = fix();
    let stays = format!("fixed: {short}/c0001: it stays, because process {pid} of its run could not be ended");
    assert_eq!(kept, [stays]);
    format("- 1");
    assert_eq!(
        fix(),
        [
            format!("fixed: {short}: 1 process of an owner that died: ended"),
            format!("fixed: {short}/c0001: nothing had changed in it, so it is gone"),
        ]
    );
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    eventually(std::time::Duration::from_secs(1), "it is gone", || stat().is_empty() || stat().contains(") Z "));
    assert_eq!((check(), repo.branches()), (None, Vec::new()));
    // The run can still be gone on with.
    let status = stub.json(&place, &["cancel", run.as_str(), "--json"]);
    assert_eq!(status["status"], json!("cancelled"), "{status}");
}
