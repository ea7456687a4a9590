//! Hands a letter to the submission server: EHLO, STARTTLS, AUTH, MAIL, RCPT, the body. One letter
//! a session. The reply of the server is what people are shown: it has the journey id when the
//! server is Posthaste.

use std::sync::Arc;

use net::Driver;
use protocol::address::{Address, ForwardPath, ReversePath};
use protocol::journey::JourneyId;
use protocol::sasl::ChannelBinding;
use protocol::smtp::client::config::{Config, TlsUse};
use protocol::smtp::client::{Answer, Client, Closing, Event, Failure as Fault, Fate};
use protocol::smtp::{BodyType, MailParameters, RcptParameters, Release};

use super::{Desk, Dialled, handshake_failure};
use crate::account::{Security, Server};
use crate::failure::{Failure, Kind};
use crate::limits::{GOODBYE, SEND_AHEAD};
use crate::show::safe;

/// What is handed in.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// Envelope sender.
    pub sender: &'a Address,
    /// Envelope recipients.
    pub recipients: &'a [&'a Address],
    /// The letter, CRLF line ends.
    pub letter: &'a [u8],
    /// When it may leave the server; `None`: at once.
    pub release: Option<Release>,
}

/// What the server did with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The server's last words, e.g. `250 2.0.0 01hxyz accepted`; safe to show.
    pub reply: String,
    /// The journey id, if the server's words have one where Posthaste puts it.
    pub journey: Option<String>,
    /// Recipients that were taken.
    pub accepted: Vec<Address>,
    /// Recipients that were refused, each with the server's words.
    pub refused: Vec<(Address, String)>,
}

/// Hands it in.
///
/// # Errors
/// No connection, no login, or no recipient was taken: then nothing was sent.
pub async fn hand_in(desk: &Desk, parcel: &Parcel<'_>) -> Result<Receipt, Failure> {
    let mut session = Session::open(desk).await?;
    let outcome = match session.keeps_until(parcel.release) {
        Ok(()) => session.send(desk, parcel).await,
        Err(failure) => Err(failure),
    };
    session.leave(desk).await;
    outcome
}

/// Takes back a letter that waits at the server, where the server is a Posthaste.
///
/// # Errors
/// No connection, no login, or the letter has left: the server's words.
pub async fn recall(desk: &Desk, id: JourneyId) -> Result<(), Failure> {
    let mut session = Session::open(desk).await?;
    let outcome = session.recall(desk, id).await;
    session.leave(desk).await;
    outcome
}

struct Session {
    driver: Driver<Client>,
    binding: ChannelBinding,
    server: Server,
}

impl Session {
    /// A session that is logged in.
    async fn open(desk: &Desk) -> Result<Session, Failure> {
        let server = desk.account.submission.clone();
        let Dialled { stream, tls, name, binding } = desk.dial(&server).await?;
        let starttls = server.security == Security::StartTls;
        let config = Config {
            tls: if starttls { TlsUse::Required } else { TlsUse::Never },
            // RFC 5321 §4.1.4: a client without a name gives its address. Submission servers do not
            // care, and the name of a laptop is nobody's business.
            ..Config::smtp("[127.0.0.1]")
        };
        let machine = Client::new(Arc::new(config), desk.clock.tick());
        let mut session = Session {
            driver: Driver::new(machine, stream, &desk.clock, &desk.cancel),
            binding,
            server,
        };
        loop {
            match session.next().await? {
                Event::StartTls => {
                    let begun = session.driver.connect_tls(&tls, &name).await;
                    begun.map_err(|error| handshake_failure(&session.server, &error))?;
                    if let Some(facts) = session.driver.machine().tls() {
                        session.binding = ChannelBinding::of(facts);
                    }
                }
                Event::Ready => break,
                _ => {}
            }
        }
        session.log_in(desk).await?;
        Ok(session)
    }

    /// Says goodbye. What was to be done is done: one that fails changes nothing.
    async fn leave(mut self, desk: &Desk) {
        let now = desk.clock.tick();
        self.driver.machine().quit(now);
        let over = async { while self.driver.next().await.is_some() {} };
        let _ = desk.clock.timeout(GOODBYE, over).await;
    }

    /// Whether the server keeps letters for so long (RFC 4865 §4).
    fn keeps_until(&mut self, release: Option<Release>) -> Result<(), Failure> {
        let Some(release) = release else { return Ok(()) };
        let offered = self.driver.machine().capabilities().and_then(|it| it.future_release);
        match (offered, release) {
            (None, _) => {
                let text = format!("{} does not keep letters for later", self.server);
                Err(Failure::no(text))
            }
            (Some(most), Release::After(seconds)) if seconds > most => {
                let text = format!("{} keeps letters for {most} seconds at most", self.server);
                Err(Failure::no(text))
            }
            _ => Ok(()),
        }
    }

    async fn recall(&mut self, desk: &Desk, id: JourneyId) -> Result<(), Failure> {
        if !self.driver.machine().capabilities().is_some_and(|offered| offered.recall) {
            let text = format!("{} does not give letters back (XRECALL)", self.server);
            return Err(Failure::no(text));
        }
        let sender = ReversePath::Address(desk.account.address.clone());
        let parameters = MailParameters { recall: Some(id), ..MailParameters::default() };
        self.driver.machine().mail(desk.clock.tick(), &sender, &parameters);
        loop {
            match self.next().await? {
                Event::Mail(answer) if answer.is_success() => {
                    self.driver.machine().reset(desk.clock.tick());
                    return Ok(());
                }
                Event::Mail(answer) => {
                    let said = words(&answer);
                    let text = format!("{}: {said}", self.server);
                    return Err(match answer.reply.code.is_temporary() {
                        true => Failure::try_again(text),
                        false => Failure::no(text),
                    });
                }
                _ => {}
            }
        }
    }

