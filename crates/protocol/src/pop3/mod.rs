//! POP3 (RFC 1939) as a pure machine for the server's side, with CAPA (RFC 2449), STLS (RFC 2595),
//! AUTH (RFC 5034) and UTF8 (RFC 6856).
//!
//! The machine knows what may be said in which state, reads commands and writes answers. Letters,
//! logins and what a deletion is are the agent's: it answers each [`Event`]. Pipelined commands
//! wait in the input until the one at hand is answered (RFC 2449 §6.6).

mod command;
mod server;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use server::{Code, Event, Options, Server, State};
