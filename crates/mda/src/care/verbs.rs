//! The verbs `mailbox.tidy` and `mailbox.undelete` of the control socket, which `posthaste mailbox`
//! asks.

use std::sync::Arc;

use protocol::ipc::{Fault, FaultKind, Method};
use serde::{Deserialize, Serialize};
use service::Context;

use super::{Care, Round};
use crate::verbs::account;

/// `mailbox.tidy`: the daily round, now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TidyMailboxes {
    /// The account's address; none: every account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// The answer to [`TidyMailboxes`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxesTidied {
    /// Accounts looked at.
    pub accounts: u64,
    /// Letters expunged from Trash and Junk because of their age.
    pub expired: u64,
    /// Expunged letters removed for good.
    pub purged: u64,
    /// Expunged letters that are still kept.
    pub kept: u64,
    /// Their octets.
    pub kept_bytes: u64,
}

/// `mailbox.undelete`: lists expunged letters, or brings them back. Answered with a stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UndeleteLetters {
    /// The account's address.
    pub account: String,
    /// What to do.
    pub act: UndeleteAct,
    /// Which letters; none: all that fit the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Only those that were in this mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Only those expunged at this second since 1970 or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

/// What is done with expunged letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UndeleteAct {
    /// They are listed.
    List,
    /// They are brought back.
    Restore,
}

/// A part of the answer to [`UndeleteLetters`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UndeletePage {
    /// The oldest first.
    pub letters: Vec<ExpungedLetter>,
}

/// An expunged letter that is still kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExpungedLetter {
    /// What it is called.
    pub id: String,
    /// The mailbox it was in.
    pub mailbox: String,
    /// When it was expunged, in seconds since 1970.
    pub expunged: i64,
    /// INTERNALDATE, likewise.
    pub date: i64,
    /// Octets.
    pub size: u64,
    /// From whom.
    pub from: String,
    /// About what.
    pub subject: String,
    /// Where it is now, when it was brought back: the mailbox and its UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<(String, u32)>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Method for TidyMailboxes {
    const NAME: &'static str = "mailbox.tidy";
    type Answer = MailboxesTidied;
}

impl Method for UndeleteLetters {
    const NAME: &'static str = "mailbox.undelete";
    type Answer = UndeletePage;
}

/// Answers the verbs.
pub(super) fn register(context: &Context, care: &Arc<Care>) {
    let of = care.clone();
    context.control.on::<TidyMailboxes, _, _>(move |ask| {
        let care = of.clone();
        async move {
            let only = ask.account.as_deref().map(account).transpose()?;
            let Round { accounts, expired, purged, kept, kept_bytes } =
                care.round(only.as_ref()).await;
            Ok(MailboxesTidied { accounts, expired, purged, kept, kept_bytes })
        }
    });
    let of = care.clone();
    context.control.on_stream::<UndeleteLetters, _, _>(move |ask, mut respond| {
        let care = of.clone();
        async move {
            let letters = match care.asked(&ask).await {
                Ok(letters) => letters,
                Err(fault) => return respond.refuse(fault).await,
            };
            let mut letters = letters.into_iter().peekable();
            loop {
                let mut page = UndeletePage::default();
                for letter in letters.by_ref().take(PAGE) {
                    page.letters.push(care.take_up(&ask, letter).await);
                }
                if letters.peek().is_none() {
                    return respond.answer(&page).await;
                }
                if !respond.part(&page).await {
                    return;
                }
            }
        }
    });
}

/// What cannot be asked.
pub(super) fn wrong(text: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Parameters, text.into())
}

/// Letters in one part: with their texts they fit the 64 KiB frame.
const PAGE: usize = 20;
