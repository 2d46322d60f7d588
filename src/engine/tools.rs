//! Calls of tools: arguments against their schema, then the mode, then a person, then the handler. None of these is skipped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::core::call::{ApprovalAsk, CallSpec, Decider, Decision};
use crate::core::environment::Environment;
use crate::core::file_rules::FileRules;
use crate::core::ids::CallId;
use crate::core::machine::Plan;
use crate::core::op::Op;
use crate::core::outcome::{CallError, ErrorClass, SchemaError};
use crate::core::work::{CommandAsk, ToolAsk};
use crate::process::passed;
use crate::providers::{
    AttemptRequest, BoxFuture, CallContext, Provider, ProviderKind, Reply, ReplyAnswer, ReplyError, Stop,
};
use crate::tools::{Bounds, Definition, Files, Grant, Kind, Tools};

use super::commands::{Call, printed};
use super::run_loop::RunLoop;

/// How often one who waits for a tool that only one may use looks again.
const LOCK_POLL: Duration = Duration::from_millis(20);
/// The most a tool may print.
const MOST_OUTPUT: usize = 1 << 20;
/// How long a tool that was asked to end may take.
const WIND_DOWN: Duration = Duration::from_secs(9);

/// Notes of each requested call of a tool whether it changes nothing: the configuration knows, the workflow does not.
pub(crate) fn mark(ops: &mut [Op], tools: &Tools) {
    for op in ops {
        if let Op::Request(spec) = op
            && let Some(ask) = &mut spec.ask.tool
        {
            ask.read_only = tools.get(&ask.name).is_ok_and(Definition::changes_nothing);
        }
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
/// No such tool, arguments that break its schema, a mode in which it may not be used.
pub(crate) fn admit(tools: &Tools, ask: &ToolAsk) -> Result<Admitted, CallError> {
    let definition = tools.get(&ask.name).map_err(|why| CallError::new(ErrorClass::BadRequest, why))?;
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
    let mode = ask.mode.as_deref();
    if !definition.modes.is_empty() && !mode.is_some_and(|mode| definition.modes.iter().any(|known| known == mode)) {
        let is = mode.map_or_else(|| "this run has no mode".to_owned(), |mode| format!("the mode is {mode}"));
        let message = format!("`{}` may be used in mode {} only; {is}", ask.name, definition.modes.join(", "));
        return Err(CallError::new(ErrorClass::ToolDenied, message));
    }
    Ok(Admitted { definition: definition.clone(), arguments, twice })
}

impl RunLoop {
    pub(super) fn plan_tool(&mut self, call_id: CallId, spec: &CallSpec) -> Plan {
        let services = Arc::clone(&self.tree.services);
        let Some(ask) = &spec.ask.tool else {
            return Plan::Refuse(CallError::new(ErrorClass::BadRequest, "the call names no tool"));
        };
        let fake = Arc::clone(&self.tree.fake);
        let scripted = fake.has_rule_for(&self.attempt_request(call_id, spec, fake.as_ref(), false));
        let admitted = match admit(&services.config.tools, ask) {
            // A tool that is only scripted need not be configured.
            Err(_) if scripted && services.config.tools.get(&ask.name).is_err() => {
                return self.plan_work(call_id, spec, fake, "fake");
            }
            Err(error) => return Plan::Refuse(error),
            Ok(admitted) => admitted,
        };
        let definition = &admitted.definition;
        if definition.requires_approval && !self.machine.is_agreed(call_id) {
            return Plan::Ask(Box::new(question(ask, &admitted)));
        }
        if let Err(error) = self.admissible(spec) {
            return Plan::Refuse(error);
        }
        if scripted {
            return self.plan_work(call_id, spec, fake, "fake");
        }
        if let Some(missing) = definition.secrets.iter().find(|name| services.env.get(name).is_none()) {
            let message = format!("the secret {missing} of `{}` is not set in the environment", ask.name);
            return Plan::Refuse(CallError::new(ErrorClass::Policy, message));
        }
        let timeout = spec.timeout_ms.or(definition.timeout_seconds.map(|seconds| seconds.saturating_mul(1000).max(1)));
        let runner = Runner {
            name: ask.name.clone(),
            env: services.env.clone(),
            rules: Arc::clone(&services.config.files),
            lock: definition.lock.then(|| lock_file(Path::new(&super::reference::home(&self.tree.store)), &ask.name)),
            admitted,
        };
        let plan = self.plan_work(call_id, spec, Arc::new(runner), "tool");
        if let (Some(prepared), Some(timeout)) = (self.prepared.get_mut(&call_id), timeout) {
            prepared.request.timeout_ms = timeout;
        }
        plan
    }
}

/// What a person is asked before a tool runs.
fn question(ask: &ToolAsk, admitted: &Admitted) -> ApprovalAsk {
    let message = admitted.definition.approval_message.clone();
    ApprovalAsk {
        message: message.unwrap_or_else(|| format!("Use the tool `{}`?", ask.name)),
        metadata: Some(serde_json::json!({"tool": ask.name, "arguments": admitted.arguments})),
        decider: Decider::Any,
        expires_in_ms: None,
        on_timeout: Decision::Deny,
    }
}

/// The file whose lock the users of a tool take turns by.
pub(crate) fn lock_file(home: &Path, name: &str) -> PathBuf {
    home.join("locks").join(format!("{name}.lock"))
}

/// Waits until nobody else holds the lock of a tool. It is held until the result is dropped, or its process ends.
pub(crate) async fn locked(path: &Path, stop: &Stop) -> Result<File, CallError> {
    let failed =
        |error: std::io::Error| CallError::new(ErrorClass::Other, format!("the tool cannot be locked: {error}"));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let file = File::options().create(true).append(true).open(path).map_err(failed)?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if stop.is_stopped() => {
                return Err(CallError::new(ErrorClass::Cancelled, "ended on request"));
            }
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => tokio::time::sleep(LOCK_POLL).await,
            Err(error) => return Err(failed(error.into())),
        }
    }
}

