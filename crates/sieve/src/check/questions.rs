//! The tests, one by one: which arguments they take.

use super::arguments::Arguments;
use super::matching::{Tags, Takes};
use super::{Checked, Checker};
use crate::compare::{MatchType, Matching};
use crate::fault::{Fault, Position};
use crate::limits::{DUPLICATE_SECONDS, DUPLICATE_SECONDS_MOST};
use crate::program::{
    Ask, DateTest, Duplicate, DuplicateKey, HeaderTest, Template, Test, Transform, Zone,
};
use crate::syntax;

impl Checker {
    pub(super) fn question(&mut self, test: &syntax::Test, name: &str) -> Checked<Ask> {
        if let Some(extension) = extension_of(name) {
            self.need(extension, test.at, &format!("the test {name}"))?;
        }
        let composite = ["not", "allof", "anyof"].contains(&name);
        if !composite && let Some(extra) = test.tests.as_slice().first() {
            return Err(Fault::new(extra.at, format!("the test {name} takes no further test")));
        }
        let mut arguments = Arguments::new(&test.name, test.at, &test.arguments);
        let ask = match name {
            "true" => Ask::True,
            "false" => Ask::False,
            "not" | "allof" | "anyof" => self.composite(test, name)?,
            "exists" => self.exists(&mut arguments)?,
            "header" => {
                let takes = [Takes::Matching, Takes::Index, Takes::Mime];
                let (_, header) = self.header_test(&mut arguments, &takes)?;
                Ask::Header(Box::new(header))
            }
            "address" => {
                let takes = [Takes::Matching, Takes::AddressPart, Takes::Index, Takes::Mime];
                let (tags, header) = self.header_test(&mut arguments, &takes)?;
                self.address_fields(&header.names)?;
                Ask::Address(Box::new(header), tags.part())
            }
            "envelope" => self.envelope(&mut arguments)?,
            "size" => self.size(&mut arguments)?,
            "body" => self.body(&mut arguments)?,
            "string" => {
                let tags = self.only_shared(&mut arguments, &[Takes::Matching])?;
                let matching = tags.matching();
                let sources = self.templates(arguments.texts("the strings")?)?;
                let keys = self.keys(arguments.texts("the keys")?, matching)?;
                Ask::Text { sources, matching, keys }
            }
            "hasflag" => self.has_flag(&mut arguments)?,
            "date" | "currentdate" => self.date(&mut arguments, name == "date")?,
            "environment" => {
                let tags = self.only_shared(&mut arguments, &[Takes::Matching])?;
                let matching = tags.matching();
                let name = self.template(arguments.text("the item")?)?;
                let keys = self.keys(arguments.texts("the keys")?, matching)?;
                Ask::Environment { name, matching, keys }
            }
            "ihave" => Ask::Ihave(self.templates(arguments.texts("the extensions")?)?),
            "duplicate" => self.duplicate(&mut arguments)?,
            "spamtest" | "virustest" => self.spam_or_virus(&mut arguments, name)?,
            "mailboxexists" => Ask::MailboxExists(self.templates(arguments.texts("the names")?)?),
            "specialuse_exists" => self.special_use(&mut arguments)?,
            "valid_notify_method" => {
                Ask::ValidNotifyMethod(self.templates(arguments.texts("the methods")?)?)
            }
            "notify_method_capability" => {
                let tags = self.only_shared(&mut arguments, &[Takes::Matching])?;
                let matching = tags.matching();
                let method = self.template(arguments.text("the method")?)?;
                let capability = self.template(arguments.text("the capability")?)?;
                let keys = self.keys(arguments.texts("the keys")?, matching)?;
                Ask::NotifyMethodCapability { method, capability, matching, keys }
            }
            _ => return Err(Fault::new(test.at, format!("there is no test {:?}", test.name))),
        };
        if !composite {
            arguments.end()?;
        }
        Ok(ask)
    }

