//! Answers a question: `owf approve`, `owf deny`.

use clap::Args;

use crate::cli::{Context, Exit, Outcome, render};
use crate::core::call::Decision;
use crate::core::failure::{Code, Failure};
use crate::core::ids::ApprovalId;
use crate::engine::params::{ApprovalsParams, DecideParams};
use crate::engine::view::{ApprovalRow, ApprovalState};

/// `owf approve RUN [QUESTION]`, `owf deny RUN [QUESTION]`.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// The run; not latest
    pub run: String,
    /// The question, when the run asks more than one: a1
    #[arg(value_name = "QUESTION")]
    pub approval: Option<String>,
    /// Why, for the record
    #[arg(long)]
    pub reason: Option<String>,
    /// Insist that the question is still the one with this hash
    #[arg(long, value_name = "HASH")]
    pub content_hash: Option<String>,
}

/// Records the answer; the paused run goes on in the background.
pub fn run(ctx: &mut Context, args: &DecideArgs, decision: Decision) -> Outcome {
    if args.run == "latest" {
        return Err(Failure::new(Code::InvalidArguments, "a decision names its run: `latest` is not taken here")
            .hint("owf approvals lists the questions"));
    }
    let run_id = ctx.engine.resolve(&args.run)?;
    let question = find(ctx, run_id.as_str(), args.approval.as_deref())?;
    // An open question is found from any run above it; one that is closed is looked up where it was asked.
    let asked_by = if question.state == ApprovalState::Pending { run_id } else { question.run_id.clone() };
    let params = DecideParams {
        run_id: asked_by.to_string(),
        approval_id: question.approval_id.clone(),
        decision,
        content_hash: args.content_hash.clone().unwrap_or_else(|| question.content_hash.clone()),
        reason: args.reason.clone().unwrap_or_default(),
        home: None,
    };
    let by = ctx.term.user.clone();
    // An agent of a run is no person, whatever terminal it has made itself.
    let person = ctx.term.stdin && ctx.engine.services().env.get(crate::providers::MARKER).is_none();
    let view = ctx.engine.decide(&params, &by, "cli", person)?;
    ctx.reply(&view, |view, _| render::approvals::decided(view, &params.approval_id, decision))?;
    Ok(Exit::Done)
}

/// The question meant: the one named, else the only one that waits, else the one answered last, so that the answer to a
/// second decision is who was faster.
fn find(ctx: &Context, run_id: &str, named: Option<&str>) -> Result<ApprovalRow, Failure> {
    let named = named.map(|text| match text.parse::<ApprovalId>() {
        Ok(id) => Ok(id.to_string()),
        Err(error) => Err(Failure::new(Code::InvalidArguments, error.to_string()).hint("owf approvals lists them: a1")),
    });
    let named = named.transpose()?;
    let mut all = Vec::new();
    for state in [
        ApprovalState::Pending,
        ApprovalState::Approved,
        ApprovalState::Denied,
        ApprovalState::Expired,
        ApprovalState::Cancelled,
    ] {
        let params = ApprovalsParams { run_id: Some(run_id.to_owned()), state: Some(state), home: None };
        all.extend(ctx.engine.approvals(&params)?.approvals);
    }
    if let Some(named) = named {
        let ids: Vec<_> = all.iter().map(|row| row.approval_id.clone()).collect();
        return all.into_iter().find(|row| row.approval_id == named).ok_or_else(|| {
            Failure::new(Code::NotFound, format!("run {run_id} has no question {named}"))
                .hint("owf approvals lists the questions")
                .with("what", "approval")
                .allowed(ids)
        });
    }
    let pending: Vec<_> = all.iter().filter(|row| row.state == ApprovalState::Pending).collect();
    match pending.as_slice() {
        [only] => Ok((*only).clone()),
        [] => all.into_iter().max_by(|a, b| a.decided_at.cmp(&b.decided_at)).ok_or_else(|| {
            Failure::new(Code::NotFound, format!("run {run_id} asks nothing"))
                .with("what", "approval")
                .hint("owf approvals lists the questions of all runs")
        }),
        several => Err(Failure::new(Code::Ambiguous, format!("run {run_id} asks {} questions", several.len()))
            .allowed(several.iter().map(|row| format!("{} {}", row.run_id.short(), row.approval_id)))
            .hint("name one: owf approvals shows them")),
    }
}
