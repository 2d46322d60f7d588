//! The script front-end.

pub mod sandbox;
