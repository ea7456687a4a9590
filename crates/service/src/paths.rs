//! The layout of the data folder: the one place that knows which folder is where. Not what is in
//! them; each store owns its own.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::config::AgentName;
use crate::exit::{Exit, Fatal};

/// The data folder and what is where below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    data: PathBuf,
}

impl Paths {
    /// The layout below `data`.
    pub fn new(data: &Path) -> Self {
        Paths { data: data.to_owned() }
    }

    /// The folder itself.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Maildirs: `mail/DOMAIN/ACCOUNT`. The MDA's.
    pub fn mail(&self) -> PathBuf {
        self.data.join("mail")
    }

    /// People's rules: `sieve/DOMAIN/ACCOUNT/NAME.sieve`. The MDA's.
    pub fn sieve(&self) -> PathBuf {
        self.data.join("sieve")
    }

    /// Letters in transit. The MTA's.
    pub fn queue(&self) -> PathBuf {
        self.data.join("queue")
    }

    /// Accounts, aliases, verifiers.
    pub fn directory(&self) -> PathBuf {
        self.data.join("directory")
    }

    /// DKIM keys, certificates.
    pub fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// What was learnt: balances, levels, training.
    pub fn state(&self) -> PathBuf {
        self.data.join("state")
    }

    /// The journey.
    pub fn trail(&self) -> PathBuf {
        self.data.join("trail")
    }

    /// Sockets and locks.
    pub fn run(&self) -> PathBuf {
        self.data.join("run")
    }

    /// What can be deleted at any stop without loss.
    pub fn index(&self) -> PathBuf {
        self.data.join("index")
    }

    /// Logins (IPC), served by `auth`.
    pub fn auth_socket(&self) -> PathBuf {
        self.run().join("auth.sock")
    }

    /// Relay (SMTP), served by the MTA.
    pub fn mta_socket(&self) -> PathBuf {
        self.run().join("mta.sock")
    }

    /// Delivery (LMTP), served by the MDA.
    pub fn mda_socket(&self) -> PathBuf {
        self.run().join("mda.sock")
    }

    /// Mailboxes (IMAP) for the admin's verbs, served by the MDA.
    pub fn imap_socket(&self) -> PathBuf {
        self.run().join("imap.sock")
    }

    /// Control (IPC), served by each agent.
    pub fn control_socket(&self, agent: AgentName) -> PathBuf {
        self.run().join(format!("{agent}.control.sock"))
    }

    /// Held by the running process of that name: an agent, or `up`.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.lock"))
    }

    /// The ledger's balances, one file a day.
    pub fn balances(&self) -> PathBuf {
        self.state().join("balances")
    }

    /// Sees that the data folder is there and can be written, and makes `run`, `trail` and `state`.
    ///
    /// # Errors
    /// One sentence that says which folder, why, and what to do.
    pub fn prepare(&self) -> Result<(), Fatal> {
        let data = self.data.display();
        match fs::metadata(&self.data) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                return Err(Fatal::configuration(format!(
                    "the data folder {data} is not a folder; correct storage.data_dir"
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Fatal::configuration(format!(
                    "the data folder {data} does not exist; make it, correct storage.data_dir, or \
                     let `posthaste init` set everything up"
                )));
            }
            Err(error) => return Err(Fatal::io(&format!("the data folder {data}"), &error)),
        }
        for folder in [self.run(), self.trail(), self.state()] {
            make_private(&folder).map_err(|error| self.unwritable(&folder, &error))?;
        }
        // A folder that exists may still not be ours to write.
        let probe = self.run().join(format!(".probe.{}", std::process::id()));
        fs::write(&probe, b"").map_err(|error| self.unwritable(&self.run(), &error))?;
        // Left behind it would do no harm.
        let _ = fs::remove_file(&probe);
        Ok(())
    }

    fn unwritable(&self, folder: &Path, error: &io::Error) -> Fatal {
        let user = rustix::process::geteuid().as_raw();
        let folder = folder.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Fatal::new(
                Exit::NotAllowed,
                format!(
                    "cannot write in {folder}: user {user} has no permission; correct its owner or \
                     mode"
                ),
            ),
            io::ErrorKind::ReadOnlyFilesystem => Fatal::new(
                Exit::NotAllowed,
                format!("cannot write in {folder}: the file system is read-only"),
            ),
            io::ErrorKind::StorageFull => Fatal::try_again(format!(
                "cannot write in {folder}: the disk is full; free some space"
            )),
            _ => Fatal::io(&format!("cannot write in {folder}"), error),
        }
    }
}

/// Makes a folder for our user alone; one that is there stays as it is.
///
/// # Errors
/// The system's.
pub fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
