//! What a task says about its own end: go on, be skipped, fail, be done again, or end the run.

use serde_json::{Value as Json, json};

use super::driver::{DocumentDriver, Role};
use super::progress::{End, Stand};
use super::template::{Template, json_text};
use super::values::TaskResult;
use crate::core::call::{Ask, CallKind};
use crate::core::event::LogLevel;
use crate::core::ids::{CallId, Hash};
use crate::core::outcome::{CallStatus, ErrorClass, Outcome};

/// How often a task is done at most when it asks to be done again and its `retry` does not say.
const MOST_TRIES: u32 = 3;

/// What a task's `outcome` gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Ok,
    Skip,
    Cancel,
    Fail,
    Retry,
}

/// Reads an outcome: a word, an object with `outcome` and `reason`, or nothing, which is `ok`.
fn read(value: &Json) -> Result<(Word, Option<String>), String> {
    let (word, reason) = match value {
        Json::Object(map) => (map.get("outcome").unwrap_or(&Json::Null), map.get("reason")),
        other => (other, None),
    };
    let text = |r: &Json| r.as_str().map_or_else(|| json_text(r), str::to_owned);
    let reason = reason.filter(|r| !r.is_null()).map(text).filter(|r| !r.is_empty());
    let word = match word {
        Json::Null => Word::Ok,
        Json::String(word) => match word.as_str() {
            "ok" => Word::Ok,
            "skip" => Word::Skip,
            "cancel" => Word::Cancel,
            "fail" => Word::Fail,
            "retry" => Word::Retry,
            other => return Err(format!("must be ok, skip, cancel, fail or retry, not `{other}`")),
        },
        other => return Err(format!("must be ok, skip, cancel, fail or retry, not {}", json_text(other))),
    };
    Ok((word, reason))
}

impl DocumentDriver {
    /// Lets a task say how it ends. True = it has been seen to; false = it goes on as usual.
    pub(super) fn ends_itself(
        &mut self,
        task: usize,
        template: &Template,
        result: &TaskResult,
        call: Option<CallId>,
    ) -> bool {
        let said = self.eval(template, Some(task), None, Some(result)).and_then(|value| read(&value));
        let (word, reason) = match said {
            Ok((Word::Ok, _)) => return false,
            Ok(said) => said,
            Err(message) => {
                self.fail_done(task, call, &format!("`outcome`: {message}"));
                return true;
            }
        };
        let why = reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
        let id = self.plan.tasks[task].id.clone();
        match word {
            Word::Ok => {}
            Word::Skip => {
                let written = &self.plan.tasks[task];
                let end = if written.skip_dependents { End::SkippedAll } else { End::Skipped { to: written.next } };
                self.unwrite(task);
                self.skip(task, end, &format!("it skipped itself{why}"));
            }
            Word::Fail => {
                self.tasks[task].result = Some(result.clone());
                self.fail_done(task, call, &format!("it failed by its outcome{why}"));
            }
            Word::Retry => {
                let most = self.plan.tasks[task].retry.as_ref().map_or(MOST_TRIES, |r| r.max_attempts);
                let progress = &mut self.tasks[task];
                progress.tries += 1;
                if progress.tries >= most {
                    progress.result = Some(result.clone());
                    let message = format!("it asked to be done again after {most} times{why}");
                    self.fail_done(task, call, &message);
                    return true;
                }
                progress.again(result.value.clone(), reason);
                self.unwrite(task);
                self.log(LogLevel::Info, format!("{id}: is done again{why}"), json!({"task": id, "outcome": "retry"}));
                match self.wait_ms(task) {
                    _ if self.stopping => self.halt(task),
                    0 => self.queue(task),
                    ms => self.wait(task, ms),
                }
            }
            Word::Cancel => {
                self.log(LogLevel::Info, format!("{id}: ends the run{why}"), json!({"task": id, "outcome": "cancel"}));
                self.tasks[task].result = Some(result.clone());
                self.ended(task, End::Passed { to: None });
                self.end_run(task);
            }
        }
        true
    }

    /// How long a task that asked to be done again waits, by its `retry`.
    fn wait_ms(&self, task: usize) -> u64 {
        let Some(retry) = &self.plan.tasks[task].retry else { return 0 };
        let tries = self.tasks[task].tries;
        let grown = retry.delay_ms as f64 * retry.backoff.max(1.0).powi(tries.saturating_sub(1) as i32);
        let most = (grown as u64).min(retry.max_delay_ms.unwrap_or(u64::MAX));
        if !retry.jitter {
            return most;
        }
        // It follows from task and try: a replay waits the same.
        let seed = Hash::of(format!("{} {} {tries}", self.plan.name, self.plan.tasks[task].id));
        let [a, b, c, d, ..] = *seed.as_bytes();
        u64::from(u32::from_le_bytes([a, b, c, d])) % most.saturating_add(1).max(1)
    }

    /// Waits, on record, before a task is done again.
    fn wait(&mut self, task: usize, ms: u64) {
        let spec = self.spec(task, CallKind::Timer, Ask { timer_ms: Some(ms), ..Ask::default() });
        let generation = self.tasks[task].generation;
        self.request(spec, Role::Wait { task, generation });
    }

    /// A wait is over: its time has come, or it was ended.
    pub(super) fn waited(&mut self, task: usize, call: CallId, outcome: &Outcome) {
        if outcome.status == CallStatus::Done {
            return self.queue(task);
        }
        if self.stopping {
            return self.stopped(task);
        }
        let message = outcome.error.as_ref().map_or("the wait before it was ended", |error| &error.message).to_owned();
        self.fail_done(task, Some(call), &message);
    }

    /// Ends the run where it stands: what has not begun is cancelled, what runs is ended with the run.
    fn end_run(&mut self, by: usize) {
        let reason = format!("`{}` ended the run", self.plan.tasks[by].id);
        self.ready.clear();
        self.ready_free.clear();
        for task in 0..self.tasks.len() {
            if self.tasks[task].stand == Stand::Pending
                || (self.tasks[task].stand == Stand::Active && self.tasks[task].calls.is_empty())
            {
                self.record(task, CallStatus::Cancelled, ErrorClass::Cancelled, &reason);
                self.tasks[task].stand = Stand::Ended(End::Failed);
            }
        }
        let kept = |index: usize| {
            let value = self.tasks[index].result.as_ref()?.json.as_deref()?.clone();
            Some((self.plan.tasks[index].id.clone(), value))
        };
        let output = Json::Object((0..self.tasks.len()).filter_map(kept).collect());
        self.news.clear();
        self.cancelled = Some(output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_a_word_or_an_object_with_a_reason_and_anything_else_is_told() {
        assert_eq!(read(&json!(null)), Ok((Word::Ok, None)));
        assert_eq!(read(&json!("skip")), Ok((Word::Skip, None)));
        let said = json!({"outcome": "cancel", "reason": "enough", "more": 1});
        assert_eq!(read(&said), Ok((Word::Cancel, Some("enough".to_owned()))));
        assert_eq!(read(&json!({"x": 1})), Ok((Word::Ok, None)));
        assert_eq!(read(&json!("stop")), Err("must be ok, skip, cancel, fail or retry, not `stop`".to_owned()));
        assert_eq!(read(&json!(true)), Err("must be ok, skip, cancel, fail or retry, not true".to_owned()));
    }
}