    fn composite(&mut self, test: &syntax::Test, name: &str) -> Checked<Ask> {
        if let Some(argument) = test.arguments.first() {
            return Err(Fault::new(argument.at, format!("{name} takes tests and nothing else")));
        }
        let mut all: Vec<Test> = Vec::new();
        for inner in test.tests.as_slice() {
            all.push(self.test(inner)?);
        }
        match (name, &test.tests) {
            ("not", syntax::Tests::One(_)) => {
                let one = all.pop().ok_or_else(|| Fault::new(test.at, "not takes one test"))?;
                Ok(Ask::Not(Box::new(one)))
            }
            ("not", _) => Err(Fault::new(test.at, "not takes one test, without parentheses")),
            (_, syntax::Tests::List(_)) if name == "allof" => Ok(Ask::AllOf(all)),
            (_, syntax::Tests::List(_)) => Ok(Ask::AnyOf(all)),
            _ => Err(Fault::new(test.at, format!("{name} takes a list of tests in parentheses"))),
        }
    }

    fn exists(&self, arguments: &mut Arguments<'_>) -> Checked<Ask> {
        let tags = self.only_shared(arguments, &[Takes::Mime])?;
        let names = self.header_names(arguments)?;
        Ok(Ask::Exists { names, mime: tags.mime()? })
    }

    /// Shared tags, and a fault for any other.
    fn only_shared(&self, arguments: &mut Arguments<'_>, takes: &[Takes]) -> Checked<Tags> {
        let mut tags = Tags::default();
        while let Some((at, tag)) = arguments.tag() {
            if !self.shared_tag(arguments, (at, &tag), takes, &mut tags)? {
                return Err(arguments.unknown_tag(at, &tag));
            }
        }
        Ok(tags)
    }

    fn header_test(
        &self,
        arguments: &mut Arguments<'_>,
        takes: &[Takes],
    ) -> Checked<(Tags, HeaderTest)> {
        let tags = self.only_shared(arguments, takes)?;
        let names = self.header_names(arguments)?;
        let matching = tags.matching();
        let keys = self.keys(arguments.texts("the keys")?, matching)?;
        let (index, mime) = (tags.index()?, tags.mime()?);
        Ok((tags, HeaderTest { names, matching, keys, index, mime }))
    }

    fn header_names(&self, arguments: &mut Arguments<'_>) -> Checked<Vec<Template>> {
        let names = self.templates(arguments.texts("the names of header fields")?)?;
        for name in &names {
            header_name(name)?;
        }
        Ok(names)
    }

    /// RFC 5228 §5.1: fields that hold no addresses are a fault.
    fn address_fields(&self, names: &[Template]) -> Checked<()> {
        for name in names {
            if let Some(literal) = name.literal()
                && !ADDRESS_FIELDS.iter().any(|known| known.eq_ignore_ascii_case(literal))
                && !literal.to_ascii_lowercase().starts_with("x-")
            {
                let what = format!("the field {literal:?} holds no addresses; use header instead");
                return Err(Fault::new(name.at, what));
            }
        }
        Ok(())
    }

    fn envelope(&self, arguments: &mut Arguments<'_>) -> Checked<Ask> {
        let tags = self.only_shared(arguments, &[Takes::Matching, Takes::AddressPart])?;
        let matching = tags.matching();
        let fields = self.templates(arguments.texts("the parts of the envelope")?)?;
        for field in &fields {
            if let Some(literal) = field.literal()
                && !["from", "to"].iter().any(|known| known.eq_ignore_ascii_case(literal))
            {
                let what = format!("the envelope has \"from\" and \"to\", not {literal:?}");
                return Err(Fault::new(field.at, what));
            }
        }
        let keys = self.keys(arguments.texts("the keys")?, matching)?;
        Ok(Ask::Envelope { fields, part: tags.part(), matching, keys })
    }

    fn size(&self, arguments: &mut Arguments<'_>) -> Checked<Ask> {
        let Some((at, tag)) = arguments.tag() else {
            return Err(Fault::new(arguments.at, "size takes :over or :under and a number"));
        };
        let limit = arguments.number("the limit")?;
        match tag.as_str() {
            "over" => Ok(Ask::SizeOver(limit)),
            "under" => Ok(Ask::SizeUnder(limit)),
            _ => Err(arguments.unknown_tag(at, &tag)),
        }
    }

