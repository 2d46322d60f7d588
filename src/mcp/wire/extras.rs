//! The methods beside tools: resources, prompts, tasks; and calls of tools with their dialogs and tasks around them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::ErrorData;
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientResult, CustomResult, GetPromptRequestParams,
    GetPromptResult, GetTaskParams, GetTaskResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResult, ServerRequest, UpdateTaskParams,
};
use rmcp::service::{PeerRequestOptions, RequestContext};
use serde_json::{Value, json};

use super::handler::{Handler, number};
use super::rendered::{self, Era};
use super::reply;
use crate::core::failure::{Code, Failure};
use crate::engine::Engine;
use crate::engine::params::CancelParams;
use crate::engine::view::RunView;
use crate::mcp::elicit::{self, Question, TurnedAway};
use crate::mcp::elicit_flow::{self, Ask, Flow, Offers, Step};
use crate::mcp::refused::Refused;
use crate::mcp::settings::Settings;
use crate::mcp::{Call, Tool, prompts, resources, tasks, tools};

/// How long a cancelled task waits for its server to end: clients that quit may send it, and kill the server at once.
const CANCEL_AFTER: Duration = Duration::from_secs(1);
/// The shortest time in which a person can answer.
const SHORTEST_DIALOG: Duration = Duration::from_secs(10);
/// Dialogs within one call of a client that is asked in place, so that a run with many questions still gets its reply.
const DIALOGS: usize = 8;

/// What the methods here share.
#[derive(Default)]
pub(super) struct Extras {
    /// Questions that the person at this client has turned away.
    turned_away: Arc<TurnedAway>,
}

impl Handler {
    /// What the client of a request can do. A dialog needs a form; a client that names no way means a form.
    fn offers(&self, context: &RequestContext<RoleServer>) -> Offers {
        let Some(capabilities) = context.client_capabilities() else { return Offers::default() };
        let dialog = capabilities.elicitation.as_ref().is_some_and(|ways| ways.form.is_some() || ways.url.is_none());
        Offers { tasks: self.shared.settings.tasks && capabilities.supports_tasks(), dialog }
    }

    /// What blocks, with refusals of its own.
    async fn asked<T: Send + 'static>(
        &self,
        context: &RequestContext<RoleServer>,
        work: impl FnOnce(&Call<'_>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, ErrorData> {
        let served = self.blocking(context, move |call| Ok(work(call))).await;
        served.unwrap_or_else(|failure| Err(failure.into())).map_err(rendered::error)
    }

    pub(super) async fn resources(
        &self,
        params: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = params.and_then(|params| params.cursor);
        let page = self.asked(context, move |call| resources::list(&engine(call)?, cursor.as_deref())).await?;
        Ok(rendered::resource_page(page, Era::of(context)))
    }

    pub(super) fn resource_templates(
        params: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let cursor = params.and_then(|params| params.cursor);
        let templates = resources::templates(cursor.as_deref()).map_err(rendered::error)?;
        Ok(rendered::template_page(templates, Era::of(context)))
    }

