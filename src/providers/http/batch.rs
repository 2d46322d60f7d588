//! Batches of prompts, which a service works on within a day for half the price.

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use super::batch_wire::{self, Part};
use super::classify;
use super::client::{Client, Timeouts};
use super::exchange::{Shared, headers, key};
use super::known::services;
use super::service::Service;
use super::wire::Wire;
use crate::core::outcome::{CallError, CostSource, ErrorClass, Usage};
use crate::providers::Setup;
use crate::providers::prices::Prices;

/// One prompt of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// By what its answer is found again: letters, digits, `_` and `-`, 64 at most, unique in its batch.
    pub custom_id: String,
    /// The prompt.
    pub prompt: String,
    /// The model.
    pub model: String,
    /// The system prompt.
    pub system: Option<String>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u64>,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchPhase {
    /// The service works on it.
    Pending,
    /// It has ended: there are results, though maybe not for every prompt.
    Ended,
    /// The service refused it as a whole.
    Failed,
}

/// What a service says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchState {
    /// Where it stands.
    pub phase: BatchPhase,
    /// The service's own word for it.
    pub word: String,
    /// Prompts with an answer so far.
    pub succeeded: u64,
    /// Prompts that will have none.
    pub failed: u64,
    /// Why it was refused.
    pub message: Option<String>,
    /// Files that hold its results, where the service keeps files.
    pub(super) files: Vec<String>,
}

/// The answer to one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchResult {
    /// Whose answer it is.
    pub custom_id: String,
    /// The text, or why there is none.
    pub text: Result<String, CallError>,
    /// Tokens.
    pub usage: Usage,
    /// Cost in billionths of a US dollar, at the price of batches.
    pub cost_nanos: Option<u64>,
    /// Where it comes from.
    pub cost_source: CostSource,
    /// The day of the prices it was estimated with.
    pub prices_as_of: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
}

/// Why a batch was not submitted.
#[derive(Debug, Clone, PartialEq)]
pub struct NotSubmitted {
    /// What was wrong.
    pub error: CallError,
    /// Whether the service may have taken it all the same.
    pub unclear: bool,
}

/// The batches of one service.
#[derive(Debug)]
pub struct Batches {
    service: Service,
    shared: Shared,
    prices: Arc<Prices>,
}

impl Batches {
    /// The batches of a provider.
    ///
    /// # Errors
    /// One sentence: it has none.
    pub fn of(setup: &Setup, provider: &str) -> Result<Self, String> {
        let wanted = provider.trim().to_lowercase();
        // Others speak the same dialects, but have no batches.
        let known = ["deepseek", "openrouter", "gemini", "ollama"].contains(&wanted.as_str());
        let service = services(setup).into_iter().find(|service| service.name == wanted && !known);
        let service = service.filter(|service| service.wire != Wire::GeminiGenerate);
        let service = service.ok_or_else(|| format!("provider \"{provider}\" has no batches"))?;
        let client = Client::new(setup.env.clone(), Timeouts::default());
        let shared = Shared { env: setup.env.clone(), client, secrets: setup.secrets.clone() };
        Ok(Self { service, shared, prices: Arc::clone(&setup.prices) })
    }

    /// The name of the provider.
    pub fn provider(&self) -> &str {
        &self.service.name
    }

    /// The model behind a name; the default one when none is asked for.
    pub fn model(&self, asked: Option<&str>) -> Option<String> {
        asked.map(|asked| self.service.model(asked)).or_else(|| self.service.default_model.clone())
    }

    /// The most prompts and bytes of one batch.
    pub fn most(&self) -> (usize, usize) {
        match self.service.wire {
            Wire::AnthropicMessages => (100_000, 256_000_000),
            Wire::OpenAiChat | Wire::OpenAiResponses | Wire::GeminiGenerate => (50_000, 200_000_000),
        }
    }

    /// Whether a key is there, before anything is read.
    ///
    /// # Errors
    /// Class `auth`, naming the variable.
    pub fn check_key(&self) -> Result<(), CallError> {
        let found = key(&self.service, &self.shared.env).map(|_| ());
        found.map_err(|error| CallError {
            hint: Some(format!("set {} in the environment, then submit again", self.service.key_name())),
            ..error
        })
    }

    /// Submits a batch; gives its id. Nothing is ever sent twice.
    ///
    /// # Errors
    /// What the service says, and whether it may have taken the batch all the same.
    pub async fn submit(&self, rows: &[BatchRow]) -> Result<String, NotSubmitted> {
        let plain = |error: CallError| NotSubmitted { error, unclear: false };
        if self.service.wire == Wire::AnthropicMessages {
            let body = batch_wire::requests(&self.service, rows);
            return self.create(&["batches"], body).await;
        }
        let lines = batch_wire::lines(&self.service, rows);
        let boundary = batch_wire::boundary(&lines);
        let body = batch_wire::form(&boundary, lines);
        let kind = format!("multipart/form-data; boundary={boundary}");
        // A file is no batch: when its upload is in doubt, nothing has begun.
        let file = self.send(&["files"], Some((&kind, body))).await.map_err(|lost| plain(lost.error))?;
        let file = id_of(&file).ok_or_else(|| plain(self.odd("no id of the file")))?;
        let endpoint = batch_wire::endpoint(self.service.wire);
        let body = json!({"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"});
        self.create(&["batches"], body).await
    }

