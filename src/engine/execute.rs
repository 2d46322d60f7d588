//! Executing a run tree in this process: lease, journal, driver and machine of the root, and of each child as it starts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::core::call::CallKind;
use crate::core::event::{Event, EventRecord};
use crate::core::history::History;
use crate::core::ids::{CallId, RunId};
use crate::core::machine::{BudgetView, MachineConfig, Reuse, RunMachine};
use crate::core::op::DriverState;
use crate::core::outcome::Outcome;
use crate::core::run::{
    IfWorkspaceChanged, RunError, RunErrorCode, RunSpec, Settings, StatusReason, WorkflowKind, is_fake,
};
use crate::front::driver::{Driver, DriverStep};
use crate::front::script::sandbox::ScriptConfig;
use crate::front::script::{Origin, check};
use crate::front::workflow::driver;
use crate::store::{Lease, Store, StoreError};

use super::journal::{Journal, now};
use super::lookups::Lookups;
use super::message::Message;
use super::run_end::RunEnd;
use super::run_loop::RunLoop;
use super::services::Services;
use super::sinks::Sinks;
use super::tree::{Tree, TreeParts};

/// Stack of a thread that runs a script: the sandbox allows itself half of it.
const STACK: usize = 16 << 20;

/// How long attempts may take to wind down once the run has ended or was left.
const WIND_DOWN: Duration = Duration::from_secs(10);

/// How long the children of a run that has ended may take to record their own ends.
const CHILDREN_END: Duration = Duration::from_secs(5);

/// One run to be executed by a thread of its own.
pub(crate) struct Launch {
    pub(crate) tree: Arc<Tree>,
    pub(crate) run: RunId,
    /// The parent's loop and the call there, for a child.
    pub(crate) parent: Option<(Sender<Message>, CallId)>,
    /// The phase under which a child's calls are shown.
    pub(crate) group: Option<String>,
}

/// Everything the thread of a run needs before its driver exists.
struct Loaded {
    spec: Arc<RunSpec>,
    history: History,
    reuse: Reuse,
    earlier_children: std::collections::HashMap<(crate::core::ids::Hash, u32), RunId>,
    lookups: Lookups,
    source: Vec<u8>,
    last_seq: u64,
    /// What a reader of the run should know about what it reuses.
    notices: Vec<(String, String)>,
}

/// Starts the thread of a run. How it ends reaches the parent's loop as a message, or the tree's owner.
///
/// # Errors
/// What kept the run from being read or recorded as started.
pub(crate) fn launch(launch: Launch) -> Result<(), StoreError> {
    let Launch { tree, run, parent, group } = launch;
    let loaded = load(&tree, &run)?;
    let name = format!("owf-{}", run.short());
    let spawned = std::thread::Builder::new().name(name).stack_size(STACK).spawn(move || {
        let told = parent.clone();
        let end = catch_unwind(AssertUnwindSafe(|| execute(&tree, &run, loaded, parent, group)));
        let end = end.unwrap_or_else(|panic| broken_off(&tree, &run, panic.as_ref()));
        match told {
            Some((to, call_id)) => {
                // A parent that has ended needs no word.
                let _ = to.send(Message::ChildEnded { call_id, end: Box::new(end) });
            }
            None => tree.give_up(end),
        }
    });
    spawned.map(|_| ()).map_err(|e| StoreError::Io(format!("no thread: {e}")))
}

