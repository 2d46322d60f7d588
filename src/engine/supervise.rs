//! Detached runs: the same program in a session of its own, told only the home and the run.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::store::{Store, StoreError};

use super::execute::{Ownership, RunHandle, own};
use super::journal::now;
use super::services::Services;

/// How long the starter waits for the new process to take the run up.
const TAKE_UP: Duration = Duration::from_secs(10);

/// Starts a process that executes `run`; returns when it has said so in the journal, or after ten seconds.
pub(crate) fn spawn(store: &Store, services: &Services, run: &RunId) -> Result<(), Failure> {
    let program = program(services)?;
    let log_path = store.run_dir(run).join("runner.log");
    if let Some(dir) = log_path.parent() {
        std::fs::create_dir_all(dir).map_err(|e| log_failure(&log_path, &e))?;
    }
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log_path)
        .map_err(|e| log_failure(&log_path, &e))?;
    let errors = log.try_clone().map_err(|e| log_failure(&log_path, &e))?;
    let before = store.last_seq(run)?;
    // The configuration of the project the run works in, not of the place it was asked for from.
    let workspace = store.run(run)?.map(|row| PathBuf::from(row.spec.workspace)).filter(|dir| dir.is_dir());
    let mut child = Command::new(&program)
        .arg("--home")
        .arg(store.home())
        .args(workspace.iter().flat_map(|dir| [std::ffi::OsStr::new("--workspace"), dir.as_os_str()]))
        .arg("supervise")
        .arg(run.as_str())
        // It outlives the call that this process may have been started for, and is no process of it.
        .env_remove(crate::providers::MARKER)
        .env(crate::process::DETACHED, "1")
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
        // The lock comes first, the first event of the new owner says that the run is under way.
        let taken = store.last_seq(run)? > before;
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

/// Makes this process the leader of a session of its own, so that nothing sent to its starter's terminal or group reaches it.
pub(crate) fn leave_session() {
    // A process that leads its group already has nothing to leave.
    let _ = rustix::process::setsid();
}

/// Takes a run up in this process: the body of the hidden command that [`spawn`] starts.
pub(crate) fn take_up(
    store: &Store,
    services: &Arc<Services>,
    run: &RunId,
    linger: bool,
) -> Result<RunHandle, StoreError> {
    let lease = store.claim(run, &super::process::info(), now())?;
    let Some(row) = store.run(run)? else {
        return Err(StoreError::NotFound { what: "run", name: run.to_string(), nearest: Vec::new() });
    };
    let settings = row.settings;
    let (store, services, run) = (store.clone(), Arc::clone(services), run.clone());
    Ok(own(Ownership { store, services, run, lease, settings, linger }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::core::environment::Environment;
    use crate::core::run::RunStatus;
    use crate::engine::params::RunParams;
    use crate::engine::run_end::RunEnd;
    use crate::engine::services::Defaults;
    use crate::providers::Registry;
    use crate::providers::fake::FakeProvider;

    fn services(cwd: &std::path::Path) -> Services {
        Services {
            registry: Registry::new(Arc::new(FakeProvider::new(None, None, false))),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
            env: Environment::default(),
            secrets: crate::engine::Secrets::default(),
            config: crate::engine::Configured::default(),
            defaults: Defaults::default(),
            user_home: None,
            cwd: cwd.to_owned(),
            workspace: cwd.to_owned(),
            started_by: "test".to_owned(),
            principal: None,
            program: None,
            limits: crate::core::run::EngineLimits::default(),
            breakers: Arc::default(),
        }
    }

    #[test]
    fn a_script_runs_to_its_end_and_its_journal_replays() {
        let dir = tempfile::tempdir().unwrap();
        let services = Arc::new(services(dir.path()));
        let store = Store::open(&dir.path().join("home"), crate::store::OpenMode::Create).unwrap();
        let script = "export const meta = {name: 'x', description: 'y'};\nconst a = await parallel([1,2,3].map(i => () => agent('n' + i)));\nreturn {n: a.length};";
        let params = RunParams { script: Some(script.into()), ..RunParams::default() };
        let recorded = crate::engine::start::record(&params, &services, &store).unwrap();
        let handle = take_up(&store, &services, &recorded.run_id, false).unwrap();
        assert!(handle.wait_ended(Duration::from_secs(10)));
        let end = handle.end();
        let Some(RunEnd::Finished(outcome)) = end else { panic!("{end:?}") };
        assert_eq!((outcome.status, outcome.output), (RunStatus::Done, Some(serde_json::json!({"n": 3}))));
    }
}
