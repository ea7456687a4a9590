//! A client of the milter protocol, version 6, which filters made for Sendmail and Postfix speak:
//! a letter is shown to the filter step by step, and it says what to do and which header fields to
//! change. `packet` is the form on the wire, `change` what becomes of the header. The connection is
//! given; a filter that breaks the rules is an error with a reason, and never stops the caller.
//!
//! Not offered to filters: changing the body, the envelope or the recipients.

pub mod change;
mod packet;

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use disk::Body;
use message::header;
use net::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub use self::change::Change;

use self::packet::{Reply, Step};
use crate::limits;

/// A letter and who brings it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The header block, with the empty line.
    pub header: &'a [u8],
    /// The whole letter.
    pub letter: &'a Body,
    /// From where.
    pub ip: Option<IpAddr>,
    /// The name of that address, if it has one.
    pub host: &'a str,
    /// By what name.
    pub helo: &'a str,
    /// The reverse-path, without brackets.
    pub sender: &'a str,
    /// The recipients, without brackets.
    pub recipients: &'a [String],
    /// The journey: the macro `i`.
    pub id: &'a str,
    /// Our name: the macro `j`.
    pub receiver: &'a str,
}

/// What a filter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What to do.
    pub decision: Decision,
    /// What to change of the header, in order.
    pub changes: Vec<Change>,
}

