//! The test suite of RFC 7208, which is not part of this repository: its file is named by
//! `POSTHASTE_SPF_SUITE`, else looked for beside the repository. Without it the test says that it
//! is skipped. Every case must come out as one of the results that the suite allows.

#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use net::Clock;
use protocol::time::Timestamp;
use verdict::lookup::{Asking, Cause, Dns, Kind, Records, Source};
use verdict::spf::{self, Query};

#[tokio::test]
async fn every_case_of_the_suite() {
    let Some(text) = suite() else { return };
    let sections = sections(&text);
    let (mut cases, mut wrong) = (0, Vec::new());
    for section in sections {
        let clock = Clock::virtual_at(Timestamp::from_seconds(1_700_000_000));
        for case in &section.cases {
            // A memory of its own for each: a case that waits must not silence the next.
            let dns = Dns::new(section.zone.clone(), clock.clone());
            cases += 1;
            if let Err(why) = case.check(&dns).await {
                wrong.push(format!("{} / {}: {why}", section.description, case.name));
            }
        }
    }
    println!("RFC 7208 suite: {} of {cases} cases are right", cases - wrong.len());
    assert!(cases >= 150, "only {cases} cases were understood");
    assert!(wrong.is_empty(), "{} of {cases} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn suite() -> Option<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/spf");
    let path = match std::env::var_os("POSTHASTE_SPF_SUITE") {
        Some(path) => PathBuf::from(path),
        None => beside.join("rfc7208-tests.yml"),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            println!("skipped: the RFC 7208 suite is not at {}: {error}", path.display());
            None
        }
    }
}

#[derive(Default)]
struct Section {
    description: String,
    cases: Vec<Case>,
    zone: Zone,
}

#[derive(Default)]
struct Case {
    name: String,
    fields: HashMap<String, String>,
}

impl Case {
    async fn check(&self, dns: &Dns) -> Result<(), String> {
        let field = |name: &str| self.fields.get(name).map(String::as_str);
        let ip: IpAddr = field("host").unwrap_or_default().parse().map_err(|e| format!("{e}"))?;
        let mailfrom = field("mailfrom").unwrap_or_default();
        let sender = mailfrom.rsplit_once('@').or((!mailfrom.is_empty()).then_some(("", mailfrom)));
        let query = Query {
            ip,
            helo: field("helo").unwrap_or_default(),
            sender,
            receiver: "receiver.example.org",
            now: 1_700_000_000,
        };
        let inquiry = dns.inquire();
        let found = spf::check(&inquiry, query).await;
        let wanted = field("result").unwrap_or_default().trim_matches(['[', ']']);
        let allowed: Vec<&str> = wanted.split(',').map(str::trim).collect();
        if !allowed.contains(&found.result.as_str()) {
            return Err(format!("{} instead of {wanted} ({})", found.result, found.reason));
        }
        match field("explanation") {
            None => Ok(()),
            Some("DEFAULT") if found.explanation.is_none() => Ok(()),
            Some(wanted) if found.explanation.as_deref() == Some(wanted) => Ok(()),
            Some(wanted) => Err(format!("{:?} instead of {wanted:?}", found.explanation)),
        }
    }
}

/// What DNS holds in a section.
#[derive(Default, Clone)]
struct Zone {
    names: HashMap<String, Vec<(String, Vec<String>)>>,
}

impl Source for Zone {
    fn ask<'a>(&'a self, kind: Kind, name: &'a str) -> Asking<'a> {
        let name = match (kind, name.parse::<IpAddr>()) {
            (Kind::Ptr, Ok(address)) => reverse(address),
            _ => name.to_owned(),
        };
        let answer = self.answer(kind, &name, 0).map(Arc::new);
        Box::pin(std::future::ready((answer, Duration::from_secs(60))))
    }
}

