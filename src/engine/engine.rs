//! The engine: the whole API of the product, the same for the command line and for coding agents.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::core::event::EventRecord;
use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::core::run::RunStatus;
use crate::store::{OpenMode, Store, StoreError, StoreOptions};

use super::execute::RunHandle;
use super::journal::now;
use super::params::{
    CancelParams, DecideParams, Detail, DryRunParams, InitParams, ListWorkflowsParams, NewWorkflowParams, ResumeParams,
    RunParams, Until, ValidateParams, WaitParams,
};
use super::query::{Bound, Query, QueryEnv, RunScope};
use super::run_end::RunEnd;
use super::services::{Services, directories};
use super::view::{
    DecisionView, DryRunView, InitView, NewWorkflowView, ProviderRow, ResumedHow, RunView, UndoView, ValidateView,
    Woke, WorkflowsView,
};

/// How often a wait looks at the store.
const LOOK: Duration = Duration::from_millis(25);

/// How a run is to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// By threads of this process.
    InProcess {
        /// Whether it stays while only approvals are pending: somebody is asked here.
        linger_on_approvals: bool,
    },
    /// By a process of its own that outlives this one.
    Detached,
}

/// A run that was started or resumed.
pub struct Started {
    /// The run.
    pub run_id: RunId,
    /// Whether a request key found an earlier start.
    pub joined: bool,
    /// How a resume went on.
    pub resumed: Option<ResumedHow>,
    /// The execution, when it is in this process.
    pub handle: Option<RunHandle>,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started").field("run_id", &self.run_id).field("joined", &self.joined).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("home", &self.home).finish_non_exhaustive()
    }
}

/// The engine over one home. Cheap to clone; opens the store at first use.
#[derive(Clone)]
pub struct Engine {
    services: Arc<Services>,
    home: PathBuf,
    options: StoreOptions,
    store: Arc<Mutex<Option<Store>>>,
    bound: Bound,
}

impl Engine {
    /// An engine over the store in `home`, which need not exist yet.
    pub fn new(services: Services, home: PathBuf) -> Self {
        let (options, store) = (StoreOptions::default(), Arc::default());
        Self { services: Arc::new(services), home, options, store, bound: Bound::None }
    }

    /// The same with other settings of the store, which is not open yet.
    #[must_use]
    pub fn with_store_options(mut self, options: StoreOptions) -> Self {
        self.options = options;
        self
    }

    /// The same with replies that a model can read at once.
    #[must_use]
    pub fn for_model(mut self) -> Self {
        self.bound = Bound::Model;
        self
    }

    /// Opens the store anew at its next use if it no longer is the one in the home, where others may have removed, replaced or
    /// upgraded it; else forgets what was kept of its runs. For an engine that serves more than one request.
    pub fn renew(&self) {
        let slot = || self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = slot().clone() else { return };
        if store.is_current() {
            store.forget();
            return;
        }
        // Somebody may have opened it anew meanwhile.
        let gone = slot().take_if(|kept| kept.same(&store));
        // The last to let go of a store closes it, which takes its time.
        drop(gone);
    }

    /// The home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The services, for the surfaces.
    pub fn services(&self) -> &Services {
        &self.services
    }

    fn open(&self, mode: OpenMode) -> Result<Store, StoreError> {
        let mut slot = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*slot {
            return Ok(store.clone());
        }
        let store = Store::open_with(&self.home, mode, self.options)?;
        *slot = Some(store.clone());
        // What earlier runs observed makes the estimates of this one better; nothing depends on it.
        for seen in store.observed().unwrap_or_default() {
            let estimates = &self.services.config.setup.estimates;
            estimates.learn(&seen.provider, &seen.model, seen.milli_bytes_per_token);
        }
        Ok(store)
    }

    /// The store, made when it is not there.
    pub(crate) fn writable(&self) -> Result<Store, Failure> {
        let store = self.open(OpenMode::Create)?;
        store.writable()?;
        Ok(store)
    }

    /// The store as it is.
    ///
    /// # Errors
    /// `not_found` when there is none.
    pub(crate) fn existing(&self) -> Result<Store, Failure> {
        self.open(OpenMode::Existing).map_err(|error| match error {
            StoreError::NoStore { home } => Failure::new(Code::NotFound, format!("no runs yet in {home}"))
                .hint("owf run FILE, or --home for another store")
                .with("what", "run")
                .with("home", home),
            other => other.into(),
        })
    }

