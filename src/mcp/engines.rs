//! Engines kept between calls, each with its open store, so that a call does not pay for both. Nothing of a run is kept with
//! them: what lies on disk is looked at by every call, and decides whether an engine still fits.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::Client;
use crate::app::{self, AppOptions, Place};
use crate::core::failure::Failure;
use crate::engine::Engine;

/// Engines kept; beyond that the one that was not used for longest goes.
const KEPT: usize = 4;

/// What calls need the same engine for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    home: Option<PathBuf>,
    workspace: Option<PathBuf>,
    place: Place,
    started_by: String,
}

/// The engines of a server, wired when a call needs them.
#[derive(Debug)]
pub(crate) struct Engines {
    options: AppOptions,
    /// In the order of their last use.
    kept: Mutex<Vec<(Key, Engine)>>,
}

impl Engines {
    /// None yet. Relative paths start from the server's workspace: `--workspace`, else the project that Claude Code names, else
    /// the working directory.
    pub(crate) fn new(mut options: AppOptions) -> Self {
        let from = |dir: &PathBuf| options.cwd.join(dir);
        // Clients start servers anywhere; this one says where its project is.
        let project = || options.env.get("CLAUDE_PROJECT_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
        options.workspace = options.workspace.as_ref().map(from).or_else(project);
        options.home = options.home.as_ref().map(|home| options.cwd.join(home));
        Self { options, kept: Mutex::default() }
    }

    /// How engines are wired.
    pub(crate) fn options(&self) -> &AppOptions {
        &self.options
    }

    /// The engine for a call of `client` that names a home and a workspace, or neither.
    ///
    /// # Errors
    /// A workspace that is no directory, a broken configuration.
    pub(crate) fn engine(
        &self,
        home: Option<&str>,
        workspace: Option<&str>,
        client: &Client,
    ) -> Result<Engine, Failure> {
        let options = &self.options;
        let from = options.workspace.as_deref().unwrap_or(&options.cwd);
        let home = home.map(|home| from.join(home)).or_else(|| options.home.clone());
        let workspace = workspace.map(|dir| from.join(dir)).or_else(|| options.workspace.clone());
        let place = Place::of(&options.env, &options.cwd, workspace.as_deref())?;
        let key = Key { home, workspace, place, started_by: client.who() };
        if let Some(engine) = self.find(&key) {
            engine.renew();
            return Ok(engine);
        }
        let Key { home, workspace, place, started_by } = key.clone();
        let engine = app::engine_at(AppOptions { home, workspace, started_by, ..options.clone() }, place)?;
        Ok(self.keep(key, engine))
    }

    fn find(&self, key: &Key) -> Option<Engine> {
        used(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner), key)
    }

    /// Keeps an engine, unless another call was faster, and gives the one that is kept.
    fn keep(&self, key: Key, engine: Engine) -> Engine {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(faster) = used(&mut kept, &key) {
            return faster;
        }
        kept.push((key, engine.clone()));
        let spare = kept.len().saturating_sub(KEPT);
        let gone: Vec<_> = kept.drain(..spare).collect();
        drop(kept);
        // Their stores are closed here, by whoever is last to use them, and not under the lock.
        drop(gone);
        engine
    }
}

