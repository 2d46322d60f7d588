//! The sentences of `next`: which tool, or command, with which values.

use serde_json::Value;

use super::approvals::{ApprovalRow, ApprovalState};
use super::run::RunView;
use crate::core::ids::RunId;
use crate::core::run::{RunStatus, StatusReason};

/// For a run that goes on.
pub fn keep_waiting(run_id: &RunId, cursor: &str) -> String {
    format!("owf_wait with run_id {run_id} and cursor \"{cursor}\". The run goes on without you.")
}

/// After the first failed call of a run that goes on.
pub fn first_failure(call_id: &str, cursor: &str) -> String {
    format!(
        "owf_calls with call_id \"{call_id}\" shows why. owf_wait with cursor \"{cursor}\" goes on waiting; owf_cancel stops the run."
    )
}

/// For a run that waits for a decision.
pub fn ask_the_person(question: Option<&ApprovalRow>) -> String {
    let until = match question.map(|q| (q.expires_at.as_deref(), q.on_timeout)) {
        Some((Some(at), Some(answer))) => {
            format!(" (or {} UTC, then {})", at.get(11..16).unwrap_or(at), answer.as_str())
        }
        _ => String::new(),
    };
    format!(
        "Ask the person, quoting the message. Then owf_decide with approval_id, content_hash, decision and reason. Do not poll: nothing changes until someone decides{until}."
    )
}

/// For a run whose question expired while no process executed it.
pub fn question_expired(run_id: &RunId, question: &ApprovalRow) -> String {
    let answer = question.on_timeout.map_or("deny", crate::core::call::Decision::as_str);
    format!(
        "Question {} has expired, which counts as {answer}: owf_resume with run_id {run_id} goes on with that answer.",
        question.approval_id
    )
}

/// For a run that ended well.
pub fn done(view: &RunView) -> String {
    let place = if view.output.is_some() {
        "The result is in output."
    } else if let Some(outline) = &view.outline {
        // A text has no parts to point to; the outline says what it is.
        match outline {
            Value::String(line) if line.starts_with("string ") => {
                "The result is a long text: owf_output with an offset shows it page by page."
            }
            _ => "The result is large: owf_output with a pointer shows a part of it.",
        }
    } else {
        "The script returned undefined: there is no result."
    };
    match view.gaps_total.unwrap_or(0) {
        0 => place.to_owned(),
        1 => format!("{place} 1 call failed and is missing from it: tell the person, or owf_resume to try it again."),
        n => {
            format!(
                "{place} {n} calls failed and are missing from it: tell the person, or owf_resume to try them again."
            )
        }
    }
}

/// What to do next with a run, by its state; what a budget or a provider needs is said by the caller instead.
pub fn of_run(view: &RunView) -> String {
    let run_id = &view.run_id;
    match view.status {
        RunStatus::Queued | RunStatus::Running => keep_waiting(run_id, &view.next_cursor),
        RunStatus::Paused => match view.status_reason {
            Some(StatusReason::Approval | StatusReason::Repeat) => {
                let open = view.approvals.iter().find(|q| q.state == ApprovalState::Pending);
                match (open, view.approvals.first()) {
                    (None, Some(expired)) => question_expired(run_id, expired),
                    (open, _) => ask_the_person(open),
                }
            }
            Some(StatusReason::ProviderAuth) => "Tell the person. After the login: owf_resume.".to_owned(),
            Some(StatusReason::ProviderQuota) => {
                "Tell the person. When there is quota again, or with another provider: owf_resume.".to_owned()
            }
            _ => format!("owf_resume with run_id {run_id} goes on."),
        },
        RunStatus::Done => done(view),
        RunStatus::Failed => format!(
            "Fix the cause, then owf_resume with run_id {run_id}: finished calls are reused. path or script passes an edited workflow."
        ),
        RunStatus::Cancelled => match view.status_reason {
            Some(StatusReason::Superseded) => "Another run took its place: owf_list_runs shows it.".to_owned(),
            Some(StatusReason::Workflow) => {
                "The workflow ended itself, with what there was: owf_output; its log says why.".to_owned()
            }
            _ => format!("owf_resume with run_id {run_id} starts a new run that reuses the finished calls."),
        },
        RunStatus::Interrupted => {
            format!("owf_resume with run_id {run_id} goes on: finished calls are replayed and cost nothing.")
        }
    }
}

/// For a script that was answered by the fake provider although a real one is here.
pub fn simulated(provider: &str) -> String {
    format!("The script works. For real answers: owf_dry_run, then owf_run_workflow, with provider \"{provider}\".")
}
