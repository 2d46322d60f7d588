//! Stand-ins for the command lines of coding agents: shell scripts that note how they were called and print prepared events.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use owf::core::call::{Ask, CallKind, CallSpec};
use owf::core::environment::Environment;
use owf::core::ids::{CallId, Hash};
use owf::providers::{AttemptRequest, CallContext, Entry, Progress, Provider, Reply, ReplyError, Setup};
use serde_json::{Value, json};

use crate::support::cli::{Place, printed};

/// A program of this name in a directory of its own.
pub(crate) struct Stub {
    dir: tempfile::TempDir,
    name: String,
    /// Variables beside the path.
    pub(crate) vars: Vec<(String, String)>,
    /// What the providers file says of it.
    pub(crate) entry: Entry,
    /// The directory of the project that the user trusts.
    pub(crate) trusted: Option<PathBuf>,
    /// A PATH of its own instead of the usual one.
    pub(crate) search: Option<String>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// A stub that answers `--version` with `version`, notes its arguments, environment and input, and then does what
    /// `behave` says: shell lines in which `$dir` is the directory of the stub.
    pub(crate) fn doing(name: &str, version: &str, behave: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().display();
        let script = format!(
            "#!/bin/sh\ndir='{place}'\nif [ \"$1\" = --version ]; then echo v >>\"$dir/asked\"; echo '{version}'; exit 0; fi\n\
             for a in \"$@\"; do printf '%s\\0' \"$a\"; done >\"$dir/argv\"\n\
             env -0 >\"$dir/env\"\ncat >\"$dir/stdin\"\necho c >>\"$dir/calls\"\n{behave}\n"
        );
        write_program(&dir.path().join(name), &script);
        Self {
            dir,
            name: name.to_owned(),
            vars: Vec::new(),
            entry: Entry::default(),
            trusted: None,
            search: None,
            said: Arc::default(),
        }
    }

    /// A stub that prints these events and ends with this code.
    pub(crate) fn printing(name: &str, version: &str, events: &[Value], code: i32) -> Self {
        let stub = Self::doing(name, version, &format!("cat \"$dir/events\"\nexit {code}"));
        stub.events(events);
        stub
    }

