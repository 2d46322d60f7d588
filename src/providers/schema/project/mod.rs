//! Projections of a schema: what a service or program can be held to. Answers are checked against the full schema all the same.

mod anthropic;
mod common;
mod gemini;
mod limits;
mod openai;
mod projection;
mod tool;

pub use anthropic::anthropic;
pub use gemini::gemini;
pub use openai::openai_strict;
pub use projection::Projection;
pub use tool::tool;
