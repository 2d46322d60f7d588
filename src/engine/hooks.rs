//! Command hooks: programs of the user that judge a call before it is made, and its answer before it counts.
//!
//! A hook reads one JSON object and prints one. One that fails, says nothing or says something else refuses, or is left aside
//! when its configuration says so.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::call::CallKind;
use crate::core::environment::Environment;
use crate::core::event::PolicyVerdict;
use crate::core::failure::{Code, Failure};
use crate::core::ids::CallId;
use crate::core::machine::{Answer, AttemptReport, Input, Plan};
use crate::core::outcome::{CallError, ErrorClass, Outcome};
use crate::core::run::{RunSpec, RunStatus};
use crate::core::work::ToolAsk;
use crate::front::script::Policies;
use crate::process::{Exit, Program, find_program, passed, run};

use super::begin::Running;
use super::message::Message;
use super::run_loop::RunLoop;
use super::services::Services;

/// The most that is read of what a hook prints.
const MOST_OUTPUT: usize = 64 << 10;

/// When a hook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPlace {
    /// Before a call is made or answered from the cache.
    Before,
    /// When its answer is there and satisfies its schema.
    After,
    /// When the run ends, for tasks that name it as their `cleanup`. It decides nothing.
    Cleanup,
}

impl HookPlace {
    fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Cleanup => "cleanup",
        }
    }
}

/// What a policy that fails itself means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBroken {
    /// The call is refused.
    #[default]
    Refuse,
    /// The call goes on as if the policy were not there.
    Ignore,
}

/// A configured hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// When it is asked.
    pub place: HookPlace,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether it judges every run; else only those of documents that name it.
    pub always: bool,
    /// The kinds of calls it judges.
    pub kinds: Vec<CallKind>,
    /// How long it may take.
    pub timeout: Duration,
    /// What its failure means.
    pub on_failure: OnBroken,
    /// Variables it is given beside the plain ones.
    pub env: Vec<String>,
}

/// What a policy decided: its name, the verdict, the reason.
pub(crate) type PolicyNote = (String, PolicyVerdict, Option<String>);

/// What hooks decided about one call, in their order.
#[derive(Debug)]
pub(crate) struct Judged {
    /// What is worth an event.
    pub(crate) notes: Vec<PolicyNote>,
    /// Why the call is not made, or its answer does not count.
    pub(crate) refused: Option<CallError>,
}

/// What a document names of the user's configuration.
pub(crate) struct Named<'a> {
    /// Hooks.
    pub(crate) hooks: &'a [String],
    /// Cleanups.
    pub(crate) cleanups: &'a [String],
    /// Event sinks.
    pub(crate) events: &'a [String],
}

impl<'a> Named<'a> {
    /// By a run.
    pub(crate) fn by(spec: &'a RunSpec) -> Self {
        Self { hooks: &spec.hooks, cleanups: &spec.cleanups, events: &spec.events }
    }

    /// By a document that has no run.
    pub(crate) fn written(policies: &'a Policies) -> Self {
        Self { hooks: &policies.hooks, cleanups: &policies.cleanups, events: &policies.events }
    }
}

/// Refuses a run whose document names a policy that is not configured here: without it nothing may run.
///
/// # Errors
/// `invalid_arguments`, with the configured names.
pub(crate) fn check(services: &Services, spec: &Named<'_>) -> Result<(), Failure> {
    missing(services, spec).into_iter().next().map_or(Ok(()), Err)
}

/// Everything that a document names and that is not configured here.
pub(crate) fn missing(services: &Services, spec: &Named<'_>) -> Vec<Failure> {
    let hooks: Vec<String> = services.config.hooks.iter().map(|h| h.name.clone()).collect();
    let sinks: Vec<String> = services.config.sinks.iter().map(|s| s.name.clone()).collect();
    let named =
        [("hook", spec.hooks, hooks.clone()), ("cleanup", spec.cleanups, hooks), ("event sink", spec.events, sinks)];
    let mut out = Vec::new();
    for (what, named, known) in named {
        for missing in named.iter().filter(|name| !known.contains(name)) {
            let message = format!("the document names the {what} `{missing}`, which is not configured here");
            out.push(
                Failure::new(Code::InvalidArguments, message)
                    .hint("it stands in the user's configuration, or in that of a project the user trusts")
                    .allowed(known.clone()),
            );
        }
    }
    out
}

