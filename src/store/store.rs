//! The handle to an open store: one writer thread, a few read-only connections, the leases this process holds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::core::ids::RunId;
use crate::store::current::Files;
use crate::store::error::{NewerStore, StoreError};
use crate::store::home::{self, Found};
use crate::store::journal::Folder;
use crate::store::migrations::{self, FORMAT, State};
use crate::store::ticket::Ticket;
use crate::store::writer::{self, Append, Prepared, Queue, Tx};

/// How many read-only connections are kept open.
const KEPT_READERS: usize = 4;
/// Prepared statements kept per connection.
const STATEMENTS: usize = 96;

/// What may be done on opening a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Open it; make it where nothing or an empty directory is.
    Create,
    /// Open it; it must be there.
    Existing,
    /// Open it for reading alone; it must be there.
    ReadOnly,
}

/// Settings of a store, for tests and slow disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// The greatest size of the database in pages of 4,096 bytes; none = no limit.
    pub max_page_count: Option<u32>,
    /// Milliseconds to wait for other processes that write.
    pub busy_timeout_ms: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { max_page_count: None, busy_timeout_ms: 10_000 }
    }
}

/// A store. Cheap to clone; when the last clone goes, everything queued is written and the files are closed.
#[derive(Clone)]
pub struct Store(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) home: PathBuf,
    pub(super) options: StoreOptions,
    newer: Option<NewerStore>,
    /// The files that were opened; none when that cannot be told.
    pub(super) files: Option<Files>,
    readers: Mutex<Vec<Connection>>,
    /// How readers open the database.
    reading: Reading,
    access: Access,
    /// Leases this handle has given out, by root.
    pub(super) leases: Mutex<HashMap<RunId, u64>>,
    /// The home of a store made for a test; goes last.
    _temporary: Option<tempfile::TempDir>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Shared,
    /// The directory cannot be written, so nobody else writes either.
    Immutable,
}

enum Access {
    Write { queue: Arc<Queue>, thread: Option<JoinHandle<()>> },
    Refused(StoreError),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("home", &self.0.home).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Access::Write { queue, thread } = &mut self.access {
            queue.close();
            if let Some(thread) = thread.take()
                && thread.thread().id() != std::thread::current().id()
            {
                // A writer that panicked has failed its tickets already.
                let _ = thread.join();
            }
        }
    }
}

impl Store {
    /// Opens the store in `home` with default options.
    ///
    /// # Errors
    /// See [`Store::open_with`].
    pub fn open(home: &Path, mode: OpenMode) -> Result<Self, StoreError> {
        Self::open_with(home, mode, StoreOptions::default())
    }

    /// Opens the store in `home`. A store of a newer format that this program may read opens for reading: see
    /// [`Store::newer`].
    ///
    /// # Errors
    /// `NoStore`, `HomeNotAStore`, `NotWritable`, `Newer` when it cannot even be read, or what the database says.
    pub fn open_with(home: &Path, mode: OpenMode, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_in(home.to_owned(), mode, options, None)
    }

