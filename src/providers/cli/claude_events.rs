//! What Claude Code prints: events, one JSON object a line, the last of them the result.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::core::outcome::{CallError, CostSource, ErrorClass};
use crate::core::price::PriceNote;
use crate::process::{Exit, Finished};
use crate::providers::prices::{Prices, TokenUse};
use crate::providers::{Progress, Reply, ReplyAnswer, ReplyError};

use super::agent::{Reader, cut_short, no_result, relative};
use super::classify::{of_status, of_words, status_in};
use super::claude_schema::CliSchema;

/// How it says that it passed the cost at which it was to stop.
const PASSED: &str = "error_max_budget_usd";
/// The most of other output that is kept for a message.
const MOST_NOISE: usize = 2_000;

/// The cost at which it is told to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopAt {
    pub(super) usd: f64,
    /// Whether that is what the budget of the run leaves it, and not what is configured.
    pub(super) is_share: bool,
}

/// Reads the events of one attempt. Also reads what follows the same shape (qwen-code).
pub(super) struct ClaudeReader {
    name: String,
    schema: Option<CliSchema>,
    progress: Progress,
    /// Whether the cost it reports is the vendor's price.
    vendor: bool,
    prices: Arc<Prices>,
    fail_on_denial: bool,
    stop: Option<StopAt>,
    cwd: PathBuf,
    version: Option<String>,
    model: Option<String>,
    result: Option<Value>,
    /// Tokens of each message so far, for an attempt that is cut short.
    messages: BTreeMap<String, TokenUse>,
    /// The wait before its last retry, in milliseconds.
    retry_ms: Option<u64>,
    changed: Vec<String>,
    warnings: Vec<String>,
    noise: String,
}

impl ClaudeReader {
    pub(super) fn new(
        name: &str,
        schema: Option<CliSchema>,
        progress: Progress,
        vendor: bool,
        prices: Arc<Prices>,
        fail_on_denial: bool,
        cwd: PathBuf,
    ) -> Self {
        Self {
            name: name.to_owned(),
            schema,
            progress,
            vendor,
            prices,
            fail_on_denial,
            stop: None,
            cwd,
            version: None,
            model: None,
            result: None,
            messages: BTreeMap::new(),
            retry_ms: None,
            changed: Vec::new(),
            warnings: Vec::new(),
            noise: String::new(),
        }
    }

    /// One that was told to stop at so much.
    pub(super) fn stopping(self, stop: Option<StopAt>) -> Self {
        Self { stop, ..self }
    }

    fn event(&mut self, event: Value) {
        let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
        match (event["type"].as_str(), event["subtype"].as_str()) {
            (Some("system"), Some("init")) => {
                self.version = text("claude_code_version").or_else(|| text("qwen_code_version"));
                self.model = text("model");
                for server in event["mcp_servers"].as_array().into_iter().flatten() {
                    if let Some(status @ ("failed" | "needs-auth")) = server["status"].as_str() {
                        let server = server["name"].as_str().unwrap_or("?");
                        self.warnings.push(format!("the MCP server \"{server}\" is not there: {status}"));
                    }
                }
            }
            (Some("system"), Some("api_retry")) => {
                self.retry_ms = event["retry_delay_ms"].as_f64().map(|ms| ms.max(0.0) as u64);
                let status = event["error_status"].as_u64().map_or_else(|| "no answer".to_owned(), |s| s.to_string());
                let (attempt, most) =
                    (event["attempt"].as_u64().unwrap_or(0), event["max_retries"].as_u64().unwrap_or(0));
                let wait = self.retry_ms.unwrap_or(0) as f64 / 1000.0;
                self.progress.say(format!("the service said {status}; retry {attempt} of {most} in {wait:.1} s"));
            }
            (Some("assistant"), _) => self.assistant(&event),
            (Some("result"), _) => self.result = Some(event),
            // Whatever else there is now or will be is for others.
            (Some(_) | None, _) => {}
        }
    }

    fn assistant(&mut self, event: &Value) {
        let message = &event["message"];
        if let Some(id) = message["id"].as_str() {
            self.messages.insert(id.to_owned(), tokens(&message["usage"]));
        }
        let within = if event["parent_tool_use_id"].is_string() { "subagent: " } else { "" };
        for block in message["content"].as_array().into_iter().flatten() {
            match block["type"].as_str() {
                Some("text") => {
                    let said = block["text"].as_str().unwrap_or_default();
                    if !said.trim().is_empty() {
                        self.progress.say_short(&format!("{within}{said}"), within.len() + 100);
                    }
                }
                Some("tool_use") => self.tool(within, block),
                Some(_) | None => {}
            }
        }
    }

