//! One connection to a next hop: greeted, under TLS where it is to be, logged in where it must be,
//! and then one letter after another. The dialogue itself is `protocol::smtp::client`'s.

use std::sync::Arc;

use bytes::Bytes;
use disk::{Body, Chunks};
use net::drive::Driver;
use net::stream::Stream;
use net::{Cancel, Clock, tls};
use protocol::address::{ForwardPath, ReversePath};
use protocol::machine::TlsFacts;
use protocol::reply::Reply;
use protocol::sasl;
use protocol::smtp::client::{self, Client, Closing, Config, Event, Fate, Outcome};
use protocol::smtp::{MailParameters, RcptParameters, Verb};

use super::Journal;
use crate::policy::Wish;
use crate::reason::{Failure, Reason};
use crate::sign::Signer;

/// What is carried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load<'a> {
    /// The sender.
    pub path: &'a ReversePath,
    /// What the sender's system said with MAIL; the client leaves out what is not offered.
    pub parameters: &'a MailParameters,
    /// Whom it is for.
    pub recipients: &'a [(ForwardPath, RcptParameters)],
    /// The letter, CRLF line ends.
    pub body: &'a Body,
    /// What the letter asks for as to TLS.
    pub wish: Wish,
    /// Who signs it again if it has to be changed for the hop.
    pub signer: Option<&'a Signer>,
}

/// How TLS comes about on a connection.
#[derive(Debug, Clone)]
pub(crate) enum Encryption {
    /// Not at all.
    None,
    /// By STARTTLS, as the machine's configuration says.
    StartTls(tls::Client, tls::PeerName),
    /// Before the first byte.
    Implicit(tls::Client, tls::PeerName),
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The other side would not, or the connection broke.
    Failed(Failure),
    /// The handshake failed after STARTTLS: where TLS was a courtesy, a connection without may
    /// help (RFC 7435 §3).
    Handshake(Failure),
}

/// An open session.
pub(crate) struct Session {
    driver: Driver<Client>,
    host: String,
    /// Letters carried so far.
    letters: u32,
}

impl Session {
    /// Opens a session over `stream` with `host`, up to where a letter can be sent.
    pub(crate) async fn open(
        stream: Stream,
        host: &str,
        (config, encryption): (Arc<Config>, &Encryption),
        (clock, stop, journal): (&Clock, &Cancel, &Journal),
    ) -> Result<Session, OpenError> {
        let broken = |verb: &str, why: String| {
            let text = format!("{verb}: {why}");
            Failure::temporary(Reason::Tls, (7, 5), text).at(host)
        };
        let client = Client::new(config, clock.tick());
        let mut session = match encryption {
            Encryption::Implicit(client_tls, name) => {
                let (stream, facts) =
                    client_tls.connect(stream, name, clock).await.map_err(|error| {
                        journal.not_encrypted(host, &error.to_string());
                        OpenError::Failed(broken("TLS", error.to_string()))
                    })?;
                let mut session = Session::over(client, stream, host, (clock, stop));
                session.encrypted(&facts, journal);
                let now = session.driver.clock().tick();
                protocol::machine::Machine::tls_established(session.driver.machine(), now, facts);
                session
            }
            _ => Session::over(client, stream, host, (clock, stop)),
        };
        loop {
            match session.driver.next().await {
                Some(Event::Ready) => return Ok(session),
                Some(Event::StartTls) => {
                    let Encryption::StartTls(client_tls, name) = encryption else {
                        let why = "STARTTLS without a policy".to_owned();
                        return Err(OpenError::Failed(broken("TLS", why)));
                    };
                    if let Err(error) = session.driver.connect_tls(client_tls, name).await {
                        journal.not_encrypted(host, &error.to_string());
                        let failure = broken("STARTTLS", error.to_string());
                        return Err(OpenError::Handshake(failure));
                    }
                    if let Some(facts) = session.driver.machine().tls().cloned() {
                        session.encrypted(&facts, journal);
                    }
                }
                Some(Event::Exchange(exchange)) => session.observed(&exchange, journal),
                Some(Event::Closed(closing)) => {
                    return Err(OpenError::Failed(session.closed(&closing)));
                }
                Some(_) => {}
                None => return Err(OpenError::Failed(session.lost(Verb::Greeting))),
            }
        }
    }

