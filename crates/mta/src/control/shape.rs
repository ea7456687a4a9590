//! The shape of the queue: how many recipients wait for each domain, by how long they have. Where
//! the trouble is, at a glance.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::ipc::Method;
use protocol::time::Timestamp;
use queue::Letter;
use serde::{Deserialize, Serialize};

/// Upper ends of the columns; one more column is for what is older.
pub const AGES: [Duration; 5] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(24 * 3600),
    Duration::from_secs(3 * 24 * 3600),
];

/// Domains that are told apart; the rest is summed up.
const ROWS: usize = 200;

/// `queue.shape`: how many wait for whom.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AskShape {}

/// The answer to [`AskShape`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// By domain, those with the most first.
    pub rows: Vec<ShapeRow>,
    /// Letters in the queue.
    pub letters: u64,
}

/// What waits for one domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeRow {
    /// The domain, or address literal.
    pub domain: String,
    /// Recipients that wait.
    pub waiting: u64,
    /// Of those, in letters that are held.
    pub held: u64,
    /// By age, as [`AGES`], the last for what is older.
    pub ages: [u64; 6],
    /// The commonest reason of their last failures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Method for AskShape {
    const NAME: &'static str = "queue.shape";
    type Answer = Shape;
}

impl Shape {
    /// The shape of these letters.
    pub fn of<'a>(letters: impl Iterator<Item = &'a Letter>, now: Timestamp) -> Self {
        let mut shape = Shape::default();
        let mut rows: BTreeMap<String, (ShapeRow, BTreeMap<String, u64>)> = BTreeMap::new();
        for letter in letters {
            shape.letters += 1;
            let age = now.since(letter.arrived);
            let column = AGES.iter().position(|end| age < *end).unwrap_or(AGES.len());
            for (_, recipient) in letter.waiting() {
                let (row, reasons) = rows.entry(recipient.address.host().to_string()).or_default();
                row.waiting += 1;
                row.held += u64::from(letter.held.is_some());
                row.ages[column] += 1;
                if let Some(last) = &recipient.progress.last {
                    *reasons.entry(last.reason.clone()).or_default() += 1;
                }
            }
        }
        shape.rows = rows
            .into_iter()
            .map(|(domain, (row, reasons))| {
                let reason = reasons.into_iter().max_by_key(|(_, count)| *count);
                ShapeRow { domain, reason: reason.map(|it| it.0).unwrap_or_default(), ..row }
            })
            .collect();
        shape.rows.sort_by_key(|row| std::cmp::Reverse(row.waiting));
        if shape.rows.len() > ROWS {
            let rest = shape.rows.split_off(ROWS - 1);
            let mut sum = ShapeRow { domain: "(others)".to_owned(), ..ShapeRow::default() };
            for row in rest {
                sum.waiting += row.waiting;
                sum.held += row.held;
                sum.ages.iter_mut().zip(row.ages).for_each(|(sum, one)| *sum += one);
            }
            shape.rows.push(sum);
        }
        shape
    }
}

#[cfg(test)]
mod tests {
    use protocol::journey::JourneyId;
    use queue::{Origin, Progress, Recipient, Said, State};

    use super::*;

    fn letter(age: u64, to: &[&str], held: bool) -> Letter {
        let now = Timestamp::from_seconds(1_795_000_000);
        let arrived = now.before(Duration::from_secs(age));
        let last = Some(Said { reason: "network".into(), ..Said::default() });
        let recipient = |to: &&str| Recipient {
            address: to.parse().expect("an address"),
            parameters: Default::default(),
            from: None,
            progress: Progress {
                state: State::Waiting,
                attempts: 1,
                next: now,
                last: last.clone(),
            },
            in_hand: None,
        };
        Letter {
            journey: JourneyId::new(arrived, 1),
            cause: None,
            origin: Origin::Accepted,
            arrived,
            expires: now,
            sender: "<>".parse().expect("a path"),
            parameters: Default::default(),
            recipients: to.iter().map(recipient).collect(),
            held: held.then(|| "why".to_owned()),
            delay_told: false,
            headers: bytes::Bytes::new(),
            length: 1,
        }
    }

    #[test]
    fn recipients_are_counted_by_domain_and_age() {
        let letters = [
            letter(10, &["a@blue.test", "b@blue.test", "c@green.test"], false),
            letter(4_000, &["a@blue.test"], true),
            letter(900_000, &["a@green.test"], false),
        ];
        let shape = Shape::of(letters.iter(), Timestamp::from_seconds(1_795_000_000));
        assert_eq!(shape.letters, 3);
        let row = |index: usize| {
            let row = &shape.rows[index];
            (row.domain.as_str(), row.waiting, row.held, row.ages, row.reason.as_str())
        };
        assert_eq!(row(0), ("blue.test", 3, 1, [2, 0, 1, 0, 0, 0], "network"));
        assert_eq!(row(1), ("green.test", 2, 0, [1, 0, 0, 0, 0, 1], "network"));
    }

    #[test]
    fn many_domains_are_summed_up() {
        let names: Vec<String> = (0..500).map(|n| format!("a@d{n}.test")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let letters = [letter(1, &names, false)];
        let shape = Shape::of(letters.iter(), Timestamp::from_seconds(1_795_000_000));
        assert_eq!(shape.rows.len(), ROWS);
        assert_eq!(shape.rows.iter().map(|row| row.waiting).sum::<u64>(), 500);
    }
}
