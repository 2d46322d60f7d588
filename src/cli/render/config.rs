//! Providers and trusted projects as lines.

use std::fmt::Write as _;

use super::text::{Paint, clean, pad, width};
use crate::engine::view::{OfferedTool, ProviderDetail, ProvidersView, ToolRow, ToolsView, TrustView};

/// `name  kind  state  model  concurrency  where`, problems below.
pub fn providers(view: &ProvidersView, paint: &Paint) -> String {
    let mut out = String::new();
    let names = view.providers.iter().map(|p| width(&p.name)).max().unwrap_or(0);
    let models = view.providers.iter().map(|p| width(model(p))).max().unwrap_or(0);
    for row in &view.providers {
        let state = pad(if row.available { "ready" } else { "not ready" }, 9);
        let state = if row.available { paint.green(&state) } else { paint.yellow(&state) };
        let name = pad(&clean(&row.name), names);
        let _ = write!(
            out,
            "{name}  {}  {state}  {}  {:>3} at once",
            pad(&row.kind, 4),
            pad(&clean(model(row)), models),
            row.concurrency
        );
        for part in details(row) {
            let _ = write!(out, "  {}", clean(&part));
        }
        out.push('\n');
    }
    for problem in &view.problems {
        let _ = writeln!(out, "{} {}", paint.red("problem:"), clean(problem));
    }
    out
}

fn model(row: &ProviderDetail) -> &str {
    row.default_model.as_deref().unwrap_or("-")
}

fn details(row: &ProviderDetail) -> Vec<String> {
    let mut parts = Vec::new();
    if row.default {
        parts.push("default".to_owned());
    }
    parts.extend(row.version.clone());
    parts.extend(row.host.clone());
    // Of several variables the one that is set is what matters.
    let set = row.keys.iter().find(|key| key.present);
    match (set, row.keys.first()) {
        (Some(key), _) => parts.push(format!("{} is set", key.variable)),
        (None, Some(key)) if row.available => parts.push(format!("{} is not set", key.variable)),
        (None, _) => {}
    }
    parts.extend(row.message.clone());
    parts
}

/// `name  kind  handler  what is special about it  description`, then the servers with what they offer.
pub fn tools(view: &ToolsView, paint: &Paint) -> String {
    let mut out = String::new();
    let names = view.tools.iter().map(|tool| width(&tool.name)).max().unwrap_or(0);
    let handlers = view.tools.iter().filter_map(|tool| tool.handler.as_deref()).map(width).max().unwrap_or(0);
    for tool in &view.tools {
        let name = pad(&clean(&tool.name), names);
        if let Some(problem) = &tool.message {
            let _ = writeln!(out, "{name}  {} {}", paint.red("problem:"), clean(problem));
            continue;
        }
        let kind = pad(tool.kind.as_deref().unwrap_or("-"), 8);
        let _ = write!(out, "{name}  {kind}  {}", pad(&clean(tool.handler.as_deref().unwrap_or("-")), handlers));
        for part in rules(tool).into_iter().chain(tool.description.clone()) {
            let _ = write!(out, "  {}", clean(&part));
        }
        out.push('\n');
    }
    for server in &view.servers {
        let _ = write!(out, "server {}", clean(&server.name));
        match (&server.message, &server.offers) {
            (Some(problem), _) => {
                let _ = writeln!(out, "  {} {}", paint.red("problem:"), clean(problem));
            }
            (None, None) => {
                let _ = writeln!(out, "  {}", clean(server.command.as_deref().unwrap_or("-")));
            }
            (None, Some(offers)) => {
                let _ = writeln!(out, "  offers {}", offers.len());
                let names = offers.iter().map(|offer| width(&offer.name)).max().unwrap_or(0);
                for offer in offers {
                    let _ = writeln!(out, "  {}  {}", pad(&clean(&offer.name), names), clean(&offer_line(offer)));
                }
            }
        }
    }
    out
}

/// Under which rules a tool is used.
fn rules(tool: &ToolRow) -> Vec<String> {
    let mut rules = Vec::new();
    if !tool.modes.is_empty() {
        rules.push(format!("mode {}", tool.modes.join(", ")));
    }
    let flags = [
        (tool.requires_approval, "asks"),
        (tool.lock, "one at a time"),
        (tool.undo, "undo"),
        (tool.read_only, "reads only"),
    ];
    rules.extend(flags.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()));
    rules
}

fn offer_line(offer: &OfferedTool) -> String {
    let here = if offer.configured_as.is_empty() {
        "not configured".to_owned()
    } else {
        format!("as {}", offer.configured_as.join(", "))
    };
    let line = offer.description.lines().next().unwrap_or_default();
    if line.is_empty() { here } else { format!("{here}  {line}") }
}

/// `state  directory`.
pub fn trusted(view: &TrustView) -> String {
    let mut out = String::new();
    for row in &view.trusted {
        let _ = writeln!(out, "{}  {}", pad(&row.state, 7), clean(&row.dir));
    }
    let removed = view.changed.as_ref().filter(|dir| view.trusted.iter().all(|row| row.dir != **dir));
    if let Some(dir) = removed {
        let _ = writeln!(out, "removed: {} is not trusted any more", clean(dir));
    } else if view.trusted.is_empty() {
        out.push_str("no project is trusted\n");
    }
    if !view.counts.is_empty() {
        let _ = writeln!(out, "counts now, until the file changes: {}", clean(&view.counts.join(", ")));
    }
    out
}
