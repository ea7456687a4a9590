//! Layers of configuration (defaults, then the file, then `--set`), and faults with their place.
//! Every key is tried alone, so that one reading names every fault and not only the first.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::{Config, LocalDelivery, Mta};

/// Where the file is when nobody says.
pub const DEFAULT_PATH: &str = "/etc/posthaste/posthaste.toml";

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line and column, from 1; none for `--set` and for the file as a whole.
    pub at: Option<(usize, usize)>,
    /// The dotted key, or empty.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// Everything that is wrong with a configuration; exit code 78.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The file.
    pub path: PathBuf,
    /// At least one, in the order of the file.
    pub faults: Vec<Fault>,
}

/// Reads the configuration: the file at `path`, then `overrides` (`key=value`, dotted keys).
///
/// # Errors
/// Everything that is wrong.
pub fn load(path: &Path, overrides: &[String]) -> Result<Config, Faults> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "there is no such file; name it with -c FILE or POSTHASTE_CONFIG, or make one with \
                 `posthaste init DIR --domain D`"
                    .to_owned()
            }
            _ => format!("cannot read it: {error}"),
        };
        let fault = Fault { at: None, key: String::new(), message };
        Faults { path: path.to_owned(), faults: vec![fault] }
    })?;
    parse(path, &text, overrides)
}

/// The same for `text`, which is said to stand at `path`.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(path: &Path, text: &str, overrides: &[String]) -> Result<Config, Faults> {
    let fail = |faults: Vec<Fault>| Faults { path: path.to_owned(), faults };
    let (spans, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        let faults = syntax.iter().map(|error| Fault {
            at: error.span().map(|span| position(text, span.start)),
            key: String::new(),
            message: error.message().to_owned(),
        });
        return Err(fail(faults.collect()));
    }
    let file = File { text, spans: spans.get_ref() };
    // The same text has just been parsed.
    let mut table: Table = toml::from_str(text).unwrap_or_default();
    let mut faults = Vec::new();
    file.try_keys(&mut Vec::new(), &table, &mut faults);
    for one in overrides {
        if let Err(fault) = set(&mut table, one) {
            faults.push(fault);
        }
    }
    if !faults.is_empty() {
        return Err(fail(faults));
    }
    let mut config = Config::deserialize(table).map_err(|error| {
        let message = error.message().to_owned();
        fail(vec![Fault { at: None, key: String::new(), message }])
    })?;
    // Without a folder the file lies in the current one; `absolute` fails only for an empty path.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    config.resolve_paths(absolute.parent().unwrap_or(Path::new("/")));
    let wrong = contradictions(&config);
    if wrong.is_empty() {
        return Ok(config);
    }
    let located = wrong.into_iter().map(|(key, message)| Fault {
        at: file.position_of(key),
        key: key.to_owned(),
        message,
    });
    Err(fail(located.collect()))
}

/// The keys that a table may have, e.g. of `mta.retry`; of the whole file for the empty path.
pub fn allowed_keys(path: &[&str]) -> Vec<String> {
    let mut table = Table::new();
    table.insert("?".to_owned(), Value::Integer(0));
    let message = match try_alone(path, Value::Table(table)) {
        Some(message) => message,
        None => return Vec::new(),
    };
    // serde's list: expected one of `a`, `b`.
    let (_, list) = message.split_once("expected").unwrap_or_default();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The text of the file and where its keys are.
struct File<'a> {
    text: &'a str,
    spans: &'a DeTable<'a>,
}

impl File<'_> {
    /// Tries each key of `table`, which stands at `path`, alone.
    fn try_keys(&self, path: &mut Vec<String>, table: &Table, faults: &mut Vec<Fault>) {
        for (key, value) in table {
            path.push(key.clone());
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            let children = value.as_table();
            // A section is tried empty first: an unknown one is one fault, not one for each key.
            let probe = children.map_or_else(|| value.clone(), |_| Value::Table(Table::new()));
            match (try_alone(&names, probe), children) {
                (Some(message), _) => faults.push(self.fault(&names, &message)),
                (None, Some(children)) => self.try_keys(path, children, faults),
                (None, None) => {}
            }
            path.pop();
        }
        let order = |fault: &Fault| fault.at;
        faults.sort_by_key(order);
    }

    fn fault(&self, path: &[&str], message: &str) -> Fault {
        let unknown = message.starts_with("unknown field");
        let span = self.find(path).map(|(key, value)| if unknown { key } else { value });
        let message = if unknown { unknown_key(path) } else { message.trim().to_owned() };
        Fault { at: span.map(|at| position(self.text, at)), key: path.join("."), message }
    }

    fn position_of(&self, key: &str) -> Option<(usize, usize)> {
        let path: Vec<&str> = key.split('.').collect();
        self.find(&path).map(|(_, value)| position(self.text, value))
    }

    /// Where key and value at `path` begin.
    fn find(&self, path: &[&str]) -> Option<(usize, usize)> {
        let mut table = self.spans;
        let (last, parents) = path.split_last()?;
        for name in parents {
            table = entry(table, name)?.1.get_ref().as_table()?;
        }
        let (key, value) = entry(table, last)?;
        Some((key, value.span().start))
    }
}