    fn over(client: Client, stream: Stream, host: &str, (clock, stop): (&Clock, &Cancel)) -> Self {
        let driver = Driver::new(client, stream, clock, stop);
        Session { driver, host: host.to_owned(), letters: 0 }
    }

    /// Who is at the other end.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Letters carried so far.
    pub(crate) fn letters(&self) -> u32 {
        self.letters
    }

    /// The mechanisms of AUTH that the other side offers.
    pub(crate) fn mechanisms(&mut self) -> Vec<String> {
        self.driver.machine().capabilities().map_or_else(Vec::new, |offered| offered.auth.clone())
    }

    /// Whether the other side takes over the parameters of DSN (RFC 3461 §4).
    pub(crate) fn promises_reports(&mut self) -> bool {
        self.driver.machine().capabilities().is_some_and(|offered| offered.dsn)
    }

    /// What is known of TLS on this connection.
    pub(crate) fn tls(&mut self) -> Option<TlsFacts> {
        self.driver.machine().tls().cloned()
    }

    /// Logs in.
    ///
    /// # Errors
    /// What the server said, or how the connection broke.
    pub(crate) async fn log_in(
        &mut self,
        (mechanism, client): (sasl::Mechanism, sasl::Client),
        journal: &Journal,
    ) -> Result<(), Failure> {
        let now = self.driver.clock().tick();
        self.driver.machine().authenticate(now, mechanism, client);
        loop {
            match self.driver.next().await {
                Some(Event::Authenticated) => return Ok(()),
                Some(Event::LoginFailed(answer)) => {
                    // A wrong password at our smarthost is ours to mend: the letter waits.
                    let text = format!("the login was refused: {}", answer.reply);
                    let failure = Failure::temporary(Reason::Ours, (3, 5), text);
                    return Err(failure.at(self.host.as_str()));
                }
                Some(Event::Exchange(exchange)) => self.observed(&exchange, journal),
                Some(Event::Closed(closing)) => return Err(self.closed(&closing)),
                Some(_) => {}
                None => return Err(self.lost(Verb::Auth)),
            }
        }
    }

    /// Carries a letter; one outcome for each recipient, in their order. After a broken connection
    /// [`Session::is_usable`] says no.
    pub(crate) async fn carry(
        &mut self,
        load: Load<'_>,
        journal: &Journal,
    ) -> Vec<Result<Reply, Failure>> {
        self.letters += 1;
        let wall = self.driver.clock().now();
        let offered = self.driver.machine().capabilities();
        let adapted = offered.and_then(|offered| super::adapt::adapt(&load, offered, wall));
        let load = match &adapted {
            None => load,
            Some(adapted) => {
                journal.adapted(&self.host, &adapted.text);
                Load { parameters: &adapted.parameters, body: &adapted.body, ..load }
            }
        };
        let now = self.driver.clock().tick();
        let machine = self.driver.machine();
        machine.mail(now, load.path, load.parameters);
        for (path, parameters) in load.recipients {
            machine.recipient(now, path, parameters);
        }
        machine.body(now, Some(load.body.length()));
        let mut chunks = load.body.chunks();
        loop {
            if self.driver.machine().is_taking_body()
                && let Err(failure) = self.push(&mut chunks).await
            {
                return vec![Err(failure); load.recipients.len()];
            }
            match self.driver.next().await {
                Some(Event::Finished(outcome)) => {
                    return self.outcomes(outcome, load.recipients.len());
                }
                Some(Event::Exchange(exchange)) => self.observed(&exchange, journal),
                Some(Event::Closed(closing)) => {
                    let failure = self.closed(&closing);
                    return vec![Err(failure); load.recipients.len()];
                }
                Some(_) => {}
                None => return vec![Err(self.lost(Verb::EndOfData)); load.recipients.len()],
            }
        }
    }

