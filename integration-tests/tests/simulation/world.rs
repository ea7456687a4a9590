//! The two stores on two faulty disks, stepped by hand; their deaths; what clients see of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use disk::faulty::{Cut, FaultyDisk, Operation};
use disk::{Disk, ErrorKind, GroupCommit, LogOptions, Step};
use mailbox::{AccountId, Mailbox, MailboxName, Mailboxes, Writer};
use protocol::journey::JourneyId;
use protocol::time::Timestamp;
use queue::{Queue, Stepped};

use crate::liar::{Liar, Lie};
use crate::model::{Account, Deed, Seen};
use crate::post::Post;
use crate::random::Random;

/// Why a round ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A store is down: who runs the machine starts it again.
    Down,
    /// A promise is broken.
    Wrong(String),
}

pub(crate) type Outcome<T> = Result<T, Stop>;

/// What must never go back, of one mailbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    uid_validity: u32,
    pub(crate) highest_uid: u32,
    modseq: u64,
}

/// The whole simulation.
pub(crate) struct World {
    pub(crate) random: Random,
    lie: Option<Lie>,
    wall: Arc<AtomicI64>,
    ticks: Duration,
    journeys: u32,
    pub(crate) mail_disk: FaultyDisk,
    pub(crate) post_disk: FaultyDisk,
    pub(crate) mail: Option<(Mailboxes, GroupCommit<Writer>)>,
    pub(crate) queue: Option<Stepped>,
    told: bool,
    /// A fault is or was armed in this life: refusals are in order.
    pub(crate) trouble: bool,
    pub(crate) accounts: [Account; 2],
    pub(crate) histories: BTreeMap<(usize, u32), History>,
    pub(crate) ids: BTreeMap<(usize, String), u32>,
    /// Disks that lose pages, now and then, when the kernel writes them back.
    forgetful: Vec<FaultyDisk>,
    /// Deeds without an answer: each happened or did not.
    pub(crate) unsure: Vec<(usize, Deed)>,
    pub(crate) post: Post,
    pub(crate) deaths: u64,
}

/// The names before the `@` of the two accounts.
pub(crate) const PEOPLE: [&str; 2] = ["alice", "bob"];

pub(crate) fn wrong<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Stop::Wrong(why.into()))
}

pub(crate) fn account_id(which: usize) -> AccountId {
    AccountId::new("red.test", PEOPLE[which]).expect("a good name")
}

pub(crate) fn mailbox_name(text: &str) -> MailboxName {
    MailboxName::new(text).expect("a good name")
}

