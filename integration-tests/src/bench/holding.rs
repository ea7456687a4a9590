//! Memory: of an idle server, of sessions that do nothing, of a letter while it passes. Not speed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::imap::{Door, Imap};
use super::load::{self, Target};
use super::runner::Figures;
use super::server::{DOMAIN, Server};
use super::{Reuse, Workload, tls, usage};
use crate::wait;

/// How long sessions are held before they are weighed: what was put off is done by then.
const SETTLED: Duration = Duration::from_secs(2);
/// Sessions that come from one loopback address: few enough for anybody's bound per client.
const PER_ADDRESS: usize = 40;

/// Memory of a server, KiB.
fn weigh(server: &Server) -> f64 {
    server.roots.iter().map(|&root| usage::memory(root)).sum::<u64>() as f64
}

fn settle(server: &Server) {
    server.roots.iter().for_each(|&root| usage::settle(root));
    wait::try_within(SETTLED, || None::<()>);
}

/// So many SMTP sessions after their EHLO.
///
/// # Errors
///
/// A session that was refused.
pub fn smtp(server: &Server, sessions: usize) -> Result<Figures, String> {
    let address = server.smtp.ok_or("no SMTP here")?;
    settle(server);
    let before = weigh(server);
    let mut held = Vec::new();
    for number in 0..sessions {
        let one = smtp_session(address, number);
        held.push(one.map_err(|error| format!("{}: session {number}: {error}", server.name))?);
    }
    settle(server);
    Ok(figures(before, weigh(server), sessions))
}

fn figures(before: f64, after: f64, sessions: usize) -> Figures {
    BTreeMap::from([
        ("idle MiB".into(), before / 1024.0),
        ("held MiB".into(), after / 1024.0),
        ("KiB per session".into(), (after - before) / sessions as f64),
    ])
}

fn smtp_session(server: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let mut stream = from_elsewhere(server, number)?;
    stream.set_read_timeout(Some(wait::PATIENCE))?;
    expect(&mut stream, b"220")?;
    stream.write_all(b"EHLO load.sender.test\r\n")?;
    expect(&mut stream, b"250")?;
    Ok(stream)
}

/// A connection from one of many loopback addresses.
fn from_elsewhere(server: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let step = u8::try_from(number / PER_ADDRESS % 250 + 1).unwrap_or(1);
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, step), 0));
    let (family, kind) = (rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM);
    let socket = rustix::net::socket(family, kind, None)?;
    rustix::net::bind(&socket, &from)?;
    rustix::net::connect(&socket, &server)?;
    Ok(socket.into())
}

/// Reads one reply, whose lines begin with the code.
fn expect(stream: &mut TcpStream, code: &[u8]) -> std::io::Result<()> {
    let mut heard = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let read = stream.read(&mut piece)?;
        heard.extend_from_slice(&piece[..read]);
        let last = heard.split(|&byte| byte == b'\n').rev().nth(1).unwrap_or_default();
        if read == 0 || !heard.starts_with(&code[..heard.len().min(3)]) {
            return Err(std::io::Error::other(String::from_utf8_lossy(&heard).into_owned()));
        }
        if heard.ends_with(b"\n") && last.get(3) == Some(&b' ') {
            return Ok(());
        }
    }
}

/// So many IMAP sessions under TLS, each idling in INBOX.
///
/// # Errors
///
/// A session that was refused.
pub fn imap(server: &Server, sessions: usize) -> Result<Figures, String> {
    let door = server.imap.as_ref().ok_or("nobody reads here")?;
    let address = server.imaps.ok_or("no IMAP under TLS here")?;
    let config = tls::config();
    settle(server);
    let before = weigh(server);
    let mut held = Vec::new();
    for number in 0..sessions {
        let door = Door { user: format!("box{}@{DOMAIN}", number % 10), ..door.clone() };
        let one = || -> std::io::Result<Imap> {
            let mut imap = Imap::connect(address, Some(&config))?;
            imap.login(&door)?;
            imap.command("SELECT INBOX")?;
            imap.idle()?;
            Ok(imap)
        };
        held.push(one().map_err(|error| format!("{}: session {number}: {error}", server.name))?);
    }
    settle(server);
    Ok(figures(before, weigh(server), sessions))
}

/// The most memory while a letter of so many MB passes, over what there was before.
///
/// # Errors
///
/// The letter was refused.
pub fn passing(server: &Server, mb: usize) -> Result<Figures, String> {
    let target: Target = server.smtp.ok_or("no SMTP here")?.into();
    let letter =
        |size| Workload { letters: 1, sessions: 1, size, boxes: 1, fan: 1, reuse: Reuse::Nothing };
    // What is allocated once for good is not this letter's.
    load::send(&target, &letter(4096), &server.recipients)?;
    settle(server);
    let before = weigh(server);
    let over = AtomicBool::new(false);
    let (sent, most) = std::thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !over.load(Ordering::Relaxed) {
                most = most.max(weigh(server));
            }
            most
        });
        let sent = load::send(&target, &letter(mb * 1_000_000), &server.recipients);
        over.store(true, Ordering::Relaxed);
        (sent, peak.join().unwrap_or(f64::NAN))
    });
    let time = sent.map_err(|error| format!("{}: {error}", server.name))?;
    settle(server);
    Ok(BTreeMap::from([
        ("idle MiB".into(), before / 1024.0),
        ("peak above idle MiB".into(), (most - before) / 1024.0),
        ("left above idle MiB".into(), (weigh(server) - before) / 1024.0),
        ("MB/s".into(), mb as f64 / time.as_secs_f64()),
    ]))
}
