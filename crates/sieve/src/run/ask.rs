//! The answers to tests.

use message::date::DateTime;

use super::match_values::{Capture, indexed};
use super::{Ran, Run, address, date};
use crate::check::EXTENSIONS;
use crate::compare::{Key, Matching};
use crate::fault::{Fault, Position};
use crate::limits::{EXPLAINED_TEXT, WORK_STEP};
use crate::program::{
    AddressPart, Ask, DateTest, Duplicate, DuplicateKey, HeaderTest, Template, Test, Zone,
};

impl Run<'_> {
    pub(super) fn test(&mut self, test: &Test) -> Ran<bool> {
        self.spend(test.at, WORK_STEP)?;
        match &test.what {
            Ask::True => Ok(true),
            Ask::False => Ok(false),
            Ask::Not(inner) => {
                let said = self.test(inner)?;
                Ok(!said)
            }
            // RFC 5228 §5.2 and §5.3: later tests are not looked at once the answer is known.
            Ask::AllOf(tests) => self.until(tests, false),
            Ask::AnyOf(tests) => self.until(tests, true),
            Ask::Exists { names, mime } => self.exists(test, names, mime.as_ref()),
            Ask::Header(header) => self.header(test, header),
            Ask::Address(header, part) => self.address(test, header, *part),
            Ask::Envelope { fields, part, matching, keys } => {
                self.envelope(test, (fields, *part), *matching, keys)
            }
            Ask::SizeOver(limit) => Ok(self.size(test, *limit, |size, limit| size > limit)),
            Ask::SizeUnder(limit) => Ok(self.size(test, *limit, |size, limit| size < limit)),
            Ask::Body { transform, matching, keys } => {
                let values = self.body_values(test.at, transform)?;
                // RFC 5173 §6: body sets no match variables.
                self.any_matches(test, *matching, &values, (keys, Capture::No))
            }
            Ask::Text { sources, matching, keys } => {
                let mut values = self.expand_all(sources)?;
                // RFC 5229 §5: :count counts what is not empty.
                if let crate::compare::MatchType::Count(_) = matching.how {
                    values.retain(|value| !value.is_empty());
                }
                self.any_matches(test, *matching, &values, (keys, Capture::Yes))
            }
            Ask::HasFlag { variables, matching, keys } => {
                let values = self.flags_of(variables);
                self.any_matches(test, *matching, &values, (keys, Capture::Yes))
            }
            Ask::Date(date) => self.date(test, date),
            Ask::Invalid(what) => Err(Fault::new(test.at, what.clone())),
            _ => self.world_test(test),
        }
    }

    /// Tests that ask the world or the facts, not the letter.
    fn world_test(&mut self, test: &Test) -> Ran<bool> {
        match &test.what {
            Ask::Environment { name, matching, keys } => {
                let name = self.expand(name)?.to_ascii_lowercase();
                let value = self.world.environment(&name);
                let values: Vec<String> = value.into_iter().collect();
                self.any_matches(test, *matching, &values, (keys, Capture::Yes))
            }
            Ask::Ihave(names) => {
                let names = self.expand_all(names)?;
                let missing = names.iter().find(|name| !EXTENSIONS.contains(&name.as_str()));
                self.told(test, missing.is_none(), || match missing {
                    Some(name) => format!("there is no {name:?}"),
                    None => "all are there".to_owned(),
                });
                Ok(missing.is_none())
            }
            Ask::Duplicate(duplicate) => self.duplicate(test, duplicate),
            Ask::SpamTest { percent, matching, key } => {
                let score = self.facts.spam.map(|score| score.min(100));
                let value = match (percent, score) {
                    (true, score) => score.unwrap_or(0),
                    // RFC 5235 §2.2: 0 is untested, 1 clean, 10 certainly spam.
                    (false, Some(score)) => 1 + (u16::from(score) * 9 / 100) as u8,
                    (false, None) => 0,
                };
                self.score(test, (value, score.is_some()), *matching, key)
            }
            Ask::VirusTest { matching, key } => {
                let value = self.facts.virus.map_or(0, |level| level.clamp(1, 5));
                self.score(test, (value, self.facts.virus.is_some()), *matching, key)
            }
            Ask::MailboxExists(names) => {
                let names = self.expand_all(names)?;
                let missing = names.iter().find(|name| !self.world.mailbox_exists(name));
                self.told(test, missing.is_none(), || match missing {
                    Some(name) => format!("there is no mailbox {}", shown(name)),
                    None => "all are there".to_owned(),
                });
                Ok(missing.is_none())
            }
            Ask::SpecialUseExists { mailbox, uses } => {
                let mailbox = match mailbox {
                    Some(mailbox) => Some(self.expand(mailbox)?),
                    None => None,
                };
                let uses = self.expand_all(uses)?;
                let has = |name: &String| self.world.special_use_exists(mailbox.as_deref(), name);
                let all = uses.iter().all(has);
                self.told(test, all, || uses.join(" "));
                Ok(all)
            }
            Ask::ValidNotifyMethod(methods) => {
                let methods = self.expand_all(methods)?;
                let wrong = methods.iter().find_map(|method| super::mailto(method).err());
                self.told(test, wrong.is_none(), || wrong.clone().unwrap_or_default());
                Ok(wrong.is_none())
            }
            Ask::NotifyMethodCapability { method, capability, matching, keys } => {
                let (method, capability) = (self.expand(method)?, self.expand(capability)?);
                // RFC 5436 §2.3: by mail nobody knows who is there.
                let online =
                    super::mailto(&method).is_ok() && capability.eq_ignore_ascii_case("online");
                let values: Vec<String> = online.then(|| "maybe".to_owned()).into_iter().collect();
                self.any_matches(test, *matching, &values, (keys, Capture::Yes))
            }
            // The others are answered above.
            _ => Ok(false),
        }
    }

    fn until(&mut self, tests: &[Test], wanted: bool) -> Ran<bool> {
        for test in tests {
            if self.test(test)? == wanted {
                return Ok(wanted);
            }
        }
        Ok(!wanted)
    }

    fn size(&mut self, test: &Test, limit: u64, holds: fn(u64, u64) -> bool) -> bool {
        let size = u64::try_from(self.mail.bytes().len()).unwrap_or(u64::MAX);
        let said = holds(size, limit);
        self.told(test, said, || format!("the letter has {size} octets, the limit is {limit}"));
        said
    }

    fn header(&mut self, test: &Test, header: &HeaderTest) -> Ran<bool> {
        let mut values = Vec::new();
        for name in self.expand_all(&header.names)? {
            let of_name = self.header_values(test.at, &name, header.mime.as_ref())?;
            values.extend(indexed(of_name, header.index));
        }
        self.any_matches(test, header.matching, &values, (&header.keys, Capture::Yes))
    }

    fn address(&mut self, test: &Test, header: &HeaderTest, part: AddressPart) -> Ran<bool> {
        let mut values = Vec::new();
        for name in self.expand_all(&header.names)? {
            let raw = self.raw_values(test.at, &name, header.mime.as_ref())?;
            for value in indexed(raw, header.index) {
                let found = message::values::addresses(&value);
                values.extend(
                    found.into_iter().filter_map(|found| {
                        address::part(&found.address, part, self.facts.delimiter)
                    }),
                );
            }
        }
        self.any_matches(test, header.matching, &values, (&header.keys, Capture::Yes))
    }

    fn envelope(
        &mut self,
        test: &Test,
        (fields, part): (&[Template], AddressPart),
        matching: Matching,
        keys: &[Key],
    ) -> Ran<bool> {
        let mut values = Vec::new();
        for field in self.expand_all(fields)? {
            let address = match field.to_ascii_lowercase().as_str() {
                "from" => &self.facts.sender,
                "to" => &self.facts.recipient,
                _ => continue,
            };
            values.extend(address::part(address, part, self.facts.delimiter));
        }
        self.any_matches(test, matching, &values, (keys, Capture::Yes))
    }

    fn date(&mut self, test: &Test, wanted: &DateTest) -> Ran<bool> {
        let local = self.facts.now.offset_minutes;
        let moment = match &wanted.header {
            None => Some(self.facts.now),
            Some(name) => {
                let name = self.expand(name)?;
                let raw = self.raw_values(test.at, &name, None)?;
                // Without :index the first field counts (RFC 5260 §4).
                indexed(raw, wanted.index).first().and_then(|value| date::of_field(value))
            }
        };
        let offset = match &wanted.zone {
            Zone::Local => Some(local),
            Zone::Original => None,
            Zone::Given(text) => Some(date::zone(&self.expand(text)?).unwrap_or(local)),
        };
        let part = self.expand(&wanted.part)?;
        let value = moment.and_then(|found: DateTime| {
            let offset_minutes = offset.unwrap_or(found.offset_minutes);
            date::part(DateTime { offset_minutes, ..found }, &part)
        });
        let values: Vec<String> = value.into_iter().collect();
        self.any_matches(test, wanted.matching, &values, (&wanted.keys, Capture::Yes))
    }

    /// RFC 5235 §2: with `:count`, 1 where somebody has looked.
    fn score(
        &mut self,
        test: &Test,
        (value, known): (u8, bool),
        matching: Matching,
        key: &Key,
    ) -> Ran<bool> {
        let counted = matches!(matching.how, crate::compare::MatchType::Count(_));
        let values = if counted && !known { Vec::new() } else { vec![value.to_string()] };
        let keys = std::slice::from_ref(key);
        self.any_matches(test, matching, &values, (keys, Capture::Yes))
    }

    /// RFC 7352 §3.
    fn duplicate(&mut self, test: &Test, wanted: &Duplicate) -> Ran<bool> {
        let (kind, value) = match &wanted.key {
            DuplicateKey::Unique(text) => ("unique", Some(self.expand(text)?)),
            DuplicateKey::Header(name) => {
                let name = self.expand(name)?;
                ("header", self.mail.text(&name))
            }
        };
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            self.told(test, false, || "the letter has no such field".to_owned());
            return Ok(false);
        };
        let handle = match &wanted.handle {
            Some(handle) => self.expand(handle)?,
            None => String::new(),
        };
        let id = format!("{handle}\n{kind}\n{value}");
        // RFC 7352 §3: within one run the same question has the same answer.
        if let Some((_, said)) = self.trusted.iter().find(|(known, _)| *known == id) {
            return Ok(*said);
        }
        let said = self.world.is_duplicate(&id);
        self.trusted.push((id.clone(), said));
        if !said || wanted.last {
            self.remember.push((id, wanted.seconds));
        }
        self.told(test, said, || match said {
            true => format!("{} was seen before", shown(&value)),
            false => format!("{} was not seen before", shown(&value)),
        });
        Ok(said)
    }

    /// The decoded values of a field, through the eyes of `:mime` if it was said.
    fn header_values(
        &mut self,
        at: Position,
        name: &str,
        mime: Option<&crate::program::Mime>,
    ) -> Ran<Vec<String>> {
        if let Some(mime) = mime {
            return self.mime_values(at, name, mime);
        }
        self.spend_text(at, self.mail.fields().len())?;
        let values: Vec<String> = self.mail.values(name).map(message::values::text).collect();
        self.spend_text(at, values.iter().map(String::len).sum())?;
        Ok(values)
    }
}

/// A value for the explanation: short, on one line, in quotes.
pub(super) fn shown(value: &str) -> String {
    let end = value.floor_char_boundary(EXPLAINED_TEXT);
    let cut = value.get(..end).unwrap_or_default();
    let dots = if end < value.len() { "..." } else { "" };
    format!("{cut:?}{dots}")
}