/// Carries one call of a tool out.
struct Runner {
    name: String,
    admitted: Admitted,
    env: Environment,
    rules: Arc<FileRules>,
    lock: Option<PathBuf>,
}

impl Runner {
    async fn attempt(&self, request: &AttemptRequest, context: &CallContext) -> Result<Reply, ReplyError> {
        let _turn = match &self.lock {
            Some(path) => Some(locked(path, &context.stop).await?),
            None => None,
        };
        let answer = match self.admitted.definition.file_tool() {
            Some(kind) => self.file_tool(kind, request).await?,
            None => self.command(request, context).await?,
        };
        let mut reply = Reply::new(answer);
        let warn = |name: &String| format!("the call set `{name}`, which the configuration of `{}` fixes", self.name);
        reply.provenance.warnings = self.admitted.twice.iter().map(warn).collect();
        Ok(reply)
    }

    async fn command(&self, request: &AttemptRequest, context: &CallContext) -> Result<ReplyAnswer, CallError> {
        let definition = &self.admitted.definition;
        let asked = CommandAsk {
            argv: definition.command.clone().unwrap_or_default(),
            input: Some(self.admitted.arguments.to_string()),
            ..CommandAsk::default()
        };
        let env = passed(&self.env, definition.secrets.iter().map(String::as_str));
        let cwd = super::commands::directory(&request.cwd, None)
            .map_err(|message| CallError::new(ErrorClass::Policy, message))?;
        let call = Call { asked: &asked, env, cwd, marker: request.marker.clone() };
        let text = printed(&self.env, call, &context.stop, MOST_OUTPUT).await?;
        Ok(result(text))
    }

    async fn file_tool(&self, kind: Kind, request: &AttemptRequest) -> Result<ReplyAnswer, CallError> {
        let grant =
            Grant { tools: vec![kind], read: None, write: if kind == Kind::Write { None } else { Some(Vec::new()) } };
        let failed = |why: String| CallError::new(ErrorClass::Other, why);
        let files = Files::new(&request.cwd, grant, &self.rules, Bounds::default()).map_err(failed)?;
        let arguments = self.admitted.arguments.clone();
        let work = tokio::task::spawn_blocking(move || files.call(kind, &arguments)).await;
        work.unwrap_or_else(|_| Err(format!("{} broke off", self.name))).map(ReplyAnswer::Text).map_err(failed)
    }
}

/// What a program printed: JSON as a value, else the text.
pub(crate) fn result(text: String) -> ReplyAnswer {
    match serde_json::from_str::<Value>(text.trim()) {
        Ok(value) => ReplyAnswer::Json(value),
        Err(_) => ReplyAnswer::Text(text),
    }
}

impl Provider for Runner {
    fn name(&self) -> &'static str {
        "tool"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Cli
    }

    fn default_concurrency(&self) -> u32 {
        16
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        true
    }

    fn wind_down(&self) -> Duration {
        WIND_DOWN
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(self.attempt(request, context))
    }
}
