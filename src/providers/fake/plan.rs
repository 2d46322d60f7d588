//! What an attempt is going to get: a pure function of the request, the mood and the rules.

use serde_json::{Value, json};

use super::fixtures::{Answer, Fixtures, Rule, Scripted, ScriptedCost, ScriptedError, ScriptedUsage, StopReason};
use super::generate::generate;
use super::merge::lay_over;
use super::template::{has_template, is_template, render, render_value, variables};
use crate::core::outcome::{CallError, CostSource, ErrorClass, Usage};
use crate::core::run::Mood;
use crate::providers::provider::{AttemptRequest, ReplyAnswer};
use crate::providers::schema::compile;

/// How many characters of the prompt an invented text echoes.
const ECHO: usize = 80;

/// What an attempt is going to get.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The number of the rule, 0 for the mood.
    pub(super) number: u32,
    pub(super) rule: Option<&'a Rule>,
    /// The word in the invocation log.
    pub(super) word: &'static str,
    pub(super) delay_ms: u64,
    /// The answer; none when it never comes.
    pub(super) result: Option<Result<ReplyAnswer, CallError>>,
    pub(super) usage: Usage,
    pub(super) cost_nanos: Option<u64>,
    pub(super) cost_source: CostSource,
}

/// The first rule that matches, with its number from 1.
pub(super) fn find_rule<'a>(fixtures: Option<&'a Fixtures>, request: &AttemptRequest) -> Option<(u32, &'a Rule)> {
    let rules = fixtures?.rules.iter();
    rules.enumerate().find(|(_, rule)| rule.matcher.holds(request)).map(|(i, rule)| (i as u32 + 1, rule))
}

/// Works an attempt out.
pub(super) fn plan<'a>(fixtures: Option<&'a Fixtures>, mood: Mood, request: &AttemptRequest) -> Plan<'a> {
    let Some((number, rule)) = find_rule(fixtures, request) else {
        let strict = fixtures.is_some_and(|fixtures| fixtures.strict);
        let result = if strict { Err(unmatched(request)) } else { by_mood(mood, request) };
        return finish(0, None, 0, result, &FREE, request);
    };
    if rule.calls_tools {
        let error = fixture(number, "calls tools, and there are no tools yet");
        return finish(number, Some(rule), rule.delay_ms, Err(error), &FREE, request);
    }
    if request.attempt <= rule.fail_first {
        return finish(number, Some(rule), rule.delay_ms, Err(to_error(&rule.failure)), &FREE, request);
    }
    let index = (request.occurrence.max(1) as usize - 1).min(rule.answers.len().saturating_sub(1));
    let scripted = rule.answers.get(index).unwrap_or(&FREE);
    let delay_ms = scripted.delay_ms.unwrap_or(rule.delay_ms);
    let (word, result) = match &scripted.answer {
        Answer::Never => {
            let mut plan = finish(number, Some(rule), delay_ms, Ok(ReplyAnswer::Missing), &FREE, request);
            plan.word = "never";
            plan.result = None;
            return plan;
        }
        Answer::Mood => (None, by_mood(mood, request)),
        Answer::Text(text) => (Some("text"), text_answer(text, request).map_err(|why| bad_template(number, &why))),
        Answer::Json(value) => (Some("json"), json_answer(value, request).map_err(|why| bad_template(number, &why))),
        Answer::Merge(value) => (Some("merge"), merge_answer(number, value, mood, request)),
        Answer::Error(error) => (Some("error"), Err(to_error(error))),
    };
    let mut plan = finish(number, Some(rule), delay_ms, result, scripted, request);
    if let (Some(word), Some(Ok(_))) = (word, &plan.result) {
        plan.word = word;
    }
    let stopped = match rule.stop_reason {
        StopReason::End => None,
        StopReason::MaxTokens => Some((ErrorClass::MaxTokens, "the answer was cut at its length limit")),
        StopReason::MaxTurns => Some((ErrorClass::MaxTurns, "the agent used up its turns")),
        StopReason::Refusal => Some((ErrorClass::Refusal, "the model refused")),
    };
    if let (Some((class, message)), Some(Ok(_))) = (stopped, &plan.result) {
        plan.word = "error";
        plan.result = Some(Err(CallError::new(class, message)));
    }
    plan
}

const FREE: Scripted = Scripted { answer: Answer::Mood, delay_ms: None, usage: None, cost: ScriptedCost::Free };

fn finish<'a>(
    number: u32,
    rule: Option<&'a Rule>,
    delay_ms: u64,
    result: Result<ReplyAnswer, CallError>,
    scripted: &Scripted,
    request: &AttemptRequest,
) -> Plan<'a> {
    let (word, answer_bytes) = match &result {
        Ok(ReplyAnswer::Text(text)) => ("text", Some(text.len())),
        Ok(ReplyAnswer::Json(value) | ReplyAnswer::Both { value, .. }) => ("json", Some(value.to_string().len())),
        Ok(ReplyAnswer::Missing) => ("text", Some(0)),
        Err(_) => ("error", None),
    };
    let (cost_nanos, cost_source) = match scripted.cost {
        ScriptedCost::Free => (Some(0), CostSource::Simulated),
        ScriptedCost::Nanos(nanos) => (Some(nanos), CostSource::Simulated),
        ScriptedCost::Unknown => (None, CostSource::Unknown),
    };
    let usage = usage(scripted.usage, answer_bytes, request);
    Plan { number, rule, word, delay_ms, result: Some(result), usage, cost_nanos, cost_source }
}

