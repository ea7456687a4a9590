//! Where things go below DIR, and the configuration that says so. Not the configuration's reader:
//! that is `service::config`. Called by `init`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use disk::{Disk, Mode, RealDisk};
use protocol::address::{Address, Domain};
use service::Fatal;

use super::InitArgs;
use crate::exit;

/// Folders below DATA. All are for the service alone: mail is private.
const FOLDERS: &[&str] = &["directory", "index", "keys", "mail", "queue", "run", "state", "trail"];
/// Only the service enters.
pub(super) const FOLDER_MODE: Mode = Mode(0o700);
/// Only the service reads.
pub(super) const FILE_MODE: Mode = Mode(0o600);

/// What is to be there in the end.
pub(super) struct Plan {
    folder: PathBuf,
    pub(super) domain: Domain,
    pub(super) hostname: Domain,
    pub(super) bind: Option<IpAddr>,
    pub(super) accounts: Vec<Address>,
    port_offset: u16,
}

impl Plan {
    /// Checks the arguments; writes nothing.
    pub(super) fn new(args: &InitArgs) -> Result<Plan, Fatal> {
        let parse = |what: &str, text: &str| {
            text.parse::<Domain>()
                .map_err(|error| Fatal::new(exit::USAGE, format!("{what} {text:?}: {error}")))
        };
        let domain = parse("--domain", &args.domain)?;
        let hostname = match &args.hostname {
            Some(name) => parse("--hostname", name)?,
            None => parse("--hostname", &format!("mail.{}", args.domain))?,
        };
        let folder = std::path::absolute(&args.folder)
            .map_err(|error| Fatal::io(&args.folder.display().to_string(), &error))?;
        // An offset is for trying things out: not for the whole network, unless asked for.
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let bind = args.bind.or((args.port_offset > 0).then_some(loopback));
        let accounts = args.accounts.iter().map(|name| account(&domain, name));
        let accounts = accounts.collect::<Result<Vec<Address>, Fatal>>()?;
        let port_offset = args.port_offset;
        Ok(Plan { folder, domain, hostname, bind, accounts, port_offset })
    }

    /// DIR/posthaste.toml.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("posthaste.toml")
    }

    /// DIR/data.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// DIR/data/keys.
    pub(super) fn keys(&self) -> PathBuf {
        self.data().join("keys")
    }

    /// Makes the folders that are missing.
    pub(super) fn folders(&self, made: &mut Vec<String>) -> Result<(), Fatal> {
        ensure_folder(&self.folder, made)?;
        ensure_folder(&self.data(), made)?;
        for name in FOLDERS {
            ensure_folder(&self.data().join(name), made)?;
        }
        Ok(())
    }

    /// Writes the configuration if there is none.
    pub(super) fn configuration(&self, made: &mut Vec<String>) -> Result<(), Fatal> {
        ensure_file(&self.config(), made, || Ok(self.text()))
    }

    fn text(&self) -> String {
        let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut listen = String::new();
        if let Some(bind) = self.bind {
            listen.push_str(&format!("bind = [\"{bind}\"]\n"));
        }
        if self.port_offset > 0 {
            listen.push_str(&format!("port_offset = {}\n", self.port_offset));
        }
        format!(
            "# Posthaste for {domain}. Every key, and what it is without being set:\n\
             # deploy/posthaste.toml. After a change: posthaste check, then posthaste reload.\n\
             \n\
             [server]\n\
             hostname = {hostname}\n\
             \n\
             [listen]\n\
             {listen}\n\
             # Relative paths count from this file: the folder may be moved.\n\
             [storage]\n\
             data_dir = \"data\"\n\
             \n\
             [tls]\n\
             certificate = \"data/keys/tls.crt\"\n\
             key = \"data/keys/tls.key\"\n",
            domain = self.domain,
            hostname = quote(self.hostname.as_str()),
        )
    }
}

/// A bare name, or an address of this domain.
fn account(domain: &Domain, name: &str) -> Result<Address, Fatal> {
    let text = if name.contains('@') { name.to_owned() } else { format!("{name}@{domain}") };
    let address: Address = text
        .parse()
        .map_err(|error| Fatal::new(exit::USAGE, format!("--account {name:?}: {error}")))?;
    if address.domain() != Some(domain) {
        let what = format!("--account {name:?} is not in {domain}; see `posthaste domain add`");
        return Err(Fatal::new(exit::USAGE, what));
    }
    Ok(address)
}

/// Makes a folder for the service alone; one that is there keeps its mode.
pub(super) fn ensure_folder(path: &Path, made: &mut Vec<String>) -> Result<(), Fatal> {
    if path.is_dir() {
        return Ok(());
    }
    RealDisk.make_dirs(path, FOLDER_MODE).map_err(unwritten)?;
    made.push(format!("{}/", path.display()));
    Ok(())
}

/// Writes a file for the service alone, durable, unless it is there.
pub(super) fn ensure_file(
    path: &Path,
    made: &mut Vec<String>,
    contents: impl FnOnce() -> Result<String, Fatal>,
) -> Result<(), Fatal> {
    if path.exists() {
        return Ok(());
    }
    let contents = contents()?;
    disk::replace_whole(&RealDisk, path, FILE_MODE, contents.as_bytes()).map_err(unwritten)?;
    made.push(path.display().to_string());
    Ok(())
}

/// The disk's own words name the path.
pub(super) fn unwritten(error: disk::Error) -> Fatal {
    let exit = match error.kind() {
        disk::ErrorKind::Denied => exit::NOT_ALLOWED,
        _ => exit::NO,
    };
    Fatal::new(exit, error.to_string())
}
