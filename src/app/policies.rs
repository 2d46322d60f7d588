//! Hooks and event sinks as a configuration file says them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::core::call::CallKind;
use crate::engine::{Hook, HookPlace, OnBroken};

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
    let seconds = form.timeout_seconds.unwrap_or(HOOK_SECONDS);
    if !(seconds > 0.0 && seconds <= MOST_SECONDS) {
        return wrong("timeout_seconds must be above 0 and at most 3600");
    }
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
        timeout: Duration::from_secs_f64(seconds),
        on_failure: form.on_failure,
        env: form.env,
    })
}
