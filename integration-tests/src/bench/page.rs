//! The tables of `docs/performance.md`, made from results. What stands between the two marks is
//! written here and nowhere else; the rest of the page is written by people.

use std::path::Path;

use super::job::Job;
use super::reading::{MOST, PART};
use super::results::{Results, Row, Side};
use super::targets;

/// Where the tables begin in the page.
pub const BEGIN: &str = "<!-- tables: written by integration-tests/bench/run, do not edit -->";
/// Where they end.
pub const END: &str = "<!-- end of tables -->";

/// Sizes of mailboxes that are read in.
pub const MAILBOXES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Puts the tables into a page.
///
/// # Errors
///
/// The page has no place for them, or cannot be written.
pub fn write(path: &Path, results: &Results) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let page = std::fs::read_to_string(path).map_err(failed)?;
    let place = || format!("{}: the marks of the tables are missing", path.display());
    let (before, rest) = page.split_once(BEGIN).ok_or_else(place)?;
    let (_, after) = rest.split_once(END).ok_or_else(place)?;
    let text = format!("{before}{BEGIN}\n\n{}\n{END}{after}", tables(results));
    std::fs::write(path, text).map_err(failed)
}

/// All tables as Markdown.
pub fn tables(results: &Results) -> String {
    let mut text = String::new();
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            text.push_str(&format!("## {title}\n\n{body}\n"));
        }
    };
    section("Against the targets", targets::markdown(results));
    section("Letters in and through", flows(results));
    section("The machine's own limits", limits(results));
    section("IMAP", readers(results));
    section("Cost per letter as a mailbox grows", growth(results));
    section("Memory", memory(results));
    section("A long queue", queues(results));
    text.trim_end().to_owned() + "\n"
}

/// The machine and the moment in a line, for a row.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let memory = read("/proc/meminfo");
    let total = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let gib = total.map_or(0, |kib: u64| kib.div_ceil(1024 * 1024));
    let load = read("/proc/loadavg");
    format!(
        "{} processors ({}), {gib} GiB, Linux {}, load {} before",
        std::thread::available_parallelism().map_or(1, usize::from),
        model.unwrap_or("unknown").trim(),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split_whitespace().next().unwrap_or("?"),
    )
}

/// Rows of a kind, each with its job.
fn rows<'a>(
    results: &'a Results,
    kind: impl Fn(&Job) -> bool + 'a,
) -> impl Iterator<Item = (&'a Row, Job)> + 'a {
    results.rows.iter().filter_map(move |row| {
        let job = Job::parse(row.workload())?;
        kind(&job).then_some((row, job))
    })
}

/// Machines that rows were measured on, load apart: one, unless somebody mixed results.
fn machines(results: &Results, kind: impl Fn(&Job) -> bool) -> String {
    let mut all: Vec<&str> = Vec::new();
    for (row, _) in rows(results, kind) {
        let name = row.machine.rsplit_once(", load").map_or(row.machine.as_str(), |(m, _)| m);
        if !all.contains(&name) {
            all.push(name);
        }
    }
    format!("Machine: {}.\n\n", all.join("; "))
}

/// A figure with as many digits as it deserves.
pub fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 0.1 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

/// `a` over `b`.
pub fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => format!("**{:.1}×**", a / b),
        _ => String::new(),
    }
}

fn flows(results: &Results) -> String {
    let is_flow = |job: &Job| matches!(job, Job::Flow(..) | Job::Checked(_));
    let mut text = machines(results, is_flow);
    let head = "| workload | server | accepted/s | ours is | arrived/s | ours is \
                | CPU ms/letter | barriers/letter | peak MiB |\n\
                |---|---|---:|---:|---:|---:|---:|---:|---:|\n";
    text.push_str(head);
    let start = text.len();
    for (row, job) in rows(results, is_flow) {
        for (place, side) in row.sides.iter().enumerate() {
            let value = |name: &str| side.values.get(name).copied();
            let times = |name: &str| match place {
                0 => String::new(),
                _ => ratio(row.ours(name), value(name)),
            };
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                if place == 0 { job.title() } else { String::new() },
                side.server,
                figure(value("accepted/s")),
                times("accepted/s"),
                figure(value("arrived/s")),
                times("arrived/s"),
                figure(value("CPU ms")),
                figure(value("barriers")),
                figure(value("peak MiB")),
            ));
        }
    }
    if text.len() == start { String::new() } else { text }
}

