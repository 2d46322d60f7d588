//! Layer 1: adapters that turn a request into an answer.

pub mod base_url;
pub mod cli;
mod configured;
pub mod estimate;
pub mod fake;
mod file_tools;
pub mod http;
mod near;
mod pace;
pub mod prices;
mod provider;
mod registry;
pub mod schema;
mod setup;
mod status;

pub use crate::process::MARKER;
pub use configured::{at_line, in_words, providers_table};
pub use file_tools::FileTools;
pub use provider::{
    Allowance, AttemptRequest, Availability, BoxFuture, Budgeted, CallContext, Feedback, Persona, Progress, Provider,
    ProviderKind, Reply, ReplyAnswer, ReplyError, Stop, ToolBox, ToolSpec,
};
pub(crate) use registry::keys_of;
pub use registry::{Detected, Registry, builtin, detect, registry};
pub use setup::{Entry, Setup};
