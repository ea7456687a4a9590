//! Into which mailbox a letter goes when no rule of its owner says otherwise: INBOX, or the one for
//! junk when the transfer agent, or the owner's own filter, took it for that. Stores nothing.

use bytes::Bytes;
use disk::Body;
use mailbox::{AccountId, MailboxName, SpecialUse};
use message::{header, junk};

use super::Deliveries;

/// What is known of a letter before it is filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing speaks against it.
    Wanted,
    /// It is junk.
    Junk,
}

/// How a letter stands with its owner's own filter, and the fields above it with the evidence.
/// What the transfer agent marked stays marked.
pub(super) fn weighed(
    shared: &Deliveries,
    account: &AccountId,
    (standing, trace): (Standing, &Bytes),
    body: &Body,
) -> (Standing, Bytes) {
    let is_on = shared.config.current().antispam.junk_filter;
    if !is_on || !shared.tutor.is_taught(account) {
        return (standing, trace.clone());
    }
    let start = body.read_start(verdict::limits::JUNK_OCTETS).unwrap_or_default();
    let Some(opinion) = shared.tutor.judge(account, &start) else {
        return (standing, trace.clone());
    };
    let mut fields = header::field(junk::EVIDENCE, &opinion.told());
    fields.extend_from_slice(&header::field(junk::SCORE, &format!("{:.1}", opinion.score * 10.0)));
    let standing = if opinion.is_junk() { Standing::Junk } else { standing };
    (standing, [trace, &fields[..]].concat().into())
}

/// The mailbox for a letter. One for junk is made when the first such letter comes; where it cannot
/// be made the letter goes to INBOX: it must not be lost for being junk.
pub(super) async fn mailbox(
    shared: &Deliveries,
    account: &AccountId,
    standing: Standing,
) -> MailboxName {
    match standing {
        Standing::Wanted => MailboxName::inbox(),
        Standing::Junk => match junk_mailbox(shared, account).await {
            Ok(name) => name,
            Err(error) => {
                tracing::warn!(%error, "no mailbox for junk; the letter goes to INBOX");
                MailboxName::inbox()
            }
        },
    }
}

async fn junk_mailbox(
    shared: &Deliveries,
    account: &AccountId,
) -> Result<MailboxName, mailbox::Error> {
    let view = shared.mailboxes.account(account).await?;
    let is_junk = |one: &&mailbox::Listed| one.special_use == Some(SpecialUse::Junk);
    if let Some(listed) = view.mailboxes.iter().find(is_junk) {
        return Ok(listed.name.clone());
    }
    let usual = SpecialUse::Junk.as_str();
    let name = MailboxName::new(usual).map_err(|_| mailbox::Error::NoSuchMailbox)?;
    if view.find(&name).is_none() {
        shared.mailboxes.create(account, name.clone(), Some(SpecialUse::Junk)).await?;
        shared.mailboxes.subscribe(account, name.clone()).await?;
    }
    Ok(name)
}