fn load(tree: &Tree, run: &RunId) -> Result<Loaded, StoreError> {
    let store = &tree.store;
    let (mut history, last_seq) = read_history(store, run)?;
    let Some(spec) = history.spec.clone() else {
        return Err(StoreError::NotFound { what: "run", name: run.to_string(), nearest: Vec::new() });
    };
    let mut lookups = Lookups::default();
    lookups.add(store, &history)?;
    history.child_requests = std::mem::take(&mut lookups.requests);
    let Some(source) = store.source(&spec.source_hash)? else {
        return Err(StoreError::Corrupt(format!("the pinned source of {run} is missing")));
    };
    let mut reuse = Reuse::default();
    let mut earlier_children = std::collections::HashMap::new();
    let mut next = spec.resumed_from.clone();
    let mut distance = 0;
    let workspace = super::workspace::Comparison::with(store, &spec);
    let changed = |outcome: &Outcome| workspace.changed(outcome.workspace.as_deref());
    while let Some(earlier) = next {
        let (history, _) = read_history(store, &earlier)?;
        lookups.add(store, &history)?;
        for (id, call) in &history.calls {
            let settled = call.outcome.as_ref().and_then(|(_, outcome)| outcome.child_run.as_ref());
            // A child that was in flight has finished calls of its own to reuse.
            if let Some(child) = settled.or(call.child_run.as_ref()) {
                earlier_children.entry(*id).or_insert_with(|| child.clone());
            }
        }
        let rerun = tree.settings.if_workspace_changed == IfWorkspaceChanged::Rerun;
        reuse.add(distance, &earlier, &history, |kind, outcome| match (kind, &outcome.child_run) {
            // A tool may be a child, too.
            (_, Some(child)) => super::child::reusable_child(store, child, tree.services.user_home.as_deref()),
            (CallKind::Workflow, None) => false,
            (_, None) => !(rerun && changed(outcome)),
        });
        distance += 1;
        next = history.spec.and_then(|s| s.resumed_from);
    }
    reuse.child_requests = std::mem::take(&mut lookups.requests);
    let notices = notices(&reuse, &tree.settings, &spec, &workspace);
    let spec = Arc::new(*spec);
    Ok(Loaded { spec, history, reuse, earlier_children, lookups, source, last_seq, notices })
}

/// Warnings about answers that a resume would reuse although something about them differs now.
fn notices(
    reuse: &Reuse,
    settings: &Settings,
    spec: &RunSpec,
    workspace: &super::workspace::Comparison<'_>,
) -> Vec<(String, String)> {
    let mut out = spec.notices.clone();
    if let Some(detail) = &spec.diverged {
        let from = spec.resumed_from.as_ref().map_or_else(String::new, ToString::to_string);
        let message = format!("the replay of {from} left its journal, so this run took its place: {detail}");
        out.push(("diverged".to_owned(), message));
    }
    let mut stale: Vec<(&str, CallId)> = reuse
        .ok
        .values()
        .filter_map(|r| Some((r.outcome.workspace.as_deref()?, r.from.call_id)))
        .filter(|(recorded, _)| workspace.changed(Some(recorded)))
        .collect();
    stale.sort_by_key(|(_, call)| call.0);
    if let [(recorded, call), ..] = stale.as_slice() {
        let files = workspace.files(recorded);
        let (were, what) = match (stale.len(), files.len()) {
            (1, 1) => ("answer was", "its file"),
            (1, _) => ("answer was", "its files"),
            _ => ("answers were", "their files"),
        };
        let named = match files.as_slice() {
            [] => String::new(),
            [one] => format!(": {one} ({call})"),
            [one, rest @ ..] => format!(": {one} and {} more ({call})", rest.len()),
        };
        let message = format!(
            "{} reused {were} made before {what} changed{named}. if_workspace_changed \"rerun\" asks again",
            stale.len()
        );
        out.push(("workspace_changed".to_owned(), message));
    }
    let mut others: Vec<&str> = reuse
        .ok
        .values()
        .filter_map(|r| r.outcome.provider.as_deref())
        .filter(|p| *p != settings.provider && (is_fake(&settings.provider) || !is_fake(p)))
        .collect();
    others.sort_unstable();
    others.dedup();
    if !others.is_empty() {
        let message = format!("answers of {} are reused; new calls go to {}", others.join(", "), settings.provider);
        out.push(("provider_changed".to_owned(), message));
    }
    out
}

/// Folds the stored journal of a run; also gives the number of its last event.
pub(crate) fn read_history(store: &Store, run: &RunId) -> Result<(History, u64), StoreError> {
    const PAGE: usize = 10_000;
    let mut history = History::default();
    let mut after = 0;
    loop {
        let events = store.events(run, after, PAGE)?;
        for EventRecord { at, event, .. } in &events {
            history.apply(*at, event);
        }
        after = events.last().map_or(after, |e| e.seq);
        if events.len() < PAGE {
            return Ok((history, after));
        }
    }
}

