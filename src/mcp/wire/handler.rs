//! The methods of MCP over our own registries: tools, resources, prompts, tasks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, ErrorData, GetPromptRequestParams,
    GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, InitializeRequestParams, InitializeResult,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, RequestId, ServerCapabilities, ServerConfig, Tool as WireTool,
    UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use tokio::sync::Semaphore;

use super::extras::Extras;
use super::guard::panic_text;
use super::listed;
use super::message::short;
use super::outbox::Outbox;
use super::progress::Progress;
use super::rendered::{self, Era};
use super::requests::Requests;
use crate::core::failure::{Code, Failure};
use crate::mcp::{Call, Client, Shared, Tool, instructions, resources};

/// How long a client may keep the list of tools, which changes with the version of the binary only.
const LIST_TTL_MS: u64 = 3_600_000;

/// Serves the methods. It holds no run.
pub(super) struct Handler {
    tools: Vec<&'static Tool>,
    list: OnceLock<Vec<WireTool>>,
    pub(super) shared: Arc<Shared>,
    calls: Arc<Semaphore>,
    pub(super) requests: Arc<Requests>,
    outbox: Outbox,
    pub(super) extras: Extras,
}

impl Handler {
    pub(super) fn new(tools: Vec<&'static Tool>, shared: Arc<Shared>, requests: Arc<Requests>, outbox: Outbox) -> Self {
        let calls = Arc::new(Semaphore::new(shared.settings.calls));
        Self { tools, list: OnceLock::new(), shared, calls, requests, outbox, extras: Extras::default() }
    }

    /// Serves one call on a thread of its own, once it is its turn. `work` gets the call and may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        context: &RequestContext<RoleServer>,
        work: impl FnOnce(&Call<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let cancelled = || Failure::new(Code::Internal, "the call was cancelled");
        let number = number(context);
        let permit = match self.requests.held(number) {
            // A later step of the same request: to wait for a second permit would be to wait for itself.
            Some(permit) => permit,
            None => tokio::select! {
                permit = Arc::clone(&self.calls).acquire_owned() => Arc::new(permit.map_err(|_| cancelled())?),
                () = context.ct.cancelled() => return Err(cancelled()),
            },
        };
        self.requests.hold(number, Arc::clone(&permit));
        let client = client(context);
        let shared = Arc::clone(&self.shared);
        let token = context.meta.get_progress_token();
        let progress = Progress::new(token, number, Arc::clone(&self.requests), self.outbox.clone());
        let ct = context.ct.clone();
        let served = tokio::task::spawn_blocking(move || {
            // The permit is held here too: a cancelled call counts until its thread is free.
            let _permit = permit;
            let call = Call {
                shared: &shared,
                client: &client,
                cancelled: &|| ct.is_cancelled(),
                progress: &|finished, message| progress.tell(finished, message),
            };
            catch_unwind(AssertUnwindSafe(|| work(&call))).unwrap_or_else(|payload| {
                let message = format!("owf broke off: {}", panic_text(payload.as_ref()));
                Err(Failure::new(Code::Internal, message).hint("this is a fault of owf; runs go on and can be resumed"))
            })
        });
        served.await.unwrap_or_else(|error| Err(Failure::new(Code::Internal, format!("owf broke off: {error}"))))
    }

    fn listed(&self) -> &[WireTool] {
        self.list.get_or_init(|| {
            let mut list: Vec<WireTool> = Vec::with_capacity(self.tools.len());
            for tool in &self.tools {
                let mut wire = listed::listed(tool);
                // Six tools answer with the same view: its schema is large, and held once.
                let same = list.iter().find(|listed| listed.output_schema == wire.output_schema);
                if let Some(listed) = same {
                    wire.output_schema.clone_from(&listed.output_schema);
                }
                list.push(wire);
            }
            list
        })
    }
}

/// The number under which a request came inward.
pub(super) fn number(context: &RequestContext<RoleServer>) -> i64 {
    match context.id {
        RequestId::Number(number) => number,
        RequestId::String(_) => 0,
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let offered = ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts();
        let capabilities = if self.shared.settings.tasks { offered.enable_tasks().build() } else { offered.build() };
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("owf", env!("CARGO_PKG_VERSION")))
            .with_instructions(instructions::TEXT)
    }

    async fn initialize(
        &self,
        mut request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let result = self.negotiate_initialize(&request)?;
        // The version that was agreed on, not the one asked for, decides how later answers look.
        request.protocol_version = result.protocol_version.clone();
        context.peer.set_peer_info(request);
        Ok(result)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        resources::only_page(request.and_then(|request| request.cursor).as_deref()).map_err(rendered::error)?;
        let mut result = ListToolsResult::with_all_items(self.listed().to_vec());
        if Era::of(&context) == Era::Modern {
            result.ttl_ms = Some(LIST_TTL_MS);
            result.cache_scope = Some(CacheScope::Public);
        }
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = self.tools.iter().find(|tool| tool.name == request.name).copied() else {
            return Err(unknown_tool(&request.name));
        };
        self.call(tool, request, &context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.resources(request, &context).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Self::resource_templates(request, &context)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.resource(request, &context).await.map(Into::into)
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Self::prompts(request, &context)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.prompt(request, &context).await.map(Into::into)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.task(request, &context).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.answer_task(request, &context).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.end_task(request, &context).await
    }
}

fn unknown_tool(name: &str) -> ErrorData {
    let message = format!("unknown tool \"{}\"; tools/list has the names", short(name));
    ErrorData::invalid_params(message, None)
}

fn client(context: &RequestContext<RoleServer>) -> Client {
    let info = context.client_info();
    info.map(|info| Client { name: info.name, version: info.version }).unwrap_or_default()
}
