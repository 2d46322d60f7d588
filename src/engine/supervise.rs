//! Detached runs: the same program in a session of its own, told only the home and the run.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::store::{Store, StoreError};

use super::execute::{Ownership, RunHandle, own, read_history};
use super::journal::now;
use super::services::Services;

/// How long the starter waits for the new process to take the run up.
const TAKE_UP: Duration = Duration::from_secs(10);

/// Starts a process that executes `run`; returns when it has taken the run up, or after ten seconds.
pub(crate) fn spawn(store: &Store, services: &Services, run: &RunId) -> Result<(), Failure> {
    let program = program(services)?;
    let log_path = store.run_dir(run).join("runner.log");
    if let Some(dir) = log_path.parent() {
        std::fs::create_dir_all(dir).map_err(|e| log_failure(&log_path, &e))?;
    }
    let log = OpenOptions::new().create(true).append(true).open(&log_path).map_err(|e| log_failure(&log_path, &e))?;
    let errors = log.try_clone().map_err(|e| log_failure(&log_path, &e))?;
    let mut child = Command::new(&program)
        .arg("--home")
        .arg(store.home())
        .arg("supervise")
        .arg(run.as_str())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|e| {
            Failure::new(Code::Internal, format!("the run's process could not be started: {}: {e}", program.display()))
                .hint("the run is recorded; owf resume takes it up")
        })?;
    let until = Instant::now() + TAKE_UP;
    while Instant::now() < until {
        let taken = store.is_live(run) || store.run(run)?.is_some_and(|row| row.status.is_ended());
        if taken || child.try_wait().is_ok_and(|status| status.is_some()) {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    // Whoever goes on living collects the process when it ends.
    let reaper = std::thread::Builder::new().name("owf-reaper".into()).spawn(move || child.wait());
    drop(reaper);
    Ok(())
}

fn program(services: &Services) -> Result<PathBuf, Failure> {
    // The open executable, so that a replaced file does not matter.
    let open = PathBuf::from("/proc/self/exe");
    match &services.program {
        Some(program) => Ok(program.clone()),
        None if open.exists() => Ok(open),
        None => std::env::current_exe()
            .map_err(|e| Failure::new(Code::Internal, format!("the own executable cannot be found: {e}"))),
    }
}

fn log_failure(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::NotWritable, format!("{} cannot be written: {error}", path.display()))
}

/// Takes a run up in this process: the body of the hidden command that [`spawn`] starts.
pub(crate) fn take_up(
    store: &Store,
    services: &Arc<Services>,
    run: &RunId,
    linger: bool,
) -> Result<RunHandle, StoreError> {
    let lease = store.claim(run, &super::process::info(), now())?;
    let (history, _) = read_history(store, run)?;
    let Some(spec) = history.spec else {
        return Err(StoreError::NotFound { what: "run", name: run.to_string(), nearest: Vec::new() });
    };
    let settings = history.settings.map_or(spec.settings, |s| *s);
    let (store, services, run) = (store.clone(), Arc::clone(services), run.clone());
    Ok(own(Ownership { store, services, run, lease, settings, linger }))
}
