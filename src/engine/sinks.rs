//! Event sinks: files and programs of the user that hear what happens in a run, once it is on disk.
//!
//! One thread a run tree hands events on in their order. What waits for it never holds up the run; only at its end a run waits
//! for sinks whose failure counts.

use std::collections::HashMap;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::event::{Event, EventRecord};
use crate::core::ids::{CallId, RunId};
use crate::core::op::Op;
use crate::core::run::{RunError, RunErrorCode, RunOutcome, RunSpec, RunStatus};
use crate::process::{Exit, Program, find_program, passed, run};
use crate::store::{Store, Ticket};

use super::run_loop::RunLoop;
use super::services::Services;
use super::view::EventView;

/// How long the events of a run that has ended may take to be handed on.
pub(super) const AT_THE_END: Duration = Duration::from_secs(30);

/// How long a run that is about to end waits to hear whether a sink that may fail has failed.
const FOR_A_WORD: Duration = Duration::from_millis(500);

/// What the failure of a sink means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSinkFailure {
    /// A warning in the run.
    #[default]
    Ignore,
    /// The run fails.
    Fail,
}

/// Where a sink hands events to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkTarget {
    /// Appended to this file, one JSON object a line.
    File(PathBuf),
    /// Read by this program, which is started for every few events: one JSON object a line.
    Command(Vec<String>),
}

/// A configured event sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// Where events go.
    pub target: SinkTarget,
    /// Whether it hears of every run; else only of those of documents that name it.
    pub always: bool,
    /// The types it hears of; none = all.
    pub types: Vec<String>,
    /// It hears of events with one of these tags; none = all.
    pub tags: Vec<String>,
    /// What its failure means.
    pub on_failure: OnSinkFailure,
    /// How long its program may take.
    pub timeout: Duration,
    /// Variables its program is given beside the plain ones.
    pub env: Vec<String>,
}

/// The sinks of a run tree.
pub(crate) struct Sinks {
    jobs: Mutex<Option<Sender<Job>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
    state: Arc<Mutex<State>>,
    /// Whether the failure of one of them counts.
    counts: bool,
}

/// What is known of failures.
#[derive(Debug, Default)]
struct State {
    /// The first failure that counts.
    failed: Option<String>,
    /// Failures that were left aside, one a sink, until somebody asks.
    ignored: Vec<String>,
}

/// What the thread is told.
enum Job {
    /// Events of a run that are on their way to the disk.
    Events { run: RunId, ticket: Option<Ticket>, records: Vec<EventRecord> },
    /// A run of the tree, with the tags of calls made before.
    Run { run: RunId, known: Known },
    /// Somebody waits until everything so far is handed on.
    Done(Sender<()>),
}

impl Sinks {
    /// The sinks that may hear of runs of a tree; nothing runs when there is none. Whether one hears of a run is up to the run's
    /// document, where it does not hear of all.
    pub(crate) fn start(services: &Arc<Services>, root: &RunId) -> Self {
        let sinks = services.config.sinks.clone();
        let state = Arc::new(Mutex::new(State::default()));
        let counts = sinks.iter().any(|sink| sink.on_failure == OnSinkFailure::Fail);
        let mut started = Self { jobs: Mutex::default(), worker: Mutex::default(), state: Arc::clone(&state), counts };
        if sinks.is_empty() {
            return started;
        }
        let (jobs, queue) = channel();
        let worker = Worker { services: Arc::clone(services), root: root.clone(), sinks, state, runs: HashMap::new() };
        match std::thread::Builder::new().name("owf-sinks".into()).spawn(move || worker.work(&queue)) {
            Ok(thread) => {
                started.jobs = Mutex::new(Some(jobs));
                started.worker = Mutex::new(Some(thread));
            }
            Err(error) => started.note_failure(format!("the event sinks did not start: {error}")),
        }
        started
    }

