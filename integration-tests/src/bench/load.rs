//! The load generator: letters to any SMTP server by address and port, over a number of sessions,
//! after STARTTLS and AUTH where it is a submission. One thread, one runtime; it measures nothing
//! but time and checks every reply.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::letters::letter;
use super::{Reuse, Workload, tls};

/// The longest that one run may take.
const LONGEST: Duration = Duration::from_secs(200);
/// Larger letters are made once and sent again and again: making them would be most of the work.
const MADE_ANEW: usize = 256 * 1024;

/// Where letters are sent.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub server: SocketAddr,
    /// User and password, given after STARTTLS; `None`: neither.
    pub login: Option<(String, String)>,
    /// The same letter each time, such as one with a signature; `None`: made as they are sent.
    pub letter: Option<Vec<u8>>,
}

impl From<SocketAddr> for Target {
    fn from(server: SocketAddr) -> Target {
        Target { server, login: None, letter: None }
    }
}

/// Sends the letters of a workload and returns the time until the last was answered.
///
/// # Errors
///
/// The first reply that is not the expected one, or a connection that ends.
pub fn send(target: &Target, work: &Workload, recipients: &[String]) -> Result<Duration, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let local = tokio::task::LocalSet::new();
    let load = Rc::new(Load {
        target: target.clone(),
        work: work.clone(),
        recipients: recipients.to_vec(),
        left: Cell::new(work.letters),
        made: match &target.letter {
            Some(letter) => Some(Rc::new([letter, b".\r\n".as_slice()].concat())),
            None => {
                (work.size > MADE_ANEW).then(|| Rc::new(text(1, work.size, target.login.as_ref())))
            }
        },
        tls: tls::config(),
    });
    let begun = Instant::now();
    let sessions = async {
        let mut running = Vec::new();
        for _ in 0..work.sessions {
            let load = load.clone();
            running.push(tokio::task::spawn_local(async move { load.session().await }));
        }
        for one in running {
            one.await.map_err(|error| error.to_string())??;
        }
        Ok(begun.elapsed())
    };
    let limited = async { tokio::time::timeout(LONGEST, sessions).await };
    local.block_on(&runtime, limited).map_err(|_| "the run took too long".to_owned())?
}

/// What the sessions of a run share.
struct Load {
    target: Target,
    work: Workload,
    recipients: Vec<String>,
    left: Cell<usize>,
    made: Option<Rc<Vec<u8>>>,
    tls: Arc<ClientConfig>,
}

impl Load {
    async fn session(&self) -> Result<(), String> {
        let mut open = None;
        loop {
            let number = self.left.get();
            if number == 0 {
                return Ok(());
            }
            self.left.set(number - 1);
            let mut client = match open.take() {
                Some(client) => client,
                None => Client::connect(&self.target, &self.tls).await?,
            };
            let text = match &self.made {
                Some(made) => made.clone(),
                None => Rc::new(text(number, self.work.size, self.target.login.as_ref())),
            };
            client.letter(&self.addressees(number), &text).await?;
            match self.work.reuse {
                Reuse::Session => open = Some(client),
                Reuse::Nothing => client.quit().await?,
            }
        }
    }

    fn addressees(&self, number: usize) -> Vec<&str> {
        if self.work.fan > 1 {
            return self.recipients.iter().take(self.work.fan).map(String::as_str).collect();
        }
        let boxes = self.work.boxes.min(self.recipients.len()).max(1);
        vec![self.recipients[number % boxes].as_str()]
    }
}

