//! Commands that answer, notify, edit the header or go through parts.

use super::arguments::Arguments;
use super::matching::{Tags, Takes};
use super::questions::{header_name, no_count};
use super::text::is_identifier;
use super::{Checked, Checker};
use crate::fault::{Fault, Position};
use crate::limits::{
    VACATION_DAYS, VACATION_DAYS_LEAST, VACATION_DAYS_MOST, VACATION_SECONDS_LEAST,
};
use crate::program::{DeleteHeader, Do, Fcc, Notify, Place, Replacement, Template, Vacation};
use crate::syntax::{Command, Tests};

/// `:fcc` and the tags that go with it, as they come.
#[derive(Default)]
struct FccTags {
    mailbox: Option<Template>,
    create: Option<Position>,
    flags: Option<Vec<Template>>,
    special_use: Option<Template>,
}

impl FccTags {
    fn finish(self) -> Checked<Option<Fcc>> {
        let FccTags { mailbox, create, flags, special_use } = self;
        match mailbox {
            Some(mailbox) => {
                Ok(Some(Fcc { mailbox, create: create.is_some(), flags, special_use }))
            }
            // RFC 8580 §3: the others say how the copy is stored.
            None => match create {
                Some(at) => Err(Fault::new(at, ":create goes with :fcc here")),
                None => Ok(None),
            },
        }
    }
}

