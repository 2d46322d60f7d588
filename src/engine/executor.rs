//! One attempt of one call: barrier, time limit, provider, schema check. Knows nothing of the script.

use std::future::{Future as _, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::core::budget::Charge;
use crate::core::call::CallKind;
use crate::core::file_rules::FileRules;
use crate::core::machine::{Answer, AttemptReport};
use crate::core::outcome::{CallError, CostSource, ErrorClass};
use crate::core::work::OutputsAsk;
use crate::providers::schema::CompiledSchema;
use crate::providers::{AttemptRequest, CallContext, Provider, ProviderKind, Reply, ReplyAnswer, ReplyError, ToolBox};
use crate::store::Ticket;

use super::agent_tools::{AgentTools, Lent};
use super::answer::checked;
use super::breaker::{Breakers, Rule, refused};
use super::collapse::said;
use super::effects::Effects;
use super::isolation::{Isolated, Isolation};
use super::secrets::Secrets;
use super::toolbox;

/// Everything an attempt needs.
pub(crate) struct Attempt {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) request: AttemptRequest,
    pub(crate) context: CallContext,
    pub(crate) schema: Option<Arc<CompiledSchema>>,
    /// What must be on disk before the attempt takes effect.
    pub(crate) barrier: Option<Ticket>,
    /// Wait before it.
    pub(crate) delay: Duration,
    /// State of the workspace, for providers that read it.
    pub(crate) workspace: Option<String>,
    /// What must not stand in a transcript.
    pub(crate) secrets: Secrets,
    /// What is known of providers that cannot be reached, and when they are left alone; none for one that is never left alone.
    pub(crate) breaker: Option<(Arc<Breakers>, Rule)>,
    /// The worktree it is to have.
    pub(crate) isolation: Option<Isolation>,
    /// What file tools may touch, for providers that bring none.
    pub(crate) files: Arc<FileRules>,
    /// Tools of the configuration, for providers that bring none.
    pub(crate) lent: Option<Lent>,
    /// Where those tools say what they are about to change.
    pub(crate) effects: Arc<Effects>,
}

/// Like [`execute`]; a panic in the provider is a failed attempt of class `crashed`.
pub(crate) async fn contained(attempt: Attempt) -> Option<AttemptReport> {
    let began = Instant::now();
    let mut report = blank(&attempt);
    let counts = counts_tokens(&attempt);
    let mut work = Box::pin(execute(attempt));
    let outcome = poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(said(panic.as_ref()))),
    });
    match outcome.await {
        Ok(report) => report,
        Err(said) => {
            let provider = report.provider.as_deref().unwrap_or_default();
            let message = format!("provider \"{provider}\" broke off: {said}");
            tracing::error!("{message}");
            report.result = Err(CallError::new(ErrorClass::Crashed, message));
            report.usage_unknown = counts;
            report.duration_ms = began.elapsed().as_millis() as u64;
            Some(report)
        }
    }
}

