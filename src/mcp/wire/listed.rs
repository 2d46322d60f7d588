//! What `tools/list` says of a tool.

use std::sync::Arc;

use rmcp::model::{MetaObject, Tool as WireTool, ToolAnnotations};
use serde_json::Value;

use crate::mcp::Tool;

/// The tools of this version as they are listed, a line each. Schemas are made from types, which touches two megabytes of code and
/// data: a server that idles all day beside its client does not need them for that. A test makes the lines anew and compares.
const LINES: &str = include_str!("tools.jsonl");

/// A tool as it is listed.
pub(super) fn listed(tool: &Tool) -> WireTool {
    let beginning = format!("{{\"name\":\"{}\",", tool.name);
    let line = LINES.lines().find(|line| line.starts_with(&beginning));
    line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_else(|| made(tool))
}

/// The same from its types.
fn made(tool: &Tool) -> WireTool {
    let object = |schema: Value| match schema {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    };
    let annotations = ToolAnnotations::new()
        .read_only(tool.annotations.read_only)
        .destructive(tool.annotations.destructive)
        .idempotent(tool.annotations.idempotent)
        .open_world(tool.annotations.open_world);
    let mut wire = WireTool::new(tool.name, tool.description, object((tool.input_schema)()))
        .with_raw_output_schema(object((tool.output_schema)()))
        .with_annotations(annotations);
    if let Some(chars) = tool.max_result_chars {
        let mut meta = MetaObject::new();
        meta.insert("anthropic/maxResultSizeChars".to_owned(), chars.into());
        wire = wire.with_meta(meta);
    }
    wire
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::mcp::tools;

    #[test]
    fn the_lines_are_what_the_types_say() {
        let lines: Vec<String> = tools::all().iter().map(|tool| serde_json::to_string(&made(tool)).unwrap()).collect();
        let text = lines.join("\n") + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mcp/wire/tools.jsonl");
        if std::env::var_os("OWF_RECORD").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap() == text,
            "a tool has changed: OWF_RECORD=1 cargo test --lib the_lines_are_what_the_types_say"
        );
        // Each is read back as it was made; none is made anew by the server.
        for (tool, line) in tools::all().iter().zip(&lines) {
            assert_eq!(listed(tool), made(tool));
            assert!(LINES.lines().any(|known| known == line), "{}: build again after recording", tool.name);
        }
    }
}
