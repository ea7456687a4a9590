//! One letter: MAIL, RCPT, and the body by DATA or BDAT. Commands go out as far as the server's
//! PIPELINING and our pace allow; each reply is matched to its recipient.

use bytes::BufMut;

use super::super::transparency::DataWriter;
use super::super::{BodyType, Capabilities, MailParameters, RcptParameters, Verb};
use super::config::{Chunking, Pace};
use super::event::{Answer, By, Event, Failure, Fate, Outcome};
use super::state::State;
use super::wire::Wire;
use crate::address::{Address, ForwardPath, ReversePath};
use crate::limits;
use crate::machine::Tick;
use crate::rejection::{Fault, Rejection};
use crate::reply::{EnhancedCode, ReplyCode};

/// A letter that is on its way.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) capabilities: Capabilities,
    /// Why MAIL was not accepted, by the server or by us, if it was not.
    obstacle: Option<Answer>,
    smtputf8: bool,
    /// The fate of each recipient as far as it is known.
    fates: Vec<Option<Answer>>,
    /// How many RCPTs have been answered.
    answered: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Recipients are gathered.
    Envelope,
    /// The body is announced to us; recipients are not all answered, and BDAT waits for them.
    Recipients { size: u64 },
    /// DATA was said.
    GoAhead,
    /// The body is being sent by DATA.
    Data(DataWriter),
    /// The body is being sent by BDAT.
    Chunk { remaining: u64 },
    /// The body is sent; of the accepted recipients so many have their final answer.
    Verdict { answered: usize },
    /// The body was not wanted by any recipient; the reply to its empty end is awaited.
    Nobody,
}

impl Transaction {
    /// MAIL.
    pub(super) fn begin(
        capabilities: Capabilities,
        sender: (&ReversePath, &MailParameters),
        wire: &mut Wire,
        now: Tick,
    ) -> State {
        let (path, parameters) = sender;
        let smtputf8 = parameters.smtputf8 || path.address().is_some_and(Address::needs_smtputf8);
        let transaction = Transaction {
            obstacle: obstacle(&capabilities, parameters, smtputf8).map(|r| ours(Verb::Mail, &r)),
            capabilities,
            smtputf8,
            fates: Vec::new(),
            answered: 0,
            stage: Stage::Envelope,
        };
        if let Some(obstacle) = &transaction.obstacle {
            wire.event(Event::Mail(obstacle.clone()));
            return State::Transaction(Box::new(transaction));
        }
        let mut line = format!("MAIL FROM:{path}");
        let parameters = MailParameters { smtputf8, ..parameters.clone() };
        parameters.print(&transaction.capabilities, &mut line);
        wire.send(now, Verb::Mail, line);
        State::Transaction(Box::new(transaction))
    }

    /// RCPT.
    pub(super) fn recipient(
        &mut self,
        recipient: (&ForwardPath, &RcptParameters),
        wire: &mut Wire,
        now: Tick,
    ) {
        let (path, parameters) = recipient;
        let index = self.fates.len();
        let unsayable = path.address().is_some_and(Address::needs_smtputf8) && !self.smtputf8;
        if self.obstacle.as_ref().is_some_and(|o| o.by == By::Us) || unsayable {
            let answer = match &self.obstacle {
                Some(obstacle) => obstacle.clone(),
                None => ours(Verb::Rcpt, &needs_smtputf8()),
            };
            self.fates.push(Some(answer.clone()));
            wire.event(Event::Recipient(index, answer));
            return;
        }
        self.fates.push(None);
        let mut line = format!("RCPT TO:{path}");
        parameters.print(&self.capabilities, &mut line);
        wire.send(now, Verb::Rcpt, line);
    }