/// What was scripted; what was not is counted from bytes, and is nothing for a failure.
fn usage(scripted: Option<ScriptedUsage>, answer_bytes: Option<usize>, request: &AttemptRequest) -> Usage {
    let prompt_bytes = request.spec.ask.prompt.as_ref().map_or(0, String::len);
    let (input, output) = match answer_bytes {
        Some(bytes) => (tokens(prompt_bytes), tokens(bytes)),
        None => (0, 0),
    };
    let scripted = scripted.unwrap_or_default();
    Usage {
        input_tokens: scripted.input.unwrap_or(input),
        output_tokens: scripted.output.unwrap_or(output),
        cache_read_tokens: scripted.cache_read,
        cache_write_tokens: scripted.cache_write,
        ..Usage::default()
    }
}

fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

fn fixture(number: u32, what: &str) -> CallError {
    CallError::new(ErrorClass::Fixture, format!("fixture rule {number} {what}"))
}

fn bad_template(number: u32, why: &str) -> CallError {
    fixture(number, &format!("has a template that failed: {why}"))
}

fn unmatched(request: &AttemptRequest) -> CallError {
    let label = &request.spec.label;
    let message = format!("no fixture rule matches `{label}` (call {}), and the fixtures are strict", request.call_id);
    let mut error = CallError::new(ErrorClass::Fixture, message);
    error.hint = Some("add a rule for it, or leave out `strict`".to_owned());
    error
}

fn to_error(error: &ScriptedError) -> CallError {
    let mut out = CallError::new(error.class, error.message.clone());
    out.retry_after_ms = error.retry_after_ms;
    out
}

fn text_answer(text: &str, request: &AttemptRequest) -> Result<ReplyAnswer, String> {
    let text = if is_template(text) { render(text, &variables(request))? } else { text.to_owned() };
    Ok(ReplyAnswer::Text(text))
}

fn rendered(value: &Value, request: &AttemptRequest) -> Result<Value, String> {
    if has_template(value) { render_value(value, &variables(request)) } else { Ok(value.clone()) }
}

fn json_answer(value: &Value, request: &AttemptRequest) -> Result<ReplyAnswer, String> {
    rendered(value, request).map(ReplyAnswer::Json)
}

fn merge_answer(number: u32, over: &Value, mood: Mood, request: &AttemptRequest) -> Result<ReplyAnswer, CallError> {
    let over = rendered(over, request).map_err(|why| bad_template(number, &why))?;
    match by_mood(mood, request)? {
        ReplyAnswer::Json(base) | ReplyAnswer::Both { value: base, .. } => {
            // A list that the mood leaves empty still shows what its items look like.
            let sizes = match (&over, &base) {
                (Value::Object(over), Value::Object(base)) => over.keys().filter(|key| {
                    base.get(*key).and_then(Value::as_array).is_none_or(Vec::is_empty) && over[*key].is_array()
                }),
                _ => return Ok(ReplyAnswer::Json(lay_over(base, over))),
            };
            let mut wide = request.assume.clone();
            wide.extend(sizes.map(|key| (key.clone(), 1)));
            let base =
                if wide.len() > request.assume.len() { invent(mood, request, &wide).unwrap_or(base) } else { base };
            Ok(ReplyAnswer::Json(lay_over(base, over)))
        }
        ReplyAnswer::Text(_) | ReplyAnswer::Missing => {
            Err(fixture(number, "says `merge`, but the call asks for no schema: use `text` or `json`"))
        }
    }
}

fn invent(mood: Mood, request: &AttemptRequest, assume: &std::collections::BTreeMap<String, u32>) -> Option<Value> {
    let schema = compile(request.spec.ask.schema.as_ref()?).ok()?;
    generate(&schema, mood, &request.request_key, assume)
}

/// The answer of a mood.
fn by_mood(mood: Mood, request: &AttemptRequest) -> Result<ReplyAnswer, CallError> {
    if mood == Mood::Fail {
        return Err(CallError::new(ErrorClass::Fixture, "no fixture rule matches, and the mood is `fail`"));
    }
    let Some(schema) = &request.spec.ask.schema else {
        return Ok(ReplyAnswer::Text(invented_text(mood, request)));
    };
    // A schema that cannot be used is refused before an attempt; here it is only passed on.
    let compiled = compile(schema)?;
    let value = generate(&compiled, mood, &request.request_key, &request.assume);
    value.map(ReplyAnswer::Json).ok_or_else(|| {
        let mut error = CallError::new(ErrorClass::Fixture, "no value was found that satisfies the schema");
        error.hint = Some("give the answer in a fixture rule, or simplify the schema".to_owned());
        error
    })
}

fn invented_text(mood: Mood, request: &AttemptRequest) -> String {
    let prompt = request.spec.ask.prompt.as_deref().unwrap_or_default();
    let start: String = prompt.chars().take(ECHO).collect();
    let start = start.split_whitespace().collect::<Vec<_>>().join(" ");
    let label = json!(request.spec.label);
    match mood {
        Mood::Happy | Mood::Fail => format!("fake answer to {label}: {start}"),
        Mood::Unhappy => format!("fake unfavourable answer to {label}: {start}"),
        Mood::Empty => String::new(),
    }
}
