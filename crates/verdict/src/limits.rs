//! Every bound of this crate, with its unit and its reason.

use std::time::Duration;

/// Names whose answers are kept. A busy small host hears from some thousand domains a day.
pub const NAMES_KEPT: usize = 20_000;

/// Shortest time that an answer is kept: the questions of one letter overlap.
pub const KEPT_LEAST: Duration = Duration::from_secs(5);

/// Longest time that an answer is kept.
pub const KEPT_MOST: Duration = Duration::from_secs(3600);

/// How long "there is no such thing" is kept: a new domain's first letters come soon after.
pub const NOTHING_KEPT: Duration = Duration::from_secs(60);

/// How long a failure of DNS is kept: long enough that a hundred letters of one domain do not wait
/// one after the other, short enough that the next attempt of the sender finds it mended.
pub const FAILURE_KEPT: Duration = Duration::from_secs(30);

/// Questions in a row without an answer in time after which DNS is taken to be out of order, and
/// questions get only [`HURRIED_QUESTION`] for [`OUT_OF_ORDER`], or until one is answered: two
/// domains whose servers are silent must not make all others' letters wait.
pub const SILENT_QUESTIONS: u32 = 2;

/// How long DNS counts as out of order.
pub const OUT_OF_ORDER: Duration = Duration::from_secs(60);

/// How long a question may take then: a server that is well answers faster.
pub const HURRIED_QUESTION: Duration = Duration::from_millis(500);

/// How long one question may take.
pub const QUESTION: Duration = Duration::from_secs(5);

/// How long all questions about one letter may take. RFC 7208 §4.6.4: at least 20 seconds.
pub const INQUIRY: Duration = Duration::from_secs(20);

/// Questions of one letter that its journey shows.
pub const QUESTIONS_SHOWN: usize = 40;

/// Records of one answer that are told in a journey.
pub const RECORDS_SHOWN: usize = 4;

/// Characters of a record that are told in a journey.
pub const RECORD_SHOWN: usize = 300;

/// Terms of SPF that may ask DNS, for one check. RFC 7208 §4.6.4.
pub const SPF_LOOKUPS: u32 = 10;

/// Questions of one check that may come to nothing. RFC 7208 §4.6.4.
pub const SPF_VOID_LOOKUPS: u32 = 2;

/// Exchangers of one `mx`, and names of one `ptr`, that are looked at. RFC 7208 §4.6.4.
pub const SPF_NAMES: usize = 10;

/// Octets of an SPF record: what fits a DNS message over TCP is more than anybody publishes.
pub const SPF_RECORD: usize = 4096;

/// Octets of the explanation a domain may put into our reply.
pub const SPF_EXPLANATION: usize = 200;

/// Signatures of one letter that are verified; lists and forwarders add one each.
pub const DKIM_SIGNATURES: usize = 8;

/// Octets of one DKIM-Signature field: an RSA-8192 signature over a hundred fields.
pub const DKIM_FIELD: usize = 8192;

/// Names in one `h=`.
pub const DKIM_SIGNED_FIELDS: usize = 200;

/// Octets of a public key, decoded: RSA with 8192 bits.
pub const DKIM_KEY: usize = 1200;

/// Smallest RSA key that is believed, in bits. RFC 8301 §3.2.
pub const DKIM_RSA_BITS: usize = 1024;

/// How far the sender's clock may be ahead of ours, in seconds.
pub const DKIM_CLOCK_SKEW: u64 = 3600;

/// Octets of a letter between two looks at whether others want to work, while it is hashed.
pub const HASHED_AT_ONCE: usize = 1 << 20;

/// Domains in From that are evaluated. RFC 5322 allows many; one is what people write.
pub const DMARC_AUTHORS: usize = 5;

/// Questions of one tree walk. RFC 9989 §4.10.
pub const DMARC_WALK: usize = 8;

/// Names of an address that are followed back.
pub const IPREV_NAMES: usize = 5;

/// Lists in DNS that are asked about one address.
pub const LISTS: usize = 10;

/// Characters of a list's words that are passed on.
pub const LIST_TEXT: usize = 200;

/// Senders that the greylist knows, and that wait: some 10 MB at most.
pub const GREYLIST_ENTRIES: usize = 50_000;

/// How long a sender that came again is known.
pub const GREYLIST_KNOWN: Duration = Duration::from_secs(36 * 86_400);

/// How old what is known of a sender gets before it is written anew.
pub const GREYLIST_REFRESH: Duration = Duration::from_secs(86_400);

/// How long a sender may take to come again: longer than the longest pause between attempts.
pub const GREYLIST_RETRY: Duration = Duration::from_secs(2 * 86_400);

/// Networks after which a sender that nobody vouches for counts as one with many addresses.
pub const GREYLIST_NETWORKS: usize = 3;

/// Networks whose doings are counted: some 5 MB at most.
pub const NETWORKS_COUNTED: usize = 50_000;

/// Words that one account's junk filter knows: about 1 MB of text.
pub const JUNK_WORDS: usize = 40_000;

/// Letters of which it knows that they were taught.
pub const JUNK_TAUGHT: usize = 5_000;

/// Letters of each kind that it must have seen before it has an opinion.
pub const JUNK_LETTERS_LEAST: u32 = 5;

/// Words of a letter that decide.
pub const JUNK_DECIDING: usize = 150;

/// Words that are named as evidence.
pub const JUNK_EVIDENCE: usize = 12;

/// The score from which a letter is junk.
pub const JUNK_CERTAIN: f64 = 0.95;

/// Octets of a letter that are looked at for words.
pub const JUNK_OCTETS: usize = 256 * 1024;

/// Different words of one letter that count.
pub const JUNK_WORDS_OF_LETTER: usize = 2_000;

/// Shortest word that counts, in characters.
pub const JUNK_WORD_SHORTEST: usize = 3;

/// Longest word that counts, in characters: longer ones are seldom seen twice.
pub const JUNK_WORD_LONGEST: usize = 25;

/// Characters of a word with what it stands for, e.g. an address.
pub const JUNK_TOKEN: usize = 60;

/// Octets of an answer of rspamd.
pub const RSPAMD_ANSWER: usize = 1 << 20;

/// Recipients that rspamd is told.
pub const RSPAMD_RECIPIENTS: usize = 100;

/// Symbols of rspamd that are told.
pub const RSPAMD_SYMBOLS: usize = 10;

/// Octets of the body that a milter is shown at once; the protocol allows 65,535.
pub const MILTER_CHUNK: usize = 65_535;

/// Octets of one packet from a milter.
pub const MILTER_PACKET: usize = 128 * 1024;

/// Changes that one milter may make to one letter.
pub const MILTER_CHANGES: usize = 100;

/// Times a milter may say that it is still working.
pub const MILTER_PROGRESS: usize = 1000;

/// Recipients that a milter is shown.
pub const MILTER_RECIPIENTS: usize = 1000;
