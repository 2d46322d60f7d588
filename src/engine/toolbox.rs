//! The file tools as a provider's tool box: off the asynchronous threads, one writer at a time in a directory, each call bounded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use serde_json::Value;

use crate::core::file_rules::FileRules;
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
    let files = Files::new(&request.cwd, grant, rules, Bounds::default())?;
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
                Err(_) => Err(format!("{name} took longer than {} s", timeout.as_secs())),
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
        let (to, loop_of_run) = std::sync::mpsc::channel();
        let effects = Arc::new(Effects::new(to, crate::core::ids::CallId(1), 1));
        let grant = Grant { tools: vec![Kind::Write], read: None, write: None };
        let files = Files::new(dir, grant, &FileRules::default(), Bounds::default()).unwrap();
        let writer = writer(files.dir());
        (Box { files: Arc::new(files), writer, effects }, loop_of_run)
    }

    /// What becomes of a write.
    fn written(tools: &Box) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(tools.call("write_file", serde_json::json!({"path": "a.md", "content": "x"})))
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
