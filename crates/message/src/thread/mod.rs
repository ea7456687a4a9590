//! Letters put together to conversations (RFC 5256 §3): by subject, or by the identifiers they
//! name. Pure: the IMAP server reads the fields and writes the answer.

mod references;
mod subject;

pub use references::references;
pub use subject::{BaseSubject, base_subject};

/// What threading looks at in a letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Threaded {
    /// Its Message-ID without angle brackets.
    pub id: Option<String>,
    /// The ids in References; without any, the first in In-Reply-To.
    pub references: Vec<String>,
    /// The base subject, in the form in which it is compared.
    pub subject: String,
    /// Something was taken off the subject (RFC 5256 §2.1).
    pub is_reply: bool,
    /// When it was sent, in seconds since 1970; else its internal date (RFC 5256 §2.2).
    pub sent: i64,
}

/// A place in a thread: the letter's place in what was given, or none where a letter is missing;
/// and how many letters are above it. Parents come before their children.
pub type Placed = (Option<usize>, u32);

/// RFC 5256 §3, ORDEREDSUBJECT: the first letter of each base subject, the others all below it.
pub fn ordered_subject(letters: &[Threaded]) -> Vec<Placed> {
    let mut order: Vec<(&Threaded, usize)> =
        letters.iter().enumerate().map(|(place, letter)| (letter, place)).collect();
    order.sort_by(|(a, at), (b, bt)| {
        (a.subject.as_str(), a.sent, at).cmp(&(b.subject.as_str(), b.sent, bt))
    });
    let mut threads: Vec<&[(&Threaded, usize)]> =
        order.chunk_by(|(a, _), (b, _)| a.subject == b.subject).collect();
    threads.sort_by_key(|thread| thread.first().map(|(first, place)| (first.sent, *place)));
    let mut placed = Vec::with_capacity(letters.len());
    for thread in threads {
        for (index, (_, place)) in thread.iter().enumerate() {
            placed.push((Some(*place), u32::from(index > 0)));
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_subject() {
        let letter =
            |subject: &str, sent| Threaded { subject: subject.into(), sent, ..Threaded::default() };
        let letters = [letter("b", 5), letter("a", 9), letter("b", 3), letter("b", 4)];
        let wanted = [(Some(2), 0), (Some(3), 1), (Some(0), 1), (Some(1), 0)];
        assert_eq!(ordered_subject(&letters), wanted);
        assert_eq!(ordered_subject(&[]), []);
    }
}
