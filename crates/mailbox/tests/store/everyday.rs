//! What happens every day: mail comes, is read, flagged, moved, thrown away.

use disk::Body;
use mailbox::{
    AccountId, Delivery, Error, FlagChange, Flags, How, Keyword, MailboxId, Marks, NewLetter,
    Quota, Recipient, SpecialUse, UidSet,
};

use crate::support::{Store, journey, name, recipient};

fn set(text: &str) -> UidSet {
    UidSet::parse(text).unwrap()
}

fn flag(uids: &str, flags: Flags) -> FlagChange {
    FlagChange {
        uids: set(uids),
        how: How::Add,
        flags,
        keywords: Vec::new(),
        unchanged_since: None,
    }
}

#[test]
fn an_account_begins_with_the_usual_mailboxes() {
    let mut store = Store::new();
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let view = store.run(mailboxes.account(&account)).unwrap();
    let names: Vec<&str> = view.mailboxes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);
    assert_eq!(view.find(&name("Sent")).unwrap().special_use, Some(SpecialUse::Sent));
    assert_eq!(view.find(&name("INBOX")).unwrap().id, MailboxId::INBOX);
    assert_eq!(view.subscriptions.len(), 6);
}

#[test]
fn a_letter_comes_with_its_marks_in_one_step() {
    let mut store = Store::new();
    let marks = Marks { flags: Flags::SEEN, keywords: vec![Keyword::new("$list").unwrap()] };
    let delivery = Delivery {
        journey: journey(1),
        body: Body::from(b"Subject: hi\r\n\r\nbody\r\n".to_vec()),
        recipients: vec![Recipient { marks, ..recipient("alice") }],
    };
    let mailboxes = store.mailboxes.clone();
    let results = store.run(mailboxes.deliver(delivery));
    assert!(results[0].is_ok());
    let disk = store.disk.clone();
    // What was logged for the letter holds them.
    drop((mailboxes, store));
    let mut store = Store::open(&disk).unwrap();
    let view = store.mailbox("INBOX").view();
    let letter = view.at(0).unwrap();
    assert!(letter.flags.contains(Flags::SEEN));
    assert_eq!(letter.modseq, view.highest_modseq());
    let names: Vec<&str> = view.keywords_of(&letter).map(|it| it.as_str()).collect();
    assert_eq!(names, ["$list"]);
}

#[test]
fn a_letter_is_delivered_read_and_kept() {
    let mut store = Store::new();
    let delivered = store.deliver(1, "Subject: hi\r\n\r\nbody\r\n").unwrap();
    assert_eq!((delivered.uid.get(), delivered.repeated), (1, false));
    let inbox = store.mailbox("INBOX");
    let whole = b"Return-Path: <bob@blue.test>\r\nSubject: hi\r\n\r\nbody\r\n";
    for laid_out in [false, true] {
        let view = inbox.view();
        let letter = view.at(0).unwrap();
        assert_eq!(letter.size as usize, whole.len());
        let content = inbox.content(&letter).unwrap();
        assert_eq!(&content.read_all().unwrap()[..], whole, "laid out: {laid_out}");
        assert_eq!(&content.read(8, 4).unwrap()[..], &whole[8..12]);
        assert_eq!(content.read(1000, 4).unwrap().len(), 0);
        store.settle();
    }
    let again = store.deliver(1, "Subject: hi\r\n\r\nbody\r\n").unwrap();
    assert_eq!((again.uid, again.repeated), (delivered.uid, true));
    drop(inbox);
    let disk = store.disk.clone();
    drop(store);
    let mut store = Store::open(&disk).unwrap();
    assert_eq!(store.mailbox("INBOX").view().len(), 1);
    let again = store.deliver(1, "Subject: hi\r\n\r\nbody\r\n").unwrap();
    assert_eq!((again.uid, again.repeated), (delivered.uid, true), "after a restart, too");
}

