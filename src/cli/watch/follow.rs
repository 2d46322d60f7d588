//! The watch loop: reads committed events, shows them, asks questions, minds Ctrl-C, and prints the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::ask::{Answer, Keyboard, Typed, answer};
use super::flags::{FollowFlags, ShowFlags};
use super::live::Live;
use super::plain;
use super::redraw::Redraw;
use super::screen::screen;
use crate::cli::exit::goes_on;
use crate::cli::render::text::{plural, value_text};
use crate::cli::render::{approvals, run_end};
use crate::cli::{Context, Exit, Outcome};
use crate::core::call::Decision;
use crate::core::failure::Failure;
use crate::core::ids::RunId;
use crate::core::run::{RunStatus, StatusReason};
use crate::engine::params::{DecideParams, OutputParams, StatusParams, Until, WaitParams};
use crate::engine::view::{ApprovalRow, EventView, ResumedHow, RunView, Woke};
use crate::engine::{RunHandle, Started};

const TICK: Duration = Duration::from_millis(250);
const REDRAW: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(60);
const PAGE: usize = 500;

/// What ends the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The run ended or paused.
    End,
    /// Or a person is needed, or its first call failed.
    Attention,
    /// Or anything is new.
    Change,
}

/// Which events are old news, taken in without being shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// None.
    Nothing,
    /// Those up to this number.
    UpTo(u64),
    /// All there are at the beginning.
    Everything,
}

/// One run to follow.
#[derive(Debug)]
pub struct Job {
    /// The run.
    pub run_id: RunId,
    /// The run, when this process executes it.
    pub handle: Option<RunHandle>,
    /// When to give up.
    pub deadline: Option<Instant>,
    /// What ends the watch.
    pub goal: Goal,
    /// For the goals beyond the end: what is older is no news.
    pub cursor: Option<String>,
    /// Old news.
    pub seen: Seen,
    /// How a resume went on.
    pub resumed: Option<ResumedHow>,
    /// Whether a request key found an earlier start.
    pub joined: bool,
}

/// Follows a run that was just started, or leaves it to its own process. `before` is the run that was resumed.
pub fn follow_started(ctx: &mut Context, flags: &FollowFlags, started: Started, before: Option<&RunView>) -> Outcome {
    let Started { run_id, joined, resumed, handle } = started;
    let chatty = !flags.show.quiet && !ctx.global.json && !flags.show.events;
    if chatty {
        opening(ctx, &run_id, joined, resumed, before)?;
    }
    let seen = match (resumed, before) {
        (Some(ResumedHow::InPlace), Some(view)) => Seen::UpTo(view.next_cursor.parse().unwrap_or(0)),
        _ => Seen::Nothing,
    };
    let job = Job { run_id, handle, deadline: None, goal: Goal::End, cursor: None, seen, resumed, joined };
    if flags.detach {
        let view = final_view(ctx, &flags.show, &job)?;
        if ctx.global.json {
            ctx.out.json(&view)?;
        } else {
            let text = run_end::three_lines(&view, &ctx.term.cwd);
            ctx.out.result(&text);
        }
        return Ok(Exit::Done);
    }
    follow(ctx, &flags.show, &job)
}

/// What is said before the first fact.
fn opening(
    ctx: &mut Context,
    run_id: &RunId,
    joined: bool,
    resumed: Option<ResumedHow>,
    before: Option<&RunView>,
) -> Result<(), Failure> {
    if joined {
        ctx.out.note(&format!("joined run {run_id}, started earlier with the same request key"));
    }
    match (resumed, before) {
        (Some(ResumedHow::InPlace), Some(old)) => {
            let to_go = old.counts.running + old.counts.queued;
            let replayed = old.counts.total.saturating_sub(to_go);
            ctx.out.note(&format!("resuming in place: {} replayed, {to_go} to go", plural(replayed, "call")));
        }
        (Some(ResumedHow::NewRun), Some(old)) => {
            ctx.out.note(&format!("resuming {} as a new run {run_id}: finished calls are reused", old.run_id));
        }
        (Some(_) | None, _) => {}
    }
    let facts = status(ctx, run_id)?.run;
    if facts.is_some_and(|f| f.row.provider == "fake") {
        ctx.out.note("note: FAKE answers, good for testing only");
        let here = ctx.engine.providers_here();
        if let Some(first) = here.first().and_then(|p| p.split(' ').next()) {
            ctx.out.note(&format!("      here: {}   for real answers: --provider {first}", here.join(", ")));
        }
    }
    Ok(())
}

