//! Lists of letters and folders as tables that fit the terminal.

use std::io::IsTerminal;

use super::local_time::Zone;
use super::safe;
use super::width::{columns, cut, fit};
use crate::retrieve::folders::Folder;
use crate::retrieve::list::Entry;

/// Columns of a terminal that tells nothing.
const USUAL_WIDTH: usize = 80;

/// The narrowest table that is still one.
const LEAST_WIDTH: usize = 40;

/// Columns of the terminal on standard output; plenty when it is a file or a pipe.
pub fn terminal_width() -> usize {
    if !std::io::stdout().is_terminal() {
        return std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    let told = size.map(|size| usize::from(size.ws_col)).unwrap_or(0);
    if told == 0 { USUAL_WIDTH } else { told.max(LEAST_WIDTH) }
}

/// One line for each letter: number, marks, date, who, subject. Marks: `N` unread, `!` flagged,
/// `r` answered, `D` deleted, `@` has attachments.
pub fn letters(entries: &[Entry], zone: &Zone, width: usize, with_folder: Folders) -> Vec<String> {
    let number_width =
        entries.iter().map(|entry| entry.uid.to_string().len()).max().unwrap_or(1).max(1);
    let folder_width = match with_folder {
        Folders::Hidden => 0,
        Folders::Shown => {
            entries.iter().map(|e| columns(&safe::line(&e.folder))).max().unwrap_or(0).min(16)
        }
    };
    let fixed = number_width + 1 + 4 + 1 + 14 + 1 + folder_width + usize::from(folder_width > 0);
    let rest = width.saturating_sub(fixed);
    let who_width = (rest / 3).clamp(8, 24);
    entries
        .iter()
        .map(|entry| {
            let folder = match with_folder {
                Folders::Hidden => String::new(),
                Folders::Shown => format!("{} ", fit(&safe::line(&entry.folder), folder_width)),
            };
            let line = format!(
                "{:>number_width$} {} {} {folder}{} {}",
                entry.uid,
                marks(entry),
                fit(&zone.short(entry.moment), 14),
                fit(&safe::line(&entry.who()), who_width),
                safe::line(&entry.subject)
            );
            cut(line.trim_end(), width)
        })
        .collect()
}

/// Whether each line names its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folders {
    /// All letters are in one.
    Hidden,
    /// Hits of a search in several.
    Shown,
}

fn marks(entry: &Entry) -> String {
    let mark = |set: bool, c: char| if set { c } else { ' ' };
    [
        mark(!entry.seen, 'N'),
        mark(entry.flagged, '!'),
        if entry.deleted { 'D' } else { mark(entry.answered, 'r') },
        mark(entry.attachments, '@'),
    ]
    .iter()
    .collect()
}

/// One line for each folder: unread, all, name, use.
pub fn folders(all: &[Folder], width: usize) -> Vec<String> {
    let count = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let unread_width = all.iter().map(|f| count(f.unread).len()).max().unwrap_or(1).max(6);
    let total_width = all.iter().map(|f| count(f.letters).len()).max().unwrap_or(1).max(7);
    let mut lines = vec![format!("{:>unread_width$} {:>total_width$} folder", "unread", "letters")];
    for folder in all {
        let role = folder.role.as_deref().map_or_else(String::new, |role| format!("  ({role})"));
        let line = format!(
            "{:>unread_width$} {:>total_width$} {}{role}",
            count(folder.unread),
            count(folder.letters),
            safe::line(&folder.name)
        );
        lines.push(cut(&line, width));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::Timestamp;

    fn entry(uid: u32, subject: &str) -> Entry {
        Entry {
            folder: "INBOX".into(),
            uid,
            moment: Some(Timestamp::from_seconds(1_795_381_596)),
            from: vec!["Bob \x1b[2J <bob@blue.test>".into()],
            to: Vec::new(),
            subject: subject.into(),
            message_id: None,
            size: 1,
            seen: false,
            flagged: true,
            answered: false,
            deleted: false,
            draft: false,
            attachments: true,
        }
    }

    #[test]
    fn lines_fit_and_command_nothing() {
        let entries = [entry(7, "short"), entry(1_234, &"日本語 \x1b]0;x\x07 long ".repeat(30))];
        for width in [40, 80, 132] {
            for shown in [Folders::Hidden, Folders::Shown] {
                for line in letters(&entries, &Zone::utc(), width, shown) {
                    assert!(columns(&line) <= width, "{width}: {line}");
                    assert!(!line.chars().any(char::is_control), "{line:?}");
                }
            }
        }
        let line = &letters(&entries, &Zone::utc(), 80, Folders::Hidden)[0];
        assert!(line.starts_with("   7 N! @ "), "{line}");
        assert!(line.ends_with(" short"), "{line}");
    }
}
