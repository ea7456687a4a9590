//! alice and bob at their user agents: a letter written and handed in, a mailbox read. Over `mua`,
//! as `posthaste mail` does it. Called by the scenarios.

use std::path::Path;

use message::compose::{Attachment, Correspondent, Draft, Placement, Stamp};
use message::date::DateTime;
use mua::account::{Account, PasswordSource, Security, Server, ServerKind};
use mua::retrieve::list;
use mua::retrieve::read::{self, Letter, Remember};
use mua::session::imap::Imap;
use mua::session::submission::{Parcel, hand_in};
use mua::{Desk, Failure};
use protocol::address::Address;
use protocol::imap::MailboxName;
use service::Fatal;

use super::system::System;
use super::world::write;
use super::{fault, letter};

/// Letters of a mailbox that the demo looks at.
const PAGE: u32 = 100;
/// Lines of a bounce that are shown.
const LINES: usize = 12;
/// Columns for text.
const WIDTH: usize = 72;

/// A letter on its way.
pub(super) struct Sent {
    /// As it was handed in.
    pub(super) letter: Vec<u8>,
    /// Its subject.
    pub(super) subject: String,
    /// The journey id in the MSA's reply.
    pub(super) journey: String,
    /// The MSA's reply.
    pub(super) reply: String,
}

/// Writes a letter with the horn in it and hands it in, under TLS from the first byte.
pub(super) async fn send(
    from: &System,
    roots: &Path,
    to: &str,
    subject: &str,
) -> Result<Sent, Fatal> {
    let desk = desk(from, roots)?;
    let sender = desk.account.address.clone();
    let recipient = address(to)?;
    let mut draft = Draft::new(Correspondent { name: None, address: sender.clone() });
    draft.to.push(Correspondent { name: None, address: recipient.clone() });
    draft.subject = subject.to_owned();
    draft.text = format!("Dear reader,\n\nthe horn of the post-chaise is attached.\n\n{sender}\n");
    draft.attachments.push(Attachment {
        media_type: "audio/wav".into(),
        file_name: Some(letter::HORN.into()),
        content_id: None,
        placement: Placement::Attached,
        octets: letter::horn(),
    });
    let number = desk.random().map_err(failed)?;
    let stamp = Stamp {
        date: DateTime::utc(desk.clock.now()),
        message_id: &format!("{number:016x}@{}", from.domain),
        boundary: &format!("horn{number:016x}"),
        user_agent: "Posthaste",
    };
    let letter = draft.to_letter(&stamp);
    let parcel =
        Parcel { sender: &sender, recipients: &[&recipient], letter: &letter, release: None };
    let receipt = hand_in(&desk, &parcel).await.map_err(failed)?;
    let journey = receipt
        .journey
        .ok_or_else(|| fault(format!("no journey id in the reply {:?}", receipt.reply)))?;
    Ok(Sent { letter, subject: subject.to_owned(), journey, reply: receipt.reply })
}

/// Every letter of somebody's INBOX, oldest first, over IMAP under TLS.
pub(super) async fn inbox(home: &System, roots: &Path) -> Result<Vec<Letter>, Fatal> {
    let desk = desk(home, roots)?;
    let mut session = Imap::open(&desk).await.map_err(failed)?;
    let inbox = MailboxName::inbox();
    let page = list::page(&mut session, &inbox, 1, PAGE).await.map_err(failed)?;
    let mut letters = Vec::new();
    for entry in page.letters.iter().rev() {
        let letter = read::fetch(&mut session, &inbox, entry.uid, Remember::Nothing).await;
        letters.push(letter.map_err(failed)?);
    }
    session.close().await;
    Ok(letters)
}

/// What a person reads of a letter, made safe to show.
pub(super) fn first_lines(letter: &Letter) -> Vec<String> {
    letter
        .text(WIDTH)
        .lines()
        .filter(|line| !line.is_empty())
        .take(LINES)
        .map(str::to_owned)
        .collect()
}

/// The octets of the attachment with that name.
pub(super) fn attachment(letter: &Letter, name: &str) -> Option<Vec<u8>> {
    let info = letter.parts().into_iter().find(|part| part.name.as_deref() == Some(name))?;
    let part = letter.part(&info.part).ok()?;
    Some(letter.octets(part))
}

/// Somebody at their user agent.
fn desk(home: &System, roots: &Path) -> Result<Desk, Fatal> {
    let person = &home.person;
    let secret = home.root.join("person.password");
    if !secret.exists() {
        write(&secret, person.password.reveal().as_bytes())?;
    }
    let server = |kind: ServerKind, port: u16| Server {
        kind,
        security: Security::Tls,
        host: home.ip.to_string(),
        port: home.at(port).port(),
    };
    Ok(Desk::new(Account {
        name: home.domain.clone(),
        address: address(&person.address)?,
        person: None,
        aliases: Vec::new(),
        imap: server(ServerKind::Imap, 993),
        submission: server(ServerKind::Submission, 465),
        user: person.address.clone(),
        password: PasswordSource::File(secret),
        extra_ca: Some(roots.to_owned()),
        sent: None,
    }))
}

fn address(text: &str) -> Result<Address, Fatal> {
    text.parse().map_err(|error| fault(format!("{text}: {error}")))
}

fn failed(failure: Failure) -> Fatal {
    fault(failure.text)
}
