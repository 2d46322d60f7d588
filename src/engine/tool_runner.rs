//! One call of a tool carried out, once everything that had to be said about it was: its turn, then its handler.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::core::outcome::{CallError, ErrorClass};
use crate::core::work::CommandAsk;
use crate::process::{passed, sweep};
use crate::providers::{
    AttemptRequest, BoxFuture, CallContext, Progress, Provider, ProviderKind, Reply, ReplyAnswer, ReplyError, Stop,
};
use crate::tools::{Bounds, Files, Grant, Kind, McpTool};

use super::commands::{Call, WIND_DOWN, printed};
use super::servers::Servers;
use super::services::Services;
use super::tools::Admitted;

/// How often one who waits for a tool that only one may use looks again.
const LOCK_POLL: Duration = Duration::from_millis(20);
/// The most a tool may print.
const MOST_OUTPUT: usize = 1 << 20;

/// The file whose lock the users of a tool take turns by.
pub(crate) fn lock_file(home: &Path, name: &str) -> PathBuf {
    home.join("locks").join(format!("{name}.lock"))
}

/// Waits until nobody else holds the lock of a tool. It is held until the result is dropped, or its process ends.
pub(crate) async fn locked(path: &Path, stop: &Stop) -> Result<File, CallError> {
    let failed =
        |error: std::io::Error| CallError::new(ErrorClass::Other, format!("the tool cannot be locked: {error}"));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(failed)?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if stop.is_stopped() => {
                return Err(CallError::new(ErrorClass::Cancelled, "ended on request"));
            }
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => tokio::time::sleep(LOCK_POLL).await,
            Err(error) => return Err(failed(error.into())),
        }
    }
}

/// The turn of a call that uses a tool alone. The file says who has it, until it is given back.
pub(crate) struct Turn(File);

impl Turn {
    /// Takes the turn. Who had it last and did not give it back has died with its process, but not what it had started: that ends
    /// first, or two would use the tool.
    async fn take(mut file: File, marker: &str) -> Result<Self, CallError> {
        let failed = |error| CallError::new(ErrorClass::Other, format!("the tool cannot be locked: {error}"));
        let mut last = Vec::new();
        file.read_to_end(&mut last).map_err(failed)?;
        // What is no text names nobody.
        if let Some(last) = String::from_utf8(last).ok().filter(|last| !last.is_empty()) {
            // Named until they have ended: whoever is broken off here leaves them to the next.
            let swept = tokio::task::spawn_blocking(move || sweep(&last)).await;
            if let Ok(ended @ 1..) = swept {
                tracing::warn!("{ended} processes that used the tool for an owner that died were ended");
            }
        }
        let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(marker.as_bytes()));
        noted.map_err(failed)?;
        Ok(Self(file))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Err(error) = self.0.set_len(0) {
            tracing::warn!(%error, "the lock of a tool still names its last user");
        }
    }
}

/// Carries one call of a tool out.
pub(crate) struct Runner {
    pub(crate) name: String,
    pub(crate) admitted: Admitted,
    pub(crate) services: Arc<Services>,
    pub(crate) servers: Arc<Servers>,
    /// The workspace of the run: where servers work, whoever needs one first.
    pub(crate) workspace: PathBuf,
    /// Whose turn it is, when only one at a time may use it.
    pub(crate) lock: Option<PathBuf>,
}

/// Where a handler works, and whom it tells.
pub(crate) struct Surroundings<'a> {
    pub(crate) cwd: &'a Path,
    pub(crate) marker: &'a str,
    pub(crate) stop: &'a Stop,
    pub(crate) progress: &'a Progress,
}

impl Runner {
    async fn attempt(&self, request: &AttemptRequest, context: &CallContext) -> Result<Reply, ReplyError> {
        let (cwd, marker) = (request.cwd.as_path(), request.marker.as_str());
        let around = Surroundings { cwd, marker, stop: &context.stop, progress: &context.progress };
        let _turn = self.turn(&context.stop, marker).await?;
        let mut reply = Reply::new(self.handle(&around).await?);
        reply.provenance.warnings = self.warnings();
        Ok(reply)
    }

    /// Waits for its turn, where only one at a time may use the tool.
    pub(crate) async fn turn(&self, stop: &Stop, marker: &str) -> Result<Option<Turn>, CallError> {
        match &self.lock {
            Some(path) => Turn::take(locked(path, stop).await?, marker).await.map(Some),
            None => Ok(None),
        }
    }

