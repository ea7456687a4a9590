//! One letter, fetched whole and looked into with our own scanner: its fields, its text, its parts.
//! The server's idea of the structure is not used, so that every server gives the same.

use message::header;
use message::scan::structure::{Content as PartContent, Part};
use message::scan::{Structure, scan};
use message::values;
use protocol::imap::command::{Command, FetchItems, FetchModifiers, Numbering};
use protocol::imap::fetch::{Content, FetchData, FetchItem, MarkSeen, Section};
use protocol::imap::flag::Flag;
use protocol::imap::mailbox::MailboxName;
use protocol::imap::response::Untagged;
use serde::Serialize;

use super::list::{self, Access, uid_set};
use crate::failure::Failure;
use crate::session::imap::Imap;
use crate::show::{html, safe};

/// A letter in memory.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Folder it was read from.
    pub folder: String,
    /// UID there.
    pub uid: u32,
    /// Its octets as the server gave them.
    pub raw: Vec<u8>,
    /// Its structure.
    pub structure: Structure,
    /// Its flags, by name.
    pub flags: Vec<String>,
}

/// A part as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartInfo {
    /// Number, e.g. `2.1`.
    pub part: String,
    /// Media type in lower case.
    #[serde(rename = "type")]
    pub media_type: String,
    /// File name, decoded; foreign.
    pub name: Option<String>,
    /// Octets without the transfer encoding.
    pub size: usize,
    /// Whether it is to be saved rather than read.
    pub attachment: bool,
}

/// A letter taken apart, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Folder.
    pub folder: String,
    /// UID.
    pub uid: u32,
    /// Flags.
    pub flags: Vec<String>,
    /// Fields in their order, decoded.
    pub headers: Vec<(String, String)>,
    /// The text that is read first, with line ends LF.
    pub text: String,
    /// All parts that hold no others.
    pub parts: Vec<PartInfo>,
}

/// Whether reading is to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// The letter becomes read.
    Seen,
    /// Nothing changes.
    Nothing,
}

/// Fetches a letter.
///
/// # Errors
/// There is no such letter; as [`Imap::run`].
pub async fn fetch(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    uid: u32,
    remember: Remember,
) -> Result<Letter, Failure> {
    let (access, seen) = match remember {
        Remember::Seen => (Access::Change, MarkSeen::Yes),
        Remember::Nothing => (Access::Look, MarkSeen::Peek),
    };
    list::open(session, folder, access).await?;
    let items = FetchItems::List(vec![
        FetchItem::Uid,
        FetchItem::Flags,
        FetchItem::Section { section: Section::default(), partial: None, seen },
    ]);
    let command = Command::Fetch {
        numbering: Numbering::Uid,
        set: uid_set(&[uid]),
        items,
        modifiers: FetchModifiers::default(),
    };
    let said = session.run(&command).await?;
    for untagged in said.data {
        let Untagged::Fetch { data, .. } = untagged else { continue };
        let is_it = data.iter().any(|item| matches!(item, FetchData::Uid(n) if n.get() == uid));
        if let (true, Some(letter)) = (is_it, letter(folder, uid, data)) {
            return Ok(letter);
        }
    }
    Err(Failure::no(format!(
        "there is no letter {uid} in {}; `posthaste mail list` shows the numbers",
        safe::line(folder.as_str())
    )))
}

fn letter(folder: &MailboxName, uid: u32, data: Vec<FetchData>) -> Option<Letter> {
    let mut raw = None;
    let mut flags = Vec::new();
    for item in data {
        match item {
            FetchData::Section { content: Content::Inline(octets), .. } => raw = Some(octets),
            FetchData::Flags(set) => {
                flags =
                    set.iter().filter(|f| **f != Flag::Recent).map(ToString::to_string).collect();
            }
            _ => {}
        }
    }
    let raw = raw?.to_vec();
    let structure = scan(&raw);
    Some(Letter { folder: folder.as_str().to_owned(), uid, raw, structure, flags })
}

impl Letter {
    /// The unfolded value of a field, decoded.
    pub fn field(&self, name: &str) -> Option<String> {
        header::find(&self.raw, name).map(|field| values::text(field.value(&self.raw)))
    }

    /// The unfolded value of a field as it stands.
    pub fn raw_field(&self, name: &str) -> Vec<u8> {
        header::value(&self.raw, name).unwrap_or_default()
    }

