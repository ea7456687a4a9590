//! Crash tests of the intake log and the batch loop: a small store on a faulty disk, the power cut
//! at every operation of a scripted run, every sync failing once, the disk full. What was
//! acknowledged is there afterwards; what was removed does not come back.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use disk::faulty::{Cut, Operation};
use disk::{
    Access, Appender, CommitOptions, Disk, Error, ErrorKind, FaultyDisk, GroupCommit, LaidOut,
    LogOptions, Mode, Record, Recovery, Result, Stage, Step, Store, Submitter,
};

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const FILES: &str = "/store/files";

/// Words with contents, one file each.
#[derive(Debug)]
struct Words {
    disk: Arc<dyn Disk>,
    words: BTreeMap<String, Vec<u8>>,
    changed: VecDeque<String>,
}

#[derive(Debug, Clone)]
enum Ask {
    Put(String, Vec<u8>),
    Remove(String),
    /// Published before it is durable.
    PutLazily(String, Vec<u8>),
    Refuse,
}

impl Words {
    fn new(disk: &FaultyDisk) -> Result<Self> {
        disk.make_dirs(Path::new(FILES), Mode::PRIVATE_DIR)?;
        let mut words = BTreeMap::new();
        for entry in disk.read_dir(Path::new(FILES))? {
            let path = Path::new(FILES).join(&entry.name);
            let contents = disk::read_whole(disk, &path, 1 << 20)?;
            words.insert(entry.name.to_string_lossy().into_owned(), contents);
        }
        Ok(Words { disk: Arc::new(disk.clone()), words, changed: VecDeque::new() })
    }

    fn apply(&mut self, kind: u8, name: String, contents: Vec<u8>) {
        match kind {
            PUT => self.words.insert(name.clone(), contents),
            _ => self.words.remove(&name),
        };
        self.changed.push_back(name);
    }
}

impl Store for Words {
    type Request = Ask;
    type Staged = (u8, String, Vec<u8>);
    type Answer = String;

    fn replay(&mut self, record: &Record<'_>) -> Result<()> {
        let (length, rest) = record.payload.split_first().expect("a length");
        let (name, contents) = rest.split_at(usize::from(*length));
        let name = String::from_utf8(name.to_vec()).expect("a word");
        self.apply(record.kind, name, contents.to_vec());
        Ok(())
    }

    fn stage(&mut self, request: Ask, log: &mut Appender<'_>) -> Result<Stage<Self>> {
        let lazy = matches!(request, Ask::PutLazily(..));
        let (kind, name, contents) = match request {
            Ask::Put(name, contents) | Ask::PutLazily(name, contents) => (PUT, name, contents),
            Ask::Remove(name) => (REMOVE, name, Vec::new()),
            Ask::Refuse => {
                log.append(PUT, &[&[1], b"x"])?;
                return Err(Error::new(ErrorKind::Busy, "put", "refused after an append"));
            }
        };
        log.append(kind, &[&[name.len() as u8], name.as_bytes(), &contents])?;
        let staged = (kind, name, contents);
        Ok(if lazy { Stage::Lazy(staged) } else { Stage::Durable(staged) })
    }

    fn publish(&mut self, (kind, name, contents): Self::Staged) -> String {
        self.apply(kind, name.clone(), contents);
        name
    }

    fn abandon(&mut self, _staged: Self::Staged) {}

    fn lay_out(&mut self, items: usize) -> Result<LaidOut> {
        for _ in 0..items {
            let Some(name) = self.changed.front() else {
                return Ok(LaidOut::All);
            };
            let path = Path::new(FILES).join(name);
            match self.words.get(name) {
                Some(contents) => {
                    let file = self.disk.open(&path, Access::Create(Mode::PRIVATE))?;
                    file.write_at(0, contents)?;
                    file.set_length(contents.len() as u64)?;
                }
                None => match self.disk.unlink(&path) {
                    Err(error) if !error.is_missing() => return Err(error),
                    _ => {}
                },
            }
            self.changed.pop_front();
        }
        Ok(if self.changed.is_empty() { LaidOut::All } else { LaidOut::More })
    }

    fn checkpointed(&mut self) {}
}

type Opened = (GroupCommit<Words>, Submitter<Ask, String>, Recovery);

fn open(disk: &FaultyDisk) -> Result<Opened> {
    let mut options = CommitOptions::new("/store/log");
    options.log = LogOptions { segment: 512 * 1024, segments: 2, salt: Some(7) };
    GroupCommit::open(Arc::new(disk.clone()), options, Words::new(disk)?)
}

