//! The CLI providers of a setup.

use std::sync::Arc;

use crate::providers::{Provider, Setup};

use super::agent::Agent;
use super::claude::Claude;
use super::codex::Codex;
use super::provider::{CliProvider, Misconfigured};

/// The adapters of all CLI providers: `claude`, `codex`, the shipped tables, and those of the providers file.
pub fn providers(setup: &Setup) -> Vec<Arc<dyn Provider>> {
    vec![
        provider("claude", Claude::new(setup).map(boxed), setup),
        provider("codex", Codex::new(setup).map(boxed), setup),
    ]
}

fn boxed(agent: impl Agent + 'static) -> Box<dyn Agent> {
    Box::new(agent)
}

/// A broken entry does not break the others.
fn provider(name: &str, agent: Result<Box<dyn Agent>, String>, setup: &Setup) -> Arc<dyn Provider> {
    match agent {
        Ok(agent) => Arc::new(CliProvider::new(agent, &setup.env)),
        Err(problem) => Arc::new(Misconfigured { name: name.to_owned(), problem }),
    }
}
