//! The journey of letters: one stream of events, as JSON lines, one file a day and agent:
//! `trail/2026-11-22.mta.jsonl`. `trace`, the console and the lab are views of it. It holds no
//! content of letters, and nothing rests on it: when its disk is slow it drops detail and counts
//! what it dropped, and never delays a delivery. Custody is counted elsewhere (`ledger`).

mod event;
mod line;
mod read;
mod write;

pub use event::{Direction, Event, Kind, Outcome, Recorded};
pub use line::Spoken;
pub use read::{Follower, Query, find};
pub use write::Trail;

#[cfg(test)]
mod tests;
