//! What models cost: an embedded table, one the user puts over it, and the cost of tokens in whole numbers.

mod cost;
mod litellm;
mod refresh;
mod table;

pub use cost::{Prices, TokenUse};
pub use refresh::{Written, write};
pub use table::{Found, Price, Rates, Source, Table, Tier};
