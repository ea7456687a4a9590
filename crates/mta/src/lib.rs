//! The transfer agent.

mod bounce;
mod courier;
pub mod reason;
mod relay;
