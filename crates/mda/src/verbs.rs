//! The agent's own verbs on the control socket: `mailbox.verify` and `mailbox.rebuild`. The command
//! `posthaste mailbox` asks them; `custody` is in a file of its own.

use std::sync::Arc;

use mailbox::{AccountId, Mailboxes};
use protocol::ipc::{Fault, FaultKind, Method};
use serde::{Deserialize, Serialize};
use service::Context;

use crate::care::{Care, Pass};

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
    /// Letters that had been damaged and are well again.
    #[serde(default)]
    pub released: u64,
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

/// `mailbox.verification`: where the verification in the background is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskVerification {}

/// The answer to [`AskVerification`]; times in seconds since 1970, 0 where there was none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verification {
    /// When the pass under way began, or the last one.
    pub began: i64,
    /// When the last whole pass ended.
    pub finished: i64,
    /// Letters that were as they were stored, in that pass.
    pub letters: u64,
    /// Octets read.
    pub bytes: u64,
    /// Letters that were damaged.
    pub damaged: u64,
    /// Letters that were well again.
    pub released: u64,
    /// The account at which the pass is; none: no pass is under way, or it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
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

impl Method for AskVerification {
    const NAME: &'static str = "mailbox.verification";
    type Answer = Verification;
}

impl Method for RebuildMailboxes {
    const NAME: &'static str = "mailbox.rebuild";
    type Answer = MailboxesRebuilt;
}

/// Answers the verbs.
pub(crate) fn register(context: &Context, mailboxes: &Mailboxes, care: &Arc<Care>) {
    let (store, of) = (mailboxes.clone(), care.clone());
    context.control.on::<VerifyMailboxes, _, _>(move |ask| {
        let (store, care) = (store.clone(), of.clone());
        async move {
            let account = account(&ask.account)?;
            let verified = store.verify(&account).await.map_err(failed)?;
            care.take_stock(&account, &verified);
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
                released: verified.released,
                damaged: damaged.collect(),
                is_cut,
            })
        }
    });
    let of = care.clone();
    context.control.on::<AskVerification, _, _>(move |_| {
        let pass = of.read_pass();
        async move {
            let Pass { began, finished, letters, bytes, damaged, released, at } = pass;
            let at = at.map(|at| at.account).filter(|account| !account.is_empty());
            Ok(Verification { began, finished, letters, bytes, damaged, released, at })
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
