//! One line and its reply, as the journey shows them. Made by both machines when asked to.

use std::time::Duration;

use super::Verb;
use crate::reply::Reply;

/// Whether a machine reports each reply as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observe {
    /// No: nothing is kept for it.
    Nothing,
    /// One event for each reply.
    Replies,
}

/// A line of the client and the reply of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What was answered.
    pub verb: Verb,
    /// The line of the client; secrets of AUTH replaced by `***`, at most 512 characters.
    pub line: Box<str>,
    /// The reply of the server.
    pub reply: Reply,
    /// From the line to the reply.
    pub took: Duration,
}

/// Characters of a client's line that are kept for observation.
const LINE_SHOWN: usize = 512;

/// A client's line as the journey may show it: bounded, printable, without secrets.
pub(super) fn shown(verb: Verb, line: &str) -> Box<str> {
    let hide = |words: usize| {
        let mut kept: Vec<&str> = line.split_ascii_whitespace().take(words).collect();
        if line.split_ascii_whitespace().nth(words).is_some() || words == 0 {
            kept.push("***");
        }
        kept.join(" ")
    };
    let text = match verb {
        // "AUTH mechanism secret", or a response alone.
        Verb::Auth if line.get(..5).is_some_and(|w| w.eq_ignore_ascii_case("AUTH ")) => hide(2),
        Verb::Auth => hide(0),
        // The usual case: nothing to hide, to cut or to replace.
        _ if line.len() <= LINE_SHOWN && line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
            return line.into();
        }
        _ => line.to_string(),
    };
    let printable = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(LINE_SHOWN).map(printable).collect::<String>().into()
}