    /// All parts that hold no others, and nested letters.
    pub fn parts(&self) -> Vec<PartInfo> {
        let holds_none = |part: &&Part| !matches!(part.content, PartContent::Multipart(_));
        self.structure
            .parts()
            .iter()
            .filter(|(_, part)| holds_none(part))
            .map(|(path, part)| self.part_info(path, part))
            .collect()
    }

    fn part_info(&self, path: &[u32], part: &Part) -> PartInfo {
        PartInfo {
            part: number(path),
            media_type: format!("{}/{}", part.media.kind, part.media.subtype).to_ascii_lowercase(),
            name: values::file_name(part),
            size: values::part_octets(part, &self.raw).len(),
            attachment: values::is_attachment(part),
        }
    }

    /// The part with a number as people write it.
    ///
    /// # Errors
    /// It is no number of a part here.
    pub fn part(&self, typed: &str) -> Result<&Part, Failure> {
        let path: Option<Vec<u32>> = typed.split('.').map(|n| n.parse().ok()).collect();
        path.filter(|path| !path.is_empty()).and_then(|path| self.structure.part(&path)).ok_or_else(
            || {
                let known: Vec<String> = self.parts().into_iter().map(|part| part.part).collect();
                Failure::no(format!("there is no part {typed:?}; there are: {}", known.join(", ")))
            },
        )
    }

    /// The octets of a part without transfer encoding.
    pub fn octets(&self, part: &Part) -> Vec<u8> {
        values::part_octets(part, &self.raw).into_owned()
    }

    /// The text of a part for people, safe to show; HTML becomes text of that width.
    pub fn part_text(&self, part: &Part, width: usize) -> String {
        let text = values::part_text(part, &self.raw);
        if part.media.is("text", "html") { html::to_text(&text, width) } else { safe::text(&text) }
    }

    /// The text that is read first, safe to show; empty when there is none.
    pub fn text(&self, width: usize) -> String {
        values::readable_part(&self.structure)
            .map(|(_, part)| self.part_text(part, width))
            .unwrap_or_default()
    }

    /// The letter taken apart. Strings are foreign: JSON escapes their controls.
    pub fn overview(&self, width: usize) -> Overview {
        let block = self.structure.root.header.of(&self.raw);
        let headers = header::fields(block)
            .map(|field| {
                let name = String::from_utf8_lossy(field.name(block)).into_owned();
                (name, values::text(field.value(block)))
            })
            .collect();
        Overview {
            folder: self.folder.clone(),
            uid: self.uid,
            flags: self.flags.clone(),
            headers,
            text: self.text(width),
            parts: self.parts(),
        }
    }

    /// The letter for people: chosen fields, text, list of parts. Safe to show.
    pub fn display(&self, width: usize, fields: Fields) -> String {
        let mut out = String::new();
        match fields {
            Fields::Usual => {
                for name in ["Date", "From", "To", "Cc", "Bcc", "Reply-To", "Subject"] {
                    if let Some(value) = self.field(name) {
                        out.push_str(&format!("{name}: {}\n", safe::line(&value)));
                    }
                }
            }
            Fields::All => {
                out.push_str(&safe::text(&values::header_text(
                    self.structure.root.header.of(&self.raw),
                )));
            }
        }
        out.push('\n');
        let text = self.text(width);
        out.push_str(text.trim_end_matches('\n'));
        out.push('\n');
        let parts = self.parts();
        if parts.len() > 1 || parts.iter().any(|part| part.attachment) {
            out.push_str("\nParts:\n");
            for part in parts {
                let name = part.name.map_or_else(String::new, |n| format!("  {}", safe::line(&n)));
                let media_type = safe::line(&part.media_type);
                let size = human_size(part.size);
                let mark = if part.attachment { "  attachment" } else { "" };
                out.push_str(&format!("  {}  {media_type}  {size}{name}{mark}\n", part.part));
            }
        }
        out
    }
}

/// Which fields are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// Those that people read.
    Usual,
    /// All.
    All,
}

/// `2.1`.
pub fn number(path: &[u32]) -> String {
    path.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

fn human_size(octets: usize) -> String {
    match octets {
        0..1_024 => format!("{octets} B"),
        1_024..1_048_576 => format!("{} KiB", octets.div_ceil(1_024)),
        _ => format!("{}.{} MiB", octets >> 20, ((octets & 0xf_ffff) * 10) >> 20),
    }
}
