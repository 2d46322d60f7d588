//! The script dialect at the driver: hostile.
