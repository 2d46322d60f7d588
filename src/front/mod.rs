//! Layer 1: from source text to a plan, and the drivers of user logic.

pub mod bundled;
pub mod document;
pub mod driver;
pub mod script;
pub mod workflow;
