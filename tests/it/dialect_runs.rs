//! The script dialect at the driver: runs.
