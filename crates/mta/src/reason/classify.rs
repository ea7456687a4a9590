//! From a reply to a class: the enhanced code where it says enough (RFC 3463 §3), the words where
//! it does not, the bare code and the verb last. Big receivers put nearly everything under 5.7.1,
//! so words are looked at before X.7.X.

use protocol::reply::{EnhancedCode, Reply};
use protocol::smtp::Verb;

use super::Reason;

/// The class of `reply`, which answered `verb`.
pub fn classify(reply: &Reply, verb: Verb) -> Reason {
    let text = reply.text.to_ascii_lowercase();
    reply
        .enhanced
        .and_then(plain_code)
        .or_else(|| by_words(&text))
        .or_else(|| reply.enhanced.and_then(broad_code))
        .unwrap_or_else(|| by_verb(reply, verb))
}

/// Enhanced codes that leave no doubt.
fn plain_code(code: EnhancedCode) -> Option<Reason> {
    Some(match (code.subject(), code.detail()) {
        // RFC 3463 §3.2; RFC 7505 §4.2 for X.1.10.
        (1, 1 | 3) => Reason::BadMailbox,
        (1, 2 | 10) => Reason::BadDomain,
        (1, 6) => Reason::MailboxClosed,
        (2, 1) => Reason::MailboxClosed,
        (2, 2) | (3, 1) => Reason::Full,
        (2, 3) | (3, 4) => Reason::Size,
        (4, 6) => Reason::Loop,
        (4, 7) => Reason::Expired,
        // RFC 6531 §3.7.4.2, RFC 3463 §3.7.
        (6, 1 | 3 | 7..=9) => Reason::Form,
        // RFC 7372 §3.
        (7, 20..=27) => Reason::Authentication,
        _ => return None,
    })
}

/// What receivers write. The first row that matches counts, so the more telling words stand first.
const WORDS: &[(Reason, &[&str])] = &[
    (Reason::Greylisted, &["greylist", "graylist", "grey-list", "gray-list", "grey listed"]),
    (
        Reason::RelayDenied,
        &[
            "relay access denied",
            "relaying denied",
            "not permitted to relay",
            "relay not permitted",
        ],
    ),
    (
        Reason::BlockedAddress,
        &[
            "spamhaus",
            "blacklist",
            "block list",
            "blocklist",
            "blocked using",
            "dnsbl",
            "rbl",
            "poor reputation",
            "ip address is blocked",
            "listed at",
            "listed in",
            "listed by",
        ],
    ),
    (
        Reason::Authentication,
        &["dmarc", "dkim", "spf ", "spf:", "reverse dns", "ptr record", "unauthenticated email"],
    ),
    (
        Reason::Rate,
        &[
            "rate limit",
            "too many",
            "throttl",
            "ratelimit",
            "exceeded the maximum number",
            "unusual rate",
            "slow down",
        ],
    ),
    (Reason::Full, &["quota", "mailbox full", "mailbox is full", "over storage", "out of space"]),
    (
        Reason::BadMailbox,
        &[
            "user unknown",
            "unknown user",
            "no such user",
            "no such mailbox",
            "no such recipient",
            "does not exist",
            "mailbox not found",
            "recipient not found",
            "unknown recipient",
            "invalid recipient",
            "no mailbox here",
            "user not found",
            "address rejected",
        ],
    ),
    (
        Reason::MailboxClosed,
        &["mailbox disabled", "account disabled", "inactive", "suspended", "no longer"],
    ),
    (Reason::Size, &["too large", "too big", "size limit", "maximum message size", "exceeds size"]),
    (Reason::Loop, &["too many hops", "mail loop", "routing loop", "loops back"]),
    (Reason::Content, &["spam", "virus", "malware", "phish", "content rejected", "bulk mail"]),
    (Reason::Tls, &["starttls", "encryption required", "must issue a"]),
];

