//! A run's files: readable copies of what the journal holds, written off the critical path and rebuildable from it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::core::call::CallKind;
use crate::core::ids::{CallId, RunId};
use crate::core::outcome::Outcome;
use crate::core::run::{RunOutcome, RunSpec, Settings};
use crate::store::{Store, Ticket};

use super::query::PREVIEW;

enum Job {
    Write {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    /// What follows tells of events that are on disk when this is; if they never will be, another process owns the files.
    After(Ticket),
    Done(Sender<()>),
}

/// Files that tell of events which the journal has not handed over yet.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<(PathBuf, Vec<u8>)>);

impl Held {
    /// The prompt of a call.
    pub(crate) fn prompt(&mut self, run_dir: &Path, call_id: CallId, prompt: &str) {
        self.0.push((call_dir(run_dir, call_id).join("prompt.txt"), prompt.as_bytes().to_vec()));
    }

    /// What a call ended with. Of an expression only what is too long to be shown whole where the call is shown: making a folder
    /// takes longer than everything else about it, and `owf export` writes them all.
    pub(crate) fn outcome(&mut self, run_dir: &Path, call_id: CallId, kind: CallKind, outcome: &Outcome) {
        let dir = call_dir(run_dir, call_id);
        let worth = |(_, bytes): &(&str, Vec<u8>)| kind != CallKind::Expr || bytes.len() > PREVIEW;
        let files = outcome_files(outcome).into_iter().filter(worth);
        self.0.extend(files.map(|(name, bytes)| (dir.join(name), bytes)));
    }
}

/// Writes files in the background, in order: each to a temporary file that is renamed.
pub(crate) struct Files {
    jobs: Mutex<Option<Sender<Job>>>,
    worker: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Files {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let (jobs, queue) = channel();
        let worker = std::thread::Builder::new().name("owf-files".into()).spawn(move || work(&queue)).ok();
        Self { jobs: Mutex::new(Some(jobs)), worker: Mutex::new(worker) }
    }

    fn push(&self, job: Job) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = jobs.as_ref() {
            // Without its thread the files stay unwritten; the journal has everything, and `owf export` writes them again.
            let _ = jobs.send(job);
        }
    }

    /// Writes files once the events they tell of are on disk.
    pub(crate) fn after(&self, committed: Option<Ticket>, held: &mut Held) {
        if held.0.is_empty() {
            return;
        }
        if let Some(ticket) = committed {
            self.push(Job::After(ticket));
        }
        for (path, bytes) in held.0.drain(..) {
            self.push(Job::Write { path, bytes });
        }
    }

    /// The pinned source and the first manifest of a run.
    pub(crate) fn begin(&self, store: &Store, run: &RunId, spec: &RunSpec, settings: &Settings, source: Vec<u8>) {
        let dir = store.run_dir(run);
        self.push(Job::Write { path: dir.join(spec.kind.source_file()), bytes: source });
        self.push(Job::Write { path: dir.join("manifest.json"), bytes: manifest(run, spec, settings, None) });
    }

    /// The files of a run's end; returns when everything asked for so far is written.
    pub(crate) fn finish(&self, store: &Store, run: &RunId, spec: &RunSpec, settings: &Settings, outcome: &RunOutcome) {
        let dir = store.run_dir(run);
        // Everything but the end is on disk by now. Where the store cannot say, the provider does.
        let row = store.run(run).ok().flatten();
        let simulated = row.map_or_else(|| crate::core::run::is_fake(&settings.provider), |row| row.simulated);
        if let Some(output) = &outcome.output {
            self.push(Job::Write { path: dir.join("output.json"), bytes: pretty(output) });
        }
        self.push(Job::Write { path: dir.join("manifest.json"), bytes: manifest(run, spec, settings, Some(outcome)) });
        self.push(Job::Write { path: dir.join("summary.md"), bytes: summary(run, spec, simulated, outcome) });
        self.wait();
    }

    /// Returns when everything asked for so far is written.
    pub(crate) fn wait(&self) {
        let (done, waiting) = channel();
        self.push(Job::Done(done));
        // An error means that the thread is gone; then there is nothing to wait for.
        let _ = waiting.recv();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = worker.join();
        }
    }
}

fn work(queue: &Receiver<Job>) {
    let mut ours = true;
    for job in queue {
        match job {
            // The run may be another process's by now: so are its files.
            Job::Write { .. } if !ours => {}
            Job::After(ticket) => ours = ours && ticket.wait_until_written().is_ok(),
            Job::Write { path, bytes } => {
                if let Err(error) = write(&path, &bytes) {
                    tracing::warn!(%error, path = %path.display(), "file of a run not written");
                }
            }
            Job::Done(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// Writes a file by way of a temporary one beside it, directories included.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(path);
    let temporary = || tempfile::Builder::new().prefix(".owf-").tempfile_in(dir);
    let mut file = match temporary() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(dir)?;
            temporary()
        }
        file => file,
    }?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// The folder of a call.
pub(crate) fn call_dir(run_dir: &Path, call_id: CallId) -> PathBuf {
    run_dir.join("calls").join(call_id.to_string())
}

/// The files of an outcome: `output.txt` for text, `output.json` for other values, `error.txt`.
pub(crate) fn outcome_files(outcome: &Outcome) -> Vec<(&'static str, Vec<u8>)> {
    let mut out = Vec::new();
    match &outcome.value {
        Some(Value::String(text)) => out.push(("output.txt", text.clone().into_bytes())),
        Some(value) => out.push(("output.json", pretty(value))),
        None => {}
    }
    if let Some(error) = &outcome.error {
        let mut text = format!("{}: {}\n", error.class.as_str(), error.message);
        for e in &error.schema_errors {
            let got = e.got.as_ref().map_or_else(String::new, |g| format!(", got {g}"));
            text.push_str(&format!("{} {}{got}\n", e.pointer, e.message));
        }
        if let Some(hint) = &error.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        out.push(("error.txt", text.into_bytes()));
    }
    out
}

pub(crate) fn pretty(value: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The manifest of a run.
pub(crate) fn manifest(run: &RunId, spec: &RunSpec, settings: &Settings, outcome: Option<&RunOutcome>) -> Vec<u8> {
    pretty(&json!({
        "run_id": run,
        "owf_version": env!("CARGO_PKG_VERSION"),
        "spec": spec,
        "settings": settings,
        "outcome": outcome.map(|o| json!({"status": o.status, "reason": o.reason, "error": o.error})),
    }))
}

/// The summary of an ended run.
pub(crate) fn summary(run: &RunId, spec: &RunSpec, simulated: bool, outcome: &RunOutcome) -> Vec<u8> {
    let mut text = format!("# {}\n\n", spec.workflow_name);
    if !spec.description.is_empty() {
        text.push_str(&format!("{}\n\n", spec.description));
    }
    text.push_str(&format!("- run: `{run}`\n- status: {}\n", outcome.status.as_str()));
    if simulated {
        text.push_str("- simulated: the answers were generated by the fake provider; no model was asked\n");
    }
    if let Some(error) = &outcome.error {
        text.push_str(&format!("- error: {}: {}\n", error.code.as_str(), error.message));
    }
    if let Some(from) = &spec.resumed_from {
        text.push_str(&format!("- resumed from: `{from}`\n"));
    }
    if outcome.output.is_some() {
        text.push_str("- result: `output.json`\n");
    }
    text.into_bytes()
}