/// The engine of a key, which was used last from now on.
fn used(kept: &mut [(Key, Engine)], key: &Key) -> Option<Engine> {
    let at = kept.iter().position(|(known, _)| known == key)?;
    kept[at..].rotate_left(1);
    kept.last().map(|(_, engine)| engine.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::Duration;

    use crate::engine::params::{ListRunsParams, RunParams};
    use crate::engine::{Environment, Execution};

    struct Server {
        dir: tempfile::TempDir,
        engines: Engines,
    }

    fn server() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.toml").display().to_string();
        std::fs::write(&config, "").unwrap();
        let env = Environment::new([("OWF_CONFIG".to_owned(), config)]);
        let options = AppOptions { cwd: dir.path().to_owned(), env, ..AppOptions::default() };
        Server { engines: Engines::new(options), dir }
    }

    impl Server {
        fn engine(&self, home: Option<&str>) -> Engine {
            self.engines.engine(home, None, &Client::default()).unwrap()
        }

        fn kept(&self) -> Vec<PathBuf> {
            self.engines.kept.lock().unwrap().iter().map(|(_, engine)| engine.home().to_owned()).collect()
        }

        fn runs(&self) -> Result<u64, Failure> {
            self.engine(None).list_runs(&ListRunsParams::default()).map(|view| view.total)
        }
    }

    #[test]
    fn an_engine_is_kept_as_long_as_nothing_changes_what_it_is_wired_from() {
        let server = server();
        let first = server.engine(None);
        assert!(std::ptr::eq(first.services(), server.engine(None).services()));
        assert_eq!(first.home(), server.dir.path().join(".workflows"));
        let client = Client { name: "codex".to_owned(), version: "1".to_owned() };
        let other = server.engines.engine(None, None, &client).unwrap();
        assert_eq!(other.services().started_by, "mcp codex 1");
        std::fs::write(server.dir.path().join("config.toml"), "model = \"m\"").unwrap();
        assert_eq!(server.engine(None).services().defaults.model.as_deref(), Some("m"));
        std::fs::write(server.dir.path().join("config.toml"), "modell = 1").unwrap();
        assert!(server.engines.engine(None, None, &client).unwrap_err().message.contains("config.toml"));
    }

    #[test]
    fn a_repository_that_is_made_meanwhile_is_seen() {
        let server = server();
        let below = server.dir.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        let workspace = |server: &Server| {
            let engine = server.engines.engine(None, Some("a/b"), &Client::default()).unwrap();
            (engine.services().workspace.clone(), engine.home().to_owned())
        };
        assert_eq!(workspace(&server), (below.clone(), below.join(".workflows")));
        let made = std::process::Command::new("git").arg("init").arg("-q").arg(server.dir.path().join("a")).status();
        assert!(made.unwrap().success());
        let top = server.dir.path().join("a");
        assert_eq!(workspace(&server), (top.clone(), top.join(".workflows")));
    }

    #[test]
    fn only_the_latest_are_kept() {
        let server = server();
        for home in ["1", "2", "3", "4", "1", "5"] {
            server.engine(Some(home));
        }
        let names = ["3", "4", "1", "5"].map(|name| server.dir.path().join(name));
        assert_eq!(server.kept(), names);
    }

    #[test]
    fn a_store_that_others_make_remove_or_upgrade_is_noticed() {
        let server = server();
        let home = server.dir.path().join(".workflows");
        let make = || drop(crate::store::Store::open(&home, crate::store::OpenMode::Create).unwrap());
        assert_eq!(server.runs(), Ok(0));
        assert!(!home.exists());
        make();
        assert_eq!(server.runs(), Ok(0));
        std::fs::remove_dir_all(&home).unwrap();
        assert_eq!(server.runs(), Ok(0));
        assert!(!home.exists());
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join("notes.txt"), "").unwrap();
        assert_eq!(server.runs().unwrap_err().code.as_str(), "home_not_a_store");
    }

    #[test]
    fn what_a_store_kept_of_runs_is_forgotten_by_the_next_call() {
        let server = server();
        let engine = server.engine(None);
        let script = "export const meta = {name: 'one', description: 'd'}\nreturn await agent('one')";
        let asked = RunParams { script: Some(script.to_owned()), ..RunParams::default() };
        let started = engine.start(&asked, Execution::InProcess { linger_on_approvals: false }).unwrap();
        assert!(started.handle.unwrap().wait_ended(Duration::from_mins(1)));
        let store = engine.existing().unwrap();
        assert_ne!(store.kept(), Ok(0));
        assert!(store.same(&server.engine(None).existing().unwrap()));
        assert_eq!(store.kept(), Ok(0));
    }

    #[test]
    fn a_relative_home_is_one_of_the_working_directory_for_the_server_and_of_the_workspace_for_a_call() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        let options = AppOptions {
            cwd: dir.path().to_owned(),
            env: Environment::new([
                ("OWF_CONFIG".to_owned(), "none".to_owned()),
                ("CLAUDE_PROJECT_DIR".to_owned(), dir.path().join("project").display().to_string()),
            ]),
            home: Some("home".into()),
            ..AppOptions::default()
        };
        let engines = Engines::new(options);
        let home = |named| engines.engine(named, None, &Client::default()).unwrap().home().to_owned();
        assert_eq!(home(None), dir.path().join("home"));
        assert_eq!(home(Some("home")), dir.path().join("project/home"));
    }
}