    /// What a reader of the call should know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warn = |name: &String| format!("the call set `{name}`, which the configuration of `{}` fixes", self.name);
        self.admitted.twice.iter().map(warn).collect()
    }

    /// Has the tool do its work.
    ///
    /// # Errors
    /// How it failed.
    pub(crate) async fn handle(&self, around: &Surroundings<'_>) -> Result<ReplyAnswer, CallError> {
        let definition = &self.admitted.definition;
        match (definition.file_tool(), &definition.mcp) {
            (Some(kind), _) => self.file_tool(kind, around).await,
            (None, Some(of)) => self.lent(of, around).await,
            (None, None) => self.command(around).await,
        }
    }

    async fn command(&self, around: &Surroundings<'_>) -> Result<ReplyAnswer, CallError> {
        let definition = &self.admitted.definition;
        let asked = CommandAsk {
            argv: definition.command.clone().unwrap_or_default(),
            input: Some(self.admitted.arguments.to_string()),
            ..CommandAsk::default()
        };
        let env = passed(&self.services.env, definition.secrets.iter().map(String::as_str));
        let cwd = super::commands::directory(around.cwd, None)
            .map_err(|message| CallError::new(ErrorClass::Policy, message))?;
        let call = Call { asked: &asked, env, cwd, marker: around.marker.to_owned() };
        Ok(result(printed(&self.services.env, call, around.stop, MOST_OUTPUT).await?))
    }

    /// A tool of an MCP server. One that is asked to end is not waited for: its server is told that nobody does.
    async fn lent(&self, of: &McpTool, around: &Surroundings<'_>) -> Result<ReplyAnswer, CallError> {
        let work = async {
            // The server belongs to no attempt: what is left of an attempt's marker is its call.
            let marker = around.marker.rsplit_once('/').map_or(around.marker, |(call, _)| call);
            let server = self.servers.get(&of.server, &self.services, &self.workspace, marker).await?;
            let progress = around.progress.clone();
            let told = Box::new(move |text| progress.say(text));
            let tool = of.tool.as_deref().unwrap_or(&self.name);
            let said = server.call(tool, &self.admitted.arguments, Some(told)).await;
            said.map_err(|why| CallError::new(ErrorClass::Other, why))
        };
        tokio::select! {
            biased;
            said = work => said.map(|said| match said.value {
                Some(value) => ReplyAnswer::Both { value, text: said.text },
                None => ReplyAnswer::Text(said.text),
            }),
            () = around.stop.stopped() => Err(CallError::new(ErrorClass::Cancelled, "ended on request")),
        }
    }

    async fn file_tool(&self, kind: Kind, around: &Surroundings<'_>) -> Result<ReplyAnswer, CallError> {
        let grant =
            Grant { tools: vec![kind], read: None, write: if kind == Kind::Write { None } else { Some(Vec::new()) } };
        let failed = |why: String| CallError::new(ErrorClass::Other, why);
        let files = Files::new(around.cwd, grant, &self.services.config.files, Bounds::default())
            .map_err(failed)?
            .with_secrets(self.services.secrets.known());
        let arguments = self.admitted.arguments.clone();
        let work = tokio::task::spawn_blocking(move || files.call(kind, &arguments)).await;
        work.unwrap_or_else(|_| Err(format!("{} broke off", self.name))).map(ReplyAnswer::Text).map_err(failed)
    }
}

/// What a program printed: JSON as a value, else the text.
fn result(text: String) -> ReplyAnswer {
    match serde_json::from_str::<Value>(text.trim()) {
        Ok(value) => ReplyAnswer::Json(value),
        Err(_) => ReplyAnswer::Text(text),
    }
}

impl Provider for Runner {
    fn name(&self) -> &'static str {
        "tool"
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Cli
    }

    fn default_concurrency(&self) -> u32 {
        16
    }

    fn reads_workspace(&self, _: &AttemptRequest) -> bool {
        true
    }

    fn wind_down(&self) -> Duration {
        WIND_DOWN
    }

    fn call<'a>(
        &'a self,
        request: &'a AttemptRequest,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<Reply, ReplyError>> {
        Box::pin(self.attempt(request, context))
    }
}
