//! A long queue: so many letters that nobody takes, and what they cost: to take, to start with, to
//! hold in memory, and to the fresh mail beside them.

use std::net::SocketAddr;
use std::time::Instant;

use super::load::{self, Target};
use super::runner::Figures;
use super::server::{DOMAIN, Keeping, Server};
use super::{Reuse, Workload, usage};

/// Fresh letters beside the queue.
const FRESH: usize = 3_000;
/// Letters taken in one go: a run of the generator has a bound in time.
const SLICE: usize = 20_000;

/// An address where nobody listens: who is told to relay there defers.
pub fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address")
}

/// Fills the queue of a server whose first recipient leads to [`nobody`], and measures.
///
/// # Errors
///
/// What the load generator met, or a server that does not come back.
pub fn run(mut server: Server, letters: usize) -> Result<Figures, String> {
    let target: Target = server.smtp.ok_or("no SMTP here")?.into();
    let work = |letters, size| Workload {
        letters,
        sessions: 20,
        size,
        boxes: 1,
        fan: 1,
        reuse: Reuse::Session,
    };
    let memory = |server: &Server| {
        server.roots.iter().map(|&root| usage::memory(root)).sum::<u64>() as f64 / 1024.0
    };
    let local = [format!("box1@{DOMAIN}")];
    let fresh = |rows: &mut Figures, name: &str| -> Result<(), String> {
        let time = load::send(&target, &work(FRESH, 4096), &local)?;
        rows.insert(name.into(), FRESH as f64 / time.as_secs_f64());
        Ok(())
    };
    let mut rows = Figures::new();
    fresh(&mut rows, "fresh before, accepted/s")?;
    rows.insert("idle MiB".into(), memory(&server));
    let begun = Instant::now();
    let mut left = letters;
    while left > 0 {
        let slice = left.min(SLICE);
        load::send(&target, &work(slice, 1024), &server.recipients[..1])?;
        left -= slice;
    }
    rows.insert("queued/s".into(), letters as f64 / begun.elapsed().as_secs_f64());
    server.roots.iter().for_each(|&root| usage::settle(root));
    rows.insert("with queue MiB".into(), memory(&server));
    fresh(&mut rows, "fresh beside, accepted/s")?;
    let begun = Instant::now();
    server.restart(Keeping::Everything)?;
    server.await_greeting();
    rows.insert("restart s".into(), begun.elapsed().as_secs_f64());
    fresh(&mut rows, "fresh after restart, accepted/s")?;
    rows.insert("after restart MiB".into(), memory(&server));
    Ok(rows)
}
