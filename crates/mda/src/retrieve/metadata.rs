//! GETMETADATA and SETMETADATA (RFC 5464). Everything is the account's own so far: `/shared`
//! entries of a mailbox are seen by all who can open it, which is its owner; those of the server
//! are the
//! administrator's to set.

use bytes::Bytes;
use mailbox::MailboxId;
use protocol::imap::metadata::{Annotation, Depth, EntryName, GetMetadata, SetMetadata};
use protocol::imap::{Code, ConditionCode, MailboxName, StatusText, Untagged};

use super::convert;
use super::failure::{Failure, Outcome};
use super::session::Session;

impl Session {
    /// GETMETADATA.
    pub(super) async fn get_metadata(&mut self, get: &GetMetadata) -> Outcome {
        let id = self.annotated(get.mailbox.as_ref()).await?;
        let account = self.account().await?;
        let mut found: Vec<Annotation> = Vec::new();
        let mut longest = 0;
        for wanted in &get.entries {
            let within = account.annotations.iter().filter_map(|((of, entry), value)| {
                let entry = EntryName::new(entry.as_bytes()).filter(|_| *of == id)?;
                entry.is_within(wanted, get.depth).then(|| (entry, Some(value.clone())))
            });
            let mut all: Vec<Annotation> = within.collect();
            if all.is_empty() && get.depth == Depth::Itself {
                all.push((wanted.clone(), None));
            }
            found.extend(all);
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.dedup_by(|a, b| a.0 == b.0);
        if let Some(most) = get.max_size {
            // RFC 5464 §4.2.1: values over the size are left out, and the largest is told.
            found.retain(|(_, value)| {
                let size = value.as_ref().map_or(0, Bytes::len);
                let fits = u64::try_from(size).is_ok_and(|size| size <= u64::from(most));
                longest = if fits { longest } else { longest.max(size) };
                fits
            });
        }
        if !found.is_empty() {
            let mailbox = get.mailbox.clone();
            self.machine().untagged(&Untagged::Metadata { mailbox, annotations: found });
        }
        let code = (longest > 0).then(|| code(format!("LONGENTRIES {longest}")));
        Ok(StatusText { code, text: String::new() })
    }

    /// SETMETADATA: all or none.
    pub(super) async fn set_metadata(&mut self, set: SetMetadata) -> Outcome {
        let id = self.annotated(set.mailbox.as_ref()).await?;
        let shared = |(entry, _): &Annotation| entry.as_str().starts_with("/shared/");
        if id.is_none() && set.annotations.iter().any(shared) {
            let text = "entries of the server that all can see are the administrator's";
            return Err(Failure::no(ConditionCode::NoPerm, text));
        }
        let too_large = |(_, value): &Annotation| {
            value.as_ref().is_some_and(|value| value.len() > mailbox::limits::ANNOTATION_SIZE)
        };
        if set.annotations.iter().any(too_large) {
            let size = mailbox::limits::ANNOTATION_SIZE;
            let text = StatusText::with(code(format!("MAXSIZE {size}")), "the value is too large");
            return Err(Failure::No(text));
        }
        let annotations =
            set.annotations.into_iter().map(|(entry, value)| (entry.to_string(), value)).collect();
        let account = self.user()?.account.clone();
        match self.shared.mailboxes.annotate(&account, id, annotations).await {
            Ok(()) => Ok(StatusText::default()),
            Err(mailbox::Error::Limit(_)) => {
                let text = "there are too many annotations";
                Err(Failure::No(StatusText::with(code("TOOMANY".to_owned()), text)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The mailbox that is meant, or none for the server.
    async fn annotated(
        &mut self,
        name: Option<&MailboxName>,
    ) -> Result<Option<MailboxId>, Failure> {
        let Some(name) = name else { return Ok(None) };
        let name = convert::name(name)?;
        let account = self.account().await?;
        let listed = account.find(&name).ok_or(mailbox::Error::NoSuchMailbox)?;
        Ok(Some(listed.id))
    }
}

/// `METADATA ...`
fn code(arguments: String) -> Code {
    Code::Other { name: "METADATA".to_owned(), arguments: Some(arguments) }
}
