//! Resources, prompts, tasks and dialogs as the types of the protocol.

use rmcp::model::{
    CacheScope, CallToolResult, CreateTaskResult, DetailedTask, ElicitRequest, ElicitRequestParams, ErrorCode,
    GetPromptResult, GetTaskResult, InputRequest, InputRequests, InputRequiredResult, JsonObject, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, Prompt, PromptArgument, PromptMessage, ProtocolVersion,
    ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Role, TaskPayload, TaskStatus,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};

use crate::mcp::elicit::Question;
use crate::mcp::elicit_flow::Ask;
use crate::mcp::prompts::{self, Filled};
use crate::mcp::refused::Refused;
use crate::mcp::resources::{self, Body, Contents, Page};
use crate::mcp::tasks::{State, Task};

/// How long a list that never changes within a version may be kept, in milliseconds.
const STATIC_MS: u64 = 3_600_000;

/// Which revision of the protocol a request speaks: the hints about caching belong to the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// 2025-11-25 and older.
    Legacy,
    /// 2026-07-28 and newer.
    Modern,
}

impl Era {
    /// The revision that a request speaks.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        let version = context.protocol_version();
        let modern = version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
        if modern { Self::Modern } else { Self::Legacy }
    }

    fn hints(self, ttl_ms: u64, scope: CacheScope) -> (Option<u64>, Option<CacheScope>) {
        match self {
            Self::Legacy => (None, None),
            Self::Modern => (Some(ttl_ms), Some(scope)),
        }
    }
}

/// A refusal as an error; an unknown resource gets the code of the client's era further out.
pub(super) fn error(refused: Refused) -> ErrorData {
    match refused {
        Refused::Params(text) => ErrorData::invalid_params(text, None),
        Refused::Resource(text) => ErrorData::resource_not_found(text, None),
        Refused::Internal(text) => ErrorData::internal_error(text, None),
    }
}

/// Bytes of the longest address that an error repeats as a whole; a part of one names nothing.
const REPEATED_URI: usize = 2_000;

/// The error of a read; that of an unknown resource repeats the address for programs.
pub(super) fn read_error(mut error: ErrorData, uri: &str) -> ErrorData {
    if error.code == ErrorCode::RESOURCE_NOT_FOUND && uri.len() <= REPEATED_URI {
        error.data = Some(serde_json::json!({ "uri": uri }));
    }
    error
}

/// A page of resources. It changes with every run.
pub(super) fn resource_page(page: Page, era: Era) -> ListResourcesResult {
    let rows = page.resources.into_iter().map(|listed| {
        Resource::new(listed.uri, listed.name)
            .with_title(listed.title)
            .with_mime_type(listed.mime_type)
            .with_size(listed.size)
    });
    let mut result = ListResourcesResult::with_all_items(rows.collect());
    result.next_cursor = page.next_cursor;
    (result.ttl_ms, result.cache_scope) = era.hints(0, CacheScope::Private);
    result
}

/// The forms of addresses.
pub(super) fn template_page(templates: &[resources::Template], era: Era) -> ListResourceTemplatesResult {
    let rows = templates.iter().map(|template| {
        let row = ResourceTemplate::new(template.uri, template.name).with_description(template.description);
        match template.mime_type {
            Some(mime_type) => row.with_mime_type(mime_type),
            None => row,
        }
    });
    let mut result = ListResourceTemplatesResult::with_all_items(rows.collect());
    (result.ttl_ms, result.cache_scope) = era.hints(STATIC_MS, CacheScope::Public);
    result
}

/// A resource that was read.
pub(super) fn contents(read: Contents, era: Era) -> ReadResourceResult {
    let content = match read.body {
        Body::Text(text) => ResourceContents::text(text, read.uri),
        Body::Blob(blob) => ResourceContents::blob(blob, read.uri),
    };
    let mut result = ReadResourceResult::new(vec![content.with_mime_type(read.mime_type)]);
    (result.ttl_ms, result.cache_scope) = era.hints(read.ttl_ms, CacheScope::Private);
    result
}

/// All prompts.
pub(super) fn prompt_page(era: Era) -> ListPromptsResult {
    let rows = prompts::all().into_iter().map(|prompt| {
        let argument = PromptArgument::new(prompt.argument.name)
            .with_description(prompt.argument.description)
            .with_required(prompt.argument.required);
        Prompt::new(prompt.name, Some(prompt.description), Some(vec![argument])).with_title(prompt.title)
    });
    let mut result = ListPromptsResult::with_all_items(rows.collect());
    (result.ttl_ms, result.cache_scope) = era.hints(STATIC_MS, CacheScope::Public);
    result
}

/// A prompt filled in.
pub(super) fn prompt(filled: Filled) -> GetPromptResult {
    GetPromptResult::new(vec![PromptMessage::new_text(Role::User, filled.text)]).with_description(filled.description)
}

