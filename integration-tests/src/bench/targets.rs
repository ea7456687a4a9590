//! The targets and whether they are met, worked out from results: a ratio is of two sides of one
//! row, which ran in turn in one sitting. A target without its row is said to be not measured.

use super::page::{MAILBOXES, figure, letters_of};
use super::results::{Results, Row};

/// Postfix is the bar: the fastest peer that syncs before it says yes.
const BAR: &str = "Postfix";
/// What readers are compared with.
const READER: &str = "Dovecot";

/// One target.
struct Target {
    what: String,
    measured: Option<String>,
    met: bool,
}

impl Target {
    fn new(what: impl Into<String>, measured: Option<(String, bool)>) -> Target {
        let met = measured.as_ref().is_some_and(|(_, met)| *met);
        Target { what: what.into(), measured: measured.map(|(text, _)| text), met }
    }
}

/// All targets as a table; empty when there is nothing to say.
pub fn markdown(results: &Results) -> String {
    if results.rows.is_empty() {
        return String::new();
    }
    let mut all = flows(results);
    all.extend(readers(results));
    all.extend(memory(results));
    let mut text = String::from("| target | measured | met |\n|---|---|---|\n");
    for Target { what, measured, met } in all {
        let met = match (&measured, met) {
            (None, _) => "–",
            (_, true) => "yes",
            (_, false) => "**no**",
        };
        let measured = measured.unwrap_or_else(|| "not measured".into());
        text.push_str(&format!("| {what} | {measured} | {met} |\n"));
    }
    text
}

fn times(row: Option<&Row>, figure: &str) -> Option<f64> {
    let row = row?;
    Some(row.ours(figure)? / row.theirs(figure)?)
}

fn at_least(row: Option<&Row>, least: f64) -> Option<(String, bool)> {
    let (accepted, arrived) = (times(row, "accepted/s")?, times(row, "arrived/s")?);
    Some((format!("{accepted:.1}× accepted, {arrived:.1}× arrived"), arrived >= least))
}

/// Not more than this of one of our figures.
fn at_most(row: Option<&Row>, name: &str, most: f64) -> Option<(String, bool)> {
    let value = row?.ours(name)?;
    Some((figure(Some(value)), value <= most))
}

fn flows(results: &Results) -> Vec<Target> {
    let row = |workload: &str| results.find(workload, BAR);
    let mut all = Vec::new();
    for (workload, least) in [("inbound:4:10", 10.0), ("relay:4:10", 6.0)] {
        let way = workload.split(':').next().unwrap_or_default();
        let what = format!("{way}, 4 KiB, 10 sessions: at least {least:.0}× {BAR}");
        all.push(Target::new(what, at_least(row(workload), least)));
    }
    for (sessions, most) in [(10, 0.2), (50, 0.05)] {
        for way in ["inbound", "relay"] {
            let what = format!("{way}: barriers a letter with {sessions} sessions at most {most}");
            let found = row(&format!("{way}:4:{sessions}"));
            all.push(Target::new(what, at_most(found, "barriers", most)));
        }
    }
    for way in ["inbound", "relay"] {
        let what = format!("{way}: CPU of a 4 KiB letter under 0.3 ms, index included");
        all.push(Target::new(what, at_most(row(&format!("{way}:4:10")), "CPU ms", 0.3)));
    }
    all.push(Target::new(
        "inbound: half of min(disk's batches, 2 processors ÷ bare exchange), 10 sessions",
        half_of_limits(results),
    ));
    let checked = || {
        let share =
            times(results.rows.iter().find(|row| row.workload() == "checked:4:10"), "accepted/s")?;
        Some((format!("{:.0} % lower", (1.0 - share) * 100.0), share >= 2.0 / 3.0))
    };
    all.push(Target::new("SPF, DKIM, DMARC on, answers cached: at most a third lower", checked()));
    all.push(Target::new(
        "queue: from 1,000 to 100,000 deferred letters the cost of a letter at most doubles",
        long_queue(results),
    ));
    all
}

/// How much more a letter costs, by each rate, in the long queue.
fn long_queue(results: &Results) -> Option<(String, bool)> {
    let (short, long) = (results.find("queue:1000", "")?, results.find("queue:100000", "")?);
    let times: Vec<(&str, f64)> = ["queued/s", "fresh beside, accepted/s"]
        .into_iter()
        .filter_map(|rate| Some((rate, short.ours(rate)? / long.ours(rate)?)))
        .collect();
    let text: Vec<String> = times.iter().map(|(rate, more)| format!("{rate} {more:.2}×")).collect();
    (!times.is_empty()).then(|| (text.join(", "), times.iter().all(|(_, more)| *more <= 2.0)))
}

fn half_of_limits(results: &Results) -> Option<(String, bool)> {
    let ours = results.find("inbound:4:10", BAR)?.ours("accepted/s")?;
    let limits = results.find("limits", "")?;
    let disk = limits.ours("disk: ten behind one barrier")?;
    let bare = limits.ours("bare exchange, 10 sessions")?;
    let limit = disk.min(bare);
    Some((format!("{ours:.0} of {limit:.0} a second"), ours >= limit / 2.0))
}

/// Rows that are compared with Dovecot's; those about the machine's memory are not.
fn compared(row: &Row) -> Vec<(String, f64)> {
    let ours = row.sides.first().into_iter().flat_map(|side| &side.values);
    let each = ours.filter(|(name, _)| !name.starts_with("memory"));
    each.filter_map(|(name, ours)| Some((name.clone(), row.theirs(name)? / ours))).collect()
}

