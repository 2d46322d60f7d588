//! Layer 2: the whole API of the product.

mod answer;
mod dry_run;
pub mod params;
mod source;
mod validate;
pub mod view;
mod workflows;
