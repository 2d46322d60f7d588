//! What every command works with: the engine, the streams, and what the terminal can do.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::args::GlobalArgs;
use super::exit::Exit;
use super::out::Out;
use super::render::text::Paint;
use crate::app::{self, AppOptions};
use crate::core::failure::Failure;
use crate::core::time::Millis;
use crate::engine::Engine;

/// What a command returns: an exit code, or why the request could not be served.
pub type Outcome = Result<Exit, Failure>;

/// What the process is connected to.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Whether stdin is a terminal.
    pub stdin: bool,
    /// Whether stderr is a terminal that can be redrawn.
    pub stderr: bool,
    /// Colours for stdout.
    pub paint: Paint,
    /// Colours for stderr.
    pub paint_err: Paint,
    /// Columns to use: 80, or less on a narrow terminal.
    pub width: usize,
    /// The working directory; paths below it are shown relative to it.
    pub cwd: PathBuf,
    /// The name of the person.
    pub user: String,
}

impl Terminal {
    /// Looks at the process's own streams and environment.
    pub fn detect() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        let stderr = std::io::stderr().is_terminal();
        let columns = if stderr {
            rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col))
        } else {
            0
        };
        Self {
            stdin: std::io::stdin().is_terminal(),
            stderr: stderr && !dumb,
            paint: Paint::new(std::io::stdout().is_terminal() && !plain),
            paint_err: Paint::new(stderr && !plain),
            width: if columns == 0 { 80 } else { columns.clamp(20, 80) },
            cwd: std::env::current_dir().unwrap_or_default(),
            user: ["USER", "LOGNAME"]
                .iter()
                .find_map(|v| std::env::var(v).ok())
                .unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

/// Everything a command works with.
#[derive(Debug)]
pub struct Context {
    /// The engine.
    pub engine: Engine,
    /// The streams.
    pub out: Out,
    /// The terminal.
    pub term: Terminal,
    /// The global flags.
    pub global: GlobalArgs,
    /// How often Ctrl-C was pressed, once somebody minds it.
    interrupts: Option<Arc<AtomicU32>>,
}

impl Context {
    /// Wires the engine for the global flags.
    pub fn new(global: GlobalArgs, out: Out, term: Terminal) -> Result<Self, Failure> {
        let engine = app::engine(AppOptions {
            home: global.home.clone(),
            workspace: global.workspace.clone(),
            principal: global.principal.clone(),
            ..AppOptions::from_process()
        })?;
        Ok(Self { engine, out, term, global, interrupts: None })
    }

    /// The count of Ctrl-C; from the first call on it no longer ends the process by itself. A command that executes a run asks
    /// before the run starts, so that it never dies of one in between.
    pub fn interrupts(&mut self) -> Arc<AtomicU32> {
        Arc::clone(self.interrupts.get_or_insert_with(|| self.engine.interrupts()))
    }

    /// Whether a person can be asked here.
    pub fn can_ask(&self) -> bool {
        self.term.stdin && self.term.stderr && !self.global.no_input
    }

    /// The time.
    pub fn now() -> Millis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Prints a reply: the object itself with `--json`, else its screen.
    pub fn reply<T: serde::Serialize>(
        &mut self,
        view: &T,
        screen: impl FnOnce(&T, &Terminal) -> String,
    ) -> Result<(), Failure> {
        if self.global.json {
            self.out.json(view)
        } else {
            let text = screen(view, &self.term);
            self.out.result(&text);
            Ok(())
        }
    }
}
