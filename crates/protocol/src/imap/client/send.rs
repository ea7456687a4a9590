//! What the user says to the client machine: commands, and the dialogues within some of them.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Client, Event, Kind, Phase, Running, SendError};
use crate::imap::command::{Command, Tag};
use crate::imap::grammar::{Writer, print_command};
use crate::secret::Secret;

impl Client {
    /// Sends a command. Its end is [`Event::Done`].
    ///
    /// # Errors
    /// Another one is under way, or the connection is not ready.
    pub fn send(&mut self, command: &Command) -> Result<(), SendError> {
        match self.phase {
            Phase::Ready => {}
            Phase::Running(_) => return Err(SendError::Busy),
            Phase::Greeting | Phase::Tls | Phase::Closed => return Err(SendError::NotReady),
        }
        self.next_tag = self.next_tag.wrapping_add(1);
        let tag = format!("a{:04}", self.next_tag);
        let Some(tag) = Tag::new(tag.as_bytes()) else {
            return Err(SendError::NotReady);
        };
        let mut writer = Writer::client(self.literals);
        print_command(&mut writer, &tag, command);
        let (text, pauses) = writer.into_parts();
        let mut rest = text.freeze();
        let mut taken = 0;
        let mut waiting = VecDeque::new();
        for pause in pauses {
            waiting.push_back(rest.split_to(pause - taken));
            taken = pause;
        }
        waiting.push_back(rest);
        self.out.extend_from_slice(&waiting.pop_front().unwrap_or_default());
        let kind = kind_of(command);
        // APPEND to a server that need not be asked: its message can follow at once.
        let unasked = kind == Kind::Append && waiting.is_empty();
        let ready = unasked.then_some(Event::SendMessage);
        self.phase = Phase::Running(Running { tag, kind, waiting, ready });
        self.moved = true;
        Ok(())
    }

    /// Octets of APPEND's message, as many in all as its literal announced.
    pub fn message_chunk(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
        self.moved = true;
    }

    /// APPEND's message is complete.
    pub fn message_end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    /// Octets that wait to be sent: let the driver drain them before adding more.
    pub fn pending_output(&self) -> usize {
        self.out.len()
    }

    /// Answers a SASL challenge.
    pub fn respond(&mut self, response: &Secret<Vec<u8>>) {
        self.out.extend_from_slice(STANDARD.encode(response.reveal()).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Gives up a SASL exchange (RFC 3501 §6.2.2).
    pub fn cancel(&mut self) {
        self.out.extend_from_slice(b"*\r\n");
    }

    /// Ends IDLE.
    pub fn idle_done(&mut self) {
        if let Phase::Running(running) = &mut self.phase
            && running.kind == Kind::Idle
        {
            // From here on an answer is due.
            running.kind = Kind::Plain;
            self.out.extend_from_slice(b"DONE\r\n");
            self.moved = true;
        }
    }

    /// The server gave its go-ahead: sends what waited for it. `None`: nothing waited.
    pub(super) fn go_ahead(running: &mut Running) -> Option<Bytes> {
        running.waiting.pop_front()
    }
}

fn kind_of(command: &Command) -> Kind {
    match command {
        Command::Login { .. } => Kind::LogIn,
        Command::Authenticate { .. } => Kind::Authenticate,
        Command::Append(_) => Kind::Append,
        Command::Idle => Kind::Idle,
        Command::StartTls => Kind::StartTls,
        Command::Logout => Kind::Logout,
        _ => Kind::Plain,
    }
}
