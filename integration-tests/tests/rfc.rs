//! Every section of an RFC that the code cites is in the table of `docs/rfc.md`, and every section
//! in the table is cited: the table tells what is done because somebody stood at the place.
//!
//! `cargo rfc` rewrites the columns of sections and places from the code. Titles and states are
//! written by hand; a new RFC appears with the title `?`, and the test fails until it has one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use integration_tests::source::{sources, workspace};

const PAGE: &str = "docs/rfc.md";

/// Sections by RFC, and for each the crates that cite it.
type Citations = BTreeMap<u32, Entry>;

#[derive(Default, Clone, PartialEq, Eq, Debug)]
struct Entry {
    title: String,
    state: String,
    sections: BTreeSet<Section>,
    crates: BTreeSet<String>,
}

/// `4.5.3.1` or `D.2`, in the order of the document: numbers by value, appendices last.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Debug)]
struct Section(Vec<(u32, String)>);

impl Section {
    fn parse(text: &str) -> Option<Section> {
        let parts = text.split('.').map(|part| match part.parse::<u32>() {
            Ok(number) => Some((number, String::new())),
            Err(_) if part.len() == 1 && part.chars().all(|c| c.is_ascii_uppercase()) => {
                Some((u32::MAX, part.to_owned()))
            }
            Err(_) => None,
        });
        parts.collect::<Option<Vec<_>>>().map(Section)
    }

    fn print(&self) -> String {
        let part = |(number, letter): &(u32, String)| {
            if letter.is_empty() { number.to_string() } else { letter.clone() }
        };
        format!("§{}", self.0.iter().map(part).collect::<Vec<_>>().join("."))
    }
}

#[test]
fn the_table_and_the_code_cite_the_same() {
    let (cited, table) = (cited(), table());
    let mut report = String::new();
    for (number, entry) in &cited {
        let Some(row) = table.get(number) else {
            let _ = writeln!(report, "RFC {number} is cited ({:?}), not listed", entry.crates);
            continue;
        };
        for section in entry.sections.difference(&row.sections) {
            let _ = writeln!(report, "RFC {number} {} is cited, not listed", section.print());
        }
        for section in row.sections.difference(&entry.sections) {
            let _ = writeln!(report, "RFC {number} {} is listed, not cited", section.print());
        }
        if row.title == "?" || row.state == "?" {
            let _ = writeln!(report, "RFC {number} needs a title and a state, by hand");
        }
    }
    for (number, row) in &table {
        if !cited.contains_key(number) && !row.sections.is_empty() {
            let _ = writeln!(report, "RFC {number} is listed with sections, not cited");
        }
    }
    assert!(report.is_empty(), "{PAGE} (`cargo rfc` rewrites its sections):\n{report}");
}

/// `cargo rfc`: brings the table up to date with the code.
#[test]
#[ignore = "rewrites docs/rfc.md"]
fn rewrite_the_table() {
    let path = workspace().join(PAGE);
    let page = std::fs::read_to_string(&path).expect(PAGE);
    let mut rows = table();
    for row in rows.values_mut() {
        row.sections.clear();
        row.crates.clear();
    }
    for (number, entry) in cited() {
        let row = rows.entry(number).or_insert_with(|| Entry {
            title: "?".into(),
            state: "?".into(),
            ..Entry::default()
        });
        row.sections = entry.sections;
        row.crates = entry.crates;
    }
    let is_row = |line: &str| line.starts_with("| [");
    let head: Vec<&str> = page.lines().take_while(|line| !is_row(line)).collect();
    let tail: Vec<&str> =
        page.lines().skip_while(|line| !is_row(line)).skip_while(|line| is_row(line)).collect();
    let mut out = head.join("\n") + "\n";
    for (number, row) in &rows {
        let sections: Vec<String> = row.sections.iter().map(Section::print).collect();
        let crates: Vec<&str> = row.crates.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "| [{number}](https://www.rfc-editor.org/rfc/rfc{number}) | {} | {} | {} | {} |",
            row.title,
            row.state,
            sections.join(" "),
            crates.join(", ")
        );
    }
    if !tail.is_empty() {
        out.push_str(&tail.join("\n"));
        out.push('\n');
    }
    std::fs::write(&path, out).expect("docs can be written");
}