    fn body(&self, arguments: &mut Arguments<'_>) -> Checked<Ask> {
        let mut tags = Tags::default();
        let mut transform = None;
        while let Some((at, tag)) = arguments.tag() {
            if self.shared_tag(arguments, (at, &tag), &[Takes::Matching], &mut tags)? {
                continue;
            }
            arguments.once(at, &tag, &transform)?;
            transform = Some(match tag.as_str() {
                "raw" => Transform::Raw,
                "text" => Transform::Text,
                "content" => {
                    Transform::Content(self.templates(arguments.texts("the media types")?)?)
                }
                _ => return Err(arguments.unknown_tag(at, &tag)),
            });
        }
        let matching = tags.matching();
        let keys = self.keys(arguments.texts("the keys")?, matching)?;
        // RFC 5173 §4: :text where nothing is said.
        Ok(Ask::Body { transform: transform.unwrap_or(Transform::Text), matching, keys })
    }

    fn has_flag(&self, arguments: &mut Arguments<'_>) -> Checked<Ask> {
        let tags = self.only_shared(arguments, &[Takes::Matching])?;
        let matching = tags.matching();
        let mut variables = Vec::new();
        // RFC 5232 §4: the variables come first and may be left out.
        if arguments.left() > 1 {
            for text in arguments.texts("the variables")? {
                self.need("variables", text.at, "a named list of flags")?;
                variables.push(self.variable(text)?);
            }
        }
        let keys = self.keys(arguments.texts("the flags")?, matching)?;
        Ok(Ask::HasFlag { variables, matching, keys })
    }

    fn date(&self, arguments: &mut Arguments<'_>, of_field: bool) -> Checked<Ask> {
        let mut tags = Tags::default();
        let mut zone = None;
        let takes: &[Takes] =
            if of_field { &[Takes::Matching, Takes::Index] } else { &[Takes::Matching] };
        while let Some((at, tag)) = arguments.tag() {
            if self.shared_tag(arguments, (at, &tag), takes, &mut tags)? {
                continue;
            }
            arguments.once(at, &tag, &zone)?;
            zone = Some(match tag.as_str() {
                "zone" => {
                    let given = self.template(arguments.text("the zone")?)?;
                    let right = given.literal().is_none_or(|text| crate::run::zone(text).is_some());
                    if !right {
                        return Err(Fault::new(given.at, "a zone is written as \"+0100\""));
                    }
                    Zone::Given(given)
                }
                "originalzone" if of_field => Zone::Original,
                _ => return Err(arguments.unknown_tag(at, &tag)),
            });
        }
        let header = match of_field {
            true => {
                let name = self.template(arguments.text("the name of the field")?)?;
                header_name(&name)?;
                Some(name)
            }
            false => None,
        };
        let part = self.template(arguments.text("the part of the date")?)?;
        if let Some(literal) = part.literal()
            && !crate::run::DATE_PARTS.iter().any(|known| known.eq_ignore_ascii_case(literal))
        {
            return Err(Fault::new(part.at, format!("a date has no part {literal:?}")));
        }
        let matching = tags.matching();
        let keys = self.keys(arguments.texts("the keys")?, matching)?;
        let zone = zone.unwrap_or(Zone::Local);
        let index = tags.index()?;
        Ok(Ask::Date(Box::new(DateTest { header, zone, part, index, matching, keys })))
    }

