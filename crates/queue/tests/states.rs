//! Walks every state of docs/queue.md: each place a letter's bytes can be in, a crash in each, and
//! every end a recipient can come to. And the power cut at every operation of a scripted run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use disk::custody::{Act, Entry};
use disk::faulty::Cut;
use disk::{Body, Disk, Error, FaultyDisk, Step};
use protocol::journey::JourneyId;
use protocol::time::Timestamp;
use queue::{
    Answer, Change, Letter, NewLetter, NewRecipient, Options, Origin, Place, Progress, Queue, Said,
    State, Stepped, Wait,
};

const ROOT: &str = "/data/queue";

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_000_000 + seconds)
}

fn journey(number: u32) -> JourneyId {
    JourneyId::new(time(0), number)
}

fn letter(number: u32, length: usize, recipients: &[&str]) -> NewLetter {
    let recipient = |address: &&str| NewRecipient {
        address: address.parse().unwrap(),
        parameters: Default::default(),
        from: None,
        first_try: time(0),
        in_hand: None,
    };
    NewLetter {
        journey: journey(number),
        cause: None,
        origin: Origin::Accepted,
        arrived: time(0),
        expires: time(432_000),
        sender: "<alice@red.test>".parse().unwrap(),
        parameters: Default::default(),
        recipients: recipients.iter().map(recipient).collect(),
        held: None,
        headers: Bytes::from_static(b"Received: from x by y\r\n"),
        body: body(number, length),
    }
}

fn body(number: u32, length: usize) -> Body {
    let mut text = format!("Subject: {number}\r\n\r\n").into_bytes();
    while text.len() < length {
        text.extend_from_slice(b"posthaste-trailer headers 0\r\n");
    }
    Body::from(text)
}

fn ended(index: usize, state: State) -> Change {
    let last = Some(Said { reason: String::new(), host: "mx".into(), text: "250 2.0.0 ok".into() });
    Change::Recipient(index, Progress { state, attempts: 1, next: time(1), last })
}

fn options() -> Options {
    let mut options = Options::new(ROOT);
    options.commit.log.segment = 512 * 1024;
    options.commit.log.salt = Some(3);
    options
}

fn open(disk: &FaultyDisk) -> Result<Stepped, Error> {
    Queue::open_stepped(Arc::new(disk.clone()), options())
}

fn run(stepped: &mut Stepped, now: Duration) {
    while stepped.commit.step(now) == Step::Worked {}
}

fn accept(stepped: &mut Stepped, letter: NewLetter) -> Result<Answer, Error> {
    let ticket = stepped.queue.accept(letter);
    run(stepped, Duration::ZERO);
    ticket.wait()
}

fn change(stepped: &mut Stepped, number: u32, changes: Vec<Change>) -> Result<Answer, Error> {
    let ticket = stepped.queue.change((journey(number), time(5)), changes, Wait::Durable);
    run(stepped, Duration::ZERO);
    ticket.wait()
}

fn names(disk: &FaultyDisk, directory: &str) -> BTreeSet<String> {
    let root = Path::new(ROOT).join(directory);
    let under = |path: &Path| path.strip_prefix(&root).ok().map(|p| p.display().to_string());
    disk.files().keys().filter_map(|path| under(path)).collect()
}

fn custody(queue: &Queue) -> Vec<Entry> {
    let mut entries = Vec::new();
    queue.custody(&mut |entry| entries.push(entry)).unwrap();
    entries
}

fn place(stepped: &Stepped, number: u32) -> Option<Place> {
    stepped.queue.show(journey(number)).map(|listed| listed.place)
}

fn read(stepped: &Stepped, number: u32) -> Vec<u8> {
    stepped.queue.bytes(journey(number)).unwrap().read_all(u64::MAX).unwrap().to_vec()
}

fn whole(number: u32, length: usize) -> Vec<u8> {
    let mut whole = b"Received: from x by y\r\n".to_vec();
    whole.extend_from_slice(&body(number, length).read_all(u64::MAX).unwrap());
    whole
}