/// Refuses a document that names a judge as a cleanup, or a cleanup as a judge: neither would do what is meant.
///
/// # Errors
/// `invalid_arguments`, with what to write instead.
pub(crate) fn in_their_place(services: &Services, spec: &Named<'_>) -> Result<(), Failure> {
    misplaced(services, spec).into_iter().next().map_or(Ok(()), Err)
}

/// Every judge that is named as a cleanup, and every cleanup that is named as a judge.
pub(crate) fn misplaced(services: &Services, spec: &Named<'_>) -> Vec<Failure> {
    let place = |name: &String| services.config.hooks.iter().find(|hook| hook.name == *name).map(|hook| hook.place);
    let mut out = Vec::new();
    for name in spec.hooks.iter().filter(|name| place(name) == Some(HookPlace::Cleanup)) {
        out.push(
            Failure::new(Code::InvalidArguments, format!("`hooks` names `{name}`, which is a cleanup"))
                .hint(format!("a task names it: cleanup: {name}")),
        );
    }
    for (name, place) in spec.cleanups.iter().filter_map(|name| Some((name, place(name)?))) {
        if place != HookPlace::Cleanup {
            let message = format!("`cleanup` names `{name}`, which judges calls (at = \"{}\")", place.word());
            out.push(Failure::new(Code::InvalidArguments, message).hint("a cleanup is a hook with at = \"cleanup\""));
        }
    }
    out
}

/// What a hook prints.
#[derive(Deserialize)]
struct Said {
    verdict: String,
    #[serde(default)]
    reason: Option<String>,
}

/// Everything hooks of one place are asked with.
#[derive(Clone)]
pub(super) struct Asking {
    hooks: Vec<Hook>,
    env: Environment,
    cwd: PathBuf,
    /// What stands before the hook's name in the marker of its processes.
    marker: String,
    /// The question, but for the hook's name.
    question: Value,
}

/// The hooks that judge calls of tools in the loop of one agent.
#[derive(Clone, Default)]
pub(super) struct ToolHooks {
    before: Option<Asking>,
    after: Option<Asking>,
}

impl ToolHooks {
    /// Asks the hooks of a place about a call of a tool: what is worth an event, and why the call is refused.
    pub(super) async fn judge(&self, place: HookPlace, ask: &ToolAsk, mutating: bool, answer: Option<Value>) -> Judged {
        let asking = match place {
            HookPlace::Before => &self.before,
            HookPlace::After | HookPlace::Cleanup => &self.after,
        };
        let Some(mut asking) = asking.clone() else { return Judged { notes: Vec::new(), refused: None } };
        if let Some(call) = asking.question.get_mut("call") {
            call["kind"] = "tool".into();
            call["label"] = ask.name.clone().into();
            call["mutating"] = mutating.into();
            call["ask"] = json!({"tool": ask});
        }
        if let (Some(map), Some(answer)) = (asking.question.as_object_mut(), answer) {
            map.insert("answer".to_owned(), answer);
        }
        judge(asking).await
    }
}