    pub(super) async fn resource(
        &self,
        params: ReadResourceRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<ReadResourceResult, ErrorData> {
        let uri = params.uri.clone();
        let read = self.asked(context, move |call| resources::read(&engine(call)?, &params.uri)).await;
        let read = read.map_err(|error| rendered::read_error(error, &uri))?;
        Ok(rendered::contents(read, Era::of(context)))
    }

    pub(super) fn prompts(
        params: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        resources::only_page(params.and_then(|params| params.cursor).as_deref()).map_err(rendered::error)?;
        Ok(rendered::prompt_page(Era::of(context)))
    }

    pub(super) async fn prompt(
        &self,
        params: GetPromptRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<GetPromptResult, ErrorData> {
        let filled = self.asked(context, move |call| {
            let arguments: BTreeMap<String, Value> = params.arguments.unwrap_or_default().into_iter().collect();
            prompts::get(&params.name, &arguments, |run| view(call, run))
        });
        Ok(rendered::prompt(filled.await?))
    }

    /// A call of a tool, with the client's dialog and with tasks where the client offers them.
    pub(super) async fn call(
        &self,
        tool: &'static Tool,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let began = Instant::now();
        let offers = self.offers(context);
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let kept = arguments.clone();
        let mut step = match request.request_state {
            Some(state) => {
                let answers = request.input_responses.unwrap_or_default();
                // One question was asked, so one answer can be there.
                let answer = answers.into_values().next();
                self.flow(context, offers, move |flow| flow.again(tool, arguments, &state, answer.as_ref())).await
            }
            None => self.flow(context, offers, move |flow| Ok(flow.first(tool, arguments))).await,
        }?;
        for _ in 0..DIALOGS {
            let ask = match step {
                Step::Reply(Ok(value)) => return Ok(reply::reply(value).into()),
                Step::Reply(Err(failure)) => return Ok(reply::failure(failure).into()),
                Step::Task(view) => {
                    let task =
                        self.asked(context, move |call| Ok(tasks::of_run(&engine(call)?, view, |_| Vec::new())?));
                    return Ok(rendered::new_task(&task.await?).into());
                }
                Step::Ask(ask) if Era::of(context) == Era::Modern => return Ok(rendered::input_required(&ask)?.into()),
                Step::Ask(ask) => ask,
            };
            self.requests.let_go(number(context));
            let answer = dialog(context, &self.shared.settings, &ask, began).await?;
            let arguments = kept.clone();
            let answered =
                self.flow(context, offers, move |flow| Ok(flow.answered(tool, arguments, &ask.state, answer.as_ref())));
            step = answered.await?;
        }
        Ok(match step {
            Step::Reply(Ok(value)) | Step::Task(value) => reply::reply(value),
            Step::Reply(Err(failure)) => reply::failure(failure),
            Step::Ask(ask) => {
                let run = ask.state.run_id;
                let view = self.asked(context, move |call| Ok(view(call, &run)?));
                reply::reply(view.await?)
            }
        }
        .into())
    }

    async fn flow(
        &self,
        context: &RequestContext<RoleServer>,
        offers: Offers,
        work: impl FnOnce(&Flow<'_>) -> Result<Step, Refused> + Send + 'static,
    ) -> Result<Step, ErrorData> {
        let turned_away = Arc::clone(&self.extras.turned_away);
        let served = self.blocking(context, move |call| Ok(work(&Flow { call, offers, turned_away: &turned_away })));
        // A failure here is one of the server around the tool, which the model reads as the tool's own.
        served.await.unwrap_or_else(|failure| Ok(Step::Reply(Err(failure)))).map_err(rendered::error)
    }

    /// A task, answered from the store: its server may be another one than the one that began it.
    pub(super) async fn task(
        &self,
        params: GetTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let (offers, turned_away) = (self.offers(context), Arc::clone(&self.extras.turned_away));
        let task = self.asked(context, move |call| {
            let engine = engine(call)?;
            let run = tasks::run_of(&engine, &params.task_id)?;
            let view = view(call, run.as_str())?;
            Ok(tasks::of_run(&engine, view, |view| questions(view, offers.dialog, &turned_away))?)
        });
        rendered::task(task.await?, reply::reply)
    }

    /// Answers to the questions of a task. What is no answer decides nothing; the next look tells how the run stands.
    pub(super) async fn answer_task(
        &self,
        params: UpdateTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let turned_away = Arc::clone(&self.extras.turned_away);
        let updated = self.asked(context, move |call| {
            let engine = engine(call)?;
            let run = tasks::run_of(&engine, &params.task_id)?;
            let view: RunView = serde_json::from_value(view(call, run.as_str())?)
                .map_err(|error| Refused::Internal(format!("the view of the run cannot be read: {error}")))?;
            // Only questions that are open in the store are looked for in what came.
            for question in questions(&view, true, &turned_away) {
                let Some(given) = params.input_responses.get(&question.which.key()) else { continue };
                match elicit::read(given) {
                    None => turned_away.remember(&question.which),
                    Some(answer) => match elicit::decide(&engine, &question.which, &answer, call.client) {
                        Err(failure) if failure.code.exit_code() == 4 => return Err(failure.into()),
                        // Decided by somebody else, or expired, since it was looked up.
                        Ok(_) | Err(_) => {}
                    },
                }
            }
            Ok(())
        });
        updated.await
    }

    /// Ends the run of a task, a moment later and only if this server still has its client then.
    pub(super) async fn end_task(
        &self,
        params: CancelTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let requests = Arc::clone(&self.requests);
        let found = self.asked(context, move |call| {
            let run = tasks::run_of(&engine(call)?, &params.task_id)?;
            Ok((run, call.client.clone()))
        });
        let (run, client) = found.await?;
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(CANCEL_AFTER).await;
            if requests.closed() {
                return;
            }
            let cancelled = tokio::task::spawn_blocking(move || {
                let reason = Some("its task was cancelled".to_owned());
                let params = CancelParams { run_id: run.to_string(), reason, ..CancelParams::default() };
                let engine = shared.engines.engine(None, None, &client)?;
                engine.cancel(&params, &client.who()).map(|_| ())
            });
            match cancelled.await {
                Ok(Err(failure)) if failure.code != Code::RunEnded => {
                    tracing::warn!("a cancelled task goes on: {failure}");
                }
                Ok(_) | Err(_) => {}
            }
        });
        Ok(())
    }
}

/// Asks the person at a client of the older revisions, which is sent requests. None when there is no answer: the client
/// refuses, its person does not answer in time, or the call is cancelled.
async fn dialog(
    context: &RequestContext<RoleServer>,
    settings: &Settings,
    ask: &Ask,
    began: Instant,
) -> Result<Option<Value>, ErrorData> {
    let name = context.client_info().map(|info| info.name).unwrap_or_default();
    let most = longest_call(&name, settings).saturating_sub(began.elapsed());
    if most < SHORTEST_DIALOG {
        return Ok(None);
    }
    let request = ServerRequest::ElicitRequest(rendered::elicitation(&ask.question)?);
    let sent = context.peer.send_request_with_option(request, PeerRequestOptions::with_timeout(most)).await;
    let Ok(handle) = sent else { return Ok(None) };
    let result = tokio::select! {
        result = handle.await_response() => result,
        () = context.ct.cancelled() => return Ok(None),
    };
    Ok(match result {
        Ok(ClientResult::ElicitResult(result)) => serde_json::to_value(result).ok(),
        Ok(ClientResult::CustomResult(CustomResult(value))) => Some(value),
        Ok(_) | Err(_) => None,
    })
}

/// How long a call may take altogether, its wait and its dialogs: what the client tolerates, or the setting says.
fn longest_call(client: &str, settings: &Settings) -> Duration {
    Duration::from_secs(u64::from(settings.wait_seconds.unwrap_or_else(|| tools::tolerance(client).0)))
}

fn questions(view: &RunView, dialog: bool, turned_away: &TurnedAway) -> Vec<Question> {
    if !dialog {
        return Vec::new();
    }
    turned_away.askable(&view.approvals).map(|row| elicit::dialog(row, None)).collect()
}

fn engine(call: &Call<'_>) -> Result<Engine, Failure> {
    call.shared.engines.engine(None, None, call.client)
}

/// The bounded view of a run as it stands.
fn view(call: &Call<'_>, run: &str) -> Result<Value, Failure> {
    elicit_flow::view(call, json!({"run_id": run, "timeout_seconds": 0}))
}
