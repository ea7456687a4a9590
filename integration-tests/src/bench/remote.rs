//! Loads on a server that somebody else runs, by address and port: letters to it, or what people
//! do in a mailbox of it. Nothing is started, restarted or counted there.

use std::net::SocketAddr;

use super::imap::Door;
use super::reading::{self, PageCache};
use super::{Reuse, Workload, load};

/// Sessions of the three runs.
const SESSIONS: [usize; 3] = [1, 10, 50];

/// `smtp:ADDRESS:PORT RECIPIENT COUNT` or `imap:ADDRESS:PORT USER LETTERS`.
///
/// # Errors
///
/// Words of another shape, or what the load met.
pub fn measure(words: &[String]) -> Result<(), String> {
    let [target, who, count] = words else { return Err("see --help".into()) };
    let count: usize = count.parse().map_err(|_| format!("{count}: not a number"))?;
    let (kind, address) = target.split_once(':').ok_or("smtp: or imap: is missing")?;
    let server: SocketAddr = address.parse().map_err(|error| format!("{address}: {error}"))?;
    match kind {
        "smtp" => {
            for sessions in SESSIONS {
                println!(
                    "{sessions:3} sessions: {:.0} letters/s",
                    letters(server, who, (count, sessions))?
                );
            }
            Ok(())
        }
        "imap" => {
            let password =
                std::env::var("BENCH_PASSWORD").map_err(|_| "BENCH_PASSWORD is not set")?;
            let door = Door { server, user: who.clone(), password };
            let rows = reading::visit(&door, count, PageCache::Kept)?;
            rows.iter().for_each(|(name, value)| println!("{name:24} {value:10.2} ms"));
            Ok(())
        }
        _ => Err(format!("{kind}? smtp: or imap:")),
    }
}

/// Letters per second that a server accepts.
///
/// # Errors
///
/// What the load met.
pub fn letters(
    server: SocketAddr,
    recipient: &str,
    (letters, sessions): (usize, usize),
) -> Result<f64, String> {
    let work = Workload { letters, sessions, size: 4096, boxes: 1, fan: 1, reuse: Reuse::Session };
    let time = load::send(&server.into(), &work, &[recipient.to_owned()])?;
    Ok(letters as f64 / time.as_secs_f64())
}