fn status(ctx: &Context, run_id: &RunId) -> Result<RunView, Failure> {
    ctx.engine.status(&StatusParams { run_id: Some(run_id.to_string()), ..StatusParams::default() })
}

/// How progress is shown.
enum Progress {
    Screen(Redraw),
    Lines,
    Events,
    None,
}

struct Watcher<'a> {
    job: &'a Job,
    live: Live,
    home: String,
    progress: Progress,
    keyboard: Keyboard,
    interrupts: Arc<AtomicU32>,
    heard: u32,
    drawn: Option<Instant>,
    spoken: Instant,
    asking: bool,
}

/// How the watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The run has no process any more.
    Over,
    /// The goal was reached while the run goes on.
    Woke,
    /// The deadline passed.
    TimedOut,
    /// Ctrl-C: watching stopped, the run goes on elsewhere.
    StoppedWatching,
    /// A second Ctrl-C: the run was ended at once.
    Killed,
}

/// Follows a run to its goal, then prints its end.
pub fn follow(ctx: &mut Context, show: &ShowFlags, job: &Job) -> Outcome {
    let begun = Instant::now();
    let interrupts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&interrupts);
    ctx.engine.on_interrupt(Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let progress = if show.events {
        Progress::Events
    } else if show.quiet {
        Progress::None
    } else if ctx.term.stderr {
        Progress::Screen(Redraw::default())
    } else {
        Progress::Lines
    };
    let first = status(ctx, &job.run_id)?;
    let home = first.run.as_ref().map(|facts| facts.home.clone()).unwrap_or_default();
    let cursor = match (job.goal, &job.cursor) {
        (Goal::Change, None) => Some(first.next_cursor.clone()),
        (_, cursor) => cursor.clone(),
    };
    let mut watcher = Watcher {
        job,
        live: Live { run_id: Some(job.run_id.clone()), ..Live::default() },
        home,
        progress,
        keyboard: Keyboard::default(),
        interrupts,
        heard: 0,
        drawn: None,
        spoken: Instant::now(),
        asking: job.handle.is_some() && ctx.can_ask() && !show.events,
    };
    let old = match job.seen {
        Seen::Nothing => 0,
        Seen::UpTo(seq) => seq,
        Seen::Everything => first.next_cursor.parse().unwrap_or(0),
    };
    let verdict = watcher.run(ctx, old, cursor.as_deref())?;
    if let Progress::Screen(redraw) = &mut watcher.progress {
        redraw.clear(&mut ctx.out);
    }
    let mut view = final_view(ctx, show, job)?;
    if job.handle.is_none() && !job.joined {
        view.waited_ms = Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        if verdict == Verdict::TimedOut {
            view.woke = Some(Woke::Timeout);
        }
    }
    if verdict == Verdict::Killed && goes_on(view.status) {
        // This process holds the run until it exits, which it does next.
        view.status = RunStatus::Interrupted;
        view.status_reason = Some(StatusReason::OwnerGone);
    }
    print_end(ctx, show, &view)?;
    Ok(match verdict {
        Verdict::TimedOut | Verdict::StoppedWatching => Exit::NotFinished,
        Verdict::Woke if goes_on(view.status) => Exit::Done,
        Verdict::Over | Verdict::Woke | Verdict::Killed => Exit::of_status(view.status),
    })
}

/// The view that ends the command.
fn final_view(ctx: &Context, show: &ShowFlags, job: &Job) -> Result<RunView, Failure> {
    let run_id = Some(job.run_id.to_string());
    let mut view = if ctx.global.json || show.events {
        let params = WaitParams {
            run_id,
            cursor: job.cursor.clone(),
            timeout_seconds: Some(0),
            until: Some(Until::End),
            detail: Some(show.detail()),
            home: None,
        };
        let mut view = ctx.engine.wait(&params)?;
        if job.handle.is_some() {
            // `run` and `resume` did not wait for news, they ran.
            view.woke = None;
            view.waited_ms = None;
        }
        view
    } else {
        status(ctx, &job.run_id)?
    };
    view.resumed = job.resumed.or(view.resumed);
    if job.joined {
        view.joined = Some(true);
    }
    Ok(view)
}

