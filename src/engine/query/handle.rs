//! What every query has at hand: the store, the time, what was found on this machine, and how long a reply may be.

use crate::core::failure::{Code, Failure};
use crate::core::ids::{CallId, RunId};
use crate::core::time::Millis;
use crate::engine::reference;
use crate::engine::view::{DoctorCheck, ProviderRow};
use crate::store::{RunRow, Store};

use super::bounds::Bound;

/// What queries take from outside the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryEnv {
    /// The present time.
    pub now: Millis,
    /// Real providers found here, with version where it is known: `claude 2.1.329`.
    pub real_providers: Vec<String>,
    /// All providers, for `owf doctor`.
    pub providers: Vec<ProviderRow>,
    /// What is configured and where it comes from, for `owf doctor`.
    pub config: Vec<DoctorCheck>,
    /// How long a reply may be.
    pub bound: Bound,
}

impl QueryEnv {
    /// The name of the first real provider found here.
    pub(crate) fn real_provider(&self) -> Option<&str> {
        self.real_providers.first().and_then(|text| text.split_whitespace().next())
    }
}

/// Reads views from a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    pub store: &'a Store,
    pub env: &'a QueryEnv,
}

impl Query<'_> {
    /// The run that a reference stands for; the latest when there is none.
    ///
    /// # Errors
    /// `invalid_arguments` for text that cannot be a reference, `not_found` with the home, `ambiguous`.
    pub(crate) fn resolve(&self, reference: Option<&str>) -> Result<RunId, Failure> {
        reference::resolve(self.store, reference)
    }

    /// The run and call that `c0009`, `9` or `RUN/c0009` names; a run in the reference wins over `run`.
    ///
    /// # Errors
    /// `invalid_arguments` for a call reference of another form, `not_found` for the run.
    pub(crate) fn resolve_call(&self, run: Option<&str>, call: &str) -> Result<(RunId, CallId), Failure> {
        let (run, call) = match call.rsplit_once('/') {
            Some((run, call)) => (Some(run), call),
            None => (run, call),
        };
        let call: CallId = call.trim().parse().map_err(|_| {
            Failure::new(Code::InvalidArguments, format!("`{call}` names no call"))
                .hint("c0009, 9 or RUN/c0009; owf_calls lists the calls of a run")
        })?;
        Ok((self.resolve(run)?, call))
    }

    /// The row of a run that must be there.
    pub(crate) fn row(&self, run: &RunId) -> Result<RunRow, Failure> {
        self.store.run(run)?.ok_or_else(|| {
            Failure::new(Code::NotFound, format!("no run `{run}` in {}", self.home()))
                .with("what", "run")
                .with("home", self.home())
        })
    }

    /// The home, absolute.
    pub(crate) fn home(&self) -> String {
        reference::home(self.store)
    }

    /// The directory of a run, absolute.
    pub(crate) fn run_dir(&self, run: &RunId) -> String {
        reference::absolute(&self.store.run_dir(run))
    }
}
