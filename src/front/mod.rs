//! Layer 1: from source text to a plan, and the drivers of user logic.

pub mod bundled;
pub mod driver;
pub mod script;
