//! The `owf` binary.
fn main() {}