/// What `docs/rfc.md` lists.
fn table() -> Citations {
    let page = std::fs::read_to_string(workspace().join(PAGE)).expect(PAGE);
    let mut rows = Citations::new();
    for line in page.lines().filter(|line| line.starts_with("| [")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, title, state, sections, crates] = cells[..] else {
            panic!("{PAGE}: a row has five cells: {line}");
        };
        let number = number.trim_start_matches('[').split(']').next().unwrap_or_default();
        let number = number.parse().unwrap_or_else(|_| panic!("{PAGE}: an RFC's number: {line}"));
        let sections = sections
            .split_whitespace()
            .map(|section| {
                Section::parse(section.trim_start_matches('§'))
                    .unwrap_or_else(|| panic!("{PAGE}: {section} is not a section: {line}"))
            })
            .collect();
        let crates = crates.split(", ").filter(|name| !name.is_empty()).map(str::to_owned);
        let entry = Entry {
            title: title.to_owned(),
            state: state.to_owned(),
            sections,
            crates: crates.collect(),
        };
        assert!(rows.insert(number, entry).is_none(), "{PAGE}: RFC {number} twice");
    }
    rows
}

/// What the code cites.
fn cited() -> Citations {
    let mut found = Citations::new();
    for source in sources().iter().filter(|source| source.path.starts_with("crates/")) {
        for (number, section) in citations(&source.text) {
            let entry = found.entry(number).or_default();
            entry.crates.insert(source.crate_name().to_owned());
            entry.sections.extend(section);
        }
    }
    found
}

/// Every citation in a text. A comment may break between any two words.
fn citations(text: &str) -> Vec<(u32, Option<Section>)> {
    let prose: Vec<&str> = text
        .lines()
        .flat_map(|line| {
            let line = line.trim_start();
            line.trim_start_matches(['/', '!', '*']).split_whitespace()
        })
        .collect();
    let prose = prose.join(" ");
    let mut found = Vec::new();
    for (at, _) in prose.match_indices("RFC ") {
        let mut rest = &prose[at + 4..];
        let Some(number) = take_number(&mut rest) else { continue };
        found.push((number, None));
        // "RFC 3501/9051".
        while let Some(mut more) = rest.strip_prefix('/') {
            let Some(number) = take_number(&mut more) else { break };
            found.push((number, None));
            rest = more;
        }
        let number = found.last().map_or(number, |(number, _)| *number);
        while let Some(section) = take_section(&mut rest) {
            found.push((number, Some(section)));
        }
    }
    found
}

/// The digits of an RFC's number.
fn take_number(rest: &mut &str) -> Option<u32> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = rest[..digits].parse().ok().filter(|_| (3..=5).contains(&digits))?;
    *rest = &rest[digits..];
    Some(number)
}

/// The next section of the same RFC: `, §4.2`, ` and §4.3`, ` section 4`, ` Appendix D`.
fn take_section(rest: &mut &str) -> Option<Section> {
    let mut text = rest.trim_start_matches([' ', ',', '(']);
    for word in ["and ", "or ", "with ", "to "] {
        text = text.strip_prefix(word).unwrap_or(text).trim_start();
    }
    let marked = ["§§", "§", "sections ", "section ", "Section ", "appendix ", "Appendix "]
        .iter()
        .find_map(|mark| text.strip_prefix(mark))?;
    let body = marked.trim_start();
    let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(body.len());
    let section = Section::parse(body[..end].trim_end_matches('.'))?;
    *rest = &body[end..];
    Some(section)
}

#[test]
fn citations_are_read_as_people_write_them() {
    let read = |text: &str| -> Vec<String> {
        let print = |(number, section): (u32, Option<Section>)| match section {
            Some(section) => format!("{number}{}", section.print()),
            None => number.to_string(),
        };
        citations(text).into_iter().map(print).collect()
    };
    assert_eq!(read("// RFC 5321 §4.5.3.1.6: a line."), ["5321", "5321§4.5.3.1.6"]);
    assert_eq!(read("/// RFC 5321\n/// section 4.1.1, §4.2."), ["5321", "5321§4.1.1", "5321§4.2"]);
    assert_eq!(read("RFC 5321 appendix D and RFC 6409 (§8)"), ["5321", "5321§D", "6409", "6409§8"]);
    assert_eq!(read("RFC 3501/9051 §6.1"), ["3501", "9051", "9051§6.1"]);
    assert_eq!(read("RFC 2 and the RFC says"), Vec::<String>::new());
    assert!(Section::parse("4.10") > Section::parse("4.9"));
    assert!(Section::parse("A") > Section::parse("10"));
}
