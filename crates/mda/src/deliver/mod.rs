//! Stage *deliver*: letters come in over LMTP (RFC 2033) on `run/mda.sock`, from our MTA or from
//! any other that speaks it, and go into mailboxes. One reply for each recipient, and a yes means
//! that the letter is on disk.
//!
//! Not retrieval, and no storage: the `mailbox` crate does that. `session` is the dialogue,
//! `letter` one transaction. Called by the agent's `serve`.

mod filing;
mod letter;
mod ruled;
mod sending;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use directory::Renewing;
use mailbox::Mailboxes;
use net::listen::{Accepted, Bound, Hall};
use net::{Cancel, Clock};
use protocol::smtp::server::Config;
use protocol::smtp::server::config::Timeouts;
use service::config::ConfigHandle;
use service::trail::Trail;
use service::{Context, Counter, Fatal};

use crate::limits::{RECIPIENTS, TRACE_ROOM};
use crate::rules::Rules;
use crate::tutor::Tutor;
pub(crate) use letter::mailbox_of;
use session::Session;

/// What all LMTP sessions share.
#[derive(Debug)]
pub(crate) struct Deliveries {
    mailboxes: Mailboxes,
    tutor: Arc<Tutor>,
    directory: Arc<Renewing>,
    rules: Rules,
    config: ConfigHandle,
    clock: Clock,
    trail: Trail,
    drain: Cancel,
    stop: Cancel,
    /// Letters stored, refused for good, put off; counted by recipient.
    stored: Counter,
    refused: Counter,
    put_off: Counter,
}

impl Deliveries {
    pub(crate) fn new(
        context: &Context,
        (mailboxes, tutor): (Mailboxes, Arc<Tutor>),
        directory: Arc<Renewing>,
        rules: Rules,
    ) -> Self {
        Deliveries {
            mailboxes,
            tutor,
            directory,
            rules,
            config: context.config.clone(),
            clock: context.clock.clone(),
            trail: context.trail.clone(),
            drain: context.drain.clone(),
            stop: context.stop.clone(),
            stored: context.metrics.counter("letters_stored"),
            refused: context.metrics.counter("letters_refused"),
            put_off: context.metrics.counter("letters_put_off"),
        }
    }

    /// Serves the socket until the hall stops.
    pub(crate) async fn serve(self: Arc<Self>, bound: Bound, hall: Hall) -> Result<(), Fatal> {
        let listener =
            bound.listen().map_err(|error| Fatal::io("cannot serve the LMTP socket", &error))?;
        let session = |accepted: Accepted| {
            let shared = self.clone();
            async move { Session::new(shared).run(accepted.stream).await }
        };
        listener.serve(&hall, TURNED_AWAY, session).await;
        Ok(())
    }

    fn server_config(&self) -> Config {
        let config = self.config.current();
        Config {
            size_limit: config.limits.message_size + TRACE_ROOM,
            recipients_limit: RECIPIENTS.max(config.limits.recipients_per_letter),
            errors_limit: config.limits.errors_per_session,
            timeouts: Timeouts { command: config.limits.idle, ..Timeouts::default() },
            ..Config::lmtp(config.hostname().as_str())
        }
    }
}

/// What one hears for whom there is no room.
const TURNED_AWAY: &[u8] = b"421 4.7.0 too many connections, try again later\r\n";
