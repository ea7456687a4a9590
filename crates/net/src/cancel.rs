//! A tree of cancel tokens: cancelling one cancels all below it. Not a signal handler and not a
//! deadline; `service::daemon` holds the root, sessions and tasks hold children.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

/// A token that says "stop". Clones are the same token; children are stopped with their parent,
/// but not the other way.
#[derive(Debug, Clone)]
pub struct Cancel {
    node: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    state: watch::Sender<bool>,
    children: Mutex<Vec<Weak<Node>>>,
}

impl Cancel {
    /// A root that nobody has cancelled.
    pub fn new() -> Self {
        let (state, _) = watch::channel(false);
        Cancel { node: Arc::new(Node { state, children: Mutex::new(Vec::new()) }) }
    }

    /// A token that is cancelled with this one, or on its own.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Cancel::new();
        let mut children = self.node.children.lock().unwrap_or_else(PoisonError::into_inner);
        // Dead children are thrown out when the list would grow: amortised constant cost.
        if children.len() == children.capacity() {
            children.retain(|node| node.strong_count() > 0);
        }
        children.push(Arc::downgrade(&child.node));
        drop(children);
        // Looked at after registering, so that a cancel in between is not missed.
        if self.is_cancelled() {
            child.cancel();
        }
        child
    }

    /// Cancels this token and all below it; again does nothing.
    pub fn cancel(&self) {
        self.node.cancel();
    }

    /// Somebody has cancelled this token or one above it.
    pub fn is_cancelled(&self) -> bool {
        *self.node.state.borrow()
    }

    /// Waits until cancelled; at once if it is already. Cancel-safe.
    pub async fn cancelled(&self) {
        let mut state = self.node.state.subscribe();
        // The sender lives in `self.node`, so the channel cannot close while we wait.
        let _ = state.wait_for(|cancelled| *cancelled).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    fn cancel(&self) {
        if self.state.send_replace(true) {
            return;
        }
        let children =
            std::mem::take(&mut *self.children.lock().unwrap_or_else(PoisonError::into_inner));
        for child in children.iter().filter_map(Weak::upgrade) {
            child.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cancelling_goes_down_and_not_up() {
        let root = Cancel::new();
        let left = root.child();
        let right = root.child();
        let leaf = left.child();
        left.cancel();
        assert!(left.is_cancelled() && leaf.is_cancelled());
        assert!(!root.is_cancelled() && !right.is_cancelled());
        let waiting = tokio::spawn({
            let right = right.clone();
            async move { right.cancelled().await }
        });
        root.cancel();
        waiting.await.expect("the waiting task ends");
        assert!(root.child().is_cancelled());
    }

    #[test]
    fn dead_children_do_not_pile_up() {
        let root = Cancel::new();
        for _ in 0..10_000 {
            drop(root.child());
        }
        assert!(root.node.children.lock().expect("not poisoned").capacity() < 16);
    }
}
