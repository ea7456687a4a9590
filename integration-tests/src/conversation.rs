//! A conversation line by line, in the clear: for what a well-bred client would never say.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::wait;

/// How long a line may take to come.
const LINE: Duration = Duration::from_secs(60);

/// The two kinds of stream that agents listen on.
enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection on which the test says every byte itself.
pub struct Conversation {
    wire: Wire,
    reader: BufReader<Box<dyn Read + Send>>,
    log: String,
}

impl Conversation {
    /// Connects over TCP; waits until somebody listens.
    pub fn open(address: SocketAddr) -> Conversation {
        let stream =
            wait::until(&format!("{address} listens"), || TcpStream::connect(address).ok());
        stream.set_read_timeout(Some(LINE)).expect("a timeout above zero");
        stream.set_nodelay(true).expect("TCP");
        let reader = stream.try_clone().expect("a socket can be shared");
        Conversation::over(Wire::Tcp(stream), Box::new(reader))
    }

    /// Connects to a Unix socket; waits until somebody listens.
    pub fn open_unix(path: &Path) -> Conversation {
        let title = format!("{} listens", path.display());
        let stream = wait::until(&title, || UnixStream::connect(path).ok());
        stream.set_read_timeout(Some(LINE)).expect("a timeout above zero");
        let reader = stream.try_clone().expect("a socket can be shared");
        Conversation::over(Wire::Unix(stream), Box::new(reader))
    }

    fn over(wire: Wire, reader: Box<dyn Read + Send>) -> Conversation {
        Conversation { wire, reader: BufReader::new(reader), log: String::new() }
    }

    /// Sends a line with its CRLF.
    #[track_caller]
    pub fn line(&mut self, text: &str) -> &mut Conversation {
        self.raw(format!("{text}\r\n").as_bytes())
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Conversation {
        self.log.push_str(&format!("C: {}\n", bytes.escape_ascii()));
        if let Err(error) = self.try_raw(bytes) {
            panic!("{error} after\n{}", self.log);
        }
        self
    }

    /// Sends bytes; the other side may have hung up.
    pub fn try_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.wire {
            Wire::Tcp(stream) => stream.write_all(bytes),
            Wire::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// The next line without its CRLF; `None` when the other side has closed.
    #[track_caller]
    pub fn try_read(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                self.log.push_str(&format!("S: {line}\n"));
                Some(line)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error} after\n{}", self.log),
        }
    }

    /// The next line without its CRLF, unless the connection ended, for whatever reason, or
    /// nothing came for long.
    pub fn try_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(count) if count > 0 => {
                Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
            }
            _ => None,
        }
    }

    /// The next line.
    #[track_caller]
    pub fn read(&mut self) -> String {
        let line = self.try_read();
        line.unwrap_or_else(|| panic!("closed by the server after\n{}", self.log))
    }

    /// An SMTP reply: its last line, and all of them.
    #[track_caller]
    pub fn reply(&mut self) -> String {
        let mut whole = String::new();
        loop {
            let line = self.read();
            whole.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return whole;
            }
            whole.push('\n');
        }
    }

    /// An SMTP reply, unless the connection ended, for whatever reason.
    pub fn try_reply(&mut self) -> Option<String> {
        let mut last = String::new();
        while last.is_empty() || last.as_bytes().get(3) == Some(&b'-') {
            let mut line = Vec::new();
            let read = self.reader.read_until(b'\n', &mut line);
            if !matches!(read, Ok(count) if count > 0) {
                return None;
            }
            last = String::from_utf8_lossy(&line).into_owned();
            self.log.push_str(&last);
        }
        Some(last)
    }

    /// A line sent and the reply to it, unless the connection ended.
    pub fn try_say(&mut self, text: &str) -> Option<String> {
        self.try_raw(format!("{text}\r\n").as_bytes()).ok()?;
        self.try_reply()
    }

    /// An SMTP reply whose last line begins like this.
    #[track_caller]
    pub fn expect(&mut self, start: &str) -> String {
        let reply = self.reply();
        let last = reply.lines().last().unwrap_or_default();
        assert!(last.starts_with(start), "wanted {start:?}, got {reply:?} in\n{}", self.log);
        reply
    }

    /// A line sent, and the reply to it that begins like this.
    #[track_caller]
    pub fn say(&mut self, text: &str, start: &str) -> String {
        self.line(text);
        self.expect(start)
    }

    /// Reads lines until one begins with the tag of an IMAP command; all of them.
    #[track_caller]
    pub fn until_tagged(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.read();
            let last = line.starts_with(&format!("{tag} "));
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// An IMAP command, its untagged answers and its tagged OK.
    #[track_caller]
    pub fn imap(&mut self, tag: &str, command: &str) -> Vec<String> {
        self.line(&format!("{tag} {command}"));
        let lines = self.until_tagged(tag);
        let last = lines.last().map(String::as_str).unwrap_or_default();
        assert!(last.starts_with(&format!("{tag} OK")), "{command}: {last}\n{}", self.log);
        lines
    }

    /// Bytes of a literal.
    #[track_caller]
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        if let Err(error) = self.reader.read_exact(&mut bytes) {
            panic!("{error} within a literal after\n{}", self.log);
        }
        bytes
    }

    /// Closes our side for writing.
    pub fn close(&mut self) {
        let _ = match &self.wire {
            Wire::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Wire::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Waits for the other side to close; what it says before is passed over.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        while self.try_read().is_some() {}
    }

    /// Forgets what was said so far: a long conversation, of which only the end tells anything.
    pub fn forget(&mut self) {
        self.log.clear();
    }

    /// Everything said so far, for messages.
    pub fn log(&self) -> &str {
        &self.log
    }
}
