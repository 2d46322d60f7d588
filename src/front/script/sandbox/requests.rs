//! From what a script asked for to the [`CallSpec`] of a request.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::host::{Answer, Shared};
use crate::core::call::{
    ApprovalAsk, Ask, CachePolicy, CallKind, CallSpec, ChatMessage, Decider, Decision, Isolation, OnLost, Retry, Site,
    WorkflowAsk, WorkflowTarget,
};
use crate::core::event::LogLevel;
use crate::core::op::Op;
use crate::core::outcome::{CallError, ErrorClass};
use crate::core::work::ToolAsk;

pub(in crate::front::script) const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];

/// The title under which the client shows the agents of a child.
const GROUP_MARK: &str = "▸";

/// Makes the request `kind` of the prelude, with everything that goes before it (pins, warnings, log lines) appended to
/// the operations.
///
/// # Errors
/// The message of the `TypeError` for the script.
pub(super) fn build(
    shared: &mut Shared,
    kind: &str,
    text: String,
    fields: &str,
    site: Option<Site>,
) -> Result<(CallSpec, Answer), String> {
    let (mut spec, answer) = match kind {
        "agent" => (agent(shared, text, Fields::parse("agent()", fields)?)?, Answer::Agent),
        "workflow" => workflow(shared, Fields::parse("workflow()", fields)?)?,
        "tool" => (tool(shared, text, Fields::parse("owf.tool()", fields)?)?, Answer::Tool),
        "approval" => (approval(shared, text, Fields::parse("owf.approve()", fields)?)?, Answer::Approval),
        "sleep" => (timer(shared, "sleep", Fields::parse("owf.sleep()", fields)?)?, Answer::Sleep),
        "timer" => (timer(shared, "timer", Fields::parse("setTimeout()", fields)?)?, Answer::Timer),
        other => return Err(format!("the prelude asked for an unknown kind of call: {other}")),
    };
    spec.site = site;
    Ok((spec, answer))
}

fn agent(shared: &mut Shared, prompt: String, mut f: Fields) -> Result<CallSpec, String> {
    if matches!(f.map.get("isolation"), Some(Value::String(word)) if word == "remote") {
        return Err("agent() option \"isolation\" cannot be \"remote\" here: use \"worktree\" or leave it out".into());
    }
    let isolation = match f.take("isolation") {
        Some(Value::String(word)) if word == "worktree" => Some(Isolation::Worktree),
        None | Some(Value::Bool(false)) => None,
        Some(other) => {
            let what = "the agent works in the workspace itself; the only isolation there is is \"worktree\"";
            ignored(shared, "isolation", &other, what);
            None
        }
    };
    let schema = match f.take("schema") {
        schema @ (None | Some(Value::Object(_))) => schema,
        Some(other) => return Err(f.wrong("schema", "a JSON Schema object", &other)),
    };
    let model = match f.take("model") {
        None => None,
        Some(Value::String(model)) => Some(model),
        Some(other) => return Err(f.wrong("model", "a string", &other)),
    };
    let effort = match f.take("effort") {
        Some(Value::String(word)) if EFFORTS.contains(&word.as_str()) => Some(word),
        None => None,
        Some(other) => {
            ignored(shared, "effort", &other, &format!("there are {}", EFFORTS.join(", ")));
            None
        }
    };
    let label = plain(&mut f, "label").unwrap_or_else(|| default_label(&prompt));
    let phase = plain(&mut f, "phase");
    let agent_type = plain(&mut f, "agentType");
    let ask = Ask {
        prompt: Some(prompt),
        messages: messages(&mut f)?,
        schema,
        model,
        effort,
        provider: f.text("provider")?,
        system: match f.take("system") {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => return Err(f.wrong("system", "a string", &other)),
        },
        tools: f.words("tools", false)?,
        disallowed_tools: f.words("disallowedTools", false)?,
        isolation,
        read_scope: f.words("readScope", true)?,
        write_scope: f.words("writeScope", true)?,
        namespace: f.text("cacheNamespace")?,
        extra: extra(&mut f)?,
        ..Ask::default()
    };
    let mut spec = CallSpec::new(CallKind::Agent, ask);
    spec.label = label;
    spec.phase = shared.phase_of(phase);
    spec.timeout_ms = f.number("timeoutMs", f64::MIN_POSITIVE, "a positive number of milliseconds")?;
    spec.retry = retry(&mut f)?;
    spec.cache = f.word::<CachePolicy>("cache", "\"auto\", \"read_only\", \"refresh\", \"disabled\"")?;
    spec.on_lost = f.word::<OnLost>("onLost", "\"ask\", \"rerun\", \"fail\"")?.unwrap_or_default();
    spec.metadata = f.take("metadata");
    spec.mode = plain(&mut f, "mode");
    if let Some(name) = agent_type {
        persona(shared, &mut spec, name);
    }
    Ok(spec)
}

