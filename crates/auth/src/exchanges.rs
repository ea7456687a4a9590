//! The SASL exchanges that are under way: bounded, each with a deadline. Their messages come as
//! separate questions, perhaps over several connections of one agent.

use crate::limits::{EXCHANGE, EXCHANGES};
use protocol::{ipc::Start, machine::Tick, sasl};
use std::collections::HashMap;

/// One exchange between its messages.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Its machine.
    pub(crate) server: sasl::Server,
    /// How it began.
    pub(crate) start: Start,
    /// The name that is being proven, once it is known.
    pub(crate) name: Option<String>,
    /// It has failed and been counted; the client only has to hear it.
    pub(crate) has_failed: bool,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    open: HashMap<u64, (Tick, Exchange)>,
}

impl Exchanges {
    /// Keeps an exchange until its next message. `id` is random: it cannot be guessed.
    pub(crate) fn put(&mut self, now: Tick, id: u64, exchange: Exchange) {
        if self.open.len() >= EXCHANGES {
            self.open.retain(|_, (until, _)| now < *until);
        }
        if self.open.len() >= EXCHANGES {
            let oldest = self.open.iter().min_by_key(|(_, (until, _))| *until).map(|(id, _)| *id);
            oldest.and_then(|id| self.open.remove(&id));
        }
        self.open.insert(id, (now.after(EXCHANGE), exchange));
    }

    /// Takes an exchange out, for its next message.
    pub(crate) fn take(&mut self, now: Tick, id: u64) -> Option<Exchange> {
        let (until, exchange) = self.open.remove(&id)?;
        (now < until).then_some(exchange)
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