/// A letter with the end of data behind it. A user's letter comes from the user: servers that look
/// would not take it from anybody else.
fn text(number: usize, size: usize, login: Option<&(String, String)>) -> Vec<u8> {
    let mut text = letter(number, size);
    if let Some((user, _)) = login {
        let line = text.windows(2).position(|pair| pair == b"\r\n").unwrap_or(0);
        text.splice(..line, format!("From: Sender Number {number} <{user}>").into_bytes());
    }
    text.extend(b".\r\n");
    text
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// One connection. Envelope commands go in one write to every server that offers to take them so
/// (RFC 2920), one by one to others; the text waits for its 354.
struct Client {
    stream: Box<dyn Stream>,
    heard: Vec<u8>,
    sender: String,
    pipelining: bool,
}

impl Client {
    async fn connect(target: &Target, config: &Arc<ClientConfig>) -> Result<Client, String> {
        let stream = TcpStream::connect(target.server).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut plain = Heard { stream, heard: Vec::with_capacity(4096) };
        plain.expect(b'2').await?;
        plain.write(b"EHLO load.sender.test\r\n").await?;
        let offered = plain.expect(b'2').await?;
        let pipelining = takes_pipelines(&offered);
        let Some((user, password)) = &target.login else {
            let sender = "load@sender.test".to_owned();
            let (stream, heard) = (Box::new(plain.stream), plain.heard);
            return Ok(Client { stream, heard, sender, pipelining });
        };
        plain.write(b"STARTTLS\r\n").await?;
        plain.expect(b'2').await?;
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        let secured = connector.connect(tls::name(), plain.stream).await;
        let secured = secured.map_err(|error| error.to_string())?;
        let (stream, sender) = (Box::new(secured), user.clone());
        let mut client = Client { stream, heard: Vec::new(), sender, pipelining };
        client.write(b"EHLO load.sender.test\r\n").await?;
        client.pipelining = takes_pipelines(&client.expect(b'2').await?);
        let plain = base64(format!("\0{user}\0{password}").as_bytes());
        client.write(format!("AUTH PLAIN {plain}\r\n").as_bytes()).await?;
        client.expect(b'2').await.map(|_| client)
    }

    async fn letter(&mut self, recipients: &[&str], text: &[u8]) -> Result<(), String> {
        let mut envelope = format!("MAIL FROM:<{}>\r\n", self.sender);
        for recipient in recipients {
            if !self.pipelining {
                self.write(envelope.as_bytes()).await?;
                self.expect(b'2').await?;
                envelope.clear();
            }
            envelope.push_str(&format!("RCPT TO:<{recipient}>\r\n"));
        }
        if !self.pipelining {
            self.write(envelope.as_bytes()).await?;
            self.expect(b'2').await?;
            envelope.clear();
        }
        envelope.push_str("DATA\r\n");
        self.write(envelope.as_bytes()).await?;
        if self.pipelining {
            for _ in 0..=recipients.len() {
                self.expect(b'2').await?;
            }
        }
        self.expect(b'3').await?;
        self.write(text).await?;
        self.expect(b'2').await.map(drop)
    }

    async fn quit(mut self) -> Result<(), String> {
        self.write(b"QUIT\r\n").await?;
        self.expect(b'2').await.map(drop)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.stream.write_all(bytes).await;
        let flushed = async { self.stream.flush().await };
        written.and(flushed.await).map_err(|error| error.to_string())
    }

    async fn expect(&mut self, class: u8) -> Result<Vec<u8>, String> {
        expect(&mut self.stream, &mut self.heard, class).await
    }
}

/// Whether a reply to EHLO offers PIPELINING (RFC 2920 §3).
fn takes_pipelines(offered: &[u8]) -> bool {
    memchr::memmem::find(&offered.to_ascii_uppercase(), b"PIPELINING").is_some()
}

/// A connection before TLS.
struct Heard {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Heard {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).await.map_err(|error| error.to_string())
    }

    async fn expect(&mut self, class: u8) -> Result<Vec<u8>, String> {
        expect(&mut self.stream, &mut self.heard, class).await
    }
}

/// Reads one reply and looks at its class; gives its lines.
async fn expect(
    stream: &mut (impl AsyncRead + Unpin),
    heard: &mut Vec<u8>,
    class: u8,
) -> Result<Vec<u8>, String> {
    let mut before = Vec::new();
    loop {
        while let Some(end) = memchr::memchr(b'\n', heard) {
            let mut line: Vec<u8> = heard.drain(..=end).collect();
            if line.get(3) == Some(&b'-') {
                before.append(&mut line);
                continue;
            }
            if line.first() == Some(&class) {
                before.append(&mut line);
                return Ok(before);
            }
            return Err(String::from_utf8_lossy(&line).trim().to_owned());
        }
        match stream.read_buf(heard).await {
            Ok(0) => return Err("the server closed the connection".into()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// RFC 4648 §4.
pub(super) fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let number = three.iter().fold(0_u32, |sum, &octet| sum << 8 | u32::from(octet));
        let number = number << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sink::Sink;

    #[test]
    fn every_letter_of_a_workload_reaches_the_sink_once() {
        for (reuse, fan) in [(Reuse::Session, 1), (Reuse::Nothing, 1), (Reuse::Session, 2)] {
            let sink = Sink::start();
            let work = Workload { letters: 23, sessions: 4, size: 4096, boxes: 2, fan, reuse };
            let recipients = ["a@b.test".to_owned(), "c@b.test".to_owned()];
            send(&sink.address().into(), &work, &recipients).unwrap();
            assert_eq!(sink.taken(), 23);
        }
    }

    #[test]
    fn base64_as_the_rfc_has_it() {
        // RFC 4648 §10.
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }
}