impl Zone {
    fn answer(&self, kind: Kind, name: &str, depth: u32) -> Result<Records, Cause> {
        let records = self.names.get(name).ok_or(Cause::NoSuchName)?;
        let of = |wanted: &str| -> Vec<&Vec<String>> {
            records.iter().filter(|(kind, _)| kind == wanted).map(|(_, values)| values).collect()
        };
        if let [alias] = of("CNAME").as_slice() {
            return match depth {
                0..8 => self.answer(kind, &plain(&alias[0]), depth + 1),
                _ => Err(Cause::Server("a loop of aliases".to_owned())),
            };
        }
        // Records of type SPF stand for TXT where a section has no TXT of its own.
        let mut found = of(kind.as_str());
        if kind == Kind::Txt && found.is_empty() {
            found = of("SPF");
        }
        found.retain(|values| values.first().map(String::as_str) != Some("NONE"));
        if found.is_empty() {
            let waits = records.iter().any(|(kind, _)| kind == "TIMEOUT");
            return Err(if waits { Cause::Timeout } else { Cause::NoData });
        }
        let firsts = || found.iter().map(|values| values[0].clone());
        Ok(match kind {
            Kind::Txt => {
                // Characters stand for octets.
                let octets = |text: String| text.chars().map(|c| c as u32 as u8).collect();
                Records::Txt(found.iter().map(|values| octets(values.concat())).collect())
            }
            Kind::A | Kind::Aaaa => {
                Records::Addresses(firsts().filter_map(|text| text.parse().ok()).collect())
            }
            Kind::Mx => {
                let mut all: Vec<(u32, String)> = found
                    .iter()
                    .map(|values| (values[0].parse().unwrap_or(0), plain(&values[1])))
                    .collect();
                all.sort();
                Records::Names(all.into_iter().map(|(_, name)| name).collect())
            }
            Kind::Ptr => Records::Names(firsts().map(|name| plain(&name)).collect()),
        })
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn reverse(address: IpAddr) -> String {
    let (mut parts, end): (Vec<String>, _) = match address {
        IpAddr::V4(v4) => (v4.octets().iter().map(u8::to_string).collect(), "in-addr.arpa"),
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            let digits = octets.iter().flat_map(|o| [o >> 4, o & 15]).map(|d| format!("{d:x}"));
            (digits.collect(), "ip6.arpa")
        }
    };
    parts.reverse();
    format!("{}.{end}", parts.join("."))
}

/// Reads as much of YAML as the suite uses.
fn sections(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    for document in text.split("\n---").skip(1) {
        let mut section = Section::default();
        let (mut within, mut name) = (String::new(), String::new());
        for line in joined(document) {
            let indent = line.len() - line.trim_start().len();
            let content = line.trim();
            match (indent, content.strip_prefix("- ")) {
                (0, _) => {
                    let (key, value) = key_value(content);
                    if key == "description" {
                        section.description = value.clone();
                    }
                    within = key;
                }
                (2, None) => {
                    name = key_value(content).0;
                    if within == "tests" {
                        let name = name.clone();
                        section.cases.push(Case { name, ..Case::default() });
                    } else if within == "zonedata" {
                        section.zone.names.entry(plain(&name)).or_default();
                    }
                }
                (_, Some(item)) if within == "zonedata" => {
                    let (kind, value) = key_value(item);
                    let values = if value.starts_with('[') { list(&value) } else { vec![value] };
                    section.zone.names.entry(plain(&name)).or_default().push((kind, values));
                }
                (_, None) if within == "tests" => {
                    let (key, value) = key_value(content);
                    if let Some(case) = section.cases.last_mut() {
                        case.fields.insert(key, value);
                    }
                }
                _ => {}
            }
        }
        sections.push(section);
    }
    sections
}

/// Lines without comments, each with the deeper ones that go on with it.
fn joined(document: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in document.lines() {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match lines.last_mut() {
            Some(last) if indent > 4 => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// `key: value`; the value unquoted, unless it is a list.
fn key_value(text: &str) -> (String, String) {
    if let Some(name) = text.strip_suffix(':') {
        return (unquoted(name), String::new());
    }
    let (key, value) = match text.strip_prefix('"').and_then(|rest| rest.split_once("\":")) {
        Some((key, value)) => (key, value),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    (key.trim().to_owned(), unquoted(value.trim()))
}

fn list(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut rest = text.trim().trim_start_matches('[').trim_end_matches(']').trim();
    while !rest.is_empty() {
        let end = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |at| at + 2),
            _ => rest.find(',').unwrap_or(rest.len()),
        };
        items.push(unquoted(rest[..end].trim()));
        rest = rest[end..].trim_start().trim_start_matches(',').trim_start();
    }
    if items.is_empty() { vec![String::new()] } else { items }
}

fn unquoted(text: &str) -> String {
    if let Some(inner) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return inner.replace("''", "'");
    }
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).collect();
                    let code = u8::from_str_radix(&digits, 16).expect("two hexadecimal digits");
                    out.push(char::from(code));
                }
                Some('0') => out.push('\0'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}
