//! Layer 2: the whole API of the product.

pub mod params;
pub mod view;
