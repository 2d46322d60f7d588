//! The script dialect at the driver: agent.
