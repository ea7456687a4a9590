//! The account file: TOML with a version. Read as a whole; written only to add an account, by
//! appending to what the user wrote, so that comments stay.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use protocol::address::Address;
use serde::Deserialize;

use super::{Account, Accounts, PasswordSource, Server, ServerKind};
use crate::failure::Failure;
use crate::limits::MAX_ACCOUNT_FILE;

/// Version of the file's form.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    default: Option<String>,
    #[serde(default)]
    account: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    address: String,
    name: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    imap: String,
    submission: String,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_command: Option<Vec<String>>,
    extra_ca: Option<PathBuf>,
    sent: Option<String>,
}

/// Reads and checks the file.
pub(super) fn load(path: &Path) -> Result<Accounts, Failure> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::configuration(format!(
                "there is no account file {}; add an account with `posthaste mail account add`",
                path.display()
            )));
        }
        Err(error) => {
            return Err(Failure::configuration(format!("cannot read {}: {error}", path.display())));
        }
    };
    parse(&text, path)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_ACCOUNT_FILE).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str, path: &Path) -> Result<Accounts, Failure> {
    let place = path.display();
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or_else(String::new, |span| {
            let before = text.get(..span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!(":{line}:{column}")
        });
        Failure::configuration(format!("{place}{at}: {}", error.message()))
    })?;
    if file.format != FORMAT {
        return Err(Failure::configuration(format!(
            "{place}: format {} is not known here; this program writes and reads format {FORMAT}",
            file.format
        )));
    }
    let base = path.parent().unwrap_or(Path::new("."));
    let mut accounts = Accounts { all: Vec::new(), default: file.default };
    for (name, entry) in file.account {
        let account = account(&name, entry, base)
            .map_err(|why| Failure::configuration(format!("{place}: account {name:?}: {why}")))?;
        accounts.all.push(account);
    }
    Ok(accounts)
}

fn account(name: &str, entry: Entry, base: &Path) -> Result<Account, String> {
    let address = |text: &str| -> Result<Address, String> {
        text.parse().map_err(|error| format!("address {text:?}: {error}"))
    };
    let password = match (entry.password_file, entry.password_command) {
        (Some(file), None) => PasswordSource::File(base.join(expand_home(file))),
        (None, Some(command)) if !command.is_empty() => PasswordSource::Command(command),
        (None, None) => PasswordSource::Prompt,
        (None, Some(_)) => return Err("password_command is empty".into()),
        (Some(_), Some(_)) => {
            return Err("either password_file or password_command, not both".into());
        }
    };
    let server = |key: &str, text: &str, kind| {
        Server::parse(text, kind).map_err(|why| format!("{key}: {why}"))
    };
    let first = address(&entry.address)?;
    Ok(Account {
        name: name.to_owned(),
        user: entry.user.unwrap_or_else(|| first.to_string()),
        address: first,
        person: entry.name.filter(|name| !name.trim().is_empty()),
        aliases: entry.aliases.iter().map(|alias| address(alias)).collect::<Result<_, _>>()?,
        imap: server("imap", &entry.imap, ServerKind::Imap)?,
        submission: server("submission", &entry.submission, ServerKind::Submission)?,
        password,
        extra_ca: entry.extra_ca.map(|path| base.join(expand_home(path))),
        sent: entry.sent,
    })
}

fn expand_home(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path,
    }
}

/// Appends an account; the file and its folder are made when missing.
pub(super) fn add(path: &Path, account: &Account) -> Result<(), Failure> {
    let (old, known) = match read(path) {
        Ok(text) => {
            let known = parse(&text, path)?;
            (text, known)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (String::new(), Accounts::default())
        }
        Err(error) => return Err(Failure::io(format!("cannot read {}", path.display()), &error)),
    };
    if known.all.iter().any(|one| one.name == account.name) {
        return Err(Failure::no(format!(
            "{} has an account {:?} already; choose another name with --name, or edit the file",
            path.display(),
            account.name
        )));
    }
    let mut text = old;
    if text.is_empty() {
        let _ = writeln!(text, "# Accounts of `posthaste mail`. docs/mail.md explains every key.");
        let _ = writeln!(text, "format = {FORMAT}\ndefault = {}", quoted(&account.name));
    } else if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&entry_text(account));
    parse(&text, path)?;
    replace(path, &text)
        .map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
}