impl Checker {
    fn fcc_tag(
        &self,
        arguments: &mut Arguments<'_>,
        (at, tag): (Position, &str),
        fcc: &mut FccTags,
    ) -> Checked<bool> {
        match tag {
            "fcc" => {
                self.need("fcc", at, ":fcc")?;
                arguments.once(at, tag, &fcc.mailbox)?;
                fcc.mailbox = Some(self.template(arguments.text("the mailbox of :fcc")?)?);
            }
            "create" => {
                self.need("mailbox", at, ":create")?;
                fcc.create = Some(at);
            }
            "flags" => self.flags_tag(arguments, at, &mut fcc.flags)?,
            "specialuse" => {
                self.need("special-use", at, ":specialuse")?;
                fcc.special_use = Some(self.template(arguments.text("the use")?)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn vacation(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let (mut seconds, mut subject, mut from, mut handle) = (None, None, None, None);
        let mut addresses = None;
        let mut mime = false;
        let mut fcc = FccTags::default();
        while let Some((at, tag)) = arguments.tag() {
            match tag.as_str() {
                "days" => {
                    arguments.once(at, &tag, &seconds)?;
                    let days = arguments.number("the days")?;
                    let days = days.clamp(VACATION_DAYS_LEAST, VACATION_DAYS_MOST);
                    seconds = Some(days * 86_400);
                }
                "seconds" => {
                    self.need("vacation-seconds", at, ":seconds")?;
                    arguments.once(at, &tag, &seconds)?;
                    let given = arguments.number("the seconds")?;
                    let most = VACATION_DAYS_MOST * 86_400;
                    seconds = Some(given.clamp(VACATION_SECONDS_LEAST, most));
                }
                "subject" => {
                    arguments.once(at, &tag, &subject)?;
                    subject = Some(self.template(arguments.text("the subject")?)?);
                }
                "from" => {
                    arguments.once(at, &tag, &from)?;
                    let address = self.template(arguments.text("the address")?)?;
                    self.known_address(&address)?;
                    from = Some(address);
                }
                "addresses" => {
                    arguments.once(at, &tag, &addresses)?;
                    addresses = Some(self.templates(arguments.texts("the addresses")?)?);
                }
                "mime" => mime = true,
                "handle" => {
                    arguments.once(at, &tag, &handle)?;
                    handle = Some(self.template(arguments.text("the handle")?)?);
                }
                other if self.fcc_tag(arguments, (at, other), &mut fcc)? => {}
                _ => return Err(arguments.unknown_tag(at, &tag)),
            }
        }
        let reason = self.template(arguments.text("the text")?)?;
        Ok(Do::Vacation(Box::new(Vacation {
            seconds: seconds.unwrap_or(VACATION_DAYS * 86_400),
            subject,
            from,
            addresses: addresses.unwrap_or_default(),
            mime,
            handle,
            fcc: fcc.finish()?,
            reason,
        })))
    }

    pub(super) fn notify(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let (mut from, mut importance, mut options, mut message) = (None, None, None, None);
        let mut fcc = FccTags::default();
        while let Some((at, tag)) = arguments.tag() {
            match tag.as_str() {
                "from" => {
                    arguments.once(at, &tag, &from)?;
                    from = Some(self.template(arguments.text("the address")?)?);
                }
                "importance" => {
                    arguments.once(at, &tag, &importance)?;
                    let template = self.template(arguments.text("the importance")?)?;
                    if template.literal().is_some_and(|text| !["1", "2", "3"].contains(&text)) {
                        let what = "the importance is \"1\", \"2\" or \"3\"";
                        return Err(Fault::new(template.at, what));
                    }
                    importance = Some(template);
                }
                "options" => {
                    arguments.once(at, &tag, &options)?;
                    options = Some(self.templates(arguments.texts("the options")?)?);
                }
                "message" => {
                    arguments.once(at, &tag, &message)?;
                    message = Some(self.template(arguments.text("the message")?)?);
                }
                other if self.fcc_tag(arguments, (at, other), &mut fcc)? => {}
                _ => return Err(arguments.unknown_tag(at, &tag)),
            }
        }
        let method = self.template(arguments.text("the method")?)?;
        // RFC 5435 §3.1: a method that is known not to work is a fault now.
        if let Some(uri) = method.literal()
            && let Err(why) = crate::run::mailto(uri)
        {
            return Err(Fault::new(method.at, why));
        }
        let options = options.unwrap_or_default();
        let fcc = fcc.finish()?;
        Ok(Do::Notify(Box::new(Notify { method, from, importance, options, message, fcc })))
    }

    pub(super) fn add_header(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let mut place = Place::First;
        while let Some((at, tag)) = arguments.tag() {
            match tag.as_str() {
                "last" => place = Place::Last,
                _ => return Err(arguments.unknown_tag(at, &tag)),
            }
        }
        let name = self.template(arguments.text("the name of the field")?)?;
        header_name(&name)?;
        let value = self.template(arguments.text("the value")?)?;
        Ok(Do::AddHeader { place, name, value })
    }

    pub(super) fn delete_header(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let mut tags = Tags::default();
        // RFC 5293 §5: :index is part of editheader, not of the extension index.
        let (mut number, mut last) = (None, false);
        while let Some((at, tag)) = arguments.tag() {
            match tag.as_str() {
                "index" => {
                    arguments.once(at, &tag, &number)?;
                    number = Some(arguments.number("the number of :index")?);
                    if number == Some(0) {
                        return Err(Fault::new(at, ":index counts from 1"));
                    }
                }
                "last" => last = true,
                other => {
                    let shared = (at, other);
                    if !self.shared_tag(arguments, shared, &[Takes::Matching], &mut tags)? {
                        return Err(arguments.unknown_tag(at, &tag));
                    }
                }
            }
        }
        let index = match (number, last) {
            (Some(number), last) => Some(crate::program::Index { number, last }),
            (None, true) => return Err(Fault::new(arguments.at, ":last goes with :index")),
            (None, false) => None,
        };
        let matching = tags.matching();
        no_count(arguments.at, matching)?;
        let name = self.template(arguments.text("the name of the field")?)?;
        header_name(&name)?;
        let keys = match arguments.left() {
            0 => Vec::new(),
            _ => self.keys(arguments.texts("the values")?, matching)?,
        };
        Ok(Do::DeleteHeader(Box::new(DeleteHeader { index, matching, name, keys })))
    }

    /// RFC 5703 §3.
    pub(super) fn for_every_part(&mut self, command: &Command) -> Checked<Do> {
        let mut arguments = Arguments::new(&command.name, command.at, &command.arguments);
        let mut name = None;
        while let Some((at, tag)) = arguments.tag() {
            if tag != "name" {
                return Err(arguments.unknown_tag(at, &tag));
            }
            arguments.once(at, &tag, &name)?;
            let text = arguments.text("the name")?;
            if !is_identifier(&text.text) {
                return Err(Fault::new(text.at, "the name of a loop is letters and digits"));
            }
            name = Some(text.text.to_ascii_lowercase());
        }
        arguments.end()?;
        let Some(block) = &command.block else {
            return Err(Fault::new(command.at, "foreverypart is followed by a block in braces"));
        };
        if command.tests != Tests::None {
            return Err(Fault::new(command.at, "foreverypart takes no test"));
        }
        self.loops.push(name.clone());
        let body = self.block(block);
        self.loops.pop();
        Ok(Do::ForEveryPart { name, body })
    }

    pub(super) fn break_loop(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let mut name = None;
        while let Some((at, tag)) = arguments.tag() {
            if tag != "name" {
                return Err(arguments.unknown_tag(at, &tag));
            }
            name = Some(arguments.text("the name")?.text.to_ascii_lowercase());
        }
        let known = match &name {
            None => !self.loops.is_empty(),
            Some(_) => self.loops.contains(&name),
        };
        if !known {
            return Err(Fault::new(arguments.at, "break ends a loop around it; there is no such"));
        }
        Ok(Do::Break(name))
    }

    pub(super) fn extract_text(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        self.need("variables", arguments.at, "extracttext")?;
        if self.loops.is_empty() {
            // RFC 5703 §7.
            return Err(Fault::new(arguments.at, "extracttext stands inside foreverypart"));
        }
        let (modifiers, first) = self.modifiers(arguments, &["first"])?;
        let variable = self.variable(arguments.text("the variable")?)?;
        Ok(Do::ExtractText { modifiers, first, variable })
    }

    /// RFC 5703 §5 and §6.
    pub(super) fn replacement(&self, arguments: &mut Arguments<'_>, encloses: bool) -> Checked<Do> {
        let (mut subject, mut from, mut headers) = (None, None, None);
        let mut mime = false;
        while let Some((at, tag)) = arguments.tag() {
            match tag.as_str() {
                "mime" if !encloses => mime = true,
                "subject" => {
                    arguments.once(at, &tag, &subject)?;
                    subject = Some(self.template(arguments.text("the subject")?)?);
                }
                "from" if !encloses => {
                    arguments.once(at, &tag, &from)?;
                    from = Some(self.template(arguments.text("the address")?)?);
                }
                "headers" if encloses => {
                    arguments.once(at, &tag, &headers)?;
                    headers = Some(self.templates(arguments.texts("the fields")?)?);
                }
                _ => return Err(arguments.unknown_tag(at, &tag)),
            }
        }
        let text = self.template(arguments.text("the text")?)?;
        let headers = headers.unwrap_or_default();
        let replacement = Box::new(Replacement { mime, subject, from, headers, text });
        Ok(if encloses { Do::Enclose(replacement) } else { Do::Replace(replacement) })
    }
}
