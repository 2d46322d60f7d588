//! The CLI providers of a setup.

use std::sync::Arc;

use crate::providers::{Provider, Setup};

use super::agent::Agent;
use super::claude::Claude;
use super::codex::Codex;
use super::provider::{CliProvider, Misconfigured};
use super::table::{SHIPPED, TableAgent};

/// Names that an entry of kind `cli` cannot take.
const BUILT_IN: &[&str] = &["claude", "codex"];

/// The adapters of all CLI providers: `claude`, `codex`, the shipped tables, and those of the providers file.
pub fn providers(setup: &Setup) -> Vec<Arc<dyn Provider>> {
    let mut all = vec![
        provider("claude", Claude::new(setup).map(boxed), setup),
        provider("codex", Codex::new(setup).map(boxed), setup),
    ];
    let own =
        setup.entries.iter().filter(|(_, entry)| entry.kind.as_deref() == Some("cli")).map(|(name, _)| name.as_str());
    let mut tables: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).chain(own).collect();
    tables.retain(|name| !BUILT_IN.contains(name));
    tables.sort_unstable();
    tables.dedup();
    all.extend(tables.into_iter().map(|name| provider(name, TableAgent::new(name, setup).map(boxed), setup)));
    all
}

fn boxed(agent: impl Agent + 'static) -> Box<dyn Agent> {
    Box::new(agent)
}

/// A broken entry does not break the others.
fn provider(name: &str, agent: Result<Box<dyn Agent>, String>, setup: &Setup) -> Arc<dyn Provider> {
    match agent {
        Ok(agent) => Arc::new(CliProvider::new(agent, setup)),
        Err(problem) => Arc::new(Misconfigured { name: name.to_owned(), problem }),
    }
}

/// Whether a name has a table inside the binary.
pub fn is_shipped(name: &str) -> bool {
    SHIPPED.iter().any(|(shipped, _)| *shipped == name)
}
