//! Properties of the structure scanner over random letters, and its comparison with mail-parser
//! on letters that mail-parser reads rightly. Python's torture letters are used where Debian's
//! libpython3.11-testsuite is installed.

use mail_parser::{MessageParser, PartType};
use message::scan::structure::{Content, Part};
use message::scan::{Scanner, Structure, scan};
use proptest::prelude::*;

/// Lines out of which broken and whole letters come.
fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Content-Type: multipart/mixed; boundary=a",
        "Content-Type: multipart/digest; boundary=\"b\"",
        "Content-Type: multipart/alternative; boundary=a b ;",
        "Content-Type: message/rfc822",
        "Content-Type: text/html; charset=utf-8",
        "Content-Type: multipart/mixed",
        "Content-Transfer-Encoding: base64",
        "Content-ID: <x@y>",
        "Subject: =?utf-8?q?x?=",
        " folded",
        "To: a@b, G: c@d;",
        "",
        "",
        "",
        "--a",
        "--a",
        "--a--",
        "--b",
        "--b--",
        "--a b",
        "--ab",
        "text --a",
        "stray",
        "\rtext\r",
        "\0\u{fc}",
    ])
}

fn letter() -> impl Strategy<Value = Vec<u8>> {
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", "\r"]);
    prop::collection::vec((line(), end), 0..40)
        .prop_map(|lines| lines.into_iter().flat_map(|(l, e)| [l, e]).collect::<String>().into())
}

/// Every range lies inside its holder's body, in order, and header and body touch.
fn check(part: &Part, letter: &[u8]) {
    assert!(part.header.end == part.body.start, "{part:?}");
    let line_ends = part.body.of(letter).iter().filter(|octet| **octet == b'\n').count();
    assert_eq!(part.lines, line_ends as u64);
    let mut from = part.body.start;
    match &part.content {
        Content::Leaf => assert!(!part.media.kind.eq_ignore_ascii_case("multipart")),
        Content::Multipart(parts) => {
            assert!(!parts.is_empty());
            for child in parts {
                assert!(child.header.start >= from);
                assert!(child.body.end <= part.body.end || child.body.is_empty());
                from = child.body.end;
                check(child, letter);
            }
        }
        Content::Message(nested) => {
            assert_eq!(nested.part.header.start, part.body.start);
            assert!(nested.part.body.end == part.body.end || nested.part.body.is_empty());
            check(&nested.part, letter);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_chunking_gives_the_same(
        letter in letter(),
        cuts in prop::collection::vec(1_usize..30, 0..8),
    ) {
        let whole = scan(&letter);
        let mut scanner = Scanner::new();
        let mut rest = letter.as_slice();
        for cut in cuts {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            scanner.feed(chunk);
            rest = after;
        }
        for octet in rest {
            scanner.feed(std::slice::from_ref(octet));
        }
        prop_assert_eq!(scanner.finish(), whole);
    }

    #[test]
    fn ranges_nest(letter in letter()) {
        let found = scan(&letter);
        prop_assert_eq!(found.size, letter.len() as u64);
        prop_assert_eq!(found.root.header.start, 0);
        prop_assert_eq!(found.root.body.end, found.size);
        check(&found.root, &letter);
        for (path, part) in found.parts() {
            prop_assert_eq!(found.part(&path), Some(part));
        }
    }

    #[test]
    fn the_index_form_reads_back(letter in letter(), at in any::<prop::sample::Index>(), flip: u8) {
        let found = scan(&letter);
        let mut bytes = found.to_bytes();
        prop_assert_eq!(Structure::from_bytes(&bytes), Ok(found));
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = Structure::from_bytes(&bytes);
    }

    #[test]
    fn octets_never_fail(letter in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&scan(&letter).root, &letter);
    }
}

/// A tree of parts to be written out as a letter without faults.
#[derive(Clone, Debug)]
enum Tree {
    Text(String),
    Multipart(Vec<Tree>),
    Letter(Box<Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = "[a-z \r\n=-]{0,40}"
        .prop_map(|text| Tree::Text(text.replace('\r', "").replace('\n', "\r\n")));
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::Multipart),
            // mail-parser 0.11.9 loses its way, or panics ("could not find multipart"), where a
            // message/rfc822 is nothing but another one: such letters are not compared.
            inner.prop_filter_map("a letter right in a letter", |tree| match tree {
                Tree::Letter(_) => None,
                tree => Some(Tree::Letter(Box::new(tree))),
            }),
        ]
    })
}

