//! The agent's own verbs on the control socket: `mailbox.verify` and `mailbox.rebuild`. The command
//! `posthaste mailbox` asks them; `custody` is in a file of its own.

use mailbox::{AccountId, Mailboxes};
use protocol::ipc::{Fault, FaultKind, Method};
use serde::{Deserialize, Serialize};
use service::Context;

/// `mailbox.verify`: reads every letter of an account and compares it with what was stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyMailboxes {
    /// The account's address.
    pub account: String,
}

/// The answer to [`VerifyMailboxes`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxesVerified {
    /// Letters that are as they were stored.
    pub letters: u64,
    /// Their octets.
    pub bytes: u64,
    /// Those that are not; bounded, see [`MailboxesVerified::is_cut`].
    pub damaged: Vec<DamagedLetter>,
    /// There are more than could be listed.
    pub is_cut: bool,
}

/// A letter that is not as it was stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DamagedLetter {
    /// The mailbox's name.
    pub mailbox: String,
    /// The letter's UID.
    pub uid: u32,
    /// What is wrong.
    pub what: String,
}

/// `mailbox.rebuild`: throws the account's index away and reads its Maildirs through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RebuildMailboxes {
    /// The account's address.
    pub account: String,
}

/// The answer to [`RebuildMailboxes`]: what other programs had done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxesRebuilt {
    /// Letters adopted.
    pub came: u32,
    /// Letters whose flags had been changed.
    pub changed: u32,
    /// Letters that had been removed.
    pub gone: u32,
}

impl Method for VerifyMailboxes {
    const NAME: &'static str = "mailbox.verify";
    type Answer = MailboxesVerified;
}

impl Method for RebuildMailboxes {
    const NAME: &'static str = "mailbox.rebuild";
    type Answer = MailboxesRebuilt;
}

/// Answers the verbs.
pub(crate) fn register(context: &Context, mailboxes: &Mailboxes) {
    let store = mailboxes.clone();
    context.control.on::<VerifyMailboxes, _, _>(move |ask| {
        let store = store.clone();
        async move {
            let account = account(&ask.account)?;
            let verified = store.verify(&account).await.map_err(failed)?;
            let is_cut = verified.findings.len() > LISTED;
            let listed = verified.findings.into_iter().take(LISTED);
            let damaged = listed.map(|finding| DamagedLetter {
                mailbox: finding.mailbox.to_string(),
                uid: finding.uid.get(),
                what: finding.what.chars().take(WHAT).collect(),
            });
            Ok(MailboxesVerified {
                letters: verified.letters,
                bytes: verified.bytes,
                damaged: damaged.collect(),
                is_cut,
            })
        }
    });
    let store = mailboxes.clone();
    context.control.on::<RebuildMailboxes, _, _>(move |ask| {
        let store = store.clone();
        async move {
            let looked = store.rebuild(&account(&ask.account)?).await.map_err(failed)?;
            let mailbox::Looked { came, changed, gone, .. } = looked;
            Ok(MailboxesRebuilt { came, changed, gone })
        }
    });
}

pub(crate) fn account(address: &str) -> Result<AccountId, Fault> {
    let wrong = || Fault::new(FaultKind::Parameters, format!("{address} is not an account"));
    let (name, domain) = address.rsplit_once('@').ok_or_else(wrong)?;
    AccountId::new(domain, name).map_err(|_| wrong())
}

pub(crate) fn failed(error: mailbox::Error) -> Fault {
    Fault::new(FaultKind::Internal, crate::detail(&error))
}

/// Damaged letters in one answer: with their texts they fit the 64 KiB frame.
const LISTED: usize = 100;

/// Characters of what is wrong with one.
const WHAT: usize = 200;
