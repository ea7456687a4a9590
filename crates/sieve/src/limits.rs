//! Bounds on what a script may cost. A script beyond them is refused when it is stored, or stops
//! with a fault when it runs, and then the letter is kept.

/// Octets of one script. People's own stay below 20,000; generated ones reach some 200,000.
pub const SCRIPT_BYTES: usize = 1024 * 1024;

/// Nesting of blocks and tests. RFC 5228 §2.10.5 asks for 15 at least; our parser recurses.
pub const NESTING: usize = 32;

/// Commands, tests and arguments in one script, so that a megabyte of `;` is not a gigabyte of
/// tree.
pub const SCRIPT_NODES: usize = 100_000;

/// Octets that one run may compare, copy or match, and so the time it may take: well below a
/// second.
pub const WORK: u64 = 200_000_000;

/// Work of a single command or test besides what it reads.
pub const WORK_STEP: u64 = 50;

/// Actions that one run may ask for. RFC 5228 §2.10.4 lets us choose.
pub const ACTIONS: usize = 32;

/// Redirects in one run (RFC 5228 §2.10.4, §10): more would make us a multiplier of mail.
pub const REDIRECTS: usize = 4;

/// Notifications in one run.
pub const NOTIFICATIONS: usize = 4;

/// Scripts that may include one another at once (RFC 6609 §3.2).
pub const INCLUDE_DEPTH: usize = 10;

/// Include commands carried out in one run.
pub const INCLUDES: usize = 64;

/// Octets of a variable's value (RFC 5229 §6 asks for 4,000 characters at least).
pub const VARIABLE_BYTES: usize = 16 * 1024;

/// Variables at once (RFC 5229 §6 asks for 128 at least).
pub const VARIABLES: usize = 256;

/// Octets of a variable's name (RFC 5229 §6).
pub const VARIABLE_NAME: usize = 64;

/// Match variables: `${0}` to `${9}` are asked for (RFC 5229 §3.2); more do no harm.
pub const MATCH_VARIABLES: usize = 32;

/// Octets of a compiled regular expression.
pub const REGEX_BYTES: usize = 256 * 1024;

/// Nesting of a regular expression.
pub const REGEX_NESTING: u32 = 64;

/// Octets of a regular expression as written.
pub const REGEX_LENGTH: usize = 4096;

/// Octets of a text that a regular expression is matched with. The matching is linear, with a
/// factor that grows with the expression.
pub const REGEX_TEXT: usize = 64 * 1024;

/// Octets of a letter that `body` and the MIME tests decode.
pub const BODY_BYTES: usize = 16 * 1024 * 1024;

/// Octets of header fields that a script may add to one letter.
pub const ADDED_HEADER: usize = 64 * 1024;

/// Parts through which `foreverypart` goes in one run, loops within loops counted.
pub const PARTS: usize = 10_000;

/// Steps of an explanation. It is for people.
pub const EXPLAINED: usize = 1000;

/// Octets of a value shown in an explanation.
pub const EXPLAINED_TEXT: usize = 120;

/// Octets of a reason, a vacation text or a notification.
pub const ANSWER_TEXT: usize = 64 * 1024;

/// RFC 5230 §4.1: the least number of days between two answers to one sender, with `:days`.
pub const VACATION_DAYS_LEAST: u64 = 1;

/// RFC 5230 §4.1: the most; it must be at least 7.
pub const VACATION_DAYS_MOST: u64 = 30;

/// RFC 5230 §4.1: when the script names no number of days.
pub const VACATION_DAYS: u64 = 7;

/// RFC 6131 §2.1: the least number of seconds; `:seconds 0` is taken for this.
pub const VACATION_SECONDS_LEAST: u64 = 60;

/// RFC 7352 §3: how long an identifier is remembered when the script does not say.
pub const DUPLICATE_SECONDS: u64 = 7 * 86_400;

/// RFC 7352 §3: how long at most.
pub const DUPLICATE_SECONDS_MOST: u64 = 30 * 86_400;

/// Octets of the original's header that a vacation answer may quote in its subject.
pub const SUBJECT: usize = 256;
