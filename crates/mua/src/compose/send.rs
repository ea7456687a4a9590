//! Sends a letter: stamps it, hands it in, keeps a copy in Sent, marks what it answers. When it
//! cannot be handed in it is kept in a file, so that nothing written is lost.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use message::compose::{Draft, Stamp, without_bcc};
use message::message_id;
use protocol::address::Address;
use protocol::imap::command::StoreAction;
use protocol::imap::flag::{Flag, Keyword, SpecialUse};
use protocol::imap::mailbox::MailboxName;
use protocol::smtp::Release;

use crate::failure::Failure;
use crate::retrieve::change::{self, Mark};
use crate::retrieve::folders;
use crate::session::Desk;
use crate::session::imap::Imap;
use crate::session::submission::{Parcel, Receipt, hand_in};
use crate::show::local_time::Zone;

/// What our letters say they were written with.
const USER_AGENT: &str = concat!("Posthaste/", env!("CARGO_PKG_VERSION"));

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Message-ID, without angle brackets.
    pub message_id: String,
    /// What the server said.
    pub receipt: Receipt,
    /// The folder with the copy; or why there is none.
    pub copy: Option<Result<String, Failure>>,
}

/// Whether a copy is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// In Sent.
    Keep,
    /// None.
    None,
}

/// What a letter answers or passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Folder.
    pub folder: MailboxName,
    /// UID.
    pub uid: u32,
    /// What it is then marked with.
    pub mark: Flag,
}

impl Origin {
    /// A letter that is answered.
    pub fn answered(folder: MailboxName, uid: u32) -> Self {
        Origin { folder, uid, mark: Flag::Answered }
    }

    /// A letter that is passed on: `$Forwarded` (RFC 5788's registry).
    pub fn forwarded(folder: MailboxName, uid: u32) -> Self {
        let mark = Keyword::new("$Forwarded").map_or(Flag::Answered, Flag::Keyword);
        Origin { folder, uid, mark }
    }
}

/// Sends; `release` is when the letter may leave the server, if not at once.
///
/// # Errors
/// There is no recipient, or the letter could not be handed in: the text says where it is kept. A
/// copy or a mark that fails is no error: the letter is on its way.
pub async fn send(
    desk: &Desk,
    draft: &Draft,
    (copy, release): (Copy, Option<Release>),
    origin: Option<&Origin>,
) -> Result<Sent, Failure> {
    let recipients: Vec<&Address> = draft.recipients();
    if recipients.is_empty() {
        return Err(Failure::usage("to whom? Say --to, --cc or --bcc"));
    }
    let now = desk.clock.now();
    let domain = draft.from.address.host().to_string();
    let message_id = message_id::new(now, desk.random()?, domain.trim_matches(['[', ']']));
    let boundary = format!("posthaste-{:016x}", desk.random()?);
    let stamp = Stamp {
        date: Zone::local().date(now),
        message_id: &message_id,
        boundary: &boundary,
        user_agent: USER_AGENT,
    };
    let letter = draft.to_letter(&stamp);
    let outgoing = without_bcc(&letter);
    let (sender, letter_out) = (&draft.from.address, outgoing.as_slice());
    let parcel = Parcel { sender, recipients: &recipients, letter: letter_out, release };
    let receipt = match hand_in(desk, &parcel).await {
        Ok(receipt) => receipt,
        Err(failure) => return Err(kept(failure, &letter, &boundary)),
    };
    let copy = match (copy, origin) {
        (Copy::None, None) => None,
        (copy, origin) => afterwards(desk, &letter, copy, origin).await,
    };
    Ok(Sent { message_id, receipt, copy })
}

/// The copy and the mark, in one session.
async fn afterwards(
    desk: &Desk,
    letter: &[u8],
    copy: Copy,
    origin: Option<&Origin>,
) -> Option<Result<String, Failure>> {
    let mut session = match Imap::open(desk).await {
        Ok(session) => session,
        Err(failure) => return (copy == Copy::Keep).then_some(Err(failure)),
    };
    let kept = match copy {
        Copy::None => None,
        Copy::Keep => Some(keep_copy(&mut session, desk, letter).await),
    };
    if let Some(Origin { folder, uid, mark }) = origin {
        let marks = [Mark { flag: mark.clone(), action: StoreAction::Add }];
        // A server without that keyword, or a read-only folder: the letter is sent all the same.
        let _ = change::mark(&mut session, folder, &[*uid], &marks).await;
    }
    session.close().await;
    kept
}

async fn keep_copy(session: &mut Imap<'_>, desk: &Desk, letter: &[u8]) -> Result<String, Failure> {
    let folder = match &desk.account.sent {
        Some(name) => folders::name(name)?,
        None => match folders::for_use(session, SpecialUse::Sent).await? {
            Some(found) => found,
            None => {
                change::create(session, "Sent").await?;
                folders::name("Sent")?
            }
        },
    };
    session.append(&folder, &[Flag::Seen], letter).await?;
    Ok(folder.as_str().to_owned())
}

/// The failure, with the place where the letter is kept.
fn kept(failure: Failure, letter: &[u8], name: &str) -> Failure {
    let text = match keep_unsent(letter, name) {
        Ok(path) => format!("{}; the letter is kept in {}", failure.text, path.display()),
        Err(error) => format!("{}; and it could not be kept: {error}", failure.text),
    };
    Failure { text, ..failure }
}

/// Under `$XDG_STATE_HOME/posthaste/unsent`, for this user only.
fn keep_unsent(letter: &[u8], name: &str) -> std::io::Result<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    let folder = base.join("posthaste").join("unsent");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join(format!("{name}.eml"));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(letter)?;
    Ok(path)
}
