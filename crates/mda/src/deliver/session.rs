//! The dialogue with one LMTP client: questions of the machine, answered. What a letter goes
//! through is `letter`'s.

use std::sync::Arc;

use net::{Driver, Stream};
use protocol::rejection::Rejection;
use protocol::smtp::server::{
    EndAnswer, Event, Hello, Mail, MailQuestion, Rcpt, RcptQuestion, Server,
};

use super::Deliveries;
use super::letter::Letter;

/// One client's session.
pub(super) struct Session {
    shared: Arc<Deliveries>,
    hello: Option<Hello>,
    letter: Option<Letter>,
}

type Front = Driver<Server>;

impl Session {
    pub(super) fn new(shared: Arc<Deliveries>) -> Self {
        Session { shared, hello: None, letter: None }
    }

    /// Goes on until the connection is over.
    pub(super) async fn run(&mut self, stream: Stream) {
        let shared = self.shared.clone();
        let config = Arc::new(shared.server_config());
        let machine = Server::new(config, shared.clock.tick());
        let mut front = Driver::new(machine, stream, &shared.clock, &shared.stop);
        front.machine().greet(shared.clock.tick());
        let mut is_leaving = false;
        loop {
            if is_leaving && !front.machine().is_in_transaction() {
                front.machine().refuse(shared.clock.tick(), &Rejection::shutting_down());
            }
            tokio::select! {
                biased;
                event = front.next() => match event {
                    Some(event) => self.obey(&mut front, event).await,
                    None => break,
                },
                () = shared.drain.cancelled(), if !is_leaving => is_leaving = true,
            }
        }
    }

    async fn obey(&mut self, front: &mut Front, event: Event) {
        let now = self.shared.clock.tick();
        match event {
            Event::Hello(hello) => {
                self.hello = Some(hello);
                self.letter = None;
            }
            Event::Mail(question, mail) => self.mail(front, question, mail),
            Event::Rcpt(question, rcpt) => self.rcpt(front, question, rcpt).await,
            Event::Body(piece) => {
                if let Some(letter) = &mut self.letter {
                    letter.body(&piece);
                }
            }
            Event::End(question, _) => {
                let answer = match self.letter.take() {
                    Some(letter) => letter.end(&self.shared, self.hello.as_ref()).await,
                    None => EndAnswer::Whole(Err(Rejection::internal("data without MAIL"))),
                };
                front.machine().answer_end(self.shared.clock.tick(), question, answer);
            }
            Event::Aborted(_) => self.letter = None,
            // Neither is offered on this socket: the machine refuses both by itself.
            Event::StartTls(question) => {
                let why = Rejection::internal("STARTTLS on a Unix socket");
                front.machine().answer_starttls(now, question, Err(why));
            }
            Event::Auth(question, _) => {
                let why = Rejection::internal("AUTH on a Unix socket");
                let answer = protocol::smtp::server::AuthAnswer::Failure(why);
                front.machine().answer_auth(now, question, answer);
            }
            // Offered at port 25 only.
            Event::XClient(_) => {}
            Event::AuthCancelled | Event::Exchange(_) => {}
            Event::Closed(closing) => tracing::debug!(?closing, "LMTP session over"),
        }
    }

    fn mail(&mut self, front: &mut Front, question: MailQuestion, mail: Mail) {
        let verdict = match Letter::begin(&self.shared, mail) {
            Ok(letter) => {
                self.letter = Some(letter);
                Ok(())
            }
            Err(why) => Err(why),
        };
        front.machine().answer_mail(self.shared.clock.tick(), question, verdict);
    }

    async fn rcpt(&mut self, front: &mut Front, question: RcptQuestion, rcpt: Rcpt) {
        let verdict = match &mut self.letter {
            Some(letter) => letter.recipient(&self.shared, &rcpt.path).await,
            None => Err(Rejection::internal("RCPT without MAIL")),
        };
        front.machine().answer_rcpt(self.shared.clock.tick(), question, verdict);
    }
}