impl World {
    /// A new machine with empty disks, running.
    pub(crate) fn new(seed: u64, lie: Option<Lie>) -> Outcome<Self> {
        let mut world = World {
            random: Random::new(seed),
            lie,
            wall: Arc::new(AtomicI64::new(1_795_381_596_000_000)),
            ticks: Duration::ZERO,
            journeys: 0,
            mail_disk: FaultyDisk::new(),
            post_disk: FaultyDisk::new(),
            mail: None,
            queue: None,
            told: std::env::var_os("POSTHASTE_TRACE").is_some(),
            trouble: false,
            accounts: Default::default(),
            histories: BTreeMap::new(),
            ids: BTreeMap::new(),
            forgetful: Vec::new(),
            unsure: Vec::new(),
            post: Post::default(),
            deaths: 0,
        };
        if let Err(why) = world.open_mail().and_then(|()| world.open_queue()) {
            return wrong(format!("an empty disk cannot be opened: {why}"));
        }
        // The usual folders are made when an account is first asked for.
        for which in 0..PEOPLE.len() {
            let seen = world.look(which, Content::Left)?;
            let empty = seen.keys().map(|name| (name.clone(), Vec::new())).collect();
            world.accounts[which].mailboxes = empty;
        }
        Ok(world)
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.load(Ordering::Relaxed))
    }

    pub(crate) fn journey(&mut self) -> JourneyId {
        self.journeys += 1;
        JourneyId::new(self.now(), self.journeys)
    }

    /// With `POSTHASTE_TRACE` set, says what happens.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            eprintln!("{:>9.3} s  {}", self.ticks.as_secs_f64(), what());
        }
    }

    /// What the kernel does on its own.
    pub(crate) fn write_back(&mut self) {
        for disk in self.forgetful.clone() {
            if self.random.once_in(4) {
                self.tell(|| "pages are lost".to_owned());
                disk.lose_pages(self.random.next());
            }
        }
    }

    /// Time passes, and the stores do what they do meanwhile.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.ticks += time;
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        self.wall.fetch_add(micros, Ordering::Relaxed);
        for _ in 0..200 {
            if !self.step() {
                break;
            }
        }
    }

    /// One step of each store; whether either did something.
    fn step(&mut self) -> bool {
        self.ticks += Duration::from_micros(10);
        let ticks = self.ticks;
        let mail = self.mail.as_mut().map(|(_, commit)| commit.step(ticks));
        let queue = self.queue.as_mut().map(|queue| queue.commit.step(ticks));
        mail == Some(Step::Worked) || queue == Some(Step::Worked)
    }

    /// Steps the stores until the future is ready.
    pub(crate) fn drive<T>(&mut self, future: impl Future<Output = T>) -> Outcome<T> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3000 {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return Ok(done);
            }
            if !self.step() {
                // It waits for a while to pass, before it tries what has failed again.
                self.ticks += Duration::from_millis(20);
            }
        }
        let trouble = |commit: Option<&disk::Error>| commit.map(ToString::to_string);
        let mail = self.mail.as_ref().and_then(|(_, commit)| trouble(commit.trouble()));
        let queue = self.queue.as_ref().and_then(|queue| trouble(queue.commit.trouble()));
        wrong(format!("a store does not answer; trouble: {mail:?}, {queue:?}"))
    }

    /// Whether the mailboxes take nothing more until they are started again.
    pub(crate) fn mail_is_down(&mut self) -> bool {
        let ticks = self.ticks;
        let failed =
            |(_, commit): &mut (_, GroupCommit<Writer>)| commit.step(ticks) == Step::Failed;
        self.mail_disk.is_off() || self.mail.as_mut().is_none_or(failed)
    }

    /// The same of the queue.
    pub(crate) fn queue_is_down(&mut self) -> bool {
        let ticks = self.ticks;
        let failed = |queue: &mut Stepped| queue.commit.step(ticks) == Step::Failed;
        self.post_disk.is_off() || self.queue.as_mut().is_none_or(failed)
    }

    pub(crate) fn mailboxes(&self) -> Outcome<Mailboxes> {
        self.mail.as_ref().map(|(mailboxes, _)| mailboxes.clone()).ok_or(Stop::Down)
    }

    pub(crate) fn letters(&self) -> Outcome<Queue> {
        self.queue.as_ref().map(|stepped| stepped.queue.clone()).ok_or(Stop::Down)
    }

    fn disk(&self, of: &FaultyDisk) -> Arc<dyn Disk> {
        match self.lie {
            Some(lie) => Arc::new(Liar::new(of.clone(), lie)),
            None => Arc::new(of.clone()),
        }
    }

    fn open_mail(&mut self) -> Result<(), String> {
        let wall = self.wall.clone();
        let clock: mailbox::Clock =
            Arc::new(move || Timestamp::from_micros(wall.load(Ordering::Relaxed)));
        let mut options = mailbox::Options::new("/data/mail", clock);
        options.commit.log = LOG;
        let opened = Mailboxes::open_stepped(self.disk(&self.mail_disk), options);
        let (mailboxes, commit, found) = opened.map_err(|error| format!("{error:?}"))?;
        self.mail = Some((mailboxes, commit));
        match found.lost {
            0 => Ok(()),
            lost => Err(format!("the log of the mailboxes has lost {lost} records")),
        }
    }

    fn open_queue(&mut self) -> Result<(), String> {
        let mut options = queue::Options::new("/data/queue");
        options.commit.log = LOG;
        let opened = Queue::open_stepped(self.disk(&self.post_disk), options);
        let stepped = opened.map_err(|error| error.to_string())?;
        let found = stepped.report.clone();
        self.queue = Some(stepped);
        match found.log.lost {
            0 => Ok(()),
            lost => Err(format!("the log of the queue has lost {lost} records")),
        }
    }

    /// Something is going to go wrong, perhaps.
    pub(crate) fn arm(&mut self) {
        let disks = [self.mail_disk.clone(), self.post_disk.clone()];
        for disk in &disks {
            let chance = self.random.below(9);
            self.trouble |= chance < 7;
            self.tell(|| format!("fault {chance}"));
            match chance {
                0..=2 => disk.cut_power_after(self.random.below(150)),
                3 | 4 => {
                    let operation = *self.random.pick(&OPERATIONS);
                    let kind = *self.random.pick(&[ErrorKind::Io, ErrorKind::Io, ErrorKind::Full]);
                    disk.fail(operation, self.random.below(12), kind);
                }
                5 => disk.set_capacity(Some(disk.used() + self.random.below(40_000))),
                6 => self.forgetful.push(disk.clone()),
                _ => {}
            }
        }
    }

    /// One process, both, or the whole machine dies, and all is started again. The power may go
    /// while that happens.
    pub(crate) fn die_and_restart(&mut self) -> Outcome<()> {
        let (mail, queue) = (self.mail_is_down(), self.queue_is_down());
        self.deaths += 1;
        self.forgetful.clear();
        let death = self.random.below(6);
        let again = if self.random.once_in(4) { Some(self.random.below(60)) } else { None };
        self.tell(|| format!("death {death}, mail down {mail}, queue {queue}, again {again:?}"));
        if death < 2 {
            // Processes: whichever is down, or one of them, or both.
            let neither = !mail && !queue;
            self.kill(mail || neither, queue || (neither && death == 0));
        } else {
            self.cut_power();
        }
        if let Some(after) = again {
            self.mail_disk.cut_power_after(after);
            self.post_disk.cut_power_after(after);
            let _ = self.start();
            self.cut_power();
        }
        if let Err(why) = self.start() {
            return wrong(format!("it does not start again: {why}"));
        }
        self.recovered()
    }

    /// After a start: everything that was promised is there.
    pub(crate) fn recovered(&mut self) -> Outcome<()> {
        self.recovered_mail()?;
        self.recovered_queue()
    }

    fn kill(&mut self, mail: bool, queue: bool) {
        self.tell(|| format!("killed: mail {mail}, queue {queue}"));
        for disk in [&self.mail_disk, &self.post_disk] {
            disk.set_capacity(None);
        }
        // Of one that lives on, the disk may yet fail.
        self.trouble &= !(mail && queue);
        if mail {
            self.mail = None;
            self.mail_disk.restart_process();
        }
        if queue {
            self.queue = None;
            self.post_disk.restart_process();
        }
    }

    /// The power of the whole machine goes.
    pub(crate) fn cut_power(&mut self) {
        self.tell(|| "the power goes".to_owned());
        self.mail = None;
        self.queue = None;
        self.trouble = false;
        for disk in [self.mail_disk.clone(), self.post_disk.clone()] {
            disk.set_capacity(None);
            let cut =
                if self.random.once_in(3) { Cut::LoseAll } else { Cut::Some(self.random.next()) };
            disk.restart(cut);
        }
    }

    /// Starts what does not run.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        self.wall.fetch_add(1_500_000, Ordering::Relaxed);
        if self.mail.is_none() {
            self.open_mail()?;
        }
        if self.queue.is_none() {
            self.open_queue()?;
        }
        Ok(())
    }

    pub(crate) fn open(&mut self, which: usize, name: &str) -> Outcome<Option<Mailbox>> {
        let mailboxes = self.mailboxes()?;
        let (account, name) = (account_id(which), mailbox_name(name));
        match self.drive(async move { mailboxes.open_by_name(&account, &name).await })? {
            Ok(mailbox) => Ok(Some(mailbox)),
            Err(_) if self.mail_is_down() => Err(Stop::Down),
            Err(mailbox::Error::NoSuchMailbox) => Ok(None),
            Err(_) if self.trouble => Ok(None),
            Err(error) => wrong(format!("a mailbox cannot be opened: {error:?}")),
        }
    }

    /// Everything that one account's clients can see.
    pub(crate) fn look(&mut self, which: usize, read: Content) -> Outcome<BTreeMap<String, Seen>> {
        let (mailboxes, account) = (self.mailboxes()?, account_id(which));
        let asked = self.drive(async move { mailboxes.account(&account).await })?;
        let view = match asked {
            Ok(view) => view,
            Err(_) if self.mail_is_down() => return Err(Stop::Down),
            Err(error) => return wrong(format!("an account cannot be opened: {error:?}")),
        };
        let mut all = BTreeMap::new();
        for listed in view.mailboxes.iter() {
            let Some(mailbox) = self.open(which, listed.name.as_str())? else {
                return wrong(format!("{} is listed and cannot be opened", listed.name));
            };
            let view = mailbox.view();
            let mut letters = Vec::new();
            for letter in view.letters() {
                let content = match read {
                    Content::Left => None,
                    Content::Read => {
                        let read = mailbox.content(letter).and_then(|content| content.read_all());
                        match read {
                            Ok(bytes) => Some(bytes.to_vec()),
                            Err(error) => {
                                let (name, uid) = (&listed.name, letter.uid);
                                return wrong(format!("{name} {uid} cannot be read: {error:?}"));
                            }
                        }
                    }
                };
                let size = letter.size as usize;
                letters.push((letter.uid.get(), letter.flags.bits(), size, content));
            }
            let seen = Seen {
                id: mailbox.id().0,
                uid_validity: view.uid_validity(),
                uid_next: view.uid_next().get(),
                modseq: view.highest_modseq(),
                letters,
            };
            all.insert(listed.name.as_str().to_owned(), seen);
        }
        Ok(all)
    }

    /// What must never go back has not.
    pub(crate) fn remember(&mut self, which: usize, all: &BTreeMap<String, Seen>) -> Outcome<()> {
        self.ids.retain(|(of, _), _| *of != which);
        for (name, seen) in all {
            self.ids.insert((which, name.clone()), seen.id);
            let highest = seen.letters.iter().map(|letter| letter.0).max().unwrap_or(0);
            let new =
                History { uid_validity: seen.uid_validity, highest_uid: 0, modseq: seen.modseq };
            let old = self.histories.entry((which, seen.id)).or_insert(new);
            if old.uid_validity != seen.uid_validity {
                return wrong(format!("{name}: UIDVALIDITY has changed"));
            }
            if seen.modseq < old.modseq {
                return wrong(format!("{name}: MODSEQ went back to {}: {old:?}", seen.modseq));
            }
            if seen.uid_next <= old.highest_uid.max(highest) {
                return wrong(format!("{name}: UIDNEXT is {}: {old:?}", seen.uid_next));
            }
            old.modseq = seen.modseq;
            old.highest_uid = old.highest_uid.max(highest);
        }
        Ok(())
    }

    /// What of the past may a UID that came without an answer not be.
    pub(crate) fn highest_uid(&self, which: usize, id: u32) -> u32 {
        self.histories.get(&(which, id)).map_or(0, |history| history.highest_uid)
    }

    /// After a start: each deed without an answer happened or did not, all others did.
    fn recovered_mail(&mut self) -> Outcome<()> {
        let seen = [self.look(0, Content::Read)?, self.look(1, Content::Read)?];
        let unsure = std::mem::take(&mut self.unsure);
        let mut why = String::new();
        let found = (0..1u64 << unsure.len().min(8)).find_map(|which_ones| {
            let mut accounts = self.accounts.clone();
            let happened = unsure.iter().enumerate().filter(|(n, _)| which_ones >> n & 1 == 1);
            for (_, (which, deed)) in happened {
                accounts[*which].apply(deed, None).ok()?;
            }
            for (which, seen) in seen.iter().enumerate() {
                if let Err(differs) = self.fits(which, &mut accounts[which], seen) {
                    why = format!("{why}; {}: {differs}", PEOPLE[which]);
                    return None;
                }
            }
            Some(accounts)
        });
        match found {
            Some(accounts) => self.accounts = accounts,
            None => return wrong(format!("after a restart{why}; unsure: {unsure:?}")),
        }
        self.remember(0, &seen[0])?;
        self.remember(1, &seen[1])
    }

    fn fits(
        &self,
        which: usize,
        account: &mut Account,
        seen: &BTreeMap<String, Seen>,
    ) -> Result<(), String> {
        let before = account.clone();
        account.matches(seen)?;
        for (name, letters) in &account.mailboxes {
            let highest = self.highest_uid(which, seen[name].id);
            for (letter, old) in letters.iter().zip(&before.mailboxes[name]) {
                if old.uid.is_none() && letter.uid.is_some_and(|uid| uid <= highest) {
                    return Err(format!("{name}: UID {:?} is given again", letter.uid));
                }
            }
        }
        Ok(())
    }
}

/// Whether the letters themselves are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Read,
    Left,
}

/// The smallest log, so that it is reused often.
const LOG: LogOptions = LogOptions { segment: 512 * 1024, segments: 2, salt: Some(7) };

const OPERATIONS: [Operation; 6] = [
    Operation::Create,
    Operation::Write,
    Operation::Name,
    Operation::Sync,
    Operation::SyncDir,
    Operation::SyncFilesystem,
];
