//! Layer 1: adapters that turn a request into an answer.

pub mod cli;
pub mod fake;
mod file_tools;
pub mod http;
mod near;
pub mod prices;
mod provider;
mod registry;
pub mod schema;
mod setup;

pub use crate::process::MARKER;
pub use file_tools::FileTools;
pub use provider::{
    AttemptRequest, Availability, BoxFuture, CallContext, Feedback, Persona, Progress, Provider, ProviderKind, Reply,
    ReplyAnswer, ReplyError, Stop, ToolBox, ToolSpec,
};
pub use registry::{Detected, Registry, detect, key_variables, registry};
pub use setup::{Entry, Setup};
