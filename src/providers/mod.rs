//! Layer 1: adapters that turn a request into an answer.

pub mod fake;
mod provider;
pub mod schema;

pub use provider::{
    AttemptRequest, Availability, BoxFuture, CallContext, Persona, Provider, ProviderKind, Reply, ReplyAnswer,
    ReplyError,
};
