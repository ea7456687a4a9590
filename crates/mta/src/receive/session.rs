//! One session: the machine's questions are answered from the directory, the body goes into a
//! spool, and every step is written into the journey of its letter.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use disk::Spool;
use net::drive::{Driver, Setting};
use net::listen::Accepted;
use net::stream::Peer;
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use protocol::smtp::server::config::Offer;
use protocol::smtp::server::{
    Abort, EndAnswer, Event, Exchange, Hello, Mail, Rcpt, Server, StartTlsQuestion, XClient,
};
use protocol::smtp::{Release, Verb};
use service::trail::{Event as TrailEvent, Kind, Outcome};

use super::envelope::Houses;
use super::guard;
use super::letter::{self, Bringer, Incoming};
use super::{Desk, Door, disk_rejection};
use crate::courier::Journal;
use crate::limits::LINES_BEFORE;
use crate::sign::LetterHash;

/// Serves one connection to its end.
pub(crate) async fn session(desk: Arc<Desk>, accepted: Accepted, door: Door) {
    let Accepted { stream, peer } = accepted;
    let clock = desk.context.clock.clone();
    let mut config = desk.server_config(door);
    let introduces = &desk.context.config.current().listen.xclient_from;
    if door == Door::Internet
        && peer.ip().is_some_and(|ip| introduces.iter().any(|network| network.contains(ip)))
    {
        config.xclient = Offer::Yes;
    }
    let setting = Setting::new(clock.clone(), desk.context.stop.clone());
    // Who does not listen gets no more patience than who does not speak.
    let write_stall = setting.write_stall.min(config.timeouts.command);
    let server = Server::new(Arc::new(config), clock.tick());
    let driver = Driver::with(server, stream, Setting { write_stall, ..setting });
    let mut talk = Talk {
        desk,
        door,
        shown: peer.to_string(),
        peer,
        driver,
        hello: None,
        letter: None,
        journal: None,
        before: Vec::new(),
        commands: 0,
        errors: 0,
    };
    talk.begin().await;
    talk.run().await;
}

struct Talk {
    desk: Arc<Desk>,
    door: Door,
    peer: Peer,
    /// The peer as the trail has it.
    shown: String,
    driver: Driver<Server>,
    hello: Option<Hello>,
    /// The letter whose envelope or body is coming in.
    letter: Option<Incoming>,
    /// Of the letter that came last: replies to it may still be reported.
    journal: Option<Journal>,
    /// Replies before the first letter, and whether they were encrypted.
    before: Vec<(Exchange, bool)>,
    /// Commands since the last letter was taken.
    commands: u32,
    /// Refusals so far.
    errors: u32,
}

impl Talk {
    /// Greets, or turns away: who comes too often, or talks first.
    async fn begin(&mut self) {
        let guarded = (self.door == Door::Internet).then(|| self.peer.ip()).flatten();
        if let Some(ip) = guarded {
            let admitted = match self.desk.admit(ip) {
                Ok(()) => self.wait_for_greeting(ip).await,
                refused => refused,
            };
            if let Err(rejection) = admitted {
                tracing::info!(peer = %self.peer, %rejection, "turned away");
                let event = TrailEvent::anonymous(Kind::Refused).peer(&self.peer);
                let event = event.outcome(Outcome::Temporary).text(&rejection);
                self.desk.context.trail.record(event);
                let now = self.driver.clock().tick();
                self.driver.machine().refuse(now, &rejection);
                return;
            }
        }
        let now = self.driver.clock().tick();
        self.driver.machine().greet(now);
    }

    /// Lets a client wait for the greeting, which most that send junk do not do.
    async fn wait_for_greeting(&mut self, ip: IpAddr) -> Result<(), Rejection> {
        let config = self.desk.context.config.current();
        let delay = config.antispam.greet_delay;
        if delay.is_zero() || config.trusts(ip) {
            return Ok(());
        }
        let clock = self.driver.clock().clone();
        tokio::select! {
            () = clock.sleep(delay) => {}
            // Only the end of the connection is an event before the greeting.
            _ = self.driver.next() => {}
        }
        if self.driver.machine().talked_early() { Err(guard::spoke_first()) } else { Ok(()) }
    }

