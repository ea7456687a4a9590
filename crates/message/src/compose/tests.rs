//! Tests of [`super`]: what is built is read back with our own scanner.

use protocol::time::Timestamp;

use super::*;
use crate::scan::{SectionText, scan};
use crate::{header, values};

const STAMP: Stamp<'_> = Stamp {
    date: DateTime { moment: Timestamp::from_seconds(0), offset_minutes: 60 },
    message_id: "1.2@red.test",
    boundary: "bnd",
    user_agent: "Posthaste",
};

fn person(name: &str, address: &str) -> Correspondent {
    let name = Some(name.to_owned()).filter(|name| !name.is_empty());
    Correspondent { name, address: address.parse().unwrap() }
}

fn draft() -> Draft {
    let mut draft = Draft::new(person("Alice Ä", "alice@red.test"));
    draft.to = vec![person("Bob, \"B\"", "bob@blue.test"), person("", "\"c d\"@blue.test")];
    draft.subject = "Grüße und mehr".into();
    draft.text = "Hallo,\n\nGrüße\n.\nFrom here\n".into();
    draft
}

fn file(media_type: &str, name: &str, octets: &[u8]) -> Attachment {
    Attachment {
        media_type: media_type.into(),
        file_name: Some(name.into()),
        content_id: None,
        placement: Placement::Attached,
        octets: octets.to_vec(),
    }
}

fn types(letter: &[u8]) -> Vec<String> {
    scan(letter)
        .parts()
        .iter()
        .map(|(path, part)| {
            let path: Vec<String> = path.iter().map(u32::to_string).collect();
            format!("{} {}/{}", path.join("."), part.media.kind, part.media.subtype)
        })
        .collect()
}

#[test]
fn a_plain_letter() {
    let letter = draft().to_letter(&STAMP);
    let value = |name: &str| values::text(&header::value(&letter, name).unwrap());
    assert_eq!(value("Date"), "Thu, 1 Jan 1970 01:00:00 +0100");
    assert_eq!(value("Message-ID"), "<1.2@red.test>");
    assert_eq!(value("Subject"), "Grüße und mehr");
    assert_eq!(header::count(&letter, "MIME-Version"), 1);
    let to = values::addresses(&header::value(&letter, "To").unwrap());
    assert_eq!(
        (to[0].name.as_deref(), to[0].address.as_str()),
        (Some("Bob, \"B\""), "bob@blue.test")
    );
    assert_eq!(to[1].address, "\"c d\"@blue.test");
    let structure = scan(&letter);
    assert_eq!(values::part_text(&structure.root, &letter).trim_end(), draft().text.trim_end());
    assert!(letter.is_ascii() && !crate::line_ends::has_bare_lf(&letter));
    assert_eq!(letter, draft().to_letter(&STAMP), "nothing comes from a clock or by chance");
}

#[test]
fn every_kind_of_attachment_comes_back_octet_by_octet() {
    let all_octets: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let letter_in = b"Subject: inner\r\n\r\ninner \xc3\xbc\r\n";
    let mut with = draft();
    with.attachments = vec![
        file("text/plain", "notes.txt", "line\nzwei ü\r\n".as_bytes()),
        file("image/png", "Bild ü.png", &all_octets),
        file("audio/ogg", "ton.ogg", b"OggS\0"),
        file("video/mp4", &"long name ".repeat(20), b"\0\0\0 ftyp"),
        file("message/rfc822", "letter.eml", letter_in),
        file("no type", "x", b""),
        file("multipart/mixed", "y", b"--"),
    ];
    let letter = with.to_letter(&STAMP);
    assert_eq!(
        types(&letter),
        [
            "1 text/plain",
            "2 text/plain",
            "3 image/png",
            "4 audio/ogg",
            "5 video/mp4",
            "6 message/rfc822",
            "6.1 text/plain",
            "7 application/octet-stream",
            "8 application/octet-stream",
        ]
    );
    let structure = scan(&letter);
    for (attachment, number) in with.attachments.iter().zip(2..) {
        let part = structure.part(&[number]).unwrap();
        let name = attachment.file_name.as_deref().map(str::trim);
        assert_eq!(values::file_name(part).as_deref(), name);
        assert!(values::is_attachment(part));
        assert_eq!(values::part_octets(part, &letter), attachment.octets, "{name:?}");
    }
    assert!(letter.split(|b| *b == b'\n').all(|line| line.len() <= 999));
}

#[test]
fn html_with_pictures_in_it() {
    let mut rich = draft();
    rich.html = Some("<p>Grüße <img src=\"cid:pic@x\"></p>".into());
    let picture = file("image/png", "p.png", b"PNG");
    rich.attachments = vec![
        Attachment {
            content_id: Some("pic@x".into()),
            placement: Placement::Inline,
            ..picture.clone()
        },
        picture,
    ];
    let letter = rich.to_letter(&STAMP);
    assert_eq!(
        types(&letter),
        [
            "1 multipart/alternative",
            "1.1 text/plain",
            "1.2 multipart/related",
            "1.2.1 text/html",
            "1.2.2 image/png",
            "2 image/png",
        ]
    );
    let structure = scan(&letter);
    assert_eq!(structure.part(&[1, 2, 2]).unwrap().id.as_deref(), Some(&b"<pic@x>"[..]));
    assert!(!values::is_attachment(structure.part(&[1, 2, 2]).unwrap()));
}

#[test]
fn blind_copies() {
    let mut blind = draft();
    blind.bcc = vec![person("", "secret@blue.test"), person("", "bob@blue.test")];
    blind.cc = blind.to.clone();
    assert_eq!(blind.recipients().len(), 3);
    let letter = blind.to_letter(&STAMP);
    assert_eq!(header::count(&letter, "Bcc"), 1);
    let sent = without_bcc(&letter);
    assert!(memchr::memmem::find(&sent, b"secret").is_none());
    assert_eq!(scan(&sent).root.body.len(), scan(&letter).root.body.len());
}

#[test]
fn threads() {
    let mut reply = draft();
    reply.in_reply_to = vec!["a@b".into()];
    reply.references = (0..40).map(|n| format!("{n}.long-enough@some.host.test")).collect();
    let letter = reply.to_letter(&STAMP);
    let ids = |name: &str| crate::message_id::all(&header::value(&letter, name).unwrap());
    assert_eq!(ids("In-Reply-To"), ["a@b"]);
    assert_eq!(ids("References"), reply.references);
}

#[test]
fn nothing_brings_in_a_field() {
    let mut hostile = draft();
    hostile.subject = "x\r\nBcc: a@b\r\n\r\nbody".into();
    hostile.from.name = Some("y\r\nX-Evil: 1".into());
    hostile.in_reply_to = vec!["a@b>\r\nX-Evil: 2".into()];
    hostile.attachments = vec![file("text/plain\r\nX-Evil: 3", "n\r\nX-Evil: 4", b"")];
    let letter = hostile.to_letter(&STAMP);
    let structure = scan(&letter);
    for block in [structure.root.header, structure.section(&[2], SectionText::Mime).unwrap()] {
        for field in header::fields(block.of(&letter)) {
            let name = field.name(block.of(&letter));
            assert!(!name.eq_ignore_ascii_case(b"X-Evil") && !name.eq_ignore_ascii_case(b"Bcc"));
        }
    }
}