/// Carries an attempt out. Returns nothing when the barrier failed: then the process no longer owns the run and nothing may
/// take effect.
async fn execute(mut attempt: Attempt) -> Option<AttemptReport> {
    if !attempt.delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(attempt.delay) => {}
            () = attempt.context.stop.stopped() => {}
        }
    }
    if let Some(barrier) = &attempt.barrier {
        barrier.committed().await.ok()?;
    }
    let began = Instant::now();
    let mut report = blank(&attempt);
    if attempt.context.stop.is_stopped() {
        report.result = Err(CallError::new(ErrorClass::Cancelled, "ended on request"));
        return Some(report);
    }
    let breaker = attempt.breaker.take();
    let passage = match &breaker {
        None => None,
        Some((breakers, rule)) => match breakers.pass(attempt.provider.name(), *rule, Instant::now()) {
            Ok(passage) => Some(passage),
            Err(rest) => {
                report.result = Err(refused(attempt.provider.name(), rest));
                report.cost_nanos = Some(0);
                return Some(report);
            }
        },
    };
    let mut isolated: Option<Isolated> = None;
    if let Some(isolation) = attempt.isolation.take() {
        match isolation.begin().await {
            Ok(tree) => {
                attempt.request.cwd.clone_from(&tree.cwd);
                report.notices.extend(tree.notice.clone());
                isolated = Some(tree);
            }
            Err(error) => {
                report.result = Err(error);
                report.duration_ms = began.elapsed().as_millis() as u64;
                return Some(report);
            }
        }
    }
    // Only now: the directory the attempt works in is known for sure.
    let tools = match attempt.provider.kind() {
        ProviderKind::Http => toolbox::of(&attempt.request, &attempt.files, attempt.secrets.known(), &attempt.effects),
        ProviderKind::Cli | ProviderKind::Fake => Ok(None),
    };
    let mut lent = None;
    let tools =
        tools.map(|files| match attempt.lent.take().filter(|_| attempt.provider.kind() == ProviderKind::Http) {
            None => files,
            Some(of) => {
                let told = (&attempt.context.stop, &attempt.context.progress);
                let all = Arc::new(AgentTools::new(of, files, &attempt.request, told, &attempt.effects));
                lent = Some(Arc::clone(&all));
                Some(all as Arc<dyn ToolBox>)
            }
        });
    let ended = match tools {
        Ok(tools) => {
            attempt.context.tools = tools;
            attempt.context.allowance = Some(Arc::<Effects>::clone(&attempt.effects));
            answer(&attempt).await
        }
        Err(why) => Ended::Answered(Err(CallError::new(ErrorClass::BadRequest, why).into())),
    };
    if let Some(passage) = passage {
        passage.ended(ended.class(), Instant::now());
    }
    let (reply, cut_short) = match ended {
        Ended::Answered(reply) => (Some(reply), None),
        Ended::TimedOut(reply) => {
            let message = format!("no answer in {}", readable(attempt.request.timeout_ms));
            let mut error = CallError::new(ErrorClass::Timeout, message);
            if attempt.provider.kind() == ProviderKind::Http {
                error.hint = Some("the service may have charged for it all the same".to_owned());
            }
            (reply, Some(error))
        }
        Ended::Stopped(reply) => (reply, Some(CallError::new(ErrorClass::Cancelled, "ended on request"))),
    };
    let mut transcript = None;
    let (mut charge_nanos, mut charge_tokens) = (None, None);
    let mut outputs = None;
    let was_cut_short = cut_short.is_some();
    match reply {
        None => report.usage_unknown = counts_tokens(&attempt),
        Some(Err(failure)) => {
            report.usage = failure.usage;
            report.usage_unknown = failure.usage_unknown;
            report.cost_nanos = failure.cost_nanos;
            (charge_nanos, charge_tokens) = (failure.charge_nanos, failure.charge_tokens);
            if failure.cost_source != CostSource::Unknown {
                report.cost_source = failure.cost_source;
            }
            report.rule = failure.rule;
            if failure.model.is_some() {
                report.model = failure.model;
            }
            report.provenance = failure.provenance;
            transcript = failure.transcript;
            report.result = Err(failure.error);
        }
        Some(Ok(reply)) => {
            report.usage = reply.usage;
            report.usage_unknown = reply.usage_unknown;
            report.cost_nanos = reply.cost_nanos;
            (charge_nanos, charge_tokens) = (reply.charge_nanos, reply.charge_tokens);
            report.cost_source = reply.cost_source;
            report.rule = reply.rule;
            if reply.model.is_some() {
                report.model = reply.model;
            }
            report.provenance = reply.provenance;
            transcript = reply.transcript;
            let said = match &reply.answer {
                ReplyAnswer::Text(text) => Some(text.clone()),
                ReplyAnswer::Json(value) | ReplyAnswer::Both { value, .. } => Some(value.to_string()),
                ReplyAnswer::Missing => None,
            };
            report.result = checked(reply.answer, attempt.schema.as_deref()).map(|(value, text)| Answer {
                value: Some(value),
                text,
                changed_files: reply.changed_files,
                workspace: attempt.workspace.clone(),
            });
            if report.result.is_err() {
                report.rejected = said;
            }
            let made = match (&report.result, &attempt.request.spec.ask.outputs) {
                (Ok(answer), Some(asked)) if !was_cut_short => Some(made(&attempt, asked, answer).await),
                _ => None,
            };
            match made {
                None => {}
                Some(Ok(files)) => outputs = Some(files),
                Some(Err(error)) => report.result = Err(error),
            }
        }
    }
    report.acted = attempt.context.tools.as_ref().is_some_and(|tools| tools.acted());
    if let (Some(lent), Err(_), false) = (lent, &report.result, was_cut_short) {
        let (question, said) = lent.left();
        // Without what was said so far another attempt could only begin again.
        report.question = question.filter(|_| said.is_some());
        report.kept = said.map(Box::new).filter(|_| report.acted || report.question.is_some());
    }
    if let Some(error) = cut_short {
        report.result = Err(error);
    }
    if let Some(tree) = isolated {
        let left = tree.end().await;
        report.worktree = left.note;
        if let Ok(answer) = &mut report.result {
            answer.changed_files.clone_from(&left.changed_files);
        }
        report.changed_files = left.changed_files;
        report.provenance.warnings.extend(left.warning);
    }
    if let (Ok(answer), Some(files)) = (&mut report.result, outputs) {
        answer.changed_files = files;
    }
    if let (Some(path), Some(mut transcript)) = (&attempt.context.transcript, transcript) {
        attempt.secrets.text(&mut transcript);
        // A transcript is for readers; an answer is not thrown away because it could not be written.
        if let Err(error) = super::files::write(path, transcript.as_bytes()) {
            tracing::warn!(%error, "transcript not written");
        }
    }
    report.duration_ms = began.elapsed().as_millis() as u64;
    let crashed = report.result.as_ref().is_err_and(|error| error.class == ErrorClass::Crashed);
    let cost_nanos = report.cost_nanos.or(charge_nanos).unwrap_or_else(|| {
        // Nobody knows what an attempt cost that was cut short or did not tell; a budget counts what was set aside for it.
        let unknown =
            (was_cut_short || crashed || report.usage_unknown) && attempt.provider.kind() != ProviderKind::Fake;
        if unknown { attempt.provider.reserve(&attempt.request).cost_nanos } else { 0 }
    });
    let known = report.usage.output_tokens;
    let is_told = !report.usage_unknown || attempt.provider.kind() == ProviderKind::Fake;
    // The same of its tokens.
    let aside = || known.max(attempt.provider.reserve(&attempt.request).tokens);
    let tokens = if is_told { known } else { charge_tokens.unwrap_or_else(aside) };
    report.charge = Charge { tokens, cost_nanos, calls: 0 };
    Some(report)
}

