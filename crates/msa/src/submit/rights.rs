//! Who may send as what: the envelope's sender and the header's authors are checked against the
//! directory. Pure. Whether somebody is who they say was settled before.
//!
//! A person may send as every address whose mail they get: their own, its subaddresses, the aliases
//! that lead to them (RFC 6409 §6.1 and §8.1 leave the rule to the site). A gateway may send as
//! every address of the domains it stands for.

use directory::{Account, Snapshot};
use message::{envelope::parse_addresses, header};
use protocol::{
    address::{Address, LocalPart, ReversePath},
    rejection::{Fault, Rejection},
    reply::{EnhancedCode, ReplyCode},
};

/// May this account say MAIL with that path?
///
/// The null path is taken here and settled by [`header`]: a notification needs it (RFC 8098 §3),
/// anything else is refused once its header is seen.
pub(crate) fn envelope(
    snapshot: &Snapshot,
    account: &Account,
    path: &ReversePath,
) -> Result<(), Rejection> {
    match path.address() {
        Some(address) if !snapshot.may_send_as(account, address) => {
            Err(not_yours(&address.to_string()))
        }
        _ => Ok(()),
    }
}

/// May this account send a letter with that header?
pub(crate) fn header(
    snapshot: &Snapshot,
    account: &Account,
    block: &[u8],
    path: &ReversePath,
) -> Result<(), Rejection> {
    if path.is_null() && !is_report(block) && account.gateway_for.is_empty() {
        return Err(policy(
            "the null sender is for notifications (multipart/report) only; give your address",
        ));
    }
    // A gateway hands on what others wrote; who may write there is settled there.
    if !account.gateway_for.is_empty() {
        return Ok(());
    }
    // RFC 5322 §3.6: one From. Two are a way to show one address to us and another to people.
    for name in ["From", "Sender"] {
        if header::count(block, name) > 1 {
            return Err(malformed(format!("more than one {name} field")));
        }
        let Some(value) = header::value(block, name) else { continue };
        let mut authors = 0;
        for listed in parse_addresses(&value) {
            let Some(host) = &listed.host else { continue };
            let mailbox = listed.mailbox.as_deref().unwrap_or_default();
            authors += 1;
            let address = address(mailbox, host);
            if !address.as_ref().is_some_and(|it| snapshot.may_send_as(account, it)) {
                let shown = address.map(|it| it.to_string());
                return Err(not_yours(&shown.unwrap_or_else(|| printable(mailbox, host))));
            }
        }
        if authors == 0 {
            return Err(malformed(format!("no address in the {name} field")));
        }
    }
    Ok(())
}

/// RFC 6522: what disposition and delivery notifications are.
fn is_report(block: &[u8]) -> bool {
    let value = header::value(block, "Content-Type").unwrap_or_default();
    value.to_ascii_lowercase().starts_with(b"multipart/report")
}

fn address(mailbox: &[u8], host: &[u8]) -> Option<Address> {
    let local = LocalPart::from_meaning(std::str::from_utf8(mailbox).ok()?).ok()?;
    let host: protocol::address::Host = std::str::from_utf8(host).ok()?.parse().ok()?;
    Some(Address::new(local, host))
}

/// What stands in a header may be anything; a reply is printable and short.
fn printable(mailbox: &[u8], host: &[u8]) -> String {
    let text = format!("{}@{}", String::from_utf8_lossy(mailbox), String::from_utf8_lossy(host));
    text.chars().filter(|it| it.is_ascii_graphic()).take(SHOWN).collect()
}

fn not_yours(address: &str) -> Rejection {
    policy(format!("you may not send as <{address}>: neither your address nor an alias of yours"))
}

fn policy(text: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::permanent(
        ReplyCode::MAILBOX_UNAVAILABLE,
        EnhancedCode::permanent(7, 1),
        Fault::Policy,
        text,
    )
}

fn malformed(text: String) -> Rejection {
    // RFC 6409 §6.3: a letter that is not well formed may be refused.
    Rejection::permanent(ReplyCode::FAILED, EnhancedCode::permanent(6, 0), Fault::Sender, text)
}

/// Characters of a foreign address in a reply.
const SHOWN: usize = 200;
