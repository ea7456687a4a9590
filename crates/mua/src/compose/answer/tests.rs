//! Tests of [`super`].

use message::scan::scan;

use super::*;
use crate::account::{PasswordSource, Server, ServerKind};

fn account() -> Account {
    Account {
        name: "bob".into(),
        address: "bob@blue.test".parse().unwrap(),
        person: Some("Bob".into()),
        aliases: vec!["info@blue.test".parse().unwrap()],
        imap: Server::parse("h", ServerKind::Imap).unwrap(),
        submission: Server::parse("h", ServerKind::Submission).unwrap(),
        user: "bob".into(),
        password: PasswordSource::Prompt,
        extra_ca: None,
        sent: None,
    }
}

fn letter(raw: &str) -> Letter {
    let raw = raw.replace('\n', "\r\n").into_bytes();
    Letter { folder: "INBOX".into(), uid: 1, structure: scan(&raw), raw, flags: Vec::new() }
}

const LETTER: &str = "From: Alice =?utf-8?q?=C3=84?= <alice@red.test>\n\
    To: info@blue.test, Carol <carol@green.test>\nCc: dave@green.test, ALICE@red.test, not an address\n\
    Subject: Lunch\nDate: Thu, 1 Jan 1970 00:00:00 +0000\nMessage-ID: <3@red.test>\n\
    References: <1@red.test>\n\
    Content-Type: text/plain; charset=utf-8\n\nWhen?\n\n> earlier\n-- \nAlice's signature\n";

fn addresses(list: &[Correspondent]) -> Vec<String> {
    list.iter().map(|one| one.address.to_string()).collect()
}

#[test]
fn a_reply_goes_to_the_author() {
    let draft = reply(&account(), &letter(LETTER), To::Author, &Zone::utc());
    assert_eq!(addresses(&draft.to), ["alice@red.test"]);
    assert_eq!(draft.to[0].name.as_deref(), Some("Alice Ä"));
    assert!(draft.cc.is_empty());
    assert_eq!(draft.from.address.to_string(), "info@blue.test", "as whom the letter reached us");
    assert_eq!(draft.subject, "Re: Lunch");
    assert_eq!(draft.in_reply_to, ["3@red.test"]);
    assert_eq!(draft.references, ["1@red.test", "3@red.test"]);
    assert_eq!(
        draft.text,
        "On 1970-01-01 00:00:00 +0000, Alice Ä wrote:\n> When?\n>\n>> earlier\n\n"
    );
}

#[test]
fn a_reply_to_all_leaves_us_out() {
    let draft = reply(&account(), &letter(LETTER), To::All, &Zone::utc());
    assert_eq!(addresses(&draft.to), ["alice@red.test"]);
    assert_eq!(
        addresses(&draft.cc),
        ["carol@green.test", "dave@green.test", "ALICE@red.test"],
        "a local part in another case is another one"
    );
}

#[test]
fn reply_to_and_own_letters() {
    let asked = letter("From: a@b.test\nReply-To: list@b.test\nSubject: RE: x\n\n");
    let draft = reply(&account(), &asked, To::Author, &Zone::utc());
    assert_eq!(addresses(&draft.to), ["list@b.test"]);
    assert_eq!(draft.subject, "RE: x");
    let own = letter("From: bob@blue.test\nTo: c@d.test\nSubject: x\n\n");
    assert_eq!(addresses(&reply(&account(), &own, To::Author, &Zone::utc()).to), ["c@d.test"]);
}

#[test]
fn a_forward_keeps_the_attachments() {
    let with = letter(
        "From: a@b.test\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\nsee there\n\
         --b\nContent-Type: image/png; name=\"p.png\"\nContent-Transfer-Encoding: base64\n\nAAEC\n\
         --b\nContent-Type: message/rfc822\n\n\
         Subject: inner\nContent-Type: application/pdf; name=i.pdf\n\ninner\n--b--\n",
    );
    let draft = forward(&account(), &with, Form::Inline);
    assert_eq!(draft.subject, "Fwd: x");
    assert!(draft.text.contains("From: a@b.test\n") && draft.text.contains("see there"));
    let kept: Vec<(&str, usize)> =
        draft.attachments.iter().map(|a| (a.media_type.as_str(), a.octets.len())).collect();
    assert_eq!(kept[0], ("image/png", 3));
    assert_eq!(kept[1].0, "message/rfc822");
    assert_eq!(kept.len(), 2);
    let whole = forward(&account(), &with, Form::Whole);
    assert_eq!(whole.attachments[0].octets, with.raw);
}

#[test]
fn foreign_texts_command_nothing() {
    let hostile = letter(
        "From: =?utf-8?q?E=1B]0;x=07vil?= <a@b.test>\nSubject: =?utf-8?q?=1B[2J=0D=0ABcc:_x?=\n\n\x1b[2Jtext\n",
    );
    for draft in [
        reply(&account(), &hostile, To::All, &Zone::utc()),
        forward(&account(), &hostile, Form::Inline),
    ] {
        assert!(!draft.subject.chars().any(char::is_control));
        assert!(!draft.text.chars().any(|c| c.is_control() && c != '\n'));
        let names = draft.to.iter().filter_map(|one| one.name.as_deref());
        assert!(names.flat_map(str::chars).all(|c| !c.is_control()));
    }
}
