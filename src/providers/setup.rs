//! What the adapters are made of: the environment, the providers file, prices. Built by the composition root.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::core::environment::Environment;
use crate::core::redact::Redactor;

/// One provider as configured: what the user's file says, merged field by field with the environment. Absent fields are the
/// adapter's own defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The wire dialect or table: `openai` (`openai-chat`), `openai-responses`, `anthropic`, `gemini`, `cli`.
    pub kind: Option<String>,
    /// Where its service is, without the part of the path that the dialect adds.
    pub base_url: Option<String>,
    /// The name of the environment variable that holds its key.
    pub api_key_env: Option<String>,
    /// The model when none is asked for.
    #[serde(alias = "model")]
    pub default_model: Option<String>,
    /// Calls at once.
    pub concurrency: Option<u32>,
    /// Other names of models: `sonnet = "claude-sonnet-4-6"`.
    pub models: BTreeMap<String, String>,
    /// The program of a CLI provider, and how it is called and read (the generic CLI adapter's table).
    pub cli: Option<toml::Value>,
}

/// What the adapters of an engine share.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The environment: keys are read from it at call time, and PATH at look-up.
    pub env: Environment,
    /// Configured providers by canonical lower-case name, built-in ones included.
    pub entries: BTreeMap<String, Entry>,
    /// What is wrong with entries that were left out, one sentence each.
    pub problems: Vec<String>,
    /// Prices of models.
    pub prices: Arc<super::prices::Prices>,
    /// The values of every variable that holds a key, for what adapters say to others: bodies of errors and logs
    /// ([`Redactor::for_others`]). Replies need no care: the engine takes the values out of them.
    pub secrets: Redactor,
}

impl Setup {
    /// A setup of this environment and nothing configured.
    pub fn new(env: Environment) -> Self {
        let setup = Self { env, ..Self::default() };
        setup.with_secrets()
    }

    /// The names of the variables that hold keys: those of known providers and those that entries name.
    pub fn key_variables(&self) -> BTreeSet<String> {
        let own = self.entries.values().filter_map(|entry| entry.api_key_env.clone());
        super::registry::key_variables().map(str::to_owned).chain(own).collect()
    }

    /// The same with the values of its key variables known.
    #[must_use]
    fn with_secrets(mut self) -> Self {
        self.secrets = Redactor::of(&self.env, self.key_variables().iter().map(String::as_str));
        self
    }

    /// The entry of a provider; an empty one when nothing is configured.
    pub fn entry(&self, name: &str) -> Entry {
        self.entries.get(name).cloned().unwrap_or_default()
    }
}
