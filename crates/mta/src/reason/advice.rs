//! What people are told of each class: what happened, on whose side it lies, what to do. Plain
//! sentences without jargon; the codes stand below them in the bounce.

use super::Reason;

/// Three short sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What happened.
    pub what: &'static str,
    /// On whose side the reason lies.
    pub side: &'static str,
    /// What the writer of the letter can do.
    pub todo: &'static str,
}

const THEIRS: &str = "The reason lies with the recipient's mail system.";
const OURS: &str = "The reason lies with the mail system that you use.";
const ADDRESS: &str = "The reason lies in the address.";
const LETTER: &str = "The reason lies in the letter.";
const BETWEEN: &str = "The reason lies in the network between the two mail systems, or with the \
                       recipient's.";

impl Reason {
    /// What to tell people.
    pub fn advice(self) -> Advice {
        let (what, side, todo) = self.sentences();
        Advice { what, side, todo }
    }

    fn sentences(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Reason::BadMailbox
            | Reason::BadDomain
            | Reason::MailboxClosed
            | Reason::Full
            | Reason::Size
            | Reason::Form
            | Reason::Loop => self.about_the_address_or_letter(),
            Reason::Greylisted
            | Reason::Rate
            | Reason::BlockedAddress
            | Reason::Content
            | Reason::Authentication
            | Reason::RelayDenied
            | Reason::Policy => self.about_a_refusal(),
            _ => self.about_the_way(),
        }
    }

    fn about_the_address_or_letter(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Reason::BadMailbox => (
                "There is no mailbox of this name.",
                ADDRESS,
                "Check how it is spelt, or ask the recipient for the right one.",
            ),
            Reason::BadDomain => (
                "The part after the @ does not exist or takes no mail.",
                ADDRESS,
                "Check how it is spelt. If it is right, the recipient's domain is not set up to \
                 receive mail.",
            ),
            Reason::MailboxClosed => (
                "The mailbox is closed or takes no letters at present.",
                THEIRS,
                "Reach the recipient in another way and ask for the present address.",
            ),
            Reason::Full => (
                "The recipient's mailbox has no room left.",
                THEIRS,
                "Send the letter again later, or tell the recipient in another way.",
            ),
            Reason::Size => (
                "The letter is larger than the recipient's mail system takes.",
                LETTER,
                "Send it again with smaller attachments, or share the files in another way.",
            ),
            Reason::Form => (
                "The recipient's mail system cannot take a letter of this form, for example with \
                 an address beyond plain letters and digits.",
                LETTER,
                "Use an address of plain letters for this recipient, if there is one.",
            ),
            _ => (
                "The letter went round in circles between mail systems.",
                "The reason lies in how the recipient's mail is forwarded.",
                "Tell the recipient, or whoever runs mail for that address, and attach this \
                 report.",
            ),
        }
    }

    fn about_a_refusal(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Reason::Greylisted => (
                "The recipient's mail system asked us to come again later, as it does with senders \
                 it does not know yet.",
                THEIRS,
                "Nothing need be done while it is tried again.",
            ),
            Reason::Rate => (
                "The recipient's mail system takes no more letters from here for now.",
                THEIRS,
                "Send it again later; to many recipients, send fewer letters at a time.",
            ),
            Reason::BlockedAddress => (
                "The recipient's mail system refuses everything from the network address that your \
                 mail comes from.",
                OURS,
                "Tell whoever runs your mail system, and attach this report: the address may be on \
                 a block list.",
            ),
            Reason::Content => (
                "The recipient's mail system took the letter for junk or found something harmful \
                 in it.",
                LETTER,
                "Write it again in other words, without links or unusual attachments.",
            ),
            Reason::Authentication => (
                "The recipient's mail system could not make sure that the letter really comes from \
                 your domain.",
                OURS,
                "Tell whoever runs your mail system: the SPF, DKIM, DMARC or reverse DNS records \
                 need a look.",
            ),
            Reason::RelayDenied => (
                "The mail system that was asked does not take mail for this address.",
                "The reason lies in where the domain's mail is directed to.",
                "Tell the recipient, or whoever runs mail for that address, and attach this \
                 report.",
            ),
            _ => (
                "The recipient's mail system refuses the letter by a rule of its own.",
                THEIRS,
                "What it said stands below. Reach the recipient in another way.",
            ),
        }
    }

    fn about_the_way(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Reason::Dns => (
                "The recipient's domain could not be looked up.",
                "The reason lies with the name servers of the recipient's domain.",
                "If it goes on, tell the recipient in another way.",
            ),
            Reason::Tls => (
                "No protected connection to the recipient's mail system could be made.",
                BETWEEN,
                "Tell whoever runs your mail system, and attach this report.",
            ),
            Reason::Network => (
                "The recipient's mail system could not be reached.",
                BETWEEN,
                "If it goes on, reach the recipient in another way.",
            ),
            Reason::Protocol => (
                "The recipient's mail system did not understand ours.",
                THEIRS,
                "Tell whoever runs your mail system, and attach this report.",
            ),
            Reason::Unwell => (
                "The recipient's mail system has troubles of its own.",
                THEIRS,
                "Send it again later.",
            ),
            Reason::Expired => (
                "The letter could not be delivered for as long as it is kept.",
                BETWEEN,
                "Reach the recipient in another way, then send it again.",
            ),
            Reason::Operator => {
                ("The people who run your mail system gave the letter back.", OURS, "Ask them why.")
            }
            Reason::Ours => (
                "The mail system that you use could not handle the letter.",
                OURS,
                "Tell whoever runs it, and attach this report.",
            ),
            _ => (
                "The recipient's mail system did not take the letter.",
                THEIRS,
                "What it said stands below.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_sentences_and_a_word_of_its_own() {
        let mut words = std::collections::BTreeSet::new();
        for reason in Reason::all() {
            assert!(words.insert(reason.word()), "{reason:?}: its word is taken");
            assert_eq!(Reason::from_word(reason.word()), Some(reason));
            let advice = reason.advice();
            for sentence in [advice.what, advice.side, advice.todo] {
                assert!(sentence.ends_with('.'), "{reason:?}: {sentence}");
            }
        }
    }
}
