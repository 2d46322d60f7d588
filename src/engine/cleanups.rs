//! Cleanups: programs of the user that run when a run ends, whatever its end, for the tasks that were begun; the last first.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::call::CallSpec;
use crate::core::event::Event;
use crate::core::history::History;
use crate::core::ids::CallId;
use crate::core::run::{RunOutcome, RunStatus};
use crate::store::{Store, StoreError};

use super::hooks::{HookPlace, Scene, clean};
use super::run_loop::RunLoop;

/// How long what a run has at work may take to end before the run cleans up: as long as programs are given.
const WIND_DOWN: Duration = Duration::from_secs(10);

impl RunLoop {
    /// Notes that a call with cleanups was begun.
    pub(super) fn note_begun(&mut self, call_id: CallId) {
        let cleans = self.machine.spec(call_id).is_some_and(|spec| !spec.cleanup.is_empty());
        if cleans && !self.begun.contains(&call_id) {
            self.begun.push(call_id);
        }
    }

    /// Runs the cleanups of a run that ends. What it still has at work may hold what is to be cleaned up, and ends before.
    pub(super) fn clean_up(&mut self, outcome: &RunOutcome) -> Vec<Event> {
        let begun = std::mem::take(&mut self.begun);
        if self.spec.cleanups.is_empty() {
            return Vec::new();
        }
        // A run that ends before its replay has asked for nothing yet; its journal knows what was begun.
        let of = |call_id: &CallId| {
            let spec = self.machine.spec(*call_id).cloned();
            Some((*call_id, spec.or_else(|| recorded(&self.tree.store, self.scene(), *call_id))?))
        };
        let calls = with_cleanups(begun.iter().filter_map(of));
        if calls.is_empty() {
            return Vec::new();
        }
        let _cleaning = self.tree.cleaning();
        self.attempts.clear();
        self.at_barrier.clear();
        let until = Instant::now() + WIND_DOWN;
        while Arc::strong_count(&self.winding) > 1 && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        clean_all(self.scene(), &calls, outcome.status)
    }
}

/// The calls of a journal that were begun, in the order of their requests.
pub(super) fn begun(history: &History) -> Vec<CallId> {
    let begun = history.calls.values().filter(|call| call.started_at.is_some());
    let mut begun: Vec<CallId> = begun.map(|call| call.call_id).collect();
    begun.sort_unstable_by_key(|call| call.0);
    begun
}

/// Runs the cleanups of a run that is cancelled while no process executes it. `sound` is what the check of its tree gave: nothing
/// runs on the word of a journal that somebody has changed.
pub(super) fn clean_up_unowned(
    store: &Store,
    sound: &impl Deref<Target = Result<(), StoreError>>,
    scene: Scene<'_>,
    begun: &[CallId],
) -> Vec<Event> {
    if scene.spec.cleanups.is_empty() {
        return Vec::new();
    }
    let calls = with_cleanups(begun.iter().filter_map(|id| Some((*id, recorded(store, scene, *id)?))));
    if calls.is_empty() {
        return Vec::new();
    }
    let none = |why: String| {
        let message = format!("no cleanup was run: {why}");
        vec![Event::Warning { code: "cleanup_failed".to_owned(), message }]
    };
    if let Err(error) = &**sound {
        return none(error.to_string());
    }
    // On a thread that is none of the runtime's, whoever asks.
    let work = || clean_all(scene, &calls, RunStatus::Cancelled);
    let done = std::thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|_| none("owf met a fault of its own".to_owned()))
}

type Begun = (CallId, Arc<CallSpec>);

fn recorded(store: &Store, scene: Scene<'_>, call_id: CallId) -> Option<Arc<CallSpec>> {
    store.request(scene.run, call_id).ok().flatten().map(|request| Arc::new(request.spec))
}

fn with_cleanups(calls: impl Iterator<Item = Begun>) -> Vec<Begun> {
    calls.filter(|(_, spec)| !spec.cleanup.is_empty()).collect()
}

/// Runs the cleanups of calls, each within its own time. What fails is a warning, and the others run.
fn clean_all(scene: Scene<'_>, calls: &[Begun], status: RunStatus) -> Vec<Event> {
    let mut warnings = Vec::new();
    for (call_id, spec) in calls.iter().rev() {
        for name in spec.cleanup.iter().rev() {
            let configured = &scene.services.config.hooks;
            let hook = configured.iter().find(|h| h.name == *name && h.place == HookPlace::Cleanup);
            let ended = match hook {
                None => Err("it is not configured here".to_owned()),
                Some(hook) => {
                    let status = Some(("status", status.as_str().into()));
                    let asking = scene.asking((*call_id, spec), vec![hook.clone()], hook.place, status);
                    scene.services.runtime.block_on(clean(hook, &asking))
                }
            };
            if let Err(mut why) = ended {
                scene.services.secrets.text(&mut why);
                let message = format!("cleanup `{name}` of `{}` ({call_id}) failed: {why}", spec.label);
                warnings.push(Event::Warning { code: "cleanup_failed".to_owned(), message });
            }
        }
    }
    warnings
}
