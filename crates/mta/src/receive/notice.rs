//! Tells the owner of an account that letters of theirs are held, at most once an hour: either they
//! write a lot, and want to know, or somebody else has their password.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use message::date::DateTime;
use message::header::field;
use protocol::address::{Address, ReversePath};
use protocol::journey::JourneyId;
use protocol::smtp::{MailParameters, RcptParameters};
use protocol::time::Timestamp;
use queue::{NewLetter, NewRecipient, Origin};
use service::trail::{Event, Kind};

use super::Desk;
use super::letter::account;
use crate::limits::{HELD_NOTICE_EVERY, HELD_NOTICES_REMEMBERED};

/// When each account was told last.
#[derive(Debug, Default)]
pub(super) struct Notices {
    last: Mutex<HashMap<Address, Timestamp>>,
}

impl Notices {
    /// Whether `account` is to be told now; if so, it counts as told.
    fn is_due(&self, account: &Address, now: Timestamp) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.get(account).is_some_and(|told| now.since(*told) < HELD_NOTICE_EVERY) {
            return false;
        }
        if last.len() >= HELD_NOTICES_REMEMBERED {
            last.retain(|_, told| now.since(*told) < HELD_NOTICE_EVERY);
        }
        if last.len() >= HELD_NOTICES_REMEMBERED {
            last.clear();
        }
        last.insert(account.clone(), now);
        true
    }
}

impl Desk {
    /// Writes to the owner of the account that submitted a held letter, if that is due.
    pub(super) async fn notify_owner(&self, held: JourneyId, parameters: &MailParameters) {
        let now = self.context.clock.now();
        let (Some(account), Some(reason)) = (account(parameters), &parameters.hold) else {
            return;
        };
        if !self.notices.is_due(account, now) {
            return;
        }
        let config = self.context.config.current();
        let own = self.new_journey();
        let hostname = config.hostname().to_string();
        let mut letter = NewLetter {
            journey: own,
            cause: Some(held),
            origin: Origin::Generated,
            arrived: now,
            expires: now.after(config.mta.lifetime),
            sender: ReversePath::Null,
            parameters: MailParameters::default(),
            recipients: vec![NewRecipient {
                address: account.clone(),
                parameters: RcptParameters::default(),
                from: None,
                first_try: now,
                in_hand: None,
            }],
            held: None,
            headers: Bytes::new(),
            body: text(account, (held, reason), &hostname, (own, now)).into(),
        };
        if config.dkim.sign {
            self.signer.sign_own(&mut letter, &self.context.trail);
        }
        match self.queue.accept(letter).await {
            Ok(_) => {
                let event = Event::new(Kind::Generated, own).because_of(held).to(account);
                self.context.trail.record(event.text("notice: letters of this account are held"));
            }
            Err(error) => tracing::error!(%account, %error, "cannot tell that letters are held"),
        }
    }
}

/// The notice as a letter.
fn text(
    account: &Address,
    (held, reason): (JourneyId, &str),
    hostname: &str,
    (own, now): (JourneyId, Timestamp),
) -> Vec<u8> {
    let reason = match reason {
        "rate" => "they went to more recipients within an hour than one account may write to",
        other => other,
    };
    let mut letter = Vec::new();
    for (name, value) in [
        ("From", format!("Mail system <postmaster@{hostname}>")),
        ("To", account.to_string()),
        ("Subject", "Letters from your account are being held".to_owned()),
        ("Date", DateTime::utc(now).to_rfc5322()),
        ("Message-ID", format!("<{own}@{hostname}>")),
        // RFC 3834 §5: nobody is to answer this by machine.
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "8bit".to_owned()),
    ] {
        letter.extend_from_slice(&field(name, &value));
    }
    let body = format!(
        "\r\n\
         Letters that were sent with your account are being held and have not gone out:\r\n\
         {reason}.\r\n\
         \r\n\
         If you sent them, there is nothing to do: ask the postmaster to release them, or wait.\r\n\
         If you did not, somebody else knows your password: change it now and tell the\r\n\
         postmaster. The first of these letters is known here as {held}.\r\n\
         \r\n\
         You are told this at most once an hour.\r\n"
    );
    letter.extend_from_slice(body.as_bytes());
    letter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_an_hour_for_each_account() {
        let notices = Notices::default();
        let (alice, bob): (Address, Address) =
            ("alice@red.test".parse().unwrap(), "bob@red.test".parse().unwrap());
        let start = Timestamp::from_seconds(1_000_000);
        assert!(notices.is_due(&alice, start));
        assert!(!notices.is_due(&alice, start.after(HELD_NOTICE_EVERY / 2)));
        assert!(notices.is_due(&bob, start));
        assert!(notices.is_due(&alice, start.after(HELD_NOTICE_EVERY)));
    }
}
