//! Letters in transit: a durable queue with one human-readable file per letter that outlives the
//! intake log's checkpoint, and a schedule in memory.
//!
//! It keeps and tells; it does not send. What to try when, and what a reply means, is decided by
//! its one writer, `mta`. docs/queue.md has the files, the states, and what a crash at each point
//! leaves.

pub mod limits;

mod change;
mod file;
mod index;
mod letter;
mod queue;
mod scan;
mod store;

pub use index::Place;
pub use letter::{
    Change, Letter, NewLetter, NewRecipient, Origin, Progress, Recipient, Said, State,
};
pub use queue::{Lease, Listed, Options, Queue, Report, Stepped, Verified, Watch, Writer};
pub use store::{Answer, QueueStore, Request, Wait};

/// The answer to a request, when it is durable.
pub type Ticket = disk::Ticket<Request, Answer>;
