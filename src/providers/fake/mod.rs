//! The fake provider: invents answers, or gives those that a fixture file scripts.

mod fixtures;
mod provider;

pub use fixtures::{FixtureProblem, Fixtures, parse};
pub use provider::FakeProvider;
