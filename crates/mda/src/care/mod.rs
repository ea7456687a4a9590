//! What the agent does by itself with letters at rest. It reads them through (`verify`), and tells
//! owners whose mailboxes fill up (`notices`). Once a day, and when `posthaste mailbox tidy` asks,
//! it expunges from Trash and Junk what has been there for long enough, and removes for good what
//! was expunged long ago. Nothing waits for it. Started by [`crate::run`]; no part of delivery or
//! retrieval.

mod notices;
mod undelete;
pub mod verbs;
mod verify;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use directory::Renewing;
use disk::{Disk, Mode, read_whole, replace_whole};
use mailbox::{AccountId, Error, Listed, Mailboxes, SpecialUse};
use net::{Cancel, Clock};
use protocol::time::Timestamp;
use service::config::{ConfigHandle, MailboxCare};
use service::trail::{Event, Kind, Trail};
use service::{Context, Counter};

use crate::limits::{CARE_BEGINS, CARE_EVERY};
pub(crate) use verify::Pass;

/// Looks after what is stored.
pub(crate) struct Care {
    mailboxes: Mailboxes,
    directory: Arc<Renewing>,
    config: ConfigHandle,
    clock: Clock,
    trail: Trail,
    drain: Cancel,
    disk: Arc<dyn Disk>,
    /// When the last round was.
    note: PathBuf,
    /// Where the verification is.
    pass_note: PathBuf,
    /// What owners were told of their quotas.
    told: Mutex<notices::AllTold>,
    told_note: PathBuf,
    /// Letters compared with what was stored, since the start; and those found damaged, less those
    /// that were well again.
    verified: Counter,
    damaged: Counter,
    /// One round at a time.
    round: tokio::sync::Mutex<()>,
}

/// What a round came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Round {
    pub(crate) accounts: u64,
    pub(crate) expired: u64,
    pub(crate) purged: u64,
    pub(crate) kept: u64,
    pub(crate) kept_bytes: u64,
}

impl Care {
    pub(crate) fn new(
        context: &Context,
        mailboxes: &Mailboxes,
        directory: &Arc<Renewing>,
    ) -> Arc<Self> {
        Arc::new(Care {
            mailboxes: mailboxes.clone(),
            directory: directory.clone(),
            config: context.config.clone(),
            clock: context.clock.clone(),
            trail: context.trail.clone(),
            drain: context.drain.clone(),
            disk: mailboxes.disk(),
            note: context.paths.state().join("care"),
            told: Mutex::default(),
            told_note: context.paths.state().join("quota-notices"),
            pass_note: context.paths.state().join("verify"),
            verified: context.metrics.counter("letters_verified"),
            damaged: context.metrics.counter("letters_damaged"),
            round: tokio::sync::Mutex::default(),
        })
    }

    /// Answers the verbs and begins the rounds.
    pub(crate) fn start(self: &Arc<Self>, context: &Context) {
        verbs::register(context, self);
        crate::verbs::register(context, &self.mailboxes, self);
        let care = self.clone();
        context.tasks.spawn(async move { care.rounds().await });
        let care = self.clone();
        context.tasks.spawn(async move { care.passes().await });
        let care = self.clone();
        context.tasks.spawn(async move { care.notices().await });
    }

