//! Peers: mail servers that people run, each from Debian's package, with a configuration and data
//! of its own in the folder of the run and its defaults for whatever touches speed and safety.
//! What is raised is said where it is raised: bounds that only a load from one address meets.
//! All need root, as their master processes do.

pub mod chasquid;
pub mod dovecot;
pub mod exim;
pub mod opensmtpd;
pub mod packages;
pub mod postfix;
mod resolver;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Way;
use super::place::Place;
use super::server::Server;
use crate::{process, wait};
use postfix::Delivery;

/// Who owns the mailboxes: an account that every Debian has (nobody, nogroup).
pub(super) const OWNER: u32 = 65_534;

/// What a peer does about STARTTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartTls {
    /// As a server.
    pub offered: Use,
    /// As a client, where it is offered.
    pub asked: Use,
}

/// Whether something is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// Those that can be run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Postfix, delivering by itself.
    Postfix,
    /// Postfix, delivering to Dovecot over LMTP.
    PostfixDovecot,
    /// Exim.
    Exim,
    /// OpenSMTPD.
    OpenSmtpd,
    /// chasquid, delivering to Dovecot over LMTP.
    Chasquid,
    /// Dovecot, for readers.
    Dovecot,
}

impl Peer {
    /// By the name that people give.
    pub fn parse(name: &str) -> Option<Peer> {
        Some(match name.to_ascii_lowercase().as_str() {
            "postfix" => Peer::Postfix,
            "postfix+dovecot" => Peer::PostfixDovecot,
            "exim" => Peer::Exim,
            "opensmtpd" => Peer::OpenSmtpd,
            "chasquid" => Peer::Chasquid,
            "dovecot" => Peer::Dovecot,
            _ => return None,
        })
    }

    /// Its name in results and tables.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Postfix => "Postfix",
            Peer::PostfixDovecot => "Postfix+Dovecot",
            Peer::Exim => "Exim",
            Peer::OpenSmtpd => "OpenSMTPD",
            Peer::Chasquid => "chasquid",
            Peer::Dovecot => "Dovecot",
        }
    }

    /// Starts it for letters on their way; `sink` is where everything else goes.
    ///
    /// # Errors
    ///
    /// It cannot be installed, configured or started.
    pub fn start(self, way: Way, sink: SocketAddr) -> io::Result<Server> {
        match self {
            Peer::Postfix => postfix::start(way, sink, Delivery::Virtual),
            Peer::PostfixDovecot => postfix::start(way, sink, Delivery::Dovecot),
            Peer::Exim => exim::start(way, sink),
            Peer::OpenSmtpd => opensmtpd::start(way, sink),
            Peer::Chasquid => chasquid::start(way),
            Peer::Dovecot => Err(io::Error::other("it takes no letters from anybody")),
        }
    }

    /// Starts it for readers.
    ///
    /// # Errors
    ///
    /// As [`Peer::start`].
    pub fn reader(self, place: Place) -> io::Result<Server> {
        match self {
            Peer::Dovecot => dovecot::start(place).map(dovecot::Dovecot::server),
            _ => Err(io::Error::other("nobody reads there")),
        }
    }
}

/// The processes of a peer; dropped, they end.
pub(super) struct Running(Child);

impl Running {
    /// Starts a program in the foreground, in a group of its own.
    pub(super) fn start(command: &mut Command, log: &Path) -> io::Result<Running> {
        use std::os::unix::process::CommandExt as _;
        let open = || std::fs::File::options().create(true).append(true).open(log);
        let command = command.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
        command.process_group(0).spawn().map(Running)
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let all = super::usage::tree(self.0.id());
        process::terminate(self.0.id());
        if wait::try_within(wait::PATIENCE, || self.0.try_wait().ok().flatten()).is_none() {
            process::kill_group(self.0.id());
        }
        let _ = self.0.wait();
        // Children with groups of their own are given a moment; then they go too.
        let left = || all.iter().copied().filter(|&id| process::is_alive(id)).collect::<Vec<_>>();
        if wait::try_within(wait::PATIENCE / 10, || left().is_empty().then_some(())).is_none() {
            left().into_iter().for_each(process::kill);
        }
    }
}

/// Whether this process may start peers at all.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(super) fn folder_of(path: &Path, mode: u32) -> io::Result<PathBuf> {
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    Ok(path.to_owned())
}

/// Empty Maildirs of the mailboxes, owned by [`OWNER`].
pub(super) fn maildirs(mail: &Path) -> io::Result<Vec<PathBuf>> {
    let boxes = (0..super::server::BOXES).map(|number| {
        let maildir = mail.join(format!("box{number}"));
        for part in ["", "tmp", "new", "cur"] {
            let folder = folder_of(&maildir.join(part), 0o700)?;
            std::os::unix::fs::chown(&folder, Some(OWNER), Some(OWNER))?;
        }
        Ok(maildir)
    });
    boxes.collect()
}
