//! Random days against a model simple enough to be right by looking at it.

use std::collections::BTreeMap;

use disk::Body;
use disk::faulty::{Cut, FaultyDisk};
use mailbox::{FlagChange, Flags, How, NewLetter, Quota, UidSet};
use proptest::prelude::*;

use crate::crash::picture;
use crate::support::{Store, name};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Deed {
    Append(usize, u8),
    Flags(usize, u32, u32, u8, u8),
    Expunge(usize),
    Copy(usize, usize, u32, u32),
    Move(usize, usize, u32, u32),
    Rename(usize, usize),
    Settle,
    Restart(u64),
}

/// UIDNEXT and the letters by UID: flags and content.
type Model = BTreeMap<String, (u32, BTreeMap<u32, (u8, Vec<u8>)>)>;

const NAMES: [&str; 4] = ["INBOX", "Sent", "a/b", "c"];

fn deed() -> impl Strategy<Value = Deed> {
    let place = || 0..NAMES.len();
    let uid = || 1u32..8;
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, n)| Deed::Append(at, n)),
        4 => (place(), uid(), uid(), 0u8..3, 0u8..32)
            .prop_map(|(at, from, to, how, flags)| Deed::Flags(at, from, to, how, flags)),
        2 => place().prop_map(Deed::Expunge),
        2 => (place(), place(), uid(), uid()).prop_map(|(a, b, i, j)| Deed::Copy(a, b, i, j)),
        2 => (place(), place(), uid(), uid()).prop_map(|(a, b, i, j)| Deed::Move(a, b, i, j)),
        1 => (2..NAMES.len(), 2..NAMES.len()).prop_map(|(a, b)| Deed::Rename(a, b)),
        1 => Just(Deed::Settle),
        1 => any::<u64>().prop_map(Deed::Restart),
    ]
}

fn range(from: u32, to: u32) -> UidSet {
    UidSet::parse(&format!("{from}:{to}")).unwrap()
}

fn flags(bits: u8) -> Flags {
    Flags::from_bits(bits).unwrap()
}

fn begin(store: &mut Store) -> Model {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    let mut model: Model = BTreeMap::new();
    for mailbox in &NAMES[2..] {
        store.run(mailboxes.create(&account, name(mailbox), None)).unwrap();
    }
    for listed in store.run(mailboxes.account(&account)).unwrap().mailboxes.iter() {
        model.insert(listed.name.to_string(), (1, BTreeMap::new()));
    }
    model
}

/// Does it in the store and in the model.
fn happen(store: &mut Store, model: &mut Model, deed: &Deed) {
    let (mailboxes, account) = (store.mailboxes.clone(), store.account());
    match *deed {
        Deed::Append(at, n) if model.contains_key(NAMES[at]) => {
            let mailbox = store.mailbox(NAMES[at]);
            let text = vec![n; usize::from(n)];
            let letter = NewLetter::from(Body::from(text.clone()));
            store.run(mailboxes.append(&mailbox, vec![letter], Quota::default())).unwrap();
            let (next, letters) = model.get_mut(NAMES[at]).unwrap();
            letters.insert(*next, (0, text));
            *next += 1;
        }
        Deed::Flags(at, from, to, how, bits) if model.contains_key(NAMES[at]) => {
            let mailbox = store.mailbox(NAMES[at]);
            let how = [How::Replace, How::Add, How::Remove][usize::from(how)];
            let change = FlagChange {
                uids: range(from, to),
                how,
                flags: flags(bits),
                keywords: Vec::new(),
                unchanged_since: None,
            };
            store.run(mailboxes.change_flags(&mailbox, change)).unwrap();
            let (_, letters) = model.get_mut(NAMES[at]).unwrap();
            for (old, _) in letters.range_mut(from.min(to)..=from.max(to)).map(|(_, l)| l) {
                *old = match how {
                    How::Replace => bits,
                    How::Add => *old | bits,
                    How::Remove => *old & !bits,
                };
            }
        }
        Deed::Expunge(at) if model.contains_key(NAMES[at]) => {
            let mailbox = store.mailbox(NAMES[at]);
            store.run(mailboxes.expunge(&mailbox, UidSet::all())).unwrap();
            let (_, letters) = model.get_mut(NAMES[at]).unwrap();
            letters.retain(|_, (bits, _)| !flags(*bits).contains(Flags::DELETED));
        }
        Deed::Copy(a, b, i, j) | Deed::Move(a, b, i, j)
            if model.contains_key(NAMES[a]) && model.contains_key(NAMES[b]) =>
        {
            let (from, to) = (store.mailbox(NAMES[a]), store.mailbox(NAMES[b]).id());
            let copies: Vec<(u32, (u8, Vec<u8>))> = model[NAMES[a]]
                .1
                .range(i.min(j)..=i.max(j))
                .map(|(&uid, letter)| (uid, letter.clone()))
                .collect();
            let moves = matches!(deed, Deed::Move(..));
            if moves {
                store.run(mailboxes.move_letters(&from, range(i, j), to)).unwrap();
            } else {
                store.run(mailboxes.copy(&from, range(i, j), to, Quota::default())).unwrap();
            }
            for (uid, letter) in copies {
                let (next, letters) = model.get_mut(NAMES[b]).unwrap();
                letters.insert(*next, letter);
                *next += 1;
                if moves {
                    model.get_mut(NAMES[a]).unwrap().1.remove(&uid);
                }
            }
        }
        Deed::Rename(a, b) => {
            let done = store.run(mailboxes.rename(&account, name(NAMES[a]), name(NAMES[b])));
            let can = model.contains_key(NAMES[a]) && !model.contains_key(NAMES[b]);
            assert_eq!(done.is_ok(), can, "{deed:?}");
            if can {
                let mailbox = model.remove(NAMES[a]).unwrap();
                model.insert(NAMES[b].to_owned(), mailbox);
            }
        }
        Deed::Settle => store.settle(),
        Deed::Restart(seed) => {
            let disk = store.disk.clone();
            let cut = [Cut::LoseAll, Cut::KeepAll, Cut::Some(seed)][(seed % 3) as usize];
            disk.restart(cut);
            *store = Store::open(&disk).unwrap();
        }
        _ => {}
    }
}

fn compare(store: &mut Store, model: &Model) {
    let seen: Model = picture(store)
        .into_iter()
        .map(|(name, (_, next, _, letters))| {
            let letters = letters
                .into_iter()
                .map(|(uid, shown, _, content)| {
                    let letters = shown.trim_start_matches("Flags(").split(')').next().unwrap();
                    (uid, (Flags::from_maildir(letters).bits(), content))
                })
                .collect();
            (name, (next, letters))
        })
        .collect();
    assert_eq!(&seen, model);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_store_does_what_the_model_does(deeds in proptest::collection::vec(deed(), 1..40)) {
        let mut store = Store::open(&FaultyDisk::new()).unwrap();
        let mut model = begin(&mut store);
        let mut highest: BTreeMap<String, u64> = BTreeMap::new();
        for deed in &deeds {
            happen(&mut store, &mut model, deed);
            if matches!(deed, Deed::Restart(_)) {
                compare(&mut store, &model);
            }
            if matches!(deed, Deed::Rename(..)) {
                highest.clear();
            }
            for (name, (_, _, modseq, _)) in picture(&mut store) {
                let before = highest.insert(name.clone(), modseq);
                prop_assert!(before.is_none_or(|b| b <= modseq), "MODSEQ of {} went back", name);
            }
        }
        compare(&mut store, &model);
        store.settle();
        compare(&mut store, &model);
    }
}
