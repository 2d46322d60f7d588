//! One attempt as a conversation: the request, steps down the ladder, tools and their results, the answer.

mod ending;
mod tool_calls;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::bound::{self, Bound};
use super::exchange::{Ears, Shared, exchange};
use super::kept::{Kept, Open};
use super::ladder::{self, LOCAL, Mode};
use super::prompts::{self, ANSWER};
use super::redact::clean;
use super::service::Service;
use super::stream::{refused, remember_refused};
use super::tally::{Reserve, Tally};
use super::wire::{Asked, Failed, Finish, Held, Said, ToolCall, ToolResult, Turn, Wire};
use crate::core::budget::Charge;
use crate::core::call::ChatRole;
use crate::core::ids::Hash;
use crate::core::outcome::{CallError, ErrorClass, Provenance};
use crate::providers::pace::CEILING;
use crate::providers::prices::Prices;
use crate::providers::schema::project::{Projection, anthropic, gemini, openai_strict, tool};
use crate::providers::schema::{compile, read_answer};
use crate::providers::{AttemptRequest, CallContext, Feedback, FileTools, Reply, ReplyAnswer, ReplyError, ToolSpec};

/// Requests to a model that calls tools although it has none.
const TOOLLESS_TURNS: u32 = 5;
/// Attempts at one request of a tool loop.
const TRIES: u32 = 4;
/// The longest wait before the second of them when nobody asked for one; each further one may be twice as long.
const BACKOFF_MS: u64 = 500;

/// A conversation under way.
pub(super) struct Chat<'a> {
    service: &'a Service,
    shared: &'a Shared,
    prices: &'a Prices,
    request: &'a AttemptRequest,
    context: &'a CallContext,
    /// The tools on offer.
    tools: Vec<ToolSpec>,
    /// What is set aside for one request.
    reserve: &'a Reserve<'a>,
    /// How long an answer may be.
    bound: Bound,
    /// What is set aside for the request under way.
    aside: Charge,
    /// Set while the service works on a request.
    sent: AtomicBool,
    /// What was said after the prompt.
    later: Vec<Turn>,
    /// Which request to the model it is.
    turn: u32,
    tally: Tally,
    transcript: Vec<Value>,
    provenance: Provenance,
}

/// How one request is held to the schema.
struct Holding {
    mode: Mode,
    projection: Projection,
    tool: ToolSpec,
}

impl<'a> Chat<'a> {
    pub(super) fn new(
        service: &'a Service,
        shared: &'a Shared,
        prices: &'a Prices,
        request: &'a AttemptRequest,
        context: &'a CallContext,
        reserve: &'a Reserve<'a>,
    ) -> Self {
        let tools = context.tools.iter().flat_map(|tools| tools.tools()).collect();
        let bound = Bound::of(request, reserve);
        let model = service.model(request.model.as_deref().or(service.default_model.as_deref()).unwrap_or_default());
        let provenance = Provenance { warnings: FileTools::of(request).warnings, ..Provenance::default() };
        Self {
            service,
            shared,
            prices,
            request,
            context,
            tools,
            reserve,
            bound,
            aside: bound::with(service, prices, &model, reserve, bound.aside().unwrap_or(0)),
            sent: AtomicBool::new(false),
            later: Vec::new(),
            turn: 0,
            tally: Tally::default(),
            transcript: Vec::new(),
            provenance,
        }
    }

    /// Carries the attempt out.
    pub(super) async fn answer(mut self) -> Result<Reply, ReplyError> {
        let stop = self.context.stop.clone();
        let ended = tokio::select! {
            biased;
            ended = self.converse() => ended,
            () = stop.stopped() => Err(CallError::new(ErrorClass::Cancelled, "ended on request").into()),
        };
        if self.sent.load(Ordering::Relaxed) {
            // It was ended while the service worked on a request.
            self.tally.lost(self.aside);
        }
        match ended {
            Ok(answer) => Ok(self.reply(answer)),
            Err(failed) => {
                if !self.later.is_empty() {
                    self.leave(self.turn.saturating_sub(1), None);
                }
                Err(self.failed(failed))
            }
        }
    }