    /// No more recipients; the body follows, of so many octets if that is known.
    pub(super) fn body(
        mut self: Box<Self>,
        size: Option<u64>,
        wire: &mut Wire,
        now: Tick,
    ) -> State {
        if !matches!(self.stage, Stage::Envelope) {
            return State::Transaction(self);
        }
        if self.obstacle.as_ref().is_some_and(|o| o.by == By::Us) {
            return self.finish(wire, now);
        }
        let chunks = self.capabilities.chunking
            && self.capabilities.pipelining
            && wire.config.chunking == Chunking::WhenOffered;
        match size {
            Some(size) if chunks => {
                if wire.config.pace == Pace::Eager && !self.is_hopeless() {
                    self.send_chunk(size, wire, now);
                    return State::Transaction(self);
                }
                self.stage = Stage::Recipients { size };
                self.go_on(wire, now)
            }
            _ if self.is_hopeless() => self.finish(wire, now),
            _ => {
                // RFC 2920 §3.1: DATA may end a pipelined group.
                wire.send(now, Verb::Data, "DATA".into());
                self.stage = Stage::GoAhead;
                State::Transaction(self)
            }
        }
    }

    /// Every answer so far is in, and none is a yes.
    fn is_hopeless(&self) -> bool {
        self.obstacle.is_some()
            || (self.answered_all() && !self.fates.iter().flatten().any(Answer::is_success))
    }

    fn answered_all(&self) -> bool {
        self.fates.iter().all(Option::is_some)
    }

    fn send_chunk(&mut self, size: u64, wire: &mut Wire, now: Tick) {
        wire.send(now, Verb::Bdat, format!("BDAT {size} LAST"));
        self.stage = Stage::Chunk { remaining: size };
        wire.event(Event::BodyWanted);
    }

    /// Recipients are answered: BDAT can follow.
    fn go_on(mut self: Box<Self>, wire: &mut Wire, now: Tick) -> State {
        if let Stage::Recipients { size } = self.stage
            && self.answered_all()
        {
            if self.is_hopeless() {
                return self.finish(wire, now);
            }
            self.send_chunk(size, wire, now);
        }
        State::Transaction(self)
    }

