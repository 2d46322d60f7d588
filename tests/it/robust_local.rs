//! The engine in this process over a home of its own, with providers written for a test.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use owf::app::{AppOptions, engine};
use owf::core::event::Event;
use owf::core::ids::RunId;
use owf::core::run::RunOutcome;
use owf::engine::params::{ResumeParams, RunParams};
use owf::engine::{Engine, Environment, Execution, RunEnd, Started};
use owf::providers::fake::FakeProvider;
use owf::providers::{
    AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Registry, Reply, ReplyAnswer, ReplyError,
};
use serde_json::Value;

use crate::support::cli::Place;

/// Meta before a body.
pub(crate) fn script(body: &str) -> String {
    format!("export const meta = {{name: 'robust', description: 'for a test'}};\n{body}")
}

/// An engine over the home of a place.
pub(crate) struct Local {
    pub(crate) place: Place,
    pub(crate) engine: Engine,
}

impl Local {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut AppOptions)) -> Self {
        Self::at(Place::new(), change)
    }

    pub(crate) fn at(place: Place, change: impl FnOnce(&mut AppOptions)) -> Self {
        let vars = [("OWF_CONFIG", "none".to_owned()), ("HOME", place.path().join("user").display().to_string())];
        let mut options = AppOptions {
            home: Some(place.home()),
            cwd: place.path().to_owned(),
            env: Environment::new(vars.map(|(k, v)| (k.to_owned(), v))),
            ..AppOptions::default()
        };
        change(&mut options);
        Self { engine: engine(options).unwrap(), place }
    }

    pub(crate) fn start(&self, params: &RunParams) -> Started {
        self.engine.start(params, Execution::InProcess { linger_on_approvals: false }).unwrap()
    }

    /// Runs a script to the end of its execution.
    pub(crate) fn run(&self, body: &str) -> (RunId, RunEnd) {
        self.run_with(&RunParams { script: Some(script(body)), ..RunParams::default() })
    }

    pub(crate) fn run_with(&self, params: &RunParams) -> (RunId, RunEnd) {
        ended(self.start(params))
    }

    pub(crate) fn resume(&self, run: &RunId) -> (RunId, RunEnd) {
        let params = ResumeParams { run_id: Some(run.to_string()), ..ResumeParams::default() };
        ended(self.engine.resume(&params, Execution::InProcess { linger_on_approvals: false }).unwrap())
    }

    /// The journal of a run, as kinds of events.
    pub(crate) fn journal(&self, run: &RunId) -> Vec<Event> {
        self.engine.events(run.as_str(), 0, 1_000_000).unwrap().into_iter().map(|r| r.event).collect()
    }
}

fn ended(started: Started) -> (RunId, RunEnd) {
    let handle = started.handle.unwrap();
    assert!(handle.wait_ended(Duration::from_mins(1)), "the execution did not end");
    (handle.run_id(), handle.end().unwrap())
}

/// The outcome of a run that finished.
pub(crate) fn finished(end: RunEnd) -> RunOutcome {
    match end {
        RunEnd::Finished(outcome) => *outcome,
        other => panic!("not finished: {other:?}"),
    }
}

/// The value a run returned.
pub(crate) fn value(end: RunEnd) -> Value {
    let outcome = finished(end);
    assert_eq!(outcome.error, None);
    outcome.output.unwrap()
}

type Answer = dyn Fn(&AttemptRequest) -> Result<Value, ReplyError> + Send + Sync;

/// A provider `scripted` whose answers a test computes; the class says when it does so.
pub(crate) struct Scripted {
    pub(crate) answer: Box<Answer>,
    /// Whether the answer comes from another thread, later.
    pub(crate) later: bool,
    /// Panics where the engine asks what an answer depends on.
    pub(crate) bad_identity: bool,
}

impl Scripted {
    pub(crate) fn new(answer: impl Fn(&AttemptRequest) -> Result<Value, ReplyError> + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(answer), later: false, bad_identity: false }
    }

    /// A registry with it.
    pub(crate) fn registry(self) -> Registry {
        let mut registry = Registry::new(Arc::new(FakeProvider::new(None, None, false)));
        registry.insert(Arc::new(self));
        registry
    }
}

impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Http
    }

    fn default_concurrency(&self) -> u32 {
        8
    }

    fn identity(&self, _: &AttemptRequest) -> BTreeMap<String, String> {
        assert!(!self.bad_identity, "who am I");
        BTreeMap::new()
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        false
    }

    fn call<'a>(&'a self, request: &'a AttemptRequest, _: &'a CallContext) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            if self.later {
                // Not at once: the attempt is a task of its own by then.
                tokio::task::yield_now().await;
            }
            let answer = match (self.answer)(request)? {
                Value::String(text) => ReplyAnswer::Text(text),
                value => ReplyAnswer::Json(value),
            };
            Ok(Reply::new(answer))
        })
    }
}
