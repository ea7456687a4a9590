//! The account that letters go into: its folders, what it already has, APPEND. Called by `import`.

use std::collections::{HashMap, HashSet};

use protocol::imap::command::Command;
use protocol::imap::date::DateTime;
use protocol::imap::flag::{Flag, SpecialUse};
use protocol::imap::mailbox::MailboxName;
use protocol::imap::response::ListName;

use super::{Folder, Identity, Letter, server};
use crate::failure::Failure;
use crate::limits::FETCH_BATCH;
use crate::retrieve::folders;
use crate::session::imap::Imap;

/// The target of an import.
pub(super) struct Target<'a> {
    session: Imap<'a>,
    known: HashSet<String>,
    roles: Vec<(SpecialUse, String)>,
}

impl<'a> Target<'a> {
    pub(super) async fn open(mut session: Imap<'a>) -> Result<Self, Failure> {
        let (mut known, mut roles) = (HashSet::new(), Vec::new());
        for entry in folders::entries(&mut session).await? {
            let ListName::Mailbox(name) = &entry.name else { continue };
            known.insert(name.as_str().to_owned());
            roles.extend(folders::role(&entry).map(|role| (role, name.as_str().to_owned())));
        }
        Ok(Target { session, known, roles })
    }

    /// The folder that a folder of the source goes into: where the owner says so, there; else the
    /// one for the same use; else the one of the same name.
    pub(super) fn place_for(&self, folder: &Folder, wishes: &[(String, String)]) -> String {
        if let Some((_, to)) = wishes.iter().find(|(from, _)| *from == folder.name) {
            return to.clone();
        }
        if self.known.contains(&folder.name) {
            return folder.name.clone();
        }
        let role = folder.role.or_else(|| usual_role(&folder.name));
        let same_use = self.roles.iter().find(|(known, _)| Some(*known) == role);
        same_use.map_or_else(|| folder.name.clone(), |(_, name)| name.clone())
    }

    /// Makes the folder, and those above it, where missing.
    pub(super) async fn ensure(&mut self, name: &str) -> Result<MailboxName, Failure> {
        let whole = folders::name(name)?;
        let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        for end in ends {
            let level = name.get(..end).unwrap_or(name);
            if !level.is_empty() && !self.known.contains(level) {
                let mailbox = folders::name(level)?;
                let create = Command::Create { mailbox: mailbox.clone(), uses: Vec::new() };
                self.session.run(&create).await?;
                self.session.run(&Command::Subscribe(mailbox)).await?;
                self.known.insert(level.to_owned());
            }
        }
        Ok(whole)
    }

    /// How many letters of each identity the folder has.
    pub(super) async fn identities(
        &mut self,
        mailbox: &MailboxName,
    ) -> Result<HashMap<Identity, u32>, Failure> {
        server::examine(&mut self.session, mailbox).await?;
        let mut found = HashMap::new();
        let uids = server::uids(&mut self.session).await?;
        for batch in uids.chunks(FETCH_BATCH) {
            for (_, identity) in server::identities(&mut self.session, batch).await? {
                *found.entry(identity).or_default() += 1;
            }
        }
        Ok(found)
    }

    /// Adds a letter; durable when this returns.
    pub(super) async fn append(
        &mut self,
        mailbox: &MailboxName,
        letter: &Letter,
    ) -> Result<(), Failure> {
        let flags: Vec<Flag> =
            letter.flags.iter().filter(|flag| **flag != Flag::Recent).cloned().collect();
        let date = letter.date.map(DateTime::from_timestamp);
        self.session.append_dated(mailbox, (&flags, date), &letter.octets).await.map(drop)
    }

    pub(super) async fn close(self) {
        self.session.close().await;
    }
}

/// What folders of these names are for in programs that do not say it.
fn usual_role(name: &str) -> Option<SpecialUse> {
    let usual = [
        ("Sent", SpecialUse::Sent),
        ("Sent Items", SpecialUse::Sent),
        ("Sent Messages", SpecialUse::Sent),
        ("Sent Mail", SpecialUse::Sent),
        ("Trash", SpecialUse::Trash),
        ("Deleted Items", SpecialUse::Trash),
        ("Deleted Messages", SpecialUse::Trash),
        ("Junk", SpecialUse::Junk),
        ("Junk E-mail", SpecialUse::Junk),
        ("Spam", SpecialUse::Junk),
        ("Drafts", SpecialUse::Drafts),
        ("Archive", SpecialUse::Archive),
        ("Archives", SpecialUse::Archive),
    ];
    let name = name.strip_prefix("INBOX/").unwrap_or(name);
    usual.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, role)| *role)
}