fn by_words(text: &str) -> Option<Reason> {
    let row = WORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
    row.map(|(reason, _)| *reason)
}

/// Enhanced codes that name only the field.
fn broad_code(code: EnhancedCode) -> Option<Reason> {
    Some(match (code.subject(), code.detail()) {
        (1, 7 | 8) => Reason::Policy,
        (1, _) => Reason::BadMailbox,
        (2, _) => Reason::MailboxClosed,
        (3, _) => Reason::Unwell,
        (4, 1 | 2) => Reason::Network,
        (4, 3 | 4) => Reason::Dns,
        (4, 5) => Reason::Rate,
        (5, 3) => Reason::Rate,
        (5, _) => Reason::Protocol,
        (6, _) => Reason::Form,
        // RFC 8689 §5: X.7.30, REQUIRETLS is not supported.
        (7, 4 | 10 | 11 | 30) => Reason::Tls,
        (7, _) => Reason::Policy,
        _ => return None,
    })
}

/// The bare code, with the verb it answered.
fn by_verb(reply: &Reply, verb: Verb) -> Reason {
    match (reply.code.as_u16(), verb) {
        (421 | 451, _) => Reason::Unwell,
        (452, Verb::Rcpt) => Reason::Rate,
        (452, _) => Reason::Full,
        (552, _) => Reason::Size,
        (450 | 550 | 551 | 553, Verb::Rcpt) => Reason::BadMailbox,
        (521 | 556, _) => Reason::BadDomain,
        (500..=504 | 555, _) => Reason::Protocol,
        (454 | 530 | 535 | 538, _) => Reason::Tls,
        (554, Verb::Greeting) => Reason::BlockedAddress,
        (554, Verb::EndOfData | Verb::Bdat) => Reason::Content,
        (550 | 553 | 554, _) => Reason::Policy,
        _ => Reason::Other,
    }
}

#[cfg(test)]
mod tests {
    use protocol::reply::ReplyCode;

    use super::*;

    fn class(code: u16, enhanced: Option<&str>, text: &str, verb: Verb) -> Reason {
        let code = ReplyCode::new(code).expect("a reply code");
        let enhanced = enhanced.map(|text| text.parse().expect("an enhanced code"));
        classify(&Reply { code, enhanced, text: text.to_owned().into() }, verb)
    }

    #[test]
    fn an_enhanced_code_without_doubt_wins_over_words() {
        let text = "mailbox full of spam";
        assert_eq!(class(552, Some("5.2.2"), text, Verb::Rcpt), Reason::Full);
        assert_eq!(class(550, Some("5.1.1"), "spamhaus", Verb::Rcpt), Reason::BadMailbox);
        assert_eq!(class(556, Some("5.1.10"), "", Verb::Rcpt), Reason::BadDomain);
    }

    #[test]
    fn words_win_over_a_code_that_means_anything() {
        for (text, reason) in [
            ("Service unavailable; blocked using zen.spamhaus.org", Reason::BlockedAddress),
            ("rejected per DMARC policy", Reason::Authentication),
            ("Relay access denied", Reason::RelayDenied),
            ("Greylisted, please try again", Reason::Greylisted),
            ("looks like spam", Reason::Content),
        ] {
            assert_eq!(class(550, Some("5.7.1"), text, Verb::Rcpt), reason, "{text}");
        }
        assert_eq!(class(550, Some("5.7.1"), "no", Verb::Rcpt), Reason::Policy);
    }

    #[test]
    fn a_bare_code_is_read_with_its_verb() {
        assert_eq!(class(550, None, "no", Verb::Rcpt), Reason::BadMailbox);
        assert_eq!(class(550, None, "no", Verb::EndOfData), Reason::Policy);
        assert_eq!(class(554, None, "go away", Verb::Greeting), Reason::BlockedAddress);
        assert_eq!(class(421, None, "closing", Verb::Greeting), Reason::Unwell);
    }
}
