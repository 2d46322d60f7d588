//! The script dialect at the driver: fanout.
