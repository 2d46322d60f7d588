//! The fake provider itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::effects;
use super::fixtures::{Crash, Fixtures};
use super::plan::{Plan, find_rule, plan};
use super::template::variables;
use crate::core::budget::Charge;
use crate::core::outcome::{CallError, CostSource, ErrorClass};
use crate::core::run::Mood;
use crate::providers::provider::{
    AttemptRequest, Availability, BoxFuture, CallContext, Provider, ProviderKind, Reply, ReplyError,
};

/// Whether an attempt has effects or is only gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    /// Logs, waits, writes and crashes as the rules say.
    Real,
    /// Only answers: a dry run.
    Dry,
}

/// Invents answers: a pure function of the request, the mood and the rules of a fixture file. An answer without delay is
/// there at the first poll.
#[derive(Debug)]
pub struct FakeProvider {
    fixtures: Option<Arc<Fixtures>>,
    mood: Option<Mood>,
    allow_crash: bool,
    conduct: Conduct,
    used: Vec<AtomicBool>,
}

impl FakeProvider {
    /// A fake provider with the rules of a fixture file, a mood that wins over the file's, and leave to end this process
    /// when a rule says `crash`.
    pub fn new(fixtures: Option<Arc<Fixtures>>, mood: Option<Mood>, allow_crash: bool) -> Self {
        let rules = fixtures.as_ref().map_or(0, |fixtures| fixtures.rules.len());
        let used = std::iter::repeat_with(AtomicBool::default).take(rules).collect();
        Self { fixtures, mood, allow_crash, conduct: Conduct::Real, used }
    }

    /// The same for a dry run: it writes no invocation log and no files, waits for nothing and ends no process; an answer
    /// that would never come is a timeout.
    #[must_use]
    pub fn for_dry_run(mut self) -> Self {
        self.conduct = Conduct::Dry;
        self
    }

    /// Whether the fixture file says `strict`: then an unused rule fails the run.
    pub fn is_strict(&self) -> bool {
        self.fixtures.as_ref().is_some_and(|fixtures| fixtures.strict)
    }

    /// The numbers, from 1, of the rules that no call has matched.
    pub fn unused_rules(&self) -> Vec<usize> {
        let unused = self.used.iter().enumerate().filter(|(_, used)| !used.load(Ordering::Relaxed));
        unused.map(|(i, _)| i + 1).collect()
    }

    /// Whether a rule of the fixture file is for this request.
    pub fn has_rule_for(&self, request: &AttemptRequest) -> bool {
        find_rule(self.fixtures.as_deref(), request).is_some()
    }

    /// Notes that a rule was used by a call of this run that is only replayed now; 0 is ignored.
    pub fn mark_used(&self, rule: u32) {
        if let Some(used) = (rule as usize).checked_sub(1).and_then(|i| self.used.get(i)) {
            used.store(true, Ordering::Relaxed);
        }
    }

    fn mood(&self, request: &AttemptRequest) -> Mood {
        let own = self.mood.or(self.fixtures.as_ref().and_then(|fixtures| fixtures.mood));
        request.mood.or(own).unwrap_or_default()
    }