/// A question as a request to the client.
///
/// # Errors
/// None that a question of ours brings about; the schema's type has no other way in.
pub(super) fn elicitation(question: &Question) -> Result<ElicitRequest, ErrorData> {
    let schema = serde_json::from_value(question.schema.clone())
        .map_err(|error| ErrorData::internal_error(format!("the schema of a dialog is wrong: {error}"), None))?;
    Ok(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: question.message.clone(),
        requested_schema: schema,
    }))
}

fn requests<'q>(questions: impl IntoIterator<Item = &'q Question>) -> Result<InputRequests, ErrorData> {
    let one = |question: &Question| Ok((question.which.key(), InputRequest::Elicitation(elicitation(question)?)));
    questions.into_iter().map(one).collect()
}

/// The reply that has the client ask its person and call again.
///
/// # Errors
/// As [`elicitation`].
pub(super) fn input_required(ask: &Ask) -> Result<InputRequiredResult, ErrorData> {
    Ok(InputRequiredResult::new(Some(requests([&ask.question])?), Some(ask.state.to_text())))
}

/// The reply that a run goes on as a task.
pub(super) fn new_task(task: &Task) -> CreateTaskResult {
    let status = match &task.state {
        State::Working => TaskStatus::Working,
        State::InputRequired(_) => TaskStatus::InputRequired,
        State::Completed(_) => TaskStatus::Completed,
        State::Cancelled => TaskStatus::Cancelled,
    };
    CreateTaskResult::new(head(task, status))
}

fn head(task: &Task, status: TaskStatus) -> rmcp::model::Task {
    rmcp::model::Task::new(task.id.clone(), status, task.created_at.clone(), task.updated_at.clone())
        .with_status_message(task.message.clone())
        .with_poll_interval_ms(task.poll_ms)
}

/// A task as it stands. `reply` makes the result of a tool call from a view.
///
/// # Errors
/// As [`elicitation`].
pub(super) fn task(
    task: Task,
    reply: impl FnOnce(serde_json::Value) -> CallToolResult,
) -> Result<GetTaskResult, ErrorData> {
    let head = head(&task, TaskStatus::Working);
    let payload = match task.state {
        State::Working => TaskPayload::Working,
        State::Cancelled => TaskPayload::Cancelled,
        State::InputRequired(questions) => TaskPayload::InputRequired { input_requests: requests(&questions)? },
        State::Completed(view) => {
            let result = serde_json::to_value(reply(view)).ok().and_then(|value| match value {
                serde_json::Value::Object(map) => Some(JsonObject::from(map)),
                _ => None,
            });
            TaskPayload::Completed { result: result.unwrap_or_default() }
        }
    };
    Ok(GetTaskResult::new(DetailedTask::new(head, payload)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dialog_is_a_form_with_two_answers() {
        let question = crate::mcp::elicit::tests::question();
        let value = serde_json::to_value(elicitation(&question).unwrap()).unwrap();
        assert_eq!(value["method"], "elicitation/create");
        assert_eq!(value["params"]["mode"], "form");
        let schema = &value["params"]["requestedSchema"];
        assert_eq!(schema["properties"]["decision"]["enum"], json!(["approve", "deny"]));
        assert_eq!(schema["required"], json!(["decision"]));
    }

    #[test]
    fn hints_about_caching_are_given_to_clients_that_know_them() {
        let with = serde_json::to_value(prompt_page(Era::Modern)).unwrap();
        assert_eq!((&with["ttlMs"], &with["cacheScope"]), (&json!(STATIC_MS), &json!("public")));
        let without = serde_json::to_value(prompt_page(Era::Legacy)).unwrap();
        assert!(without.get("ttlMs").is_none() && without.get("cacheScope").is_none(), "{without}");
    }

    #[test]
    fn a_task_carries_what_its_state_needs() {
        let of = |state: State| {
            let made = Task {
                id: "t".into(),
                state,
                message: "1 done".into(),
                created_at: "2026-05-28T14:32:01.000Z".into(),
                updated_at: "2026-05-28T14:32:02.000Z".into(),
                poll_ms: 2_000,
            };
            serde_json::to_value(task(made, CallToolResult::structured).unwrap()).unwrap()
        };
        let working = of(State::Working);
        let expected = json!({
            "resultType": "complete", "taskId": "t", "status": "working", "statusMessage": "1 done",
            "createdAt": "2026-05-28T14:32:01.000Z", "lastUpdatedAt": "2026-05-28T14:32:02.000Z",
            "ttlMs": null, "pollIntervalMs": 2_000,
        });
        assert_eq!(working, expected);
        let question = crate::mcp::elicit::tests::question();
        let key = question.which.key();
        let asks = of(State::InputRequired(vec![question]));
        assert_eq!(
            (&asks["status"], &asks["inputRequests"][&key]["method"]),
            (&json!("input_required"), &json!("elicitation/create"))
        );
        let done = of(State::Completed(json!({"run_id": "x"})));
        assert_eq!(
            (&done["status"], &done["result"]["structuredContent"]),
            (&json!("completed"), &json!({"run_id": "x"}))
        );
        assert_eq!(of(State::Cancelled)["status"], "cancelled");
    }
}
