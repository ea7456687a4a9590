//! Variables (RFC 5229) and those shared by included scripts (RFC 6609 §3.4).

use std::collections::{HashMap, HashSet};

use super::{Ran, Run};
use crate::fault::{Fault, Position};
use crate::limits::{VARIABLE_BYTES, VARIABLES};
use crate::program::{Modifier, Piece, Template};

/// The variables that a script sees.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Of the script at hand.
    local: HashMap<String, String>,
    /// Names that the script at hand has declared global.
    declared: HashSet<String>,
    /// Of all scripts of the run.
    global: HashMap<String, String>,
    /// What the last wildcards stood for.
    pub(super) found: Vec<String>,
}

impl Scope {
    /// A new script begins: its variables are put aside and come back with [`Scope::leave`].
    pub(super) fn enter(&mut self) -> (HashMap<String, String>, HashSet<String>, Vec<String>) {
        (
            std::mem::take(&mut self.local),
            std::mem::take(&mut self.declared),
            std::mem::take(&mut self.found),
        )
    }

    pub(super) fn leave(
        &mut self,
        (local, declared, found): (HashMap<String, String>, HashSet<String>, Vec<String>),
    ) {
        (self.local, self.declared, self.found) = (local, declared, found);
    }

    pub(super) fn declare(&mut self, name: &str) {
        self.declared.insert(name.trim_start_matches("global.").to_owned());
    }

    pub(super) fn get(&self, name: &str) -> &str {
        let found = match name.strip_prefix("global.") {
            Some(bare) => self.global.get(bare),
            None if self.declared.contains(name) => self.global.get(name),
            None => self.local.get(name),
        };
        found.map(String::as_str).unwrap_or_default()
    }

    /// Whether there was room.
    pub(super) fn set(&mut self, name: &str, mut value: String) -> bool {
        value.truncate(value.floor_char_boundary(VARIABLE_BYTES));
        let (map, name) = match name.strip_prefix("global.") {
            Some(bare) => (&mut self.global, bare),
            None if self.declared.contains(name) => (&mut self.global, name),
            None => (&mut self.local, name),
        };
        if map.len() >= VARIABLES && !map.contains_key(name) {
            return false;
        }
        map.insert(name.to_owned(), value);
        true
    }
}

impl Run<'_> {
    /// A string with its variables filled in.
    pub(super) fn expand(&mut self, template: &Template) -> Ran<String> {
        if let Some(literal) = template.literal() {
            return Ok(literal.to_owned());
        }
        let mut out = String::new();
        for piece in &template.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Variable(name) => out.push_str(self.scope.get(name)),
                Piece::Match(number) => {
                    out.push_str(self.scope.found.get(*number).map_or("", String::as_str));
                }
            }
        }
        self.spend_text(template.at, out.len())?;
        Ok(out)
    }

    pub(super) fn expand_all(&mut self, templates: &[Template]) -> Ran<Vec<String>> {
        templates.iter().map(|template| self.expand(template)).collect()
    }

    pub(super) fn set(
        &mut self,
        at: Position,
        name: &str,
        modifiers: &[Modifier],
        value: String,
    ) -> Ran<()> {
        let mut value = value;
        for modifier in modifiers {
            self.spend_text(at, value.len())?;
            value = modified(*modifier, &value);
        }
        self.note(at, || format!("set {name} to {}", super::ask::shown(&value)));
        if self.scope.set(name, value) {
            return Ok(());
        }
        Err(Fault::new(at, format!("the script has more than {VARIABLES} variables")))
    }
}

fn modified(modifier: Modifier, value: &str) -> String {
    let first = |change: fn(&char) -> char| {
        let mut rest = value.chars();
        rest.next().map(|c| change(&c)).into_iter().chain(rest).collect()
    };
    let quoted = |special: &str| {
        let mut out = String::new();
        for character in value.chars() {
            if special.contains(character) {
                out.push('\\');
            }
            out.push(character);
        }
        out
    };
    match modifier {
        // RFC 5229 §4.1.1: ASCII letters; more may, but need not, be changed.
        Modifier::Lower => value.to_ascii_lowercase(),
        Modifier::Upper => value.to_ascii_uppercase(),
        Modifier::LowerFirst => first(char::to_ascii_lowercase),
        Modifier::UpperFirst => first(char::to_ascii_uppercase),
        Modifier::QuoteWildcard => quoted("*?\\"),
        Modifier::QuoteRegex => quoted("\\^$.*+?()[]{}|"),
        Modifier::EncodeUrl => super::mailto::encoded(value),
        Modifier::Length => value.chars().count().to_string(),
    }
}
