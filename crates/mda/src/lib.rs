//! The delivery agent.
