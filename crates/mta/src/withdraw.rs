//! Letters taken out of the queue before they have left: by an operator (`control`), or by who
//! submitted them (XRECALL, in `receive`). One that is being tried is stopped first: it is held, so
//! that no further transaction begins, and the one that goes on is waited for.
//!
//! It tells nobody: what is written into the journey is its callers'.

use net::Clock;
use protocol::machine::Tick;
use queue::{Change, Listed, Progress, Queue, Said, State, Wait};

use crate::reason::Reason;

/// What came of stopping a letter that was being tried.
pub(crate) enum Stopped {
    /// Nobody works on it; as it is now.
    Rests(Box<Listed>),
    /// It has left.
    Gone,
    /// Its transaction takes longer than anybody waits.
    Not,
}

/// Stops a letter, and waits until `deadline` for the transaction that goes on.
///
/// # Errors
/// That it is to rest cannot be written down.
pub(crate) async fn stop(
    (queue, clock): (&Queue, &Clock),
    listed: &Listed,
    (why, deadline): (&str, Tick),
) -> disk::Result<Stopped> {
    let id = listed.letter.journey;
    let at = (id, clock.now());
    let is_ours = listed.letter.held.is_none();
    if is_ours {
        queue.change(at, vec![Change::Hold(why.to_owned())], Wait::Durable).await?;
    }
    let mut watch = queue.watch();
    loop {
        match queue.show(id) {
            None => return Ok(Stopped::Gone),
            Some(listed) if !listed.active => return Ok(Stopped::Rests(Box::new(listed))),
            Some(_) => {}
        }
        let left = deadline.since(clock.tick());
        if left.is_zero() {
            if is_ours {
                queue.change(at, vec![Change::Release], Wait::Durable).await?;
            }
            return Ok(Stopped::Not);
        }
        tokio::select! {
            () = watch.changed() => {}
            () = clock.sleep(left) => {}
        }
    }
}

/// The end of every recipient that waits.
pub(crate) fn ended(listed: &Listed, state: State, text: &str) -> Vec<Change> {
    let ended = |(index, recipient): (usize, &queue::Recipient)| {
        let reason = Reason::Operator.to_string();
        let last = Some(Said { reason, host: String::new(), text: text.to_owned() });
        let progress = Progress { state, last, ..recipient.progress.clone() };
        Change::Recipient(index, progress)
    };
    listed.letter.waiting().map(ended).collect()
}
