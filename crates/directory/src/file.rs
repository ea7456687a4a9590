//! `directory.toml`: the form of the directory on disk, read and printed. What its contents mean is
//! `snapshot`'s; replacing it safely is `store`'s.

use crate::{
    error::LoadError,
    limits,
    snapshot::{Account, Alias, HostedDomain, Include, Quota, Snapshot, canonical},
};
use disk::Disk;
use protocol::address::{Address, Domain};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// The file's name in the directory's folder.
pub(crate) const FILE_NAME: &str = "directory.toml";

/// The directory as it stands in the file, in the file's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) revision: u64,
    pub(crate) domains: Vec<HostedDomain>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) aliases: Vec<Alias>,
}

impl Contents {
    pub(crate) fn load(disk: &dyn Disk, directory: &Path) -> Result<Self, LoadError> {
        let path = directory.join(FILE_NAME);
        let text = read_text(disk, &path)?;
        let mut contents = Self::parse(&text).map_err(|fault| fault.in_file(&path))?;
        for include in contents.aliases.iter_mut().filter_map(|alias| alias.include.as_mut()) {
            let path = directory.join(&include.file);
            let text = read_text(disk, &path)?;
            include.addresses = addresses(&text).map_err(|fault| fault.in_file(&path))?;
        }
        Ok(contents)
    }

    pub(crate) fn into_snapshot(self) -> Snapshot {
        Snapshot::new(self.revision, self.domains, self.accounts, self.aliases)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let file: File = toml::from_str(text).map_err(|error| Fault::of_toml(text, &error))?;
        if file.format != 1 {
            let reason = format!("format {} is not known here, 1 is", file.format);
            return Err(Fault { line: 1, reason });
        }
        let mut contents = Self { revision: file.revision, ..Self::default() };
        let mut check = Check { text, domains: HashSet::new(), names: HashSet::new() };
        for entry in file.domain {
            check.domain(&entry)?;
            let DomainEntry { name, catch_all } = entry.into_inner();
            let catch_all = catch_all.map(|address| canonical(&address));
            contents.domains.push(HostedDomain { name, catch_all });
        }
        for entry in file.account {
            check.name(&entry, |entry| &entry.address)?;
            let entry = entry.into_inner();
            let quota = Quota { bytes: entry.quota_bytes, letters: entry.quota_letters };
            let address = canonical(&entry.address);
            let AccountEntry { subaddressing, gateway_for, .. } = entry;
            contents.accounts.push(Account { address, quota, subaddressing, gateway_for });
        }
        for entry in file.alias {
            check.name(&entry, |entry| &entry.address)?;
            let include = entry.get_ref().include.as_deref();
            if let Some(file) = include.filter(|file| !is_inner(file)) {
                let reason = format!("{file} is not below the folder of the directory");
                return Err(check.fault(&entry, reason));
            }
            if entry.get_ref().to.is_empty() && include.is_none() {
                return Err(check.fault(&entry, "an alias for nobody: `to` is empty".to_owned()));
            }
            let AliasEntry { address, to, include } = entry.into_inner();
            let include = include.map(|file| Include { file, addresses: Vec::new() });
            contents.aliases.push(Alias { address: canonical(&address), to, include });
        }
        Ok(contents)
    }

    pub(crate) fn print(&self) -> String {
        let mut text = format!(
            "format = 1\n\
             # Who exists. No secrets here. `posthaste domain`, `account` and `alias` change it.\n\
             revision = {}\n",
            self.revision
        );
        let mut table = |entries: Printed| {
            text.push('\n');
            // Strings, integers and arrays of strings always are TOML.
            text.push_str(&toml::to_string(&entries).unwrap_or_default());
        };
        for HostedDomain { name, catch_all } in &self.domains {
            let entry = DomainEntry { name: name.clone(), catch_all: catch_all.clone() };
            table(Printed { domain: Some([entry]), ..Printed::default() });
        }
        for Account { address, quota, subaddressing, gateway_for } in &self.accounts {
            let entry = AccountEntry {
                address: address.clone(),
                quota_bytes: quota.bytes,
                quota_letters: quota.letters,
                subaddressing: *subaddressing,
                gateway_for: gateway_for.clone(),
            };
            table(Printed { account: Some([entry]), ..Printed::default() });
        }
        for Alias { address, to, include } in &self.aliases {
            let include = include.as_ref().map(|include| include.file.clone());
            let entry = AliasEntry { address: address.clone(), to: to.clone(), include };
            table(Printed { alias: Some([entry]), ..Printed::default() });
        }
        text
    }
}

