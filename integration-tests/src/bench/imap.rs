//! An IMAP client for loads: it reads as fast as a server can answer, checks every tagged reply
//! and counts responses. It understands nothing else of them. Blocking, one connection each.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::tls;

/// A command that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(180);
/// Octets read at once.
const PIECE: usize = 256 * 1024;

/// Where and as whom to log in.
#[derive(Debug, Clone)]
pub struct Door {
    /// IMAP without TLS.
    pub server: SocketAddr,
    /// Whose mailboxes.
    pub user: String,
    /// The password.
    pub password: String,
}

/// One connection.
pub struct Imap {
    stream: Box<dyn Stream>,
    heard: Vec<u8>,
    /// A tag that no letter holds.
    stem: String,
    commands: u64,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// What came before a tagged OK.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Octets.
    pub octets: usize,
    /// Lines that begin with `* `, literals' own lines included.
    pub untagged: usize,
    /// Spaces of a SEARCH response.
    pub numbers: usize,
    /// A SEARCH response has begun.
    lists: bool,
    /// The beginning of it, for short answers.
    pub start: String,
}

impl Imap {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    ///
    /// What the connection met.
    pub fn connect(server: SocketAddr, secure: Option<&Arc<ClientConfig>>) -> io::Result<Imap> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LONGEST))?;
        let stream: Box<dyn Stream> = match secure {
            Some(config) => Box::new(tls::secure(stream, config)?),
            None => Box::new(stream),
        };
        let stem = format!("t{:08x}x", std::process::id().wrapping_mul(2_654_435_761));
        let mut imap = Imap { stream, heard: Vec::new(), stem, commands: 0 };
        let greeting = imap.line()?;
        if !greeting.starts_with("* OK") {
            return Err(io::Error::other(greeting));
        }
        Ok(imap)
    }

    /// Connects and logs in.
    ///
    /// # Errors
    ///
    /// What the connection met, or a login refused.
    pub fn enter(door: &Door) -> io::Result<Imap> {
        let mut imap = Imap::connect(door.server, None)?;
        imap.login(door)?;
        Ok(imap)
    }

    /// LOGIN.
    ///
    /// # Errors
    ///
    /// What the connection met, or a login refused.
    pub fn login(&mut self, door: &Door) -> io::Result<()> {
        self.command(&format!("LOGIN \"{}\" \"{}\"", door.user, door.password)).map(drop)
    }

    /// One command and its answer.
    ///
    /// # Errors
    ///
    /// What the connection met, or an answer that is not OK.
    pub fn command(&mut self, text: &str) -> io::Result<Answer> {
        let tag = self.tag();
        self.stream.write_all(format!("{tag} {text}\r\n").as_bytes())?;
        self.answer(&tag)
    }

    /// Many commands in one write, then all their answers.
    ///
    /// # Errors
    ///
    /// As [`Imap::command`].
    pub fn pipeline(&mut self, texts: &[Vec<u8>]) -> io::Result<()> {
        let mut out = Vec::new();
        let tags: Vec<String> = texts.iter().map(|_| self.tag()).collect();
        for (tag, text) in tags.iter().zip(texts) {
            out.extend_from_slice(tag.as_bytes());
            out.push(b' ');
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&out)?;
        // Answers are told apart by their last lines, whatever piece they come in.
        let mut tags = tags.iter();
        let mut next = tags.next();
        while let Some(tag) = next {
            let found = self.completion(tag)?;
            self.heard.drain(..found);
            next = tags.next();
        }
        Ok(())
    }

    /// APPEND, waiting for the server's leave to send the letter.
    ///
    /// # Errors
    ///
    /// As [`Imap::command`].
    pub fn append(&mut self, mailbox: &str, letter: &[u8]) -> io::Result<()> {
        self.append_with(mailbox, "", letter)
    }

    /// [`Imap::append`] with `flags`, in parentheses and with a space behind.
    ///
    /// # Errors
    ///
    /// As [`Imap::command`].
    pub fn append_with(&mut self, mailbox: &str, flags: &str, letter: &[u8]) -> io::Result<()> {
        let tag = self.tag();
        let command = format!("{tag} APPEND \"{mailbox}\" {flags}{{{}}}\r\n", letter.len());
        self.stream.write_all(command.as_bytes())?;
        let go_on = self.line()?;
        if !go_on.starts_with('+') {
            return Err(io::Error::other(go_on));
        }
        self.stream.write_all(letter)?;
        self.stream.write_all(b"\r\n")?;
        self.answer(&tag).map(drop)
    }

    /// IDLE, until the server waits.
    ///
    /// # Errors
    ///
    /// As [`Imap::command`].
    pub fn idle(&mut self) -> io::Result<()> {
        let tag = self.tag();
        self.stream.write_all(format!("{tag} IDLE\r\n").as_bytes())?;
        while !self.line()?.starts_with('+') {}
        Ok(())
    }

    /// Whether the server announces an extension.
    ///
    /// # Errors
    ///
    /// As [`Imap::command`].
    pub fn can(&mut self, extension: &str) -> io::Result<bool> {
        let answer = self.command("CAPABILITY")?;
        Ok(answer.start.split_whitespace().any(|word| word.eq_ignore_ascii_case(extension)))
    }

    fn tag(&mut self) -> String {
        self.commands += 1;
        format!("{}{}", self.stem, self.commands)
    }

    /// All up to the tagged line; nothing follows it, since only one command is under way.
    fn answer(&mut self, tag: &str) -> io::Result<Answer> {
        let mut answer = Answer::default();
        let mut at_line = true;
        loop {
            if let Some((start, status)) = last_line(&self.heard, tag) {
                count(&mut answer, &self.heard[..start], at_line);
                let status = status.to_owned();
                self.heard.clear();
                return match status.starts_with("OK") {
                    true => Ok(answer),
                    false => Err(io::Error::other(status)),
                };
            }
            // What cannot be part of the last line is counted and let go.
            if self.heard.len() >= PIECE {
                let most = self.heard.len() - 4096;
                let line = memchr::memrchr(b'\n', &self.heard[..most]);
                let keep = line.map_or(most, |end| end + 1);
                count(&mut answer, &self.heard[..keep], at_line);
                at_line = self.heard[keep - 1] == b'\n';
                self.heard.drain(..keep);
            }
            self.read()?;
        }
    }

    /// Where the tagged line of a pipelined command ends.
    fn completion(&mut self, tag: &str) -> io::Result<usize> {
        let mut from = 0;
        loop {
            while let Some(end) = memchr::memchr(b'\n', &self.heard[from..]) {
                let line = &self.heard[from..from + end];
                from += end + 1;
                if let Some(status) = line.strip_prefix(tag.as_bytes())
                    && status.first() == Some(&b' ')
                {
                    if status.starts_with(b" OK") {
                        return Ok(from);
                    }
                    return Err(io::Error::other(String::from_utf8_lossy(line).into_owned()));
                }
            }
            self.read()?;
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.heard) {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let length = self.heard.len();
        self.heard.resize(length + PIECE, 0);
        let read = self.stream.read(&mut self.heard[length..]);
        self.heard.truncate(length + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(io::Error::other("the server closed the connection")),
            _ => Ok(()),
        }
    }
}