    async fn converse(&mut self) -> Result<ReplyAnswer, Failed> {
        let model = self.model()?;
        let cap = match &self.context.tools {
            Some(tools) if !self.tools.is_empty() => tools.max_turns(),
            Some(_) | None => TOOLLESS_TURNS,
        };
        let mut corrected = false;
        let mut holding = self.holding(&model, None);
        // Another attempt may have left in the middle of it, for a person to be asked.
        let kept = Kept::of(self.context.tools.as_deref())?;
        (self.later, self.turn, self.transcript) = (kept.later, kept.turn, kept.transcript);
        if let Some(open) = kept.open {
            self.go_through(open).await?;
        }
        for turn in self.turn + 1..=cap {
            self.turn = turn;
            self.say_turn(turn, &model);
            self.allowed(turn, &model).await?;
            let said = loop {
                match self.request_once(&model, holding.as_ref()).await {
                    Err(failed) if failed.of_schema => match self.step_down(&model, holding.as_ref()) {
                        Some(lower) => holding = Some(lower),
                        None => return Err(failed),
                    },
                    Ok(said) if self.longer(&model, &said).await? => {}
                    other => break other?,
                }
            };
            self.ended(&said)?;
            let given = said.calls.iter().position(|call| call.name == ANSWER && holding.is_some());
            if said.calls.is_empty() && said.finish == Finish::Paused {
                self.later.push(Turn::Raw(said.raw));
                continue;
            }
            if given.is_none() && !said.calls.is_empty() {
                if turn == cap {
                    break;
                }
                self.go_through(Open { raw: said.raw, calls: said.calls, results: Vec::new() }).await?;
                continue;
            }
            let call = given.and_then(|at| said.calls.get(at));
            let answer = self.read(&said, call, holding.as_ref());
            // A call that changes files is not attempted again: what is wrong with its answer is said in the same conversation.
            if let Some(feedback) = self.to_correct(&answer).filter(|_| !corrected && turn < cap) {
                corrected = true;
                let schema = self.request.spec.ask.schema.as_ref().unwrap_or(&Value::Null);
                let text = prompts::correction(&feedback, schema);
                let turn = match call {
                    Some(call) => {
                        let all = said.calls.iter().map(|one| ToolResult {
                            id: one.id.clone(),
                            name: one.name.clone(),
                            content: Err(if one == call { text.clone() } else { "not called".to_owned() }),
                        });
                        Turn::Results(all.collect())
                    }
                    None => Turn::User(text),
                };
                self.later.push(Turn::Raw(said.raw));
                self.later.push(turn);
                continue;
            }
            return Ok(answer);
        }
        let mut error = CallError::new(ErrorClass::MaxTurns, format!("the agent used up its {cap} turns"));
        error.hint = Some("ask for less in one call".to_owned());
        Err(error.into())
    }

    fn model(&self) -> Result<String, CallError> {
        let asked = self.request.model.as_deref().or(self.service.default_model.as_deref());
        match asked {
            Some(asked) => Ok(self.service.model(asked)),
            None => {
                let message = format!("provider \"{}\" has no default model and none was asked for", self.service.name);
                Err(CallError::new(ErrorClass::BadRequest, message))
            }
        }
    }

    /// Sets more aside where a budget holds: what the attempt has used, and what its next request may need.
    async fn allowed(&mut self, turn: u32, model: &str) -> Result<(), Failed> {
        if turn == 1 {
            return Ok(());
        }
        self.bound.next();
        self.aside = self.tally.next(self.service, self.prices, model, &self.later, self.reserve);
        self.allowed_once_more().await
    }

    /// The same for the request under way, beside what was used when it was made before.
    async fn allowed_once_more(&self) -> Result<(), Failed> {
        match &self.context.allowance {
            Some(allowance) => Ok(allowance.raise(self.tally.so_far(), self.aside).await?),
            None => Ok(()),
        }
    }

