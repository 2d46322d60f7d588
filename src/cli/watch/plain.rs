//! Following without a terminal: one line per fact.

use std::fmt::Write as _;

use super::live::Live;
use crate::cli::render::text::{clean, cost, cut_middle, duration, kilo, wrap};
use crate::core::event::{Event, EventRecord, LogLevel};
use crate::core::outcome::{CacheStatus, CallStatus, Outcome};
use crate::core::run::is_fake;
use crate::core::time::Millis;
use crate::engine::view::Usd;

const WIDTH: usize = 80;
const INDENT: usize = 9;

/// The lines for one event, `live` holding it already; empty when it is no fact for a reader.
pub fn lines(record: &EventRecord, live: &Live, home: &str) -> String {
    let text = match &record.event {
        Event::RunCreated { .. } | Event::SettingsChanged { .. } => return String::new(),
        Event::RunStarted { .. } => {
            let run = live.run_id.as_ref().map(ToString::to_string).unwrap_or_default();
            let by = provider(live);
            let first = line(record.at, format!("run {run} {} {by}", clean(&live.workflow)).trim_end());
            return format!("{first}{}", line(record.at, &format!("home {home}")));
        }
        Event::RunPaused { reason, message } => match message {
            Some(message) => format!("paused {}: {}", reason.as_str(), clean(message)),
            None => format!("paused {}", reason.as_str()),
        },
        Event::CancelRequested { call_id: None, by, .. } => format!("cancel asked by {}", clean(by)),
        Event::CancelRequested { call_id: Some(id), by, .. } => format!("cancel {id} asked by {}", clean(by)),
        Event::AttemptFailed { call_id, error, retry_in_ms: Some(ms), .. } => {
            let label = label(live, call_id.0);
            format!(
                "retry {call_id} {label} in {} after {}: {}",
                duration(*ms),
                error.class.as_str(),
                clean(&error.message)
            )
        }
        Event::AttemptFailed { call_id, error, retry_in_ms: None, .. } => {
            let label = label(live, call_id.0);
            format!("try failed {call_id} {label} {}: {}", error.class.as_str(), clean(&error.message))
        }
        Event::AttemptProgress { call_id, message, .. } => {
            format!("busy {call_id} {} {}", label(live, call_id.0), clean(message))
        }
        Event::ToolStarted { call_id, tool, target, .. } => {
            let target = target.as_deref().map(|target| format!(" {}", clean(target))).unwrap_or_default();
            format!("tool {call_id} {} {}{target}", label(live, call_id.0), clean(tool))
        }
        Event::ToolFinished { call_id, ok: false, message, .. } => {
            format!("tool failed {call_id} {} {}", label(live, call_id.0), clean(message))
        }
        Event::CallFinished { call_id, outcome, reused, .. } => {
            let label = label(live, call_id.0);
            finished(&call_id.to_string(), &label, outcome, reused.is_some())
        }
        Event::ApprovalAsked { approval } => format!("ask {} {}", approval.approval_id, clean(&approval.message)),
        Event::ApprovalDecided { approval_id, decision, by, .. } => {
            format!("answer {approval_id} {} by {}", decision.as_str(), clean(by))
        }
        Event::Log { level, message, .. } => match level {
            LogLevel::Info => format!("log {}", clean(message)),
            LogLevel::Debug => format!("log debug: {}", clean(message)),
            LogLevel::Warn => format!("log warning: {}", clean(message)),
            LogLevel::Error => format!("log error: {}", clean(message)),
        },
        Event::Phase { title } => format!("phase {}", clean(title)),
        Event::Swallowed { what } => format!("null {} {}", clean(&what.place), clean(&what.message)),
        Event::PolicyDecided { call_id, policy, verdict, reason } => {
            let why = reason.as_ref().map(|r| format!(": {}", clean(r))).unwrap_or_default();
            format!("policy {call_id} {} {}{why}", clean(policy), verdict.as_str())
        }
        Event::Warning { message, .. } => format!("warning {}", clean(message)),
        Event::RunFinished { .. }
        | Event::CallRequested { .. }
        | Event::AttemptStarted { .. }
        | Event::AttemptRaised { .. }
        | Event::ToolFinished { .. }
        | Event::Pinned { .. } => {
            return String::new();
        }
    };
    line(record.at, &text)
}

/// The line after a minute of silence.
pub(super) fn heartbeat(now: Millis, live: &Live) -> String {
    let text =
        format!("wait {} running, {} done, {} failed, {}", live.running.len(), live.done, live.failed, live.cost());
    line(now, &text)
}

/// `claude/sonnet`, `FAKE`; nothing for a run that asks no agent.
pub(super) fn provider(live: &Live) -> String {
    let names: Vec<String> =
        live.answerers.iter().map(|name| if is_fake(name) { "FAKE".to_owned() } else { clean(name) }).collect();
    let model = live.model.as_ref().filter(|_| live.answerers == [live.provider.clone()]);
    match model {
        Some(model) => format!("{}/{model}", names.join(", ")),
        None => names.join(", "),
    }
}

fn label(live: &Live, index: u32) -> String {
    live.calls.get(&index).map(|call| cut_middle(&call.label, 40)).unwrap_or_default()
}

fn finished(call: &str, label: &str, outcome: &Outcome, reused: bool) -> String {
    match outcome.status {
        CallStatus::Done if reused => format!("done {call} {label} reused"),
        CallStatus::Done if outcome.cache.status == CacheStatus::Hit => format!("done {call} {label} from the cache"),
        CallStatus::Done => {
            let mut text = format!("done {call} {label} {}", duration(outcome.duration_ms));
            let usage = &outcome.usage;
            if usage.input_tokens + usage.output_tokens > 0 {
                let usd = outcome.cost_nanos.map(Usd::from_nanos);
                let _ = write!(
                    text,
                    " {}+{} {}",
                    kilo(usage.input_tokens),
                    kilo(usage.output_tokens),
                    cost(usd, outcome.cost_source)
                );
            }
            text
        }
        status => {
            let sign = if status.is_failing() { "FAIL" } else { "end" };
            let message = outcome.error.as_ref().map(|e| format!(" {}", clean(&e.message))).unwrap_or_default();
            format!("{sign} {call} {label} {}{message}", status.as_str())
        }
    }
}

fn line(at: Millis, text: &str) -> String {
    let clock = at.rfc3339();
    format!("{}\n", wrap(&format!("{} {text}", clock.get(11..19).unwrap_or_default()), WIDTH, INDENT))
}
