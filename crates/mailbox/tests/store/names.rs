//! Mailboxes that take the names of others before anything is laid out: what belongs to one never
//! shows up in another, whatever comes in between.

use std::path::Path;

use disk::faulty::{Cut, FaultyDisk};
use disk::{Body, Disk};
use mailbox::{Error, NewLetter, Quota};

use crate::crash::picture;
use crate::support::{ROOT, Store, name};

/// One thing that happens to a name.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Create(&'static str),
    Delete(&'static str),
    Rename(&'static str, &'static str),
    /// A letter of this text into this mailbox.
    Append(&'static str, &'static str),
    /// Everything is laid out and checkpointed.
    Settle,
}
use Deed::{Append, Create, Delete, Rename, Settle};

/// Histories after which `x` and `y` hold what the last column says; `None`: there is none.
type History = (&'static [Deed], Option<&'static [&'static str]>, Option<&'static [&'static str]>);

const HISTORIES: [History; 9] = [
    (&[Create("x"), Append("x", "old"), Settle, Delete("x"), Create("x")], Some(&[]), None),
    (&[Create("x"), Append("x", "old"), Delete("x"), Create("x")], Some(&[]), None),
    (
        &[Create("x"), Append("x", "old"), Settle, Delete("x"), Create("x"), Append("x", "new")],
        Some(&["new"]),
        None,
    ),
    (
        &[Create("x"), Append("x", "old"), Settle, Rename("x", "y"), Create("x")],
        Some(&[]),
        Some(&["old"]),
    ),
    (
        &[
            Create("x"),
            Append("x", "old"),
            Settle,
            Rename("x", "y"),
            Create("x"),
            Append("x", "new"),
            Append("y", "also old"),
        ],
        Some(&["new"]),
        Some(&["old", "also old"]),
    ),
    (
        &[
            Create("x"),
            Append("x", "old"),
            Create("y"),
            Append("y", "gone"),
            Settle,
            Delete("y"),
            Rename("x", "y"),
        ],
        None,
        Some(&["old"]),
    ),
    (
        &[
            Create("x"),
            Append("x", "old"),
            Settle,
            Rename("x", "y"),
            Delete("y"),
            Create("y"),
            Append("y", "new"),
        ],
        None,
        Some(&["new"]),
    ),
    (
        &[
            Create("x"),
            Append("x", "1"),
            Create("y"),
            Append("y", "2"),
            Settle,
            Rename("x", "z"),
            Rename("y", "x"),
            Rename("z", "y"),
        ],
        Some(&["2"]),
        Some(&["1"]),
    ),
    (
        &[
            Create("x"),
            Append("x", "1"),
            Settle,
            Delete("x"),
            Create("x"),
            Append("x", "2"),
            Delete("x"),
            Create("x"),
            Append("x", "3"),
            Rename("x", "y"),
            Create("x"),
        ],
        Some(&[]),
        Some(&["3"]),
    ),
];

fn happen(store: &mut Store, deed: Deed) -> Result<(), Error> {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    match deed {
        Create(x) => store.run(mailboxes.create(&account, name(x), None)).map(drop),
        Delete(x) => store.run(mailboxes.delete(&account, name(x))),
        Rename(x, y) => store.run(mailboxes.rename(&account, name(x), name(y))),
        Append(x, text) => {
            let name = name(x);
            let mailbox = store.run(mailboxes.open_by_name(&account, &name))?;
            let letter = NewLetter::from(Body::from(text.as_bytes().to_vec()));
            store.run(mailboxes.append(&mailbox, vec![letter], Quota::default())).map(drop)
        }
        Settle => {
            store.settle();
            Ok(())
        }
    }
}

/// Looks at once, before anything more is laid out.
fn look_at_all(store: &mut Store) {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let listed = store.run(mailboxes.account(&account)).unwrap().mailboxes.clone();
    for listed in listed.iter() {
        let open = store.run(mailboxes.open_mailbox(&account, listed.id)).unwrap();
        let looked = store.run(mailboxes.look(&open)).unwrap();
        assert_eq!(looked, mailbox::Looked::default(), "in {}", listed.name);
    }
}

fn check(store: &mut Store, history: &History) {
    let picture = picture(store);
    for (of, expected) in [("x", history.1), ("y", history.2)] {
        let texts = picture.get(of).map(|(_, _, _, letters)| {
            let texts = letters.iter().map(|known| String::from_utf8(known.3.clone()).unwrap());
            texts.collect::<Vec<String>>()
        });
        let expected = expected.map(|texts| texts.iter().map(ToString::to_string).collect());
        assert_eq!(texts, expected, "{of} after {:?}", history.0);
    }
}

/// What is on the disk in the end is what the mailboxes hold, no more and no less.
fn check_files(store: &mut Store, history: &History) {
    store.settle();
    let folder = Path::new(ROOT).join("red.test/alice");
    for (of, expected) in [("x", history.1), ("y", history.2), ("z", None)] {
        let mut count = 0;
        for directory in ["new", "cur"] {
            let entries = store.disk.read_dir(&folder.join(format!(".{of}/{directory}")));
            count += entries.map_or(0, |entries| entries.len());
        }
        assert_eq!(count, expected.map_or(0, <[_]>::len), "{of} after {:?}", history.0);
    }
}

fn nothing_set_aside(store: &Store) {
    let folder = Path::new(ROOT).join("red.test/alice");
    assert_eq!(store.commit.store().reports(), [] as [String; 0]);
    assert!(store.disk.read_dir(&folder.join("posthaste-quarantine")).is_err());
}

#[test]
fn a_name_taken_again_does_not_bring_back_letters() {
    for history in &HISTORIES {
        let mut store = Store::new();
        for &deed in history.0 {
            happen(&mut store, deed).unwrap();
            look_at_all(&mut store);
        }
        check(&mut store, history);
        check_files(&mut store, history);
        nothing_set_aside(&store);
        look_at_all(&mut store);
        let disk = store.disk.clone();
        drop(store);
        let mut store = Store::open(&disk).unwrap();
        check(&mut store, history);
        look_at_all(&mut store);
    }
}

/// The process is killed, or the power goes, at every step; what was not answered is done again.
#[test]
fn names_change_hands_and_the_power_goes() {
    for history in &HISTORIES {
        let steps = {
            let disk = FaultyDisk::new();
            let mut store = Store::open(&disk).unwrap();
            history.0.iter().for_each(|&deed| happen(&mut store, deed).unwrap());
            store.settle();
            disk.operations()
        };
        for step in 0..steps {
            for cut in [Cut::LoseAll, Cut::KeepAll, Cut::Some(step)] {
                let disk = FaultyDisk::new();
                disk.cut_power_after(step);
                let mut done = 0;
                if let Ok(mut store) = Store::open(&disk) {
                    for &deed in history.0 {
                        if happen(&mut store, deed).is_err() {
                            break;
                        }
                        done += 1;
                    }
                    store.settle();
                }
                disk.restart(cut);
                let mut store = Store::open(&disk).unwrap();
                look_at_all(&mut store);
                for &deed in &history.0[done..] {
                    // The one that was not answered may have happened all the same.
                    let _ = happen(&mut store, deed);
                }
                look_at_all(&mut store);
                if done == history.0.len() {
                    check(&mut store, history);
                    check_files(&mut store, history);
                    let reports = store.commit.store().reports();
                    assert_eq!(reports, [] as [String; 0], "step {step}, {cut:?}, {:?}", history.0);
                    nothing_set_aside(&store);
                }
                let known = picture(&mut store);
                store.settle();
                drop(store);
                let mut store = Store::open(&disk).unwrap();
                assert_eq!(picture(&mut store), known, "step {step}, {cut:?}, {:?}", history.0);
                look_at_all(&mut store);
            }
        }
    }
}
