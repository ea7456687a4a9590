//! Tests of [`super`]: letters whose structure is known, letter by letter. Properties over random
//! letters and the comparison with mail-parser are in `tests/scan.rs`.

use super::structure::Span;
use super::*;

fn text(letter: &[u8], span: Option<Span>) -> &str {
    std::str::from_utf8(span.map_or(b"(none)", |span| span.of(letter))).unwrap()
}

/// One line a part: number, type, octets, lines.
fn outline(letter: &[u8]) -> Vec<String> {
    scan(letter)
        .parts()
        .iter()
        .map(|(number, part)| {
            let number: Vec<String> = number.iter().map(u32::to_string).collect();
            format!(
                "{} {}/{} {} {}",
                number.join("."),
                part.media.kind,
                part.media.subtype,
                part.body.len(),
                part.lines
            )
        })
        .collect()
}

#[test]
fn a_plain_letter() {
    let letter = b"Subject: x\r\nFrom: a@b\r\n\r\none\r\ntwo\r\n";
    let found = scan(letter);
    assert_eq!(outline(letter), ["1 text/plain 10 2"]);
    assert_eq!(found.size, 35);
    assert_eq!(found.root.encoding, "7BIT");
    assert_eq!(found.root.media.parameter("CHARSET"), Some(&b"us-ascii"[..]));
    assert_eq!(found.envelope.subject.as_deref(), Some(&b"x"[..]));
    assert_eq!(found.envelope.sender, found.envelope.from);
    assert_eq!(text(letter, found.section(&[], SectionText::Text)), "one\r\ntwo\r\n");
    assert_eq!(text(letter, found.section(&[1], SectionText::All)), "one\r\ntwo\r\n");
    assert_eq!(
        text(letter, found.section(&[1], SectionText::Mime)),
        "Subject: x\r\nFrom: a@b\r\n\r\n"
    );
    assert_eq!(found.section(&[2], SectionText::All), None);
    assert_eq!(found.section(&[1, 1], SectionText::All), None);
    assert_eq!(found.section(&[1], SectionText::Header), None);
}

/// The example of RFC 9051 §6.4.5.1, as short as it can be.
const NESTED: &[u8] = b"Content-Type: multipart/mixed; boundary=\"m\"\r\n\r\npreamble\r\n\
    --m\r\n\r\none\r\n\
    --m\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n\
    --m\r\nContent-Type: message/rfc822\r\n\r\n\
    Subject: three\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n\
    --i\r\n\r\n3.1\r\n--i\r\nContent-Type: text/html\r\n\r\n3.2\r\n--i--\r\nepilogue\r\n\
    --m\r\nContent-Type: multipart/mixed; boundary=mm\r\n\r\n\
    --mm\r\nContent-Type: image/gif\r\n\r\n4.1\r\n\
    --mm\r\nContent-Type: message/rfc822\r\n\r\nSubject: 4.2\r\n\r\n4.2.1\r\n--mm--\r\n\
    --m--\r\nepilogue\r\n";