    /// An answer that is a refusal comes later each time, where the configuration says so.
    async fn linger(&mut self) {
        self.errors = self.errors.saturating_add(1);
        let config = self.desk.context.config.current();
        let wait = guard::tarpit(&config.antispam, self.errors);
        if self.door == Door::Internet && !wait.is_zero() {
            let clock = self.driver.clock().clone();
            clock.sleep(wait).await;
        }
    }

    async fn run(&mut self) {
        let drain = self.desk.context.drain.clone();
        let mut draining = false;
        loop {
            if draining && !self.driver.machine().is_in_transaction() {
                let now = self.driver.clock().tick();
                self.driver.machine().refuse(now, &Rejection::shutting_down());
            }
            let event = tokio::select! {
                biased;
                event = self.driver.next() => event,
                () = drain.cancelled(), if !draining => {
                    draining = true;
                    continue;
                }
            };
            match event {
                Some(event) => self.obey(event).await,
                None => break,
            }
        }
        self.gone();
    }

    async fn obey(&mut self, event: Event) {
        match event {
            Event::Hello(hello) => self.hello = Some(hello),
            Event::XClient(client) => self.speak_for(client),
            // Both boxed: what a handshake or a hand-over needs, a silent session need not have.
            Event::StartTls(question) => Box::pin(self.start_tls(question)).await,
            Event::Mail(question, mail) => {
                let verdict = self.mail(mail).await;
                if verdict.is_err() {
                    self.linger().await;
                }
                let now = self.driver.clock().tick();
                self.driver.machine().answer_mail(now, question, verdict);
            }
            Event::Rcpt(question, rcpt) => {
                let verdict = self.rcpt(rcpt);
                if verdict.is_err() {
                    self.linger().await;
                }
                let now = self.driver.clock().tick();
                self.driver.machine().answer_rcpt(now, question, verdict);
            }
            Event::Body(piece) => {
                if let Some(letter) = &mut self.letter {
                    letter.take_piece(&piece);
                }
            }
            Event::End(question, facts) => {
                let verdict = match (self.letter.take(), &self.hello) {
                    (Some(letter), Some(hello)) => {
                        let tls = self.driver.machine().tls().cloned();
                        let bringer = Bringer { hello, peer: &self.peer, tls: tls.as_ref() };
                        Box::pin(letter::take(&self.desk, letter, facts, bringer)).await
                    }
                    _ => Err(Rejection::internal("the end of a letter that had no beginning")),
                };
                self.count(verdict.is_ok());
                if verdict.is_ok() {
                    self.commands = 0;
                }
                if let (Err(rejection), Some(journal)) = (&verdict, &self.journal) {
                    tracing::info!(peer = %self.peer, %rejection, "letter refused");
                    letter::record_refused(journal, rejection, None);
                }
                let now = self.driver.clock().tick();
                self.driver.machine().answer_end(now, question, EndAnswer::Whole(verdict));
            }
            Event::Aborted(why) => self.aborted(&why),
            Event::Exchange(exchange) => self.observed(exchange),
            // No AUTH is offered at these doors.
            Event::Auth(..) | Event::AuthCancelled => {}
            Event::Closed(closing) => {
                tracing::debug!(peer = %self.peer, ?closing, "session over");
            }
        }
    }

    /// A trusted peer says who its client is: from here on that is who is connected.
    fn speak_for(&mut self, client: XClient) {
        tracing::debug!(proxy = %self.peer, ?client, "XCLIENT");
        self.hello = None;
        let Some(ip) = client.address else { return };
        self.peer = Peer::Inet(SocketAddr::new(ip.to_canonical(), client.port.unwrap_or(0)));
        self.shown = self.peer.to_string();
        if let Err(rejection) = self.desk.admit(ip) {
            let now = self.driver.clock().tick();
            self.driver.machine().refuse(now, &rejection);
        }
    }

