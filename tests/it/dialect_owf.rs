//! The script dialect at the driver: owf.
