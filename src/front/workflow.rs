//! Workflows of both kinds: which kind a text is, its check, and its driver.

use std::path::Path;

use super::document::{self, DocumentConfig, DocumentDriver};
use super::driver::Driver;
use super::script::sandbox::{ScriptConfig, ScriptDriver};
use super::script::{self, Checked, Origin};
use crate::core::ids::RunId;
use crate::core::run::{RunError, RunErrorCode, WorkflowKind};

/// The kind of a workflow file, by its ending.
pub fn kind_of_path(path: &Path) -> Option<WorkflowKind> {
    let ending = path.extension()?.to_string_lossy().to_ascii_lowercase();
    match ending.as_str() {
        "js" => Some(WorkflowKind::Script),
        "yaml" | "yml" | "json" => Some(WorkflowKind::Document),
        _ => None,
    }
}

/// The kind of a text whose name does not tell it: a script begins with `export`, which no document does.
fn kind_of_text(bytes: &[u8]) -> WorkflowKind {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for line in bytes.split(|b| *b == b'\n').take(1000) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if line.starts_with(b"{") || line.starts_with(b"---") || line.starts_with(b"%YAML") {
            return WorkflowKind::Document;
        }
        let key: &[u8] = line.split(|b| *b == b':').next().unwrap_or_default();
        let key = key.strip_prefix(b"\"").and_then(|k| k.strip_suffix(b"\"")).unwrap_or(key);
        let is_key =
            key.len() < line.len() && key.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$'));
        return if is_key { WorkflowKind::Document } else { WorkflowKind::Script };
    }
    WorkflowKind::Script
}

/// The kind of a workflow.
pub fn kind_of(bytes: &[u8], origin: &Origin) -> WorkflowKind {
    let named = match origin {
        Origin::File(path) => kind_of_path(path),
        Origin::Inline => None,
    };
    named.unwrap_or_else(|| kind_of_text(bytes))
}

/// Parses and checks a workflow of either kind. Any bytes give an answer.
pub fn check(bytes: &[u8], origin: &Origin) -> Checked {
    match kind_of(bytes, origin) {
        WorkflowKind::Script => script::check(bytes, origin),
        WorkflowKind::Document => document::check(bytes, origin),
    }
}

/// The driver of a workflow.
///
/// # Errors
/// Why it could not be set up.
pub fn driver(kind: WorkflowKind, run: &RunId, config: ScriptConfig) -> Result<Box<dyn Driver>, RunError> {
    match kind {
        WorkflowKind::Script => Ok(Box::new(ScriptDriver::new(config)?)),
        WorkflowKind::Document => {
            let plan =
                document::plan(&config.body).map_err(|message| RunError::new(RunErrorCode::ScriptError, message))?;
            Ok(Box::new(DocumentDriver::new(DocumentConfig {
                plan,
                run_id: run.to_string(),
                args: config.args,
                default_provider: config.default_provider,
                personas: config.personas,
                fan_out: config.limits.fan_out,
            })))
        }
    }
}
