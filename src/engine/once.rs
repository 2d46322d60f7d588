//! Calls with an idempotency key: carried out once, however many ask, in this process and others; the others get the answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::core::call::{ApprovalAsk, CallSpec, Decider, Decision, OnLost, OnceAsk};
use crate::core::failure::Failure;
use crate::core::ids::{CallId, Hash};
use crate::core::json::canonical;
use crate::core::machine::{Input, Plan, Waits};
use crate::core::op::DriverState;
use crate::core::outcome::{CacheNote, CacheStatus, CallError, CallRef, ErrorClass, Outcome, ReasonCode};
use crate::core::run::{RunError, RunErrorCode};
use crate::providers::ProviderKind;
use crate::store::{CacheHit, Once, OnceClaim, StoreError};

use super::answer::clip;
use super::begin::Running;
use super::message::Message;
use super::prepare::taken_over;
use super::run_loop::RunLoop;

/// After how long one who waits for another looks for the first time whether it has answered.
const FIRST_POLL: Duration = Duration::from_millis(20);
/// How long it waits between two looks at most: many may wait, and for long.
const LAST_POLL: Duration = Duration::from_millis(320);

/// Keys that are looked up at once.
static ASKING: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(64);

impl RunLoop {
    /// The plan of a call, when it has no idempotency key or the key is its own; none when that is found out first, and comes
    /// as a message.
    pub(super) fn once(&mut self, call_id: CallId, plan: Plan) -> Option<Plan> {
        let Plan::Run { real, .. } = &plan else { return Some(plan) };
        let spec = Arc::clone(self.machine.spec(call_id)?);
        let Some(asked) = spec.ask.once.as_ref().filter(|_| !self.once.contains_key(&call_id)) else {
            return Some(plan);
        };
        // What was invented is nothing that was carried out.
        let kind = self.prepared.get(&call_id).map(|prepared| prepared.provider.kind());
        let simulated = kind == Some(ProviderKind::Fake);
        let about =
            json!({"workflow": self.spec.workflow_name, "task": asked.task, "key": asked.key, "simulated": simulated});
        let claim = OnceClaim {
            key: Hash::of(format!("owf once 1\n{}", canonical(&about))),
            params: self.machine.identity(call_id)?.0,
            run: self.run.clone(),
            call_id,
            // What a child run does nobody can tell from here.
            may_repeat: !(spec.is_mutating() || spec.starts_run())
                || spec.on_lost == OnLost::Rerun
                || self.machine.is_repeat_agreed(call_id),
        };
        if !real || simulated {
            // Instant answers are taken in the order of their calls.
            match self.tree.store.claim_once(&claim, super::journal::now()) {
                Ok(Once::Busy { .. }) => {}
                found => {
                    self.once_found(claim, plan, found);
                    return None;
                }
            }
        }
        let (store, to) = (self.tree.store.clone(), self.to_self.clone());
        let task = self.tree.services.runtime.spawn(async move {
            let (mut wait, mut told) = (FIRST_POLL, None);
            let found = loop {
                let claimed = {
                    let _turn = ASKING.acquire().await;
                    let (store, claim) = (store.clone(), claim.clone());
                    tokio::task::spawn_blocking(move || store.claim_once(&claim, super::journal::now())).await
                };
                match claimed {
                    Ok(Ok(Once::Busy { by, ours })) => {
                        if told.as_ref() != Some(&(by.clone(), ours)) {
                            told = Some((by.clone(), ours));
                            // A loop that has ended no longer needs to know.
                            let _ = to.send(Message::KeyBusy { claim: Box::new(claim.clone()), by, ours });
                        }
                        tokio::time::sleep(wait).await;
                        wait = (wait * 2).min(LAST_POLL);
                    }
                    Ok(found) => break found,
                    Err(_) => break Err(StoreError::Io("the look at an idempotency key broke off".to_owned())),
                }
            };
            // A loop that has ended no longer needs to know.
            let _ = to.send(Message::Once { claim: Box::new(claim), plan: Box::new(plan), found });
        });
        self.attempts.insert(call_id, Running::of(&task));
        None
    }

    /// Takes note of whom a call waits for.
    pub(super) fn key_busy(&mut self, claim: OnceClaim, by: CallRef, ours: bool) {
        let (place, call_id) = ((self.run.clone(), claim.call_id), claim.call_id);
        if ours {
            self.tree.key_waits().insert(place, claim);
        } else {
            // The parent has yet to hear that this run has something to wait for.
            self.words.push(self.tree.word());
            self.tree.key_waits().remove(&place);
        }
        self.feed(Input::KeyBusy { call_id, by, ours });
    }

    /// Whether a call of the tree waits for another one that is not at work for its key any more: the tree has something to do.
    fn a_key_is_free(&self) -> bool {
        let waiting: Vec<OnceClaim> = self.tree.key_waits().values().cloned().collect();
        // What cannot be looked up stands as it stood.
        !waiting.is_empty() && self.tree.store.any_free(waiting, super::journal::now()).unwrap_or(false)
    }

    /// Whether nothing in the tree but a person, or a key, has the next word, as this root believes.
    pub(super) fn is_idle(&mut self) -> bool {
        // In this order: who is not listed any more has a word on its way, which is in the inbox or on its way still.
        if self.a_key_is_free() {
            return false;
        }
        self.drain_inbox();
        self.end.is_none() && self.machine.waits().is_some() && !self.tree.has_words_on_their_way()
    }

