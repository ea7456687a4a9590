//! The hop to the MTA: SMTP over `run/mta.sock`, with connections that are kept for the next
//! letter. What is said on it is `letter`'s.

use crate::limits::{BODY_WAITING, MTA_CONNECT, MTA_IDLE};
use net::{Cancel, Clock, Driver, Network};
use protocol::{
    address::ReversePath,
    machine::Machine as _,
    rejection::{Fault, Rejection},
    reply::{EnhancedCode, ReplyCode},
    smtp::{
        MailParameters,
        client::{Client, Config, Event, config::TlsUse},
    },
};
use service::Paths;
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connections to the MTA.
pub(crate) struct Relays {
    path: PathBuf,
    clock: Clock,
    network: Network,
    stop: Cancel,
    idle: Mutex<Vec<Relay>>,
}

/// One connection to the MTA.
pub(crate) struct Relay {
    driver: Driver<Client>,
}

/// How a letter begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) path: &'a ReversePath,
    pub(crate) parameters: &'a MailParameters,
}

impl Relays {
    pub(crate) fn new(paths: &Paths, clock: &Clock, stop: &Cancel) -> Self {
        let (path, clock, stop) = (paths.mta_socket(), clock.clone(), stop.clone());
        Self { path, clock, network: Network::system(), stop, idle: Mutex::default() }
    }

    /// The same over another network than the system's.
    pub(crate) fn over(self, network: &Network) -> Self {
        Self { network: network.clone(), ..self }
    }

    /// A connection on which the MTA has taken the sender. One that died while it was idle is
    /// replaced.
    ///
    /// # Errors
    /// What the MTA says, or 451 when it is away.
    pub(crate) async fn begin(
        &self,
        hostname: &str,
        sender: Sender<'_>,
    ) -> Result<Relay, Rejection> {
        loop {
            let kept = self.idle().pop();
            let is_kept = kept.is_some();
            let mut relay = match kept {
                Some(relay) => relay,
                None => self.connect(hostname).await?,
            };
            match relay.mail(sender).await {
                Ok(()) => return Ok(relay),
                Err(Unbegun::Refused(rejection)) => {
                    relay.reset();
                    self.keep(relay);
                    return Err(rejection);
                }
                Err(Unbegun::Gone(_)) if is_kept => {}
                Err(Unbegun::Gone(why)) => return Err(away(why)),
            }
        }
    }

    /// Keeps a connection for the next letter, if it is fit for one.
    pub(crate) fn keep(&self, mut relay: Relay) {
        let mut idle = self.idle();
        if relay.machine().is_ready() && idle.len() < MTA_IDLE {
            idle.push(relay);
        }
    }

    async fn connect(&self, hostname: &str) -> Result<Relay, Rejection> {
        let stream = self.network.unix(&self.path, MTA_CONNECT, &self.clock).await.map_err(away)?;
        let config = Config { tls: TlsUse::Never, ..Config::smtp(hostname) };
        let machine = Client::new(Arc::new(config), self.clock.tick());
        let mut relay = Relay { driver: Driver::new(machine, stream, &self.clock, &self.stop) };
        let greeted = async {
            loop {
                match relay.next().await {
                    Some(Event::Ready) => return Ok(()),
                    Some(Event::Closed(closing)) => return Err(away(format!("{closing:?}"))),
                    Some(_) => {}
                    None => return Err(away("it closed the connection")),
                }
            }
        };
        self.clock.timeout(MTA_CONNECT, greeted).await.map_err(away)??;
        Ok(relay)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Relay>> {
        // A list of connections cannot be half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a letter could not be begun.
enum Unbegun {
    Refused(Rejection),
    Gone(String),
}

impl Relay {
    async fn mail(&mut self, sender: Sender<'_>) -> Result<(), Unbegun> {
        let now = self.driver.clock().tick();
        self.machine().mail(now, sender.path, sender.parameters);
        loop {
            match self.next().await {
                Some(Event::Mail(answer)) => {
                    return match Rejection::from_reply(&answer.reply) {
                        None => Ok(()),
                        Some(rejection) => Err(Unbegun::Refused(rejection)),
                    };
                }
                Some(Event::Closed(closing)) => return Err(Unbegun::Gone(format!("{closing:?}"))),
                Some(_) => {}
                None => return Err(Unbegun::Gone("it closed the connection".to_owned())),
            }
        }
    }

    /// Begins the letter anew on the same connection, with another sender's parameters.
    ///
    /// # Errors
    /// What the MTA says now, or 451.
    pub(crate) async fn begin_again(&mut self, sender: Sender<'_>) -> Result<(), Rejection> {
        self.reset();
        self.mail(sender).await.map_err(|unbegun| match unbegun {
            Unbegun::Refused(rejection) => rejection,
            Unbegun::Gone(why) => away(why),
        })
    }

    /// Drops the letter.
    pub(crate) fn reset(&mut self) {
        let now = self.driver.clock().tick();
        self.machine().reset(now);
    }

    /// What the MTA does next; `None`: the connection is over. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.driver.next().await
    }

    /// The machine.
    pub(crate) fn machine(&mut self) -> &mut Client {
        self.driver.machine()
    }

    /// Waits until the MTA has taken most of what was pushed.
    pub(crate) async fn make_room(&mut self) {
        if self.machine().has_output() {
            self.driver.drain(BODY_WAITING).await;
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relay(..)")
    }
}

/// 451 4.3.0: the client keeps the letter and tries again.
pub(crate) fn away(cause: impl fmt::Display) -> Rejection {
    Rejection::temporary(
        ReplyCode::LOCAL_ERROR,
        EnhancedCode::temporary(3, 0),
        Fault::Ours,
        "the mail system cannot take letters at the moment, try again later",
    )
    .because(cause)
}
