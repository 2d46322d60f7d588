//! Answers that rest on files: cached while the files of their scope hold the same, asked again when one of them changed.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use owf::core::run::IfWorkspaceChanged;
use owf::engine::params::{ResumeParams, RunParams};
use owf::providers::fake::FakeProvider;
use owf::providers::{
    AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Registry, Reply, ReplyAnswer, ReplyError,
};
use serde_json::{Value, json};

use crate::acca_support::{Desk, engine_with, script};
use crate::cli_support::Stub;
use crate::support::cli::Place;
use crate::support::git::Repo;

/// A provider that reads files of the workspace, as agents do, and counts how often it was asked.
#[derive(Default)]
struct Reader {
    asked: AtomicU64,
}

impl Provider for Reader {
    fn name(&self) -> &'static str {
        "reader"
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

    fn wants_claim(&self, _: &AttemptRequest) -> bool {
        true
    }

    fn call<'a>(&'a self, request: &'a AttemptRequest, _: &'a CallContext) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            let n = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            let prompt = request.spec.ask.prompt.clone().unwrap_or_default();
            if let Some(file) = prompt.strip_prefix("touch ") {
                std::fs::write(request.cwd.join(file), format!("{n}\n")).unwrap();
            }
            Ok(Reply::new(ReplyAnswer::Text(format!("{n}: {prompt}"))))
        })
    }
}

struct Bench {
    desk: Desk,
    repo: Repo,
    reader: Arc<Reader>,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let repo = Repo::new(place.path(), files);
        let reader = Arc::new(Reader::default());
        let mut registry = Registry::new(Arc::new(FakeProvider::new(None, None, false)));
        registry.insert(Arc::clone(&reader) as Arc<dyn Provider>);
        let engine = engine_with(&place, registry);
        Self { desk: Desk { place, engine }, repo, reader }
    }

    fn run(&self) -> Value {
        self.desk.run_with("review", RunParams { provider: Some("reader".into()), ..RunParams::default() })
    }

    /// The cache status of each call of the latest run, what changed and which files.
    fn explained(&self) -> Vec<Value> {
        let view = self.desk.explain("latest");
        let rows = view["calls"].as_array().unwrap().iter();
        rows.map(|r| json!([r["cache_status"], r["changed"], r["files"]])).collect()
    }
}

const HIT: [&str; 1] = ["hit"];

#[test]
fn a_cached_review_misses_after_a_file_of_its_scope_changed_and_hits_when_another_did() {
    let bench = Bench::new(&[("src/a.ts", "a\n"), ("src/b.ts", "b\n"), ("docs/x.md", "x\n"), ("app/[id]/p.ts", "p\n")]);
    bench
        .desk
        .workflow("review", "return await agent('Review src.', { label: 'review', readScope: ['src', 'app/[id]'] })");
    let first = bench.run();
    bench.run();
    assert_eq!(bench.explained(), [json!([HIT[0], null, null])]);
    // Another file, a new one elsewhere, and a commit of what is there change nothing.
    bench.repo.write("docs/x.md", "y\n");
    bench.repo.write("notes.txt", "n\n");
    bench.run();
    bench.repo.git(&["add", "--all", "."]);
    bench.repo.git(&["commit", "--quiet", "--message=other"]);
    bench.run();
    assert_eq!((bench.explained(), bench.reader.asked.load(Ordering::SeqCst)), (vec![json!([HIT[0], null, null])], 1));
    // A file of the scope.
    bench.repo.write("src/b.ts", "B\n");
    let second = bench.run();
    assert_eq!(bench.explained(), [json!(["miss", ["workspace"], ["src/b.ts"]])]);
    let reason = bench.desk.explain("latest")["calls"][0]["reason"].clone();
    assert_eq!(reason, json!("workspace changed: src/b.ts"));
    bench.run();
    assert_eq!(bench.explained(), [json!([HIT[0], null, null])]);
    // Committed it is the same; then one more is new and one is gone.
    bench.repo.git(&["commit", "--quiet", "--all", "--message=b"]);
    bench.run();
    assert_eq!(bench.explained(), [json!([HIT[0], null, null])]);
    bench.repo.write("src/ü.ts", "new\n");
    std::fs::remove_file(bench.repo.0.join("src/a.ts")).unwrap();
    bench.run();
    assert_eq!(bench.explained(), [json!(["miss", ["workspace"], ["src/a.ts", "src/ü.ts"]])]);
    assert_eq!(bench.desk.explain("latest")["calls"][0]["reason"], json!("workspace changed: src/a.ts (+1 file)"));
    bench.repo.write("app/[id]/p.ts", "P\n");
    bench.run();
    assert_eq!(bench.explained(), [json!(["miss", ["workspace"], ["app/[id]/p.ts"]])]);
    assert_ne!(first["run_id"], second["run_id"]);
}