    /// Looks in a moment whether the tree is idle by then: whoever could go on hears of that meanwhile.
    pub(super) fn look_again(&self) {
        let to = self.to_self.clone();
        self.tree.services.runtime.spawn(async move {
            tokio::time::sleep(FIRST_POLL).await;
            // A loop that has ended has no need to.
            let _ = to.send(Message::Look);
        });
    }

    pub(super) fn look(&mut self) {
        self.feed(Input::Look);
        if self.machine.waits() == Some(Waits::Key) {
            self.end_a_deadlock();
        }
    }

    /// Ends a run tree whose calls wait for one another in a circle.
    pub(super) fn end_a_deadlock(&mut self) {
        if !self.is_idle() {
            return self.look_again();
        }
        if self.machine.waits() == Some(Waits::Key) {
            let message = "calls wait for one another: each is at work for an idempotency key that the other asks for";
            let error = RunError::new(RunErrorCode::Deadlock, message);
            self.feed(Input::Ran { ops: Vec::new(), state: DriverState::Failed(error) });
        }
    }

    /// Goes on with a call by what there is for its key.
    pub(super) fn once_found(&mut self, claim: OnceClaim, plan: Plan, found: Result<Once, StoreError>) {
        let call_id = claim.call_id;
        self.words.push(self.tree.word());
        self.tree.key_waits().remove(&(self.run.clone(), call_id));
        // What becomes of it may take its time: hooks judge an answer that is there.
        self.feed(Input::KeyFound { call_id });
        let Some(spec) = self.machine.spec(call_id).cloned() else { return };
        let Some(asked) = &spec.ask.once else { return };
        let plan = match found {
            Ok(Once::Claimed) => {
                self.once.insert(call_id, claim.key);
                plan
            }
            Ok(Once::Done(hit)) => self.taken(call_id, &spec, *hit),
            // Whoever waits asks again.
            Ok(Once::Busy { .. }) => return,
            Ok(Once::Lost { from, pauses }) => match spec.on_lost {
                OnLost::Fail => {
                    let how = if pauses {
                        "is at work for it, and its run is paused"
                    } else {
                        "was at work for it and was broken off"
                    };
                    Plan::Refuse(CallError::new(ErrorClass::Crashed, format!("{} {from} {how}", named(asked))))
                }
                OnLost::Ask | OnLost::Rerun => Plan::AskToRepeat(Box::new(question(&spec, asked, &from, pauses))),
            },
            Ok(Once::Above(above)) => {
                let message =
                    format!("{} {above} is at work for it, and this call is a part of that one", named(asked));
                let mut error = CallError::new(ErrorClass::Policy, message);
                error.hint = Some("give calls inside of it another key".to_owned());
                Plan::Refuse(error)
            }
            Ok(Once::Circle(from)) => {
                let message = format!(
                    "{} {from} is at work for it, and waits in turn for a call of which this one is a part",
                    named(asked)
                );
                let mut error = CallError::new(ErrorClass::Policy, message);
                error.hint = Some("give calls inside of others keys that are taken in one order".to_owned());
                Plan::Refuse(error)
            }
            Ok(Once::Other(from)) => {
                let message = format!("{} it stands for another request already, that of {from}", named(asked));
                let mut error = CallError::new(ErrorClass::Policy, message);
                error.hint = Some("give another request another key".to_owned());
                Plan::Refuse(error)
            }
            Err(error) => {
                let message = format!("{} it could not be looked up: {}", named(asked), Failure::from(error).message);
                Plan::Refuse(CallError::new(ErrorClass::Policy, message))
            }
        };
        self.planned(call_id, plan);
    }

    /// The plan that settles a call with what was given for its key. Nothing is used or charged for it.
    fn taken(&self, call_id: CallId, spec: &CallSpec, hit: CacheHit) -> Plan {
        let CacheHit { from, outcome: mut earlier } = hit;
        if spec.ask.outputs.is_some() {
            let gone = |file: &&String| !Path::new(&self.spec.workspace).join(file).exists();
            if let Some(file) = earlier.changed_files.iter().find(gone) {
                let message = format!("{from} made {file} for the idempotency key, and it is not there any more");
                let mut error = CallError::new(ErrorClass::Policy, message);
                error.hint = Some("bring it back, or ask with another key".to_owned());
                return Plan::Refuse(error);
            }
        }
        let cache = CacheNote {
            status: CacheStatus::Hit,
            reason: Some(ReasonCode::IdempotencyKey),
            from: Some(from),
            ..CacheNote::default()
        };
        let changed_files = std::mem::take(&mut earlier.changed_files);
        Plan::Hit(Box::new(Outcome { changed_files, ..taken_over(call_id, earlier, cache) }))
    }
}

/// The key in a sentence.
fn named(asked: &OnceAsk) -> String {
    format!("idempotency key \"{}\" of task `{}`:", clip(&asked.key, 80), asked.task)
}

/// What a person is asked when nobody knows whether the request was carried out.
fn question(spec: &CallSpec, asked: &OnceAsk, from: &CallRef, pauses: bool) -> ApprovalAsk {
    let (label, key) = (&spec.label, clip(&asked.key, 80));
    let message = if pauses {
        format!(
            "`{label}` may have been carried out in part: {from} is at work for the same idempotency key \"{key}\", and its run is \
             paused. Run it all the same?"
        )
    } else {
        format!(
            "`{label}` may have been carried out: {from} was at work for the same idempotency key \"{key}\" and was broken off. \
             Run it?"
        )
    };
    ApprovalAsk {
        message,
        metadata: Some(json!({"idempotency_key": asked.key, "lost": from.to_string()})),
        decider: Decider::Any,
        expires_in_ms: None,
        on_timeout: Decision::Deny,
    }
}