/// What the run has been told, and so must find again.
#[derive(Debug, Default)]
struct Told {
    there: BTreeMap<String, Vec<u8>>,
    /// Asked for, not answered with yes: may be there or not.
    unsure: Vec<String>,
}

/// Puts and removes words in batches until done or the disk fails; with times that let
/// checkpoints happen in the middle.
fn script(disk: &FaultyDisk, told: &mut Told, rounds: usize) -> Result<()> {
    let (mut commit, submitter, _) = open(disk)?;
    let mut now = Duration::ZERO;
    for round in 0..rounds {
        let mut tickets = Vec::new();
        for which in 0..3 {
            let name = format!("word-{round}-{which}");
            let contents = vec![b'a' + which; 700 + 40_000 * usize::from(which)];
            let ticket = submitter.submit(Ask::Put(name.clone(), contents.clone()));
            tickets.push((name, Some(contents), ticket));
        }
        let refused = submitter.submit(Ask::Refuse);
        if round > 0 {
            let name = format!("word-{}-0", round - 1);
            tickets.push((name.clone(), None, submitter.submit(Ask::Remove(name))));
        }
        told.unsure.extend(tickets.iter().map(|(name, ..)| name.clone()));
        while commit.step(now) == Step::Worked {}
        assert!(refused.wait().is_err());
        for (name, contents, ticket) in tickets {
            ticket.wait()?;
            told.unsure.retain(|unsure| *unsure != name);
            match contents {
                Some(contents) => told.there.insert(name, contents),
                None => told.there.remove(&name),
            };
        }
        now += Duration::from_millis(700);
        for _ in 0..(round % 4) {
            if commit.step(now) != Step::Worked {
                now += Duration::from_millis(600);
            }
        }
    }
    submitter.close();
    while commit.step(now) == Step::Worked {}
    commit.trouble().map_or(Ok(()), |trouble| Err(trouble.clone()))
}

/// After a restart everything told is there, in memory and (open lays out) in files.
fn check(disk: &FaultyDisk, told: &Told, how: &str) {
    let (commit, _submitter, recovery) = open(disk).unwrap_or_else(|e| panic!("{how}: {e}"));
    assert_eq!(recovery.lost, 0, "{how}: {recovery:?}");
    let found = &commit.store().words;
    for (name, contents) in &told.there {
        if !told.unsure.contains(name) {
            assert_eq!(found.get(name), Some(contents), "{how}: {name} is not as it was told");
        }
    }
    for name in found.keys() {
        let known = told.there.contains_key(name) || told.unsure.contains(name);
        assert!(known, "{how}: {name} came back");
    }
    let files = Words::new(disk).unwrap().words;
    assert_eq!(&files, found, "{how}: files and memory differ");
}

#[test]
fn power_cut_at_every_operation() {
    let whole = FaultyDisk::new();
    script(&whole, &mut Told::default(), 9).unwrap();
    let operations = whole.operations();
    assert!(operations > 80, "the script does little: {operations}");
    for at in 0..operations {
        for cut in [Cut::LoseAll, Cut::KeepAll, Cut::Some(at), Cut::Some(at + 7_919)] {
            let disk = FaultyDisk::new();
            disk.cut_power_after(at);
            let mut told = Told::default();
            let run = script(&disk, &mut told, 9);
            assert!(run.is_err() || at == operations, "cut at {at} unnoticed");
            disk.restart(cut);
            check(&disk, &told, &format!("cut at {at}, {cut:?}"));
            // And once more, cut while recovering, then a further life on top.
            disk.restart(Cut::LoseAll);
            check(&disk, &told, &format!("cut at {at}, {cut:?}, again"));
        }
    }
}

#[test]
fn power_cut_while_recovering() {
    for at in 0..40 {
        let disk = FaultyDisk::new();
        disk.cut_power_after(75);
        let mut told = Told::default();
        assert!(script(&disk, &mut told, 9).is_err());
        disk.restart(Cut::Some(at));
        disk.cut_power_after(at);
        let recovered = open(&disk).is_ok();
        disk.restart(Cut::Some(at + 1));
        check(&disk, &told, &format!("recovery cut at {at} (whole: {recovered})"));
    }
}

