//! What both stores read at a start: queue files, Maildirs with their logs and snapshots, intake
//! logs. A healthy store is made once; the input says what is then written over it, with right
//! checksums where a checksum would keep what lies behind it from being read. Whatever is found,
//! the store starts or says why not, takes a new letter, gives it no number that was given before,
//! and
//! has it after the next start.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use disk::faulty::FaultyDisk;
use disk::{Access, Body, Crc32c, Disk, FileType, LogOptions, Mode, Step};
use mailbox::{AccountId, Delivery, FlagChange, Flags, Mailboxes, Quota, Recipient, UidSet};
use protocol::journey::JourneyId;
use protocol::smtp::{MailParameters, RcptParameters};
use protocol::time::Timestamp;
use queue::{NewLetter, NewRecipient, Origin, Queue};

use crate::engine::Seen;

pub(crate) const WORDS: &[&[u8]] = &[
    b"add 9 - 1795381596 1795381596 20 00000000000000aa - - - -\n",
    b"plus 1:3 FS $Junk\n",
    b"gone 1 expunged\n",
    b"set 2 - -\n",
    b"recent 4\n",
    b"shown 1:2 S\n",
    b"named 2 x\n",
    b"mailbox 3 7 x -\n",
    b"rename 1 y\n",
    b"delete 2\n",
    b"subscribe z\n",
    b"%20",
    b"-",
    b"posthaste-queue 1\n",
    b"journey ",
    b"to <a@b.test>\n",
    b"from <>\n",
    b"hold why\n",
    b"length 5\n",
    b"first-try ",
    b"expires 2026-11-27T21:06:36.123Z\n",
    b"posthaste-trailer headers 0\n",
    b"recipient=0",
    b"state=waiting",
    b"state=relayed",
    b"\t",
    b"\n",
    b"\n\n",
    b" ",
    b":",
    b",",
    b"1:*",
    b"4294967295",
    b"18446744073709551615",
    b"\0",
    b"\xff\xff\xff\xff",
    b"sha256 ",
    b"end ",
];

const MAIL: &str = "/data/mail";
const POST: &str = "/data/queue";
const LOG: LogOptions = LogOptions { segment: 512 * 1024, segments: 2, salt: Some(7) };
/// When the stores live, in microseconds.
const NOW: i64 = 1_795_381_596_000_000;
/// Where the records of a log segment begin, and how long their headers are (`disk/src/log`).
const RECORDS: usize = 4096;
const RECORD_HEADER: usize = 56;

/// A disk's names and contents.
struct Image {
    folders: Vec<PathBuf>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Image {
    fn of(disk: &FaultyDisk) -> Image {
        let mut image = Image { folders: vec!["/data".into()], files: Vec::new() };
        let mut at = 0;
        while let Some(folder) = image.folders.get(at).cloned() {
            at += 1;
            for entry in disk.read_dir(&folder).expect("a folder") {
                let path = folder.join(&entry.name);
                match entry.file_type {
                    FileType::Directory => image.folders.push(path),
                    _ => image.files.push((path.clone(), read(disk, &path))),
                }
            }
        }
        image
    }

    /// A disk with these files, some of them replaced or added.
    fn with(&self, changes: &[(PathBuf, Vec<u8>)]) -> FaultyDisk {
        let disk = FaultyDisk::new();
        for folder in &self.folders {
            disk.make_dirs(folder, Mode::PRIVATE_DIR).expect("an empty disk");
        }
        for (path, bytes) in &self.files {
            if changes.iter().all(|(changed, _)| changed != path) {
                write(&disk, path, bytes);
            }
        }
        changes.iter().for_each(|(path, bytes)| write(&disk, path, bytes));
        disk
    }

    /// The first file whose path has this in it.
    fn find(&self, part: &str) -> &(PathBuf, Vec<u8>) {
        let found = self.files.iter().find(|(path, _)| path.to_string_lossy().contains(part));
        found.unwrap_or_else(|| panic!("no {part}"))
    }
}

fn read(disk: &FaultyDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, Access::Read).expect("a file");
    let mut bytes = vec![0; usize::try_from(file.length().expect("a length")).expect("small")];
    let count = file.read_at(0, &mut bytes).expect("it can be read");
    bytes.truncate(count);
    bytes
}

fn write(disk: &FaultyDisk, path: &Path, bytes: &[u8]) {
    let file = disk.create_new(path, Mode::PRIVATE).expect("a new file");
    file.write_at(0, bytes).expect("it can be written");
}

