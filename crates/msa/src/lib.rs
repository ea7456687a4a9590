//! The submission agent.
