//! The verbs that change nothing, QUIT and RSET, and what is no verb at all.

use super::super::Verb;
use super::event::{Abort, Closing};
use super::state::{Command, State, bad_syntax, close_with, unrecognised};
use super::wire::Wire;
use crate::machine::Tick;
use crate::rejection::{Fault, Rejection};
use crate::reply::{EnhancedCode, Reply, ReplyCode};

pub(super) fn obey(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let success = EnhancedCode::success;
    let reply = match command.verb {
        // RFC 5321 §4.1.1.9: a string after NOOP is ignored.
        Verb::Noop => Reply::new(ReplyCode::OK, success(0, 0), "ok"),
        Verb::Help => Reply::new(ReplyCode::HELP, success(0, 0), help(wire)),
        // RFC 5321 §7.3: who exists here is told at RCPT only, where it is limited and logged.
        Verb::Vrfy if command.rest.trim().is_empty() => {
            bad_syntax("VRFY takes an address").to_reply()
        }
        Verb::Vrfy => {
            let text = "not verified here; send mail and see";
            Reply::new(ReplyCode::CANNOT_VERIFY, success(5, 0), text)
        }
        Verb::Expn => not_implemented().to_reply(),
        Verb::Quit if !command.rest.trim().is_empty() => {
            bad_syntax("QUIT takes no parameters").to_reply()
        }
        Verb::Quit => return quit(state, command, wire, now),
        _ if speaks_http(&command) => {
            let rejection = unrecognised("this is a mail server, not HTTP; closing the connection");
            return close_with(wire, now, &rejection, Closing::NotSmtp);
        }
        _ => unrecognised("command not recognised").to_reply(),
    };
    wire.reply(now, command.asked, reply);
    state
}

fn quit(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let enhanced = EnhancedCode::success(0, 0);
    wire.reply(now, command.asked, Reply::new(ReplyCode::CLOSING, enhanced, "goodbye"));
    wire.fatal.get_or_insert(Closing::Quit);
    state
}

/// RSET.
pub(super) fn reset(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    if !command.rest.trim().is_empty() {
        wire.refuse(now, command.asked, &bad_syntax("RSET takes no parameters"));
        return state;
    }
    let state = state.without_transaction(wire, Abort::Reset);
    let reply = Reply::new(ReplyCode::OK, EnhancedCode::success(0, 0), "ok");
    wire.reply(now, command.asked, reply);
    state
}

fn not_implemented() -> Rejection {
    Rejection::permanent(
        ReplyCode::NOT_IMPLEMENTED,
        EnhancedCode::permanent(5, 1),
        Fault::Protocol,
        "command not implemented",
    )
}

pub(super) fn tls_on_plain_port() -> Rejection {
    unrecognised("this port begins without TLS; closing the connection")
}

fn help(wire: &Wire) -> &'static str {
    if wire.is_lmtp() {
        "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT"
    } else {
        "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT"
    }
}

/// A request line of HTTP: a browser, or a script in one that makes it speak to us ("cross-protocol
/// scripting"), whose body could hold SMTP commands. So the connection is closed.
fn speaks_http(command: &Command<'_>) -> bool {
    let Some((_, version)) = command.rest.rsplit_once(' ') else { return false };
    command.verb == Verb::Unknown
        && version.get(..5).is_some_and(|v| v.eq_ignore_ascii_case("HTTP/"))
}
