//! A report to the sender as a letter of its own for the queue: a journey with a cause, from the
//! null reverse-path, to whoever sent the letter. Its text is `bounce`'s.

use bytes::Bytes;
use message::dsn::{Dialect, Original};
use protocol::address::ReversePath;
use protocol::journey::JourneyId;
use protocol::smtp::parameters::BodyType;
use protocol::smtp::{DsnReturn, MailParameters};
use protocol::time::Timestamp;
use queue::{Letter, NewLetter, NewRecipient, Origin};
use service::config::Config;

use super::attempt::Trip;
use super::runner::Relay;
use crate::bounce::{self, Casualty, Occasion, Reporter};
use crate::limits::{REPORTED_HEADER, REPORTED_WHOLE};
use crate::reason::Failure;

impl Trip {
    /// The report about `failures`, by index of recipient; `None` when there is nobody to tell.
    pub(crate) fn report(
        &self,
        occasion: Occasion,
        failures: &[(usize, &Failure)],
        now: Timestamp,
    ) -> Option<NewLetter> {
        let start = self.body.read_start(REPORTED_HEADER).unwrap_or_default();
        let header = header_of(&start);
        let letter = self.lease.letter();
        // A letter that demands TLS is not given back whole: RFC 8689 §5.
        let full = letter.parameters.ret == Some(DsnReturn::Full) && !letter.parameters.requiretls;
        let whole = if full { self.body.read_all(REPORTED_WHOLE).ok() } else { None };
        let fresh = (now, self.relay.context.chance.u32());
        let report =
            compose(&self.config, (letter, header, whole.as_deref()), (occasion, failures), fresh);
        report.map(|report| self.relay.signed(report))
    }
}

impl Relay {
    /// A letter of our own with our signature, where the configuration says so.
    pub(crate) fn signed(&self, mut letter: NewLetter) -> NewLetter {
        if self.context.config.current().dkim.sign {
            self.signer.sign_own(&mut letter, &self.context.trail);
        }
        letter
    }
}

/// The report about a letter with this header.
pub(crate) fn compose(
    config: &Config,
    (letter, header, whole): (&Letter, &[u8], Option<&[u8]>),
    (occasion, failures): (Occasion, &[(usize, &Failure)]),
    (now, random): (Timestamp, u32),
) -> Option<NewLetter> {
    let ReversePath::Address(sender) = &letter.sender else { return None };
    // RFC 6533: an international report for who can read international mail.
    let dialect = if letter.parameters.smtputf8 { Dialect::Utf8 } else { Dialect::Ascii };
    let casualties: Vec<Casualty<'_>> = failures
        .iter()
        .filter_map(|(index, failure)| {
            let recipient = letter.recipients.get(*index)?;
            Some(Casualty {
                // What the sender's system gave to us, not what an alias made of it.
                address: recipient.from.as_ref().unwrap_or(&recipient.address),
                original: recipient.parameters.orcpt.as_ref().map(|it| it.address.as_ref()),
                failure,
                last_attempt: Some(now),
            })
        })
        .collect();
    let own = JourneyId::new(now, random);
    // RFC 3461 §4.3: RET concerns failures alone; a delay or a success gets the header.
    let original = match whole {
        Some(whole) if occasion == Occasion::Failed => Original::Whole(whole),
        _ => Original::Header(header),
    };
    let about = bounce::Letter {
        journey: letter.journey,
        sender,
        arrival: letter.arrived,
        envelope_id: letter.parameters.envid.as_deref(),
        dialect,
        header,
        original,
    };
    let hostname = config.hostname();
    let postmaster = format!("postmaster@{hostname}");
    let reporter = Reporter { hostname, postmaster };
    let text = bounce::report(&reporter, about, (occasion, &casualties), (own, now));
    let is_ascii = text.is_ascii();
    Some(NewLetter {
        journey: own,
        cause: Some(letter.journey),
        origin: Origin::Generated,
        arrived: now,
        expires: now.after(config.mta.lifetime),
        // RFC 5321 §4.5.5.
        sender: ReversePath::Null,
        parameters: MailParameters {
            body: (!is_ascii).then_some(BodyType::EightBitMime),
            smtputf8: letter.parameters.smtputf8,
            // RFC 8689 §5: the report travels as the letter had to.
            requiretls: letter.parameters.requiretls,
            ..MailParameters::default()
        },
        recipients: vec![NewRecipient {
            address: sender.clone(),
            parameters: Default::default(),
            from: None,
            first_try: now,
            in_hand: None,
        }],
        held: None,
        headers: Bytes::new(),
        body: text.into(),
    })
}

