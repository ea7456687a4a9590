//! Commands that do something: what they come to as actions, and which of them exclude others.

use super::{Ran, Run, address, mailto};
use crate::fault::{Fault, Position};
use crate::limits::{
    ACTIONS, ANSWER_TEXT, INCLUDE_DEPTH, INCLUDES, NOTIFICATIONS, REDIRECTS, VARIABLES,
};
use crate::outcome::{Act, Action, Filing, Notice, Shelf};
use crate::program::{Do, Fcc, FileInto, FlagChange, Notify, Refusal, Template};

impl Run<'_> {
    pub(super) fn act(&mut self, at: Position, what: &Do) -> Ran<()> {
        match what {
            Do::Discard => {
                self.keeps = false;
                self.push(at, Act::Discard)
            }
            Do::Keep { flags } => {
                let flags = self.flags_or_internal(flags.as_deref())?;
                self.keeps = false;
                self.push(at, Act::Keep { flags })
            }
            Do::FileInto(filing) => self.file_into(at, filing),
            Do::Redirect { address, copy } => self.redirect(at, address, *copy),
            Do::Reject { reason, how } => self.reject(at, reason, *how),
            Do::Set { name, modifiers, value } => {
                let value = self.expand(value)?;
                self.set(at, name, modifiers, value)
            }
            Do::Flags { how, variable, flags } => {
                self.change_flags(at, *how, variable.as_deref(), flags)
            }
            Do::Vacation(vacation) => self.vacation(at, vacation),
            Do::Notify(notify) => self.notify(at, notify),
            Do::AddHeader { place, name, value } => {
                let (name, value) = (self.expand(name)?, self.expand(value)?);
                self.add_header(at, *place, (&name, &value))
            }
            Do::DeleteHeader(wanted) => self.delete_header(at, wanted),
            Do::Global(names) => {
                names.iter().for_each(|name| self.scope.declare(name));
                Ok(())
            }
            Do::ExtractText { modifiers, first, variable } => {
                let text = self.extract_text(at, *first)?;
                self.set(at, variable, modifiers, text)
            }
            Do::Replace(with) => self.replace(at, with),
            Do::Enclose(with) => self.enclose(at, with),
            // These steer; the walk has them.
            Do::If { .. }
            | Do::Stop
            | Do::Return
            | Do::Break(_)
            | Do::ForEveryPart { .. }
            | Do::Include { .. }
            | Do::Error(_)
            | Do::Invalid(_) => Ok(()),
        }
    }

    /// Adds an action, unless the same was asked for before (RFC 5228 §2.10.3).
    pub(super) fn push(&mut self, at: Position, what: Act) -> Ran<()> {
        self.note(at, || super::answer::words(&what));
        let same = |action: &&mut Action| match (&action.what, &what) {
            (Act::FileInto(old), Act::FileInto(new)) => {
                old.mailbox == new.mailbox && old.special_use == new.special_use
            }
            (Act::Keep { .. }, Act::Keep { .. }) | (Act::Discard, Act::Discard) => true,
            // RFC 5228 §4.1 and §4.3: to keep is to file into INBOX.
            (Act::Keep { .. }, Act::FileInto(filing))
            | (Act::FileInto(filing), Act::Keep { .. }) => {
                filing.mailbox.eq_ignore_ascii_case("INBOX") && filing.special_use.is_none()
            }
            (Act::Redirect { address: old }, Act::Redirect { address: new }) => {
                address::same(old, new)
            }
            _ => false,
        };
        let letter = self.letter();
        if let Some(earlier) = self.actions.iter_mut().find(same) {
            // The flags of the later one hold (RFC 5232 §5).
            earlier.what = what;
            earlier.letter = letter;
            return Ok(());
        }
        self.excluded(at, &what)?;
        if self.actions.len() >= ACTIONS {
            return Err(Fault::new(at, format!("more than {ACTIONS} actions")));
        }
        self.actions.push(Action { at: Some(at), what, letter });
        Ok(())
    }

    /// RFC 5429 §2.4 and RFC 5230 §4.7: a letter given back is not kept, sent on or answered.
    fn excluded(&self, at: Position, new: &Act) -> Ran<()> {
        let rejects = |act: &Act| matches!(act, Act::Reject { .. });
        let takes = |act: &Act| !matches!(act, Act::Reject { .. } | Act::Discard | Act::Notify(_));
        let clash = self.actions.iter().any(|old| {
            (rejects(new) && (takes(&old.what) || rejects(&old.what)))
                || (rejects(&old.what) && takes(new))
        });
        if clash {
            let what = "a letter cannot be rejected and also be kept, filed, sent on or answered";
            return Err(Fault::new(at, what));
        }
        Ok(())
    }

    fn file_into(&mut self, at: Position, filing: &FileInto) -> Ran<()> {
        let mailbox = self.expand(&filing.mailbox)?;
        if mailbox.is_empty() {
            return Err(Fault::new(at, "fileinto was given an empty name"));
        }
        let flags = self.flags_or_internal(filing.flags.as_deref())?;
        let special_use = match &filing.special_use {
            Some(special_use) => Some(self.expand(special_use)?),
            None => None,
        };
        self.keeps &= filing.copy;
        let create = filing.create;
        self.push(at, Act::FileInto(Filing { mailbox, create, flags, special_use }))
    }

    fn redirect(&mut self, at: Position, to: &Template, copy: bool) -> Ran<()> {
        let text = self.expand(to)?;
        let address = address::single(&text)
            .ok_or_else(|| Fault::new(at, format!("{text:?} is not an address")))?;
        let so_far = self.actions.iter().filter(|action| {
            matches!(&action.what, Act::Redirect { address: old } if !address::same(old, &address))
        });
        if so_far.count() >= REDIRECTS {
            return Err(Fault::new(at, format!("more than {REDIRECTS} redirects")));
        }
        self.keeps &= copy;
        self.push(at, Act::Redirect { address })
    }

    fn reject(&mut self, at: Position, reason: &Template, how: Refusal) -> Ran<()> {
        let mut reason = self.expand(reason)?;
        reason.truncate(reason.floor_char_boundary(ANSWER_TEXT));
        self.keeps = false;
        self.push(at, Act::Reject { how, reason })
    }

    fn notify(&mut self, at: Position, notify: &Notify) -> Ran<()> {
        let method = self.expand(&notify.method)?;
        let mailto = mailto(&method).map_err(|why| Fault::new(at, why))?;
        let optional = |run: &mut Self, template: &Option<Template>| match template {
            Some(template) => run.expand(template).map(Some),
            None => Ok(None),
        };
        let message = optional(self, &notify.message)?;
        let from = optional(self, &notify.from)?.and_then(|from| address::single(&from));
        let importance = optional(self, &notify.importance)?;
        // RFC 5435 §3.4: options nobody knows are passed over.
        self.expand_all(&notify.options)?;
        let copy = self.copy(notify.fcc.as_ref())?;
        // RFC 5436 §2.7.1: a notification of a notification could go on for ever.
        let automatic = self.mail.text("Auto-Submitted").unwrap_or_default();
        if automatic.to_ascii_lowercase().starts_with("auto-notified") {
            self.noted(at, "notify: not for a letter that is a notification itself");
            return Ok(());
        }
        let so_far =
            self.actions.iter().filter(|action| matches!(action.what, Act::Notify(_))).count();
        if so_far >= NOTIFICATIONS {
            return Err(Fault::new(at, format!("more than {NOTIFICATIONS} notifications")));
        }
        let sender = self.mail.text("From").unwrap_or_default();
        let about = self.mail.text("Subject").unwrap_or_default();
        // RFC 5436 §2.7: the message of the script is the subject; else that of the method, else
        // that of the letter.
        let subject = message.clone().or(mailto.subject).unwrap_or_else(|| about.clone());
        let text = mailto.body.unwrap_or_else(|| {
            format!("You have a new letter.\r\nFrom: {sender}\r\nSubject: {about}\r\n")
        });
        self.push(
            at,
            Act::Notify(Box::new(Notice {
                to: mailto.to,
                from,
                subject: cut(subject),
                text: cut(text),
                importance: match importance.as_deref() {
                    Some("1") => 1,
                    Some("3") => 3,
                    _ => 2,
                },
                fields: mailto.fields,
                copy,
            })),
        )
    }

    /// `:fcc` (RFC 8580).
    pub(super) fn copy(&mut self, fcc: Option<&Fcc>) -> Ran<Option<Filing>> {
        let Some(fcc) = fcc else { return Ok(None) };
        let mailbox = self.expand(&fcc.mailbox)?;
        let flags = match &fcc.flags {
            Some(flags) => words(&self.expand_all(flags)?),
            None => Vec::new(),
        };
        let special_use = match &fcc.special_use {
            Some(special_use) => Some(self.expand(special_use)?),
            None => None,
        };
        Ok(Some(Filing { mailbox, create: fcc.create, flags, special_use }))
    }

    fn flags_or_internal(&mut self, flags: Option<&[Template]>) -> Ran<Vec<String>> {
        match flags {
            Some(flags) => Ok(words(&self.expand_all(flags)?)),
            None => Ok(self.flags.clone()),
        }
    }

    /// RFC 5232 §2: the named lists, or the internal one.
    pub(super) fn flags_of(&self, variables: &[String]) -> Vec<String> {
        if variables.is_empty() {
            return self.flags.clone();
        }
        let lists = variables.iter().map(|name| self.scope.get(name).to_owned());
        words(&lists.collect::<Vec<_>>())
    }

    /// RFC 5232 §3.
    fn change_flags(
        &mut self,
        at: Position,
        how: FlagChange,
        variable: Option<&str>,
        flags: &[Template],
    ) -> Ran<()> {
        let given = words(&self.expand_all(flags)?);
        let is_given = |flag: &String| given.iter().any(|other| other.eq_ignore_ascii_case(flag));
        let mut now = match variable {
            Some(name) => words(&[self.scope.get(name).to_owned()]),
            None => std::mem::take(&mut self.flags),
        };
        match how {
            FlagChange::Set => now = given,
            FlagChange::Add => {
                now.extend(given);
                now = words(&now);
            }
            FlagChange::Remove => now.retain(|flag| !is_given(flag)),
        }
        if now.len() > VARIABLES {
            return Err(Fault::new(at, format!("more than {VARIABLES} flags")));
        }
        self.note(at, || format!("flags are now: {}", now.join(" ")));
        match variable {
            Some(name) => self.set(at, name, &[], now.join(" ")),
            None => {
                self.flags = now;
                Ok(())
            }
        }
    }

    /// RFC 6609 §3.2.
    pub(super) fn include(
        &mut self,
        at: Position,
        (personal, name): (bool, String),
        once: bool,
        optional: bool,
    ) -> Ran<super::Flow> {
        let shelf = if personal { Shelf::Personal } else { Shelf::Global };
        let key = format!("{}{name}", if personal { "" } else { "global " });
        if once && self.included.contains(&key) {
            self.noted(at, "include: this script was there already");
            return Ok(super::Flow::On);
        }
        if self.including.contains(&key) {
            let what = format!("the script {name:?} would include itself");
            return Err(Fault::new(at, what));
        }
        self.includes += 1;
        if self.including.len() >= INCLUDE_DEPTH || self.includes > INCLUDES {
            return Err(Fault::new(at, "too many scripts are included"));
        }
        let Some(text) = self.world.script(shelf, &name) else {
            if optional {
                self.noted(at, "include: there is no such script, which is allowed");
                return Ok(super::Flow::On);
            }
            return Err(Fault::new(at, format!("there is no script {name:?} to include")));
        };
        self.spend_text(at, text.len().saturating_mul(20))?;
        let program = crate::compile_text(text.as_bytes()).map_err(|faults| {
            let why = faults.first().map(ToString::to_string).unwrap_or_default();
            Fault::new(at, format!("the included script {name:?} has a fault in {why}"))
        })?;
        self.note(at, || format!("include: {name:?} begins"));
        self.included.push(key.clone());
        self.including.push(key);
        let outer = self.scope.enter();
        let part = self.part.take();
        let flow = self
            .script(&program.body)
            .map_err(|fault| Fault::new(at, format!("in the included script {name:?}, {fault}")));
        self.part = part;
        self.scope.leave(outer);
        self.including.pop();
        // RFC 6609 §3.3: return ends the included script, stop ends all.
        Ok(match flow? {
            super::Flow::Stop => super::Flow::Stop,
            _ => super::Flow::On,
        })
    }
}

/// Flags apart, each once, as first written (RFC 5232 §2).
fn words(lists: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for flag in lists.iter().flat_map(|list| list.split_ascii_whitespace()) {
        if all.len() <= VARIABLES && !all.iter().any(|known| known.eq_ignore_ascii_case(flag)) {
            all.push(flag.to_owned());
        }
    }
    all
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ANSWER_TEXT));
    text
}