fn write(tree: &Tree, serial: &mut u32, out: &mut String) {
    match tree {
        Tree::Text(text) => {
            out.push_str("Content-Type: text/plain\r\n\r\n");
            out.push_str(text);
        }
        Tree::Multipart(parts) => {
            *serial += 1;
            let boundary = format!("B{serial}B");
            out.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n"
            ));
            for part in parts {
                out.push_str(&format!("--{boundary}\r\n"));
                write(part, serial, out);
                out.push_str("\r\n");
            }
            out.push_str(&format!("--{boundary}--\r\n"));
        }
        Tree::Letter(inner) => {
            out.push_str("Content-Type: message/rfc822\r\n\r\nSubject: s\r\n");
            write(inner, serial, out);
        }
    }
}

/// Depth first: header start, body start, end of each leaf and multipart, as mail-parser has them.
fn mail_parser_ranges(message: &mail_parser::Message<'_>, found: &mut Vec<(u64, u64)>) {
    for part in &message.parts {
        if matches!(part.body, PartType::Text(_) | PartType::Html(_)) {
            found.push((u64::from(part.offset_body), u64::from(part.offset_end)));
        }
        if let PartType::Message(inner) = &part.body {
            mail_parser_ranges(inner, found);
        }
    }
}

fn our_ranges(structure: &Structure) -> Vec<(u64, u64)> {
    structure
        .parts()
        .iter()
        .filter(|(_, part)| matches!(part.content, Content::Leaf))
        .map(|(_, part)| (part.body.start, part.body.end))
        .collect()
}

proptest! {
    #[test]
    fn agrees_with_mail_parser_on_whole_letters(tree in tree()) {
        let mut text = String::from("Subject: x\r\n");
        write(&tree, &mut 0, &mut text);
        let ours = our_ranges(&scan(text.as_bytes()));
        let theirs = MessageParser::default().parse(text.as_bytes()).expect("a letter");
        let mut ranges = Vec::new();
        mail_parser_ranges(&theirs, &mut ranges);
        ranges.sort_unstable();
        let mut ours = ours;
        ours.sort_unstable();
        prop_assert_eq!(ours, ranges, "{}", text);
    }
}

/// Where the test letters of Python's email package lie, if they are installed.
fn python_letters() -> Option<std::path::PathBuf> {
    let script = "import test.test_email as t; print(t.__path__[0])";
    let told = std::process::Command::new("python3").args(["-c", script]).output().ok()?;
    let folder = String::from_utf8(told.stdout).ok()?;
    Some(std::path::Path::new(folder.trim()).join("data")).filter(|path| path.is_dir())
}

#[test]
fn torture_letters_of_python() {
    let Some(folder) = python_letters() else { return };
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is readable") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ext| ext != "txt") {
            continue;
        }
        let raw = std::fs::read(&path).expect("a letter");
        for letter in [raw.clone(), message::line_ends::to_crlf(&raw)] {
            let found = scan(&letter);
            check(&found.root, &letter);
            assert_eq!(Structure::from_bytes(&found.to_bytes()), Ok(found.clone()));
            let _ = message::values::search_text(&found, &letter);
            for (_, part) in found.parts() {
                let _ = message::values::file_name(part);
            }
        }
        seen += 1;
    }
    assert!(seen > 30, "{folder:?} holds only {seen} letters");
}
