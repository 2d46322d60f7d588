//! Calls of tools: arguments against their schema, then the mode, then a person, then the hooks, then the handler. None of these is
//! skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::core::call::{ApprovalAsk, CallKind, CallSpec, Decider, Decision, WorkflowTarget};
use crate::core::ids::CallId;
use crate::core::machine::{Input, Plan};
use crate::core::op::Op;
use crate::core::outcome::{CallError, ErrorClass, SchemaError};
use crate::core::work::{ToolAsk, ToolNote};
use crate::providers::FileTools;
use crate::tools::{Definition, Tools};

use super::begin::Running;
use super::message::Message;
use super::personas::Pinnable;
use super::run_loop::RunLoop;
use super::tool_runner::{Runner, lock_file};

fn note(name: &str, tool: &Definition) -> ToolNote {
    let workflow = tool.workflow.as_deref().map(WorkflowTarget::named);
    ToolNote { name: name.to_owned(), read_only: tool.changes_nothing(), workflow }
}

/// Notes what is configured of the tools that each requested call names: the configuration knows, the workflow does not.
pub(crate) fn mark(ops: &mut [Op], tools: &Tools, personas: &BTreeMap<String, Pinnable>) {
    if tools.names().next().is_none() {
        return;
    }
    for op in ops {
        let Op::Request(spec) = op else { continue };
        let ask = &spec.ask;
        let persona = || personas.get(ask.agent_type.as_ref()?)?.persona.tools.as_deref();
        let names: Vec<&str> = match spec.kind {
            CallKind::Tool => ask.tool.iter().map(|tool| tool.name.as_str()).collect(),
            CallKind::Agent => {
                let names = ask.tools.as_deref().or_else(persona).unwrap_or_default();
                let barred = ask.disallowed_tools.as_deref().unwrap_or_default();
                // Names of owf's own file tools mean those.
                let usable = |name: &&String| !barred.contains(name) && !FileTools::knows(name);
                names.iter().filter(usable).map(String::as_str).collect()
            }
            _ => continue,
        };
        let mut notes: Vec<ToolNote> = Vec::new();
        for name in names {
            if let Ok(tool) = tools.get(name)
                && notes.iter().all(|known| known.name != name)
            {
                notes.push(note(name, tool));
            }
        }
        spec.tools = notes;
    }
}

/// A call of a tool that may be carried out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Admitted {
    pub(crate) definition: Definition,
    /// With the fixed ones.
    pub(crate) arguments: Value,
    /// Fixed arguments that the call set all the same.
    pub(crate) twice: Vec<String>,
}

/// Whether a call of a tool may be carried out, but for a person's word: its arguments first, then the mode.
///
/// # Errors
/// Arguments that break its schema, a mode in which it may not be used.
pub(crate) fn admit(definition: &Definition, ask: &ToolAsk) -> Result<Admitted, CallError> {
    let (arguments, twice) = definition.complete(&ask.args);
    let faults = definition.faults(&arguments);
    if let Some(first) = faults.first() {
        let place = if first.pointer.is_empty() { String::new() } else { format!(" at {}", first.pointer) };
        let message = format!("the arguments of `{}` break its schema{place}: {}", ask.name, first.message);
        let mut error = CallError::new(ErrorClass::BadRequest, message);
        let told = |f: crate::tools::Fault| SchemaError { pointer: f.pointer, message: f.message, got: Some(f.got) };
        error.schema_errors = faults.into_iter().map(told).collect();
        return Err(error);
    }
    if let Some(message) = out_of_mode(definition, ask) {
        return Err(CallError::new(ErrorClass::ToolDenied, message));
    }
    Ok(Admitted { definition: definition.clone(), arguments, twice })
}

/// Why a tool may not be used in the mode it is asked for in.
pub(crate) fn out_of_mode(definition: &Definition, ask: &ToolAsk) -> Option<String> {
    let mode = ask.mode.as_deref();
    if definition.modes.is_empty() || mode.is_some_and(|mode| definition.modes.iter().any(|known| known == mode)) {
        return None;
    }
    let is = mode.map_or_else(|| "this run has no mode".to_owned(), |mode| format!("the mode is {mode}"));
    Some(format!("`{}` may be used in mode {} only; {is}", ask.name, definition.modes.join(", ")))
}

/// What becomes of a call of a tool before its hooks are asked.
pub(super) enum Gate {
    /// It may go on; none = a rule of a fixture answers for a tool that is not configured.
    Open(Option<Box<Admitted>>),
    /// It ends here, or a person is asked.
    Shut(Plan),
    /// The server of the tool is asked how it describes it; a message says when it has answered.
    Later,
}

impl RunLoop {
    /// Takes up a call that may start: what it must satisfy first, then its hooks, then its plan.
    pub(super) fn take_up(&mut self, call_id: CallId) {
        if let Some(spec) =
            self.machine.spec(call_id).filter(|spec| !spec.tools.is_empty() || spec.kind == CallKind::Tool).cloned()
        {
            let gate = match spec.kind {
                CallKind::Tool => self.gate(call_id, &spec),
                _ => self.gate_of_agent(call_id, &spec),
            };
            match gate {
                Gate::Open(_) => {}
                Gate::Shut(plan) => return self.feed(Input::Prepared { call_id, plan }),
                Gate::Later => return,
            }
        }
        if !self.ask_before(call_id) {
            self.prepare(call_id);
        }
    }

    /// Goes on with a call whose tool has been described by its server.
    pub(super) fn described(&mut self, call_id: CallId, failed: Option<CallError>) {
        self.attempts.remove(&call_id);
        match failed {
            Some(mut error) => {
                self.tree.services.secrets.text(&mut error.message);
                self.feed(Input::Prepared { call_id, plan: Plan::Refuse(error) });
            }
            None => self.take_up(call_id),
        }
    }