#[test]
fn a_letter_walks_from_logged_to_filed_to_gone() {
    for length in [10, 300_000] {
        let disk = FaultyDisk::new();
        let mut stepped = open(&disk).unwrap();
        assert_eq!(accept(&mut stepped, letter(1, length, &["bob@blue.test"])), Ok(Answer::Done));
        let first = if length < 1000 { Place::Logged } else { Place::LoggedLarge };
        assert_eq!(place(&stepped, 1), Some(first));
        assert_eq!(names(&disk, "incoming").len(), usize::from(first == Place::LoggedLarge));
        assert_eq!(read(&stepped, 1), whole(1, length));

        let settled = stepped.queue.settle();
        while place(&stepped, 1) == Some(first) {
            stepped.commit.step(Duration::ZERO);
        }
        run(&mut stepped, Duration::ZERO);
        settled.wait().unwrap();
        assert_eq!(place(&stepped, 1), Some(Place::Filed));
        assert_eq!(names(&disk, "letters").len(), 1);
        assert_eq!(names(&disk, "incoming").len(), 0);
        assert_eq!(read(&stepped, 1), whole(1, length));

        let changes = vec![ended(0, State::Relayed)];
        assert_eq!(change(&mut stepped, 1, changes.clone()), Ok(Answer::Done));
        assert_eq!(place(&stepped, 1), None);
        assert_eq!(change(&mut stepped, 1, changes), Ok(Answer::Unknown));
        stepped.queue.close();
        run(&mut stepped, Duration::ZERO);
        assert_eq!(names(&disk, "letters").len(), 0);
        let acts: Vec<Act> = custody(&stepped.queue).iter().map(|entry| entry.act).collect();
        assert_eq!(acts, [Act::Accepted, Act::Relayed]);
    }
}

#[test]
fn a_letter_that_leaves_early_never_becomes_a_file() {
    let disk = FaultyDisk::new();
    let mut stepped = open(&disk).unwrap();
    accept(&mut stepped, letter(1, 5000, &["bob@blue.test"])).unwrap();
    let ticket =
        stepped.queue.change((journey(1), time(5)), vec![ended(0, State::Relayed)], Wait::Lazy);
    run(&mut stepped, Duration::ZERO);
    ticket.wait().unwrap();
    stepped.queue.close();
    run(&mut stepped, Duration::ZERO);
    let created = disk.files().keys().filter(|path| path.ends_with("letters")).count();
    assert_eq!(created, 0);
    assert!(stepped.queue.is_empty());
    assert_eq!(custody(&stepped.queue).len(), 2);
}

#[test]
fn crash_in_each_place_and_what_the_start_finds() {
    // Logged, and LoggedLarge: nothing but the log has it.
    for length in [10, 300_000] {
        let disk = FaultyDisk::new();
        let mut stepped = open(&disk).unwrap();
        accept(&mut stepped, letter(1, length, &["bob@blue.test"])).unwrap();
        drop(stepped);
        disk.restart(Cut::LoseAll);
        let stepped = open(&disk).unwrap();
        assert_eq!(place(&stepped, 1), Some(Place::Filed), "a start lays out and syncs");
        assert_eq!(read(&stepped, 1), whole(1, length));
        assert_eq!(custody(&stepped.queue).len(), 1);
        drop(stepped);
        // Filed.
        disk.restart(Cut::LoseAll);
        let mut stepped = open(&disk).unwrap();
        assert_eq!(stepped.report.log.replayed, 0);
        assert_eq!(read(&stepped, 1), whole(1, length));
        // Leaving: the record is durable, the files are still there.
        change(&mut stepped, 1, vec![ended(0, State::Bounced)]).unwrap();
        assert_eq!(names(&disk, "letters").len(), 1);
        drop(stepped);
        disk.restart(Cut::LoseAll);
        let stepped = open(&disk).unwrap();
        assert!(stepped.queue.is_empty());
        assert_eq!(names(&disk, "letters").len(), 0);
        let acts: Vec<Act> = custody(&stepped.queue).iter().map(|entry| entry.act).collect();
        assert_eq!(acts, [Act::Accepted, Act::Bounced]);
    }
}

