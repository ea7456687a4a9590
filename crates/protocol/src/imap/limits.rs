//! Every limit of the IMAP grammar and machines, with its unit and reason. Not policy of the
//! delivery agent: what a client may store or how long it may stay is set there and passed in.

use std::time::Duration;

/// Octets of one command, literals included but not APPEND's message. RFC 7162 §4 asks servers for
/// at least 8192; large UID sets of synchronising clients need more.
pub const COMMAND_SIZE: usize = 64 * 1024;

/// Octets of one command before a login: nobody needs more than a name, a password or a ticket.
pub const COMMAND_SIZE_BEFORE_LOGIN: usize = 16 * 1024;

/// Octets of one literal inside a command, APPEND's message excepted.
pub const LITERAL_SIZE: usize = 32 * 1024;

/// Octets of a refused non-synchronising literal that we swallow in order to keep the session
/// (RFC 7888 §4); above this the connection is closed.
pub const LITERAL_SKIP: u64 = 1024 * 1024;

/// Octets that the server machine holds of commands that have not been begun yet. Reading stops
/// beyond it until the running command is done.
pub const PIPELINE_SIZE: usize = 64 * 1024;

/// Octets of one piece of a streamed literal.
pub const CHUNK_SIZE: usize = 64 * 1024;

/// Octets of output above which a machine reads no further commands: the client is not taking its
/// replies.
pub const OUTPUT_HIGH_WATER: usize = 256 * 1024;

/// How deeply parentheses, NOT and OR may nest; each level is one of our stack frames.
pub const NESTING: usize = 64;

/// Search keys in one command.
pub const SEARCH_KEYS: usize = 2_000;

/// Ranges in one sequence set.
pub const SET_RANGES: usize = 16_000;

/// Octets of one keyword (a mailbox keeps each of them for ever).
pub const KEYWORD_SIZE: usize = 128;

/// Flags and keywords in one list.
pub const FLAGS: usize = 128;

/// Items of one FETCH or STATUS list, fields of one HEADER.FIELDS list, patterns of one LIST.
pub const ITEMS: usize = 1_000;

/// Depth of a MIME part number such as `1.2.3`.
pub const PART_DEPTH: usize = 128;

/// Octets of the name of an annotation (RFC 5464 sets none).
pub const ENTRY_NAME_SIZE: usize = 256;

/// Octets of a mailbox name in UTF-8.
pub const MAILBOX_NAME_SIZE: usize = 1_024;

/// Octets of a tag. RFC 3501 sets none; it comes back with each reply.
pub const TAG_SIZE: usize = 128;

/// RFC 2971 §3.3: at most 30 fields in ID.
pub const ID_FIELDS: usize = 30;

/// Commands in error before the session is closed.
pub const ERRORS: u32 = 50;

/// RFC 3501 §5.4: an inactivity timer must be at least 30 minutes once logged in.
pub const AUTOLOGOUT: Duration = Duration::from_secs(30 * 60);

/// Time from the greeting to a successful login.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(120);

/// Time for the rest of a command line or literal that was begun, from its last octet on.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);

/// Client side: octets of one response, streamed literals excepted. BODYSTRUCTURE of a letter with
/// thousands of parts and SEARCH results of a million letters are single lines.
pub const RESPONSE_SIZE: usize = 16 * 1024 * 1024;

/// Client side: body literals up to this size are part of their response; larger ones are streams.
pub const INLINE_BODY: u64 = 64 * 1024;

/// Client side: octets of a literal that is not a body (a subject, an address, a file name).
pub const RESPONSE_LITERAL_SIZE: u64 = 1024 * 1024;

/// Client side: how long to wait for the next octet while a command is open.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(300);

/// Octets of a refused APPEND sent without asking (LITERAL+) that we swallow to keep the session;
/// they go nowhere, so this only bounds the client's patience.
pub const APPEND_SKIP: u64 = 256 * 1024 * 1024;

/// Octets of an over-long line that we swallow to keep the session.
pub const LINE_SKIP: u64 = 4 * 1024 * 1024;

/// Commands in error before a login; somebody is guessing, or it is not a mail client.
pub const ERRORS_BEFORE_LOGIN: u32 = 10;

/// Octets of one line of a SASL exchange; Kerberos tickets are the largest seen.
pub const SASL_LINE: usize = 16 * 1024;

/// Commands that are executed together with the one before them: their answers share a barrier.
pub const FOLLOWING: usize = 512;
