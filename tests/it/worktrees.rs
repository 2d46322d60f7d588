//! Calls in git worktrees: what is kept, what is removed, what is said, and what stays untouched.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use owf::engine::Execution;
use owf::engine::params::{CancelParams, ResumeParams, RunParams, StatusParams};
use owf::providers::fake::FakeProvider;
use owf::providers::{
    AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Registry, Reply, ReplyAnswer, ReplyError,
};
use owf::worktree::{Plan, Worktree, create};
use serde_json::{Value, json};

use crate::acca_support::{Desk, engine_over, texts};
use crate::support::cli::{Place, eventually};
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
    assert_eq!(repo.branches(), std::slice::from_ref(&branch));
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
    assert_eq!(repo.branches(), std::slice::from_ref(&branch));
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

/// A provider that writes a file and then does what its prompt says: `wait` for ever, or answer.
#[derive(Default)]
struct Scribe {
    begun: AtomicU64,
}

impl Provider for Scribe {
    fn name(&self) -> &'static str {
        "scribe"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Cli
    }

    fn default_concurrency(&self) -> u32 {
        16
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        true
    }

    fn call<'a>(&'a self, request: &'a AttemptRequest, _: &'a CallContext) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            let prompt = request.spec.ask.prompt.clone().unwrap_or_default();
            std::fs::write(request.cwd.join("said.txt"), &prompt).unwrap();
            self.begun.fetch_add(1, Ordering::SeqCst);
            if prompt.contains("wait") {
                std::future::pending::<()>().await;
            }
            assert!(!prompt.contains("panic"), "as asked");
            Ok(Reply::new(ReplyAnswer::Text(request.cwd.display().to_string())))
        })
    }
}

fn desk_of_scribe() -> (Desk, Repo, Arc<Scribe>) {
    let place = Place::new();
    let repo = Repo::new(place.path(), &[("a.txt", "one\n"), (".gitignore", "*.js\n")]);
    let scribe = Arc::new(Scribe::default());
    let engine = engine_of(&place, &scribe);
    (Desk { place, engine }, repo, scribe)
}

fn engine_of(place: &Place, scribe: &Arc<Scribe>) -> owf::engine::Engine {
    let mut registry = Registry::new(Arc::new(FakeProvider::new(None, None, false)));
    registry.insert(Arc::clone(scribe) as Arc<dyn Provider>);
    crate::acca_support::engine_with(place, registry)
}

fn with_scribe() -> RunParams {
    RunParams { provider: Some("scribe".to_owned()), ..RunParams::default() }
}

#[test]
fn the_work_of_an_attempt_that_ran_out_of_time_is_kept() {
    let (desk, repo, _) = desk_of_scribe();
    desk.workflow(
        "edit",
        "const r = await owf.agent('Edit and wait.', { isolation: 'worktree', timeoutMs: 300 })
         return { status: r.status, branch: r.worktreeBranch, files: r.changedFiles }",
    );
    let view = desk.run_with("edit", with_scribe());
    let branch = format!("owf/{}/c0001", &view["run_id"].as_str().unwrap()[16..]);
    assert_eq!(view["output"], json!({"status": "timeout", "branch": branch, "files": ["said.txt"]}));
    assert_eq!(repo.branches(), [branch]);
}

