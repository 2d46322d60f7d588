//! The loop of a watch: events in, lines or a screen out, questions asked, Ctrl-C minded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::ask::{Answer, Keyboard, Typed, answer};
use super::follow::{Goal, Job, status};
use super::live::Live;
use super::plain;
use super::redraw::Redraw;
use super::screen::screen;
use crate::cli::Context;
use crate::cli::exit::goes_on;
use crate::cli::render::approvals;
use crate::cli::render::text::plural;
use crate::core::call::Decision;
use crate::core::event::ApprovalKind;
use crate::core::failure::Failure;
use crate::core::run::StatusReason;
use crate::engine::params::{DecideParams, Until, WaitParams};
use crate::engine::view::{ApprovalRow, ApprovalState, EventView, RunView, Woke};

const TICK: Duration = Duration::from_millis(250);
const REDRAW: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_mins(1);
const PAGE: usize = 500;

/// How progress is shown.
pub(super) enum Progress {
    Screen(Redraw),
    Lines,
    Events,
    None,
}

/// One watch under way.
pub(super) struct Watcher<'a> {
    pub(super) job: &'a Job,
    pub(super) live: Live,
    pub(super) home: String,
    pub(super) progress: Progress,
    pub(super) keyboard: Keyboard,
    pub(super) interrupts: Arc<AtomicU32>,
    pub(super) heard: u32,
    pub(super) drawn: Option<Instant>,
    pub(super) spoken: Instant,
    pub(super) asking: bool,
}

/// How the watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
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

impl Watcher<'_> {
    pub(super) fn run(&mut self, ctx: &mut Context, old: u64, cursor: Option<&str>) -> Result<Verdict, Failure> {
        let mut looked: Option<Instant> = None;
        let mut first = true;
        loop {
            let over = if let Some(handle) = &self.job.handle {
                handle.wait_ended(if first { Duration::ZERO } else { TICK })
            } else {
                if !first {
                    std::thread::sleep(TICK);
                }
                false
            };
            first = false;
            self.read_events(ctx, old)?;
            if over {
                return Ok(Verdict::Over);
            }
            if let Some(verdict) = self.mind_interrupts(ctx) {
                return Ok(verdict);
            }
            let asks = self.asking && self.live.questions > 0;
            let due = self.live.at_rest || asks || looked.is_none_or(|at| at.elapsed() >= REDRAW);
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
                if let Some(handle) = &self.job.handle {
                    let repeat = view.approvals.first().is_some_and(|row| row.kind == ApprovalKind::Repeat);
                    handle.leave_questions(if repeat { StatusReason::Repeat } else { StatusReason::Approval });
                }
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
                    self.keyboard.later.extend(view.approvals.iter().map(Keyboard::name));
                    return Ok(());
                }
                Typed::Line(line) => match answer(&line) {
                    Answer::Decide(decision) => {
                        decide(ctx, &row, decision);
                        return Ok(());
                    }
                    Answer::Later => {
                        self.keyboard.later.insert(Keyboard::name(&row));
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
            let same = |other: &&ApprovalRow| Keyboard::name(other) == Keyboard::name(&row);
            if still.iter().find(same).is_none_or(|other| other.state != ApprovalState::Pending) {
                ctx.out.note(&format!("\n{} was answered elsewhere, or expired", row.approval_id));
                return Ok(());
            }
        }
    }
}

fn decide(ctx: &mut Context, row: &ApprovalRow, decision: Decision) {
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
}
