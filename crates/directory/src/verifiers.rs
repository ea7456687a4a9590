//! `verifiers.toml`: what checks the passwords of all accounts. Opened by `auth`, and by the
//! admin's verbs that change it; never by another agent.

use crate::{
    error::LoadError,
    file::{Fault, line_of, read_text},
    limits::APP_PASSWORDS,
    password::PasswordVerifier,
    snapshot::canonical,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use disk::Disk;
use protocol::address::Address;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};
use toml::Spanned;

/// The file's name in the directory's folder.
pub(crate) const FILE_NAME: &str = "verifiers.toml";

/// What checks the passwords of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// The person's own password.
    pub password: PasswordVerifier,
    /// Passwords made for one device or program each.
    pub app_passwords: Vec<AppPassword>,
}

/// A password for one device or program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPassword {
    /// What the person calls it.
    pub name: String,
    /// What it may log in to; empty: everything.
    pub services: Vec<String>,
    /// What checks it.
    pub password: PasswordVerifier,
}

/// What checks the passwords of all accounts.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifiers {
    /// From it come the salts shown for names that do not exist.
    pretence: [u8; 32],
    by_account: BTreeMap<Address, Verifier>,
}

impl Verifiers {
    /// None yet, with a fresh pretence.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> Result<Self, String> {
        Ok(Self { pretence: random()?, by_account: BTreeMap::new() })
    }

    /// Reads the file in the directory's folder.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(disk: &dyn Disk, directory: &Path) -> Result<Self, LoadError> {
        let path = directory.join(FILE_NAME);
        let text = read_text(disk, &path)?;
        Self::parse(&text).map_err(|fault| fault.in_file(&path))
    }

    /// The verifier of an account, by its full address.
    pub fn get(&self, account: &Address) -> Option<&Verifier> {
        self.by_account.get(&canonical(account))
    }

    /// The secret from which the salts of unknown names come.
    pub fn pretence(&self) -> &[u8] {
        &self.pretence
    }

    /// How many accounts can log in.
    pub fn len(&self) -> usize {
        self.by_account.len()
    }

    /// Whether nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.by_account.is_empty()
    }

    pub(crate) fn set_password(&mut self, account: &Address, password: PasswordVerifier) {
        let verifier = Verifier { password, app_passwords: Vec::new() };
        self.by_account.insert(account.clone(), verifier);
    }

    /// Adds an app password; the name is new.
    pub(crate) fn add_app_password(
        &mut self,
        account: &Address,
        added: AppPassword,
    ) -> Result<(), String> {
        let verifier = self.by_account.get_mut(account);
        let verifier = verifier.ok_or_else(|| format!("{account} has no password yet"))?;
        if verifier.app_passwords.iter().any(|app| app.name == added.name) {
            return Err(format!("{account} has an app password called {:?}", added.name));
        }
        if verifier.app_passwords.len() >= APP_PASSWORDS {
            return Err(format!("{account} has {APP_PASSWORDS} app passwords; remove one first"));
        }
        verifier.app_passwords.push(added);
        Ok(())
    }

    /// Removes an app password; whether there was one of that name.
    pub(crate) fn remove_app_password(&mut self, account: &Address, name: &str) -> bool {
        let Some(verifier) = self.by_account.get_mut(account) else { return false };
        let before = verifier.app_passwords.len();
        verifier.app_passwords.retain(|app| app.name != name);
        verifier.app_passwords.len() < before
    }

    pub(crate) fn remove(&mut self, account: &Address) {
        self.by_account.remove(account);
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let file: File = toml::from_str(text).map_err(|error| Fault::of_toml(text, &error))?;
        if file.format != 1 {
            let reason = format!("format {} is not known here, 1 is", file.format);
            return Err(Fault { line: 1, reason });
        }
        let pretence = STANDARD
            .decode(file.pretence.get_ref())
            .ok()
            .and_then(|octets| octets.try_into().ok())
            .ok_or_else(|| Fault {
                line: line_of(text, file.pretence.span().start),
                reason: "`pretence` is not 32 octets in base64".to_owned(),
            })?;
        let mut by_account = BTreeMap::new();
        for entry in file.verifier {
            let line = line_of(text, entry.span().start);
            let entry = entry.into_inner();
            let account = canonical(&entry.account);
            let verifier = entry.read().map_err(|reason| Fault { line, reason })?;
            if by_account.insert(account.clone(), verifier).is_some() {
                return Err(Fault { line, reason: format!("{account} stands here twice") });
            }
        }
        Ok(Self { pretence, by_account })
    }

    pub(crate) fn print(&self) -> String {
        let mut text = format!(
            "format = 1\n\
             # What checks passwords. Keep it secret; `posthaste account password` changes it.\n\
             pretence = \"{}\"\n",
            STANDARD.encode(self.pretence)
        );
        for (account, verifier) in &self.by_account {
            let entry = Entry::of(account, verifier);
            let one = Printed { verifier: [entry] };
            text.push('\n');
            // Strings and arrays of strings always are TOML.
            text.push_str(&toml::to_string(&one).unwrap_or_default());
        }
        text
    }
}

impl std::fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifiers({} accounts)", self.by_account.len())
    }
}

/// Random octets of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|error| error.to_string())?;
    Ok(octets)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    pretence: Spanned<String>,
    #[serde(default)]
    verifier: Vec<Spanned<Entry>>,
}

#[derive(Serialize)]
struct Printed {
    verifier: [Entry; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    account: Address,
    argon2id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scram_sha_256: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    app_password: Vec<AppEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppEntry {
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    services: Vec<String>,
    argon2id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scram_sha_256: Option<String>,
}

impl Entry {
    fn of(account: &Address, verifier: &Verifier) -> Self {
        let app = |app: &AppPassword| AppEntry {
            name: app.name.clone(),
            services: app.services.clone(),
            argon2id: app.password.identity().to_owned(),
            scram_sha_256: app.password.scram().map(ToString::to_string),
        };
        Self {
            account: account.clone(),
            argon2id: verifier.password.identity().to_owned(),
            scram_sha_256: verifier.password.scram().map(ToString::to_string),
            app_password: verifier.app_passwords.iter().map(app).collect(),
        }
    }

    fn read(self) -> Result<Verifier, String> {
        if self.app_password.len() > APP_PASSWORDS {
            return Err(format!("more than {APP_PASSWORDS} app passwords"));
        }
        let password = PasswordVerifier::from_stored(self.argon2id, self.scram_sha_256.as_deref())?;
        let app_passwords = self.app_password.into_iter().map(AppEntry::read);
        Ok(Verifier { password, app_passwords: app_passwords.collect::<Result<_, _>>()? })
    }
}

impl AppEntry {
    fn read(self) -> Result<AppPassword, String> {
        let password = PasswordVerifier::from_stored(self.argon2id, self.scram_sha_256.as_deref())?;
        Ok(AppPassword { name: self.name, services: self.services, password })
    }
}
