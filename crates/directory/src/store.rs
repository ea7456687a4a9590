//! Changing the directory: under a lock, checked as a whole, replaced as a whole. Who calls it: the
//! admin's verbs. Telling the running agents is theirs; one that is not told notices by itself.

use crate::{
    error::{ChangeError, LoadError},
    file::{self, Contents},
    limits,
    password::PasswordVerifier,
    snapshot::{Account, Alias, Found, HostedDomain, Include, Nowhere, Quota, Snapshot, canonical},
    verifiers::{self, AppPassword, Verifiers},
};
use disk::{Disk, ErrorKind, Lock, Mode};
use protocol::address::{Address, Domain};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// The directory's folder, for those who change it.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
}

/// A change that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed<T> {
    /// The revision that holds it; agents answer `directory_changed` with it or a later one.
    pub revision: u64,
    /// What the change gave.
    pub value: T,
}

impl Store {
    /// The store in `DATA/directory`.
    pub fn new(disk: Arc<dyn Disk>, directory: impl Into<PathBuf>) -> Self {
        Self { disk, directory: directory.into() }
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory as it is on disk now.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn snapshot(&self) -> Result<Snapshot, LoadError> {
        Contents::load(self.disk.as_ref(), &self.directory).map(Contents::into_snapshot)
    }

    /// Makes both files, empty, unless they are there.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub fn create(&self) -> Result<(), ChangeError> {
        self.disk.make_dirs(&self.directory, Mode::PRIVATE_DIR)?;
        // Also when it was there: who made it may have died before it was durable.
        if let Some(above) = self.directory.parent() {
            self.disk.sync_dir(above)?;
        }
        let _lock = self.lock()?;
        match Contents::load(self.disk.as_ref(), &self.directory) {
            Err(error) if error.is_missing() => self.write_directory(&Contents::default())?,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        match Verifiers::load(self.disk.as_ref(), &self.directory) {
            Err(error) if error.is_missing() => {
                self.write_verifiers(&Verifiers::new().map_err(ChangeError::Invalid)?)?;
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        self.keep_what_is_there()
    }

    /// Changes the directory. All that `change` does to the draft is made, or nothing is.
    ///
    /// # Errors
    /// What `change` said, or why it could not be written.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Draft) -> Result<T, ChangeError>,
    ) -> Result<Changed<T>, ChangeError> {
        let _lock = self.lock()?;
        let contents = Contents::load(self.disk.as_ref(), &self.directory)?;
        let verifiers = Verifiers::load(self.disk.as_ref(), &self.directory)?;
        let mut draft = Draft { contents, verifiers };
        let before = draft.clone();
        let value = change(&mut draft)?;
        if draft.contents == before.contents && draft.verifiers == before.verifiers {
            self.keep_what_is_there()?;
            return Ok(Changed { revision: before.contents.revision, value });
        }
        draft.contents.revision += 1;
        // Cut in between, a new verifier waits for an account that never comes, or one without its
        // account stays behind: nobody can log in by it, and the next change of that name
        // replaces it.
        if draft.verifiers != before.verifiers {
            self.write_verifiers(&draft.verifiers)?;
        }
        self.write_directory(&draft.contents)?;
        Ok(Changed { revision: draft.contents.revision, value })
    }

    fn lock(&self) -> Result<Box<dyn Lock>, ChangeError> {
        let path = self.directory.join("lock");
        let until = Instant::now() + Duration::from_secs(limits::LOCK_SECONDS);
        loop {
            match self.disk.lock(&path) {
                Err(error) if error.kind() == ErrorKind::Busy => {
                    if Instant::now() >= until {
                        return Err(ChangeError::Busy);
                    }
                    std::thread::sleep(LOCK_PAUSE);
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Files are synced before they get their names, and the names after. Who died in between left
    /// files that can be read and may yet be lost: a yes that rests on them syncs the names.
    fn keep_what_is_there(&self) -> Result<(), ChangeError> {
        Ok(self.disk.sync_dir(&self.directory)?)
    }

    fn write_directory(&self, contents: &Contents) -> Result<(), ChangeError> {
        let path = self.directory.join(file::FILE_NAME);
        let text = contents.print();
        Ok(disk::replace_whole(self.disk.as_ref(), &path, Mode::GROUP, text.as_bytes())?)
    }

    fn write_verifiers(&self, verifiers: &Verifiers) -> Result<(), ChangeError> {
        let path = self.directory.join(verifiers::FILE_NAME);
        let text = verifiers.print();
        Ok(disk::replace_whole(self.disk.as_ref(), &path, Mode::PRIVATE, text.as_bytes())?)
    }
}

/// The directory while it is changed. Its methods check what they are given against what is there.
#[derive(Clone, Debug)]
pub struct Draft {
    contents: Contents,
    verifiers: Verifiers,
}

impl Draft {
    /// The directory as it would be.
    pub fn snapshot(&self) -> Snapshot {
        self.contents.clone().into_snapshot()
    }

    /// Hosts a domain.
    ///
    /// # Errors
    /// It is hosted already.
    pub fn add_domain(&mut self, name: Domain) -> Result<(), ChangeError> {
        if self.contents.domains.iter().any(|domain| domain.name == name) {
            return Err(ChangeError::Exists(format!("the domain {name}")));
        }
        self.contents.domains.push(HostedDomain { name, catch_all: None });
        Ok(())
    }

    /// Hosts a domain no longer.
    ///
    /// # Errors
    /// It has accounts or aliases still.
    pub fn remove_domain(&mut self, name: &Domain) -> Result<(), ChangeError> {
        let Contents { domains, accounts, aliases, .. } = &mut self.contents;
        let at = domains
            .iter()
            .position(|domain| domain.name == *name)
            .ok_or_else(|| ChangeError::Missing(format!("domain {name}")))?;
        let accounts = accounts.iter().filter(|it| it.address.domain() == Some(name)).count();
        let aliases = aliases.iter().filter(|it| it.address.domain() == Some(name)).count();
        if accounts + aliases > 0 {
            return Err(ChangeError::InUse(format!(
                "{name} has {accounts} accounts and {aliases} aliases; remove them first"
            )));
        }
        domains.remove(at);
        Ok(())
    }

    /// Sends letters for names that do not exist to `to`; `None`: refuses them.
    ///
    /// # Errors
    /// The domain is not hosted.
    pub fn set_catch_all(&mut self, name: &Domain, to: Option<Address>) -> Result<(), ChangeError> {
        let mut domains = self.contents.domains.iter_mut();
        let domain = domains
            .find(|domain| domain.name == *name)
            .ok_or_else(|| ChangeError::NotHosted(name.to_string()))?;
        domain.catch_all = to.map(|address| canonical(&address));
        Ok(())
    }

    /// Adds an account with its password.
    ///
    /// # Errors
    /// The name is taken, or its domain is not hosted.
    pub fn add_account(
        &mut self,
        account: Account,
        password: PasswordVerifier,
    ) -> Result<(), ChangeError> {
        let address = self.free_name(&account.address)?;
        if address.local().as_str().contains(limits::SUBADDRESS_SEPARATOR) {
            let reason = format!("{address}: a + divides a name from a subaddress");
            return Err(ChangeError::Invalid(reason));
        }
        // The name becomes a folder. Quoted local parts are legal and nobody's friend there.
        let folder = address.local().as_str();
        if folder.starts_with('.') || folder.contains(['/', '\0', ' ', '"', '\\']) {
            let reason = format!(
                "{address}: an account's name may not begin with a dot, nor have slashes, quotes \
                 or spaces"
            );
            return Err(ChangeError::Invalid(reason));
        }
        self.verifiers.set_password(&address, password);
        self.contents.accounts.push(Account { address, ..account });
        Ok(())
    }

    /// Changes an account's password. App passwords go with it: the reason to change it may be
    /// that somebody else has it.
    ///
    /// # Errors
    /// There is no such account.
    pub fn set_password(
        &mut self,
        address: &Address,
        password: PasswordVerifier,
    ) -> Result<(), ChangeError> {
        let address = self.account(address)?.address.clone();
        self.verifiers.set_password(&address, password);
        Ok(())
    }

    /// Adds a password for one device or program.
    ///
    /// # Errors
    /// There is no such account, the name is taken or no name, or there are too many.
    pub fn add_app_password(
        &mut self,
        address: &Address,
        added: AppPassword,
    ) -> Result<(), ChangeError> {
        let address = self.account(address)?.address.clone();
        let name = &added.name;
        let bad = name.trim().is_empty()
            || name.len() > limits::APP_PASSWORD_NAME
            || name.chars().any(char::is_control);
        if bad {
            let why = format!("the name has 1 to {} octets of text", limits::APP_PASSWORD_NAME);
            return Err(ChangeError::Invalid(why));
        }
        self.verifiers.add_app_password(&address, added).map_err(ChangeError::Invalid)
    }

    /// Takes one away; who uses it can log in no longer.
    ///
    /// # Errors
    /// There is no such account, or no app password of that name.
    pub fn remove_app_password(
        &mut self,
        address: &Address,
        name: &str,
    ) -> Result<(), ChangeError> {
        let address = self.account(address)?.address.clone();
        match self.verifiers.remove_app_password(&address, name) {
            true => Ok(()),
            false => Err(ChangeError::Missing(format!("app password {name:?} of {address}"))),
        }
    }

    /// The app passwords of an account.
    ///
    /// # Errors
    /// There is no such account.
    pub fn app_passwords(&mut self, address: &Address) -> Result<Vec<AppPassword>, ChangeError> {
        let address = self.account(address)?.address.clone();
        let verifier = self.verifiers.get(&address);
        Ok(verifier.map(|verifier| verifier.app_passwords.clone()).unwrap_or_default())
    }

    /// Changes how much an account may hold.
    ///
    /// # Errors
    /// There is no such account.
    pub fn set_quota(&mut self, address: &Address, quota: Quota) -> Result<(), ChangeError> {
        self.account(address)?.quota = quota;
        Ok(())
    }

    /// Makes an account the gateway of these domains, instead of those it was the gateway of.
    ///
    /// # Errors
    /// There is no such account.
    pub fn set_gateway(
        &mut self,
        address: &Address,
        domains: Vec<Domain>,
    ) -> Result<(), ChangeError> {
        self.account(address)?.gateway_for = domains;
        Ok(())
    }

    /// Removes an account. Its letters are the MDA's to keep or remove.
    ///
    /// # Errors
    /// There is no such account.
    pub fn remove_account(&mut self, address: &Address) -> Result<Account, ChangeError> {
        let address = self.account(address)?.address.clone();
        self.verifiers.remove(&address);
        let accounts = &mut self.contents.accounts;
        let at = accounts.iter().position(|account| account.address == address);
        at.map(|at| accounts.remove(at)).ok_or_else(|| missing_account(&address))
    }

    /// Adds an alias, or further targets to one that is there.
    ///
    /// # Errors
    /// The name is an account's, its domain is not hosted, or it would lead nowhere.
    pub fn add_alias(&mut self, address: &Address, to: &[Address]) -> Result<(), ChangeError> {
        let name = canonical(address);
        let ours = |target: &Address| {
            if self.is_hosted(target) { canonical(target) } else { target.clone() }
        };
        let targets: Vec<Address> = to.iter().map(ours).collect();
        let had = self.contents.aliases.iter().position(|alias| alias.address == name);
        match had.and_then(|at| self.contents.aliases.get_mut(at)) {
            Some(alias) => {
                let news = targets.iter().any(|target| !alias.to.contains(target));
                if !news {
                    return Err(ChangeError::Exists(format!(
                        "the alias {name} with these targets"
                    )));
                }
                for target in targets {
                    if !alias.to.contains(&target) {
                        alias.to.push(target);
                    }
                }
            }
            None => {
                let name = self.free_name(address)?;
                self.contents.aliases.push(Alias { address: name, to: targets, include: None });
            }
        }
        self.check_alias(&name)
    }

    /// Makes an alias stand for the addresses in a file too; the alias is made if it is not there.
    ///
    /// # Errors
    /// The name belongs to an account, or the file's name leads out of the directory's folder.
    pub fn include(&mut self, address: &Address, file: &str) -> Result<(), ChangeError> {
        if !crate::file::is_inner(file) {
            return Err(ChangeError::Invalid(format!(
                "the file {file}: name one below the folder of the directory, without \"..\""
            )));
        }
        let include = Some(Include { file: file.to_owned(), addresses: Vec::new() });
        let name = canonical(address);
        match self.contents.aliases.iter_mut().find(|alias| alias.address == name) {
            Some(alias) => alias.include = include,
            None => {
                let address = self.free_name(address)?;
                self.contents.aliases.push(Alias { address, to: Vec::new(), include });
            }
        }
        Ok(())
    }

    /// Removes an alias, or, where `to` is not empty, some of its targets.
    ///
    /// # Errors
    /// There is no such alias, or it has no such target.
    pub fn remove_alias(&mut self, address: &Address, to: &[Address]) -> Result<(), ChangeError> {
        let name = canonical(address);
        let aliases = &mut self.contents.aliases;
        let at = aliases
            .iter()
            .position(|alias| alias.address == name)
            .ok_or_else(|| ChangeError::Missing(format!("alias {name}")))?;
        let Some(alias) = aliases.get_mut(at) else { return Ok(()) };
        for target in to {
            let before = alias.to.len();
            alias.to.retain(|had| canonical(had) != canonical(target));
            if alias.to.len() == before {
                return Err(ChangeError::Missing(format!("target {target} of the alias {name}")));
            }
        }
        if to.is_empty() || (alias.to.is_empty() && alias.include.is_none()) {
            aliases.remove(at);
        }
        Ok(())
    }

    fn check_alias(&self, name: &Address) -> Result<(), ChangeError> {
        let why = match self.snapshot().lookup(name) {
            Found::Nowhere(Nowhere::Loop) => "leads only back to itself",
            Found::Nowhere(Nowhere::Dangling) => "leads only to names that do not exist",
            Found::Nowhere(Nowhere::TooLarge) => "leads to too many addresses",
            _ => return Ok(()),
        };
        Err(ChangeError::Invalid(format!("the alias {name} {why}")))
    }

    fn is_hosted(&self, address: &Address) -> bool {
        let hosted =
            |name: &Domain| self.contents.domains.iter().any(|domain| domain.name == *name);
        address.domain().is_some_and(hosted)
    }

    /// The canonical form of a name that nobody has yet in a domain of ours.
    fn free_name(&self, address: &Address) -> Result<Address, ChangeError> {
        let name = canonical(address);
        if !self.is_hosted(&name) {
            return Err(ChangeError::NotHosted(name.host().to_string()));
        }
        if self.contents.accounts.iter().any(|account| account.address == name) {
            return Err(ChangeError::Exists(format!("the account {name}")));
        }
        if self.contents.aliases.iter().any(|alias| alias.address == name) {
            return Err(ChangeError::Exists(format!("the alias {name}")));
        }
        Ok(name)
    }

    fn account(&mut self, address: &Address) -> Result<&mut Account, ChangeError> {
        let name = canonical(address);
        let mut accounts = self.contents.accounts.iter_mut();
        accounts.find(|account| account.address == name).ok_or_else(|| missing_account(&name))
    }
}

fn missing_account(address: &Address) -> ChangeError {
    ChangeError::Missing(format!("account {address}"))
}

/// How long to wait before the lock is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