fn limits(results: &Results) -> String {
    let Some((row, _)) = rows(results, |job| matches!(job, Job::Limits)).next() else {
        return String::new();
    };
    let mut text = String::from("| letters of 4 KiB | per second |\n|---|---:|\n");
    for (name, value) in row.sides.iter().flat_map(|side| &side.values) {
        text.push_str(&format!("| {name} | {value:.0} |\n"));
    }
    text
}

/// The order in which people do things, not that of the alphabet.
const READING: [&str; 26] = [
    "login, first",
    "login",
    "SELECT, no index",
    "SELECT, first",
    "SELECT, cold",
    "SELECT",
    "FLAGS",
    "ENVELOPE, first",
    "ENVELOPE",
    "list",
    "bodies",
    "bodies, pipelined",
    "bodies, one by one",
    "SEARCH UNSEEN",
    "SEARCH SUBJECT",
    "SEARCH BODY, cold",
    "SEARCH BODY",
    "STORE, one command",
    "STORE, pipelined",
    "STORE, one by one",
    "APPEND, one by one",
    "APPEND, pipelined",
    "MULTIAPPEND",
    "COPY",
    "EXPUNGE",
    "memory open MiB",
];

fn readers(results: &Results) -> String {
    let mut text = String::new();
    for (row, _) in rows(results, |job| matches!(job, Job::Reading(_))) {
        let letters = row.workload().trim_start_matches("imap:");
        text.push_str(&format!("{letters} letters, milliseconds ({}):\n\n|", row.machine));
        let heads: Vec<&str> = row.sides.iter().map(|side| side.server.as_str()).collect();
        text.push_str(&format!(" | {} | ours is |\n|---|", heads.join(" | ")));
        text.push_str(&"---:|".repeat(heads.len() + 1));
        text.push('\n');
        for name in READING {
            let value = |side: &Side| side.values.get(name).copied();
            if row.sides.iter().all(|side| value(side).is_none()) {
                continue;
            }
            let cells: Vec<String> = row.sides.iter().map(|side| figure(value(side))).collect();
            let times = ratio(row.theirs(name), row.ours(name));
            text.push_str(&format!("| {name} | {} | {times} |\n", cells.join(" | ")));
        }
        text.push('\n');
    }
    text
}

/// Letters that a row is about in a mailbox of so many; `None` where the row is about none.
pub fn letters_of(row: &str, letters: usize) -> Option<usize> {
    Some(match row {
        "FLAGS" | "SEARCH UNSEEN" | "SELECT" | "SELECT, first" | "SELECT, no index" => letters,
        "ENVELOPE, first" | "ENVELOPE" | "list" | "SEARCH SUBJECT" | "SEARCH BODY"
        | "SEARCH BODY, cold" => letters.min(MOST),
        _ if row.starts_with("login") || row.starts_with("memory") => return None,
        "SELECT, cold" => return None,
        _ => PART.min(letters),
    })
}

