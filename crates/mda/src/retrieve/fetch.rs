//! FETCH and UID FETCH (RFC 3501 §6.4.5). What can fail is done before a letter's response begins;
//! bodies are then streamed from the store to the client.

use std::sync::Arc;

use bytes::Bytes;
use mailbox::{Content, Error, FlagChange, Flags, How, KeywordSet, Letter, Mailbox, UidSet, View};
use message::envelope::Envelope;
use message::header::{self, Selection};
use message::received;
use message::scan::structure::Span;
use message::scan::{SectionText as Part, Structure};
use protocol::imap::command::FetchModifiers;
use protocol::imap::fetch::{Content as Body, FetchData, FetchItem, Partial, Section, SectionText};
use protocol::imap::response::VanishedTime;
use protocol::imap::{DateTime, Numbering, SequenceSet, StatusText, Untagged};
use protocol::journey::JourneyId;
use service::trail;

use super::content::header_of;
use super::convert;
use super::failure::{Failure, Outcome};
use super::limits;
use super::selected::{Access, Numbered, Selected};
use super::session::Session;

/// One item of a response, ready to be sent.
pub(super) enum Piece {
    /// All of it is here.
    Whole(FetchData),
    /// An item that was printed before.
    Printed(Vec<u8>),
    /// Its octets are this range of the letter.
    Range(FetchData, Span),
    /// Its octets were made for it.
    Octets(FetchData, Bytes),
}

/// What is looked up once for each letter.
pub(super) struct Sources {
    content: Option<Content>,
    header: Option<Bytes>,
    structure: Option<Arc<Structure>>,
}

