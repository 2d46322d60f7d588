//! Layer 1: file tools for agents that bring none, confined to one directory.

mod bounds;
mod files;
mod glob;
mod list;
mod outputs;
mod path;
mod search;
mod specs;
mod tree;
mod write;

pub use bounds::Bounds;
pub use files::{Files, Grant, Kind};
pub use outputs::Outputs;