/// Says once that the dialect ignores this value of an option.
fn ignored(shared: &mut Shared, option: &str, value: &Value, what: &str) {
    let value: String = value.to_string().chars().take(60).collect();
    let message = format!("agent() option \"{option}\" {value} is ignored: {what}");
    // Beside the names of agent types, none of which begins so.
    if shared.used_types.insert(format!("\0{message}")) {
        shared.ops.push(Op::Warning { code: format!("unknown_{option}"), message });
    }
}

/// What was said before the prompt; no messages are none at all.
fn messages(f: &mut Fields) -> Result<Option<Vec<ChatMessage>>, String> {
    let Some(value) = f.take("messages") else { return Ok(None) };
    match serde_json::from_value::<Vec<ChatMessage>>(value.clone()) {
        Ok(messages) => Ok((!messages.is_empty()).then_some(messages)),
        Err(_) => Err(f.wrong("messages", "an array of {role: \"user\" or \"assistant\", content: a string}", &value)),
    }
}

/// A text that the prelude coerced; an empty one is absent.
fn plain(f: &mut Fields, name: &str) -> Option<String> {
    match f.take(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// The first 60 characters (UTF-16 units, as scripts count) of the prompt, then white space collapsed.
fn default_label(prompt: &str) -> String {
    let mut label = String::new();
    let mut units = 0;
    let mut after_space = false;
    for c in prompt.chars() {
        units += c.len_utf16();
        if units > 60 {
            break;
        }
        let is_space = c.is_whitespace() || c == '\u{feff}';
        if !is_space {
            label.push(c);
        } else if !after_space {
            label.push(' ');
        }
        after_space = is_space;
    }
    label
}

fn extra(f: &mut Fields) -> Result<Option<Value>, String> {
    let mut extra = Map::new();
    if let Some(clamp) = f.words("bashCommandClamp", true)? {
        extra.insert("bashCommandClamp".into(), clamp.into());
    }
    if let Some(value) = f.take("sharedHeadLength") {
        if value.as_f64().is_none_or(|n| n < 0.0 || n.fract() > 0.0) {
            return Err(f.wrong("sharedHeadLength", "a whole number of characters", &value));
        }
        extra.insert("sharedHeadLength".into(), value);
    }
    Ok((!extra.is_empty()).then_some(Value::Object(extra)))
}

fn retry(f: &mut Fields) -> Result<Option<Retry>, String> {
    let map = match f.take("retry") {
        None => return Ok(None),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(f.wrong("retry", "an object {maxAttempts, delayMs?, backoff?, on?}", &other)),
    };
    let mut r = Fields { what: "agent() retry", map };
    let attempts = r.number("maxAttempts", 1.0, "a whole number of at least 1")?;
    let delay_ms = r.number("delayMs", 0.0, "a number of milliseconds")?.unwrap_or(0);
    let backoff = match r.take("backoff") {
        None => 1.0,
        Some(value) => match value.as_f64() {
            Some(factor) if factor >= 1.0 => factor,
            _ => return Err(r.wrong("backoff", "a factor of at least 1", &value)),
        },
    };
    let on = r.words("on", true)?;
    for word in on.iter().flatten() {
        if serde_json::from_value::<ErrorClass>(Value::String(word.clone())).is_err() {
            return Err(format!(
                "agent() retry option \"on\" takes classes of errors such as \"rate_limited\", \"overloaded\", \
                 \"transport\", \"timeout\", \"schema\", not \"{word}\""
            ));
        }
    }
    let Some(attempts) = attempts else {
        return Err("agent() option \"retry\" must say maxAttempts, a whole number of at least 1".into());
    };
    Ok(Some(Retry {
        max_attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        delay_ms,
        backoff,
        on,
        ..Retry::default()
    }))
}

fn persona(shared: &mut Shared, spec: &mut CallSpec, name: String) {
    let hash = shared.personas.iter().find(|(known, _)| *known == name).map(|(_, hash)| *hash);
    let provider = spec.ask.provider.as_deref().unwrap_or(&shared.default_provider);
    if let Some(hash) = hash {
        spec.ask.persona = Some(hash);
        if shared.used_types.insert(name.clone()) {
            shared.ops.push(Op::Pin { kind: "persona".into(), name: name.clone(), hash, path: None });
        }
    } else if provider == "fake" {
        if shared.used_types.insert(name.clone()) {
            let message = format!("agent type \"{name}\" is not known here; the fake provider answers all the same");
            shared.ops.push(Op::Warning { code: "unknown_agent_type".into(), message });
        }
    } else {
        let known: Vec<&str> = shared.personas.iter().map(|(known, _)| known.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = format!("agent type \"{name}\" is not known; known: {known}");
        spec.refused = Some(CallError::new(ErrorClass::BadRequest, message).throwing("Error"));
    }
    spec.ask.agent_type = Some(name);
}

fn workflow(shared: &mut Shared, mut f: Fields) -> Result<(CallSpec, Answer), String> {
    let args = match f.map.swap_remove("args") {
        None => None,
        Some(Value::String(text)) => {
            Some(serde_json::from_str(&text).map_err(|e| format!("the args of workflow() cannot be read: {e}"))?)
        }
        Some(_) => return Err("the args of workflow() cannot be read".into()),
    };
    let (target, name) = match (f.take("name"), f.take("path")) {
        (Some(Value::String(name)), _) => (WorkflowTarget::Name(name.clone()), name),
        (_, Some(Value::String(path))) => {
            let file = path.rsplit(['/', '\\']).next().unwrap_or(&path);
            let stem = file.strip_suffix(".js").unwrap_or(file).to_owned();
            (WorkflowTarget::Path(path), stem)
        }
        _ => return Err("workflow() takes the name of a workflow or {scriptPath: \"file.js\"}".into()),
    };
    let count = shared.groups.entry(name.clone()).or_insert(0);
    *count += 1;
    let title = if *count == 1 { format!("{GROUP_MARK} {name}") } else { format!("{GROUP_MARK} {name} #{count}") };
    let ask = Ask { workflow: Some(WorkflowAsk { target, args }), ..Ask::default() };
    let mut spec = CallSpec::new(CallKind::Workflow, ask);
    spec.label.clone_from(&name);
    spec.phase = Some(title);
    shared.log(LogLevel::Info, format!("workflow \"{name}\" started"), None);
    Ok((spec, Answer::Workflow))
}

fn tool(shared: &Shared, name: String, mut f: Fields) -> Result<CallSpec, String> {
    let args = match f.map.swap_remove("args") {
        None => Value::Object(Map::new()),
        Some(Value::String(text)) => {
            serde_json::from_str(&text).map_err(|e| format!("the args of owf.tool() cannot be read: {e}"))?
        }
        Some(_) => return Err("the args of owf.tool() cannot be read".into()),
    };
    if !args.is_object() {
        return Err(f.wrong("args", "an object", &args));
    }
    let asked = ToolAsk { name: name.clone(), args, mode: f.text("mode")? };
    let mut spec = CallSpec::new(CallKind::Tool, Ask { tool: Some(asked), ..Ask::default() });
    spec.label = plain(&mut f, "label").unwrap_or(name);
    let phase = plain(&mut f, "phase");
    spec.phase = shared.phase_of(phase);
    spec.timeout_ms = f.number("timeoutMs", f64::MIN_POSITIVE, "a positive number of milliseconds")?;
    spec.retry = retry(&mut f)?;
    spec.on_lost = f.word::<OnLost>("onLost", "\"ask\", \"rerun\", \"fail\"")?.unwrap_or_default();
    Ok(spec)
}

fn approval(shared: &Shared, message: String, mut f: Fields) -> Result<CallSpec, String> {
    let metadata = match f.take("metadata") {
        Some(Value::String(text)) => {
            Some(serde_json::from_str(&text).map_err(|e| format!("metadata of owf.approve() cannot be read: {e}"))?)
        }
        _ => None,
    };
    let question = ApprovalAsk {
        message: message.clone(),
        metadata,
        decider: f.word::<Decider>("decider", "\"any\", \"person\"")?.unwrap_or_default(),
        expires_in_ms: f.number("expiresInMs", f64::MIN_POSITIVE, "a positive number of milliseconds")?,
        on_timeout: f.word::<Decision>("onTimeout", "\"approve\", \"deny\"")?.unwrap_or_default(),
    };
    let mut spec = CallSpec::new(CallKind::Approval, Ask { approval: Some(question), ..Ask::default() });
    spec.label = default_label(&message);
    spec.phase = shared.phase_of(None);
    Ok(spec)
}

fn timer(shared: &Shared, word: &str, mut f: Fields) -> Result<CallSpec, String> {
    let ms = f.number("ms", 0.0, "a number of milliseconds")?.unwrap_or(0);
    let mut spec = CallSpec::new(CallKind::Timer, Ask { timer_ms: Some(ms), ..Ask::default() });
    spec.label = format!("{word} {ms} ms");
    spec.phase = shared.phase_of(None);
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::default_label;

    #[test]
    fn a_default_label_is_cut_before_it_is_collapsed() {
        let prompt = format!("a{}b{}", " ".repeat(30), "c".repeat(100));
        assert_eq!(default_label(&prompt), format!("a b{}", "c".repeat(28)));
        assert_eq!(default_label(&"𝄞".repeat(40)), "𝄞".repeat(30));
    }
}
