//! The providers as they are configured on this machine, for people to look at.

use crate::providers::{ProviderKind, base_url, keys_of};

use super::configured::Configured;
use super::engine::Engine;
use super::view::{DoctorCheck, Health, KeyRow, ProviderDetail, ProvidersView};

/// What is configured, and what is wrong with it.
pub(super) fn facts(config: &Configured) -> Vec<DoctorCheck> {
    let problem = |message: &String| DoctorCheck {
        name: "provider configuration".to_owned(),
        health: Health::Warn,
        message: message.clone(),
        hint: None,
    };
    config.facts.iter().cloned().chain(config.setup.problems.iter().map(problem)).collect()
}

impl Engine {
    /// Every provider that is known, with whether and how it can be used here. Asks nobody, and shows no key.
    pub fn providers(&self) -> ProvidersView {
        let services = self.services();
        let setup = &services.config.setup;
        let env = |name: &str| services.env.get(name).map(str::to_owned);
        let default = services.defaults.provider.as_deref().unwrap_or("fake");
        let default = services.registry.canonical(default);
        let row = |name: String| {
            let provider = services.registry.get(&name)?;
            let found = provider.availability();
            let entry = setup.entry(&name);
            let url = provider.base_url().or_else(|| entry.base_url.clone());
            let key = |variable: String| KeyRow { present: services.env.get(&variable).is_some(), variable };
            Some(ProviderDetail {
                kind: match provider.kind() {
                    ProviderKind::Fake => "fake",
                    ProviderKind::Cli => "cli",
                    ProviderKind::Http => "http",
                }
                .to_owned(),
                dialect: entry.kind.clone().filter(|kind| kind != "cli"),
                available: found.available,
                version: found.version,
                keys: keys_of(&name, &entry).into_iter().map(key).collect(),
                host: url.as_deref().and_then(base_url::host),
                default_model: provider.default_model().or(entry.default_model),
                concurrency: services.registry.concurrency(&name, &env, None),
                default: default.as_deref() == Some(name.as_str()),
                message: found.message,
                name,
            })
        };
        let providers = services.registry.known_names().into_iter().filter_map(row).collect();
        ProvidersView { providers, problems: setup.problems.clone() }
    }
}