    /// A store of its own in a temporary directory that goes with it.
    ///
    /// # Errors
    /// When no temporary directory can be made.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::in_memory_with(StoreOptions::default())
    }

    /// Like [`Store::in_memory`], with options.
    ///
    /// # Errors
    /// When no temporary directory can be made.
    pub fn in_memory_with(options: StoreOptions) -> Result<Self, StoreError> {
        let dir = tempfile::tempdir().map_err(|error| StoreError::file(&std::env::temp_dir(), &error))?;
        Self::open_in(dir.path().join("home"), OpenMode::Create, options, Some(dir))
    }

    fn open_in(
        home: PathBuf,
        mode: OpenMode,
        options: StoreOptions,
        temporary: Option<tempfile::TempDir>,
    ) -> Result<Self, StoreError> {
        match (home::inspect(&home), mode) {
            (Ok(Found::Store), _) => {}
            (Ok(Found::Room), OpenMode::Create) => {
                home::create(&home)?;
                home::touch_database(&home)?;
            }
            (Ok(Found::Room), OpenMode::Existing | OpenMode::ReadOnly) => {
                return Err(StoreError::NoStore { home: home.display().to_string() });
            }
            (Err(error), _) => return Err(error),
        }
        let at_home = |error: StoreError| match error {
            StoreError::NotWritable { cause, .. } => {
                StoreError::NotWritable { home: home.display().to_string(), cause }
            }
            other => other,
        };
        let before = Files::database_of(&home);
        let opened = match mode {
            OpenMode::Create | OpenMode::Existing => open_for_writing(&home, options).map_err(at_home)?,
            OpenMode::ReadOnly => Opened::Refused(StoreError::NotWritable {
                home: home.display().to_string(),
                cause: "it was opened for reading".to_owned(),
            }),
        };
        let (access, newer, reading) = match opened {
            Opened::Writer(db) => {
                home::furnish(&home)?;
                (start_writer(db)?, None, Reading::Shared)
            }
            Opened::Newer(newer) => (Access::Refused(StoreError::Newer(newer.clone())), Some(newer), Reading::Shared),
            Opened::Refused(error) => {
                let (newer, reading) = look(&home, options).map_err(at_home)?;
                let error = newer.clone().map_or(error, StoreError::Newer);
                (Access::Refused(error), newer, reading)
            }
        };
        let files = Files::of(&home).filter(|files| before == Some(files.database));
        Ok(Self(Arc::new(Inner {
            home,
            options,
            newer,
            files,
            readers: Mutex::new(Vec::new()),
            reading,
            access,
            leases: Mutex::new(HashMap::new()),
            _temporary: temporary,
        })))
    }

    /// The home.
    pub fn home(&self) -> &Path {
        &self.0.home
    }

    /// The directory of a run's files.
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        home::run_dir(&self.0.home, run)
    }

    /// Set when the store has a newer format: it is open for reading alone.
    pub fn newer(&self) -> Option<&NewerStore> {
        self.0.newer.as_ref()
    }

    /// The format this program writes.
    pub fn format(&self) -> u32 {
        self.0.newer.as_ref().map_or(FORMAT, |newer| newer.format)
    }

    fn queue(&self) -> Result<&Arc<Queue>, StoreError> {
        match &self.0.access {
            Access::Write { queue, .. } => Ok(queue),
            Access::Refused(error) => Err(error.clone()),
        }
    }

    /// Whether this handle may write at all, and if not, why.
    ///
    /// # Errors
    /// `Newer` or `NotWritable`.
    pub fn writable(&self) -> Result<(), StoreError> {
        self.queue().map(|_| ())
    }

    /// Queues events to the writer and returns at once, unless 4,096 events or 8 MB wait. Events of a run are appended in
    /// the order of the calls. Every transaction checks the epoch; once an append of an epoch has failed, all later ones
    /// fail: nothing is written after a hole.
    pub fn append(&self, append: Append) -> Ticket {
        let queue = match self.queue() {
            Ok(queue) => queue,
            Err(error) => return Ticket::settled(Err(error)),
        };
        let owner = (append.root.clone(), append.epoch);
        match Prepared::new(append) {
            Ok(prepared) => queue.append(prepared),
            // Through the queue, so that the owner writes nothing after this hole either.
            Err(error) => queue.task("append", Some(owner), Box::new(move |_| Err(error))),
        }
    }

    /// Waits until everything queued so far is on disk. It fails only when the writer itself does; a failed append tells
    /// its own ticket.
    ///
    /// # Errors
    /// When the writer cannot write at all.
    pub fn flush(&self) -> Result<(), StoreError> {
        match self.queue() {
            Ok(queue) => queue.task("flush", None, Box::new(|_| Ok(()))).wait(),
            Err(_) => Ok(()),
        }
    }

    /// Whether there is a writer thread at work.
    pub(super) fn writes(&self) -> bool {
        matches!(&self.0.access, Access::Write { thread: Some(thread), .. } if !thread.is_finished())
    }

    /// Lets the writer read afresh what it keeps of runs.
    pub(super) fn forget_rows(&self) {
        if let Ok(queue) = self.queue() {
            queue.forget();
        }
    }

    /// Does `work` in the writer's transaction and waits for its commit.
    pub(super) fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_as(name, None, work)
    }

    /// The same on behalf of an owner, who writes nothing more when it fails.
    pub(super) fn write_as<T: Send + 'static>(
        &self,
        name: &'static str,
        owner: Option<(RunId, u64)>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot = Arc::new(Mutex::new(None));
        let theirs = Arc::clone(&slot);
        let job = Box::new(move |tx: &mut Tx<'_>| {
            let value = work(tx)?;
            *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        });
        self.queue()?.task(name, owner, job).wait()?;
        let value = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(|| StoreError::Internal(format!("{name} gave no result")))
    }

    /// Queues `work` without waiting.
    pub(super) fn queue_work(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Ticket {
        match self.queue() {
            Ok(queue) => queue.task(name, None, Box::new(work)),
            Err(error) => Ticket::settled(Err(error)),
        }
    }

    /// Reads in one snapshot, on a connection of its own.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let db = self.reader()?;
        db.prepare_cached("BEGIN")?.execute([])?;
        let result = work(&db);
        // A connection that cannot end its transaction is not used again.
        let ended = db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).is_ok();
        if ended {
            self.keep(db);
        }
        result
    }

    /// Reads with one statement, which is a snapshot by itself.
    pub(super) fn read_one<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let db = self.reader()?;
        let result = work(&db)?;
        self.keep(db);
        Ok(result)
    }

    /// A connection for reading: one that was kept, else a new one.
    fn reader(&self) -> Result<Connection, StoreError> {
        let kept = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(db) => Ok(db),
            None => open_reader(&self.0.home, self.0.options, self.0.reading),
        }
    }

    fn keep(&self, db: Connection) {
        let mut readers = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < KEPT_READERS {
            readers.push(db);
        }
    }
}

