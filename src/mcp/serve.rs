//! `owf mcp`: the server on the standard streams of this process.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::stdio;

use super::settings::Settings;
use super::{Shared, tools, wire};
use crate::app::{AppOptions, ToolSet};
use crate::core::failure::{Code, Failure};

/// Serves on stdin and stdout until the client is gone. Nothing is opened, migrated or scanned before a call asks for it.
///
/// # Errors
/// A setting in the environment is wrong, or the standard streams cannot be used.
pub fn serve(options: AppOptions, set: ToolSet) -> Result<(), Failure> {
    let settings = Settings::of(&options.env)?;
    let offered = tools::all().iter().filter(|tool| set == ToolSet::All || tool.core).collect();
    let failed = |what: &'static str| {
        move |error: io::Error| Failure::new(Code::Internal, format!("the MCP server did not start: {what}: {error}"))
    };
    let (input, output) = streams().map_err(failed("standard streams"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_name("owf-call")
        .enable_all()
        .build()
        .map_err(failed("runtime"))?;
    // Kept here to the end: an engine must not be dropped inside the runtime.
    let shared = Arc::new(Shared::new(options, settings));
    let ended = runtime.block_on(wire::run(input, output, offered, Arc::clone(&shared)));
    // Calls that still wait are left behind: they hold nothing that a run needs.
    runtime.shutdown_background();
    ended.map_err(failed("streams"))
}

/// Takes the two streams for the protocol alone. Whatever else in this process or below it reads stdin finds nothing, and
/// what is printed to stdout goes to stderr.
fn streams() -> io::Result<(OwnedFd, OwnedFd)> {
    let input = rustix::io::fcntl_dupfd_cloexec(stdio::stdin(), 3)?;
    let output = rustix::io::fcntl_dupfd_cloexec(stdio::stdout(), 3)?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    stdio::dup2_stdin(&null)?;
    if stdio::dup2_stdout(stdio::stderr()).is_err() {
        stdio::dup2_stdout(&null)?;
    }
    Ok((input, output))
}
