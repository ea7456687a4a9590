//! The transfer agent.

mod bounce;
pub mod reason;
mod relay;
