//! Layer 2: file tools, confined to one directory; the tools of the user's configuration; servers that lend tools.

mod bounds;
mod files;
mod glob;
mod list;
mod mcp;
mod mcp_message;
mod outputs;
mod path;
mod registry;
mod search;
mod servers;
mod specs;
mod tree;
mod write;

pub use bounds::Bounds;
pub use files::{Files, Grant, Kind};
pub use mcp::{Diagnostics, Progressed, Server};
pub use mcp_message::{Listed, Said};
pub use outputs::Outputs;
pub use registry::{Definition, Fault, Tools};
pub use servers::{McpServer, McpTool};