    /// Arguments, mode and person, in this order.
    fn gate(&mut self, call_id: CallId, spec: &CallSpec) -> Gate {
        let Some(ask) = &spec.ask.tool else {
            return Gate::Shut(Plan::Refuse(CallError::new(ErrorClass::BadRequest, "the call names no tool")));
        };
        let services = Arc::clone(&self.tree.services);
        let fake = Arc::clone(&self.tree.fake);
        let scripted = fake.has_rule_for(&self.attempt_request(call_id, spec, fake.as_ref(), false));
        let definition = match services.config.tools.get(&ask.name) {
            Ok(definition) => definition,
            // A tool that is only scripted need not be configured.
            Err(_) if scripted => return Gate::Open(None),
            Err(why) => return Gate::Shut(Plan::Refuse(CallError::new(ErrorClass::BadRequest, why))),
        };
        let mut definition = definition.clone();
        if definition.mcp.is_some() && definition.schema.is_none() && !scripted {
            match self.tree.servers.described(&ask.name) {
                Some(described) => definition = described,
                None => {
                    self.describe(call_id, ask.name.clone(), definition);
                    return Gate::Later;
                }
            }
        }
        let admitted = match admit(&definition, ask) {
            Ok(admitted) => admitted,
            Err(error) => return Gate::Shut(Plan::Refuse(error)),
        };
        if definition.requires_approval && !self.machine.is_agreed(call_id) {
            return Gate::Shut(Plan::Ask(Box::new(question(ask, &admitted))));
        }
        Gate::Open(Some(Box::new(admitted)))
    }

    /// Asks the server of a tool how it describes it, off this thread.
    pub(super) fn describe(&mut self, call_id: CallId, name: String, definition: Definition) {
        let (services, servers) = (Arc::clone(&self.tree.services), Arc::clone(&self.tree.servers));
        let (cwd, to) = (PathBuf::from(&self.spec.workspace), self.to_self.clone());
        let marker = format!("{}/{}/{call_id}", self.tree.root, self.run);
        let task = self.tree.services.runtime.spawn(async move {
            let Some(of) = &definition.mcp else { return };
            let failed = servers.describe(&name, &definition, of, &services, (&cwd, &marker)).await.err();
            // A loop that has ended needs no word.
            let _ = to.send(Message::Described { call_id, failed });
        });
        self.attempts.insert(call_id, Running::of(&task));
    }

    pub(super) fn plan_tool(&mut self, call_id: CallId, spec: &CallSpec) -> Option<Plan> {
        // Once more: between the look before the hooks and this one a person may have changed nothing, and it is cheap.
        let admitted = match self.gate(call_id, spec) {
            Gate::Open(admitted) => admitted,
            Gate::Shut(plan) => return Some(plan),
            Gate::Later => return None,
        };
        let fake = Arc::clone(&self.tree.fake);
        if let Err(error) = self.admissible(spec) {
            return Some(Plan::Refuse(error));
        }
        let scripted = fake.has_rule_for(&self.attempt_request(call_id, spec, fake.as_ref(), false));
        let (Some(admitted), Some(ask), false) = (admitted, &spec.ask.tool, scripted) else {
            return Some(self.plan_work(call_id, spec, fake, "fake"));
        };
        if let Some(target) = spec.child_of_tool() {
            return Some(self.plan_run(call_id, target));
        }
        let services = Arc::clone(&self.tree.services);
        let definition = &admitted.definition;
        if let Some(missing) = definition.secrets.iter().find(|name| services.env.get(name).is_none()) {
            let message = format!("the secret {missing} of `{}` is not set in the environment", ask.name);
            return Some(Plan::Refuse(CallError::new(ErrorClass::Policy, message)));
        }
        let timeout = spec.timeout_ms.or_else(|| time_limit(definition, &services.config.tools));
        let runner = Runner {
            name: ask.name.clone(),
            lock: definition.lock.then(|| lock_file(Path::new(&super::reference::home(&self.tree.store)), &ask.name)),
            services,
            servers: Arc::clone(&self.tree.servers),
            workspace: PathBuf::from(&self.spec.workspace),
            admitted: *admitted,
        };
        let plan = self.plan_work(call_id, spec, Arc::new(runner), "tool");
        if let (Some(prepared), Some(timeout)) = (self.prepared.get_mut(&call_id), timeout) {
            prepared.request.timeout_ms = timeout;
        }
        Some(plan)
    }
}

/// Milliseconds that a call of a tool may take, as the configuration says: of the tool, else of the server that lends it.
pub(crate) fn time_limit(tool: &Definition, tools: &Tools) -> Option<u64> {
    let own = tool.timeout_seconds.map(|seconds| seconds.saturating_mul(1000).max(1));
    own.or_else(|| {
        let server = tools.server(&tool.mcp.as_ref()?.server)?;
        server.timeout_seconds.map(|seconds| (seconds * 1000.0).max(1.0) as u64)
    })
}

/// What a person is asked before a tool runs.
pub(crate) fn question(ask: &ToolAsk, admitted: &Admitted) -> ApprovalAsk {
    let message = admitted.definition.approval_message.clone();
    ApprovalAsk {
        message: message.unwrap_or_else(|| format!("Use the tool `{}`?", ask.name)),
        metadata: Some(serde_json::json!({"tool": ask.name, "arguments": admitted.arguments})),
        decider: Decider::Any,
        expires_in_ms: None,
        on_timeout: Decision::Deny,
    }
}