#[test]
fn what_nobody_can_read_or_claims_goes_aside() {
    let disk = FaultyDisk::new();
    let mut stepped = open(&disk).unwrap();
    for number in 1..=3 {
        accept(&mut stepped, letter(number, 500, &["bob@blue.test"])).unwrap();
    }
    stepped.queue.close();
    run(&mut stepped, Duration::ZERO);
    drop(stepped);
    let letters = Path::new(ROOT).join("letters");
    let rot = |number: u32, at: u64| {
        let path = letters.join(format!("{}.letter", journey(number)));
        let file = disk.open(&path, disk::Access::ReadWrite).unwrap();
        file.write_at(at, b"rot").unwrap();
        file.sync().unwrap();
    };
    rot(1, 4); // the first line
    let middle = 400; // the body: found when it is read
    rot(2, middle);
    let stray = Path::new(ROOT).join("incoming/stray.letter");
    disk.create_new(&stray, disk::Mode::PRIVATE).unwrap();
    disk.restart(Cut::KeepAll);

    let stepped = open(&disk).unwrap();
    assert_eq!(stepped.report.letters, 2);
    assert_eq!(stepped.report.aside.len(), 2, "{:?}", stepped.report);
    let aside = names(&disk, "aside");
    assert!(aside.contains("stray.letter"));
    assert!(aside.contains(&format!("{}.letter", journey(1))));
    let error = stepped.queue.bytes(journey(2)).unwrap_err();
    assert_eq!(error.kind(), disk::ErrorKind::Corrupt);
    assert_eq!(read(&stepped, 3), whole(3, 500));
}

#[test]
fn every_end_of_a_recipient_has_its_line_in_the_book() {
    let disk = FaultyDisk::new();
    let mut stepped = open(&disk).unwrap();
    let ends = [
        (State::Delivered, Act::Delivered),
        (State::Relayed, Act::Relayed),
        (State::Bounced, Act::Bounced),
        (State::Discarded, Act::Discarded),
    ];
    let people = ["a@blue.test", "b@blue.test", "c@blue.test", "d@blue.test"];
    accept(&mut stepped, letter(1, 10, &people)).unwrap();
    for (index, (state, _)) in ends.iter().enumerate() {
        change(&mut stepped, 1, vec![ended(index, *state)]).unwrap();
        // A second end of the same recipient means nothing.
        change(&mut stepped, 1, vec![ended(index, State::Discarded)]).unwrap();
    }
    assert!(stepped.queue.is_empty());
    let settled = stepped.queue.settle();
    run(&mut stepped, Duration::ZERO);
    settled.wait().unwrap();
    let told: BTreeMap<String, Vec<Act>> =
        custody(&stepped.queue).into_iter().fold(BTreeMap::new(), |mut told, entry| {
            told.entry(entry.recipient).or_default().push(entry.act);
            told
        });
    for (index, (_, act)) in ends.iter().enumerate() {
        assert_eq!(told[people[index]], [Act::Accepted, *act]);
    }
}

#[test]
fn what_is_known_of_a_letter_survives() {
    let disk = FaultyDisk::new();
    let mut stepped = open(&disk).unwrap();
    let mut new = letter(1, 10, &["bob@blue.test", "\"a b>c\"@blue.test"]);
    new.origin = Origin::Generated;
    new.cause = Some(journey(77));
    new.held = Some("hourly limit\nreached".into());
    new.recipients[1].from = Some("list@red.test".parse().unwrap());
    new.recipients[1].first_try = time(900);
    new.recipients[0].parameters.notify = Some(protocol::smtp::parameters::Notify::Never);
    new.parameters.envid = Some("QQ>314".into());
    new.parameters.smtputf8 = true;
    accept(&mut stepped, new).unwrap();
    assert!(stepped.queue.take_due(time(1000), 10).is_empty(), "it is held");
    let said =
        Said { reason: "greylisted".into(), host: "mx".into(), text: "451 later\tman".into() };
    let waiting =
        Progress { state: State::Waiting, attempts: 3, next: time(700), last: Some(said) };
    change(
        &mut stepped,
        1,
        vec![Change::Release, Change::Recipient(0, waiting), Change::DelayTold],
    )
    .unwrap();
    let before: Arc<Letter> = stepped.queue.show(journey(1)).unwrap().letter;
    assert!(before.held.is_none() && before.delay_told);
    for cut in [Cut::LoseAll, Cut::Some(5), Cut::KeepAll] {
        stepped.queue.close();
        drop(stepped);
        disk.restart(cut);
        let looked = Queue::look(Arc::new(disk.clone()), Path::new(ROOT)).unwrap();
        assert_eq!(looked[0].letter, before, "seen without opening");
        stepped = open(&disk).unwrap();
        assert_eq!(stepped.queue.show(journey(1)).unwrap().letter, before);
    }
    assert_eq!(stepped.queue.next_due(), Some(time(700)));
    assert_eq!(stepped.queue.take_due(time(699), 10).len(), 0);
    let leases = stepped.queue.take_due(time(700), 10);
    assert_eq!(leases.len(), 1);
    assert_eq!(stepped.queue.take_due(time(700), 10).len(), 0, "leased once");
    drop(leases);
    assert_eq!(stepped.queue.take_due(time(700), 10).len(), 1, "given back");
}

