//! Whole sessions as lines in and messages out, over each kind of stream that a client may give to the server.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cli::Place;
use super::mcp::{Era, PATIENCE};
use super::replies::{Checker, meta, parse};

/// What stdin and stdout of the server are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Pipe,
    /// One socket for both directions.
    Socket,
    /// The session lies there before the server starts.
    File,
}

pub(crate) const TRANSPORTS: [Transport; 3] = [Transport::Pipe, Transport::Socket, Transport::File];

/// A session that has ended.
pub(crate) struct Served {
    pub(crate) messages: Vec<Value>,
    pub(crate) code: Option<i32>,
    /// The most memory the server was seen to hold.
    pub(crate) peak_kib: u64,
}

/// The message that opens a session of this era. The client can show dialogs.
pub(crate) fn opening(era: Era) -> Value {
    let capabilities = json!({ "elicitation": { "form": {} } });
    match era {
        Era::Legacy(version) => json!({ "jsonrpc": "2.0", "id": "open", "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": capabilities,
            "clientInfo": { "name": "test-client", "version": "1.0" } } }),
        Era::Modern => request(era, "open", "server/discover", json!({})),
    }
}

/// A request as this era wants it.
pub(crate) fn request(era: Era, id: &str, method: &str, mut params: Value) -> Value {
    if era == Era::Modern {
        params["_meta"] = meta(&json!({ "elicitation": { "form": {} } }), "test-client");
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Gives the bytes to a server and the end of the input after them; reads until the server has ended.
pub(crate) fn serve(place: &Place, transport: Transport, input: &[u8]) -> Served {
    let mut command = place.command(&["mcp"]);
    let (code, peak_kib, output) = match transport {
        Transport::Pipe => {
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            exchange(&mut child, (to, drop), from, input)
        }
        Transport::Socket => {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let output: OwnedFd = theirs.try_clone().unwrap().into();
            let mut child = command.stdin(OwnedFd::from(theirs)).stdout(output).spawn().unwrap();
            drop(command);
            let close = |socket: UnixStream| drop(socket.shutdown(Shutdown::Write));
            exchange(&mut child, (ours.try_clone().unwrap(), close), ours, input)
        }
        Transport::File => {
            let dir = tempfile::tempdir().unwrap();
            let (from, to) = (dir.path().join("in"), dir.path().join("out"));
            std::fs::write(&from, input).unwrap();
            command.stdin(File::open(from).unwrap()).stdout(File::create(&to).unwrap());
            let (code, peak) = ended(&mut command.spawn().unwrap());
            (code, peak, std::fs::read_to_string(to).unwrap())
        }
    };
    let messages: Vec<Value> = output.lines().map(parse).collect();
    let mut checker = Checker::default();
    for line in input.split(|byte| *byte == b'\n').filter(|line| line.len() < 100_000) {
        if let Ok(message) = serde_json::from_slice(line) {
            checker.sent(&message);
        }
    }
    for message in &messages {
        checker.came(message);
    }
    Served { messages, code, peak_kib }
}

/// Writes and closes in one thread and reads in another, while this one looks at the process.
fn exchange<W: Write + Send>(
    child: &mut Child,
    (mut to, close): (W, impl FnOnce(W) + Send),
    mut from: impl Read + Send,
    input: &[u8],
) -> (Option<i32>, u64, String) {
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A server that ends early closes its end; what it said is compared below.
            let _ = to.write_all(input);
            close(to);
        });
        let reader = scope.spawn(move || {
            let mut output = String::new();
            from.read_to_string(&mut output).map(|_| output)
        });
        let (code, peak) = ended(child);
        (code, peak, reader.join().unwrap().unwrap())
    })
}

/// Waits for the end: the exit code and the most memory that was seen.
fn ended(child: &mut Child) -> (Option<i32>, u64) {
    let (until, mut peak) = (Instant::now() + PATIENCE, 0);
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        peak = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), peak);
        }
        if Instant::now() > until {
            let _ = child.kill();
            panic!("the server does not end within {PATIENCE:?}");
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