/// Rows that are about each letter, in microseconds for one.
fn growth(results: &Results) -> String {
    let found = |letters: usize| {
        let workload = format!("imap:{letters}");
        results.rows.iter().find(|row| row.workload() == workload)
    };
    let all = MAILBOXES.map(found);
    if all.iter().flatten().count() < 2 {
        return String::new();
    }
    let mut text = String::from(
        "Microseconds for a letter, ours. SELECT is one command, whatever it opens: its cost over \
         the letters there.\n\n| | 1,000 | 100,000 | 1,000,000 | largest over smallest |\n\
         |---|---:|---:|---:|---:|\n",
    );
    for name in READING {
        let each: Vec<Option<f64>> = MAILBOXES
            .iter()
            .zip(all)
            .map(|(letters, row)| {
                Some(row?.ours(name)? * 1000.0 / letters_of(name, *letters)? as f64)
            })
            .collect();
        if each.iter().all(Option::is_none) {
            continue;
        }
        let (first, last) = (each.iter().flatten().next(), each.iter().flatten().last());
        let cells: Vec<String> = each.iter().map(|value| figure(*value)).collect();
        let times = ratio(last.copied(), first.copied());
        text.push_str(&format!("| {name} | {} | {times} |\n", cells.join(" | ")));
    }
    text
}

fn memory(results: &Results) -> String {
    let kind =
        |job: &Job| matches!(job, Job::HoldingSmtp(_) | Job::HoldingImap(_) | Job::Passing(_));
    let mut text = String::new();
    for (row, job) in rows(results, kind) {
        for side in &row.sides {
            let each =
                side.values.iter().map(|(name, value)| format!("{name} {}", figure(Some(*value))));
            let each = each.collect::<Vec<_>>().join(", ");
            text.push_str(&format!("| {} | {} | {each} |\n", job.title(), side.server));
        }
    }
    match text.is_empty() {
        true => text,
        false => {
            format!("| what | server | memory (PSS of all processes) |\n|---|---|---|\n{text}")
        }
    }
}

fn queues(results: &Results) -> String {
    let mut text = String::new();
    for (row, job) in rows(results, |job| matches!(job, Job::Queue(_))) {
        for (name, value) in row.sides.iter().flat_map(|side| &side.values) {
            text.push_str(&format!("| {} | {name} | {} |\n", job.title(), figure(Some(*value))));
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("| queue | | |\n|---|---|---:|\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(id: &str, ours: &[(&str, f64)], theirs: &[(&str, f64)]) -> Row {
        let side = |server: &str, values: &[(&str, f64)]| Side {
            server: server.into(),
            values: values.iter().map(|&(name, value)| (name.to_owned(), value)).collect(),
        };
        let sides = vec![side("Posthaste 0", ours), side("Postfix 3", theirs)];
        Row { id: id.into(), machine: "2 processors, load 0.1 before".into(), sides }
    }

    #[test]
    fn the_page_gets_its_tables_between_the_marks_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.md");
        let mut results = Results::default();
        let (ours, theirs) = ([("accepted/s", 5000.0)], [("accepted/s", 500.0)]);
        results.put(row("inbound:4:10@Postfix", &ours, &theirs));
        results.put(row("imap:1000@Dovecot", &[("FLAGS", 1.0)], &[("FLAGS", 3.0)]));
        std::fs::write(&path, format!("before\n{BEGIN}\nold\n{END}\nafter\n")).unwrap();
        write(&path, &results).unwrap();
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.starts_with("before\n") && page.ends_with("after\n"));
        assert!(!page.contains("old"));
        assert!(page.contains("| inbound, 4 KiB, 10 sessions | Posthaste 0 | 5000 |"));
        assert!(page.contains("| Postfix 3 | 500 | **10.0×** |"), "{page}");
        assert!(page.contains("| FLAGS | 1.00 | 3.00 | **3.0×** |"), "{page}");
        let once = page.clone();
        write(&path, &results).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), once, "again: the same");
        std::fs::write(&path, "no marks").unwrap();
        assert!(write(&path, &results).is_err());
    }

    #[test]
    fn every_row_of_readers_knows_its_letters() {
        let unknown: BTreeMap<&str, Option<usize>> =
            READING.iter().map(|name| (*name, letters_of(name, 1_000_000))).collect();
        assert_eq!(unknown["FLAGS"], Some(1_000_000));
        assert_eq!(unknown["ENVELOPE"], Some(MOST));
        assert_eq!(unknown["COPY"], Some(PART));
        assert_eq!(unknown["login"], None);
    }
}
