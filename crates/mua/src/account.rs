//! Accounts: who writes, from which addresses, through which servers. They stand in one file,
//! `$XDG_CONFIG_HOME/posthaste/accounts.toml`, without any password.

mod file;
pub mod password;
mod server;

use std::path::{Path, PathBuf};

use protocol::address::Address;

use crate::failure::Failure;

pub use server::{Security, Server, ServerKind};

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Name of the account in the file.
    pub name: String,
    /// The address letters come from.
    pub address: Address,
    /// Name of the person.
    pub person: Option<String>,
    /// Further addresses of this person.
    pub aliases: Vec<Address>,
    /// Where letters are read.
    pub imap: Server,
    /// Where letters are handed in.
    pub submission: Server,
    /// Login name; the address unless given.
    pub user: String,
    /// Where the password comes from.
    pub password: PasswordSource,
    /// Authorities to believe besides the system's: a PEM file.
    pub extra_ca: Option<PathBuf>,
    /// Folder for copies of what is sent; found by its special use (RFC 6154) unless given.
    pub sent: Option<String>,
}

/// Where a password comes from. Never a password itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// First line of a file that nobody else can read.
    File(PathBuf),
    /// First line that a program prints; program and arguments.
    Command(Vec<String>),
    /// Asked at the terminal.
    Prompt,
}

/// All accounts of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// In the order of their names.
    pub all: Vec<Account>,
    /// Name of the one to use when none is asked for.
    pub default: Option<String>,
}

impl Accounts {
    /// Where the file lies: `$XDG_CONFIG_HOME/posthaste/accounts.toml`, else under `~/.config`.
    ///
    /// # Errors
    /// Neither `XDG_CONFIG_HOME` nor `HOME` is set.
    pub fn usual_path() -> Result<PathBuf, Failure> {
        let absolute = |name: &str| {
            // XDG Base Directory Specification: a relative path is to be ignored.
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let base = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .ok_or_else(|| {
                Failure::configuration(
                    "neither XDG_CONFIG_HOME nor HOME says where your settings are",
                )
            })?;
        Ok(base.join("posthaste").join("accounts.toml"))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// It is missing, unreadable or wrong: with line, column and key.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        file::load(path)
    }

    /// The account of that name or address, or the default one.
    ///
    /// # Errors
    /// There is none such, or several and no default.
    pub fn choose(&self, wanted: Option<&str>) -> Result<&Account, Failure> {
        let names = || {
            let names: Vec<&str> = self.all.iter().map(|one| one.name.as_str()).collect();
            names.join(", ")
        };
        if let Some(wanted) = wanted {
            let matches = |one: &&Account| one.name == wanted || one.owns_text(wanted);
            return self.all.iter().find(matches).ok_or_else(|| {
                Failure::configuration(format!(
                    "there is no account {wanted:?}; there are: {}",
                    names()
                ))
            });
        }
        match (&self.default, self.all.as_slice()) {
            (Some(name), _) => self.all.iter().find(|one| one.name == *name).ok_or_else(|| {
                Failure::configuration(format!(
                    "the default account {name:?} does not exist; there are: {}",
                    names()
                ))
            }),
            (None, [only]) => Ok(only),
            (None, []) => Err(Failure::configuration(
                "there is no account yet; add one with `posthaste mail account add`",
            )),
            (None, _) => Err(Failure::configuration(format!(
                "which account? Say --account, or set `default` in the account file; there are: {}",
                names()
            ))),
        }
    }

    /// Adds an account to the file, which is made when missing; the first becomes the default.
    ///
    /// # Errors
    /// The name is taken, or the file cannot be read or written.
    pub fn add(path: &Path, account: &Account) -> Result<(), Failure> {
        file::add(path, account)
    }
}

impl Account {
    /// Whether the address is one of this person's.
    pub fn owns(&self, address: &Address) -> bool {
        self.address == *address || self.aliases.contains(address)
    }

    fn owns_text(&self, text: &str) -> bool {
        text.parse().is_ok_and(|address| self.owns(&address))
    }
}