/// Asks hooks one after another; the first that refuses ends it.
async fn judge(asking: Asking) -> Judged {
    let mut judged = Judged { notes: Vec::new(), refused: None };
    for hook in &asking.hooks {
        let policy = format!("hook {}", hook.name);
        let (verdict, reason, error) = match ask(hook, &asking).await {
            Ok(None) => continue,
            Ok(Some(reason)) => {
                let why = reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
                match hook.place {
                    HookPlace::Before => {
                        let message = format!("denied by hook `{}`{why}", hook.name);
                        (PolicyVerdict::Denied, reason, Some(CallError::new(ErrorClass::Denied, message)))
                    }
                    HookPlace::After | HookPlace::Cleanup => {
                        let message = format!("the answer was rejected by hook `{}`{why}", hook.name);
                        (PolicyVerdict::Rejected, reason, Some(CallError::new(ErrorClass::Policy, message)))
                    }
                }
            }
            Err(broken) if hook.on_failure == OnBroken::Ignore => (PolicyVerdict::Ignored, Some(broken), None),
            Err(broken) => {
                let error =
                    CallError::new(ErrorClass::Policy, format!("hook `{}` gave no verdict: {broken}", hook.name));
                (PolicyVerdict::Broken, Some(broken), Some(error))
            }
        };
        judged.notes.push((policy, verdict, reason));
        if error.is_some() {
            judged.refused = error;
            break;
        }
    }
    judged
}

/// Runs one cleanup.
///
/// # Errors
/// How it failed.
pub(super) async fn clean(hook: &Hook, asking: &Asking) -> Result<(), String> {
    ask(hook, asking).await.map(|_| ())
}