fn execute(
    tree: &Arc<Tree>,
    run: &RunId,
    loaded: Loaded,
    parent: Option<(Sender<Message>, CallId)>,
    group: Option<String>,
) -> RunEnd {
    let Loaded { spec, mut history, reuse, earlier_children, lookups, source, last_seq, notices } = loaded;
    for (key, occurrence) in &lookups.made {
        tree.recorded_occurrence(*key, *occurrence);
    }
    for rule in &lookups.rules {
        tree.fake.mark_used(*rule);
    }
    if let Some(outcome) = &history.finished {
        // A child that had ended before its parent's process did: its machine is not there to charge the ledger.
        let mut ledger = tree.ledger();
        ledger.record(history.charged());
        ledger.requested += super::lookups::agent_calls(&history) + history.child_requests.values().sum::<u64>();
        return RunEnd::Finished(outcome.clone());
    }
    let mut journal = Journal::new(tree.store.clone(), tree.root.clone(), run.clone(), tree.epoch, last_seq);
    tree.sinks.begin(&tree.store, run, &spec, last_seq);
    journal.tell(&tree.sinks);
    let started = Event::RunStarted { owner: tree.owner.clone() };
    history.apply(now(), &started);
    let mut events = vec![started];
    for (code, message) in notices {
        if !history.warnings.contains(&(code.clone(), message.clone())) {
            events.push(Event::Warning { code, message });
        }
    }
    journal.append(events, Vec::new(), Vec::new());
    if last_seq <= 1 {
        tree.files.begin(&tree.store, run, &spec, &tree.settings, source.clone());
    }
    let found = crate::front::script::personas(Path::new(&spec.cwd), tree.services.user_home.as_deref());
    let personas = match super::personas::load(found, &history, &tree.store) {
        Ok(personas) => personas,
        Err(error) => return RunEnd::lost(error),
    };
    let config = MachineConfig {
        run_id: run.clone(),
        source_hash: spec.source_hash,
        provider: tree.settings.provider.clone(),
        limits: tree.settings.limits,
        schema_attempts: tree.settings.engine.schema_attempts,
        on_provider_down: tree.settings.on_provider_down,
        strict: tree.settings.strict && parent.is_none(),
        linger: tree.linger || parent.is_some(),
        budget_base: spec.budget_base,
        person_decides: tree.services.config.person_decides,
        waits: tree.settings.engine.into(),
    };
    let file_name = spec
        .source_path
        .as_deref()
        .and_then(|p| Path::new(p).file_name())
        .map_or_else(|| "workflow.js".to_owned(), |name| name.to_string_lossy().into_owned());
    // The pinned text was checked before it was pinned; that it no longer parses is said, not run as nothing.
    let (refused, body) = match spec.kind {
        WorkflowKind::Script => {
            let checked = check(&source, &Origin::File(file_name.clone().into()));
            let refused = checked.errors().next().map(|e| format!("{}:{} {}", e.line, e.column, e.message));
            (refused, checked.script.map(|s| s.body).unwrap_or_default())
        }
        // Its driver compiles it and says the same.
        WorkflowKind::Document => (None, String::from_utf8_lossy(&source).into_owned()),
    };
    super::commands::learn_secrets(spec.kind, &body, &tree.services);
    let script = ScriptConfig {
        body,
        file_name,
        args: spec.args.clone(),
        budget: BudgetView { limits: tree.settings.limits, spent: spec.budget_base },
        limits: tree.settings.engine,
        default_provider: tree.settings.provider.clone(),
        personas: personas.values().map(|p| (p.persona.name.clone(), p.hash)).collect(),
        log_prefix: group.as_ref().map(|_| format!("[{}] ", spec.workflow_name)),
        group,
        worktrees: worktrees(&tree.store, &spec.workspace),
        is_child: parent.is_some(),
        depth: spec.depth,
        abort: Arc::clone(&tree.abort),
    };
    let driver: Box<dyn Driver> = match (refused, driver(spec.kind, run, script)) {
        (Some(message), _) => Box::new(Broken(RunError::new(RunErrorCode::ScriptError, message))),
        (None, Ok(driver)) => driver,
        (None, Err(error)) => Box::new(Broken(error)),
    };
    let (to_self, inbox) = channel();
    let driving_since = tree.register(run, to_self.clone());
    let begun = super::cleanups::begun(&history);
    let machine = RunMachine::new(config, history, reuse);
    let run_loop = RunLoop {
        tree: Arc::clone(tree),
        run: run.clone(),
        spec,
        machine,
        driver,
        journal,
        held: super::files::Held::default(),
        to_self,
        inbox,
        driving_since,
        prepared: std::collections::HashMap::new(),
        attempts: std::collections::HashMap::new(),
        at_barrier: std::collections::VecDeque::new(),
        personas,
        effects: std::collections::VecDeque::new(),
        end: None,
        consumed: Vec::new(),
        children: std::collections::HashMap::new(),
        earlier_children,
        lookups: lookups.by_call,
        once: std::collections::HashMap::new(),
        winding: Arc::default(),
        words: Vec::new(),
        cancelling: None,
        begun,
        parent,
    };
    run_loop.run()
}

