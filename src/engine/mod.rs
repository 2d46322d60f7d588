//! Layer 2: the whole API of the product.

mod facade_stub;
pub mod params;
pub mod view;

pub use facade_stub::{Engine, Execution, RunHandle, Started};
