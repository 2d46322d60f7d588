//! An engine in process over a place of its own, and a provider whose answers are counted.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use owf::core::failure::Failure;
use owf::core::outcome::{CostSource, Usage};
use owf::engine::params::{CallsParams, ExplainParams, OutputParams, ResumeParams, RunParams, StatusParams};
use owf::engine::{Engine, Environment, Execution, RunHandle, Started};
use owf::providers::fake::FakeProvider;
use owf::providers::{
    AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Registry, Reply, ReplyAnswer, ReplyError,
};
use serde_json::Value;

use crate::support::cli::Place;

/// The name of the invocation log in every fixture file here.
pub(crate) const LOG: &str = "calls.jsonl";

/// A place with an engine in this process.
pub(crate) struct Desk {
    pub(crate) place: Place,
    pub(crate) engine: Engine,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// The same with providers beside the known ones.
    pub(crate) fn with(providers: &[Arc<Counting>]) -> Self {
        let place = Place::new();
        let engine = engine_over(&place, providers);
        Self { place, engine }
    }

    /// Writes a workflow of this name: a script with its metadata.
    pub(crate) fn workflow(&self, name: &str, body: &str) {
        self.place.file(&format!("{name}.js"), &script(name, body));
    }

    /// Writes `answers.yaml`: rules, with the invocation log.
    pub(crate) fn answers(&self, rules: &str) {
        self.place.file("answers.yaml", &answers(rules));
    }

    /// Runs a workflow file of this place with its fixtures, if there are any, to its end.
    pub(crate) fn run(&self, name: &str) -> Value {
        self.run_with(name, RunParams::default())
    }

    pub(crate) fn run_with(&self, name: &str, params: RunParams) -> Value {
        self.finish(self.start(name, params).unwrap())
    }

    /// Starts a workflow without waiting for its end.
    pub(crate) fn start(&self, name: &str, params: RunParams) -> Result<Started, Failure> {
        let fixtures = self.place.path().join("answers.yaml").exists().then(|| "answers.yaml".to_owned());
        let path = Some(format!("{name}.js"));
        let params = RunParams { path, fixtures: params.fixtures.clone().or(fixtures), ..params };
        self.engine.start(&params, Execution::InProcess { linger_on_approvals: false })
    }

    /// Resumes the latest run, to its end.
    pub(crate) fn resume(&self, params: ResumeParams) -> Value {
        let started = self.try_resume(params).unwrap();
        let how = started.resumed;
        let mut view = self.finish(started);
        view["resumed"] = serde_json::to_value(how).unwrap();
        view
    }

    pub(crate) fn try_resume(&self, params: ResumeParams) -> Result<Started, Failure> {
        self.engine.resume(&params, Execution::InProcess { linger_on_approvals: false })
    }

    /// Waits for the end of an execution in this process and shows the run as `owf status` does.
    pub(crate) fn finish(&self, started: Started) -> Value {
        let handle = started.handle.unwrap();
        ended(&handle);
        self.status(handle.run_id().as_str())
    }

    pub(crate) fn status(&self, run: &str) -> Value {
        let params = StatusParams { run_id: Some(run.to_owned()), ..StatusParams::default() };
        serde_json::to_value(self.engine.status(&params).unwrap()).unwrap()
    }

    /// What the latest run returned.
    pub(crate) fn output(&self) -> Value {
        let view = self.engine.output(&OutputParams::default()).unwrap();
        view.output.unwrap_or(Value::Null)
    }

    /// The explanation of a run's calls.
    pub(crate) fn explain(&self, run: &str) -> Value {
        let params = ExplainParams { run_id: Some(run.to_owned()), ..ExplainParams::default() };
        serde_json::to_value(self.engine.explain_cache(&params).unwrap()).unwrap()
    }

    /// The cache status of each call of the latest run.
    pub(crate) fn cache(&self) -> Vec<String> {
        texts(&self.explain("latest")["calls"], "cache_status")
    }

    /// One call in full.
    pub(crate) fn call(&self, run: &str, call: &str) -> Value {
        let (run_id, call_id) = (Some(run.to_owned()), Some(call.to_owned()));
        let params = CallsParams { run_id, call_id, ..CallsParams::default() };
        serde_json::to_value(self.engine.call_detail(&params).unwrap()).unwrap()["call"].clone()
    }

    /// The calls of a run as rows.
    pub(crate) fn calls(&self, run: &str) -> Value {
        let params = CallsParams { run_id: Some(run.to_owned()), ..CallsParams::default() };
        serde_json::to_value(self.engine.calls(&params).unwrap()).unwrap()["calls"].clone()
    }

