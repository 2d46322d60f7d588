//! Asking a person at the terminal while a run goes on.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::core::call::Decision;
use crate::engine::view::{ApprovalRow, ApprovalState};

/// An answer that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Approve or deny.
    Decide(Decision),
    /// Show everything the question holds.
    Show,
    /// Not now.
    Later,
    /// Something else was typed.
    Unclear,
}

/// What a typed line means.
pub(super) fn answer(line: &str) -> Answer {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Answer::Decide(Decision::Approve),
        "n" | "no" => Answer::Decide(Decision::Deny),
        "s" | "show" => Answer::Show,
        "l" | "later" => Answer::Later,
        _ => Answer::Unclear,
    }
}

/// What came from the keyboard in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line.
    Line(String),
    /// Nothing yet.
    Nothing,
    /// The input ended.
    End,
}

/// Reads lines on a thread of its own, so that the run can be watched while nobody types.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    lines: Option<Receiver<String>>,
    /// Questions put off.
    pub(super) later: BTreeSet<String>,
}

impl Keyboard {
    /// Waits for a line.
    pub(super) fn line(&mut self, patience: Duration) -> Typed {
        let lines = self.lines.get_or_insert_with(|| {
            let (sender, receiver) = channel();
            std::thread::spawn(move || {
                for line in std::io::stdin().lines() {
                    let Ok(line) = line else { return };
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
            receiver
        });
        match lines.recv_timeout(patience) {
            Ok(line) => Typed::Line(line),
            Err(RecvTimeoutError::Timeout) => Typed::Nothing,
            Err(RecvTimeoutError::Disconnected) => Typed::End,
        }
    }

    /// Forgets lines typed before there was a question: they are no answer to it.
    pub(super) fn drain(&mut self) {
        if let Some(lines) = &self.lines {
            while lines.try_recv().is_ok() {}
        }
    }

    /// What tells a question from those of other runs of the tree.
    pub(super) fn name(row: &ApprovalRow) -> String {
        format!("{}/{}", row.run_id, row.approval_id)
    }

    /// The first question not put off.
    pub(super) fn next<'a>(&self, pending: &'a [ApprovalRow]) -> Option<&'a ApprovalRow> {
        pending.iter().find(|row| row.state == ApprovalState::Pending && !self.later.contains(&Self::name(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clear_words_decide() {
        assert_eq!(answer(" Y "), Answer::Decide(Decision::Approve));
        assert_eq!(answer("no"), Answer::Decide(Decision::Deny));
        assert_eq!(answer("s"), Answer::Show);
        assert_eq!(answer("later"), Answer::Later);
        for line in ["", "yep", "ok", "1"] {
            assert_eq!(answer(line), Answer::Unclear);
        }
    }
}
