//! Tags that several tests share: match type, comparator, address part, index, MIME.

use super::arguments::Arguments;
use super::{Checked, Checker};
use crate::compare::{self, Comparator, Key, MatchType, Matching, Relation};
use crate::fault::{Fault, Position};
use crate::program::{AddressPart, Index, Mime, MimeView};
use crate::syntax::Text;

/// What was said by tags so far.
#[derive(Debug, Default)]
pub(super) struct Tags {
    how: Option<MatchType>,
    comparator: Option<Comparator>,
    part: Option<AddressPart>,
    number: Option<u64>,
    last: Option<Position>,
    mime: Option<Position>,
    any_child: Option<Position>,
    view: Option<MimeView>,
}

impl Tags {
    pub(super) fn matching(&self) -> Matching {
        Matching {
            how: self.how.unwrap_or(Matching::DEFAULT.how),
            comparator: self.comparator.unwrap_or(Matching::DEFAULT.comparator),
        }
    }

    pub(super) fn part(&self) -> AddressPart {
        self.part.unwrap_or(AddressPart::All)
    }

    /// RFC 5260 §6: `:last` alone means nothing.
    pub(super) fn index(&self) -> Checked<Option<Index>> {
        match (self.number, self.last) {
            (Some(number), last) => Ok(Some(Index { number, last: last.is_some() })),
            (None, Some(at)) => Err(Fault::new(at, ":last goes with :index")),
            (None, None) => Ok(None),
        }
    }

    /// RFC 5703 §4: the others go with `:mime`.
    pub(super) fn mime(&self) -> Checked<Option<Mime>> {
        match (self.mime, self.any_child) {
            (Some(_), any_child) => Ok(Some(Mime {
                any_child: any_child.is_some(),
                view: self.view.clone().unwrap_or(MimeView::Whole),
            })),
            (None, Some(at)) => Err(Fault::new(at, ":anychild goes with :mime")),
            (None, None) if self.view.is_some() => {
                Err(Fault::new(Position::default(), ":type and its like go with :mime"))
            }
            (None, None) => Ok(None),
        }
    }
}

/// Which of the shared tags a test takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Match type and comparator.
    Matching,
    /// And an address part.
    AddressPart,
    /// And `:index`.
    Index,
    /// And `:mime`.
    Mime,
}

impl Checker {
    /// Takes a shared tag; `false`: it is none of those.
    pub(super) fn shared_tag(
        &self,
        arguments: &mut Arguments<'_>,
        (at, tag): (Position, &str),
        takes: &[Takes],
        tags: &mut Tags,
    ) -> Checked<bool> {
        let takes = |what: Takes| takes.contains(&what);
        match tag {
            "is" | "contains" | "matches" | "regex" | "value" | "count"
                if takes(Takes::Matching) =>
            {
                arguments.once(at, tag, &tags.how)?;
                tags.how = Some(self.match_type(arguments, at, tag)?);
            }
            "comparator" if takes(Takes::Matching) => {
                arguments.once(at, tag, &tags.comparator)?;
                tags.comparator = Some(self.comparator(arguments.text("the comparator")?)?);
            }
            "all" | "localpart" | "domain" | "user" | "detail" if takes(Takes::AddressPart) => {
                arguments.once(at, tag, &tags.part)?;
                tags.part = Some(self.address_part(at, tag)?);
            }
            "index" if takes(Takes::Index) => {
                self.need("index", at, ":index")?;
                arguments.once(at, tag, &tags.number)?;
                let number = arguments.number("the number of :index")?;
                if number == 0 {
                    return Err(Fault::new(at, ":index counts from 1"));
                }
                tags.number = Some(number);
            }
            "last" if takes(Takes::Index) => {
                self.need("index", at, ":last")?;
                tags.last = Some(at);
            }
            "mime" | "anychild" | "type" | "subtype" | "contenttype" | "param"
                if takes(Takes::Mime) =>
            {
                self.need("mime", at, &format!(":{tag}"))?;
                self.mime_tag(arguments, (at, tag), tags)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn match_type(
        &self,
        arguments: &mut Arguments<'_>,
        at: Position,
        tag: &str,
    ) -> Checked<MatchType> {
        let mut relation = |checker: &Self| {
            checker.need("relational", at, &format!(":{tag}"))?;
            let text = arguments.text("the relation")?;
            Relation::parse(&text.text).ok_or_else(|| {
                Fault::new(
                    text.at,
                    "a relation is one of \"gt\" \"ge\" \"lt\" \"le\" \"eq\" \"ne\"",
                )
            })
        };
        Ok(match tag {
            "contains" => MatchType::Contains,
            "matches" => MatchType::Matches,
            "regex" => {
                self.need("regex", at, ":regex")?;
                MatchType::Regex
            }
            "value" => MatchType::Value(relation(self)?),
            "count" => MatchType::Count(relation(self)?),
            _ => MatchType::Is,
        })
    }

    fn comparator(&self, text: &Text) -> Checked<Comparator> {
        let known = Comparator::parse(&text.text).ok_or_else(|| {
            Fault::new(text.at, format!("there is no comparator {:?}", text.text))
        })?;
        // RFC 5228 §2.7.3: these two need no require.
        if known == Comparator::AsciiNumeric {
            self.need("comparator-i;ascii-numeric", text.at, "this comparator")?;
        }
        Ok(known)
    }

    fn address_part(&self, at: Position, tag: &str) -> Checked<AddressPart> {
        Ok(match tag {
            "localpart" => AddressPart::LocalPart,
            "domain" => AddressPart::Domain,
            "user" | "detail" => {
                self.need("subaddress", at, &format!(":{tag}"))?;
                if tag == "user" { AddressPart::User } else { AddressPart::Detail }
            }
            _ => AddressPart::All,
        })
    }

    fn mime_tag(
        &self,
        arguments: &mut Arguments<'_>,
        (at, tag): (Position, &str),
        tags: &mut Tags,
    ) -> Checked<()> {
        match tag {
            "mime" => tags.mime = Some(at),
            "anychild" => tags.any_child = Some(at),
            _ => {
                arguments.once(at, tag, &tags.view)?;
                tags.view = Some(match tag {
                    "type" => MimeView::Type,
                    "subtype" => MimeView::Subtype,
                    "contenttype" => MimeView::ContentType,
                    _ => MimeView::Param(self.templates(arguments.texts("the parameters")?)?),
                });
            }
        }
        Ok(())
    }

    /// Keys, and their expressions where the match type has some.
    pub(super) fn keys(&self, texts: &[Text], matching: Matching) -> Checked<Vec<Key>> {
        texts.iter().map(|text| self.key(text, matching)).collect()
    }

    pub(super) fn key(&self, text: &Text, matching: Matching) -> Checked<Key> {
        let template = self.template(text)?;
        let compiled = match (matching.how, template.literal()) {
            (MatchType::Regex, Some(expression)) => {
                let wrong = |why| Fault::new(text.at, format!("not a regular expression: {why}"));
                Some(compare::regex(expression, matching.comparator).map_err(wrong)?)
            }
            _ => None,
        };
        // RFC 4790 §9.1.1: i;ascii-numeric has no substrings.
        if matching.comparator == Comparator::AsciiNumeric
            && matches!(matching.how, MatchType::Contains | MatchType::Matches | MatchType::Regex)
        {
            let what = "i;ascii-numeric compares with :is, :value and :count only";
            return Err(Fault::new(text.at, what));
        }
        Ok(Key { template, regex: compiled })
    }
}
