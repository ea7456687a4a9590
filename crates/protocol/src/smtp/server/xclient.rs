//! XCLIENT, as Postfix describes it: a server in front, which we trust, says who its client is, and
//! the session begins anew for that client. Offered only where the agent says so, to peers that it
//! trusts; to all others it is a verb like any unknown one.

use std::net::IpAddr;

use super::super::parameters::decode_xtext;
use super::config::Offer;
use super::event::{Event, XClient};
use super::state::{Command, State, bad_sequence, bad_syntax, unrecognised};
use super::wire::Wire;
use crate::machine::Tick;
use crate::reply::{Reply, ReplyCode};

/// What stands in the answer to EHLO.
pub(super) const OFFER: &str = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";

pub(super) fn obey(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let refusal = if wire.config.xclient == Offer::No {
        unrecognised("command not recognised")
    } else if !matches!(state, State::Ready(_) | State::Greeted) {
        bad_sequence("not within a mail transaction")
    } else {
        match parse(command.rest) {
            Ok(client) => {
                let text = format!("{} {}", wire.config.hostname, wire.config.banner);
                wire.reply(now, command.asked, Reply::plain(ReplyCode::READY, text));
                wire.event(Event::XClient(client));
                return State::Greeted;
            }
            Err(why) => bad_syntax(why),
        }
    };
    wire.refuse(now, command.asked, &refusal);
    state
}

/// `NAME=value ...`; values are xtext (RFC 3461 §4), with two that say that there is none.
fn parse(text: &str) -> Result<XClient, &'static str> {
    let mut client = XClient::default();
    let mut any = false;
    for pair in text.split_ascii_whitespace() {
        any = true;
        let (name, value) = pair.split_once('=').ok_or("XCLIENT takes NAME=value")?;
        let value = decode_xtext(value).ok_or("a value of XCLIENT is no xtext")?;
        let known = !["[UNAVAILABLE]", "[TEMPUNAVAIL]"].contains(&value.as_str());
        match name.to_ascii_uppercase().as_str() {
            "ADDR" if known => client.address = Some(address(&value)?),
            "PORT" if known => {
                client.port = Some(value.parse().map_err(|_| "PORT of XCLIENT is no port")?);
            }
            // What the client calls itself it says again; a login here is nobody else's word.
            "ADDR" | "PORT" | "NAME" | "PROTO" | "HELO" | "LOGIN" | "DESTADDR" | "DESTPORT" => {}
            _ => return Err("an attribute of XCLIENT that is not offered"),
        }
    }
    if any { Ok(client) } else { Err("XCLIENT takes NAME=value") }
}

/// `192.0.2.1`, or `IPV6:2001:db8::1`.
fn address(value: &str) -> Result<IpAddr, &'static str> {
    let bare = match value.split_at_checked(5) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("IPV6:") => rest,
        _ => value,
    };
    bare.parse().map_err(|_| "ADDR of XCLIENT is no address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read() {
        let read = parse("NAME=mail.blue.test ADDR=192.0.2.7 PORT=4711 HELO=a+2Bb").unwrap();
        assert_eq!(read, XClient { address: Some([192, 0, 2, 7].into()), port: Some(4711) });
        let six = parse("addr=IPv6:2001:db8::7").unwrap();
        assert_eq!(six.address, "2001:db8::7".parse().ok());
        assert_eq!(parse("ADDR=[UNAVAILABLE]").unwrap(), XClient::default());
        for wrong in ["", "ADDR", "ADDR=x", "PORT=99999", "EVIL=1", "ADDR=+ZZ"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