    async fn create(&self, path: &[&str], body: Value) -> Result<String, NotSubmitted> {
        let said = self.send(path, Some(("application/json", body.to_string().into_bytes()))).await;
        let said = said.map_err(|lost| NotSubmitted { error: lost.error, unclear: lost.unclear })?;
        id_of(&said).ok_or_else(|| NotSubmitted { error: self.odd("no id of the batch"), unclear: true })
    }

    /// Where a batch stands.
    ///
    /// # Errors
    /// What the service says.
    pub async fn state(&self, id: &str) -> Result<BatchState, CallError> {
        let said = self.send(&["batches", id], None).await.map_err(|lost| lost.error)?;
        let value = serde_json::from_slice(&said).map_err(|_| self.odd("no JSON"))?;
        batch_wire::state(self.service.wire, &value, &self.shared.secrets)
            .ok_or_else(|| self.odd("no state of a batch"))
    }

    /// The answers of a batch that has ended, in no order.
    ///
    /// # Errors
    /// What the service says.
    pub async fn results(&self, id: &str, state: &BatchState) -> Result<Vec<BatchResult>, CallError> {
        let mut texts = Vec::new();
        if self.service.wire == Wire::AnthropicMessages {
            texts.push(self.send(&["batches", id, "results"], None).await.map_err(|lost| lost.error)?);
        } else {
            for file in &state.files {
                texts.push(self.send(&["files", file, "content"], None).await.map_err(|lost| lost.error)?);
            }
        }
        let mut results = Vec::new();
        for text in texts {
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                let line: Value = serde_json::from_slice(line).map_err(|_| self.odd("a result that is no JSON"))?;
                results.extend(
                    batch_wire::result(&self.service, &line, &self.shared.secrets).map(|part| self.priced(part)),
                );
            }
        }
        Ok(results)
    }

    fn priced(&self, part: Part) -> BatchResult {
        let Part { custom_id, text, used, model } = part;
        let name = &self.service.name;
        let estimate = match (&used, &model) {
            (Some(used), Some(model)) => self.prices.batch_estimate(name, model, used),
            _ => None,
        };
        let (cost_nanos, price) = estimate.unzip();
        let cost_source = if cost_nanos.is_some() { CostSource::Estimated } else { CostSource::Unknown };
        let (usage, prices_as_of) = (used.unwrap_or_default().into(), price.map(|price| price.as_of));
        BatchResult { custom_id, text, usage, cost_nanos, cost_source, prices_as_of, model }
    }

    /// Sends one request: with a body it is a POST. Gives the bytes of an answer that says yes.
    async fn send(&self, path: &[&str], body: Option<(&str, Vec<u8>)>) -> Result<Vec<u8>, super::wire::Failed> {
        let service = &self.service;
        let base = service
            .base
            .as_ref()
            .map_err(|why| CallError::new(ErrorClass::BadRequest, format!("provider \"{}\": {why}", service.name)))?;
        let mut headers = headers(service, key(service, &self.shared.env)?)?;
        let url = self.url(base, path);
        let answered = match body {
            None => {
                headers.remove(CONTENT_TYPE);
                self.shared.client.get(url, headers).await
            }
            Some((kind, body)) => {
                let kind = HeaderValue::from_str(kind).map_err(|_| self.odd("no content type"))?;
                headers.insert(CONTENT_TYPE, kind);
                self.shared.client.post(url, headers, body).await
            }
        };
        let answered = answered.map_err(|lost| classify::lost(service, &lost, &self.shared.secrets))?;
        if (200..300).contains(&answered.status) {
            return Ok(answered.body);
        }
        let mut failed = classify::answer(service, &answered, &self.shared.secrets);
        // A gateway that gave up says nothing about what is behind it.
        failed.unclear |= answered.status >= 500;
        Err(failed)
    }

    fn url(&self, base: &Url, path: &[&str]) -> Url {
        let mut url = match self.service.wire {
            // `.../v1/messages`, wherever the base has its version.
            Wire::AnthropicMessages => self.service.wire.url(base, "", false),
            Wire::OpenAiChat | Wire::OpenAiResponses | Wire::GeminiGenerate => base.clone(),
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn odd(&self, what: &str) -> CallError {
        CallError::new(ErrorClass::Transport, format!("{} answered with {what}", self.service.name))
    }
}

/// The id in an answer, when it is one that can stand in an address and in the name of a file.
fn id_of(said: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(said).ok()?;
    value.get("id")?.as_str().filter(|id| is_id(id)).map(str::to_owned)
}

/// Whether a text can be the id of a batch.
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
