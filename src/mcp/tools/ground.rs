//! The engine of a call, whose replies a model can read.

use crate::core::failure::Failure;
use crate::engine::Engine;
use crate::mcp::Call;

/// The engine for a call that names these, or neither.
///
/// # Errors
/// A workspace that is no directory, a broken configuration.
pub(crate) fn ground(call: &Call<'_>, home: Option<&str>, workspace: Option<&str>) -> Result<Engine, Failure> {
    Ok(call.shared.engines.engine(home, workspace, call.client)?.for_model())
}
