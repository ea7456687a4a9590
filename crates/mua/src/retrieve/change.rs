//! Changes to letters: moved, marked, removed.

use protocol::imap::command::{
    Command, Numbering, Search, Store, StoreAction, StoreEcho, Transfer,
};
use protocol::imap::flag::{Flag, Keyword, SpecialUse};
use protocol::imap::mailbox::MailboxName;
use protocol::imap::search::SearchKey;

use super::folders;
use super::list::{self, Access, uid_set};
use super::search::uids_of;
use crate::failure::Failure;
use crate::session::imap::Imap;
use crate::show::safe;

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

/// Sets and takes away marks; gives the letters that were there to be marked.
///
/// # Errors
/// None of the letters is there; as [`Imap::run`].
pub async fn mark(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    uids: &[u32],
    marks: &[Mark],
) -> Result<Vec<u32>, Failure> {
    list::open(session, folder, Access::Change).await?;
    let uids = present(session, folder, uids).await?;
    for mark in marks {
        session
            .run(&Command::Store(Store {
                numbering: Numbering::Uid,
                set: uid_set(&uids),
                action: mark.action,
                echo: StoreEcho::Silent,
                flags: vec![mark.flag.clone()],
                unchanged_since: None,
            }))
            .await?;
    }
    Ok(uids)
}

/// Those of the letters that are there. Commands by UID say nothing of those that are not
/// (RFC 9051 §6.4.9), and people want to be told.
async fn present(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    uids: &[u32],
) -> Result<Vec<u32>, Failure> {
    let search = Search {
        numbering: Numbering::Uid,
        returns: None,
        charset: None,
        key: SearchKey::Uid(uid_set(uids)),
    };
    let mut found = uids_of(session.run(&Command::Search(search)).await?.data);
    found.sort_unstable();
    if found.is_empty() {
        return Err(Failure::no(format!(
            "none of these letters is in {}; `posthaste mail list` shows the numbers",
            safe::line(folder.as_str())
        )));
    }
    Ok(found)
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

/// Moves letters to another folder (RFC 6851, else by copying); gives those that were there to be
/// moved.
///
/// # Errors
/// None of the letters is there, nor the folder; as [`Imap::run`].
pub async fn move_to(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    uids: &[u32],
    target: &MailboxName,
) -> Result<(Vec<u32>, Moved), Failure> {
    list::open(session, folder, Access::Change).await?;
    session.know_capabilities().await?;
    let uids = present(session, folder, uids).await?;
    let set = uid_set(&uids);
    let transfer =
        Transfer { numbering: Numbering::Uid, set: set.clone(), mailbox: target.clone() };
    if session.has("MOVE") {
        session.run(&Command::Move(transfer)).await?;
        return Ok((uids, Moved::Whole));
    }
    session.run(&Command::Copy(transfer)).await?;
    session
        .run(&Command::Store(Store {
            numbering: Numbering::Uid,
            set: set.clone(),
            action: StoreAction::Add,
            echo: StoreEcho::Silent,
            flags: vec![Flag::Deleted],
            unchanged_since: None,
        }))
        .await?;
    // RFC 4315 §2.1: without UID EXPUNGE, letters that others marked would go too.
    if session.has("UIDPLUS") {
        session.run(&Command::UidExpunge(set)).await?;
        return Ok((uids, Moved::Whole));
    }
    Ok((uids, Moved::CopiedAndMarked))
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
    if let Some(role) = role
        && let Some(found) = folders::for_use(session, role).await?
    {
        return Ok(found);
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
