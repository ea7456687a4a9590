//! Heads come back as they were kept, from memory, from the file and after a start; what is damaged
//! or another letter's does not.

use std::path::Path;

use proptest::prelude::*;

use super::file::{HeadFile, Window};
use super::{Head, head};
use crate::flags::Flags;
use crate::ids::Uid;
use crate::keywords::KeywordSet;
use crate::letter::Letter;
use message::envelope::Envelope;

fn letter(uid: u32, hash: u64) -> Letter {
    Letter {
        uid: Uid::new(uid).unwrap(),
        flags: Flags::NONE,
        shown: Default::default(),
        keywords: KeywordSet::default(),
        size: 1,
        modseq: 1,
        date: 0,
        hash,
        saved: 0,
    }
}

fn envelope(subject: &str) -> Envelope {
    Envelope::of_header(
        format!(
            "Subject: {subject}\r\nDate: Tue, 3 Nov 2026 23:30:00 -0800\r\nFrom: a@b.test\r\n\r\n"
        )
        .as_bytes(),
    )
}

/// What a fresh reader finds of a letter.
fn seen(file: &mut HeadFile, of: &Letter) -> Option<String> {
    let mut window = Window::default();
    let found = file.find(of.uid, &mut window)?;
    Some(head::parse(window.record(found)?, of)?.subject.to_owned())
}

fn keep(file: &mut HeadFile, of: &Letter, subject: &str) {
    file.add(of.uid, &head::record(of, &envelope(subject)).unwrap());
}

#[test]
fn a_record_tells_what_was_in_the_header() {
    let one = letter(7, 9);
    let record = head::record(&one, &envelope("=?utf-8?q?Gr=C3=BC=C3=9Fe?=")).unwrap();
    assert_eq!(head::length(&record), Some(record.len()));
    let Head { envelope, subject, sent } = head::parse(&record, &one).unwrap();
    assert_eq!(subject, "grüße");
    assert_eq!(sent, Some((2026, 11, 3)), "the sender's day, not ours");
    let text = String::from_utf8_lossy(envelope);
    assert!(
        text.starts_with("ENVELOPE (\"Tue, 3 Nov 2026 23:30:00 -0800\" \"=?utf-8?q?"),
        "{text}"
    );
    assert_eq!(head::parse(&record, &letter(7, 8)), None, "another letter's");
    assert_eq!(head::parse(&record, &letter(8, 9)), None);
    for at in 4..record.len() {
        let mut rotten = record.clone();
        rotten[at] ^= 1;
        assert_eq!(head::parse(&rotten, &one), None, "octet {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_kept_is_found(
        uids in proptest::collection::vec(1u32..40, 1..60),
        writes in proptest::collection::vec(any::<bool>(), 60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut file = HeadFile::open(dir.path().join("m"), 40).unwrap();
        let mut last = std::collections::BTreeMap::new();
        for (turn, (uid, write)) in uids.into_iter().zip(writes).enumerate() {
            let subject = format!("{uid} at {turn}.{}", "x".repeat(turn * 7 % 90));
            keep(&mut file, &letter(uid, 1), &subject);
            last.insert(uid, subject);
            if write {
                file.write();
            }
        }
        for round in 0..2 {
            for uid in 1..40 {
                prop_assert_eq!(seen(&mut file, &letter(uid, 1)), last.get(&uid).cloned());
            }
            // One reader for all, in order.
            let mut window = Window::default();
            for (&uid, subject) in &last {
                let of = letter(uid, 1);
                let found = file.find(of.uid, &mut window).unwrap();
                let found = head::parse(window.record(found).unwrap(), &of).unwrap();
                prop_assert_eq!(found.subject, subject);
            }
            if round == 0 {
                file.write();
                file = HeadFile::open(dir.path().join("m"), 40).unwrap();
            }
        }
    }
}

fn filled(folder: &Path) {
    let mut file = HeadFile::open(folder.to_owned(), 100).unwrap();
    (1..=100).for_each(|uid| keep(&mut file, &letter(uid, 1), "here"));
    file.write();
}

#[test]
fn torn_files_tell_nothing_false() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("m");
    filled(&folder);
    // The text ends in the middle, as after a power cut; the table knows of more.
    let text = std::fs::read(folder.join("text")).unwrap();
    std::fs::write(folder.join("text"), &text[..text.len() / 2]).unwrap();
    let mut file = HeadFile::open(folder.clone(), 100).unwrap();
    let found = (1..=100).filter(|&uid| seen(&mut file, &letter(uid, 1)).is_some()).count();
    assert!((1..100).contains(&found), "{found}");
    keep(&mut file, &letter(100, 1), "again");
    assert_eq!(seen(&mut file, &letter(100, 1)).as_deref(), Some("again"));
    file.write();
    assert_eq!(seen(&mut file, &letter(100, 1)).as_deref(), Some("again"));
    drop(file);
    // Not ours at all: begun anew.
    std::fs::write(folder.join("text"), "something else").unwrap();
    let mut file = HeadFile::open(folder.clone(), 100).unwrap();
    assert_eq!(seen(&mut file, &letter(1, 1)), None);
    keep(&mut file, &letter(1, 1), "anew");
    file.write();
    let mut file = HeadFile::open(folder, 100).unwrap();
    assert_eq!(seen(&mut file, &letter(1, 1)).as_deref(), Some("anew"));
}

#[test]
fn a_file_of_expunged_letters_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("m");
    {
        let mut file = HeadFile::open(folder.clone(), 0).unwrap();
        (1..=5000).for_each(|uid| keep(&mut file, &letter(uid, 1), "s"));
        file.write();
    }
    let mut file = HeadFile::open(folder, 10).unwrap();
    assert_eq!(seen(&mut file, &letter(5000, 1)), None);
    assert!(std::fs::metadata(dir.path().join("m/text")).unwrap().len() < 100);
}
