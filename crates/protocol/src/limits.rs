//! Limits of what SMTP peers and addresses may ask of us, each with its unit and reason. The
//! limits of IMAP, SASL and IPC stand beside their parsers; the configurable ones (sizes, numbers
//! of recipients, sessions) come from the agents.

/// Octets of a local part in a forward-path. RFC 5321 §4.5.3.1.1.
pub const LOCAL_PART: usize = 64;

/// Octets of a local part anywhere else. Return paths that carry state (VERP, SRS, BATV) exceed
/// the 64 of RFC 5321 §4.5.3.1.1, and that section asks to impose no limit where that is possible;
/// no mailbox of ours can have such a name.
pub const LOCAL_PART_LONGEST: usize = 192;

/// Octets of a domain in its ASCII form. RFC 5321 §4.5.3.1.2.
pub const DOMAIN: usize = 255;

/// Octets of one label of a domain. RFC 1035 §2.3.4.
pub const LABEL: usize = 63;

/// Octets of a path with its angle brackets. RFC 5321 §4.5.3.1.3.
pub const PATH: usize = 256;

/// Octets of a command line with its CRLF, before extensions. RFC 5321 §4.5.3.1.4.
pub const COMMAND_LINE: usize = 512;

/// Octets of an AUTH line or a response within AUTH, with its CRLF. RFC 4954 §4 and §4.3.
pub const AUTH_LINE: usize = 12_288;

/// Octets of a reply line with its CRLF, when we write it. RFC 5321 §4.5.3.1.5.
pub const REPLY_LINE: usize = 512;

/// Octets of a text line with its CRLF, without the dot of transparency. RFC 5321 §4.5.3.1.6.
pub const TEXT_LINE: usize = 1000;

/// Octets of a reply line that we read. Some servers put a URL and an explanation into one line;
/// beyond this a peer is not answering but flooding.
pub const REPLY_LINE_READ: usize = 4096;

/// Lines of one reply that we read. EHLO with every known extension has about thirty.
pub const REPLY_LINES_READ: usize = 128;

/// Octets of replies, waiting to be taken, beyond which a server machine reads no more commands:
/// a peer that never reads costs no more than this.
pub const OUTPUT_WAITING: usize = 32 * 1024;

/// Octets of a body, waiting to be taken, beyond which a client machine wants no more of it.
pub const BODY_WAITING: usize = 64 * 1024;

/// Octets of input kept while a question is unanswered; one more read of the driver may come on
/// top of it.
pub const INPUT_WAITING: usize = 64 * 1024;

/// Pipelined commands whose replies are still owed. RFC 2920 names no number; a client that sends
/// more is read later.
pub const REPLIES_OWED: usize = 200;

/// RFC 2449 §4: a POP3 command has at most 255 octets with its end. Passwords may be longer.
pub const POP3_LINE: usize = 1024;

/// RFC 5034 §4: a response in an exchange may be longer.
pub const POP3_SASL_LINE: usize = 16 * 1024;

/// Wrong commands after which a POP3 session ends.
pub const POP3_ERRORS: u32 = 20;

/// Octets of answers beyond which no further command is read.
pub const POP3_OUTPUT: usize = 64 * 1024;

/// RFC 1939 §3: the timer is 10 minutes at least.
pub const POP3_AUTOLOGOUT: std::time::Duration = std::time::Duration::from_secs(600);

/// Octets of a ManageSieve command without its literals.
pub const MANAGESIEVE_LINE: usize = 8 * 1024;

/// Octets of a ManageSieve command of somebody who has not logged in, its literals included
/// (RFC 5804 §1.2: a server need not take what a stranger sends).
pub const MANAGESIEVE_STRANGER: usize = 16 * 1024;

/// Octets of a script in a ManageSieve command.
pub const MANAGESIEVE_SCRIPT: usize = 1024 * 1024;

/// Wrong commands after which a ManageSieve session ends.
pub const MANAGESIEVE_ERRORS: u32 = 20;

/// Octets of answers beyond which no further command is read.
pub const MANAGESIEVE_OUTPUT: usize = 64 * 1024;

/// RFC 5804 §1.2: a timer of 30 minutes at least after the login; before it, a minute or more.
pub const MANAGESIEVE_AUTOLOGOUT: std::time::Duration = std::time::Duration::from_secs(1800);

/// How long a stranger may say nothing.
pub const MANAGESIEVE_LOGIN: std::time::Duration = std::time::Duration::from_secs(120);
