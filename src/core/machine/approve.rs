//! Questions to a person: asked once, answered once, by a decision or by expiry.

use serde_json::json;

use crate::core::budget::Ledger;
use crate::core::call::{ApprovalAsk, CallKind, Decider, Decision};
use crate::core::event::{ApprovalKind, ApprovalNote, Event};
use crate::core::history::RecordedCall;
use crate::core::ids::{ApprovalId, CallId, Hash};
use crate::core::json::canonical;
use crate::core::outcome::{CallError, CallStatus, DecisionNote, ErrorClass, Outcome};

use super::api::{DecisionInput, Effect};
use super::state::{CallState, RunMachine};

impl RunMachine {
    /// Asks the question of a call: its own, or whether a lost attempt is to be repeated. A question that the journal already
    /// holds is not asked twice, and its recorded answer counts.
    pub(super) fn ask(&mut self, call_id: CallId, ledger: &mut Ledger) {
        // A call can have two questions: who agreed to a tool did not agree to its repetition; the other way round they did.
        let repeats = self.call(call_id).is_some_and(|c| matches!(c.question, Some((ApprovalKind::Repeat, _))));
        let same = |note: &ApprovalNote| !repeats || note.kind == ApprovalKind::Repeat;
        let recorded = self.history.call(call_id).and_then(|r| r.approval.clone());
        if let Some((note, decision)) = recorded.filter(|(note, _)| same(note)) {
            self.approvals.insert(note.approval_id, call_id);
            if let Some(call) = self.call_mut(call_id) {
                call.state = CallState::Asking(note.approval_id);
            }
            return match decision {
                Some(decision) => self.answer(call_id, &decision, ledger),
                None => self.effect(Effect::Ask { approval: note }),
            };
        }
        let approval_id = ApprovalId(self.next_approval);
        self.next_approval += 1;
        let Some(note) = self.question(call_id, approval_id) else { return };
        let now = self.now;
        if let Some(call) = self.call_mut(call_id) {
            call.state = CallState::Asking(approval_id);
            call.started_at.get_or_insert(now);
        }
        self.approvals.insert(approval_id, call_id);
        self.emit(Event::ApprovalAsked { approval: note.clone() });
        self.effect(Effect::Ask { approval: note });
    }

    /// Asks a person about a tool that a running agent wants to use.
    pub(super) fn ask_of_tool(&mut self, call_id: CallId, question: ApprovalAsk, ledger: &mut Ledger) {
        self.held.remove(&call_id.0);
        if let Some(call) = self.call_mut(call_id) {
            call.question = Some((ApprovalKind::Tool, Box::new(question)));
            call.decision = None;
            self.ask(call_id, ledger);
        }
    }

    fn question(&self, call_id: CallId, approval_id: ApprovalId) -> Option<ApprovalNote> {
        let call = self.call(call_id)?;
        let kind = match &call.question {
            Some((kind, _)) => *kind,
            None => Self::question_kind(call.spec.kind),
        };
        let (message, metadata, decider, expires_at, on_timeout) = match call
            .spec
            .ask
            .approval
            .as_ref()
            .or(call.question.as_ref().map(|(_, question)| question.as_ref()))
        {
            Some(ask) => {
                let expires_at = ask.expires_in_ms.map(|ms| self.now.plus(ms));
                (ask.message.clone(), ask.metadata.clone(), ask.decider, expires_at, ask.on_timeout)
            }
            None => {
                let label = &call.spec.label;
                let changed = self.history.call(call_id).and_then(RecordedCall::changed);
                let had = changed.map_or_else(String::new, |what| format!(", and had changed {what}"));
                let message = format!(
                    "`{label}` ({call_id}) was changing files when the process that ran it ended{had}: run it again?"
                );
                (message, None, Decider::Any, None, Decision::Deny)
            }
        };
        let decider = if self.config.person_decides { Decider::Person } else { decider };
        let content = canonical(&json!({
            "source": self.config.source_hash.to_string(),
            "request": call.key.to_string(),
            "occurrence": call.occurrence,
            "kind": kind.as_str(),
            "message": message,
            "metadata": metadata,
        }));
        let mut content_hash = Hash::of(content).to_string();
        content_hash.truncate(8);
        Some(ApprovalNote {
            approval_id,
            call_id,
            kind,
            message,
            metadata,
            content_hash,
            decider,
            expires_at,
            on_timeout,
        })
    }

    pub(super) fn decided(&mut self, decision: DecisionInput, ledger: &mut Ledger) {
        let asked = self.approvals.get(&decision.approval_id).copied();
        let asking =
            asked.filter(|id| self.call(*id).is_some_and(|c| c.state == CallState::Asking(decision.approval_id)));
        let pending_in_journal = self.history.calls.values().any(|c| {
            matches!(&c.approval, Some((note, None)) if note.approval_id == decision.approval_id) && c.outcome.is_none()
        });
        if asking.is_none() && !pending_in_journal {
            return;
        }
        self.emit(Event::ApprovalDecided {
            approval_id: decision.approval_id,
            decision: decision.decision,
            expired: decision.expired,
            by: decision.by.clone(),
            via: decision.via.clone(),
            reason: decision.reason.clone(),
        });
        if let Some(call_id) = asking {
            self.answer(call_id, &decision, ledger);
        }
        // The same row may arrive twice, from the take-up and from the poller: an answered question is not open in the journal.
        self.history.record_decision(decision);
    }

    fn answer(&mut self, call_id: CallId, decision: &DecisionInput, ledger: &mut Ledger) {
        let Some(call) = self.call_mut(call_id) else { return };
        let note =
            DecisionNote { decision: decision.decision, by: decision.by.clone(), reason: decision.reason.clone() };
        match (call.spec.kind, decision.decision) {
            (CallKind::Approval, _) => {
                let mut value = json!({"decision": note.decision.as_str(), "by": note.by});
                if let (Some(map), Some(reason)) = (value.as_object_mut(), &note.reason) {
                    map.insert("reason".to_owned(), reason.clone().into());
                }
                let outcome = Outcome { decision: Some(note), ..Outcome::done(call_id, Some(value)) };
                self.settle(call_id, outcome, None, ledger);
            }
            // Either way its agent goes on: it is told.
            (CallKind::Agent, _) if matches!(call.question, Some((ApprovalKind::Tool, _))) => {
                call.question = None;
                call.decision = Some(note);
                call.state = CallState::Held;
                self.held.insert(call_id.0);
            }
            (_, Decision::Approve) => {
                call.repeat_agreed = true;
                call.state = CallState::Held;
                self.held.insert(call_id.0);
            }
            (_, Decision::Deny) if matches!(call.question, Some((ApprovalKind::Tool, _))) => {
                let why = note.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let error = CallError::new(ErrorClass::Denied, format!("denied by {}{why}", note.by));
                let outcome = Outcome { decision: Some(note), ..Outcome::failed(call_id, error) };
                self.settle(call_id, outcome, None, ledger);
            }
            (_, Decision::Deny) => {
                let outcome = Outcome { decision: Some(note), ..Outcome::new(call_id, CallStatus::Skipped) };
                self.settle(call_id, outcome, None, ledger);
            }
        }
    }
}
