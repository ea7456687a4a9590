//! QUOTA and QUOTAROOT as written (RFC 9208). Called by `response`.

use super::cursor::{Cursor, Parsed};
use super::sets;
use super::writer::Writer;
use crate::imap::limits;
use crate::imap::mailbox::MailboxName;
use crate::imap::response::{QuotaResource, Untagged};

/// What follows the word QUOTA in a response.
pub(super) fn quota(cursor: &mut Cursor<'_>) -> Parsed<Untagged> {
    cursor.space()?;
    let root = root(cursor)?;
    cursor.space()?;
    // Name, usage and limit follow each other, all with a space between.
    let resources = cursor.list(limits::ITEMS, |cursor| {
        let name = cursor.atom("a resource")?.to_ascii_uppercase();
        cursor.space()?;
        let usage = cursor.number64()?;
        cursor.space()?;
        Ok(QuotaResource { name, usage, limit: cursor.number64()? })
    })?;
    Ok(Untagged::Quota { root, resources })
}

/// The name of a quota root.
pub(super) fn root(cursor: &mut Cursor<'_>) -> Parsed<String> {
    Ok(String::from_utf8_lossy(cursor.astring()?.as_ref()).into_owned())
}

/// What follows the word QUOTAROOT in a response.
pub(super) fn quota_root(cursor: &mut Cursor<'_>) -> Parsed<Untagged> {
    cursor.space()?;
    let mailbox = sets::mailbox(cursor)?;
    let mut roots = Vec::new();
    while roots.len() < limits::ITEMS && cursor.eat(b' ') {
        roots.push(root(cursor)?);
    }
    Ok(Untagged::QuotaRoot { mailbox, roots })
}

/// Prints QUOTA from behind the word on.
pub(super) fn print_quota(writer: &mut Writer, root: &str, resources: &[QuotaResource]) {
    writer.byte(b' ');
    writer.astring(root.as_bytes());
    writer.byte(b' ');
    writer.list(resources, |writer, resource| {
        let QuotaResource { name, usage, limit } = resource;
        writer.display(format_args!("{name} {usage} {limit}"));
    });
}

/// Prints QUOTAROOT from behind the word on.
pub(super) fn print_quota_root(writer: &mut Writer, mailbox: &MailboxName, roots: &[String]) {
    writer.byte(b' ');
    sets::print_mailbox(writer, mailbox);
    for root in roots {
        writer.byte(b' ');
        writer.astring(root.as_bytes());
    }
}
