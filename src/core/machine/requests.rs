//! What the driver did: requests, log lines, phases. What the journal already holds is not appended again.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::core::budget::{Charge, Ledger};
use crate::core::call::{CallKind, CallSpec};
use crate::core::event::Event;
use crate::core::identity::request_key;
use crate::core::ids::CallId;
use crate::core::op::{DriverState, Op};
use crate::core::outcome::{CacheNote, CostSource, Usage};
use crate::core::run::RunErrorCode;

use super::state::{Call, CallState, Course, RunMachine};

impl RunMachine {
    pub(super) fn ran(&mut self, ops: Vec<Op>, state: DriverState, ledger: &mut Ledger) {
        self.driver_runs = false;
        for op in ops {
            self.op(op, ledger);
            if self.course == Course::Ended {
                return;
            }
        }
        let ends = match &state {
            DriverState::Waiting => false,
            DriverState::Returned(_) | DriverState::Cancelled(_) => true,
            // Running out of time or memory is no fact of the workflow: it may well come earlier this time.
            DriverState::Failed(error) => matches!(error.code, RunErrorCode::ScriptError | RunErrorCode::TaskFailed),
        };
        if ends && self.calls.len() < self.history.order.len() {
            return self.diverge_before_next();
        }
        match state {
            DriverState::Waiting => {}
            DriverState::Returned(output) => self.returned(output, ledger),
            DriverState::Cancelled(output) => self.ended_itself(output, ledger),
            DriverState::Failed(error) => self.failed(error, ledger),
        }
    }

    fn op(&mut self, op: Op, ledger: &mut Ledger) {
        match op {
            Op::Request(spec) => self.request(*spec, ledger),
            Op::Log { level, message, fields } => {
                self.logs += 1;
                if self.logs > self.history.logs {
                    self.emit(Event::Log { level, message, fields });
                }
            }
            Op::Phase(title) => {
                self.phases += 1;
                if self.phases > self.history.phases {
                    self.emit(Event::Phase { title });
                }
            }
            Op::Swallowed(what) => {
                self.swallowed += 1;
                if self.swallowed > self.history.swallowed {
                    self.emit(Event::Swallowed { what });
                }
            }
            Op::Cancel(call_id) => self.cancel_call(call_id, "no longer wanted", ledger),
            Op::Pin { kind, name, hash, path } => self.pin(kind, name, hash, path),
            Op::Warning { code, message } => {
                if self.warned.insert((code.clone(), message.clone())) {
                    self.emit(Event::Warning { code, message });
                }
            }
        }
    }

    pub(super) fn pin(&mut self, kind: String, name: String, hash: crate::core::ids::Hash, path: Option<String>) {
        let slot = (kind, name);
        if self.history.pins.contains_key(&slot) {
            return;
        }
        self.history.pins.insert(slot.clone(), hash);
        let (kind, name) = slot;
        self.emit(Event::Pinned { kind, name, hash, path });
    }

    fn request(&mut self, spec: CallSpec, ledger: &mut Ledger) {
        let key = request_key(spec.kind, &spec.ask);
        let count = self.occurrences.entry(key).or_insert(0);
        *count += 1;
        let occurrence = *count;
        let index = self.calls.len();
        let call_id = CallId(index as u32 + 1);
        match self.history.order.get(index) {
            Some(recorded) if *recorded != (key, occurrence) => {
                let label = if spec.label.is_empty() { spec.kind.as_str() } else { &spec.label };
                let detail =
                    format!("call {call_id} was another request when the journal was written; now it is `{label}`");
                return self.diverge(detail);
            }
            Some(_) => {}
            None => {
                let spec = Box::new(spec.clone());
                self.emit(Event::CallRequested { call_id, key, occurrence, spec });
            }
        }
        let mut over_cap = false;
        if spec.kind == CallKind::Agent && spec.known.is_none() {
            ledger.requested += 1;
            over_cap = ledger.requested > ledger.max_calls;
        }
        let recorded = self.history.calls.get(&(key, occurrence));
        let earlier = self.reuse.attempts.get(&(key, occurrence)).copied().unwrap_or(0);
        let mut call = Call {
            key,
            occurrence,
            state: CallState::Held,
            outcome: None,
            attempt: recorded.map_or(0, |r| r.attempts).max(earlier),
            tries: 0,
            started_at: recorded.and_then(|r| r.started_at),
            usage: recorded.map_or(Usage::default(), |r| r.usage),
            usage_unknown: recorded.is_some_and(|r| r.usage_unknown),
            cost_nanos: recorded.and_then(|r| r.cost_nanos),
            cost_source: CostSource::Unknown,
            charge: Charge::default(),
            charged_before: recorded.map_or(Charge::default(), |r| r.charge),
            reserved: None,
            reserved_first: Charge::default(),
            promised: None,
            permit: false,
            provider: None,
            model: None,
            real: false,
            schema_attempts: None,
            note: CacheNote::default(),
            record: None,
            child_run: None,
            child_waits: None,
            key_waits: false,
            ending: None,
            unclear: false,
            over_cap,
            repeat_agreed: false,
            question: None,
            kept: recorded.and_then(|r| r.kept.clone()),
            decision: None,
            spec: Arc::new(spec),
        };
        if let Some((_, outcome)) = recorded.and_then(|r| r.outcome.as_ref()) {
            call.outcome = Some(Arc::clone(outcome));
            call.state = CallState::Recorded;
            // The calls of a child that is only replayed count to the cap like those of one that runs.
            ledger.requested += self.history.child_requests.get(&(key, occurrence)).copied().unwrap_or(0);
        } else if let Some(reused) = self.reusable(&call).filter(|_| call.spec.known.is_none()) {
            self.reusable.push(Reverse((reused.0, reused.1, call_id.0)));
            call.state = CallState::Reusable;
            self.unsettled.insert(call_id.0);
        } else {
            self.held.insert(call_id.0);
            self.unsettled.insert(call_id.0);
        }
        self.calls.push(call);
    }
}