#[test]
fn sections_of_nested_letters() {
    let found = scan(NESTED);
    let at = |path: &[u32], what| text(NESTED, found.section(path, what));
    assert_eq!(at(&[1], SectionText::All), "one");
    assert_eq!(at(&[1], SectionText::Mime), "\r\n");
    assert_eq!(at(&[2], SectionText::All), "two");
    assert_eq!(at(&[2], SectionText::Mime), "Content-Type: application/octet-stream\r\n\r\n");
    assert_eq!(at(&[3], SectionText::Mime), "Content-Type: message/rfc822\r\n\r\n");
    assert!(at(&[3], SectionText::Header).starts_with("Subject: three\r\n"));
    assert!(at(&[3], SectionText::Text).starts_with("--i\r\n"));
    assert!(at(&[3], SectionText::Text).ends_with("--i--\r\nepilogue"));
    assert_eq!(at(&[3, 1], SectionText::All), "3.1");
    assert_eq!(at(&[3, 2], SectionText::All), "3.2");
    assert_eq!(at(&[3, 2], SectionText::Mime), "Content-Type: text/html\r\n\r\n");
    assert_eq!(at(&[4, 1], SectionText::All), "4.1");
    assert_eq!(at(&[4, 2], SectionText::Header), "Subject: 4.2\r\n\r\n");
    assert_eq!(at(&[4, 2, 1], SectionText::All), "4.2.1");
    assert_eq!(at(&[4, 2, 1], SectionText::Mime), "Subject: 4.2\r\n\r\n");
    assert_eq!(at(&[4, 2, 2], SectionText::All), "(none)");
    assert_eq!(
        at(&[3], SectionText::All).len(),
        at(&[3], SectionText::Header).len() + at(&[3], SectionText::Text).len()
    );
    let numbers: Vec<String> =
        outline(NESTED).iter().map(|l| l[..l.find(' ').unwrap()].into()).collect();
    assert_eq!(numbers, ["1", "2", "3", "3.1", "3.2", "4", "4.1", "4.2", "4.2.1"]);
}

fn mixed(body: &str) -> Vec<u8> {
    format!("Content-Type: multipart/mixed; boundary=BND\r\n\r\n{body}").into_bytes()
}

#[test]
fn a_boundary_counts_at_the_beginning_of_a_line_only() {
    // mail-parser 0.11.9 cuts the part here.
    let letter = mixed("--BND\r\n\r\na --BND b\r\nx--BND\r\n --BND\r\nrest\r\n--BND--\r\n");
    assert_eq!(outline(&letter), ["1 text/plain 31 3"]);
}

#[test]
fn what_may_follow_a_boundary() {
    for (line, parts) in [
        ("--BND", 2),
        ("--BND \t ", 2),
        ("--BND--", 1),
        ("--BND-- ", 1),
        ("--BNDx", 1),
        ("--BND-", 1),
        ("--BND x", 1),
        ("--bnd", 1),
        ("-- BND", 1),
        ("--BND--x", 1),
    ] {
        let letter = mixed(&format!("--BND\r\n\r\nfirst\r\n{line}\r\n\r\nsecond\r\n"));
        assert_eq!(outline(&letter).len(), parts, "{line:?}");
    }
}

#[test]
fn empty_parts() {
    assert_eq!(
        outline(&mixed("--BND\r\n--BND\r\n\r\n--BND\r\n\r\n\r\n--BND--")),
        ["1 text/plain 0 0", "2 text/plain 0 0", "3 text/plain 0 0",]
    );
    let letter = mixed("--BND\r\nContent-ID: <x>\r\n--BND--\r\n");
    let found = scan(&letter);
    assert_eq!(found.root.children()[0].id.as_deref(), Some(&b"<x>"[..]), "no empty line");
    assert_eq!(text(&letter, found.section(&[1], SectionText::Mime)), "Content-ID: <x>");
}

#[test]
fn delimiters_may_be_missing() {
    assert_eq!(outline(&mixed("--BND\r\n\r\ncut off")), ["1 text/plain 7 0"]);
    assert_eq!(
        outline(&mixed("--BND\r\n\r\nx\r\n--BND")),
        ["1 text/plain 1 0", "2 text/plain 0 0"]
    );
    // The inner close delimiter is missing: the outer delimiter ends both.
    let letter = mixed(
        "--BND\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\na\r\n\
         --BND\r\n\r\nb\r\n--BND--\r\n--BND\r\n\r\nafter the end\r\n",
    );
    assert_eq!(
        outline(&letter),
        ["1 multipart/mixed 9 2", "1.1 text/plain 1 0", "2 text/plain 1 0",]
    );
}

#[test]
fn a_multipart_without_parts_is_text() {
    for head in ["multipart/mixed", "multipart/mixed; boundary=\"\"", "multipart/mixed; boundary=x"]
    {
        let letter = format!("Content-Type: {head}\r\n\r\nread me\r\n");
        assert_eq!(outline(letter.as_bytes()), ["1 text/plain 9 1"], "{head}");
    }
    assert_eq!(outline(b"Content-Type: multipart/mixed; boundary=x\r\n"), ["1 text/plain 0 0"]);
}