/// The verdict of one hook: none = the call goes on, else why not.
///
/// # Errors
/// Why there is no verdict.
async fn ask(hook: &Hook, asking: &Asking) -> Result<Option<Option<String>>, String> {
    let name = hook.command.first().map(String::as_str).unwrap_or_default();
    let path = find_program(name, asking.env.get("PATH").unwrap_or_default())
        .ok_or_else(|| format!("there is no program `{name}`"))?;
    let mut question = asking.question.clone();
    if let Some(map) = question.as_object_mut() {
        map.insert("hook".to_owned(), hook.name.clone().into());
    }
    let program = Program {
        path,
        args: hook.command.iter().skip(1).cloned().collect(),
        env: passed(&asking.env, hook.env.iter().map(String::as_str)),
        cwd: asking.cwd.clone(),
        input: format!("{question}\n"),
        marker: format!("{}/{}", asking.marker, hook.name),
    };
    let mut out = Vec::new();
    let mut too_much = false;
    let line = |line: &[u8]| {
        too_much |= out.len() + line.len() > MOST_OUTPUT;
        if !too_much {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
    };
    // Dropped when its time is up: that ends the program with everything it started.
    let finished = match tokio::time::timeout(hook.timeout, run(program, std::future::pending(), line)).await {
        Err(_) => return Err(format!("it took longer than {} ms", hook.timeout.as_millis())),
        Ok(Err(error)) => return Err(format!("it could not be run: {error}")),
        Ok(Ok(finished)) => finished,
    };
    if finished.exit != Exit::Code(0) {
        let said: String = finished.errors.lines().last().unwrap_or_default().chars().take(200).collect();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        return Err(format!("it ended with {}{said}", finished.exit));
    }
    if too_much {
        return Err(format!("it printed more than {MOST_OUTPUT} bytes"));
    }
    if hook.place == HookPlace::Cleanup {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&out);
    if text.trim().is_empty() {
        return Err("it printed nothing".to_owned());
    }
    let said: Said = serde_json::from_str(text.trim()).map_err(|_| "it printed no verdict as JSON".to_owned())?;
    match (hook.place, said.verdict.as_str()) {
        (HookPlace::Before, "allow") | (HookPlace::After, "accept") => Ok(None),
        (HookPlace::Before, "deny") | (HookPlace::After, "fail") => Ok(Some(said.reason)),
        (HookPlace::Before, other) => Err(format!("its verdict must be allow or deny, not `{other}`")),
        (HookPlace::After | HookPlace::Cleanup, other) => {
            Err(format!("its verdict must be accept or fail, not `{other}`"))
        }
    }
}

impl RunLoop {
    /// Asks the hooks before a call; whether there are any. Their word comes as a message.
    pub(super) fn ask_before(&mut self, call_id: CallId) -> bool {
        let configured = &self.tree.services.config.hooks;
        // Also here: a run may be taken up by a process that is configured otherwise.
        let mut named = self.spec.hooks.iter().chain(&self.spec.cleanups);
        if let Some(missing) = named.find(|name| configured.iter().all(|h| h.name != **name)) {
            let message = format!("the document names the hook `{missing}`, which is not configured here");
            let error = CallError::new(ErrorClass::Policy, message);
            self.feed(Input::Prepared { call_id, plan: Plan::Refuse(error) });
            return true;
        }
        let Some(asking) = self.asking(call_id, HookPlace::Before, None) else { return false };
        self.spawn_hooks(call_id, asking, move |judged| Message::Allowed { call_id, judged });
        true
    }

    /// Goes on with a call that hooks have judged.
    pub(super) fn allowed(&mut self, call_id: CallId, judged: Judged) {
        self.attempts.remove(&call_id);
        self.note_policies(call_id, judged.notes);
        match judged.refused {
            Some(error) => self.feed(Input::Prepared { call_id, plan: Plan::Refuse(error) }),
            None => self.prepare(call_id),
        }
    }

    /// Feeds what is to become of a call, once it is known whether it is carried out for its idempotency key, and after the hooks
    /// have judged an answer that was there.
    pub(super) fn planned(&mut self, call_id: CallId, plan: Plan) {
        let Some(plan) = self.once(call_id, plan) else { return };
        if let Plan::Hit(outcome) = &plan
            && let Some(asking) = self.asking(call_id, HookPlace::After, Some(of_hit(outcome)))
        {
            return self.spawn_hooks(call_id, asking, move |judged| Message::Accepted {
                call_id,
                judged,
                what: Box::new(Judging::Hit(plan)),
            });
        }
        self.feed(Input::Prepared { call_id, plan });
    }

    /// Feeds the end of an attempt, after the hooks have judged its answer.
    pub(super) fn report(&mut self, call_id: CallId, attempt: u32, report: Box<AttemptReport>) {
        if let Ok(answer) = &report.result
            && self.machine.is_running(call_id, attempt)
            && let Some(asking) = self.asking(call_id, HookPlace::After, Some(of_answer(answer, &report)))
        {
            return self.spawn_hooks(call_id, asking, move |judged| Message::Accepted {
                call_id,
                judged,
                what: Box::new(Judging::Attempt(attempt, report)),
            });
        }
        self.feed(Input::AttemptEnded { call_id, attempt, report });
    }

    /// Goes on with an answer that hooks have judged.
    pub(super) fn accepted(&mut self, call_id: CallId, judged: Judged, what: Judging) {
        self.attempts.remove(&call_id);
        self.note_policies(call_id, judged.notes);
        match (what, judged.refused) {
            (Judging::Hit(_), Some(error)) => self.feed(Input::Prepared { call_id, plan: Plan::Refuse(error) }),
            (Judging::Hit(plan), None) => self.feed(Input::Prepared { call_id, plan }),
            (Judging::Attempt(attempt, mut report), refused) => {
                if let Some(error) = refused {
                    if let Ok(answer) = &report.result {
                        report.changed_files.clone_from(&answer.changed_files);
                    }
                    report.result = Err(error);
                }
                self.feed(Input::AttemptEnded { call_id, attempt, report });
            }
        }
    }

    pub(super) fn note_policies(&mut self, call_id: CallId, notes: Vec<PolicyNote>) {
        for (policy, verdict, mut reason) in notes {
            self.tree.services.secrets.option(&mut reason);
            self.feed(Input::Policy { call_id, policy, verdict, reason });
        }
    }

    fn spawn_hooks(
        &mut self,
        call_id: CallId,
        asking: Asking,
        message: impl FnOnce(Judged) -> Message + Send + 'static,
    ) {
        let (to, secrets) = (self.to_self.clone(), self.tree.services.secrets.clone());
        let task = self.tree.services.runtime.spawn(async move {
            let mut judged = judge(asking).await;
            if let Some(error) = &mut judged.refused {
                secrets.text(&mut error.message);
            }
            // A loop that has ended no longer asks.
            let _ = to.send(message(judged));
        });
        self.attempts.insert(call_id, Running::of(&task));
    }

    /// The hooks that judge the tools in an agent's loop.
    pub(super) fn tool_hooks(&self, call_id: CallId) -> ToolHooks {
        let of = |place| self.hooks_of(place, CallKind::Tool).and_then(|hooks| self.asked(call_id, hooks, place, None));
        ToolHooks { before: of(HookPlace::Before), after: of(HookPlace::After) }
    }

    /// The hooks of a place that judge calls of a kind; none when there are none.
    fn hooks_of(&self, place: HookPlace, kind: CallKind) -> Option<Vec<Hook>> {
        let named = &self.spec.hooks;
        let applies = |h: &&Hook| h.place == place && h.kinds.contains(&kind) && (h.always || named.contains(&h.name));
        let hooks: Vec<Hook> = self.tree.services.config.hooks.iter().filter(applies).cloned().collect();
        (!hooks.is_empty()).then_some(hooks)
    }

    /// What the hooks of a place are asked about a call; none when there is no such hook.
    fn asking(&self, call_id: CallId, place: HookPlace, answer: Option<Value>) -> Option<Asking> {
        let kind = self.machine.spec(call_id)?.kind;
        let hooks = self.hooks_of(place, kind)?;
        self.asked(call_id, hooks, place, answer.map(|answer| ("answer", answer)))
    }

    /// What a cleanup is told.
    pub(super) fn cleaning(&self, call_id: CallId, hook: &Hook, status: RunStatus) -> Option<Asking> {
        self.asked(call_id, vec![hook.clone()], hook.place, Some(("status", status.as_str().into())))
    }

    fn asked(
        &self,
        call_id: CallId,
        hooks: Vec<Hook>,
        place: HookPlace,
        more: Option<(&str, Value)>,
    ) -> Option<Asking> {
        let spec = self.machine.spec(call_id)?;
        let mut question = json!({
            "owf_hook": 1,
            "at": place.word(),
            "principal": self.spec.principal,
            "run": {
                "id": self.run,
                "workflow": self.spec.workflow_name,
                "started_by": self.spec.started_by,
                "metadata": self.spec.metadata,
            },
            "call": {
                "id": call_id.to_string(),
                "kind": spec.kind,
                "label": spec.label,
                "provider": spec.ask.provider.as_ref().unwrap_or(&self.tree.settings.provider),
                "mutating": spec.is_mutating(),
                "ask": spec.ask,
                "metadata": spec.metadata,
            },
        });
        if let (Some(map), Some((key, value))) = (question.as_object_mut(), more) {
            map.insert(key.to_owned(), value);
        }
        Some(Asking {
            hooks,
            env: self.tree.services.env.clone(),
            cwd: PathBuf::from(&self.spec.workspace),
            marker: format!("{}/{}/{call_id}", self.tree.root, self.run),
            question,
        })
    }
}

/// An answer that waits for the word of hooks.
#[derive(Debug)]
pub(crate) enum Judging {
    /// From the cache.
    Hit(Plan),
    /// Of this attempt.
    Attempt(u32, Box<AttemptReport>),
}

fn of_hit(outcome: &Outcome) -> Value {
    json!({"value": outcome.value, "text": outcome.text, "provider": outcome.provider, "model": outcome.model, "cached": true})
}

fn of_answer(answer: &Answer, report: &AttemptReport) -> Value {
    json!({
        "value": answer.value,
        "text": answer.text,
        "changed_files": answer.changed_files,
        "provider": report.provider,
        "model": report.model,
        "cached": false,
    })
}
