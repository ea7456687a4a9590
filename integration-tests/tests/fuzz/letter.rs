//! What is inside a letter: structure, values, header fields.

use std::num::NonZeroU32;

use message::complete::{Completion, complete};
use message::date::DateTime;
use message::envelope::Envelope;
use message::scan::structure::{Content, Part};
use message::scan::{Scanner, Structure, scan};
use message::{compose, header, line_ends, message_id, received, transfer, values};
use protocol::imap::FetchData;
use protocol::imap::grammar::{Writer, parse_response, print_response};
use protocol::imap::response::{Response, Untagged};
use protocol::time::Timestamp;

use crate::engine::Seen;

pub(crate) const WORDS: &[&[u8]] = &[
    b"Content-Type: multipart/mixed; boundary=a\r\n",
    b"Content-Type: multipart/digest; boundary=\"b c\"\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/html; charset=utf-8\r\n",
    b"Content-Type: text/plain; charset*=utf-8''x; name*0=\"a\"; name*1*=%20b\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Disposition: attachment; filename=\"x.txt\"\r\n",
    b"\r\n--a\r\n",
    b"\r\n--a--\r\n",
    b"--b c\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n ",
    b"Subject: =?utf-8?q?x=C3=A9?=\r\n",
    b"=?iso-2022-jp?b?GyRC?=",
    b"To: A <a@b.test>, G: c@d.test, e@f;\r\n",
    b"From: \"x\\\"y\" <z@w>\r\n",
    b"Bcc: a@b\r\n",
    b"Date: Mon, 2 Jan 2006 15:04:05 -0700\r\n",
    b"Message-ID: <a@b>\r\n",
    b"References: <a@b> <c@d>\r\n",
    b"Received: \
      from a (b [127.0.0.1]) by c with ESMTPS id d for <e@f>; Mon, 2 Jan 2006 15:04:05 +0000\r\n",
    b"(c(o(m)m)ent)",
    b"=\r\n",
    b"=C3=A9",
    b"w6k=",
    b"\0",
    b"\x80",
    b"\xff\xfe",
    b"&#x41;",
    b"<b>",
    b"<script>",
    b"\"",
    b"\\",
    b";",
    b",",
    b":",
    b"@",
    b"<",
    b">",
    b"begin 644 x\n",
];

/// Structure: whole or in pieces the same, ranges that nest, the index form reads back, and what
/// IMAP tells of it is IMAP.
pub(crate) fn structure(input: &[u8], seen: &mut Seen) {
    let found = scan(input);
    for size in [1, 13] {
        let mut scanner = Scanner::new();
        input.chunks(size).for_each(|piece| scanner.feed(piece));
        assert_eq!(scanner.finish(), found, "in pieces of {size} octets it differs");
    }
    assert_eq!(found.size, input.len() as u64);
    nests(&found.root);
    for (path, part) in found.parts() {
        assert_eq!(found.part(&path), Some(part));
        seen.note((path.len(), &part.media.kind.to_ascii_lowercase()));
    }
    let bytes = found.to_bytes();
    assert_eq!(Structure::from_bytes(&bytes).as_ref(), Ok(&found), "the index form differs");
    // An index entry that a disk has damaged is refused or read, and nothing worse.
    let mut damaged = bytes;
    if let Some(at) = input.first().map(|first| usize::from(*first) % damaged.len().max(1)) {
        damaged[at] ^= 0x41;
        let _ = Structure::from_bytes(&damaged);
        damaged.truncate(at);
        let _ = Structure::from_bytes(&damaged);
    }
    let data = vec![
        FetchData::BodyStructure(Box::new(found.body_structure())),
        FetchData::Envelope(Box::new(Envelope::of_header(header_of(input)).to_wire())),
    ];
    let fetch = Response::Untagged(Untagged::Fetch { sequence: NonZeroU32::MIN, data });
    let mut writer = Writer::server();
    print_response(&mut writer, &fetch);
    let printed = writer.into_parts().0;
    let line = printed.strip_suffix(b"\r\n").expect("responses end with CRLF");
    if let Err(error) = parse_response(line, &[]) {
        panic!("{error}: {}", line.escape_ascii());
    }
}

fn header_of(letter: &[u8]) -> &[u8] {
    &letter[..header::length(letter)]
}

