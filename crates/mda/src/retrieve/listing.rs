//! LIST, LSUB and NAMESPACE (RFC 3501 §6.3.8, §6.3.9, RFC 2342, RFC 3348, RFC 5258, RFC 6154).

use mailbox::{AccountView, MailboxName};
use protocol::imap::command::{List, ListForm, ListReturn, ListSelection};
use protocol::imap::flag::SpecialUse;
use protocol::imap::response::{ListEntry, ListName, Namespace, Namespaces};
use protocol::imap::{ListPattern, MailboxAttribute, StatusText, Untagged};

use super::convert;
use super::failure::{Failure, Outcome};
use super::pattern;
use super::session::Session;

impl Session {
    /// LIST.
    pub(super) async fn list(&mut self, list: &List) -> Outcome {
        if let ([only], ListForm::Basic) = (list.patterns.as_slice(), list.form)
            && only.as_str().is_empty()
        {
            self.machine().untagged(&root(&list.reference));
            return Ok(StatusText::default());
        }
        let patterns: Vec<ListPattern> =
            list.patterns.iter().map(|one| one.under(list.reference.as_str())).collect();
        let account = self.account().await?;
        for (name, entry) in entries(&account, list, &patterns)? {
            self.machine().untagged(&Untagged::List(entry));
            for option in &list.returns {
                if let ListReturn::Status(items) = option
                    && account.find(&name).is_some()
                {
                    // RFC 5819 §2: a mailbox that cannot be asked gets no STATUS.
                    if let Ok(status) = self.status_of(&name, items).await {
                        self.machine().untagged(&status);
                    }
                }
            }
            self.pace().await;
        }
        Ok(StatusText::default())
    }

    /// LSUB.
    pub(super) async fn lsub(&mut self, reference: &ListPattern, wanted: &ListPattern) -> Outcome {
        if wanted.as_str().is_empty() {
            let Untagged::List(entry) = root(reference) else { return Ok(StatusText::default()) };
            self.machine().untagged(&Untagged::Lsub(entry));
            return Ok(StatusText::default());
        }
        let patterns = [wanted.under(reference.as_str())];
        let account = self.account().await?;
        let found = pattern::subscribed(&account, |name| pattern::matches(&patterns, name));
        for (name, only_above) in found {
            let mut attributes = Vec::new();
            if only_above || account.find(&name).is_none() {
                attributes.push(MailboxAttribute::NoSelect);
            }
            self.machine().untagged(&Untagged::Lsub(entry(&name, attributes)));
        }
        Ok(StatusText::default())
    }

    /// NAMESPACE: everything is the user's own so far.
    pub(super) fn namespace(&mut self) -> StatusText {
        let delimiter = Some(MailboxName::SEPARATOR);
        let personal = Some(vec![Namespace { prefix: String::new(), delimiter }]);
        let namespaces = Namespaces { personal, others: None, shared: None };
        self.machine().untagged(&Untagged::Namespace(namespaces));
        StatusText::default()
    }
}

/// RFC 3501 §6.3.8: an empty pattern asks for the delimiter and the root of the reference.
fn root(reference: &ListPattern) -> Untagged {
    let separator = MailboxName::SEPARATOR;
    let root = reference.as_str().find(separator).map_or("", |at| &reference.as_str()[..=at]);
    Untagged::List(ListEntry {
        attributes: vec![MailboxAttribute::NoSelect],
        delimiter: Some(separator),
        name: ListName::Root(root.to_owned()),
        child_info: Vec::new(),
    })
}

fn entry(name: &MailboxName, attributes: Vec<MailboxAttribute>) -> ListEntry {
    ListEntry {
        attributes,
        delimiter: Some(MailboxName::SEPARATOR),
        name: ListName::Mailbox(convert::wire_name(name)),
        child_info: Vec::new(),
    }
}

/// The LIST response that SELECT tells in IMAP4rev2 (RFC 9051 §6.3.2).
pub(super) fn plain_entry(account: &AccountView, name: &MailboxName) -> ListEntry {
    let list = List {
        selection: Vec::new(),
        reference: ListPattern::new("").unwrap_or_else(|_| unreachable!("an empty pattern")),
        patterns: Vec::new(),
        returns: Vec::new(),
        form: ListForm::Extended,
    };
    entry(name, attributes(account, &list, name))
}

/// The names to show with their attributes, sorted by name.
fn entries(
    account: &AccountView,
    list: &List,
    patterns: &[ListPattern],
) -> Result<Vec<(MailboxName, ListEntry)>, Failure> {
    let selects = |option| list.selection.contains(&option);
    let subscribed_only = selects(ListSelection::Subscribed);
    if selects(ListSelection::RecursiveMatch) && !subscribed_only {
        // RFC 5258 §3.1: RECURSIVEMATCH needs an option to match by.
        return Err(Failure::bad("RECURSIVEMATCH needs another selection option"));
    }
    let existing: Vec<&MailboxName> = account.mailboxes.iter().map(|listed| &listed.name).collect();
    let mut names: Vec<MailboxName> = existing.iter().map(|name| (*name).clone()).collect();
    names.extend(pattern::parents(existing));
    if subscribed_only {
        names.extend(account.subscriptions.iter().cloned());
        names.extend(pattern::parents(account.subscriptions.iter()));
    }
    names.sort();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        if !pattern::matches(patterns, &name) {
            continue;
        }
        let subscribed = account.subscriptions.contains(&name);
        let child = selects(ListSelection::RecursiveMatch) && subscribed_below(account, &name);
        let special = account.find(&name).and_then(|listed| listed.special_use);
        let wanted = (!subscribed_only || subscribed || child)
            && (!selects(ListSelection::SpecialUse) || special.is_some());
        if wanted {
            let told = attributes(account, list, &name);
            let mut entry = entry(&name, told);
            if child {
                entry.child_info = vec!["SUBSCRIBED".to_owned()];
            }
            found.push((name, entry));
        }
    }
    Ok(found)
}

fn subscribed_below(account: &AccountView, name: &MailboxName) -> bool {
    let below = |other: &MailboxName| {
        let rest = other.as_str().strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.starts_with(MailboxName::SEPARATOR))
    };
    account.subscriptions.iter().any(below)
}

fn attributes(account: &AccountView, list: &List, name: &MailboxName) -> Vec<MailboxAttribute> {
    let mut attributes = Vec::new();
    let listed = account.find(name);
    if listed.is_none() {
        // RFC 5258 §3: \NonExistent implies \NoSelect, but clients of RFC 3501 know only this.
        attributes.push(match list.form {
            ListForm::Basic => MailboxAttribute::NoSelect,
            ListForm::Extended => MailboxAttribute::NonExistent,
        });
    }
    attributes.push(match account.has_children(name) {
        true => MailboxAttribute::HasChildren,
        false => MailboxAttribute::HasNoChildren,
    });
    let tells_subscription = list.selection.contains(&ListSelection::Subscribed)
        || list.returns.contains(&ListReturn::Subscribed);
    if tells_subscription && account.subscriptions.contains(name) {
        attributes.push(MailboxAttribute::Subscribed);
    }
    let special = listed.and_then(|listed| listed.special_use);
    // RFC 6154 §2: special uses may be told to every LIST.
    attributes.extend(
        special
            .and_then(|special| SpecialUse::from_name(special.as_str()))
            .map(MailboxAttribute::Use),
    );
    attributes
}
