//! One program from start to end: prompt in, lines out, and an end that leaves nothing running.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::sweep::{kill, kill_group, signal, signal_group, sweep_listed};
use super::table::{Row, descendants, rows};

/// The environment variable that marks processes started for an attempt, so that they can be found and ended when their owner
/// is gone.
pub const MARKER: &str = "OWF_CALL_ID";

/// The environment variable, `1`, of a process that is on its own: it outlives the call that it was started from.
pub const DETACHED: &str = "OWF_DETACHED";

/// How long a program may take after it was interrupted, to say what it used.
const AFTER_INTERRUPT: Duration = Duration::from_secs(5);
/// How long it may take after it was told to terminate.
const AFTER_TERMINATE: Duration = Duration::from_secs(3);
/// How long what it wrote may take to arrive once it has ended: another process may hold the pipe open.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the end of the output may take to be seen when that time is up.
const LAST_LOOK: Duration = Duration::from_millis(200);

/// How long a program file may stay open for writing before that is a failure.
const WHILE_WRITTEN: Duration = Duration::from_secs(2);

/// The most that is read of its output; a program that prints more is ended.
const MOST_OUTPUT: usize = 64 << 20;
/// The most that is kept of its diagnostics: the end of them.
const MOST_ERRORS: usize = 16 << 10;

/// A program to be run.
#[derive(Clone)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment, but for the marker.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// What it reads; its input is closed after that.
    pub input: String,
    /// The value of [`MARKER`] for it and everything it starts.
    pub marker: String,
}

impl std::fmt::Debug for Program {
    /// Names of variables only: values may be keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Program")
            .field("path", &self.path)
            .field("args", &self.args)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .field("marker", &self.marker)
            .finish_non_exhaustive()
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What is known of a program that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// Whether it was ended from here: then even exit code 0 is no success.
    pub ended_by_us: bool,
    /// Whether it was ended because it printed too much.
    pub too_much: bool,
    /// The end of what it wrote to stderr.
    pub errors: String,
}

/// A started program with everything that belongs to it. Dropping it ends all of that at once.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) pid: u32,
    marker: String,
    /// What it had started when it was last looked at.
    known: Vec<Row>,
    /// Whether everything has been ended already.
    settled: bool,
}

/// What this process has started and not ended yet, by process id, with its marker.
static RUNNING: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());

/// Kills everything that is still running from here: for a process that is about to exit and has no time for anything else.
pub fn end_running() {
    let left = std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
    for (pid, marker) in left {
        let listed = rows();
        let belonging = descendants(&listed, pid);
        kill_group(pid);
        for row in belonging.iter().filter(|row| row.pid != pid) {
            kill(row);
        }
        sweep_listed(markers(marker, &belonging), listed);
    }
}

impl Started {
    pub(super) fn new(child: Child, marker: String) -> Self {
        let pid = child.id().unwrap_or(0);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, marker.clone());
        Self { child, pid, marker, known: Vec::new(), settled: false }
    }

    /// Remembers what belongs to it now: a process whose parent dies is found by its parent no more.
    pub(super) fn look(&mut self) {
        for row in descendants(&rows(), self.pid) {
            if !self.known.contains(&row) {
                self.known.push(row);
            }
        }
    }

    /// Kills its group, what it was seen to have started, and whatever carries its marker.
    pub(super) fn end_all(&mut self) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let listed = rows();
        let running = descendants(&listed, self.pid);
        kill_group(self.pid);
        for row in self.known.iter().chain(&running) {
            // The leader is collected by the runtime; it is in its group.
            if row.pid != self.pid {
                kill(row);
            }
        }
        let belonging: Vec<Row> = self.known.iter().chain(&running).cloned().collect();
        sweep_listed(markers(self.marker.clone(), &belonging), listed);
        // Only now: this process may exit meanwhile, and ends what is listed before.
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.pid);
    }
}

/// A marker, and those of the processes that belong to its own: an agent that runs owf has agents of agents.
fn markers(own: String, belonging: &[Row]) -> BTreeSet<String> {
    belonging.iter().filter_map(|row| row.marker.clone()).chain([own]).collect()
}

