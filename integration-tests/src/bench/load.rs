//! The load generator: letters to any SMTP server by address and port, over a number of sessions.
//! One thread, one runtime; it measures nothing but time and checks every reply.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Reuse, Workload};

/// The longest that one run may take.
const LONGEST: Duration = Duration::from_secs(120);
/// The longest line of a generated letter, without its CRLF.
const LINE: usize = 76;

/// Sends the letters of a workload and returns the time until the last was answered.
///
/// # Errors
///
/// The first reply that is not the expected one, or a connection that ends.
pub fn send(
    server: SocketAddr,
    work: &Workload,
    recipients: &[String],
) -> Result<Duration, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let local = tokio::task::LocalSet::new();
    let begun = Instant::now();
    let sessions = async {
        let left = Rc::new(Cell::new(work.letters));
        let mut running = Vec::new();
        for _ in 0..work.sessions {
            let (left, work, recipients) = (left.clone(), work.clone(), recipients.to_vec());
            let one = async move { session(server, &left, (&work, &recipients)).await };
            running.push(tokio::task::spawn_local(one));
        }
        for one in running {
            one.await.map_err(|error| error.to_string())??;
        }
        Ok(begun.elapsed())
    };
    let limited = async { tokio::time::timeout(LONGEST, sessions).await };
    local.block_on(&runtime, limited).map_err(|_| "the run took too long".to_owned())?
}

async fn session(
    server: SocketAddr,
    left: &Cell<usize>,
    (work, recipients): (&Workload, &[String]),
) -> Result<(), String> {
    let mut open = None;
    loop {
        let number = left.get();
        if number == 0 {
            return Ok(());
        }
        left.set(number - 1);
        let recipient = &recipients[number % work.boxes.min(recipients.len()).max(1)];
        let mut client = match open.take() {
            Some(client) => client,
            None => Client::connect(server).await?,
        };
        client.letter(recipient, &letter(number, work.size)).await?;
        match work.reuse {
            Reuse::Session => open = Some(client),
            Reuse::Nothing => client.quit().await?,
        }
    }
}

/// A letter of about `size` octets, its lines ended and the end of data behind it.
fn letter(number: usize, size: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Load <load@sender.test>\r\nTo: Box <box@bench.test>\r\nSubject: letter {number}\r\n\
         Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}.{size}@sender.test>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    .into_bytes();
    let mut letters = (b'a'..=b'z').cycle().skip(number % 26);
    while text.len() < size {
        let wanted = LINE.min(size - text.len());
        text.extend(letters.by_ref().take(wanted));
        text.extend(b"\r\n");
    }
    text.extend(b".\r\n");
    text
}

/// One connection. Envelope commands go in one write, as RFC 2920 lets every server that offers it
/// be spoken to; the text waits for its 354.
struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Client {
    async fn connect(server: SocketAddr) -> Result<Client, String> {
        let stream = TcpStream::connect(server).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut client = Client { stream, heard: Vec::with_capacity(4096) };
        client.expect(b'2').await?;
        client.write(b"EHLO load.sender.test\r\n").await?;
        client.expect(b'2').await?;
        Ok(client)
    }

    async fn letter(&mut self, recipient: &str, text: &[u8]) -> Result<(), String> {
        let envelope = format!("MAIL FROM:<load@sender.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
        self.write(envelope.as_bytes()).await?;
        self.expect(b'2').await?;
        self.expect(b'2').await?;
        self.expect(b'3').await?;
        self.write(text).await?;
        self.expect(b'2').await
    }

    async fn quit(mut self) -> Result<(), String> {
        self.write(b"QUIT\r\n").await?;
        self.expect(b'2').await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).await.map_err(|error| error.to_string())
    }

    /// Reads one reply and looks at its class.
    async fn expect(&mut self, class: u8) -> Result<(), String> {
        loop {
            while let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                if line.get(3) == Some(&b'-') {
                    continue;
                }
                if line.first() == Some(&class) {
                    return Ok(());
                }
                return Err(String::from_utf8_lossy(&line).trim().to_owned());
            }
            let read = self.stream.read_buf(&mut self.heard).await;
            match read {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sink::Sink;

    #[test]
    fn every_letter_of_a_workload_reaches_the_sink_once() {
        for reuse in [Reuse::Session, Reuse::Nothing] {
            let sink = Sink::start();
            let work = Workload { letters: 23, sessions: 4, size: 4096, boxes: 2, reuse };
            send(sink.address(), &work, &["a@b.test".into(), "c@b.test".into()]).unwrap();
            assert_eq!(sink.taken(), 23);
        }
    }

    #[test]
    fn a_letter_has_its_size_and_no_line_of_a_lone_dot() {
        let text = letter(7, 4096);
        assert!((4096..4200).contains(&text.len()));
        let body = text.strip_suffix(b".\r\n").unwrap();
        assert!(body.split(|&byte| byte == b'\n').all(|line| !line.starts_with(b".")));
    }
}
