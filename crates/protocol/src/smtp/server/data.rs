//! The body: DATA, BDAT (RFC 3030), and the question at its end.

use bytes::BytesMut;

use super::super::Verb;
use super::super::transparency::{ChunkReader, DataProgress, DataReader, Tally, Violation};
use super::event::{Abort, BodyFacts, Closing, EndAnswer, EndQuestion, Event, Verdict};
use super::mail::Envelope;
use super::state::{Command, Progress, Session, State, bad_sequence, bad_syntax, close_with};
use super::wire::{Asked, Wire};
use crate::machine::Tick;
use crate::rejection::{Fault, Rejection};
use crate::reply::{EnhancedCode, Reply, ReplyCode};

/// Octets of a refused chunk that we read and drop, to stay in step with the client.
const SWALLOWED_MOST: u64 = 64 * 1024 * 1024;

/// Within the data of DATA.
#[derive(Debug)]
pub(super) struct Data {
    session: Session,
    recipients: usize,
    reader: DataReader,
    pub(super) since: Tick,
}

/// Between two chunks of BDAT.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) session: Session,
    recipients: usize,
    reader: ChunkReader,
    pub(super) since: Tick,
}

/// Within a chunk of BDAT.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) chunks: Chunks,
    size: u64,
    remaining: u64,
    position: Position,
    asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Middle,
    Last,
}

/// Within a chunk that nobody wants; the refusal comes after it.
#[derive(Debug)]
pub(super) struct Swallow {
    pub(super) back: Box<State>,
    remaining: u64,
    asked: Asked,
    rejection: Rejection,
}

/// The agent is asked about the letter.
#[derive(Debug)]
pub(super) struct AwaitEnd {
    session: Session,
    question: u64,
    recipients: usize,
    asked: Asked,
}

/// DATA.
pub(super) fn obey_data(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let refusal = if !command.rest.trim().is_empty() {
        bad_syntax("DATA takes no parameters")
    } else if let Some(rejection) = out_of_place(&state) {
        rejection
    } else if let State::Envelope(Envelope { session, accepted, .. }) = state {
        let text = "go ahead, end with CRLF.CRLF";
        wire.reply(now, command.asked, Reply::plain(ReplyCode::START_DATA, text));
        let reader = DataReader::new(wire.config.text_line_limit);
        return State::Data(Data { session, recipients: accepted, reader, since: now });
    } else {
        // RFC 3030 §3: DATA and BDAT cannot be mixed.
        bad_sequence("BDAT has begun, DATA cannot follow")
    };
    wire.refuse(now, command.asked, &refusal);
    state
}

/// Why no body can come now, if none can; `None` in an envelope with recipients, and among chunks.
fn out_of_place(state: &State) -> Option<Rejection> {
    match state {
        State::Envelope(envelope) => envelope.without_recipients(),
        State::Chunks(_) => None,
        State::Greeted => Some(bad_sequence("say EHLO first")),
        _ => Some(bad_sequence("say MAIL first")),
    }
}

/// BDAT.
pub(super) fn obey_bdat(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let Some((size, position)) = read_bdat(command.rest) else {
        // How many octets follow is not known, so nothing after this line can be understood.
        let rejection = bad_syntax("say BDAT size [LAST]; closing the connection");
        return close_with(wire, now, &rejection, Closing::NotSmtp);
    };
    let rejection = match out_of_place(&state) {
        Some(rejection) => rejection,
        None => {
            let chunks = match state {
                State::Chunks(chunks) => chunks,
                State::Envelope(Envelope { session, accepted, .. }) => Chunks {
                    session,
                    recipients: accepted,
                    reader: ChunkReader::new(wire.config.text_line_limit),
                    since: now,
                },
                other => return other,
            };
            let asked = command.asked;
            return State::Chunk(Chunk { chunks, size, remaining: size, position, asked });
        }
    };
    // RFC 3030 §2: the octets come whatever we think of them.
    if size > SWALLOWED_MOST.max(wire.config.size_limit.saturating_mul(2)) {
        return close_with(wire, now, &rejection, Closing::NotSmtp);
    }
    let back = Box::new(state);
    State::Swallow(Swallow { back, remaining: size, asked: command.asked, rejection })
}

