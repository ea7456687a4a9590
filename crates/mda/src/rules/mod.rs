//! People's rules: their Sieve scripts (`shelf`), what automatic answers have to remember
//! (`memory`), letters that rules make or send on (`outgoing`), and the book of letters that rules
//! made an end of (`book`). What a rule does to a letter is `deliver::ruled`'s; what a script means
//! is the crate `sieve`'s.
//!
//! Called by delivery, by the ManageSieve server and by the verbs of the control socket.

mod book;
mod limits;
mod memory;
mod outgoing;
mod shelf;
pub mod verbs;
mod world;

use std::sync::Arc;

use disk::{Disk, RealDisk};
use service::{Context, Paths};
use tokio::sync::Semaphore;

pub(crate) use book::Book;
pub(crate) use memory::Memory;
pub(crate) use outgoing::{Outgoing, Posted, Unsent};
pub(crate) use shelf::{Active, Shelf, ShelfError};
pub(crate) use world::{Surroundings, duplicate_key, parse_use};

/// All that concerns rules. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The scripts.
    pub(crate) shelf: Arc<Shelf>,
    /// What was answered, and what was seen.
    pub(crate) memory: Arc<Memory>,
    /// The way to the transfer agent.
    pub(crate) outgoing: Arc<Outgoing>,
    /// Letters that a rule made an end of.
    pub(crate) book: Arc<Book>,
    /// A permit for each script that runs, with its whole letter in memory.
    pub(crate) runs: Arc<Semaphore>,
}

impl Rules {
    /// Rules below the data folder; nothing is read yet.
    pub(crate) fn new(context: &Context) -> Self {
        Rules::of(&context.paths, Outgoing::new(context))
    }

    fn of(paths: &Paths, outgoing: Outgoing) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let state = paths.state();
        Rules {
            shelf: Arc::new(Shelf::new(disk.clone(), paths.sieve())),
            memory: Arc::new(Memory::new(disk.clone(), state.join("sieve"))),
            outgoing: Arc::new(outgoing),
            book: Arc::new(Book::new(disk, state.join("sieve-custody"))),
            runs: Arc::new(Semaphore::new(limits::RUNS)),
        }
    }

    /// The same without an agent around them, for tests of deliveries.
    #[cfg(test)]
    pub(crate) fn beside(paths: &Paths, clock: &net::Clock) -> Self {
        Rules::of(paths, Outgoing::to(paths.mta_socket(), clock))
    }
}

/// An account's part of a path: letters, digits and a few signs stay, the rest is `%XX`, so that no
/// name climbs out of its folder.
fn file_part(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (index, octet) in name.bytes().enumerate() {
        let plain = octet.is_ascii_alphanumeric()
            || b"_-+@=".contains(&octet)
            || (octet == b'.' && index > 0);
        if plain {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

/// The name that a part of a path stands for.
fn name_of(part: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let mut digit = || rest.next().and_then(|octet| char::from(octet).to_digit(16));
        octets.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_paths_and_come_back() {
        for name in ["vacation", "..", ".hidden", "a/b", "Grüße", "100%", "x.sieve"] {
            let part = file_part(name);
            assert!(!part.contains('/') && !part.starts_with('.'), "{part}");
            assert_eq!(name_of(&part).as_deref(), Some(name));
        }
    }
}
