//! What knows the wire: JSON-RPC lines in and out, and the types of rmcp, which are named nowhere else.

mod encode;
mod extras;
mod guard;
mod handler;
mod held;
mod input;
mod lines;
mod listed;
mod message;
mod outbox;
mod progress;
mod rendered;
mod reply;
mod requests;
mod server;
mod transport;

#[cfg(test)]
mod tests;

pub(super) use server::run;