    /// Whether the request is made again with room for a longer answer: this one was cut by what a budget had set aside for it.
    async fn longer(&mut self, model: &str, said: &Said) -> Result<bool, Failed> {
        let is_ours = said.finish == Finish::Length && self.bound.cuts(said.used.output);
        let longer = self.bound.longer(self.service.wire).filter(|_| is_ours);
        let (Some(longer), Some(allowance)) = (longer, &self.context.allowance) else { return Ok(false) };
        let again = self.tally.again(self.service, self.prices, model, self.aside, longer.aside);
        match allowance.raise(self.tally.so_far(), again).await {
            Ok(()) => {
                self.bound.stretch(longer);
                self.aside = again;
                Ok(true)
            }
            Err(refusal) if refusal.class == ErrorClass::Budget => {
                let tokens = if said.used.output == 0 { self.bound.tokens().unwrap_or(0) } else { said.used.output };
                Err(bound::cut(tokens, &refusal).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A single request has no progress to tell: its start is in the journal.
    fn say_turn(&self, turn: u32, model: &str) {
        if turn > 1 || !self.tools.is_empty() {
            self.context.progress.say(format!("turn {turn}: asking {model}"));
        }
    }

    /// The highest usable way to hold the answer that is below `above`.
    fn holding(&self, model: &str, above: Option<Mode>) -> Option<Holding> {
        let schema = self.request.spec.ask.schema.as_ref()?;
        let known = ladder::remembered(&self.ladder_key(model));
        self.service.quirks.ladder.iter().copied().find_map(|mode| {
            if above.is_some_and(|above| mode <= above) || known.is_some_and(|known| mode < known) {
                return None;
            }
            let wire = self.service.wire;
            let projection = match (mode, wire) {
                (Mode::ForcedTool, _) => tool(schema),
                (Mode::NativeStrict, Wire::AnthropicMessages) => anthropic(schema),
                (Mode::NativeStrict | Mode::Native, Wire::OpenAiChat | Wire::OpenAiResponses)
                    if self.service.quirks.ladder != LOCAL =>
                {
                    openai_strict(schema)
                }
                _ => gemini(schema),
            };
            let takes = wire != Wire::AnthropicMessages || super::anthropic_messages::takes_schema(model);
            if mode == Mode::NativeStrict && !(projection.strict && takes) {
                return None;
            }
            let tool = prompts::answer_tool(&projection.schema);
            Some(Holding { mode, projection, tool })
        })
    }

    /// By schema, too: what is wrong with one says nothing about the next.
    fn ladder_key(&self, model: &str) -> String {
        let schema = self.request.spec.ask.schema.as_ref().map(|schema| Hash::of(schema.to_string()).to_string());
        format!("{} {model} {}", self.service.key(), schema.unwrap_or_default())
    }

    /// The way below the one that the service refused, which is remembered.
    fn step_down(&mut self, model: &str, holding: Option<&Holding>) -> Option<Holding> {
        let lower = self.holding(model, Some(holding?.mode))?;
        ladder::remember(&self.ladder_key(model), lower.mode);
        let was = holding.map(|h| h.mode.as_str()).unwrap_or_default();
        tracing::info!(
            "{} does not take the schema as {was} for {model}: {} from now on",
            self.service.name,
            lower.mode.as_str()
        );
        Some(lower)
    }

    /// One request to the model. In a tool loop it is tried again by itself: the tools must not be.
    async fn request_once(&mut self, model: &str, holding: Option<&Holding>) -> Result<Said, Failed> {
        let turns = self.turns(holding);
        let tools = self.tools.clone();
        let system = self.request.system();
        let name = schema_name(self.request.spec.ask.schema.as_ref());
        let held = match holding {
            None => Held::Free,
            Some(Holding { mode, projection, tool }) => match mode {
                Mode::NativeStrict => Held::Schema { schema: &projection.schema, strict: true, name: &name },
                Mode::Native => Held::Schema { schema: &projection.schema, strict: false, name: &name },
                Mode::ForcedTool => Held::Tool { tool },
                Mode::JsonObject => Held::Json,
                Mode::Prompt => Held::Free,
            },
        };
        self.provenance.schema_mode = holding.map(|h| h.mode.as_str().to_owned());
        let stream_key = format!("{} {model}", self.service.key());
        let mut asked = Asked {
            model,
            system: system.as_deref(),
            turns: &turns,
            tools: &tools,
            held,
            effort: self.request.spec.ask.effort.as_deref(),
            max_output: self.bound.tokens(),
            quirks: self.service.quirks,
            streamed: self.service.streams && !refused(&stream_key),
        };
        let tries = if self.tools.is_empty() { 1 } else { TRIES };
        let mut tried = 0;
        loop {
            tried += 1;
            let ears = Ears { sent: &self.sent, progress: &self.context.progress };
            let result = exchange(self.service, self.shared, &asked, self.ceiling(), ears).await;
            // What it may have been charged for, so that it counts beside the next try.
            let mut charged = false;
            let result = result.and_then(|said| match &said.finish {
                Finish::Malformed(word) => {
                    charged = true;
                    self.add(model, &said);
                    let message = format!("{} made a tool call that is none: {word}", self.service.name);
                    Err(CallError::new(ErrorClass::Transport, message).into())
                }
                _ => Ok(said),
            });
            match result {
                Ok(said) => {
                    self.add(model, &said);
                    self.note(json!({"role": "assistant", "text": said.text, "tool_calls": calls_of(&said)}));
                    return Ok(said);
                }
                Err(failed) if failed.of_stream && asked.streamed => {
                    // Some services stream to those only whom they know, some not at all.
                    tracing::info!("{} does not stream {model}: in one from now on", self.service.name);
                    remember_refused(&stream_key);
                    asked.streamed = false;
                    tried -= 1;
                }
                Err(failed) => {
                    let wait = failed.error.retry_after_ms.unwrap_or_else(|| self.backoff(tried));
                    let bearable = Duration::from_millis(wait) <= self.ceiling();
                    let transient = matches!(
                        failed.error.class,
                        ErrorClass::RateLimited | ErrorClass::Overloaded | ErrorClass::Transport
                    );
                    charged |= failed.unclear;
                    if failed.unclear {
                        self.tally.lost(self.aside);
                    }
                    if tried >= tries || !transient || !bearable {
                        return Err(failed);
                    }
                    if charged {
                        self.allowed_once_more().await?;
                    }
                    self.note(json!({"role": "error", "class": failed.error.class.as_str(),
                        "message": failed.error.message, "retry_in_ms": wait}));
                    self.context.progress.say(format!("{}; again in {wait} ms", failed.error.message));
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
            }
        }
    }

    /// The longest wait that is sat out.
    fn ceiling(&self) -> Duration {
        self.context.retry_ceiling.unwrap_or(CEILING)
    }

    fn add(&mut self, model: &str, said: &Said) {
        self.tally.add(self.service, self.prices, model, said, self.aside);
    }

    /// Anywhere up to a bound that doubles; the same attempt waits the same.
    fn backoff(&self, tried: u32) -> u64 {
        let most = BACKOFF_MS << (tried - 1).min(6);
        let seed = Hash::of(format!("{} {} {tried}", self.request.marker, self.later.len()));
        let [a, b, c, d, ..] = *seed.as_bytes();
        u64::from(u32::from_le_bytes([a, b, c, d])) % (most + 1)
    }

    /// The conversation so far: history, prompt, what was wrong with the last attempt's answer, what was said since.
    fn turns(&self, holding: Option<&Holding>) -> Vec<Turn> {
        let ask = &self.request.spec.ask;
        let said_before = ask.messages.iter().flatten().map(|message| match message.role {
            ChatRole::User => Turn::User(message.content.clone()),
            ChatRole::Assistant => Turn::Assistant(message.content.clone()),
        });
        let mut turns: Vec<Turn> = said_before.collect();
        let mut prompt = ask.prompt.clone().unwrap_or_default();
        if let (Some(schema), Some(holding)) = (&ask.schema, holding)
            && holding.mode.in_prompt()
        {
            prompt = format!("{prompt}\n\n{}", prompts::in_words(schema));
        }
        turns.push(Turn::User(prompt));
        if let (Some(feedback), Some(schema)) = (&self.request.feedback, &ask.schema) {
            turns.extend(feedback.answer.clone().filter(|text| !text.trim().is_empty()).map(Turn::Assistant));
            turns.push(Turn::User(prompts::correction(feedback, schema)));
        }
        turns.extend(self.later.iter().cloned());
        turns
    }

    /// Ends the attempt for an answer that is none.
    fn ended(&mut self, said: &Said) -> Result<(), Failed> {
        let error = match &said.finish {
            Finish::Done | Finish::Paused | Finish::Malformed(_) => return Ok(()),
            Finish::Length => {
                let message = format!("the answer was cut at its length limit, after {} tokens", said.used.output);
                CallError::new(ErrorClass::MaxTokens, message)
            }
            Finish::Refused(why) => {
                let why = clean(&self.shared.secrets, why);
                CallError::new(ErrorClass::Refusal, format!("{} refused: {why}", self.service.name))
            }
            Finish::ContextFull => {
                CallError::new(ErrorClass::ContextTooLong, "the model's context was full before its answer ended")
            }
            Finish::Other(word) if said.text.is_empty() && said.calls.is_empty() => {
                let word = clean(&self.shared.secrets, word);
                CallError::new(ErrorClass::Other, format!("{} ended without an answer: {word}", self.service.name))
            }
            Finish::Other(word) => {
                let word = clean(&self.shared.secrets, word);
                self.provenance.warnings.push(format!("the answer ended with \"{word}\""));
                return Ok(());
            }
        };
        Err(error.into())
    }

    /// Leaves what was said so far to another attempt.
    fn leave(&mut self, turn: u32, open: Option<Open>) {
        let later = std::mem::take(&mut self.later);
        let transcript = self.transcript.clone();
        Kept { later, turn, transcript, open }.leave(self.context.tools.as_deref());
    }

    /// The answer in what was said.
    fn read(&mut self, said: &Said, call: Option<&ToolCall>, holding: Option<&Holding>) -> ReplyAnswer {
        let Some(holding) = holding else { return ReplyAnswer::Text(said.text.clone()) };
        if let Some(call) = call {
            return match &call.arguments {
                Ok(value) => ReplyAnswer::Json(holding.projection.restore(value.clone())),
                Err(_) => ReplyAnswer::Missing,
            };
        }
        if holding.mode == Mode::ForcedTool {
            self.provenance.warnings.push("the tool that takes the answer was not called".to_owned());
        }
        if said.text.trim().is_empty() {
            return ReplyAnswer::Missing;
        }
        if holding.projection.is_plain() {
            return ReplyAnswer::Text(said.text.clone());
        }
        match read_answer(&said.text) {
            Some(value) => ReplyAnswer::Json(holding.projection.restore(value)),
            None => ReplyAnswer::Text(said.text.clone()),
        }
    }

    /// What is wrong with an answer, for a call that changes files and is therefore not attempted again.
    fn to_correct(&self, answer: &ReplyAnswer) -> Option<Feedback> {
        if !self.request.spec.is_mutating() || self.tools.is_empty() {
            return None;
        }
        let schema = compile(self.request.spec.ask.schema.as_ref()?).ok()?;
        let (text, value) = match answer {
            ReplyAnswer::Text(text) => (Some(text.clone()), read_answer(text)),
            ReplyAnswer::Json(value) | ReplyAnswer::Both { value, .. } => {
                (Some(value.to_string()), Some(value.clone()))
            }
            ReplyAnswer::Missing => (None, None),
        };
        let message = "an answer by schema was asked for and none came".to_owned();
        let Some(value) = value else { return Some(Feedback { answer: text, errors: Vec::new(), message }) };
        let errors = schema.check(value).err()?;
        Some(Feedback { answer: text, message: crate::providers::schema::describe(&errors), errors })
    }

    fn note(&mut self, line: Value) {
        // Without tools there is nothing beside prompt and answer.
        if !self.tools.is_empty() {
            self.transcript.push(line);
        }
    }
}

fn calls_of(said: &Said) -> Vec<Value> {
    let one = |call: &ToolCall| match &call.arguments {
        Ok(arguments) => json!({"name": call.name, "arguments": arguments}),
        Err(why) => json!({"name": call.name, "error": why}),
    };
    said.calls.iter().map(one).collect()
}

/// A schema's title as a name that every service takes.
fn schema_name(schema: Option<&Value>) -> String {
    let title = schema.and_then(|schema| schema.get("title")).and_then(Value::as_str).unwrap_or_default();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = title.chars().map(allowed).take(64).collect();
    if name.is_empty() { "answer".to_owned() } else { name }
}