/// A queue file, the lines of its changes, or a page of the custody book.
pub(crate) fn queue_files(input: &[u8], seen: &mut Seen) {
    let (first, rest) = input.split_first().map_or((0, input), |(first, rest)| (*first, rest));
    let image = post();
    let part = [".letter", ".letter", ".changes", ".custody"][usize::from(first) % 4];
    let path = image.find(part).0.clone();
    try_queue(&image.with(&[(path, rest.to_vec())]), seen);
}

/// The intake log of the queue.
pub(crate) fn queue_log(input: &[u8], seen: &mut Seen) {
    let (path, segment) = in_log("/data/queue/log/segment", post_unsettled());
    try_queue(&post_unsettled().with(&[(path, over(segment, input))]), seen);
}

/// A state log, an account log, the custody book, or the name of a foreign file.
pub(crate) fn mailbox_files(input: &[u8], seen: &mut Seen) {
    let (first, rest) = input.split_first().map_or((0, input), |(first, rest)| (*first, rest));
    let image = mail();
    let change = match first % 4 {
        0 | 1 => {
            let part =
                if first % 4 == 0 { "alice/posthaste-log" } else { "alice/posthaste-account" };
            let (path, bytes) = image.find(part);
            (path.clone(), with_sums(bytes, rest))
        }
        2 => (image.find(".custody").0.clone(), rest.to_vec()),
        _ => {
            let name: String = String::from_utf8_lossy(rest)
                .chars()
                .filter(|c| !matches!(c, '/' | '\0'))
                .take(80)
                .collect();
            if matches!(name.as_str(), "" | "." | "..") {
                return;
            }
            let folder = ["cur", "new", "tmp", ".Sent", "."][usize::from(first / 4) % 5];
            let path = PathBuf::from(MAIL).join("red.test/alice").join(folder).join(name);
            if image.files.iter().any(|(there, _)| *there == path) || image.folders.contains(&path)
            {
                return;
            }
            (path, b"Subject: foreign\r\n\r\nx\r\n".to_vec())
        }
    };
    try_mail(&image.with(&[change]), seen);
}

/// The intake log of the mailboxes.
pub(crate) fn mailbox_log(input: &[u8], seen: &mut Seen) {
    let (path, segment) = in_log("/data/mail/.posthaste/log/segment", mail_unsettled());
    try_mail(&mail_unsettled().with(&[(path, over(segment, input))]), seen);
}

/// A snapshot of a mailbox, with right checksums.
pub(crate) fn snapshots(input: &[u8], seen: &mut Seen) {
    let image = mail_with_snapshot();
    let (path, bytes) = image.find("posthaste-snapshot");
    let mut bytes = bytes.clone();
    patch(&mut bytes, input);
    // The sums of docs/mailbox.md: of the records, of the text, of the header before its own.
    let count = u32_at(&bytes, 32 + 5 * 4) as usize;
    if let Some(text) = count.checked_mul(40).and_then(|length| length.checked_add(128))
        && text <= bytes.len()
    {
        let (records, rest) = (sum(&[&bytes[128..text]]), sum(&[&bytes[text..]]));
        put(&mut bytes, 32 + 8 * 4, records);
        put(&mut bytes, 32 + 9 * 4, rest);
    }
    let header = sum(&[&bytes[..124.min(bytes.len())]]);
    put(&mut bytes, 124, header);
    try_mail(&image.with(&[(path.clone(), bytes)]), seen);
}

