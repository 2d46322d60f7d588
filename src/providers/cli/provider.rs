//! Any CLI as a provider: find its program, ask its version once, run it, read it, and let nothing of it survive.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use crate::core::budget::Charge;
use crate::core::environment::Environment;
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::redact::Redactor;
use crate::process::{Program, find_program, passed, run, version_of};
use crate::providers::estimate::Estimates;
use crate::providers::pace::{CEILING, Pace};
use crate::providers::{
    AttemptRequest, Availability, BoxFuture, CallContext, Provider, ProviderKind, Reply, ReplyError, Setup,
};

use super::agent::{Agent, clip};
use super::classify::wait_in;
use super::profile::Profile;

/// How long an attempt may take to end when it is asked to: the steps of `process::run`, and a second to read what is left.
const WIND_DOWN: Duration = Duration::from_secs(9);

/// The most characters that are kept of the message of a failure.
const MOST_SAID: usize = 2_000;

/// The most that is kept of a transcript.
const MOST_TRANSCRIPT: usize = 8 << 20;

/// A CLI as a provider.
pub(super) struct CliProvider {
    agent: Box<dyn Agent>,
    env: Environment,
    estimates: Estimates,
    secrets: Redactor,
    program: Option<PathBuf>,
    version: OnceLock<Option<String>>,
}

impl CliProvider {
    pub(super) fn new(agent: Box<dyn Agent>, setup: &Setup) -> Self {
        let program = find_program(agent.program(), setup.env.get("PATH").unwrap_or_default());
        let (env, estimates) = (setup.env.clone(), setup.estimates.clone());
        Self { agent, env, estimates, secrets: setup.secrets.clone(), program, version: OnceLock::new() }
    }

    /// The version the program says it is: asked once per process, when somebody first wants to know.
    fn version(&self) -> Option<String> {
        let ask = || version_of(self.program.as_ref()?, &self.agent.version_args(), &self.environment());
        self.version.get_or_init(ask).clone()
    }

    fn environment(&self) -> Vec<(String, String)> {
        passed(&self.env, self.agent.passes())
    }

    fn missing(&self) -> String {
        format!("the program `{}` of provider {} is not on the PATH", self.agent.program(), self.agent.name())
    }

    /// A line of output without the values of known keys.
    fn without_values<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(line);
        }
        let mut text = String::from_utf8_lossy(line).into_owned();
        self.secrets.exact(&mut text);
        Cow::Owned(text.into_bytes())
    }

    async fn attempt(&self, request: &AttemptRequest, context: &CallContext) -> Result<Reply, ReplyError> {
        let Some(path) = self.program.clone() else {
            return Err(CallError::new(ErrorClass::NotInstalled, self.missing()).into());
        };
        let profile = self.agent.profile(request);
        let invocation = self.agent.invoke(request, profile)?;
        let pace = Pace::of(&format!("{} {}", self.agent.name(), path.display()));
        let sent = tokio::select! {
            sent = pace.turn(self.agent.name(), CEILING) => sent?,
            () = context.stop.stopped() => {
                return Err(CallError::new(ErrorClass::Cancelled, "ended on request before it was started").into());
            }
        };
        let secrets = request.spec.ask.secrets.iter().flatten().map(String::as_str);
        let mut env = passed(&self.env, self.agent.passes().into_iter().chain(secrets));
        env.retain(|(name, _)| !invocation.env.iter().any(|(own, _)| own == name));
        env.extend(invocation.env);
        let program = Program {
            path,
            args: invocation.args,
            env,
            cwd: request.cwd.clone(),
            input: invocation.input,
            marker: request.marker.clone(),
        };
        let mut reader = self.agent.reader(request, context.progress.clone());
        let mut transcript = Transcript::default();
        let mut finished = run(program, context.stop.stopped(), |line| {
            // Before anything is cut: a part of a key is not known by its value any more.
            let line = self.without_values(line);
            transcript.take(&line);
            reader.line(&line);
        })
        .await;
        if let Ok(finished) = &mut finished {
            finished.errors = self.secrets.for_others(&finished.errors);
        }
        drop(invocation.files);
        let mut result = match finished {
            Ok(finished) if finished.too_much => {
                let message = format!("{} printed more than 64 MB and was ended", self.agent.name());
                Err(ReplyError { usage_unknown: true, ..CallError::new(ErrorClass::Other, message).into() })
            }
            Ok(finished) => reader.finish(&finished),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && request.cwd.is_dir() => {
                Err(CallError::new(ErrorClass::NotInstalled, self.missing()).into())
            }
            Err(error) => {
                let message = format!("{} could not be run: {error}", self.agent.name());
                Err(CallError::new(ErrorClass::Other, message).into())
            }
        };
        if let Err(ReplyError { error, .. }) = &mut result {
            if error.class == ErrorClass::RateLimited {
                error.retry_after_ms = error.retry_after_ms.or_else(|| wait_in(&error.message));
            }
            error.message = clip(&self.secrets.for_others(&error.message), MOST_SAID);
        }
        pace.heard(sent, result.as_ref().err().map(|failure| &failure.error));
        let (provenance, kept) = match &mut result {
            Ok(reply) => (&mut reply.provenance, &mut reply.transcript),
            Err(failure) => (&mut failure.provenance, &mut failure.transcript),
        };
        if provenance.provider_version.is_none() {
            provenance.provider_version = self.version();
        }
        provenance.profile = Some(profile.word().to_owned());
        provenance.schema_mode = invocation.schema_mode.map(str::to_owned);
        let mut warnings = invocation.warnings;
        warnings.extend(provenance.warnings.iter().map(|warning| self.secrets.for_others(warning)));
        provenance.warnings = warnings;
        *kept = transcript.text();
        result
    }
}

