//! The admin's verbs about people: `account`, `alias`, `domain`. They change the directory's files
//! and tell the running agents; they work as well when nothing runs.

mod account;
mod alias;
mod app_password;
mod domain;
mod notify;
mod password;

pub(crate) use account::{AccountArgs, run as account};
pub(crate) use alias::{AliasArgs, run as alias};
pub(crate) use domain::{DomainArgs, run as domain};

use std::sync::Arc;

use clap::Args;
use directory::{ChangeError, Draft, LoadError, Renewing, Snapshot, Store};
use disk::{ErrorKind, RealDisk};
use service::{Config, Exit, Fatal, Paths};

use crate::cli::ConfigArgs;

/// What every one of these verbs takes.
#[derive(Args, Debug, Clone)]
pub(crate) struct Where {
    #[command(flatten)]
    file: ConfigArgs,
    /// JSON Lines instead of columns
    #[arg(long)]
    json: bool,
}

/// The data folder, and the account, which must exist: asking for what belongs to nobody would
/// make it. For verbs about one account that its agent carries out.
///
/// # Errors
/// The configuration or the directory cannot be read; there is no such account.
pub(crate) fn existing(file: &ConfigArgs, address: &str) -> Result<(Paths, String), Fatal> {
    let config = file.load()?.current();
    let paths = Paths::new(&config.storage.data_dir);
    let directory = Renewing::open(Arc::new(RealDisk), &paths.directory())
        .map_err(|error| Fatal::no(error.to_string()))?;
    let snapshot = directory.current(net::Clock::real().tick());
    let account = snapshot.login(address).ok_or_else(|| {
        Fatal::no(format!(
            "there is no account {address}; `posthaste account list` shows those there are"
        ))
    })?;
    Ok((paths, account.address.to_string()))
}

/// The directory of one configuration.
struct People {
    config: Arc<Config>,
    paths: Paths,
    store: Store,
}

impl People {
    fn open(place: &Where) -> Result<Self, Fatal> {
        let config = place.file.load()?.current();
        let paths = Paths::new(&config.storage.data_dir);
        let store = Store::new(Arc::new(RealDisk), paths.directory());
        Ok(People { config, paths, store })
    }

    fn snapshot(&self) -> Result<Snapshot, Fatal> {
        self.store.snapshot().map_err(of_load)
    }

    /// Makes a change and tells the agents; returns when those that run work by it.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Draft) -> Result<T, ChangeError>,
    ) -> Result<T, Fatal> {
        let changed = self.store.change(change).map_err(of_change)?;
        notify::keep_owner(&self.paths)?;
        notify::tell(&self.config, &self.paths, changed.revision)?;
        Ok(changed.value)
    }
}

fn of_change(error: ChangeError) -> Fatal {
    let exit = match &error {
        ChangeError::Busy => Exit::TryAgain,
        ChangeError::Disk(disk) => of_disk(disk),
        ChangeError::Load(LoadError::Disk(disk)) => of_disk(disk),
        _ => Exit::No,
    };
    Fatal::new(exit, error.to_string())
}

fn of_load(error: LoadError) -> Fatal {
    let exit = match &error {
        LoadError::Disk(disk) => of_disk(disk),
        LoadError::Damaged { .. } => Exit::No,
    };
    Fatal::new(exit, error.to_string())
}

fn of_disk(error: &disk::Error) -> Exit {
    match error.kind() {
        ErrorKind::Denied => Exit::NotAllowed,
        ErrorKind::Full | ErrorKind::Busy => Exit::TryAgain,
        _ => Exit::No,
    }
}