    fn tool(&mut self, within: &str, block: &Value) {
        let tool = block["name"].as_str().unwrap_or("a tool");
        let input = &block["input"];
        let about = ["file_path", "notebook_path", "path", "pattern", "command", "description", "url", "query"];
        let about = about.iter().find_map(|key| input[*key].as_str()).unwrap_or_default();
        self.progress.say_short(&format!("{within}{tool} {about}"), 120);
        if matches!(tool, "Edit" | "MultiEdit" | "Write" | "NotebookEdit")
            && let Some(path) = input["file_path"].as_str().or_else(|| input["notebook_path"].as_str())
        {
            let path = relative(path, &self.cwd);
            if !self.changed.contains(&path) {
                self.changed.push(path);
            }
        }
    }

    /// What was used: of the result, else of the messages seen.
    fn used(&self) -> TokenUse {
        match &self.result {
            Some(result) if result["usage"].is_object() => tokens(&result["usage"]),
            Some(_) | None => {
                let mut sum = TokenUse::default();
                self.messages.values().for_each(|used| sum += *used);
                sum
            }
        }
    }

    /// What it cost. The CLI prices a model it does not know like one it knows, so its figure counts only for the vendor's own
    /// service and list prices of models that it, or the table of prices, knows.
    fn cost(&self, used: &TokenUse) -> (Option<u64>, CostSource, Option<PriceNote>) {
        let Some(result) = &self.result else { return (None, CostSource::Unknown, None) };
        let priced = |model: &str| self.prices.cost(&self.name, model, used).is_some();
        let listed = match result["modelUsage"].as_object().filter(|models| !models.is_empty()) {
            Some(models) => models.iter().all(|(name, m)| {
                let known = m["canonicalModel"].is_string() || priced(name);
                known && m["costBasis"].as_str().is_none_or(|basis| basis == "list")
            }),
            None => self.model.as_deref().is_some_and(priced),
        };
        let reported = result["total_cost_usd"].as_f64().filter(|cost| cost.is_finite() && *cost >= 0.0);
        if let Some(cost) = reported.filter(|_| self.vendor && listed) {
            return (Some((cost * 1e9).round() as u64), CostSource::Reported, None);
        }
        let estimate = self.model.as_deref().and_then(|model| self.prices.estimate(&self.name, model, used));
        estimate
            .map_or((None, CostSource::Unknown, None), |(cost, price)| (Some(cost), CostSource::Estimated, Some(price)))
    }

    fn denials(&self) -> Vec<String> {
        let Some(result) = &self.result else { return Vec::new() };
        let denied = result["permission_denials"].as_array().into_iter().flatten();
        denied
            .map(|denial| {
                let tool = denial["tool_name"].as_str().unwrap_or("?");
                format!("the tool {tool} was denied: {}", self.progress.short(&denial["tool_input"].to_string(), 200))
            })
            .collect()
    }

    /// The answer, or why there is none.
    fn verdict(&self, finished: &Finished) -> Result<ReplyAnswer, CallError> {
        let Some(result) = &self.result else { return Err(self.without_result(finished)) };
        if finished.ended_by_us {
            return Err(CallError::new(ErrorClass::Cancelled, format!("{} was ended on request", self.name)));
        }
        let stop = result["stop_reason"].as_str().unwrap_or_default();
        let subtype = result["subtype"].as_str().unwrap_or_default();
        // The subtype says success for failures of the service, too: `is_error` decides.
        if result["is_error"].as_bool().unwrap_or(false) || subtype.starts_with("error") {
            return Err(self.failure(result, subtype, stop));
        }
        match stop {
            "max_tokens" => {
                return Err(CallError::new(ErrorClass::MaxTokens, "the answer was cut at its length limit"));
            }
            "refusal" => return Err(CallError::new(ErrorClass::Refusal, "the model refused")),
            "model_context_window_exceeded" => {
                return Err(CallError::new(ErrorClass::ContextTooLong, "the context window of the model was full"));
            }
            _ => {}
        }
        if finished.exit != Exit::Code(0) {
            let message = format!("{} ended with {} after its answer{}", self.name, finished.exit, tail(finished));
            return Err(CallError::new(ErrorClass::Crashed, message));
        }
        let denials = self.denials();
        if self.fail_on_denial && !denials.is_empty() {
            return Err(CallError::new(ErrorClass::ToolDenied, denials.join("; ")));
        }
        Ok(match (&self.schema, result.get("structured_output")) {
            (None, _) => ReplyAnswer::Text(result["result"].as_str().unwrap_or_default().to_owned()),
            (Some(schema), Some(value)) if !value.is_null() => ReplyAnswer::Json(schema.unwrap(value.clone())),
            // The model never called the tool: the CLI takes that for a success.
            (Some(_), _) => ReplyAnswer::Missing,
        })
    }

