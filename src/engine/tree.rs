//! What the runs of one tree share while a process executes them: ledger, permits, cancellation, files, the store's lease.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::core::budget::Ledger;
use crate::core::event::Owner;
use crate::core::ids::{CallId, Hash, RunId};
use crate::core::json::canonical;
use crate::core::outcome::CallError;
use crate::core::run::Settings;
use crate::providers::Registry;
use crate::providers::schema::{CompiledSchema, compile};
use crate::store::{OnceClaim, Store};

use super::files::Files;
use super::gates::Gates;
use super::message::Message;
use super::run_end::RunEnd;
use super::services::Services;
use super::sinks::Sinks;
use super::workspace::Seen;

/// The shared state of a run tree.
pub(crate) struct Tree {
    pub(crate) root: RunId,
    pub(crate) store: Store,
    pub(crate) epoch: u64,
    /// This process, for the journal.
    pub(crate) owner: Owner,
    pub(crate) services: Arc<Services>,
    /// The settings in force.
    pub(crate) settings: Settings,
    /// The providers of this tree: those of the engine, and `fake` with the run's fixtures.
    pub(crate) providers: Registry,
    /// The fake provider of this tree, for its unused rules.
    pub(crate) fake: Arc<crate::providers::fake::FakeProvider>,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) gates: Gates,
    pub(crate) files: Files,
    /// MCP servers that lend tools.
    pub(crate) servers: Arc<super::servers::Servers>,
    /// Who hears of events.
    pub(crate) sinks: Arc<Sinks>,
    /// Polled by the sandbox: user logic is to end.
    pub(crate) abort: Arc<AtomicBool>,
    /// Whether the process stays while only approvals are pending.
    pub(crate) linger: bool,
    began: Instant,
    loops: Mutex<HashMap<RunId, LoopHandle>>,
    occurrences: Mutex<HashMap<Hash, u32>>,
    mutations: Arc<Mutations>,
    /// Calls that wait for another one of the tree, which is at work for their idempotency key.
    key_waits: Mutex<HashMap<(RunId, CallId), OnceClaim>>,
    /// What a loop has to say that its parents have yet to hear: one copy each.
    words: Arc<()>,
    /// States of the workspace seen a moment ago, by scope.
    looked: Mutex<Vec<Looked>>,
    /// Attempts that may still be winding down after their end was asked for: one copy each.
    winding: Arc<()>,
    /// Runs that clean up after themselves: one copy each.
    cleaning: Arc<()>,
    schemas: Mutex<HashMap<Hash, Result<Arc<CompiledSchema>, CallError>>>,
    end: Mutex<Option<RunEnd>>,
    ended: Condvar,
}

/// Mutating attempts of a tree: an answer that one overlapped may rest on files it changed, and is not cached.
#[derive(Debug, Default)]
pub(crate) struct Mutations {
    begun: AtomicU64,
    running: AtomicU64,
}

/// A mutating attempt that runs.
pub(crate) struct Mutation(Arc<Mutations>);

