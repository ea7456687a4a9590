//! Bounds of the user agent, with unit and reason.

use std::time::Duration;

/// Octets of the account file; a hundred accounts take about 30,000.
pub const MAX_ACCOUNT_FILE: u64 = 1024 * 1024;

/// Octets read as a password; SASL messages end at 9,216.
pub const MAX_PASSWORD: usize = 4_096;

/// How long a `password_command` may take: it may ask its user to unlock something.
pub const PASSWORD_COMMAND: Duration = Duration::from_secs(120);

/// How long one address of a server is tried.
pub const CONNECT: Duration = Duration::from_secs(15);

/// How long a name may take to resolve.
pub const RESOLVE: Duration = Duration::from_secs(20);

/// Addresses of one host that are tried.
pub const MAX_ADDRESSES: usize = 8;

/// How long a polite goodbye may take before the connection is just closed.
pub const GOODBYE: Duration = Duration::from_secs(3);

/// Octets of a letter that is fetched to be read: larger than what servers take, so that nothing
/// is refused that arrived, and small enough for this machine's memory.
pub const MAX_LETTER: usize = 256 * 1024 * 1024;

/// Octets of all attachments of a letter that is written, before encoding.
pub const MAX_ATTACHMENTS: u64 = 128 * 1024 * 1024;

/// Octets of a text that is read from a file, a pipe or the editor.
pub const MAX_TEXT: u64 = 16 * 1024 * 1024;

/// Octets of an HTML part that are made readable.
pub const MAX_HTML: usize = 2 * 1024 * 1024;

/// Elements nested in an HTML part; html2text recurses.
pub const MAX_HTML_DEPTH: usize = 200;

/// Stack of the thread that reads HTML, in octets: room for `MAX_HTML_DEPTH` with debug code.
pub const HTML_STACK: usize = 32 * 1024 * 1024;

/// How long HTML may take before its tags are simply stripped.
pub const HTML_TIME: Duration = Duration::from_secs(5);

/// Octets of a file name that attachments are saved under: Linux allows 255, and a counter may be
/// added.
pub const MAX_FILE_NAME: usize = 200;

/// Letters with the same file name in a folder before saving gives up.
pub const MAX_NAMESAKES: u32 = 10_000;

/// Letters on a page of a list.
pub const PAGE: usize = 50;

/// UIDs in one FETCH for a list, so that command lines stay short.
pub const FETCH_BATCH: usize = 500;

/// Folders that a list of folders shows.
pub const MAX_FOLDERS: usize = 10_000;

/// RFC 2177: IDLE is begun anew before servers log out at 30 minutes; many gateways forget
/// connections much sooner.
pub const IDLE_RENEWAL: Duration = Duration::from_secs(9 * 60);

/// Octets of a message that wait to be sent before more is added.
pub const SEND_AHEAD: usize = 256 * 1024;

/// Levels of folders that an import goes down: deeper trees are not mail.
pub const MAX_FOLDER_DEPTH: usize = 16;

/// Octets of `dovecot-keywords`: 26 names.
pub const MAX_KEYWORDS_FILE: u64 = 64 * 1024;

/// Octets of an import's journal: some millions of letters.
pub const MAX_JOURNAL: u64 = 1024 * 1024 * 1024;

/// Times an import connects again, in a row without a letter carried in between.
pub const RECONNECTIONS: u32 = 5;

/// How long an import waits before it connects again.
pub const RECONNECT_AFTER: Duration = Duration::from_secs(3);

/// Failures of single letters that an import remembers to show.
pub const MAX_FAILURES_SHOWN: usize = 100;
