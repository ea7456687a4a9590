//! Requests that name thousands of letters: more than one record of the log, and still one change.

use disk::faulty::FaultyDisk;
use mailbox::{FlagChange, Flags, How, Quota, Uid, UidSet};

use crate::support::Store;

/// More than one record of the log has room for.
const MANY: u32 = 5_000;

fn all() -> UidSet {
    UidSet::all()
}

#[test]
fn thousands_of_letters_are_copied_changed_and_moved_at_once() {
    let mut store = Store::open_with_log(&FaultyDisk::new(), 4 * 1024 * 1024).unwrap();
    for n in 1..=10 {
        store.deliver(n, "text").unwrap();
    }
    let (inbox, archive) = (store.mailbox("INBOX"), store.mailbox("Archive"));
    let mailboxes = store.mailboxes.clone();
    while inbox.view().len() < MANY as usize {
        let all = store.run(mailboxes.copy(&inbox, all(), inbox.id(), Quota::default())).unwrap();
        assert_eq!(all.from.len(), all.uids.len());
    }
    let letters = inbox.view().len();
    // No two neighbours, so that no range is longer than one.
    let every_other = (1..=u32::try_from(letters).unwrap()).step_by(2).filter_map(Uid::new);
    let change = FlagChange {
        uids: every_other.collect(),
        how: How::Add,
        flags: Flags::DELETED,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    assert!(store.run(mailboxes.change_flags(&inbox, change)).unwrap().modseq.is_some());
    assert_eq!(inbox.view().counts().deleted as usize, letters / 2);
    let moved = store.run(mailboxes.move_letters(&inbox, all(), archive.id())).unwrap();
    assert_eq!(moved.uids.len(), letters);
    assert!(inbox.view().is_empty());
    assert_eq!(archive.view().len(), letters);
    let gone = store.run(mailboxes.expunge(&archive, all())).unwrap();
    assert_eq!(gone.len() as usize, letters / 2);
}
