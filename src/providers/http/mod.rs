//! Services as providers, in four wire dialects.

mod known;

pub use known::providers;
