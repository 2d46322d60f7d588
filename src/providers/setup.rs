//! What the adapters are made of: the environment, the providers file, prices. Built by the composition root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::core::environment::Environment;
use crate::core::redact::Redactor;

use super::configured::Configured;
use super::estimate::Estimates;
use super::prices::Prices;

/// One provider as configured: what the user's file says, merged field by field with the environment. Absent fields are the
/// adapter's own defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entry {
    /// The wire dialect, in its one form: `openai`, `openai-responses`, `anthropic`, `gemini`; or `cli`. Always there for a
    /// provider that is not built in.
    pub kind: Option<String>,
    /// Where its service is, without the part of the path that the dialect adds. Checked: https, or this machine.
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
    /// Whether a service is asked for its answers in pieces, which it is unless it is said otherwise.
    pub stream: Option<bool>,
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
    /// Providers that cannot be used as they are configured, by name, with what is wrong. They have no entry.
    pub broken: BTreeMap<String, String>,
    /// What else is wrong with the configuration of providers, one sentence each.
    pub problems: Vec<String>,
    /// Variables that entries name as holders of keys.
    keys: BTreeSet<String>,
    /// The most calls at once, of any provider.
    pub most_at_once: Option<u32>,
    /// Prices of models.
    pub prices: Arc<Prices>,
    /// Estimates by these prices and by what was observed: what adapters reserve by.
    pub estimates: Estimates,
    /// The directory of the project that the user trusts, links resolved: there agent programs may follow files of the project.
    pub trusted_project: Option<PathBuf>,
    /// The values of every variable that holds a key, for what adapters say to others: bodies of errors and logs
    /// ([`Redactor::for_others`]). Replies need no care: the engine takes the values out of them.
    pub secrets: Redactor,
}

impl Setup {
    /// A setup of this environment: providers are configured by its variables only.
    pub fn new(env: Environment) -> Self {
        Self::configured(env, &[])
    }

    /// A setup of this environment and of tables of providers, each with where it comes from. Later tables win over earlier
    /// ones and the environment over all, field by field. One broken entry does not break the others.
    pub fn configured(env: Environment, tables: &[(String, toml::Table)]) -> Self {
        let Configured { entries, broken, problems, keys } = Configured::of(tables, &env);
        let mut setup = Self { env, entries, broken, problems, keys, ..Self::default() };
        setup.secrets = Redactor::of(&setup.env, setup.key_variables().iter().map(String::as_str));
        setup
    }

    /// The same with other prices.
    #[must_use]
    pub fn with_prices(mut self, prices: Prices) -> Self {
        self.prices = Arc::new(prices);
        self.estimates = Estimates::new(Arc::clone(&self.prices));
        self
    }

    /// The names of the variables that hold keys: those of known providers and those that entries name.
    pub fn key_variables(&self) -> BTreeSet<String> {
        super::registry::key_variables().map(str::to_owned).chain(self.keys.iter().cloned()).collect()
    }

    /// Whether a name or alias means a provider that is built in or configured.
    pub fn knows(&self, name: &str) -> bool {
        self.canonical(name).is_some()
    }

    fn canonical(&self, name: &str) -> Option<String> {
        let name = name.trim().to_lowercase();
        let name = super::registry::alias(&name).map_or(name, str::to_owned);
        (super::registry::builtin(&name).is_some() || self.entries.contains_key(&name)).then_some(name)
    }

    /// Whether a model is one the user has to do with: configured by any name, or with a price.
    pub fn knows_model(&self, provider: &str, model: &str) -> bool {
        let Some(provider) = self.canonical(provider) else { return false };
        let entry = self.entry(&provider);
        let configured = entry.default_model.as_deref() == Some(model)
            || entry.models.iter().any(|(name, target)| name == model || target == model);
        configured || self.prices.lookup(&provider, model).is_some()
    }

    /// The model that a name means to a provider.
    pub fn model(&self, provider: &str, name: &str) -> String {
        let entry = self.canonical(provider).and_then(|provider| self.entries.get(&provider));
        entry.and_then(|entry| entry.models.get(name)).map_or_else(|| name.to_owned(), Clone::clone)
    }

    /// Whether a directory is in the project that the user trusts.
    pub fn trusts(&self, dir: &Path) -> bool {
        let inside = |project: &PathBuf| dir.canonicalize().is_ok_and(|dir| dir.starts_with(project));
        self.trusted_project.as_ref().is_some_and(inside)
    }

    /// Adds other names of models, by provider. A name that is there already keeps its meaning.
    pub fn add_aliases(&mut self, aliases: BTreeMap<String, BTreeMap<String, String>>) {
        for (provider, names) in aliases {
            let Some(name) = self.canonical(&provider) else {
                self.problems.push(format!("aliases are given for \"{provider}\", which is no provider"));
                continue;
            };
            let models = &mut self.entries.entry(name).or_default().models;
            for (alias, target) in names {
                models.entry(alias).or_insert(target);
            }
        }
    }

    /// The entry of a provider; an empty one when nothing is configured.
    pub fn entry(&self, name: &str) -> Entry {
        self.entries.get(name).cloned().unwrap_or_default()
    }
}