fn read_bdat(rest: &str) -> Option<(u64, Position)> {
    let mut words = rest.split_ascii_whitespace();
    let size = words.next().filter(|w| w.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    let position = match words.next() {
        None => Position::Middle,
        Some(word) if word.eq_ignore_ascii_case("LAST") => Position::Last,
        Some(_) => return None,
    };
    words.next().is_none().then_some((size, position))
}

impl Data {
    pub(super) fn step(mut self, wire: &mut Wire, now: Tick) -> (State, Progress) {
        if wire.input.is_empty() {
            return (State::Data(self), Progress::Stuck);
        }
        let mut input = std::mem::take(&mut wire.input);
        let limit = limit_of(wire);
        let before = self.reader.tally.octets;
        let mut passed = before;
        let progress = self.reader.read(&mut input, |piece| {
            passed += piece.len() as u64;
            if passed <= limit {
                wire.event(Event::Body(piece));
            }
        });
        wire.input = input;
        wire.release_input();
        if progress == DataProgress::More {
            return (State::Data(self), Progress::Moved);
        }
        let asked = wire.asked(now, Verb::EndOfData, ".");
        if progress == DataProgress::DoubtfulEnd {
            let rejection = refusal(&self.reader.tally, wire).unwrap_or_else(not_clean);
            wire.abort = Some(Abort::Refused(rejection.clone()));
            return (close_with(wire, now, &rejection, Closing::Smuggling), Progress::Moved);
        }
        let Data { session, recipients, reader, .. } = self;
        let whole = Whole { session, recipients, tally: reader.tally };
        (whole.finish(wire, now, asked), Progress::Moved)
    }
}

impl Chunk {
    pub(super) fn step(mut self, wire: &mut Wire, now: Tick) -> (State, Progress) {
        let take = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(wire.input.len());
        if take == 0 && self.remaining > 0 {
            return (State::Chunk(self), Progress::Stuck);
        }
        if take > 0 {
            let piece = wire.input.split_to(take).freeze();
            wire.release_input();
            self.remaining -= take as u64;
            let reader = &mut self.chunks.reader;
            reader.look(&piece);
            if reader.tally.octets <= limit_of(wire) && reader.tally.violation.is_none() {
                wire.event(Event::Body(piece));
            }
        }
        if self.remaining > 0 {
            return (State::Chunk(self), Progress::Moved);
        }
        let Chunk { mut chunks, size, position, asked, .. } = self;
        if position == Position::Last {
            chunks.reader.finish();
            let Chunks { session, recipients, reader, .. } = chunks;
            let whole = Whole { session, recipients, tally: reader.tally };
            return (whole.finish(wire, now, asked), Progress::Moved);
        }
        if let Some(rejection) = refusal(&chunks.reader.tally, wire) {
            // RFC 3030 §2: after a refused chunk the transaction is over.
            wire.refuse(now, asked, &rejection);
            wire.event(Event::Aborted(Abort::Refused(rejection)));
            return (State::Ready(chunks.session), Progress::Moved);
        }
        let text = format!("{size} octets received");
        wire.reply(now, asked, Reply::new(ReplyCode::OK, EnhancedCode::success(0, 0), text));
        (State::Chunks(chunks), Progress::Moved)
    }
}

impl Swallow {
    pub(super) fn step(mut self, wire: &mut Wire, now: Tick) -> (State, Progress) {
        let take = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(wire.input.len());
        if take == 0 && self.remaining > 0 {
            return (State::Swallow(self), Progress::Stuck);
        }
        drop::<BytesMut>(wire.input.split_to(take));
        wire.release_input();
        self.remaining -= take as u64;
        if self.remaining > 0 {
            return (State::Swallow(self), Progress::Moved);
        }
        wire.refuse(now, self.asked, &self.rejection);
        (*self.back, Progress::Moved)
    }
}

fn limit_of(wire: &Wire) -> u64 {
    match wire.config.size_limit {
        0 => u64::MAX,
        limit => limit,
    }
}

/// Why we refuse a letter without asking the agent, if we do.
fn refusal(tally: &Tally, wire: &Wire) -> Option<Rejection> {
    match tally.violation {
        Some(Violation::LongLine) => Some(Rejection::permanent(
            // RFC 5321 §4.5.3.1.9 names 500 for lines, of text too.
            ReplyCode::UNKNOWN_COMMAND,
            EnhancedCode::permanent(6, 0),
            Fault::Sender,
            format!("a line of the letter is longer than {} octets", wire.config.text_line_limit),
        )),
        Some(Violation::BareLf | Violation::BareCr) => Some(not_clean()),
        None if tally.octets > limit_of(wire) => Some(Rejection::too_large(limit_of(wire))),
        None => None,
    }
}

// RFC 5321 §2.3.8: CR and LF are sent together or not at all.
fn not_clean() -> Rejection {
    Rejection::permanent(
        ReplyCode::MAILBOX_UNAVAILABLE,
        EnhancedCode::permanent(6, 0),
        Fault::Protocol,
        "bare CR or LF in the letter, lines end with CRLF",
    )
}

/// A body that has come to its end.
struct Whole {
    session: Session,
    recipients: usize,
    tally: Tally,
}

impl Whole {
    /// Refuses the letter, or asks the agent.
    fn finish(self, wire: &mut Wire, now: Tick, asked: Asked) -> State {
        let Whole { session, recipients, tally } = self;
        if let Some(rejection) = refusal(&tally, wire) {
            for _ in 0..replies(wire, recipients) {
                wire.refuse(now, asked.clone(), &rejection);
            }
            wire.event(Event::Aborted(Abort::Refused(rejection)));
            return State::Ready(session);
        }
        let facts = BodyFacts { octets: tally.octets, eight_bit: tally.eight_bit };
        let question = wire.ask(asked.clone());
        wire.event(Event::End(EndQuestion(question), facts));
        State::AwaitEnd(AwaitEnd { session, question, recipients, asked })
    }
}

/// How many replies the end of the data has. RFC 2033 §4.2: in LMTP one for each recipient.
fn replies(wire: &Wire, recipients: usize) -> usize {
    if wire.is_lmtp() { recipients } else { 1 }
}

impl AwaitEnd {
    pub(super) fn answered(
        self,
        wire: &mut Wire,
        now: Tick,
        answer: (EndQuestion, EndAnswer),
    ) -> State {
        let (EndQuestion(question), answer) = answer;
        if question != self.question {
            return State::AwaitEnd(self);
        }
        let count = replies(wire, self.recipients);
        let verdicts = match answer {
            EndAnswer::Whole(verdict) => vec![verdict; count],
            EndAnswer::Each(verdicts) if wire.is_lmtp() => {
                let missing = || Err(Rejection::internal("no verdict for this recipient"));
                let mut all = verdicts;
                all.resize_with(count, missing);
                all
            }
            EndAnswer::Each(verdicts) => vec![joined(verdicts)],
        };
        if verdicts.iter().any(Result::is_ok) {
            wire.forgive();
        }
        let mut verdicts = verdicts.into_iter().map(to_reply);
        if let Some(first) = verdicts.next() {
            wire.fulfil(now, question, first);
        }
        for reply in verdicts {
            wire.reply(now, self.asked.clone(), reply);
        }
        State::Ready(self.session)
    }
}

/// One opinion of many.
fn joined(verdicts: Vec<Verdict>) -> Verdict {
    let mut first_no = None;
    for verdict in verdicts {
        match verdict {
            Ok(text) => return Ok(text),
            Err(rejection) => first_no = first_no.or(Some(rejection)),
        }
    }
    Err(first_no.unwrap_or_else(|| Rejection::internal("no verdict")))
}

fn to_reply(verdict: Verdict) -> Reply {
    match verdict {
        Ok(text) => Reply::new(ReplyCode::OK, EnhancedCode::success(0, 0), text),
        Err(rejection) => rejection.to_reply(),
    }
}
