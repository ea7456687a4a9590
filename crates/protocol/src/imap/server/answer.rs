//! What the agent says to the server machine: untagged responses, FETCH with streamed bodies,
//! completions, continuations. Called by `mda::retrieve`.

use std::num::NonZeroU32;

use super::state::{Effect, Offer, Phase, Running, SessionState};
use super::{Server, limits};
use crate::imap::code::Code;
use crate::imap::command::{LiteralSync, Tag};
use crate::imap::fetch::{Content, FetchData};
use crate::imap::grammar::{print_fetch_data, print_response, print_untagged};
use crate::imap::response::{Condition, Continuation, Response, StatusText, Untagged};

impl Server {
    /// Sends an untagged response.
    pub fn untagged(&mut self, untagged: &Untagged) {
        if self.speaks() {
            print_untagged(&mut self.out, untagged);
        }
    }

    /// Octets that wait to be sent: the agent lets the driver drain them before it writes more.
    pub fn pending_output(&self) -> usize {
        self.out.len()
    }

    /// Begins `* n FETCH (`. Items follow; [`Server::fetch_end`] ends it.
    pub fn fetch_begin(&mut self, sequence: NonZeroU32) {
        self.out.display(format_args!("* {sequence} FETCH ("));
    }

    /// One item of FETCH. If its content is [`Content::Streamed`], so many octets must follow with
    /// [`Server::fetch_chunk`].
    pub fn fetch_item(&mut self, data: &FetchData) {
        if self.out.last() != Some(b'(') {
            self.out.byte(b' ');
        }
        print_fetch_data(&mut self.out, data);
        self.owed = match data {
            FetchData::Section { content, .. }
            | FetchData::Binary { content, .. }
            | FetchData::Rfc822(content)
            | FetchData::Rfc822Header(content)
            | FetchData::Rfc822Text(content) => streamed_size(content),
            _ => 0,
        };
    }

    /// One item of FETCH that was printed before, its name included.
    pub fn fetch_printed(&mut self, item: &[u8]) {
        if self.out.last() != Some(b'(') {
            self.out.byte(b' ');
        }
        self.out.raw(item);
    }

    /// Octets of a streamed item. More than were announced are cut off.
    pub fn fetch_chunk(&mut self, octets: &[u8]) {
        let most = usize::try_from(self.owed).unwrap_or(usize::MAX).min(octets.len());
        let octets = octets.get(..most).unwrap_or_default();
        self.owed -= octets.len() as u64;
        self.out.raw(octets);
    }

    /// Ends FETCH. If octets are owed, the client can no longer tell what is what: the connection
    /// is closed.
    pub fn fetch_end(&mut self) {
        if self.owed > 0 {
            self.close();
            return;
        }
        self.out.text(")\r\n");
    }

    /// Takes APPEND's message: asks for it if the client waits for that.
    pub fn accept_message(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Offer(Offer { running, literal }) => {
                if literal.sync == LiteralSync::Synchronizing {
                    self.continuation("go on");
                }
                self.phase = Phase::Message(running, literal.size);
            }
            other => self.phase = other,
        }
    }

    /// Begins to idle.
    pub fn start_idle(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Execute(running) => {
                self.continuation("idling");
                self.phase = Phase::Idle(running);
            }
            other => self.phase = other,
        }
    }

    /// Sends a SASL challenge, empty for none; the answer is an event.
    pub fn challenge(&mut self, challenge: &[u8]) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            // The response was damaged: it will get its BAD, whatever the agent says.
            Phase::Execute(running) if running.fault.is_none() => {
                let challenge = Continuation::Challenge(challenge.to_vec());
                print_response(&mut self.out, &Response::Continue(challenge));
                self.phase = Phase::Sasl(running);
            }
            other => self.phase = other,
        }
    }

    /// Ends the command being executed. LOGIN and AUTHENTICATE that succeed tell the capabilities,
    /// unless the text has a code of its own.
    pub fn finish(&mut self, condition: Condition, text: &StatusText) {
        let (running, next) = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Execute(running) => {
                (running, self.following.pop_front().map_or(Phase::Command, Phase::Execute))
            }
            Phase::Idle(running) | Phase::Sasl(running) => (running, Phase::Command),
            // A message that comes unasked, or is half here, has to be swallowed.
            Phase::Offer(Offer { running, literal }) => match literal.sync {
                LiteralSync::Synchronizing => (running, Phase::Command),
                LiteralSync::NonSynchronizing => (running, Phase::Skip(literal.size)),
            },
            Phase::Message(running, left) => (running, Phase::Skip(left)),
            Phase::MessageEnd(running) | Phase::NextMessage(running) => {
                (running, Phase::SkipLine(limits::LINE_SKIP))
            }
            other => {
                self.phase = other;
                return;
            }
        };
        self.phase = next;
        self.worked = true;
        let Running { tag, effect, fault, .. } = running;
        if let Some(why) = fault {
            self.fault(Some(tag), why);
            return;
        }
        self.apply(effect, condition);
        let logged_in = effect == Effect::LogIn && condition == Condition::Ok;
        if logged_in && text.code.is_none() {
            let code = Code::Capability(self.capabilities());
            self.tagged(&tag, condition, &StatusText::with(code, text.text.clone()));
        } else {
            self.tagged(&tag, condition, text);
        }
        if condition == Condition::Bad || (effect == Effect::LogIn && condition == Condition::No) {
            self.count_error();
        }
    }

    fn apply(&mut self, effect: Effect, condition: Condition) {
        self.state = match (effect, condition) {
            (Effect::LogIn | Effect::Deselect, Condition::Ok) => SessionState::Authenticated,
            (Effect::Select, Condition::Ok) => SessionState::Selected,
            (Effect::Select, Condition::No) => SessionState::Authenticated,
            (Effect::Layer, Condition::Ok) => {
                self.input.clear();
                self.phase = Phase::Layer;
                self.state
            }
            _ => self.state,
        };
        if effect == Effect::LogIn && condition == Condition::Ok {
            self.errors = 0;
        }
    }

    /// The selected mailbox is no more: by DELETE of this session.
    pub fn deselect(&mut self) {
        if self.state == SessionState::Selected {
            self.state = SessionState::Authenticated;
        }
    }

    /// Says why the session ends, and ends it. In the middle of a literal nothing can be said.
    pub fn bye(&mut self, why: &str) {
        if self.speaks() {
            print_untagged(&mut self.out, &Untagged::Bye(StatusText::new(why)));
        }
        self.close();
    }

    /// Like [`Server::bye`], with a code.
    pub fn bye_with(&mut self, text: StatusText) {
        if self.speaks() {
            print_untagged(&mut self.out, &Untagged::Bye(text));
        }
        self.close();
    }

    pub(super) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.state = SessionState::Logout;
        self.following.clear();
        self.input.clear();
    }

    /// Whether a line of ours would be understood: not inside a literal, not after the end.
    fn speaks(&self) -> bool {
        self.owed == 0 && !matches!(self.phase, Phase::Closed | Phase::Layer)
    }

    fn continuation(&mut self, text: &str) {
        let text = Continuation::Text(StatusText::new(text));
        print_response(&mut self.out, &Response::Continue(text));
    }

    pub(super) fn tagged(&mut self, tag: &Tag, condition: Condition, text: &StatusText) {
        let response = Response::Tagged { tag: tag.clone(), condition, text: text.clone() };
        print_response(&mut self.out, &response);
    }
}

fn streamed_size(content: &Content) -> u64 {
    match content {
        Content::Streamed(size) => *size,
        Content::Nil | Content::Inline(_) => 0,
    }
}
