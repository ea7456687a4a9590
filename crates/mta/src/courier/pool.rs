//! Sessions that wait for the next letter for the same place. Bounded in number and age.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::machine::Tick;

use super::session::Session;
use super::target::Target;

/// Sessions that wait, of all places together.
const IDLE: usize = 100;

/// Sessions that wait for one place.
const IDLE_PER_TARGET: usize = 20;

/// How long a session waits. Servers give up on silent clients; the polite ones hang up first.
const IDLE_FOR: Duration = Duration::from_secs(10);

/// Letters over one session: then a fresh one, so that a host behind several addresses shares its
/// load.
const LETTERS_PER_SESSION: u32 = 1000;

/// The sessions that wait.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<Target, Vec<(Session, Tick)>>>,
}

impl Pool {
    /// A session with `target` that is still open.
    pub(crate) fn take(&self, target: &Target, now: Tick) -> Option<Session> {
        loop {
            let (mut session, since) = self.lock().get_mut(target)?.pop()?;
            if now.since(since) < IDLE_FOR && session.is_alive() {
                return Some(session);
            }
        }
    }

    /// Keeps a session for the next letter, if it is good for one; the rest is given back to be
    /// ended politely.
    pub(crate) fn keep(&self, target: Target, mut session: Session, now: Tick) -> Vec<Session> {
        if !session.is_usable() || session.letters() >= LETTERS_PER_SESSION {
            return vec![session];
        }
        let mut idle = self.lock();
        let mut leaving = old(&mut idle, now);
        let waiting: usize = idle.values().map(Vec::len).sum();
        let here = idle.entry(target).or_default();
        if waiting >= IDLE || here.len() >= IDLE_PER_TARGET {
            leaving.push(session);
        } else {
            here.push((session, now));
        }
        leaving
    }

    /// All sessions that have waited too long.
    pub(crate) fn take_old(&self, now: Tick) -> Vec<Session> {
        old(&mut self.lock(), now)
    }

    /// All sessions, at the end.
    pub(crate) fn take_all(&self) -> Vec<Session> {
        self.lock().drain().flat_map(|(_, waiting)| waiting).map(|(session, _)| session).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Vec<(Session, Tick)>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn old(idle: &mut HashMap<Target, Vec<(Session, Tick)>>, now: Tick) -> Vec<Session> {
    let mut leaving = Vec::new();
    idle.retain(|_, waiting| {
        let is_old = |(_, since): &mut (Session, Tick)| now.since(*since) >= IDLE_FOR;
        leaving.extend(waiting.extract_if(.., is_old).map(|(session, _)| session));
        !waiting.is_empty()
    });
    leaving
}
