//! MCP servers that a run tree uses: each is started when the first of its tools is, and ended with the tree.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::outcome::{CallError, ErrorClass};
use crate::process::{Program, find_program, passed};
use crate::tools::{Definition, Diagnostics, McpTool, Server};

use super::services::Services;

/// A server, or nothing while it is not needed. Who starts it holds the lock: the others wait and use the same.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Server>>>>;

/// The servers of a run tree, by their names in the configuration.
#[derive(Default)]
pub(crate) struct Servers {
    slots: Mutex<HashMap<String, Slot>>,
    /// Tools as their servers describe them, with what the configuration says, by the name they have here.
    described: Mutex<HashMap<String, Definition>>,
}

impl Servers {
    fn slot(&self, name: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(name.to_owned()).or_default())
    }

    /// A server that runs: the one that does, or another one.
    ///
    /// # Errors
    /// It cannot be used, and why.
    pub(crate) async fn get(
        &self,
        name: &str,
        services: &Services,
        cwd: &Path,
        marker: &str,
    ) -> Result<Arc<Server>, CallError> {
        let slot = self.slot(name);
        let mut server = slot.lock().await;
        if let Some(running) = server.as_ref().filter(|running| running.is_alive()) {
            return Ok(Arc::clone(running));
        }
        let config = services.config.tools.server(name).ok_or_else(|| {
            CallError::new(ErrorClass::BadRequest, format!("the MCP server `{name}` is not configured here"))
        })?;
        if let Some(missing) = config.env.iter().find(|variable| services.env.get(variable).is_none()) {
            let message = format!("{missing} of the MCP server `{name}` is not set in the environment");
            return Err(CallError::new(ErrorClass::Policy, message));
        }
        let path = find_program(&config.command, services.env.get("PATH").unwrap_or_default()).ok_or_else(|| {
            let message = format!("there is no program `{}`, the MCP server `{name}`", config.command);
            CallError::new(ErrorClass::NotInstalled, message)
        })?;
        let program = Program {
            path,
            args: config.args.clone(),
            env: passed(&services.env, config.env.iter().map(String::as_str)),
            cwd: cwd.to_owned(),
            input: String::new(),
            // Of the call that needed it first, but of no attempt: it outlives that one, and the sweep of the tree finds it.
            marker: format!("{marker}/mcp-{name}"),
        };
        let (secrets, told) = (services.secrets.clone(), name.to_owned());
        let diagnostics: Diagnostics = Arc::new(move |line| {
            let mut line = line.to_owned();
            secrets.text(&mut line);
            tracing::info!("MCP server `{told}`: {line}");
        });
        let started = Server::start(name, program, config.patience(), (diagnostics, services.secrets.known())).await;
        let started = Arc::new(started.map_err(|why| CallError::new(ErrorClass::Other, why))?);
        *server = Some(Arc::clone(&started));
        Ok(started)
    }

    /// A tool with the description and the schema of its server, where its configuration has none; none while nobody has asked.
    pub(crate) fn described(&self, name: &str) -> Option<Definition> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Asks the server of a tool how it describes it.
    ///
    /// # Errors
    /// The server cannot be used, has no such tool, or its schema is none.
    pub(crate) async fn describe(
        &self,
        name: &str,
        tool: &Definition,
        of: &McpTool,
        services: &Services,
        (cwd, marker): (&Path, &str),
    ) -> Result<(), CallError> {
        let server = self.get(&of.server, services, cwd, marker).await?;
        let failed = |why: String| CallError::new(ErrorClass::BadRequest, why);
        let listed = server.tool(of.tool.as_deref().unwrap_or(name)).map_err(failed)?;
        let tool = tool.with(listed).map_err(|why| failed(format!("the tool `{name}`: {why}")))?;
        self.described.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), tool);
        Ok(())
    }

    /// Ends all of them.
    pub(crate) async fn end(&self) {
        let slots = std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner));
        let ends = slots.into_values().map(|slot| {
            tokio::spawn(async move {
                if let Some(server) = slot.lock().await.take() {
                    server.end().await;
                }
            })
        });
        // All at once: each may take its time.
        for end in ends.collect::<Vec<_>>() {
            // One that broke off has dropped its server, which ends it.
            let _ = end.await;
        }
    }
}