fn print_end(ctx: &mut Context, show: &ShowFlags, view: &RunView) -> Result<(), Failure> {
    if show.events {
        return ctx.out.json(&json!({ "type": "run_view", "data": view }));
    }
    if ctx.global.json {
        return ctx.out.json(view);
    }
    if !show.quiet || view.status != RunStatus::Done {
        let text = run_end::screen(view, &ctx.term);
        ctx.out.note(&text);
    }
    if show.result {
        let value = match &view.output {
            Some(value) => Some(value.clone()),
            // Too large for the view: the whole of it comes from the request made for it.
            None if view.outline.is_some() => {
                let params = OutputParams { run_id: Some(view.run_id.to_string()), ..OutputParams::default() };
                ctx.engine.output(&params)?.output
            }
            None => None,
        };
        if let Some(value) = value {
            ctx.out.result(&value_text(&value));
        }
    } else {
        let text = run_end::three_lines(view, &ctx.term.cwd);
        ctx.out.result(&text);
    }
    Ok(())
}

impl Watcher<'_> {
    fn run(&mut self, ctx: &mut Context, old: u64, cursor: Option<&str>) -> Result<Verdict, Failure> {
        let mut looked: Option<Instant> = None;
        let mut first = true;
        loop {
            let over = match &self.job.handle {
                Some(handle) => handle.wait_ended(if first { Duration::ZERO } else { TICK }),
                None => {
                    if !first {
                        std::thread::sleep(TICK);
                    }
                    false
                }
            };
            first = false;
            self.read_events(ctx, old)?;
            if over {
                return Ok(Verdict::Over);
            }
            if let Some(verdict) = self.mind_interrupts(ctx) {
                return Ok(verdict);
            }
            let due = self.live.at_rest || looked.is_none_or(|at| at.elapsed() >= REDRAW);
            if due && (self.job.handle.is_none() || self.asking) {
                looked = Some(Instant::now());
                let view = status(ctx, &self.job.run_id)?;
                if self.job.handle.is_none() && !goes_on(view.status) {
                    self.read_events(ctx, old)?;
                    return Ok(Verdict::Over);
                }
                if self.asking && !view.approvals.is_empty() {
                    self.ask(ctx, &view)?;
                }
            }
            if self.job.goal != Goal::End && self.reached(ctx, cursor)? {
                return Ok(Verdict::Woke);
            }
            if self.job.deadline.is_some_and(|at| Instant::now() >= at) {
                return Ok(Verdict::TimedOut);
            }
            if matches!(self.progress, Progress::Events) && ctx.out.broken() && self.job.handle.is_none() {
                return Ok(Verdict::StoppedWatching);
            }
            self.show(ctx);
        }
    }

    /// Takes in what was committed since, and prints it when it is printed line by line.
    fn read_events(&mut self, ctx: &mut Context, old: u64) -> Result<(), Failure> {
        if matches!(self.progress, Progress::None) && !self.asking {
            return Ok(());
        }
        loop {
            let events = ctx.engine.events(self.job.run_id.as_str(), self.live.seq, PAGE)?;
            for record in &events {
                self.live.apply(record);
                if record.seq <= old {
                    continue;
                }
                match &self.progress {
                    Progress::Events => ctx.out.json(&EventView::from(record))?,
                    Progress::Lines => {
                        let text = plain::lines(record, &self.live, &self.home);
                        if !text.is_empty() {
                            ctx.out.note(&text);
                            self.spoken = Instant::now();
                        }
                    }
                    Progress::Screen(_) | Progress::None => {}
                }
            }
            if events.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Redraws the screen once a second, or says after a minute of silence that all is well.
    fn show(&mut self, ctx: &mut Context) {
        let now = Context::now();
        match &mut self.progress {
            Progress::Screen(redraw) if self.drawn.is_none_or(|at| at.elapsed() >= REDRAW) => {
                self.drawn = Some(Instant::now());
                let hint = match (&self.job.handle, self.heard) {
                    (Some(_), 0) => "Ctrl-C leaves a run that can be resumed",
                    (Some(_), _) => "stopping; Ctrl-C again: at once",
                    (None, _) => "Ctrl-C stops watching; the run goes on",
                };
                redraw.draw(&mut ctx.out, &screen(&self.live, now, ctx.term.width, hint));
            }
            Progress::Lines if self.spoken.elapsed() >= SILENCE => {
                self.spoken = Instant::now();
                ctx.out.note(&plain::heartbeat(now, &self.live));
            }
            Progress::Screen(_) | Progress::Lines | Progress::Events | Progress::None => {}
        }
    }

    fn reached(&self, ctx: &Context, cursor: Option<&str>) -> Result<bool, Failure> {
        let params = WaitParams {
            run_id: Some(self.job.run_id.to_string()),
            cursor: cursor.map(str::to_owned),
            timeout_seconds: Some(0),
            until: Some(match self.job.goal {
                Goal::End => Until::End,
                Goal::Attention => Until::Attention,
                Goal::Change => Until::Change,
            }),
            ..WaitParams::default()
        };
        Ok(ctx.engine.wait(&params)?.woke.is_some_and(|woke| woke != Woke::Timeout))
    }

    /// The first Ctrl-C ends the run politely, the second at once; for a run elsewhere it ends the watch.
    fn mind_interrupts(&mut self, ctx: &mut Context) -> Option<Verdict> {
        let now = self.interrupts.load(Ordering::SeqCst);
        if now == self.heard {
            return None;
        }
        self.heard = now;
        self.clear(ctx);
        let Some(handle) = &self.job.handle else {
            ctx.out.note("stopped watching; the run goes on");
            return Some(Verdict::StoppedWatching);
        };
        if now >= 2 {
            handle.kill();
            return Some(Verdict::Killed);
        }
        let agents = match self.live.running.len() as u64 {
            0 => String::new(),
            n => format!(" {}", plural(n, "agent")),
        };
        ctx.out.note(&format!("^C stopping{agents} (up to 8s; Ctrl-C again: at once)"));
        handle.interrupt();
        None
    }

    fn clear(&mut self, ctx: &mut Context) {
        if let Progress::Screen(redraw) = &mut self.progress {
            redraw.clear(&mut ctx.out);
            self.drawn = None;
        }
    }

    /// Asks the first question not put off. When nothing but questions put off is left, the run is paused.
    fn ask(&mut self, ctx: &mut Context, view: &RunView) -> Result<(), Failure> {
        let Some(row) = self.keyboard.next(&view.approvals).cloned() else {
            if view.counts.running + view.counts.queued <= view.approvals.len() as u64 {
                self.asking = false;
                ctx.engine.pause(self.job.run_id.as_str(), &ctx.term.user.clone())?;
            }
            return Ok(());
        };
        self.clear(ctx);
        self.keyboard.drain();
        ctx.out.raw_note(&approvals::question(&row, &self.live.workflow, ctx.term.width));
        ctx.out.raw_note(approvals::PROMPT);
        loop {
            match self.keyboard.line(TICK) {
                Typed::Nothing => {}
                Typed::End => {
                    ctx.out.note("");
                    self.keyboard.later.extend(view.approvals.iter().map(|row| row.approval_id.clone()));
                    return Ok(());
                }
                Typed::Line(line) => match answer(&line) {
                    Answer::Decide(decision) => return decide(ctx, &row, decision),
                    Answer::Later => {
                        self.keyboard.later.insert(row.approval_id);
                        return Ok(());
                    }
                    Answer::Show => {
                        ctx.out.raw_note(&approvals::details(&row));
                        ctx.out.raw_note(approvals::PROMPT);
                    }
                    Answer::Unclear => ctx.out.raw_note(approvals::PROMPT),
                },
            }
            if self.interrupts.load(Ordering::SeqCst) != self.heard {
                ctx.out.note("");
                return Ok(());
            }
            let still = status(ctx, &self.job.run_id)?.approvals;
            if !still.iter().any(|other| other.approval_id == row.approval_id && other.run_id == row.run_id) {
                ctx.out.note(&format!("\n{} was answered elsewhere, or expired", row.approval_id));
                return Ok(());
            }
        }
    }
}

fn decide(ctx: &mut Context, row: &ApprovalRow, decision: Decision) -> Result<(), Failure> {
    let params = DecideParams {
        run_id: row.run_id.to_string(),
        approval_id: row.approval_id.clone(),
        decision,
        content_hash: row.content_hash.clone(),
        reason: "answered at the terminal".to_owned(),
        home: None,
    };
    // Somebody else may have been faster: that is news, not a reason to stop the run.
    if let Err(failure) = ctx.engine.decide(&params, &ctx.term.user.clone(), "cli", true) {
        ctx.out.note(&failure.message);
    }
    Ok(())
}
