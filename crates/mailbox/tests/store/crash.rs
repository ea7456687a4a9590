//! The power goes at every single step of a day's work, and what was answered is there afterwards,
//! once and whole. Beside it: failed barriers, full disks, lost indexes of every kind.

use std::collections::BTreeMap;

use disk::Body;
use disk::faulty::{Cut, FaultyDisk, Operation};
use mailbox::{Error, Fate, FlagChange, Flags, How, Keyword, NewLetter, Quota, UidSet, Whose};

use crate::support::{ROOT, Store, name};

/// What a client knows of one letter.
type Known = (u32, String, u64, Vec<u8>);
/// UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ and the letters of each mailbox, by name.
type Picture = BTreeMap<String, (u32, u32, u64, Vec<Known>)>;

/// Everything clients can see.
pub(crate) fn picture(store: &mut Store) -> Picture {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let view = store.run(mailboxes.account(&account)).unwrap();
    let mut picture = Picture::new();
    let mut bytes = 0;
    for listed in view.mailboxes.iter() {
        let mailbox = store.mailbox(listed.name.as_str());
        let view = mailbox.view();
        bytes += view.counts().bytes;
        let letters = view
            .letters()
            .map(|letter| {
                let mut words: Vec<&str> = view.keywords_of(letter).map(|k| k.as_str()).collect();
                words.sort_unstable();
                let flags = format!("{:?} {words:?}", letter.flags);
                let content = mailbox.content(letter).unwrap().read_all().unwrap().to_vec();
                (letter.uid.get(), flags, letter.modseq, content)
            })
            .collect();
        let counters = (view.uid_validity(), view.uid_next().get(), view.highest_modseq());
        let name = listed.name.to_string();
        picture.insert(name, (counters.0, counters.1, counters.2, letters));
    }
    assert_eq!(view.usage.bytes, bytes, "the usage is the sum of the letters");
    picture
}

/// A day's work, one step after the other; ends at the first step that is not answered well.
/// `done` hears of each step that was.
fn work(store: &mut Store, done: &mut dyn FnMut(&mut Store, usize)) -> Result<(), Error> {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let set = |text: &str| UidSet::parse(text).unwrap();
    let mut step = 0;
    let mut answered = |store: &mut Store| {
        step += 1;
        done(store, step);
    };
    for n in 1..=3 {
        store.deliver(n, &format!("letter {n}"))?;
        answered(store);
    }
    let inbox_id = mailbox::MailboxId::INBOX;
    let inbox = store.run(mailboxes.open_mailbox(&account, inbox_id))?;
    let flags = FlagChange {
        uids: set("1:2"),
        how: How::Add,
        flags: Flags::SEEN,
        keywords: vec![Keyword::new("$Work").unwrap()],
        unchanged_since: None,
    };
    store.run(mailboxes.change_flags(&inbox, flags.clone()))?;
    answered(store);
    let work = store.run(mailboxes.create(&account, name("Work"), None))?;
    answered(store);
    store.run(mailboxes.copy(&inbox, set("1"), work, Quota::default()))?;
    answered(store);
    store.run(mailboxes.move_letters(&inbox, set("2"), work))?;
    answered(store);
    store.settle();
    store.run(mailboxes.rename(&account, name("Work"), name("Play/v1.0")))?;
    answered(store);
    let large = NewLetter::from(Body::from(vec![b'x'; 200_000]));
    store.run(mailboxes.append(&inbox, vec![large], Quota::default()))?;
    answered(store);
    let gone = FlagChange { uids: set("3"), flags: Flags::DELETED, ..flags };
    store.run(mailboxes.change_flags(&inbox, gone))?;
    answered(store);
    store.run(mailboxes.expunge(&inbox, UidSet::all()))?;
    answered(store);
    store.settle();
    store.deliver(4, "letter 4")?;
    answered(store);
    store.run(mailboxes.create(&account, name("Work"), None))?;
    answered(store);
    store.run(mailboxes.delete(&account, name("Play/v1.0")))?;
    answered(store);
    store.run(mailboxes.rename(&account, name("Work"), name("Play/v1.0")))?;
    answered(store);
    store.settle();
    store.deliver(5, "letter 5")?;
    answered(store);
    Ok(())
}

/// The picture after each step of undisturbed work, and how many disk operations it took.
fn undisturbed() -> (Vec<Picture>, u64) {
    let disk = FaultyDisk::new();
    let mut store = Store::open(&disk).unwrap();
    let mut pictures = vec![Picture::new()];
    work(&mut store, &mut |store, _| pictures.push(picture(store))).unwrap();
    store.settle();
    (pictures, disk.operations())
}

