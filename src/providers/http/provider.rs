//! A service as a provider.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bound;
use super::chat::Chat;
use super::exchange::{Shared, key, missing_key};
use super::service::{Service, shown};
use crate::core::budget::Charge;
use crate::providers::estimate::Estimates;
use crate::providers::prices::Prices;
use crate::providers::{
    AttemptRequest, Availability, BoxFuture, CallContext, FileTools, Provider, ProviderKind, Reply, ReplyError, Setup,
};

/// Attempts at a structured answer: the first, and one that is told what was wrong.
const SCHEMA_ATTEMPTS: u32 = 2;

/// How long an attempt may take to say what it used: it waits for nobody.
const WIND_DOWN: Duration = Duration::from_secs(2);

/// A service, reached over HTTP.
#[derive(Debug)]
pub(super) struct HttpProvider {
    service: Service,
    shared: Arc<Shared>,
    prices: Arc<Prices>,
    estimates: Estimates,
}

impl HttpProvider {
    pub(super) fn new(service: Service, shared: Arc<Shared>, setup: &Setup) -> Self {
        Self { service, shared, prices: Arc::clone(&setup.prices), estimates: setup.estimates.clone() }
    }
}

impl Provider for HttpProvider {
    fn name(&self) -> &str {
        &self.service.name
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Http
    }

    fn default_model(&self) -> Option<String> {
        self.service.default_model.clone()
    }

    fn base_url(&self) -> Option<String> {
        self.service.base.as_ref().ok().map(shown)
    }

    fn default_concurrency(&self) -> u32 {
        self.service.concurrency
    }

    fn availability(&self) -> Availability {
        let message = match &self.service.base {
            Err(why) => Some(format!("provider \"{}\": {why}", self.service.name)),
            Ok(_) if key(&self.service, &self.shared.env).is_err() => Some(missing_key(&self.service)),
            Ok(_) => None,
        };
        Availability { available: message.is_none(), version: None, message }
    }

    fn identity(&self, request: &AttemptRequest) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        if let (false, Ok(base)) = (self.service.at_home, &self.service.base) {
            out.insert("base_url".to_owned(), format!("{} {}", self.service.wire.name(), shown(base)));
        }
        if let Some(asked) = &request.model {
            let model = self.service.model(asked);
            if model != *asked {
                out.insert("resolved_model".to_owned(), model);
            }
        }
        out
    }

    fn reads_workspace(&self, request: &AttemptRequest) -> bool {
        FileTools::of(request).any() || !request.spec.tools.is_empty()
    }

    fn wants_claim(&self, _request: &AttemptRequest) -> bool {
        true
    }

    fn reserve(&self, request: &AttemptRequest) -> Charge {
        let model = request.model.as_deref().or(self.service.default_model.as_deref());
        let model = model.map(|asked| self.service.model(asked));
        self.estimates.reserve(self, model.as_deref(), request)
    }

    fn reserve_long(&self, request: &AttemptRequest) -> Charge {
        if self.reads_workspace(request) {
            // The requests of a loop ask for what they need one by one.
            return self.reserve(request);
        }
        let model = request.model.as_deref().or(self.service.default_model.as_deref()).unwrap_or_default();
        let tokens = bound::long(self.reserve(request).tokens);
        bound::with(&self.service, &self.prices, &self.service.model(model), &|| self.reserve(request), tokens)
    }

    fn wind_down(&self) -> Duration {
        WIND_DOWN
    }

    fn schema_attempts(&self) -> Option<u32> {
        Some(SCHEMA_ATTEMPTS)
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(async move {
            let reserve = || self.reserve(request);
            Chat::new(&self.service, &self.shared, &self.prices, request, context, &reserve).answer().await
        })
    }
}
