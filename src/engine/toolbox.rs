//! The file tools as a provider's tool box: off the asynchronous threads, one writer at a time in a directory, each call bounded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use serde_json::Value;

use crate::core::file_rules::FileRules;
use crate::core::redact::Redactor;
use crate::providers::{AttemptRequest, BoxFuture, FileTools, ToolBox, ToolSpec};
use crate::tools::{Bounds, Files, Grant, Kind};

use super::effects::Effects;

/// One lock for each directory that is written to, shared by all attempts of this process.
type Locks = HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>;

static WRITERS: LazyLock<Mutex<Locks>> = LazyLock::new(Mutex::default);

/// The tools of an attempt; none when it may use none.
///
/// # Errors
/// One sentence: a scope or rule that cannot be read.
pub(crate) fn of(
    request: &AttemptRequest,
    rules: &FileRules,
    secrets: Redactor,
    effects: &Arc<Effects>,
) -> Result<Option<Arc<dyn ToolBox>>, String> {
    let found = FileTools::of(request);
    if !found.any() {
        return Ok(None);
    }
    let offered =
        [(found.read, Kind::Read), (found.list, Kind::List), (found.search, Kind::Search), (found.write, Kind::Write)];
    let ask = &request.spec.ask;
    let grant = Grant {
        tools: offered.into_iter().filter(|(on, _)| *on).map(|(_, kind)| kind).collect(),
        // An empty scope is a scope with nothing in it.
        read: ask.read_scope.clone(),
        // In a worktree of its own, without a scope, everything may be written.
        write: match ask.write_scope.clone() {
            Some(paths) => Some(paths),
            None if ask.isolation.is_some() => None,
            None => Some(Vec::new()),
        },
    };
    let files = Files::new(&request.cwd, grant, rules, Bounds::default())?.with_secrets(secrets);
    let writer = writer(files.dir());
    Ok(Some(Arc::new(Box { files: Arc::new(files), writer, effects: Arc::clone(effects) })))
}

/// The lock of those who write in a directory.
fn writer(dir: &Path) -> Arc<tokio::sync::Mutex<()>> {
    let mut writers = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lock) = writers.get(dir).and_then(Weak::upgrade) {
        return lock;
    }
    writers.retain(|_, lock| lock.strong_count() > 0);
    let lock = Arc::new(tokio::sync::Mutex::new(()));
    writers.insert(dir.to_path_buf(), Arc::downgrade(&lock));
    lock
}

struct Box {
    files: Arc<Files>,
    writer: Arc<tokio::sync::Mutex<()>>,
    effects: Arc<Effects>,
}

impl Box {
    /// Writes a file: behind the others who write there, and once it is on record that it will be.
    async fn write(&self, kind: Kind, arguments: Value) -> Result<String, String> {
        let guard = Arc::clone(&self.writer).lock_owned().await;
        let target = arguments.get("path").and_then(Value::as_str);
        let number = self.effects.begin(kind.name(), target, None).await?;
        let (files, effects) = (Arc::clone(&self.files), Arc::clone(&self.effects));
        // Lock and last word stay with the work, also when nobody waits for it any more.
        let work = tokio::task::spawn_blocking(move || {
            let result = files.call(kind, &arguments);
            effects.ended(number, &result);
            drop(guard);
            result
        });
        work.await.unwrap_or_else(|_| Err(format!("{} broke off", kind.name())))
    }

    async fn read(&self, kind: Kind, arguments: Value) -> Result<String, String> {
        let files = Arc::clone(&self.files);
        let work = tokio::task::spawn_blocking(move || files.call(kind, &arguments));
        work.await.unwrap_or_else(|_| Err(format!("{} broke off", kind.name())))
    }
}