    /// Replaces the prepared events.
    pub(crate) fn events(&self, events: &[Value]) {
        let lines = events.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n";
        std::fs::write(self.dir.path().join("events"), lines).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A PATH with the stub first.
    pub(crate) fn search_path(&self) -> String {
        self.search.clone().unwrap_or_else(|| format!("{}:/usr/bin:/bin", self.dir.path().display()))
    }

    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the `cli` part of its entry.
    pub(crate) fn cli(mut self, toml: &str) -> Self {
        self.entry.cli = Some(toml::from_str(toml).unwrap());
        self
    }

    pub(crate) fn setup(&self) -> Setup {
        let vars = self.vars.iter().cloned().chain([("PATH".to_owned(), self.search_path())]);
        let mut setup = Setup::new(Environment::new(vars));
        setup.trusted_project.clone_from(&self.trusted);
        setup.entries.insert(self.name.clone(), self.entry.clone());
        setup
    }

    /// `owf` in this place with the stub on its PATH.
    pub(crate) fn command(&self, place: &Place, args: &[&str]) -> Command {
        let mut command = place.command(args);
        command.env("PATH", self.search_path()).envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts `owf` here, in the background; what it prints is nobody's.
    pub(crate) fn spawn(&self, place: &Place, args: &[&str]) -> Child {
        self.command(place, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What `owf` prints as JSON here.
    pub(crate) fn json(&self, place: &Place, args: &[&str]) -> Value {
        printed(&self.command(place, args).output().unwrap()).json()
    }

    /// The provider over this stub.
    pub(crate) fn provider(&self) -> Arc<dyn Provider> {
        let all = owf::providers::cli::providers(&self.setup());
        all.into_iter().find(|provider| provider.name() == self.name).unwrap()
    }

    /// One attempt at this request.
    pub(crate) fn call(&self, request: &AttemptRequest) -> Result<Reply, ReplyError> {
        self.call_in(request, &CallContext::default())
    }

    pub(crate) fn call_in(&self, request: &AttemptRequest, context: &CallContext) -> Result<Reply, ReplyError> {
        let said = Arc::clone(&self.said);
        let progress = Progress::new(move |message| said.lock().unwrap().push(message));
        let context = CallContext { progress, ..context.clone() };
        let provider = self.provider();
        runtime().block_on(provider.call(request, &context))
    }

    /// One attempt at this prompt that must fail.
    pub(crate) fn failure(&self) -> ReplyError {
        self.call(&request("p")).unwrap_err()
    }

    /// One attempt at this prompt that must succeed.
    pub(crate) fn reply(&self) -> Reply {
        self.call(&request("p")).unwrap()
    }

    /// What was said about progress.
    pub(crate) fn progress(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn noted(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// The arguments of the last call.
    pub(crate) fn argv(&self) -> Vec<String> {
        self.noted("argv").split_terminator('\0').map(str::to_owned).collect()
    }

    /// The argument after this one.
    pub(crate) fn after(&self, flag: &str) -> Option<String> {
        let argv = self.argv();
        let at = argv.iter().position(|arg| arg == flag)?;
        argv.get(at + 1).cloned()
    }

    /// The environment of the last call, without what a shell adds.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        let text = self.noted("env");
        let pairs = text.split_terminator('\0').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(name, _)| !matches!(*name, "PWD" | "SHLVL" | "_" | "OLDPWD"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// What the last call read.
    pub(crate) fn stdin(&self) -> String {
        self.noted("stdin")
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.noted("calls").lines().count()
    }

    /// How often its version was asked for.
    pub(crate) fn asked_version(&self) -> usize {
        self.noted("asked").lines().count()
    }
}

/// Runs a workflow of this body through `owf run` with this stub as its provider and these variables; gives the printed run.
pub(crate) fn owf_run(stub: &Stub, place: &Place, body: &str) -> Value {
    place.file("w.js", &format!("export const meta = {{ name: 'w', description: 'd' }}\n{body}\n"));
    let printed = printed(&stub.command(place, &["run", "w.js", "--provider", &stub.name, "--json"]).output().unwrap());
    serde_json::from_str(&printed.out).unwrap_or_else(|e| panic!("{e}: {printed:?}"))
}

/// Writes a program through another process: a file that this process has open for writing cannot be started by it, and a
/// fork of another test may hold it open.
pub(crate) fn write_program(path: &Path, script: &str) {
    use std::io::Write as _;
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", "rm -f \"$1\" && cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A request for this prompt in the system's directory for temporary files.
pub(crate) fn request(prompt: &str) -> AttemptRequest {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let ask = Ask { prompt: Some(prompt.to_owned()), ..Ask::default() };
    AttemptRequest {
        run_id: "20260101-000000-abcd2345".parse().unwrap(),
        call_id: CallId(1),
        attempt: 1,
        occurrence: 1,
        request_key: Hash::of("k"),
        spec: CallSpec::new(CallKind::Agent, ask),
        args: Value::Null,
        model: None,
        persona: None,
        mood: None,
        assume: BTreeMap::new(),
        cwd: PathBuf::from("/tmp"),
        timeout_ms: 60_000,
        marker: format!("stub-{}/run/{number}/1", std::process::id()),
        feedback: None,
        budget: None,
    }
}

/// The same with an answer by this schema.
pub(crate) fn structured(schema: Value) -> AttemptRequest {
    let mut request = request("p");
    request.spec.ask.schema = Some(schema);
    request
}

/// The page lists traps beside tests: each name there is one of a test.
#[test]
fn the_page_on_clis_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/providers-cli.md")).unwrap();
    let mut code = String::new();
    for dir in ["tests/it", "src/process", "src/providers/cli"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            code += &std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        }
    }
    // Names of tests are sentences; what is shorter in the page is an option or a file.
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let quoted = page.split('`').filter(is_name).filter(|name| name.matches('_').count() >= 4);
    let named: Vec<&str> = quoted.filter(|name| !name.starts_with("error_max_")).collect();
    let unknown: Vec<&&str> = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(named.len() > 60, "{}", named.len());
    assert_eq!(unknown, Vec::<&&str>::new());
    let rows = code.split("fn ").filter(|text| text.starts_with("claude_row_") || text.starts_with("codex_row_"));
    let silent: Vec<&str> =
        rows.filter_map(|text| text.split('(').next()).filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert_eq!(silent, Vec::<&str>::new());
}

/// What the page shows as a providers file is one.
#[test]
fn the_settings_on_the_page_on_clis_are_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/providers-cli.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let table = owf::providers::providers_table(block, false).unwrap();
        let setup = Setup::configured(Environment::default(), &[("the page".to_owned(), table)]);
        assert_eq!((setup.broken.len(), setup.problems.len()), (0, 0), "{:?} {:?}", setup.broken, setup.problems);
        for provider in owf::providers::cli::providers(&setup) {
            let message = provider.availability().message.unwrap();
            assert!(message.ends_with("is not on the PATH"), "{message}");
        }
    }
}

/// Schemas whose answers are no objects, each with one.
pub(crate) fn roots() -> Vec<(Value, Value)> {
    vec![
        (json!({"type": "array", "items": {"type": "string"}}), json!(["a", "b"])),
        (
            json!({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}),
            json!([{"n": 1}]),
        ),
        (json!({"enum": ["red", "green"]}), json!("green")),
        (json!({"type": "string", "minLength": 2}), json!("ok")),
        (json!({"type": "integer", "minimum": 3}), json!(7)),
        (json!({"type": "number"}), json!(0.5)),
        (json!({"type": "boolean"}), json!(false)),
        (json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), json!(null)),
    ]
}