/// Every range lies inside its holder's body, in order, and header and body touch.
fn nests(part: &Part) {
    assert_eq!(part.header.end, part.body.start);
    let mut from = part.body.start;
    match &part.content {
        Content::Leaf => {}
        Content::Multipart(parts) => {
            for child in parts {
                assert!(child.header.start >= from, "parts overlap");
                assert!(child.body.end <= part.body.end || child.body.is_empty());
                from = child.body.end;
                nests(child);
            }
        }
        Content::Message(nested) => {
            assert_eq!(nested.part.header.start, part.body.start);
            nests(&nested.part);
        }
    }
}

/// Decoded values: texts, addresses, names of files, words to search.
pub(crate) fn values(input: &[u8], seen: &mut Seen) {
    let found = scan(input);
    for (_, part) in found.parts() {
        let octets = values::part_octets(part, input);
        assert!(octets.len() <= input.len().max(1) * 4, "decoding makes it grow");
        let _ = values::part_text(part, input);
        let name = values::file_name(part);
        seen.note((values::is_attachment(part), name.is_some()));
    }
    let words = values::search_text(&found, input);
    seen.shape(&words);
    seen.note(values::readable_part(&found).map(|(path, _)| path));
    for address in values::addresses(input) {
        assert!(!address.address.contains(['\r', '\n']), "{address:?}");
    }
    let text = values::text(input);
    let encoded = transfer::encode_words(&text);
    assert!(encoded.is_ascii(), "not ASCII: {encoded}");
    let _ = values::header_text(header_of(input));
    let _ = values::html_words(&text);
    for charset in ["utf-8", "iso-2022-jp", "utf-16", "gb18030", "nonsense"] {
        let _ = values::charset_to_text(charset, input);
    }
    let mut out = Vec::new();
    transfer::encode_base64(input, &mut out);
    assert_eq!(transfer::decode_base64(&out), input, "base64 does not lead back");
    out.clear();
    transfer::encode_quoted_printable(input, &mut out);
    let lines = out.split(|octet| *octet == b'\n');
    // RFC 2045 §6.7 rule 5: 76 octets at most.
    lines.for_each(|line| assert!(line.len() <= 77, "a line of {} octets", line.len()));
    for name in ["base64", "quoted-printable", "x-uuencode", "7bit"] {
        let _ = transfer::decode(name, input);
    }
}

/// Header fields: what is taken out and put in changes nothing else.
pub(crate) fn headers(input: &[u8], seen: &mut Seen) {
    let block = header_of(input);
    let mut at = 0;
    for field in header::fields(block) {
        assert!(field.range().start >= at && field.range().end <= block.len());
        at = field.range().end;
        seen.note(field.name(block).to_ascii_lowercase());
        let _ = DateTime::parse(field.value(block)).map(|date| {
            let again = DateTime::parse(date.to_rfc5322().as_bytes());
            assert_eq!(again, Some(date), "printed as {}", date.to_rfc5322());
        });
        let _ = received::parse(field.value(block));
        let _ = message_id::all(field.value(block));
    }
    let less = header::without(block, &["Bcc", "Subject"]);
    assert_eq!(header::count(&less, "Bcc") + header::count(&less, "Subject"), 0, "still there");
    assert_eq!(header::without(&less, &["Bcc", "Subject"]), less);
    let with = Completion {
        at: Timestamp::from_seconds(1_000_000_000),
        random: 7,
        host: "h.test",
        sender: "a@b.test",
    };
    let done = complete(block, &with);
    seen.shape(&done.changes);
    // RFC 5322 §3.6: what has to be there is there, and completing again changes nothing.
    for name in ["Date", "From", "Message-ID"] {
        assert!(header::count(&done.header, name) >= 1, "no {name}");
    }
    let again = complete(&done.header, &with);
    assert_eq!(again.changes, Vec::<&str>::new(), "completed twice");
    assert_eq!(again.header, done.header);
    assert_eq!(header::count(&compose::without_bcc(input), "Bcc"), 0);
    let _ = (received::hops(block), received::claims(block), received::newest(block));
    let _ = message_id::references_of_reply(block);
    let crlf = line_ends::to_crlf(input);
    assert!(!line_ends::has_bare_lf(&crlf), "a bare LF is left");
    assert_eq!(line_ends::to_crlf(&crlf), crlf);
    let envelope = Envelope::of_header(block);
    seen.shape(&envelope);
}
