//! Which names LIST and LSUB show: mailboxes, and the names above them that are none themselves.
//! Pure. Called by `listing`.

use std::collections::BTreeSet;

use mailbox::{AccountView, MailboxName};
use protocol::imap::ListPattern;

/// The names above `names` that are not among them.
pub(super) fn parents<'a>(
    names: impl IntoIterator<Item = &'a MailboxName>,
) -> BTreeSet<MailboxName> {
    let names: BTreeSet<&MailboxName> = names.into_iter().collect();
    let mut found = BTreeSet::new();
    for name in &names {
        let mut parent = name.parent();
        while let Some(above) = parent {
            parent = above.parent();
            if !names.contains(&above) {
                found.insert(above);
            }
        }
    }
    found
}

/// What LSUB shows: subscribed names that match, and, where only a name below is subscribed, the
/// name above it that matches (RFC 3501 §6.3.9). The second is true for the latter.
pub(super) fn subscribed(
    account: &AccountView,
    matches: impl Fn(&MailboxName) -> bool,
) -> BTreeSet<(MailboxName, bool)> {
    let mut found = BTreeSet::new();
    for name in account.subscriptions.iter() {
        if matches(name) {
            found.insert((name.clone(), false));
            continue;
        }
        let mut parent = name.parent();
        while let Some(above) = parent {
            parent = above.parent();
            if matches(&above) && !account.subscriptions.contains(&above) {
                found.insert((above, true));
            }
        }
    }
    found
}

/// Whether one of the patterns matches.
pub(super) fn matches(patterns: &[ListPattern], name: &MailboxName) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name.as_str(), MailboxName::SEPARATOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    fn account(subscriptions: &[&str]) -> AccountView {
        AccountView {
            mailboxes: [].into(),
            subscriptions: subscriptions.iter().map(|text| name(text)).collect(),
            annotations: std::sync::Arc::default(),
            usage: mailbox::Usage::default(),
        }
    }

    #[test]
    fn names_above_are_found_once() {
        let names = [name("a/b/c"), name("a/d"), name("x")];
        let found: Vec<_> = parents(&names).into_iter().collect();
        assert_eq!(found, [name("a"), name("a/b")]);
    }

    #[test]
    fn lsub_shows_the_way_to_what_is_subscribed() {
        let account = account(&["foo/bar", "x"]);
        let show = |pattern: &str| {
            let patterns = [ListPattern::new(pattern).unwrap()];
            let found = subscribed(&account, |name| matches(&patterns, name));
            found.into_iter().map(|(n, above)| (n.as_str().to_owned(), above)).collect::<Vec<_>>()
        };
        assert_eq!(show("%"), [("foo".to_owned(), true), ("x".to_owned(), false)]);
        assert_eq!(show("*"), [("foo/bar".to_owned(), false), ("x".to_owned(), false)]);
        assert_eq!(show("foo/%"), [("foo/bar".to_owned(), false)]);
    }
}