/// Where the paths of worktrees start for a script: the home, relative to the workspace where it lies there, so that a tree that
/// is moved as a whole replays the same.
fn worktrees(store: &Store, workspace: &str) -> String {
    let home = Path::new(&super::reference::home(store)).to_path_buf();
    let below = home.strip_prefix(workspace).map(Path::to_path_buf);
    below.unwrap_or(home).to_string_lossy().into_owned()
}

/// The end of a run whose thread panicked: it is journaled as failed, when that can be done.
fn broken_off(tree: &Tree, run: &RunId, panic: &(dyn std::any::Any + Send)) -> RunEnd {
    let error = super::collapse::crash(panic);
    tracing::error!(%run, "{}", error.message);
    tree.unregister(run);
    let ended = catch_unwind(AssertUnwindSafe(|| super::collapse::collapse(tree, run, error.clone())));
    match ended {
        Ok(Ok(outcome)) => RunEnd::Finished(Box::new(outcome)),
        Ok(Err(failed)) => RunEnd::lost(failed),
        Err(_) => RunEnd::fault(error.message),
    }
}

/// A driver whose script could not be set up.
struct Broken(RunError);

impl Driver for Broken {
    fn start(&mut self) -> DriverStep {
        DriverStep { ops: Vec::new(), state: DriverState::Failed(self.0.clone()) }
    }

    fn deliver(&mut self, _: CallId, _: &Outcome, _: &BudgetView) -> DriverStep {
        self.start()
    }
}

impl std::fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunHandle").field("run", &self.run_id()).finish_non_exhaustive()
    }
}

/// A run tree that this process executes.
pub struct RunHandle {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<HandleState>,
    changed: Condvar,
    stop: AtomicBool,
}

struct HandleState {
    run: RunId,
    tree: Option<Arc<Tree>>,
    end: Option<RunEnd>,
}

impl RunHandle {
    /// The run executed now: another than at the start when a replay left its journal and a new run took over.
    pub fn run_id(&self) -> RunId {
        self.state().run.clone()
    }

    /// Leaves the run as it stands: attempts are ended, nothing more is recorded, a resume goes on from here.
    pub fn interrupt(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let state = self.state();
        if let Some(tree) = &state.tree {
            // The message first: user logic that the flag stops is taken as interrupted, not as failed.
            tree.send_all(|| Message::Interrupt);
            tree.abort.store(true, Ordering::Relaxed);
        }
    }

    /// Pauses a run that stayed only for the questions that nobody answers here now.
    pub fn leave_questions(&self, reason: StatusReason) {
        let state = self.state();
        if let Some(tree) = &state.tree {
            tree.send(&tree.root, Message::Pause { row: None, reason });
        }
    }

    /// Ends at once: the same, for a caller that is about to exit.
    pub fn kill(&self) {
        self.interrupt();
    }

    /// How the execution ended, when it has.
    pub fn end(&self) -> Option<RunEnd> {
        self.state().end.clone()
    }

    /// Waits until the execution has ended, at most `timeout`; whether it has.
    pub fn wait_ended(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            if state.end.is_some() {
                return true;
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, HandleState> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`own`] executes.
pub(crate) struct Ownership {
    pub(crate) store: Store,
    pub(crate) services: Arc<Services>,
    pub(crate) run: RunId,
    pub(crate) lease: Lease,
    pub(crate) settings: Settings,
    pub(crate) linger: bool,
}

/// Executes a run tree whose lease is held, on threads of its own.
pub(crate) fn own(ownership: Ownership) -> RunHandle {
    let state = HandleState { run: ownership.run.clone(), tree: None, end: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), stop: AtomicBool::new(false) });
    let handle = RunHandle { shared: Arc::clone(&shared) };
    let spawned = std::thread::Builder::new().name("owf-owner".into()).spawn({
        let shared = Arc::clone(&shared);
        move || {
            let end = catch_unwind(AssertUnwindSafe(|| owner(ownership, &shared)));
            let end = end.unwrap_or_else(|panic| RunEnd::fault(super::collapse::crash(panic.as_ref()).message));
            finish(&shared, end);
        }
    });
    if let Err(error) = spawned {
        finish(&shared, RunEnd::fault(format!("no thread: {error}")));
    }
    handle
}

fn finish(shared: &Shared, end: RunEnd) {
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    state.end = Some(end);
    state.tree = None;
    shared.changed.notify_all();
}

