//! A store whose batch loop is stepped by the test, on a disk in memory.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use disk::faulty::FaultyDisk;
use disk::{Body, GroupCommit, LogOptions, Step};
use mailbox::{
    AccountId, Delivered, Delivery, Mailbox, MailboxName, Mailboxes, Marks, Options, Quota,
    Recipient, Result, Retention, Writer,
};
use protocol::journey::JourneyId;
use protocol::time::Timestamp;

/// A store, its batch loop, and the time.
pub(crate) struct Store {
    pub(crate) disk: FaultyDisk,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) commit: GroupCommit<Writer>,
    clock: Arc<AtomicI64>,
    ticks: Duration,
}

pub(crate) const ROOT: &str = "/data/mail";

impl Store {
    /// Opens the store on a disk, at a time after all others.
    pub(crate) fn open(disk: &FaultyDisk) -> Result<Store> {
        Store::open_with_index(disk, None)
    }

    /// The same with segments of the log of so many bytes.
    pub(crate) fn open_with_log(disk: &FaultyDisk, segment: u64) -> Result<Store> {
        Store::open_with(disk, None, segment)
    }

    /// The same with an index on the real disk.
    pub(crate) fn open_with_index(disk: &FaultyDisk, index: Option<&Path>) -> Result<Store> {
        Store::open_with(disk, index, 512 * 1024)
    }

    fn open_with(disk: &FaultyDisk, index: Option<&Path>, segment: u64) -> Result<Store> {
        let clock = Arc::new(AtomicI64::new(START.fetch_add(100_000_000, Ordering::Relaxed)));
        let now = clock.clone();
        let clock_of: mailbox::Clock =
            Arc::new(move || Timestamp::from_micros(now.load(Ordering::Relaxed)));
        let mut options = Options::new(ROOT, clock_of);
        options.index = index.map(Path::to_path_buf);
        options.commit.log = LogOptions { segment, segments: 2, salt: Some(7) };
        let kept = KEPT.with(std::cell::Cell::get);
        options.retention = Retention::new(move || kept);
        let (mailboxes, commit, _) = Mailboxes::open_stepped(Arc::new(disk.clone()), options)?;
        Ok(Store { disk: disk.clone(), mailboxes, commit, clock, ticks: Duration::ZERO })
    }

    pub(crate) fn new() -> Store {
        Store::open(&FaultyDisk::new()).unwrap()
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.ticks += time;
        let micros = i64::try_from(time.as_micros()).unwrap();
        self.clock.fetch_add(micros, Ordering::Relaxed);
    }

    /// Steps the batch loop until the future is ready.
    pub(crate) fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return done;
            }
            self.ticks += Duration::from_micros(10);
            self.commit.step(self.ticks);
            assert!(Instant::now() < deadline, "the store does not answer");
        }
    }

    /// Lets everything be laid out and made durable.
    pub(crate) fn settle(&mut self) {
        self.pass(Duration::from_secs(20));
        for _ in 0..10_000 {
            self.ticks += Duration::from_micros(10);
            let step = self.commit.step(self.ticks);
            // A disk that fails is for the next request to find out.
            if matches!(step, Step::Idle(_) | Step::Failed) || self.commit.trouble().is_some() {
                return;
            }
        }
        panic!("the store does not come to rest: {:?}", self.commit.trouble());
    }

    pub(crate) fn account(&self) -> AccountId {
        AccountId::new("red.test", "alice").unwrap()
    }

    pub(crate) fn mailbox(&mut self, mailbox: &str) -> Mailbox {
        let (mailboxes, account) = (self.mailboxes.clone(), self.account());
        let name = name(mailbox);
        self.run(async move { mailboxes.open_by_name(&account, &name).await }).unwrap()
    }

    pub(crate) fn deliver(&mut self, journey: u32, text: &str) -> Result<Delivered> {
        self.deliver_body(journey, Body::from(text.as_bytes().to_vec()))
    }

    pub(crate) fn deliver_body(&mut self, journey: u32, body: Body) -> Result<Delivered> {
        let mailboxes = self.mailboxes.clone();
        let delivery = Delivery {
            journey: self::journey(journey),
            body,
            recipients: vec![recipient("alice")],
        };
        self.run(async move { mailboxes.deliver(delivery).await }).remove(0)
    }
}

pub(crate) fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

pub(crate) fn journey(n: u32) -> JourneyId {
    JourneyId::new(Timestamp::from_seconds(1_700_000_000), n)
}

pub(crate) fn recipient(user: &str) -> Recipient {
    Recipient {
        account: AccountId::new("red.test", user).unwrap(),
        mailbox: MailboxName::inbox(),
        address: format!("{user}@red.test"),
        trace: Bytes::from_static(b"Return-Path: <bob@blue.test>\r\n"),
        quota: Quota::default(),
        marks: Marks::default(),
    }
}

thread_local! {
    /// How long stores of this test keep expunged letters.
    pub(crate) static KEPT: std::cell::Cell<Duration> =
        const { std::cell::Cell::new(Duration::ZERO) };
}

/// Microseconds since 1970 at which the next store begins.
static START: AtomicI64 = AtomicI64::new(1_795_381_596_000_000);
