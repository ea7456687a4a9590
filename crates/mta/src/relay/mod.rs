//! Letters on their way to other systems.

mod attempt;
pub(crate) mod backoff;
pub(crate) mod hosts;
mod outcome;
mod report;
pub(crate) mod route;
mod runner;
mod slots;

pub(crate) use report::{compose, header_of};
pub(crate) use runner::Relay;

#[cfg(test)]
mod tests;