    /// Gives the body to the machine as fast as the connection takes it.
    async fn push(&mut self, chunks: &mut Chunks) -> Result<(), Failure> {
        while self.driver.machine().is_taking_body() {
            let piece: Option<Bytes> = match chunks.next() {
                Some(Ok(piece)) => Some(piece),
                None => None,
                Some(Err(error)) => {
                    // A letter cut short must not look whole: hang up.
                    self.driver.machine().abandon();
                    let text = format!("the letter cannot be read: {error}");
                    return Err(Failure::temporary(Reason::Ours, (3, 0), text));
                }
            };
            let now = self.driver.clock().tick();
            match piece {
                Some(piece) => self.driver.machine().push_body(now, &piece),
                None => {
                    self.driver.machine().end_body(now);
                    return Ok(());
                }
            }
            if !self.driver.machine().wants_body() {
                self.driver.drain(1).await;
            }
        }
        Ok(())
    }

    /// Another letter can follow.
    pub(crate) fn is_usable(&mut self) -> bool {
        self.driver.ending().is_none() && self.driver.machine().is_ready()
    }

    /// Looks whether the other side has hung up while nothing was under way, without waiting.
    pub(crate) fn is_alive(&mut self) -> bool {
        let mut looking = std::pin::pin!(self.driver.next());
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        // Any event now would be the end: nothing was asked.
        looking.as_mut().poll(&mut nobody).is_pending()
    }

    /// Says QUIT.
    pub(crate) async fn quit(mut self) {
        let now = self.driver.clock().tick();
        self.driver.machine().quit(now);
        while self.driver.next().await.is_some() {}
    }

    fn outcomes(&self, outcome: Outcome, recipients: usize) -> Vec<Result<Reply, Failure>> {
        let mut all: Vec<_> =
            outcome.recipients.into_iter().map(|fate| self.outcome(fate)).collect();
        // The machine gives one for each; a recipient without one must never count as carried.
        all.resize_with(recipients, || Err(self.lost(Verb::Rcpt)));
        all
    }

    fn outcome(&self, fate: Fate) -> Result<Reply, Failure> {
        match fate {
            Fate::Answered(answer) if answer.is_success() => Ok(answer.reply),
            Fate::Answered(answer) => {
                Err(Failure::said(self.host.as_str(), answer.verb, answer.reply))
            }
            Fate::Unanswered(failure) => Err(self.broke(&failure)),
        }
    }

    fn closed(&self, closing: &Closing) -> Failure {
        match closing {
            Closing::Quit => self.lost(Verb::Quit),
            Closing::Failed(failure) => self.broke(failure),
        }
    }

    fn broke(&self, failure: &client::Failure) -> Failure {
        match failure.answer() {
            Some(answer) if matches!(failure, client::Failure::TlsRefused(_)) => {
                let text = format!("STARTTLS was refused: {}", answer.reply);
                Failure::temporary(Reason::Tls, (7, 10), text).at(self.host.as_str())
            }
            Some(answer) => Failure::said(self.host.as_str(), answer.verb, answer.reply.clone()),
            None => {
                let (reason, code) = match failure {
                    // RFC 3463 §3.8: X.7.10, encryption needed (RFC 5248's registry).
                    client::Failure::TlsNotOffered => (Reason::Tls, (7, 10)),
                    _ => (Reason::Network, (4, 2)),
                };
                Failure::temporary(reason, code, failure.to_string()).at(self.host.as_str())
            }
        }
    }

    fn lost(&self, verb: Verb) -> Failure {
        let text = match self.driver.ending() {
            Some(ending) => format!("the connection broke ({verb}): {ending:?}"),
            None => format!("the connection broke ({verb})"),
        };
        Failure::temporary(Reason::Network, (4, 2), text).at(self.host.as_str())
    }

    fn encrypted(&self, facts: &TlsFacts, journal: &Journal) {
        journal.encrypted(&self.host, facts);
    }

    fn observed(&mut self, exchange: &protocol::smtp::Exchange, journal: &Journal) {
        let encrypted = self.driver.machine().tls().is_some();
        journal.exchange(&self.host, encrypted, exchange);
    }
}
