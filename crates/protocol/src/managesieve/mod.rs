//! ManageSieve (RFC 5804) as a pure machine for the server's side.
//!
//! The machine reads commands with their quoted strings and literals, knows which may be said when,
//! and writes answers. Scripts and logins are the agent's: it answers each [`Event`] with one of
//! [`Server::ok`], [`Server::no`] and their like.

mod command;
mod server;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use server::{Code, Event, Options, Server};
