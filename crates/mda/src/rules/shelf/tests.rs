//! The scripts on a disk whose power goes, or whose process dies, at every single operation: a
//! script that was uploaded, renamed, activated or deleted with a yes is there as told; what had no answer
//! has happened or not; an active script is there whole.

use std::collections::BTreeMap;
use std::path::Path;

use disk::faulty::{Cut, FaultyDisk};

use super::*;

const ROOT: &str = "/data/sieve";
const LONG: &[u8] = b"# a script of more than one write\nkeep;\n";

/// One change, as ManageSieve and the command line make it.
type Deed = fn(&Shelf, &AccountId) -> Result<()>;

const STORY: &[Deed] = &[
    |shelf, bob| shelf.put(bob, "main", b"keep;"),
    |shelf, bob| shelf.put(bob, "other", b"discard;"),
    |shelf, bob| shelf.activate(bob, Some("main")),
    |shelf, bob| shelf.put(bob, "main", LONG),
    |shelf, bob| shelf.activate(bob, Some("other")),
    |shelf, bob| shelf.activate(bob, None),
    |shelf, bob| shelf.activate(bob, Some("other")),
    |shelf, bob| shelf.delete(bob, "main"),
    |shelf, bob| shelf.activate(bob, None),
    |shelf, bob| shelf.delete(bob, "other"),
];

fn bob() -> AccountId {
    AccountId::new("blue.test", "bob").unwrap()
}

fn shelf(disk: &FaultyDisk) -> Shelf {
    Shelf::new(Arc::new(disk.clone()), ROOT.into())
}

fn founded() -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.make_dirs(Path::new("/data"), Mode::PRIVATE_DIR).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// All scripts with their text, and the name of the active one.
type Seen = (BTreeMap<String, Vec<u8>>, Option<String>);

fn see(disk: &FaultyDisk) -> Seen {
    let shelf = shelf(disk);
    let text = |(name, _): (String, u64)| {
        let text = shelf.get(&bob(), &name).unwrap();
        (name, text)
    };
    let scripts: BTreeMap<_, _> = shelf.list(&bob()).unwrap().into_iter().map(text).collect();
    let active = shelf.active_name(&bob()).unwrap();
    if let Some(name) = &active {
        assert!(scripts.contains_key(name), "the active script {name} is not there");
        assert!(shelf.active(&bob()).unwrap().program.is_ok(), "{name} is not whole");
    }
    (scripts, active)
}

/// What is seen after each change, from none on.
fn course(story: &[Deed]) -> Vec<Seen> {
    let disk = founded();
    let mut course = vec![see(&disk)];
    for deed in story {
        deed(&shelf(&disk), &bob()).unwrap();
        course.push(see(&disk));
    }
    course
}

fn tell(disk: &FaultyDisk, story: &[Deed]) -> usize {
    let shelf = shelf(disk);
    story.iter().position(|deed| deed(&shelf, &bob()).is_err()).unwrap_or(story.len())
}

#[test]
fn power_cut_at_every_operation() {
    let course = course(STORY);
    for at in 0.. {
        let cuts = [Cut::LoseAll, Cut::KeepAll].into_iter().chain((0..4).map(Cut::Some));
        for cut in cuts {
            let disk = founded();
            disk.cut_power_after(at);
            let done = tell(&disk, STORY);
            disk.restart(cut);
            let seen = see(&disk);
            let next = course.get(done + 1).unwrap_or(&course[done]);
            let right = seen == course[done] || seen == *next;
            assert!(right, "before operation {at}, {cut:?}: {done} answered, there is {seen:?}");
            if done == STORY.len() {
                return;
            }
        }
    }
}

#[test]
fn process_dies_at_every_operation_and_the_power_goes_later() {
    let course = course(STORY);
    for at in 0.. {
        let disk = founded();
        disk.cut_power_after(at);
        let done = tell(&disk, STORY);
        if done == STORY.len() {
            return;
        }
        disk.restart_process();
        // Made again and answered yes, it must not rest on what the dead process left unsynced.
        let is_yes = STORY[done](&shelf(&disk), &bob()).is_ok();
        disk.restart(Cut::LoseAll);
        let seen = see(&disk);
        let is_old = seen == course[done] && !is_yes;
        let after = &course[done + 1];
        assert!(is_old || seen == *after, "killed before {at}: {done} answered, there is {seen:?}");
    }
}

#[test]
fn a_renamed_script_is_there_under_one_name_at_least() {
    let begin: &[Deed] = &[
        |shelf, bob| shelf.put(bob, "old", b"discard;"),
        |shelf, bob| shelf.activate(bob, Some("old")),
    ];
    for at in 0.. {
        for cut in [Cut::LoseAll, Cut::KeepAll, Cut::Some(1), Cut::Some(2), Cut::Some(3)] {
            let disk = founded();
            assert_eq!(tell(&disk, begin), begin.len());
            disk.cut_power_after(at);
            let renamed = shelf(&disk).rename(&bob(), "old", "new");
            disk.restart(cut);
            let (scripts, active) = see(&disk);
            assert!(active.is_some(), "before operation {at}, {cut:?}: none is active");
            if renamed.is_ok() {
                assert_eq!(scripts.keys().collect::<Vec<_>>(), ["new"], "{cut:?}");
                assert_eq!(active.as_deref(), Some("new"));
                return;
            }
        }
    }
}
