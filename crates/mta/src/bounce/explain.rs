//! The first part of a report, for people: what happened, whose side it is on, what to do; then
//! what was said, word for word.

use message::date::DateTime;
use message::dsn::Action;
use message::header;

use super::{Casualty, Letter, Occasion, Reporter};

/// Characters of the letter's subject that are repeated.
const SUBJECT_SHOWN: usize = 120;

/// The Subject of the report.
pub(super) fn subject(letter: Letter<'_>, occasion: Occasion) -> String {
    let what = match occasion {
        Occasion::Failed => "Not delivered",
        Occasion::Delayed(_) => "Still on its way",
        Occasion::Succeeded(Action::Delivered) => "Delivered",
        Occasion::Succeeded(_) => "Passed on",
    };
    match letter_subject(letter) {
        Some(subject) => format!("{what}: {subject}"),
        None => what.to_owned(),
    }
}

/// The text, lines end with LF.
pub(super) fn text(
    reporter: &Reporter,
    letter: Letter<'_>,
    occasion: Occasion,
    casualties: &[Casualty<'_>],
) -> String {
    let mut text = opening(letter, occasion, casualties.len());
    for casualty in casualties {
        text.push_str(&format!("\n  {}\n\n", casualty.address.to_unicode()));
        if !matches!(occasion, Occasion::Succeeded(_)) {
            let advice = casualty.failure.reason.advice();
            let todo = if occasion == Occasion::Failed { advice.todo } else { "" };
            let words = format!("{} {} {todo}", advice.what, advice.side);
            text.push_str(&wrapped(&words, "    "));
        }
        text.push_str(&wrapped(&casualty.failure.to_string(), "    | "));
    }
    text.push_str(&closing(reporter, letter, occasion));
    text
}

fn opening(letter: Letter<'_>, occasion: Occasion, count: usize) -> String {
    let named = match letter_subject(letter) {
        Some(subject) => format!("Your letter \"{subject}\""),
        None => "Your letter".to_owned(),
    };
    let whom = if count == 1 { "this recipient" } else { "these recipients" };
    let words = match occasion {
        Occasion::Failed => format!(
            "{named} could not be delivered to {whom}. It will not be tried again by itself."
        ),
        Occasion::Delayed(until) => format!(
            "{named} has not reached {whom} yet. Nothing need be done: it is tried again until \
             {}, and you will be told if that does not help.",
            DateTime::utc(until).to_rfc5322()
        ),
        Occasion::Succeeded(Action::Delivered) => {
            format!("{named} is in the mailbox of {whom}, as you wanted to know.")
        }
        Occasion::Succeeded(_) => format!(
            "{named} was handed to the mail system of {whom}, which will not tell whether it \
             arrives. Should it fail there, you may hear of that."
        ),
    };
    wrapped(&words, "")
}

fn closing(reporter: &Reporter, letter: Letter<'_>, occasion: Occasion) -> String {
    let kept = match occasion {
        Occasion::Failed => "Its header is attached.",
        Occasion::Delayed(_) => "It is safe here meanwhile; its header is attached.",
        Occasion::Succeeded(_) => "Its header is attached.",
    };
    let words = format!(
        "{} accepted the letter on {} under the id {}. {kept} Questions go to {}.",
        reporter.hostname,
        DateTime::utc(letter.arrival).to_rfc5322(),
        letter.journey,
        reporter.postmaster
    );
    format!("\n{}", wrapped(&words, ""))
}

/// The decoded Subject of the letter, shortened and without controls.
fn letter_subject(letter: Letter<'_>) -> Option<String> {
    let value = header::value(letter.header, "Subject")?;
    // `values` leans on a parser of others: a report is worth more than its subject.
    let decoded = std::panic::catch_unwind(|| message::values::text(&value)).ok()?;
    let mut plain = decoded.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.retain(|c| !c.is_control());
    if plain.is_empty() {
        return None;
    }
    match plain.char_indices().nth(SUBJECT_SHOWN) {
        Some((cut, _)) => Some(format!("{}...", &plain[..cut])),
        None => Some(plain),
    }
}

/// Lines of at most 72 characters, each after `indent`; a longer word stands alone.
fn wrapped(words: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in words.split_whitespace() {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && indent.len() + length > 72 {
            out.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        out.push_str(&format!("{indent}{line}\n"));
    }
    out
}
