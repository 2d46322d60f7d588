//! Which providers there are, by name, and which of them can be used on this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::near::nearest;
use super::provider::{
    AttemptRequest, Availability, BoxFuture, CallContext, Provider, ProviderKind, Reply, ReplyError,
};
use super::setup::{Entry, Setup};
use crate::core::failure::{Code, Failure};
use crate::core::outcome::{CallError, ErrorClass};

/// Other names of the built-in providers.
const ALIASES: &[(&str, &str)] =
    &[("fixture", "fake"), ("claude-cli", "claude"), ("codex-cli", "codex"), ("google", "gemini")];

/// A provider that owf knows by name.
struct Known {
    name: &'static str,
    kind: ProviderKind,
    /// Environment variables, any of which may hold its key.
    keys: &'static [&'static str],
}

/// The providers whose adapters are not in this version.
const KNOWN: &[Known] = &[
    Known { name: "claude", kind: ProviderKind::Cli, keys: &[] },
    Known { name: "codex", kind: ProviderKind::Cli, keys: &[] },
    Known { name: "openai", kind: ProviderKind::Http, keys: &["OPENAI_API_KEY"] },
    Known { name: "anthropic", kind: ProviderKind::Http, keys: &["ANTHROPIC_API_KEY"] },
    Known { name: "gemini", kind: ProviderKind::Http, keys: &["GEMINI_API_KEY", "GOOGLE_API_KEY"] },
    Known { name: "deepseek", kind: ProviderKind::Http, keys: &["DEEPSEEK_API_KEY"] },
    Known { name: "openrouter", kind: ProviderKind::Http, keys: &["OPENROUTER_API_KEY"] },
    Known { name: "ollama", kind: ProviderKind::Http, keys: &[] },
];

/// The canonical name behind an alias in lower case.
pub(super) fn alias(name: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, target)| *target)
}

/// The kind of a built-in provider by its canonical name.
pub fn builtin(name: &str) -> Option<ProviderKind> {
    if name == "fake" {
        return Some(ProviderKind::Fake);
    }
    if super::cli::is_shipped(name) {
        return Some(ProviderKind::Cli);
    }
    if super::cli::is_shipped(name) {
        return Some(ProviderKind::Cli);
    }
    KNOWN.iter().find(|known| known.name == name).map(|known| known.kind)
}

/// The variables, any of which may hold the key of a provider: its entry's own, else those of the service.
pub(crate) fn keys_of(name: &str, entry: &Entry) -> Vec<String> {
    match &entry.api_key_env {
        Some(variable) => vec![variable.clone()],
        None => {
            let known = KNOWN.iter().find(|known| known.name == name);
            known.map_or_else(Vec::new, |known| known.keys.iter().map(|key| (*key).to_owned()).collect())
        }
    }
}

/// The providers by canonical name. Names are looked up without regard to case, aliases included.
#[derive(Clone)]
pub struct Registry {
    providers: BTreeMap<String, Arc<dyn Provider>>,
    /// Calls at once as configured for a provider.
    concurrency: BTreeMap<String, u32>,
    /// The most at once of any, whatever is asked for.
    most_at_once: Option<u32>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("names", &self.known_names()).finish()
    }
}

impl Registry {
    /// A registry with `fake` and every provider known by name.
    pub fn new(fake: Arc<dyn Provider>) -> Self {
        let mut registry = Self { providers: BTreeMap::new(), concurrency: BTreeMap::new(), most_at_once: None };
        for known in KNOWN {
            let problem = format!("this version of owf has no adapter for `{}` yet", known.name);
            registry.insert(Arc::new(Unavailable { name: known.name.to_owned(), kind: known.kind, problem }));
        }
        registry.insert(fake);
        registry
    }

    /// Adds a provider under its own name, in place of one that had it.
    pub fn insert(&mut self, provider: Arc<dyn Provider>) {
        self.providers.insert(provider.name().to_lowercase(), provider);
    }

    /// The canonical name for a name or alias in any case; none when it is unknown.
    pub fn canonical(&self, name: &str) -> Option<String> {
        let name = name.trim().to_lowercase();
        if self.providers.contains_key(&name) {
            return Some(name);
        }
        if let Some(target) = alias(&name) {
            return self.providers.contains_key(target).then(|| target.to_owned());
        }
        // Variables cannot hold a hyphen, so `my_llm` and `my-llm` are one name.
        let same = |known: &&String| known.replace('-', "_") == name.replace('-', "_");
        self.providers.keys().find(same).cloned()
    }

