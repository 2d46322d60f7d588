//! The tools as they are configured on this machine, for people to look at.

use crate::tools::{Definition, Listed, McpTool};

use super::engine::Engine;
use super::servers::Servers;
use super::services::Services;
use super::view::{OfferedTool, ToolRow, ToolServerRow, ToolsView};

impl Engine {
    /// Every tool that is configured, with who may use it and how, and every server that lends some. With `ask` the servers are
    /// started and asked what they offer.
    pub fn tools(&self, ask: bool) -> ToolsView {
        let services = self.services();
        let config = &services.config.tools;
        let mut tools: Vec<ToolRow> = config.names().map(|name| row(name, config.get(name))).collect();
        let mut servers: Vec<ToolServerRow> = config
            .servers()
            .map(|(name, server)| ToolServerRow {
                name: name.to_owned(),
                command: server.ok().map(|server| server.command.clone()),
                offers: None,
                message: server.err().map(str::to_owned),
            })
            .collect();
        if ask {
            for server in servers.iter_mut().filter(|server| server.message.is_none()) {
                match offers(services, &server.name) {
                    Ok(listed) => {
                        let all = listed.into_iter().map(|one| offered(services, &server.name, one));
                        server.offers = Some(all.collect());
                    }
                    Err(why) => server.message = Some(why),
                }
            }
            for tool in tools.iter_mut().filter(|tool| tool.description.is_none()) {
                tool.description =
                    config.get(&tool.name).ok().and_then(|definition| said(definition, &tool.name, &servers));
            }
        }
        ToolsView { tools, servers }
    }
}

fn row(name: &str, tool: Result<&Definition, String>) -> ToolRow {
    let name = name.to_owned();
    match tool {
        Ok(tool) => {
            let (kind, handler) = handler(&name, tool);
            ToolRow {
                kind: Some(kind.to_owned()),
                handler,
                description: Some(tool.description.clone()).filter(|text| !text.is_empty()),
                modes: tool.modes.clone(),
                lock: tool.lock,
                requires_approval: tool.requires_approval,
                undo: tool.undo.is_some(),
                read_only: tool.changes_nothing(),
                message: None,
                name,
            }
        }
        Err(why) => ToolRow { name, message: Some(why), ..ToolRow::default() },
    }
}

/// What carries a tool out: its kind and its name.
fn handler(name: &str, tool: &Definition) -> (&'static str, Option<String>) {
    match (&tool.command, &tool.builtin, &tool.workflow, &tool.mcp) {
        (Some(argv), ..) => ("command", argv.first().cloned()),
        (_, Some(builtin), ..) => ("builtin", Some(builtin.clone())),
        (_, _, Some(workflow), _) => ("workflow", Some(workflow.clone())),
        (.., of) => ("mcp", of.as_ref().map(|of| format!("{}/{}", of.server, there(name, of)))),
    }
}

/// The name that a tool has at its server.
fn there<'a>(name: &'a str, of: &'a McpTool) -> &'a str {
    of.tool.as_deref().unwrap_or(name)
}

/// What a server offers. It is ended at once.
fn offers(services: &Services, name: &str) -> Result<Vec<Listed>, String> {
    services.runtime.block_on(async {
        let servers = Servers::default();
        let marker = format!("tools/{}", std::process::id());
        let listed = match servers.get(name, services, &services.workspace, &marker).await {
            Ok(server) => Ok(server.tools().to_vec()),
            Err(mut error) => {
                services.secrets.text(&mut error.message);
                Err(error.message)
            }
        };
        servers.end().await;
        listed
    })
}

fn offered(services: &Services, server: &str, listed: Listed) -> OfferedTool {
    let config = &services.config.tools;
    let is = |name: &&str| {
        let of = config.get(name).ok().and_then(|tool| tool.mcp.as_ref());
        of.is_some_and(|of| of.server == server && there(name, of) == listed.name)
    };
    let configured_as = config.names().filter(is).map(str::to_owned).collect();
    let mut description = listed.description;
    services.secrets.text(&mut description);
    OfferedTool { name: listed.name, description, configured_as }
}

/// What its server says about a tool.
fn said(tool: &Definition, name: &str, servers: &[ToolServerRow]) -> Option<String> {
    let of = tool.mcp.as_ref()?;
    let offers = servers.iter().find(|server| server.name == of.server)?.offers.as_ref()?;
    let offered = offers.iter().find(|offered| offered.name == there(name, of))?;
    Some(offered.description.clone()).filter(|text| !text.is_empty())
}
