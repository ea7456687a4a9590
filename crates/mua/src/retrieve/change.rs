//! Changes to letters: moved, marked, removed.

use protocol::imap::command::{Command, Numbering, Store, StoreAction, StoreEcho, Transfer};
use protocol::imap::flag::{Flag, Keyword, SpecialUse};
use protocol::imap::mailbox::MailboxName;

use super::folders;
use super::list::{self, Access, uid_set};
use crate::failure::Failure;
use crate::session::imap::Imap;

/// A mark set or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub flag: Flag,
    /// Set or taken away.
    pub action: StoreAction,
}

impl Mark {
    /// A mark as people write it: `read`, `unread`, `+flagged`, `-flagged`, `answered`, `deleted`,
    /// or a keyword of their own.
    ///
    /// # Errors
    /// It can be none.
    pub fn parse(word: &str) -> Result<Self, Failure> {
        let (plain, mut action) = match word.strip_prefix('-') {
            Some(rest) => (rest, StoreAction::Remove),
            None => (word.strip_prefix('+').unwrap_or(word), StoreAction::Add),
        };
        let mut flip = || {
            action = match action {
                StoreAction::Remove => StoreAction::Add,
                _ => StoreAction::Remove,
            };
        };
        let flag = match plain.to_ascii_lowercase().as_str() {
            "read" | "seen" => Flag::Seen,
            "unread" | "unseen" => {
                flip();
                Flag::Seen
            }
            "flagged" | "starred" => Flag::Flagged,
            "unflagged" | "unstarred" => {
                flip();
                Flag::Flagged
            }
            "answered" | "replied" => Flag::Answered,
            "deleted" => Flag::Deleted,
            "undeleted" => {
                flip();
                Flag::Deleted
            }
            "draft" => Flag::Draft,
            _ => Flag::Keyword(Keyword::new(plain).ok_or_else(|| {
                Failure::usage(format!(
                    "{word:?} is no mark; known are read, unread, flagged, unflagged, answered, \
                     deleted, draft, and keywords of your own, each with - in front to take it away"
                ))
            })?),
        };
        Ok(Mark { flag, action })
    }
}

/// Sets and takes away marks. The folder is opened.
///
/// # Errors
/// As [`Imap::run`].
pub async fn mark(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    uids: &[u32],
    marks: &[Mark],
) -> Result<(), Failure> {
    list::open(session, folder, Access::Change).await?;
    for mark in marks {
        session
            .run(&Command::Store(Store {
                numbering: Numbering::Uid,
                set: uid_set(uids),
                action: mark.action,
                echo: StoreEcho::Silent,
                flags: vec![mark.flag.clone()],
            }))
            .await?;
    }
    Ok(())
}

/// How letters left their folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// They are gone from it.
    Whole,
    /// The server can neither move nor remove single letters: they are copied, and marked deleted
    /// where they were.
    CopiedAndMarked,
}

/// Moves letters to another folder (RFC 6851, else by copying).
///
/// # Errors
/// As [`Imap::run`]; with advice when the folder does not exist.
pub async fn move_to(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    uids: &[u32],
    target: &MailboxName,
) -> Result<Moved, Failure> {
    list::open(session, folder, Access::Change).await?;
    session.know_capabilities().await?;
    let transfer =
        Transfer { numbering: Numbering::Uid, set: uid_set(uids), mailbox: target.clone() };
    if session.has("MOVE") {
        session.run(&Command::Move(transfer)).await?;
        return Ok(Moved::Whole);
    }
    session.run(&Command::Copy(transfer)).await?;
    session
        .run(&Command::Store(Store {
            numbering: Numbering::Uid,
            set: uid_set(uids),
            action: StoreAction::Add,
            echo: StoreEcho::Silent,
            flags: vec![Flag::Deleted],
        }))
        .await?;
    // RFC 4315 §2.1: without UID EXPUNGE, letters that others marked would go too.
    if session.has("UIDPLUS") {
        session.run(&Command::UidExpunge(uid_set(uids))).await?;
        return Ok(Moved::Whole);
    }
    Ok(Moved::CopiedAndMarked)
}

/// The folder that a person means: one of that name, or by what it is for (`trash`, `archive`,
/// `junk`, `sent`, `drafts`).
///
/// # Errors
/// The name can be none; as [`Imap::run`].
pub async fn target(session: &mut Imap<'_>, typed: &str) -> Result<MailboxName, Failure> {
    let role = match typed.to_ascii_lowercase().as_str() {
        "trash" => Some(SpecialUse::Trash),
        "archive" => Some(SpecialUse::Archive),
        "junk" | "spam" => Some(SpecialUse::Junk),
        "sent" => Some(SpecialUse::Sent),
        "drafts" => Some(SpecialUse::Drafts),
        _ => None,
    };
    if let Some(role) = role {
        if let Some(found) = folders::for_use(session, role).await? {
            return Ok(found);
        }
    }
    folders::name(typed)
}

/// Makes a folder.
///
/// # Errors
/// The name can be none, or exists.
pub async fn create(session: &mut Imap<'_>, typed: &str) -> Result<(), Failure> {
    let mailbox = folders::name(typed)?;
    session.run(&Command::Create { mailbox, uses: Vec::new() }).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_as_people_write_them() {
        let read = |word: &str| Mark::parse(word).map(|mark| (mark.flag, mark.action)).unwrap();
        assert_eq!(read("read"), (Flag::Seen, StoreAction::Add));
        assert_eq!(read("unread"), (Flag::Seen, StoreAction::Remove));
        assert_eq!(read("-unread"), (Flag::Seen, StoreAction::Add));
        assert_eq!(read("-Flagged"), (Flag::Flagged, StoreAction::Remove));
        assert_eq!(read("+unflagged"), (Flag::Flagged, StoreAction::Remove));
        let own = Flag::Keyword(Keyword::new("todo").unwrap());
        assert_eq!(read("todo"), (own, StoreAction::Add));
        assert_eq!(Mark::parse("two words").unwrap_err().kind, crate::Kind::Usage);
        assert!(Mark::parse("").is_err());
    }
}