    /// A piece of the body.
    pub(super) fn push(&mut self, piece: &[u8], wire: &mut Wire, now: Tick) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Data(writer) => writer.write(piece, &mut wire.output),
            Stage::Chunk { remaining } => {
                let size = piece.len() as u64;
                *remaining = remaining.checked_sub(size).ok_or(Failure::Abandoned)?;
                wire.output.put_slice(piece);
            }
            _ => return Ok(()),
        }
        wire.quiet_since = now;
        Ok(())
    }

    /// The body is whole.
    pub(super) fn end(&mut self, wire: &mut Wire, now: Tick) -> Result<(), Failure> {
        match std::mem::replace(&mut self.stage, Stage::Verdict { answered: 0 }) {
            Stage::Data(writer) => {
                writer.finish(&mut wire.output);
                wire.expect(now, Verb::EndOfData, ".");
                self.expect_more(wire, now, Verb::EndOfData);
                Ok(())
            }
            Stage::Chunk { remaining: 0 } => Ok(()),
            // The server waits for octets that we do not have.
            Stage::Chunk { .. } => Err(Failure::Abandoned),
            other => {
                self.stage = other;
                Ok(())
            }
        }
    }

    /// RFC 2033 §4.2: over LMTP, a reply for each accepted recipient.
    fn expect_more(&self, wire: &mut Wire, now: Tick, verb: Verb) {
        if wire.is_lmtp() {
            let accepted = self.fates.iter().flatten().filter(|a| a.is_success()).count();
            for _ in 1..accepted {
                wire.expect(now, verb, ".");
            }
        }
    }

    /// The body can be pushed now.
    pub(super) fn wants_body(&self) -> bool {
        matches!(self.stage, Stage::Data(_) | Stage::Chunk { .. })
    }

    /// Obeys a reply.
    pub(super) fn obey(
        mut self: Box<Self>,
        answer: Answer,
        wire: &mut Wire,
        now: Tick,
    ) -> Result<State, Failure> {
        Ok(match answer.verb {
            Verb::Mail => {
                if !answer.is_success() {
                    self.obstacle = Some(answer.clone());
                }
                wire.event(Event::Mail(answer));
                State::Transaction(self)
            }
            Verb::Rcpt => self.rcpt_answered(answer, wire, now),
            Verb::Data => self.data_answered(answer, wire, now),
            // The server waits for the rest of the body, or does not: there is no way to know.
            Verb::Bdat if self.wants_body() && !self.is_sent() => {
                return Err(self.refused_by(answer, wire));
            }
            Verb::Bdat | Verb::EndOfData => self.end_answered(answer, wire, now),
            // The RSET of the letter before.
            Verb::Rset if answer.is_success() => State::Transaction(self),
            // A reply to nothing: the server is not in step with us.
            _ => return Err(self.refused_by(answer, wire)),
        })
    }

    /// Every octet of the body is on its way.
    fn is_sent(&self) -> bool {
        matches!(self.stage, Stage::Chunk { remaining: 0 })
    }

    fn rcpt_answered(mut self: Box<Self>, answer: Answer, wire: &mut Wire, now: Tick) -> State {
        // What MAIL was told is the reason that counts, not the 503 that follows from it.
        let answer = match &self.obstacle {
            Some(obstacle) => obstacle.clone(),
            None => answer,
        };
        if let Some(index) = self.fates.iter().position(Option::is_none) {
            if let Some(fate) = self.fates.get_mut(index) {
                *fate = Some(answer.clone());
            }
            self.answered += 1;
            wire.event(Event::Recipient(index, answer));
        }
        self.go_on(wire, now)
    }

    fn data_answered(mut self: Box<Self>, answer: Answer, wire: &mut Wire, now: Tick) -> State {
        if answer.reply.code != ReplyCode::START_DATA {
            self.settle(&answer);
            return self.finish(wire, now);
        }
        if self.is_hopeless() {
            // RFC 2920 §3.1: the server waits for data that nobody is to get.
            wire.output.put_slice(b".\r\n");
            wire.expect(now, Verb::EndOfData, ".");
            self.stage = Stage::Nobody;
            return State::Transaction(self);
        }
        self.stage = Stage::Data(DataWriter::new());
        wire.quiet_since = now;
        wire.event(Event::BodyWanted);
        State::Transaction(self)
    }

    fn end_answered(mut self: Box<Self>, answer: Answer, wire: &mut Wire, now: Tick) -> State {
        let answered = match self.stage {
            Stage::Nobody => return self.finish(wire, now),
            Stage::Verdict { answered } => answered,
            // All octets were pushed, and the agent has not said yet that it knows.
            _ => 0,
        };
        if self.is_hopeless() || !wire.is_lmtp() {
            self.settle(&answer);
            return self.finish(wire, now);
        }
        if answered == 0 && answer.verb == Verb::Bdat {
            self.expect_more(wire, now, Verb::Bdat);
        }
        // Accepted recipients are answered in their order. RFC 2033 §4.2.
        let mut accepted = self.fates.iter_mut().flatten().filter(|f| awaits_verdict(f));
        if let Some(fate) = accepted.next() {
            *fate = answer;
        }
        if accepted.next().is_none() {
            return self.finish(wire, now);
        }
        if let Stage::Verdict { answered } = &mut self.stage {
            *answered += 1;
        }
        State::Transaction(self)
    }

    /// This answer decides for all that RCPT was accepted for.
    fn settle(&mut self, answer: &Answer) {
        for fate in self.fates.iter_mut().flatten().filter(|fate| awaits_verdict(fate)) {
            *fate = answer.clone();
        }
    }

    fn finish(self, wire: &mut Wire, now: Tick) -> State {
        let ended = |fate: &Answer| matches!(fate.verb, Verb::EndOfData | Verb::Bdat);
        if self.obstacle.is_none() && !self.fates.iter().flatten().any(ended) {
            // The server still has our MAIL; the next letter must not meet it.
            wire.send(now, Verb::Rset, "RSET".into());
        }
        let missing = || Fate::Unanswered(Failure::Abandoned);
        let fates = self.fates.into_iter().map(|fate| fate.map_or_else(missing, Fate::Answered));
        wire.event(Event::Finished(Outcome { recipients: fates.collect() }));
        State::Ready(self.capabilities)
    }

    /// The server closes with this answer: it decides for all that have none.
    pub(super) fn refused_by(mut self, answer: Answer, wire: &mut Wire) -> Failure {
        // A server that answers in the midst of the body answers to the body.
        if self.wants_body() || matches!(answer.verb, Verb::EndOfData | Verb::Bdat) {
            self.settle(&Answer { verb: Verb::EndOfData, ..answer.clone() });
        }
        let failure = Failure::Refused(answer);
        self.fail(&failure, wire);
        failure
    }

    /// The connection is lost.
    pub(super) fn fail(self, failure: &Failure, wire: &mut Wire) {
        let fates = self.fates.into_iter().map(|fate| match fate {
            Some(answer) if !awaits_verdict(&answer) => Fate::Answered(answer),
            _ => Fate::Unanswered(failure.clone()),
        });
        wire.event(Event::Finished(Outcome { recipients: fates.collect() }));
    }

    /// The agent drops the letter.
    pub(super) fn reset(self, wire: &mut Wire, now: Tick) -> Result<State, Failure> {
        match self.stage {
            Stage::Envelope | Stage::Recipients { .. } if self.obstacle.is_none() => {
                wire.disown();
                wire.send(now, Verb::Rset, "RSET".into());
                Ok(State::Ready(self.capabilities))
            }
            Stage::Envelope | Stage::Recipients { .. } => {
                wire.disown();
                Ok(State::Ready(self.capabilities))
            }
            // Once the body is announced there is no way back but to hang up.
            _ => Err(Failure::Abandoned),
        }
    }
}

