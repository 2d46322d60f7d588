//! Answers that come in pieces: from the bytes of a stream to the body that the service would have answered with in one.

mod anthropic_messages;
mod gather;
mod gemini_generate;
mod listen;
mod openai_chat;
mod openai_responses;
mod refused;
mod sse;

pub(super) use listen::{Ended, Listener};
pub(super) use refused::{refused, remember_refused};
#[cfg(test)]
mod listen_tests;