fn entry<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<(usize, &'a Spanned<DeValue<'i>>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
    Some((key.span().start, value))
}

/// What is wrong when the configuration is nothing but `value` at `path`.
fn try_alone(path: &[&str], value: Value) -> Option<String> {
    let nested = path.iter().rev().fold(value, |inner, name| {
        let mut table = Table::new();
        table.insert((*name).to_owned(), inner);
        Value::Table(table)
    });
    Config::deserialize(nested).err().map(|error| error.message().to_owned())
}

fn unknown_key(path: &[&str]) -> String {
    let (last, parents) = path.split_last().unwrap_or((&"", &[]));
    let allowed = allowed_keys(parents);
    let near = allowed.iter().min_by_key(|key| distance(key, last));
    let hint = match near {
        Some(key) if distance(key, last) <= 2 => format!("; did you mean \"{key}\"?"),
        _ => String::new(),
    };
    let wherein = match parents {
        [] => "at the top".to_owned(),
        _ => format!("in [{}]", parents.join(".")),
    };
    format!("unknown key{hint}; allowed {wherein}: {}", allowed.join(", "))
}

/// Edits that make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let substitute = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Line and column of a byte, from 1; columns count characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// Applies one `key=value`. A value that is not TOML by itself is taken as a string.
fn set(table: &mut Table, text: &str) -> Result<(), Fault> {
    let (key, value) =
        text.split_once('=').map(|(k, v)| (k.trim(), v.trim())).ok_or_else(|| {
            let message = format!("--set {text}: write KEY=VALUE, e.g. --set log.level=debug");
            Fault { at: None, key: String::new(), message }
        })?;
    let fail = |message: String| Fault { at: None, key: key.to_owned(), message };
    let parsed = toml::from_str::<Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let path = dotted(key).ok_or_else(|| fail("not a dotted key".to_owned()))?;
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let number_as_text = Value::String(value.to_owned());
    // `--set server.hostname=1.example` or a password of digits: try as text before giving up.
    let value = match try_alone(&names, parsed.clone()) {
        None => parsed,
        Some(_) if try_alone(&names, number_as_text.clone()).is_none() => number_as_text,
        Some(message) if message.starts_with("unknown field") => {
            return Err(fail(format!("--set: {}", unknown_key(&names))));
        }
        Some(message) => return Err(fail(format!("--set: {}", message.trim()))),
    };
    let (last, parents) = path.split_last().ok_or_else(|| fail("not a dotted key".to_owned()))?;
    let mut inner = table;
    for name in parents {
        let next = inner.entry(name.clone()).or_insert_with(|| Value::Table(Table::new()));
        inner = match next {
            Value::Table(next) => next,
            _ => return Err(fail(format!("--set: {name} is not a section"))),
        };
    }
    inner.insert(last.clone(), value);
    Ok(())
}

/// The parts of a dotted key; parts with dots of their own are quoted:
/// `mta.routes."example.net"`.
fn dotted(key: &str) -> Option<Vec<String>> {
    let table: Table = toml::from_str(&format!("{key} = 0")).ok()?;
    let mut path = Vec::new();
    let mut value = Value::Table(table);
    while let Value::Table(mut table) = value {
        let name = table.keys().next()?.clone();
        value = table.remove(&name)?;
        path.push(name);
    }
    Some(path)
}