    fn failure(&self, result: &Value, subtype: &str, stop: &str) -> CallError {
        let errors = result["errors"].as_array().into_iter().flatten().chain([&result["error"]["message"]]);
        let errors: Vec<&str> = errors.filter_map(Value::as_str).collect();
        let said = match result["result"].as_str() {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => errors.join("; "),
        };
        let status = result["api_error_status"].as_u64().or_else(|| status_in(&said));
        let class = match subtype {
            "error_max_turns" => ErrorClass::MaxTurns,
            PASSED => ErrorClass::Budget,
            "error_max_structured_output_retries" => ErrorClass::Schema,
            _ if stop == "refusal" => ErrorClass::Refusal,
            _ if stop == "max_tokens" => ErrorClass::MaxTokens,
            _ => match status {
                Some(status) => of_status(status, &said),
                // No status: the service was not reached, except where the words say that nobody is logged in.
                None if subtype == "success" || subtype.is_empty() => of_words(&said).unwrap_or(ErrorClass::Transport),
                None => of_words(&said).unwrap_or(ErrorClass::Other),
            },
        };
        let message = match (class, said.is_empty()) {
            (ErrorClass::MaxTurns, true) => "the agent used up its turns".to_owned(),
            (ErrorClass::Budget, _) if subtype == PASSED => self.passed(),
            (ErrorClass::Schema, true) => "no answer satisfied the schema in five tries".to_owned(),
            (_, true) => format!("{} failed: {subtype}", self.name),
            (_, false) => said,
        };
        let mut error = CallError::new(class, message);
        if subtype == PASSED {
            let is_share = self.stop.is_some_and(|stop| stop.is_share);
            let hint =
                if is_share { "raise budget_cost_usd, or run fewer calls at once" } else { "raise max_budget_usd" };
            error.hint = Some(hint.to_owned());
        }
        if class == ErrorClass::Auth {
            error.hint = Some(format!("run `{}` once and log in, or set the key of the provider", self.name));
        }
        if class == ErrorClass::RateLimited {
            error.retry_after_ms = self.retry_ms;
        }
        error
    }

    /// What became of one that passed where it was to stop.
    fn passed(&self) -> String {
        let at = self.stop.map_or_else(String::new, |StopAt { usd, is_share }| {
            let whose = if is_share { ", its share of the run's cost budget" } else { "" };
            format!(" {usd} USD{whose}")
        });
        let at = if at.is_empty() { " its budget" } else { &at };
        format!("the agent was to stop at{at}, and passed it; what it had written is lost")
    }

    fn without_result(&self, finished: &Finished) -> CallError {
        let said = if finished.errors.is_empty() { self.noise.trim() } else { finished.errors.as_str() };
        no_result(&self.name, finished, said)
    }
}

fn tail(finished: &Finished) -> String {
    if finished.errors.is_empty() { String::new() } else { format!(": {}", finished.errors) }
}

/// Usage in the shape of the Messages API: the prompt without what is read from or written to a cache.
fn tokens(usage: &Value) -> TokenUse {
    let of = |key: &str| usage[key].as_u64().unwrap_or(0);
    let created = &usage["cache_creation"];
    let hour = created["ephemeral_1h_input_tokens"].as_u64();
    let (write_5m, write_1h) = match (created["ephemeral_5m_input_tokens"].as_u64(), hour) {
        (None, None) => (of("cache_creation_input_tokens"), 0),
        (short, hour) => (short.unwrap_or(0), hour.unwrap_or(0)),
    };
    TokenUse {
        input: of("input_tokens"),
        cache_read: of("cache_read_input_tokens"),
        cache_write_5m: write_5m,
        cache_write_1h: write_1h,
        output: of("output_tokens"),
        reasoning: usage["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or(0),
    }
}

impl Reader for ClaudeReader {
    fn line(&mut self, line: &[u8]) {
        match serde_json::from_slice(line) {
            // `--output-format json --verbose` gives all events as one array.
            Ok(Value::Array(events)) => events.into_iter().for_each(|event| self.event(event)),
            Ok(event @ Value::Object(_)) => self.event(event),
            Ok(_) | Err(_) if self.noise.len() < MOST_NOISE => {
                self.noise.push_str(&String::from_utf8_lossy(line));
                self.noise.push('\n');
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn finish(mut self: Box<Self>, finished: &Finished) -> Result<Reply, ReplyError> {
        let verdict = self.verdict(finished);
        let used = self.used();
        let told = self.result.as_ref().is_some_and(|result| result["usage"].is_object());
        let (cost_nanos, cost_source, price) = self.cost(&used);
        self.warnings.extend(self.denials());
        let provenance = crate::core::outcome::Provenance {
            provider_version: self.version,
            warnings: self.warnings,
            price,
            ..Default::default()
        };
        match verdict {
            Ok(answer) => Ok(Reply {
                usage: used.into(),
                usage_unknown: !told,
                cost_nanos,
                cost_source,
                model: self.model,
                changed_files: self.changed,
                provenance,
                ..Reply::new(answer)
            }),
            Err(error) => Err(ReplyError {
                usage: used.into(),
                // Messages tell what they used when they begin, the result tells all of it.
                usage_unknown: !told && (!self.messages.is_empty() || cut_short(finished, &error)),
                cost_nanos,
                cost_source,
                model: self.model,
                provenance,
                ..ReplyError::from(error)
            }),
        }
    }
}
