//! Macros of SPF (RFC 7208 §7): read once, with their faults, and expanded for one check. It asks
//! nothing; the names of `%{p}` come from the caller.

use std::net::IpAddr;

/// A text with macros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Macro { letter: char, escaped: bool, digits: usize, reversed: bool, delimiters: String },
}

/// What macros stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) local: &'a str,
    /// The sender's domain.
    pub(super) origin: &'a str,
    /// The domain whose record is read.
    pub(super) domain: &'a str,
    pub(super) ip: IpAddr,
    pub(super) helo: &'a str,
    pub(super) receiver: &'a str,
    pub(super) now: u64,
    /// A validated name of the address, if it was asked for.
    pub(super) name: Option<&'a str>,
}

impl Template {
    /// A domain-spec (§7.1): ends with a label that is no number, or with a macro.
    pub(super) fn domain(text: &str) -> Option<Self> {
        let template = Self::read(text, Letters::OfDomains)?;
        match template.0.last()? {
            Piece::Macro { .. } => Some(template),
            Piece::Literal(end) => {
                let end = end.strip_suffix('.').unwrap_or(end);
                let label = match end.rsplit_once('.') {
                    Some((_, label)) => label,
                    // A macro's text may end in a label of its own, so the dot has to be here.
                    None => return None,
                };
                let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
                let is_top = !label.is_empty()
                    && label.chars().all(is_inner)
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().any(|c| !c.is_ascii_digit());
                is_top.then_some(template)
            }
        }
    }

    /// Any text with macros, without spaces.
    pub(super) fn text(text: &str) -> Option<Self> {
        Self::read(text, Letters::OfDomains)
    }

    /// An explanation (§6.2): spaces, and the macros c, r and t besides.
    pub(super) fn explanation(text: &str) -> Option<Self> {
        Self::read(text, Letters::OfExplanations)
    }

    /// Whether `%{p}` is in it.
    pub(super) fn wants_name(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro { letter: 'p', .. }))
    }

    fn read(text: &str, letters: Letters) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = rest.get(c.len_utf8()..)?;
            if c != '%' {
                let is_allowed = c.is_ascii_graphic() || letters == Letters::OfExplanations;
                if !is_allowed {
                    return None;
                }
                literal.push(c);
                continue;
            }
            let kind = rest.chars().next()?;
            rest = rest.get(kind.len_utf8()..)?;
            match kind {
                '%' => literal.push('%'),
                '_' => literal.push(' '),
                '-' => literal.push_str("%20"),
                '{' => {
                    let (inner, after) = rest.split_once('}')?;
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(macro_of(inner, letters)?);
                    rest = after;
                }
                _ => return None,
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Some(Template(pieces))
    }

    /// The text with its macros expanded.
    pub(super) fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Macro { letter, escaped, digits, reversed, delimiters } => {
                    let value = values.of(*letter);
                    let value = transformed(&value, *digits, *reversed, delimiters);
                    if *escaped { escape(&value, &mut out) } else { out.push_str(&value) }
                }
            }
        }
        out
    }

    /// The domain it stands for: §7.3, too long a name loses labels on the left.
    pub(super) fn expand_domain(&self, values: &Values<'_>) -> String {
        let mut name = self.expand(values);
        if name.ends_with('.') {
            name.pop();
        }
        while name.len() > 253 {
            match name.split_once('.') {
                Some((_, rest)) => name = rest.to_owned(),
                None => break,
            }
        }
        name.to_ascii_lowercase()
    }
}

/// Which letters a text may use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letters {
    OfDomains,
    OfExplanations,
}

/// `letter *digit [ "r" ] *delimiter` (§7.1).
fn macro_of(inner: &str, letters: Letters) -> Option<Piece> {
    let mut chars = inner.chars();
    let letter = chars.next()?;
    let lower = letter.to_ascii_lowercase();
    let known = match letters {
        Letters::OfDomains => "slodiphv",
        Letters::OfExplanations => "slodiphvcrt",
    };
    if !known.contains(lower) {
        return None;
    }
    let rest = chars.as_str();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at_checked(end)?;
    let digits = match number {
        "" => usize::MAX,
        // A number beyond all labels is all labels.
        number => number.parse::<usize>().unwrap_or(usize::MAX),
    };
    if digits == 0 {
        return None;
    }
    let (reversed, delimiters) = match rest.strip_prefix(['r', 'R']) {
        Some(delimiters) => (true, delimiters),
        None => (false, rest),
    };
    if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
        return None;
    }
    Some(Piece::Macro {
        letter: lower,
        escaped: letter.is_ascii_uppercase(),
        digits,
        reversed,
        delimiters: delimiters.to_owned(),
    })
}

impl Values<'_> {
    fn of(&self, letter: char) -> String {
        match letter {
            's' => format!("{}@{}", self.local, self.origin),
            'l' => self.local.to_owned(),
            'o' => self.origin.to_owned(),
            'd' => self.domain.to_owned(),
            'i' => match self.ip {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => {
                    let octets = v6.octets();
                    let digits = octets.iter().map(|o| format!("{:X}.{:X}", o >> 4, o & 15));
                    digits.collect::<Vec<_>>().join(".")
                }
            },
            'p' => self.name.unwrap_or("unknown").to_owned(),
            'v' => if self.ip.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'h' => self.helo.to_owned(),
            'c' => self.ip.to_string(),
            'r' => self.receiver.to_owned(),
            't' => self.now.to_string(),
            _ => String::new(),
        }
    }
}

/// §7.3: split at the delimiters, reversed, the last so many, joined with dots.
fn transformed(value: &str, digits: usize, reversed: bool, delimiters: &str) -> String {
    if delimiters.is_empty() && digits == usize::MAX && !reversed {
        return value.to_owned();
    }
    let delimiters = if delimiters.is_empty() { "." } else { delimiters };
    let mut parts: Vec<&str> = value.split(|c: char| delimiters.contains(c)).collect();
    if reversed {
        parts.reverse();
    }
    let skipped = parts.len().saturating_sub(digits);
    parts.get(skipped..).unwrap_or_default().join(".")
}

/// §7.3: as in a URI, all but unreserved characters.
fn escape(value: &str, out: &mut String) {
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
}