    fn duplicate(&self, arguments: &mut Arguments<'_>) -> Checked<Ask> {
        let (mut handle, mut key, mut seconds, mut last) = (None, None, None, None);
        while let Some((at, tag)) = arguments.tag() {
            match tag.as_str() {
                "handle" => {
                    arguments.once(at, &tag, &handle)?;
                    handle = Some(self.template(arguments.text("the handle")?)?);
                }
                "header" | "uniqueid" => {
                    arguments.once(at, &tag, &key)?;
                    let template = self.template(arguments.text("the identifier")?)?;
                    key = Some(match tag.as_str() {
                        "header" => {
                            header_name(&template)?;
                            DuplicateKey::Header(template)
                        }
                        _ => DuplicateKey::Unique(template),
                    });
                }
                "seconds" => {
                    arguments.once(at, &tag, &seconds)?;
                    seconds = Some(arguments.number("the seconds")?);
                }
                "last" => last = Some(()),
                _ => return Err(arguments.unknown_tag(at, &tag)),
            }
        }
        // RFC 7352 §3.1: the Message-ID where nothing is said.
        let message_id = || {
            let at = arguments.at;
            let pieces = vec![crate::program::Piece::Literal("Message-ID".to_owned())];
            DuplicateKey::Header(Template { at, pieces })
        };
        Ok(Ask::Duplicate(Box::new(Duplicate {
            handle,
            key: key.unwrap_or_else(message_id),
            seconds: seconds.unwrap_or(DUPLICATE_SECONDS).min(DUPLICATE_SECONDS_MOST),
            last: last.is_some(),
        })))
    }

    fn spam_or_virus(&self, arguments: &mut Arguments<'_>, name: &str) -> Checked<Ask> {
        let mut tags = Tags::default();
        let mut percent = false;
        while let Some((at, tag)) = arguments.tag() {
            if name == "spamtest" && tag == "percent" {
                self.need("spamtestplus", at, ":percent")?;
                percent = true;
            } else if !self.shared_tag(arguments, (at, &tag), &[Takes::Matching], &mut tags)? {
                return Err(arguments.unknown_tag(at, &tag));
            }
        }
        let matching = tags.matching();
        let key = self.key(arguments.text("the value")?, matching)?;
        Ok(match name {
            "spamtest" => Ask::SpamTest { percent, matching, key },
            _ => Ask::VirusTest { matching, key },
        })
    }

    fn special_use(&self, arguments: &mut Arguments<'_>) -> Checked<Ask> {
        let mut mailbox = None;
        if arguments.left() > 1 {
            mailbox = Some(self.template(arguments.text("the mailbox")?)?);
        }
        let uses = self.templates(arguments.texts("the uses")?)?;
        Ok(Ask::SpecialUseExists { mailbox, uses })
    }
}

/// The extension that a test belongs to; those of RFC 5228 §5 belong to none, but envelope.
fn extension_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "envelope" => "envelope",
        "body" => "body",
        "string" => "variables",
        "hasflag" => "imap4flags",
        "date" | "currentdate" => "date",
        "environment" => "environment",
        "ihave" => "ihave",
        "duplicate" => "duplicate",
        "spamtest" => "spamtest",
        "virustest" => "virustest",
        "mailboxexists" => "mailbox",
        "specialuse_exists" => "special-use",
        "valid_notify_method" | "notify_method_capability" => "enotify",
        _ => return None,
    })
}

/// RFC 5228 §2.4.2.2: a field name that cannot be one is a fault where it is known.
pub(super) fn header_name(name: &Template) -> Checked<()> {
    match name.literal() {
        Some(literal) if !is_header_name(literal) => {
            let what = format!("{literal:?} is no name of a header field; leave out the colon");
            Err(Fault::new(name.at, what))
        }
        _ => Ok(()),
    }
}

pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':')
}

/// A place for what the type of a test may not be.
pub(super) fn no_count(at: Position, matching: Matching) -> Checked<()> {
    match matching.how {
        MatchType::Count(_) => Err(Fault::new(at, ":count does not go here")),
        _ => Ok(()),
    }
}

/// Fields of addresses in the standards, and those that people test anyway.
const ADDRESS_FIELDS: [&str; 29] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "resent-from",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "resent-sender",
    "resent-reply-to",
    "return-path",
    "delivered-to",
    "errors-to",
    "apparently-to",
    "mail-followup-to",
    "mail-reply-to",
    "disposition-notification-to",
    "return-receipt-to",
    "envelope-to",
    "original-recipient",
    "approved",
    "list-post",
    "for-approval",
    "abuse-reports-to",
    "original-from",
    "original-to",
    "author",
];
