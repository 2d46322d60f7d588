//! Answers against their schema: compile and lint a schema, find JSON in an answer, coerce it and check it.

mod check;
mod coerce;
mod compile;
mod lint;
pub mod project;
mod read;
mod refs;
mod weigh;

pub use check::describe;
pub use compile::{CompiledSchema, compile};
pub use read::read_answer;
pub(crate) use refs::resolve;
