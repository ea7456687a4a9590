//! Expunged letters are kept for a while, come back, and go in the end; whatever the power does.

use std::time::Duration;

use disk::faulty::{Cut, FaultyDisk};
use mailbox::{Error, FlagChange, Flags, How, Keyword, Quota, UidSet};
use protocol::time::Timestamp;

use crate::support::{KEPT, Store, name};

const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn flags(uids: &str, flags: Flags) -> FlagChange {
    FlagChange {
        uids: UidSet::parse(uids).unwrap(),
        how: How::Add,
        flags,
        keywords: vec![Keyword::new("$Work").unwrap()],
        unchanged_since: None,
    }
}

/// Letters 2 and 3 of five are expunged, 1 is moved, and its new mailbox deleted.
fn history(store: &mut Store) {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    for n in 1..=5 {
        store.deliver(n, &format!("letter {n}")).unwrap();
    }
    let inbox = store.mailbox("INBOX");
    let work = store.run(mailboxes.create(&account, name("Lists/A.b"), None)).unwrap();
    store.run(mailboxes.move_letters(&inbox, UidSet::parse("1").unwrap(), work)).unwrap();
    store.run(mailboxes.change_flags(&inbox, flags("2:3", Flags::DELETED | Flags::SEEN))).unwrap();
    store.settle();
    store.run(mailboxes.expunge(&inbox, UidSet::all())).unwrap();
    store.settle();
    store.pass(Duration::from_secs(3600));
    store.run(mailboxes.delete(&account, name("Lists/A.b"))).unwrap();
}

fn ids(store: &mut Store) -> Vec<(String, Option<String>)> {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let kept = store.run(mailboxes.expunged(&account)).unwrap();
    kept.into_iter().map(|one| (one.id, one.deleted_mailbox.map(|n| n.to_string()))).collect()
}

#[test]
fn what_was_expunged_comes_back_as_it_was() {
    KEPT.set(WEEK);
    let mut store = Store::new();
    history(&mut store);
    store.settle();
    let lists = Some("Lists/A.b".to_owned());
    let expected = [("1.2", None), ("1.3", None), ("7.1", lists)];
    let expected = expected.map(|(id, name)| (id.to_owned(), name));
    assert_eq!(ids(&mut store), expected, "what was moved is not among them twice");
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let before = store.run(mailboxes.account(&account)).unwrap().usage;
    assert_eq!(before.letters, 2, "they do not count for the quota");
    let kept = store.run(mailboxes.expunged(&account)).unwrap();
    let full = Quota { bytes: None, letters: Some(2) };
    let refused = store.run(mailboxes.undelete(&account, &kept[0], full)).unwrap_err();
    assert_eq!(refused, Error::OverQuota);
    for letter in &kept {
        store.run(mailboxes.undelete(&account, letter, Quota::default())).unwrap();
    }
    let gone = store.run(mailboxes.undelete(&account, &kept[0], Quota::default())).unwrap_err();
    assert_eq!(gone, Error::NoSuchLetter);
    assert!(ids(&mut store).is_empty());
    let inbox = store.mailbox("INBOX");
    let view = inbox.view();
    let uids: Vec<u32> = view.letters().map(|letter| letter.uid.get()).collect();
    assert_eq!(uids, [4, 5, 6, 7], "as new letters");
    let back = view.letters().nth(2).unwrap();
    assert_eq!(back.flags, Flags::SEEN, "and not deleted again at once");
    assert_eq!(view.keywords_of(back).next().unwrap().as_str(), "$Work");
    assert_eq!(back.internal_date(), kept[0].date);
    let text = inbox.content(back).unwrap().read_all().unwrap();
    assert!(text.ends_with(b"letter 2"), "{text:?}");
    let lists = store.mailbox("Lists/A.b");
    assert_eq!(lists.view().len(), 1, "its mailbox is made again");
}

#[test]
fn a_purge_takes_the_oldest_and_what_is_over() {
    KEPT.set(WEEK);
    let mut store = Store::new();
    history(&mut store);
    store.settle();
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let kept = store.run(mailboxes.expunged(&account)).unwrap();
    let long_ago = Timestamp::from_seconds(0);
    let room = kept[1].size + kept[2].size;
    let purged = store.run(mailboxes.purge_expunged(&account, (long_ago, room))).unwrap();
    assert_eq!((purged.letters, purged.kept, purged.kept_bytes), (1, 2, room));
    let before = kept[2].expunged;
    store.run(mailboxes.purge_expunged(&account, (before, u64::MAX))).unwrap();
    assert_eq!(ids(&mut store).len(), 1);
    let after = before.after(Duration::from_secs(1));
    let purged = store.run(mailboxes.purge_expunged(&account, (after, u64::MAX))).unwrap();
    assert_eq!((purged.letters, purged.kept), (1, 0));
    assert!(ids(&mut store).is_empty());
}

#[test]
fn by_age_goes_what_came_long_ago() {
    KEPT.set(WEEK);
    let mut store = Store::new();
    store.deliver(1, "old").unwrap();
    store.pass(Duration::from_secs(7200));
    store.deliver(2, "young").unwrap();
    let (mailboxes, inbox) = (store.mailboxes.clone(), store.mailbox("INBOX"));
    let first = inbox.view().letters().next().unwrap().save_date();
    let before = first.after(Duration::from_secs(60));
    let gone = store.run(mailboxes.expunge_saved_before(&inbox, before)).unwrap();
    assert_eq!(gone.to_string(), "1");
    assert!(store.run(mailboxes.expunge_saved_before(&inbox, before)).unwrap().is_empty());
    store.settle();
    assert_eq!(ids(&mut store).len(), 1, "the same way as any other");
}

/// The power goes at each operation of the disk while letters are expunged: afterwards each is
/// either there or among the expunged, or was never kept; none is both.
#[test]
fn the_power_goes_while_they_are_set_aside() {
    KEPT.set(WEEK);
    let whole = {
        let disk = FaultyDisk::new();
        let mut store = Store::open(&disk).unwrap();
        history(&mut store);
        store.settle();
        disk.operations()
    };
    let mut set_aside = 0;
    for at in whole.saturating_sub(45)..whole {
        for cut in [Cut::LoseAll, Cut::Some(at)] {
            let disk = FaultyDisk::new();
            let mut store = Store::open(&disk).unwrap();
            disk.cut_power_after(at);
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                history(&mut store);
                store.settle();
            }));
            drop(store);
            disk.restart(cut);
            let mut store = Store::open(&disk).unwrap_or_else(|e| panic!("{at} {cut:?}: {e:?}"));
            store.settle();
            let kept = ids(&mut store);
            set_aside += kept.len();
            let inbox = store.mailbox("INBOX");
            store.run(store.mailboxes.clone().look(&inbox)).unwrap();
            // With the next checkpoint.
            store.deliver(99, "after").unwrap();
            store.settle();
            for (id, _) in &kept {
                let uid: u32 = id.rsplit('.').next().unwrap().parse().unwrap();
                let there = inbox.view().letters().any(|letter| letter.uid.get() == uid);
                assert!(!there || id.starts_with("7."), "{at} {cut:?}: {id} twice");
            }
            if worked.is_ok() {
                assert_eq!(ids(&mut store).len(), 3, "{at} {cut:?}: {kept:?}");
            }
        }
    }
    assert!(set_aside > 0);
}

/// The day's work of `crash`, with letters kept.
#[test]
fn the_power_goes_at_every_step_and_letters_are_kept() {
    KEPT.set(WEEK);
    crate::crash::power_goes_at_each(9);
}