    async fn start_tls(&mut self, question: StartTlsQuestion) {
        let now = self.driver.clock().tick();
        let Some(tls) = self.desk.context.tls.clone() else {
            let rejection = Rejection::internal("STARTTLS without a certificate");
            self.driver.machine().answer_starttls(now, question, Err(rejection));
            return;
        };
        self.driver.machine().answer_starttls(now, question, Ok(()));
        self.hello = None;
        if let Err(error) = self.driver.accept_tls(&tls).await {
            tracing::info!(peer = %self.peer, %error, "TLS handshake failed");
        }
    }

    async fn mail(&mut self, mail: Mail) -> Result<(), Rejection> {
        let context = &self.desk.context;
        let journey = mail.parameters.journey.unwrap_or_else(|| self.desk.new_journey());
        let journal = Journal::new(&context.trail, journey);
        for (exchange, encrypted) in self.before.drain(..) {
            journal.answered(&self.shown, encrypted, &exchange);
        }
        self.journal = Some(journal.clone());
        if let Err(rejection) = self.release_is_near(&mail) {
            letter::record_refused(&journal, &rejection, None);
            return Err(rejection);
        }
        if let Some(id) = mail.parameters.recall {
            return self.desk.recall(id, letter::account(&mail.parameters)).await;
        }
        let since_start = std::time::Duration::from_micros(context.clock.tick().as_micros());
        if let (Door::Internet, Some(ip)) = (self.door, self.peer.ip())
            && let Err(rejection) = self.desk.admit_letter(ip)
        {
            letter::record_refused(&journal, &rejection, None);
            return Err(rejection);
        }
        let size = mail.parameters.size.unwrap_or(0);
        if let Err(error) = self.desk.space.check(since_start, size) {
            let rejection = disk_rejection(&error);
            tracing::warn!(%error, "letters are refused");
            letter::record_refused(&journal, &rejection, None);
            return Err(rejection);
        }
        let guest = match (self.door, self.peer.ip()) {
            (Door::Internet, Some(ip)) => {
                let helo = self.hello.as_ref().map_or("", |hello| &*hello.name).to_owned();
                let desk = self.desk.clone();
                desk.meet((ip, &helo), &mail.path, &journal).await
            }
            _ => None,
        };
        self.letter = Some(Incoming {
            journey,
            door: self.door,
            rights: self.rights(),
            guest,
            arrived: context.clock.now(),
            mail,
            envelope: Default::default(),
            spool: Spool::new(self.desk.disk.clone(), self.desk.spool.clone()),
            hash: self.hash(),
            trouble: None,
        });
        Ok(())
    }

    /// RFC 4865 §5.2.1: further away than was announced is refused.
    fn release_is_near(&self, mail: &Mail) -> Result<(), Rejection> {
        let context = &self.desk.context;
        let longest = context.config.current().mta.send_later;
        let wait = match mail.parameters.release {
            None => return Ok(()),
            Some(Release::After(seconds)) => std::time::Duration::from_secs(seconds),
            Some(Release::At(at)) => at.since(context.clock.now()),
        };
        if wait <= longest {
            return Ok(());
        }
        Err(Rejection::permanent(
            ReplyCode::BAD_SYNTAX,
            EnhancedCode::permanent(5, 4),
            Fault::Protocol,
            format!("a letter can be kept for {} seconds at most", longest.as_secs()),
        ))
    }

    /// By whose rights the client sends: hosts of the house send as our own agents do.
    fn rights(&self) -> Door {
        let config = self.desk.context.config.current();
        match self.peer.ip() {
            Some(ip) if config.mta.relays_for(ip) => Door::Relay,
            _ => self.door,
        }
    }