/// Lines of a log, the first as it is, the others with their checksums before them; a line that
/// begins with `!` goes without. Without a first line of its own the input gets that of `old`.
fn with_sums(old: &[u8], input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if !input.starts_with(b"posthaste") {
        let end = old.iter().position(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        out.extend_from_slice(&old[..end]);
    }
    for line in input.split_inclusive(|octet| *octet == b'\n') {
        let raw = line.starts_with(b"!") || (out.is_empty() && line.starts_with(b"posthaste"));
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if !raw {
            out.extend_from_slice(format!("{:08x} ", sum(&[text])).as_bytes());
        }
        out.extend_from_slice(line.strip_prefix(b"!").unwrap_or(line));
    }
    out
}

/// A log segment with the payload of one record replaced, or with some octets changed. The first
/// octet says which record, or 255; the sums of records are right unless the second octet is odd.
fn over(segment: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = segment.to_vec();
    let [which, fix, rest @ ..] = input else { return bytes };
    if *which == 255 {
        patch(&mut bytes[RECORDS..], rest);
        if fix % 2 == 0 {
            fix_sums(&mut bytes);
        }
        return bytes;
    }
    let places = records(&bytes);
    let Some(&at) = places.get(usize::from(*which) % places.len().max(1)) else { return bytes };
    let payload = &rest[..rest.len().min(60_000)];
    let header = bytes[at..at + RECORD_HEADER].to_vec();
    let extent = (RECORD_HEADER + payload.len()).next_multiple_of(8);
    bytes[at..].fill(0);
    bytes[at..at + RECORD_HEADER].copy_from_slice(&header);
    bytes[at + RECORD_HEADER..at + RECORD_HEADER + payload.len()].copy_from_slice(payload);
    let length = u32::try_from(payload.len()).expect("60,000 at most");
    bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    debug_assert!(at + extent <= bytes.len());
    fix_sums(&mut bytes);
    bytes
}

/// Where the records of a segment begin.
fn records(bytes: &[u8]) -> Vec<usize> {
    let (mut places, mut at) = (Vec::new(), RECORDS);
    while at + RECORD_HEADER <= bytes.len() && bytes[at + 8..at + 16] == 7u64.to_le_bytes() {
        places.push(at);
        at += (RECORD_HEADER + u32_at(bytes, at) as usize).next_multiple_of(8);
    }
    places
}

fn fix_sums(bytes: &mut [u8]) {
    for at in records(bytes) {
        let end = at + RECORD_HEADER + u32_at(bytes, at) as usize;
        if end <= bytes.len() {
            let crc = sum(&[
                &bytes[at..at + 4],
                &bytes[at + 8..at + RECORD_HEADER],
                &bytes[at + RECORD_HEADER..end],
            ]);
            put(bytes, at + 4, crc);
        }
    }
}

/// Octets changed at places: each three of the input are a place and what stands there.
fn patch(bytes: &mut [u8], input: &[u8]) {
    for three in input.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([three[0], three[1]]));
        if let Some(octet) = bytes.get_mut(at) {
            *octet = three[2];
        }
    }
}

fn sum(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(Crc32c::new(), |crc, part| crc.update(part)).finish()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).unwrap_or([0; 4]);
    u32::from_le_bytes(four)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(four) = bytes.get_mut(at..at + 4) {
        four.copy_from_slice(&value.to_le_bytes());
    }
}

fn in_log(part: &str, image: &'static Image) -> (PathBuf, &'static [u8]) {
    // The segment that has records.
    let logs = image.files.iter().filter(|(path, _)| path.to_string_lossy().contains(part));
    let (path, bytes) =
        logs.max_by_key(|(_, bytes)| records(bytes).len()).unwrap_or_else(|| panic!("no {part}"));
    (path.clone(), bytes)
}

/// Steps a store until the future is ready.
fn drive<T>(mut step: impl FnMut(Duration) -> Step, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let mut ticks = Duration::ZERO;
    for _ in 0..100_000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        ticks += Duration::from_millis(20);
        step(ticks);
    }
    panic!("the store does not answer");
}

fn settle(mut step: impl FnMut(Duration) -> Step) {
    let mut ticks = Duration::from_secs(3_600);
    for _ in 0..10_000 {
        ticks += Duration::from_micros(10);
        if matches!(step(ticks), Step::Idle(_) | Step::Failed) {
            return;
        }
    }
    panic!("the store does not come to rest");
}

fn try_queue(disk: &FaultyDisk, seen: &mut Seen) {
    let Some(before) = queue_life(disk, 1, seen) else { return };
    disk.restart_process();
    let after = queue_life(disk, 2, seen).expect("what has started once starts again");
    for journey in before {
        assert!(after.contains(&journey), "{journey} is gone after the next start");
    }
}