#[test]
fn recipients_share_the_letter_and_have_outcomes_of_their_own() {
    let mut store = Store::new();
    let mailboxes = store.mailboxes.clone();
    let mut full = recipient("carol");
    full.quota = Quota { bytes: Some(10), letters: None };
    let mut elsewhere = recipient("dave");
    elsewhere.mailbox = name("Junk");
    let mut nowhere = recipient("erin");
    nowhere.mailbox = name("tag");
    let recipients = vec![recipient("alice"), full, elsewhere, nowhere];
    let delivery = Delivery { journey: journey(1), body: Body::from(vec![b'x'; 100]), recipients };
    let results = store.run(mailboxes.deliver(delivery));
    assert_eq!(results[0].as_ref().unwrap().mailbox, MailboxId::INBOX);
    assert_eq!(results[1], Err(Error::OverQuota));
    assert_ne!(results[2].as_ref().unwrap().mailbox, MailboxId::INBOX);
    assert_eq!(results[3].as_ref().unwrap().mailbox, MailboxId::INBOX, "no such mailbox: INBOX");
    let carol = AccountId::new("red.test", "carol").unwrap();
    let usage = store.run(mailboxes.account(&carol)).unwrap().usage;
    assert_eq!((usage.bytes, usage.letters), (0, 0));
    let dave = AccountId::new("red.test", "dave").unwrap();
    let usage = store.run(mailboxes.account(&dave)).unwrap().usage;
    assert_eq!((usage.bytes, usage.letters), (130, 1));
}

#[test]
fn flags_and_keywords_change_with_modseq() {
    let mut store = Store::new();
    for n in 1..=5 {
        store.deliver(n, "text").unwrap();
    }
    let inbox = store.mailbox("INBOX");
    let before = inbox.view();
    let mailboxes = store.mailboxes.clone();
    let change = FlagChange {
        keywords: vec![Keyword::new("$Forwarded").unwrap()],
        ..flag("2:3", Flags::SEEN)
    };
    let done = store.run(mailboxes.change_flags(&inbox, change.clone())).unwrap();
    let view = inbox.view();
    assert_eq!(done.modseq, Some(view.highest_modseq()));
    let changes = before.changes(&view);
    assert_eq!(changes.changed.iter().map(|l| l.uid.get()).collect::<Vec<_>>(), [2, 3]);
    assert!(changes.gone.is_empty() && changes.came.is_empty());
    assert_eq!(view.counts().unseen, 3);
    let letter = view.at(1).unwrap();
    let keywords: Vec<&str> = view.keywords_of(&letter).map(|k| k.as_str()).collect();
    assert_eq!(keywords, ["$Forwarded"]);

    let again = store.run(mailboxes.change_flags(&inbox, change)).unwrap();
    assert_eq!(again.modseq, None, "nothing changed, so no number was used");
    let since = FlagChange {
        unchanged_since: Some(before.highest_modseq()),
        ..flag("1:3", Flags::FLAGGED)
    };
    let done = store.run(mailboxes.change_flags(&inbox, since)).unwrap();
    assert_eq!(done.modified, set("2:3"));
    assert_eq!(inbox.view().at(0).unwrap().flags, Flags::FLAGGED);
    store.settle();
    let cur = format!("{}/red.test/alice/cur", crate::support::ROOT);
    let names = disk::Disk::read_dir(&store.disk, cur.as_ref()).unwrap();
    let mut shown: Vec<String> = names
        .into_iter()
        .map(|e| e.name.to_str().unwrap().split(":2,").nth(1).unwrap().to_owned())
        .collect();
    shown.sort();
    assert_eq!(shown, ["F", "S", "S"], "the names show the flags");
    let content = inbox.content(&inbox.view().at(0).unwrap()).unwrap();
    assert!(content.read_all().unwrap().ends_with(b"text"));
}

