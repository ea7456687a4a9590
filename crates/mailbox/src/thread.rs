//! Blocking work on a thread of its own, awaited without any runtime. For the few long letters;
//! a short one must never pay for a thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};

struct Slot<T> {
    done: Option<T>,
    /// The thread has ended, with or without a result.
    ended: bool,
    waker: Option<Waker>,
}

struct Running<T>(Arc<Mutex<Slot<T>>>);

/// Tells the waiter, even if the work panicked.
struct Ends<T>(Arc<Mutex<Slot<T>>>);

/// Runs `work` on a thread of its own. [`Error::Unavailable`] when there is no thread for it.
pub(crate) async fn run<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let slot = Arc::new(Mutex::new(Slot { done: None, ended: false, waker: None }));
    let ends = Ends(slot.clone());
    let body = move || {
        let done = work();
        ends.0.lock().unwrap_or_else(PoisonError::into_inner).done = Some(done);
        drop(ends);
    };
    let started = std::thread::Builder::new().name(what.to_owned()).spawn(body);
    if let Err(error) = started {
        return Err(Error::Unavailable(format!("cannot start a thread to {what}: {error}")));
    }
    Running(slot).await.ok_or_else(|| Error::Unavailable(format!("the thread to {what} failed")))
}

impl<T> Drop for Ends<T> {
    fn drop(&mut self) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.ended = true;
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Running<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.ended {
            return Poll::Ready(slot.done.take());
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