#[test]
fn letters_in_letters_only_where_they_are_not_encoded() {
    let letter = |encoding: &str| {
        format!(
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n\
             Subject: x\r\n\r\nbody"
        )
    };
    assert_eq!(outline(letter("8bit").as_bytes()), ["1 message/rfc822 18 2", "1.1 text/plain 4 0"]);
    assert_eq!(outline(letter("base64").as_bytes()), ["1 application/octet-stream 18 2"]);
    let digest = b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: x\r\n\r\ny\r\n--d--";
    assert_eq!(outline(digest), ["1 message/rfc822 15 2", "1.1 text/plain 1 0"]);
    assert_eq!(outline(b"Content-Type: message/rfc822\r\n"), ["1 application/octet-stream 0 0"]);
}

#[test]
fn broken_types_are_plain_text() {
    for head in ["text", "/", "text/", "/plain", "", "; charset=x", "te xt/plain", "\"text/html\""]
    {
        let letter = format!("Content-Type: {head}\r\n\r\nx");
        let found = scan(letter.as_bytes());
        assert!(found.root.media.is("text", "plain"), "{head} gave {:?}", found.root.media);
    }
}

#[test]
fn fields_of_bodystructure() {
    let letter =
        b"Content-Type: (c) TEXT/Html (c); Charset=\"x \\\" y\"; format=flowed (c) ; a\r\n\
        CONTENT-TRANSFER-ENCODING: (c) Quoted-Printable;x\r\nContent-ID: <i>\r\n\
        Content-Description: =?utf-8?q?d?=\r\n  two\r\nContent-MD5: abc==\r\n\
        Content-Disposition: attachment; filename=a(1).txt\r\n\
        Content-Language: de, en (English), \r\nContent-Location: http://x/\r\n\r\n";
    let part = scan(letter).root;
    assert_eq!((part.media.kind.as_str(), part.media.subtype.as_str()), ("TEXT", "Html"));
    assert_eq!(part.media.parameter("charset"), Some(&b"x \" y"[..]));
    assert_eq!(part.media.parameter("format"), Some(&b"flowed"[..]));
    assert_eq!(part.media.parameters.len(), 2);
    assert_eq!(part.encoding, "Quoted-Printable");
    assert_eq!(part.id.as_deref(), Some(&b"<i>"[..]));
    assert_eq!(part.description.as_deref(), Some(&b"=?utf-8?q?d?=  two"[..]));
    assert_eq!(part.md5.as_deref(), Some(&b"abc=="[..]));
    let disposition = part.disposition.unwrap();
    assert_eq!(disposition.kind, "attachment");
    assert_eq!(disposition.parameter("FILENAME"), Some(&b"a(1).txt"[..]));
    assert_eq!(part.languages, [b"de", b"en"]);
    assert_eq!(part.location.as_deref(), Some(&b"http://x/"[..]));
}

#[test]
fn boundaries_in_the_forms_of_rfc_2231() {
    let letter = b"Content-Type: multipart/mixed; boundary*0=\"a b\"; boundary*1=c\r\n\r\n\
        --a bc\r\n\r\nx\r\n--a bc--\r\n";
    assert_eq!(outline(letter), ["1 text/plain 1 0"]);
    assert!(scan(letter).root.media.is("multipart", "mixed"));
    let letter = b"Content-Type: multipart/mixed; boundary*=\"us-ascii''a%20b\"\r\n\r\n\
        --a b\r\n\r\nx\r\n--a b--\r\n";
    assert_eq!(outline(letter), ["1 text/plain 1 0"]);
}