/// What to do with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Take it.
    Take,
    /// Take it, and put it aside, for this reason.
    Quarantine(String),
    /// Say yes and drop it.
    Discard,
    /// Refuse it: three digits, and what follows.
    Refuse(u16, String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MilterError(pub String);

/// Shows a letter to a filter. Bounded in octets; the caller bounds the time.
///
/// # Errors
/// What went wrong, in words.
pub async fn check(stream: Stream, question: Question<'_>) -> Result<Answer, MilterError> {
    let mut talk = Talk { stream, skipped: 0, silent: 0 };
    talk.negotiate().await?;
    let decision = talk.show(question).await?;
    match decision {
        Some(decision) => Ok(Answer { decision, changes: Vec::new() }),
        None => talk.end().await,
    }
}

struct Talk {
    stream: Stream,
    /// Steps that the filter does not want to see.
    skipped: u32,
    /// Steps to which it does not reply.
    silent: u32,
}

impl Talk {
    async fn negotiate(&mut self) -> Result<(), MilterError> {
        self.send(&packet::offer()).await?;
        let (command, data) = self.receive().await?;
        if command != b'O' {
            return Err(MilterError("it does not negotiate".to_owned()));
        }
        let (skipped, silent) = packet::agreed(&data).map_err(MilterError)?;
        (self.skipped, self.silent) = (skipped, silent);
        Ok(())
    }

    /// All but the end; a decision ends it early.
    async fn show(&mut self, question: Question<'_>) -> Result<Option<Decision>, MilterError> {
        let macros = [("j", question.receiver), ("{daemon_name}", "posthaste")];
        self.send(&packet::macros(b'C', &macros)).await?;
        let connect = packet::connect(question.host, question.ip);
        let mut steps =
            vec![(Step::Connect, connect), (Step::Helo, packet::text(b'H', question.helo))];
        let id = [("i", question.id)];
        let sender = format!("<{}>", question.sender);
        steps.push((Step::Mail, packet::text(b'M', &sender)));
        for (step, packet) in steps {
            if step == Step::Mail {
                self.send(&packet::macros(b'M', &id)).await?;
            }
            if let Some(decision) = self.step(step, &packet).await? {
                return Ok(Some(decision));
            }
        }
        if let Some(decision) = self.recipients(question.recipients).await? {
            return Ok(Some(decision));
        }
        if let Some(decision) = self.step(Step::Data, &packet::bare(b'T')).await? {
            return Ok(Some(decision));
        }
        for field in header::fields(question.header) {
            let packet = packet::field(field.name(question.header), field.value(question.header));
            if let Some(decision) = self.step(Step::Header, &packet).await? {
                return Ok(Some(decision));
            }
        }
        if let Some(decision) = self.step(Step::EndOfHeader, &packet::bare(b'N')).await? {
            return Ok(Some(decision));
        }
        self.body(question).await
    }

    /// A filter may refuse recipients one by one; the letter is refused when it refuses all.
    async fn recipients(&mut self, all: &[String]) -> Result<Option<Decision>, MilterError> {
        let mut refused = None;
        let mut taken = false;
        for recipient in all.iter().take(limits::MILTER_RECIPIENTS) {
            let packet = packet::text(b'R', &format!("<{recipient}>"));
            match self.step(Step::Rcpt, &packet).await? {
                None => taken = true,
                Some(Decision::Refuse(code, text)) => refused = Some(Decision::Refuse(code, text)),
                Some(decision) => return Ok(Some(decision)),
            }
        }
        Ok(refused.filter(|_| !taken))
    }

    async fn body(&mut self, question: Question<'_>) -> Result<Option<Decision>, MilterError> {
        if Step::Body.is_in(self.skipped) {
            return Ok(None);
        }
        let mut skip = question.header.len();
        for chunk in question.letter.chunks() {
            let chunk = chunk.map_err(|error| MilterError(format!("cannot read: {error}")))?;
            let body = chunk.get(skip.min(chunk.len())..).unwrap_or_default();
            skip = skip.saturating_sub(chunk.len());
            for piece in body.chunks(limits::MILTER_CHUNK) {
                self.send(&packet::of(b'B', piece)).await?;
                if Step::Body.is_in(self.silent) {
                    continue;
                }
                match self.reply().await? {
                    Reply::Skip => return Ok(None),
                    reply => match reply.decision() {
                        Some(decision) => return Ok(Some(decision)),
                        None => continue,
                    },
                }
            }
        }
        Ok(None)
    }

    /// Shows one step, unless the filter does not want it; a decision, if it makes one.
    async fn step(&mut self, step: Step, packet: &[u8]) -> Result<Option<Decision>, MilterError> {
        if step.is_in(self.skipped) {
            return Ok(None);
        }
        self.send(packet).await?;
        if step.is_in(self.silent) {
            return Ok(None);
        }
        Ok(self.reply().await?.decision())
    }

    /// The end of the letter: changes, then a decision.
    async fn end(&mut self) -> Result<Answer, MilterError> {
        self.send(&packet::bare(b'E')).await?;
        let mut changes = Vec::new();
        let mut aside = None;
        loop {
            match self.reply().await? {
                Reply::Change(change) if changes.len() < limits::MILTER_CHANGES => {
                    changes.push(change);
                }
                Reply::Change(_) => return Err(MilterError("it changes without end".to_owned())),
                Reply::Quarantine(reason) => aside = Some(reason),
                reply => {
                    let _ = self.send(&packet::bare(b'Q')).await;
                    let decision = match (reply.decision(), aside) {
                        (None | Some(Decision::Take), Some(reason)) => Decision::Quarantine(reason),
                        (decision, _) => decision.unwrap_or(Decision::Take),
                    };
                    return Ok(Answer { decision, changes });
                }
            }
        }
    }

    async fn reply(&mut self) -> Result<Reply, MilterError> {
        for _ in 0..limits::MILTER_PROGRESS {
            let (command, data) = self.receive().await?;
            match packet::reply(command, data).map_err(MilterError)? {
                // It is busy; the caller's time runs.
                Reply::Progress => {}
                reply => return Ok(reply),
            }
        }
        Err(MilterError("it says that it works, without end".to_owned()))
    }

    async fn send(&mut self, packet: &[u8]) -> Result<(), MilterError> {
        let sent = self.stream.write_all(packet).await;
        sent.map_err(|error| MilterError(format!("the connection broke: {error}")))
    }

    async fn receive(&mut self) -> Result<(u8, Bytes), MilterError> {
        let broken = |error: std::io::Error| MilterError(format!("the connection broke: {error}"));
        let length = self.stream.read_u32().await.map_err(broken)? as usize;
        if length == 0 || length > limits::MILTER_PACKET {
            return Err(MilterError(format!("a packet of {length} octets")));
        }
        let mut packet = vec![0; length];
        self.stream.read_exact(&mut packet).await.map_err(broken)?;
        let mut packet = Bytes::from(packet);
        let command = packet.split_to(1);
        Ok((command.first().copied().unwrap_or(0), packet))
    }
}

impl fmt::Display for MilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MilterError {}