/// One life of a queue: everything is looked at and a new letter is taken. Who waits at its end.
fn queue_life(disk: &FaultyDisk, life: u32, seen: &mut Seen) -> Option<Vec<JourneyId>> {
    let mut options = queue::Options::new(POST);
    options.commit.log = LOG;
    let opened = Queue::open_stepped(Arc::new(disk.clone()), options);
    let mut stepped = match opened {
        Ok(stepped) => stepped,
        Err(error) => {
            seen.note(error.to_string());
            return None;
        }
    };
    seen.note((stepped.report.letters, stepped.report.aside.len(), stepped.report.log.lost));
    let queue = stepped.queue.clone();
    for listed in queue.list(|_| true) {
        seen.shape(&listed.letter);
        let _ = queue.bytes(listed.letter.journey).and_then(|body| body.read_all(u64::MAX));
    }
    for found in queue.verify() {
        seen.note(found.wrong);
    }
    let mut book = 0;
    seen.note(queue.custody(&mut |_| book += 1).is_ok());
    let journey = JourneyId::new(Timestamp::from_micros(NOW), 1_000 + life);
    let ticket = queue.accept(letter(journey, "new"));
    let taken = drive(|ticks| stepped.commit.step(ticks), ticket);
    if let Err(error) = &taken {
        seen.note(error.to_string());
    }
    settle(|ticks| stepped.commit.step(ticks));
    let waiting: Vec<JourneyId> =
        queue.list(|_| true).iter().map(|listed| listed.letter.journey).collect();
    assert!(taken.is_err() || waiting.contains(&journey), "the new letter is not there");
    Some(waiting)
}

fn letter(journey: JourneyId, subject: &str) -> NewLetter {
    let now = Timestamp::from_micros(NOW);
    NewLetter {
        journey,
        cause: None,
        origin: Origin::Accepted,
        arrived: now,
        expires: now.after(Duration::from_secs(432_000)),
        sender: "<alice@red.test>".parse().expect("a path"),
        parameters: MailParameters::default(),
        recipients: vec![NewRecipient {
            address: "bob@blue.test".parse().expect("an address"),
            parameters: RcptParameters::default(),
            from: None,
            first_try: now,
            in_hand: None,
        }],
        held: None,
        headers: "Received: from x\r\n".into(),
        body: Body::from(format!("Subject: {subject}\r\n\r\nHello.\r\n").into_bytes()),
    }
}

fn try_mail(disk: &FaultyDisk, seen: &mut Seen) {
    let Some(before) = mail_life(disk, 1, seen) else { return };
    disk.restart_process();
    let after = mail_life(disk, 2, seen).expect("what has started once starts again");
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after > before, "UID {after} was given after {before}");
    }
}

/// One life of the mailboxes: everything is looked at and read, and a new letter is taken; its UID.
#[allow(clippy::option_option)]
fn mail_life(disk: &FaultyDisk, life: u32, seen: &mut Seen) -> Option<Option<u32>> {
    let mut options =
        mailbox::Options::new(MAIL, Arc::new(|| Timestamp::from_micros(NOW + 1_000_000)));
    options.commit.log = LOG;
    let (mailboxes, mut commit, found) =
        match Mailboxes::open_stepped(Arc::new(disk.clone()), options) {
            Ok(opened) => opened,
            Err(error) => {
                seen.note(format!("{error:?}"));
                return None;
            }
        };
    seen.note((found.replayed, found.lost));
    let account = AccountId::new("red.test", "alice").expect("a good name");
    let asked = {
        let (mailboxes, account) = (mailboxes.clone(), account.clone());
        drive(|ticks| commit.step(ticks), async move { mailboxes.account(&account).await })
    };
    let Ok(view) = asked else {
        seen.note(format!("{asked:?}"));
        return Some(None);
    };
    let mut highest = 0;
    for listed in view.mailboxes.iter() {
        let opened = {
            let (mailboxes, account, id) = (mailboxes.clone(), account.clone(), listed.id);
            drive(|ticks| commit.step(ticks), async move {
                let mailbox = mailboxes.open_mailbox(&account, id).await?;
                let looked = mailboxes.look(&mailbox).await;
                Ok::<_, mailbox::Error>((mailbox, looked.map(|looked| looked.came)))
            })
        };
        let Ok((mailbox, looked)) = opened else {
            seen.note(format!("{opened:?}"));
            continue;
        };
        let view = mailbox.view();
        let inbox = listed.name.as_str() == "INBOX";
        for letter in view.letters() {
            assert!(letter.uid < view.uid_next(), "UID {} is not below UIDNEXT", letter.uid);
            if inbox {
                highest = highest.max(letter.uid.get());
            }
            let content = mailbox.content(letter).and_then(|content| content.read_all());
            seen.note((letter.flags.bits(), content.is_ok()));
        }
        seen.note((view.letters().count(), looked.ok()));
    }
    let delivered = deliver(&mailboxes, &mut commit, life);
    settle(|ticks| commit.step(ticks));
    Some(match delivered {
        Ok(uid) => {
            assert!(uid > highest, "UID {uid} was given before: there is {highest}");
            Some(uid)
        }
        Err(error) => {
            seen.note(format!("{error:?}"));
            None
        }
    })
}

