//! Reading the arguments of one command or test: tags first, in any order, then what stands at its
//! place (RFC 5228 §2.6).

use super::Checked;
use crate::fault::{Fault, Position};
use crate::syntax::{Argument, Text, Value};

/// The arguments that are not read yet.
#[derive(Debug, Clone)]
pub(super) struct Arguments<'a> {
    /// Of the command or test, for faults.
    pub(super) owner: &'a str,
    pub(super) at: Position,
    rest: &'a [Argument],
}

impl<'a> Arguments<'a> {
    pub(super) fn new(owner: &'a str, at: Position, all: &'a [Argument]) -> Self {
        Arguments { owner, at, rest: all }
    }

    fn next(&mut self) -> Option<&'a Argument> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next argument if it is a tag, in lower case.
    pub(super) fn tag(&mut self) -> Option<(Position, String)> {
        match self.rest.first() {
            Some(Argument { at, value: Value::Tag(name) }) => {
                self.next();
                Some((*at, name.to_ascii_lowercase()))
            }
            _ => None,
        }
    }

    /// How many arguments are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// One string.
    pub(super) fn text(&mut self, what: &str) -> Checked<&'a Text> {
        match self.next() {
            Some(Argument { value: Value::Strings(texts), at }) => match texts.as_slice() {
                [one] => Ok(one),
                _ => Err(self.wrong(*at, what, "one string")),
            },
            Some(other) => Err(self.wrong(other.at, what, "a string")),
            None => Err(self.missing(what)),
        }
    }

    /// A string or a list of strings.
    pub(super) fn texts(&mut self, what: &str) -> Checked<&'a [Text]> {
        match self.next() {
            Some(Argument { value: Value::Strings(texts), .. }) => Ok(texts),
            Some(other) => Err(self.wrong(other.at, what, "a string or a list of strings")),
            None => Err(self.missing(what)),
        }
    }

    /// A number.
    pub(super) fn number(&mut self, what: &str) -> Checked<u64> {
        match self.next() {
            Some(Argument { value: Value::Number(number), .. }) => Ok(*number),
            Some(other) => Err(self.wrong(other.at, what, "a number")),
            None => Err(self.missing(what)),
        }
    }

    /// Nothing more may follow.
    pub(super) fn end(&self) -> Checked<()> {
        match self.rest.first() {
            None => Ok(()),
            Some(Argument { at, value: Value::Tag(name) }) => {
                let what =
                    format!("{} takes :{name} before its other arguments, if at all", self.owner);
                Err(Fault::new(*at, what))
            }
            Some(extra) => {
                Err(Fault::new(extra.at, format!("{} takes no more arguments", self.owner)))
            }
        }
    }

    /// A tag that this command or test does not have.
    pub(super) fn unknown_tag(&self, at: Position, tag: &str) -> Fault {
        Fault::new(at, format!("{} has no argument :{tag}", self.owner))
    }

    /// A tag that was given before, or that excludes one given before.
    pub(super) fn once<T>(&self, at: Position, tag: &str, slot: &Option<T>) -> Checked<()> {
        match slot {
            None => Ok(()),
            Some(_) => {
                let what = format!("{} takes :{tag} once, and not with its like", self.owner);
                Err(Fault::new(at, what))
            }
        }
    }

    fn wrong(&self, at: Position, what: &str, kind: &str) -> Fault {
        Fault::new(at, format!("{what} of {} is {kind}", self.owner))
    }

    fn missing(&self, what: &str) -> Fault {
        Fault::new(self.at, format!("{} lacks {what}", self.owner))
    }
}