fn entry_text(account: &Account) -> String {
    let mut text = format!("\n[account.{}]\n", quoted(&account.name));
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("address", quoted(&account.address.to_string()));
    if let Some(person) = &account.person {
        line("name", quoted(person));
    }
    if !account.aliases.is_empty() {
        line("aliases", list(account.aliases.iter().map(ToString::to_string)));
    }
    line("imap", quoted(&account.imap.to_string()));
    line("submission", quoted(&account.submission.to_string()));
    if account.user != account.address.to_string() {
        line("user", quoted(&account.user));
    }
    match &account.password {
        PasswordSource::File(path) => line("password_file", quoted(&path.to_string_lossy())),
        PasswordSource::Command(words) => line("password_command", list(words.iter().cloned())),
        PasswordSource::Prompt => {}
    }
    if let Some(path) = &account.extra_ca {
        line("extra_ca", quoted(&path.to_string_lossy()));
    }
    if let Some(sent) = &account.sent {
        line("sent", quoted(sent));
    }
    text
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(words: impl Iterator<Item = String>) -> String {
    toml::Value::Array(words.map(toml::Value::String).collect()).to_string()
}

/// Writes beside the file and renames, so that a full disk leaves the old one. The file holds no
/// secret, but whom somebody writes as is nobody's business: mode 0600.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = path.with_extension(format!("toml.{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.flush()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is left half written is of no use to anyone.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> Account {
        let server = |text, kind| Server::parse(text, kind).unwrap();
        Account {
            name: name.into(),
            address: format!("{name}@red.test").parse().unwrap(),
            person: Some("Alice \"A\" Ä".into()),
            aliases: vec!["sales@red.test".parse().unwrap()],
            imap: server("imaps://mail.red.test", ServerKind::Imap),
            submission: server("smtp://mail.red.test:10587", ServerKind::Submission),
            user: "alice".into(),
            password: PasswordSource::Command(vec!["pass".into(), "show mail".into()]),
            extra_ca: Some("/etc/ca.pem".into()),
            sent: Some("Gesendet".into()),
        }
    }

    #[test]
    fn what_is_added_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/accounts.toml");
        Accounts::add(&path, &sample("alice")).unwrap();
        let text = fs::read_to_string(&path).unwrap() + "# a remark";
        fs::write(&path, text).unwrap();
        let second = Account { password: PasswordSource::Prompt, ..sample("bob") };
        Accounts::add(&path, &second).unwrap();
        let accounts = Accounts::load(&path).unwrap();
        assert_eq!(accounts.all, [sample("alice"), second]);
        assert_eq!(accounts.choose(None).unwrap().name, "alice");
        assert_eq!(accounts.choose(Some("bob@red.test")).unwrap().name, "bob");
        assert_eq!(accounts.choose(Some("carol")).unwrap_err().kind, crate::Kind::BadConfiguration);
        assert!(fs::read_to_string(&path).unwrap().contains("# a remark"));
        let again = Accounts::add(&path, &sample("alice")).unwrap_err();
        assert_eq!(again.kind, crate::Kind::No);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let wrong = |text: &str| parse(text, Path::new("/x/accounts.toml")).unwrap_err().text;
        let entry = "format = 1\n[account.a]\naddress = \"a@b\"\nimap = \"h\"\n";
        assert!(wrong("format = 1\ndefualt = \"x\"\n").contains("accounts.toml:2:1"));
        assert!(wrong("format = 9\n").contains("format 9"));
        assert!(wrong(entry).contains("submission"), "{}", wrong(entry));
        let whole = |more: &str| wrong(&format!("{entry}submission = \"h\"\n{more}"));
        assert!(whole("password_file = \"p\"\npassword_command = [\"q\"]").contains("not both"));
        assert!(whole("aliases = [\"no address\"]").contains("no address"));
        assert!(wrong(&entry.replace("\"h\"", "\"http://h\"")).contains("submission"));
        let missing = load(Path::new("/nonexistent/accounts.toml")).unwrap_err();
        assert!(missing.text.contains("posthaste mail account add"));
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "format = 1\n[account.a]\naddress = \"a@b\"\nimap = \"h\"\nsubmission = \"h\"\n\
                    password_file = \"secret\"\nextra_ca = \"/abs/ca.pem\"\n";
        let accounts = parse(text, Path::new("/x/accounts.toml")).unwrap();
        let account = accounts.choose(None).unwrap();
        assert_eq!(account.password, PasswordSource::File("/x/secret".into()));
        assert_eq!(account.extra_ca.as_deref(), Some(Path::new("/abs/ca.pem")));
        assert_eq!(account.user, "a@b");
    }
}
