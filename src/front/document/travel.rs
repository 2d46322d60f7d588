//! How the ends of tasks travel along the graph: who may begin, who is skipped, who is cancelled, and the way back.

use super::driver::DocumentDriver;
use super::progress::{End, Stand};
use super::values::TaskResult;
use crate::core::op::Op;
use crate::core::outcome::{CallStatus, ErrorClass};

/// Why a task is cancelled when the document fails fast.
const STOPPED: &str = "another task failed, and the document fails fast";

/// Why tasks begin anew.
pub(super) enum Back {
    /// A guard was not content, and said why.
    Guard { by: usize, feedback: String },
    /// A task's route led back.
    Route { by: usize },
}

impl DocumentDriver {
    /// Tells every new end to what comes after it.
    pub(super) fn spread(&mut self) {
        while let Some(task) = self.news.pop_front() {
            // A task that was taken back meanwhile has nothing to tell.
            let Stand::Ended(end) = self.tasks[task].stand else { continue };
            let leads_to = match end {
                End::Passed { to } | End::Skipped { to } => to,
                End::Unvisited | End::SkippedAll | End::Failed => None,
            };
            let dependents = std::mem::take(&mut self.plan.tasks[task].dependents);
            for next in &dependents {
                self.tell(*next, task, end);
            }
            let gates = std::mem::take(&mut self.plan.tasks[task].leads_to);
            for next in &gates {
                let progress = &mut self.tasks[*next];
                if leads_to == Some(*next) {
                    progress.gate_open = true;
                } else {
                    progress.gates_left = progress.gates_left.saturating_sub(1);
                    if end == End::Failed {
                        progress.blocked.get_or_insert(task);
                    }
                }
            }
            for next in dependents.iter().chain(&gates) {
                self.consider(*next);
            }
            self.plan.tasks[task].dependents = dependents;
            self.plan.tasks[task].leads_to = gates;
        }
    }

    /// Notes at `next` that a task it comes after has ended.
    fn tell(&mut self, next: usize, task: usize, end: End) {
        let progress = &mut self.tasks[next];
        progress.remaining = progress.remaining.saturating_sub(1);
        match end {
            End::Passed { .. } | End::Skipped { .. } => {}
            End::Unvisited => progress.unvisited += 1,
            End::SkippedAll => drop(progress.skipped_by.get_or_insert(task)),
            End::Failed => drop(progress.blocked.get_or_insert(task)),
        }
    }

    /// Begins, skips or cancels a waiting task, when what it waits for has ended.
    pub(super) fn consider(&mut self, task: usize) {
        let progress = &self.tasks[task];
        if progress.stand != Stand::Pending {
            return;
        }
        let written = &self.plan.tasks[task];
        let closed = !written.gates.is_empty() && progress.gates_left == 0 && !progress.gate_open;
        let failed_before = progress.blocked.filter(|b| written.after.contains(b) || closed);
        if self.stopping {
            return self.cancel(task, STOPPED);
        }
        if let Some(cause) = failed_before {
            let reason = format!("it comes after `{}`, which did not end well", self.plan.tasks[cause].id);
            return self.cancel(task, &reason);
        }
        if closed {
            let from: Vec<String> = written.gates.iter().map(|gate| self.not_led(*gate)).collect();
            let reason = format!("nothing led to it: {}", from.join(", "));
            return self.skip(task, End::Unvisited, &reason);
        }
        if progress.remaining > 0 || !(written.gates.is_empty() || progress.gate_open) {
            return;
        }
        if let Some(cause) = progress.skipped_by {
            let reason =
                format!("it comes after `{}`, which was skipped with everything after it", self.plan.tasks[cause].id);
            return self.skip(task, End::SkippedAll, &reason);
        }
        if progress.unvisited > 0 && progress.unvisited == written.after.len() {
            let reason = "nothing led to what it comes after";
            return self.skip(task, End::Unvisited, reason);
        }
        self.begin(task);
    }

    /// Why a task with routes did not lead to one of them.
    fn not_led(&self, gate: usize) -> String {
        let id = &self.plan.tasks[gate].id;
        match self.tasks[gate].result.as_ref().map(TaskResult::status) {
            Some(CallStatus::Skipped) => format!("`{id}` was skipped"),
            None | Some(CallStatus::Done) => format!("`{id}` went another way"),
            Some(_) => format!("`{id}` failed before it chose a route"),
        }
    }

