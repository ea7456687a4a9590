//! Owners hear, once for each crossing, that their mailboxes are filling up: a letter into INBOX
//! when what is stored comes to `mailbox.quota_notices` percent of the quota, by octets or by
//! letters, and one when a letter was refused for lack of room. What was told is in
//! `DATA/state/quota-notices`, so that a restart tells nothing twice.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use bytes::Bytes;
use disk::{Mode, read_whole, replace_whole};
use mailbox::{AccountId, Error, MailboxName, NewLetter, Quota, Usage};
use message::date::DateTime;
use message::header;

use super::Care;
use crate::limits::{NOTICES_BYTES, QUOTA_LOOKED_AT};

/// What an owner has been told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The highest level that was crossed, in percent.
    level: u8,
    /// When it was last told that a letter was refused, in seconds since 1970.
    refused: i64,
}

/// By the account's address.
pub(super) type AllTold = BTreeMap<String, Told>;

impl Care {
    /// Looks at the accounts in use, again and again, until the agent stops.
    pub(super) async fn notices(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = self.read_told();
        loop {
            tokio::select! {
                () = self.clock.sleep(QUOTA_LOOKED_AT) => {}
                () = self.drain.cancelled() => return,
            }
            self.look_at_quotas().await;
        }
    }

    async fn look_at_quotas(&self) {
        let refused = self.mailboxes.take_refused();
        let snapshot = self.directory.current(self.clock.tick());
        let levels = self.config.current().mailbox.quota_notices.clone();
        let mut changed = false;
        for (account, usage) in self.mailboxes.in_use() {
            let Some(known) = snapshot.login(&account.to_string()) else { continue };
            let quota = Quota { bytes: known.quota.bytes, letters: known.quota.letters };
            let Some(percent) = percent(usage, quota) else { continue };
            let address = account.to_string();
            let before = self.told(&address);
            let mut after = before;
            let level = levels.iter().copied().filter(|level| u64::from(*level) <= percent).max();
            let level = level.unwrap_or(0);
            let falls = percent + HYSTERESIS < u64::from(before.level);
            if level > before.level || falls {
                after.level = level;
            }
            let now = self.clock.now().as_seconds();
            let is_refused = refused.contains(&account) && !levels.is_empty();
            if is_refused && now - before.refused >= REFUSED_AGAIN {
                after.refused = now;
            }
            if after == before {
                continue;
            }
            // Written down first: a notice too few is better than one every few seconds.
            self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(address, after);
            changed = true;
            let words = match (after.refused != before.refused, after.level > before.level) {
                (true, _) => Some(refused_words()),
                (false, true) => Some(level_words(after.level)),
                (false, false) => None,
            };
            let Some(words) = words else { continue };
            self.write_told();
            if let Err(error) = self.tell(&account, words, (usage, quota)).await {
                tracing::warn!(%account, ?error, "the owner was not told of a full mailbox");
            }
        }
        if changed {
            self.write_told();
        }
    }

    fn told(&self, address: &str) -> Told {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(address).copied().unwrap_or_default()
    }

    /// The letter. It comes even where the account is full: the quota is for others' letters.
    async fn tell(
        &self,
        account: &AccountId,
        (subject, first): (String, String),
        (usage, quota): (Usage, Quota),
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let host = self.config.current().hostname().to_string();
        let date = DateTime::utc(now);
        let random = getrandom::u64().unwrap_or_else(|_| now.as_micros().unsigned_abs());
        let mut letter = header::field("Date", &date.to_rfc5322());
        letter.extend(header::field("From", &format!("Mail system <postmaster@{host}>")));
        letter.extend(header::field("To", &account.to_string()));
        letter.extend(header::field("Subject", &subject));
        letter.extend(header::field("Message-ID", &message::message_id::new(now, random, &host)));
        letter.extend(header::field("Auto-Submitted", "auto-generated"));
        letter.extend_from_slice(
            b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
              Content-Transfer-Encoding: 8bit\r\n\r\n",
        );
        let body = format!(
            "{first}\r\n\r\n    {}\r\n\r\nWhen there is no room left, letters to {account} are \
             refused and go back to who\r\nsent them. Delete what you no longer need, and empty \
             the mailbox Trash.\r\n",
            stand(usage, quota)
        );
        letter.extend_from_slice(body.as_bytes());
        let inbox = self.mailboxes.open_by_name(account, &MailboxName::inbox()).await?;
        let new = NewLetter::from(disk::Body::from(Bytes::from(letter)));
        self.mailboxes.append(&inbox, vec![new], Quota::default()).await?;
        tracing::info!(%account, "the owner was told: {subject}");
        Ok(())
    }

