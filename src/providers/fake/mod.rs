//! The fake provider: invents answers, or gives those that a fixture file scripts.

mod effects;
mod fixtures;
mod generate;
mod matcher;
mod merge;
mod node;
mod numbers;
mod parse;
mod plan;
mod provider;
mod reader;
mod sample;
mod shape;
mod template;
mod words;

pub use fixtures::{FixtureProblem, Fixtures};
pub use parse::parse;
pub use provider::FakeProvider;
