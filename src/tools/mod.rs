//! Layer 2: file tools, confined to one directory; the tools of the user's configuration.

mod bounds;
mod files;
mod glob;
mod list;
mod outputs;
mod path;
mod registry;
mod search;
mod specs;
mod tree;
mod write;

pub use bounds::Bounds;
pub use files::{Files, Grant, Kind};
pub use outputs::Outputs;
pub use registry::{Definition, Fault, Tools};
