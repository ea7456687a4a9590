//! A mail server of a test that does as a script says: friendly but for the verbs that the script
//! names. One thread for each connection, blocking. It keeps what it was given.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::address::{Address, Service};

/// What is done at one verb instead of being friendly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// This reply; a 221 or 421 closes.
    Say(&'static str),
    /// This reply the first time only.
    Once(&'static str),
    /// The connection is closed without a word.
    Drop,
    /// The same the first time only.
    DropOnce,
    /// At the end of the data: taken, and closed before the reply, the first time.
    TakeAndDropOnce,
    /// Half of what is promised: the handshake of STARTTLS breaks.
    BreakTls,
}

/// A script: verbs in upper case (`GREETING`, `EHLO`, `MAIL`, `RCPT`, `DATA`, `BODY`, `END`,
/// `STARTTLS`) and what is done there.
pub type Script = &'static [(&'static str, Act)];

/// What a receiver is to be.
#[derive(Clone, Default)]
pub struct Manner {
    /// What is done other than friendly.
    pub script: Script,
    /// Extensions in EHLO besides PIPELINING and ENHANCEDSTATUSCODES.
    pub offers: &'static [&'static str],
    /// STARTTLS with this.
    pub tls: Option<Arc<ServerConfig>>,
}

/// A running receiver.
pub struct Receiver {
    address: Address,
    letters: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
}

impl Receiver {
    /// Starts one on an address of its own, at the port of other transfer agents in tests.
    pub fn start(manner: Manner) -> Receiver {
        let address = Address::take();
        let listener = TcpListener::bind((address.ip(), Service::Smtp.port())).expect("leased");
        let letters = Arc::<Mutex<Vec<String>>>::default();
        let (connections, stop) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let (kept, count, stopped) = (letters.clone(), connections.clone(), stop.clone());
        std::thread::spawn(move || {
            let done: Arc<Mutex<Vec<&'static str>>> = Arc::default();
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let talk = Talk { manner: manner.clone(), done: done.clone(), kept: kept.clone() };
                std::thread::spawn(move || talk.serve(stream));
            }
        });
        Receiver { address, letters, connections, stop }
    }

    /// Its address.
    pub fn ip(&self) -> std::net::IpAddr {
        self.address.ip()
    }

    /// The letters that it took, without the dots of transparency.
    pub fn letters(&self) -> Vec<String> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let at = SocketAddr::new(self.address.ip(), Service::Smtp.port());
        drop(TcpStream::connect(at));
    }
}

struct Talk {
    manner: Manner,
    /// What was done once.
    done: Arc<Mutex<Vec<&'static str>>>,
    kept: Arc<Mutex<Vec<String>>>,
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// How a dialogue goes on.
enum Next {
    On,
    End,
    Tls,
}

impl Talk {
    fn serve(&self, stream: TcpStream) {
        let Ok(raw) = stream.try_clone() else { return };
        let mut lines: BufReader<Box<dyn Both>> = BufReader::new(Box::new(stream));
        if !matches!(self.answer(&mut lines, "GREETING", "220 receiver.test ESMTP"), Some(Next::On))
        {
            return;
        }
        let mut encrypted = false;
        loop {
            let mut line = String::new();
            if !lines.read_line(&mut line).is_ok_and(|count| count > 0) {
                return;
            }
            match self.obey(&mut lines, line.trim_end(), encrypted) {
                Some(Next::On) => {}
                Some(Next::Tls) => {
                    let Some(config) = self.manner.tls.clone() else { return };
                    let Ok(connection) = ServerConnection::new(config) else { return };
                    let Ok(socket) = raw.try_clone() else { return };
                    lines = BufReader::new(Box::new(StreamOwned::new(connection, socket)));
                    encrypted = true;
                }
                Some(Next::End) | None => return,
            }
        }
    }

