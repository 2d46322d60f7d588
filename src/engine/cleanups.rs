//! Cleanups: programs of the user that run when a run ends, whatever its end, for the tasks that were begun; the last first.

use crate::core::event::Event;
use crate::core::ids::CallId;
use crate::core::run::RunOutcome;

use super::hooks::{HookPlace, clean};
use super::run_loop::RunLoop;

impl RunLoop {
    /// Notes that a call with cleanups was begun.
    pub(super) fn note_begun(&mut self, call_id: CallId) {
        let cleans = self.machine.spec(call_id).is_some_and(|spec| !spec.cleanup.is_empty());
        if cleans && !self.begun.contains(&call_id) {
            self.begun.push(call_id);
        }
    }

    /// Runs the cleanups of a run that ends, each within its own time. What fails is a warning, and the others run.
    pub(super) fn clean_up(&mut self, outcome: &RunOutcome) -> Vec<Event> {
        let begun = std::mem::take(&mut self.begun);
        let mut warnings = Vec::new();
        for call_id in begun.into_iter().rev() {
            let Some(spec) = self.machine.spec(call_id).cloned() else { continue };
            if spec.cleanup.is_empty() {
                continue;
            }
            // What the run still has at work may hold what is to be cleaned up.
            self.attempts.clear();
            self.at_barrier.clear();
            for name in spec.cleanup.iter().rev() {
                let configured = &self.tree.services.config.hooks;
                let hook = configured.iter().find(|h| h.name == *name && h.place == HookPlace::Cleanup);
                let ended = match hook {
                    None => Err("it is not configured here".to_owned()),
                    Some(hook) => match self.cleaning(call_id, hook, outcome.status) {
                        None => continue,
                        Some(asking) => self.tree.services.runtime.block_on(clean(hook, &asking)),
                    },
                };
                if let Err(mut why) = ended {
                    self.tree.services.secrets.text(&mut why);
                    let message = format!("cleanup `{name}` of `{}` ({call_id}) failed: {why}", spec.label);
                    warnings.push(Event::Warning { code: "cleanup_failed".to_owned(), message });
                }
            }
        }
        warnings
    }
}