impl Session {
    /// Answers for each letter of the set, in order.
    pub(super) async fn fetch(
        &mut self,
        (numbering, set): (Numbering, &SequenceSet),
        mut items: Vec<FetchItem>,
        modifiers: FetchModifiers,
    ) -> Outcome {
        let since = modifiers.changed_since;
        if modifiers.vanished
            && (numbering != Numbering::Uid || !self.enabled.qresync || since.is_none())
        {
            // RFC 7162 §3.2.6
            let why = "VANISHED needs UID FETCH, CHANGEDSINCE and ENABLE QRESYNC";
            return Err(Failure::bad(why));
        }
        if since.is_some() && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        if items.contains(&FetchItem::ModSeq) {
            self.enable_condstore();
        }
        // RFC 3501 §6.4.8: the answer to UID FETCH always tells the UID.
        if numbering == Numbering::Uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        without_repeats(&mut items);
        let places = self.selected()?.places(numbering, set)?;
        if let Some(since) = since.filter(|_| modifiers.vanished) {
            self.tell_vanished(set, since)?;
        }
        let since = since.unwrap_or(0);
        if items.iter().all(|item| is_known(item) || *item == FetchItem::Envelope) {
            return self.fetch_known(&places, &items, since).await;
        }
        let seen = self.mark_seen(&places, &items, since).await;
        let mut worst: Option<Failure> = None;
        for place in places.into_iter().flat_map(|(from, to)| from..to) {
            let one = self.selected()?.at(place).filter(|one| one.letter.modseq > since);
            let Some(one) = one else { continue };
            let newly_seen = seen.contains(one.letter.uid);
            match self.fetch_letter(one, &items, newly_seen).await {
                Ok(()) => {}
                Err(error) => worst = Some(error),
            }
            self.pace().await;
            if self.is_over() {
                break;
            }
            if place % limits::LETTERS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        // RFC 2180 §4.1.3: the others have been answered.
        worst.map_or_else(|| Ok(StatusText::default()), Err)
    }

    /// RFC 7162 §3.2.6: the letters of the set that went since.
    fn tell_vanished(&mut self, set: &SequenceSet, since: u64) -> Result<(), Failure> {
        let view = &self.selected()?.view;
        let last = view.len().checked_sub(1).and_then(|last| view.at(last));
        let asked = set.resolve(last.map_or(0, |letter| letter.uid.get()));
        let uids = convert::wire_numbers(&view.gone_since(since)).intersection(&asked);
        if !uids.is_empty() {
            let time = VanishedTime::Earlier;
            self.machine().untagged(&Untagged::Vanished { uids, time });
        }
        Ok(())
    }

    /// Answers from the letters' records and heads: only a letter whose head nobody has kept is
    /// opened, and nobody is waited for but the client.
    async fn fetch_known(
        &mut self,
        places: &[(usize, usize)],
        items: &[FetchItem],
        since: u64,
    ) -> Outcome {
        let mut worst: Option<Failure> = None;
        let mailbox = self.selected()?.mailbox.clone();
        let mut heads =
            items.contains(&FetchItem::Envelope).then(|| self.shared.mailboxes.heads(&mailbox));
        for &(mut from, to) in places {
            while from < to && !self.is_over() {
                let end = to.min(from + limits::LETTERS_PER_TURN);
                let mut unknown = None;
                let selected = self.selected.as_ref().ok_or_else(|| Failure::bad("no mailbox"))?;
                let now = selected.mailbox.view();
                let same = now.is_same(&selected.view);
                let machine = self.driver.machine();
                let mut last = LastFlags::default();
                let ones = (from..end).filter_map(|place| selected.at(place));
                from = end;
                for one in ones.filter(|one| one.letter.modseq > since) {
                    let letter = match same {
                        true => one.letter,
                        false => now.letter(one.letter.uid).unwrap_or(one.letter),
                    };
                    let head = heads.as_mut().map(|heads| heads.get(&letter));
                    if let Some(None) = head {
                        unknown = Some(one);
                        break;
                    }
                    machine.fetch_begin(one.sequence);
                    for item in items {
                        match item {
                            FetchItem::Envelope => {
                                let head = head.flatten();
                                machine.fetch_printed(head.map_or(b"ENVELOPE NIL", |h| h.envelope));
                            }
                            FetchItem::Flags => {
                                machine.fetch_item(last.of(selected, &now, &letter));
                            }
                            other => machine.fetch_item(&known_piece(other, &letter)),
                        }
                    }
                    machine.fetch_end();
                    if machine.pending_output() > limits::OUTPUT {
                        from = one.place() + 1;
                        break;
                    }
                }
                if let Some(one) = unknown {
                    from = one.place() + 1;
                    if let Err(failure) = self.fetch_letter(one, items, false).await {
                        worst = Some(failure);
                    }
                }
                self.pace().await;
                if unknown.is_none() {
                    tokio::task::yield_now().await;
                }
            }
        }
        // RFC 2180 §4.1.3: the others have been answered.
        worst.map_or_else(|| Ok(StatusText::default()), Err)
    }

    /// Sets `\Seen` on those letters whose bodies are asked for without PEEK. Tells which; a
    /// failure is no reason not to show the letters.
    async fn mark_seen(
        &mut self,
        places: &[(usize, usize)],
        items: &[FetchItem],
        since: u64,
    ) -> UidSet {
        let mut uids = UidSet::new();
        let Some(selected) = &mut self.selected else { return uids };
        if selected.access == Access::ReadOnly || !items.iter().any(FetchItem::marks_seen) {
            return uids;
        }
        for place in places.iter().flat_map(|(from, to)| *from..*to) {
            if let Some(letter) = selected.view.at(place)
                && !letter.flags.contains(Flags::SEEN)
                && letter.modseq > since
            {
                uids.insert(letter.uid);
            }
        }
        if uids.is_empty() {
            return uids;
        }
        let change = FlagChange {
            uids: uids.clone(),
            how: How::Add,
            flags: Flags::SEEN,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        match self.shared.mailboxes.change_flags(&selected.mailbox, change).await {
            Ok(changed) => {
                selected.knows(changed.modseq);
                uids
            }
            Err(error) => {
                tracing::warn!(%error, "letters were not marked seen");
                UidSet::new()
            }
        }
    }

    async fn fetch_letter(
        &mut self,
        one: Numbered,
        items: &[FetchItem],
        newly_seen: bool,
    ) -> Result<(), Failure> {
        let Some(selected) = &self.selected else { return Ok(()) };
        let mailbox = selected.mailbox.clone();
        let now = mailbox.view();
        let letter = match now.is_same(&selected.view) {
            true => one.letter,
            false => now.letter(one.letter.uid).unwrap_or(one.letter),
        };
        let mut sources = Sources { content: None, header: None, structure: None };
        let mut pieces = Vec::with_capacity(items.len() + 1);
        let mut inline = 0;
        for item in items {
            let piece = self.piece(item, (&mailbox, &now, &letter), &mut sources).await?;
            inline += piece.inline();
            if inline > limits::INLINE {
                return Err(Error::Limit("header fields of one letter asked for at once").into());
            }
            pieces.push(piece);
        }
        if newly_seen && !items.contains(&FetchItem::Flags) {
            // RFC 3501 §6.4.5: a change of \Seen should be part of the answer.
            pieces.push(self.flags_piece(&now, &letter));
            if self.enabled.condstore && !items.contains(&FetchItem::ModSeq) {
                pieces.push(Piece::Whole(FetchData::ModSeq(letter.modseq)));
            }
        }
        self.driver.machine().fetch_begin(one.sequence);
        for piece in pieces {
            match piece {
                Piece::Whole(data) => self.machine().fetch_item(&data),
                Piece::Printed(item) => self.machine().fetch_printed(&item),
                Piece::Range(data, span) => {
                    self.machine().fetch_item(&data);
                    if let Some(content) = &sources.content {
                        self.send_range(content, span).await;
                    }
                }
                Piece::Octets(data, octets) => {
                    self.machine().fetch_item(&data);
                    for chunk in octets.chunks(limits::BODY_CHUNK) {
                        self.machine().fetch_chunk(chunk);
                        self.pace().await;
                    }
                }
            }
        }
        self.machine().fetch_end();
        if items.iter().any(shows_letter) {
            self.record_retrieved(&letter, &sources);
        }
        Ok(())
    }

    fn flags_piece(&self, now: &View, letter: &Letter) -> Piece {
        let flags = self.selected.as_ref().map(|selected| selected.flags(now, letter));
        Piece::Whole(FetchData::Flags(flags.unwrap_or_default()))
    }

    async fn piece(
        &mut self,
        item: &FetchItem,
        (mailbox, now, letter): (&Mailbox, &View, &Letter),
        sources: &mut Sources,
    ) -> Result<Piece, Failure> {
        let whole = match item {
            FetchItem::Flags => return Ok(self.flags_piece(now, letter)),
            FetchItem::Uid
            | FetchItem::InternalDate
            | FetchItem::Rfc822Size
            | FetchItem::ModSeq
            | FetchItem::EmailId
            | FetchItem::SaveDate => known_piece(item, letter),
            FetchItem::Envelope => {
                if let Some(known) = self.shared.mailboxes.envelope(mailbox, letter) {
                    return Ok(Piece::Printed(known));
                }
                let envelope = self.envelope(mailbox, letter, sources).await?;
                FetchData::Envelope(Box::new(envelope))
            }
            FetchItem::BodyStructure => {
                let structure = self.structure(mailbox, letter, sources).await?;
                FetchData::BodyStructure(Box::new(structure.body_structure()))
            }
            FetchItem::Body => {
                let structure = self.structure(mailbox, letter, sources).await?;
                FetchData::Body(Box::new(structure.body_structure().without_extension()))
            }
            FetchItem::Rfc822 => {
                let size = sources.content(mailbox, letter)?.size();
                let span = Span::new(0, size);
                return Ok(Piece::Range(FetchData::Rfc822(Body::Streamed(size)), span));
            }
            FetchItem::Rfc822Header => {
                FetchData::Rfc822Header(Body::Inline(sources.header(mailbox, letter)?))
            }
            FetchItem::Rfc822Text => {
                let start = sources.header(mailbox, letter)?.len() as u64;
                let span = Span::new(start, sources.content(mailbox, letter)?.size());
                return Ok(Piece::Range(FetchData::Rfc822Text(Body::Streamed(span.len())), span));
            }
            FetchItem::Section { section, partial, .. } => {
                return self.section(section, *partial, (mailbox, letter), sources).await;
            }
            FetchItem::Binary { part, partial, .. } => {
                return self.binary(part, *partial, (mailbox, letter), sources).await;
            }
            FetchItem::BinarySize(part) => {
                let size = self.binary_size(part, (mailbox, letter), sources).await?;
                FetchData::BinarySize { part: part.clone(), size }
            }
            // RFC 8474 §5.3: NIL where threads are not kept.
            FetchItem::ThreadId => FetchData::ThreadId(None),
            FetchItem::Preview(_) => {
                FetchData::Preview(self.preview(mailbox, letter, sources).await?)
            }
        };
        Ok(Piece::Whole(whole))
    }

    /// From the index, else from the letter. A short one is read through while it is at hand, so
    /// that the index knows it the next time; of a long one the header is enough.
    async fn envelope(
        &mut self,
        mailbox: &Mailbox,
        letter: &Letter,
        sources: &mut Sources,
    ) -> Result<protocol::imap::structure::Envelope, Error> {
        if sources.structure.is_none() && letter.size > limits::READ_THROUGH {
            match self.shared.mailboxes.structure(mailbox, letter) {
                Some(known) => sources.structure = Some(Arc::new(known)),
                None => {
                    let header = sources.header(mailbox, letter)?;
                    let envelope = Envelope::of_header(&header);
                    self.shared.mailboxes.keep_head(mailbox, letter, &envelope);
                    return Ok(envelope.to_wire());
                }
            }
        }
        let structure = self.structure(mailbox, letter, sources).await?;
        self.shared.mailboxes.keep_head(mailbox, letter, &structure.envelope);
        Ok(structure.envelope.to_wire())
    }

    pub(super) async fn structure(
        &mut self,
        mailbox: &Mailbox,
        letter: &Letter,
        sources: &mut Sources,
    ) -> Result<Arc<Structure>, Error> {
        if let Some(structure) = &sources.structure {
            return Ok(structure.clone());
        }
        let mailboxes = self.shared.mailboxes.clone();
        let structure = match mailboxes.structure(mailbox, letter) {
            Some(known) => Arc::new(known),
            None => {
                let content = sources.content(mailbox, letter)?;
                let of = (mailbox.id(), letter.uid);
                let scanned = self.scanned.structure(of, &content).await?;
                mailboxes.keep_structure(mailbox, letter, &scanned);
                scanned
            }
        };
        sources.structure = Some(structure.clone());
        Ok(structure)
    }

    /// `BODY[section]<partial>`.
    async fn section(
        &mut self,
        section: &Section,
        partial: Option<Partial>,
        (mailbox, letter): (&Mailbox, &Letter),
        sources: &mut Sources,
    ) -> Result<Piece, Failure> {
        let data = |content| FetchData::Section {
            section: section.clone(),
            offset: partial.map(|partial| partial.offset),
            content,
        };
        let path: Vec<u32> = section.part.iter().map(|number| number.get()).collect();
        let content = sources.content(mailbox, letter)?;
        let found = if path.is_empty() {
            // What a letter has without looking into it.
            let header = match section.text {
                SectionText::Everything => 0,
                _ => sources.header(mailbox, letter)?.len() as u64,
            };
            match section.text {
                SectionText::Everything => Some(Span::new(0, content.size())),
                SectionText::Text => Some(Span::new(header, content.size())),
                _ => Some(Span::new(0, header)),
            }
        } else {
            let structure = self.structure(mailbox, letter, sources).await?;
            structure.section(&path, part_text(&section.text))
        };
        let Some(span) = found else {
            return Ok(Piece::Whole(data(Body::Nil)));
        };
        let (names, selection) = match &section.text {
            SectionText::HeaderFields(names) => (names, Selection::Only),
            SectionText::HeaderFieldsNot(names) => (names, Selection::Except),
            _ => {
                let span = cut(span, partial);
                return Ok(Piece::Range(data(Body::Streamed(span.len())), span));
            }
        };
        let most = usize::try_from(span.len()).unwrap_or(usize::MAX).min(limits::HEADER);
        let block = content.read(span.start, most)?;
        let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        let chosen = Bytes::from(header::select(&block, &names, selection));
        let span = cut(Span::new(0, chosen.len() as u64), partial);
        let chosen = Bytes::copy_from_slice(span.of(&chosen));
        Ok(Piece::Whole(data(Body::Inline(chosen))))
    }

    /// Streams a range of a letter, as fast as the client reads.
    async fn send_range(&mut self, content: &Content, span: Span) {
        let mut at = span.start;
        while at < span.end && !self.is_over() {
            let left = usize::try_from(span.end - at).unwrap_or(usize::MAX);
            match content.read(at, left.min(limits::BODY_CHUNK)) {
                Ok(chunk) if !chunk.is_empty() => {
                    at += chunk.len() as u64;
                    self.machine().fetch_chunk(&chunk);
                    self.pace().await;
                }
                // The machine closes the connection: what was announced cannot be kept.
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(%error, "a letter could not be read to its end");
                    return;
                }
            }
        }
    }

    /// The last station of a letter's journey.
    fn record_retrieved(&mut self, letter: &Letter, sources: &Sources) {
        let header = match (&sources.header, &sources.content) {
            (Some(header), _) => Ok(header.clone()),
            (None, Some(content)) => header_of(content),
            (None, None) => return,
        };
        let Ok(header) = header else { return };
        let Some(journey) = journey_of(&header) else { return };
        let mut event =
            trail::Event::new(trail::Kind::Retrieved, journey).bytes(u64::from(letter.size));
        if let Some(user) = &self.user {
            event = event.to(&user.address);
        }
        if let Some(peer) = self.peer {
            event = event.peer(peer);
        }
        if self.machine().tls().is_some() {
            event = event.encrypted();
        }
        self.shared.trail.record(event);
    }
}

/// The flags told last: neighbours mostly have the same, which are put together once.
#[derive(Default)]
struct LastFlags(Option<((Flags, KeywordSet, bool), FetchData)>);

impl LastFlags {
    fn of(&mut self, selected: &Selected, now: &View, letter: &Letter) -> &FetchData {
        let key = (letter.flags, letter.keywords, selected.is_recent(letter.uid));
        let known = self.0.take().filter(|(known, _)| *known == key);
        let told = || (key, FetchData::Flags(selected.flags(now, letter)));
        &self.0.insert(known.unwrap_or_else(told)).1
    }
}

impl Piece {
    /// Octets of the letter that this holds in memory.
    fn inline(&self) -> usize {
        match self {
            Piece::Whole(FetchData::Section { content: Body::Inline(octets), .. }) => octets.len(),
            _ => 0,
        }
    }
}

impl Sources {
    pub(super) fn content(&mut self, mailbox: &Mailbox, letter: &Letter) -> Result<Content, Error> {
        if self.content.is_none() {
            self.content = Some(mailbox.content(letter)?.held(limits::HELD)?);
        }
        self.content.clone().ok_or(Error::NoSuchLetter)
    }