    fn obey(
        &self,
        lines: &mut BufReader<Box<dyn Both>>,
        line: &str,
        encrypted: bool,
    ) -> Option<Next> {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let mut offers = vec!["PIPELINING", "ENHANCEDSTATUSCODES"];
                offers.extend(self.manner.offers);
                if self.manner.tls.is_some() && !encrypted {
                    offers.push("STARTTLS");
                }
                let mut text = "250-receiver.test".to_owned();
                let last = offers.pop().unwrap_or_default();
                offers.iter().for_each(|offer| text.push_str(&format!("\r\n250-{offer}")));
                self.answer(lines, "EHLO", &format!("{text}\r\n250 {last}"))
            }
            "STARTTLS" => match self.act("STARTTLS") {
                Some(Act::BreakTls) => {
                    say(lines, "220 2.0.0 go on")?;
                    say(lines, "this is not TLS")?;
                    Some(Next::End)
                }
                Some(Act::Say(text)) => {
                    say(lines, text)?;
                    Some(Next::On)
                }
                _ => {
                    say(lines, "220 2.0.0 go on")?;
                    Some(Next::Tls)
                }
            },
            "DATA" => match self.answer(lines, "DATA", "354 go on")? {
                Next::On if self.act("DATA").is_none() => self.body(lines),
                next => Some(next),
            },
            "QUIT" => {
                say(lines, "221 2.0.0 bye")?;
                Some(Next::End)
            }
            "MAIL" | "RCPT" | "RSET" | "HELO" => {
                let verb = ["MAIL", "RCPT", "RSET", "HELO"].into_iter().find(|it| *it == verb)?;
                self.answer(lines, verb, "250 2.1.0 ok")
            }
            _ => {
                say(lines, "500 5.5.1 unknown")?;
                Some(Next::On)
            }
        }
    }

    fn body(&self, lines: &mut BufReader<Box<dyn Both>>) -> Option<Next> {
        if self.act("BODY") == Some(Act::Drop) {
            return Some(Next::End);
        }
        let mut letter = Vec::new();
        loop {
            let mut line = Vec::new();
            lines.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
            if line == b".\r\n" {
                break;
            }
            let start = usize::from(line.starts_with(b"."));
            letter.extend_from_slice(&line[start..]);
        }
        if letter.is_empty() {
            // RFC 2920 §3.1: DATA came along with a RCPT that was refused; the dot ends it.
            say(lines, "554 5.5.1 no valid recipients")?;
            return Some(Next::On);
        }
        let act = self.act("END");
        if !matches!(act, Some(Act::Say(_) | Act::Once(_) | Act::Drop)) {
            let text = String::from_utf8_lossy(&letter).into_owned();
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
        match act {
            Some(Act::TakeAndDropOnce | Act::DropOnce) => Some(Next::End),
            Some(act) => self.perform(lines, act),
            None => {
                say(lines, "250 2.0.0 thank you")?;
                Some(Next::On)
            }
        }
    }

    /// What the script says of a verb, now.
    fn act(&self, verb: &'static str) -> Option<Act> {
        let act = self.manner.script.iter().find(|(named, _)| *named == verb)?.1;
        let once = matches!(act, Act::Once(_) | Act::DropOnce | Act::TakeAndDropOnce);
        if once {
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            if done.contains(&verb) {
                return None;
            }
            done.push(verb);
        }
        Some(act)
    }

    fn answer(
        &self,
        lines: &mut BufReader<Box<dyn Both>>,
        verb: &'static str,
        friendly: &str,
    ) -> Option<Next> {
        match self.act(verb) {
            Some(act) => self.perform(lines, act),
            None => {
                say(lines, friendly)?;
                Some(Next::On)
            }
        }
    }

    fn perform(&self, lines: &mut BufReader<Box<dyn Both>>, act: Act) -> Option<Next> {
        match act {
            Act::Say(text) | Act::Once(text) => {
                say(lines, text)?;
                let closes = text.starts_with("421") || text.starts_with("221");
                Some(if closes { Next::End } else { Next::On })
            }
            _ => Some(Next::End),
        }
    }
}

fn say(lines: &mut BufReader<Box<dyn Both>>, text: &str) -> Option<()> {
    let stream = lines.get_mut();
    stream.write_all(format!("{text}\r\n").as_bytes()).ok()?;
    stream.flush().ok()
}
