//! The providers as they are configured on this machine, for people to look at.

use crate::providers::http::reach;
use crate::providers::{ProviderKind, base_url, keys_of};

use super::configured::Configured;
use super::engine::Engine;
use super::services::Services;
use super::view::{DoctorCheck, Health, KeyRow, ProviderDetail, ProvidersView};

/// What is configured, and what is wrong with it.
pub(super) fn facts(config: &Configured) -> Vec<DoctorCheck> {
    let problem = |message: &String| DoctorCheck {
        name: "provider configuration".to_owned(),
        health: Health::Warn,
        message: message.clone(),
        hint: None,
    };
    let prices = &config.setup.prices;
    let whose = if prices.is_users() { "your own, over those in the program" } else { "those in the program" };
    let (health, message) = match prices.problem() {
        None => (Health::Ok, format!("of {}, {whose}", prices.as_of())),
        Some(what) => (Health::Warn, format!("of {}, {whose}; your own do not count: {what}", prices.as_of())),
    };
    let of_models = DoctorCheck { name: "prices".to_owned(), health, message, hint: None };
    config.facts.iter().cloned().chain(config.setup.problems.iter().map(problem)).chain([of_models]).collect()
}

/// What is known of a service that nobody has asked anything: that its key is there, without its value, or that it needs none.
pub(super) fn of_service(services: &Services, name: &str, kind: ProviderKind) -> Option<String> {
    let keys = keys_of(name, &services.config.setup.entry(name));
    if keys.is_empty() && kind == ProviderKind::Http {
        return Some("needs no key; not asked whether it answers".to_owned());
    }
    let set = keys.into_iter().find(|variable| services.env.get(variable).is_some())?;
    Some(format!("{set} is set"))
}

impl Engine {
    /// Asks the services that can be used here whether they answer, without a key: one check each.
    pub(super) fn reached(&self) -> Vec<DoctorCheck> {
        let services = self.services();
        let mut asked = Vec::new();
        for name in services.registry.known_names() {
            let Some(provider) = services.registry.get(&name) else { continue };
            let Some(base) = provider.base_url().filter(|_| provider.availability().available) else { continue };
            let env = services.env.clone();
            asked.push((name, services.runtime.spawn(async move { (reach(&base, &env).await, base) })));
        }
        let check =
            |name: String, health, message| DoctorCheck { name: format!("reach {name}"), health, message, hint: None };
        let answers = asked.into_iter().map(|(name, asked)| {
            let host = |base: &str| base_url::host(base).unwrap_or_default();
            match services.runtime.block_on(asked) {
                Ok((Ok(status), base)) => check(name, Health::Ok, format!("{} answers ({status})", host(&base))),
                Ok((Err(why), base)) => check(name, Health::Warn, format!("{} does not answer: {why}", host(&base))),
                Err(error) => check(name, Health::Warn, format!("could not be asked: {error}")),
            }
        });
        answers.collect()
    }

    /// Every provider that is known, with whether and how it can be used here. Programs are asked for their version, services
    /// for nothing, and no key is shown.
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
