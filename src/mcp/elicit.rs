//! Questions of runs as dialogs of the client: what is asked, what an answer means, and what a retried call may claim.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::core::call::Decision;
use crate::core::failure::Failure;
use crate::engine::Engine;
use crate::engine::params::{ApprovalsParams, DecideParams};
use crate::engine::view::{ApprovalRow, ApprovalState};

use super::Client;

/// Characters of data that a dialog shows.
const DATA: usize = 600;
/// Characters of a reason.
const REASON: usize = 500;
/// What is recorded as the way of the decision.
const VIA: &str = "dialog";

/// Which question, exactly: the run that asks, the question in it, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    pub(crate) run_id: String,
    pub(crate) approval_id: String,
    pub(crate) content_hash: String,
}

impl Which {
    fn of(row: &ApprovalRow) -> Self {
        Self {
            run_id: row.run_id.to_string(),
            approval_id: row.approval_id.clone(),
            content_hash: row.content_hash.clone(),
        }
    }

    /// The key of the request in a map of requests: unique over the life of a run.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}/{}", self.run_id, self.approval_id, self.content_hash)
    }

    /// The open question, when there is one like this below `run` in the store.
    ///
    /// # Errors
    /// What the store says; `not_found` for a run that is not there.
    pub(crate) fn open(&self, engine: &Engine, run: &str) -> Result<Option<ApprovalRow>, Failure> {
        let asked = ApprovalsParams { run_id: Some(run.to_owned()), ..ApprovalsParams::default() };
        let rows = engine.approvals(&asked)?.approvals;
        Ok(rows.into_iter().find(|row| row.state == ApprovalState::Pending && Self::of(row) == *self))
    }
}

/// What a client hands back with its answer. It may be forged: all it does is name a run and a question, and both are looked
/// up in the store before anything is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoundState {
    /// The tool whose call is retried.
    pub(crate) tool: String,
    /// The run that the call is about: the one that asks, or one above it.
    pub(crate) run_id: String,
    pub(crate) question: Which,
}

impl RoundState {
    pub(crate) fn to_text(&self) -> String {
        // Three texts and a struct of texts always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The state of a retried call of `tool`; none when this server cannot have given it.
    pub(crate) fn parse(text: &str, tool: &str) -> Option<Self> {
        let state: Self = serde_json::from_str(text).ok()?;
        let known = state.tool == tool
            && state.run_id.parse::<crate::core::ids::RunId>().is_ok()
            && state.question.run_id.parse::<crate::core::ids::RunId>().is_ok();
        known.then_some(state)
    }
}

/// A question as a dialog.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) which: Which,
    pub(crate) message: String,
    pub(crate) schema: Value,
}

/// The dialog of a question. `proposal` is what a model wants to answer, with its reason.
pub(crate) fn dialog(row: &ApprovalRow, proposal: Option<(Decision, &str)>) -> Question {
    let mut message = format!("A workflow asks (run {}): {}", row.run_id.short(), row.message);
    if let Some(data) = &row.metadata {
        let text = match data {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        message.push_str(&format!("\n\nData: {}", clip(&text, DATA)));
    }
    message.push_str(&format!("\n\napprove: {}\ndeny: {}", row.approve_means, row.deny_means));
    if let (Some(at), Some(answer)) = (&row.expires_at, row.on_timeout) {
        message.push_str(&format!("\nwithout an answer until {at}: {}", answer.as_str()));
    }
    if let Some((decision, reason)) = proposal {
        message.push_str(&format!("\n\nThe assistant proposes: {} ({})", decision.as_str(), clip(reason, 200)));
    }
    let schema = json!({
        "type": "object",
        "properties": {
            "decision": { "type": "string", "title": "Decision", "enum": ["approve", "deny"] },
            "reason": { "type": "string", "title": "Reason", "description": "Why, for the record.", "maxLength": REASON },
        },
        "required": ["decision"],
    });
    Question { which: Which::of(row), message, schema }
}

fn clip(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// What a person answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    pub(crate) reason: String,
}

/// Reads the result of an elicitation. Whatever is not plainly an accepted `approve` or `deny` decides nothing.
pub(crate) fn read(result: &Value) -> Option<Answer> {
    if result.get("action")?.as_str()? != "accept" {
        return None;
    }
    let content = result.get("content")?.as_object()?;
    let decision = match content.get("decision")?.as_str()? {
        "approve" => Decision::Approve,
        "deny" => Decision::Deny,
        _ => return None,
    };
    let reason = match content.get("reason") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => clip(text.trim(), REASON),
        Some(_) => return None,
    };
    Some(Answer { decision, reason })
}

/// Records a person's answer to an open question. True when it was this answer that decided.
///
/// # Errors
/// As [`Engine::decide`]: somebody was faster, or the question expired.
pub(crate) fn decide(engine: &Engine, which: &Which, answer: &Answer, client: &Client) -> Result<Value, Failure> {
    let params = DecideParams {
        run_id: which.run_id.clone(),
        approval_id: which.approval_id.clone(),
        decision: answer.decision,
        content_hash: which.content_hash.clone(),
        reason: answer.reason.clone(),
        home: None,
    };
    let by = match (client.name.as_str(), client.version.as_str()) {
        ("", _) => "person".to_owned(),
        (name, "") => format!("person at {name}"),
        (name, version) => format!("person at {name} {version}"),
    };
    let view = engine.decide(&params, &by, VIA, true)?;
    Ok(serde_json::to_value(view.decision).unwrap_or_default())
}

