//! The junk filter that each account trains: it counts in how many letters of either kind a word
//! was seen, and combines the words of a new letter by Fisher's method. It has no opinion until it
//! has seen some of both kinds, and it names the words that decided. `words` takes a letter apart.
//! Pure: the caller keeps the text form.

mod chance;
mod words;

use std::collections::HashMap;
use std::fmt::Write as _;

pub use self::words::of_letter;

use crate::limits;

/// Which of the two a letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Its owner does not want it.
    Junk,
    /// They do.
    Wanted,
}

/// What an account has taught.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    words: HashMap<Box<str>, Count>,
    /// Letters seen of each kind.
    letters: Count,
    /// Letters that were taught, and as what: who is moved back and forth counts once.
    taught: HashMap<u64, Class>,
    /// The order in which letters were taught; the oldest are forgotten first.
    order: std::collections::VecDeque<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    junk: u32,
    wanted: u32,
}

/// What the filter thinks of a letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// From 0 (certainly wanted) to 1 (certainly junk).
    pub score: f64,
    /// The words that decided most, each with its own probability of junk.
    pub evidence: Vec<(String, f64)>,
}

impl Filter {
    /// Teaches a letter, given as its words. `key` tells letters apart. Whether anything changed.
    pub fn teach(&mut self, key: u64, words: &[String], class: Class) -> bool {
        match self.taught.insert(key, class) {
            Some(known) if known == class => return false,
            Some(known) => self.count(words, known, false),
            None => {
                self.order.push_back(key);
                if self.order.len() > limits::JUNK_TAUGHT
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.taught.remove(&oldest);
                }
            }
        }
        self.count(words, class, true);
        self.make_room();
        true
    }

    fn count(&mut self, words: &[String], class: Class, up: bool) {
        let step = |count: &mut Count| {
            let number = match class {
                Class::Junk => &mut count.junk,
                Class::Wanted => &mut count.wanted,
            };
            *number = if up { number.saturating_add(1) } else { number.saturating_sub(1) };
        };
        step(&mut self.letters);
        for word in words {
            step(self.words.entry(word.as_str().into()).or_default());
        }
    }

    /// Words seen least are forgotten when there are too many.
    fn make_room(&mut self) {
        let mut least = 1;
        while self.words.len() > limits::JUNK_WORDS {
            self.words.retain(|_, count| count.junk + count.wanted > least);
            least += 1;
        }
    }

    /// Letters of each kind that were taught: junk, wanted.
    pub fn letters(&self) -> (u32, u32) {
        (self.letters.junk, self.letters.wanted)
    }

    /// What it thinks of a letter; `None` before it has seen enough of both kinds.
    pub fn judge(&self, words: &[String]) -> Option<Opinion> {
        let least = limits::JUNK_LETTERS_LEAST;
        if self.letters.junk < least || self.letters.wanted < least {
            return None;
        }
        let mut found: Vec<(&str, f64)> = words
            .iter()
            .filter_map(|word| Some((word.as_str(), self.probability(word)?)))
            .collect();
        let distance = |one: &(&str, f64)| (one.1 - 0.5).abs();
        found.retain(|one| distance(one) >= 0.1);
        // Ties by the word, so that the same letter has the same evidence.
        found.sort_by(|a, b| distance(b).total_cmp(&distance(a)).then(a.0.cmp(b.0)));
        found.truncate(limits::JUNK_DECIDING);
        let chances: Vec<f64> = found.iter().map(|(_, chance)| *chance).collect();
        let evidence = found
            .into_iter()
            .take(limits::JUNK_EVIDENCE)
            .map(|(word, chance)| (word.to_owned(), chance))
            .collect();
        Some(Opinion { score: chance::combined(&chances), evidence })
    }

    /// The probability that a letter with this word is junk, drawn towards one half while the word
    /// was seen seldom (Robinson).
    fn probability(&self, word: &str) -> Option<f64> {
        let count = self.words.get(word)?;
        let seen = f64::from(count.junk + count.wanted);
        let junk = f64::from(count.junk) / f64::from(self.letters.junk.max(1));
        let wanted = f64::from(count.wanted) / f64::from(self.letters.wanted.max(1));
        if seen == 0.0 {
            return None;
        }
        let raw = junk / (junk + wanted);
        Some((STRENGTH * 0.5 + seen * raw) / (STRENGTH + seen))
    }

    /// All of it as text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FORMAT}\nletters {} {}\n", self.letters.junk, self.letters.wanted);
        for key in &self.order {
            match self.taught.get(key) {
                Some(Class::Junk) => drop(writeln!(text, "taught {key:016x} junk")),
                Some(Class::Wanted) => drop(writeln!(text, "taught {key:016x} wanted")),
                None => {}
            }
        }
        let mut words: Vec<(&Box<str>, &Count)> = self.words.iter().collect();
        words.sort_by(|a, b| a.0.cmp(b.0));
        for (word, count) in words {
            let _ = writeln!(text, "{} {} {word}", count.junk, count.wanted);
        }
        text
    }

    /// Reads what [`to_text`](Self::to_text) wrote; lines that cannot be read are passed over.
    pub fn from_text(text: &str) -> Self {
        let mut filter = Filter::default();
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return filter;
        }
        for line in lines {
            filter.take_line(line);
        }
        filter
    }

    fn take_line(&mut self, line: &str) -> Option<()> {
        let mut parts = line.splitn(3, ' ');
        let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
        match first {
            "letters" => {
                self.letters = Count { junk: second.parse().ok()?, wanted: third.parse().ok()? };
            }
            "taught" => {
                let key = u64::from_str_radix(second, 16).ok()?;
                let class = if third == "junk" { Class::Junk } else { Class::Wanted };
                if self.order.len() < limits::JUNK_TAUGHT
                    && self.taught.insert(key, class).is_none()
                {
                    self.order.push_back(key);
                }
            }
            _ if self.words.len() < limits::JUNK_WORDS => {
                let count = Count { junk: first.parse().ok()?, wanted: second.parse().ok()? };
                self.words.insert(third.into(), count);
            }
            _ => {}
        }
        Some(())
    }
}

