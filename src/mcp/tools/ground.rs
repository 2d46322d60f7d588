//! The engine of a call: which store, which workspace, and who asks.

use std::path::PathBuf;

use crate::app::{self, AppOptions};
use crate::core::failure::Failure;
use crate::engine::Engine;
use crate::mcp::Call;

/// Characters of a client's name and version that are kept.
const WHO: usize = 80;

/// The engine for a call that names these, or neither. Relative paths start from the server's workspace: `--workspace`, else
/// the project that Claude Code names, else the working directory.
///
/// # Errors
/// A workspace that is no directory, a broken configuration.
pub(crate) fn ground(call: &Call<'_>, home: Option<&str>, workspace: Option<&str>) -> Result<Engine, Failure> {
    let options = call.options.clone();
    let base = base(&options);
    let from = base.clone().unwrap_or_else(|| options.cwd.clone());
    let engine = app::engine(AppOptions {
        home: home.map(|home| from.join(home)).or_else(|| options.home.as_ref().map(|home| options.cwd.join(home))),
        workspace: workspace.map(|dir| from.join(dir)).or(base),
        started_by: who(call),
        ..options
    })?;
    Ok(engine.for_model())
}

fn base(options: &AppOptions) -> Option<PathBuf> {
    let project = || options.env.get("CLAUDE_PROJECT_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    options.workspace.as_ref().map(|dir| options.cwd.join(dir)).or_else(project)
}

/// Who starts runs and decides through this server: `mcp claude-code 2.1.329`.
pub(super) fn who(call: &Call<'_>) -> String {
    let told = format!("mcp {} {}", call.client.name, call.client.version);
    let words: Vec<&str> =
        told.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(WHO).collect()
}