/// The header block at the start of a letter, with its empty line if that is there.
pub(crate) fn header_of(start: &[u8]) -> &[u8] {
    let end = start.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    // A header cut in the middle of a line would not be one.
    let whole = || start.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    &start[..end.unwrap_or_else(whole)]
}

#[cfg(test)]
mod tests {
    use protocol::smtp::parameters::OriginalRecipient;
    use queue::{Progress, Recipient, State};

    use super::*;
    use crate::reason::Reason;

    fn letter(sender: &str) -> Letter {
        let at = Timestamp::from_seconds(1_795_000_000);
        let original =
            OriginalRecipient { kind: "rfc822".into(), address: "the-team@red.test".into() };
        let parameters =
            protocol::smtp::RcptParameters { orcpt: Some(original), ..Default::default() };
        let recipient = Recipient {
            address: "bob@blue.test".parse().expect("an address"),
            parameters,
            from: Some("team@red.test".parse().expect("an address")),
            progress: Progress { state: State::Waiting, attempts: 1, next: at, last: None },
            in_hand: None,
        };
        Letter {
            journey: JourneyId::new(at, 1),
            cause: None,
            origin: Origin::Accepted,
            arrived: at,
            expires: at,
            sender: sender.parse().expect("a path"),
            parameters: MailParameters::default(),
            recipients: vec![recipient],
            held: None,
            delay_told: false,
            headers: Bytes::new(),
            length: 10,
        }
    }

    fn report(sender: &str) -> Option<NewLetter> {
        let failure = Failure::permanent(Reason::BadMailbox, (1, 1), "no such person");
        let header = header_of(b"Subject: hello\r\nFrom: a@red.test\r\n\r\nsecret text");
        let now = Timestamp::from_seconds(1_795_000_100);
        let failures = [(0, &failure)];
        compose(
            &Config::default(),
            (&letter(sender), header, None),
            (Occasion::Failed, &failures),
            (now, 7),
        )
    }

    #[test]
    fn a_report_goes_to_the_sender_from_nobody_and_names_its_cause() {
        let report = report("<alice@red.test>").expect("somebody to tell");
        assert!(report.sender.is_null());
        assert_eq!(report.cause, Some(letter("<>").journey));
        assert_eq!(report.origin, Origin::Generated);
        assert_eq!(report.recipients[0].address.to_string(), "alice@red.test");
        assert!(report.expires > report.arrived, "it is not given up at once");
        let text = report.body.read_all(u64::MAX).expect("in memory");
        let text = String::from_utf8(text.to_vec()).expect("text");
        assert!(text.contains("Subject: hello"), "the header is attached");
        assert!(!text.contains("secret text"), "the content is not");
        assert!(text.contains("Final-Recipient: rfc822; team@red.test"), "{text}");
        assert!(text.contains("the-team@red.test"), "ORCPT is told");
        assert!(!text.contains("bob@blue.test"), "what an alias stands for is nobody's business");
    }

    #[test]
    fn nobody_is_told_about_a_report() {
        assert!(report("<>").is_none());
    }

    #[test]
    fn a_header_ends_at_its_empty_line_or_a_whole_line() {
        assert_eq!(header_of(b"A: b\r\n\r\nbody"), b"A: b\r\n\r\n");
        assert_eq!(header_of(b"A: b\r\nC: cut in the mid"), b"A: b\r\n");
        assert_eq!(header_of(b"nothing"), b"");
    }
}
