//! Hooks and event sinks as a configuration file says them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::core::call::CallKind;
use crate::core::event::Event;
use crate::engine::{Hook, HookPlace, OnBroken, OnSinkFailure, Sink, SinkTarget};

/// The longest a hook may take, and how long when its configuration does not say.
const MOST_SECONDS: f64 = 3600.0;
const HOOK_SECONDS: f64 = 30.0;

/// The kinds of calls that are carried out.
const KINDS: [CallKind; 5] = [CallKind::Agent, CallKind::Tool, CallKind::Command, CallKind::Workflow, CallKind::Turn];

/// A hook: `[hooks.NAME]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HookForm {
    /// `before` or `after`.
    at: HookPlace,
    /// Program and arguments; no shell.
    command: Vec<String>,
    /// Whether it judges every run.
    #[serde(default = "yes")]
    always: bool,
    /// Kinds of calls.
    kinds: Option<Vec<CallKind>>,
    timeout_seconds: Option<f64>,
    #[serde(default)]
    on_failure: OnBroken,
    /// Names of variables it is given.
    #[serde(default)]
    env: Vec<String>,
}

/// An event sink: `[events.NAME]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SinkForm {
    /// Appended to, one JSON object a line.
    file: Option<PathBuf>,
    /// Program and arguments; no shell.
    command: Option<Vec<String>>,
    /// Whether it hears of every run.
    #[serde(default = "yes")]
    always: bool,
    /// Types of events.
    #[serde(default)]
    types: Vec<String>,
    /// Tags of events.
    #[serde(default)]
    tags: Vec<String>,
    timeout_seconds: Option<f64>,
    #[serde(default)]
    on_failure: OnSinkFailure,
    /// Names of variables its program is given.
    #[serde(default)]
    env: Vec<String>,
}

const TIMEOUT: &str = "timeout_seconds must be above 0 and at most 3600";

fn timeout(given: Option<f64>) -> Option<Duration> {
    let seconds = given.unwrap_or(HOOK_SECONDS);
    (seconds > 0.0 && seconds <= MOST_SECONDS).then(|| Duration::from_secs_f64(seconds))
}

fn yes() -> bool {
    true
}

/// The hooks of the user and of a trusted project, by name; the user's own win.
///
/// # Errors
/// One sentence fragment that names the first that is wrong.
pub(super) fn hooks(
    user: BTreeMap<String, HookForm>,
    project: BTreeMap<String, HookForm>,
) -> Result<Vec<Hook>, String> {
    let mut all = project;
    all.extend(user);
    all.into_iter().map(|(name, form)| hook(name, form)).collect()
}

fn hook(name: String, form: HookForm) -> Result<Hook, String> {
    let wrong = |what: &str| Err(format!("hooks.{name}.{what}"));
    if form.command.first().is_none_or(String::is_empty) {
        return wrong("command must name a program");
    }
    let Some(timeout) = timeout(form.timeout_seconds) else { return wrong(TIMEOUT) };
    let kinds = form.kinds.unwrap_or_else(|| KINDS.to_vec());
    if let Some(kind) = kinds.iter().find(|kind| !KINDS.contains(kind)) {
        return Err(format!("hooks.{name}.kinds: nothing is carried out for a call of kind {}", kind.as_str()));
    }
    Ok(Hook {
        name,
        place: form.at,
        command: form.command,
        always: form.always,
        kinds,
        timeout,
        on_failure: form.on_failure,
        env: form.env,
    })
}

/// The event sinks of the user and of a trusted project, by name; the user's own win.
///
/// # Errors
/// One sentence fragment that names the first that is wrong.
pub(super) fn sinks(
    user: BTreeMap<String, SinkForm>,
    project: BTreeMap<String, SinkForm>,
) -> Result<Vec<Sink>, String> {
    let mut all = project;
    all.extend(user);
    all.into_iter().map(|(name, form)| sink(name, form)).collect()
}

fn sink(name: String, form: SinkForm) -> Result<Sink, String> {
    let wrong = |what: &str| Err(format!("events.{name}: {what}"));
    let target = match (form.file, form.command) {
        // A run works in another directory than the next: a relative path would be another file each time.
        (Some(file), None) if file.is_absolute() => SinkTarget::File(file),
        (Some(_), None) => return wrong("file must be an absolute path"),
        (None, Some(command)) if command.first().is_some_and(|name| !name.is_empty()) => SinkTarget::Command(command),
        (None, Some(_)) => return wrong("command must name a program"),
        (Some(_), Some(_)) | (None, None) => return wrong("it needs a file or a command"),
    };
    let Some(timeout) = timeout(form.timeout_seconds) else { return wrong(TIMEOUT) };
    if let Some(kind) = form.types.iter().find(|kind| !Event::TYPES.contains(&kind.as_str())) {
        return Err(format!("events.{name}.types: there is no event `{kind}`; there are {}", Event::TYPES.join(", ")));
    }
    Ok(Sink {
        name,
        target,
        always: form.always,
        types: form.types,
        tags: form.tags,
        on_failure: form.on_failure,
        timeout,
        env: form.env,
    })
}
