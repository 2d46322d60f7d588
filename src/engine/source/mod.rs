//! Workflow references and fixture files, as validate, dry run, run and resume share them.

mod fixtures;
mod pinned;
mod workflow;

pub(crate) use fixtures::fixtures;
pub(crate) use pinned::fake_provider;
pub(in crate::engine) use workflow::read_bounded;
pub(crate) use workflow::{BUNDLED, Reference, Workflow, diagnostics, load, require};
