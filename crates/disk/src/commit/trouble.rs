//! What a disk does to a store, told to whoever runs it: a log that had to be begun anew, and the
//! end of the store. Those who ask hear of it as refusals; this is for the one who tells people,
//! and starts the process again. Knows no runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Error;

/// Something that the disk has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A sync of the log has failed, what waited for it was refused, and a new log is in its place.
    BegunAnew(Error),
    /// The store takes nothing more until it is opened again.
    Stopped(Error),
}

/// The troubles of one store, oldest first. Clones each hear of all that come after they were made.
#[derive(Debug, Clone, Default)]
pub struct Troubles {
    shared: Arc<Mutex<Told>>,
    heard: usize,
}

#[derive(Debug, Default)]
struct Told {
    /// No longer than [`crate::limits::LOG_RESTARTS`] and the end.
    all: Vec<Trouble>,
    wakers: Vec<Waker>,
}

impl Troubles {
    /// The next one; for ever if none comes.
    pub fn following(&mut self) -> impl Future<Output = Trouble> + '_ {
        Following { troubles: self }
    }

    /// After the end there is nothing to tell.
    pub(super) fn tell(&self, trouble: Trouble) {
        let mut told = self.told();
        if !matches!(told.all.last(), Some(Trouble::Stopped(_))) {
            told.all.push(trouble);
        }
        let wakers = std::mem::take(&mut told.wakers);
        drop(told);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Nothing panics while it is held.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Following<'a> {
    troubles: &'a mut Troubles,
}

impl Future for Following<'_> {
    type Output = Trouble;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Trouble> {
        let troubles = &mut *self.troubles;
        let mut told = troubles.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = told.all.get(troubles.heard) {
            troubles.heard += 1;
            return Poll::Ready(next.clone());
        }
        if !told.wakers.iter().any(|known| known.will_wake(context.waker())) {
            told.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}
