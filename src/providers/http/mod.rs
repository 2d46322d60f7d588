//! Services as providers, in four wire dialects.

mod anthropic_messages;
mod batch;
mod batch_wire;
mod bound;
mod chat;
mod classify;
mod client;
mod exchange;
mod fetch;
mod gemini_generate;
mod hints;
mod kept;
mod known;
mod ladder;
mod openai_chat;
mod openai_responses;
mod prompts;
mod provider;
mod redact;
mod service;
mod stream;
mod tally;
mod wire;

pub use batch::{BatchPhase, BatchResult, BatchRow, BatchState, Batches, NotSubmitted, is_id};
pub use client::Timeouts;
pub use fetch::{fetch, reach};
pub use known::{providers, providers_with};
