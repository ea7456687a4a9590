//! The directory on a disk whose power goes, or whose process dies, at every single operation, and
//! on one that fails each operation once: a change that was answered yes is there, whole; one that
//! was not has happened or not; and who makes it again and hears yes has it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use directory::{Account, AppPassword, ChangeError, Draft, PasswordVerifier, Quota, Store};
use disk::faulty::{Cut, FaultyDisk, Operation};
use disk::{Disk, ErrorKind};
use protocol::address::Address;

const FOLDER: &str = "/data/directory";

/// One change of a story, as the verbs of the command line make it.
type Deed = fn(&mut Draft) -> Result<(), ChangeError>;

/// Changes of every kind that concerns people, in an order in which each has a meaning.
const STORY: &[Deed] = &[
    |draft| draft.add_domain("red.test".parse().unwrap()),
    |draft| draft.add_account(account("alice@red.test"), password(0)),
    |draft| draft.add_account(account("bob@red.test"), password(1)),
    |draft| draft.set_password(&address("alice@red.test"), password(2)),
    |draft| draft.add_app_password(&address("alice@red.test"), app("phone")),
    |draft| draft.add_app_password(&address("alice@red.test"), app("tablet")),
    |draft| draft.remove_app_password(&address("alice@red.test"), "phone"),
    |draft| {
        let quota = Quota { bytes: Some(1000), ..Quota::default() };
        draft.set_quota(&address("alice@red.test"), quota)
    },
    |draft| draft.add_alias(&address("all@red.test"), &[address("alice@red.test")]),
    |draft| draft.set_password(&address("alice@red.test"), password(0)),
    |draft| draft.remove_account(&address("bob@red.test")).map(drop),
    |draft| draft.add_account(account("bob@red.test"), password(2)),
    |draft| draft.remove_alias(&address("all@red.test"), &[]),
];

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// Passwords that are made once: making one is slow on purpose.
fn passwords() -> &'static [PasswordVerifier; 3] {
    static MADE: OnceLock<[PasswordVerifier; 3]> = OnceLock::new();
    MADE.get_or_init(|| ["one", "two", "three"].map(|word| PasswordVerifier::new(word).unwrap()))
}

fn password(which: usize) -> PasswordVerifier {
    passwords()[which].clone()
}

fn app(name: &str) -> AppPassword {
    AppPassword { name: name.into(), services: vec!["imap".into()], password: password(1) }
}

fn account(text: &str) -> Account {
    Account {
        address: address(text),
        quota: Quota::default(),
        subaddressing: true,
        gateway_for: Vec::new(),
    }
}

fn store(disk: &FaultyDisk) -> Store {
    Store::new(Arc::new(disk.clone()), FOLDER)
}

/// A directory that is there, empty and durable.
fn founded() -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.make_dirs(Path::new("/data"), disk::Mode::PRIVATE_DIR).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    store(&disk).create().unwrap();
    disk.restart(Cut::LoseAll);
    disk
}

/// What agents see: who there is, and by which passwords who can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    directory: String,
    logins: String,
}

fn see(disk: &FaultyDisk) -> Seen {
    let snapshot = store(disk).snapshot().expect("the directory can be read");
    let mut people: Vec<_> = snapshot.accounts().map(|it| format!("{it:?}")).collect();
    people.extend(snapshot.aliases().map(|it| format!("{it:?}")));
    people.sort();
    let directory = format!("{:?} {people:?}", snapshot.domains());
    let verifiers = directory::Verifiers::load(disk, Path::new(FOLDER)).expect("as can verifiers");
    let which = |password: &PasswordVerifier| {
        passwords().iter().position(|known| known == password).expect("a password of the story")
    };
    let mut logins = String::new();
    for name in ["alice@red.test", "bob@red.test"] {
        let Some(verifier) = verifiers.get(&address(name)) else { continue };
        let apps: Vec<_> =
            verifier.app_passwords.iter().map(|app| (&app.name, which(&app.password))).collect();
        logins.push_str(&format!("{name} {} {apps:?}; ", which(&verifier.password)));
    }
    assert_eq!(verifiers.is_empty(), logins.is_empty());
    Seen { directory, logins }
}

/// What is seen after each change, from none on.
fn course() -> &'static [Seen] {
    static COURSE: OnceLock<Vec<Seen>> = OnceLock::new();
    COURSE.get_or_init(|| {
        let disk = founded();
        let mut course = vec![see(&disk)];
        for deed in STORY {
            store(&disk).change(deed).unwrap();
            course.push(see(&disk));
        }
        course
    })
}

