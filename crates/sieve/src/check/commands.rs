//! The commands of RFC 5228 and those that steer a script, one by one. What sends or edits is in
//! `actions`.

use super::arguments::Arguments;
use super::{Checked, Checker, plain};
use crate::fault::{Fault, Position};
use crate::limits::VARIABLES;
use crate::program::{Do, FileInto, FlagChange, Modifier, Refusal, Template};
use crate::syntax::Command;

impl Checker {
    pub(super) fn command(&mut self, command: &Command, name: &str) -> Checked<Do> {
        if let Some(extension) = extension_of(name) {
            self.need(extension, command.at, &format!("the command {name}"))?;
        }
        if name == "foreverypart" {
            return self.for_every_part(command);
        }
        if name == "elsif" || name == "else" {
            let what = format!("{} follows the block of an if or elsif", command.name);
            return Err(Fault::new(command.at, what));
        }
        plain(command).map_err(|fault| match extension_of(name).is_some() || is_known(name) {
            true => fault,
            false => unknown(command),
        })?;
        let mut arguments = Arguments::new(&command.name, command.at, &command.arguments);
        let args = &mut arguments;
        let what = match name {
            "stop" => Do::Stop,
            "return" => Do::Return,
            "discard" => Do::Discard,
            "keep" => self.keep(args)?,
            "fileinto" => self.file_into(args)?,
            "redirect" => self.redirect(args)?,
            "reject" => self.reject(args, Refusal::Reject)?,
            "ereject" => self.reject(args, Refusal::Ereject)?,
            "set" => self.set(args)?,
            "setflag" => self.flags(args, FlagChange::Set)?,
            "addflag" => self.flags(args, FlagChange::Add)?,
            "removeflag" => self.flags(args, FlagChange::Remove)?,
            "vacation" => self.vacation(args)?,
            "notify" => self.notify(args)?,
            "addheader" => self.add_header(args)?,
            "deleteheader" => self.delete_header(args)?,
            "include" => self.include(args)?,
            "global" => self.global(args)?,
            "break" => self.break_loop(args)?,
            "extracttext" => self.extract_text(args)?,
            "replace" => self.replacement(args, false)?,
            "enclose" => self.replacement(args, true)?,
            "error" => Do::Error(self.template(args.text("the message")?)?),
            _ => return Err(unknown(command)),
        };
        arguments.end()?;
        Ok(what)
    }

    fn keep(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let mut flags = None;
        while let Some((at, tag)) = arguments.tag() {
            if tag != "flags" {
                return Err(arguments.unknown_tag(at, &tag));
            }
            self.flags_tag(arguments, at, &mut flags)?;
        }
        Ok(Do::Keep { flags })
    }

    /// RFC 5232 §5.
    pub(super) fn flags_tag(
        &self,
        arguments: &mut Arguments<'_>,
        at: Position,
        flags: &mut Option<Vec<Template>>,
    ) -> Checked<()> {
        self.need("imap4flags", at, ":flags")?;
        arguments.once(at, "flags", flags)?;
        *flags = Some(self.templates(arguments.texts("the flags")?)?);
        Ok(())
    }

    fn file_into(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let (mut flags, mut special_use) = (None, None);
        let (mut copy, mut create) = (false, false);
        while let Some((at, tag)) = arguments.tag() {
            match tag.as_str() {
                "flags" => self.flags_tag(arguments, at, &mut flags)?,
                "copy" => {
                    self.need("copy", at, ":copy")?;
                    copy = true;
                }
                "create" => {
                    self.need("mailbox", at, ":create")?;
                    create = true;
                }
                "specialuse" => {
                    self.need("special-use", at, ":specialuse")?;
                    arguments.once(at, &tag, &special_use)?;
                    special_use = Some(self.template(arguments.text("the use")?)?);
                }
                _ => return Err(arguments.unknown_tag(at, &tag)),
            }
        }
        let mailbox = self.template(arguments.text("the mailbox")?)?;
        if mailbox.literal().is_some_and(str::is_empty) {
            return Err(Fault::new(mailbox.at, "a mailbox has a name"));
        }
        Ok(Do::FileInto(Box::new(FileInto { mailbox, copy, create, flags, special_use })))
    }

    fn redirect(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let mut copy = false;
        while let Some((at, tag)) = arguments.tag() {
            if tag != "copy" {
                return Err(arguments.unknown_tag(at, &tag));
            }
            self.need("copy", at, ":copy")?;
            copy = true;
        }
        let address = self.template(arguments.text("the address")?)?;
        // RFC 5228 §2.4.2.3: what is known to be no address is a fault now.
        self.known_address(&address)?;
        Ok(Do::Redirect { address, copy })
    }

    pub(super) fn known_address(&self, address: &Template) -> Checked<()> {
        match address.literal() {
            Some(literal) if crate::run::single_address(literal).is_none() => {
                Err(Fault::new(address.at, format!("{literal:?} is not an address")))
            }
            _ => Ok(()),
        }
    }

