//! The transfer agent.
