//! Services as providers, in four wire dialects.

mod fetch;
mod known;

pub use fetch::fetch;
pub use known::providers;