#[test]
fn a_resume_names_the_file_that_changed_and_asks_again_when_told_to() {
    let bench = Bench::new(&[("src/a.ts", "a\n"), ("b.ts", "b\n")]);
    bench.desk.workflow(
        "review",
        "return [await agent('Src.', { label: 'src', readScope: ['src'] }), await agent('All.', { label: 'all' })]",
    );
    let run = bench.run()["run_id"].as_str().unwrap().to_owned();
    let warnings = |view: &Value| -> Vec<String> {
        let all = view["warnings"].as_array().cloned().unwrap_or_default();
        let ours = all.iter().filter(|w| w["code"] == "workspace_changed");
        ours.map(|w| w["message"].as_str().unwrap().to_owned()).collect()
    };
    let resume = |rerun: bool| {
        let if_workspace_changed = rerun.then_some(IfWorkspaceChanged::Rerun);
        bench.desk.resume(ResumeParams { run_id: Some(run.clone()), if_workspace_changed, ..ResumeParams::default() })
    };
    assert_eq!(warnings(&resume(false)), Vec::<String>::new(), "nothing has changed");
    bench.repo.write("b.ts", "B\n");
    assert_eq!(
        warnings(&resume(false)),
        ["1 reused answer was made before its file changed: b.ts (c0002). if_workspace_changed \"rerun\" asks again"]
    );
    assert_eq!(bench.reader.asked.load(Ordering::SeqCst), 2);
    let view = resume(true);
    assert_eq!(json!([view["counts"]["replayed"], view["counts"]["done"]]), json!([1, 2]));
    assert_eq!(bench.explained(), [json!(["replayed", null, null]), json!(["miss", ["workspace"], ["b.ts"]])]);
}

#[test]
fn an_answer_is_not_stored_when_its_files_changed_meanwhile_and_nothing_is_cached_without_git() {
    let bench = Bench::new(&[("a.ts", "a\n")]);
    bench.desk.workflow("review", "return await agent('touch a.ts', { label: 'touch' })");
    for _ in 0..2 {
        bench.run();
    }
    let statuses: Vec<Value> = bench.explained().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!((statuses, bench.reader.asked.load(Ordering::SeqCst)), (vec![json!("miss")], 2));
    // A repository in the tree that git does not look into.
    Repo::new(&bench.repo.0.join("nested"), &[("n.txt", "n\n")]);
    bench.desk.workflow("review", "return await agent('Read.', { label: 'read' })");
    bench.run();
    bench.run();
    assert_eq!(
        (bench.explained(), bench.reader.asked.load(Ordering::SeqCst)),
        (vec![json!(["bypassed", null, null])], 4)
    );
    assert_eq!(
        bench.desk.explain("latest")["calls"][0]["reason"],
        json!("reads files whose state git cannot tell, so it is not cached")
    );
}

