//! Tests of [`super`].

use super::*;

const BLOCK: &[u8] =
    b"Received: from a\r\n\tby b; now\r\nSubject : Hello\r\n world\r\nstray line\r\n\
    X-Empty:\r\nTo: a@b\r\n\r\nbody: no field\r\n";

#[test]
fn walks_fields_with_folds_and_skips_stray_lines() {
    let found: Vec<(String, String)> = fields(BLOCK)
        .map(|f| {
            let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
            (text(f.name(BLOCK)), text(f.value(BLOCK)))
        })
        .collect();
    assert_eq!(
        found,
        [
            ("Received".into(), " from a\r\n\tby b; now".into()),
            ("Subject".into(), " Hello\r\n world".into()),
            ("X-Empty".into(), String::new()),
            ("To".into(), " a@b".into()),
        ]
    );
}

#[test]
fn the_header_ends_at_the_first_empty_line() {
    assert_eq!(&BLOCK[length(BLOCK)..], b"body: no field\r\n");
    assert_eq!(length(b"A: b\n\nx"), 6);
    assert_eq!(length(b"A: b"), 4);
    assert_eq!(length(b""), 0);
    assert_eq!(length(b"\r\nbody"), 2);
    assert_eq!(length(b"A: b\r\r\n\r\nx"), 9, "a bare CR ends no line");
}

#[test]
fn selects_as_header_fields_does() {
    let only = select(BLOCK, &[b"SUBJECT", b"to"], Selection::Only);
    assert_eq!(only, b"Subject : Hello\r\n world\r\nTo: a@b\r\n\r\n");
    let not = select(BLOCK, &[b"received", b"x-empty"], Selection::Except);
    assert_eq!(not, b"Subject : Hello\r\n world\r\nTo: a@b\r\n\r\n");
    assert_eq!(select(b"A: b\nC: d\n\n", &[b"c"], Selection::Only), b"C: d\n\n");
    assert_eq!(select(b"A: b\r\n", &[b"a"], Selection::Only), b"A: b\r\n");
}

#[test]
fn removes_fields_and_nothing_else() {
    let without = without(BLOCK, &["subject", "Bcc"]);
    let mut expected = BLOCK.to_vec();
    let hole = b"Subject : Hello\r\n world\r\n";
    let at = expected.windows(hole.len()).position(|w| w == hole).unwrap();
    expected.drain(at..at + hole.len());
    assert_eq!(without, expected);
}

#[test]
fn a_built_field_cannot_bring_in_another() {
    let built = field("Subject", "Hi\r\nBcc: x@y\n\rZ: z");
    assert_eq!(built, b"Subject: Hi Bcc: x@y Z: z\r\n");
    let long = field("X-Long", &"word ".repeat(60));
    assert!(long.split(|b| *b == b'\n').all(|line| line.len() <= 79));
    assert_eq!(fields(&long).count(), 1);
}

#[test]
fn unfolds() {
    assert_eq!(unfold(b"  a\r\n  b\0c \r\n"), b"a  bc");
}