/// Whether the name of an included file stays below the directory's folder.
pub(crate) fn is_inner(file: &str) -> bool {
    let path = Path::new(file);
    let is_plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    !file.is_empty() && path.components().all(is_plain)
}

/// The addresses of an included file: one a line, `#` begins a comment.
fn addresses(text: &str) -> Result<Vec<Address>, Fault> {
    let mut all = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let address = line.parse().map_err(|error| Fault {
            line: index + 1,
            reason: format!("{line} is no address: {error}"),
        })?;
        all.push(address);
    }
    Ok(all)
}

/// Reads a file of ours as text.
pub(crate) fn read_text(disk: &dyn Disk, path: &Path) -> Result<String, LoadError> {
    let octets = disk::read_whole(disk, path, limits::FILE)?;
    String::from_utf8(octets).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..good).unwrap_or_default();
        let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
        Fault { line, reason: "not UTF-8".to_owned() }.in_file(path)
    })
}

/// What is wrong with a text, before it is known which file it came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl Fault {
    pub(crate) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        Self { line, reason: error.message().to_owned() }
    }

    pub(crate) fn in_file(self, path: &Path) -> LoadError {
        let Self { line, reason } = self;
        LoadError::Damaged { path: PathBuf::from(path), line, reason }
    }
}

/// The line, from 1, of an offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|octet| **octet == b'\n').count()
}

/// That nothing stands twice, and nothing outside the hosted domains.
struct Check<'a> {
    text: &'a str,
    domains: HashSet<Domain>,
    names: HashSet<Address>,
}

impl Check<'_> {
    fn fault<T>(&self, entry: &Spanned<T>, reason: String) -> Fault {
        Fault { line: line_of(self.text, entry.span().start), reason }
    }

    fn domain(&mut self, entry: &Spanned<DomainEntry>) -> Result<(), Fault> {
        let name = &entry.get_ref().name;
        if !self.domains.insert(name.clone()) {
            return Err(self.fault(entry, format!("the domain {name} stands here twice")));
        }
        Ok(())
    }

    fn name<T>(&mut self, entry: &Spanned<T>, of: fn(&T) -> &Address) -> Result<(), Fault> {
        let address = of(entry.get_ref());
        if !address.domain().is_some_and(|domain| self.domains.contains(domain)) {
            let reason =
                format!("{address} is of a domain that is not hosted: no [[domain]] names it");
            return Err(self.fault(entry, reason));
        }
        if !self.names.insert(canonical(address)) {
            return Err(self.fault(entry, format!("{address} stands here twice")));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(default)]
    revision: u64,
    #[serde(default)]
    domain: Vec<Spanned<DomainEntry>>,
    #[serde(default)]
    account: Vec<Spanned<AccountEntry>>,
    #[serde(default)]
    alias: Vec<Spanned<AliasEntry>>,
}

#[derive(Default, Serialize)]
struct Printed {
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<[DomainEntry; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<[AccountEntry; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<[AliasEntry; 1]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainEntry {
    name: Domain,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    catch_all: Option<Address>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountEntry {
    address: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quota_letters: Option<u64>,
    #[serde(default = "yes")]
    subaddressing: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gateway_for: Vec<Domain>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasEntry {
    address: Address,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    to: Vec<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    include: Option<String>,
}

fn yes() -> bool {
    true
}