/// Keys that are each right and do not go together.
fn contradictions(config: &Config) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    let mut say = |key, message: &str| wrong.push((key, message.to_owned()));
    let listen = &config.listen;
    if listen.bind.is_empty() {
        say("listen.bind", "at least one address is needed, e.g. [\"0.0.0.0\"]");
    }
    let ports = [
        ("listen.smtp", listen.smtp),
        ("listen.submissions", listen.submissions),
        ("listen.submission", listen.submission),
        ("listen.imap", listen.imap),
        ("listen.imaps", listen.imaps),
        ("listen.pop3", listen.pop3),
        ("listen.pop3s", listen.pop3s),
        ("listen.managesieve", listen.managesieve),
    ];
    for (index, (key, port)) in ports.iter().enumerate() {
        if *port != 0 && port.checked_add(listen.port_offset).is_none() {
            say("listen.port_offset", "with it a port would be above 65535");
            break;
        }
        if *port != 0 && ports[..index].iter().any(|(_, other)| other == port) {
            say(key, "another service has the same port");
        }
    }
    match (&config.tls.certificate, &config.tls.key) {
        (Some(_), None) => say("tls.certificate", "tls.key is needed too"),
        (None, Some(_)) => say("tls.key", "tls.certificate is needed too"),
        _ => {}
    }
    if config.limits.recipients_per_letter == 0 {
        say("limits.recipients_per_letter", "must be at least 1 (RFC 5321 asks for 100)");
    }
    if config.limits.message_size < 64 * 1024 {
        // RFC 5321 §4.5.3.1.7.
        say("limits.message_size", "must be at least 64KiB");
    }
    if config.limits.sessions == 0 || config.limits.sessions_per_address == 0 {
        say("limits.sessions", "sessions and sessions_per_address must be at least 1");
    }
    if config.storage.log_segment < 1 << 20 {
        say("storage.log_segment", "must be at least 1MiB");
    }
    transfer_contradictions(&config.mta, &mut wrong);
    login_contradictions(config, &mut wrong);
    wrong
}

/// The part of them that is about the way out.
fn transfer_contradictions(mta: &Mta, wrong: &mut Vec<(&'static str, String)>) {
    let mut say = |key, message: &str| wrong.push((key, message.to_owned()));
    if mta.remote_port == 0 {
        say("mta.remote_port", "0 is not a port");
    }
    if mta.smarthost.as_ref().is_some_and(|host| host.user.is_some())
        && mta.smarthost_password_file.is_none()
    {
        say(
            "mta.smarthost",
            "a user needs a password; name its file with mta.smarthost_password_file",
        );
    }
    if !(1.0..=10.0).contains(&mta.retry.factor) {
        say("mta.retry.factor", "must lie between 1 and 10");
    }
    if mta.retry.first.is_zero() || mta.retry.max < mta.retry.first {
        say("mta.retry.first", "must be above 0s and not above mta.retry.max");
    }
    if mta.relay_from.iter().any(|network| network.is_everybody()) {
        say("mta.relay_from", "the whole Internet may not send through this host");
    }
    if mta.relay_recipients_file.is_some() && mta.relay_domains.is_empty() {
        say("mta.relay_recipients_file", "it says who exists in mta.relay_domains, which is empty");
    }
    if mta.max_hops == 0 {
        say("mta.max_hops", "must be at least 1");
    }
    if matches!(&mta.local_delivery, LocalDelivery::LmtpUnix(path) if path.as_os_str().is_empty()) {
        say("mta.local_delivery", "the path of the socket is missing");
    }
}

/// The part of them that is about tokens.
fn login_contradictions(config: &Config, wrong: &mut Vec<(&'static str, String)>) {
    let mut say = |key, message: &str| wrong.push((key, message.to_owned()));
    let oauth = &config.oauth;
    if oauth.introspection_url.is_some() && oauth.account_claim.is_empty() {
        say("oauth.account_claim", "it must name the member of the answer that names the account");
    }
    if !oauth.client_id.is_empty() && oauth.client_secret_file.is_none() {
        say("oauth.client_id", "its secret is needed too; name its file with client_secret_file");
    }
}

impl fmt::Display for Faults {
    /// One line each: `posthaste.toml:12:3: mta.remote_prot: unknown key; ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.path.display())?;
            if let Some((line, column)) = fault.at {
                write!(f, "{line}:{column}:")?;
            }
            if !fault.key.is_empty() {
                write!(f, " {}:", fault.key)?;
            }
            // serde's messages can have lines; one fault is one line.
            write!(f, " {}", fault.message.replace('\n', "; "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
