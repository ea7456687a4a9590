//! The index is used, outlives a restart, and is thrown away without harm when it is damaged.

use std::time::{Duration, Instant};

use super::*;

fn account() -> AccountId {
    AccountId::new("red.test", "alice").unwrap()
}

fn shelf(root: &std::path::Path) -> Arc<Inner> {
    Shelf::new(Some(root.to_path_buf()), Heads::new(None)).inner.unwrap()
}

/// Waits until the thread of the shelf has done what it was asked.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "the index thread does not answer");
        std::thread::yield_now();
    }
}

#[test]
fn what_was_put_is_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let inner = shelf(dir.path());
        inner.work.send(Work::Put(account(), b"key".to_vec(), vec![round])).unwrap();
        let index = eventually(|| inner.used(&account()));
        let found = eventually(|| index.get(b"key").unwrap().filter(|v| *v == [round]));
        assert_eq!(found, [round]);
        inner.work.send(Work::Close).unwrap();
        eventually(|| inner.used(&account()).is_none().then_some(()));
    }
}

#[test]
fn a_damaged_index_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    {
        let index = SledIndex::open(&dir.path().join("a")).unwrap();
        for n in 0u32..2000 {
            index.put(&n.to_be_bytes(), &[7; 100]).unwrap();
        }
        index.flush().unwrap();
    }
    let mut damaged = 0;
    for entry in std::fs::read_dir(dir.path().join("a")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let length = std::fs::metadata(&path).unwrap().len();
            std::fs::write(&path, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    let broken = match SledIndex::open(&dir.path().join("a")) {
        Err(broken) => broken,
        Ok(index) => match index.get(&1u32.to_be_bytes()) {
            Err(broken) => broken,
            Ok(found) => {
                assert_eq!(found, None, "nothing false is told");
                return;
            }
        },
    };
    discard(&dir.path().join("a"), &broken);
    let fresh = SledIndex::open(&dir.path().join("a")).unwrap();
    assert_eq!(fresh.get(&1u32.to_be_bytes()).unwrap(), None);
    assert!(!dir.path().join("a.opening").exists());
}

#[test]
fn an_index_that_took_the_process_down_is_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a");
    SledIndex::open(&folder).unwrap().put(b"key", b"value").unwrap();
    std::fs::write(dir.path().join("a.opening"), b"").unwrap();
    let index = SledIndex::open(&folder).unwrap();
    assert_eq!(index.get(b"key").unwrap(), None);
}

#[test]
fn few_are_open_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let inner = shelf(dir.path());
    for n in 0..INDEXES_OPEN + 3 {
        let account = AccountId::new("red.test", &format!("user{n}")).unwrap();
        assert!(inner.opened(&account, n as u64).is_some());
    }
    assert_eq!(inner.open().len(), INDEXES_OPEN);
}