fn readers(results: &Results) -> Vec<Target> {
    let mut all = Vec::new();
    for letters in MAILBOXES {
        let row = results.find(&format!("imap:{letters}"), READER);
        // A first login has no cache to answer from: its cost is stated and no target.
        let ratios: Vec<(String, f64)> = row
            .map(compared)
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, _)| name != "login, first")
            .collect();
        let slower: Vec<String> = ratios
            .iter()
            .filter(|(_, ratio)| *ratio < 1.0)
            .map(|(name, ratio)| format!("{name} {ratio:.2}×"))
            .collect();
        let twice = ratios.iter().filter(|(_, ratio)| *ratio >= 2.0).count();
        let found = (!ratios.is_empty()).then(|| match slower.is_empty() {
            true => (format!("all {} rows", ratios.len()), true),
            false => (format!("slower: {}", slower.join(", ")), false),
        });
        let what = format!("IMAP, {letters} letters: every row at least as fast as {READER}");
        all.push(Target::new(what, found));
        let half = (!ratios.is_empty())
            .then(|| (format!("{twice} of {}", ratios.len()), twice * 2 >= ratios.len()));
        let what = format!("IMAP, {letters} letters: twice as fast in half of the rows");
        all.push(Target::new(what, half));
    }
    let largest = results.find("imap:1000000", READER).or(results.find("imap:1000000", ""));
    let smallest = results.find("imap:1000", READER);
    all.push(Target::new(
        "IMAP: from 1,000 to 1,000,000 letters the cost of a letter at most doubles",
        growth(smallest, largest),
    ));
    all.push(Target::new(
        "a mailbox of a million letters opened costs under 64 MiB",
        opened(largest, smallest),
    ));
    all
}

fn growth(smallest: Option<&Row>, largest: Option<&Row>) -> Option<(String, bool)> {
    let (smallest, largest) = (smallest?, largest?);
    let mut worse = Vec::new();
    for (name, value) in &largest.sides.first()?.values {
        let (Some(before), Some(few), Some(many)) =
            (smallest.ours(name), letters_of(name, MAILBOXES[0]), letters_of(name, MAILBOXES[2]))
        else {
            continue;
        };
        let times = (value / many as f64) / (before / few as f64);
        if times > 2.0 {
            worse.push(format!("{name} {times:.1}×"));
        }
    }
    Some(match worse.is_empty() {
        true => ("holds for every row".into(), true),
        false => (format!("more: {}", worse.join(", ")), false),
    })
}

fn opened(largest: Option<&Row>, smallest: Option<&Row>) -> Option<(String, bool)> {
    let name = "memory open MiB";
    let more = largest?.ours(name)? - smallest?.ours(name)?;
    Some((format!("{more:.0} MiB more than one of 1,000"), more < 64.0))
}

fn memory(results: &Results) -> Vec<Target> {
    let held = |kind: &str| {
        let found = |row: &&Row| row.workload().starts_with(kind);
        results.rows.iter().find(found)
    };
    vec![
        Target::new(
            "all agents idle together under 40 MiB",
            at_most(held("hold-smtp"), "idle MiB", 40.0),
        ),
        Target::new(
            "an idle SMTP session under 16 KiB",
            at_most(held("hold-smtp"), "KiB per session", 16.0),
        ),
        Target::new(
            "an idle IMAP session under TLS under 48 KiB",
            at_most(held("hold-imap"), "KiB per session", 48.0),
        ),
        Target::new(
            "a letter of 50 MB costs no more than 2 MiB while it passes",
            at_most(held("passing:50"), "peak above idle MiB", 2.0),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Side;

    fn row(id: &str, ours: &[(&str, f64)], theirs: &[(&str, f64)]) -> Row {
        let side = |values: &[(&str, f64)]| Side {
            server: "a server".into(),
            values: values.iter().map(|&(name, value)| (name.to_owned(), value)).collect(),
        };
        Row { id: id.into(), machine: "m".into(), sides: vec![side(ours), side(theirs)] }
    }

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let mut results = Results::default();
        let flow = |rate: f64, barriers: f64| {
            [("accepted/s", rate), ("arrived/s", rate), ("barriers", barriers), ("CPU ms", 0.2)]
        };
        results.put(row("inbound:4:10@Postfix", &flow(5000.0, 0.3), &flow(400.0, 2.0)));
        results.put(row("relay:4:10@Postfix", &flow(2000.0, 0.1), &flow(500.0, 1.0)));
        let fast = [("FLAGS", 1.0), ("SELECT", 1.0)];
        results.put(row("imap:1000@Dovecot", &fast, &[("FLAGS", 4.0), ("SELECT", 0.5)]));
        let text = markdown(&results);
        let met = |what: &str| {
            let line = text.lines().find(|line| line.contains(what)).unwrap();
            line.rsplit('|').nth(1).unwrap().trim().to_owned()
        };
        assert_eq!(met("at least 10×"), "yes");
        assert_eq!(met("at least 6×"), "**no**");
        assert_eq!(met("inbound: barriers a letter with 10"), "**no**");
        assert_eq!(met("relay: barriers a letter with 10"), "yes");
        assert_eq!(met("relay: barriers a letter with 50"), "–");
        assert_eq!(met("1000 letters: every row"), "**no**");
        assert_eq!(met("1000 letters: twice"), "yes");
        assert!(text.contains("slower: SELECT 0.50×"), "{text}");
    }
}