    fn plan(&self, request: &AttemptRequest) -> Plan<'_> {
        plan(self.fixtures.as_deref(), self.mood(request), request)
    }

    fn log(&self, request: &AttemptRequest, plan: &Plan<'_>) -> Result<(), CallError> {
        let Some(fixtures) = self.fixtures.as_ref().filter(|_| self.conduct == Conduct::Real) else { return Ok(()) };
        let Some(log) = &fixtures.invocation_log else { return Ok(()) };
        effects::log_invocation(&fixtures.dir, log, request, plan.number, plan.word)
    }

    fn crash(&self, request: &AttemptRequest, plan: &Plan<'_>, when: Crash) -> Result<(), CallError> {
        let asked = plan.rule.and_then(|rule| rule.crash) == Some(when);
        if !asked || request.attempt != 1 || self.conduct == Conduct::Dry {
            return Ok(());
        }
        if self.allow_crash {
            return Err(effects::crash());
        }
        let message = format!("fixture rule {} says `crash`, which is not allowed", plan.number);
        let mut error = CallError::new(ErrorClass::Fixture, message);
        error.hint = Some("set OWF_ALLOW_CRASH=1".to_owned());
        Err(error)
    }

    async fn answer(&self, request: &AttemptRequest) -> Result<Reply, ReplyError> {
        let plan = self.plan(request);
        self.mark_used(plan.number);
        let failed = |error: CallError| ReplyError { rule: Some(plan.number), ..ReplyError::from(error) };
        self.log(request, &plan).map_err(failed)?;
        self.crash(request, &plan, Crash::BeforeAnswer).map_err(failed)?;
        if plan.delay_ms > 0 && self.conduct == Conduct::Real {
            tokio::time::sleep(Duration::from_millis(plan.delay_ms)).await;
        }
        let answer = match plan.result {
            Some(Ok(ref answer)) => answer.clone(),
            Some(Err(ref error)) => {
                return Err(ReplyError {
                    usage: plan.usage,
                    cost_nanos: plan.cost_nanos,
                    cost_source: CostSource::Simulated,
                    rule: Some(plan.number),
                    ..error.clone().into()
                });
            }
            None if self.conduct == Conduct::Dry => {
                return Err(failed(CallError::new(ErrorClass::Timeout, "the fixture rule never answers")));
            }
            None => std::future::pending().await,
        };
        let mut changed_files = Vec::new();
        let mut transcript = None;
        if let (Some(rule), Conduct::Real) = (plan.rule, self.conduct) {
            if rule.changes_files() {
                changed_files =
                    effects::change_files(rule, plan.number, request, &variables(request)).map_err(failed)?;
            }
            if let (Some(path), Some(fixtures)) = (&rule.transcript, &self.fixtures) {
                transcript = Some(effects::read_transcript(&fixtures.dir, path).map_err(failed)?);
            }
        }
        self.crash(request, &plan, Crash::AfterAnswer).map_err(failed)?;
        Ok(Reply {
            usage: plan.usage,
            cost_nanos: plan.cost_nanos,
            cost_source: plan.cost_source,
            model: request.model.clone(),
            rule: Some(plan.number),
            changed_files,
            transcript,
            ..Reply::new(answer)
        })
    }
}

fn mood_word(mood: Mood) -> &'static str {
    match mood {
        Mood::Happy => "happy",
        Mood::Unhappy => "unhappy",
        Mood::Empty => "empty",
        Mood::Fail => "fail",
    }
}

impl Provider for FakeProvider {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Fake
    }

    fn default_concurrency(&self) -> u32 {
        64
    }

    fn availability(&self) -> Availability {
        Availability { available: true, version: None, message: None }
    }

    fn identity(&self, request: &AttemptRequest) -> BTreeMap<String, String> {
        let mut out = BTreeMap::from([("mood".to_owned(), mood_word(self.mood(request)).to_owned())]);
        if let Some(fixtures) = &self.fixtures {
            out.insert("fixtures".to_owned(), fixtures.hash.to_string());
        }
        out
    }

    fn reads_workspace(&self, _request: &AttemptRequest) -> bool {
        false
    }

    fn wants_claim(&self, request: &AttemptRequest) -> bool {
        find_rule(self.fixtures.as_deref(), request).is_some_and(|(_, rule)| rule.takes_time())
    }

    fn wants_commit(&self, request: &AttemptRequest) -> bool {
        let may_crash = self.fixtures.as_ref().is_some_and(|f| f.rules.iter().any(|rule| rule.crash.is_some()));
        may_crash && request.attempt == 1 && self.plan(request).rule.is_some_and(|rule| rule.crash.is_some())
    }

    fn reserve(&self, request: &AttemptRequest) -> Charge {
        let plan = self.plan(request);
        Charge { tokens: plan.usage.output_tokens, cost_nanos: plan.cost_nanos.unwrap_or(0), calls: 1 }
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        _context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(self.answer(request))
    }
}
