//! The entry: a rehearsal on a thread of its own, with a limit on its wall clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use crate::core::failure::{Code, Failure};
use crate::core::run::Settings;
use crate::engine::source::{Workflow, require};
use crate::engine::view::DryRunView;
use crate::providers::fake::Fixtures;
use crate::providers::{Registry, Setup};

use super::against::Against;
use super::report;
use super::stage::Stage;

/// Stack of the thread that runs the script, as for a real run.
const STACK: usize = 16 << 20;

/// Time a script that was told to stop is given before it is left behind: some built-ins cannot be interrupted.
const GRACE: Duration = Duration::from_secs(5);

/// Everything a rehearsal needs; owned, since a script that hangs inside the engine is left behind with it.
pub(crate) struct DryRunInput {
    /// The workflow.
    pub(crate) workflow: Workflow,
    /// Its args; none is `undefined`.
    pub(crate) args: Option<Value>,
    /// The provider planned for; it is not asked. None: no cost can be told.
    pub(crate) provider: Option<String>,
    /// The model planned for.
    pub(crate) model: Option<String>,
    /// Limits, call cap, mood and engine limits of the planned run; `provider` and `model` in it do not count.
    pub(crate) settings: Settings,
    /// The providers there are.
    pub(crate) registry: Registry,
    /// What the adapters are made of: prices, estimates, names of models.
    pub(crate) setup: Setup,
    /// Scripted answers.
    pub(crate) fixtures: Option<Arc<Fixtures>>,
    /// Sizes of generated lists by property name.
    pub(crate) assume: BTreeMap<String, u32>,
    /// The run whose reuse is foretold.
    pub(crate) against: Option<Against>,
    /// Whether every call gets a row.
    pub(crate) full: bool,
    /// The directory names and relative paths start from.
    pub(crate) cwd: PathBuf,
    /// The user's home directory.
    pub(crate) user_home: Option<PathBuf>,
    /// Wall clock it may take; 60 s is a good value.
    pub(crate) time_limit: Duration,
}

/// Rehearses a workflow.
///
/// # Errors
/// `invalid_workflow`, `unknown_provider`, or `limit_exceeded` when the script cannot even be interrupted in time.
pub(crate) fn dry_run(input: DryRunInput) -> Result<DryRunView, Failure> {
    require(&input.workflow)?;
    if let Some(name) = &input.provider
        && input.registry.canonical(name).is_none()
    {
        return Err(input.registry.unknown(name));
    }
    let abort = Arc::new(AtomicBool::new(false));
    let (to, from) = channel();
    let limit = input.time_limit;
    let thread = std::thread::Builder::new().name("owf-dry-run".to_owned()).stack_size(STACK);
    let spawned = thread.spawn({
        let abort = Arc::clone(&abort);
        move || {
            // A caller that has given up needs no answer.
            let _ = to.send(rehearse(input, &abort));
        }
    });
    if let Err(error) = spawned {
        return Err(Failure::new(Code::Internal, format!("failed to start the dry run: {error}")));
    }
    let first = from.recv_timeout(limit);
    let outcome = match first {
        Err(RecvTimeoutError::Timeout) => {
            abort.store(true, Ordering::Relaxed);
            from.recv_timeout(GRACE)
        }
        other => other,
    };
    match outcome {
        Ok(view) => view,
        Err(RecvTimeoutError::Timeout) => {
            let message = format!("the dry run did not end within {} s", limit.as_secs());
            Err(Failure::new(Code::LimitExceeded, message).with("limit", limit.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Failure::new(Code::Internal, "the dry run ended without a result")),
    }
}

fn rehearse(mut input: DryRunInput, abort: &Arc<AtomicBool>) -> Result<DryRunView, Failure> {
    let against = input.against.take();
    let script = require(&input.workflow)?;
    let mut stage = Stage::new(&input, Arc::clone(abort));
    let outcome = stage.root(&input, against.as_ref());
    Ok(report::view(&input, script, &stage, &outcome, against.as_ref()))
}
