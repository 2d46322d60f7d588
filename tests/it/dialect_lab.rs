//! A place where workflows run through the real engine in this process, with providers that the test writes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use owf::app::AppOptions;
use owf::core::budget::Charge;
use owf::core::event::{Event, EventRecord};
use owf::core::failure::Failure;
use owf::core::outcome::{CallError, Usage};
use owf::core::run::{EngineLimits, RunOutcome, RunStatus};
use owf::engine::params::{ResumeParams, RunParams, StatusParams};
use owf::engine::view::RunView;
use owf::engine::{Engine, Environment, Execution, RunEnd, Started};
use owf::providers::fake::FakeProvider;
use owf::providers::{
    AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Registry, Reply, ReplyAnswer, ReplyError,
};
use serde_json::Value;

/// What a run may take before it counts as hanging.
const HANGS: Duration = Duration::from_mins(1);

/// A directory, a home in it, and an engine over both.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
    pub(crate) engine: Engine,
}

/// What a lab differs in from the ordinary one.
#[derive(Default)]
pub(crate) struct Outfit {
    pub(crate) providers: Vec<Arc<dyn Provider>>,
    pub(crate) limits: Option<EngineLimits>,
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// The working directory below the lab's own.
    pub(crate) cwd: Option<&'static str>,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) run: String,
    pub(crate) outcome: RunOutcome,
    pub(crate) events: Vec<EventRecord>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(Outfit::default())
    }

    pub(crate) fn with(outfit: Outfit) -> Self {
        Self::at(tempfile::tempdir().unwrap(), outfit)
    }

    /// One in a directory that somebody knows before.
    pub(crate) fn at(dir: tempfile::TempDir, outfit: Outfit) -> Self {
        let cwd = outfit.cwd.map_or_else(|| dir.path().to_owned(), |below| dir.path().join(below));
        std::fs::create_dir_all(&cwd).unwrap();
        // The temporary directory may be one link away from where it really is.
        let cwd = cwd.canonicalize().unwrap();
        let mut registry = Registry::new(Arc::new(FakeProvider::new(None, None, false)));
        outfit.providers.into_iter().for_each(|p| registry.insert(p));
        let user = dir.path().join("user").display().to_string();
        let mut env = vec![("OWF_CONFIG".to_owned(), "none".to_owned()), ("HOME".to_owned(), user)];
        env.extend(outfit.env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let options = AppOptions {
            home: Some(dir.path().join("home")),
            env: Environment::new(env),
            cwd,
            registry: Some(registry),
            limits: outfit.limits,
            ..AppOptions::default()
        };
        Self { engine: owf::app::engine(options).unwrap(), dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The lines of an invocation log below the directory.
    pub(crate) fn invocations(&self, name: &str) -> usize {
        std::fs::read_to_string(self.path().join(name)).map_or(0, |text| text.lines().count())
    }

    pub(crate) fn run(&self, params: &RunParams) -> Ended {
        let here = Execution::InProcess { linger_on_approvals: false };
        self.follow(&self.engine.start(params, here).unwrap())
    }

    pub(crate) fn resume(&self, params: &ResumeParams) -> Result<Ended, Failure> {
        let here = Execution::InProcess { linger_on_approvals: false };
        Ok(self.follow(&self.engine.resume(params, here)?))
    }

    /// Runs a script given by its body.
    pub(crate) fn body(&self, body: &str) -> Ended {
        self.run(&inline(body))
    }

    /// The value of a script given by its body.
    pub(crate) fn value(&self, body: &str) -> Value {
        self.body(body).value()
    }

    fn follow(&self, started: &Started) -> Ended {
        let handle = started.handle.as_ref().unwrap();
        assert!(handle.wait_ended(HANGS), "run {} hangs: {:#?}", started.run_id, self.events(started.run_id.as_str()));
        let run = handle.run_id().to_string();
        match handle.end().unwrap() {
            RunEnd::Finished(outcome) => Ended { outcome: *outcome, events: self.events(&run), run },
            other => panic!("run {run} did not finish: {other:?}"),
        }
    }

    pub(crate) fn events(&self, run: &str) -> Vec<EventRecord> {
        self.engine.events(run, 0, 100_000).unwrap()
    }

    /// The view of a run, as `owf status` shows it.
    pub(crate) fn view(&self, run: &str) -> RunView {
        self.engine.status(&StatusParams { run_id: Some(run.to_owned()), ..StatusParams::default() }).unwrap()
    }
}

impl Ended {
    /// The value of a run that is done.
    pub(crate) fn value(&self) -> Value {
        assert_eq!(self.outcome.status, RunStatus::Done, "{:?}", self.outcome);
        self.outcome.output.clone().unwrap_or(Value::Null)
    }

    pub(crate) fn logs(&self) -> Vec<String> {
        let line = |record: &EventRecord| match &record.event {
            Event::Log { message, .. } => Some(message.clone()),
            _ => None,
        };
        self.events.iter().filter_map(line).collect()
    }

    /// Status words of the calls in the order they ended; a reused one has a `*`.
    pub(crate) fn statuses(&self) -> Vec<String> {
        let word = |record: &EventRecord| match &record.event {
            Event::CallFinished { outcome, reused, .. } => {
                Some(format!("{}{}", outcome.status.as_str(), if reused.is_some() { "*" } else { "" }))
            }
            _ => None,
        };
        self.events.iter().filter_map(word).collect()
    }

    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.events.iter().map(|record| record.event.kind()).collect()
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.kinds().iter().filter(|k| **k == kind).count()
    }
}

/// A script as text.
pub(crate) fn script(body: &str) -> String {
    named("test", body)
}

/// A script with a name of its own.
pub(crate) fn named(name: &str, body: &str) -> String {
    format!("export const meta = {{ name: '{name}', description: 'A test.' }}\n{body}\n")
}

/// A start of a script given by its body.
pub(crate) fn inline(body: &str) -> RunParams {
    RunParams { script: Some(script(body)), ..RunParams::default() }
}

/// Whether an answer that is held back may be given now.
type Enough = dyn Fn(&Scripted) -> bool + Send + Sync;

pub(crate) type Answering = dyn Fn(u32, &AttemptRequest) -> Result<ReplyAnswer, CallError> + Send + Sync;

/// A provider of any kind that answers as the test says; the first argument counts its invocations from 1.
pub(crate) struct Scripted {
    name: &'static str,
    kind: ProviderKind,
    invoked: AtomicU32,
    running: AtomicU32,
    most: AtomicU32,
    enough: Option<Box<Enough>>,
    tokens: u64,
    nanos: u64,
    answer: Box<Answering>,
}

impl Scripted {
    pub(crate) fn new(
        name: &'static str,
        kind: ProviderKind,
        answer: impl Fn(u32, &AttemptRequest) -> Result<ReplyAnswer, CallError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            kind,
            invoked: AtomicU32::new(0),
            running: AtomicU32::new(0),
            most: AtomicU32::new(0),
            enough: None,
            tokens: 10,
            nanos: 0,
            answer: Box::new(answer),
        }
    }

    /// Each answer is held back until that is true.
    pub(crate) fn until(mut self, enough: impl Fn(&Self) -> bool + Send + Sync + 'static) -> Self {
        self.enough = Some(Box::new(enough));
        self
    }

    /// Attempts whose answers are held back.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::SeqCst)
    }

    /// Each attempt may cost that many billionths of a dollar.
    pub(crate) fn costing(mut self, nanos: u64) -> Self {
        self.nanos = nanos;
        self
    }

    pub(crate) fn invoked(&self) -> u32 {
        self.invoked.load(Ordering::SeqCst)
    }

    /// How many attempts overlapped at most.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }
}

