//! The services that owf knows by name, and those of the providers file.

use std::sync::Arc;

use super::client::{Client, Timeouts};
use super::exchange::Shared;
use super::ladder::{ALL, JSON_ONLY, LOCAL, LOOSE, NO_JSON};
use super::provider::HttpProvider;
use super::service::{Service, base};
use super::wire::{Effort, Quirks, Wire};
use crate::providers::{Entry, Provider, Setup};

/// Calls at once when nothing is configured.
const CONCURRENCY: u32 = 8;

/// A service that owf knows by name.
struct Known {
    name: &'static str,
    wire: Wire,
    base: &'static str,
    keys: &'static [&'static str],
    model: &'static str,
    quirks: Quirks,
}

/// What OpenAI's own service has, and what one that says it speaks like it is taken to have.
const OPENAI: Quirks =
    Quirks { ladder: ALL, max_output: "max_completion_tokens", effort: Effort::Plain, routes: false };
const OTHER: Quirks = Quirks { max_output: "max_tokens", ..OPENAI };
const ANTHROPIC: Quirks = Quirks { ladder: NO_JSON, ..OTHER };
const GEMINI: Quirks = Quirks { ladder: LOOSE, ..OTHER };

const KNOWN: &[Known] = &[
    Known {
        name: "openai",
        wire: Wire::OpenAiChat,
        base: "https://api.openai.com/v1",
        keys: &["OPENAI_API_KEY"],
        model: "gpt-5.4-mini",
        quirks: OPENAI,
    },
    Known {
        name: "deepseek",
        wire: Wire::OpenAiChat,
        base: "https://api.deepseek.com",
        keys: &["DEEPSEEK_API_KEY"],
        model: "deepseek-v4-flash",
        quirks: Quirks { ladder: JSON_ONLY, effort: Effort::Unsaid, ..OTHER },
    },
    Known {
        name: "openrouter",
        wire: Wire::OpenAiChat,
        base: "https://openrouter.ai/api/v1",
        keys: &["OPENROUTER_API_KEY"],
        model: "openai/gpt-5.5",
        quirks: Quirks { effort: Effort::Nested, routes: true, ..OTHER },
    },
    Known {
        name: "anthropic",
        wire: Wire::AnthropicMessages,
        base: "https://api.anthropic.com",
        keys: &["ANTHROPIC_API_KEY"],
        model: "claude-sonnet-4-6",
        quirks: ANTHROPIC,
    },
    Known {
        name: "gemini",
        wire: Wire::GeminiGenerate,
        base: "https://generativelanguage.googleapis.com",
        keys: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        model: "gemini-3.5-flash",
        quirks: GEMINI,
    },
    Known {
        name: "ollama",
        wire: Wire::OpenAiChat,
        base: "http://127.0.0.1:11434/v1",
        keys: &[],
        model: "qwen2.5",
        quirks: Quirks { ladder: LOCAL, ..OTHER },
    },
];

/// Names that are no services, whatever an entry under them says.
const NOT_HTTP: &[&str] = &["fake", "fixture", "claude", "claude-cli", "codex", "codex-cli", "google"];

/// The adapters of all services: the known ones, and those of the providers file.
pub fn providers(setup: &Setup) -> Vec<Arc<dyn Provider>> {
    providers_with(setup, Timeouts::default())
}

/// The same with other waits of the client.
pub fn providers_with(setup: &Setup, timeouts: Timeouts) -> Vec<Arc<dyn Provider>> {
    let shared = Arc::new(Shared {
        env: setup.env.clone(),
        client: Client::new(setup.env.clone(), timeouts),
        secrets: setup.secrets.clone(),
    });
    let provider = |service| -> Arc<dyn Provider> { Arc::new(HttpProvider::new(service, Arc::clone(&shared), setup)) };
    services(setup).into_iter().map(provider).collect()
}

pub(super) fn services(setup: &Setup) -> Vec<Service> {
    let mut out: Vec<Service> = KNOWN.iter().map(|known| known_service(known, &setup.entry(known.name))).collect();
    for (name, own) in &setup.entries {
        let name = name.trim().to_lowercase();
        if NOT_HTTP.contains(&name.as_str()) || KNOWN.iter().any(|known| known.name == name) {
            continue;
        }
        // Entries of other kinds are for other adapters.
        if let Some(wire) = own.kind.as_deref().and_then(Wire::of_kind) {
            out.push(custom(name, wire, own));
        }
    }
    out
}

fn known_service(known: &Known, entry: &Entry) -> Service {
    // A gateway may speak the other OpenAI dialect under a known name; anything else would be another service.
    let wire = match entry.kind.as_deref().and_then(Wire::of_kind) {
        Some(Wire::OpenAiResponses) if known.wire == Wire::OpenAiChat => Wire::OpenAiResponses,
        Some(_) | None => known.wire,
    };
    let address = entry.base_url.as_deref().unwrap_or(known.base);
    let keys = match &entry.api_key_env {
        Some(name) => vec![name.clone()],
        None => known.keys.iter().map(|name| (*name).to_owned()).collect(),
    };
    Service {
        name: known.name.to_owned(),
        wire,
        base: base(address),
        at_home: address.trim_end_matches('/') == known.base,
        keyless: keys.is_empty(),
        keys,
        default_model: Some(entry.default_model.clone().unwrap_or_else(|| known.model.to_owned())),
        concurrency: entry.concurrency.unwrap_or(CONCURRENCY),
        models: entry.models.clone(),
        streams: entry.stream.unwrap_or(true),
        quirks: known.quirks,
    }
}

fn custom(name: String, wire: Wire, entry: &Entry) -> Service {
    let keys: Vec<String> = entry.api_key_env.iter().cloned().collect();
    let quirks = match wire {
        Wire::OpenAiChat => OTHER,
        Wire::OpenAiResponses => OPENAI,
        Wire::AnthropicMessages => ANTHROPIC,
        Wire::GeminiGenerate => GEMINI,
    };
    Service {
        name,
        wire,
        base: entry.base_url.as_deref().ok_or_else(|| "it has no base URL".to_owned()).and_then(base),
        at_home: false,
        keyless: keys.is_empty(),
        keys,
        default_model: entry.default_model.clone(),
        concurrency: entry.concurrency.unwrap_or(CONCURRENCY),
        models: entry.models.clone(),
        streams: entry.stream.unwrap_or(true),
        quirks,
    }
}