    /// The provider of a name or alias in any case.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.providers.get(&self.canonical(name)?).cloned()
    }

    /// All canonical names, sorted.
    pub fn known_names(&self) -> Vec<String> {
        self.providers.keys().cloned().collect()
    }

    /// The failure for a name that is not known: nearest names first, then the rest.
    pub fn unknown(&self, name: &str) -> Failure {
        let names = self.known_names();
        let aliases = ALIASES.iter().map(|(alias, _)| *alias);
        let close = nearest(name, names.iter().map(String::as_str).chain(aliases));
        let mut allowed: Vec<String> = close.iter().filter_map(|near| self.canonical(near)).collect();
        allowed.extend(names.iter().cloned());
        let mut seen = std::collections::BTreeSet::new();
        allowed.retain(|name| seen.insert(name.clone()));
        let failure = Failure::new(
            Code::UnknownProvider,
            format!("provider \"{name}\" is unknown; known are {}", self.known_names().join(", ")),
        );
        match close.first() {
            Some(near) => failure.hint(format!("did you mean {near}?")).allowed(allowed),
            None => failure.allowed(allowed),
        }
    }

    /// The environment variable that says how many calls of a provider go on at once.
    pub fn concurrency_variable(name: &str) -> String {
        format!("OWF_PROVIDER_{}_CONCURRENCY", name.to_uppercase().replace('-', "_"))
    }

    /// Calls at once for a provider: what the run asks for, else `OWF_PROVIDER_<NAME>_CONCURRENCY`, else its entry in the
    /// configuration, else `OWF_MAX_CONCURRENCY`, else the provider's own default. Never 0; what is no number counts as absent.
    pub fn concurrency(&self, name: &str, env: &dyn Fn(&str) -> Option<String>, setting: Option<u32>) -> u32 {
        let canonical = self.canonical(name).unwrap_or_else(|| name.to_lowercase());
        let read = |variable: &str| env(variable).and_then(|text| text.trim().parse::<u32>().ok()).filter(|n| *n > 0);
        let own = Self::concurrency_variable(&canonical);
        let wanted = setting
            .filter(|n| *n > 0)
            .or_else(|| read(&own))
            .or_else(|| self.concurrency.get(&canonical).copied())
            .or_else(|| read("OWF_MAX_CONCURRENCY"))
            .or_else(|| self.get(&canonical).map(|provider| provider.default_concurrency().max(1)))
            .unwrap_or(1);
        self.most_at_once.map_or(wanted, |most| wanted.min(most))
    }
}

/// The registry of a setup: `fake`, the providers known by name, and the configured ones. Built-in names win.
pub fn registry(setup: &Setup, fake: Arc<dyn Provider>) -> Registry {
    let mut registry = Registry::new(Arc::clone(&fake));
    // A configured provider that no adapter takes up is known all the same, and says so.
    for (name, entry) in setup.entries.iter().filter(|(name, _)| builtin(name).is_none()) {
        let kind = if entry.kind.as_deref() == Some("cli") { ProviderKind::Cli } else { ProviderKind::Http };
        let problem = format!("no adapter of owf fits provider \"{name}\"");
        registry.insert(Arc::new(Unavailable { name: name.clone(), kind, problem }));
    }
    for provider in super::cli::providers(setup).into_iter().chain(super::http::providers(setup)) {
        registry.insert(provider);
    }
    registry.insert(fake);
    for (name, what) in &setup.broken {
        let kind = builtin(name).unwrap_or(ProviderKind::Http);
        // `fake` invents answers whatever is said about it.
        if kind != ProviderKind::Fake {
            let problem = format!("provider \"{name}\" is configured wrongly: {what}");
            registry.insert(Arc::new(Unavailable { name: name.clone(), kind, problem }));
        }
    }
    let limits = setup.entries.iter().filter_map(|(name, entry)| Some((name.clone(), entry.concurrency?)));
    registry.concurrency = limits.collect();
    registry.most_at_once = setup.most_at_once;
    registry
}

/// Variables that programs read besides, and that hold secrets as well.
const OF_PROGRAMS: &[&str] = &["ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CODEX_API_KEY"];

/// The variables that hold keys of known providers.
pub(super) fn key_variables() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().flat_map(|known| known.keys).chain(OF_PROGRAMS).copied()
}

/// What of the known providers is present on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detected {
    /// Providers whose program is on PATH.
    pub programs: Vec<String>,
    /// Providers whose key is in the environment.
    pub keys: Vec<String>,
}

impl Detected {
    /// All names, programs first.
    pub fn names(&self) -> Vec<String> {
        self.programs.iter().chain(&self.keys).cloned().collect()
    }
}

