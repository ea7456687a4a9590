//! Other Maildir programs at work in the same folders, as the page promises: adopted, not fought.

use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::{Disk, Mode};
use mailbox::{FlagChange, Flags, How, UidSet};

use crate::support::{ROOT, Store, name};

fn maildir() -> PathBuf {
    Path::new(ROOT).join("red.test/alice")
}

fn files(store: &Store, directory: &str) -> Vec<String> {
    let entries = store.disk.read_dir(&maildir().join(directory)).unwrap();
    let mut names: Vec<String> =
        entries.into_iter().map(|entry| entry.name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn bring(store: &Store, place: &str, text: &str) {
    let file = store.disk.create_new(&maildir().join(place), Mode::PRIVATE).unwrap();
    file.write_at(0, text.as_bytes()).unwrap();
}

fn look(store: &mut Store) -> mailbox::Looked {
    look_at(store, "INBOX")
}

fn look_at(store: &mut Store, mailbox: &str) -> mailbox::Looked {
    store.pass(Duration::from_secs(61));
    let mailbox = store.mailbox(mailbox);
    let mailboxes = store.mailboxes.clone();
    store.run(mailboxes.look(&mailbox)).unwrap()
}

fn flagged(store: &mut Store, how: How) {
    flagged_in(store, "INBOX", how);
}

/// Every letter of the mailbox.
fn flagged_in(store: &mut Store, mailbox: &str, how: How) {
    let mailbox = store.mailbox(mailbox);
    let change = FlagChange {
        uids: UidSet::all(),
        how,
        flags: Flags::FLAGGED,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    let mailboxes = store.mailboxes.clone();
    store.run(mailboxes.change_flags(&mailbox, change)).unwrap();
}

/// Killed between the renaming of a file and the line that tells of it: the name that the file was
/// left with is ours, and what was acknowledged since is not undone by it.
#[test]
fn a_name_that_a_death_left_behind_is_nobodys_change() {
    for last in [How::Add, How::Remove] {
        let mut store = Store::new();
        store.deliver(1, "ours").unwrap();
        store.settle();
        let (now, before) = match last {
            How::Add => (Flags::FLAGGED, How::Remove),
            _ => (Flags::NONE, How::Add),
        };
        if last == How::Add {
            flagged(&mut store, How::Add);
            store.settle();
        }
        let shown = files(&store, "cur").into_iter().next();
        let base = shown.as_deref().map_or_else(
            || files(&store, "new").remove(0),
            |name| name.trim_end_matches(":2,F").to_owned(),
        );
        flagged(&mut store, before);
        flagged(&mut store, last);
        // The file as it lies after the first of the two changes, whatever was laid out yet.
        let (new, cur) = (format!("new/{base}"), format!("cur/{base}:2,F"));
        let (from, to) = if last == How::Add { (cur, new) } else { (new, cur) };
        let _ = store.disk.rename(&maildir().join(from), &maildir().join(to));
        let disk = store.disk.clone();
        drop(store);
        disk.restart_process();
        let mut store = Store::open(&disk).unwrap();
        for _ in 0..2 {
            look(&mut store);
            let inbox = store.mailbox("INBOX");
            assert_eq!(inbox.view().at(0).map(|letter| letter.flags), Some(now), "{last:?}");
            store.settle();
        }
        assert_eq!(files(&store, "cur").len(), usize::from(last == How::Add));
    }
}

/// Killed before a letter that was moved had its file, while another file waited to show its flags:
/// the file gets the flags of the letter as it is, and not those it came with.
#[test]
fn a_letter_moved_before_a_death_keeps_the_flags_it_was_given_after() {
    let mut store = Store::new();
    store.deliver(1, "one").unwrap();
    store.deliver(2, "two").unwrap();
    let (inbox, account) = (store.mailbox("INBOX"), store.account());
    let mailboxes = store.mailboxes.clone();
    let id = store.run(mailboxes.create(&account, name("Work"), None)).unwrap();
    let come = |store: &mut Store, uid: &str| {
        let uids = UidSet::parse(uid).unwrap();
        store.run(mailboxes.move_letters(&inbox, uids, id)).unwrap();
    };
    come(&mut store, "1");
    store.settle();
    flagged_in(&mut store, "Work", How::Add);
    come(&mut store, "2");
    flagged_in(&mut store, "Work", How::Add);
    let disk = store.disk.clone();
    drop(store);
    disk.restart_process();
    let mut store = Store::open(&disk).unwrap();
    store.settle();
    for _ in 0..2 {
        look_at(&mut store, "Work");
        let work = store.mailbox("Work").view();
        for at in 0..2 {
            assert_eq!(work.at(at).map(|letter| letter.flags), Some(Flags::FLAGGED), "{at}");
        }
        store.settle();
    }
}

#[test]
fn a_letter_that_was_brought_gets_a_uid_and_keeps_its_name() {
    let mut store = Store::new();
    store.deliver(1, "ours").unwrap();
    store.settle();
    bring(&store, "new/1700000000.M1P2.host", "theirs");
    bring(&store, "cur/1700000001.M1P2.host:2,FS", "theirs, read");
    bring(&store, "cur/.hidden", "nobody's");
    assert_eq!(look(&mut store).came, 2);
    assert_eq!(look(&mut store), mailbox::Looked::default(), "a second look finds nothing");
    let inbox = store.mailbox("INBOX");
    let view = inbox.view();
    let flags: Vec<Flags> = view.letters().map(|letter| letter.flags).collect();
    assert_eq!(flags, [Flags::NONE, Flags::NONE, Flags::SEEN | Flags::FLAGGED]);
    for (place, text) in [(1, "theirs"), (2, "theirs, read")] {
        let content = inbox.content(&view.at(place).unwrap()).unwrap();
        assert_eq!(&content.read_all().unwrap()[..], text.as_bytes());
    }
    let mailboxes = store.mailboxes.clone();
    let seen = FlagChange {
        uids: UidSet::all(),
        how: How::Add,
        flags: Flags::SEEN,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    store.run(mailboxes.change_flags(&inbox, seen)).unwrap();
    store.settle();
    assert!(files(&store, "cur").contains(&"1700000000.M1P2.host:2,S".to_owned()));
    assert!(files(&store, "new").is_empty());
    let disk = store.disk.clone();
    let known = crate::crash::picture(&mut store);
    drop((store, inbox));
    assert_eq!(crate::crash::picture(&mut Store::open(&disk).unwrap()), known);
}

#[test]
fn flags_in_a_name_are_a_change_like_any_other() {
    let mut store = Store::new();
    store.deliver(1, "one").unwrap();
    store.settle();
    let base = files(&store, "new").remove(0);
    let inbox = store.mailbox("INBOX");
    let before = inbox.view();
    let from = maildir().join("new").join(&base);
    store.disk.rename(&from, &maildir().join(format!("cur/{base}:2,FS"))).unwrap();
    // Before anybody has looked, the letter is read all the same.
    assert!(inbox.content(&before.at(0).unwrap()).is_ok());
    assert_eq!(look(&mut store).changed, 1);
    let after = inbox.view();
    assert_eq!(after.at(0).unwrap().flags, Flags::SEEN | Flags::FLAGGED);
    assert!(after.at(0).unwrap().modseq > before.at(0).unwrap().modseq);
    assert_eq!(before.changes(&after).changed.len(), 1);
    // Taken away again, and moved to `cur` without a flag.
    let shown = maildir().join(format!("cur/{base}:2,FS"));
    store.disk.rename(&shown, &maildir().join(format!("cur/{base}:2,"))).unwrap();
    assert_eq!(look(&mut store).changed, 1);
    assert_eq!(inbox.view().at(0).unwrap().flags, Flags::NONE);
    assert!(inbox.content(&inbox.view().at(0).unwrap()).is_ok());
}

#[test]
fn a_letter_that_was_removed_is_gone() {
    let mut store = Store::new();
    store.deliver(1, "one").unwrap();
    store.deliver(2, "two").unwrap();
    assert_eq!(look(&mut store).gone, 0, "what is not laid out yet is not missing");
    store.settle();
    let base = files(&store, "new").remove(0);
    store.disk.unlink(&maildir().join("new").join(base)).unwrap();
    assert_eq!(look(&mut store).gone, 1);
    let inbox = store.mailbox("INBOX");
    assert_eq!(inbox.view().letters().map(|l| l.uid.get()).collect::<Vec<_>>(), [2]);
    assert_eq!(inbox.view().uid_next().get(), 3);
    let usage = store.run(store.mailboxes.clone().account(&store.account())).unwrap().usage;
    assert_eq!(usage.letters, 1);
}

#[test]
fn a_file_of_ours_that_nothing_is_known_of_is_set_aside() {
    let mut store = Store::new();
    store.deliver(1, "one").unwrap();
    store.settle();
    let base = files(&store, "new").remove(0);
    let stray = base.replace("_1.", "_9.");
    bring(&store, &format!("new/{stray}"), "one");
    assert_eq!(look(&mut store).came, 0);
    assert_eq!(store.mailbox("INBOX").view().len(), 1);
    assert_eq!(files(&store, "posthaste-quarantine"), [format!("1.{stray}")]);
    assert_eq!(store.commit.store().reports().len(), 1);
}

#[test]
fn a_folder_moved_by_hand_is_put_back_where_its_log_says() {
    let mut store = Store::new();
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    store.run(mailboxes.create(&account, name("Work"), None)).unwrap();
    store.settle();
    let disk = store.disk.clone();
    let id = store.mailbox("Work").id();
    let work = store.mailbox("Work");
    let letter = disk::Body::from(b"kept".to_vec()).into();
    store.run(mailboxes.append(&work, vec![letter], mailbox::Quota::default())).unwrap();
    store.settle();
    drop((store, mailboxes, work));
    disk.rename(&maildir().join(".Work"), &maildir().join(".Elsewhere")).unwrap();
    let mut store = Store::open(&disk).unwrap();
    let work = store.mailbox("Work");
    assert_eq!((work.id(), work.view().len()), (id, 1));
    assert!(work.content(&work.view().at(0).unwrap()).is_ok());
}