#[test]
fn copies_moves_and_expunges() {
    let mut store = Store::new();
    for n in 1..=3 {
        store.deliver(n, &format!("letter {n}")).unwrap();
    }
    let (inbox, trash) = (store.mailbox("INBOX"), store.mailbox("Trash"));
    let mailboxes = store.mailboxes.clone();
    store.run(mailboxes.change_flags(&inbox, flag("1", Flags::SEEN))).unwrap();
    let placed =
        store.run(mailboxes.copy(&inbox, set("1:2,9"), trash.id(), Quota::default())).unwrap();
    assert_eq!(placed.from.iter().map(|uid| uid.get()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(placed.uid_validity, trash.view().uid_validity());
    assert_eq!(trash.view().at(0).unwrap().flags, Flags::SEEN);
    let placed = store.run(mailboxes.move_letters(&inbox, set("3"), trash.id())).unwrap();
    assert_eq!(placed.uids[0].get(), 3);
    assert_eq!(inbox.view().len(), 2);
    for laid_out in [false, true] {
        for n in 1..=3u32 {
            let letter = trash.view().at(n as usize - 1).unwrap();
            let bytes = trash.content(&letter).unwrap().read_all().unwrap();
            assert!(bytes.ends_with(format!("letter {n}").as_bytes()), "laid out: {laid_out}");
        }
        store.settle();
    }
    store.run(mailboxes.change_flags(&inbox, flag("1:2", Flags::DELETED))).unwrap();
    let gone = store.run(mailboxes.expunge(&inbox, set("2:9"))).unwrap();
    assert_eq!(gone, set("2"));
    let usage = store.run(mailboxes.account(&store.account())).unwrap().usage;
    assert_eq!(usage.letters, 4);
    store.settle();
    store.settle();
    let next = store.deliver(9, "next").unwrap();
    assert_eq!(next.uid.get(), 4, "a UID is never used twice");
    let files = |folder: &str| {
        let path = format!("{}/red.test/alice/{folder}", crate::support::ROOT);
        disk::Disk::read_dir(&store.disk, path.as_ref()).unwrap().len()
    };
    assert_eq!(files("cur") + files("new"), 1, "expunged files go after the checkpoint");
}

#[test]
fn append_takes_flags_and_dates_and_large_letters() {
    let mut store = Store::new();
    let drafts = store.mailbox("Drafts");
    let mailboxes = store.mailboxes.clone();
    let large: Vec<u8> = (0..600_000u32).map(|n| (n % 251) as u8).collect();
    let date = protocol::time::Timestamp::from_seconds(1_000_000_000);
    let letters = vec![
        NewLetter { flags: Flags::DRAFT, date: Some(date), ..Body::from(large.clone()).into() },
        Body::from(b"small".to_vec()).into(),
    ];
    let placed = store.run(mailboxes.append(&drafts, letters, Quota::default())).unwrap();
    assert_eq!(placed.uids.len(), 2);
    let view = drafts.view();
    assert_eq!(view.at(0).unwrap().internal_date(), date);
    for _ in 0..2 {
        let content = drafts.content(&view.at(0).unwrap()).unwrap();
        assert_eq!(content.read_all().unwrap(), large);
        let content = drafts.content(&view.at(1).unwrap()).unwrap();
        assert_eq!(&content.read_all().unwrap()[..], b"small");
        store.settle();
    }
    let staged = format!("{}/.posthaste/staged", crate::support::ROOT);
    assert!(disk::Disk::read_dir(&store.disk, staged.as_ref()).unwrap().is_empty());
    let quota = Quota { bytes: Some(600_010), letters: None };
    let more = vec![Body::from(vec![b'x'; 10]).into()];
    assert_eq!(store.run(mailboxes.append(&drafts, more, quota)), Err(Error::OverQuota));
}

#[test]
fn mailboxes_are_made_renamed_and_deleted() {
    let mut store = Store::new();
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    store.deliver(1, "one").unwrap();
    for mailbox in ["a", "a/b", "a/b/c.d"] {
        store.run(mailboxes.create(&account, name(mailbox), None)).unwrap();
    }
    let again = store.run(mailboxes.create(&account, name("a"), None));
    assert_eq!(again, Err(Error::MailboxExists));
    let deep = store.mailbox("a/b/c.d");
    let inbox = store.mailbox("INBOX");
    store.run(mailboxes.copy(&inbox, set("1"), deep.id(), Quota::default())).unwrap();
    let below = store.run(mailboxes.rename(&account, name("a"), name("a/x")));
    assert_eq!(below, Err(Error::MailboxExists), "not below itself");
    store.run(mailboxes.rename(&account, name("a"), name("z"))).unwrap();
    let id = deep.id();
    assert_eq!(store.mailbox("z/b/c.d").id(), id, "the number stays");
    for _ in 0..2 {
        let content = deep.content(&deep.view().at(0).unwrap()).unwrap();
        assert!(content.read_all().unwrap().ends_with(b"one"));
        store.settle();
    }
    store.run(mailboxes.create(&account, name("above/below"), None)).unwrap();
    store.run(mailboxes.rename(&account, name("above"), name("over"))).unwrap();
    store.mailbox("over/below");
    let nothing = store.run(mailboxes.rename(&account, name("above"), name("under")));
    assert_eq!(nothing, Err(Error::NoSuchMailbox), "neither a mailbox nor above one");
    store.run(mailboxes.rename(&account, name("INBOX"), name("old"))).unwrap();
    assert_eq!(inbox.view().len(), 0);
    assert_eq!(store.mailbox("old").view().len(), 1);
    store.run(mailboxes.delete(&account, name("z/b/c.d"))).unwrap();
    assert!(deep.is_gone());
    assert_eq!(store.run(mailboxes.delete(&account, name("INBOX"))), Err(Error::Inbox));
    let validity = deep.view().uid_validity();
    store.run(mailboxes.create(&account, name("z/b/c.d"), None)).unwrap();
    assert!(store.mailbox("z/b/c.d").view().uid_validity() > validity);
    assert_ne!(store.mailbox("z/b/c.d").id(), id, "nor is a number used twice");
    store.settle();
    let view = store.run(mailboxes.account(&account)).unwrap();
    let disk = store.disk.clone();
    drop((store, deep, inbox));
    let mut store = Store::open(&disk).unwrap();
    let read = store.run(store.mailboxes.clone().account(&account)).unwrap();
    assert_eq!(read, view, "read back as it was");
}

#[test]
fn who_waits_for_a_change_is_woken() {
    let mut store = Store::new();
    let inbox = store.mailbox("INBOX");
    let view = inbox.view();
    let mut waiting = std::pin::pin!(inbox.changed(&view));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::future::Future::poll(waiting.as_mut(), &mut context).is_pending());
    store.deliver(1, "x").unwrap();
    assert!(std::future::Future::poll(waiting.as_mut(), &mut context).is_ready());
    assert_eq!(view.changes(&inbox.view()).came.len(), 1);
    let mailboxes = store.mailboxes.clone();
    assert_eq!(store.run(mailboxes.claim_recent(&inbox)).unwrap().get(), 1);
    assert_eq!(store.run(mailboxes.claim_recent(&inbox)).unwrap().get(), 2);
}

#[test]
fn the_index_can_be_deleted_at_any_stop() {
    let index = tempfile::tempdir().unwrap();
    let disk = disk::faulty::FaultyDisk::new();
    let text = "Subject: hi\r\nContent-Type: text/html\r\n\r\n<p>\r\n";
    let mut known = None;
    for round in 0..3 {
        let mut store = Store::open_with_index(&disk, Some(index.path())).unwrap();
        if round == 0 {
            store.deliver(1, text).unwrap();
        }
        let inbox = store.mailbox("INBOX");
        let letter = inbox.view().at(0).unwrap();
        let bytes = inbox.content(&letter).unwrap().read_all().unwrap();
        let found = message::scan::scan(&bytes);
        let mailboxes = store.mailboxes.clone();
        mailboxes.keep_structure(&inbox, &letter, &found);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let cached = loop {
            match mailboxes.structure(&inbox, &letter) {
                Some(cached) => break cached,
                None => assert!(std::time::Instant::now() < deadline, "never indexed"),
            }
            std::thread::yield_now();
        };
        assert_eq!(cached, found);
        let picture = crate::crash::picture(&mut store);
        assert_eq!(known.get_or_insert(picture.clone()), &picture, "round {round}");
        store.settle();
        mailboxes.close_index();
        drop((store, inbox, mailboxes));
        std::fs::remove_dir_all(index.path().join("red.test")).unwrap_or_default();
    }
}