#[test]
fn one_journey_is_accepted_once() {
    let disk = FaultyDisk::new();
    let mut stepped = open(&disk).unwrap();
    let tickets: Vec<_> =
        (0..3).map(|_| stepped.queue.accept(letter(1, 10, &["bob@blue.test"]))).collect();
    run(&mut stepped, Duration::ZERO);
    let answers: Vec<Answer> = tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect();
    assert_eq!(answers, [Answer::Done, Answer::Already, Answer::Already]);
    change(&mut stepped, 1, vec![ended(0, State::Relayed)]).unwrap();
    let again = accept(&mut stepped, letter(1, 10, &["bob@blue.test"]));
    assert_eq!(again, Ok(Answer::Already), "also when it has left");
}

#[test]
fn a_file_removed_behind_our_back_is_named() {
    let disk = FaultyDisk::new();
    let mut stepped = open(&disk).unwrap();
    accept(&mut stepped, letter(1, 10, &["bob@blue.test"])).unwrap();
    accept(&mut stepped, letter(2, 10, &["bob@blue.test"])).unwrap();
    let settled = stepped.queue.settle();
    run(&mut stepped, Duration::ZERO);
    settled.wait().unwrap();
    assert!(stepped.queue.verify().iter().all(|one| one.wrong.is_none()));
    disk.unlink(&Path::new(ROOT).join(format!("letters/{}.letter", journey(2)))).unwrap();
    let wrong: Vec<JourneyId> = stepped
        .queue
        .verify()
        .iter()
        .filter(|one| one.wrong.is_some())
        .map(|one| one.letter.journey)
        .collect();
    assert_eq!(wrong, [journey(2)]);
}

#[test]
fn a_second_writer_is_kept_out() {
    let disk = FaultyDisk::new();
    let stepped = open(&disk).unwrap();
    assert_eq!(open(&disk).unwrap_err().kind(), disk::ErrorKind::Busy);
    drop(stepped);
    open(&disk).unwrap();
}

/// What the world was told, letter by letter.
#[derive(Debug, Default)]
struct Told {
    /// Recipients that wait for sure.
    waiting: BTreeSet<(u32, usize)>,
    /// Recipients that ended for sure (the outcome was durable).
    ended: BTreeSet<(u32, usize)>,
    lengths: BTreeMap<u32, usize>,
}

fn script(disk: &FaultyDisk, told: &mut Told) -> Result<(), Error> {
    let mut stepped = open(disk)?;
    let mut now = Duration::ZERO;
    for number in 1..=8u32 {
        let length = if number % 4 == 3 { 150_000 } else { 2_000 };
        told.lengths.insert(number, length);
        let ticket = stepped.queue.accept(letter(number, length, &["a@b.test", "c@d.test"]));
        while stepped.commit.step(now) == Step::Worked {}
        ticket.wait()?;
        told.waiting.extend([(number, 0), (number, 1)]);
        if number > 1 {
            // The one before loses its first recipient, the one before that its last.
            for (which, index) in [(number - 1, 0), (number.saturating_sub(2), 1)] {
                if which == 0 {
                    continue;
                }
                told.waiting.remove(&(which, index));
                let changes = vec![ended(index, State::Relayed)];
                let ticket =
                    stepped.queue.change((journey(which), time(9)), changes, Wait::Durable);
                while stepped.commit.step(now) == Step::Worked {}
                ticket.wait()?;
                told.ended.insert((which, index));
            }
        }
        now += Duration::from_millis(500);
        if number % 3 == 0 {
            now += Duration::from_secs(2);
            while stepped.commit.step(now) == Step::Worked {}
        }
    }
    stepped.queue.close();
    while stepped.commit.step(now) == Step::Worked {}
    stepped.commit.trouble().map_or(Ok(()), |trouble| Err(trouble.clone()))
}

