//! What a document names of the user's configuration and that is not there, is something else, or would refuse what is asked of it.

use std::borrow::Cow;

use super::hooks;
use super::services::Services;
use super::{commands, tools};
use crate::core::failure::{Code, Failure};
use crate::core::located::At;
use crate::core::run::{Settings, WorkflowKind};
use crate::core::work::ToolAsk;
use crate::front::document::{self, Plan, ToolUse};
use crate::front::script::Script;
use crate::providers::{FileTools, ProviderKind};

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// No run starts.
    Refused,
    /// The task fails.
    Fails,
    /// It is as if it had not been written.
    Nothing,
}

/// One of them.
pub(crate) struct NotHere {
    /// What comes of it.
    pub(crate) consequence: Consequence,
    /// Why it cannot be.
    pub(crate) failure: Failure,
    /// Where it is asked for, when that is known: a place in the whole text.
    pub(crate) at: Option<At>,
}

/// Everything of the kind that can be told before a run with these settings; without settings rules of fixtures answer for tools
/// and commands.
pub(crate) fn not_here(script: &Script, services: &Services, settings: Option<&Settings>) -> Vec<NotHere> {
    let named = hooks::Named::written(&script.policies);
    let mut out: Vec<NotHere> = Vec::new();
    let mut add = |consequence: Consequence, failure: Failure, at: Option<At>| {
        if out.iter().all(|known| known.failure.message != failure.message) {
            out.push(NotHere { consequence, failure, at });
        }
    };
    for failure in hooks::missing(services, &named).into_iter().chain(hooks::misplaced(services, &named)) {
        add(Consequence::Refused, failure, None);
    }
    let Some(settings) = settings else { return out };
    // Compiling a large text again takes its time.
    let may = script.kind == WorkflowKind::Document && script.body.contains("tool");
    let plan = if may { document::plan(&script.body).ok() } else { None };
    for asked in plan.iter().flat_map(Plan::tool_uses) {
        match services.config.tools.get(asked.tool) {
            Err(why) => add(Consequence::Refused, commands::no_tool(asked.task, asked.tool, &why), None),
            Ok(_) => {
                let mode = plan.as_ref().and_then(Plan::mode);
                for failure in refused(&asked, mode, services) {
                    add(Consequence::Fails, failure, Some(asked.at));
                }
            }
        }
    }
    for (task, ask) in plan.iter().flat_map(Plan::agents) {
        let provider = services.registry.get(ask.provider.as_deref().unwrap_or(&settings.provider));
        // A program has tools of its own, whose names nobody here knows.
        if provider.is_some_and(|provider| provider.kind() == ProviderKind::Http) {
            let unknown = |name: &&String| !FileTools::knows(name) && services.config.tools.get(name).is_err();
            for name in ask.tools.iter().flatten().filter(unknown) {
                let message = format!(
                    "task `{task}`: its agent names the tool `{name}`, which is neither one of owf's file tools nor configured, and gets none"
                );
                let failure = Failure::new(Code::InvalidArguments, message);
                add(Consequence::Nothing, failure.hint("tools are `[tools.NAME]` of the user's configuration"), None);
            }
        }
    }
    if let Err(failure) = commands::check(script.kind, &script.body, services, settings) {
        add(Consequence::Refused, failure, None);
    }
    out
}

/// Why a call of a tool would be refused, whatever its templates give. Of a tool of an MCP server the arguments are known only when
/// the server was asked.
fn refused(asked: &ToolUse<'_>, mode: Option<&str>, services: &Services) -> Vec<Failure> {
    let Ok(tool) = services.config.tools.get(asked.tool) else { return Vec::new() };
    let fail = |message: String| Failure::new(Code::InvalidArguments, format!("task `{}`: {message}", asked.task));
    if !asked.args.is_object() {
        // A template may give the object.
        let open = asked.open.iter().any(String::is_empty);
        let message = format!("the arguments of a tool are an object, not {}", asked.args);
        return if open { Vec::new() } else { vec![fail(message)] };
    }
    let builtin = tool.file_tool().map(|kind| {
        let mut tool = tool.clone();
        tool.schema = tool.schema.or_else(|| kind.parameters().as_object().cloned());
        tool
    });
    let tool = builtin.as_ref().map_or(Cow::Borrowed(tool), Cow::Borrowed);
    let (arguments, _) = tool.complete(&asked.args);
    let below = |pointer: &str, above: &str| {
        pointer.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let open = |pointer: &str| asked.open.iter().any(|open| below(pointer, open));
    // What is said of the whole counts where no value could change it.
    let faults = tool.faults(&arguments).into_iter().filter(|fault| !open(&fault.pointer));
    let certain = faults.filter(|fault| asked.open.iter().all(|open| !below(open, &fault.pointer)) || fault.of_names);
    let mut out: Vec<Failure> = certain
        .map(|fault| {
            let place = if fault.pointer.is_empty() { String::new() } else { format!(" at {}", fault.pointer) };
            fail(format!("the arguments of `{}` break its schema{place}: {}", asked.tool, fault.message))
        })
        .collect();
    let ask = ToolAsk { name: asked.tool.to_owned(), mode: mode.map(str::to_owned), ..ToolAsk::default() };
    if let Some(message) = tools::out_of_mode(&tool, &ask) {
        out.push(fail(message).hint("`mode` of the document is the mode in which its tools are used"));
    }
    out
}