    fn note_failure(&self, message: String) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.get_or_insert(message);
    }

    /// Whether anybody hears.
    pub(crate) fn any(&self) -> bool {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn push(&self, job: Job) {
        if let Some(jobs) = &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            // A thread that is gone is seen where its failure is asked for.
            let _ = jobs.send(job);
        }
    }

    /// A run of the tree begins or goes on: what was recorded of it by others is told, when it is new.
    pub(crate) fn begin(&self, store: &Store, run: &RunId, spec: &RunSpec, last_seq: u64) {
        if !self.any() {
            return;
        }
        let mut calls = HashMap::new();
        let mut first = Vec::new();
        let mut after = 0;
        while let Ok(events) = store.events(run, after, 5_000)
            && let Some(last) = events.last().map(|e| e.seq)
        {
            for record in events {
                if let Event::CallRequested { call_id, spec, .. } = &record.event {
                    calls.insert(*call_id, tags_of(spec.metadata.as_ref()));
                } else if last_seq <= 1 {
                    first.push(record);
                }
            }
            after = last;
        }
        let (workflow, tags) = (spec.workflow_name.clone(), tags_of(spec.metadata.as_ref()));
        let known = Known { workflow, tags, calls, named: spec.events.clone() };
        self.push(Job::Run { run: run.clone(), known });
        self.events(run, None, first);
    }

    /// Hands events on once they are on disk.
    pub(crate) fn events(&self, run: &RunId, ticket: Option<Ticket>, records: Vec<EventRecord>) {
        if !records.is_empty() {
            self.push(Job::Events { run: run.clone(), ticket, records });
        }
    }

    /// Returns when everything so far is handed on, or `patience` is over.
    pub(crate) fn wait(&self, patience: Duration) {
        if self.any() {
            let (done, waiting) = channel();
            self.push(Job::Done(done));
            // An error means that the thread is gone or the time is up; then there is nothing to wait for.
            let _ = waiting.recv_timeout(patience);
        }
    }

    /// How long a run that is about to end waits: long for sinks whose failure counts, else for a word about the others.
    pub(crate) fn patience(&self) -> Duration {
        if self.counts { AT_THE_END } else { FOR_A_WORD }
    }

    /// The first failure that counts.
    pub(crate) fn failed(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.clone()
    }

    /// All failures that nobody has asked for yet, also the one that counts.
    pub(crate) fn all_failures(&self) -> Vec<String> {
        self.failed().into_iter().chain(self.ignored()).collect()
    }

    /// Failures that were left aside and that nobody has asked for yet.
    pub(crate) fn ignored(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).ignored)
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic in it has been reported already.
            let _ = worker.join();
        }
    }
}

impl RunLoop {
    /// The error of a run whose events did not reach a sink that they must reach.
    pub(super) fn sinks_error(&mut self) -> Option<RunError> {
        if self.parent.is_some() || !self.tree.sinks.any() {
            return None;
        }
        self.hand_over();
        self.tree.sinks.wait(self.tree.sinks.patience());
        self.tree.sinks.failed().map(|message| RunError::new(RunErrorCode::EventSinkFailed, message))
    }

    /// The warnings about sinks that failed and may.
    pub(super) fn sinks_warnings(&self) -> Vec<Op> {
        let ignored = if self.parent.is_none() { self.tree.sinks.ignored() } else { Vec::new() };
        let warning = |message| Op::Warning { code: "event_sink_failed".to_owned(), message };
        ignored.into_iter().map(warning).collect()
    }

    /// Warnings about sinks that failed in a run that ends otherwise than by returning.
    pub(super) fn unheard(&self, outcome: &RunOutcome) -> Vec<Event> {
        if self.parent.is_some() || !self.tree.sinks.any() || outcome.status == RunStatus::Done {
            return Vec::new();
        }
        self.tree.sinks.wait(FOR_A_WORD);
        let told = |message: &String| outcome.error.as_ref().is_some_and(|error| error.message == *message);
        let failures = self.tree.sinks.all_failures().into_iter().filter(|message| !told(message));
        failures.map(|message| Event::Warning { code: "event_sink_failed".to_owned(), message }).collect()
    }
}