type Commit = disk::GroupCommit<mailbox::Writer>;

fn deliver(mailboxes: &Mailboxes, commit: &mut Commit, number: u32) -> mailbox::Result<u32> {
    let delivery = Delivery {
        journey: JourneyId::new(Timestamp::from_micros(NOW), 5_000 + number),
        body: Body::from(format!("Subject: {number}\r\n\r\nHello.\r\n").into_bytes()),
        recipients: vec![Recipient {
            account: AccountId::new("red.test", "alice").expect("a good name"),
            mailbox: mailbox::MailboxName::inbox(),
            address: "alice@red.test".into(),
            trace: "Return-Path: <>\r\n".into(),
            quota: Quota::default(),
            marks: mailbox::Marks::default(),
        }],
    };
    let mailboxes = mailboxes.clone();
    let mut all =
        drive(|ticks| commit.step(ticks), async move { mailboxes.deliver(delivery).await });
    all.remove(0).map(|delivered| delivered.uid.get())
}

/// Whether what was done has left the log for the files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    InTheLog,
    InFiles,
}

fn make_post(rest: Rest) -> Image {
    let disk = FaultyDisk::new();
    let mut options = queue::Options::new(POST);
    options.commit.log = LOG;
    let mut stepped = Queue::open_stepped(Arc::new(disk.clone()), options).expect("an empty disk");
    let queue = stepped.queue.clone();
    for number in 1..=2 {
        let journey = JourneyId::new(Timestamp::from_micros(NOW), number);
        let ticket = queue.accept(letter(journey, "base"));
        drive(|ticks| stepped.commit.step(ticks), ticket).expect("it is taken");
        let wait = vec![queue::Change::Hold("a reason".into())];
        let at = Timestamp::from_micros(NOW);
        let held = queue.change((journey, at), wait, queue::Wait::Durable);
        drive(|ticks| stepped.commit.step(ticks), held).expect("it is held");
    }
    if rest == Rest::InFiles {
        settle(|ticks| stepped.commit.step(ticks));
    }
    Image::of(&disk)
}

fn make_mail(letters: u32, changes: u32, rest: Rest) -> Image {
    let disk = FaultyDisk::new();
    let clock: mailbox::Clock = Arc::new(|| Timestamp::from_micros(NOW));
    let mut options = mailbox::Options::new(MAIL, clock);
    options.commit.log = LOG;
    let (mailboxes, mut commit, _) =
        Mailboxes::open_stepped(Arc::new(disk.clone()), options).expect("an empty disk");
    for number in 1..=letters {
        deliver(&mailboxes, &mut commit, 100 + number).expect("it is taken");
    }
    let account = AccountId::new("red.test", "alice").expect("a good name");
    let inbox = {
        let mailboxes = mailboxes.clone();
        let name = mailbox::MailboxName::inbox();
        drive(
            |ticks| commit.step(ticks),
            async move { mailboxes.open_by_name(&account, &name).await },
        )
        .expect("there is an INBOX")
    };
    for number in 0..changes {
        let change = FlagChange {
            uids: UidSet::parse("1:2").expect("a set"),
            how: if number % 2 == 0 { mailbox::How::Add } else { mailbox::How::Remove },
            flags: Flags::SEEN,
            keywords: vec![mailbox::Keyword::new(&"long".repeat(60)).expect("an atom")],
            unchanged_since: None,
        };
        let (mailboxes, inbox) = (mailboxes.clone(), inbox.clone());
        drive(
            |ticks| commit.step(ticks),
            async move { mailboxes.change_flags(&inbox, change).await },
        )
        .expect("it is taken");
    }
    if rest == Rest::InFiles {
        settle(|ticks| commit.step(ticks));
    }
    Image::of(&disk)
}

fn post() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| make_post(Rest::InFiles))
}

fn post_unsettled() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| make_post(Rest::InTheLog))
}

fn mail() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| make_mail(3, 2, Rest::InFiles))
}

fn mail_unsettled() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| make_mail(3, 2, Rest::InTheLog))
}

/// Long enough a history that a snapshot was due (`limits::SNAPSHOT_AFTER`).
fn mail_with_snapshot() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| make_mail(5, 1_200, Rest::InFiles))
}
