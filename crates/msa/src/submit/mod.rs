//! Submission (RFC 6409), one session at a time. `session` is the dialogue, `login` AUTH, `rights`
//! who may send as what, `header` the completions, `relay` the hop to the MTA, `rate` the hourly
//! count.

mod header;
mod letter;
mod login;
mod rate;
mod relay;
mod rights;
mod session;
#[cfg(test)]
mod tests;

use directory::Renewing;
use net::{Clock, listen::Accepted, tls};
use protocol::{
    journey::JourneyId,
    sasl::Mechanism,
    smtp::{
        Observe,
        server::{
            Config,
            config::{AuthPolicy, AuthRequirement, Cleartext, Offer, Timeouts, TlsPolicy},
        },
    },
};
use rate::Rate;
use relay::Relays;
use service::{Chance, ConfigHandle, Context, Counter, Door, Logins, Trail};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Port 465: TLS at once (RFC 8314 §3.3).
    ImplicitTls,
    /// Port 587: in clear, STARTTLS offered (RFC 3207).
    StartTls,
}

/// What all sessions share.
pub(crate) struct Shared {
    clock: Clock,
    config: ConfigHandle,
    trail: Trail,
    tls: Option<tls::Server>,
    drain: net::Cancel,
    stop: net::Cancel,
    directory: Arc<Renewing>,
    logins: Logins,
    relays: Relays,
    chance: Chance,
    rate: Mutex<Rate>,
    counts: Counts,
}

struct Counts {
    sessions: Counter,
    accepted: Counter,
    refused: Counter,
    held: Counter,
}

impl Shared {
    pub(crate) fn new(context: &Context, directory: Arc<Renewing>, logins: Logins) -> Self {
        let number = |name: &str| context.metrics.counter(name);
        Self {
            clock: context.clock.clone(),
            config: context.config.clone(),
            trail: context.trail.clone(),
            tls: context.tls.clone(),
            drain: context.drain.clone(),
            stop: context.stop.clone(),
            directory,
            logins,
            relays: Relays::new(&context.paths, &context.clock, &context.stop)
                .over(&context.network),
            chance: context.chance.clone(),
            rate: Mutex::new(Rate::default()),
            counts: Counts {
                sessions: number("sessions"),
                accepted: number("letters_accepted"),
                refused: number("letters_refused"),
                held: number("letters_held"),
            },
        }
    }

    fn rate(&self) -> MutexGuard<'_, Rate> {
        // A panic while it was held left at worst a count too low.
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server machine offers at this door.
    fn server_config(&self, door: &Door, entrance: Entrance) -> Config {
        let config = self.config.current();
        let in_clear = config.auth_without_tls.allows(door.peer);
        let tls = match (entrance, &self.tls) {
            (Entrance::ImplicitTls, _) | (_, None) => TlsPolicy::Unavailable,
            (Entrance::StartTls, Some(_)) if in_clear => TlsPolicy::Offered,
            (Entrance::StartTls, Some(_)) => TlsPolicy::Required,
        };
        // The machine announces -PLUS only where TLS gives a channel binding, and EXTERNAL only
        // where it gives a name.
        let tokens = if config.oauth.is_on() { &Mechanism::TOKEN[..] } else { &[] };
        let external = config.tls.client_authorities_file.as_ref().map(|_| &Mechanism::External);
        let mechanisms = Mechanism::PASSWORD.iter().chain(tokens).chain(external);
        let mechanisms = mechanisms.map(|it| it.name().to_owned()).collect();
        let cleartext = if in_clear { Cleartext::Allowed } else { Cleartext::Never };
        Config {
            size_limit: config.submission_message_size(),
            recipients_limit: config.limits.recipients_per_letter,
            tls,
            auth: AuthPolicy { mechanisms, cleartext, requirement: AuthRequirement::BeforeMail },
            errors_limit: config.limits.errors_per_session,
            timeouts: timeouts(config.limits.idle),
            observe: Observe::Nothing,
            dsn: Offer::Yes,
            future_release: Some(config.mta.send_later.as_secs()).filter(|it| *it > 0),
            ..Config::smtp(config.hostname().as_str())
        }
    }

    /// A journey that begins now.
    fn new_journey(&self) -> JourneyId {
        JourneyId::new(self.clock.now(), self.chance.u32())
    }
}

/// A shorter limit counts within the body too; a longer one does not let a body dawdle.
fn timeouts(idle: Duration) -> Timeouts {
    let usual = Timeouts::default();
    Timeouts { command: idle, data: idle.min(usual.data), ..usual }
}

/// One session, from accept to close.
pub(crate) async fn session(shared: Arc<Shared>, accepted: Accepted, entrance: Entrance) {
    shared.counts.sessions.increment();
    let Accepted { stream, peer } = accepted;
    let door = Door::new("submission", peer.ip());
    session::Session::new(shared, door).run(stream, entrance).await;
}