/// UIDVALIDITY depends on the time and is compared apart.
fn without_validity(picture: &Picture) -> Picture {
    let mut picture = picture.clone();
    picture.values_mut().for_each(|mailbox| mailbox.0 = 0);
    picture
}

#[test]
fn the_power_goes_at_every_step() {
    power_goes_at_each(1);
}

/// At every so many-th step.
pub(crate) fn power_goes_at_each(step: usize) {
    let (pictures, operations) = undisturbed();
    assert!(operations > 100, "the work touches the disk");
    for at in (0..operations).step_by(step) {
        let all_or_nothing = if at % 2 == 0 { Cut::LoseAll } else { Cut::KeepAll };
        for cut in [all_or_nothing, Cut::Some(at)] {
            power_goes(&pictures, at, cut);
        }
    }
}

fn power_goes(pictures: &[Picture], at: u64, cut: Cut) {
    let disk = FaultyDisk::new();
    let mut answered = 0;
    let mut before = Picture::new();
    disk.cut_power_after(at);
    if let Ok(mut store) = Store::open(&disk) {
        // Drops the store without a word to the disk.
        let _ = work(&mut store, &mut |store, step| {
            answered = step;
            if at.is_multiple_of(7) {
                before = picture_or_none(store);
            }
        });
    }
    disk.restart(cut);
    let mut store = Store::open(&disk).unwrap_or_else(|e| panic!("cut {at} {cut:?}: {e:?}"));
    let after = picture(&mut store);
    let seen = without_validity(&after);
    // What was answered is there; what was asked last may be there too.
    let fits = |step: usize| pictures.get(step).is_some_and(|p| without_validity(p) == seen);
    let nothing_yet = answered == 0 && seen.values().all(|m| m.3.is_empty());
    assert!(
        nothing_yet || fits(answered) || fits(answered + 1),
        "cut {at} {cut:?} after step {answered}: {seen:#?}"
    );
    for (name, (validity, ..)) in &before {
        if let Some(mailbox) = after.get(name) {
            assert!(*validity <= mailbox.0, "cut {at}: UIDVALIDITY of {name} went back");
        }
    }
    // The ledger is content, and the store goes on.
    let mailboxes = store.mailboxes.clone();
    let survey = store.run(mailboxes.survey(Whose::All)).unwrap();
    let lost: Vec<_> = survey.deliveries.iter().filter(|kept| kept.fate.is_violation()).collect();
    assert!(lost.is_empty(), "cut {at} {cut:?}: {lost:?}");
    let next = store.deliver(99, "after").unwrap();
    let highest = after.get("INBOX").map_or(1, |inbox| inbox.1);
    assert_eq!(next.uid.get(), highest, "cut {at}: a new UID");
    store.settle();
    let settled = picture(&mut store);
    drop(store);
    disk.restart(Cut::LoseAll);
    let mut store = Store::open(&disk).unwrap();
    assert_eq!(picture(&mut store), settled, "cut {at}: what is settled stays");
}

/// The picture, unless the power went while it was taken.
fn picture_or_none(store: &mut Store) -> Picture {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let Ok(view) = store.run(mailboxes.account(&account)) else { return Picture::new() };
    let mut picture = Picture::new();
    for listed in view.mailboxes.iter() {
        if let Ok(mailbox) = store.run(mailboxes.open_mailbox(&account, listed.id)) {
            let validity = mailbox.view().uid_validity();
            picture.insert(listed.name.to_string(), (validity, 0, 0, Vec::new()));
        }
    }
    picture
}

#[test]
fn a_failed_barrier_is_a_refusal_and_costs_its_numbers() {
    let disk = FaultyDisk::new();
    let mut store = Store::open(&disk).unwrap();
    store.deliver(1, "one").unwrap();
    let inbox = store.mailbox("INBOX");
    let before = inbox.view();
    disk.fail(Operation::Sync, 0, disk::ErrorKind::Io);
    assert!(store.deliver(2, "two").is_err());
    assert_eq!(inbox.view().len(), 1, "nobody has seen it");
    let next = store.deliver(2, "two").unwrap();
    assert!(!next.repeated, "what was refused is no repeat");
    assert!(next.uid.get() > before.uid_next().get(), "its UID is not given again");
    assert!(inbox.view().highest_modseq() > before.highest_modseq() + 1);
    let seen = picture(&mut store);
    drop((store, inbox));
    disk.restart(Cut::LoseAll);
    assert_eq!(picture(&mut Store::open(&disk).unwrap()), seen);
}

#[test]
fn a_full_disk_refuses_for_now() {
    let disk = FaultyDisk::new();
    let mut store = Store::open(&disk).unwrap();
    store.deliver(1, "one").unwrap();
    store.settle();
    disk.set_capacity(Some(0));
    let large = Body::from(vec![b'x'; 300_000]);
    assert_eq!(store.deliver_body(2, large.clone()).unwrap_err(), Error::Full);
    disk.set_capacity(None);
    store.deliver_body(2, large).unwrap();
    assert_eq!(store.mailbox("INBOX").view().len(), 2);
}