impl Provider for CliProvider {
    fn name(&self) -> &str {
        self.agent.name()
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Cli
    }

    fn default_model(&self) -> Option<String> {
        self.agent.default_model()
    }

    fn default_concurrency(&self) -> u32 {
        concurrency(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    fn availability(&self) -> Availability {
        match self.program {
            Some(_) => Availability { available: true, version: self.version(), message: None },
            None => Availability { available: false, version: None, message: Some(self.missing()) },
        }
    }

    fn identity(&self, _request: &AttemptRequest) -> BTreeMap<String, String> {
        let version = self.version().map(|version| ("provider_version".to_owned(), version));
        let configuration = self.agent.configuration().map(|text| ("configuration".to_owned(), text));
        version.into_iter().chain(configuration).collect()
    }

    fn reads_workspace(&self, request: &AttemptRequest) -> bool {
        self.agent.profile(request) != Profile::Lean
    }

    fn wants_claim(&self, _request: &AttemptRequest) -> bool {
        true
    }

    fn reserve(&self, request: &AttemptRequest) -> Charge {
        self.estimates.reserve(self, self.agent.model(request).as_deref(), request)
    }

    fn wind_down(&self) -> Duration {
        WIND_DOWN
    }

    fn schema_attempts(&self) -> Option<u32> {
        self.agent.schema_attempts()
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(self.attempt(request, context))
    }
}

/// Calls at once on a machine with so many processors: agents work on it, too.
fn concurrency(processors: usize) -> u32 {
    (processors as u32).saturating_sub(2).clamp(2, 16)
}

/// What a CLI printed, bounded.
#[derive(Default)]
struct Transcript {
    text: String,
    full: bool,
}

impl Transcript {
    fn take(&mut self, line: &[u8]) {
        if line.is_empty() || self.full {
            return;
        }
        if self.text.len() + line.len() > MOST_TRANSCRIPT {
            self.full = true;
            self.text.push_str("{\"type\":\"truncated\"}\n");
            return;
        }
        self.text.push_str(&String::from_utf8_lossy(line));
        self.text.push('\n');
    }

    fn text(self) -> Option<String> {
        (!self.text.is_empty()).then_some(self.text)
    }
}

/// A provider whose configuration is wrong: it says so wherever it is asked.
pub(super) struct Misconfigured {
    pub(super) name: String,
    pub(super) problem: String,
}

impl Provider for Misconfigured {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Cli
    }

    fn default_concurrency(&self) -> u32 {
        1
    }

    fn availability(&self) -> Availability {
        Availability { available: false, version: None, message: Some(self.problem.clone()) }
    }

    fn reads_workspace(&self, _request: &AttemptRequest) -> bool {
        true
    }

    fn call<'a>(
        &'a self,
        _request: &'a AttemptRequest,
        _context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        let error = CallError::new(ErrorClass::NotInstalled, self.problem.clone());
        Box::pin(std::future::ready(Err(error.into())))
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::core::call::{Ask, CallKind, CallSpec};
    use crate::core::ids::{CallId, Hash};

    /// A request that asks for nothing but this prompt.
    pub(in super::super) fn request(prompt: &str) -> AttemptRequest {
        let ask = Ask { prompt: Some(prompt.to_owned()), ..Ask::default() };
        AttemptRequest {
            run_id: "20260101-000000-abcd2345".parse().unwrap(),
            call_id: CallId(1),
            attempt: 1,
            occurrence: 1,
            request_key: Hash::of("k"),
            spec: CallSpec::new(CallKind::Agent, ask),
            args: serde_json::Value::Null,
            model: None,
            persona: None,
            mood: None,
            assume: BTreeMap::new(),
            cwd: std::env::temp_dir(),
            timeout_ms: 60_000,
            marker: "root/run/1/1".to_owned(),
            feedback: None,
            budget: None,
        }
    }

    #[test]
    fn dialect_062_two_processors_are_left_to_others_within_two_and_sixteen() {
        let got: Vec<u32> = [1, 2, 4, 5, 12, 18, 64].map(concurrency).to_vec();
        assert_eq!(got, [2, 2, 2, 3, 10, 16, 16]);
    }

    #[test]
    fn a_transcript_is_bounded() {
        let mut transcript = Transcript::default();
        transcript.take(b"{}");
        transcript.take(b"");
        transcript.take(&vec![b'x'; MOST_TRANSCRIPT]);
        transcript.take(b"{}");
        assert_eq!(transcript.text().as_deref(), Some("{}\n{\"type\":\"truncated\"}\n"));
    }
}