    /// Runs `ask` over the store as it is.
    pub(crate) fn query<T>(&self, ask: impl FnOnce(Query<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let env = QueryEnv {
            now: now(),
            real_providers: self.providers_here(),
            providers: Vec::new(),
            config: Vec::new(),
            bound: self.bound,
        };
        self.query_in(&env, ask)
    }

    /// The same with an environment of its own.
    pub(crate) fn query_in<T>(
        &self,
        env: &QueryEnv,
        ask: impl FnOnce(Query<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let store = self.existing()?;
        ask(Query { store: &store, env })
    }

    /// What a query can know, every provider included: asking all of them whether they can be used takes its time.
    pub(crate) fn full_env(&self) -> QueryEnv {
        let registry = &self.services.registry;
        let row = |name: String| {
            let provider = registry.get(&name)?;
            let found = provider.availability();
            let (available, version) = (found.available, found.version);
            let known = || super::providers::of_service(&self.services, &name, provider.kind());
            let message = found.message.or_else(known);
            Some(ProviderRow { name, available, version, login: None, message })
        };
        let providers = registry.known_names().into_iter().filter_map(row).collect();
        QueryEnv {
            now: now(),
            real_providers: self.providers_here(),
            providers,
            config: super::providers::facts(&self.services.config),
            bound: self.bound,
        }
    }

    /// The real providers found on this machine that this owf can ask, with what is known of their version.
    pub fn providers_here(&self) -> Vec<String> {
        let env = |name: &str| self.services.env.get(name).map(str::to_owned);
        let mut names = crate::providers::detect(self.services.env.get("PATH").unwrap_or_default(), &env).names();
        names.retain(|name| self.services.registry.get(name).is_some_and(|p| p.availability().available));
        names
    }

    /// Makes the home.
    ///
    /// # Errors
    /// `home_not_a_store`, `not_writable`, `store_newer`.
    pub fn init(&self, _params: &InitParams) -> Result<InitView, Failure> {
        let there = self.home.join("workflow.sqlite").exists();
        self.writable()?;
        let next = "owf new PATH writes a workflow from a template; owf run FILE runs it".to_owned();
        Ok(InitView { home: self.home.display().to_string(), created: !there, next })
    }

    /// Checks a workflow without running it. Errors in the script are part of the view (`ok: false`).
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `invalid_arguments`.
    pub fn validate(&self, params: &ValidateParams) -> Result<ValidateView, Failure> {
        let (cwd, _) = directories(&self.services, params.workspace.as_deref());
        super::validate::validate(
            params,
            &cwd,
            self.services.user_home.as_deref(),
            &self.services.registry,
            Some(&self.services),
        )
    }

    /// Executes a workflow in memory with generated answers; records nothing.
    ///
    /// # Errors
    /// As [`Engine::start`], before anything is executed.
    pub fn dry_run(&self, params: &DryRunParams) -> Result<DryRunView, Failure> {
        super::rehearse::dry_run(self, params)
    }

    /// The workflows that can be run by name here, and the templates.
    ///
    /// # Errors
    /// None today; the signature leaves room.
    pub fn list_workflows(&self, params: &ListWorkflowsParams) -> Result<WorkflowsView, Failure> {
        let (cwd, _) = directories(&self.services, params.workspace.as_deref());
        Ok(super::workflows::list_workflows(params, &cwd, self.services.user_home.as_deref()))
    }

    /// Writes a workflow file from a template.
    ///
    /// # Errors
    /// `not_found` (template), `exists`, `path_refused`, `not_writable`.
    pub fn new_workflow(&self, params: &NewWorkflowParams) -> Result<NewWorkflowView, Failure> {
        super::workflows::new_workflow(params, &self.services.cwd)
    }

    /// Starts a workflow. Everything is checked before the run is recorded; it is recorded before it is executed.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `invalid_workflow`, `invalid_arguments`, provider and price errors, store errors.
    pub fn start(&self, params: &RunParams, how: Execution) -> Result<Started, Failure> {
        let store = self.writable()?;
        let recorded = super::start::record(params, &self.services, &store)?;
        let super::start::Recorded { run_id, joined } = recorded;
        let handle = if joined { None } else { self.execute(&store, &run_id, how)? };
        Ok(Started { run_id, joined, resumed: None, handle })
    }

    /// Goes on with a run: in place, or as a new run that reuses finished calls.
    ///
    /// # Errors
    /// `not_found`, `run_is_live`, `nothing_to_resume`, and those of [`Engine::start`].
    pub fn resume(&self, params: &ResumeParams, how: Execution) -> Result<Started, Failure> {
        self.existing()?;
        let store = self.writable()?;
        let ready = super::resume::prepare(params, &self.services, &store)?;
        let handle = if ready.joined { None } else { self.execute(&store, &ready.run_id, how)? };
        let (run_id, joined) = (ready.run_id, ready.joined);
        Ok(Started { run_id, joined, resumed: Some(ready.how), handle })
    }

    fn execute(&self, store: &Store, run: &RunId, how: Execution) -> Result<Option<RunHandle>, Failure> {
        match how {
            Execution::Detached => {
                super::supervise::spawn(store, &self.services, run)?;
                Ok(None)
            }
            Execution::InProcess { linger_on_approvals } => {
                Ok(Some(super::supervise::take_up(store, &self.services, run, linger_on_approvals)?))
            }
        }
    }

    /// Executes a recorded run in this process until it ends, pauses, or the system asks the process to end.
    ///
    /// # Errors
    /// `run_is_live`, `not_found`, store errors.
    pub fn supervise(&self, run: &str) -> Result<(), Failure> {
        let store = self.existing()?;
        super::supervise::leave_session();
        let run = super::reference::resolve(&store, Some(run))?;
        let handle = Arc::new(super::supervise::take_up(&store, &self.services, &run, false)?);
        let told = Arc::clone(&handle);
        self.on_terminate(move || told.interrupt());
        while !handle.wait_ended(Duration::from_hours(1)) {}
        match handle.end() {
            Some(RunEnd::Lost(why)) => Err(*why),
            Some(_) | None => Ok(()),
        }
    }

    /// Ends a run or one call of it.
    ///
    /// # Errors
    /// `not_found`, `run_ended`, `invalid_arguments` (also for `latest`), store errors.
    pub fn cancel(&self, params: &CancelParams, by: &str) -> Result<RunView, Failure> {
        let run = super::control::cancel(&self.existing()?, self.services(), params, by)?;
        let mut view = self.view(&run)?;
        view.cancel_requested = Some(true);
        Ok(view)
    }

    /// Takes a finished call of a tool back, or the `nth` use of a tool by the call's agent; with `repeat` also when that was begun before and nobody knows how it ended.
    ///
    /// # Errors
    /// `undo_refused`, `undo_failed`, `not_found`, `invalid_arguments` (also for `latest`), store errors.
    pub fn undo(&self, run: &str, call: &str, nth: Option<u32>, repeat: bool) -> Result<UndoView, Failure> {
        if run.trim() == "latest" {
            let message = "taking a call back needs the run's id: the latest run may be another than you think";
            return Err(Failure::new(Code::InvalidArguments, message));
        }
        let (run, call) = self.query(|q| q.resolve_call(Some(run), call))?;
        super::undo::undo(&self.existing()?, &self.services, &run, call, nth, repeat)
    }

    /// Asks a run to start nothing more, let running attempts finish, and pause.
    ///
    /// # Errors
    /// `not_found`, `run_ended`, store errors.
    pub fn pause(&self, run: &str, by: &str) -> Result<RunView, Failure> {
        let run = super::control::pause(&self.existing()?, run, by)?;
        self.view(&run)
    }

    /// Records a person's answer to a question; a run that waits for it is started again.
    ///
    /// # Errors
    /// `already_decided`, `approval_expired`, `content_changed`, `person_required`, `not_found`, `run_ended`.
    pub fn decide(&self, params: &DecideParams, by: &str, via: &str, person: bool) -> Result<RunView, Failure> {
        let store = self.existing()?;
        let decided = super::control::decide(&store, &self.services, params, by, via, person)?;
        let mut view = self.view(&decided.named)?;
        let rows = self.query(|q| q.approval(&decided.asker, decided.approval_id))?;
        view.decision = rows.map(|row| DecisionView {
            approval_id: row.approval_id,
            state: row.state,
            decided_at: row.decided_at.unwrap_or_else(|| now().rfc3339()),
            decided_via: row.decided_via.unwrap_or_else(|| via.to_owned()),
        });
        Ok(view)
    }

    /// Waits for news of a run, at most `timeout_seconds` (20 when not given).
    ///
    /// # Errors
    /// `not_found`, `invalid_arguments` for a bad cursor.
    pub fn wait(&self, params: &WaitParams) -> Result<RunView, Failure> {
        let most = Duration::from_secs(u64::from(params.timeout_seconds.unwrap_or(20)));
        self.wait_while(params, most, &mut |_| true)
    }

    /// Waits for news of a run, at most so long, and only while `go_on` says so, which is asked at every look at the store.
    ///
    /// # Errors
    /// As [`Engine::wait`].
    pub fn wait_while(
        &self,
        params: &WaitParams,
        most: Duration,
        go_on: &mut dyn FnMut(&RunId) -> bool,
    ) -> Result<RunView, Failure> {
        let store = self.existing()?;
        let run = super::reference::resolve(&store, params.run_id.as_deref())?;
        let (woke, waited_ms) = Self::until_news(&store, &run, params, most, go_on)?;
        let detail = params.detail.unwrap_or_default();
        let cursor = params.cursor.clone();
        self.query(|q| {
            let view = q.run_view(&run, &RunScope::Wait { cursor, detail })?;
            Ok(q.told(view, woke, waited_ms))
        })
    }

    /// The reply to a start or a resume, once the run has ended or paused, at most after `most`.
    ///
    /// # Errors
    /// Store errors.
    pub fn follow(
        &self,
        started: &Started,
        detail: Detail,
        most: Duration,
        go_on: &mut dyn FnMut(&RunId) -> bool,
    ) -> Result<RunView, Failure> {
        let store = self.existing()?;
        let until = WaitParams { until: Some(Until::End), ..WaitParams::default() };
        Self::until_news(&store, &started.run_id, &until, most, go_on)?;
        let mut view = self.query(|q| q.run_view(&started.run_id, &RunScope::Start { detail }))?;
        view.resumed = started.resumed;
        view.joined = started.joined.then_some(true);
        Ok(view)
    }

    /// Looks at a run until there is news; says why it stopped and after how many milliseconds.
    fn until_news(
        store: &Store,
        run: &RunId,
        params: &WaitParams,
        most: Duration,
        go_on: &mut dyn FnMut(&RunId) -> bool,
    ) -> Result<(Woke, u64), Failure> {
        let began = Instant::now();
        let until = params.until.unwrap_or_default();
        let woke = loop {
            // Looking needs neither providers nor programs.
            let env = QueryEnv { now: now(), ..QueryEnv::default() };
            let look = Query { store, env: &env };
            if let Some(woke) = look.woke(run, params.cursor.as_deref(), until)? {
                break woke;
            }
            if began.elapsed() >= most || !go_on(run) {
                break Woke::Timeout;
            }
            std::thread::park_timeout(LOOK.min(most.saturating_sub(began.elapsed())));
        };
        Ok((woke, began.elapsed().as_millis() as u64))
    }

    /// One run as it stands.
    pub(crate) fn view(&self, run: &RunId) -> Result<RunView, Failure> {
        self.query(|q| q.run_view(run, &RunScope::Start { detail: Detail::Concise }))
    }

    /// Committed events of a run after `after_seq`, at most `limit`.
    ///
    /// # Errors
    /// `not_found`, store errors.
    pub fn events(&self, run: &str, after_seq: u64, limit: usize) -> Result<Vec<EventRecord>, Failure> {
        let store = self.existing()?;
        let run = match run.parse() {
            Ok(run) => run,
            Err(_) => super::reference::resolve(&store, Some(run))?,
        };
        Ok(store.events(&run, after_seq, limit)?)
    }

    /// The run a reference means: an id, a unique prefix, a unique prefix of its random part, `latest`.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn resolve(&self, reference: &str) -> Result<RunId, Failure> {
        super::reference::resolve(&self.existing()?, Some(reference))
    }

    /// The status of a run now.
    ///
    /// # Errors
    /// `not_found`, store errors.
    pub fn status_of(&self, run: &RunId) -> Result<RunStatus, Failure> {
        let store = self.existing()?;
        let row = super::resume::found(&store, run)?;
        Ok(store.effective_status(&row, now()).0)
    }

    /// Counts every Ctrl-C from now on.
    pub fn interrupts(&self) -> Arc<AtomicU32> {
        let count = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&count);
        self.on_signal(tokio::signal::unix::SignalKind::interrupt(), move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        count
    }

    /// Calls `callback` at every request of the system to end (SIGTERM).
    pub fn on_terminate(&self, callback: impl Fn() + Send + 'static) {
        self.on_signal(tokio::signal::unix::SignalKind::terminate(), callback);
    }

    /// One listener for all signals of a kind, in place when this returns: none is lost between two of them or before the first
    /// look.
    fn on_signal(&self, kind: tokio::signal::unix::SignalKind, callback: impl Fn() + Send + 'static) {
        let _inside = self.services.runtime.enter();
        let Ok(mut signals) = tokio::signal::unix::signal(kind) else { return };
        self.services.runtime.spawn(async move {
            while signals.recv().await.is_some() {
                callback();
            }
        });
    }
}
