//! The queue between those who ask and the one batch loop: [`Submitter`] puts a request in and
//! gets a [`Ticket`], a small future for the answer. No runtime is needed: a waker is enough, and
//! [`Ticket::wait`] serves plain threads.
//!
//! The queue is bounded. When it is full a ticket keeps its request and puts it in when it is
//! polled and there is room: back-pressure reaches the sender as a future that is not ready.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::trouble::Troubles;
use crate::limits::WAITING_REQUESTS;
use crate::{Error, ErrorKind};

/// The answer to [`Submitter::settle`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Settled {
    slot: Arc<Slot<()>>,
}

/// Where requests wait for the batch loop of one store. Cheap to clone.
#[derive(Debug)]
pub struct Submitter<R, A> {
    inbox: Arc<Inbox<R, A>>,
}

impl<R, A> Clone for Submitter<R, A> {
    fn clone(&self) -> Self {
        Submitter { inbox: self.inbox.clone() }
    }
}

/// The answer to one request, when it is durable. `Err` says that nothing was kept.
///
/// Dropping a ticket does not take back a request that is already in the queue.
#[derive(Debug)]
#[must_use = "a request is only done when its ticket says so"]
pub struct Ticket<R, A> {
    inbox: Arc<Inbox<R, A>>,
    /// A request for which there was no room yet.
    unsent: Option<R>,
    slot: Arc<Slot<A>>,
}

#[derive(Debug)]
pub(crate) struct Inbox<R, A> {
    state: Mutex<State<R, A>>,
    arrived: Condvar,
    troubles: Troubles,
}

#[derive(Debug)]
struct State<R, A> {
    waiting: VecDeque<Pending<R, A>>,
    /// Tickets that wait for room.
    outside: Vec<Waker>,
    open: bool,
    /// How many requests wake the loop; nobody needs waking while it works.
    wakes_at: usize,
    /// The loop is to look around although nothing has come in.
    nudged: bool,
    /// Those who want everything laid out.
    settlers: Vec<Reply<()>>,
}

/// One request with the place where its answer goes.
#[derive(Debug)]
pub(crate) struct Pending<R, A> {
    pub(crate) request: R,
    pub(crate) reply: Reply<A>,
}

/// The committer's end of a ticket. Dropped unanswered, it answers with an error: a panic in the
/// committer leaves nobody waiting.
#[derive(Debug)]
pub(crate) struct Reply<A> {
    slot: Arc<Slot<A>>,
}

#[derive(Debug)]
struct Slot<A> {
    state: Mutex<SlotState<A>>,
}

#[derive(Debug)]
struct SlotState<A> {
    answer: Option<Result<A, Error>>,
    waker: Option<Waker>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds the lock, so the state is whole even when poisoned.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> Error {
    Error::new(ErrorKind::Poisoned, "submit", "the store is closed")
}

impl<R, A> Submitter<R, A> {
    pub(crate) fn new() -> (Self, Arc<Inbox<R, A>>) {
        let state = State {
            waiting: VecDeque::new(),
            outside: Vec::new(),
            open: true,
            wakes_at: usize::MAX,
            nudged: false,
            settlers: Vec::new(),
        };
        let inbox = Arc::new(Inbox {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            troubles: Troubles::default(),
        });
        (Submitter { inbox: inbox.clone() }, inbox)
    }

    /// Puts a request in at once if there is room, else when the ticket is polled.
    pub fn submit(&self, request: R) -> Ticket<R, A> {
        let slot = Arc::new(Slot { state: Mutex::new(SlotState { answer: None, waker: None }) });
        let unsent = self.inbox.push(request, &slot, None);
        Ticket { inbox: self.inbox.clone(), unsent, slot }
    }

    /// Asks the batch loop to end: what waits is still answered, then everything is laid out.
    pub fn close(&self) {
        self.inbox.close();
    }

    /// Asks for a checkpoint now, and is answered when everything acknowledged so far is durable
    /// in the files.
    pub fn settle(&self) -> Settled {
        let slot = Arc::new(Slot { state: Mutex::new(SlotState { answer: None, waker: None }) });
        let reply = Reply { slot: slot.clone() };
        let mut state = guard(&self.inbox.state);
        if state.open {
            state.settlers.push(reply);
            state.nudged = true;
        }
        drop(state);
        self.inbox.arrived.notify_one();
        Settled { slot }
    }

    /// What the disk does to the store from the beginning on.
    pub fn troubles(&self) -> Troubles {
        self.inbox.troubles.clone()
    }