/// The recipient was accepted at RCPT, and the letter has no answer yet.
fn awaits_verdict(answer: &Answer) -> bool {
    answer.verb == Verb::Rcpt && answer.is_success()
}

/// What the letter needs and the server does not offer.
fn obstacle(
    capabilities: &Capabilities,
    parameters: &MailParameters,
    smtputf8: bool,
) -> Option<Rejection> {
    if let Some(size) = parameters.size
        && capabilities.refuses_size(size)
    {
        let limit = match capabilities.size {
            super::super::capabilities::SizeOffer::Limit(limit) => limit,
            _ => size,
        };
        // RFC 1870 §6.1: not to be tried.
        return Some(Rejection::too_large(limit));
    }
    if smtputf8 && !capabilities.smtputf8 {
        return Some(needs_smtputf8());
    }
    if parameters.requiretls && !capabilities.requiretls && !capabilities.xposthaste {
        // RFC 8689 §4.2.1 and §5: given back with 5.7.30.
        return Some(Rejection::permanent(
            ReplyCode::MAILBOX_UNAVAILABLE,
            EnhancedCode::permanent(7, 30),
            Fault::Recipient,
            "the letter requires TLS on its whole way, which the receiving server does not promise",
        ));
    }
    if parameters.body == Some(BodyType::EightBitMime) && !capabilities.eight_bit_mime {
        // RFC 6152 §3.
        return Some(Rejection::permanent(
            ReplyCode::FAILED,
            EnhancedCode::permanent(6, 3),
            Fault::Recipient,
            "the letter has 8-bit text and the receiving server does not take it",
        ));
    }
    None
}

// RFC 6531 §3.5.
fn needs_smtputf8() -> Rejection {
    Rejection::permanent(
        ReplyCode::BAD_MAILBOX_NAME,
        EnhancedCode::permanent(6, 7),
        Fault::Recipient,
        "the letter needs SMTPUTF8 and the receiving server does not offer it",
    )
}

fn ours(verb: Verb, rejection: &Rejection) -> Answer {
    Answer { verb, reply: rejection.to_reply(), by: By::Us }
}

/// Whether more of a body may be pushed.
pub(super) fn has_room(wire: &Wire) -> bool {
    wire.output.len() < limits::BODY_WAITING
}