fn check(disk: &FaultyDisk, told: &Told, how: &str) {
    let stepped = open(disk).unwrap_or_else(|error| panic!("{how}: {error}"));
    let queue = &stepped.queue;
    let mut waits = BTreeSet::new();
    for number in 1..=8 {
        if let Some(listed) = queue.show(journey(number)) {
            waits.extend(listed.letter.waiting().map(|(index, _)| (number, index)));
            assert_eq!(read(&stepped, number), whole(number, told.lengths[&number]), "{how}");
        }
    }
    let lost: Vec<_> = told.waiting.difference(&waits).collect();
    assert!(lost.is_empty(), "{how}: {lost:?} were accepted and are gone");
    let back: Vec<_> = told.ended.intersection(&waits).collect();
    assert!(back.is_empty(), "{how}: {back:?} had ended and wait again");
    assert!(queue.verify().iter().all(|one| one.wrong.is_none()), "{how}");
    // Rule 4, from the book and the queue alone.
    let mut balance: BTreeMap<(JourneyId, String), i64> = BTreeMap::new();
    for entry in custody(queue) {
        let sum = balance.entry((entry.journey, entry.recipient)).or_default();
        *sum += if entry.act == Act::Accepted { 1 } else { -1 };
    }
    for listed in queue.list(|_| true) {
        for (_, recipient) in listed.letter.waiting() {
            let key = (listed.letter.journey, recipient.address.to_string());
            *balance.entry(key).or_default() -= 1;
        }
    }
    let unbalanced: Vec<_> = balance.iter().filter(|(_, sum)| **sum != 0).collect();
    assert!(unbalanced.is_empty(), "{how}: {unbalanced:?}");
}

#[test]
fn power_cut_at_every_operation() {
    let disk = FaultyDisk::new();
    script(&disk, &mut Told::default()).unwrap();
    let operations = disk.operations();
    assert!(operations > 100, "the script does little: {operations}");
    for at in 0..operations {
        for cut in [Cut::LoseAll, Cut::KeepAll, Cut::Some(at)] {
            let disk = FaultyDisk::new();
            disk.cut_power_after(at);
            let mut told = Told::default();
            assert!(script(&disk, &mut told).is_err(), "cut at {at} unnoticed");
            disk.restart(cut);
            let how = format!("cut at {at}, {cut:?}");
            check(&disk, &told, &how);
            disk.restart(Cut::LoseAll);
            check(&disk, &told, &format!("{how}, and once more"));
        }
    }
}

#[test]
fn what_a_dead_process_had_in_hand_is_due_at_the_next_start() {
    // Known from the log only, and from its file.
    for laid_out in [false, true] {
        let disk = FaultyDisk::new();
        let mut stepped = open(&disk).unwrap();
        let mut new = letter(1, 10, &["bob@blue.test", "eve@far.test"]);
        new.recipients[0].in_hand = Some(time(180));
        accept(&mut stepped, new).unwrap();
        if laid_out {
            let settled = stepped.queue.settle();
            run(&mut stepped, Duration::ZERO);
            settled.wait().unwrap();
        }
        // Only the other one is due, and nobody can hurry the first.
        let due = |stepped: &Stepped| {
            let letter = stepped.queue.show(journey(1)).unwrap().letter;
            letter.recipients.iter().map(queue::Recipient::due).collect::<Vec<_>>()
        };
        assert_eq!(due(&stepped), [time(180), time(0)]);
        change(&mut stepped, 1, vec![ended(1, State::Relayed), Change::Retry(time(1))]).unwrap();
        assert_eq!(stepped.queue.next_due(), Some(time(180)));
        drop(stepped);
        disk.restart(Cut::LoseAll);
        let mut stepped = open(&disk).unwrap();
        assert_eq!(stepped.queue.next_due(), Some(time(1)), "laid out: {laid_out}");
        // A recorded outcome ends it as well.
        let mut second = letter(2, 10, &["bob@blue.test"]);
        second.recipients[0].in_hand = Some(time(180));
        accept(&mut stepped, second).unwrap();
        let progress = Progress { state: State::Waiting, attempts: 1, next: time(9), last: None };
        change(&mut stepped, 2, vec![Change::Recipient(0, progress)]).unwrap();
        assert_eq!(stepped.queue.show(journey(2)).unwrap().letter.next(), Some(time(9)));
    }
}
