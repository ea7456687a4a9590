//! The power goes at every single operation of a change of the directory: what was answered yes
//! stays, what was not has happened whole or not at all, and the old password does not come back.

use std::sync::Arc;

use directory::{Account, ChangeError, PasswordVerifier, Quota, Store, Verifiers};
use disk::faulty::{Cut, FaultyDisk};
use protocol::address::Address;

const FOLDER: &str = "/data/directory";

fn alice() -> Address {
    "alice@red.test".parse().unwrap()
}

fn store(disk: &FaultyDisk) -> Store {
    Store::new(Arc::new(disk.clone()), FOLDER)
}

/// One account with this password, on a disk that has forgotten nothing of it.
fn begin(password: &PasswordVerifier) -> FaultyDisk {
    let disk = FaultyDisk::new();
    let store = store(&disk);
    disk::Disk::make_dirs(&disk, FOLDER.as_ref(), disk::Mode::GROUP_DIR).unwrap();
    store.create().unwrap();
    let made = store.change(|draft| {
        draft.add_domain("red.test".parse().unwrap())?;
        let quota = Quota::default();
        let account =
            Account { address: alice(), quota, subaddressing: true, gateway_for: Vec::new() };
        draft.add_account(account, password.clone())
    });
    made.unwrap();
    disk.restart(Cut::KeepAll);
    disk
}

fn change(disk: &FaultyDisk, to: &PasswordVerifier) -> Result<(), ChangeError> {
    store(disk).change(|draft| draft.set_password(&alice(), to.clone())).map(drop)
}

fn password(disk: &FaultyDisk) -> PasswordVerifier {
    let verifiers = Verifiers::load(disk, FOLDER.as_ref()).unwrap();
    verifiers.get(&alice()).expect("the account is there").password.clone()
}

#[test]
fn a_changed_password_survives_the_power_and_the_old_one_does_not_come_back() {
    let [old, new] = ["sesame", "open"].map(|word| PasswordVerifier::new(word).unwrap());
    let steps = {
        let disk = begin(&old);
        let before = disk.operations();
        change(&disk, &new).unwrap();
        disk.operations() - before
    };
    assert!(steps >= 3, "written, named, synced");
    for step in 0..=steps {
        for cut in [Cut::LoseAll, Cut::KeepAll, Cut::Some(step), Cut::Some(step + 1000)] {
            let disk = begin(&old);
            disk.cut_power_after(step);
            let changed = change(&disk, &new);
            disk.restart(cut);
            store(&disk).snapshot().unwrap();
            let is = password(&disk);
            assert!(is == new || (changed.is_err() && is == old), "step {step}, {cut:?}");
            // A second time, and it stays.
            change(&disk, &new).unwrap();
            disk.restart(Cut::LoseAll);
            assert!(password(&disk) == new, "step {step}, {cut:?}");
        }
    }
}
