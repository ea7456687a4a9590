//! Addresses, paths and domains; and SASL messages, which are names and passwords.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use protocol::address::{Address, Domain, ForwardPath, ReversePath};
use protocol::journey::JourneyId;
use protocol::sasl::{ChannelBinding, Mechanism, ScramVerifier, prepare};
use protocol::sasl::{Server, Step};

use crate::engine::Seen;

pub(crate) const WORDS: &[&[u8]] = &[
    b"<",
    b">",
    b"@",
    b"a@b.test",
    b"\"q p\"",
    b"\\\"",
    b".",
    b"..",
    b"[127.0.0.1]",
    b"[IPv6:::1]",
    b"[IPv6:1:2:3:4:5:6:7:8]",
    b"xn--",
    b"xn--bcher-kva",
    b"\xc3\xa9",
    b"\xe2\x80\x8d",
    b"@x.test,@y.test:",
    b"Postmaster",
    b"-",
    b"+tag",
    b"\xef\xbc\xa1",
    b"\xe3\x80\x82",
    b"\0",
    b"n,,n=user,r=abc",
    b"c=biws,r=",
    b",p=AAAA",
    b"y,,",
    b"p=tls-exporter,,",
    b"a=admin,",
    b"=2C",
    b"=3D",
    b"m=x",
];

pub(crate) fn addresses(input: &[u8], seen: &mut Seen) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    pair::<Address>(text, seen);
    pair::<Domain>(text, seen);
    pair::<ForwardPath>(text, seen);
    pair::<ReversePath>(text, seen);
    pair::<JourneyId>(text, seen);
}

/// Parse, print, parse: the same, and never a text that could break a line.
fn pair<T: FromStr + Display + PartialEq + Debug>(text: &str, seen: &mut Seen)
where
    T::Err: Debug,
{
    match text.parse::<T>() {
        Ok(parsed) => {
            let printed = parsed.to_string();
            assert!(!printed.contains(['\r', '\n', '\0']), "{printed:?}");
            let again = printed.parse::<T>();
            assert_eq!(again.as_ref().ok(), Some(&parsed), "printed as {printed:?}");
            seen.shape(&parsed);
        }
        Err(error) => seen.shape(&error),
    }
}

/// A SASL exchange in each mechanism: the lines of the input are the client's messages.
pub(crate) fn sasl(input: &[u8], seen: &mut Seen) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(once) = prepare(text)
    {
        // RFC 4013: preparing what is prepared changes nothing.
        assert_eq!(prepare(&once).as_deref(), Ok(&*once));
    }
    let binding = ChannelBinding { tls_exporter: Some(vec![7; 32]), tls_server_end_point: None };
    for name in ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
        let mechanism = Mechanism::by_name(name).expect("one of ours");
        let mut server = Server::new(mechanism, binding.clone(), "fuzz".repeat(6));
        for message in input.split(|octet| *octet == b'\n').take(6) {
            let step = match server.step(Some(message)) {
                Ok(Step::FindVerifier { .. }) => {
                    server.verifier(ScramVerifier::pretended(b"secret", "user"))
                }
                step => step,
            };
            seen.shape(&(name, &step));
            assert!(!matches!(step, Ok(Step::Proven(_))), "nobody knows this password");
        }
    }
}
