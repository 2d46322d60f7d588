//! A program that is talked with line by line for as long as it is needed, and ended politely with everything it started.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::run::{Exit, Program, Started, of_status, spawn};
use super::sweep::signal_group;

/// How long a program may take to end once its input is closed, and again once it was told to terminate.
const TO_END: Duration = Duration::from_secs(2);
/// The longest line of its diagnostics that is handed out; the rest of it is left out.
const DIAGNOSTIC: usize = 2_000;
/// Lines of its diagnostics that are handed out: a log is no place for a flood.
const DIAGNOSTICS: usize = 2_000;

/// What was heard of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line longer than what is read of one.
    TooLong,
    /// Its output has ended.
    End,
}

/// A program under way. Dropping it ends it, with everything it started, at once.
pub struct Talk {
    started: Started,
    /// None when its input is closed. What answers it is marked.
    to: Option<UnboundedSender<(String, bool)>>,
    /// Bytes of answers that it has yet to read.
    unread: Arc<AtomicUsize>,
    from: Lines<ChildStdout>,
    /// The last line of its diagnostics.
    last: Arc<Mutex<String>>,
    /// Who reads them.
    reader: tokio::task::JoinHandle<()>,
}

/// What is known of a program that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How; none when nobody knows.
    pub exit: Option<Exit>,
    /// The last line of its diagnostics.
    pub last: String,
}

impl Talk {
    /// Starts a program. Its diagnostics go to `diagnostics`, line by line; of its output at most `most` bytes are read of a line.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn start(
        program: Program,
        most: usize,
        diagnostics: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut child = spawn(&program).await?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let started = Started::new(child, program.marker);
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(std::io::Error::other("the program has no pipes"));
        };
        let (to, mut lines) = unbounded_channel::<(String, bool)>();
        let unread = Arc::new(AtomicUsize::new(0));
        let written = Arc::clone(&unread);
        // Apart from the reading: a program that waits until it is read must not keep us from reading.
        tokio::spawn(async move {
            while let Some((line, answers)) = lines.recv().await {
                if stdin.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
                if answers {
                    written.fetch_sub(line.len(), Ordering::Relaxed);
                }
            }
        });
        let last = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&last);
        let reader = tokio::spawn(async move {
            let mut lines = Lines::new(stderr, DIAGNOSTIC);
            let mut told = 0;
            loop {
                match lines.next().await {
                    Ok(Heard::Line(line)) => {
                        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                        if !line.is_empty() && told < DIAGNOSTICS {
                            told += 1;
                            diagnostics(&line);
                        }
                        if !line.is_empty() {
                            *seen.lock().unwrap_or_else(PoisonError::into_inner) = line;
                        }
                    }
                    Ok(Heard::TooLong) => {}
                    Ok(Heard::End) | Err(_) => return,
                }
            }
        });
        Ok(Self { started, to: Some(to), unread, from: Lines::new(stdout, most), last, reader })
    }

    /// Says a line. What a program does not read it is not told.
    pub fn say(&self, line: &str) {
        self.tell(line, false);
    }

    /// Says a line that answers one of its own.
    pub fn answer(&self, line: &str) {
        self.unread.fetch_add(line.len() + 1, Ordering::Relaxed);
        self.tell(line, true);
    }

    fn tell(&self, line: &str, answers: bool) {
        if let Some(to) = &self.to {
            // A program that has closed its input is about to end, which is heard.
            let _ = to.send((format!("{line}\n"), answers));
        }
    }

    /// How many bytes of answers it has yet to read, beside those that its system keeps for it.
    pub fn unread(&self) -> usize {
        self.unread.load(Ordering::Relaxed)
    }

    /// What it says next. Nothing is lost when this is dropped.
    ///
    /// # Errors
    /// Its output cannot be read.
    pub async fn next(&mut self) -> std::io::Result<Heard> {
        self.from.next().await
    }

    /// Ends it: its input is closed, then it is told to terminate, then killed with everything that it left running.
    pub async fn end(mut self) -> Ended {
        self.to = None;
        self.started.look();
        let mut exit = self.exit(TO_END).await;
        if exit.is_none() {
            self.started.look();
            signal_group(self.started.pid, Signal::TERM);
            exit = self.exit(TO_END).await;
        }
        self.started.end_all();
        if exit.is_none() {
            exit = self.exit(TO_END).await;
        }
        // What it wrote before its end may still be on its way.
        let _ = tokio::time::timeout(TO_END, &mut self.reader).await;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ended { exit, last }
    }

    /// How it ended, once it has; none when it has not in this time. What it says meanwhile is read, so that it can end.
    async fn exit(&mut self, patience: Duration) -> Option<Exit> {
        let Self { started, from, .. } = self;
        let unheard = async {
            while !matches!(from.next().await, Ok(Heard::End) | Err(_)) {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            status = tokio::time::timeout(patience, started.child.wait()) => status.ok()?.ok().map(of_status),
            () = unheard => None,
        }
    }
}