    fn read_told(&self) -> AllTold {
        let bytes = read_whole(self.disk.as_ref(), &self.told_note, NOTICES_BYTES);
        let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
        parse(&text).unwrap_or_default()
    }

    fn write_told(&self) {
        let text = print(&self.told.lock().unwrap_or_else(PoisonError::into_inner));
        let disk = self.disk.as_ref();
        if let Err(error) = replace_whole(disk, &self.told_note, Mode::PRIVATE, text.as_bytes()) {
            tracing::warn!(%error, "who was told of a full mailbox was not noted");
        }
    }
}

/// How full an account is, by what is fuller; `None`: it has no quota.
fn percent(usage: Usage, quota: Quota) -> Option<u64> {
    let of = |used: u64, most: Option<u64>| most.map(|most| used.saturating_mul(100) / most.max(1));
    of(usage.bytes, quota.bytes).max(of(usage.letters, quota.letters))
}

fn level_words(level: u8) -> (String, String) {
    match level {
        100.. => (
            "Your mailbox is full".to_owned(),
            "There is no more room for your letters.".to_owned(),
        ),
        _ => (
            format!("Your mailbox is {level} % full"),
            format!("Your letters take up {level} % of the room that you have."),
        ),
    }
}

fn refused_words() -> (String, String) {
    (
        "A letter to you was refused: your mailbox is full".to_owned(),
        "A letter came for which you have not room enough; its sender was told.".to_owned(),
    )
}

fn stand(usage: Usage, quota: Quota) -> String {
    let mut words = Vec::new();
    if let Some(most) = quota.bytes {
        words.push(format!("{} of {} MB", usage.bytes / 1_000_000, most / 1_000_000));
    }
    if let Some(most) = quota.letters {
        words.push(format!("{} of {most} letters", usage.letters));
    }
    words.join(", ")
}

fn print(told: &AllTold) -> String {
    let lines = told.iter().filter(|(_, told)| **told != Told::default());
    let lines: String = lines
        .map(|(address, Told { level, refused })| format!("{level} {refused} {address}\n"))
        .collect();
    format!("{FIRST_LINE}{lines}")
}

fn parse(text: &str) -> Option<AllTold> {
    let mut all = AllTold::new();
    for line in text.strip_prefix(FIRST_LINE)?.lines() {
        let mut words = line.splitn(3, ' ');
        let (level, refused) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        all.insert(words.next()?.to_owned(), Told { level, refused });
    }
    Some(all)
}

const FIRST_LINE: &str = "posthaste quota notices 1\n";

/// Percent below a level before it can be crossed again: one letter that comes and goes is no news.
const HYSTERESIS: u64 = 5;

/// Seconds before it is told again that letters are refused.
const REFUSED_AGAIN: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_leads_back_and_the_fuller_side_counts() {
        let mut told = AllTold::new();
        told.insert("a b@x.test".to_owned(), Told { level: 90, refused: 77 });
        assert_eq!(parse(&print(&told)), Some(told));
        let usage = Usage { bytes: 850, letters: 2 };
        let quota = |bytes, letters| Quota { bytes, letters };
        assert_eq!(percent(usage, quota(Some(1000), Some(4))), Some(85));
        assert_eq!(percent(usage, quota(Some(1000), Some(2))), Some(100));
        assert_eq!(percent(usage, quota(None, None)), None);
    }
}
