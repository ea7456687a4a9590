//! The transfer agent.

mod bounce;
mod courier;
mod random;
pub mod reason;
mod relay;
