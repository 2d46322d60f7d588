//! What Codex prints: events, one JSON object a line, the last of them the end of the turn.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::core::outcome::{CallError, CostSource, ErrorClass, Provenance};
use crate::process::{Exit, Finished};
use crate::providers::prices::{Prices, TokenUse};
use crate::providers::schema::project::Projection;
use crate::providers::{Progress, Reply, ReplyAnswer, ReplyError};

use super::agent::{Reader, cut_short, no_result, relative};
use super::classify::{of_status, of_words, status_in};

/// Reads the events of one attempt.
pub(super) struct CodexReader {
    schema: Option<Projection>,
    progress: Progress,
    model: Option<String>,
    prices: Arc<Prices>,
    cwd: PathBuf,
    /// The last message. Messages of a stream that broke off are printed, too: it counts only once the turn is complete.
    text: Option<String>,
    /// Whether the model has said or done something.
    worked: bool,
    /// Tokens of the whole thread, once the turn is complete.
    used: Option<TokenUse>,
    failed: Option<String>,
    /// The last error that did not end the turn.
    error: Option<String>,
    changed: Vec<String>,
    warnings: Vec<String>,
    noise: String,
}

impl CodexReader {
    pub(super) fn new(
        schema: Option<Projection>,
        progress: Progress,
        model: Option<String>,
        prices: Arc<Prices>,
        cwd: PathBuf,
    ) -> Self {
        Self {
            schema,
            progress,
            model,
            prices,
            cwd,
            text: None,
            worked: false,
            used: None,
            failed: None,
            error: None,
            changed: Vec::new(),
            warnings: Vec::new(),
            noise: String::new(),
        }
    }

    fn event(&mut self, event: &Value) {
        match event["type"].as_str() {
            Some("item.started") => {
                self.worked = true;
                self.started(&event["item"]);
            }
            Some("item.completed") => {
                // A warning comes before there is an answer, too.
                self.worked |= event["item"]["type"] != "error";
                self.completed(&event["item"]);
            }
            Some("turn.completed") => {
                // Of the whole thread: where a turn follows another, the later figures hold the earlier ones.
                self.used = Some(tokens(&event["usage"]));
                self.failed = None;
            }
            Some("turn.failed") => {
                self.failed = Some(event["error"]["message"].as_str().unwrap_or_default().to_owned());
            }
            Some("error") => {
                let message = event["message"].as_str().unwrap_or_default();
                self.progress.say_short(message, 160);
                self.error = Some(message.to_owned());
            }
            Some(_) | None => {}
        }
    }

    fn started(&self, item: &Value) {
        let about = match item["type"].as_str() {
            Some("command_execution") => format!("runs {}", item["command"].as_str().unwrap_or_default()),
            Some("mcp_tool_call") => format!("calls {}", item["tool"].as_str().unwrap_or_default()),
            Some("web_search") => format!("searches {}", item["query"].as_str().unwrap_or_default()),
            Some(_) | None => return,
        };
        self.progress.say_short(&about, 120);
    }

    fn completed(&mut self, item: &Value) {
        match item["type"].as_str() {
            Some("agent_message") => {
                let text = item["text"].as_str().unwrap_or_default().to_owned();
                self.progress.say_short(&text, 100);
                self.text = Some(text);
            }
            Some("reasoning") => self.progress.say_short(item["text"].as_str().unwrap_or_default(), 100),
            Some("file_change") => {
                for change in item["changes"].as_array().into_iter().flatten() {
                    let path = relative(change["path"].as_str().unwrap_or_default(), &self.cwd);
                    self.progress.say_short(&format!("changes {path}"), 120);
                    if !path.is_empty() && !self.changed.contains(&path) {
                        self.changed.push(path);
                    }
                }
            }
            // A warning: the turn goes on.
            Some("error") => self.warnings.push(self.progress.short(item["message"].as_str().unwrap_or_default(), 300)),
            Some(_) | None => {}
        }
    }

