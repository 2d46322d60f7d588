//! Layer 1: adapters that turn a request into an answer.

pub mod fake;
mod near;
pub mod prices;
mod provider;
mod registry;
pub mod schema;

pub use provider::{
    AttemptRequest, Availability, BoxFuture, CallContext, Persona, Provider, ProviderKind, Reply, ReplyAnswer,
    ReplyError,
};
pub use registry::{Detected, Registry, detect, key_variables};