#[test]
fn a_failed_sync_is_never_called_a_success() {
    for nth in 0..12 {
        let disk = FaultyDisk::new();
        let (mut commit, submitter, _) = open(&disk).unwrap();
        let mut told = Told::default();
        disk.fail(Operation::Sync, nth, ErrorKind::Io);
        let mut refused = 0;
        for round in 0..12 {
            let name = format!("word-{round}");
            let ticket = submitter.submit(Ask::Put(name.clone(), vec![b'z'; 3000]));
            commit.step(Duration::from_millis(round));
            match ticket.wait() {
                Ok(_) => drop(told.there.insert(name, vec![b'z'; 3000])),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Io);
                    told.unsure.push(name);
                    refused += 1;
                }
            }
        }
        assert_eq!(refused, 1, "exactly the batch whose sync failed is refused");
        assert!(commit.trouble().is_none(), "a new log was begun");
        assert!(told.unsure.iter().all(|name| !commit.store().words.contains_key(name)));
        drop((commit, submitter));
        disk.restart(Cut::LoseAll);
        check(&disk, &told, &format!("sync {nth} failed"));
        let aside = disk.files().keys().filter(|p| p.to_string_lossy().contains("failed-")).count();
        assert_eq!(aside, 2, "the old segments were moved aside");
    }
}

#[test]
fn a_failed_sync_of_the_file_system_stops_the_store() {
    let disk = FaultyDisk::new();
    let (mut commit, submitter, _) = open(&disk).unwrap();
    let mut told = Told::default();
    let ticket = submitter.submit(Ask::Put("word".into(), vec![1; 100]));
    commit.step(Duration::ZERO);
    ticket.wait().unwrap();
    told.there.insert("word".into(), vec![1; 100]);
    disk.fail(Operation::SyncFilesystem, 0, ErrorKind::Io);
    let later = Duration::from_secs(5);
    while commit.step(later) == Step::Worked {}
    assert_eq!(commit.step(later), Step::Failed);
    let ticket = submitter.submit(Ask::Put("late".into(), vec![2; 100]));
    commit.step(later);
    assert_eq!(ticket.wait().unwrap_err().kind(), ErrorKind::Poisoned);
    drop((commit, submitter));
    disk.restart(Cut::LoseAll);
    check(&disk, &told, "after a failed syncfs");
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = FaultyDisk::new();
    let (mut commit, submitter, _) = open(&disk).unwrap();
    let mut told = Told::default();
    disk.set_capacity(Some(1_200_000));
    let mut now = Duration::ZERO;
    let mut full = 0;
    for round in 0..60 {
        let name = format!("word-{round}");
        let ticket = submitter.submit(Ask::Put(name.clone(), vec![3; 30_000]));
        commit.step(now);
        commit.step(now);
        now += Duration::from_millis(100);
        match ticket.wait() {
            Ok(_) => drop(told.there.insert(name, vec![3; 30_000])),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                full += 1;
            }
        }
    }
    assert!(full > 0, "the disk was never full");
    assert!(told.there.len() > 5, "the log takes letters although files cannot be written");
    disk.set_capacity(None);
    now += Duration::from_secs(5);
    let ticket = submitter.submit(Ask::Put("after".into(), vec![4; 10]));
    commit.step(now);
    commit.step(now);
    ticket.wait().unwrap();
    told.there.insert("after".into(), vec![4; 10]);
    drop((commit, submitter));
    disk.restart(Cut::LoseAll);
    check(&disk, &told, "after a full disk");
}

#[test]
fn who_wants_everything_laid_out_is_told_each_time_that_the_disk_is_full() {
    let disk = FaultyDisk::new();
    let (mut commit, submitter, _) = open(&disk).unwrap();
    let ticket = submitter.submit(Ask::Put("word".into(), vec![3; 30_000]));
    commit.step(Duration::ZERO);
    ticket.wait().unwrap();
    disk.set_capacity(Some(disk.used()));
    let mut now = Duration::ZERO;
    for _ in 0..3 {
        // The second one comes while the lay-out is to be tried again later.
        let settled = submitter.settle();
        now += Duration::from_millis(1500);
        while commit.step(now) == Step::Worked {}
        assert_eq!(settled.wait().unwrap_err().kind(), ErrorKind::Full);
    }
    disk.set_capacity(None);
    let settled = submitter.settle();
    now += Duration::from_millis(1500);
    while commit.step(now) == Step::Worked {}
    settled.wait().unwrap();
}

