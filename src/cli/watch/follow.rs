//! Following a run that was started or found: what is said before, the watch, what is printed at the end.

use std::time::Instant;

use serde_json::json;

use super::ask::Keyboard;
use super::flags::{FollowFlags, ShowFlags};
use super::live::Live;
use super::redraw::Redraw;
use super::watcher::{Progress, Verdict, Watcher};
use crate::cli::exit::goes_on;
use crate::cli::render::run_end;
use crate::cli::render::text::{plural, value_text};
use crate::cli::{Context, Exit, Outcome};
use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::core::run::{RunStatus, StatusReason, is_fake};
use crate::engine::params::{OutputParams, StatusParams, Until, WaitParams};
use crate::engine::view::{ResumedHow, RunView, Woke};
use crate::engine::{RunEnd, RunHandle, Started};

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

/// What was there before a run was started.
#[derive(Debug, Clone, Copy)]
pub enum Before<'a> {
    /// Nothing; whether no provider was named or configured.
    Nothing {
        /// Nobody chose a provider.
        unconfigured: bool,
    },
    /// The run that was resumed.
    Resumed(&'a RunView),
}

/// Follows a run that was just started, or leaves it to its own process.
pub fn follow_started(ctx: &mut Context, flags: &FollowFlags, started: Started, before: Before<'_>) -> Outcome {
    let Started { run_id, joined, resumed, handle } = started;
    let chatty = !flags.show.quiet && !ctx.global.json && !flags.show.events;
    if chatty {
        opening(ctx, &run_id, joined, resumed, before)?;
    }
    let seen = match (resumed, before) {
        (Some(ResumedHow::InPlace), Before::Resumed(view)) => Seen::UpTo(view.next_cursor.parse().unwrap_or(0)),
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
    before: Before<'_>,
) -> Result<(), Failure> {
    if joined {
        ctx.out.note(&format!("joined run {run_id}, started earlier with the same request key"));
    }
    match (resumed, before) {
        (Some(ResumedHow::InPlace), Before::Resumed(old)) => {
            let to_go = old.counts.running + old.counts.queued;
            let replayed = old.counts.total.saturating_sub(to_go);
            ctx.out.note(&format!("resuming in place: {} replayed, {to_go} to go", plural(replayed, "call")));
        }
        (Some(ResumedHow::NewRun), Before::Resumed(old)) => {
            ctx.out.note(&format!("resuming {} as a new run {run_id}: finished calls are reused", old.run_id));
        }
        (Some(_) | None, _) => {}
    }
    let facts = status(ctx, run_id)?.run;
    if facts.is_some_and(|f| f.row.answerers().into_iter().any(is_fake)) {
        ctx.out.note(match before {
            Before::Nothing { unconfigured: true } => {
                "note: no provider is configured: FAKE answers, good for testing only"
            }
            Before::Nothing { unconfigured: false } | Before::Resumed(_) => "note: FAKE answers, good for testing only",
        });
        let here = ctx.engine.providers_here();
        if let Some(first) = here.first().and_then(|p| p.split(' ').next()) {
            ctx.out.note(&format!("      here: {}   for real answers: --provider {first}", here.join(", ")));
        }
    }
    Ok(())
}

pub(super) fn status(ctx: &Context, run_id: &RunId) -> Result<RunView, Failure> {
    ctx.engine.status(&StatusParams { run_id: Some(run_id.to_string()), ..StatusParams::default() })
}

/// Follows a run to its goal, then prints its end.
pub fn follow(ctx: &mut Context, show: &ShowFlags, job: &Job) -> Outcome {
    let begun = Instant::now();
    let interrupts = ctx.interrupts();
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
    if let Some(RunEnd::Lost(failure)) = job.handle.as_ref().and_then(RunHandle::end) {
        // Nothing is told of a run whose last events may not be on disk, or that is another process's now.
        let failure = if failure.code == Code::RunIsLive {
            Failure::new(Code::Internal, failure.message)
                .hint(format!("owf status {} shows where it stands", job.run_id.short()))
        } else {
            *failure
        };
        return Err(failure.with("run_id", job.run_id.to_string()));
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
    // A replay that left its journal went on as another run.
    let run = job.handle.as_ref().map_or_else(|| job.run_id.clone(), RunHandle::run_id);
    let run_id = Some(run.to_string());
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
        status(ctx, &run)?
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
