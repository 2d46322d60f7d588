//! Tests of the classes, one row each.