/// Executes the tree; starts again when the inbox got rows while it paused; goes on as a new run when a replay diverged.
fn owner(ownership: Ownership, shared: &Shared) -> RunEnd {
    let Ownership { store, services, mut run, mut lease, mut settings, linger } = ownership;
    loop {
        let end = match incarnation(&store, &services, &run, &lease, &settings, linger, shared) {
            Ok(end) => end,
            Err(error) => RunEnd::lost(error),
        };
        if let RunEnd::Lost(why) = &end {
            tracing::error!(run = %run, "{why}");
        }
        let stopping = shared.stop.load(Ordering::Relaxed);
        match end {
            RunEnd::Diverged(detail) if !stopping => {
                match super::resume::supersede(&store, &services, &run, &lease, &detail) {
                    Ok((next, next_lease, next_settings)) => {
                        drop(std::mem::replace(&mut lease, next_lease));
                        run = next;
                        settings = next_settings;
                        shared.state.lock().unwrap_or_else(PoisonError::into_inner).run = run.clone();
                    }
                    Err(failure) => return RunEnd::lost(failure),
                }
            }
            RunEnd::Paused { .. } if !stopping && has_news(&store, &run) => {
                // Somebody wrote into the inbox while the run was on its way out; there is no one else to act on it.
                let me = super::process::info();
                drop(lease);
                match store.claim(&run, &me, now()) {
                    Ok(next) => lease = next,
                    Err(StoreError::Live { .. }) => return end,
                    Err(error) => return RunEnd::lost(error),
                }
            }
            end => {
                drop(lease);
                return end;
            }
        }
    }
}

/// Ends what an owner that died left running of a run tree: what it does now nobody would know of. Whoever takes the tree up
/// does this first, whether to go on with it or to end it.
pub(super) fn end_left_behind(root: &RunId) {
    let ended = crate::process::sweep_below(root.as_str());
    if ended > 0 {
        tracing::warn!(run = %root, "{ended} processes of an owner that died were ended");
    }
}

fn has_news(store: &Store, run: &RunId) -> bool {
    store.inbox(run, 0).is_ok_and(|rows| !rows.is_empty())
}

fn incarnation(
    store: &Store,
    services: &Arc<Services>,
    run: &RunId,
    lease: &Lease,
    settings: &Settings,
    linger: bool,
    shared: &Shared,
) -> Result<RunEnd, StoreError> {
    let fake = match super::source::fake_provider(store, services, settings) {
        Ok(fake) => fake,
        Err(failure) => return Ok(RunEnd::lost(failure)),
    };
    let sinks = Sinks::start(services, run);
    let tree = Arc::new(Tree::new(TreeParts {
        sinks,
        root: run.clone(),
        store: store.clone(),
        epoch: lease.epoch,
        owner: super::process::owner(lease.epoch),
        services: Arc::clone(services),
        settings: settings.clone(),
        fake,
        linger,
    }));
    shared.state.lock().unwrap_or_else(PoisonError::into_inner).tree = Some(Arc::clone(&tree));
    if shared.stop.load(Ordering::Relaxed) {
        return Ok(RunEnd::Interrupted);
    }
    if lease.epoch > 1 {
        end_left_behind(run);
    }
    super::isolation::harvest(store, run);
    // All of the tree, with what it resumes; what is written from here on is its own.
    store.verify(run)?;
    let stop = Arc::new(AtomicBool::new(false));
    let inbox = super::inbox::watch(&tree, &stop);
    launch(Launch { tree: Arc::clone(&tree), run: run.clone(), parent: None, group: None })?;
    let end = tree.ended();
    stop.store(true, Ordering::Relaxed);
    if let Ok(inbox) = inbox {
        inbox.thread().unpark();
        // The poller ends by itself; a panic in it has been reported already.
        let _ = inbox.join();
    }
    if matches!(end, RunEnd::Finished(_)) {
        // Children that nobody awaited were cancelled with the root: their ends are recorded while the lease is held.
        tree.abort.store(true, Ordering::SeqCst);
        while !tree.wait_for_loops(CHILDREN_END) && tree.is_cleaning() {}
    }
    tree.send_all(|| Message::Interrupt);
    // Processes that were asked to end are given the time to; what is left then is killed with this process.
    tree.wait_for_attempts(WIND_DOWN);
    services.runtime.block_on(tree.servers.end());
    // A process that leaves a paused run may end at once: the files of what is on record are written before it does.
    tree.files.wait();
    tree.sinks.wait(super::sinks::AT_THE_END);
    Ok(end)
}
