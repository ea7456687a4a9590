//! STORE and UID STORE (RFC 3501 §6.4.6).

use std::future::Future;
use std::pin::Pin;

use mailbox::{FlagChange, FlagsChanged, How, UidSet};
use protocol::imap::command::{Command, Store, StoreAction, StoreEcho};
use protocol::imap::fetch::FetchData;
use protocol::imap::{Code, ConditionCode, Flag, Numbering, SequenceSet, StatusText};

use super::convert;
use super::failure::{Failure, Outcome};
use super::selected::Expunges;
use super::session::Session;

/// What STORE tells of the letters it changed.
struct Told<'a> {
    echo: StoreEcho,
    /// Their modification sequences.
    mod_seq: bool,
    /// Letters that were left alone.
    except: &'a UidSet,
    /// The change.
    change: (StoreAction, &'a [Flag]),
}

/// A STORE whose change has been asked for.
struct Asked {
    numbering: Numbering,
    set: SequenceSet,
    echo: StoreEcho,
    action: StoreAction,
    flags: Vec<Flag>,
    /// When the change is durable.
    changed: Pin<Box<dyn Future<Output = mailbox::Result<FlagsChanged>> + Send>>,
}

impl Session {
    /// Changes flags. STOREs that the client has sent behind it are begun together with it, so
    /// that they share a barrier, and answered one after the other (RFC 3501 §5.5): as long as
    /// none changes a letter that one before it does, nobody can tell the difference.
    pub(super) async fn store(&mut self, first: Store) {
        let mut touched = UidSet::new();
        let mut all = vec![self.ask_store(first, &mut touched)];
        loop {
            let Session { driver, selected, .. } = &mut *self;
            let apart = |command: &Command| match (command, &selected) {
                (Command::Store(store), Some(selected)) => selected
                    .uids(store.numbering, &store.set)
                    .is_ok_and(|uids| !touched.overlaps(&uids)),
                _ => false,
            };
            let Some(Command::Store(next)) = driver.machine().take_following(apart) else { break };
            all.push(self.ask_store(next, &mut touched));
        }
        let last = all.len() - 1;
        for (number, asked) in all.into_iter().enumerate() {
            let mut outcome = match asked {
                Ok(asked) => self.told_store(asked).await,
                Err(failure) => Err(failure),
            };
            if number == last
                && let Err(gone) = self.synchronize(Expunges::Held).await
            {
                outcome = Err(gone);
            }
            self.finish("STORE", outcome);
        }
    }

    /// Asks for the change, and adds the letters to those that are `touched`.
    fn ask_store(&mut self, store: Store, touched: &mut UidSet) -> Result<Asked, Failure> {
        let Store { numbering, set, action, echo, flags, unchanged_since } = store;
        if unchanged_since.is_some() {
            self.enable_condstore();
        }
        let named = flags;
        let (flags, keywords) = convert::flags(&named)?;
        let selected = self.selected()?;
        selected.writable()?;
        let uids = selected.uids(numbering, &set)?;
        uids.ranges().for_each(|range| touched.insert_range(range));
        let how = match action {
            StoreAction::Replace => How::Replace,
            StoreAction::Add => How::Add,
            StoreAction::Remove => How::Remove,
        };
        let change = FlagChange { uids, how, flags, keywords, unchanged_since };
        let mailbox = selected.mailbox.clone();
        let changed = Box::pin(self.shared.mailboxes.change_flags(&mailbox, change));
        Ok(Asked { numbering, set, echo, action, flags: named, changed })
    }

    /// Waits for the change; each letter's new flags are told unless the client does not want that
    /// and knows them.
    async fn told_store(&mut self, asked: Asked) -> Outcome {
        let Asked { numbering, set, echo, action, flags, changed } = asked;
        let changed = changed.await?;
        self.selected()?.knows(changed.modseq);
        let mod_seq = self.enabled.condstore;
        let change = (action, flags.as_slice());
        let told = Told { echo, mod_seq, except: &changed.modified, change };
        let gone =
            self.tell_stored(numbering, &set, &told).await? && (echo == StoreEcho::Told || mod_seq);
        if !changed.modified.is_empty() {
            // RFC 7162 §3.1.3: those that somebody else changed first.
            let modified = self.selected()?.numbers(numbering, &changed.modified);
            let text = "some letters were changed meanwhile";
            return Ok(StatusText::with(Code::Modified(modified), text));
        }
        if gone {
            let text = "some of the letters have been expunged meanwhile";
            return Err(Failure::no(ConditionCode::ExpungeIssued, text));
        }
        Ok(StatusText::default())
    }

    /// Tells the flags of the letters of a set. Whether some have none any more, and that is worth
    /// a word: RFC 2180 §4.2 for sequence numbers; UIDs that are gone are passed over.
    async fn tell_stored(
        &mut self,
        numbering: Numbering,
        set: &SequenceSet,
        told: &Told<'_>,
    ) -> Result<bool, Failure> {
        let mut gone = false;
        if let Some(selected) = &mut self.selected {
            selected.tell_new_keywords(self.driver.machine());
        }
        let places = self.selected()?.places(numbering, set)?;
        for place in places.into_iter().flat_map(|(from, to)| from..to) {
            let selected = self.selected()?;
            let Some(one) = selected.at(place) else { continue };
            let now = selected.mailbox.view();
            let Some(letter) = now.letter(one.letter.uid) else {
                gone = true;
                continue;
            };
            if told.except.contains(letter.uid) {
                continue;
            }
            let flags = selected.flags(&now, &letter);
            let stored = convert::wire_flags(&now, &letter);
            // RFC 9051 §6.4.6: what somebody else has changed is told after .SILENT too.
            let tells = told.echo == StoreEcho::Told
                || !selected.guesses(&one.letter, told.change, &stored);
            selected.believes(letter.uid, stored);
            if !tells && !told.mod_seq {
                continue;
            }
            let machine = self.driver.machine();
            machine.fetch_begin(one.sequence);
            if numbering == Numbering::Uid {
                machine.fetch_item(&FetchData::Uid(letter.uid));
            }
            if tells {
                machine.fetch_item(&FetchData::Flags(flags));
            }
            // RFC 7162 §3.1.3: also after .SILENT.
            if told.mod_seq {
                machine.fetch_item(&FetchData::ModSeq(letter.modseq));
            }
            machine.fetch_end();
            self.pace().await;
        }
        Ok(gone && numbering == Numbering::Sequence)
    }
}