    /// Provider invocations so far, as the fake provider logged them.
    pub(crate) fn invocations(&self) -> usize {
        self.place.log(LOG).len()
    }

    /// The labels of those invocations, in order.
    pub(crate) fn labels(&self) -> Vec<String> {
        labels(&self.place)
    }

    /// A run's journal, each event as JSON.
    pub(crate) fn events(&self, run: &str) -> Vec<Value> {
        let events = self.engine.events(run, 0, 10_000).unwrap();
        events.iter().map(|e| serde_json::to_value(&e.event).unwrap()).collect()
    }
}

/// Another engine over the same home: what a second process has.
pub(crate) fn engine_over(place: &Place, providers: &[Arc<Counting>]) -> Engine {
    let mut registry = Registry::new(Arc::new(FakeProvider::new(None, None, false)));
    for provider in providers {
        registry.insert(Arc::clone(provider) as Arc<dyn Provider>);
    }
    engine_with(place, registry)
}

/// The same with these providers.
pub(crate) fn engine_with(place: &Place, registry: Registry) -> Engine {
    engine_in(place, place.path(), registry)
}

/// The same for somebody who works in `cwd`.
pub(crate) fn engine_in(place: &Place, cwd: &std::path::Path, registry: Registry) -> Engine {
    let vars = [
        ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default()),
        ("HOME".to_owned(), place.path().join("user").display().to_string()),
        ("OWF_CONFIG".to_owned(), "none".to_owned()),
    ];
    owf::app::engine(owf::app::AppOptions {
        home: Some(place.home()),
        env: Environment::new(vars),
        cwd: cwd.to_owned(),
        registry: Some(registry),
        program: Some(env!("CARGO_BIN_EXE_owf").into()),
        ..owf::app::AppOptions::default()
    })
    .unwrap()
}

/// A script with its metadata.
pub(crate) fn script(name: &str, body: &str) -> String {
    format!("export const meta = {{ name: '{name}', description: 'For a test.' }}\n{body}\n")
}

/// A fixture file with the invocation log.
pub(crate) fn answers(rules: &str) -> String {
    format!("owf_fixtures: 1\ninvocation_log: {LOG}\nrules:\n{rules}\n")
}

/// The labels of the invocations logged in a place.
pub(crate) fn labels(place: &Place) -> Vec<String> {
    texts(&Value::Array(place.log(LOG)), "label")
}

/// One text field of every row.
pub(crate) fn texts(rows: &Value, key: &str) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row[key].as_str().unwrap_or("-").to_owned()).collect()
}

/// Waits for the end of an execution.
pub(crate) fn ended(handle: &RunHandle) {
    assert!(handle.wait_ended(Duration::from_secs(30)), "the run goes on and on");
}

/// A provider that counts as a real one: numbers its answers, and holds back those whose prompt says `wait`.
pub(crate) struct Counting {
    name: &'static str,
    count: AtomicU64,
    prompts: Mutex<Vec<String>>,
}

impl Counting {
    pub(crate) fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, count: AtomicU64::new(0), prompts: Mutex::default() })
    }

    /// Calls so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// The prompts it was asked, in order.
    pub(crate) fn prompts(&self) -> Vec<String> {
        self.prompts.lock().unwrap().clone()
    }
}

impl Provider for Counting {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Http
    }

    fn default_model(&self) -> Option<String> {
        Some("plain".to_owned())
    }

    fn default_concurrency(&self) -> u32 {
        8
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        false
    }

    fn wants_claim(&self, _: &AttemptRequest) -> bool {
        true
    }

    fn call<'a>(&'a self, request: &'a AttemptRequest, _: &'a CallContext) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
            let prompt = request.spec.ask.prompt.clone().unwrap_or_default();
            self.prompts.lock().unwrap().push(prompt.clone());
            if prompt.contains("wait") && request.attempt == 1 {
                std::future::pending::<()>().await;
            }
            let answer = match &request.spec.ask.schema {
                Some(_) => ReplyAnswer::Json(serde_json::json!({ "n": number })),
                None => ReplyAnswer::Text(format!("{} {number}: {prompt}", self.name)),
            };
            Ok(Reply {
                usage: Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() },
                cost_nanos: Some(1_000_000),
                cost_source: CostSource::Reported,
                model: request.model.clone(),
                ..Reply::new(answer)
            })
        })
    }
}