/// The files of an answer. Nobody makes those of an invented answer, so they count as named.
async fn made(attempt: &Attempt, asked: &OutputsAsk, answer: &Answer) -> Result<Vec<String>, CallError> {
    let (dir, rules) = (attempt.request.cwd.clone(), Arc::clone(&attempt.files));
    let value = answer.value.clone().unwrap_or_default();
    match (attempt.provider.kind(), asked) {
        (ProviderKind::Fake, OutputsAsk::Files(files)) => Ok(files.clone()),
        (ProviderKind::Fake, _) => Ok(super::outputs::collect(&dir, asked, &rules, &value).unwrap_or_default()),
        (ProviderKind::Cli | ProviderKind::Http, _) => {
            let asked = asked.clone();
            // A large directory takes its time, and others use this thread.
            let look = move || super::outputs::collect(&dir, &asked, &rules, &value);
            let broke_off = |_| Err(CallError::new(ErrorClass::Crashed, "looking for the outputs broke off"));
            tokio::task::spawn_blocking(look).await.unwrap_or_else(broke_off)
        }
    }
}

/// How a provider's part of an attempt ended.
enum Ended {
    Answered(Result<Reply, ReplyError>),
    /// The time limit passed; with what it said while it wound down.
    TimedOut(Option<Result<Reply, ReplyError>>),
    /// The end was asked for.
    Stopped(Option<Result<Reply, ReplyError>>),
}