impl Provider for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> ProviderKind {
        self.kind
    }

    fn default_concurrency(&self) -> u32 {
        match self.kind {
            ProviderKind::Cli => {
                let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                u32::try_from(cpus).unwrap().saturating_sub(2).clamp(2, 16)
            }
            ProviderKind::Http => 8,
            ProviderKind::Fake => 64,
        }
    }

    fn reads_workspace(&self, _request: &AttemptRequest) -> bool {
        false
    }

    fn reserve(&self, _request: &AttemptRequest) -> Charge {
        Charge { calls: 1, tokens: self.tokens, cost_nanos: self.nanos }
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        _context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            let number = self.invoked.fetch_add(1, Ordering::SeqCst) + 1;
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            let until = Instant::now() + Duration::from_secs(10);
            while self.enough.as_ref().is_some_and(|enough| !enough(self)) {
                assert!(Instant::now() < until, "not enough calls came");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.running.fetch_sub(1, Ordering::SeqCst);
            let usage = Usage { input_tokens: 5, output_tokens: self.tokens, ..Usage::default() };
            match (self.answer)(number, request) {
                Ok(answer) => Ok(Reply { usage, ..Reply::new(answer) }),
                Err(error) => Err(ReplyError { usage, ..ReplyError::from(error) }),
            }
        })
    }
}