/// Makes the changes from `from` on; how many were answered yes in all.
fn tell(disk: &FaultyDisk, from: usize) -> usize {
    let store = store(disk);
    let refused = STORY[from..].iter().position(|deed| store.change(deed).is_err());
    refused.map_or(STORY.len(), |more| from + more)
}

/// Every change that was answered is there; of the next one nothing, or everything, or the
/// verifiers alone, as docs/durability.md says.
fn check(disk: &FaultyDisk, done: usize, what: &str) {
    let (seen, course) = (see(disk), course());
    let before = &course[done];
    let after = course.get(done + 1).unwrap_or(before);
    let between = Seen { directory: before.directory.clone(), logins: after.logins.clone() };
    let right = [before, after, &between].contains(&&seen);
    assert!(right, "{what}: {done} changes were answered, and there is {seen:?}");
}

/// The change that had no answer is made again, then all that follow; yes means yes.
fn go_on(disk: &FaultyDisk, done: usize, what: &str) {
    let Some(deed) = STORY.get(done) else { return };
    match store(disk).change(deed) {
        // It had happened: its name is taken, or gone.
        Ok(_) | Err(ChangeError::Exists(_) | ChangeError::Missing(_) | ChangeError::Invalid(_)) => {
        }
        Err(error) => panic!("{what}: change {done} again: {error}"),
    }
    assert_eq!(see(disk), course()[done + 1], "{what}: change {done} was made again");
    assert_eq!(tell(disk, done + 1), STORY.len(), "{what}: what follows change {done}");
    disk.restart(Cut::LoseAll);
    assert_eq!(&see(disk), course().last().unwrap(), "{what}: at the end");
}

/// Operations that the whole story takes.
fn operations() -> u64 {
    let disk = founded();
    let before = disk.operations();
    assert_eq!(tell(&disk, 0), STORY.len());
    disk.operations() - before
}

#[test]
fn power_cut_at_every_operation() {
    for at in 0..operations() {
        let cuts = [Cut::LoseAll, Cut::KeepAll].into_iter().chain((0..3).map(Cut::Some));
        for cut in cuts {
            let what = format!("power gone before operation {at}, {cut:?}");
            let disk = founded();
            disk.cut_power_after(at);
            let done = tell(&disk, 0);
            disk.restart(cut);
            check(&disk, done, &what);
            go_on(&disk, done, &what);
        }
    }
}

#[test]
fn process_dies_at_every_operation_and_the_power_goes_later() {
    for at in 0..operations() {
        let what = format!("killed before operation {at}");
        let disk = founded();
        disk.cut_power_after(at);
        let done = tell(&disk, 0);
        disk.restart_process();
        check(&disk, done, &what);
        // Made again and answered yes, it must not rest on what the dead process left unsynced.
        let again = STORY.get(done).map(|deed| store(&disk).change(deed));
        let is_yes = matches!(again, Some(Ok(_)));
        disk.restart(Cut::LoseAll);
        check(&disk, done, &what);
        if is_yes {
            assert_eq!(see(&disk), course()[done + 1], "{what}: again, with yes");
            go_on(&disk, done + 1, &what);
        } else {
            go_on(&disk, done, &what);
        }
    }
}

#[test]
fn each_operation_fails_once() {
    for operation in [Operation::Create, Operation::Write, Operation::Name, Operation::Sync] {
        each_fails(operation, ErrorKind::Io);
    }
    each_fails(Operation::SyncDir, ErrorKind::Io);
    each_fails(Operation::Write, ErrorKind::Full);
}

fn each_fails(operation: Operation, kind: ErrorKind) {
    for successes in 0..operations() {
        let what = format!("{operation:?} fails with {kind:?} after {successes}");
        let disk = founded();
        disk.fail(operation, successes, kind);
        let done = tell(&disk, 0);
        if done == STORY.len() {
            return;
        }
        check(&disk, done, &what);
        let again = store(&disk).change(STORY[done]);
        disk.restart(Cut::LoseAll);
        check(&disk, done, &what);
        let from = if again.is_ok() { done + 1 } else { done };
        assert!(again.is_err() || see(&disk) == course()[from], "{what}: again, with yes");
        go_on(&disk, from, &what);
    }
}

#[test]
fn its_folder_is_made_to_last() {
    // Made, answered yes, power gone: at any point of a first attempt that was killed.
    for at in 0..20 {
        let disk = FaultyDisk::new();
        disk.make_dirs(Path::new("/data"), disk::Mode::PRIVATE_DIR).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.cut_power_after(at);
        let first = store(&disk).create();
        disk.restart_process();
        store(&disk).create().unwrap();
        disk.restart(Cut::LoseAll);
        assert_eq!(see(&disk), course()[0], "killed before operation {at}");
        if first.is_ok() {
            return;
        }
    }
    panic!("it takes more operations than were looked at");
}
