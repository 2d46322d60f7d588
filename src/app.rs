//! Layer 3: the composition root: a home and a configuration become a wired engine.

use std::path::PathBuf;

use crate::core::failure::Failure;
use crate::engine::Engine;

/// What a surface knows before there is an engine.
#[derive(Debug, Clone, Default)]
pub struct AppOptions {
    /// The store asked for.
    pub home: Option<PathBuf>,
    /// The directory asked for.
    pub workspace: Option<PathBuf>,
}

/// A wired engine. Opens nothing yet.
pub fn engine(_options: AppOptions) -> Result<Engine, Failure> {
    Ok(Engine)
}
