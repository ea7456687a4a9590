//! The dialogue with one client: events of the server machine and of the hop to the MTA, one at a
//! time. What a letter goes through is `letter`'s.

use super::{
    Entrance, Shared,
    header::Origin,
    letter::{Beginning, Letter},
    login::{Exchange, Stepped},
    rights,
};
use directory::Account;
use net::{Driver, Stream};
use protocol::{
    ipc::Granted,
    machine::TlsFacts,
    rejection::{Fault, Rejection},
    reply::{EnhancedCode, ReplyCode},
    smtp::{
        Verb,
        client::Event as RelayEvent,
        server::{
            Abort, AuthQuestion, AuthStep, Event, Hello, Mail, MailQuestion, Server,
            StartTlsQuestion,
        },
    },
};
use service::{Door, Event as TrailEvent, Kind};
use std::sync::Arc;

/// One client's session.
pub(crate) struct Session {
    shared: Arc<Shared>,
    door: Door,
    exchange: Exchange,
    who: Option<Granted>,
    hello: Option<Hello>,
    tls: Option<TlsFacts>,
    letter: Option<Letter>,
}

/// What happened next.
enum Happened {
    Front(Option<Event>),
    Relay(Option<RelayEvent>),
    Drain,
}

type Front = Driver<Server>;

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, door: Door) -> Self {
        Self {
            shared,
            door,
            exchange: Exchange::default(),
            who: None,
            hello: None,
            tls: None,
            letter: None,
        }
    }

    /// Goes on until the connection is over.
    pub(crate) async fn run(&mut self, stream: Stream, entrance: Entrance) {
        let shared = self.shared.clone();
        let config = Arc::new(shared.server_config(&self.door, entrance));
        let machine = Server::new(config, shared.clock.tick());
        let mut front = Driver::new(machine, stream, &shared.clock, &shared.stop);
        if entrance == Entrance::ImplicitTls && !self.begin_tls(&mut front).await {
            return;
        }
        front.machine().greet(shared.clock.tick());
        let mut is_leaving = false;
        loop {
            if is_leaving && !front.machine().is_in_transaction() {
                front.machine().refuse(shared.clock.tick(), &shutting_down());
            }
            match self.happening(&mut front, is_leaving).await {
                Happened::Drain => is_leaving = true,
                Happened::Front(Some(event)) => self.obey(&mut front, event).await,
                Happened::Front(None) => break,
                Happened::Relay(event) => {
                    if let Some(letter) = &mut self.letter {
                        letter.relay_event(&shared, front.machine(), event);
                    }
                }
            }
            if self.letter.as_ref().is_some_and(Letter::is_over) {
                self.leave_letter();
            }
        }
        self.leave_letter();
        self.exchange.cancel(&shared.logins).await;
    }

    /// Waits for the client, the MTA, or the end of the service. Cancel-safe.
    async fn happening(&mut self, front: &mut Front, is_leaving: bool) -> Happened {
        let shared = self.shared.clone();
        let listens = self.letter.as_ref().is_none_or(Letter::listens);
        let relay = self.letter.as_mut().and_then(Letter::relay);
        let relayed = async {
            match relay {
                Some(relay) => relay.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.drain.cancelled(), if !is_leaving => Happened::Drain,
            event = relayed => Happened::Relay(event),
            event = front.next(), if listens => Happened::Front(event),
        }
    }

    async fn obey(&mut self, front: &mut Front, event: Event) {
        let shared = self.shared.clone();
        match event {
            Event::Hello(hello) => {
                self.hello = Some(hello);
                self.leave_letter();
            }
            Event::StartTls(question) => self.start_tls(front, question).await,
            Event::Auth(question, step) => self.login(front, question, step).await,
            // Offered at port 25 only.
            Event::XClient(_) => {}
            Event::AuthCancelled => self.exchange.cancel(&shared.logins).await,
            Event::Mail(question, mail) => self.mail(front, question, mail).await,
            Event::Rcpt(question, rcpt) => match &mut self.letter {
                Some(letter) => {
                    letter.recipient(&shared, front.machine(), (question, rcpt)).await;
                }
                None => {
                    let why = Rejection::internal("a recipient without a letter");
                    front.machine().answer_rcpt(shared.clock.tick(), question, Err(why));
                }
            },
            Event::Body(piece) => {
                let Self { letter, hello, tls, door, .. } = self;
                if let Some(letter) = letter {
                    let origin = origin(hello.as_ref(), tls.as_ref(), door);
                    letter.body(&shared, &origin, &piece).await;
                }
            }
            Event::End(question, _) => {
                let Self { letter, hello, tls, door, .. } = self;
                if let Some(letter) = letter {
                    let origin = origin(hello.as_ref(), tls.as_ref(), door);
                    letter.end(&shared, front.machine(), (question, &origin));
                }
            }
            Event::Aborted(why) => {
                if let (Abort::Refused(why), Some(letter)) = (&why, &self.letter) {
                    letter.record_refusal(&shared, why);
                }
                self.leave_letter();
            }
            Event::Closed(closing) => {
                tracing::debug!(?closing, peer = ?self.door.peer, "session over");
            }
            Event::Exchange(_) => {}
        }
    }

    async fn start_tls(&mut self, front: &mut Front, question: StartTlsQuestion) {
        let now = self.shared.clock.tick();
        if self.shared.tls.is_none() {
            let why = Rejection::internal("STARTTLS without a certificate");
            return front.machine().answer_starttls(now, question, Err(why));
        }
        front.machine().answer_starttls(now, question, Ok(()));
        self.begin_tls(front).await;
    }

    /// The handshake; false when it failed and the connection is over.
    async fn begin_tls(&mut self, front: &mut Front) -> bool {
        let Some(tls) = &self.shared.tls else { return false };
        if let Err(error) = front.accept_tls(tls).await {
            tracing::info!(%error, peer = ?self.door.peer, "no TLS");
            return false;
        }
        if let Some(facts) = front.machine().tls() {
            self.door = self.door.clone().under_tls(facts);
            self.tls = Some(facts.clone());
        }
        // RFC 3207 §4.2: what was said before is forgotten.
        self.hello = None;
        true
    }

    async fn login(&mut self, front: &mut Front, question: AuthQuestion, step: AuthStep) {
        let shared = self.shared.clone();
        let Stepped { answer, granted } =
            self.exchange.step(&shared.logins, &self.door, step).await;
        if granted.is_some() {
            self.who = granted;
        }
        front.machine().answer_auth(shared.clock.tick(), question, answer);
    }

    async fn mail(&mut self, front: &mut Front, question: MailQuestion, mail: Mail) {
        let shared = self.shared.clone();
        let Mail { path, parameters } = mail;
        let account = self.account();
        let begun = async {
            let account = account?;
            let snapshot = shared.directory.current(shared.clock.tick());
            rights::envelope(&snapshot, &account, &path)?;
            Letter::begin(&shared, Beginning { account, path, parameters }).await
        };
        let verdict = match begun.await {
            Ok(letter) => {
                self.record_login(&letter);
                self.letter = Some(letter);
                Ok(())
            }
            Err(why) => {
                shared.counts.refused.increment();
                tracing::info!(
                    peer = ?self.door.peer, cause = why.cause(), "sender refused: {}", why.text()
                );
                Err(why)
            }
        };
        front.machine().answer_mail(shared.clock.tick(), question, verdict);
    }

    /// The account as it is now: it may have been removed since the login.
    fn account(&self) -> Result<Arc<Account>, Rejection> {
        let granted = self.who.as_ref().ok_or_else(login_first)?;
        let snapshot = self.shared.directory.current(self.shared.clock.tick());
        snapshot.login(&granted.account).cloned().ok_or_else(login_first)
    }

    fn record_login(&self, letter: &Letter) {
        let Some(granted) = &self.who else { return };
        let mut event = TrailEvent::new(Kind::Authenticated, letter.journey())
            .text(format!("{} by {}", granted.account, granted.mechanism));
        event.peer = self.door.peer.map(|peer| peer.to_string());
        self.shared.trail.record(event);
    }

    fn leave_letter(&mut self) {
        if let Some(letter) = self.letter.take() {
            letter.leave(&self.shared);
        }
    }
}

fn origin<'a>(hello: Option<&'a Hello>, tls: Option<&'a TlsFacts>, door: &Door) -> Origin<'a> {
    Origin {
        hello: hello.map(|hello| &*hello.name),
        peer: door.peer,
        tls,
        is_plain: hello.is_some_and(|hello| hello.verb == Verb::Helo),
    }
}

/// RFC 4954 §6: 530 5.7.0.
fn login_first() -> Rejection {
    Rejection::permanent(
        ReplyCode::AUTH_REQUIRED,
        EnhancedCode::permanent(7, 0),
        Fault::Policy,
        "log in first",
    )
}

/// RFC 5321 §3.8.
fn shutting_down() -> Rejection {
    Rejection::temporary(
        ReplyCode::UNAVAILABLE,
        EnhancedCode::temporary(3, 2),
        Fault::Ours,
        "shutting down, try again in a moment",
    )
}