impl Drop for Started {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// How far the ending of a program has gone.
#[derive(Clone, Copy)]
enum Ending {
    Not,
    Interrupted,
    Terminated,
    Killed,
}

/// Runs a program to its end. Every line of its output goes to `line`, without its end. When `stop` resolves the program is
/// interrupted, after five seconds told to terminate, and after three more killed. Whatever it leaves running is killed; that
/// holds, at once, when this future is dropped.
///
/// # Errors
/// The program could not be started or its output not be read.
pub async fn run(
    program: Program,
    stop: impl Future<Output = ()>,
    mut line: impl FnMut(&[u8]),
) -> std::io::Result<Finished> {
    let mut child = spawn(&program).await?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut started = Started::new(child, program.marker);
    let pid = started.pid;
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) = (stdin, stdout, stderr) else {
        return Err(std::io::Error::other("the program has no pipes"));
    };
    let input = program.input;
    let feed = async move {
        // A program that does not read its input to the end has its reasons; its exit code tells.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let mut errors = Vec::new();
    let collect = async {
        let mut chunk = [0; 4_096];
        while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
            errors.extend_from_slice(&chunk[..read]);
            if errors.len() > 2 * MOST_ERRORS {
                errors.drain(..errors.len() - MOST_ERRORS);
            }
        }
    };
    let mut lines = Lines { reader: BufReader::with_capacity(64 << 10, stdout), part: Vec::new(), read: 0 };
    let (mut feed, mut collect, mut stop) = (std::pin::pin!(feed), std::pin::pin!(collect), std::pin::pin!(stop));
    let (mut feeding, mut collecting, mut reading) = (true, true, true);
    let (mut ending, mut too_much) = (Ending::Not, false);
    let mut exit = None;
    let mut next = Instant::now();
    while exit.is_none() || reading || collecting {
        let waiting = !matches!(ending, Ending::Not) || exit.is_some();
        tokio::select! {
            () = &mut feed, if feeding => feeding = false,
            () = &mut collect, if collecting => collecting = false,
            got = lines.more(&mut line), if reading => reading = got? && lines.read <= MOST_OUTPUT,
            status = started.child.wait(), if exit.is_none() => {
                exit = Some(status?);
                started.end_all();
                next = Instant::now() + DRAIN;
            }
            () = &mut stop, if matches!(ending, Ending::Not) && exit.is_none() => {
                started.look();
                // The program alone: it ends its own children, and a wrapper hands the signal on itself.
                signal(pid, Signal::INT);
                ending = Ending::Interrupted;
                next = Instant::now() + AFTER_INTERRUPT;
            }
            () = tokio::time::sleep_until(next), if waiting => {
                if exit.is_some() {
                    // What stands in the pipe is read all the same, however late this process got its turn.
                    while reading && let Ok(got) = tokio::time::timeout(LAST_LOOK, lines.more(&mut line)).await {
                        reading = got? && lines.read <= MOST_OUTPUT;
                    }
                    break;
                }
                started.look();
                match ending {
                    Ending::Interrupted => {
                        signal_group(pid, Signal::TERM);
                        ending = Ending::Terminated;
                        next = Instant::now() + AFTER_TERMINATE;
                    }
                    Ending::Not | Ending::Terminated | Ending::Killed => {
                        started.end_all();
                        ending = Ending::Killed;
                        // Killed processes are collected in no time; this is for a system that is not.
                        next = Instant::now() + DRAIN;
                    }
                }
            }
        }
        if lines.read > MOST_OUTPUT && !std::mem::replace(&mut too_much, true) {
            started.look();
            started.end_all();
            ending = Ending::Killed;
            next = Instant::now() + DRAIN;
        }
    }
    lines.rest(&mut line);
    let cut = errors.len().saturating_sub(MOST_ERRORS);
    Ok(Finished {
        exit: exit.map_or(Exit::Code(-1), of_status),
        ended_by_us: !matches!(ending, Ending::Not),
        too_much,
        errors: String::from_utf8_lossy(&errors[cut..]).trim().to_owned(),
    })
}

/// Sees to it that programs can be interrupted. A process that was started in the background of a script may ignore interrupts,
/// its children would inherit that, and a shell among them cannot even undo it. A handler here, which does nothing, is not
/// inherited.
fn heed_interrupts() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
        let bit = 1 << (Signal::INT.as_raw() - 1);
        if mask.is_some_and(|mask| mask & bit != 0) {
            // Without it an interrupt is not heard, and the program is told to terminate instead.
            let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
        }
    });
}

pub(super) async fn spawn(program: &Program) -> std::io::Result<Child> {
    heed_interrupts();
    let mut command = Command::new(&program.path);
    command
        .args(&program.args)
        .env_clear()
        .envs(program.env.iter().map(|(name, value)| (name, value)))
        .env(MARKER, &program.marker)
        .current_dir(&program.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let until = Instant::now() + WHILE_WRITTEN;
    loop {
        match command.spawn() {
            // The file is just being replaced by an update.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            spawned => return spawned,
        }
    }
}

pub(super) fn of_status(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

/// Output as lines, however long.
struct Lines<R> {
    reader: BufReader<R>,
    /// The line so far.
    part: Vec<u8>,
    /// Bytes read so far.
    read: usize,
}

impl<R: tokio::io::AsyncRead + Unpin> Lines<R> {
    /// Reads what is there and hands out the lines it completes; false at the end. Nothing is lost when it is dropped.
    async fn more(&mut self, line: &mut impl FnMut(&[u8])) -> std::io::Result<bool> {
        let chunk = self.reader.fill_buf().await?;
        let count = chunk.len();
        self.part.extend_from_slice(chunk);
        self.reader.consume(count);
        self.read += count;
        // Only the new bytes can hold an end of a line.
        let mut from = 0;
        let mut at = self.part.len() - count;
        while let Some(found) = self.part[at..].iter().position(|byte| *byte == b'\n') {
            let end = at + found;
            line(self.part[from..end].strip_suffix(b"\r").unwrap_or(&self.part[from..end]));
            from = end + 1;
            at = from;
        }
        self.part.drain(..from);
        Ok(count > 0)
    }

    /// Hands out a last line without an end.
    fn rest(&mut self, line: &mut impl FnMut(&[u8])) {
        if !self.part.is_empty() {
            line(&std::mem::take(&mut self.part));
        }
    }
}