/// The tags in metadata.
fn tags_of(metadata: Option<&Value>) -> Vec<String> {
    let list = metadata.and_then(|m| m.get("tags")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
}

/// What the thread knows of a run.
struct Known {
    workflow: String,
    tags: Vec<String>,
    calls: HashMap<CallId, Vec<String>>,
    /// The sinks that its document names, or one above it.
    named: Vec<String>,
}

/// The thread.
struct Worker {
    services: Arc<Services>,
    root: RunId,
    sinks: Vec<Sink>,
    state: Arc<Mutex<State>>,
    runs: HashMap<RunId, Known>,
}

impl Worker {
    fn work(mut self, queue: &Receiver<Job>) {
        let mut ours = true;
        let mut broken: Vec<bool> = vec![false; self.sinks.len()];
        while let Ok(first) = queue.recv() {
            let mut waiting = Vec::new();
            let mut lines: Vec<String> = vec![String::new(); self.sinks.len()];
            // Everything that has come meanwhile is handed on at once.
            let more = std::iter::once(first).chain(queue.try_iter());
            for job in more {
                match job {
                    Job::Run { run, known } => drop(self.runs.insert(run, known)),
                    Job::Done(done) => waiting.push(done),
                    Job::Events { run, ticket, records } => {
                        // What is not on disk did not happen, and the run may be another process's by now.
                        ours = ours && ticket.is_none_or(|ticket| ticket.wait_until_written().is_ok());
                        for record in records.iter().filter(|_| ours) {
                            self.sort(&run, record, &mut lines);
                        }
                    }
                }
            }
            for (index, sink) in self.sinks.iter().enumerate() {
                let text = std::mem::take(&mut lines[index]);
                let given_up = broken[index] && sink.on_failure == OnSinkFailure::Fail;
                if text.is_empty() || given_up {
                    continue;
                }
                if let Err(why) = self.hand_on(sink, text)
                    && !std::mem::replace(&mut broken[index], true)
                {
                    let message = format!("the event sink `{}` failed: {why}", sink.name);
                    tracing::warn!("{message}");
                    let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                    match sink.on_failure {
                        OnSinkFailure::Ignore => state.ignored.push(message),
                        OnSinkFailure::Fail => drop(state.failed.get_or_insert(message)),
                    }
                }
            }
            for done in waiting {
                // Whoever waited may have lost patience.
                let _ = done.send(());
            }
        }
    }

    /// Adds the line of an event for every sink that hears of it.
    fn sort(&mut self, run: &RunId, record: &EventRecord, lines: &mut [String]) {
        let Some(known) = self.runs.get_mut(run) else { return };
        if let Event::CallRequested { call_id, spec, .. } = &record.event {
            known.calls.insert(*call_id, tags_of(spec.metadata.as_ref()));
        }
        let of_call = record.event.call_id().and_then(|id| known.calls.get(&id));
        let tags: Vec<&String> = known.tags.iter().chain(of_call.into_iter().flatten()).collect();
        let mut line = None;
        for (sink, text) in self.sinks.iter().zip(lines) {
            let typed = sink.types.is_empty() || sink.types.iter().any(|t| t == record.event.kind());
            let tagged = sink.tags.is_empty() || sink.tags.iter().any(|tag| tags.contains(&tag));
            let hears = sink.always || known.named.contains(&sink.name);
            if hears && typed && tagged {
                let line = line.get_or_insert_with(|| {
                    let view = EventView::from(record);
                    json!({
                        "run_id": run,
                        "workflow": known.workflow,
                        "seq": view.seq,
                        "at": view.at,
                        "type": view.kind,
                        "call_id": view.call_id,
                        "tags": tags,
                        "data": view.data,
                    })
                    .to_string()
                });
                text.push_str(line);
                text.push('\n');
            }
        }
    }

    fn hand_on(&self, sink: &Sink, text: String) -> Result<(), String> {
        let command = match &sink.target {
            SinkTarget::File(path) => {
                let written = append(path, text.as_bytes(), sink.timeout);
                return written.map_err(|error| format!("{}: {error}", path.display()));
            }
            SinkTarget::Command(command) => command,
        };
        let env = &self.services.env;
        let name = command.first().map(String::as_str).unwrap_or_default();
        let path = find_program(name, env.get("PATH").unwrap_or_default())
            .ok_or_else(|| format!("there is no program `{name}`"))?;
        let program = Program {
            path,
            args: command.iter().skip(1).cloned().collect(),
            env: passed(env, sink.env.iter().map(String::as_str)),
            cwd: self.services.workspace.clone(),
            input: text,
            marker: format!("{}/events/{}", self.root, sink.name),
        };
        let ended = self
            .services
            .runtime
            .block_on(async { tokio::time::timeout(sink.timeout, run(program, std::future::pending(), |_| {})).await });
        match ended {
            Err(_) => Err(format!("it took longer than {} ms", sink.timeout.as_millis())),
            Ok(Err(error)) => Err(format!("it could not be run: {error}")),
            Ok(Ok(finished)) if finished.exit == Exit::Code(0) => Ok(()),
            Ok(Ok(finished)) => {
                let said: String = finished.errors.lines().last().unwrap_or_default().chars().take(200).collect();
                Err(format!(
                    "it ended with {}{}",
                    finished.exit,
                    if said.is_empty() { said } else { format!(": {said}") }
                ))
            }
        }
    }
}

/// Appends to a file. What stands there may be a pipe or a terminal that nobody reads: that is waited for no longer than `patience`.
fn append(path: &Path, mut rest: &[u8], patience: Duration) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = options.append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let until = Instant::now() + patience;
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