#[test]
fn a_cancelled_call_leaves_its_work_for_review_and_so_does_a_cancelled_run() {
    let (desk, repo, scribe) = desk_of_scribe();
    desk.workflow(
        "edit",
        "return (await parallel([1, 2].map(n => () => owf.agent('Edit and wait ' + n, { label: 'w' + n, isolation: 'worktree' })))).map(r => r && r.status)",
    );
    let started = desk.start("edit", with_scribe()).unwrap();
    let run = started.run_id.to_string();
    eventually(Duration::from_secs(1), "both write", || scribe.begun.load(Ordering::SeqCst) == 2);
    let cancel = |call: Option<&str>| {
        let params = CancelParams { run_id: run.clone(), call_id: call.map(str::to_owned), ..CancelParams::default() };
        desk.engine.cancel(&params, "test").unwrap()
    };
    cancel(Some("c0001"));
    let first = format!("{run}/c0001-1.json");
    let kept = |name: &str| {
        std::fs::read_to_string(desk.place.home().join("worktrees").join(name)).is_ok_and(|t| t.contains("\"kept\""))
    };
    eventually(Duration::from_secs(1), "the first is kept", || kept(&first));
    cancel(None);
    let view = desk.finish(started);
    let branches = ["c0001", "c0002"].map(|call| format!("owf/{}/{call}", &run[16..]));
    assert_eq!(view["status"], json!("cancelled"));
    assert_eq!(texts(&view["worktrees"], "branch"), branches);
    assert_eq!(view["worktrees"][1]["changed_files"], json!(["said.txt"]));
    assert_eq!(repo.branches(), branches);
    let call = desk.call(&run, "c0002");
    assert_eq!(json!([call["status"], call["worktree_branch"]]), json!(["cancelled", branches[1]]));
}

