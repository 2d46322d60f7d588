//! Bytes from whatever stdin is: readiness where the system has it (FIFO, pipe, socket, terminal), else a thread (file).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// Where bytes come from. Reading is cancel-safe: a dropped read has taken nothing.
pub(super) enum Input {
    /// A file descriptor that can be polled. Its flags stay as they are, since others may share the description.
    Ready(AsyncFd<OwnedFd>),
    /// A thread that reads ahead, two chunks at most.
    Thread(mpsc::Receiver<io::Result<Vec<u8>>>),
}

impl Input {
    /// Must be called inside the runtime.
    ///
    /// # Errors
    /// The reader thread does not start.
    #[expect(deprecated, reason = "its successor is unsafe; an `OwnedFd` that nothing replaces is what both ask for")]
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        match AsyncFd::try_with_interest(fd, Interest::READABLE) {
            Ok(fd) => Ok(Self::Ready(fd)),
            Err(error) => {
                let (fd, _) = error.into_parts();
                let (tx, rx) = mpsc::channel(2);
                std::thread::Builder::new().name("owf-stdin".to_owned()).spawn(move || read_all(&fd, &tx))?;
                Ok(Self::Thread(rx))
            }
        }
    }

    /// Appends what there is to `buffer`; 0 = the end.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Ready(fd) => loop {
                let mut ready = fd.readable().await?;
                // The descriptor may be a blocking one, and readiness is remembered from before the last read.
                if !waiting(fd.get_ref().as_fd())? {
                    ready.clear_ready();
                    continue;
                }
                match append(fd.get_ref().as_fd(), buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    done => return done,
                }
            },
            Self::Thread(chunks) => match chunks.recv().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    buffer.extend_from_slice(&chunk);
                    Ok(chunk.len())
                }
                None => Ok(0),
            },
        }
    }
}

/// Whether a read would return at once.
fn waiting(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    Ok(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

fn append(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let from = buffer.len();
    buffer.resize(from + CHUNK, 0);
    let read = rustix::io::read(fd, &mut buffer[from..]);
    buffer.truncate(from + read.unwrap_or(0));
    Ok(read?)
}

fn read_all(fd: &OwnedFd, chunks: &mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = Vec::new();
        let read = append(fd.as_fd(), &mut chunk);
        let item = match read {
            Ok(0) => return,
            Ok(_) => Ok(chunk),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let last = item.is_err();
        if chunks.blocking_send(item).is_err() || last {
            return;
        }
    }
}