    /// The next event; the end of the connection is a failure.
    async fn next(&mut self) -> Result<Event, Failure> {
        match self.driver.next().await {
            Some(Event::Closed(closing)) => Err(self.closed(&closing)),
            Some(event) => Ok(event),
            None => Err(self.closed(&Closing::Quit)),
        }
    }

    fn closed(&self, closing: &Closing) -> Failure {
        let server = &self.server;
        match closing {
            Closing::Quit => Failure::try_again(format!("{server} closed the connection")),
            Closing::Failed(fault) => {
                let kind = match fault.answer() {
                    Some(answer) if answer.reply.code.is_permanent() => Kind::No,
                    _ => Kind::TryAgain,
                };
                let hint = match fault {
                    Fault::TlsNotOffered => "; a password is not sent without TLS",
                    _ => "",
                };
                Failure::new(kind, format!("{server}: {}{hint}", safe::line(&fault.to_string())))
            }
        }
    }

    async fn log_in(&mut self, desk: &Desk) -> Result<(), Failure> {
        let offered =
            self.driver.machine().capabilities().map(|c| c.auth.clone()).unwrap_or_default();
        let (mechanism, exchange) = desk.sasl(&offered, &self.binding).await?;
        let now = desk.clock.tick();
        self.driver.machine().authenticate(now, mechanism, exchange);
        loop {
            match self.next().await? {
                Event::Authenticated => return Ok(()),
                Event::LoginFailed(answer) => {
                    let said = words(&answer);
                    return Err(if answer.reply.code.is_temporary() {
                        Failure::try_again(format!(
                            "{} cannot check logins now: {said}",
                            self.server
                        ))
                    } else {
                        Failure::not_allowed(format!(
                            "{} refused the login of {}: {said}",
                            self.server, desk.account.user
                        ))
                    });
                }
                _ => {}
            }
        }
    }

    async fn send(&mut self, desk: &Desk, parcel: &Parcel<'_>) -> Result<Receipt, Failure> {
        let size = u64::try_from(parcel.letter.len()).unwrap_or(u64::MAX);
        let header = message::header::length(parcel.letter);
        let utf8_header = !parcel.letter.get(..header).unwrap_or_default().is_ascii();
        let utf8 = utf8_header
            || parcel.sender.needs_smtputf8()
            || parcel.recipients.iter().any(|to| to.needs_smtputf8());
        let parameters = MailParameters {
            size: Some(size),
            body: (!parcel.letter.is_ascii()).then_some(BodyType::EightBitMime),
            smtputf8: utf8,
            release: parcel.release,
            ..MailParameters::default()
        };
        let now = desk.clock.tick();
        let machine = self.driver.machine();
        machine.mail(now, &ReversePath::Address(parcel.sender.clone()), &parameters);
        for recipient in parcel.recipients {
            let path = ForwardPath::Address((*recipient).clone());
            machine.recipient(now, &path, &RcptParameters::default());
        }
        machine.body(now, Some(size));
        loop {
            match self.next().await? {
                Event::BodyWanted => self.push(desk, parcel.letter).await,
                Event::Finished(outcome) => return self.receipt(parcel, outcome.recipients),
                _ => {}
            }
        }
    }

    /// Gives the body to the machine as fast as the server takes it.
    async fn push(&mut self, desk: &Desk, letter: &[u8]) {
        for piece in letter.chunks(SEND_AHEAD / 4) {
            self.driver.drain(SEND_AHEAD).await;
            // A refusal in between shows in the next event.
            if !self.driver.machine().is_taking_body() {
                return;
            }
            self.driver.machine().push_body(desk.clock.tick(), piece);
        }
        self.driver.machine().end_body(desk.clock.tick());
    }

    fn receipt(&self, parcel: &Parcel<'_>, fates: Vec<Fate>) -> Result<Receipt, Failure> {
        let mut receipt = Receipt {
            reply: String::new(),
            journey: None,
            accepted: Vec::new(),
            refused: Vec::new(),
        };
        let mut temporary = false;
        for (recipient, fate) in parcel.recipients.iter().zip(fates) {
            match fate {
                Fate::Answered(answer) if answer.is_success() => {
                    receipt.journey = journey(&answer);
                    receipt.reply = words(&answer);
                    receipt.accepted.push((*recipient).clone());
                }
                Fate::Answered(answer) => {
                    temporary |= answer.reply.code.is_temporary();
                    receipt.refused.push(((*recipient).clone(), words(&answer)));
                }
                Fate::Unanswered(fault) => {
                    temporary = true;
                    receipt.refused.push(((*recipient).clone(), safe::line(&fault.to_string())));
                }
            }
        }
        if !receipt.accepted.is_empty() {
            return Ok(receipt);
        }
        let mut said: Vec<String> = Vec::new();
        for (address, words) in &receipt.refused {
            said.push(format!("{address}: {words}"));
        }
        let kind = if temporary { Kind::TryAgain } else { Kind::No };
        let text = format!("{} did not take the letter: {}", self.server, said.join("; "));
        Err(Failure::new(kind, text))
    }
}

/// The server's words on one line, safe to show.
fn words(answer: &Answer) -> String {
    let lines: Vec<&str> = answer.reply.lines().collect();
    let enhanced = answer.reply.enhanced.map_or_else(String::new, |code| format!("{code} "));
    safe::line(&format!("{} {enhanced}{}", answer.reply.code.as_u16(), lines.join(" ")))
}

/// CONTRACT: `250 2.0.0 <journey id> ...`.
fn journey(answer: &Answer) -> Option<String> {
    let word = answer.reply.lines().next()?.split_whitespace().next()?;
    word.parse::<protocol::journey::JourneyId>().ok().map(|id| id.to_string())
}