#[test]
fn the_work_of_a_process_that_died_is_found_when_the_run_is_taken_up_again() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n")]);
    desk.answers(
        "  - match: { label: half }
    write: { half.txt: \"h\\n\" }
    text: done
    crash: after_answer
  - match: { label: idle }
    text: idle
    crash: after_answer",
    );
    desk.workflow(
        "edit",
        "const half = await owf.agent('Half.', { label: 'half', isolation: 'worktree', onLost: 'fail' })
         return [half.status]",
    );
    desk.workflow(
        "idle",
        "return [(await owf.agent('Idle.', { label: 'idle', isolation: 'worktree', onLost: 'rerun' })).status]",
    );
    let died = desk.place.owf(&["run", "edit.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
    assert_eq!(died.code, -1, "{died:?}");
    let run = desk.place.json(&["runs", "--json"])["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let branch = format!("owf/{}/c0001", &run[16..]);
    assert_eq!(repo.branches(), std::slice::from_ref(&branch));
    let view = desk.resume(ResumeParams { run_id: Some(run.clone()), ..ResumeParams::default() });
    assert_eq!((&view["output"], texts(&view["worktrees"], "branch")), (&json!(["failed"]), vec![branch.clone()]));
    assert_eq!(view["worktrees"][0]["changed_files"], json!(["half.txt"]));
    // Nothing changed: nothing is kept, and the next attempt has a directory of its own.
    let died = desk.place.owf(&["run", "idle.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
    assert_eq!(died.code, -1, "{died:?}");
    let view = desk.resume(ResumeParams::default());
    assert_eq!((&view["output"], view.get("worktrees"), repo.branches()), (&json!(["done"]), None, vec![branch]));
}

#[test]
fn a_panic_in_a_provider_keeps_the_work_too() {
    let (desk, repo, _) = desk_of_scribe();
    desk.workflow("edit", "return (await owf.agent('Edit and panic.', { isolation: 'worktree' })).status");
    let view = desk.run_with("edit", with_scribe());
    assert_eq!((&view["output"], repo.branches().len()), (&json!("failed"), 1));
    assert_eq!(view["worktrees"][0]["changed_files"], json!(["said.txt"]));
}

/// Runs one isolated call of the scribe in `cwd` and gives the run's view and the directory the call worked in.
fn scribe_in(cwd: &std::path::Path, place: &Place) -> (Value, std::path::PathBuf) {
    let scribe = Arc::new(Scribe::default());
    let mut registry = Registry::new(Arc::new(FakeProvider::new(None, None, false)));
    registry.insert(scribe as Arc<dyn Provider>);
    let engine = crate::acca_support::engine_in(place, cwd, registry);
    let script = crate::acca_support::script("edit", "return await agent('Edit.', { isolation: 'worktree' })");
    let params = RunParams { script: Some(script), ..with_scribe() };
    let started = engine.start(&params, Execution::InProcess { linger_on_approvals: false }).unwrap();
    let handle = started.handle.unwrap();
    crate::acca_support::ended(&handle);
    let params = StatusParams { run_id: Some(handle.run_id().to_string()), ..StatusParams::default() };
    let view = serde_json::to_value(engine.status(&params).unwrap()).unwrap();
    let dir = view["output"].as_str().unwrap_or_else(|| panic!("{view}")).into();
    (view, dir)
}

#[test]
fn a_detached_head_a_linked_worktree_and_a_submodule_are_repositories_like_any_other() {
    let place = Place::new();
    let repo = Repo::new(&place.path().join("repo"), &[("a.txt", "one\n")]);
    let first = repo.git(&["rev-parse", "HEAD"]);
    repo.write("a.txt", "two\n");
    repo.git(&["commit", "--quiet", "--all", "--message=second"]);
    // Detached.
    repo.git(&["checkout", "--quiet", "--detach", &first]);
    let (_, dir) = scribe_in(&repo.0, &place);
    assert_eq!(std::fs::read_to_string(dir.join("a.txt")).unwrap(), "one\n");
    // Linked: its own commit counts, not that of the main tree.
    repo.git(&["worktree", "add", "--quiet", "-b", "side", "../linked", "main"]);
    let linked = Repo(place.path().join("linked").canonicalize().unwrap());
    let (view, dir) = scribe_in(&linked.0, &place);
    assert_eq!(std::fs::read_to_string(dir.join("a.txt")).unwrap(), "two\n");
    assert_eq!(
        repo.git(&["merge-base", "main", view["worktrees"][0]["branch"].as_str().unwrap()]),
        linked.git(&["rev-parse", "HEAD"])
    );
    // With a submodule in it, and inside of one.
    let outer = Repo::new(&place.path().join("outer"), &[("top.txt", "t\n")]);
    outer.git(&["submodule", "--quiet", "add", &repo.0.display().to_string(), "inner"]);
    outer.git(&["commit", "--quiet", "--all", "--message=sub"]);
    let (view, dir) = scribe_in(&outer.0, &place);
    assert_eq!(
        (view["worktrees"][0]["changed_files"].clone(), dir.join("top.txt").exists()),
        (json!(["said.txt"]), true)
    );
    let inner = outer.0.join("inner");
    let (view, dir) = scribe_in(&inner, &place);
    assert_eq!(
        (view["worktrees"][0]["changed_files"].clone(), dir.join("a.txt").exists()),
        (json!(["said.txt"]), true)
    );
    assert_eq!(outer.status(), "");
}

#[test]
fn many_at_once_do_not_meet() {
    let (desk, repo, _) = desk_of_scribe();
    desk.workflow(
        "edit",
        "return (await parallel(Array.from({ length: 12 }, (_, n) => () => owf.agent('Edit ' + n, { isolation: 'worktree' })))).map(r => r.status + r.changedFiles)",
    );
    let view = desk.run_with("edit", with_scribe());
    assert_eq!(view["output"], json!(vec!["donesaid.txt"; 12]));
    assert_eq!(repo.branches().len(), 12);
    assert_eq!((repo.status(), repo.git(&["fsck", "--no-dangling"])), (String::new(), String::new()));
}

#[test]
fn hooks_of_the_repository_and_variables_of_git_do_not_reach_worktrees() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n"), (".gitignore", "*.js\n*.yaml\n*.jsonl\n")]);
    repo.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch \"$(git rev-parse --git-common-dir)/hooked\"\n");
    let hook = repo.0.join(".git/hooks/post-checkout");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    desk.answers("  - write: { b.txt: \"b\\n\" }\n    text: done");
    desk.workflow("edit", "return (await owf.agent('Edit.', { isolation: 'worktree' })).changedFiles");
    let mut command = desk.place.command(&["run", "edit.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
    command.env("GIT_DIR", "/nowhere").env("GIT_WORK_TREE", "/nowhere").env("GIT_INDEX_FILE", "/nowhere/index");
    let printed = crate::support::cli::printed(&command.output().unwrap());
    assert_eq!(printed.json()["output"], json!(["b.txt"]), "{printed:?}");
    assert!(!repo.0.join(".git/hooked").exists());
}

#[test]
fn an_agent_that_deletes_the_git_file_of_its_worktree_keeps_its_work_and_the_users_tree_is_untouched() {
    let (desk, repo) =
        desk_in_repo(&[("a.txt", "one\n"), (".gitignore", "*.js\n*.yaml\n*.jsonl\nhome/\n.workflows/\n")]);
    desk.answers("  - write: { b.txt: \"b\\n\" }\n    delete: [.git]\n    text: done");
    desk.workflow("edit", EDIT);
    for users in ["one\n", "the user's own\n"] {
        repo.write("a.txt", users);
        let before = (repo.status(), repo.git(&["rev-parse", "HEAD"]));
        let view = desk.run("edit");
        let run = view["run_id"].as_str().unwrap();
        let dir = desk.place.home().join("worktrees").join(run).join("c0001-1");
        assert_eq!(std::fs::read_to_string(dir.join("b.txt")).unwrap(), "b\n", "{view}");
        assert_eq!((&view["output"]["status"], &view["output"]["files"]), (&json!("done"), &json!([])));
        let patch = desk.place.owf(&["worktree", "diff", run, "--json"]).out;
        assert!(!patch.contains("the user's own"), "{patch}");
        let saved = desk.place.owf(&["worktree", "remove", &format!("{run}/c0001"), "--keep-branch"]);
        assert!(saved.code != 0 && dir.join("b.txt").exists(), "{saved:?}");
        assert_eq!(((repo.status(), repo.git(&["rev-parse", "HEAD"])), repo.read("a.txt")), (before, users.to_owned()));
    }
}

#[test]
fn a_filter_that_an_agent_planted_in_a_submodule_does_not_run_and_its_work_counts() {
    let place = Place::new();
    let repo = Repo::new(&place.path().join("repo"), &[("a.txt", "one\n")]);
    let dir = place.path().canonicalize().unwrap().join("home/tree");
    let plan = Plan { workspace: repo.0.clone(), dir, branch: "owf/x/c0001".to_owned() };
    let tree = plan.worktree().unwrap();
    create(&plan, &tree).unwrap();
    let ran = place.path().join("ran");
    let sub = Repo::new(&tree.dir.join("sub"), &[("s.txt", "s\n"), (".gitattributes", "* filter=x\n")]);
    let linked = format!("160000,{},sub", sub.git(&["rev-parse", "HEAD"]));
    let inside = Repo(tree.dir.clone());
    inside.git(&["update-index", "--add", "--cacheinfo", &linked]);
    sub.git(&["config", "filter.x.clean", &format!("touch {}; cat", ran.display())]);
    sub.write("s.txt", "S\n");
    let changes = tree.changes().unwrap();
    assert_eq!((changes.any, changes.files, ran.exists()), (true, vec!["sub".to_owned()], false));
    let patch = String::from_utf8(tree.patch().unwrap()).unwrap();
    assert!(patch.contains("new file mode 160000"), "{patch}");
    // Committed, what is in it still counts.
    assert_eq!((tree.save("work").unwrap(), ran.exists()), (true, false));
    let same = Worktree { base: inside.git(&["rev-parse", "HEAD"]), ..tree };
    assert_eq!(same.changes().unwrap().files, ["sub"]);
    assert!(!ran.exists());
}

#[test]
fn a_filter_of_the_repository_sees_no_key() {
    let (desk, repo) = desk_in_repo(&[("a.txt", "one\n"), (".gitattributes", "*.txt filter=x\n")]);
    let seen = desk.place.path().join("seen");
    repo.git(&["config", "filter.x.clean", &format!("env >> {}; cat", seen.display())]);
    // The agent's own git sees none either.
    desk.answers("  - write: { b.txt: \"b\\n\" }\n    commit: add b\n    text: done");
    desk.workflow("edit", EDIT);
    let mut command = desk.place.command(&["run", "edit.js", "--fixtures", "answers.yaml", "--no-input", "--json"]);
    command.env("OPENAI_API_KEY", "sk-canary").env("GIT_SSH_COMMAND", "sk-canary");
    let printed = crate::support::cli::printed(&command.output().unwrap());
    assert_eq!(printed.json()["output"]["files"], json!(["b.txt"]), "{printed:?}");
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("canary"), "{seen}");
}