enum Opened {
    Writer(Connection),
    Newer(NewerStore),
    /// It can be read at best.
    Refused(StoreError),
}

fn open_for_writing(home: &Path, options: StoreOptions) -> Result<Opened, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let not_writable =
        |cause: &str| StoreError::NotWritable { home: home.display().to_string(), cause: cause.to_owned() };
    let mut db = match Connection::open_with_flags(home::database(home), flags) {
        Ok(db) => db,
        Err(error) => {
            return match StoreError::from(error) {
                StoreError::NotWritable { cause, .. } => Ok(Opened::Refused(not_writable(&cause))),
                error => Err(error),
            };
        }
    };
    db.busy_timeout(Duration::from_millis(options.busy_timeout_ms))?;
    if db.is_readonly("main")? {
        return Ok(Opened::Refused(not_writable("the database is read-only")));
    }
    let state = match migrations::state(&db) {
        Ok(State::Newer(newer)) => return Ok(Opened::Newer(newer)),
        Ok(State::TooNew(newer)) => return Err(StoreError::Newer(newer)),
        Ok(State::Foreign) => return Err(foreign(home)),
        Ok(state @ (State::Empty | State::Known(_))) => state,
        Err(StoreError::NotWritable { cause, .. }) => return Ok(Opened::Refused(not_writable(&cause))),
        Err(error) => return Err(error),
    };
    configure(&db, options)?;
    if state != State::Known(FORMAT) {
        migrations::migrate(&mut db)?;
    }
    if let Some(pages) = options.max_page_count {
        db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(Opened::Writer(db))
}

fn foreign(home: &Path) -> StoreError {
    StoreError::HomeNotAStore {
        home: home.display().to_string(),
        why: format!("holds a {} of another program", home::DATABASE),
        hint: format!("did you mean {}?", home.join(".workflows").display()),
    }
}

fn configure(db: &Connection, options: StoreOptions) -> Result<(), StoreError> {
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Takes effect in a new database only; prune gives pages back with it.
    db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    let deadline = Instant::now() + Duration::from_millis(options.busy_timeout_ms);
    loop {
        // Two processes that switch at once are told so without the busy timeout.
        match db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => break,
            Ok(mode) => return Err(StoreError::Io(format!("the journal mode is {mode} and cannot be WAL"))),
            Err(error) => match StoreError::from(error) {
                StoreError::Busy if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                error => return Err(error),
            },
        }
    }
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = 1; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY; \
         PRAGMA journal_size_limit = 67108864;",
    )?;
    Ok(())
}

fn start_writer(db: Connection) -> Result<Access, StoreError> {
    let queue = Arc::new(Queue::default());
    let theirs = Arc::clone(&queue);
    let thread = std::thread::Builder::new()
        .name("owf store".to_owned())
        .spawn(move || writer::run(db, &theirs))
        .map_err(|error| StoreError::Internal(format!("no thread for the writer: {error}")))?;
    Ok(Access::Write { queue, thread: Some(thread) })
}

/// Reads the format through a reader, finding out how readers must open the database.
fn look(home: &Path, options: StoreOptions) -> Result<(Option<NewerStore>, Reading), StoreError> {
    let attempt = |reading| open_reader(home, options, reading).and_then(|db| migrations::state(&db));
    let (state, reading) = match attempt(Reading::Shared) {
        Err(StoreError::NotWritable { .. }) => (attempt(Reading::Immutable)?, Reading::Immutable),
        state => (state?, Reading::Shared),
    };
    match state {
        State::Known(_) => Ok((None, reading)),
        State::Newer(newer) => Ok((Some(newer), reading)),
        State::TooNew(newer) => Err(StoreError::Newer(newer)),
        State::Empty => Err(StoreError::NoStore { home: home.display().to_string() }),
        State::Foreign => Err(foreign(home)),
    }
}

fn open_reader(home: &Path, options: StoreOptions, reading: Reading) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let path = home::database(home);
    let db = match reading {
        Reading::Shared => Connection::open_with_flags(&path, flags)?,
        Reading::Immutable => {
            let text = path.display().to_string();
            let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    db.busy_timeout(Duration::from_millis(options.busy_timeout_ms))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

impl Tx<'_> {
    /// The number of a run that must be there.
    pub(super) fn number(&mut self, run: &RunId) -> Result<i64, StoreError> {
        self.folder.number(self.db, run)
    }

    /// Makes the rows of this transaction visible to SQL.
    pub(super) fn folder(&mut self) -> (&rusqlite::Connection, &mut Folder) {
        (self.db, self.folder)
    }
}