/// Where the last line begins and what follows its tag, if it is the tagged one.
fn last_line<'a>(heard: &'a [u8], tag: &str) -> Option<(usize, &'a str)> {
    let text = heard.strip_suffix(b"\r\n")?;
    let start = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    let status = text[start..].strip_prefix(tag.as_bytes())?.strip_prefix(b" ")?;
    Some((start, std::str::from_utf8(status).ok()?))
}

fn count(answer: &mut Answer, octets: &[u8], at_line: bool) {
    answer.octets += octets.len();
    answer.untagged += usize::from(at_line && octets.starts_with(b"* "));
    answer.untagged += memchr::memmem::find_iter(octets, b"\n* ").count();
    // Words about how far it is may come before it (RFC 9585).
    let begins = match at_line && octets.starts_with(b"* SEARCH") {
        true => Some(0),
        false => memchr::memmem::find(octets, b"\n* SEARCH"),
    };
    answer.lists |= begins.is_some();
    if answer.lists {
        let list = &octets[begins.unwrap_or(0)..];
        answer.numbers += memchr::memchr_iter(b' ', list).count();
    }
    if answer.start.len() < 4096 {
        let start = &octets[..octets.len().min(4096)];
        answer.start.push_str(&String::from_utf8_lossy(start));
    }
}
