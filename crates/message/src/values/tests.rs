//! Tests of [`super`].

use super::*;
use crate::scan::scan;
use proptest::prelude::*;

#[test]
fn encoded_words() {
    for (raw, shown) in [
        ("=?iso-8859-1?q?Andr=E9?= plain", "André plain"),
        ("=?utf-8?B?w7w=?=", "ü"),
        ("=?utf-8?B?wz==?=\r\n =?UTF-8?B?vA==?=", "ü"),
        ("=?us-ascii*en?q?Keith_Moore?= x", "Keith Moore x"),
        ("a =?utf-8?q?b?= =?utf-8?q?c?= d", "a bc d"),
        ("=?utf-8?q?b_?= =?iso-8859-1?q?c?=", "b c"),
        ("=?utf-8?q?with space?=", "with space"),
        ("=?utf-8?x?abc?= =?broken", "=?utf-8?x?abc?= =?broken"),
        ("two  spaces   stay", "two  spaces   stay"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        ("=?utf-7?q?+AOQ-?=", "ä"),
        ("=?no-such?q?x=FC?=", "xü"),
    ] {
        assert_eq!(text(raw.as_bytes()), shown, "{raw}");
    }
    assert_eq!(text(b"raw \xfc\xff"), "raw üÿ");
    assert_eq!(text("roh ü".as_bytes()), "roh ü");
}

#[test]
fn decoded_addresses() {
    let found = addresses(b"=?utf-8?q?J=C3=B6?= <j@x>, G: \"a b\"@c, d@e;, plain");
    let shown: Vec<(Option<&str>, &str)> =
        found.iter().map(|a| (a.name.as_deref(), a.address.as_str())).collect();
    assert_eq!(shown, [(Some("Jö"), "j@x"), (None, "\"a b\"@c"), (None, "d@e"), (None, "plain")]);
}

#[test]
fn file_names_in_every_form() {
    for (field, name) in [
        ("attachment; filename=a.txt", "a.txt"),
        ("attachment; filename=\"a \\\"b\\\".txt\"", "a \"b\".txt"),
        ("attachment; filename*=utf-8'de'Gr%C3%BC%C3%9Fe.txt", "Grüße.txt"),
        ("attachment; filename=x; filename*=UTF-8''y%20z", "y z"),
        ("attachment; filename*0*=iso-8859-1''a%FC; filename*1=b; filename*2*=%E4.c", "aübä.c"),
        ("attachment; filename*0=long; filename*1=er", "longer"),
        ("attachment; filename=\"=?utf-8?q?=C3=BC?=.txt\"", "ü.txt"),
        ("attachment; filename=my file (1).pdf", "my file .pdf"),
    ] {
        let letter = format!("Content-Disposition: {field}\r\n\r\nx");
        let structure = scan(letter.as_bytes());
        assert_eq!(file_name(&structure.root).as_deref(), Some(name), "{field}");
    }
    let typed = scan(b"Content-Type: image/png; name=\"a.png\"\r\n\r\nx");
    assert_eq!(file_name(&typed.root).as_deref(), Some("a.png"));
    assert!(is_attachment(&typed.root));
    assert_eq!(file_name(&scan(b"\r\nx").root), None);
}

#[test]
fn texts_of_parts() {
    for (head, body, shown) in [
        ("Content-Type: text/plain; charset=iso-8859-1", &b"\xfc\r\n"[..], "ü\n"),
        ("Content-Type: text/plain; charset=\"gb2312\"", b"\xc4\xe3", "你"),
        ("Content-Type: text/plain", "ü".as_bytes(), "ü"),
        (
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64",
            b"w7w=\r\n",
            "ü",
        ),
        (
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: Quoted-Printable",
            b"=C3=\r\n=BC",
            "ü",
        ),
    ] {
        let letter = [head.as_bytes(), b"\r\n\r\n", body].concat();
        assert_eq!(part_text(&scan(&letter).root, &letter), shown, "{head}");
    }
}

const ALTERNATIVE: &[u8] = b"Subject: =?utf-8?q?=C3=9Cbung?=\r\n\
    Content-Type: multipart/mixed; boundary=m\r\n\r\n\
    --m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
    --a\r\nContent-Type: text/html\r\n\r\n<p>rich &amp; <b>famous</b><style>no</style>\r\n\
    --a\r\nContent-Type: text/plain\r\n\r\nplain words\r\n--a--\r\n\
    --m\r\nContent-Type: text/plain; name=notes.txt\r\nContent-Disposition: attachment\r\n\r\nsecret\r\n\
    --m\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--m--\r\n";

#[test]
fn what_search_looks_through() {
    let found = search_text(&scan(ALTERNATIVE), ALTERNATIVE);
    assert!(found.header.contains("Subject: Übung\n"), "{}", found.header);
    for word in
        ["rich & famous", "plain words", "notes.txt", "secret", "Subject: inner", "inner text"]
    {
        assert!(found.body.contains(word), "{word} in {:?}", found.body);
    }
    assert!(!found.body.contains("<b>") && !found.body.contains("no</style>"));
}

#[test]
fn people_read_plain_text_first() {
    let structure = scan(ALTERNATIVE);
    let (number, _) = readable_part(&structure).unwrap();
    assert_eq!(number, [1, 2]);
    assert!(readable_part(&scan(b"Content-Type: image/png\r\n\r\nx")).is_none());
    let html = scan(b"Content-Type: text/html\r\n\r\nx");
    assert_eq!(readable_part(&html).unwrap().0, [1]);
}

proptest! {
    #[test]
    fn values_never_fail(value in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = text(&value);
        let _ = addresses(&value);
    }

    #[test]
    fn words_never_fail(value in "(=\\?|utf-8|utf-7|\\?[qb]\\?|\\?=|[a+=_?&-]|\u{e4}){0,20}") {
        let _ = text(value.as_bytes());
    }
}