impl Drop for Mutation {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A look at the workspace: calls that are planned side by side share it.
#[derive(Debug)]
struct Looked {
    cwd: PathBuf,
    scope: Option<Vec<String>>,
    excluded: Vec<PathBuf>,
    /// Mutating attempts then: none must have begun or ended since.
    mutations: (u64, bool),
    at: Instant,
    seen: Option<Seen>,
}

/// How long a look counts. What changes within it is noticed when the answer is to be stored.
const LOOK_COUNTS: Duration = Duration::from_millis(300);

#[derive(Debug, Clone)]
struct LoopHandle {
    to: Sender<Message>,
    /// Since when user logic runs, by [`Tree::clock`]; 0 = it does not.
    driving_since: Arc<AtomicI64>,
}

/// What [`Tree::new`] is made of.
pub(crate) struct TreeParts {
    pub(crate) root: RunId,
    pub(crate) store: Store,
    pub(crate) epoch: u64,
    pub(crate) owner: Owner,
    pub(crate) services: Arc<Services>,
    pub(crate) settings: Settings,
    pub(crate) fake: crate::providers::fake::FakeProvider,
    pub(crate) linger: bool,
    pub(crate) sinks: Sinks,
}

impl Tree {
    pub(crate) fn new(parts: TreeParts) -> Self {
        let TreeParts { root, store, epoch, owner, services, settings, fake, linger, sinks } = parts;
        let fake = Arc::new(fake);
        let mut providers = services.registry.clone();
        providers.insert(Arc::clone(&fake) as Arc<dyn crate::providers::Provider>);
        let ledger = Mutex::new(Ledger::new(settings.limits, settings.max_calls));
        Self {
            root,
            store,
            epoch,
            owner,
            services,
            settings,
            providers,
            fake,
            ledger,
            gates: Gates::default(),
            files: Files::start(),
            servers: Arc::default(),
            sinks: Arc::new(sinks),
            abort: Arc::new(AtomicBool::new(false)),
            linger,
            began: Instant::now(),
            loops: Mutex::default(),
            occurrences: Mutex::default(),
            mutations: Arc::default(),
            key_waits: Mutex::default(),
            words: Arc::default(),
            looked: Mutex::default(),
            winding: Arc::default(),
            cleaning: Arc::default(),
            schemas: Mutex::default(),
            end: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers the loop of a run; returns the cell in which it notes when user logic runs.
    pub(crate) fn register(&self, run: &RunId, to: Sender<Message>) -> Arc<AtomicI64> {
        let driving_since = Arc::new(AtomicI64::new(0));
        let handle = LoopHandle { to, driving_since: Arc::clone(&driving_since) };
        self.loops().insert(run.clone(), handle);
        driving_since
    }

    pub(crate) fn unregister(&self, run: &RunId) {
        self.loops().remove(run);
        self.gates.release_run(run);
        self.key_waits().retain(|(waiting, _), _| waiting != run);
    }

    /// The calls that wait for another one of the tree, which is at work for their idempotency key.
    pub(crate) fn key_waits(&self) -> MutexGuard<'_, HashMap<(RunId, CallId), OnceClaim>> {
        self.key_waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be kept by whoever has a word for its parent until that one has it, and until the parent's own parent has what follows
    /// from it.
    pub(crate) fn word(&self) -> Arc<()> {
        Arc::clone(&self.words)
    }

    /// Whether some loop has yet to hear what another one does.
    pub(crate) fn has_words_on_their_way(&self) -> bool {
        Arc::strong_count(&self.words) > 1
    }

    /// Waits until no loop of the tree runs, at most `patience`; whether that is so.
    pub(crate) fn wait_for_loops(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.loops().is_empty() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        true
    }

    fn loops(&self) -> MutexGuard<'_, HashMap<RunId, LoopHandle>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message to the loop of a run; false when it has none here.
    pub(crate) fn send(&self, run: &RunId, message: Message) -> bool {
        self.loops().get(run).is_some_and(|l| l.to.send(message).is_ok())
    }

    /// Sends a message to every loop of the tree but the root's.
    pub(crate) fn send_children(&self, make: impl Fn() -> Message) {
        for (run, handle) in self.loops().iter() {
            if *run != self.root {
                // A loop that has just ended needs no message.
                let _ = handle.to.send(make());
            }
        }
    }

    /// Sends a message to every loop of the tree.
    pub(crate) fn send_all(&self, make: impl Fn() -> Message) {
        for handle in self.loops().values() {
            let _ = handle.to.send(make());
        }
    }

    /// Milliseconds since the tree was taken up, from 1: a clock that nobody sets.
    pub(crate) fn clock(&self) -> i64 {
        self.began.elapsed().as_millis() as i64 + 1
    }

    /// The run whose user logic has run longest without a pause, and for how many milliseconds.
    pub(crate) fn longest_stretch(&self) -> Option<(RunId, u64)> {
        let at = self.clock();
        let loops = self.loops();
        let running = loops.iter().filter_map(|(run, handle)| {
            let since = handle.driving_since.load(Ordering::Relaxed);
            (since > 0).then(|| (run.clone(), (at - since).max(0) as u64))
        });
        running.max_by_key(|(_, ms)| *ms)
    }

    /// The next occurrence of a cache key in this tree, from 1.
    pub(crate) fn next_occurrence(&self, key: Hash) -> u32 {
        let mut counts = self.occurrences.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_insert(0);
        *count += 1;
        *count
    }

    /// Counts a lookup that an earlier incarnation made.
    pub(crate) fn recorded_occurrence(&self, key: Hash, occurrence: u32) {
        let mut counts = self.occurrences.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_insert(0);
        *count = (*count).max(occurrence);
    }

    /// The id of the child run that a call of `run` starts.
    pub(crate) fn child_id(run: &RunId, call: CallId) -> RunId {
        RunId::child(run, call)
    }

    /// Calls at once on a provider.
    pub(crate) fn concurrency(&self, provider: &str) -> u32 {
        let env = |name: &str| self.services.env.get(name).map(str::to_owned);
        self.providers.concurrency(provider, &env, self.settings.concurrency)
    }

    /// A schema, compiled once a tree.
    pub(crate) fn schema(&self, schema: &Value) -> Result<Arc<CompiledSchema>, CallError> {
        let key = Hash::of(canonical(schema));
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        schemas.entry(key).or_insert_with(|| compile(schema).map(Arc::new)).clone()
    }

    /// Notes that an attempt begins; the result is kept while a mutating one runs.
    pub(crate) fn mutation(&self, mutating: bool) -> Option<Mutation> {
        mutating.then(|| {
            self.mutations.begun.fetch_add(1, Ordering::SeqCst);
            self.mutations.running.fetch_add(1, Ordering::SeqCst);
            Mutation(Arc::clone(&self.mutations))
        })
    }

    /// How many mutating attempts have begun, and whether one runs now.
    pub(crate) fn mutations(&self) -> (u64, bool) {
        (self.mutations.begun.load(Ordering::SeqCst), self.mutations.running.load(Ordering::SeqCst) > 0)
    }

    /// The state of the workspace, looked at now or a moment ago.
    pub(crate) fn workspace(&self, cwd: &Path, scope: Option<&[String]>, excluded: &[PathBuf]) -> Option<Seen> {
        let mutations = self.mutations();
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.retain(|look| look.at.elapsed() < LOOK_COUNTS && look.mutations == mutations && !mutations.1);
        let same = |look: &&Looked| look.cwd == cwd && look.scope.as_deref() == scope && look.excluded == excluded;
        if let Some(look) = looked.iter().find(same) {
            return look.seen.clone();
        }
        let at = Instant::now();
        let seen = super::workspace::look(cwd, scope, excluded);
        let (scope, excluded) = (scope.map(<[String]>::to_vec), excluded.to_vec());
        looked.push(Looked { cwd: cwd.to_owned(), scope, excluded, mutations, at, seen: seen.clone() });
        seen
    }

    /// To be kept as long as an attempt of a provider that winds down runs.
    pub(crate) fn winding(&self) -> Arc<()> {
        Arc::clone(&self.winding)
    }

    /// To be kept as long as cleanups of a run of the tree run.
    pub(crate) fn cleaning(&self) -> Arc<()> {
        Arc::clone(&self.cleaning)
    }

    /// Whether cleanups run: each has a time of its own, and whoever waits for the run waits for them.
    pub(crate) fn is_cleaning(&self) -> bool {
        Arc::strong_count(&self.cleaning) > 1
    }

    /// Waits until no attempt winds down any more, at most `patience`; whether that is so.
    pub(crate) fn wait_for_attempts(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Arc::strong_count(&self.winding) > 1 {
            if Instant::now() >= until {
                return false;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        true
    }

    /// Says that the execution of the tree has ended; only the first word counts.
    pub(crate) fn give_up(&self, end: RunEnd) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
        self.ended.notify_all();
    }

    /// Waits until the execution has ended.
    pub(crate) fn ended(&self) -> RunEnd {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*end {
                Some(end) => return end.clone(),
                None => end = self.ended.wait(end).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