impl Ended {
    /// The class of its error; none when it was answered.
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Answered(Ok(_)) => None,
            Self::Answered(Err(failure)) => Some(failure.error.class),
            Self::TimedOut(_) => Some(ErrorClass::Timeout),
            Self::Stopped(_) => Some(ErrorClass::Cancelled),
        }
    }
}

/// Asks the provider. An attempt that is cut short may wind down and say what it used, where its provider can.
async fn answer(attempt: &Attempt) -> Ended {
    let limit = Duration::from_millis(attempt.request.timeout_ms);
    let context = &attempt.context;
    let stop = &context.stop;
    if stop.is_stopped() {
        // The end was asked for while its worktree was made.
        return Ended::Stopped(None);
    }
    let mut call = attempt.provider.call(&attempt.request, context);
    let timed_out = tokio::select! {
        biased;
        reply = &mut call => return Ended::Answered(reply),
        () = tokio::time::sleep(limit) => true,
        () = stop.stopped() => false,
    };
    stop.stop();
    let patience = attempt.provider.wind_down();
    let reply = if patience.is_zero() { None } else { tokio::time::timeout(patience, &mut call).await.ok() };
    let acted = context.tools.as_ref().filter(|tools| tools.acted());
    if let (true, Some(tools)) = (timed_out, acted) {
        // What an agent has done must not be done again by another attempt.
        let what = if tools.changed_files().is_empty() { "tools were used" } else { "files were written" };
        let message = format!("no answer in {}, after {what}", readable(attempt.request.timeout_ms));
        let mut error = CallError::new(ErrorClass::Other, message);
        error.hint = Some("look at the files before the call is made again".to_owned());
        let failure = match reply {
            Some(Err(failure)) => ReplyError { error, ..failure },
            // It answered just too late: what it used counts all the same.
            Some(Ok(reply)) => ReplyError {
                usage: reply.usage,
                usage_unknown: reply.usage_unknown,
                cost_nanos: reply.cost_nanos,
                cost_source: reply.cost_source,
                charge_nanos: reply.charge_nanos,
                charge_tokens: reply.charge_tokens,
                model: reply.model,
                transcript: reply.transcript,
                provenance: reply.provenance,
                ..error.into()
            },
            None => {
                let charge_nanos = Some(attempt.provider.reserve(&attempt.request).cost_nanos);
                ReplyError { usage_unknown: true, charge_nanos, ..error.into() }
            }
        };
        return Ended::Answered(Err(failure));
    }
    if timed_out { Ended::TimedOut(reply) } else { Ended::Stopped(reply) }
}

/// The report of an attempt before it has begun.
fn blank(attempt: &Attempt) -> AttemptReport {
    let simulated = attempt.provider.kind() == ProviderKind::Fake;
    AttemptReport {
        cost_source: if simulated { CostSource::Simulated } else { CostSource::Unknown },
        provider: Some(attempt.provider.name().to_owned()),
        model: attempt.request.model.clone(),
        simulated,
        ..AttemptReport::new(Err(CallError::new(ErrorClass::Other, "no answer")))
    }
}

/// Whether the attempt asks a model that counts tokens: programs, tools and the fake provider ask none.
fn counts_tokens(attempt: &Attempt) -> bool {
    let asks = matches!(attempt.request.spec.kind, CallKind::Agent | CallKind::Turn);
    asks && attempt.provider.kind() != ProviderKind::Fake
}

fn readable(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}
