//! One connection from its first byte to its end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rmcp::service::serve_directly;
use tokio::signal::unix::{SignalKind, signal};

use super::guard::Guard;
use super::handler::Handler;
use super::input::Input;
use super::lines::Lines;
use super::outbox::Outbox;
use super::requests::Requests;
use super::transport::Wire;
use crate::mcp::{Shared, Tool};

/// How long answers may take to leave once the input has ended.
const FLUSH: Duration = Duration::from_secs(1);

/// Why the server ended. None of them is an error: clients end their servers in all of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The input ended, and what was asked is answered or was given up.
    Input,
    /// Nobody reads the answers.
    Output,
    /// A signal.
    Signal,
}

/// Serves until the client is gone.
///
/// # Errors
/// The input cannot be read at all, or a thread or the signal handlers do not start.
pub(in crate::mcp) async fn run(
    input: OwnedFd,
    output: OwnedFd,
    tools: Vec<&'static Tool>,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let outbox = Outbox::new(output)?;
    let settings = shared.settings;
    let requests = Arc::new(Requests::new(settings.requests, settings.request_bytes));
    let handler = Handler::new(tools, shared, Arc::clone(&requests), outbox.clone());
    let lines = Lines::new(Input::new(input)?, settings.line_bytes);
    let wire = Wire::new(lines, outbox.clone(), requests, settings);
    // Not rmcp's own opening: it ends the server for a stray line before the first request.
    let service = serve_directly(Guard(handler), wire, None);
    let ended = tokio::select! {
        _ = service.waiting() => Ended::Input,
        () = outbox.closed() => Ended::Output,
        _ = terminate.recv() => Ended::Signal,
        _ = interrupt.recv() => Ended::Signal,
    };
    if ended == Ended::Input {
        outbox.flush(FLUSH);
    }
    tracing::debug!("the server ends: {ended:?}");
    Ok(())
}