    /// Ends a task that has not begun because of another.
    fn cancel(&mut self, task: usize, reason: &str) {
        self.record(task, CallStatus::Cancelled, ErrorClass::Cancelled, reason);
        self.tasks[task].result = Some(TaskResult::without(CallStatus::Cancelled, Some(reason.to_owned())));
        self.ended(task, End::Failed);
    }

    /// A route led to the end: nothing more begins.
    pub(super) fn finish_early(&mut self, by: usize, key: &str) {
        let reason = format!("the document ended: `{}` chose `{key}`", self.plan.tasks[by].id);
        for task in 0..self.tasks.len() {
            if self.tasks[task].stand == Stand::Pending {
                self.skip(task, End::Unvisited, &reason);
            }
        }
    }

    /// Ends what runs and what waits, because `cause` failed.
    pub(super) fn stop(&mut self, cause: usize) {
        self.stopping = true;
        let reason = format!("`{}` failed, and the document fails fast", self.plan.tasks[cause].id);
        self.ready.clear();
        self.ready_free.clear();
        for task in 0..self.tasks.len() {
            match self.tasks[task].stand {
                Stand::Pending => self.cancel(task, &reason),
                Stand::Active => {
                    let calls = self.tasks[task].calls.clone();
                    self.ops.extend(calls.iter().map(|call| Op::Cancel(*call)));
                    if calls.is_empty() {
                        self.cancel(task, &reason);
                    }
                }
                Stand::Ended(_) => {}
            }
        }
    }

    /// Ends a task that has more to do when the document stops: what it did so far came too late to be told that it stops.
    pub(super) fn halt(&mut self, task: usize) {
        self.unwrite(task);
        self.cancel(task, STOPPED);
    }

    /// A call of a task was ended because the document stops.
    pub(super) fn stopped(&mut self, task: usize) {
        if self.tasks[task].calls.is_empty() && self.tasks[task].stand == Stand::Active {
            self.tasks[task].result = Some(TaskResult::without(CallStatus::Cancelled, Some(STOPPED.to_owned())));
            self.ended(task, End::Failed);
        }
    }

    /// Goes back to a task: it and everything after it begins anew. When a route led back, what these tasks wrote to the state stays, as
    /// loops count with it; after a guard it is taken back, as what they did was judged a failure. What the one who led back wrote
    /// stays: it has judged. What had not ended never counts.
    pub(super) fn go_back(&mut self, to: usize, why: Back) {
        let mut again = vec![false; self.tasks.len()];
        let mut open = vec![to];
        let mut all = Vec::new();
        while let Some(task) = open.pop() {
            if std::mem::replace(&mut again[task], true) {
                continue;
            }
            all.push(task);
            open.extend(self.plan.tasks[task].dependents.iter().chain(&self.plan.tasks[task].leads_to));
        }
        all.sort_unstable();
        self.ready.retain(|(task, _)| !again[*task]);
        self.ready_free.retain(|(task, _)| !again[*task]);
        self.news.retain(|task| !again[*task]);
        for task in &all {
            let calls = std::mem::take(&mut self.tasks[*task].calls);
            self.ops.extend(calls.into_iter().map(Op::Cancel));
            let stays = match &why {
                Back::Guard { by, .. } => by == task,
                Back::Route { by } => by == task || matches!(self.tasks[*task].stand, Stand::Ended(_)),
            };
            match stays {
                true if self.plan.tasks[*task].set.is_empty() => {}
                true => self.state.keep(*task),
                false => self.unwrite(*task),
            }
            self.take_back(*task);
        }
        for task in all {
            self.recount(task);
        }
        self.tasks[to].gate_open = true;
        self.tasks[to].feedback = match why {
            Back::Guard { feedback, .. } => Some(feedback),
            Back::Route { .. } => None,
        };
        self.consider(to);
    }

    /// Counts anew what a task that was taken back waits for.
    fn recount(&mut self, task: usize) {
        let (after, gates) = (self.plan.tasks[task].after.clone(), self.plan.tasks[task].gates.clone());
        for before in after {
            // An end that nobody has heard of yet is told later.
            if let Stand::Ended(end) = self.tasks[before].stand
                && !self.news.contains(&before)
            {
                self.tell(task, before, end);
            }
        }
        for gate in gates {
            if let Stand::Ended(end) = self.tasks[gate].stand
                && !self.news.contains(&gate)
            {
                match end {
                    End::Passed { to } | End::Skipped { to } if to == Some(task) => self.tasks[task].gate_open = true,
                    _ => self.tasks[task].gates_left = self.tasks[task].gates_left.saturating_sub(1),
                }
            }
        }
    }
}