#[test]
fn damage_that_was_acknowledged_is_told_from_a_torn_batch() {
    let disk = FaultyDisk::new();
    let (mut commit, submitter, _) = open(&disk).unwrap();
    for round in 0..5 {
        let ticket = submitter.submit(Ask::Put(format!("word-{round}"), vec![5; 1000]));
        commit.step(Duration::ZERO);
        ticket.wait().unwrap();
    }
    drop((commit, submitter));
    disk.restart(Cut::LoseAll);
    let segment = Path::new("/store/log/segment-0-0");
    let bytes = disk.files()[segment].clone();
    let third = bytes.windows(6).position(|w| w == b"word-2").expect("the record is there");
    let file = disk.open(segment, Access::ReadWrite).unwrap();
    file.write_at(third as u64 + 20, b"rot").unwrap();
    file.sync().unwrap();

    let (commit, _submitter, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.replayed, recovery.lost), (2, 2), "{recovery:?}");
    assert_eq!(commit.store().words.len(), 2);
    let kept = disk.files().keys().any(|p| p.ends_with("damaged-segment-0-0"));
    assert!(kept, "the damaged segment is kept for a person to look at");
    drop(commit);
    disk.restart(Cut::LoseAll);
    let (commit, _submitter, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.lost, commit.store().words.len()), (0, 2), "told once");
}

#[test]
fn lazy_changes_are_answered_at_once_and_durable_soon() {
    let disk = FaultyDisk::new();
    let (mut commit, submitter, _) = open(&disk).unwrap();
    let before = disk.operations();
    let ticket = submitter.submit(Ask::PutLazily("word".into(), vec![6; 10]));
    assert_eq!(commit.step(Duration::ZERO), Step::Worked);
    ticket.wait().unwrap();
    assert_eq!(disk.operations(), before, "nothing was written yet");
    let Step::Idle(wait) = commit.step(Duration::ZERO) else { panic!("it waits to commit") };
    assert!(wait <= Duration::from_millis(20));
    commit.step(wait);
    drop((commit, submitter));
    disk.restart(Cut::LoseAll);
    let (commit, ..) = open(&disk).unwrap();
    assert!(commit.store().words.contains_key("word"));
}

#[test]
fn closing_leaves_an_empty_log() {
    let disk = FaultyDisk::new();
    script(&disk, &mut Told::default(), 5).unwrap();
    disk.restart(Cut::LoseAll);
    let (_, _, recovery) = open(&disk).unwrap();
    assert_eq!(recovery, Recovery::default());
}

#[test]
fn another_segment_size_keeps_what_is_in_the_log() {
    let disk = FaultyDisk::new();
    let (mut commit, submitter, _) = open(&disk).unwrap();
    let ticket = submitter.submit(Ask::Put("word".into(), vec![8; 10]));
    commit.step(Duration::ZERO);
    ticket.wait().unwrap();
    drop((commit, submitter));
    disk.restart(Cut::LoseAll);
    let mut options = CommitOptions::new("/store/log");
    options.log = LogOptions { segment: 1024 * 1024, segments: 3, salt: None };
    let store = Words::new(&disk).unwrap();
    let (commit, ..) = GroupCommit::open(Arc::new(disk.clone()), options, store).unwrap();
    assert!(commit.store().words.contains_key("word"));
    let segments: Vec<_> = disk
        .files()
        .into_iter()
        .filter(|(path, _)| path.starts_with("/store/log"))
        .map(|(_, contents)| contents.len())
        .collect();
    assert_eq!(segments, [1024 * 1024; 3]);
}

#[test]
fn threads_share_barriers_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let mut options = CommitOptions::new(dir.path().join("log"));
    options.log.segment = 1024 * 1024;
    let store = Words::new(&disk).unwrap();
    let (commit, submitter, _) =
        GroupCommit::open(Arc::new(disk::RealDisk), options, store).unwrap();
    let committer = commit.spawn("words").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let submitter = submitter.clone();
            scope.spawn(move || {
                for round in 0..100 {
                    let name = format!("word-{thread}-{round}");
                    let ticket = submitter.submit(Ask::Put(name.clone(), vec![9; 2000]));
                    assert_eq!(ticket.wait().unwrap(), name);
                }
            });
        }
    });
    committer.close();
    assert!(submitter.submit(Ask::Refuse).wait().is_err(), "closed");
    assert_eq!(Words::new(&disk).unwrap().words.len(), 800);
}