/// Looks for the programs of CLI providers on `path` (a PATH text) and for the keys of services through `env`. Starts
/// nothing and asks nobody.
pub fn detect(path: &str, env: &dyn Fn(&str) -> Option<String>) -> Detected {
    let mut found = Detected::default();
    for known in KNOWN {
        if known.kind == ProviderKind::Cli && std::env::split_paths(path).any(|dir| is_program(&dir.join(known.name))) {
            found.programs.push(known.name.to_owned());
        }
        if known.keys.iter().any(|key| env(key).is_some_and(|value| !value.trim().is_empty())) {
            found.keys.push(known.name.to_owned());
        }
    }
    found
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Stands in for a provider that cannot be used: its adapter is not in this version, or its configuration is wrong.
struct Unavailable {
    name: String,
    kind: ProviderKind,
    problem: String,
}

impl Provider for Unavailable {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> ProviderKind {
        self.kind
    }

    fn default_concurrency(&self) -> u32 {
        match self.kind {
            ProviderKind::Cli => {
                let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                (cpus as u32).saturating_sub(2).clamp(2, 16)
            }
            ProviderKind::Http => 8,
            ProviderKind::Fake => 64,
        }
    }

    fn availability(&self) -> Availability {
        Availability { available: false, version: None, message: Some(self.problem.clone()) }
    }

    fn reads_workspace(&self, _request: &AttemptRequest) -> bool {
        self.kind == ProviderKind::Cli
    }

    fn call<'a>(
        &'a self,
        _request: &'a AttemptRequest,
        _context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        let mut error = CallError::new(ErrorClass::NotInstalled, self.problem.clone());
        error.hint = Some("owf doctor says more; provider `fake` is always there".to_owned());
        Box::pin(std::future::ready(Err(error.into())))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::providers::fake::FakeProvider;

    fn registry() -> Registry {
        Registry::new(Arc::new(FakeProvider::new(None, None, false)))
    }

    #[test]
    fn accept_045_aliases_and_upper_case_resolve() {
        let registry = registry();
        for (name, canonical) in [
            ("FAKE", "fake"),
            ("Fixture", "fake"),
            ("claude-cli", "claude"),
            ("CODEX-CLI", "codex"),
            ("google", "gemini"),
            ("Ollama", "ollama"),
        ] {
            assert_eq!(registry.canonical(name).as_deref(), Some(canonical));
            assert_eq!(registry.get(name).unwrap().name(), canonical);
        }
        assert_eq!(registry.canonical("nobody"), None);
    }

    #[test]
    fn accept_045_an_unknown_provider_lists_the_known_ones() {
        let failure = registry().unknown("cluade");
        assert_eq!(failure.code, Code::UnknownProvider);
        assert_eq!(
            failure.message,
            "provider \"cluade\" is unknown; known are anthropic, claude, codex, deepseek, fake, gemini, ollama, openai, \
             openrouter"
        );
        assert_eq!(failure.hint.as_deref(), Some("did you mean claude?"));
        assert_eq!(failure.allowed[0], "claude");
        assert_eq!(failure.allowed.len(), 9);
    }

    #[test]
    fn a_known_provider_without_adapter_says_so() {
        let claude = registry().get("claude").unwrap();
        let availability = claude.availability();
        assert!(!availability.available);
        assert_eq!(availability.message.as_deref(), Some("this version of owf has no adapter for `claude` yet"));
    }

    #[test]
    fn concurrency_goes_from_the_run_to_the_variables_to_the_default() {
        let registry = registry();
        let none = |_: &str| None;
        assert_eq!(registry.concurrency("fixture", &none, None), 64);
        assert_eq!(registry.concurrency("openai", &none, None), 8);
        let general = |key: &str| (key == "OWF_MAX_CONCURRENCY").then(|| "5".to_owned());
        assert_eq!(registry.concurrency("fake", &general, None), 5);
        let own = |key: &str| match key {
            "OWF_PROVIDER_FAKE_CONCURRENCY" => Some("2".to_owned()),
            "OWF_MAX_CONCURRENCY" => Some("5".to_owned()),
            _ => None,
        };
        assert_eq!(registry.concurrency("FAKE", &own, None), 2);
        assert_eq!(registry.concurrency("fake", &own, Some(7)), 7);
        let bad = |_: &str| Some("many".to_owned());
        assert_eq!(registry.concurrency("fake", &bad, Some(0)), 64);
    }

    #[test]
    fn programs_and_keys_of_this_machine_are_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("claude"), "").unwrap();
        std::fs::set_permissions(dir.path().join("claude"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(dir.path().join("codex"), "not a program").unwrap();
        let env = |key: &str| match key {
            "GOOGLE_API_KEY" => Some("k".to_owned()),
            "OPENAI_API_KEY" => Some(" ".to_owned()),
            _ => None,
        };
        let found = detect(&dir.path().to_string_lossy(), &env);
        assert_eq!(found, Detected { programs: vec!["claude".into()], keys: vec!["gemini".into()] });
        assert_eq!(found.names(), ["claude", "gemini"]);
    }
}