impl Opinion {
    /// Whether the letter is junk.
    pub fn is_junk(&self) -> bool {
        self.score >= limits::JUNK_CERTAIN
    }

    /// For the field that names the evidence: `0.998; viagra 0.99, casino 0.98`.
    pub fn told(&self) -> String {
        let words: Vec<String> =
            self.evidence.iter().map(|(word, chance)| format!("{word} {chance:.2}")).collect();
        format!("{:.3}; {}", self.score, words.join(", "))
    }
}

/// How many sightings the assumption of one half is worth.
const STRENGTH: f64 = 0.45;

/// The first line of the text.
const FORMAT: &str = "posthaste-junk 1";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn taught() -> Filter {
        let mut filter = Filter::default();
        for n in 0..12u64 {
            filter.teach(n, &words(&format!("casino bonus click now n{n}")), Class::Junk);
            let wanted = words(&format!("meeting agenda tomorrow now w{n}"));
            filter.teach(100 + n, &wanted, Class::Wanted);
        }
        filter
    }

    #[test]
    fn it_learns_and_names_its_evidence() {
        let filter = taught();
        let junk = filter.judge(&words("casino bonus for you now")).unwrap();
        assert!(junk.is_junk(), "{junk:?}");
        assert!(junk.evidence.iter().any(|(word, _)| word == "casino"));
        assert!(junk.evidence.iter().all(|(word, _)| word != "now"), "common words say nothing");
        assert!(junk.told().contains("casino 0.9"), "{}", junk.told());
        let wanted = filter.judge(&words("agenda for the meeting")).unwrap();
        assert!(wanted.score < 0.1, "{wanted:?}");
        let unknown = filter.judge(&words("entirely other things")).unwrap();
        assert!((unknown.score - 0.5).abs() < 0.01 && !unknown.is_junk());
    }

    #[test]
    fn it_has_no_opinion_before_it_knows_both_kinds() {
        let mut filter = Filter::default();
        assert_eq!(filter.judge(&words("casino")), None);
        for n in 0..50 {
            filter.teach(n, &words("casino"), Class::Junk);
        }
        assert_eq!(filter.judge(&words("casino")), None);
    }

    #[test]
    fn who_is_moved_back_is_unlearnt_and_nobody_counts_twice() {
        let mut filter = taught();
        let before = filter.clone();
        let letter = words("newsletter offer");
        assert!(filter.teach(7777, &letter, Class::Junk));
        assert!(!filter.teach(7777, &letter, Class::Junk));
        assert!(filter.teach(7777, &letter, Class::Wanted));
        assert_eq!(filter.letters(), (before.letters().0, before.letters().1 + 1));
        assert_eq!(filter.words.get("newsletter"), Some(&Count { junk: 0, wanted: 1 }));
    }

    #[test]
    fn the_text_is_read_again_and_garbage_is_not() {
        let filter = taught();
        assert_eq!(Filter::from_text(&filter.to_text()), filter);
        assert_eq!(Filter::from_text("something else\n1 2 x"), Filter::default());
        let broken = format!("{FORMAT}\nletters x y\ntaught zz junk\n1 2\n3 4 word");
        assert_eq!(Filter::from_text(&broken).words.len(), 1);
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut filter = Filter::default();
        for n in 0..200u64 {
            let words: Vec<String> = (0..1000).map(|w| format!("w{n}x{w}")).collect();
            filter.teach(n, &words, Class::Junk);
        }
        assert!(filter.words.len() <= limits::JUNK_WORDS);
        for n in 0..(2 * limits::JUNK_TAUGHT as u64) {
            filter.teach(n + 1000, &[], Class::Wanted);
        }
        assert!(
            filter.taught.len() <= limits::JUNK_TAUGHT && filter.order.len() <= limits::JUNK_TAUGHT
        );
    }
}