    fn reject(&self, arguments: &mut Arguments<'_>, how: Refusal) -> Checked<Do> {
        Ok(Do::Reject { reason: self.template(arguments.text("the reason")?)?, how })
    }

    fn set(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let modifiers = self.modifiers(arguments, &[])?.0;
        let name = self.variable(arguments.text("the name of the variable")?)?;
        let value = self.template(arguments.text("the value")?)?;
        Ok(Do::Set { name, modifiers, value })
    }

    /// Modifiers of `set` and `extracttext`; of the other tags, that one with its number.
    pub(super) fn modifiers(
        &self,
        arguments: &mut Arguments<'_>,
        others: &[&str],
    ) -> Checked<(Vec<Modifier>, Option<u64>)> {
        let mut modifiers: Vec<Modifier> = Vec::new();
        let mut number = None;
        while let Some((at, tag)) = arguments.tag() {
            if others.contains(&tag.as_str()) {
                arguments.once(at, &tag, &number)?;
                number = Some(arguments.number("the number of characters")?);
                continue;
            }
            let modifier = match tag.as_str() {
                "lower" => Modifier::Lower,
                "upper" => Modifier::Upper,
                "lowerfirst" => Modifier::LowerFirst,
                "upperfirst" => Modifier::UpperFirst,
                "quotewildcard" => Modifier::QuoteWildcard,
                "quoteregex" => {
                    self.need("regex", at, ":quoteregex")?;
                    Modifier::QuoteRegex
                }
                "encodeurl" => {
                    self.need("enotify", at, ":encodeurl")?;
                    Modifier::EncodeUrl
                }
                "length" => Modifier::Length,
                _ => return Err(arguments.unknown_tag(at, &tag)),
            };
            // RFC 5229 §4.1: two of the same precedence are a fault.
            if modifiers.iter().any(|other| other.precedence() == modifier.precedence()) {
                let what = format!(":{tag} does not go with the modifier before it");
                return Err(Fault::new(at, what));
            }
            modifiers.push(modifier);
        }
        modifiers.sort_by_key(|modifier| std::cmp::Reverse(modifier.precedence()));
        Ok((modifiers, number))
    }

    fn flags(&self, arguments: &mut Arguments<'_>, how: FlagChange) -> Checked<Do> {
        let mut variable = None;
        if arguments.left() > 1 {
            let text = arguments.text("the variable")?;
            self.need("variables", text.at, "a named list of flags")?;
            variable = Some(self.variable(text)?);
        }
        let flags = self.templates(arguments.texts("the flags")?)?;
        Ok(Do::Flags { how, variable, flags })
    }

    fn include(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        let mut personal: Option<bool> = None;
        let (mut once, mut optional) = (false, false);
        while let Some((at, tag)) = arguments.tag() {
            match tag.as_str() {
                "personal" | "global" => {
                    arguments.once(at, &tag, &personal)?;
                    personal = Some(tag == "personal");
                }
                "once" => once = true,
                "optional" => optional = true,
                _ => return Err(arguments.unknown_tag(at, &tag)),
            }
        }
        let text = arguments.text("the name of the script")?;
        let name = self.template(text)?;
        // RFC 6609 §3.2: the name is known when the script is stored.
        if name.literal().is_none() {
            return Err(Fault::new(text.at, "the name of an included script holds no variable"));
        }
        Ok(Do::Include { personal: personal.unwrap_or(true), once, optional, name })
    }

    fn global(&self, arguments: &mut Arguments<'_>) -> Checked<Do> {
        self.need("variables", arguments.at, "global")?;
        let texts = arguments.texts("the variables")?;
        if texts.len() > VARIABLES {
            return Err(Fault::new(arguments.at, format!("more than {VARIABLES} variables")));
        }
        texts.iter().map(|text| self.variable(text)).collect::<Checked<_>>().map(Do::Global)
    }
}

fn unknown(command: &Command) -> Fault {
    Fault::new(command.at, format!("there is no command {:?}", command.name))
}

fn is_known(name: &str) -> bool {
    ["stop", "discard", "keep", "redirect"].contains(&name)
}

/// The extension that a command belongs to; `keep`, `discard`, `redirect` and `stop` to none.
fn extension_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "fileinto" => "fileinto",
        "reject" => "reject",
        "ereject" => "ereject",
        "set" => "variables",
        "setflag" | "addflag" | "removeflag" => "imap4flags",
        "vacation" => "vacation",
        "notify" => "enotify",
        "addheader" | "deleteheader" => "editheader",
        "include" | "global" | "return" => "include",
        "foreverypart" | "break" => "foreverypart",
        "extracttext" => "extracttext",
        "replace" => "replace",
        "enclose" => "enclose",
        "error" => "ihave",
        _ => return None,
    })
}
