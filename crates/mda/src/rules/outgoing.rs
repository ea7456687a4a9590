//! [`Outgoing`]: letters that rules send on or make, over SMTP to the transfer agent's socket, the
//! only connection this agent makes. The transfer agent's 250 means it is on its disk.

use std::path::PathBuf;
use std::sync::Arc;

use net::{Cancel, Clock, Driver, Network};
use protocol::address::{ForwardPath, ReversePath};
use protocol::journey::JourneyId;
use protocol::rejection::Rejection;
use protocol::smtp::client::config::TlsUse;
use protocol::smtp::client::{Client, Config, Event, Fate};
use protocol::smtp::{MailParameters, RcptParameters};
use service::Context;

use super::limits::{MTA, PIECE};

/// The way to the transfer agent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    socket: PathBuf,
    network: Network,
    clock: Clock,
    stop: Cancel,
}

/// A letter to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posted<'a> {
    /// What we call ourselves.
    pub(crate) hostname: &'a str,
    /// Its journey.
    pub(crate) journey: JourneyId,
    /// From whom.
    pub(crate) sender: &'a ReversePath,
    /// To whom.
    pub(crate) recipients: &'a [ForwardPath],
    /// Header or envelope hold UTF-8.
    pub(crate) smtputf8: bool,
    /// All of it.
    pub(crate) letter: &'a [u8],
}

/// Why a letter was not sent.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The transfer agent said no, for now or for good; of several recipients, to any.
    Refused(Rejection),
    /// It is away, or broke off.
    Away(String),
}

impl Outgoing {
    pub(super) fn new(context: &Context) -> Self {
        Outgoing {
            socket: context.paths.mta_socket(),
            network: context.network.clone(),
            clock: context.clock.clone(),
            stop: context.stop.clone(),
        }
    }

    /// To that socket, over the system's network.
    #[cfg(test)]
    pub(super) fn to(socket: PathBuf, clock: &Clock) -> Self {
        let (network, stop) = (Network::system(), Cancel::new());
        Outgoing { socket, network, clock: clock.clone(), stop }
    }

    /// Sends a letter.
    ///
    /// # Errors
    /// When it was not taken for every recipient.
    pub(crate) async fn post(&self, posted: Posted<'_>) -> Result<(), Unsent> {
        match self.clock.timeout(MTA, self.talk(posted)).await {
            Ok(done) => done,
            Err(_) => Err(Unsent::Away("the transfer agent does not answer in time".to_owned())),
        }
    }

    async fn talk(&self, posted: Posted<'_>) -> Result<(), Unsent> {
        let stream = self.network.unix(&self.socket, MTA, &self.clock).await;
        let stream = stream.map_err(|error| Unsent::Away(error.to_string()))?;
        let config = Config { tls: TlsUse::Never, ..Config::smtp(posted.hostname) };
        let machine = Client::new(Arc::new(config), self.clock.tick());
        let mut driver = Driver::new(machine, stream, &self.clock, &self.stop);
        let mut result = Err(Unsent::Away("it closed the connection".to_owned()));
        let mut begun = false;
        while let Some(event) = driver.next().await {
            let now = self.clock.tick();
            match event {
                Event::Ready if !begun => {
                    begun = true;
                    let size = posted.letter.len() as u64;
                    let parameters = MailParameters {
                        size: Some(size),
                        journey: Some(posted.journey),
                        smtputf8: posted.smtputf8,
                        ..MailParameters::default()
                    };
                    let machine = driver.machine();
                    machine.mail(now, posted.sender, &parameters);
                    for recipient in posted.recipients {
                        machine.recipient(now, recipient, &RcptParameters::default());
                    }
                    machine.body(now, Some(size));
                }
                Event::BodyWanted => {
                    for piece in posted.letter.chunks(PIECE) {
                        let now = self.clock.tick();
                        driver.machine().push_body(now, piece);
                        if !driver.machine().wants_body() {
                            driver.drain(1).await;
                        }
                    }
                    driver.machine().end_body(self.clock.tick());
                }
                Event::Finished(outcome) => {
                    result = fate(outcome.recipients);
                    driver.machine().quit(self.clock.tick());
                }
                Event::Closed(closing) => {
                    if begun {
                        break;
                    }
                    return Err(Unsent::Away(format!("{closing:?}")));
                }
                _ => {}
            }
        }
        result
    }
}

/// Taken for all, or the first no.
fn fate(recipients: Vec<Fate>) -> Result<(), Unsent> {
    for fate in recipients {
        match fate {
            Fate::Answered(answer) => {
                if let Some(rejection) = Rejection::from_reply(&answer.reply) {
                    return Err(Unsent::Refused(rejection));
                }
            }
            Fate::Unanswered(failure) => return Err(Unsent::Away(failure.to_string())),
        }
    }
    Ok(())
}

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unsent::Refused(why) => why.fmt(f),
            Unsent::Away(why) => write!(f, "the transfer agent is away: {why}"),
        }
    }
}