/// Output as lines of bearable length.
struct Lines<R> {
    reader: BufReader<R>,
    /// The line so far.
    part: Vec<u8>,
    /// Whether the rest of the line is left out.
    skipping: bool,
    most: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R, most: usize) -> Self {
        Self { reader: BufReader::with_capacity(64 << 10, reader), part: Vec::new(), skipping: false, most }
    }

    /// The next line. Nothing is lost when this is dropped.
    async fn next(&mut self) -> std::io::Result<Heard> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                let rest = std::mem::take(&mut self.part);
                return Ok(if rest.is_empty() { Heard::End } else { Heard::Line(rest) });
            }
            let found = chunk.iter().position(|byte| *byte == b'\n');
            let (taken, used) = match found {
                Some(at) => (&chunk[..at], at + 1),
                None => (chunk, chunk.len()),
            };
            let too_long = self.part.len() + taken.len() > self.most;
            if !self.skipping && !too_long {
                self.part.extend_from_slice(taken);
            }
            self.reader.consume(used);
            if too_long && !std::mem::replace(&mut self.skipping, true) {
                self.part = Vec::new();
                if found.is_some() {
                    self.skipping = false;
                }
                return Ok(Heard::TooLong);
            }
            if found.is_some() && !std::mem::take(&mut self.skipping) {
                let mut line = std::mem::take(&mut self.part);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Heard::Line(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn heard(text: &str, most: usize) -> Vec<Heard> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines =
                Lines { reader: BufReader::with_capacity(4, text.as_bytes()), ..Lines::new(&b""[..], most) };
            let mut out = Vec::new();
            while out.last() != Some(&Heard::End) {
                out.push(lines.next().await.unwrap());
            }
            out
        })
    }

    fn program(args: &[&str]) -> Program {
        Program {
            path: "/bin/sh".into(),
            args: ["-c"].iter().chain(args).map(|arg| (*arg).to_owned()).collect(),
            env: vec![("PATH".to_owned(), "/bin:/usr/bin".to_owned())],
            cwd: "/".into(),
            input: String::new(),
            marker: "a/b/c/1".to_owned(),
        }
    }

    #[test]
    fn only_answers_count_as_left_unread() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let talk = Talk::start(program(&["exec sleep 1000"]), 100, |_| {}).await.unwrap();
            talk.say(&"x".repeat(1 << 20));
            assert_eq!(talk.unread(), 0);
            talk.answer(&"x".repeat(1 << 20));
            assert_eq!(talk.unread(), (1 << 20) + 1);
            // A program that reads has been told when it answers.
            let mut reads = Talk::start(program(&["read -r line; echo \"$line\""]), 100, |_| {}).await.unwrap();
            reads.answer("well");
            assert_eq!(reads.next().await.unwrap(), Heard::Line(b"well".to_vec()));
            tokio::task::yield_now().await;
            assert_eq!(reads.unread(), 0);
        });
    }

    #[test]
    fn lines_that_are_too_long_are_told_once_and_left_out() {
        let line = |text: &str| Heard::Line(text.as_bytes().to_vec());
        assert_eq!(heard("ab\r\n\ncd", 4), [line("ab"), line(""), line("cd"), Heard::End]);
        assert_eq!(heard("abcdefghijk\nab\n", 6), [Heard::TooLong, line("ab"), Heard::End]);
        assert_eq!(heard("abcdefg\nab\n", 6), [Heard::TooLong, line("ab"), Heard::End]);
        assert_eq!(heard("abcdefghijklm", 6), [Heard::TooLong, Heard::End]);
    }
}
