//! The way out: one bounded queue to one thread that writes lines. A client that does not read fills it, and nothing more is
//! taken in.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{RecvTimeoutError, Sender as Done, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc::{self, Permit, Receiver, Sender};

/// Lines that wait to be written.
const QUEUE: usize = 16;
/// Bytes written at a time when several lines wait.
const BATCH: usize = 64 * 1024;

enum Item {
    Line(Vec<u8>),
    /// Everything before it has been written.
    Written(Done<()>),
}

/// The queue to the writer. Closed once the client has closed its end.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: Sender<Item>,
}

/// Room for one line.
pub(super) struct Room<'a>(Permit<'a, Item>);

impl Room<'_> {
    /// Queues a line; its end is added.
    pub(super) fn put(self, mut line: Vec<u8>) {
        line.push(b'\n');
        self.0.send(Item::Line(line));
    }
}

impl Outbox {
    /// Starts the writer.
    ///
    /// # Errors
    /// The thread does not start.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let (queue, items) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("owf-stdout".to_owned()).spawn(move || {
            if let Err(error) = write_all(&fd, items) {
                tracing::debug!("writing stdout failed: {error}");
            }
        })?;
        Ok(Self { queue })
    }

    /// Waits for room; none when the client is gone.
    pub(super) async fn room(&self) -> Option<Room<'_>> {
        self.queue.reserve().await.ok().map(Room)
    }

    /// Queues a line if there is room: for what may be left out.
    pub(super) fn offer(&self, line: Vec<u8>) -> bool {
        self.queue.try_reserve().map(|permit| Room(permit).put(line)).is_ok()
    }

    /// Returns when the client is gone.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Waits until everything queued has been written, or for `limit`. Blocks the thread.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, written) = channel();
        if self.queue.try_send(Item::Written(done)).is_ok()
            && written.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
        {
            tracing::debug!("the client does not read; what was left is dropped");
        }
    }
}

fn write_all(fd: &OwnedFd, mut items: Receiver<Item>) -> io::Result<()> {
    while let Some(mut item) = items.blocking_recv() {
        let mut bytes = Vec::new();
        let mut written = Vec::new();
        loop {
            match item {
                Item::Line(line) if bytes.is_empty() => bytes = line,
                Item::Line(line) => bytes.extend_from_slice(&line),
                Item::Written(done) => written.push(done),
            }
            match items.try_recv() {
                Ok(next) if bytes.len() < BATCH => item = next,
                Ok(next) => {
                    write(fd, &bytes)?;
                    bytes.clear();
                    item = next;
                }
                Err(_) => break,
            }
        }
        write(fd, &bytes)?;
        for done in written {
            let _ = done.send(());
        }
    }
    Ok(())
}

fn write(fd: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes).map_err(io::Error::from) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Node gives sockets that may be non-blocking; the flag belongs to both ends of the description.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
