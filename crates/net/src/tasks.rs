//! A group of spawned tasks that can be counted and waited for: the sessions of an agent while it
//! drains. Not a bound on their number (that is `listen::Admission`).

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

/// A group of tasks; clones are the same group.
#[derive(Debug, Clone)]
pub struct Tasks {
    running: Arc<watch::Sender<usize>>,
}

impl Tasks {
    /// A group without tasks.
    pub fn new() -> Self {
        Tasks { running: Arc::new(watch::channel(0).0) }
    }

    /// Starts `future` on the current runtime as one of this group. A panic in it ends it alone.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = Running::start(&self.running);
        // A block that holds a future and then awaits it has room for it twice; a session should
        // cost what it needs.
        let future = Box::pin(future);
        tokio::spawn(async move {
            let _running = running;
            future.await;
        });
    }

    /// How many run now.
    pub fn count(&self) -> usize {
        *self.running.borrow()
    }

    /// Waits until none runs. Cancel-safe.
    pub async fn idle(&self) {
        let mut count = self.running.subscribe();
        let _ = count.wait_for(|count| *count == 0).await;
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts one task for as long as it lives, also when it panics.
struct Running(Arc<watch::Sender<usize>>);

impl Running {
    fn start(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Running(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_means_that_all_have_ended() {
        let tasks = Tasks::new();
        tasks.idle().await;
        let (release, held) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn(async move {
            let _ = held.await;
        });
        assert_eq!(tasks.count(), 1);
        release.send(()).expect("the task waits");
        tasks.idle().await;
        assert_eq!(tasks.count(), 0);
    }
}