    fn verdict(&self, finished: &Finished) -> Result<ReplyAnswer, CallError> {
        if finished.ended_by_us {
            return Err(CallError::new(ErrorClass::Cancelled, "codex was ended on request"));
        }
        if let Some(said) = &self.failed {
            return Err(failure(said));
        }
        match (self.used, &self.error) {
            (None, Some(said)) => return Err(failure(said)),
            (None, None) => {
                let said = if finished.errors.is_empty() { self.noise.trim() } else { finished.errors.as_str() };
                return Err(no_result("codex", finished, said));
            }
            (Some(_), _) => {}
        }
        if finished.exit != Exit::Code(0) {
            let message = format!("codex ended with {} after its answer", finished.exit);
            return Err(CallError::new(ErrorClass::Crashed, message));
        }
        let text = self.text.clone().unwrap_or_default();
        Ok(match &self.schema {
            None => ReplyAnswer::Text(text),
            // It does not check its answer: what is no JSON is looked through by the engine.
            Some(projection) => match serde_json::from_str(text.trim()) {
                Ok(value) => ReplyAnswer::Json(projection.restore(value)),
                Err(_) if text.trim().is_empty() => ReplyAnswer::Missing,
                Err(_) => ReplyAnswer::Text(text),
            },
        })
    }
}

/// A failed turn by its words: there is no status but in them.
fn failure(said: &str) -> CallError {
    // A refused request comes as the raw body of the service's answer.
    let body: Option<Value> = said.find('{').and_then(|at| serde_json::from_str(&said[at..]).ok());
    let inner = body.as_ref().map_or(&Value::Null, |body| &body["error"]);
    let told = inner["message"].as_str().or_else(|| body.as_ref()?["detail"].as_str());
    let code = inner["code"].as_str().or_else(|| inner["type"].as_str()).unwrap_or_default();
    let status = status_in(said).or_else(|| body.as_ref()?["status"].as_u64());
    let words = format!("{said} {code}");
    let class = match status {
        Some(status) => of_status(status, &words),
        None if said.trim_start().starts_with('{') => of_words(&words).unwrap_or(ErrorClass::BadRequest),
        None => of_words(&words).unwrap_or(ErrorClass::Other),
    };
    let message = told.unwrap_or(said);
    let message = if message.is_empty() { "codex failed and said nothing" } else { message };
    let mut error = CallError::new(class, message);
    if class == ErrorClass::Auth {
        error.hint = Some("run `codex login`, or set the key of the provider".to_owned());
    }
    error
}

/// Usage in Codex's words: the prompt includes what came from or went to a cache.
fn tokens(usage: &Value) -> TokenUse {
    let of = |key: &str| usage[key].as_u64().unwrap_or(0);
    let (read, written) = (of("cached_input_tokens"), of("cache_write_input_tokens"));
    TokenUse {
        input: of("input_tokens").saturating_sub(read + written),
        cache_read: read,
        cache_write_5m: written,
        cache_write_1h: 0,
        output: of("output_tokens"),
        reasoning: of("reasoning_output_tokens"),
    }
}

impl Reader for CodexReader {
    fn line(&mut self, line: &[u8]) {
        match serde_json::from_slice::<Value>(line) {
            Ok(event @ Value::Object(_)) => self.event(&event),
            Ok(_) | Err(_) if self.noise.len() < 2_000 => {
                self.noise.push_str(&String::from_utf8_lossy(line));
                self.noise.push('\n');
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn finish(self: Box<Self>, finished: &Finished) -> Result<Reply, ReplyError> {
        let verdict = self.verdict(finished);
        let estimate = match (&self.used, &self.model) {
            (Some(used), Some(model)) => self.prices.estimate("codex", model, used),
            _ => None,
        };
        let (cost, price) = estimate.unzip();
        let cost_source = if cost.is_some() { CostSource::Estimated } else { CostSource::Unknown };
        let usage = self.used.unwrap_or_default().into();
        let provenance = Provenance { warnings: self.warnings, price, ..Provenance::default() };
        match verdict {
            Ok(answer) => Ok(Reply {
                usage,
                usage_unknown: false,
                cost_nanos: cost,
                cost_source,
                model: self.model,
                changed_files: self.changed,
                provenance,
                ..Reply::new(answer)
            }),
            Err(error) => Err(ReplyError {
                usage,
                // Only a turn that is complete tells; one that was refused before it began used nothing.
                usage_unknown: self.used.is_none() && (self.worked || cut_short(finished, &error)),
                cost_nanos: cost,
                cost_source,
                model: self.model,
                provenance,
                ..ReplyError::from(error)
            }),
        }
    }
}
