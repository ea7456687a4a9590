//! Tests of [`super`].

use super::*;
use crate::scan::{SectionText, scan};
use crate::values;

const ORIGINAL: &[u8] = b"From: alice@red.test\r\nSubject: Lunch\r\n\r\nToday?\r\n";

fn recipient() -> Recipient<'static> {
    Recipient {
        address: "bob@blue.test",
        original: Some("rfc822;robert@blue.test"),
        action: Action::Failed,
        status: "5.1.1",
        remote_mta: Some("mx.blue.test"),
        diagnostic: Some("550 5.1.1 <bob@blue.test>\r\nno such user"),
        last_attempt: Some(Timestamp::from_seconds(60)),
        log_id: Some("01hxyz"),
        will_retry_until: Some(Timestamp::from_seconds(120)),
    }
}

fn report<'a>(recipients: &'a [Recipient<'a>]) -> Report<'a> {
    Report {
        dialect: Dialect::Ascii,
        reporting_mta: "mx.red.test",
        from: "postmaster@red.test",
        to: "alice@red.test",
        subject: "Not delivered: Lunch",
        message_id: "1@mx.red.test",
        boundary: "report-1",
        at: DateTime::utc(Timestamp::from_seconds(60)),
        explanation: "Nobody has that address.\nCheck it for typing errors.\n",
        envelope_id: Some("QQ314159"),
        arrival: Some(Timestamp::from_seconds(0)),
        recipients,
        original: Original::Header(ORIGINAL),
    }
}

fn section(letter: &[u8], path: &[u32]) -> String {
    let span = scan(letter).section(path, SectionText::All).unwrap();
    String::from_utf8(span.of(letter).to_vec()).unwrap()
}

#[test]
fn a_failure() {
    let recipients = [recipient()];
    let letter = report(&recipients).to_letter();
    let structure = scan(&letter);
    assert!(structure.root.media.is("multipart", "report"));
    assert_eq!(structure.root.media.parameter("report-type"), Some(&b"delivery-status"[..]));
    assert_eq!(header::value(&letter, "Auto-Submitted").unwrap(), b"auto-replied");
    assert_eq!(header::value(&letter, "To").unwrap(), b"<alice@red.test>");
    assert_eq!(
        values::part_text(structure.part(&[1]).unwrap(), &letter),
        "Nobody has that address.\nCheck it for typing errors.\n"
    );
    assert!(structure.part(&[2]).unwrap().media.is("message", "delivery-status"));
    assert_eq!(
        section(&letter, &[2]),
        "Original-Envelope-Id: QQ314159\r\n\
         Reporting-MTA: dns; mx.red.test\r\n\
         Arrival-Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
         \r\n\
         Original-Recipient: rfc822; robert@blue.test\r\n\
         Final-Recipient: rfc822; bob@blue.test\r\n\
         Action: failed\r\n\
         Status: 5.1.1\r\n\
         Remote-MTA: dns; mx.blue.test\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 <bob@blue.test> no such user\r\n\
         Last-Attempt-Date: Thu, 1 Jan 1970 00:01:00 +0000\r\n\
         Final-Log-ID: 01hxyz\r\n"
    );
    assert!(structure.part(&[3]).unwrap().media.is("text", "rfc822-headers"));
    assert_eq!(section(&letter, &[3]), "From: alice@red.test\r\nSubject: Lunch\r\n\r\n");
    assert_eq!(structure.parts().len(), 3);
}

#[test]
fn a_delay_names_the_end_of_the_trials() {
    let recipients = [
        Recipient { action: Action::Delayed, status: "4.4.1", ..recipient() },
        Recipient { address: "c@d", ..recipient() },
    ];
    let letter = report(&recipients).to_letter();
    let status = section(&letter, &[2]);
    assert_eq!(status.matches("Will-Retry-Until").count(), 1);
    assert_eq!(status.matches("\r\n\r\n").count(), 2, "a block for each recipient");
}

#[test]
fn the_whole_letter_back() {
    let recipients = [recipient()];
    let letter = Report { original: Original::Whole(ORIGINAL), ..report(&recipients) }.to_letter();
    let structure = scan(&letter);
    assert_eq!(section(&letter, &[3]).as_bytes(), ORIGINAL);
    assert_eq!(structure.part(&[3, 1]).unwrap().body.of(&letter), b"Today?\r\n");
}

#[test]
fn other_alphabets() {
    let recipients = [Recipient { address: "bøb+x@blå.test", original: None, ..recipient() }];
    let ascii = Report { subject: "Für dich", explanation: "Grüße", ..report(&recipients) };
    let letter = ascii.to_letter();
    assert!(letter.is_ascii());
    assert!(
        section(&letter, &[2])
            .contains("Final-Recipient: utf-8; b\\x{F8}b\\x{2B}x@bl\\x{E5}.test\r\n")
    );
    assert_eq!(values::text(&header::value(&letter, "Subject").unwrap()), "Für dich");
    assert_eq!(values::part_text(scan(&letter).part(&[1]).unwrap(), &letter), "Grüße");

    let utf8 = Report { dialect: Dialect::Utf8, ..ascii }.to_letter();
    let structure = scan(&utf8);
    assert!(structure.part(&[2]).unwrap().media.is("message", "global-delivery-status"));
    assert!(section(&utf8, &[2]).contains("Final-Recipient: utf-8; bøb+x@blå.test\r\n"));
    assert!(structure.part(&[3]).unwrap().media.is("message", "global-headers"));
}

#[test]
fn foreign_words_stay_in_their_field() {
    let recipients = [Recipient {
        diagnostic: Some("550 x\r\n\r\nFinal-Recipient: rfc822; forged@x"),
        remote_mta: Some("mx\r\nAction: delivered"),
        ..recipient()
    }];
    let letter = report(&recipients).to_letter();
    let status = section(&letter, &[2]);
    assert_eq!(status.matches("\r\nFinal-Recipient:").count(), 1);
    assert_eq!(status.matches("\r\nAction:").count(), 1);
    assert!(letter.split(|b| *b == b'\n').all(|line| line.len() < 999));
}

#[test]
fn an_immense_header_is_cut_at_a_line() {
    let original = "X-Line: y\r\n".repeat(100_000);
    let recipients = [recipient()];
    let letter = Report { original: Original::Header(original.as_bytes()), ..report(&recipients) }
        .to_letter();
    assert!(letter.len() < MAX_REPORTED_HEADER + 4_096);
    assert!(section(&letter, &[3]).ends_with("X-Line: y\r\n"));
}