    pub(super) fn header(&mut self, mailbox: &Mailbox, letter: &Letter) -> Result<Bytes, Error> {
        if let Some(header) = &self.header {
            return Ok(header.clone());
        }
        let header = header_of(&self.content(mailbox, letter)?)?;
        self.header = Some(header.clone());
        Ok(header)
    }
}

/// What a letter's record tells, without the letter.
fn is_known(item: &FetchItem) -> bool {
    use FetchItem::{EmailId, Flags, InternalDate, ModSeq, Rfc822Size, SaveDate, Uid};
    matches!(item, Uid | Flags | InternalDate | Rfc822Size | ModSeq | EmailId | SaveDate)
}

/// An item of [`is_known`], flags aside: those are the session's.
fn known_piece(item: &FetchItem, letter: &Letter) -> FetchData {
    match item {
        FetchItem::InternalDate => {
            FetchData::InternalDate(DateTime::from_timestamp(letter.internal_date()))
        }
        FetchItem::Rfc822Size => FetchData::Rfc822Size(u64::from(letter.size)),
        FetchItem::ModSeq => FetchData::ModSeq(letter.modseq),
        FetchItem::EmailId => FetchData::EmailId(convert::email_id(letter)),
        FetchItem::SaveDate => {
            FetchData::SaveDate(Some(DateTime::from_timestamp(letter.save_date())))
        }
        _ => FetchData::Uid(letter.uid),
    }
}

/// Asked twice, told once.
fn without_repeats(items: &mut Vec<FetchItem>) {
    let mut seen = std::collections::HashSet::new();
    items.retain(|item| seen.insert(item.clone()));
}

/// The journey that our own newest Received line names.
pub(super) fn journey_of(header: &[u8]) -> Option<JourneyId> {
    received::claims(header).into_iter().find_map(|claim| claim.id?.parse().ok())
}

/// Whether the answer shows the letter itself, from its beginning on.
fn shows_letter(item: &FetchItem) -> bool {
    match item {
        FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
        FetchItem::Section { section, partial, .. } => {
            let body = matches!(section.text, SectionText::Everything | SectionText::Text);
            body && partial.is_none_or(|partial| partial.offset == 0)
        }
        _ => false,
    }
}

fn part_text(text: &SectionText) -> Part {
    match text {
        SectionText::Everything => Part::All,
        SectionText::Text => Part::Text,
        SectionText::Mime => Part::Mime,
        SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => {
            Part::Header
        }
    }
}

/// RFC 3501 §6.4.5: a partial fetch beyond the end is cut, wholly beyond it is empty.
pub(super) fn cut(span: Span, partial: Option<Partial>) -> Span {
    let Some(Partial { offset, length }) = partial else { return span };
    let start = span.start.saturating_add(offset).min(span.end);
    Span::new(start, start.saturating_add(length).min(span.end))
}