/// Questions that the person at this client has turned away: they are not put again unasked. Kept in memory only: another
/// server asks again, and nothing depends on it.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway(Mutex<HashSet<String>>);

/// How many are remembered; beyond that all are forgotten.
const REMEMBERED: usize = 10_000;

impl TurnedAway {
    pub(crate) fn remember(&self, which: &Which) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= REMEMBERED {
            keys.clear();
        }
        keys.insert(which.key());
    }

    pub(crate) fn holds(&self, which: &Which) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&which.key())
    }

    /// The open questions among `rows` that can still be asked.
    pub(crate) fn askable<'r>(&self, rows: &'r [ApprovalRow]) -> impl Iterator<Item = &'r ApprovalRow> {
        rows.iter().filter(|row| row.state == ApprovalState::Pending && !self.holds(&Which::of(row)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::core::call::Decider;
    use crate::core::event::ApprovalKind;

    pub(crate) fn row() -> ApprovalRow {
        let (approve, deny) = ApprovalRow::meanings(ApprovalKind::Approve, crate::core::run::WorkflowKind::Script);
        ApprovalRow {
            approval_id: "a1".into(),
            run_id: "20260528-143201-k7q2mvx4".parse().unwrap(),
            call_id: "c0022".into(),
            kind: ApprovalKind::Approve,
            message: "Apply the migration to 14 files?".into(),
            metadata: Some(json!({"files": 14})),
            content_hash: "5be1c07f".into(),
            decider: Decider::Person,
            state: ApprovalState::Pending,
            created_at: "2026-05-28T14:32:01.000Z".into(),
            expires_at: Some("2026-05-28T16:32:01.000Z".into()),
            on_timeout: Some(Decision::Deny),
            approve_means: approve.into(),
            deny_means: deny.into(),
            decided_at: None,
            decided_via: None,
            reason: None,
        }
    }

    pub(crate) fn question() -> Question {
        dialog(&row(), None)
    }

    #[test]
    fn a_dialog_says_what_is_asked_and_what_each_answer_leads_to() {
        let asked = dialog(&row(), Some((Decision::Approve, "Ada said yes in chat")));
        let expected = "A workflow asks (run k7q2mvx4): Apply the migration to 14 files?\n\nData: {\"files\":14}\n\n\
            approve: the script goes on\ndeny: owf.approve() returns {decision: \"deny\"}\n\
            without an answer until 2026-05-28T16:32:01.000Z: deny\n\n\
            The assistant proposes: approve (Ada said yes in chat)";
        assert_eq!(asked.message, expected);
        assert_eq!(asked.schema["required"], json!(["decision"]));
        let mut long = row();
        long.message = "m".repeat(1_000);
        long.metadata = Some(json!("\u{1f600}".repeat(1_000)));
        assert!(dialog(&long, Some((Decision::Deny, &"r".repeat(9_000)))).message.chars().count() < 2_200);
    }

    #[test]
    fn only_an_accepted_approve_or_deny_is_an_answer() {
        let accept = |content: Value| read(&json!({"action": "accept", "content": content}));
        let said = |decision, reason: &str| Some(Answer { decision, reason: reason.into() });
        assert_eq!(accept(json!({"decision": "approve"})), said(Decision::Approve, ""));
        assert_eq!(accept(json!({"decision": "deny", "reason": " no "})), said(Decision::Deny, "no"));
        for garbage in [
            json!({"action": "decline"}),
            json!({"action": "cancel"}),
            json!({"action": "decline", "content": {"decision": "approve"}}),
            json!({"action": "accept"}),
            json!({"action": "accept", "content": {"decision": "Approve"}}),
            json!({"action": "accept", "content": {"decision": true}}),
            json!({"action": "accept", "content": {"decision": "approve", "reason": 1}}),
            json!({"action": "accept", "content": "approve"}),
            json!({"action": "accept", "content": {}}),
            json!({"content": {"decision": "approve"}}),
            json!("accept"),
            Value::Null,
        ] {
            assert_eq!(read(&garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_state_reads_back_for_its_own_tool_and_what_was_made_up_does_not() {
        let which = question().which;
        let state = RoundState { tool: "owf_wait".into(), run_id: which.run_id.clone(), question: which };
        let text = state.to_text();
        assert_eq!(RoundState::parse(&text, "owf_wait"), Some(state));
        assert_eq!(RoundState::parse(&text, "owf_run_workflow"), None);
        for forged in ["", "{}", "null", &text.replace("20260528", "latest"), &text.replacen('{', "{\"x\":1,", 1)] {
            assert_eq!(RoundState::parse(forged, "owf_wait"), None, "{forged}");
        }
    }

    #[test]
    fn a_question_that_was_turned_away_is_not_put_again_and_another_one_is() {
        let turned = TurnedAway::default();
        let rows = [row(), ApprovalRow { content_hash: "other".into(), ..row() }];
        assert_eq!(turned.askable(&rows).count(), 2);
        turned.remember(&Which::of(&rows[0]));
        let left: Vec<_> = turned.askable(&rows).map(|row| row.content_hash.as_str()).collect();
        assert_eq!(left, ["other"]);
    }
}