#[test]
fn letters_with_lf_alone() {
    let letter = String::from_utf8(NESTED.to_vec()).unwrap().replace("\r\n", "\n");
    let found = scan(letter.as_bytes());
    assert_eq!(text(letter.as_bytes(), found.section(&[3, 2], SectionText::All)), "3.2");
    assert_eq!(
        text(letter.as_bytes(), found.section(&[4, 2], SectionText::Header)),
        "Subject: 4.2\n\n"
    );
    assert_eq!(outline(letter.as_bytes()).len(), outline(NESTED).len());
}

#[test]
fn no_header_no_body_nothing() {
    assert_eq!(outline(b""), ["1 text/plain 0 0"]);
    assert_eq!(outline(b"\r\n"), ["1 text/plain 0 0"]);
    assert_eq!(outline(b"\r\nbody"), ["1 text/plain 4 0"]);
    assert_eq!(outline(b"no field at all\r\nnor here\r\n"), ["1 text/plain 0 0"]);
    assert_eq!(outline(b"\0\0\xff:\0\r\n\r\n\0"), ["1 text/plain 1 0"]);
}

#[test]
fn the_innermost_of_equal_boundaries_counts() {
    let letter = mixed(
        "--BND\r\nContent-Type: multipart/mixed; boundary=BND\r\n\r\n--BND\r\n\r\na\r\n--BND--\r\n\
         --BND\r\n\r\nb\r\n--BND--\r\n",
    );
    assert_eq!(
        outline(&letter),
        ["1 multipart/mixed 19 3", "1.1 text/plain 1 0", "2 text/plain 1 0",]
    );
}

#[test]
fn depth_is_bounded() {
    let mut letter = Vec::new();
    for level in 0..1_000 {
        letter.extend(
            format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n")
                .bytes(),
        );
    }
    letter.extend_from_slice(b"\r\nthe end");
    let found = scan(&letter);
    let deepest = found.parts().into_iter().max_by_key(|(path, _)| path.len()).unwrap();
    assert_eq!(deepest.0.len(), MAX_DEPTH - 1);
    assert!(deepest.1.media.is("application", "octet-stream"));
    assert_eq!(Structure::from_bytes(&found.to_bytes()), Ok(found));
    let letters = b"Content-Type: message/rfc822\r\n\r\n".repeat(1_000);
    assert_eq!(scan(&letters).parts().len(), MAX_DEPTH);
}

#[test]
fn parts_are_bounded() {
    let letter = mixed(&"--BND\r\n\r\nx\r\n".repeat(100_000));
    let found = scan(&letter);
    assert_eq!(found.root.children().len(), MAX_PARTS - 1);
    let last = found.root.children().last().unwrap();
    assert_eq!(last.body.end, found.size, "the last part has the rest");
    let after = mixed(&("--BND\r\n\r\nx\r\n".repeat(20_000) + "--BND--\r\nepilogue"));
    let found = scan(&after);
    assert!(found.root.children().last().unwrap().body.end < found.size, "but closes");
}

#[test]
fn immense_headers_are_bounded() {
    let letter = format!("Subject: {}\r\n\r\nx", "y".repeat(1_000_000));
    let found = scan(letter.as_bytes());
    assert!(found.envelope.subject.unwrap().len() <= crate::limits::MAX_FIELD);
    assert_eq!(found.root.body.len(), 1);
    let many =
        mixed(&format!("--BND\r\nContent-ID: {}\r\n\r\nx\r\n", "i".repeat(10_000)).repeat(2_000));
    assert!(scan(&many).to_bytes().len() < 2 * MAX_KEPT);
}

#[test]
fn the_index_form_knows_its_version() {
    let found = scan(NESTED);
    let mut bytes = found.to_bytes();
    assert_eq!(Structure::from_bytes(&bytes), Ok(found));
    assert_eq!(Structure::from_bytes(&bytes[..bytes.len() - 1]), Err(Unreadable));
    bytes.push(0);
    assert_eq!(Structure::from_bytes(&bytes), Err(Unreadable));
    bytes[0] = 99;
    assert_eq!(Structure::from_bytes(&bytes), Err(Unreadable));
    assert_eq!(Structure::from_bytes(&[]), Err(Unreadable));
}