    async fn rounds(&self) {
        loop {
            let last = self.last_round();
            let now = self.clock.now();
            let due = last.map_or(now, |last| last.after(CARE_EVERY));
            let wait = due.since(now).max(CARE_BEGINS);
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                () = self.drain.cancelled() => return,
            }
            let round = self.round(None).await;
            if round.expired + round.purged > 0 {
                tracing::info!(
                    expired = round.expired,
                    purged = round.purged,
                    "old letters were expunged, and long expunged ones removed"
                );
            }
            self.note_round();
        }
    }

    fn last_round(&self) -> Option<Timestamp> {
        let text = read_whole(self.disk.as_ref(), &self.note, NOTE_BYTES).ok()?;
        let text = std::str::from_utf8(&text).ok()?.strip_prefix(FIRST_LINE)?;
        Some(Timestamp::from_seconds(text.trim().parse().ok()?))
    }

    /// That it cannot be written costs a round too many.
    fn note_round(&self) {
        let text = format!("{FIRST_LINE}{}\n", self.clock.now().as_seconds());
        let written = replace_whole(self.disk.as_ref(), &self.note, Mode::PRIVATE, text.as_bytes());
        if let Err(error) = written {
            tracing::warn!(%error, "the time of the round through the mailboxes was not noted");
        }
    }

    /// One round, through all accounts or one. What fails for one account is logged, and the round
    /// goes on.
    pub(crate) async fn round(&self, only: Option<&AccountId>) -> Round {
        let _one = self.round.lock().await;
        let mut round = Round::default();
        for account in self.accounts() {
            if self.drain.is_cancelled() {
                break;
            }
            if only.is_some_and(|only| *only != account) {
                continue;
            }
            round.accounts += 1;
            if let Err(error) = self.tidy(&account, &mut round).await {
                tracing::warn!(%account, ?error, "the account was not tidied");
            }
        }
        round
    }

    fn accounts(&self) -> Vec<AccountId> {
        let snapshot = self.directory.current(self.clock.tick());
        let id = |account: &Arc<directory::Account>| {
            crate::deliver::mailbox_of(account).ok().map(|(id, _)| id)
        };
        snapshot.accounts().filter_map(id).collect()
    }

    async fn tidy(&self, account: &AccountId, round: &mut Round) -> Result<(), Error> {
        let keys = self.config.current().mailbox.clone();
        round.expired += self.expire(account, &keys).await?;
        let before = self.clock.now().before(keys.expunged_kept);
        let purged = self.mailboxes.purge_expunged(account, (before, keys.expunged_size)).await?;
        round.purged += purged.letters;
        round.kept += purged.kept;
        round.kept_bytes += purged.kept_bytes;
        Ok(())
    }

    /// Trash and Junk, by what they were made for and not by their names.
    async fn expire(&self, account: &AccountId, keys: &MailboxCare) -> Result<u64, Error> {
        let uses = [
            (SpecialUse::Trash, keys.empty_trash_after),
            (SpecialUse::Junk, keys.empty_junk_after),
        ];
        let mut expired = 0;
        for (special_use, after) in uses.into_iter().filter(|(_, after)| !after.is_zero()) {
            let view = self.mailboxes.account(account).await?;
            let of = view.mailboxes.iter().filter(|one| one.special_use == Some(special_use));
            for listed in of {
                expired += self.expire_one(account, listed, after).await?;
            }
        }
        Ok(expired)
    }

    /// SAVEDATE decides (RFC 8514): a letter of last year that was moved here today stays.
    async fn expire_one(
        &self,
        account: &AccountId,
        listed: &Listed,
        after: Duration,
    ) -> Result<u64, Error> {
        let before = self.clock.now().before(after);
        let mailbox = self.mailboxes.open_mailbox(account, listed.id).await?;
        let mut expired = 0;
        loop {
            let gone = self.mailboxes.expunge_saved_before(&mailbox, before).await?;
            if gone.is_empty() {
                break;
            }
            let count = gone.len();
            expired += count;
            let mut event = Event::anonymous(Kind::Expired).to(account);
            event.count = Some(count);
            let since = before.to_rfc3339();
            let text = format!("{}: UID {gone}, there since before {since}", listed.name);
            self.trail.record(event.text(text.chars().take(TEXT).collect::<String>()));
        }
        Ok(expired)
    }
}

const FIRST_LINE: &str = "posthaste care 1\n";

/// Bytes of the note that are read.
const NOTE_BYTES: u64 = 1024;

/// Characters of an event's text: the UIDs of a thousand letters may have many gaps.
const TEXT: usize = 500;
