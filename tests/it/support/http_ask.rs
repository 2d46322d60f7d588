//! One attempt at a service, without a run around it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use owf::core::call::{Ask, CallKind, CallSpec};
use owf::core::environment::Environment;
use owf::core::ids::{CallId, Hash, RunId};
use owf::core::outcome::CallError;
use owf::providers::http::{Timeouts, providers_with};
use owf::providers::{AttemptRequest, CallContext, Entry, Provider, Reply, ReplyError, Setup};
use serde_json::Value;

/// The key of every service in these tests.
pub(crate) const KEY: &str = "sk-canary-0123456789abcdef";

/// A request for `ask` with nothing else set.
pub(crate) fn request(ask: Ask) -> AttemptRequest {
    AttemptRequest {
        run_id: RunId::new(owf::core::time::Millis(0), [0; 5]),
        call_id: CallId(1),
        attempt: 1,
        occurrence: 1,
        request_key: Hash::of(""),
        spec: CallSpec::new(CallKind::Agent, ask),
        args: Value::Null,
        model: None,
        persona: None,
        mood: None,
        assume: BTreeMap::new(),
        cwd: PathBuf::from("/"),
        timeout_ms: 10_000,
        marker: "r/r/1/1".to_owned(),
        feedback: None,
        budget: None,
    }
}

/// A request for the answer to a prompt.
pub(crate) fn prompt(text: &str) -> AttemptRequest {
    request(Ask { prompt: Some(text.to_owned()), ..Ask::default() })
}

/// A request for an answer by schema.
pub(crate) fn structured(text: &str, schema: &Value) -> AttemptRequest {
    request(Ask { prompt: Some(text.to_owned()), schema: Some(schema.clone()), ..Ask::default() })
}

/// The provider of a name, with keys for all services and one entry.
pub(crate) fn provider(name: &str, entry: Entry) -> Arc<dyn Provider> {
    let keys = ["OPENAI", "DEEPSEEK", "OPENROUTER", "ANTHROPIC", "GEMINI"];
    let env = keys.map(|service| (format!("{service}_API_KEY"), KEY.to_owned()));
    provider_in(Environment::new(env), name, entry)
}

/// The same in an environment of its own.
pub(crate) fn provider_in(env: Environment, name: &str, entry: Entry) -> Arc<dyn Provider> {
    made(env, name, entry, PATIENT)
}

/// Waits that no machine is too busy for.
pub(crate) const PATIENT: Timeouts = {
    let long = Duration::from_mins(10);
    Timeouts { connect: long, read: long, idle: long, last_word: long }
};

/// The provider of a name that waits so long for the next bytes.
pub(crate) fn impatient_provider(name: &str, entry: Entry, read: Duration) -> Arc<dyn Provider> {
    let env = ["OPENAI_API_KEY", "DEEPSEEK_API_KEY"].map(|name| (name.to_owned(), KEY.to_owned()));
    made(Environment::new(env), name, entry, Timeouts { read, ..PATIENT })
}

/// One with waits of its own.
pub(crate) fn made(env: Environment, name: &str, entry: Entry, timeouts: Timeouts) -> Arc<dyn Provider> {
    let mut setup = Setup::new(env);
    setup.entries.insert(name.to_owned(), entry);
    providers_with(&setup, timeouts).into_iter().find(|provider| provider.name() == name).unwrap()
}

/// An entry with this address.
pub(crate) fn at(url: String) -> Entry {
    Entry { base_url: Some(url), ..Entry::default() }
}

/// Carries an attempt out.
pub(crate) fn ask(provider: &Arc<dyn Provider>, request: &AttemptRequest) -> Result<Reply, ReplyError> {
    ask_with(provider, request, &CallContext::default())
}

/// The same with tools or ears.
pub(crate) fn ask_with(
    provider: &Arc<dyn Provider>,
    request: &AttemptRequest,
    context: &CallContext,
) -> Result<Reply, ReplyError> {
    runtime().block_on(provider.call(request, context))
}

/// A runtime of its own.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The error of an attempt that must fail.
pub(crate) fn error(provider: &Arc<dyn Provider>, request: &AttemptRequest) -> CallError {
    ask(provider, request).unwrap_err().error
}
