//! The script front-end.
