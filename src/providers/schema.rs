//! Answers against their schema.