#[test]
fn lost_logs_are_made_again_from_the_names_of_files() {
    let disk = FaultyDisk::new();
    let mut store = Store::open(&disk).unwrap();
    for n in 1..=3 {
        store.deliver(n, &format!("letter {n}")).unwrap();
    }
    let inbox = store.mailbox("INBOX");
    let mailboxes = store.mailboxes.clone();
    let seen = FlagChange {
        uids: UidSet::parse("2").unwrap(),
        how: How::Add,
        flags: Flags::SEEN,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    store.run(mailboxes.change_flags(&inbox, seen)).unwrap();
    store.settle();
    let before = inbox.view();
    drop((store, inbox, mailboxes));
    disk.restart(Cut::KeepAll);
    let log = format!("{ROOT}/red.test/alice/posthaste-log.1");
    disk::Disk::unlink(&disk, log.as_ref()).unwrap();
    let mut store = Store::open(&disk).unwrap();
    let inbox = store.mailbox("INBOX");
    let mailboxes = store.mailboxes.clone();
    assert_eq!(store.run(mailboxes.look(&inbox)).unwrap().came, 0, "nothing is new");
    let after = inbox.view();
    let known = |view: &mailbox::View| -> Vec<(u32, Flags, u32)> {
        view.letters().map(|l| (l.uid.get(), l.flags, l.size)).collect()
    };
    assert_eq!(known(&after), known(&before), "UIDs and flags are in the names");
    assert_eq!(after.uid_validity(), before.uid_validity());
}

#[test]
fn the_ledger_misses_what_was_taken_behind_our_back() {
    let mut store = Store::new();
    for n in 1..=3 {
        store.deliver(n, &format!("letter {n}")).unwrap();
    }
    store.settle();
    let disk = store.disk.clone();
    let new = format!("{ROOT}/red.test/alice/new");
    let mut files = disk::Disk::read_dir(&disk, new.as_ref()).unwrap();
    files.sort_by_key(|file| file.name.clone());
    let first = std::path::Path::new(&new).join(&files[0].name);
    disk::Disk::unlink(&disk, &first).unwrap();
    let mailboxes = store.mailboxes.clone();
    let fates = |store: &mut Store| -> Vec<Fate> {
        let survey = store.run(mailboxes.survey(Whose::All)).unwrap();
        survey.deliveries.iter().map(|kept| kept.fate).collect()
    };
    assert_eq!(fates(&mut store), [Fate::FileVanished, Fate::There, Fate::There]);
    // A look takes it for what it may be: another program's doing, on record.
    let inbox = store.mailbox("INBOX");
    assert_eq!(store.run(mailboxes.look(&inbox)).unwrap().gone, 1);
    assert_eq!(fates(&mut store), [Fate::RemovedExternally, Fate::There, Fate::There]);
    // A line cut out of the log, with its file, is missed.
    let log = format!("{ROOT}/red.test/alice/posthaste-log.1");
    let text = disk::read_whole(&disk, log.as_ref(), 1 << 20).unwrap();
    let kept: Vec<&str> =
        std::str::from_utf8(&text).unwrap().lines().filter(|l| !l.contains(" add 3 ")).collect();
    let kept = kept.join("\n") + "\n";
    let file = disk::Disk::open(&disk, log.as_ref(), disk::Access::ReadWrite).unwrap();
    file.set_length(0).unwrap();
    file.write_at(0, kept.as_bytes()).unwrap();
    let third = std::path::Path::new(&new).join(&files[2].name);
    disk::Disk::unlink(&disk, &third).unwrap();
    assert_eq!(fates(&mut store), [Fate::RemovedExternally, Fate::There, Fate::RecordVanished]);
}

#[test]
fn a_mailbox_made_and_deleted_in_one_log_hinders_no_start() {
    for cut in [Cut::LoseAll, Cut::KeepAll] {
        let mut store = Store::new();
        store.settle();
        let (mailboxes, account) = (store.mailboxes.clone(), store.account());
        store.run(mailboxes.create(&account, name("Work"), None)).unwrap();
        store.run(mailboxes.create(&account, name("Play"), None)).unwrap();
        store.run(mailboxes.delete(&account, name("Work"))).unwrap();
        let disk = store.disk.clone();
        drop((store, mailboxes));
        disk.restart(cut);
        let seen = picture(&mut Store::open(&disk).unwrap());
        assert!(seen.contains_key("Play") && !seen.contains_key("Work"), "{cut:?}: {seen:?}");
    }
}