impl ToolBox for Box {
    fn tools(&self) -> Vec<ToolSpec> {
        let spec = |kind: &Kind| ToolSpec {
            name: kind.name().to_owned(),
            description: kind.description().to_owned(),
            parameters: kind.parameters(),
        };
        self.files.kinds().iter().map(spec).collect()
    }

    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> BoxFuture<'a, Result<String, String>> {
        std::boxed::Box::pin(async move {
            let kind = Kind::of(name).ok_or_else(|| format!("there is no tool {name}"))?;
            let timeout = self.files.bounds().timeout;
            let work = async {
                match kind {
                    Kind::Write => self.write(kind, arguments).await,
                    Kind::Read | Kind::List | Kind::Search => self.read(kind, arguments).await,
                }
            };
            match tokio::time::timeout(timeout, work).await {
                Ok(result) => result,
                Err(_) => {
                    let seconds = timeout.as_secs();
                    // What has begun is not broken off: half a file is worse than one nobody waited for.
                    let open = if kind == Kind::Write { "; the file may still be written" } else { "" };
                    Err(format!("{name} took longer than {seconds} s{open}"))
                }
            }
        })
    }

    fn changed_files(&self) -> Vec<String> {
        self.files.changed()
    }

    fn max_turns(&self) -> u32 {
        self.files.bounds().max_turns
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::engine::message::Message;

    #[test]
    fn those_who_write_in_one_directory_share_a_lock_and_it_goes_with_the_last_of_them() {
        let (a, b) = (Path::new("/nowhere/a"), Path::new("/nowhere/b"));
        let first = writer(a);
        assert!(Arc::ptr_eq(&first, &writer(a)));
        assert!(!Arc::ptr_eq(&first, &writer(b)));
        drop(first);
        let _again = writer(b);
        assert!(!WRITERS.lock().unwrap_or_else(PoisonError::into_inner).contains_key(a));
    }

    /// A tool box of a directory, and where it says what it is about to do.
    fn tool_box(dir: &Path) -> (Box, std::sync::mpsc::Receiver<Message>) {
        bounded(dir, Bounds::default())
    }

    fn bounded(dir: &Path, bounds: Bounds) -> (Box, std::sync::mpsc::Receiver<Message>) {
        let (to, loop_of_run) = std::sync::mpsc::channel();
        let effects = Arc::new(Effects::new(to, crate::core::ids::CallId(1), 1));
        let grant = Grant { tools: Kind::ALL.to_vec(), read: None, write: None };
        let files = Files::new(dir, grant, &FileRules::default(), bounds).unwrap();
        let writer = writer(files.dir());
        (Box { files: Arc::new(files), writer, effects }, loop_of_run)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    /// What becomes of a write.
    fn written(tools: &Box) -> Result<String, String> {
        runtime().block_on(write(tools))
    }

    fn write(tools: &Box) -> BoxFuture<'_, Result<String, String>> {
        tools.call("write_file", serde_json::json!({"path": "a.md", "content": "x"}))
    }

    /// Whether a future has nothing to say yet.
    async fn waits<T>(future: &mut BoxFuture<'_, T>) -> bool {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }

    /// The next word of a tool box, which must be that it is about to write.
    fn about_to_write(
        loop_of_run: &std::sync::mpsc::Receiver<Message>,
    ) -> tokio::sync::oneshot::Sender<crate::store::Ticket> {
        match loop_of_run.try_recv().unwrap() {
            Message::ToolStarted { recorded, .. } => recorded,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_second_writer_in_a_directory_begins_when_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let (first, loop_of_first) = tool_box(dir.path());
        let (second, loop_of_second) = tool_box(dir.path());
        let other_dir = tempfile::tempdir().unwrap();
        let (apart, loop_of_apart) = tool_box(other_dir.path());
        runtime().block_on(async {
            let mut writing = write(&first);
            assert!(waits(&mut writing).await);
            let recorded = about_to_write(&loop_of_first);
            // The first is held back at its record: the second does not even say what it is about to do.
            let mut waiting = write(&second);
            assert!(waits(&mut waiting).await);
            assert!(loop_of_second.try_recv().is_err());
            // Whoever reads there, or writes somewhere else, waits for nobody.
            assert_eq!(second.call("list_files", serde_json::json!({})).await, Ok("no files".to_owned()));
            let mut beside = write(&apart);
            assert!(waits(&mut beside).await);
            about_to_write(&loop_of_apart).send(crate::store::Ticket::settled(Ok(()))).unwrap();
            assert_eq!(beside.await, Ok("wrote 1 bytes to a.md".to_owned()));
            recorded.send(crate::store::Ticket::settled(Ok(()))).unwrap();
            assert_eq!(writing.await, Ok("wrote 1 bytes to a.md".to_owned()));
            assert!(waits(&mut waiting).await);
            about_to_write(&loop_of_second).send(crate::store::Ticket::settled(Ok(()))).unwrap();
            assert_eq!(waiting.await, Ok("wrote 1 bytes to a.md".to_owned()));
        });
    }

    #[test]
    fn a_writer_that_waits_too_long_for_another_gives_up_and_is_on_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let (first, loop_of_first) = tool_box(dir.path());
        let brief = Bounds { timeout: std::time::Duration::from_millis(20), ..Bounds::default() };
        let (second, loop_of_second) = bounded(dir.path(), brief);
        runtime().block_on(async {
            let mut writing = write(&first);
            assert!(waits(&mut writing).await);
            let too_long = "write_file took longer than 0 s; the file may still be written";
            assert_eq!(write(&second).await, Err(too_long.to_owned()));
            assert!(loop_of_second.try_recv().is_err());
            // The model may go on: the first is done, and the lock is free.
            about_to_write(&loop_of_first).send(crate::store::Ticket::settled(Ok(()))).unwrap();
            assert!(writing.await.is_ok());
            let (third, loop_of_third) = tool_box(dir.path());
            let mut writing = write(&third);
            assert!(waits(&mut writing).await);
            about_to_write(&loop_of_third).send(crate::store::Ticket::settled(Ok(()))).unwrap();
            assert!(writing.await.is_ok());
        });
    }

    #[test]
    fn a_write_that_is_held_back_ends_at_its_time_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let brief = Bounds { timeout: std::time::Duration::from_millis(20), ..Bounds::default() };
        let (tools, loop_of_run) = bounded(dir.path(), brief);
        assert!(written(&tools).unwrap_err().starts_with("write_file took longer than 0 s"));
        // Its record comes too late: nobody waits for it.
        assert!(about_to_write(&loop_of_run).send(crate::store::Ticket::settled(Ok(()))).is_err());
        assert!(!dir.path().join("a.md").exists());
    }

    #[test]
    fn a_tool_that_reads_for_too_long_is_given_up_and_a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.md"), "x").unwrap();
        let brief = Bounds { timeout: std::time::Duration::from_millis(20), ..Bounds::default() };
        let (tools, _loop_of_run) = bounded(dir.path(), brief);
        // The only thread for such work is held: none of it begins.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let holder = runtime.spawn_blocking(move || held.recv().is_err());
        for (name, arguments) in [
            ("list_files", serde_json::json!({})),
            ("search_files", serde_json::json!({"query": "x"})),
            ("read_file", serde_json::json!({"path": "a.md"})),
        ] {
            let called = async {
                tokio::time::timeout(std::time::Duration::from_secs(10), tools.call(name, arguments)).await.unwrap()
            };
            assert_eq!(runtime.block_on(called), Err(format!("{name} took longer than 0 s")));
        }
        drop(let_go);
        assert!(runtime.block_on(holder).unwrap());
        let (tools, _loop_of_run) = tool_box(dir.path());
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let read = tools.call("read_file", serde_json::json!({"path": "pipe"}));
        assert_eq!(runtime.block_on(read), Err("pipe is no plain file".to_owned()));
        let searched = tools.call("search_files", serde_json::json!({"query": "x"}));
        assert_eq!(runtime.block_on(searched), Ok("a.md:1: x".to_owned()));
    }

    #[test]
    fn nothing_is_written_when_it_could_not_be_recorded_that_it_will_be() {
        let dir = tempfile::tempdir().unwrap();
        let (tools, loop_of_run) = tool_box(dir.path());
        let told = std::thread::spawn(move || match loop_of_run.recv().unwrap() {
            Message::ToolStarted { recorded, .. } => {
                let full = crate::store::StoreError::Io("no space".to_owned());
                recorded.send(crate::store::Ticket::settled(Err(full))).unwrap();
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(written(&tools), Err("its start could not be recorded, so it was not carried out".to_owned()));
        told.join().unwrap();
        assert!(!dir.path().join("a.md").exists());
    }

    #[test]
    fn nothing_is_written_before_it_is_on_record_that_it_will_be() {
        let dir = tempfile::tempdir().unwrap();
        let (tools, loop_of_run) = tool_box(dir.path());
        let path = dir.path().join("a.md");
        let seen = path.clone();
        let told = std::thread::spawn(move || match loop_of_run.recv().unwrap() {
            // It lets go of the effect without a word: the call has ended meanwhile.
            Message::ToolStarted { number: 1, tool, target, .. } => (tool, target, seen.exists()),
            other => panic!("{other:?}"),
        });
        assert_eq!(written(&tools), Err("the call has ended".to_owned()));
        assert_eq!(told.join().unwrap(), ("write_file".to_owned(), Some("a.md".to_owned()), false));
        assert!(!path.exists());
    }
}
