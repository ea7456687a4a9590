//! What the queue knows of custody, for the ledger: lines of its book, and what waits now with its
//! file seen on disk. Taken so that a letter on the move is never seen twice or not at all.

use std::collections::HashSet;

use disk::custody::{Act as BookAct, Entry};
use protocol::journey::JourneyId;
use queue::{Queue, State};
use service::ledger::{Act, Fact};

/// All facts. Lays everything out first, so that every letter has a file to be looked at.
///
/// # Errors
/// The disk's.
pub async fn of_queue(queue: &Queue) -> disk::Result<Vec<Fact>> {
    // Letters that the book knows now are told about; later ones are left for the next time.
    queue.settle().await?;
    let mut known: HashSet<JourneyId> = HashSet::new();
    queue.custody(&mut |entry| {
        known.insert(entry.journey);
    })?;
    let seen = queue.verify();
    // What ended while we looked is in the book by now.
    queue.settle().await?;
    let mut entries: Vec<Entry> = Vec::new();
    queue.custody(&mut |entry| entries.push(entry))?;
    entries.retain(|entry| known.contains(&entry.journey));
    let ended: HashSet<(JourneyId, &str)> = entries
        .iter()
        .filter(|entry| is_end(entry.act))
        .map(|entry| (entry.journey, entry.recipient.as_str()))
        .collect();
    let mut facts: Vec<Fact> = entries.iter().flat_map(Fact::try_from).collect();
    for one in seen {
        let letter = &one.letter;
        if !known.contains(&letter.journey) {
            continue;
        }
        if let Some(wrong) = &one.wrong {
            tracing::error!(journey = %letter.journey, wrong, "a letter of the queue is not there");
            continue;
        }
        for recipient in &letter.recipients {
            let address = recipient.address.to_string();
            let waits = recipient.progress.state == State::Waiting;
            if waits && !ended.contains(&(letter.journey, address.as_str())) {
                facts.push(Fact::new(letter.journey, address, Act::Queued));
            }
        }
    }
    Ok(facts)
}

fn is_end(act: BookAct) -> bool {
    matches!(act, BookAct::Delivered | BookAct::Relayed | BookAct::Bounced | BookAct::Discarded)
}