#[test]
fn a_manifest_is_small_whatever_the_repository_holds() {
    let files: Vec<(String, String)> =
        (0..1500).map(|n| (format!("src/dir{}/file{n}.ts", n % 40), format!("{n}\n"))).collect();
    let listed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let bench = Bench::new(&listed);
    bench.desk.workflow(
        "review",
        "return (await parallel([1, 2, 3].map(n => () => agent('Read ' + n, { label: 'r' + n })))).length",
    );
    let before = bench.desk.place.home();
    bench.run();
    let state =
        bench.desk.events("latest").iter().find(|e| e["type"] == "attempt_started").unwrap()["cache"]["workspace"]
            .clone();
    let store = bench.desk.place.store();
    let manifest = store.source(&state.as_str().unwrap().parse().unwrap()).unwrap().unwrap();
    assert!(manifest.len() < 400, "{} bytes in {}", manifest.len(), before.display());
    bench.repo.write("src/dir7/file7.ts", "seven\n");
    bench.run();
    assert_eq!(bench.explained(), vec![json!(["miss", ["workspace"], ["src/dir7/file7.ts"]]); 3]);
}

/// What a stub of Claude Code prints: the end of a session with this text.
fn session(text: &str) -> [Value; 1] {
    [json!({"type": "result", "subtype": "success", "is_error": false, "result": text, "total_cost_usd": 0.01,
        "usage": {"input_tokens": 10, "output_tokens": 2}})]
}

#[test]
fn a_review_by_claude_is_cached_until_a_file_of_its_scope_changes() {
    let place = Place::new();
    let repo = Repo::new(place.path(), &[("src/a.ts", "a\n"), ("docs/x.md", "x\n"), (".gitignore", "*.js\n")]);
    let stub = Stub::printing("claude", "2.1.329 (Claude Code)", &session("fine"), 0);
    place.file(
        "review.js",
        &script("review", "return await agent('Review src.', { label: 'review', readScope: ['src'] })"),
    );
    let run = || {
        let view = stub.json(&place, &["run", "review.js", "--provider", "claude", "--json", "--no-input"]);
        assert_eq!(view["output"], json!("fine"), "{view}");
        let row = stub.json(&place, &["explain-cache", "--json"])["calls"][0].clone();
        (row["cache_status"].as_str().unwrap().to_owned(), row["files"].clone(), stub.calls())
    };
    assert_eq!(run(), ("miss".to_owned(), Value::Null, 1));
    repo.write("docs/x.md", "another\n");
    assert_eq!(run(), ("hit".to_owned(), Value::Null, 1));
    repo.write("src/a.ts", "A\n");
    assert_eq!(run(), ("miss".to_owned(), json!(["src/a.ts"]), 2));
    assert_eq!(run(), ("hit".to_owned(), Value::Null, 2));
}

#[test]
fn claude_writes_in_a_worktree_of_its_own() {
    let place = Place::new();
    let repo = Repo::new(place.path(), &[("src/a.ts", "a\n"), (".gitignore", "*.js\n")]);
    let behave = "pwd >\"$dir/where\"; echo new >\"fresh file.ts\"; echo A >src/a.ts; cat \"$dir/events\"";
    let stub = Stub::doing("claude", "2.1.329 (Claude Code)", behave);
    stub.events(&session("written"));
    place.file(
        "edit.js",
        &script(
            "edit",
            "const r = await owf.agent('Edit.', { isolation: 'worktree' })\nreturn [r.text, r.changedFiles, r.worktreeBranch]",
        ),
    );
    let view = stub.json(&place, &["run", "edit.js", "--provider", "claude", "--json", "--no-input"]);
    let run = view["run_id"].as_str().unwrap();
    let branch = format!("owf/{}/c0001", &run[16..]);
    assert_eq!(view["output"], json!(["written", ["fresh file.ts", "src/a.ts"], branch]), "{view}");
    let there = std::fs::read_to_string(stub.path().join("where")).unwrap();
    assert!(there.trim_end().ends_with(&format!("home/worktrees/{run}/c0001-1")), "{there}");
    assert_eq!((repo.status(), repo.read("src/a.ts")), (String::new(), "a\n".to_owned()));
}
