//! The facts of a store whose agent is down: opens it as the agent would, which also mends what a
//! crash left, looks at its files, and closes it.

use std::sync::Arc;

use disk::{Disk, RealDisk};
use mailbox::Mailboxes;
use net::Clock;
use queue::Queue;
use service::ledger::Fact;
use service::{Config, Exit, Fatal, Paths};

/// What the MTA's store says.
///
/// # Errors
/// When another process holds it, or it cannot be read.
pub(crate) async fn queue(config: &Config) -> Result<Vec<Fact>, Fatal> {
    let directory = Paths::new(&config.storage.data_dir).queue();
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let cannot =
        |error: disk::Error| unreadable("queue", error.kind() == disk::ErrorKind::Busy, &error);
    let mut options = queue::Options::new(directory);
    options.commit.log.segment = config.storage.log_segment;
    let (queue, writer, _) = Queue::open(real_disk(), options).map_err(cannot)?;
    let facts = mta::control::facts(&queue).await.map_err(cannot)?;
    writer.close();
    Ok(facts)
}

/// What the MDA's store says.
///
/// # Errors
/// When another process holds it, or it cannot be read.
pub(crate) async fn mailboxes(config: &Config) -> Result<Vec<Fact>, Fatal> {
    let directory = Paths::new(&config.storage.data_dir).mail();
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let clock = Clock::real();
    let mut options = mailbox::Options::new(directory, Arc::new(move || clock.now()));
    options.commit.log.segment = config.storage.log_segment;
    let cannot = |error: mailbox::Error| unreadable("mailboxes", false, &error);
    let opened = Mailboxes::open(real_disk(), options).map_err(cannot)?;
    let facts = mda::facts(&opened.mailboxes).await.map_err(cannot)?;
    opened.committer.close();
    Ok(facts)
}

fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn unreadable(store: &str, busy: bool, error: &dyn std::fmt::Display) -> Fatal {
    let exit = if busy { Exit::TryAgain } else { Exit::No };
    Fatal::new(exit, format!("the {store} cannot be looked at: {error}"))
}