    /// How many requests wait now.
    pub fn waiting(&self) -> usize {
        guard(&self.inbox.state).waiting.len()
    }
}

impl<R, A> Inbox<R, A> {
    /// Gives the request back when there is no room.
    fn push(&self, request: R, slot: &Arc<Slot<A>>, waker: Option<&Waker>) -> Option<R> {
        let mut state = guard(&self.state);
        if !state.open {
            drop(state);
            slot.put(Err(closed())).into_iter().for_each(Waker::wake);
            return None;
        }
        if state.waiting.len() >= WAITING_REQUESTS {
            if let Some(waker) = waker {
                state.outside.push(waker.clone());
            }
            return Some(request);
        }
        state.waiting.push_back(Pending { request, reply: Reply { slot: slot.clone() } });
        let wakes = state.waiting.len() >= state.wakes_at;
        drop(state);
        if wakes {
            self.arrived.notify_one();
        }
        None
    }

    pub(crate) fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    /// Closed, and what waits is answered with an error.
    pub(crate) fn abandon(&self) {
        self.close();
        drop(self.take(usize::MAX));
        drop(self.take_settlers());
    }

    pub(crate) fn close(&self) {
        let mut state = guard(&self.state);
        state.open = false;
        let outside = std::mem::take(&mut state.outside);
        drop(state);
        self.arrived.notify_all();
        outside.into_iter().for_each(Waker::wake);
    }

    /// At most `most` requests, oldest first.
    pub(crate) fn take(&self, most: usize) -> Vec<Pending<R, A>> {
        let mut state = guard(&self.state);
        let count = state.waiting.len().min(most);
        let taken = state.waiting.drain(..count).collect();
        let outside = std::mem::take(&mut state.outside);
        drop(state);
        outside.into_iter().for_each(Waker::wake);
        taken
    }

    /// Whether nothing waits; with the answer whether anything can still come.
    pub(crate) fn is_open(&self) -> bool {
        guard(&self.state).open
    }

    pub(crate) fn is_empty(&self) -> bool {
        guard(&self.state).waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        guard(&self.state).waiting.len()
    }

    /// Sleeps until `wanted` requests wait, the inbox is closed, or `longest` has passed.
    pub(crate) fn wait(&self, longest: Duration, wanted: usize) {
        let mut state = guard(&self.state);
        state.wakes_at = wanted;
        let idle =
            |state: &mut State<R, A>| state.waiting.len() < wanted && state.open && !state.nudged;
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, longest, idle)
            .unwrap_or_else(PoisonError::into_inner);
        state.nudged = false;
        state.wakes_at = usize::MAX;
    }

    pub(crate) fn has_settlers(&self) -> bool {
        !guard(&self.state).settlers.is_empty()
    }

    pub(crate) fn take_settlers(&self) -> Vec<Reply<()>> {
        std::mem::take(&mut guard(&self.state).settlers)
    }

    /// Wakes the loop.
    pub(crate) fn nudge(&self) {
        guard(&self.state).nudged = true;
        self.arrived.notify_one();
    }
}

impl<A> Reply<A> {
    pub(crate) fn answer(self, answer: Result<A, Error>) {
        self.slot.put(answer).into_iter().for_each(Waker::wake);
    }

    /// Answers; whoever waits is woken by the caller, when all of a batch have their answers.
    pub(crate) fn answer_unwoken(self, answer: Result<A, Error>) -> Option<Waker> {
        self.slot.put(answer)
    }
}

impl<A> Drop for Reply<A> {
    fn drop(&mut self) {
        self.slot.put(Err(closed())).into_iter().for_each(Waker::wake);
    }
}

impl<A> Slot<A> {
    /// The first answer counts. Gives who is to be woken.
    fn put(&self, answer: Result<A, Error>) -> Option<Waker> {
        let mut state = guard(&self.state);
        if state.answer.is_none() {
            state.answer = Some(answer);
        }
        state.waker.take()
    }
}

impl<A> Slot<A> {
    fn poll(&self, context: &Context<'_>) -> Poll<Result<A, Error>> {
        let mut state = guard(&self.state);
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<R: Unpin, A> Ticket<R, A> {
    /// Blocks this thread until the answer is there. Not for use inside a runtime.
    pub fn wait(self) -> Result<A, Error> {
        block_on(self)
    }
}

impl Settled {
    /// Blocks this thread until the answer is there. Not for use inside a runtime.
    pub fn wait(self) -> Result<(), Error> {
        block_on(self)
    }
}

impl<R: Unpin, A> Future for Ticket<R, A> {
    type Output = Result<A, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.get_mut();
        if let Some(request) = ticket.unsent.take() {
            ticket.unsent = ticket.inbox.push(request, &ticket.slot, Some(context.waker()));
            if ticket.unsent.is_some() {
                return Poll::Pending;
            }
        }
        ticket.slot.poll(context)
    }
}

impl Future for Settled {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.poll(context)
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let unpark = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&unpark);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
