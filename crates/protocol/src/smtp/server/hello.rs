//! HELO, EHLO and LHLO.

use super::super::Verb;
use super::config::Offer;
use super::event::{Abort, Event, Hello};
use super::state::{Command, Login, Session, State, bad_syntax, unrecognised};
use super::wire::Wire;
use super::xclient;
use crate::limits;
use crate::machine::Tick;
use crate::reply::{Reply, ReplyCode};

pub(super) fn obey(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    // RFC 2033 §4.1: LHLO replaces HELO and EHLO, neither side knows the other's.
    if (command.verb == Verb::Lhlo) != wire.is_lmtp() {
        let text = if wire.is_lmtp() { "this is LMTP, say LHLO" } else { "this is SMTP, say EHLO" };
        wire.refuse(now, command.asked, &unrecognised(text));
        return state;
    }
    let name = command.rest.trim();
    // RFC 5321 §4.1.1.1 asks for a domain or a literal. What is merely no real name (underscores,
    // a bare host name) is for policy to judge: many good clients do not know theirs.
    let printable = name.bytes().all(|b| (b'!'..=b'~').contains(&b) || b >= 0x80);
    if name.is_empty() || !printable || name.len() > limits::DOMAIN {
        let text = if name.is_empty() {
            "the name of your host is missing"
        } else {
            "the name of your host is not valid"
        };
        wire.refuse(now, command.asked, &bad_syntax(text));
        return state;
    }
    let hello = Hello { verb: command.verb, name: name.into() };
    let login = match &state {
        State::Ready(session) => session.login,
        State::Envelope(envelope) => envelope.session.login,
        State::Chunks(chunks) => chunks.session.login,
        _ => Login::Anonymous,
    };
    // RFC 5321 §4.1.4: a later EHLO is a RSET too.
    state.without_transaction(wire, Abort::Reset);
    let mut text = wire.config.hostname.to_string();
    if command.verb != Verb::Helo {
        wire.offered().print(&mut text);
        if wire.config.xclient == Offer::Yes {
            text.push('\n');
            text.push_str(xclient::OFFER);
        }
    }
    wire.reply(now, command.asked, Reply::plain(ReplyCode::OK, text));
    wire.event(Event::Hello(hello.clone()));
    State::Ready(Session { hello, login })
}