    /// What our own send may be ours to sign: its hash is made as it comes.
    fn hash(&self) -> Option<LetterHash> {
        let signs = self.rights() == Door::Relay && self.desk.context.config.current().dkim.sign;
        signs.then(LetterHash::new)
    }

    fn rcpt(&mut self, rcpt: Rcpt) -> Result<(), Rejection> {
        let (Some(letter), Some(journal)) = (&mut self.letter, &self.journal) else {
            return Err(Rejection::internal("a recipient without a letter"));
        };
        let directory = self.desk.directory.current(self.desk.context.clock.tick());
        let config = self.desk.context.config.current();
        let shown = rcpt.path.to_string();
        let shown = shown.trim_matches(['<', '>']);
        let hostname = config.hostname();
        let admitted = match &letter.guest {
            Some(guest) => {
                let from = (guest, &letter.mail.path);
                self.desk.admit_recipient(from, shown, &config, journal)
            }
            None => Ok(()),
        };
        let returned =
            self.desk.returned((letter.rights, &letter.mail.path), rcpt, &directory, &config);
        let houses = Houses {
            directory: &directory,
            elsewhere: &self.desk.elsewhere,
            mta: &config.mta,
            hostname: &hostname,
        };
        let added = returned.and_then(|(door, rcpt)| letter.envelope.add(rcpt, door, houses));
        // Who does not exist is not greylisted: that would only bring the question back.
        let added = match (added, admitted) {
            (Ok(before), Err(rejection)) => {
                letter.envelope.forget(before);
                Err(rejection)
            }
            (Err(rejection), _) if rejection == Rejection::no_such_mailbox() => {
                let counted = letter.guest.as_ref().map(|guest| guest.ip);
                let counted = counted.map_or(Ok(()), |ip| self.desk.unknown_recipient(ip));
                Err(counted.err().unwrap_or(rejection))
            }
            (added, _) => added,
        };
        match added {
            Ok(before) => {
                for target in letter.envelope.targets.iter().skip(before) {
                    if let Some(from) = &target.from {
                        let event = journal.event(Kind::Expanded).to(&target.address);
                        journal.record(event.text(format_args!("from {from}")));
                    }
                }
                Ok(())
            }
            Err(rejection) => {
                tracing::info!(peer = %self.peer, to = shown, %rejection, "recipient refused");
                letter::record_refused(journal, &rejection, Some(shown));
                Err(rejection)
            }
        }
    }

    fn aborted(&mut self, why: &Abort) {
        if self.letter.take().is_none() {
            return;
        }
        let Some(journal) = &self.journal else { return };
        match why {
            Abort::Reset => {}
            Abort::Refused(rejection) => {
                self.count(false);
                letter::record_refused(journal, rejection, None);
            }
            Abort::Gone => {
                let event = journal.event(Kind::Refused).outcome(Outcome::Temporary);
                journal.record(event.peer(&self.shown).text("the client went away in mid-letter"));
            }
        }
    }

    fn observed(&mut self, exchange: Exchange) {
        self.commands = self.commands.saturating_add(1);
        let most = self.desk.context.config.current().limits.commands_per_session;
        if most != 0 && self.commands > most {
            let now = self.driver.clock().tick();
            self.driver.machine().refuse(now, &guard::too_many_commands());
        }
        // The reply to STARTTLS is the last in the clear; it is reported when TLS stands already.
        let under_tls = exchange.verb != Verb::StartTls && self.driver.machine().tls().is_some();
        match &self.journal {
            Some(journal) => journal.answered(&self.shown, under_tls, &exchange),
            None if self.before.len() < LINES_BEFORE => self.before.push((exchange, under_tls)),
            None => {}
        }
    }

    fn count(&self, taken: bool) {
        if taken { self.desk.accepted.increment() } else { self.desk.refused.increment() }
    }

    /// The connection is over, however it ended.
    fn gone(&mut self) {
        self.aborted(&Abort::Gone);
    }
}
